//! The outcomes of publications that had an idempotency key: within `idempotency_window` the same key has the same
//! outcome.

use crate::limits::Limits;
use crate::map::{Keys, Map};
use crate::names::RoomName;
use crate::publication::LogPosition;
use crate::snapshot::KeyView;
use crate::time::Instant;
use alloc::collections::VecDeque;
use alloc::string::String;

/// The idempotency keys of all rooms, at most `idempotency_keys` in all. Keys of different rooms are independent.
#[derive(Clone, Debug, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub(crate) struct Idempotency {
    #[serde(with = "crate::map::in_order")]
    answers: Map<(RoomName, String), Option<LogPosition>>,
    /// The keys, oldest first, with the time at which each is forgotten.
    order: VecDeque<(Instant, (RoomName, String))>,
}

impl Idempotency {
    /// Creates an empty memory whose hash function has these keys.
    pub fn new(keys: Keys) -> Self {
        Self { answers: Map::with_hasher(keys), order: VecDeque::new() }
    }

    /// Returns the position that the publication with this key got; the inner `None` when it got no position.
    pub fn find(&self, room: &RoomName, key: &str) -> Option<Option<LogPosition>> {
        self.answers.get(&(room.clone(), String::from(key))).copied()
    }

    /// Stores the position of the publication with this key, and forgets the oldest keys above `idempotency_keys`. Returns how
    /// many.
    pub fn remember(
        &mut self,
        now: Instant,
        room: &RoomName,
        key: String,
        position: Option<LogPosition>,
        limits: &Limits,
    ) -> u64 {
        let known = (room.clone(), key);
        self.answers.insert(known.clone(), position);
        // Where the window was shortened, those before it are the first to be forgotten all the same.
        let until = self.order.back().map_or(Instant(0), |(until, _)| *until).max(now.after(limits.idempotency_window));
        self.order.push_back((until, known));
        // More of them are above the bound only where it was lowered, and are not forgotten in one turn.
        let forgotten = self.order.len().saturating_sub(limits.idempotency_keys).min(2);
        (0..forgotten).for_each(|_| self.forget_oldest());
        forgotten as u64
    }

    /// Forgets the keys that are older than `idempotency_window`.
    pub fn tick(&mut self, now: Instant) {
        while self.next_deadline().is_some_and(|at| at <= now) {
            self.forget_oldest();
        }
    }

    /// Returns the time at which the oldest key is forgotten.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.order.front().map(|(at, _)| *at)
    }

    /// Returns the keys, oldest first.
    pub fn views(&self) -> impl Iterator<Item = KeyView> {
        let view = |(until, (room, key)): &(Instant, (RoomName, String))| KeyView {
            room: room.clone(),
            key: key.clone(),
            until: *until,
        };
        self.order.iter().map(view)
    }

    /// Asserts that the keys are in order and bounded. O(n) in the keys.
    pub fn audit(&self, limits: &Limits) {
        assert_eq!(self.answers.len(), self.order.len(), "G3: every idempotency key will be forgotten");
        assert!(self.order.len() <= limits.idempotency_keys, "G6: idempotency keys are bounded");
        assert!(self.order.iter().is_sorted_by_key(|(at, _)| *at), "G7: the oldest key is the first to be forgotten");
    }

    fn forget_oldest(&mut self) {
        if let Some((_, key)) = self.order.pop_front() {
            self.answers.swap_remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::audit_finds;

    #[test]
    fn the_audit_reports_each_broken_invariant() {
        let make = || {
            let limits = Limits { idempotency_keys: 2, ..Limits::default() };
            let mut keys = Idempotency::new(Keys(1, 2));
            for (at, key) in [(1, "a"), (2, "b")] {
                let position = Some(LogPosition { epoch: 7, offset: at });
                keys.remember(Instant(at), &RoomName::from("a"), key.into(), position, &limits);
            }
            (keys, limits)
        };
        audit_finds(
            make,
            |(keys, limits)| keys.audit(limits),
            &[
                ("G3: every idempotency key will be forgotten", |(keys, _)| keys.answers.clear()),
                ("G6: idempotency keys are bounded", |(_, limits)| limits.idempotency_keys = 1),
                ("G7: the oldest key is the first to be forgotten", |(keys, _)| keys.order.swap(0, 1)),
            ],
        );
    }
}
