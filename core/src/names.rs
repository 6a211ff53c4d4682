//! The names of rooms and the ids of users.

use crate::limits::Limit;
use alloc::string::String;
use alloc::sync::Arc;
use core::borrow::Borrow;
use core::fmt;

/// The name of a room: shared, immutable, and created only by the constructors below.
///
/// It contains no control character, no line separator, and none of the characters that are invisible or reverse the text
/// around them: U+061C, U+200B, U+200E, U+200F, U+202A to U+202E, U+2060, U+2066 to U+2069 and U+FEFF.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RoomName(Arc<str>);

impl RoomName {
    /// Validates the name of a room, reserved or not: 1 to `max` bytes.
    ///
    /// # Errors
    /// Returns the first rule that the name breaks.
    pub fn parse(name: &str, max: usize) -> Result<Self, BadName> {
        validate(name, max).map(Self)
    }

    /// Validates the name of a room that a client may join by name: as [`RoomName::parse`], and not reserved.
    ///
    /// # Errors
    /// Returns the first rule that the name breaks.
    pub fn parse_for_client(name: &str, max: usize) -> Result<Self, BadName> {
        let room = Self::parse(name, max)?;
        if room.is_reserved() { Err(BadName::Reserved) } else { Ok(room) }
    }

    /// Returns `true` for the name of a room that only the server subscribes connections to.
    #[must_use]
    pub fn is_reserved(&self) -> bool {
        self.starts_with('#')
    }
}

/// The id of a user: shared, immutable, and created only by the constructors below.
///
/// It contains the characters that the name of a room may have: the name of the user's personal room is made of it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserId(Arc<str>);

impl UserId {
    /// Returns the id of the anonymous user, which is empty.
    #[must_use]
    pub fn anonymous() -> Self {
        Self(Arc::from(""))
    }

    /// Validates the id of a user who is not anonymous: as the name of a room, and short enough for a personal room of
    /// at most `max` bytes.
    ///
    /// # Errors
    /// Returns the first rule that the id breaks.
    pub fn parse(id: &str, max: usize) -> Result<Self, BadName> {
        let user = validate(id, usize::MAX)?;
        if user.len() >= max { Err(BadName::TooLong(max)) } else { Ok(Self(user)) }
    }

    /// Returns `true` for the anonymous user.
    #[must_use]
    pub fn is_anonymous(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the name of the user's personal room. The anonymous user has none.
    #[must_use]
    pub fn personal_room(&self) -> RoomName {
        let mut room = String::with_capacity(self.len() + 1);
        room.push('#');
        room.push_str(self);
        RoomName(Arc::from(room))
    }
}

fn validate(name: &str, max: usize) -> Result<Arc<str>, BadName> {
    if name.is_empty() {
        return Err(BadName::Empty);
    }
    if name.len() > max {
        return Err(BadName::TooLong(max));
    }
    // Most names consist of plain characters, which needs no test of each character alone.
    if name.bytes().fold(true, |is_plain, byte| is_plain & (b' '..=b'~').contains(&byte)) {
        return Ok(Arc::from(name));
    }
    match name.chars().find(|char| is_deceptive(*char)) {
        Some(char) => Err(BadName::Character(char)),
        None => Ok(Arc::from(name)),
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

/// Implements what both kinds of names share: access, display and lookup as text.
macro_rules! as_text {
    ($($name:ident, $expected:literal);*) => {$(
        impl $name {
            /// Returns the name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        /// Creates a name in a test.
        #[cfg(test)]
        impl From<&str> for $name {
            fn from(name: &str) -> Self {
                Self(validate(name, usize::MAX).expect($expected))
            }
        }

        impl core::ops::Deref for $name {
            type Target = str;
            fn deref(&self) -> &str {
                &self.0
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )*};
}

as_text!(RoomName, "the name of a room"; UserId, "the id of a user");

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

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn a_room_name_has_at_most_max_bytes() {
        assert_eq!(RoomName::parse("\u{e9}12", 4), Ok(RoomName::from("\u{e9}12")));
        assert_eq!(RoomName::parse("\u{e9}123", 4), Err(BadName::TooLong(4)));
        assert_eq!(UserId::parse("123", 4), Ok(UserId::from("123")));
        assert_eq!(UserId::parse("1234", 4), Err(BadName::TooLong(4)), "its personal room has one more");
    }

    #[test]
    fn a_name_contains_no_invisible_or_bidirectional_character() {
        let ranges = [0..=0x1F, 0x7F..=0x9F, 0x61C..=0x61C, 0x200B..=0x200B, 0x200E..=0x200F, 0x2028..=0x202E];
        let more = [0x2060..=0x2060, 0x2066..=0x2069, 0xFEFF..=0xFEFF];
        let refused: alloc::vec::Vec<u32> = ranges.into_iter().chain(more).flatten().collect();
        for char in (0..=0x10_FFFF).filter_map(char::from_u32) {
            let name = alloc::format!("a{char}b");
            let expected = if refused.contains(&u32::from(char)) { Err(BadName::Character(char)) } else { Ok(()) };
            assert_eq!(RoomName::parse(&name, 200).map(drop), expected, "{name:?}");
            assert_eq!(UserId::parse(&name, 200).map(drop), expected, "{name:?}");
        }
        let told = BadName::Character('\u{202E}').to_string();
        assert!(told.starts_with("a name must not contain U+202E"), "{told}");
    }

    #[test]
    fn a_name_is_escaped_in_a_log() {
        assert_eq!(alloc::format!("{:?}", RoomName::from("a\"")), r#""a\"""#);
    }
}
