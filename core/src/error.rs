//! The codes that tell clients and backends what was wrong: unsubscribe codes and error codes, each with its standard
//! text. Close codes are in [`crate::close`].

use crate::limits::Limit;
use alloc::borrow::Cow;
use alloc::format;
use core::fmt;

/// The reason for which a connection is unsubscribed from a room: the code and the text of an unsubscribe push.
///
/// SDKs do not subscribe again after a code below 2500; from 2500 on they do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct UnsubscribeReason {
    /// The code, 2000–2999.
    pub code: u16,
    /// The text.
    pub reason: &'static str,
}

impl UnsubscribeReason {
    /// The backend unsubscribed the connection.
    pub const SERVER: Self = Self { code: 2000, reason: "server unsubscribe" };
    /// The room's token expired and was not renewed in time.
    pub const EXPIRED: Self = Self { code: 2501, reason: "subscription expired" };

    /// Publications of the room may not have reached the connection.
    pub const GAP: Self = Self { code: 2500, reason: "insufficient state" };

    /// A backend has revoked the room's token. SDKs drop theirs, and subscribe again with a new one.
    pub const REVOKED: Self = Self { code: 2502, reason: "token revoked" };

    /// All reasons.
    pub const ALL: &'static [Self] = &[Self::SERVER, Self::EXPIRED, Self::GAP, Self::REVOKED];
}

/// The error of a command or an API call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
#[repr(u16)]
pub enum ErrorCode {
    /// A part of the server was lost before it answered: it is not known whether the request was carried out.
    Internal = 100,
    /// The credentials are missing or wrong.
    Unauthorized = 101,
    /// The room or the connection does not exist.
    UnknownRoom = 102,
    /// The client is not permitted to do this.
    PermissionDenied = 103,
    /// The command or method does not exist.
    MethodNotFound = 104,
    /// The connection is already subscribed to the room.
    AlreadySubscribed = 105,
    /// A limit is reached; the message names it.
    LimitExceeded = 106,
    /// The request is malformed; the message says what is wrong.
    BadRequest = 107,
    /// The server does not offer this.
    NotAvailable = 108,
    /// The token has expired; a new one is needed.
    TokenExpired = 109,
    /// A rate limit is exceeded; the message names it.
    TooManyRequests = 111,
    /// The position is not in the log: it is too old, or of another epoch.
    Unrecoverable = 112,
}

impl ErrorCode {
    /// All codes, in ascending order.
    pub const ALL: &'static [Self] = &[
        Self::Internal,
        Self::Unauthorized,
        Self::UnknownRoom,
        Self::PermissionDenied,
        Self::MethodNotFound,
        Self::AlreadySubscribed,
        Self::LimitExceeded,
        Self::BadRequest,
        Self::NotAvailable,
        Self::TokenExpired,
        Self::TooManyRequests,
        Self::Unrecoverable,
    ];

    /// Returns the number on the wire.
    #[must_use]
    pub fn number(self) -> u16 {
        self as u16
    }

    /// Returns the standard text.
    #[must_use]
    pub fn message(self) -> &'static str {
        match self {
            Self::Internal => "internal server error",
            Self::Unauthorized => "unauthorized",
            Self::UnknownRoom => "unknown channel",
            Self::PermissionDenied => "permission denied",
            Self::MethodNotFound => "method not found",
            Self::AlreadySubscribed => "already subscribed",
            Self::LimitExceeded => "limit exceeded",
            Self::BadRequest => "bad request",
            Self::NotAvailable => "not available",
            Self::TokenExpired => "token expired",
            Self::TooManyRequests => "too many requests",
            Self::Unrecoverable => "unrecoverable position",
        }
    }

    /// Returns `true` when the same request may succeed later.
    #[must_use]
    pub fn is_temporary(self) -> bool {
        matches!(self, Self::Internal | Self::TooManyRequests)
    }

    /// Returns the HTTP status of an API answer with this error.
    #[must_use]
    pub fn http_status(self) -> u16 {
        match self {
            Self::Internal => 503,
            Self::Unauthorized | Self::TokenExpired => 401,
            Self::UnknownRoom | Self::MethodNotFound => 404,
            Self::PermissionDenied => 403,
            Self::AlreadySubscribed => 409,
            Self::LimitExceeded => 413,
            Self::BadRequest | Self::NotAvailable => 400,
            Self::TooManyRequests => 429,
            Self::Unrecoverable => 416,
        }
    }
}

/// An error code with its text in this case.
#[derive(Clone, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub struct Error {
    /// The code.
    pub code: ErrorCode,
    /// The text: what was wrong and what is allowed.
    pub message: Cow<'static, str>,
    /// The limit that was exceeded, if any.
    pub limit: Option<Limit>,
}

impl Error {
    /// Creates an error with a text of its own.
    pub fn new(code: ErrorCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self { code, message: message.into(), limit: None }
    }

    /// Creates an error because of a limit, whose name is appended to the text.
    #[must_use]
    pub fn limit(code: ErrorCode, limit: Limit, words: &str) -> Self {
        Self { code, message: format!("{words} ({limit})").into(), limit: Some(limit) }
    }
}

impl From<ErrorCode> for Error {
    fn from(code: ErrorCode) -> Self {
        Self::new(code, code.message())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.code.number(), self.message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn an_error_is_displayed_with_its_number_its_text_and_its_limit() {
        assert_eq!(Error::limit(ErrorCode::LimitExceeded, Limit::Logs, "too many").to_string(), "106 too many (logs)");
        assert_eq!(Error::from(ErrorCode::UnknownRoom).to_string(), "102 unknown channel");
    }
}
