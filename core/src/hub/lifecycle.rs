//! The life of a connection: from the 101 to the close, and out of everything that it was in.

use super::Hub;
use super::Owner;
use super::states::ConnectionState;
use crate::close::{ABNORMAL, CloseCause, CloseReason};
use crate::connection::closing::{Closing, PeerSide, SealOutcome};
use crate::connection::deadlines::Timer;
use crate::connection::outbox::Queue;
use crate::connection::pending::{PendingAuth, PendingConnect};
use crate::connection::{Open, Phase, Stage};
use crate::effect::{Effect, End};
use crate::ids::{ClientInfo, Slot};
use crate::limits::Limit;
use crate::link::LeaveReason;
use crate::policy::access;
use crate::protocol::Start;
use crate::step::LeaveCause;
use crate::time::Deadline;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;

impl Hub {
    pub(super) fn upgraded(&mut self, slot: Slot) {
        let conn = &mut self.conns[slot];
        let token = match conn.take_phase() {
            Phase::Handshaking(mut handshaking) => {
                let token = handshaking.token.take();
                let info =
                    ClientInfo { client: conn.client, user: self.anonymous.clone(), info: None, room_info: None };
                let most_in_flight = conn.protocol.most_in_flight(&self.config.limits);
                conn.phase = Phase::Open(handshaking.upgraded(Arc::new(info), most_in_flight));
                token
            }
            other => {
                conn.phase = other;
                self.totals.ignored_inputs += 1;
                return;
            }
        };
        self.arm(slot, Timer::Phase, self.config.limits.authenticate_timeout);
        let token = token.filter(|token| !token.is_empty());
        let conn = &mut self.conns[slot];
        match conn.protocol.start() {
            Start::AtOnce => {
                self.arm_first_ping(slot);
                match token {
                    Some(token) => self.authenticate(slot, token, PendingAuth::Connect(Box::default())),
                    None if access::admits_anonymous(&self.config) => {
                        self.begin_session(slot, PendingConnect::default(), None, None);
                    }
                    None => {}
                }
            }
            Start::OnConnect => {
                let Some(open) = conn.open_mut() else { return };
                open.stage = Stage::Unauthenticated { token: token.map(String::into_boxed_str), refused: false };
            }
        }
    }

    pub(super) fn peer_closed(&mut self, slot: Slot, code: Option<u16>) {
        self.note_ending(slot);
        let conn = &mut self.conns[slot];
        match conn.take_phase() {
            Phase::Open(open) => {
                let closing = open.answer_close(code, &self.config.limits, &mut self.refused_frames);
                self.leave_everything(slot);
                self.enter_closing(slot, closing);
            }
            Phase::Closing(closing) => self.keep_closing(slot, closing, PeerSide::Closed),
            other => {
                conn.phase = other;
                self.vacate(slot, abnormal(CloseCause::PeerClose));
            }
        }
    }

    /// The peer will send nothing more. What it was being sent is finished, and that is the end.
    pub(super) fn peer_ended(&mut self, slot: Slot) {
        self.note_ending(slot);
        let conn = &mut self.conns[slot];
        match conn.take_phase() {
            Phase::Open(open) => {
                let closing = open.follow(&self.config.limits, &mut self.refused_frames);
                self.leave_everything(slot);
                self.enter_closing(slot, closing);
                self.end_if_over(slot);
            }
            Phase::Closing(closing) => self.keep_closing(slot, closing, PeerSide::Ended),
            other => {
                conn.phase = other;
                self.vacate(slot, abnormal(CloseCause::PeerEof));
            }
        }
    }

    /// The socket failed.
    pub(super) fn lost(&mut self, slot: Slot) {
        let end = match &self.conns[slot].phase {
            Phase::Closing(closing) => closing.end(false),
            _ => abnormal(CloseCause::PeerReset),
        };
        self.vacate(slot, end);
    }

    /// Ends a connection, or does nothing where that is under way.
    pub(super) fn close(&mut self, slot: Slot, cause: CloseCause) {
        if cause == CloseCause::TokenRequired {
            self.token_refused(slot, "a token is required, and none was sent", |tokens| &mut tokens.missing);
        }
        self.close_with(slot, cause, cause.reason());
    }

    /// Ends a connection with another text than the cause's own.
    pub(super) fn close_with(&mut self, slot: Slot, cause: CloseCause, reason: CloseReason) {
        self.note_ending(slot);
        let conn = &mut self.conns[slot];
        match conn.take_phase() {
            Phase::Open(open) => {
                let closing = open.begin_close(cause, reason, &self.config.limits, &mut self.refused_frames);
                self.leave_everything(slot);
                self.enter_closing(slot, closing);
            }
            Phase::Handshaking(handshaking) => {
                conn.phase = Phase::Handshaking(handshaking);
                self.vacate(slot, abnormal(cause));
            }
            other => {
                conn.phase = other;
                self.totals.ignored_inputs += 1;
            }
        }
    }

