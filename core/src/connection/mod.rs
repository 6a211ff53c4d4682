//! The state machine of one connection: three phases, each with the operations that are allowed in it and no others.
//!
//! ```text
//! (vacant) ─accept→ Handshaking ─upgraded→ Open ─begin_close / answer_close / follow→ Closing ─→ (vacant, generation + 1)
//!                        └──────── lost, timeout, violation, in any phase ─────────┘
//! ```
//! A transition consumes the phase that it leaves. Only [`Open`] owns an outbox that takes frames, so sending on a
//! connection that is closing does not compile.

pub(crate) mod closing;
pub(crate) mod deadlines;
pub(crate) mod frame;
pub(crate) mod inbox;
pub(crate) mod outbox;
pub(crate) mod pending;
pub(crate) mod record;
pub(crate) mod refused;

use crate::admission::address::Address;
use crate::close::{CloseCause, CloseReason, NO_STATUS};
use crate::connection::closing::{Closing, PeerSide, SealOutcome};
use crate::connection::deadlines::Deadlines;
use crate::connection::frame::Frame;
use crate::connection::inbox::Inbound;
use crate::connection::outbox::{Outbox, Queue, Sealed};
use crate::connection::pending::{CommandsInFlight, Grant, JoinReason, PendingAuth, PendingConnect, PendingJoin};
use crate::connection::record::Record;
use crate::connection::refused::RefusedFrames;
use crate::ids::{ClientId, ClientInfo, ConnId};
use crate::limits::Limits;
use crate::limits::gcra::Gcra;
use crate::link::{JoinId, Ticket};
use crate::names::RoomName;
use crate::policy::capabilities::{Capabilities, Rights};
use crate::protocol::Protocol;
use crate::time::Instant;
use crate::token::revocation::AcceptedToken;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::mem;

/// A connection in an occupied slot.
#[derive(Clone, Debug, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub(crate) struct Conn {
    /// The slot and its generation, which names the connection within the shard.
    pub id: ConnId,
    /// The public id of the connection, `client` on the wire.
    pub client: ClientId,
    /// The address of the client, kept only while a limit counts by address.
    pub address: Option<Address>,
    /// The protocol, as the route and the URL chose it.
    pub protocol: Protocol,
    /// The phase, absent only during a transition.
    pub phase: Phase,
    /// The deadlines of the timers.
    pub deadlines: Deadlines,
    /// The numbers that are only asked for.
    pub record: Record,
}

/// The phase of a connection.
#[derive(Clone, Debug, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub(crate) enum Phase {
    /// The response 101 is being written.
    Handshaking(Handshaking),
    /// Messages are exchanged.
    Open(Open),
    /// Only frames that are already queued are written.
    Closing(Closing),
    /// A transition is under way: it owns the phase before it, and sets the one after it.
    Changing,
}

/// The phase in which the response 101 is being written.
#[derive(Clone, Debug, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub(crate) struct Handshaking {
    /// The token from the upgrade request.
    #[serde(serialize_with = "crate::stored::token")]
    pub token: Option<String>,
}

/// The phase in which messages are exchanged.
#[derive(Clone, Debug, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub(crate) struct Open {
    /// The frames that wait for the socket.
    pub outbox: Outbox,
    /// The progress of authentication.
    pub stage: Stage,
    /// The user and the info that others may see; anonymous until a token is accepted.
    pub info: Arc<ClientInfo>,
    /// The names of the events that the client receives; empty for all of them.
    pub events: Box<[String]>,
    /// The joins that the home has not answered or not been asked for.
    pub joins: Vec<PendingJoin>,
    /// The answers of homes that commands of the client wait for.
    pub asked: CommandsInFlight,
    /// The number of its commands that may wait for homes: its protocol's, which the phase does not know.
    pub most_in_flight: u32,
    /// The token that is being checked.
    pub pending_auth: Option<PendingAuth>,
    /// The client's input that is not handled yet.
    pub inbound: Inbound,
    /// The grants of its rooms that were joined with a room token.
    pub grants: Vec<Grant>,
    /// The token that was accepted last, unless it cannot be revoked. It is set before anything follows from it.
    pub token: Option<Box<AcceptedToken>>,
    /// The rights that its token grants.
    pub capabilities: Capabilities,
    /// `true` while rooms are left to be looked at that its latest token may forbid.
    pub is_unchecked: bool,
    /// The rooms that its token lists in `channels`, whether it is still a member of them or not.
    pub granted: Box<[RoomName]>,
    /// The state of the rate limits.
    pub rates: RateLimits,
}

