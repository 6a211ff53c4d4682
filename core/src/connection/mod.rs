//! The life of one connection: three phases, each with what can be done in it and nothing else.
//!
//! ```text
//! (vacant) ─accept→ Handshaking ─upgraded→ Open ─begin_close / answer_close / follow→ Closing ─→ (vacant, generation + 1)
//!                        └──────── lost, timeout, violation, in any phase ─────────┘
//! ```
//! A transition consumes the phase that it leaves, and only [`Open`] owns something that can enqueue: a send on a
//! connection that is closing does not compile.

pub(crate) mod frame;
pub(crate) mod held;
pub(crate) mod inbox;
pub(crate) mod outbox;

use crate::admission::address::Address;
use crate::admission::route::Plain;
use crate::close::{CloseCause, CloseReason, NO_STATUS};
use crate::connection::frame::Frame;
use crate::connection::held::Held;
use crate::connection::inbox::Inbound;
use crate::connection::outbox::{Outbox, Queue, Sealed};
use crate::hub::registry::{JoinId, Reasons};
use crate::ids::{ClientId, ClientInfo, ConnId, Name};
use crate::limits::Limits;
use crate::limits::gcra::Gcra;
use crate::link::{Replay, Replayed};
use crate::protocol::centrifuge::Subscribed;
use crate::time::Instant;
use crate::turn::End;
use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

/// One occupied slot.
#[derive(Clone, Debug)]
pub(crate) struct Conn {
    pub id: ConnId,
    pub client: ClientId,
    /// Where it comes from, while something is limited by that.
    pub address: Option<Address>,
    pub protocol: Protocol,
    /// Absent only while a transition is under way.
    pub phase: Option<Phase>,
    pub deadlines: Deadlines,
}

/// The protocol of a connection, with what its URL said.
#[derive(Clone, Debug)]
pub(crate) enum Protocol {
    Json { frame_pings: bool },
    Plain(Box<Plain>),
}

/// Where in its life a connection is.
#[derive(Clone, Debug)]
pub(crate) enum Phase {
    /// The 101 is being written.
    Handshaking(Handshaking),
    /// Messages go both ways.
    Open(Open),
    /// Only what is queued goes out.
    Closing(Closing),
}

/// The 101 is being written.
#[derive(Clone, Debug)]
pub(crate) struct Handshaking {
    /// A token that came with the upgrade request.
    pub token: Option<String>,
}

/// Messages go both ways.
#[derive(Clone, Debug)]
pub(crate) struct Open {
    pub outbox: Outbox,
    pub stage: Stage,
    /// Who it is, as others may know it; anonymous until it has said otherwise.
    pub info: Arc<ClientInfo>,
    /// The events that it wants to receive; empty for all.
    pub events: Vec<String>,
    /// Joins that the home has not answered, or has not been asked for.
    pub joins: Vec<PendingJoin>,
    /// A token that is being checked.
    pub pending_auth: Option<PendingAuth>,
    /// Input of its client that is not carried out yet.
    pub inbound: Inbound,
    /// What is special about some of its rooms.
    pub grants: Vec<Grant>,
    /// The rooms that its token names in `channels`, whether it is still in them or not.
    pub granted: Vec<Name>,
    pub rates: RateLimits,
}

/// How far a connection is in saying who it is.
#[derive(Clone, Debug)]
pub(crate) enum Stage {
    /// It has not said. A token that came with the upgrade request of a `json` client counts where its `connect` brings
    /// none. What it has sent behind a `connect` that was answered with an error is passed over, until it connects.
    Unauthenticated { token: Option<Box<str>>, refused: bool },
    /// It is being put into the rooms that the reply to its `connect` speaks of.
    Joining(Box<PendingConnect>),
    /// It may do what it may.
    Ready,
}

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
        let messages: usize = all().map(|replay| replay.entries.len()).sum();
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

/// How much a client has asked for lately.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RateLimits {
    pub frames: Gcra,
    pub commands: Gcra,
    pub publishes: Gcra,
    pub joins: Gcra,
    /// Since when `refusals` are counted.
    pub counting_since: Instant,
    pub refusals: usize,
}

/// Only what is queued goes out, with one Close frame as the last.
#[derive(Clone, Debug)]
pub(crate) struct Closing {
    pub sealed: Sealed,
    pub cause: CloseCause,
    /// What the Close frame says.
    pub reason: CloseReason,
    /// How far the peer is with its side.
    pub peer: PeerSide,
}

/// How far a peer is with its side of a connection that ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PeerSide {
    /// It may still send its Close frame.
    Open,
    /// Its Close frame came.
    Closed,
    /// Its stream has ended.
    Ended,
}

/// What sealing an outbox did.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SealOutcome {
    /// Whole frames that will not be written.
    pub dropped: u64,
    /// Whether a Close frame was queued.
    pub close: bool,
    /// Whether nothing waited before, so that the socket's owner has to be woken for the Close frame.
    pub was_empty: bool,
    /// What waited before, in bytes.
    pub waited: usize,
    /// Whether the connection was ready.
    pub was_ready: bool,
    /// Whether its client was not listened to.
    pub was_held: bool,
    /// Bytes that were kept of what its client had sent.
    pub inbound: usize,
}

