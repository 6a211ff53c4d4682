//! Policies of rooms: the top level, `[namespaces.chat]` and `[personal]`, as the core has them.

use super::Settings;
use super::place::Place;
use super::policy_table::{PolicyTable, header};
use parlor_core::{Limit, Namespaces, Permissions, Policy, Who, names};
use std::fmt::Write as _;

impl Settings {
    /// The policies of rooms, by the prefix of their names.
    pub(super) fn policies(&self) -> Namespaces {
        let all = self.top_level();
        let personal = self.personal.over(personal(&all));
        if self.namespaces.is_empty() {
            return Namespaces::none(all, personal);
        }
        let policy = |table: &PolicyTable| table.over(all.clone());
        let unprefixed = self.namespaces.get("").map_or_else(|| all.clone(), policy);
        let prefixed = self.namespaces.iter().filter(|(name, _)| !name.is_empty());
        // What is more is a contradiction, and not made use of.
        let prefixed = prefixed.take(Namespaces::MOST);
        Namespaces::with(unprefixed, personal, prefixed.map(|(name, table)| (name.clone(), policy(table))))
    }

    /// The policy that is inherited: as set, else the default of the mode.
    pub(super) fn top_level(&self) -> Policy {
        let default = if self.is_dev() { Permissions::open() } else { Permissions::closed() };
        let who = |who: Option<Who>, allowed: Option<bool>, if_allowed, default| match (who, allowed) {
            (Some(who), _) => who,
            (None, Some(true)) => if_allowed,
            (None, Some(false)) => Who::Token,
            (None, None) => default,
        };
        let permissions = Permissions {
            subscribe: who(self.subscribe, self.allow_subscribe, Who::Anyone, default.subscribe),
            publish: who(self.publish, self.allow_publish, Who::Members, default.publish),
            history: who(self.history, self.allow_history, Who::Members, default.history),
            presence: who(self.presence, self.allow_presence, Who::Members, default.presence),
        };
        Policy {
            presence_list: self.presence_list,
            join_leave: self.join_leave,
            presence_grace: self.presence_grace,
            name_pattern: self.name_pattern.clone(),
            ..Policy::new(permissions, &self.limits)
        }
    }

    /// Checks permissions and namespaces. Returns a sentence for each contradiction.
    pub(super) fn check_policies(&self) -> Vec<String> {
        let mut wrongs = self.check_top_level();
        let most = Namespaces::MOST;
        let count = self.namespaces.keys().filter(|name| !name.is_empty()).count();
        if count > most {
            wrongs.push(format!("there are {count} namespaces; expected at most {most}"));
        }
        for (name, table) in &self.namespaces {
            wrongs.extend(self.check_namespace(name, table));
        }
        for value in self.personal.values() {
            let why = match value.key.name {
                "subscribe" => "only the server puts users into their personal rooms",
                "name_pattern" => "the names of personal rooms follow from the ids of users",
                _ => continue,
            };
            wrongs.push(format!("{}: {why}; leave it out", value.place));
        }
        wrongs.extend(self.check_values(&self.personal));
        wrongs.extend(self.check_personal_grace());
        wrongs
    }

    /// Checks that the `presence_grace` of personal rooms, where it is set, is the longest of all.
    fn check_personal_grace(&self) -> Option<String> {
        let place = self.personal.place_of("presence_grace")?;
        let (set, longest) = (self.personal.over(self.top_level()).presence_grace, self.policies().longest_grace());
        let words =
            "the longest of all rooms: a user who is absent from a room is online, and so is in the personal room";
        (set < longest).then(|| format!("{place}: expected at least {longest:?}, {words}"))
    }

    /// The place that a setting was written at, as the start of a sentence about it.
    fn written(&self, name: &str) -> String {
        self.places.get(name).map_or_else(|| name.into(), Place::to_string)
    }

    fn check_top_level(&self) -> Vec<String> {
        let mut wrongs = Vec::new();
        for (allow, name, is_doubled) in [
            ("allow_subscribe", "subscribe", self.allow_subscribe.is_some() && self.subscribe.is_some()),
            ("allow_publish", "publish", self.allow_publish.is_some() && self.publish.is_some()),
            ("allow_history", "history", self.allow_history.is_some() && self.history.is_some()),
            ("allow_presence", "presence", self.allow_presence.is_some() && self.presence.is_some()),
        ] {
            if is_doubled {
                let (one, other) = (self.written(allow), self.written(name));
                wrongs.push(format!(
                    "{allow} and {name} are both set, and say the same thing ({one}; {other}); leave {allow} out"
                ));
            }
        }
        if self.subscribe == Some(Who::Members) {
            wrongs.push(format!("{}: {JOINERS}", self.written("subscribe")));
        }
        if self.presence_grace > Policy::LONGEST_GRACE {
            wrongs.push(format!("{}: {LONGEST_GRACE}", self.written("presence_grace")));
        }
        match &self.name_pattern {
            Some(pattern) if !can_begin(pattern.as_str(), "", |character| character != '#') => {
                let place = self.written("name_pattern");
                wrongs.push(format!(
                    "{place}: {:?} matches only names that begin with '#', which are personal rooms'; expected a pattern \
                     such as \"chat*\"",
                    pattern.as_str()
                ));
            }
            _ => {}
        }
        wrongs
    }