/// The progress of a connection's authentication.
#[derive(Clone, Debug, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub(crate) enum Stage {
    /// Not authenticated. `token` is the token from the upgrade request of a `json` client, used when its `connect` has
    /// none. `refused` is set after a `connect` was answered with an error: what the client had sent behind it is
    /// ignored until the next `connect`.
    Unauthenticated {
        #[serde(serialize_with = "crate::stored::token")]
        token: Option<Box<str>>,
        refused: bool,
    },
    /// Authenticated; the rooms in the reply to its `connect` are being joined.
    Joining(Box<PendingConnect>),
    /// Authenticated; commands are accepted.
    Ready,
}

/// The state of the rate limits of one connection.
#[derive(Clone, Copy, Debug, Default, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub(crate) struct RateLimits {
    /// The rate of frames, `client_frames`.
    pub frames: Gcra,
    /// The rate of commands, `client_commands`.
    pub commands: Gcra,
    /// The rate of publications, `client_publishes`.
    pub publishes: Gcra,
    /// The rate of joins, `client_joins`.
    pub joins: Gcra,
    /// The start of the period in which `refusals` are counted.
    pub counting_since: Instant,
    /// The commands and publications that exceeded their rate in that period.
    pub refusals: usize,
}

impl Handshaking {
    /// Opens the connection once the last byte of the response 101 is written.
    pub fn upgraded(self, info: Arc<ClientInfo>, most_in_flight: u32) -> Open {
        Open {
            outbox: Outbox::default(),
            stage: Stage::Unauthenticated { token: None, refused: false },
            info,
            events: Box::default(),
            joins: Vec::new(),
            inbound: Inbound::default(),
            asked: CommandsInFlight::NOTHING,
            most_in_flight,
            pending_auth: None,
            grants: Vec::new(),
            token: None,
            capabilities: Capabilities::default(),
            is_unchecked: false,
            granted: Box::default(),
            rates: RateLimits::default(),
        }
    }
}

impl Open {
    /// Begins to close the connection on the server's side.
    pub fn begin_close(
        self,
        cause: CloseCause,
        reason: CloseReason,
        limits: &Limits,
        refused: &mut RefusedFrames,
    ) -> (Closing, SealOutcome) {
        let close = Frame::close(Some(&reason));
        let (sealed, outcome) = self.seal(cause, close, limits, refused);
        (Closing { sealed, cause, reason, peer: PeerSide::Open }, outcome)
    }

    /// Answers the client's Close frame with one of the same code (RFC 6455 section 5.5.1).
    pub fn answer_close(
        self,
        code: Option<u16>,
        limits: &Limits,
        refused: &mut RefusedFrames,
    ) -> (Closing, SealOutcome) {
        let close = Frame::close(code.map(CloseReason::echo).as_ref());
        let cause = CloseCause::PeerClose;
        let (sealed, outcome) = self.seal(cause, close, limits, refused);
        let reason = CloseReason::echo(code.unwrap_or(NO_STATUS));
        (Closing { sealed, cause, reason, peer: PeerSide::Closed }, outcome)
    }

