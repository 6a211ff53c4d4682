//! Rights that tokens grant in rooms: the claim `caps` of a connection token, the claim `allow` of a room token.

use crate::error::{Error, ErrorCode};
use crate::glob;
use crate::limits::{Limit, Limits};
use crate::names::RoomName;
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use serde::Deserialize;

/// A set of rights in a room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub(crate) struct Rights(u8);

impl Rights {
    pub const NONE: Self = Self(0);
    /// To join, `sub`.
    pub const SUBSCRIBE: Self = Self(1);
    /// To publish, `pub`.
    pub const PUBLISH: Self = Self(2);
    /// To read the presence and to be told who joins and leaves, `prs`.
    pub const PRESENCE: Self = Self(4);
    /// To read the history, `hst`.
    pub const HISTORY: Self = Self(8);

    const WORDS: &'static [(&'static str, Self)] =
        &[("sub", Self::SUBSCRIBE), ("pub", Self::PUBLISH), ("prs", Self::PRESENCE), ("hst", Self::HISTORY)];

    /// Reads the words of a claim `allow`.
    ///
    /// # Errors
    /// Returns a sentence that names the first unknown word and those that are allowed.
    pub fn parse(words: &[String]) -> Result<Self, String> {
        words.iter().try_fold(Self::NONE, |rights, word| {
            let known = Self::WORDS.iter().find(|(known, _)| known == word);
            let (_, right) = known.ok_or_else(|| format!("allow has {word:?}; it may have sub, pub, prs and hst"))?;
            Ok(rights.union(*right))
        })
    }

    /// Returns the union of both sets.
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Returns `true` when all rights of `other` are in the set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// An entry of the claim `caps`, as the token has it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize, serde::Serialize)]
pub struct CapabilityClaim {
    /// The names of rooms, or patterns of names.
    pub channels: Vec<String>,
    /// The way in which names match: absent for exact names, `wildcard` for patterns.
    #[serde(default, rename = "match")]
    pub matching: Option<String>,
    /// The rights: `sub`, `pub`, `prs`, `hst`.
    pub allow: Vec<String>,
}

/// The rights that a connection token grants, by name of a room. A set of rights is the union over all names and patterns
/// that match.
///
/// A connection keeps it for as long as its token counts, so it is one text and a row for each name, not a text for each.
#[derive(Clone, Debug, Default, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub(crate) struct Capabilities(Option<Box<Table>>);

#[derive(Clone, Debug, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
struct Table {
    /// All names and patterns, one after the other; at most `caps_bytes`.
    text: Box<str>,
    /// None is empty, so that `caps_bytes` bounds their number too.
    names: Box<[Name]>,
}

/// A name or a pattern in the text of a [`Table`]. It begins where the one before it ends.
#[derive(Clone, Copy, Debug, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
struct Name {
    end: usize,
    is_pattern: bool,
    rights: Rights,
}

impl Capabilities {
    /// Reads the claim.
    ///
    /// # Errors
    /// Returns an error that says what is wrong and what is allowed, with the limit where more than `caps_bytes` are named.
    pub fn read(claims: &[CapabilityClaim], limits: &Limits) -> Result<Self, Error> {
        let most = limits.caps_bytes;
        let bytes: usize = claims.iter().flat_map(|claim| &claim.channels).map(String::len).sum();
        if bytes > most {
            let words = format!("caps has {bytes} bytes of names and patterns, at most {most} are allowed");
            return Err(Error::limit(ErrorCode::BadRequest, Limit::CapsBytes, &words));
        }
        let bad = |words: String| Error::new(ErrorCode::BadRequest, format!("caps: {words}"));
        let (mut text, mut names) = (String::with_capacity(bytes), Vec::new());
        for CapabilityClaim { channels, matching, allow } in claims {
            let rights = Rights::parse(allow).map_err(bad)?;
            let is_pattern = match matching.as_deref() {
                None | Some("") => false,
                Some("wildcard") => true,
                Some(other) => {
                    let allowed = "it may be absent, or \"wildcard\"";
                    return Err(bad(format!("match is {other:?}, which this server does not do; {allowed}")));
                }
            };
            // No room has an empty name.
            for name in channels.iter().filter(|name| !name.is_empty()) {
                text.push_str(name);
                names.push(Name { end: text.len(), is_pattern, rights });
            }
        }
        let table = || Box::new(Table { text: text.into_boxed_str(), names: names.into_boxed_slice() });
        Ok(Self((bytes > 0).then(table)))
    }

