//! Keys, what is stored under them, and when they expire.

use std::collections::{BTreeMap, BTreeSet};

/// What a server holds. Its clock stands still until it is set.
#[derive(Clone, Debug, Default)]
pub struct Dataset {
    keys: BTreeMap<Vec<u8>, StoredKey>,
    /// Milliseconds since 1970.
    pub now_ms: u64,
    /// Keys stay although their time is over: a mistake.
    pub keeps_expired: bool,
}

#[derive(Clone, Debug)]
struct StoredKey {
    content: KeyContent,
    expires_ms: Option<u64>,
}

/// A value of one of the types.
#[derive(Clone, Debug)]
pub enum KeyContent {
    /// A string.
    Text(RedisText),
    /// A hash.
    Hash(RedisHash),
    /// A set.
    Set(RedisSet),
    /// A sorted set.
    SortedSet(RedisSortedSet),
    /// A stream.
    Stream(RedisStream),
}

/// The bytes of a string.
#[derive(Clone, Debug, Default)]
pub struct RedisText(pub Vec<u8>);

/// Fields in the order in which they came first, as small hashes have them.
#[derive(Clone, Debug, Default)]
pub struct RedisHash(pub Vec<(Vec<u8>, Vec<u8>)>);

/// Members of a set.
#[derive(Clone, Debug, Default)]
pub struct RedisSet(pub BTreeSet<Vec<u8>>);

/// Members with their scores.
#[derive(Clone, Debug, Default)]
pub struct RedisSortedSet(pub BTreeMap<Vec<u8>, f64>);

/// Entries of a stream, and the last id that one ever had.
#[derive(Clone, Debug, Default)]
pub struct RedisStream {
    /// Ids with the fields and values behind each other.
    pub entries: BTreeMap<StreamId, Vec<Vec<u8>>>,
    /// The last id.
    pub last: StreamId,
}

/// Milliseconds and number of an entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct StreamId(pub u64, pub u64);

impl StreamId {
    /// Returns the least that is greater.
    pub fn next(self) -> Option<Self> {
        let Self(ms, number) = self;
        number.checked_add(1).map(|number| Self(ms, number)).or_else(|| ms.checked_add(1).map(|ms| Self(ms, 0)))
    }

    /// Returns the greatest that is less.
    pub fn before(self) -> Option<Self> {
        let Self(ms, number) = self;
        number.checked_sub(1).map(|number| Self(ms, number)).or_else(|| ms.checked_sub(1).map(|ms| Self(ms, u64::MAX)))
    }
}

/// One of the types that a key may have.
pub trait KeyType: Default {
    /// The content as this type, if it is of this type.
    fn of(content: &mut KeyContent) -> Option<&mut Self>;
    /// The content of a key.
    fn content(self) -> KeyContent;
    /// Whether a key with this goes.
    fn is_gone(&self) -> bool;
}

macro_rules! key_type {
    ($type:ident, $variant:ident, |$value:ident| $gone:expr) => {
        impl KeyType for $type {
            fn of(content: &mut KeyContent) -> Option<&mut Self> {
                if let KeyContent::$variant(value) = content { Some(value) } else { None }
            }
            fn content(self) -> KeyContent {
                KeyContent::$variant(self)
            }
            fn is_gone(&self) -> bool {
                let $value = self;
                $gone
            }
        }
    };
}

key_type!(RedisText, Text, |_text| false);
key_type!(RedisHash, Hash, |hash| hash.0.is_empty());
key_type!(RedisSet, Set, |set| set.0.is_empty());
key_type!(RedisSortedSet, SortedSet, |set| set.0.is_empty());
// A stream stays when it is empty.
key_type!(RedisStream, Stream, |_stream| false);

const WRONG_TYPE: &str = "WRONGTYPE Operation against a key holding the wrong kind of value";

impl Dataset {
    /// What is under a key, if it is of this type.
    ///
    /// # Errors
    /// If it is of another one.
    pub fn get<T: KeyType>(&mut self, key: &[u8]) -> Result<Option<&mut T>, String> {
        match self.live(key) {
            None => Ok(None),
            Some(stored) => T::of(&mut stored.content).map(Some).ok_or_else(|| WRONG_TYPE.into()),
        }
    }

    /// Changes what is under a key, which is made where it is missing and removed where nothing is left in it.
    ///
    /// # Errors
    /// If it is of another type.
    pub fn change<T: KeyType, R>(&mut self, key: &[u8], change: impl FnOnce(&mut T) -> R) -> Result<R, String> {
        if self.live(key).is_none() {
            self.put(key, T::default().content(), None);
        }
        let stored = self.live(key).expect("it is there");
        let value = T::of(&mut stored.content).ok_or(WRONG_TYPE)?;
        let result = change(value);
        if value.is_gone() {
            self.keys.remove(key);
        }
        Ok(result)
    }

    /// Stores a key with this content alone.
    pub fn put(&mut self, key: &[u8], content: KeyContent, expires_ms: Option<u64>) {
        self.keys.insert(key.to_vec(), StoredKey { content, expires_ms });
    }

    /// Removes a key. False if it was not there.
    pub fn remove(&mut self, key: &[u8]) -> bool {
        self.live(key).is_some() && self.keys.remove(key).is_some()
    }

    /// What TYPE says of a key.
    pub fn type_of(&mut self, key: &[u8]) -> &'static str {
        match self.live(key).map(|stored| &stored.content) {
            None => "none",
            Some(KeyContent::Text(_)) => "string",
            Some(KeyContent::Hash(_)) => "hash",
            Some(KeyContent::Set(_)) => "set",
            Some(KeyContent::SortedSet(_)) => "zset",
            Some(KeyContent::Stream(_)) => "stream",
        }
    }

    /// When a key expires; None for a key that is not there, Some(None) for one that stays.
    pub fn expiry(&mut self, key: &[u8]) -> Option<&mut Option<u64>> {
        self.live(key).map(|stored| &mut stored.expires_ms)
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.keys.clear();
    }

    fn live(&mut self, key: &[u8]) -> Option<&mut StoredKey> {
        let is_over = |stored: &StoredKey| stored.expires_ms.is_some_and(|expires| self.now_ms > expires);
        if !self.keeps_expired && self.keys.get(key).is_some_and(is_over) {
            self.keys.remove(key);
        }
        self.keys.get_mut(key)
    }
}
