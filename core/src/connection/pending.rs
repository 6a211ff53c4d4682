//! The operations that a connection waits for: checks of tokens and joins of rooms, with the replies that depend on
//! them.

use crate::connection::frame::Frame;
use crate::ids::ClientInfo;
use crate::limits::{Limit, Limits};
use crate::link::{JoinId, Ticket};
use crate::names::RoomName;
use crate::policy::capabilities::Rights;
use crate::protocol::CommandId;
use crate::publication::{LogPosition, Replay, Replayed};
use crate::time::Deadline;
use crate::token::revocation::AcceptedToken;
use crate::token::validate::Identity;
use crate::wire::shapes::replayed_bytes;
use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

/// The answers of homes that the commands of a connection wait for, in the order of the commands: places in the hub's tickets,
/// of which each names the next.
#[derive(Clone, Copy, Debug, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub(crate) struct CommandsInFlight {
    pub count: u32,
    pub first: u32,
    pub last: u32,
}

impl CommandsInFlight {
    /// Stands for no place.
    pub const NOWHERE: u32 = u32::MAX;
    /// No command waits.
    pub const NOTHING: Self = Self { count: 0, first: Self::NOWHERE, last: Self::NOWHERE };
}

/// A `connect` that is being carried out, with the contents of its reply.
#[derive(Clone, Debug, Default, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub(crate) struct PendingConnect {
    /// The id of the command.
    pub id: CommandId,
    /// Seconds until the token expires, as of the moment it was accepted; `None` when it does not expire.
    pub ttl: Option<u64>,
    /// The replays that the client asks for in rooms that the server subscribes it to.
    pub replays: Vec<(RoomName, Replay)>,
    /// The rooms joined so far.
    pub subs: Vec<(RoomName, Subscribed)>,
    /// The frames that follow the reply: a client can make nothing of them before it names their rooms.
    pub held: Vec<Frame>,
    held_bytes: usize,
}

impl PendingConnect {
    /// Creates one for a command with this id.
    pub fn new(id: CommandId) -> Self {
        Self { id, ..Self::default() }
    }

    /// Adds a room to the reply. Its replay is left out, and the client told that the room was not recovered, when the
    /// replays of all rooms would exceed `reply_messages` or `reply_bytes`. Returns what was added. O(n) in the publications of
    /// the reply.
    pub fn add(&mut self, room: RoomName, mut subscribed: Subscribed, limits: &Limits) -> &(RoomName, Subscribed) {
        let all = || self.subs.iter().map(|(_, before)| &before.replay).chain([&subscribed.replay]);
        let messages: usize = all().map(|replay| replay.publications.len()).sum();
        let bytes: usize = all().map(replayed_bytes).sum();
        if messages > limits.reply_messages || bytes > limits.reply_bytes {
            subscribed = subscribed.without_replay();
        }
        self.subs.push((room, subscribed));
        self.subs.last().expect("it was pushed")
    }

    /// Returns the replay that the client asks for in a room. O(n) in the rooms that it names.
    pub fn replay_of(&self, room: &RoomName) -> Replay {
        let wanted = self.replays.iter().find(|(name, _)| name == room);
        wanted.map_or(Replay::None, |(_, replay)| replay.clone())
    }

    /// Keeps a frame until the reply was sent.
    pub fn hold(&mut self, frame: Frame) {
        self.held_bytes += frame.len();
        self.held.push(frame);
    }

    /// Returns the limit of an outbox that the kept frames exceed, which have no socket to refuse them yet.
    pub fn held_over(&self, limits: &Limits) -> Option<Limit> {
        if self.held_bytes > limits.outbox_bytes {
            Some(Limit::OutboxBytes)
        } else if self.held.len() > limits.outbox_frames {
            Some(Limit::OutboxFrames)
        } else {
            None
        }
    }
}

