//! The causes for which connections end, in one table: the side that decides it, the Close frame, and whether queued
//! frames are still written before it.

use crate::limits::Limit;
use alloc::borrow::Cow;
use alloc::format;
use alloc::string::String;

/// The code and the text of a Close frame (RFC 6455 section 5.5.1).
///
/// Clients of the `json` protocol reconnect unless the code is 3500–3999 or 4500–4999.
#[derive(Clone, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub struct CloseReason {
    code: u16,
    text: Cow<'static, str>,
}

/// The greatest number of bytes of a text beside the code in a Close frame (RFC 6455 section 5.5).
pub const CLOSE_REASON_BYTES: usize = 123;
/// The code for "no code" in logs and counters (RFC 6455 section 7.4.1); it is never sent.
pub const NO_STATUS: u16 = 1005;
/// The code for "no Close frame" in logs and counters (RFC 6455 section 7.4.1); it is never sent.
pub const ABNORMAL: u16 = 1006;

impl CloseReason {
    /// Creates a reason of the server's own.
    pub(crate) const fn fixed(code: u16, text: &'static str) -> Self {
        assert!(text.len() <= CLOSE_REASON_BYTES, "a Close frame holds at most 123 bytes of reason");
        Self { code, text: Cow::Borrowed(text) }
    }

    /// Creates a reason that a backend chose. The text is cut to 123 bytes between two characters; an empty one is
    /// replaced by the standard text, since SDKs treat it as no reason. Returns `None` for a code outside of 3000 to
    /// 4999: the others are not for applications (RFC 6455 section 7.4.2).
    #[must_use]
    pub fn new(code: u16, text: &str) -> Option<Self> {
        (3000..=4999).contains(&code).then(|| Self::cut(code, text))
    }

    fn cut(code: u16, text: &str) -> Self {
        if text.is_empty() {
            return Self { code, ..CloseCause::Backend.reason() };
        }
        let mut end = text.len().min(CLOSE_REASON_BYTES);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        Self { code, text: Cow::Owned(String::from(&text[..end])) }
    }

    /// Creates the answer to a client's Close frame: the same code (RFC 6455 section 5.5.1) and no text.
    #[must_use]
    pub fn echo(code: u16) -> Self {
        Self { code, text: Cow::Borrowed("") }
    }

    /// Returns the code, 1000–4999; in logs and counters also 1005 and 1006, which are never sent.
    #[must_use]
    pub fn code(&self) -> u16 {
        self.code
    }

    /// Returns the text: at most 123 bytes of UTF-8, so that it fits into a control frame.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns the reason with the name of a limit in its text.
    #[must_use]
    pub fn naming(self, limit: Limit) -> Self {
        Self::cut(self.code, &format!("{} ({limit})", self.text))
    }

    /// Returns the reason with details in its text.
    #[must_use]
    pub fn because(&self, words: &str) -> Self {
        Self::cut(self.code, &format!("{}: {words}", self.text))
    }
}

/// The side that ends a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EndedBy {
    /// The server.
    Server,
    /// The client, by a Close frame.
    Peer,
    /// Neither: the stream ended without a Close frame.
    Loss,
}

/// The frames that are still written before the Close frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BeforeClose {
    /// All frames that were queued.
    Queued,
    /// Only the rest of a half-written frame, since a truncated frame would corrupt the stream.
    HalfWritten,
}

struct Row {
    name: &'static str,
    by: EndedBy,
    code: u16,
    text: &'static str,
    before_close: BeforeClose,
}

