//! The names of rooms and the ids of users.

use crate::error::ErrorCode;
use crate::limits::Limit;
use crate::policy::{Namespaces, PolicyId};
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use core::borrow::Borrow;
use core::cmp::Ordering;
use core::fmt;
use core::hash::{Hash, Hasher};

/// The first character of the names of canaries' rooms, which is in no name that anybody sends.
const CANARY: char = '\u{7}';

/// The name of a room with the id of its policy: shared, immutable, and created only by the constructors below.
///
/// Two names are equal when their texts are. The text contains no control character, no line separator, and none of the characters that are invisible or reverse the text
/// around them: U+061C, U+200B, U+200E, U+200F, U+202A to U+202E, U+2060, U+2066 to U+2069 and U+FEFF.
#[derive(Clone, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub struct RoomName {
    name: Arc<str>,
    policy: PolicyId,
}

impl RoomName {
    /// Validates the name of a room, reserved or not, and finds its policy: 1 to `max` bytes, in one of the namespaces,
    /// and as the `name_pattern` there wants it.
    ///
    /// # Errors
    /// Returns the first rule that the name breaks.
    pub fn parse(name: &str, max: usize, namespaces: &Namespaces) -> Result<Self, BadName> {
        let valid = validate(name, max)?;
        let policy = namespaces.find(name).map_err(|prefix| BadName::Namespace(prefix.into()))?;
        match &namespaces.get(policy).name_pattern {
            Some(pattern) if !pattern.matches(name).0 => Err(BadName::Pattern(pattern.as_str().into())),
            _ => Ok(Self { name: valid, policy }),
        }
    }

    /// Validates the name of a room that a client may join by name: as [`RoomName::parse`], and not reserved.
    ///
    /// # Errors
    /// Returns the first rule that the name breaks.
    pub fn parse_for_client(name: &str, max: usize, namespaces: &Namespaces) -> Result<Self, BadName> {
        let room = Self::parse(name, max, namespaces)?;
        if room.is_reserved() { Err(BadName::Reserved) } else { Ok(room) }
    }

    /// Returns `true` for the name of a room that only the server subscribes connections to.
    #[must_use]
    pub fn is_reserved(&self) -> bool {
        self.starts_with('#')
    }

    /// Returns the user whose personal room this is, if it is one.
    #[must_use]
    pub fn user(&self) -> Option<UserId> {
        self.strip_prefix('#').map(|user| UserId { name: Arc::from(user) })
    }

    /// Returns a name for the room of a canary, which nobody else can name: it has a control character.
    pub(crate) fn of_canary(number: u64) -> Self {
        Self { name: format!("{CANARY}{number}").into(), policy: PolicyId::UNPREFIXED }
    }

    /// Whether this is the room of a canary.
    #[inline]
    pub(crate) fn is_of_canary(&self) -> bool {
        self.name.starts_with(CANARY)
    }

    /// Returns the id of the policy that holds in the room.
    #[must_use]
    pub fn policy(&self) -> PolicyId {
        self.policy
    }
}

impl PartialEq for RoomName {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for RoomName {}

impl PartialOrd for RoomName {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for RoomName {
    fn cmp(&self, other: &Self) -> Ordering {
        self.name.cmp(&other.name)
    }
}

impl Hash for RoomName {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

/// Creates a name in a test that has no namespaces.
#[cfg(test)]
impl From<&str> for RoomName {
    fn from(name: &str) -> Self {
        let policy = if name.starts_with('#') { PolicyId::PERSONAL } else { PolicyId::UNPREFIXED };
        Self { name: validate(name, usize::MAX).expect("the name of a room"), policy }
    }
}

/// The id of a user: shared, immutable, and created only by the constructors below.
///
/// It contains the characters that the name of a room may have: the name of the user's personal room is made of it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub struct UserId {
    name: Arc<str>,
}

impl UserId {
    /// Returns the id of the anonymous user, which is empty.
    #[must_use]
    pub fn anonymous() -> Self {
        Self { name: Arc::from("") }
    }

    /// Validates the id of a user who is not anonymous: as the name of a room, and short enough for a personal room of
    /// at most `max` bytes.
    ///
    /// # Errors
    /// Returns the first rule that the id breaks.
    pub fn parse(id: &str, max: usize) -> Result<Self, BadName> {
        let user = validate(id, usize::MAX)?;
        if user.len() >= max { Err(BadName::TooLong(max)) } else { Ok(Self { name: user }) }
    }

    /// Returns `true` for the anonymous user.
    #[must_use]
    pub fn is_anonymous(&self) -> bool {
        self.name.is_empty()
    }

