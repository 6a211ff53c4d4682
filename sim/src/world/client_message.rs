//! Messages of clients, by their meaning.

use crate::world::history_request::{LogQuery, RecoverFrom};
use crate::world::payload::Data;
use parlor_core::Limit;
use serde_json::Value;
use std::sync::Arc;

/// A room as a client names it.
#[derive(Clone, Debug)]
pub enum NamedRoom {
    /// One of the scenario's.
    Room(usize),
    /// A name that is refused with this error, and the limit that is in the way.
    Refused(u16, Option<Limit>),
}

/// One message of a client, or one of several in a text.
#[derive(Clone, Debug)]
pub enum ClientMessage {
    /// `connect`, or `auth` in plain, with this token.
    Connect(Option<String>),
    /// Joining a room.
    Subscribe(u64, NamedRoom, SubscribeOptions),
    /// `connect` with this token, and what is wanted of the rooms that it puts the connection in.
    Return(String, Vec<(usize, RecoverFrom)>),
    /// Reading a room's log.
    History(u64, usize, LogQuery),
    /// A command of json whose name and parameters say it all.
    Command(u64, &'static str, Value),
    /// Where its rooms are, in plain.
    Position,
    /// A command without an id.
    NoId,
    /// Publishing to a room, or nothing to it; in plain the id is optional.
    Publish(Option<u64>, usize, Option<Arc<Data>>),
    /// The protocol's ping.
    Ping,
    /// The protocol's pong.
    Pong,
    /// A message that is not answered.
    Send,
    /// A command that is refused with this error; in plain an unknown type.
    Unknown(u64, u16),
    /// Which events are wanted.
    Select(Vec<&'static str>),
    /// Events that are refused because of this limit.
    SelectTooMuch(Limit),
    /// Text that is not of the protocol: json closes for it.
    Nonsense,
}

/// Options of a `subscribe`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SubscribeOptions {
    /// The position to recover from.
    pub want: RecoverFrom,
    /// Whether it is told who comes and goes.
    pub watch: bool,
    /// A token for the room.
    pub token: Option<String>,
}

impl SubscribeOptions {
    /// To be told who comes and goes.
    #[must_use]
    pub fn watching() -> Self {
        Self { watch: true, ..Self::default() }
    }
}

impl ClientMessage {
    /// Whether it says who a client is.
    #[must_use]
    pub fn is_connect(&self) -> bool {
        matches!(self, Self::Connect(_) | Self::Return(..))
    }

    /// The id that it is answered with; 0 for what has none.
    #[must_use]
    pub fn id(&self) -> u64 {
        match self {
            Self::Connect(_) | Self::Return(..) => CONNECT,
            Self::Ping => PING,
            Self::Publish(id, ..) => id.unwrap_or_default(),
            Self::Subscribe(id, ..) | Self::Unknown(id, _) | Self::History(id, ..) | Self::Command(id, ..) => *id,
            Self::Pong | Self::Send | Self::Nonsense | Self::NoId | Self::Position => 0,
            Self::Select(_) | Self::SelectTooMuch(_) => 0,
        }
    }

    /// The id that it is answered with in plain, whatever the answer.
    #[must_use]
    pub fn plain_id(&self) -> Option<u64> {
        match self {
            Self::Publish(id, ..) => *id,
            _ => None,
        }
    }
}

/// A text and its meaning.
pub type Speech = (String, Vec<ClientMessage>);

pub(super) const CONNECT: u64 = 1;

pub(super) const PING: u64 = 2;