macro_rules! close_causes {
    ($($(#[$doc:meta])* $cause:ident = $name:literal, $by:ident, $code:expr, $text:literal, $before_close:ident;)*) => {
        /// The cause for which a connection ends. The server acts on the cause, never on the code of the Close frame,
        /// which a backend or the client may have chosen.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
        #[cfg_attr(feature = "replay", derive(serde::Deserialize))]
        pub enum CloseCause {
            $($(#[$doc])* $cause,)*
        }

        impl CloseCause {
            /// All causes, in the order of the table.
            pub const ALL: &'static [Self] = &[$(Self::$cause),*];

            const fn row(self) -> Row {
                match self {
                    $(Self::$cause => {
                        Row { name: $name, by: EndedBy::$by, code: $code, text: $text, before_close: BeforeClose::$before_close }
                    })*
                }
            }
        }
    };
}

close_causes! {
    /// A frame violates the framing rules of RFC 6455.
    Protocol = "protocol_error", Server, 1002, "protocol error", HalfWritten;
    /// A binary message arrived, and the protocol of the client is text.
    Binary = "binary_message", Server, 1003, "text messages only", HalfWritten;
    /// A text message is not UTF-8.
    Utf8 = "invalid_utf8", Server, 1007, "invalid UTF-8", HalfWritten;
    /// A message is larger than `message_bytes`.
    TooLarge = "message_too_large", Server, 1009, "message too large", HalfWritten;
    /// The server is stopping; another instance takes over.
    Shutdown = "shutdown", Server, 3001, "shutdown", Queued;
    /// The homes of the rooms that the connection starts in did not answer in time, or the key of its token could not be
    /// fetched.
    Unanswered = "unanswered", Server, 3004, "internal server error", HalfWritten;
    /// The node's limit of rooms prevents the server from subscribing the connection.
    Overloaded = "overloaded", Server, 3004, "limit exceeded", HalfWritten;
    /// The token expired and was not renewed in time.
    Expired = "expired", Server, 3005, "connection expired", Queued;
    /// The outbox was full (`outbox_bytes` or `outbox_frames`).
    Slow = "slow_consumer", Server, 3008, "slow", HalfWritten;
    /// The socket took no bytes for `write_timeout`.
    WriteTimeout = "write_timeout", Server, 3009, "write error", HalfWritten;
    /// No frame arrived within `pong_timeout` of a ping.
    NoPong = "no_pong", Server, 3012, "no pong", HalfWritten;
    /// A message or a frame was begun and not completed within `message_timeout`.
    Unfinished = "unfinished_message", Server, 3012, "unfinished message", HalfWritten;
    /// The client sent too many frames, or too many of its commands were refused for their rate.
    Rate = "too_many_requests", Server, 3013, "too many requests", HalfWritten;
    /// The unfinished input of all clients exceeds `inbound_bytes_total`, and this connection has most of it.
    Hoards = "inbound_bytes", Server, 3013, "too much unfinished input", HalfWritten;
    /// The user has `connections_per_user` already, and `user_limit` is `refuse`; a later attempt may succeed.
    UserFull = "user_full", Server, 3014, "connection limit", HalfWritten;
    /// Publications of a room that the server has subscribed the connection to may not have reached it.
    Gap = "gap", Server, 3010, "insufficient state", Queued;
    /// A token is required and missing.
    TokenRequired = "token_required", Server, 3500, "a token is required", HalfWritten;
    /// The token is not valid.
    InvalidToken = "invalid_token", Server, 3500, "invalid token", HalfWritten;
    /// A backend has revoked the token that the connection was opened or last refreshed with.
    Revoked = "token_revoked", Server, 3500, "token revoked", HalfWritten;
    /// The message does not follow the protocol.
    BadRequest = "bad_request", Server, 3501, "bad request", HalfWritten;
    /// The client did not authenticate within `authenticate_timeout`.
    Stale = "stale", Server, 3502, "stale", HalfWritten;
    /// A backend closed the connection, with this code or its own.
    Backend = "backend", Server, 3503, "disconnected by the backend", Queued;
    /// The user has `connections_per_user`, and a newer connection replaces this one.
    UserConnections = "user_connections", Server, 3504, "connection limit", HalfWritten;
    /// A token names more rooms than `rooms_per_connection`.
    Rooms = "too_many_rooms", Server, 3505, "room limit", HalfWritten;
    /// The response 101 was not written within `handshake_timeout`: too early for a Close frame.
    HandshakeTimeout = "handshake_timeout", Server, ABNORMAL, "abnormal closure", HalfWritten;
    /// The client sent a Close frame, which is answered with the same code.
    PeerClose = "peer_close", Peer, NO_STATUS, "", HalfWritten;
    /// The client ended its side of the stream without a Close frame.
    PeerEof = "peer_eof", Loss, ABNORMAL, "abnormal closure", HalfWritten;
    /// The socket failed: the client reset it or cannot be reached.
    PeerReset = "peer_reset", Loss, ABNORMAL, "abnormal closure", HalfWritten;
}

impl CloseCause {
    /// Returns the name in counters and logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.row().name
    }

    /// Returns the side that decides it.
    #[must_use]
    pub const fn by(self) -> EndedBy {
        self.row().by
    }

    /// Returns the code and the standard text of its Close frame; for logs and counters only when the code is 1005 or
    /// 1006.
    #[must_use]
    pub const fn reason(self) -> CloseReason {
        let row = self.row();
        CloseReason::fixed(row.code, row.text)
    }

    pub(crate) const fn before_close(self) -> BeforeClose {
        self.row().before_close
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeSet;

    #[test]
    fn a_reason_is_cut_between_characters_where_a_close_frame_ends() {
        let reason = |text: &str| String::from(CloseReason::new(4000, text).unwrap().text());
        let fits = "x".repeat(CLOSE_REASON_BYTES);
        assert_eq!(reason(&fits), fits);
        assert_eq!(reason(&(fits.clone() + "x")), fits);
        let wide = "x".repeat(CLOSE_REASON_BYTES - 2);
        assert_eq!(reason(&(wide.clone() + "\u{20AC}")), wide, "the last of its three bytes is one too many");
        assert_eq!(reason(""), CloseCause::Backend.reason().text(), "an empty one is none to an SDK");
        assert_eq!([2999, 5000].map(|code| CloseReason::new(code, "so")), [None, None]);
    }

    #[test]
    fn causes_have_unique_names() {
        let names: BTreeSet<&str> = CloseCause::ALL.iter().map(|cause| cause.name()).collect();
        assert_eq!(names.len(), CloseCause::ALL.len());
    }
}
