//! The messages between hubs and homes, and their contract:
//!
//! 1. For each hub and home, both directions are first in, first out.
//! 2. After [`HomeEvent::Joined`] with a position, the next numbered publication of that room is the one after it.
//! 3. Each [`Ticket`] is completed exactly once: by the answer to the request that carries it, or because its home was lost.
//! 4. A home does not know who waits for an answer, nor by which protocol.
//! 5. When a shard is lost, the others are told ([`Input::ShardLost`](crate::Input::ShardLost)). A home then removes the
//!    members of the lost hub; a hub asks the new home anew for joins that were not answered, and tells the members of the
//!    lost home that they may have missed something.
//! 6. Of what was on its way from or to a lost shard nothing arrives, nor anything that is sent to it before its sender was
//!    told of the loss. What the shard sends after its new start arrives after that.
//!
//! On a node with one shard the messages go through the shard's own queues, in the same turn.

pub(crate) mod follower;

use crate::api::HistoryQuery;
use crate::error::Error;
use crate::ids::{ClientId, ClientInfo, ConnId};
use crate::names::RoomName;
use crate::publication::{Draft, LogPage, LogPosition, Publication, Replay, Replayed};
use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

/// A message of one shard of a node for another, to be carried there as [`Input::Link`](crate::Input::Link).
#[derive(Clone, Debug)]
pub struct LinkMessage(pub(crate) Box<LinkContent>);

/// The content of a message between two shards.
#[derive(Clone, Debug)]
pub(crate) enum LinkContent {
    /// Of a hub for a home.
    Request(HomeRequest),
    /// Of a home for a hub.
    Event(HomeEvent),
}

const _: () = {
    const fn is_send<T: Send>() {}
    is_send::<LinkMessage>();
};

/// A request of a hub to the home of a room.
#[derive(Clone, Debug)]
pub(crate) enum HomeRequest {
    /// Makes the connection a member, starting at a position. Answered by [`HomeEvent::Joined`] or
    /// [`HomeEvent::JoinRefused`].
    Join { conn: ConnId, join: JoinId, room: RoomName, member: Arc<ClientInfo>, replay: Replay },
    /// Ends a membership. Not answered.
    Leave { room: RoomName, client: ClientId, join: JoinId, reason: LeaveReason },
    /// Replaces the user and the info of the member of this join. Not answered.
    Rename { room: RoomName, join: JoinId, member: Arc<ClientInfo> },
    /// Publishes a draft, at most once for each idempotency key. Answered by [`HomeEvent::Published`].
    Publish { ticket: Ticket, room: RoomName, draft: Draft, idempotency_key: Option<String> },
    /// Reads the log. Answered by [`HomeEvent::History`].
    History { ticket: Ticket, room: RoomName, query: HistoryQuery },
    /// Reads the members of the room, or only their number. Answered by [`HomeEvent::Presence`] or
    /// [`HomeEvent::PresenceStats`].
    Presence { ticket: Ticket, room: RoomName, query: PresenceQuery },
    /// Drops the retained publications. Answered by [`HomeEvent::HistoryRemoved`].
    RemoveHistory { ticket: Ticket, room: RoomName },
}

impl HomeRequest {
    /// Returns the room that it is about, whose home it is for.
    pub fn room(&self) -> &RoomName {
        match self {
            Self::Join { room, .. }
            | Self::Leave { room, .. }
            | Self::Rename { room, .. }
            | Self::Publish { room, .. }
            | Self::History { room, .. }
            | Self::Presence { room, .. }
            | Self::RemoveHistory { room, .. } => room,
        }
    }
}

/// An event that the home tells a hub.
#[derive(Clone, Debug)]
pub(crate) enum HomeEvent {
    /// The connection became a member. All later publications of the room on the link come after `position` in its log.
    Joined { conn: ConnId, client: ClientId, join: JoinId, room: RoomName, position: LogPosition, replay: Replayed },
    /// The connection did not become a member.
    JoinRefused { conn: ConnId, join: JoinId, error: Error },
    /// A publication to be delivered to all members of the room.
    Publication { room: RoomName, publication: Arc<Publication> },
    /// A publication was delivered to the link, before this event. `position` is `None` when no log numbers it.
    Published { ticket: Ticket, position: Option<LogPosition> },
    /// A page of the log.
    History { ticket: Ticket, result: Result<LogPage, Error> },
    /// The members of the room; `None` when their list exceeds the bound of the answer.
    Presence { ticket: Ticket, members: Option<Vec<Arc<ClientInfo>>> },
    /// The number of connections in the room and the number of their users; all anonymous connections count as one
    /// user.
    PresenceStats { ticket: Ticket, clients: usize, users: usize },
    /// The retained publications were dropped.
    HistoryRemoved { ticket: Ticket },
    /// A member joined the room.
    MemberJoined { room: RoomName, member: Arc<ClientInfo> },
    /// A member left the room.
    MemberLeft { room: RoomName, member: Arc<ClientInfo> },
    /// The room got its first member, and nobody was absent from it.
    Occupied(RoomName),
    /// The room has no member any more, and nobody is absent from it.
    Vacated(RoomName),
}

/// Identifies a request among those whose answer has not come. It means something only to the hub that issued it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ticket {
    /// The place among the hub's open requests.
    pub at: u32,
    /// The number of the request, which tells those at one place apart.
    pub serial: u32,
}

/// The way in which a membership ends, which says whether its user may be absent from the room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LeaveReason {
    /// The connection goes on, or nobody can come back: the user has left.
    Left,
    /// The connection has ended: its user is absent, for the room's `presence_grace`.
    Ended,
    /// The connection has ended before the join was confirmed: its user is absent only if it was so before the join.
    EndedUnconfirmed,
}

/// A question about the members of a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PresenceQuery {
    /// All of them, unless their list surely has more bytes than this.
    Members { most_bytes: usize },
    /// How many they are. O(1).
    Counts,
}

/// The number of an attempt to join. The number of an attempt that was given up matches no later one, so its late
/// answer is recognised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct JoinId(pub u64);
