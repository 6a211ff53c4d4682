//! A shutdown: connections are closed in steps, so that not all of them come back at once: within half of `drain_timeout`,
//! and never more than 500 a second.

use super::{Drain, Hub, Owner};
use crate::close::CloseCause;
use crate::connection::{Conn, Phase};
use crate::ids::Slot;
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
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// The longest time, in milliseconds, that a client is asked to wait before it comes back.
const LONGEST_ABSENCE: u32 = 5000;

impl Hub {
    pub(super) fn shutdown(&mut self) {
        if self.drain.is_some() {
            return;
        }
        let steps = u32::try_from(self.conns.len().div_ceil(DRAIN_STEP)).unwrap_or(u32::MAX).max(1);
        let pause = (self.config.limits.drain_timeout / 2 / steps).clamp(SHORTEST_PAUSE, LONGEST_PAUSE);
        self.drain = Some(Drain { pause, armed: Armed::NO });
        self.drain_step();
    }

    pub(super) fn drain_step(&mut self) {
        let Some(mut drain) = self.drain else { return };
        let living = |(_, conn): &(Slot, &Conn)| !matches!(conn.phase, Phase::Closing(_));
        let mut rest = self.conns.iter().filter(living).map(|(slot, _)| slot);
        let step: Vec<Slot> = rest.by_ref().take(DRAIN_STEP).collect();
        let next = Deadline::from_option(rest.next().map(|_| self.now.mono.after(drain.pause)));
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
        if conn.ready().is_some() {
            let [a, b, c, d, ..] = conn.client.0;
            let after_ms = u32::from_be_bytes([a, b, c, d]) % (LONGEST_ABSENCE + 1);
            self.tell(slot, &ServerMessage::Reconnect { after_ms });
        }
    }
}
