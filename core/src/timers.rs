//! A queue of deadlines. Each owner has one entry at most: the earliest of its own deadlines.

use crate::time::Instant;
use alloc::collections::BTreeSet;

/// The deadlines ordered by time, then by owner, so that equal deadlines fire in the same order in each run.
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
    /// Moves the entry of an owner; [`Instant::NEVER`] removes it. `armed` is the owner's own record of its entry.
    /// O(log n) in the owners.
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

    /// Returns an owner whose deadline is at or before `now`. Its entry stays until the owner rearms it.
    pub fn due(&self, now: Instant) -> Option<Owner> {
        self.queue.first().filter(|(at, _)| *at <= now).map(|(_, owner)| *owner)
    }

    /// Returns the earliest deadline.
    pub fn next(&self) -> Option<Instant> {
        self.queue.first().map(|(at, _)| *at)
    }

    /// Returns `true` when this owner has an entry with this deadline.
    pub fn holds(&self, owner: Owner, armed: Instant) -> bool {
        self.queue.contains(&(armed, owner))
    }

    /// Returns the number of owners with an entry.
    pub fn len(&self) -> usize {
        self.queue.len()
    }
}
