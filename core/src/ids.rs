//! The identities of connections, clients, rooms and users.

use crate::json::Json;
use crate::limits::Limit;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use core::borrow::Borrow;
use core::fmt;

/// A position in a shard's table of connections, which is reused after its connection has ended.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
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
}

/// The id of one connection of a shard: its slot and its generation in that slot.
///
/// The slot of a connection that ended is used again under the next generation, so an id that outlives its connection
/// never names another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId(pub [u8; 16]);

impl ClientId {
    /// Parses the form that [`fmt::Display`] writes: 32 hexadecimal digits in groups of 8, 4, 4, 4 and 12.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let groups: alloc::vec::Vec<&str> = text.split('-').collect();
        let lengths = groups.iter().map(|group| group.len());
        let digits_only = groups.iter().all(|group| group.bytes().all(|byte| byte.is_ascii_hexdigit()));
        if !lengths.eq([8, 4, 4, 4, 12]) || !digits_only {
            return None;
        }
        let digits = u128::from_str_radix(&groups.concat(), 16).ok()?;
        Some(Self(digits.to_be_bytes()))
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, byte) in self.0.iter().enumerate() {
            if matches!(at, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

/// The name of a room or a user: shared, immutable, and created only by the constructors below.
///
/// It contains no character that makes it look like another name or breaks the line that it is displayed in: no control
/// character, line separator, bidirectional character or zero-width character.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Arc<str>);

impl Name {
    /// Returns the name of the anonymous user.
    #[must_use]
    pub fn empty() -> Self {
        Self(Arc::from(""))
    }

    /// Validates the name of a room, reserved or not: 1 to `max` bytes.
    ///
    /// # Errors
    /// Returns the first rule that the name breaks.
    pub fn room(name: &str, max: usize) -> Result<Self, BadName> {
        if name.is_empty() {
            return Err(BadName::Empty);
        }
        if name.len() > max {
            return Err(BadName::TooLong(max));
        }
        // Most names consist of plain characters, which needs no test of each character alone.
        if name.bytes().fold(true, |is_plain, byte| is_plain & (b' '..=b'~').contains(&byte)) {
            return Ok(Self(Arc::from(name)));
        }
        match name.chars().find(|char| is_deceptive(*char)) {
            Some(char) => Err(BadName::Character(char)),
            None => Ok(Self(Arc::from(name))),
        }
    }

    /// Validates the name of a room that a client may join by name: as [`Name::room`], and not reserved.
    ///
    /// # Errors
    /// Returns the first rule that the name breaks.
    pub fn client_room(name: &str, max: usize) -> Result<Self, BadName> {
        let room = Self::room(name, max)?;
        if room.is_reserved() { Err(BadName::Reserved) } else { Ok(room) }
    }

    /// Validates the id of a user who is not anonymous: as the name of a room, and short enough for a personal room of
    /// at most `max` bytes.
    ///
    /// # Errors
    /// Returns the first rule that the id breaks.
    pub fn user(id: &str, max: usize) -> Result<Self, BadName> {
        match Self::room(id, usize::MAX) {
            Ok(user) if user.len() >= max => Err(BadName::TooLong(max)),
            user => user,
        }
    }

    /// Returns the name of the user's personal room.
    #[must_use]
    pub fn personal_room(&self) -> Self {
        let mut room = String::with_capacity(self.len() + 1);
        room.push('#');
        room.push_str(self);
        Self(Arc::from(room))
    }

    /// Returns `true` for the name of a room that only the server subscribes connections to.
    #[must_use]
    pub fn is_reserved(&self) -> bool {
        self.starts_with('#')
    }

    /// Returns the name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Returns `true` for a character that is invisible or changes the display of others: control characters (C0, DEL, C1),
/// line separators, bidirectional marks, embeddings and isolates, and zero-width characters.
fn is_deceptive(char: char) -> bool {
    let has_no_width = matches!(char, '\u{200B}' | '\u{2060}' | '\u{FEFF}');
    let directs =
        matches!(char, '\u{61C}' | '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}');
    let separates = matches!(char, '\u{2028}' | '\u{2029}');
    char.is_control() || separates || directs || has_no_width
}

/// Creates a name in a test.
#[cfg(test)]
impl From<&str> for Name {
    fn from(name: &str) -> Self {
        Self::room(name, usize::MAX).expect("a name")
    }
}

impl core::ops::Deref for Name {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl serde::Serialize for Name {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// The rule that a name breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadName {
    /// The name is empty.
    Empty,
    /// The name has more bytes than this.
    TooLong(usize),
    /// The name contains this invisible or direction-changing character.
    Character(char),
    /// The name starts with `#`: only the server subscribes connections to such rooms.
    Reserved,
}

impl fmt::Display for BadName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("a name must not be empty"),
            Self::TooLong(max) => write!(f, "a room's name has at most {max} bytes ({})", Limit::RoomNameBytes),
            Self::Character(char) => {
                let kinds = "control, line-separator, bidirectional and zero-width characters";
                write!(f, "a name must not contain U+{:04X}, nor any of the {kinds}", u32::from(*char))
            }
            Self::Reserved => f.write_str("names that start with '#' are reserved"),
        }
    }
}

/// The identity of a connection as other members may see it, shared by all of its rooms.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ClientInfo {
    /// The public id of the connection.
    pub client: ClientId,
    /// The user; empty for an anonymous connection.
    pub user: Name,
    /// The info from the connection token.
    pub info: Option<Json>,
    /// The info from the room token.
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
    fn a_room_name_has_at_most_max_bytes() {
        assert_eq!(Name::room("\u{e9}12", 4), Ok(Name::from("\u{e9}12")));
        assert_eq!(Name::room("\u{e9}123", 4), Err(BadName::TooLong(4)));
        assert_eq!(Name::user("123", 4), Ok(Name::from("123")));
        assert_eq!(Name::user("1234", 4), Err(BadName::TooLong(4)), "its personal room has one more");
    }

    #[test]
    fn a_name_contains_no_invisible_or_bidirectional_character() {
        let ranges = [0..=0x1F, 0x7F..=0x9F, 0x61C..=0x61C, 0x200B..=0x200B, 0x200E..=0x200F, 0x2028..=0x202E];
        let more = [0x2060..=0x2060, 0x2066..=0x2069, 0xFEFF..=0xFEFF];
        let refused: alloc::vec::Vec<u32> = ranges.into_iter().chain(more).flatten().collect();
        for char in (0..=0x10_FFFF).filter_map(char::from_u32) {
            let name = alloc::format!("a{char}b");
            let expected = if refused.contains(&u32::from(char)) { Err(BadName::Character(char)) } else { Ok(()) };
            assert_eq!(Name::room(&name, 200).map(drop), expected, "{name:?}");
            assert_eq!(Name::user(&name, 200).map(drop), expected, "{name:?}");
        }
        let told = BadName::Character('\u{202E}').to_string();
        assert!(told.starts_with("a name must not contain U+202E"), "{told}");
    }

    #[test]
    fn client_info_size_includes_user_and_both_info_fields() {
        let bare = crate::testing::client_info(1);
        let text = |text: &str| Json::parse(text).ok();
        let full = ClientInfo { user: Name::from("u"), info: text("22"), room_info: text("4444"), ..(*bare).clone() };
        assert_eq!((bare.bytes(), full.bytes()), (0, 7));
    }

    #[test]
    fn ids_parse_what_they_display() {
        assert_eq!(ConnId::from_parts(12, 3).to_string(), "12.3");
        let client = ClientId([0x0F, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 0xFF]);
        assert_eq!(client.to_string(), "0f010203-0405-0607-0809-0a0b0c0d0eff");
        assert_eq!(ClientId::parse(&client.to_string()), Some(client));
        assert_eq!(ClientId::parse("0f010203-0405-0607-0809-0a0b0c0d0e+f"), None);
        assert_eq!(alloc::format!("{:?}", Name::from("a\"")), r#""a\"""#);
        assert_eq!(ClientId::parse("0f0102030405-0607-0809-0a0b0c0d0eff"), None);
    }
}
