//! The inputs of a shard: upgrade requests and everything else that can happen to it.

use crate::admission::route::Target;
use crate::api::Command;
use crate::close::CloseCause;
use crate::config::Config;
use crate::engine::EngineEvent;
use crate::ids::ConnId;
use crate::limits::Limit;
use crate::link::LinkMessage;
use crate::node::ShardId;
use crate::token::{BadToken, VerifiedClaims};
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::net::IpAddr;

/// A complete and valid upgrade request for a known path.
#[derive(Clone, Debug)]
pub struct Upgrade {
    /// The public id of the connection: 16 random bytes. It must not be predictable, since it names the connection to
    /// backends and other clients.
    pub client: [u8; 16],
    /// The destination of the request, from [`crate::admission::route::Routes::resolve`].
    pub target: Target,
    /// A token from a header or a subprotocol. One in the query is part of `target`; this one goes first.
    pub token: Option<String>,
    /// The address that the request comes from, for the limits by address.
    pub address: Option<IpAddr>,
}

/// The reason for which an upgrade request is refused, answered by an HTTP status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub enum Refused {
    /// This limit is reached.
    Limit(Limit),
    /// The shard is shutting down.
    ShuttingDown,
}

/// An event that a shard handles.
#[derive(Clone, Debug, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub enum Input {
    /// The last byte of the 101 was written: the WebSocket is open.
    Upgraded {
        /// The connection.
        conn: ConnId,
    },
    /// A message is complete.
    Message {
        /// The connection.
        conn: ConnId,
        /// The message.
        message: WebSocketMessage,
    },
    /// A frame with a part of a message arrived, and more parts follow. The driver keeps the part.
    Fragment {
        /// The connection.
        conn: ConnId,
        /// The bytes of the message in this frame.
        bytes: usize,
    },
    /// A frame has begun to arrive. The input comes once for each frame, and again when more is known of its length.
    HalfFrame {
        /// The connection.
        conn: ConnId,
        /// The bytes that the frame will have, or the longest header while the header is incomplete.
        bytes: usize,
    },
    /// Bytes arrived that are not decoded: while reading is paused, see [`crate::Shard::is_paused`], and while the record that
    /// they are a part of is not whole.
    Unread {
        /// The connection.
        conn: ConnId,
        /// The number of bytes; zero once they are decoded.
        bytes: usize,
    },
    /// The body of an API call is about to be read, after [`crate::Shard::can_take_body`] has returned `true`.
    BodyBegun {
        /// The bytes that the body has, or may have.
        bytes: usize,
    },
    /// An API call whose body was announced is answered or given up.
    BodyEnded {
        /// The bytes that were announced.
        bytes: usize,
    },
    /// A Ping frame arrived.
    Ping {
        /// The connection.
        conn: ConnId,
        /// The payload to echo, at most 125 bytes.
        payload: Vec<u8>,
    },
    /// A Pong frame arrived.
    Pong {
        /// The connection.
        conn: ConnId,
    },
    /// A Close frame arrived. The driver decodes nothing after it and discards what follows.
    PeerClosed {
        /// The connection.
        conn: ConnId,
        /// The code of the frame, if it has one.
        code: Option<u16>,
    },
    /// The client violated RFC 6455 or a limit of its messages. The driver decodes nothing after it and discards what
    /// follows.
    Violation {
        /// The connection.
        conn: ConnId,
        /// The rule that was violated.
        rule: Violation,
    },
    /// The socket, or the client's side of the stream, has ended.
    Lost {
        /// The connection.
        conn: ConnId,
        /// The way in which it ended.
        cause: Lost,
    },
    /// The socket took bytes of those pending; zero bytes when it refused. [`crate::Pending::consumed`] makes it.
    Flushed {
        /// The connection.
        conn: ConnId,
        /// The number of bytes, at most those that were pending.
        bytes: usize,
    },
    /// The transport has the first of the bytes that are pending and cannot give them back: they are encrypted. They are
    /// written before anything else, also where the connection closes, and are not written yet: [`Input::Flushed`] counts
    /// them. [`crate::Pending::committed`] makes it.
    Committed {
        /// The connection.
        conn: ConnId,
        /// The number of bytes, at most those that were pending, at least those that were committed before and not flushed.
        bytes: usize,
    },
    /// The answer to [`crate::Effect::Authenticate`].
    Authenticated {
        /// The connection.
        conn: ConnId,
        /// The claims that the verifier has checked, or the reason for rejecting the token.
        verdict: Result<VerifiedClaims, BadToken>,
    },
    /// A call of a backend, answered by exactly one [`crate::Effect::Reply`].
    Call {
        /// The id that the caller chose; the reply repeats it.
        call: CallId,
        /// The call.
        command: Command,
    },
    /// The configuration changes, for what comes next: connections and memberships stay. What logs retain is brought within it
    /// over the next turns. It has every namespace that the one before has.
    Configured {
        /// The configuration from now on.
        config: Box<Config>,
    },
    /// Time has passed: at [`crate::Shard::poll_timeout`] or at any other moment.
    Tick,
    /// The server shuts down: no connection is accepted any more, and each is closed with 3001, one after
    /// the other within `drain_timeout`.
    Shutdown,
    /// The canary is to publish this number in its room. The first time it becomes a member there. Nothing is published while what
    /// came before waits to be heard.
    Canary {
        /// The number.
        number: u64,
    },
    /// The canary has got all that is pending for it.
    CanaryHeard,
    /// A message of another shard of the node, first in, first out: see [`crate::Effect::Link`].
    // An input log is of a node with one shard. What it skips comes last, since it tells inputs by their numbers.
    #[serde(skip)]
    Link {
        /// The shard that has sent it.
        from: ShardId,
        /// The message.
        message: LinkMessage,
    },
    /// Another shard of the node was lost, and one without connections and rooms takes its place. Nothing that the lost one
    /// had sent comes after it, and nothing that this shard sent to it before arrives.
    #[serde(skip)]
    ShardLost {
        /// The shard that was lost.
        shard: ShardId,
    },
    /// An event of the engine, for a shard whose rooms follow one, first in, first out: see [`crate::Effect::Engine`].
    #[serde(skip)]
    Engine(EngineEvent),
}