    /// Follows the end of the client's stream without a Close frame. No Close frame answers it; only a half-written
    /// frame is finished.
    pub fn follow(self, limits: &Limits, refused: &mut RefusedFrames) -> (Closing, SealOutcome) {
        let cause = CloseCause::PeerEof;
        let before = self.before_close(limits);
        let (sealed, dropped) = self.outbox.cut(refused);
        let closing = Closing { sealed, cause, reason: cause.reason(), peer: PeerSide::Ended };
        (closing, SealOutcome { dropped, ..before })
    }

    /// Returns the outcome of closing as far as it depends on the state before.
    fn before_close(&self, limits: &Limits) -> SealOutcome {
        SealOutcome {
            dropped: 0,
            close: false,
            was_empty: false,
            waited: self.outbox.queue().bytes(),
            was_ready: self.is_ready(),
            was_anonymous: self.is_ready_anonymous(),
            was_paused: self.is_paused(limits),
            inbound: self.inbound.bytes(),
        }
    }

    fn seal(
        self,
        cause: CloseCause,
        close: Frame,
        limits: &Limits,
        refused: &mut RefusedFrames,
    ) -> (Sealed, SealOutcome) {
        let before = self.before_close(limits);
        let (sealed, dropped, was_empty) = self.outbox.seal(cause.before_close(), close, refused);
        (sealed, SealOutcome { dropped, close: true, was_empty, ..before })
    }

    /// Returns the user and the info of the connection in a room: those of the room's token, otherwise its own. O(n) in
    /// the grants.
    pub fn info_in(&self, room: &str) -> &Arc<ClientInfo> {
        let own = self.grants.iter().find(|grant| grant.room.as_str() == room).and_then(|grant| grant.info.as_ref());
        own.unwrap_or(&self.info)
    }

    /// Returns the rights that the token of a room grants there. O(n) in the grants.
    pub fn granted_by_token_of(&self, room: &RoomName) -> Rights {
        self.grants.iter().find(|grant| grant.room == *room).map_or(Rights::NONE, |grant| grant.rights)
    }

    /// Returns `true` while a home has not answered a command, or has not answered or not been asked for a join.
    #[inline]
    pub fn awaits_home(&self) -> bool {
        self.asked.count > 0 || !self.joins.is_empty()
    }

    /// Returns `true` while as many commands of the client wait for homes as may. O(n) in the joins.
    #[inline]
    pub fn has_spent_credit(&self) -> bool {
        self.awaits_home() && self.in_flight() >= self.most_in_flight as usize
    }

    fn in_flight(&self) -> usize {
        self.asked.count as usize + self.joins.iter().filter(|pending| pending.reason.is_command()).count()
    }

    /// Returns `true` while no command of the client is looked at: a token is being checked, the session has not begun, as many
    /// commands as may wait for homes, or the server is putting it into a room. The same while rooms are looked at that a token
    /// may forbid: no command is allowed for being in such a room, and no later token makes more of this work. O(n) in the joins.
    #[inline]
    pub fn is_barred(&self) -> bool {
        self.pending_auth.is_some() || self.is_unchecked || self.awaits_home() && self.is_barred_by_homes()
    }

    #[cold]
    fn is_barred_by_homes(&self) -> bool {
        let is_barrier = |pending: &PendingJoin| pending.asked.is_none() || !pending.reason.is_command();
        !self.is_ready() || self.has_spent_credit() || self.joins.iter().any(is_barrier)
    }

    /// Returns `true` while the connection is to become a user's. O(n) in the joins.
    pub fn awaits_user(&self) -> bool {
        self.joins.iter().any(|pending| matches!(pending.reason, JoinReason::User(_)))
    }

    /// Returns `true` when there is a join that the home has not been asked for. O(n) in the joins.
    pub fn has_unasked(&self) -> bool {
        self.joins.iter().any(|pending| pending.asked.is_none())
    }

    /// Takes a join by its number. O(n) in the joins.
    pub fn take_join(&mut self, join: JoinId) -> Option<PendingJoin> {
        self.take_first_join(|pending| pending.join == join)
    }

