//! A shutdown: connections are closed in steps, so that not all of them come back at once.

use super::{Drain, Hub, Owner};
use crate::close::CloseCause;
use crate::connection::{Conn, Phase};
use crate::ids::Slot;
use crate::time::Deadline;
use crate::timers::Armed;
use alloc::vec::Vec;
use core::time::Duration;

/// Between two steps of a shutdown.
const DRAIN_STEP: Duration = Duration::from_millis(100);

/// The least number of connections that one step closes.
const DRAIN_LEAST: usize = 100;

impl Hub {
    pub(super) fn shutdown(&mut self) {
        if self.drain.is_some() {
            return;
        }
        let steps = (self.config.limits.drain_timeout.as_millis() / 2 / DRAIN_STEP.as_millis()).max(1);
        let per_step = self.conns.len().div_ceil(usize::try_from(steps).unwrap_or(usize::MAX)).max(DRAIN_LEAST);
        self.drain = Some(Drain { per_step, armed: Armed::NO });
        self.drain_step();
    }

    pub(super) fn drain_step(&mut self) {
        let Some(mut drain) = self.drain else { return };
        let living = |(_, conn): &(Slot, &Conn)| !matches!(conn.phase, Phase::Closing(_));
        let mut rest = self.conns.iter().filter(living).map(|(slot, _)| slot);
        let step: Vec<Slot> = rest.by_ref().take(drain.per_step).collect();
        let next = Deadline::from_option(rest.next().map(|_| self.now.mono.after(DRAIN_STEP)));
        drop(rest);
        self.timers.rearm(Owner::Drain, &mut drain.armed, next);
        self.drain = Some(drain);
        for slot in step {
            self.close(slot, CloseCause::Shutdown);
        }
    }
}
