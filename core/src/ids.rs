//! The identities of connections, clients, rooms and users.

use crate::json::Json;
use crate::names::UserId;
use alloc::string::{String, ToString};
use core::fmt;
use uuid::Uuid;
use uuid::fmt::Hyphenated;

/// A position in a shard's table of connections, which is reused after its connection has ended.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub(crate) struct Slot(u32);

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Slot {
    /// Returns the slot at this index.
    ///
    /// # Panics
    /// Panics above 2^32 - 1, which is more connections than a node can hold.
    pub fn at(index: usize) -> Self {
        Self(u32::try_from(index).expect("fewer than 2^32 slots"))
    }

    /// Returns the index in the table.
    pub fn index(self) -> usize {
        self.0 as usize
    }

    /// Returns the slot that is so far behind this one, modulo 2^32.
    pub fn after(self, distance: u32) -> Self {
        Self(self.0.wrapping_add(distance))
    }

    /// Returns the slot that is so far before this one, modulo 2^32.
    pub fn before(self, distance: u32) -> Self {
        Self(self.0.wrapping_sub(distance))
    }

    /// Returns how far this slot is behind another, modulo 2^32.
    pub fn distance(self, other: Self) -> u32 {
        self.0.wrapping_sub(other.0)
    }
}

/// Slots and places in lists are counted in 32 bits: half the memory, and more than a node can hold.
pub(crate) fn index(at: usize) -> u32 {
    u32::try_from(at).expect("fewer than 2^32 of anything")
}

/// The id of one connection of a shard: its slot and its generation in that slot.
///
/// The slot of a connection that ended is used again under the next generation, so an id that outlives its connection
/// never names another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub struct ConnId {
    pub(crate) slot: Slot,
    pub(crate) generation: u32,
}

impl ConnId {
    /// Creates an id for a test or a simulator. A shard ignores and counts inputs with an id that it has not created.
    ///
    /// # Panics
    /// Panics for a slot above 2^32 - 1.
    #[must_use]
    pub fn from_parts(slot: usize, generation: u32) -> Self {
        Self { slot: Slot::at(slot), generation }
    }

    /// Returns the index of the slot, which is unique among the connections that exist at the same time.
    #[must_use]
    pub fn slot(self) -> usize {
        self.slot.index()
    }

    /// Returns the number of connections that had the slot before, modulo 2^32.
    #[must_use]
    pub fn generation(self) -> u32 {
        self.generation
    }
}

impl fmt::Display for ConnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.slot.0, self.generation)
    }
}

/// The public id of a connection: 16 random bytes, written as a UUID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub struct ClientId(pub [u8; 16]);

impl ClientId {
    /// Parses the form that [`fmt::Display`] writes: 32 hexadecimal digits in groups of 8, 4, 4, 4 and 12.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        // The library reads other forms too, which are shorter or longer.
        let uuid = Uuid::try_parse(text).ok().filter(|_| text.len() == Hyphenated::LENGTH)?;
        Some(Self(uuid.into_bytes()))
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Uuid::from_bytes(self.0).hyphenated().fmt(f)
    }
}

/// The identity of a connection as other members may see it, shared by all of its rooms.
#[derive(Clone, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub struct ClientInfo {
    /// The public id of the connection.
    pub client: ClientId,
    /// The user; empty for an anonymous connection.
    pub user: UserId,
    /// The info from the connection token.
    #[serde(serialize_with = "crate::stored::content")]
    pub info: Option<Json>,
    /// The info from the room token.
    #[serde(serialize_with = "crate::stored::content")]
    pub room_info: Option<Json>,
}

impl ClientInfo {
    /// Returns the bytes in a reply that depend on the user and the infos.
    pub(crate) fn bytes(&self) -> usize {
        let text = |info: &Option<Json>| info.as_ref().map_or(0, |info| info.len());
        self.user.len() + text(&self.info) + text(&self.room_info)
    }

    /// Returns the public id as clients see it.
    #[must_use]
    pub fn client_text(&self) -> String {
        self.client.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn client_info_size_includes_user_and_both_info_fields() {
        let bare = crate::testing::client_info(1);
        let text = |text: &str| Json::parse(text).ok();
        let full = ClientInfo { user: UserId::from("u"), info: text("22"), room_info: text("4444"), ..(*bare).clone() };
        assert_eq!((bare.bytes(), full.bytes()), (0, 7));
    }

    #[test]
    fn ids_parse_what_they_display() {
        assert_eq!(ConnId::from_parts(12, 3).to_string(), "12.3");
        let client = ClientId([0x0F, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 0xFF]);
        assert_eq!(client.to_string(), "0f010203-0405-0607-0809-0a0b0c0d0eff");
        assert_eq!(ClientId::parse(&client.to_string()), Some(client));
        assert_eq!(ClientId::parse("0f010203-0405-0607-0809-0a0b0c0d0e+f"), None);
        assert_eq!(ClientId::parse("0f0102030405-0607-0809-0a0b0c0d0eff"), None);
    }
}
