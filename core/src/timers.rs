//! A queue of deadlines. Each owner has one entry at most, for the earliest of its own deadlines, which it computes.

use crate::time::{Deadline, Instant};
use alloc::collections::BTreeSet;

/// The deadlines ordered by time, then by owner, so that equal deadlines fire in the same order in each run.
#[derive(Clone, Debug, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
#[cfg_attr(feature = "replay", serde(bound(deserialize = "Owner: Ord + serde::Deserialize<'de>")))]
pub(crate) struct Timers<Owner> {
    queue: BTreeSet<(Instant, Owner)>,
}

/// An owner's record of its entry in the queue. Only the queue changes it.
#[derive(Clone, Copy, Debug, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub(crate) struct Armed(Deadline);

impl Armed {
    /// The record of an owner without an entry.
    pub const NO: Self = Self(Deadline::NONE);

    /// Returns the deadline of the entry.
    pub fn deadline(self) -> Deadline {
        self.0
    }
}

impl<Owner> Default for Timers<Owner> {
    fn default() -> Self {
        Self { queue: BTreeSet::new() }
    }
}

impl<Owner: Ord + Copy> Timers<Owner> {
    /// Moves the entry of an owner; without a deadline it is removed. O(log n) in the owners.
    pub fn rearm(&mut self, owner: Owner, armed: &mut Armed, to: Deadline) {
        if armed.0 == to {
            return;
        }
        if let Some(at) = armed.0.time() {
            assert!(self.queue.remove(&(at, owner)), "an armed owner has an entry");
        }
        if let Some(at) = to.time() {
            self.queue.insert((at, owner));
        }
        armed.0 = to;
    }

    /// Returns the first owner whose deadline is at or before `now`. Its entry stays until the owner rearms it.
    pub fn due(&self, now: Instant) -> Option<Owner> {
        self.queue.first().filter(|(at, _)| *at <= now).map(|(_, owner)| *owner)
    }

    /// Returns the earliest deadline.
    pub fn next(&self) -> Option<Instant> {
        self.queue.first().map(|(at, _)| *at)
    }

    /// Returns `true` when this owner has the entry that its record names.
    pub fn holds(&self, owner: Owner, armed: Armed) -> bool {
        armed.0.time().is_some_and(|at| self.queue.contains(&(at, owner)))
    }

    /// Returns the number of owners with an entry.
    pub fn len(&self) -> usize {
        self.queue.len()
    }
}
