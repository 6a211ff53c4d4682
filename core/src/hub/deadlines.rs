//! Deadlines: when each of them is due, and what happens then.

use super::lifecycle::abnormal;
use super::{Hub, Owner};
use crate::close::CloseCause;
use crate::connection::deadlines::Timer;
use crate::connection::{Phase, Stage};
use crate::ids::Slot;
use crate::limits::Limit;
use crate::policy::access;
use crate::protocol::ServerMessage;
use crate::time::{Deadline, Instant};
use core::time::Duration;

/// Deadlines that one turn sees to.
const DUE_PER_TURN: usize = 100;

impl Hub {
    /// Fires due timers, at most 100. The rest is due at once again: not all connections end, or are pinged, between two
    /// writes of those who are told of it.
    pub(super) fn tick(&mut self) {
        for _ in 0..DUE_PER_TURN {
            let Some(owner) = self.timers.due(self.now.mono) else { break };
            match owner {
                Owner::Conn(slot) => {
                    self.fire(slot);
                    // What it was told may have been too much for it: that is why it ends, whatever else is due.
                    self.close_slow_consumers();
                }
                Owner::Drain => self.drain_step(),
                Owner::Address(from) => self.keep_or_forget_address(from),
                Owner::Tickets => self.give_up_oldest(),
            }
        }
    }

    fn fire(&mut self, slot: Slot) {
        let conn = &self.conns[slot];
        let timer = conn.deadlines.due(self.now.mono).expect("an entry in the queue is a connection's deadline");
        match timer {
            Timer::Phase => self.phase_over(slot),
            Timer::Ping => self.ping(slot),
            // It is not listened to: write_timeout judges it, or ticket_timeout the homes.
            Timer::Pong | Timer::Message
                if conn.open().is_some_and(|open| open.is_paused_for_long(&self.config.limits)) =>
            {
                self.arm_for_client(slot, timer);
            }
            Timer::Pong => self.close_for(slot, Limit::PongTimeout, CloseCause::NoPong),
            Timer::Message => self.close_over(slot, Limit::MessageTimeout, CloseCause::Unfinished),
            Timer::Write => self.close_for(slot, Limit::WriteTimeout, CloseCause::WriteTimeout),
            Timer::Expiry => self.close_for(slot, Limit::ExpiryGrace, CloseCause::Expired),
            Timer::RoomExpiry => {
                self.count_limit_of(slot, Limit::ExpiryGrace);
                self.rooms_expired(slot);
            }
        }
    }

    fn phase_over(&mut self, slot: Slot) {
        match &self.conns[slot].phase {
            Phase::Open(open)
                if matches!(open.stage, Stage::Joining(_)) || open.awaits_user() && !open.has_unasked() =>
            {
                self.close(slot, CloseCause::Unanswered);
            }
            Phase::Open(open) => {
                if !access::admits_anonymous(&self.config) && open.pending_auth.is_none() {
                    self.token_refused(slot, "no token arrived within authenticate_timeout", |tokens| {
                        &mut tokens.missing
                    });
                }
                self.close_for(slot, Limit::AuthenticateTimeout, CloseCause::Stale);
            }
            Phase::Closing(closing) => {
                // A peer that has answered our Close, and never ends its stream, has nothing more to read.
                let end = closing.end(closing.is_agreed());
                self.count_limit_of(slot, Limit::CloseTimeout);
                self.vacate(slot, end);
            }
            _ => {
                self.count_limit_of(slot, Limit::HandshakeTimeout);
                self.vacate(slot, abnormal(CloseCause::HandshakeTimeout));
            }
        }
    }

    /// Arms the next ping on the fixed schedule, past those that were missed, and sends the one that is due
    /// unless the last is not answered yet.
    fn ping(&mut self, slot: Slot) {
        let interval = u64::try_from(self.config.limits.ping_interval.as_nanos()).unwrap_or(u64::MAX).max(1);
        let due = self.conns[slot].deadlines.get(Timer::Ping).time().expect("the ping that fires has a deadline");
        let missed = (self.now.mono.0 - due.0) / interval;
        self.set(slot, Timer::Ping, Instant(due.0.saturating_add((missed + 1).saturating_mul(interval))).into());
        self.send_ping(slot);
    }

    /// Connections that came together, such as after a restart, are not pinged together: the first ping comes up to a quarter of
    /// the interval early, by the connection's random id.
    pub(super) fn arm_first_ping(&mut self, slot: Slot) {
        let interval = self.config.limits.ping_interval;
        let [a, b, c, d, ..] = self.conns[slot].client.0;
        let share = u32::from(u16::from_be_bytes([a ^ c, b ^ d]));
        let early = (interval / 4 / (1 << 16)).saturating_mul(share);
        self.arm(slot, Timer::Ping, interval.saturating_sub(early));
    }

    /// Sends a ping, unless the last is not answered yet.
    pub(super) fn send_ping(&mut self, slot: Slot) {
        let conn = &self.conns[slot];
        if conn.deadlines.get(Timer::Pong).is_set() {
            return;
        }
        self.conns[slot].record.pinged(self.now.mono);
        self.arm(slot, Timer::Pong, self.config.limits.pong_timeout);
        self.tell(slot, &ServerMessage::Ping);
    }

    pub(super) fn arm(&mut self, slot: Slot, timer: Timer, after: Duration) {
        self.set(slot, timer, self.now.mono.after(after).into());
    }

    pub(super) fn disarm(&mut self, slot: Slot, timer: Timer) {
        self.set(slot, timer, Deadline::NONE);
    }

    pub(super) fn set(&mut self, slot: Slot, timer: Timer, at: Deadline) {
        let deadlines = &mut self.conns[slot].deadlines;
        deadlines.set(timer, at);
        let earliest = deadlines.earliest();
        self.timers.rearm(Owner::Conn(slot), &mut deadlines.armed, earliest);
    }
}
