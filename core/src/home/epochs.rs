//! The identities of logs. A log that has never numbered anything needs no memory: its epoch follows from its room's name
//! and from a counter that grows whenever a log with offsets is forgotten.

use crate::ids::Name;
use crate::map::{Keys, Map};
use core::hash::BuildHasher;

/// The epoch that a log of any room has, or would begin with.
#[derive(Clone, Debug)]
pub(super) struct Epochs {
    keys: Keys,
    /// How many logs with offsets were forgotten, by the low bits of the hash of their room's name. A part that is absent
    /// stands at 0, so there are at most 65,536 counters. Rooms that share one begin anew together, which costs a client
    /// that comes back to a quiet room a recovery, and nothing else.
    forgotten: Map<u16, u64>,
}

/// An odd number: its multiples are all different.
const STEP: u64 = 0x9E37_79B9_7F4A_7C15;

impl Epochs {
    pub fn new(keys: Keys) -> Self {
        Self { keys, forgotten: Map::with_hasher(keys) }
    }

    /// The epoch of a log of this room that has not numbered anything. It stays the same until a log is forgotten.
    pub fn of(&self, room: &Name) -> u64 {
        let hash = self.keys.hash_one(room);
        let forgotten = self.forgotten.get(&part(hash)).copied().unwrap_or(0);
        scatter(hash.wrapping_add(forgotten.wrapping_mul(STEP)))
    }

    /// Counts that a log of this room with offsets is forgotten: none will have its epoch again, because [`scatter`] is
    /// one-to-one.
    pub fn forget(&mut self, room: &Name) {
        *self.forgotten.entry(part(self.keys.hash_one(room))).or_default() += 1;
    }
}

/// Which counter a room shares.
fn part(hash: u64) -> u16 {
    (hash & 0xFFFF) as u16
}

/// The finalizer of SplitMix64, a permutation of all 64-bit numbers.
fn scatter(mut mixed: u64) -> u64 {
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    /// The first numbers of SplitMix64 from the seed 1234567, as its reference implementation gives them.
    #[test]
    fn epochs_are_scattered_one_to_one() {
        let first: Vec<u64> = (1..=3).map(|n: u64| scatter(n.wrapping_mul(STEP).wrapping_add(1_234_567))).collect();
        assert_eq!(first, [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]);
    }

    #[test]
    fn a_room_has_one_epoch_until_its_log_is_forgotten_and_never_the_same_again() {
        let mut epochs = Epochs::new(Keys(1, 2));
        let (a, b) = (Name::from("a"), Name::from("b"));
        let (first, other) = (epochs.of(&a), epochs.of(&b));
        assert_ne!(first, other);
        let mut seen = alloc::vec![first];
        for _ in 0..100 {
            epochs.forget(&a);
            assert!(!seen.contains(&epochs.of(&a)));
            seen.push(epochs.of(&a));
        }
        assert_eq!(epochs.of(&b), other, "a quiet room keeps its epoch");
        assert_ne!(Epochs::new(Keys(1, 3)).of(&a), first, "only who knows the keys can tell it");
    }

    #[test]
    fn a_log_that_is_forgotten_takes_few_other_rooms_along() {
        let mut epochs = Epochs::new(Keys(1, 2));
        let quiet: Vec<Name> = (0..1000).map(|n| Name::from(alloc::format!("quiet-{n}").as_str())).collect();
        let before: Vec<u64> = quiet.iter().map(|room| epochs.of(room)).collect();
        (0..1000).for_each(|n| epochs.forget(&Name::from(alloc::format!("busy-{n}").as_str())));
        let kept = quiet.iter().zip(before).filter(|(room, before)| epochs.of(room) == *before).count();
        // 1,000 of 65,536 counters have grown.
        assert!(kept > 960, "{kept} of 1000 rooms keep their epoch");
    }
}
