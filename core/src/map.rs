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