    /// Takes the join to which this ticket brings the answer. O(n) in the joins.
    pub fn take_asked(&mut self, ticket: Ticket) -> Option<PendingJoin> {
        self.take_first_join(|pending| pending.asked == Some(ticket))
    }

    fn take_first_join(&mut self, is_it: impl Fn(&PendingJoin) -> bool) -> Option<PendingJoin> {
        let at = self.joins.iter().position(is_it)?;
        let pending = self.joins.remove(at);
        if self.joins.is_empty() {
            self.joins = Vec::new();
        }
        Some(pending)
    }

    /// Takes the first join that the home has not been asked for. O(n) in the joins.
    pub fn take_unasked(&mut self) -> Option<PendingJoin> {
        let at = self.joins.iter().position(|pending| pending.asked.is_none())?;
        Some(self.joins.remove(at))
    }

    /// Returns `true` while reading from the client is paused, since messages of it wait, its outbox is more than a quarter
    /// full, or as many commands of it as may wait for homes.
    #[inline]
    pub fn is_paused(&self, limits: &Limits) -> bool {
        self.inbound.has_waiting() || self.outbox.is_high(limits) || self.has_spent_credit()
    }

    /// Returns `true` while reading from the client is paused until the client has read something, or homes have answered.
    pub fn is_paused_for_long(&self, limits: &Limits) -> bool {
        let is_waiting = self.inbound.has_waiting() && self.pending_auth.is_none();
        self.outbox.is_high(limits) || is_waiting || self.has_spent_credit()
    }

    /// Returns `true` when the connection is ready and has no user.
    pub fn is_ready_anonymous(&self) -> bool {
        self.is_ready() && self.info.user.is_anonymous()
    }

    /// Returns the name of the progress of authentication. O(n) in the joins.
    pub fn stage_name(&self) -> &'static str {
        match self.stage {
            Stage::Unauthenticated { .. } if self.pending_auth.is_some() || self.awaits_user() => "authenticating",
            Stage::Unauthenticated { .. } => "unauthenticated",
            Stage::Joining(_) => "joining",
            Stage::Ready => "ready",
        }
    }

    /// Returns `true` once the connection is authenticated and the rooms of its `connect` are joined.
    pub fn is_ready(&self) -> bool {
        matches!(self.stage, Stage::Ready)
    }
}

impl Conn {
    /// Takes the phase for a transition, which has to set another one.
    pub fn take_phase(&mut self) -> Phase {
        mem::replace(&mut self.phase, Phase::Changing)
    }

    /// Returns the frames that wait for the socket; `None` during the handshake.
    pub fn queue(&self) -> Option<&Queue> {
        match &self.phase {
            Phase::Open(open) => Some(open.outbox.queue()),
            Phase::Closing(closing) => Some(closing.sealed.queue()),
            Phase::Handshaking(_) | Phase::Changing => None,
        }
    }

    /// Returns the open phase, if the connection is in it.
    pub fn open(&self) -> Option<&Open> {
        match &self.phase {
            Phase::Open(open) => Some(open),
            _ => None,
        }
    }

    /// Returns the open phase, if the connection is in it.
    pub fn open_mut(&mut self) -> Option<&mut Open> {
        match &mut self.phase {
            Phase::Open(open) => Some(open),
            _ => None,
        }
    }

    /// Returns the name of the phase, and of the progress of authentication in it.
    pub fn state_name(&self) -> &'static str {
        match &self.phase {
            Phase::Open(open) => open.stage_name(),
            Phase::Closing(_) => "closing",
            Phase::Handshaking(_) | Phase::Changing => "handshaking",
        }
    }

    /// Returns the open phase once the connection is ready.
    pub fn ready(&self) -> Option<&Open> {
        self.open().filter(|open| open.is_ready())
    }
}
