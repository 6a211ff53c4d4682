//! What a connection waits for: a token to be checked, rooms to be joined, and what is said when that is done.

use crate::ids::{ClientInfo, Name};
use crate::limits::Limits;
use crate::link::JoinId;
use crate::publication::{LogPosition, Replay, Replayed};
use crate::time::Instant;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

/// What the reply to `connect` will say, and what the rooms in it are asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct PendingConnect {
    pub id: u64,
    /// The id of the `auth` of a `plain` client, if it had one: any JSON.
    pub plain_id: Option<String>,
    pub ttl: Option<u64>,
    /// What the client wants replayed of the rooms that it is put into.
    pub replays: Vec<(Name, Replay)>,
    pub subs: Vec<(Name, Subscribed)>,
}

impl PendingConnect {
    /// Adds a room to the reply. What was missed in it is left out when all rooms together have more of that than a reply
    /// may hold: the client is told that the room was not recovered.
    pub fn add(&mut self, room: Name, mut subscribed: Subscribed, limits: &Limits) {
        let all = || self.subs.iter().map(|(_, before)| &before.replay).chain([&subscribed.replay]);
        let messages: usize = all().map(|replay| replay.publications.len()).sum();
        let bytes: usize = all().map(Replayed::bytes).sum();
        if messages > limits.reply_messages || bytes > limits.reply_bytes {
            subscribed = subscribed.without_replay();
        }
        self.subs.push((room, subscribed));
    }
}

/// Who waits for a token to be checked.
#[derive(Clone, Debug)]
pub(crate) enum PendingAuth {
    /// A `connect`, or a `plain` connection that has not said who it is.
    Connect(Box<PendingConnect>),
    /// A later token of a `plain` connection, with the id that it came with.
    Auth { id: Option<String> },
    /// A `refresh` with this id.
    Refresh { id: u64 },
    /// A `subscribe`.
    Subscribe(Box<PendingSubscribe>),
    /// A `sub_refresh` with this id, for this room.
    SubRefresh { id: u64, room: Name },
}

impl PendingAuth {
    /// Whether the token has to be a room's. Otherwise it has to be a connection's.
    pub fn is_for_room(&self) -> bool {
        matches!(self, Self::Subscribe(_) | Self::SubRefresh { .. })
    }
}

/// A `subscribe` that is being carried out.
#[derive(Clone, Debug)]
pub(crate) struct PendingSubscribe {
    pub id: u64,
    pub room: Name,
    pub replay: Replay,
    pub watches: bool,
}

/// A join that the home has not answered.
#[derive(Clone, Debug)]
pub(crate) struct PendingJoin {
    pub join: JoinId,
    pub reason: JoinReason,
    pub grant: Option<Box<Grant>>,
    /// The request to the home, kept until the client has read what it was sent.
    pub deferred: Option<Box<Deferred>>,
}

/// A request to join that is not made yet: the room, and what is to be replayed of it.
#[derive(Clone, Debug)]
pub(crate) struct Deferred {
    pub room: Name,
    pub replay: Replay,
}

/// Why a connection joins a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum JoinReason {
    /// It asked, with a `subscribe` of this id.
    ClientRequest { id: u64 },
    /// It is one of the rooms that the reply to its `connect` speaks of, for these reasons.
    OnConnect(Reasons),
    /// The server puts it there, for these reasons.
    ServerSide(Reasons),
}

impl JoinReason {
    /// Who wants the connection there.
    pub fn reasons(self) -> Reasons {
        match self {
            Self::ClientRequest { .. } => Reasons::CLIENT,
            Self::OnConnect(reasons) | Self::ServerSide(reasons) => reasons,
        }
    }
}

/// What a room's own token says about a connection in it.
#[derive(Clone, Debug)]
pub(crate) struct Grant {
    pub room: Name,
    /// Who it is there.
    pub info: Option<Arc<ClientInfo>>,
    /// When it is taken out.
    pub until: Instant,
    /// Seconds until the token expires, as of the moment it was accepted.
    pub ttl: Option<u64>,
}

/// Who wants a connection to be in a room: one or several.
///
/// Each may take back its own reason, and with the last one the membership ends. The client and the API may also end it
/// for whatever reason it is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reasons(u8);

impl Reasons {
    /// No reason, which no membership has.
    #[cfg(test)]
    pub const NONE: Self = Self(0);
    /// The client has named the room: in a `subscribe` or in its URL.
    pub const CLIENT: Self = Self(1);
    /// The connection's token names it in `channels`.
    pub const TOKEN: Self = Self(2);
    /// A backend has put it there.
    pub const API: Self = Self(4);
    /// It is the personal room of the connection's user.
    pub const PERSONAL: Self = Self(8);

    /// These and those.
    pub fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether there is none: a membership always has one.
    pub fn is_none(self) -> bool {
        self.0 == 0
    }

    /// Whether any of those is among these.
    pub fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// These but for those; `None` when nothing is left.
    pub fn without(self, other: Self) -> Option<Self> {
        Some(Self(self.0 & !other.0)).filter(|rest| rest.0 != 0)
    }
}

/// Where a subscription starts.
#[derive(Clone, Debug)]
pub(crate) struct Subscribed {
    /// Where the client is before it has read what was missed. Each message moves it on, and SDKs that lose the connection
    /// half-way through ask again from where they are.
    pub position: LogPosition,
    /// Whether the room's log retains anything, so that a position means something later.
    pub positioned: bool,
    /// What was missed.
    pub replay: Replayed,
    /// Seconds until the room's token expires.
    pub ttl: Option<u64>,
}

impl Subscribed {
    /// Where somebody is who joins at this position, with what it has missed.
    pub fn new(top: LogPosition, positioned: bool, replay: Replayed, ttl: Option<u64>) -> Self {
        let position = LogPosition { offset: top.offset - replay.publications.len() as u64, ..top };
        Self { position, positioned, replay, ttl }
    }

    /// Leaves out what was missed: the client is told that it was not recovered, and goes on from the top.
    pub fn without_replay(self) -> Self {
        let offset = self.position.offset + self.replay.publications.len() as u64;
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
    fn rooms_of_a_connect_share_a_reply() {
        let mut connect = PendingConnect::default();
        // `{"data":1234,"offset":5}` and so on.
        let limits = Limits { reply_bytes: 24 + 23 + 21, ..Limits::default() };
        for (room, data) in [("a", "1234"), ("b", "123"), ("c", "1"), ("d", "12")] {
            let replay = Replayed { recovered: Some(true), publications: vec![publication(5, data)] };
            let subscribed = Subscribed::new(LogPosition { epoch: 7, offset: 5 }, true, replay, None);
            connect.add(Name::from(room), subscribed, &limits);
        }
        let recovered: Vec<_> =
            connect.subs.iter().map(|(_, sub)| (sub.position.offset, sub.replay.recovered)).collect();
        let (whole, without) = ((4, Some(true)), (5, Some(false)));
        assert_eq!(recovered, [whole, whole, whole, without], "exactly reply_bytes are within it");
    }
}
