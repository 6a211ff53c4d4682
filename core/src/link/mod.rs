//! The messages between hubs and homes, and their contract:
//!
//! 1. For each hub and home, both directions are first in, first out.
//! 2. After [`HomeEvent::Joined`] with a position, the next numbered publication of that room is the one after it.
//! 3. Each [`Ticket`] is completed exactly once: by the answer to the request that carries it, or because the shard that had
//!    to answer was lost. Who waits for it longer than `ticket_timeout` is told that there is no answer, and the one that
//!    comes late is dropped.
//! 4. A home does not know who waits for an answer, nor by which protocol.
//! 5. A command for a user goes to the home of the user's personal room, which hands it to each hub, in order with what is
//!    published to the user, and answers it when each of them has carried it out. It goes to all of them since a home that
//!    has begun anew does not know yet who joins again.
//! 6. When a shard is lost, the others are told ([`Input::ShardLost`](crate::Input::ShardLost)). A home then removes the
//!    members of the lost hub; a hub asks the new home anew for joins that were not answered, and tells the members of the
//!    lost home that they may have missed something.
//! 7. Of what was on its way from or to a lost shard nothing arrives, nor anything that is sent to it before its sender was
//!    told of the loss. What the shard sends after its new start arrives after that.
//!
//! A call about all connections of a node is asked of each hub by the one that has the call.
//!
//! On a node with one shard the messages go through the shard's own queues, in the same turn.

pub(crate) mod follower;

use crate::api::{Expiry, HistoryQuery, Page, Position, Reply, Selection};
use crate::close::CloseReason;
use crate::error::Error;
use crate::ids::{ClientId, ClientInfo, ConnId};
use crate::names::{RoomName, UserId};
use crate::node::{Node, ShardId};
use crate::payload::Payload;
use crate::publication::{Draft, LogPage, LogPosition, Publication, Replay, Replayed};
use crate::token::revocation::{Revocation, Revocations};
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
    /// Of a hub for another hub, answered once.
    Call { ticket: Ticket, call: NodeCall },
    /// The answer of a hub to another hub.
    Answer { ticket: Ticket, result: Result<Reply, Error> },
    /// The revocations of a hub, for one that knows of none.
    Revocations(Box<Revocations>),
}

const _: () = {
    const fn is_send<T: Send>() {}
    is_send::<LinkMessage>();
};

/// A request of a hub to the home of a room.
#[derive(Clone, Debug)]
pub(crate) enum HomeRequest {
    /// Makes the connection a member, starting at a position. With `is_return` it was one before, and takes no other's place.
    /// Answered by [`HomeEvent::Joined`] or [`HomeEvent::JoinRefused`].
    Join {
        ticket: Ticket,
        conn: ConnId,
        join: JoinId,
        room: RoomName,
        member: Arc<ClientInfo>,
        replay: Replay,
        is_return: bool,
    },
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
    /// Has a command carried out for the connections of the user whose personal room this is. Answered by
    /// [`HomeEvent::UserCommandDone`].
    UserCommand { ticket: Ticket, room: RoomName, command: Arc<UserCommand> },
    /// Answers [`HomeEvent::UserCommand`]: the hub has carried it out, or could not.
    UserCommandDone { home: ShardId, errand: Ticket, result: Result<(), Error> },
    /// Asks for an answer behind those to all requests for the room so far. Answered by [`HomeEvent::Reached`].
    Reach { ticket: Ticket, room: RoomName },
    /// Asks how many rooms and users this home has. Answered by [`HomeEvent::Counted`].
    Count { ticket: Ticket, home: ShardId },
}

impl HomeRequest {
    /// Returns the shard whose home it is for.
    pub fn home(&self, node: Node) -> ShardId {
        match self {
            Self::Join { room, .. }
            | Self::Leave { room, .. }
            | Self::Rename { room, .. }
            | Self::Publish { room, .. }
            | Self::History { room, .. }
            | Self::Presence { room, .. }
            | Self::RemoveHistory { room, .. }
            | Self::UserCommand { room, .. }
            | Self::Reach { room, .. } => node.home_of(room),
            Self::UserCommandDone { home, .. } | Self::Count { home, .. } => *home,
        }
    }
}

/// A command for the connections of one user.
#[derive(Clone, Debug)]
pub(crate) enum UserCommand {
    /// Closes them, but for those in `whitelist`.
    Disconnect { client: Selection, whitelist: Vec<ClientId>, reason: CloseReason },
    /// Subscribes them to a room, in each hub all of them or none. A hub has done it when the home of the room has answered the
    /// joins that it was asked for.
    Subscribe { client: Selection, room: RoomName, since: Option<Position> },
    /// Takes them out of a room.
    Unsubscribe { client: Selection, room: RoomName },
    /// Sets the time at which they expire.
    Refresh { client: Selection, expiry: Expiry },
}

/// A call that each hub of the node carries out for its own connections.
#[derive(Clone, Debug)]
pub(crate) enum NodeCall {
    /// Sends a payload to one connection.
    Send { client: ClientId, data: Payload },
    /// Sends a payload to every authenticated connection.
    PublishAll { data: Payload },
    /// Closes one connection of any user, or of none.
    Disconnect { client: ClientId, reason: CloseReason },
    /// Lists the rooms that have members.
    Channels { pattern: Option<String>, page: Page<String> },
    /// Lists the connections.
    Connections { user: Option<UserId>, channel: Option<RoomName>, page: Page<ClientId> },
    /// Counts.
    Info,
    /// Tells the latest end of the tokens with this id that connections have shown.
    FindEnd { id: Arc<str> },
    /// Refuses tokens from now on, and ends what was opened with them.
    Revoke(Revocation),
}

/// An event that the home tells a hub.
#[derive(Clone, Debug)]
pub(crate) enum HomeEvent {
    /// The connection became a member. All later publications of the room on the link come after `position` in its log.
    Joined {
        ticket: Ticket,
        conn: ConnId,
        client: ClientId,
        join: JoinId,
        room: RoomName,
        position: LogPosition,
        replay: Replayed,
    },
    /// The connection did not become a member.
    JoinRefused { ticket: Ticket, error: Error },
    /// The member of this join of a personal room is none any more: a newer connection of the user has taken its place.
    Displaced { room: RoomName, client: ClientId, join: JoinId },
    /// A connection was refused, since the user of this personal room has as many as there may be.
    UserFull(RoomName),
    /// A publication to be delivered to all members of the room.
    Publication { room: RoomName, publication: Arc<Publication> },
    /// The log of the room goes on at this position, and its members may have missed something.
    Restarted { room: RoomName, position: LogPosition },
    /// A publication, the page of a log or a removal was not done, or is not known to be.
    Failed { ticket: Ticket, error: Error },
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
    /// A command for the user whose personal room this is, to be carried out for each connection of the user in the hub.
    UserCommand { room: RoomName, command: Arc<UserCommand>, errand: Ticket },
    /// Each hub that has a connection of the user has carried the command out, or one of them could not.
    UserCommandDone { ticket: Ticket, result: Result<(), Error> },
    /// The home has answered what it was asked before.
    Reached { ticket: Ticket },
    /// The number of rooms that have members, and of users that have connections.
    Counted { ticket: Ticket, rooms: usize, users: usize },
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub(crate) struct JoinId(pub u64);