    /// Returns the name of the user's personal room. The anonymous user has none.
    #[must_use]
    pub fn personal_room(&self) -> RoomName {
        let mut room = String::with_capacity(self.len() + 1);
        room.push('#');
        room.push_str(self);
        RoomName { name: Arc::from(room), policy: PolicyId::PERSONAL }
    }
}

/// Checks a name that is no room's, such as a node's, by the rules of room names: 1 to `max` bytes.
///
/// # Errors
/// Returns the first rule that the name breaks.
pub fn check(name: &str, max: usize) -> Result<(), BadName> {
    validate(name, max).map(drop)
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
    ($($name:ident),*) => {$(
        impl $name {
            /// Returns the name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.name
            }
        }

        impl core::ops::Deref for $name {
            type Target = str;
            fn deref(&self) -> &str {
                &self.name
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.name
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.name, f)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.name)
            }
        }
    )*};
}

as_text!(RoomName, UserId);

/// Creates an id in a test.
#[cfg(test)]
impl From<&str> for UserId {
    fn from(name: &str) -> Self {
        Self { name: validate(name, usize::MAX).expect("the id of a user") }
    }
}

/// The rule that a name breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BadName {
    /// The name is empty.
    Empty,
    /// The name has more bytes than this.
    TooLong(usize),
    /// The name contains this invisible or direction-changing character.
    Character(char),
    /// The name starts with `#`: only the server subscribes connections to such rooms.
    Reserved,
    /// Namespaces are configured, and this prefix is not one of them.
    Namespace(Box<str>),
    /// The name does not match this `name_pattern` of its namespace.
    Pattern(Box<str>),
}

impl BadName {
    /// Returns the code of the error that a command or a call with this name is answered with.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Namespace(_) => ErrorCode::UnknownRoom,
            Self::Reserved => ErrorCode::PermissionDenied,
            Self::Empty | Self::TooLong(_) | Self::Character(_) | Self::Pattern(_) => ErrorCode::BadRequest,
        }
    }
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
            Self::Namespace(prefix) if prefix.is_empty() => f.write_str(
                "the name begins with a colon, so its prefix is empty, and no namespace has an empty prefix",
            ),
            Self::Namespace(prefix) => write!(f, "there is no namespace {prefix:?} on this server"),
            Self::Pattern(pattern) => write!(f, "names in this namespace must match {pattern:?} (name_pattern)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use alloc::string::ToString;

    #[test]
    fn a_room_name_has_at_most_max_bytes() {
        let namespaces = Config::default().namespaces;
        assert_eq!(RoomName::parse("\u{e9}12", 4, &namespaces), Ok(RoomName::from("\u{e9}12")));
        assert_eq!(RoomName::parse("\u{e9}123", 4, &namespaces), Err(BadName::TooLong(4)));
        assert_eq!(UserId::parse("123", 4), Ok(UserId::from("123")));
        assert_eq!(UserId::parse("1234", 4), Err(BadName::TooLong(4)), "its personal room has one more");
    }

    #[test]
    fn a_name_contains_no_invisible_or_bidirectional_character() {
        let ranges = [0..=0x1F, 0x7F..=0x9F, 0x61C..=0x61C, 0x200B..=0x200B, 0x200E..=0x200F, 0x2028..=0x202E];
        let more = [0x2060..=0x2060, 0x2066..=0x2069, 0xFEFF..=0xFEFF];
        let namespaces = Config::default().namespaces;
        let refused: alloc::vec::Vec<u32> = ranges.into_iter().chain(more).flatten().collect();
        for char in (0..=0x10_FFFF).filter_map(char::from_u32) {
            let name = alloc::format!("a{char}b");
            let expected = if refused.contains(&u32::from(char)) { Err(BadName::Character(char)) } else { Ok(()) };
            assert_eq!(RoomName::parse(&name, 200, &namespaces).map(drop), expected, "{name:?}");
            assert_eq!(UserId::parse(&name, 200).map(drop), expected, "{name:?}");
        }
        let message = BadName::Character('\u{202E}').to_string();
        assert!(message.starts_with("a name must not contain U+202E"), "{message}");
    }

    #[test]
    fn a_personal_room_leads_back_to_its_user() {
        let user = UserId::from("ada");
        assert_eq!(user.personal_room().user(), Some(user));
        assert_eq!(RoomName::from("ada").user(), None);
    }

    #[test]
    fn a_name_is_escaped_in_a_log() {
        assert_eq!(alloc::format!("{:?}", RoomName::from("a\"")), r#""a\"""#);
    }
}