/// The operation that waits for a token to be checked.
#[derive(Clone, Debug, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub(crate) enum PendingAuth {
    /// A first connection token.
    Connect(Box<PendingConnect>),
    /// A later connection token, presented by a command with this id.
    Refresh { id: CommandId },
    /// A `subscribe` with a room token.
    Subscribe(Box<PendingSubscribe>),
    /// A `sub_refresh` with this command id, for this room.
    SubRefresh { id: CommandId, room: Box<RoomName> },
}

impl PendingAuth {
    /// Returns `true` when a room token is needed, `false` when a connection token is.
    pub fn is_for_room(&self) -> bool {
        matches!(self, Self::Subscribe(_) | Self::SubRefresh { .. })
    }
}

/// A `subscribe` that is being carried out.
#[derive(Clone, Debug, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub(crate) struct PendingSubscribe {
    /// The id of the command.
    pub id: CommandId,
    pub room: RoomName,
    /// The publications to replay.
    pub replay: Replay,
    /// Whether the client asks for the presence events of the room.
    pub join_leave: JoinLeave,
}

/// Whether a member is told of the presence events of its room, which the protocol calls `join_leave`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub(crate) enum JoinLeave {
    /// It is told who joins and leaves.
    Told,
    /// It is not.
    Untold,
}

/// A join that the home has not answered.
#[derive(Clone, Debug, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub(crate) struct PendingJoin {
    /// The number of the attempt.
    pub join: JoinId,
    pub room: RoomName,
    pub reason: JoinReason,
    /// The publications to replay.
    pub replay: Replay,
    /// The grant from the room's token, if it was joined with one.
    pub grant: Option<Box<Grant>>,
    /// The ticket of the home's answer; `None` while it is not asked, until the client has read the frames it was sent.
    pub asked: Option<Ticket>,
}

/// The reason for which a connection joins a room.
#[derive(Clone, Debug, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub(crate) enum JoinReason {
    /// The connection becomes a user's with this membership, which is that of the user's personal room.
    User(Box<PendingUser>),
    /// A `subscribe` command with this id.
    ClientRequest { id: CommandId },
    /// The room is listed in the reply to `connect`, for these reasons.
    OnConnect(Reasons),
    /// The server subscribes the connection, for these reasons.
    ServerSide(Reasons),
    /// The connection was a member for these reasons, and may have missed publications.
    Gap(Reasons),
}

impl JoinReason {
    /// Returns `true` for a command of the client, which is answered.
    pub fn is_command(&self) -> bool {
        matches!(self, Self::ClientRequest { .. })
    }

    /// Returns the reasons of the membership that follows.
    pub fn reasons(&self) -> Reasons {
        match self {
            Self::User(_) => Reasons::PERSONAL,
            Self::ClientRequest { .. } => Reasons::CLIENT,
            Self::OnConnect(reasons) | Self::ServerSide(reasons) | Self::Gap(reasons) => *reasons,
        }
    }
}

/// A connection that becomes a user's once the home of the user's personal room has made it a member.
#[derive(Clone, Debug, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub(crate) struct PendingUser {
    /// The content of the token.
    pub identity: Identity,
    /// The user and the info that others may see.
    pub info: Arc<ClientInfo>,
    pub next: NextOfUser,
}

/// The operation that goes on once a connection is a user's.
#[derive(Clone, Debug, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub(crate) enum NextOfUser {
    /// Its session begins.
    Session(Box<PendingConnect>),
    /// The token counts that a command with this id has brought. It opens these rooms of the connection's URL.
    Renewal { id: CommandId, opened: Vec<(RoomName, Replay)> },
}

/// The rights of a connection in one room, as the room's token grants them.
#[derive(Clone, Debug, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub(crate) struct Grant {
    pub room: RoomName,
    /// The user and the info in this room, when they differ from the connection's.
    pub info: Option<Arc<ClientInfo>>,
    /// The time at which the membership ends unless the grant is renewed.
    pub until: Deadline,
    /// Seconds until the token expires, as of the moment it was accepted; `None` when it does not expire.
    pub ttl: Option<u64>,
    /// The rights: to subscribe, and what the token's `allow` lists.
    pub rights: Rights,
    /// The room's token, unless it cannot be revoked.
    pub token: Option<Box<AcceptedToken>>,
}

