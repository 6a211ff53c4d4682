//! What hub and broker say to each other. Both directions are first in, first out.

use crate::code::Error;
use crate::ids::{ClientId, ClientInfo, ConnId, Name};
use crate::registry::JoinId;
use crate::turn::CallId;
use alloc::string::String;
use alloc::sync::Arc;

/// From the hub to the broker of a room.
#[derive(Clone, Debug)]
pub(crate) enum Request {
    /// Make this connection a member, from a position on. Answered by [`News::Joined`] or [`News::JoinRefused`].
    Join { conn: ConnId, client: ClientId, join: JoinId, room: Name },
    /// This membership is over.
    Leave { room: Name, client: ClientId, join: JoinId },
    /// Give this message its place in the log. Answered by [`News::Published`].
    Publish { from: Origin, room: Name, draft: Draft },
}

/// From the broker to a hub.
#[derive(Clone, Debug)]
pub(crate) enum News {
    /// The connection is a member. What comes after this on the link comes after `position` in the log.
    Joined { conn: ConnId, client: ClientId, join: JoinId, room: Name, position: Position },
    /// It is not.
    JoinRefused { conn: ConnId, join: JoinId, error: Error },
    /// A message for everyone in the room.
    Entry { room: Name, entry: Arc<Entry> },
    /// What became of a publication.
    Published { from: Origin, room: Name, result: Result<Position, Error> },
    /// The room has its first member.
    Occupied(Name),
    /// The room lost its last member.
    Vacated(Name),
}

/// A position in a log, with the epoch as the number that it is inside the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    pub epoch: u64,
    pub offset: u64,
}

impl From<Position> for crate::api::Position {
    fn from(position: Position) -> Self {
        Self { epoch: epoch_text(position.epoch), offset: position.offset }
    }
}

/// An epoch as it goes over the wire.
pub(crate) fn epoch_text(epoch: u64) -> String {
    alloc::format!("{epoch:016x}")
}

/// Who waits for the outcome of a publication.
#[derive(Clone, Debug)]
pub(crate) enum Origin {
    /// A backend's publish.
    Call(CallId),
    /// One part of a backend's broadcast.
    Part { call: CallId, at: usize },
    /// A command with this id.
    Json { conn: ConnId, id: u64 },
    /// A message of a plain connection; it is answered when it carried an `id`, which is any JSON.
    Plain { conn: ConnId, id: Option<String> },
}

/// A message that has no place in a log yet.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    /// JSON of one line.
    pub data: String,
    /// A JSON object of strings.
    pub tags: Option<String>,
    /// Who published it, when a client did.
    pub info: Option<Arc<ClientInfo>>,
    /// Deliver it, but keep it out of the log.
    pub skip_history: bool,
}

impl Draft {
    /// What counts against `publication_bytes`.
    pub fn bytes(&self) -> usize {
        self.data.len() + self.tags.as_ref().map_or(0, String::len)
    }
}

/// A message with its place in the log; without one, the offset is 0.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub offset: u64,
    pub draft: Draft,
}
