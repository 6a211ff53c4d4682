//! The life of one connection: three phases, each with what can be done in it and nothing else.
//!
//! ```text
//! (vacant) ─accept→ Handshaking ─upgraded→ Open ─begin_close / answer_close / follow→ Closing ─→ (vacant, generation + 1)
//!                        └──────── lost, timeout, violation, in any phase ─────────┘
//! ```
//! A transition consumes the phase that it leaves, and only [`Open`] owns something that can enqueue: a send on a
//! connection that is closing does not compile.

pub(crate) mod closing;
pub(crate) mod deadlines;
pub(crate) mod frame;
pub(crate) mod inbox;
pub(crate) mod outbox;
pub(crate) mod pending;
pub(crate) mod refused;

use crate::admission::address::Address;
use crate::admission::route::Plain;
use crate::close::{CloseCause, CloseReason, NO_STATUS};
use crate::connection::closing::{Closing, PeerSide, SealOutcome};
use crate::connection::deadlines::Deadlines;
use crate::connection::frame::Frame;
use crate::connection::inbox::Inbound;
use crate::connection::outbox::{Outbox, Queue, Sealed};
use crate::connection::pending::{Deferred, Grant, JoinReason, PendingAuth, PendingConnect, PendingJoin};
use crate::connection::refused::RefusedFrames;
use crate::ids::{ClientId, ClientInfo, ConnId, Name};
use crate::limits::Limits;
use crate::limits::gcra::Gcra;
use crate::link::JoinId;
use crate::time::Instant;
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
        refused: &mut RefusedFrames,
    ) -> (Closing, SealOutcome) {
        let close = Frame::close(Some(&reason));
        let (sealed, outcome) = self.seal(cause, close, limits, refused);
        (Closing { sealed, cause, reason, peer: PeerSide::Open }, outcome)
    }

    /// The peer ends it: its Close frame is answered with one of the same code (RFC 6455 section 5.5.1).
    pub fn answer_close(
        self,
        code: Option<u16>,
        limits: &Limits,
        refused: &mut RefusedFrames,
    ) -> (Closing, SealOutcome) {
        let named = |code| CloseReason { code, reason: Cow::Borrowed("") };
        let close = Frame::close(code.map(named).as_ref());
        let cause = CloseCause::PeerClose;
        let (sealed, outcome) = self.seal(cause, close, limits, refused);
        let reason = named(code.unwrap_or(NO_STATUS));
        (Closing { sealed, cause, reason, peer: PeerSide::Closed }, outcome)
    }

    /// The peer ended its stream without a Close frame, which is not answered with one: only a half-written frame is
    /// finished.
    pub fn follow(self, limits: &Limits, refused: &mut RefusedFrames) -> (Closing, SealOutcome) {
        let cause = CloseCause::PeerEof;
        let waited = self.outbox.queue().bytes();
        let (was_ready, was_paused, inbound) = (self.is_ready(), self.is_paused(limits), self.inbound.bytes());
        let (sealed, dropped) = self.outbox.cut(refused);
        let closing = Closing { sealed, cause, reason: cause.reason(), peer: PeerSide::Ended };
        (closing, SealOutcome { dropped, close: false, was_empty: false, waited, was_ready, was_paused, inbound })
    }

    fn seal(
        self,
        cause: CloseCause,
        close: Frame,
        limits: &Limits,
        refused: &mut RefusedFrames,
    ) -> (Sealed, SealOutcome) {
        let waited = self.outbox.queue().bytes();
        let (was_ready, was_paused, inbound) = (self.is_ready(), self.is_paused(limits), self.inbound.bytes());
        let (sealed, dropped, was_empty) = self.outbox.seal(cause.drain(), close, refused);
        (sealed, SealOutcome { dropped, close: true, was_empty, waited, was_ready, was_paused, inbound })
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
    pub fn is_paused(&self, limits: &Limits) -> bool {
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