impl Input {
    /// Returns the connection that the input belongs to, if any.
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
            | Self::Committed { conn, .. }
            | Self::Authenticated { conn, .. } => Some(conn),
            Self::BodyBegun { .. }
            | Self::BodyEnded { .. }
            | Self::Call { .. }
            | Self::Link { .. }
            | Self::ShardLost { .. }
            | Self::Engine(_)
            | Self::Configured { .. }
            | Self::Canary { .. }
            | Self::CanaryHeard
            | Self::Tick
            | Self::Shutdown => None,
        }
    }
}

/// A complete message of a client.
#[derive(Clone, PartialEq, Eq, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub enum WebSocketMessage {
    /// A text message.
    Text(String),
    /// A binary message. A client whose protocol reads text only is closed with 1003 for one.
    Binary(#[serde(serialize_with = "crate::stored::bytes")] Vec<u8>),
}

impl WebSocketMessage {
    /// Returns the number of bytes of the payload.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Binary(bytes) => bytes.len(),
        }
    }

    /// Returns `true` when the payload has no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the text of a text message.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Binary(_) => None,
        }
    }
}

impl fmt::Debug for WebSocketMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => fmt::Debug::fmt(text, f),
            Self::Binary(bytes) => fmt::Debug::fmt(bytes, f),
        }
    }
}

impl From<String> for WebSocketMessage {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&str> for WebSocketMessage {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

impl From<Vec<u8>> for WebSocketMessage {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Binary(bytes)
    }
}

/// The rule that a client's frames violate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub enum Violation {
    /// A malformed, unmasked or misplaced frame: 1002.
    Protocol,
    /// A text message that is not UTF-8: 1007.
    Utf8,
    /// A message over `message_bytes`: 1009.
    TooLarge,
}

impl Violation {
    /// Returns the cause with which the connection is closed.
    #[must_use]
    pub fn cause(self) -> CloseCause {
        match self {
            Self::Protocol => CloseCause::Protocol,
            Self::Utf8 => CloseCause::Utf8,
            Self::TooLarge => CloseCause::TooLarge,
        }
    }
}

/// The way in which a socket, or the client's side of the stream, ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub enum Lost {
    /// The client ended its side of the stream: it sends nothing more, but may still read.
    Eof,
    /// Reading failed.
    Read,
    /// Writing failed.
    Write,
}

/// The id of a backend's call, which its answer repeats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub struct CallId(pub u64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conn_returns_the_connection_of_an_input() {
        let conn = ConnId::from_parts(3, 4);
        let about = [
            Input::Upgraded { conn },
            Input::Message { conn, message: "".into() },
            Input::Fragment { conn, bytes: 1 },
            Input::HalfFrame { conn, bytes: 1 },
            Input::Unread { conn, bytes: 1 },
            Input::Ping { conn, payload: Vec::new() },
            Input::Pong { conn },
            Input::PeerClosed { conn, code: None },
            Input::Violation { conn, rule: Violation::Utf8 },
            Input::Lost { conn, cause: Lost::Eof },
            Input::Flushed { conn, bytes: 1 },
            Input::Committed { conn, bytes: 1 },
            Input::Authenticated { conn, verdict: Err(BadToken::Signature) },
        ];
        assert!(about.iter().all(|input| input.conn() == Some(conn)), "{about:?}");
        let others = [Input::Tick, Input::Shutdown, Input::CanaryHeard];
        assert!(others.iter().all(|input| input.conn().is_none()));
    }
}
