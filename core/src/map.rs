//! The hash map that is used everywhere: keyed against collision attacks, and iterated in an order that depends on the
//! inputs alone.

use core::hash::BuildHasher;
use indexmap::IndexMap;
use siphasher::sip::SipHasher13;

/// A map whose keys may be chosen by clients.
pub(crate) type Map<K, V> = IndexMap<K, V, Keys>;

/// The secret keys of the hash function, without which a client cannot choose names that collide.
#[derive(Clone, Copy, Debug, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub(crate) struct Keys(pub u64, pub u64);

impl BuildHasher for Keys {
    type Hasher = SipHasher13;

    fn build_hasher(&self) -> SipHasher13 {
        SipHasher13::new_with_keys(self.0, self.1)
    }
}

/// The form of a map in a written state: its keys of the hash function, and its entries in their order.
pub(crate) mod in_order {
    #[cfg(feature = "replay")]
    use super::Keys;
    use super::Map;
    use serde::ser::SerializeTuple;
    use serde::{Serialize, Serializer};

    pub(crate) fn serialize<K: Serialize, V: Serialize, S: Serializer>(
        map: &Map<K, V>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let mut parts = serializer.serialize_tuple(2)?;
        parts.serialize_element(map.hasher())?;
        parts.serialize_element(&Entries(map))?;
        parts.end()
    }

    struct Entries<'a, K, V>(&'a Map<K, V>);

    impl<K: Serialize, V: Serialize> Serialize for Entries<'_, K, V> {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.collect_seq(self.0)
        }
    }

    #[cfg(feature = "replay")]
    pub(crate) fn deserialize<'de, K, V, D>(deserializer: D) -> Result<Map<K, V>, D::Error>
    where
        K: serde::Deserialize<'de> + core::hash::Hash + Eq,
        V: serde::Deserialize<'de>,
        D: serde::Deserializer<'de>,
    {
        let (keys, entries): (Keys, alloc::vec::Vec<(K, V)>) = serde::Deserialize::deserialize(deserializer)?;
        let mut map = Map::with_hasher(keys);
        map.extend(entries);
        Ok(map)
    }
}

/// The form of a map whose keys are addresses in memory, which is made again of what is at them: its keys of the hash function.
pub(crate) mod of_addresses {
    use super::Map;
    use serde::{Serialize, Serializer};

    pub(crate) fn serialize<V, S: Serializer>(map: &Map<usize, V>, serializer: S) -> Result<S::Ok, S::Error> {
        map.hasher().serialize(serializer)
    }

    #[cfg(feature = "replay")]
    pub(crate) fn deserialize<'de, V, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Map<usize, V>, D::Error> {
        serde::Deserialize::deserialize(deserializer).map(Map::with_hasher)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn collisions_depend_on_the_keys() {
        let hash = |keys: Keys| keys.hash_one("room");
        assert_eq!(hash(Keys(1, 2)), hash(Keys(1, 2)));
        assert_ne!(hash(Keys(1, 2)), hash(Keys(3, 2)));
        assert_ne!(hash(Keys(1, 2)), hash(Keys(1, 3)));
    }
}