    /// Ends a connection because of a limit.
    pub(super) fn close_for(&mut self, slot: Slot, limit: Limit, cause: CloseCause) {
        self.count_limit_of(slot, limit);
        self.close(slot, cause);
    }

    /// Ends a connection, and says what exactly is wrong.
    pub(super) fn close_because(&mut self, slot: Slot, cause: CloseCause, words: &str) {
        self.close_with(slot, cause, cause.reason().because(words));
    }

    /// Ends a connection that goes beyond a limit, which the Close frame names.
    pub(super) fn close_over(&mut self, slot: Slot, limit: Limit, cause: CloseCause) {
        self.count_limit_of(slot, limit);
        self.close_with(slot, cause, cause.reason().naming(limit));
    }

    fn enter_closing(&mut self, slot: Slot, (closing, sealed): (Closing, SealOutcome)) {
        self.drop_frames(slot, closing.cause, sealed.dropped);
        let conn = &mut self.conns[slot];
        self.totals.frames_queued += u64::from(sealed.close);
        self.states.change(&conn.protocol, ConnectionState::open(sealed.was_ready), ConnectionState::Closing);
        self.ready_anonymous -= usize::from(sealed.was_anonymous);
        self.inbound_bytes -= sealed.inbound;
        self.outbox_bytes = self.outbox_bytes - sealed.waited + closing.sealed.queue().bytes();
        conn.deadlines.clear();
        conn.phase = Phase::Closing(closing);
        if sealed.was_empty {
            self.effects.push(Effect::Wake(conn.id));
        }
        if sealed.was_paused {
            self.effects.push(Effect::ResumeReading(conn.id));
        }
        self.arm(slot, Timer::Phase, self.config.limits.close_timeout);
    }

    /// Goes on with an end that the peer is further with.
    fn keep_closing(&mut self, slot: Slot, mut closing: Closing, peer: PeerSide) {
        self.outbox_bytes -= closing.sealed.queue().bytes();
        let dropped = closing.peer_is(peer, &mut self.refused_frames);
        self.outbox_bytes += closing.sealed.queue().bytes();
        match dropped {
            Some(dropped) => self.drop_frames(slot, closing.cause, dropped),
            None => self.totals.ignored_inputs += 1,
        }
        self.conns[slot].phase = Phase::Closing(closing);
        self.end_if_over(slot);
    }

    pub(super) fn end_if_over(&mut self, slot: Slot) {
        if let Phase::Closing(closing) = &self.conns[slot].phase
            && closing.is_over()
        {
            let end = closing.end(true);
            self.vacate(slot, end);
        }
    }

    /// The one way out of `Open`: out of every room in the same turn, that of the user among them (G2, G3).
    fn leave_everything(&mut self, slot: Slot) {
        while let Some(left) = self.registry.leave_one(slot) {
            self.left(slot, left, self.at_end(LeaveReason::Ended), LeaveCause::Closed);
        }
    }

    /// Makes the slot vacant: the one terminal effect of the connection (G7).
    pub(super) fn vacate(&mut self, slot: Slot, end: End) {
        self.note_ending(slot);
        self.note_end(slot, &end);
        self.leave_everything(slot);
        // Counted where it is: a connection is large, and moved no more often than it has to be.
        let conn = &mut self.conns[slot];
        self.timers.rearm(Owner::Conn(slot), &mut conn.deadlines.armed, Deadline::NONE);
        self.states.remove(&conn.protocol, conn.state());
        self.ready_anonymous -= usize::from(conn.open().is_some_and(Open::is_ready_anonymous));
        self.inbound_bytes -= conn.open().map_or(0, |open| open.inbound.bytes());
        let unsent = conn.queue();
        self.totals.drop_frames(end.cause, unsent.map_or(0, Queue::len) as u64);
        self.outbox_bytes -= unsent.map_or(0, Queue::bytes);
        unsent.into_iter().flat_map(Queue::refused).for_each(|frame| self.refused_frames.remove(frame));
        let known = self.clients.swap_remove(&conn.client);
        assert_eq!(known, Some(slot), "G3: a client id leads to its connection");
        let (id, address) = (conn.id, conn.address);
        self.conns.remove(slot);
        if let Some(address) = address {
            self.release_address(address);
        }
        self.totals.count_end(end.cause, end.reason().code());
        self.effects.push(Effect::Closed { conn: id, end });
    }
}

/// The end of a connection that no Close frame spoke of.
pub(super) fn abnormal(cause: CloseCause) -> End {
    End::new(cause, &CloseReason::fixed(ABNORMAL, "abnormal closure"), false)
}
