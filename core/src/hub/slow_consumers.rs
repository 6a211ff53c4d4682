//! Writes: what a socket has taken, and the end of those that take too little.

use super::Hub;
use super::agenda::Work;
use crate::close::CloseCause;
use crate::connection::deadlines::Timer;
use crate::connection::outbox::{FlushProgress, Queue};
use crate::connection::{Conn, Open, Phase, Stage};
use crate::effect::Effect;
use crate::ids::{ConnId, Slot};
use crate::limits::Limit;
use crate::time::Deadline;
use alloc::vec::Vec;

impl Hub {
    /// The frames that wait for a connection's socket, and whether none will follow.
    pub fn queue(&self, conn: ConnId) -> Option<(&Queue, bool)> {
        let conn = self.find(conn)?;
        Some((conn.queue()?, matches!(conn.phase, Phase::Closing(_))))
    }

    /// The socket took some of what was pending. The phase stays where it is: this is done for every frame of every member.
    pub(super) fn flushed(&mut self, slot: Slot, bytes: usize) {
        self.totals.bytes_written += bytes as u64;
        self.outbox_bytes -= bytes;
        let conn = &mut self.conns[slot];
        match &mut conn.phase {
            Phase::Open(open) => {
                let limits = &self.config.limits;
                let was_high = open.outbox.is_high(limits);
                let progress = open.outbox.flushed(bytes, &mut self.refused_frames);
                let outbox_is_low = was_high && !open.outbox.is_high(limits);
                let goes_on = progress.empty && !open.joins.is_empty();
                self.totals.frames_written += progress.frames;
                self.watch_progress(slot, bytes, progress);
                if outbox_is_low {
                    self.outbox_is_low(slot);
                }
                if goes_on {
                    self.agenda.then(Work::Enter(self.conns[slot].id));
                }
            }
            Phase::Closing(closing) => {
                let progress = closing.sealed.flushed(bytes, &mut self.refused_frames);
                self.totals.frames_written += progress.frames;
                if bytes > 0 && progress.empty && !closing.is_over() {
                    self.effects.push(Effect::Finish(conn.id));
                }
                self.end_if_over(slot);
            }
            _ => {
                assert_eq!(bytes, 0, "nothing is pending while the 101 is being written");
                self.totals.ignored_inputs += 1;
            }
        }
    }

    /// The transport cannot give the first bytes of what was pending back.
    pub(super) fn committed(&mut self, slot: Slot, bytes: usize) {
        match &mut self.conns[slot].phase {
            Phase::Open(open) => open.outbox.committed(bytes),
            Phase::Closing(closing) => closing.sealed.committed(bytes),
            _ => self.totals.ignored_inputs += 1,
        }
    }

    /// The clock of `write_timeout` runs from the moment a socket refuses until it takes something.
    fn watch_progress(&mut self, slot: Slot, bytes: usize, progress: FlushProgress) {
        let armed = self.conns[slot].deadlines.get(Timer::Write).is_set();
        if progress.empty {
            if armed {
                self.disarm(slot, Timer::Write);
            }
        } else if bytes > 0 || !armed {
            self.arm(slot, Timer::Write, self.config.limits.write_timeout);
        }
    }

    /// Closes the connections that could not keep up.
    #[inline]
    pub fn close_slow_consumers(&mut self) {
        if !self.slow.is_empty() {
            self.close_noted();
        }
    }

    #[cold]
    fn close_noted(&mut self) {
        while let Some((conn, cause)) = self.slow.pop() {
            if cause == CloseCause::Unanswered {
                self.with(conn, Self::close_unanswered);
            } else {
                self.with(conn, |hub, slot| hub.close(slot, cause));
            }
        }
    }

    /// Closes a connection for which too much waits behind the reply to its `connect`: it waits for homes, and not for its
    /// socket. Where the reply came in the same step, all of it is in the outbox, of which the socket has refused nothing.
    #[cold]
    fn close_unanswered(&mut self, slot: Slot) {
        let held = |open: &Open| match &open.stage {
            Stage::Joining(connect) => connect.held_over(&self.config.limits),
            _ => None,
        };
        if let Some(limit) = self.conns[slot].open().and_then(held) {
            self.count_limit_of(slot, limit);
            self.close(slot, CloseCause::Unanswered);
        } else {
            self.conns[slot].record.set_overflow(None);
        }
    }

    /// Ends those whose sockets have gone longest without taking anything, until what such sockets have refused is within the
    /// bound of the node. Returns whether there was one.
    #[inline]
    pub(super) fn relieve_outboxes(&mut self) -> bool {
        self.refused_frames.bytes() > self.config.limits.outbox_bytes_total && self.close_longest_refusing()
    }

    #[cold]
    fn close_longest_refusing(&mut self) -> bool {
        let refusing = |(slot, conn): (Slot, &Conn)| {
            let refuses = conn.open()?.outbox.queue().has_refused();
            refuses.then(|| (conn.deadlines.get(Timer::Write), slot))
        };
        let mut refusing: Vec<(Deadline, Slot)> = self.conns.iter().filter_map(refusing).collect();
        refusing.sort_unstable();
        for (_, slot) in &refusing {
            if self.refused_frames.bytes() <= self.config.limits.outbox_bytes_total {
                break;
            }
            self.close_over(*slot, Limit::OutboxBytesTotal, CloseCause::Slow);
        }
        !refusing.is_empty()
    }
}
