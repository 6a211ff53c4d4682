//! Rights that tokens grant in rooms: the claim `caps` of a connection token, the claim `allow` of a room token.

use crate::glob::Glob;
use crate::names::RoomName;
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use serde::Deserialize;

/// A set of rights in a room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
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
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
pub struct CapabilityClaim {
    /// The names of rooms, or patterns of names.
    pub channels: Vec<String>,
    /// The way in which names match: absent for exact names, `wildcard` for patterns.
    #[serde(default, rename = "match")]
    pub matching: Option<String>,
    /// The rights: `sub`, `pub`, `prs`, `hst`.
    pub allow: Vec<String>,
}

/// The rights that a connection token grants, by name of a room. A set of rights is the union over all entries.
#[derive(Clone, Debug, Default)]
pub(crate) struct Capabilities(Option<Box<[Capability]>>);

#[derive(Clone, Debug)]
struct Capability {
    channels: Channels,
    rights: Rights,
}

#[derive(Clone, Debug)]
enum Channels {
    Exact(Vec<String>),
    Wildcard(Vec<Glob>),
}

impl Capabilities {
    /// Reads the claim.
    ///
    /// # Errors
    /// Returns a sentence that says what is wrong, and what is allowed.
    pub fn read(claims: Vec<CapabilityClaim>) -> Result<Self, String> {
        let read = |CapabilityClaim { channels, matching, allow }| {
            let rights = Rights::parse(&allow).map_err(|wrong| format!("caps: {wrong}"))?;
            let channels = match matching.as_deref() {
                None | Some("") => Channels::Exact(channels),
                Some("wildcard") => Channels::Wildcard(channels.into_iter().map(Glob::new).collect()),
                Some(other) => {
                    return Err(format!(
                        "caps: match is {other:?}, which this server does not do; it may be absent, or \"wildcard\""
                    ));
                }
            };
            Ok(Capability { channels, rights })
        };
        let read: Vec<Capability> = claims.into_iter().map(read).collect::<Result<_, String>>()?;
        Ok(Self((!read.is_empty()).then(|| read.into_boxed_slice())))
    }

    /// Returns the rights in a room. No pattern matches the name of a personal room. O(n) in the bytes of the claim, times the length
    /// of the name.
    pub fn granted(&self, room: &RoomName) -> Rights {
        let entries = self.0.as_deref().unwrap_or_default();
        let of_room = entries.iter().filter(|entry| match &entry.channels {
            Channels::Exact(names) => names.iter().any(|name| name == room.as_str()),
            Channels::Wildcard(_) if room.is_reserved() => false,
            Channels::Wildcard(patterns) => patterns.iter().any(|pattern| pattern.matches(room).0),
        });
        of_room.fold(Rights::NONE, |rights, entry| rights.union(entry.rights))
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

    #[test]
    fn rights_are_the_union_over_all_entries_that_match() {
        let caps = Capabilities::read(vec![
            claim(&["news:*"], Some("wildcard"), &["sub", "hst"]),
            claim(&["news:1", "other"], None, &["pub"]),
            claim(&["*"], None, &["prs"]),
        ])
        .expect("a valid claim");
        let granted = |room: &str| caps.granted(&RoomName::from(room));
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
        let caps = Capabilities::read(vec![every, exact]).expect("a valid claim");
        assert_eq!(caps.granted(&RoomName::from("#ada")), Rights::NONE);
        assert_eq!(caps.granted(&RoomName::from("#bob")), Rights::PUBLISH);
        assert!(caps.granted(&RoomName::from("ada")).contains(Rights::SUBSCRIBE));
    }

    #[test]
    fn an_unknown_word_is_named_with_those_that_are_allowed() {
        let refused = |entry| Capabilities::read(vec![entry]).expect_err("it is refused");
        assert!(refused(claim(&["a"], Some("regex"), &["sub"])).contains("match is \"regex\""));
        assert!(
            refused(claim(&["a"], None, &["subscribe"])).contains("\"subscribe\"; it may have sub, pub, prs and hst")
        );
    }
}
