//! The epochs of logs. The epoch of a log that has numbered no publication takes no memory: it is a function of the
//! room's name and of a counter that grows whenever a log with offsets is evicted.

use crate::map::{Keys, Map};
use crate::names::RoomName;
use alloc::vec::Vec;
use core::hash::BuildHasher;

/// The function that gives each room the epoch of its log.
#[derive(Clone, Debug, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub(super) struct Epochs {
    keys: Keys,
    /// The number of evicted logs with offsets, by the low 16 bits of the hash of their room's name; at most 65,536
    /// counters, absent while 0. Rooms that share a counter change their epoch together, which costs a client that
    /// returns to a quiet room one failed recovery and nothing else.
    #[serde(with = "crate::map::in_order")]
    forgotten: Map<u16, u64>,
}

/// An odd number, so that its multiples modulo 2^64 are all different.
const STEP: u64 = 0x9E37_79B9_7F4A_7C15;

impl Epochs {
    /// Creates epochs that are unpredictable without the keys.
    pub fn new(keys: Keys) -> Self {
        Self { keys, forgotten: Map::with_hasher(keys) }
    }

    /// Returns the epoch of a log of this room that has numbered no publication. It is the same until
    /// [`Epochs::forget`] is called for the room.
    pub fn of(&self, room: &RoomName) -> u64 {
        let hash = self.keys.hash_one(room);
        let forgotten = self.forgotten.get(&counter_key(hash)).copied().unwrap_or(0);
        scatter(hash.wrapping_add(forgotten.wrapping_mul(STEP)))
    }

    /// Returns the counters, by key.
    pub fn counters(&self) -> Vec<(u16, u64)> {
        let mut counters: Vec<(u16, u64)> = self.forgotten.iter().map(|(key, count)| (*key, *count)).collect();
        counters.sort_unstable();
        counters
    }

    /// Counts an evicted log of this room. No later log has its epoch, because [`scatter`] is one-to-one.
    pub fn forget(&mut self, room: &RoomName) {
        *self.forgotten.entry(counter_key(self.keys.hash_one(room))).or_default() += 1;
    }
}

/// Returns the key of the counter for this hash of a room's name.
fn counter_key(hash: u64) -> u16 {
    (hash & 0xFFFF) as u16
}

/// Returns the output of the finalizer of SplitMix64, a permutation of all 64-bit numbers.
fn scatter(mut mixed: u64) -> u64 {
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first numbers of SplitMix64 from the seed 1234567, as its reference implementation gives them.
    #[test]
    fn scatter_equals_the_reference_splitmix64() {
        let first: Vec<u64> = (1..=3).map(|n: u64| scatter(n.wrapping_mul(STEP).wrapping_add(1_234_567))).collect();
        assert_eq!(first, [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]);
    }

    #[test]
    fn a_room_keeps_its_epoch_until_its_log_is_evicted_and_never_gets_it_again() {
        let mut epochs = Epochs::new(Keys(1, 2));
        let (a, b) = (RoomName::from("a"), RoomName::from("b"));
        let (first, other) = (epochs.of(&a), epochs.of(&b));
        assert_ne!(first, other);
        let mut seen = alloc::vec![first];
        for _ in 0..100 {
            epochs.forget(&a);
            assert!(!seen.contains(&epochs.of(&a)));
            seen.push(epochs.of(&a));
        }
        assert_eq!(epochs.of(&b), other, "a quiet room keeps its epoch");
        assert_ne!(Epochs::new(Keys(1, 3)).of(&a), first, "epochs depend on the keys");
    }

    #[test]
    fn evicting_a_log_changes_the_epochs_of_few_other_rooms() {
        let mut epochs = Epochs::new(Keys(1, 2));
        let quiet: Vec<RoomName> = (0..1000).map(|n| RoomName::from(alloc::format!("quiet-{n}").as_str())).collect();
        let before: Vec<u64> = quiet.iter().map(|room| epochs.of(room)).collect();
        (0..1000).for_each(|n| epochs.forget(&RoomName::from(alloc::format!("busy-{n}").as_str())));
        let kept = quiet.iter().zip(before).filter(|(room, before)| epochs.of(room) == *before).count();
        // 1,000 of 65,536 counters have grown.
        assert!(kept > 960, "{kept} of 1000 rooms keep their epoch");
    }
}
