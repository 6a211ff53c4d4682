//! Every number that tells a client or a backend what was wrong: unsubscribe codes and error codes, each with its standard
//! words. Close codes belong to their causes, in [`crate::close`].

use crate::limits::Limit;
use alloc::borrow::Cow;
use alloc::format;
use core::fmt;

/// Why a connection is taken out of a room, as the code and reason of an unsubscribe push.
///
/// SDKs take a code below 2500 for final; from 2500 on they subscribe again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnsubscribeReason {
    /// The number, 2000–2999.
    pub code: u16,
    /// A few words.
    pub reason: &'static str,
}

impl UnsubscribeReason {
    /// The backend took it out.
    pub const SERVER: Self = Self { code: 2000, reason: "server unsubscribe" };
    /// The room's token expired and was not renewed in time.
    pub const EXPIRED: Self = Self { code: 2501, reason: "subscription expired" };

    /// All of them.
    pub const ALL: &'static [Self] = &[Self::SERVER, Self::EXPIRED];
}

/// What went wrong with one command or one API call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u16)]
pub enum ErrorCode {
    /// Something on the server; trying again may help.
    Internal = 100,
    /// No credentials, or wrong ones.
    Unauthorized = 101,
    /// There is no such room, or no such connection.
    UnknownRoom = 102,
    /// Not for this client.
    PermissionDenied = 103,
    /// There is no such command.
    MethodNotFound = 104,
    /// The connection is in that room.
    AlreadySubscribed = 105,
    /// A limit was reached; the message names it.
    LimitExceeded = 106,
    /// The request makes no sense; the message says what is wrong.
    BadRequest = 107,
    /// Not on this server.
    NotAvailable = 108,
    /// The token has expired: get a new one.
    TokenExpired = 109,
    /// The rate is limited; the message names the limit.
    TooManyRequests = 111,
    /// The log does not go back that far, or is another one.
    Unrecoverable = 112,
}

impl ErrorCode {
    /// All of them, by number.
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

    /// The number on the wire.
    #[must_use]
    pub fn number(self) -> u16 {
        self as u16
    }

    /// The standard words.
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

    /// Whether the same request may succeed later.
    #[must_use]
    pub fn is_temporary(self) -> bool {
        matches!(self, Self::Internal | Self::TooManyRequests)
    }

    /// The HTTP status that answers an API call.
    #[must_use]
    pub fn http_status(self) -> u16 {
        match self {
            Self::Internal => 500,
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

/// An error code with the words that go with it here.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Error {
    /// The number.
    pub code: ErrorCode,
    /// What was wrong and what is allowed.
    pub message: Cow<'static, str>,
    /// The limit that is in the way.
    pub limit: Option<Limit>,
}

impl Error {
    /// An error that says more than its standard words.
    pub fn new(code: ErrorCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self { code, message: message.into(), limit: None }
    }

    /// An error because of a limit, which its words name.
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
    fn an_error_is_its_number_and_its_words_and_a_status_for_the_api() {
        assert_eq!(Error::limit(ErrorCode::LimitExceeded, Limit::Logs, "too many").to_string(), "106 too many (logs)");
        let statuses: alloc::vec::Vec<(u16, u16)> =
            ErrorCode::ALL.iter().map(|code| (code.number(), code.http_status())).collect();
        let expected = [
            (100, 500),
            (101, 401),
            (102, 404),
            (103, 403),
            (104, 404),
            (105, 409),
            (106, 413),
            (107, 400),
            (108, 400),
            (109, 401),
            (111, 429),
            (112, 416),
        ];
        assert_eq!(statuses, expected);
    }
}
