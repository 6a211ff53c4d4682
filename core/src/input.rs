//! What goes into the machine: upgrade requests, and everything that can happen to a shard.

use crate::admission::route::Target;
use crate::api::Command;
use crate::close::CloseCause;
use crate::ids::ConnId;
use crate::limits::Limit;
use crate::token::{BadToken, VerifiedClaims};
use alloc::string::String;
use alloc::vec::Vec;
use core::net::IpAddr;

/// A complete, valid upgrade request for a known path.
#[derive(Clone, Debug)]
pub struct Upgrade {
    /// 16 random bytes: the connection's public id. Whoever can guess it can be mistaken for it.
    pub client: [u8; 16],
    /// Where the request leads, from [`crate::admission::route::Routes::resolve`].
    pub target: Target,
    /// A token from a header or a subprotocol. One in the query is part of `target`; this one goes first.
    pub token: Option<String>,
    /// Where the request comes from, as the limits by address count it.
    pub address: Option<IpAddr>,
}

/// Why no connection came to be. Each is an HTTP answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// This limit is reached.
    Limit(Limit),
    /// The shard is shutting down.
    ShuttingDown,
}

/// Everything that can happen to a shard.
#[derive(Clone, Debug)]
pub enum Input {
    /// The last byte of the 101 was written: the WebSocket is open.
    Upgraded {
        /// The connection.
        conn: ConnId,
    },
    /// A complete text message.
    Message {
        /// The connection.
        conn: ConnId,
        /// Its text.
        text: String,
    },
    /// A frame with a part of a message, of which more is to come. The part is kept by the driver.
    Fragment {
        /// The connection.
        conn: ConnId,
        /// How many bytes of the message are in it.
        bytes: usize,
    },
    /// Bytes of a frame came, and it is not complete. It is told once of each frame, and again when more is known of how long
    /// it is.
    HalfFrame {
        /// The connection.
        conn: ConnId,
        /// How many bytes it will have, or the most that its header has where that is not complete.
        bytes: usize,
    },
    /// Bytes came that are not decoded while the connection is held: see [`crate::Shard::is_paused`].
    Unread {
        /// The connection.
        conn: ConnId,
        /// How many; zero when they are decoded.
        bytes: usize,
    },
    /// An API call whose body has so many bytes, or may have, is about to be read. There is room for it:
    /// [`crate::Shard::can_take_body`].
    BodyBegun {
        /// How many.
        bytes: usize,
    },
    /// What was begun with so many bytes is answered, or given up.
    BodyEnded {
        /// As many.
        bytes: usize,
    },
    /// A Ping frame.
    Ping {
        /// The connection.
        conn: ConnId,
        /// At most 125 bytes, to be echoed.
        payload: Vec<u8>,
    },
    /// A Pong frame.
    Pong {
        /// The connection.
        conn: ConnId,
    },
    /// A Close frame. The driver decodes nothing after it, and discards what comes.
    PeerClosed {
        /// The connection.
        conn: ConnId,
        /// The code in the frame, if it had one.
        code: Option<u16>,
    },
    /// The peer broke a rule of the framing. The driver decodes nothing after it, and discards what comes.
    Violation {
        /// The connection.
        conn: ConnId,
        /// Which rule.
        rule: Violation,
    },
    /// The socket is gone, or the peer's side of it.
    Lost {
        /// The connection.
        conn: ConnId,
        /// How that was noticed.
        cause: Lost,
    },
    /// The socket took this many of the pending bytes; zero when it refused.
    Flushed {
        /// The connection.
        conn: ConnId,
        /// At most as many as were pending.
        bytes: usize,
    },
    /// The answer to [`crate::Effect::Authenticate`].
    Authenticated {
        /// The connection.
        conn: ConnId,
        /// What the token says, if a verifier vouches for it.
        verdict: Result<VerifiedClaims, BadToken>,
    },
    /// A backend's call. It is answered by exactly one [`crate::Effect::Reply`].
    Call {
        /// Chosen by the caller, returned with the reply.
        call: CallId,
        /// What is asked.
        command: Command,
    },
    /// Time has passed: at [`crate::Shard::poll_timeout`], or at any other moment.
    Tick,
    /// Accept nothing more and close every connection with 3001, spread over `drain_timeout`.
    Shutdown,
}

impl Input {
    /// The connection that it is about, if it is about one.
    #[must_use]
    pub fn conn(&self) -> Option<ConnId> {
        match *self {
            Self::Upgraded { conn }
            | Self::Message { conn, .. }
            | Self::Fragment { conn, .. }
            | Self::HalfFrame { conn, .. }
            | Self::Unread { conn, .. }
            | Self::Ping { conn, .. }
            | Self::Pong { conn }
            | Self::PeerClosed { conn, .. }
            | Self::Violation { conn, .. }
            | Self::Lost { conn, .. }
            | Self::Flushed { conn, .. }
            | Self::Authenticated { conn, .. } => Some(conn),
            Self::BodyBegun { .. } | Self::BodyEnded { .. } | Self::Call { .. } | Self::Tick | Self::Shutdown => None,
        }
    }
}

/// Which rule of the framing a peer broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Violation {
    /// A malformed, unmasked or misplaced frame: 1002.
    Protocol,
    /// A binary message: 1003.
    Binary,
    /// A text message that is not UTF-8: 1007.
    Utf8,
    /// A message over `message_bytes`: 1009.
    TooLarge,
}

impl Violation {
    /// What the connection is closed with.
    #[must_use]
    pub fn cause(self) -> CloseCause {
        match self {
            Self::Protocol => CloseCause::Protocol,
            Self::Binary => CloseCause::Binary,
            Self::Utf8 => CloseCause::Utf8,
            Self::TooLarge => CloseCause::TooLarge,
        }
    }
}

/// How a socket, or the peer's side of it, was found to be gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Lost {
    /// The peer ended its side of the stream: nothing more will come, but it may still read.
    Eof,
    /// Reading failed.
    Read,
    /// Writing failed.
    Write,
}

/// Which call an answer belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CallId(pub u64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_input_names_the_connection_that_it_is_about() {
        let conn = ConnId::from_parts(3, 4);
        let about = [
            Input::Upgraded { conn },
            Input::Message { conn, text: String::new() },
            Input::Fragment { conn, bytes: 1 },
            Input::HalfFrame { conn, bytes: 1 },
            Input::Unread { conn, bytes: 1 },
            Input::Ping { conn, payload: Vec::new() },
            Input::Pong { conn },
            Input::PeerClosed { conn, code: None },
            Input::Violation { conn, rule: Violation::Utf8 },
            Input::Lost { conn, cause: Lost::Eof },
            Input::Flushed { conn, bytes: 1 },
            Input::Authenticated { conn, verdict: Err(BadToken::Signature) },
        ];
        assert!(about.iter().all(|input| input.conn() == Some(conn)), "{about:?}");
        assert_eq!([Input::Tick.conn(), Input::Shutdown.conn()], [None, None]);
    }
}
