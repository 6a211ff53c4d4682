//! A shutdown: connections are closed in steps, so that not all of them come back at once: within half of `drain_timeout`,
//! and no more than 500 a second while that leaves each of them the time to answer.

use super::{Drain, Hub, Owner};
use crate::close::CloseCause;
use crate::connection::{Conn, Phase};
use crate::ids::Slot;
use crate::limits::Limits;
use crate::protocol::ServerMessage;
use crate::time::Deadline;
use crate::timers::Armed;
use alloc::vec::Vec;
use core::time::Duration;

/// The number of connections that one step closes. Their clients come back to other servers at about the same time, so it is
/// far below what one of them admits at once.
const DRAIN_STEP: usize = 10;

/// The shortest time between two steps: 500 connections a second.
const SHORTEST_PAUSE: Duration = Duration::from_millis(20);

/// The longest time between two steps, so that a server with few connections need not take half of `drain_timeout`.
const LONGEST_PAUSE: Duration = Duration::from_millis(250);

/// The longest time, in milliseconds, that a client is asked to wait before it comes back.
const LONGEST_ABSENCE: u32 = 5000;

impl Hub {
    pub(super) fn shutdown(&mut self) {
        if self.drain.is_some() {
            return;
        }
        let steps = u32::try_from(self.conns.len().div_ceil(DRAIN_STEP)).unwrap_or(u32::MAX).max(1);
        let Limits { drain_timeout, close_timeout, .. } = self.config.limits;
        let pause = (drain_timeout / 2 / steps).clamp(SHORTEST_PAUSE, LONGEST_PAUSE);
        // Whoever is not told by then would be dropped, and all of these would come back at once.
        let pause = pause.min(drain_timeout.saturating_sub(close_timeout) / steps);
        self.drain = Some(Drain { pause, due: self.now.mono, armed: Armed::NO });
        self.drain_step();
    }

    pub(super) fn drain_step(&mut self) {
        let Some(mut drain) = self.drain else { return };
        let living = |(_, conn): &(Slot, &Conn)| !matches!(conn.phase, Phase::Closing(_));
        let mut rest = self.conns.iter().filter(living).map(|(slot, _)| slot);
        let step: Vec<Slot> = rest.by_ref().take(DRAIN_STEP).collect();
        // Counted from when the step was due: timers are late, and there may be thousands of steps.
        drain.due = drain.due.after(drain.pause).max(self.now.mono);
        let next = Deadline::from_option(rest.next().map(|_| drain.due));
        drop(rest);
        self.timers.rearm(Owner::Drain, &mut drain.armed, next);
        self.drain = Some(drain);
        for slot in step {
            self.tell_to_come_back(slot);
            self.close(slot, CloseCause::Shutdown);
        }
    }

    /// Asks a client to come back after a time of its own, drawn evenly: its public id is random.
    fn tell_to_come_back(&mut self, slot: Slot) {
        let conn = &self.conns[slot];
        // Who does not keep up with what it is sent is not sent more.
        if conn.ready().is_some_and(|open| !open.outbox.is_behind(&self.config.limits)) {
            let [a, b, c, d, ..] = conn.client.0;
            let after_ms = u32::from_be_bytes([a, b, c, d]) % (LONGEST_ABSENCE + 1);
            self.tell(slot, &ServerMessage::Reconnect { after_ms });
        }
    }
}
