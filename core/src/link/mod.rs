//! What hub and home say to each other. Both directions are first in, first out.

use crate::api::HistoryQuery;
use crate::error::Error;
use crate::ids::{ClientId, ClientInfo, ConnId, Name};
use crate::input::CallId;
use crate::publication::{Draft, LogPosition, Page, Publication, Replay, Replayed};
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
    Joined { conn: ConnId, client: ClientId, join: JoinId, room: Name, position: LogPosition, replay: Replayed },
    /// It is not.
    JoinRefused { conn: ConnId, join: JoinId, error: Error },
    /// A message for everyone in the room.
    Publication { room: Name, publication: Arc<Publication> },
    /// A publication is on its way to the room's members. Its place, where it has one in any log.
    Published { from: Origin, room: Name, position: Option<LogPosition> },
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

/// Which attempt to join is meant: an answer to one that was given up names a number that nobody waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct JoinId(pub u64);