impl Handshaking {
    /// The last byte of the 101 is written.
    pub fn upgraded(self, info: Arc<ClientInfo>) -> Open {
        Open {
            outbox: Outbox::default(),
            stage: Stage::Unauthenticated { token: None, refused: false },
            info,
            events: Vec::new(),
            joins: Vec::new(),
            inbound: Inbound::default(),
            pending_auth: None,
            grants: Vec::new(),
            granted: Vec::new(),
            rates: RateLimits::default(),
        }
    }
}

impl Open {
    /// The server ends it.
    pub fn begin_close(
        self,
        cause: CloseCause,
        reason: CloseReason,
        limits: &Limits,
        held: &mut Held,
    ) -> (Closing, SealOutcome) {
        let close = Frame::close(Some(&reason));
        let (sealed, outcome) = self.seal(cause, close, limits, held);
        (Closing { sealed, cause, reason, peer: PeerSide::Open }, outcome)
    }

    /// The peer ends it: its Close frame is answered with one of the same code (RFC 6455 section 5.5.1).
    pub fn answer_close(self, code: Option<u16>, limits: &Limits, held: &mut Held) -> (Closing, SealOutcome) {
        let named = |code| CloseReason { code, reason: Cow::Borrowed("") };
        let close = Frame::close(code.map(named).as_ref());
        let cause = CloseCause::PeerClose;
        let (sealed, outcome) = self.seal(cause, close, limits, held);
        let reason = named(code.unwrap_or(NO_STATUS));
        (Closing { sealed, cause, reason, peer: PeerSide::Closed }, outcome)
    }

    /// The peer ended its stream without a Close frame, which is not answered with one: only a half-written frame is
    /// finished.
    pub fn follow(self, limits: &Limits, held: &mut Held) -> (Closing, SealOutcome) {
        let cause = CloseCause::PeerEof;
        let waited = self.outbox.queue().bytes();
        let (was_ready, was_held, inbound) = (self.is_ready(), self.is_held(limits), self.inbound.bytes());
        let (sealed, dropped) = self.outbox.cut(held);
        let closing = Closing { sealed, cause, reason: cause.reason(), peer: PeerSide::Ended };
        (closing, SealOutcome { dropped, close: false, was_empty: false, waited, was_ready, was_held, inbound })
    }

    fn seal(self, cause: CloseCause, close: Frame, limits: &Limits, held: &mut Held) -> (Sealed, SealOutcome) {
        let waited = self.outbox.queue().bytes();
        let (was_ready, was_held, inbound) = (self.is_ready(), self.is_held(limits), self.inbound.bytes());
        let (sealed, dropped, was_empty) = self.outbox.seal(cause.drain(), close, held);
        (sealed, SealOutcome { dropped, close: true, was_empty, waited, was_ready, was_held, inbound })
    }

    /// Who it is in a room.
    pub fn info_in(&self, room: &str) -> &Arc<ClientInfo> {
        let own = self.grants.iter().find(|grant| grant.room.as_str() == room).and_then(|grant| grant.info.as_ref());
        own.unwrap_or(&self.info)
    }

    /// Whether what it says has to wait for what it has said, and for the rooms that it is being put into.
    pub fn is_busy(&self) -> bool {
        self.pending_auth.is_some() || !self.joins.is_empty()
    }

    /// Whether there is a join that the home has not been asked for.
    pub fn has_deferred(&self) -> bool {
        self.joins.iter().any(|pending| pending.deferred.is_some())
    }

    /// Takes the first join that the home has not been asked for.
    pub fn take_deferred(&mut self) -> Option<(JoinId, JoinReason, Deferred)> {
        let at = self.joins.iter().position(|pending| pending.deferred.is_some())?;
        let PendingJoin { join, reason, deferred, .. } = self.joins.remove(at);
        Some((join, reason, *deferred?))
    }

    /// Whether its client is not to be listened to for now: it has said something that waits, or is to read first.
    pub fn is_held(&self, limits: &Limits) -> bool {
        self.inbound.has_waiting() || self.outbox.is_high(limits)
    }

    /// Whether its client is not listened to until it has read something.
    pub fn is_to_read(&self, limits: &Limits) -> bool {
        self.outbox.is_high(limits) || self.inbound.has_waiting() && self.pending_auth.is_none()
    }

    /// Whether it has said who it is.
    pub fn is_ready(&self) -> bool {
        matches!(self.stage, Stage::Ready)
    }
}

impl Closing {
    /// Takes note that the peer is further with its side: nothing but our Close frame is worth sending any more. Returns
    /// how many frames were dropped; none where that is nothing new.
    pub fn peer_is(&mut self, side: PeerSide, held: &mut Held) -> Option<u64> {
        let is_new = match self.peer {
            PeerSide::Open => true,
            PeerSide::Closed => side == PeerSide::Ended,
            PeerSide::Ended => false,
        };
        is_new.then(|| {
            self.peer = side;
            self.sealed.drop_unsent(held)
        })
    }

