//! The only map in use: hashed with injected keys, iterated in an order that follows from the inputs alone.

use core::hash::BuildHasher;
use indexmap::IndexMap;
use siphasher::sip::SipHasher13;

/// A map whose keys may be chosen by a client.
pub(crate) type Map<K, V> = IndexMap<K, V, Keys>;

/// The secret that keeps a client from choosing names that collide.
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
    fn who_does_not_know_the_keys_does_not_know_what_collides() {
        let hash = |keys: Keys| keys.hash_one("room");
        assert_eq!(hash(Keys(1, 2)), hash(Keys(1, 2)));
        assert_ne!(hash(Keys(1, 2)), hash(Keys(3, 2)));
        assert_ne!(hash(Keys(1, 2)), hash(Keys(1, 3)));
    }
}
