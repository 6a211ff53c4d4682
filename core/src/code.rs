//! Every number that tells a client or a backend why: close codes and error codes, each with its standard words.

use alloc::borrow::Cow;
use alloc::format;
use alloc::string::String;
use core::fmt;

/// Why a connection ends, as the code and reason of its Close frame (RFC 6455 section 5.5.1).
///
/// Clients of the `json` profile reconnect unless the code is 3500–3999 or 4500–4999.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CloseReason {
    /// The number, 1000–4999.
    pub code: u16,
    /// At most 123 bytes of UTF-8, so that a control frame can hold it.
    pub reason: Cow<'static, str>,
}

/// The longest reason that fits a Close frame beside its code (RFC 6455 section 5.5).
pub const CLOSE_REASON_BYTES: usize = 123;

macro_rules! close_codes {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $reason:literal;)*) => {
        impl CloseReason {
            $($(#[$doc])* pub const $name: Self = Self { code: $code, reason: Cow::Borrowed($reason) };)*

            /// All codes that the server closes with by itself.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];
        }
    };
}

close_codes! {
    /// A frame broke the framing rules of RFC 6455.
    PROTOCOL = 1002, "protocol error";
    /// A binary message came; both profiles are text.
    BINARY = 1003, "text messages only";
    /// A text message is not UTF-8.
    UTF8 = 1007, "invalid UTF-8";
    /// A message is larger than `message_bytes`.
    TOO_LARGE = 1009, "message too large (message_bytes)";
    /// The server is stopping; another instance takes over.
    SHUTDOWN = 3001, "shutdown";
    /// The node has no place for a room that the connection is put in.
    OVERLOADED = 3004, "limit exceeded (logs)";
    /// The token expired and was not renewed in time.
    EXPIRED = 3005, "connection expired";
    /// The outbox was full (`outbox_bytes` or `outbox_frames`).
    SLOW = 3008, "slow";
    /// The socket failed, or took no bytes for `write_timeout`.
    WRITE = 3009, "write error";
    /// Too many of the client's commands were refused for their rate.
    RATE = 3013, "too many requests (client_commands)";
    /// No frame came within `pong_timeout` of a ping.
    NO_PONG = 3012, "no pong";
    /// The token is missing where one is required, or it proves nothing.
    INVALID_TOKEN = 3500, "invalid token";
    /// What came is not the protocol.
    BAD_REQUEST = 3501, "bad request";
    /// The client did not say who it is within `authenticate_timeout`.
    STALE = 3502, "stale";
    /// The backend closed it.
    FORCE = 3503, "disconnected by the backend";
    /// The user has `connections_per_user` already.
    USER_CONNECTIONS = 3504, "connection limit (connections_per_user)";
    /// A token names more rooms than `rooms_per_connection`.
    ROOMS = 3505, "room limit (rooms_per_connection)";
}

impl CloseReason {
    /// A reason of the backend's own, cut to what a Close frame holds; the standard one in place of an empty one, which
    /// SDKs take for no reason at all.
    #[must_use]
    pub fn custom(code: u16, reason: &str) -> Self {
        if reason.is_empty() {
            return Self { code, ..Self::FORCE };
        }
        let mut end = reason.len().min(CLOSE_REASON_BYTES);
        while !reason.is_char_boundary(end) {
            end -= 1;
        }
        Self { code, reason: Cow::Owned(String::from(&reason[..end])) }
    }

    /// Whether frames that wait are sent before the Close frame. Otherwise only a half-written one is finished.
    ///
    /// An end that the server chose in peace is orderly; one that something went wrong with is not.
    #[must_use]
    pub fn is_orderly(&self) -> bool {
        matches!(self.code, 3000 | 3001 | 3005 | 3006 | 3011 | 3503) || self.code >= 4000
    }
}

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
    /// The limit that is in the way, by its configuration key.
    pub limit: Option<&'static str>,
}

impl Error {
    /// An error that says more than its standard words.
    pub fn new(code: ErrorCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self { code, message: message.into(), limit: None }
    }

    /// An error because of a limit, which its words name.
    #[must_use]
    pub fn limit(code: ErrorCode, limit: &'static str, words: &str) -> Self {
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
    fn a_reason_is_cut_between_characters_where_a_close_frame_ends() {
        let reason = |text: &str| CloseReason::custom(4000, text).reason.into_owned();
        let fits = "x".repeat(CLOSE_REASON_BYTES);
        assert_eq!(reason(&fits), fits);
        assert_eq!(reason(&(fits.clone() + "x")), fits);
        let wide = "x".repeat(CLOSE_REASON_BYTES - 2);
        assert_eq!(reason(&(wide.clone() + "\u{20AC}")), wide, "the last of its three bytes is one too many");
        assert_eq!(reason(""), CloseReason::FORCE.reason, "an empty one is none to an SDK");
    }

    #[test]
    fn an_error_is_its_number_and_its_words_and_a_status_for_the_api() {
        assert_eq!(Error::limit(ErrorCode::LimitExceeded, "logs", "too many").to_string(), "106 too many (logs)");
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