    fn check_namespace(&self, name: &str, table: &PolicyTable) -> Vec<String> {
        let place = table.place().map_or_else(|| header(name), Place::to_string);
        let prefix = format!("{name}:");
        let wrong_name = match name {
            "" => None,
            _ if name.contains(':') => Some("the name of a namespace has no ':', since a prefix ends there".into()),
            _ if name.starts_with('#') => {
                Some("the name of a namespace does not begin with '#'; [personal] is for personal rooms".into())
            }
            _ => names::check(&prefix, self.limits.room_name_bytes)
                .err()
                .map(|wrong| format!("no name of a room can begin with {prefix:?}: {wrong}")),
        };
        if let Some(wrong) = wrong_name {
            return vec![format!("{place}: {wrong}")];
        }
        let mut wrongs = self.check_values(table);
        let Some(pattern) = table.over(self.top_level()).name_pattern else { return wrongs };
        let pattern = pattern.as_str();
        let (can_match, names, example) = if name.is_empty() {
            (can_begin(pattern, "", |character| !matches!(character, ':' | '#')), "without a ':'".into(), "*".into())
        } else {
            (can_begin(pattern, &prefix, |_| true), format!("that begins with {prefix:?}"), format!("{prefix}*"))
        };
        if !can_match {
            let mut wrong = match table.place_of("name_pattern") {
                Some(place) => format!("{place}: {pattern:?}"),
                None => format!("{place} inherits name_pattern, and {pattern:?}"),
            };
            let _ = write!(wrong, " matches no name {names}; expected a pattern such as {example:?}");
            wrongs.push(wrong);
        }
        wrongs
    }

    /// Checks what a table says itself. What it inherits is right, or told of where it was written.
    fn check_values(&self, table: &PolicyTable) -> Vec<String> {
        let policy = table.over(self.top_level());
        let limits = &self.limits;
        let mut wrongs = Vec::new();
        let mut check = |key, is_wrong: bool, expected: String| {
            if let Some(place) = table.place_of(key).filter(|_| is_wrong) {
                wrongs.push(format!("{place}: {expected}"));
            }
        };
        check("subscribe", policy.permissions.subscribe == Who::Members, JOINERS.into());
        check("presence_grace", policy.presence_grace > Policy::LONGEST_GRACE, LONGEST_GRACE.into());
        let at_most = |limit: Limit, most: usize, value: usize| {
            (value > most, format!("expected at most {most}, as the limit {limit} says, not {value}"))
        };
        let (is_wrong, wrong) = at_most(Limit::PublicationBytes, limits.publication_bytes, policy.publication_bytes);
        check("publication_bytes", is_wrong, wrong);
        let (is_wrong, wrong) = at_most(Limit::HistoryBytes, limits.history_bytes, policy.history_bytes_per_room);
        check("history_bytes_per_room", is_wrong, wrong);
        wrongs
    }
}

/// The refusal of `subscribe = "members"`.
const JOINERS: &str = "expected nobody, token, users or anyone, not \"members\": a room without members would stay so";

/// The refusal of a `presence_grace` that is too long.
const LONGEST_GRACE: &str = "expected 0s to 15s: who has left would be listed for too long";

/// The policy that personal rooms inherit. What is wider than `members` counts as that: a personal room is not to be read
/// by others because rooms that all share are.
fn personal(all: &Policy) -> Policy {
    let narrowed = |who: Who| who.min(Who::Members);
    let Permissions { publish, history, presence, .. } = all.permissions;
    let permissions = Permissions {
        subscribe: Who::Nobody,
        publish: narrowed(publish),
        history: narrowed(history),
        presence: narrowed(presence),
    };
    Policy { permissions, name_pattern: None, ..all.clone() }
}

/// Whether a pattern can match a name that begins with `prefix` and goes on with characters that `may_follow` admits, of
/// which there are some that the pattern does not name. O(length of the pattern × length of the prefix).
pub(super) fn can_begin(pattern: &str, prefix: &str, may_follow: impl Fn(char) -> bool) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    // The positions in the pattern that the text so far can have led to. A star may stand for nothing.
    let closed = |mut at: Vec<bool>| {
        for position in 0..pattern.len() {
            at[position + 1] |= at[position] && pattern[position] == '*';
        }
        at
    };
    let mut start = vec![false; pattern.len() + 1];
    start[0] = true;
    let after = prefix.chars().fold(closed(start), |at, character| {
        let mut next = vec![false; pattern.len() + 1];
        for (position, wanted) in pattern.iter().enumerate().filter(|(position, _)| at[*position]) {
            match wanted {
                '*' => next[position] = true,
                '?' => next[position + 1] = true,
                _ => next[position + 1] |= *wanted == character,
            }
        }
        closed(next)
    });
    let may_be = |wanted: &char| matches!(wanted, '*' | '?') || may_follow(*wanted);
    (0..=pattern.len()).any(|position| after[position] && pattern[position..].iter().all(may_be))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_compared_with_every_name_of_a_prefix() {
        for (pattern, prefix, expected) in [
            ("chat:*", "chat:", true),
            ("*", "chat:", true),
            ("c*", "chat:", true),
            ("ch?t:?", "chat:", true),
            ("chat:", "chat:", true),
            ("*:7", "chat:", true),
            ("*7", "chat:", true),
            ("chat", "chat:", false),
            ("news:*", "chat:", false),
            ("?:*", "chat:", false),
            ("chat?", "chat:", true),
            ("chat:7", "", true),
        ] {
            assert_eq!(can_begin(pattern, prefix, |_| true), expected, "{pattern} {prefix}");
        }
        let has_no_colon = |pattern| can_begin(pattern, "", |character| character != ':');
        assert!(has_no_colon("*7") && has_no_colon("lobby") && has_no_colon("?*"));
        assert!(!has_no_colon("*:7") && !has_no_colon("chat:*"));
    }
}