    /// How it ends.
    pub fn end(&self, clean: bool) -> End {
        End { cause: self.cause, reason: self.reason.clone(), clean }
    }

    /// Whether both sides of the stream have ended.
    pub fn is_over(&self) -> bool {
        self.peer == PeerSide::Ended && self.sealed.queue().is_empty()
    }

    /// Whether both Close frames have passed.
    pub fn is_agreed(&self) -> bool {
        self.peer == PeerSide::Closed && self.sealed.queue().is_empty()
    }
}

/// What a connection's deadlines are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Timer {
    /// The end of the phase: of the handshake, of the time to authenticate, of the closing.
    Phase,
    /// The next ping is due.
    Ping,
    /// The last ping is not answered.
    Pong,
    /// A message, or a frame, has begun and not ended.
    Message,
    /// The socket takes nothing.
    Write,
    /// The token has expired and was not renewed.
    Expiry,
    /// The token of a room has expired and was not renewed.
    RoomExpiry,
}

impl Timer {
    /// All of them, in the order in which two at one instant fire.
    pub const ALL: [Self; 7] =
        [Self::Phase, Self::Ping, Self::Pong, Self::Message, Self::Write, Self::Expiry, Self::RoomExpiry];

    /// The name in snapshots and logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Phase => "phase",
            Self::Ping => "ping",
            Self::Pong => "pong",
            Self::Message => "message",
            Self::Write => "write",
            Self::Expiry => "expiry",
            Self::RoomExpiry => "room_expiry",
        }
    }
}

/// When each of a connection's timers fires.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadlines {
    at: [Instant; Timer::ALL.len()],
    /// What the hub's queue holds for this connection: the earliest.
    pub armed: Instant,
}

impl Deadlines {
    /// None armed.
    pub const NONE: Self = Self { at: [Instant::NEVER; Timer::ALL.len()], armed: Instant::NEVER };

    pub fn get(&self, timer: Timer) -> Instant {
        self.at[timer as usize]
    }

    pub fn set(&mut self, timer: Timer, at: Instant) {
        self.at[timer as usize] = at;
    }

    pub fn clear(&mut self) {
        self.at = Self::NONE.at;
    }

    pub fn earliest(&self) -> Instant {
        self.at.iter().copied().min().unwrap_or(Instant::NEVER)
    }

    /// A timer whose time has come.
    pub fn due(&self, now: Instant) -> Option<Timer> {
        Timer::ALL.into_iter().filter(|timer| self.get(*timer) <= now).min_by_key(|timer| self.get(*timer))
    }
}

impl Conn {
    /// The frames that wait for its socket, where frames can.
    pub fn queue(&self) -> Option<&Queue> {
        match self.phase.as_ref()? {
            Phase::Open(open) => Some(open.outbox.queue()),
            Phase::Closing(closing) => Some(closing.sealed.queue()),
            Phase::Handshaking(_) => None,
        }
    }

    /// The connection while messages go both ways.
    pub fn open(&self) -> Option<&Open> {
        match &self.phase {
            Some(Phase::Open(open)) => Some(open),
            _ => None,
        }
    }

    /// The connection while messages go both ways.
    pub fn open_mut(&mut self) -> Option<&mut Open> {
        match &mut self.phase {
            Some(Phase::Open(open)) => Some(open),
            _ => None,
        }
    }

    /// The connection once it has said who it is.
    pub fn ready(&self) -> Option<&Open> {
        self.open().filter(|open| open.is_ready())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::Position;
    use crate::testing::entry;
    use alloc::vec;

    #[test]
    fn timers_are_told_apart_by_name() {
        let names = Timer::ALL.map(Timer::name);
        assert_eq!(names, ["phase", "ping", "pong", "message", "write", "expiry", "room_expiry"], "as they fire");
    }

    #[test]
    fn rooms_of_a_connect_share_a_reply() {
        let mut connect = PendingConnect::default();
        // `{"data":1234,"offset":5}` and so on.
        let limits = Limits { reply_bytes: 24 + 23 + 21, ..Limits::default() };
        for (room, data) in [("a", "1234"), ("b", "123"), ("c", "1"), ("d", "12")] {
            let replay = Replayed { recovered: Some(true), entries: vec![entry(5, data)] };
            let subscribed = Subscribed::new(Position { epoch: 7, offset: 5 }, true, replay, None);
            connect.add(Name::from(room), subscribed, &limits);
        }
        let recovered: Vec<_> =
            connect.subs.iter().map(|(_, sub)| (sub.position.offset, sub.replay.recovered)).collect();
        let (whole, without) = ((4, Some(true)), (5, Some(false)));
        assert_eq!(recovered, [whole, whole, whole, without], "exactly reply_bytes are within it");
    }
}