    /// Returns the rights in a room, and the number of characters and names compared: at most `caps_bytes` times the length
    /// of the name. No pattern matches the name of a personal room.
    pub fn granted(&self, room: &RoomName) -> (Rights, usize) {
        let (mut rights, mut compared, mut begin) = (Rights::NONE, 0, 0);
        let Some(Table { text, names }) = self.0.as_deref() else { return (rights, compared) };
        for name in names {
            let own = &text[begin..name.end];
            begin = name.end;
            let (is_for, steps) = match name.is_pattern {
                false => (own == room.as_str(), 1),
                true if room.is_reserved() => (false, 1),
                true => glob::matches(own, room),
            };
            compared += steps;
            if is_for {
                rights = rights.union(name.rights);
            }
        }
        (rights, compared)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    fn claim(channels: &[&str], matching: Option<&str>, allow: &[&str]) -> CapabilityClaim {
        let owned = |words: &[&str]| words.iter().map(|word| String::from(*word)).collect();
        CapabilityClaim { channels: owned(channels), matching: matching.map(String::from), allow: owned(allow) }
    }

    fn read(claims: Vec<CapabilityClaim>) -> Capabilities {
        Capabilities::read(&claims, &Limits::default()).expect("a valid claim")
    }

    #[test]
    fn a_claim_is_bounded_in_bytes_and_so_in_names() {
        let limits = Limits { caps_bytes: 8, ..Limits::default() };
        let (four, five) = (claim(&["four"], None, &["sub"]), claim(&["fi*ve"], Some("wildcard"), &["sub"]));
        let Capabilities(table) =
            Capabilities::read(&[four.clone(), four.clone()], &limits).expect("as many as may be");
        assert_eq!(table.map(|table| (String::from(table.text), table.names.len())), Some(("fourfour".into(), 2)));
        let refused = Capabilities::read(&[four, five], &limits).expect_err("a byte more");
        assert_eq!(refused.limit, Some(Limit::CapsBytes));
        assert_eq!(refused.message, "caps has 9 bytes of names and patterns, at most 8 are allowed (caps_bytes)");
        let empty = claim(&[""; 100], Some("wildcard"), &["sub"]);
        assert!(Capabilities::read(&[empty], &limits).is_ok_and(|caps| caps.0.is_none()), "they name no room");
    }

    #[test]
    fn rights_are_the_union_over_all_entries_that_match() {
        let caps = read(vec![
            claim(&["news:*"], Some("wildcard"), &["sub", "hst"]),
            claim(&["news:1", "", "other"], None, &["pub"]),
            claim(&["*"], None, &["prs"]),
        ]);
        let granted = |room: &str| caps.granted(&RoomName::from(room)).0;
        let of_news = Rights::SUBSCRIBE.union(Rights::HISTORY);
        assert_eq!(granted("news:1"), of_news.union(Rights::PUBLISH));
        assert_eq!(granted("news:2"), of_news);
        assert_eq!(granted("other"), Rights::PUBLISH);
        assert_eq!(granted("else"), Rights::NONE, "a star in an exact name is a star");
        assert_eq!(granted("*"), Rights::PRESENCE);
    }

    #[test]
    fn only_its_exact_name_grants_anything_in_a_personal_room() {
        let every = claim(&["*", "#*", "#ada"], Some("wildcard"), &["sub", "pub", "prs", "hst"]);
        let exact = claim(&["#bob"], None, &["pub"]);
        let caps = read(vec![every, exact]);
        assert_eq!(caps.granted(&RoomName::from("#ada")).0, Rights::NONE);
        assert_eq!(caps.granted(&RoomName::from("#bob")).0, Rights::PUBLISH);
        assert!(caps.granted(&RoomName::from("ada")).0.contains(Rights::SUBSCRIBE));
    }

    #[test]
    fn an_unknown_word_is_named_with_those_that_are_allowed() {
        let refused = |entry| Capabilities::read(&[entry], &Limits::default()).expect_err("it is refused").message;
        assert!(refused(claim(&["a"], Some("regex"), &["sub"])).contains("match is \"regex\""));
        assert!(
            refused(claim(&["a"], None, &["subscribe"])).contains("\"subscribe\"; it may have sub, pub, prs and hst")
        );
    }
}
