//! The shards of a node, and which of them has the home of which room.

use crate::map::Keys;
use crate::names::RoomName;
use core::fmt;
use core::hash::BuildHasher;
use core::num::NonZeroU16;

/// Identifies a shard of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub struct ShardId(u16);

impl ShardId {
    /// The shard at the index 0, which is the only one of a node with one shard.
    pub(crate) const FIRST: Self = Self(0);

    /// Returns the id of the shard at this index.
    ///
    /// # Panics
    /// Panics above 65,535.
    #[must_use]
    pub fn at(index: usize) -> Self {
        Self(u16::try_from(index).expect("a node has at most 65,535 shards"))
    }

    /// Returns the index, from 0.
    #[must_use]
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

impl fmt::Display for ShardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A node: the number of its shards, and the keys that say where each room has its home.
#[derive(Clone, Copy, Debug, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub struct Node {
    shards: NonZeroU16,
    keys: Keys,
}

impl Node {
    /// A node with one shard.
    pub const SINGLE: Self = Self { shards: NonZeroU16::MIN, keys: Keys(0, 0) };

    /// Creates a node with so many shards. The 16 bytes are random, so that nobody can choose names that all live in one
    /// shard, and the same for all shards of the node.
    #[must_use]
    pub fn new(shards: NonZeroU16, seed: [u8; 16]) -> Self {
        let [low, high] = [0, 8].map(|at| u64::from_le_bytes(core::array::from_fn(|byte| seed[at + byte])));
        Self { shards, keys: Keys(low, high) }
    }

    /// Returns the ids of the shards.
    pub fn shards(&self) -> impl ExactSizeIterator<Item = ShardId> + use<> {
        (0..self.shards.get()).map(ShardId)
    }

    /// Returns the shard that has the home of a room: the hash of its name, modulo the number of shards.
    #[inline]
    #[must_use]
    pub fn home_of(&self, room: &RoomName) -> ShardId {
        if self.shards == NonZeroU16::MIN {
            return ShardId::FIRST;
        }
        let hash = self.keys.hash_one(room.as_str());
        ShardId(u16::try_from(hash % u64::from(self.shards.get())).expect("it is below the number of shards"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn rooms_have_homes_in_all_shards() {
        let node = Node::new(NonZeroU16::new(4).expect("some"), [7; 16]);
        let mut rooms: Vec<usize> =
            (0..1000).map(|room| node.home_of(&RoomName::from(&*alloc::format!("r{room}"))).index()).collect();
        rooms.sort_unstable();
        let counts: Vec<usize> =
            node.shards().map(|shard| rooms.iter().filter(|at| **at == shard.index()).count()).collect();
        assert!(counts.len() == 4 && counts.iter().all(|count| (200..=300).contains(count)), "{counts:?}");
        let name = RoomName::from("a");
        assert_eq!(Node::SINGLE.home_of(&name), ShardId::FIRST);
    }
}
