//! The hash map that is used everywhere: keyed against collision attacks, and iterated in an order that depends on the
//! inputs alone.

use core::hash::BuildHasher;
use indexmap::IndexMap;
use siphasher::sip::SipHasher13;

/// A map whose keys may be chosen by clients.
pub(crate) type Map<K, V> = IndexMap<K, V, Keys>;

/// The secret keys of the hash function, without which a client cannot choose names that collide.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Keys(pub u64, pub u64);

impl BuildHasher for Keys {
    type Hasher = SipHasher13;

    fn build_hasher(&self) -> SipHasher13 {
        SipHasher13::new_with_keys(self.0, self.1)
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
