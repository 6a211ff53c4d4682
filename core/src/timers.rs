//! Which deadline is next. Every owner has at most one entry: the earliest of its own deadlines.

use crate::time::Instant;
use alloc::collections::BTreeSet;

/// Deadlines in order of time, then of owner, so that two at one instant fire in an order that repeats.
#[derive(Clone, Debug)]
pub(crate) struct Timers<Owner> {
    queue: BTreeSet<(Instant, Owner)>,
}

impl<Owner> Default for Timers<Owner> {
    fn default() -> Self {
        Self { queue: BTreeSet::new() }
    }
}

impl<Owner: Ord + Copy> Timers<Owner> {
    /// Moves an owner's entry. `armed` is where the owner keeps what its entry says.
    pub fn rearm(&mut self, owner: Owner, armed: &mut Instant, to: Instant) {
        if *armed == to {
            return;
        }
        if *armed != Instant::NEVER {
            assert!(self.queue.remove(&(*armed, owner)), "an armed owner has an entry");
        }
        if to != Instant::NEVER {
            self.queue.insert((to, owner));
        }
        *armed = to;
    }

    /// An owner whose deadline has come. Its entry stays until it rearms.
    pub fn due(&self, now: Instant) -> Option<Owner> {
        self.queue.first().filter(|(at, _)| *at <= now).map(|(_, owner)| *owner)
    }

    /// The earliest deadline.
    pub fn next(&self) -> Option<Instant> {
        self.queue.first().map(|(at, _)| *at)
    }

    /// Whether this owner has this entry.
    pub fn holds(&self, owner: Owner, armed: Instant) -> bool {
        self.queue.contains(&(armed, owner))
    }

    /// How many owners have an entry.
    pub fn len(&self) -> usize {
        self.queue.len()
    }
}
