//! The form in which the state of a shard is written down, so that a shard can go on from it.
//!
//! The types of the state derive how they are written. Derived code cannot know a secret, a payload, or a value that is shared
//! and counts once: these are named here, field by field.

pub(crate) mod places;
#[cfg(feature = "replay")]
mod shared;
mod writer;

#[cfg(feature = "replay")]
pub(crate) use shared::{Sharing, shared};
pub(crate) use writer::{ContentKind, ContentRange, StateError, StateWriter, WrittenState};

use crate::payload::Payload;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec;
use serde::ser::SerializeTupleStruct;
use serde::{Serialize, Serializer};

/// A text that lives as long as the program. Derived code takes the longer name for one that it can read without a copy.
pub(crate) type StaticText = &'static str;

/// The name around JSON that is content: tags, or an `info`.
const CONTENT: &str = "content";
/// The name around words that become a string of JSON.
const TEXT: &str = "text";
/// The name around the bytes of a frame.
const FRAME: &str = "frame";
/// The name around a token.
const TOKEN: &str = "token";
/// The name of a value that others may share, behind its address in memory.
const SHARED: &str = "shared";

/// Writes a token, or filler of as many bytes: see [`StateWriter::write`].
pub(crate) fn token<S: Serializer>(token: &impl Serialize, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_newtype_struct(TOKEN, token)
}

/// Writes JSON in which everything is content.
pub(crate) fn content<S: Serializer>(content: &impl Serialize, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_newtype_struct(CONTENT, content)
}

/// Writes tags, whose values are content.
pub(crate) fn tags<S: Serializer>(tags: &BTreeMap<String, String>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(tags.iter().map(|(name, value)| (name, Words(value))))
}

/// Words that are content.
struct Words<'a>(&'a str);

impl Serialize for Words<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_newtype_struct(TEXT, self.0)
    }
}

/// Writes a payload that several publications may share.
pub(crate) fn payload<S: Serializer>(payload: &Payload, serializer: S) -> Result<S::Ok, S::Error> {
    let address = if payload.is_shared() { payload.address() } else { 0 };
    Shared { address, value: payload }.serialize(serializer)
}

/// Writes the bytes of a frame, which several connections may wait for. Address 0 is that of a frame that one has alone.
pub(crate) fn frame<S: Serializer>(address: usize, bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_newtype_struct(FRAME, &Shared { address, value: &WholeBytes(bytes) })
}

/// Writes bytes as a whole.
pub(crate) fn bytes<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_bytes(bytes)
}

/// Writes a list of a fixed length.
pub(crate) fn list<T: Serialize, const N: usize, S: Serializer>(
    list: &[T; N],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let list: &[T] = list;
    list.serialize(serializer)
}

/// Writes the items of a list that are still to come.
pub(crate) fn rest<T: Serialize, S: Serializer>(rest: &vec::IntoIter<T>, serializer: S) -> Result<S::Ok, S::Error> {
    rest.as_slice().serialize(serializer)
}

/// Writes the items of a list that are still to come, with the number of the next, if there is such a list.
pub(crate) fn numbered_rest<T: Serialize, S: Serializer>(
    rest: &Option<(usize, vec::IntoIter<T>)>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    rest.as_ref().map(|(at, rest)| (at, rest.as_slice())).serialize(serializer)
}

/// A value with its address in memory.
struct Shared<'a, T> {
    address: usize,
    value: &'a T,
}

impl<T: Serialize> Serialize for Shared<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut parts = serializer.serialize_tuple_struct(SHARED, 2)?;
        parts.serialize_field(&self.address)?;
        parts.serialize_field(self.value)?;
        parts.end()
    }
}

/// Bytes that are written as a whole.
struct WholeBytes<'a>(&'a [u8]);

impl Serialize for WholeBytes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}
