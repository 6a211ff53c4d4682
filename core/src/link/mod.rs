//! What hub and home say to each other. Both directions are first in, first out.

use crate::api::HistoryQuery;
use crate::error::Error;
use crate::hub::registry::JoinId;
use crate::ids::{ClientId, ClientInfo, ConnId, Name};
use crate::turn::CallId;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

/// From the hub to the home of a room.
#[derive(Clone, Debug)]
pub(crate) enum HomeRequest {
    /// Make this connection a member, from a position on. Answered by [`HomeEvent::Joined`] or [`HomeEvent::JoinRefused`].
    Join { conn: ConnId, join: JoinId, room: Name, member: Arc<ClientInfo>, replay: Replay },
    /// This membership is over.
    Leave { room: Name, client: ClientId, join: JoinId },
    /// The member of this join is known as somebody else from now on.
    Rename { room: Name, join: JoinId, member: Arc<ClientInfo> },
    /// Give this message its place in the log. Answered by [`HomeEvent::Published`].
    Publish { from: Origin, room: Name, draft: Draft, idempotency_key: Option<String> },
    /// Read the log. Answered by [`HomeEvent::History`].
    History { from: Origin, room: Name, query: HistoryQuery },
    /// Tell who is in the room, or only how many. Answered by [`HomeEvent::Presence`] or [`HomeEvent::PresenceStats`].
    Presence { from: Origin, room: Name, only_counts: bool },
    /// Forget what the log retains. Answered by [`HomeEvent::HistoryRemoved`].
    RemoveHistory { from: Origin, room: Name },
}

/// From the home to a hub.
#[derive(Clone, Debug)]
pub(crate) enum HomeEvent {
    /// The connection is a member. What comes after this on the link comes after `position` in the log.
    Joined { conn: ConnId, client: ClientId, join: JoinId, room: Name, position: Position, replay: Replayed },
    /// It is not.
    JoinRefused { conn: ConnId, join: JoinId, error: Error },
    /// A message for everyone in the room.
    Entry { room: Name, entry: Arc<Entry> },
    /// A publication is on its way to the room's members. Its place, where it has one in any log.
    Published { from: Origin, room: Name, position: Option<Position> },
    /// A part of the log.
    History { from: Origin, room: Name, result: Result<Page, Error> },
    /// Who is in the room; `None` where that is more than an answer may hold.
    Presence { from: Origin, members: Option<Vec<Arc<ClientInfo>>> },
    /// How many connections are in the room, and how many users; all the anonymous ones count as one.
    PresenceStats { from: Origin, clients: usize, users: usize },
    /// What the log retained is forgotten.
    HistoryRemoved { from: Origin },
    /// A member came.
    MemberJoined { room: Name, member: Arc<ClientInfo> },
    /// A member went.
    MemberLeft { room: Name, member: Arc<ClientInfo> },
    /// The room has its first member.
    Occupied(Name),
    /// The room lost its last member.
    Vacated(Name),
}

/// What of the log a new member wants to have before anything else.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Replay {
    /// Nothing.
    #[default]
    None,
    /// All that came after this position. Where that cannot be had: to join without it, or not at all.
    Since { epoch: String, offset: u64, or_refuse: bool },
    /// At most this many of the newest.
    Last(usize),
}

impl Replay {
    /// The same, but never a reason not to join.
    pub fn or_without(self) -> Self {
        match self {
            Self::Since { epoch, offset, .. } => Self::Since { epoch, offset, or_refuse: false },
            other => other,
        }
    }
}

/// What of the log a new member gets.
#[derive(Clone, Debug, Default)]
pub(crate) struct Replayed {
    /// Whether all was there that was asked for; `None` where nothing was.
    pub recovered: Option<bool>,
    /// Ascending, up to the position of the join.
    pub entries: Vec<Arc<Entry>>,
}

impl Replayed {
    /// What counts against `reply_bytes`: the messages as they are encoded in a reply, with the commas between them.
    pub fn bytes(&self) -> usize {
        let entries: usize = self.entries.iter().map(|entry| entry.encoded_bytes()).sum();
        entries + self.entries.len().saturating_sub(1)
    }
}

/// What is read of a log.
#[derive(Clone, Debug)]
pub(crate) struct Page {
    /// In the order that was asked for.
    pub entries: Vec<Arc<Entry>>,
    /// The log's top; `None` where there is no log.
    pub position: Option<Position>,
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

impl crate::api::Position {
    /// A position where there may be no log: offset 0 and an empty epoch.
    pub(crate) fn of(position: Option<Position>) -> Self {
        position.map_or_else(|| Self { epoch: String::new(), offset: 0 }, Self::from)
    }
}

/// An epoch as it goes over the wire.
pub(crate) fn epoch_text(epoch: u64) -> String {
    alloc::format!("{epoch:016x}")
}

/// Who waits for an answer of the home.
#[derive(Clone, Debug)]
pub(crate) enum Origin {
    /// A backend.
    Call(Caller),
    /// A command with this id.
    Json { conn: ConnId, id: u64 },
    /// A message of a plain connection; it is answered when it carried an `id`, which is any JSON.
    Plain { conn: ConnId, id: Option<String> },
}

/// Which of a backend's calls waits.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Caller {
    /// A whole call.
    Whole(CallId),
    /// One part of a call that gathers several.
    Part { gather: u64, at: usize },
}

/// A message that has no place in a log yet.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    /// JSON of one line; the publications of a broadcast share it.
    pub data: Arc<str>,
    /// A JSON object of strings.
    pub tags: Option<Arc<str>>,
    /// Who published it, when a client did.
    pub info: Option<Arc<ClientInfo>>,
    /// Deliver it, but keep it out of the log.
    pub skip_history: bool,
    /// Whether other drafts have the very same payload, as those of one broadcast do.
    pub shared: bool,
}

impl Draft {
    /// What counts against `publication_bytes`.
    pub fn payload_bytes(&self) -> usize {
        self.data.len() + self.tags.as_ref().map_or(0, |tags| tags.len())
    }

    /// What counts against `history_bytes`, once for all who share it, and against `history_bytes_per_room`.
    pub fn bytes(&self) -> usize {
        self.payload_bytes() + self.info.as_ref().map_or(0, |info| info.bytes())
    }
}

/// A message with its place in the log; without one, the offset is 0.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub epoch: u64,
    pub offset: u64,
    pub draft: Draft,
}

impl Entry {
    /// How many bytes it takes in a reply, without the comma before the next.
    pub fn encoded_bytes(&self) -> usize {
        crate::protocol::centrifuge::entry_bytes(self)
    }
}
