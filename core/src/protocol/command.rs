//! The commands of clients, whatever their protocol.

use crate::close::CloseCause;
use crate::connection::pending::JoinLeave;
use crate::error::Error;
use crate::input::WebSocketMessage;
use crate::payload::Payload;
use crate::protocol::command_id::CommandId;
use crate::protocol::history::HistoryFields;
use crate::publication::Replay;
use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;

/// A command of a client. Rooms are as the client has named them.
#[derive(Debug)]
pub(crate) enum ClientCommand<'a> {
    /// Answers a ping of the server.
    Pong,
    /// Begins the session, with the connection token, which is empty when there is none, and the replays of rooms that the
    /// server puts the client into.
    Connect { token: String, replays: Vec<(Cow<'a, str>, Replay)> },
    /// Presents a connection token: the first, as `Connect` does, or a later one, as `Refresh` does.
    Auth { token: String },
    /// Renews the session with a later connection token.
    Refresh { token: String },
    /// Joins a room; the room token is empty when there is none.
    Subscribe { channel: Cow<'a, str>, token: String, replay: Replay, join_leave: JoinLeave },
    /// Renews what a room token allows.
    SubRefresh { channel: Cow<'a, str>, token: String },
    /// Leaves a room.
    Unsubscribe { channel: Cow<'a, str> },
    /// Publishes, by default to the only room of the URL.
    Publish { channel: Option<Cow<'a, str>>, data: Payload },
    /// Reads publications of a room.
    History { channel: Cow<'a, str>, query: HistoryFields },
    /// Asks for the newest positions of the rooms that the client is in.
    Positions,
    /// Asks for the members of a room.
    Presence { channel: Cow<'a, str> },
    /// Asks for the number of members of a room.
    PresenceStats { channel: Cow<'a, str> },
    /// Sets the event filter; an empty list lets all events pass.
    Filter { events: Vec<String> },
    /// Asks for an answer, to see whether the server is there.
    Ping,
    /// Sends a message to a backend that the server does not have. It is not answered.
    Send,
    /// Calls a method of a backend that the server does not have.
    Rpc,
    /// A message that the protocol has its server ignore.
    Unknown,
}

impl ClientCommand<'_> {
    /// Returns the room of a command that waits only for those about the same room before it; `None` for one that waits for
    /// all before it.
    pub fn only_room(&self) -> Option<&str> {
        match self {
            // A token is checked first, and what is said behind that waits.
            Self::Subscribe { channel, token, .. } => token.is_empty().then_some(channel),
            Self::Publish { channel, .. } => channel.as_deref(),
            Self::Unsubscribe { channel }
            | Self::History { channel, .. }
            | Self::Presence { channel }
            | Self::PresenceStats { channel } => Some(channel),
            _ => None,
        }
    }

    /// Returns `true` for a command whose answer tells of publications or members.
    pub fn has_long_answer(&self) -> bool {
        match self {
            Self::Subscribe { replay, .. } => *replay != Replay::None,
            Self::History { .. } | Self::Presence { .. } => true,
            _ => false,
        }
    }

    /// Returns `true` for a command that nothing is done for and that is not answered.
    pub fn is_void(&self) -> bool {
        matches!(self, Self::Pong | Self::Send)
    }
}

/// A message of a client, from the command on that is next.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Rest<'a> {
    /// Of a text message.
    Text(&'a str),
    /// Of a binary message.
    Binary(&'a [u8]),
}

impl WebSocketMessage {
    /// Returns the message from this byte on, where a command begins.
    pub(crate) fn rest(&self, at: usize) -> Rest<'_> {
        match self {
            Self::Text(text) => Rest::Text(&text[at..]),
            Self::Binary(bytes) => Rest::Binary(&bytes[at..]),
        }
    }
}

impl Rest<'_> {
    /// Returns `true` when there is surely no command any more. What has nothing more to say has nothing to wait for.
    pub fn is_blank(self) -> bool {
        match self {
            Self::Text(text) => text.trim_ascii().is_empty(),
            Self::Binary(bytes) => bytes.is_empty(),
        }
    }
}

impl From<Rest<'_>> for WebSocketMessage {
    fn from(rest: Rest<'_>) -> Self {
        match rest {
            Rest::Text(text) => Self::Text(text.into()),
            Rest::Binary(bytes) => Self::Binary(bytes.into()),
        }
    }
}

/// A decoded command.
#[derive(Debug)]
pub(crate) struct Incoming<'a> {
    /// The id that the answer repeats.
    pub id: CommandId,
    /// `true` for the command that begins a session, also for one that is rejected.
    pub is_connect: bool,
    /// The command.
    pub command: Result<ClientCommand<'a>, Rejected>,
    /// The bytes of the message up to the next command.
    pub used: usize,
}

/// The reason for which a decoder rejects a command.
#[derive(Debug)]
pub(crate) enum Rejected {
    /// The command is answered with this error.
    Error(Error),
    /// The message is not one of the protocol, which has a message for that.
    Unreadable,
    /// The connection ends.
    Close(CloseCause),
}

impl From<Error> for Rejected {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}