/// The set of reasons for which a connection is a member of a room.
///
/// Each reason can be withdrawn by its origin, and the membership ends with the last one. An `unsubscribe` of the
/// client or of the API ends the membership whatever its reasons are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub(crate) struct Reasons(u8);

impl Reasons {
    /// The empty set, which no membership has.
    pub const NONE: Self = Self(0);
    /// The client named the room in a `subscribe` or in its URL.
    pub const CLIENT: Self = Self(1);
    /// The connection's token lists the room in `channels`.
    pub const TOKEN: Self = Self(2);
    /// A backend subscribed the connection.
    pub const API: Self = Self(4);
    /// The room is the personal room of the connection's user.
    pub const PERSONAL: Self = Self(8);

    /// Returns the union of both sets.
    pub fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Returns `true` for the empty set, which no membership has.
    pub fn is_none(self) -> bool {
        self.0 == 0
    }

    /// Returns the names of the reasons.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        let named =
            [(Self::CLIENT, "client"), (Self::TOKEN, "token"), (Self::API, "api"), (Self::PERSONAL, "personal")];
        named.into_iter().filter(move |(reason, _)| self.intersects(*reason)).map(|(_, name)| name)
    }

    /// Returns `true` when the sets have a reason in common.
    pub fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Returns the reasons of `self` that are not in `other`; `None` when none is left.
    pub fn difference(self, other: Self) -> Option<Self> {
        Some(Self(self.0 & !other.0)).filter(|rest| rest.0 != 0)
    }
}

/// The start of a subscription, as the client is told.
#[derive(Clone, Debug, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub(crate) struct Subscribed {
    /// The position before the replayed publications. The client advances it with each of them, so an SDK that loses the
    /// connection half-way through recovers from the right position.
    pub position: LogPosition,
    /// `true` when the room's log retains publications, so that a position is worth keeping.
    pub positioned: bool,
    /// The publications that the client missed.
    pub replay: Replayed,
    /// Seconds until the room's token expires; `None` when it does not expire.
    pub ttl: Option<u64>,
}

impl Subscribed {
    /// Returns the start of a subscription to a log whose last publication has the position `top`, with the replay that
    /// leads up to it.
    pub fn new(top: LogPosition, positioned: bool, replay: Replayed, ttl: Option<u64>) -> Self {
        let before = replay.publications.first().map_or(top.offset, |first| first.prev);
        let position = LogPosition { offset: before, ..top };
        Self { position, positioned, replay, ttl }
    }

    /// Removes the replay: the client is told that the room was not recovered, and continues from the top position.
    pub fn without_replay(self) -> Self {
        let offset = self.replay.publications.last().map_or(self.position.offset, |last| last.offset);
        let replay = Replayed { recovered: Some(false), publications: Vec::new() };
        Self { position: LogPosition { offset, ..self.position }, replay, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::publication;
    use alloc::vec;

    #[test]
    fn replays_of_a_connect_share_the_bound_of_a_reply() {
        let mut connect = PendingConnect::default();
        // `{"data":1234,"offset":5}` and so on.
        let limits = Limits { reply_bytes: 24 + 23 + 21, ..Limits::default() };
        for (room, data) in [("a", "1234"), ("b", "123"), ("c", "1"), ("d", "12")] {
            let replay = Replayed { recovered: Some(true), publications: vec![publication(5, data)] };
            let subscribed = Subscribed::new(LogPosition { epoch: 7, offset: 5 }, true, replay, None);
            connect.add(RoomName::from(room), subscribed, &limits);
        }
        let recovered: Vec<_> =
            connect.subs.iter().map(|(_, sub)| (sub.position.offset, sub.replay.recovered)).collect();
        let (whole, without) = ((4, Some(true)), (5, Some(false)));
        assert_eq!(recovered, [whole, whole, whole, without], "exactly reply_bytes are within it");
    }
}
