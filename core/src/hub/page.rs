//! What may be in the answer to a backend's call: how much, and which part of a list.

use super::Hub;
use crate::api::{Command, Connection, Page, Reply};
use crate::code::{Error, ErrorCode};
use crate::conn::{Conn, Speaks};
use crate::ids::{ClientId, Name};
use crate::limits::Limit;
use crate::link::Caller;
use crate::registry::index;
use crate::wire::api::{connection_bytes, reply_bytes, room_bytes};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// What the answer to one call may still hold.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget {
    /// Bytes; none from the first part on that did not fit.
    left: usize,
}

/// What a write is answered with, for each room.
const WRITE_BYTES: usize = 100;
/// What is around the answers of a batch, and around one of them beside its method.
const AROUND_BYTES: usize = 20;

impl Budget {
    pub(super) fn new(most: usize) -> Self {
        Self { left: most.saturating_sub(AROUND_BYTES) }
    }

    /// Nothing fits any more.
    fn end(&mut self) {
        self.left = 0;
    }

    /// Takes so many bytes, or all that is left where those are fewer. False then: nothing fits any more.
    fn take(&mut self, bytes: usize) -> bool {
        let rest = self.left.checked_sub(bytes.saturating_add(AROUND_BYTES));
        self.left = rest.unwrap_or(0);
        rest.is_some()
    }
}

impl Hub {
    /// Keeps room for the answer to a command before it is carried out. What is read takes its room when it is there.
    pub(super) fn reserve(&mut self, caller: Caller, command: &Command) -> Result<(), Error> {
        let bytes = match command {
            Command::Broadcast { channels, .. } => channels.len().saturating_mul(WRITE_BYTES),
            // Each of its parts keeps its own.
            Command::Batch(_) => 0,
            command if is_read(command) => 0,
            _ => WRITE_BYTES,
        };
        self.take(caller, bytes)
    }

    /// What came of a call, if it fits into the answer.
    pub(super) fn within_reply(&mut self, caller: Caller, result: Result<Reply, Error>) -> Result<Reply, Error> {
        let reply = result?;
        let is_reserved = matches!(reply, Reply::Published(_) | Reply::Done | Reply::Broadcast(_) | Reply::Batch(_));
        if !is_reserved {
            self.take(caller, reply_bytes(&reply))?;
        }
        Ok(reply)
    }

    /// Bytes that the answer to a call may still have.
    pub(super) fn left_of(&self, caller: Caller) -> usize {
        match caller {
            Caller::Whole(_) => self.config.limits.api_reply_bytes,
            Caller::Part { gather, .. } => self.gathers.get(&gather).map_or(0, |gathering| gathering.budget.left),
        }
    }

    fn take(&mut self, caller: Caller, bytes: usize) -> Result<(), Error> {
        let most = self.config.limits.api_reply_bytes;
        let fits = match caller {
            Caller::Whole(_) => Budget::new(most).take(bytes),
            Caller::Part { gather, .. } => {
                self.gathers.get_mut(&gather).is_none_or(|gathering| gathering.budget.take(bytes))
            }
        };
        if fits { Ok(()) } else { Err(too_long(most)) }
    }

    /// The answer does not fit, and in a batch nothing after it.
    pub(super) fn over_reply(&mut self, caller: Caller) -> Error {
        if let Caller::Part { gather, .. } = caller
            && let Some(gathering) = self.gathers.get_mut(&gather)
        {
            gathering.budget.end();
        }
        too_long(self.config.limits.api_reply_bytes)
    }

    /// The rooms of a part of the list, unless they have more than `left` bytes.
    pub(super) fn channels(&self, pattern: Option<&str>, page: &Page<String>, left: usize) -> Option<Reply> {
        let pattern: Option<Vec<char>> = pattern.map(|pattern| pattern.chars().collect());
        let is_meant = |name: &Name| pattern.as_ref().is_none_or(|pattern| matches(pattern, name));
        let meant = self.registry.rooms().filter(|(name, _)| is_meant(name));
        let meant = meant.map(|(name, members)| (name.as_str(), (name, members)));
        let (rooms, next) = part(meant, page.limit, page.after.as_deref());
        let bytes = rooms.iter().map(|(_, (name, members))| room_bytes(name, *members)).sum::<usize>();
        if bytes > left {
            return None;
        }
        let next = next.map(String::from);
        let rooms = rooms.into_iter().map(|(_, (name, members))| (name.clone(), members)).collect();
        Some(Reply::Channels { rooms, next })
    }

    /// The same of connections.
    pub(super) fn connections(
        &self,
        user: Option<&Name>,
        channel: Option<&Name>,
        page: &Page<ClientId>,
        left: usize,
    ) -> Option<Reply> {
        let ready = self.conns.iter().filter(|(_, conn)| conn.ready().is_some());
        let is_users = |conn: &Conn| user.is_none_or(|user| user_of(conn) == Some(user));
        let in_room = |slot: usize| channel.is_none_or(|channel| self.registry.is_member(index(slot), channel));
        let meant = ready.filter(|(slot, conn)| is_users(conn) && in_room(*slot));
        let (part, next) = part(meant.map(|(_, conn)| (conn.client, conn)), page.limit, page.after);
        let mut bytes = 0_usize;
        for (_, conn) in &part {
            bytes += user_of(conn).map_or(0, |user| connection_bytes(user, profile(conn), self.rooms_of(conn)));
            if bytes > left {
                return None;
            }
        }
        let connections = part.into_iter().map(|(_, conn)| self.describe(conn)).collect();
        Some(Reply::Connections { connections, next })
    }

    fn rooms_of<'a>(&'a self, conn: &Conn) -> impl Iterator<Item = &'a Name> + use<'a> {
        self.registry.rooms_of(conn.id.slot).filter(|(_, member)| *member).map(|(room, _)| room)
    }

    fn describe(&self, conn: &Conn) -> Connection {
        Connection {
            client: conn.client,
            user: user_of(conn).cloned().unwrap_or_else(Name::empty),
            profile: profile(conn),
            channels: self.rooms_of(conn).cloned().collect(),
        }
    }
}

/// The items of a part of a list, in order, and where the next part begins, if there is one.
fn part<K: Ord + Copy, V>(
    all: impl Iterator<Item = (K, V)>,
    limit: Option<usize>,
    after: Option<K>,
) -> (Vec<(K, V)>, Option<K>) {
    let mut items: Vec<(K, V)> = all.filter(|(key, _)| after.is_none_or(|after| *key > after)).collect();
    let most = limit.unwrap_or(usize::MAX);
    let has_more = items.len() > most;
    if has_more {
        items.select_nth_unstable_by_key(most, |(key, _)| *key);
        items.truncate(most);
    }
    items.sort_unstable_by_key(|(key, _)| *key);
    let next = items.last().filter(|_| has_more).map(|(key, _)| *key);
    (items, next)
}

/// Whether a command only reads: how long its answer is shows when it is there.
fn is_read(command: &Command) -> bool {
    matches!(
        command,
        Command::Presence { .. }
            | Command::PresenceStats { .. }
            | Command::History { .. }
            | Command::Limits
            | Command::Channels { .. }
            | Command::Connections { .. }
            | Command::Info
    )
}

fn user_of(conn: &Conn) -> Option<&Name> {
    conn.open().map(|open| &open.info.user)
}

fn profile(conn: &Conn) -> &'static str {
    match conn.speaks {
        Speaks::Json { .. } => "json",
        Speaks::Plain(_) => "plain",
    }
}

fn too_long(most: usize) -> Error {
    let words = format!("the answer has more than {most} bytes: ask for less at once");
    Error::limit(ErrorCode::LimitExceeded, Limit::ApiReplyBytes, &words)
}

/// Whether a name matches a pattern in which `*` stands for any characters and `?` for one.
fn matches(pattern: &[char], name: &str) -> bool {
    let name: Vec<char> = name.chars().collect();
    let (mut p, mut n) = (0, 0);
    // Where to take up again when the last `*` has to stand for one character more.
    let mut retry = None;
    while n < name.len() {
        match pattern.get(p) {
            Some('*') => {
                retry = Some((p + 1, n + 1));
                p += 1;
            }
            Some(c) if *c == '?' || *c == name[n] => {
                p += 1;
                n += 1;
            }
            _ => {
                let Some((after, from)) = retry else { return false };
                (p, n) = (after, from);
                retry = Some((after, from + 1));
            }
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        let cases = [
            ("*", "", true),
            ("a*", "abc", true),
            ("a*c", "abcbc", true),
            ("a*c", "abcb", false),
            ("?", "ä", true),
            ("?", "", false),
            ("*b*", "abc", true),
            ("a", "ab", false),
            ("ab", "a", false),
            ("**x", "yx", true),
        ];
        for (pattern, name, expected) in cases {
            let chars: Vec<char> = pattern.chars().collect();
            assert_eq!(matches(&chars, name), expected, "{}", String::from(pattern) + " ~ " + name);
        }
    }

    #[test]
    fn parts_that_follow_each_other_have_each_item_once() {
        let items = || [5, 3, 9, 1, 7].map(|key| (key, ())).into_iter();
        let keys = |(items, next): (Vec<(u8, ())>, Option<u8>)| (items.iter().map(|(key, ())| *key).collect(), next);
        let expect = |keys: &[u8], next| (keys.to_vec(), next);
        assert_eq!(keys(part(items(), Some(2), None)), expect(&[1, 3], Some(3)));
        assert_eq!(keys(part(items(), Some(2), Some(3))), expect(&[5, 7], Some(7)));
        assert_eq!(keys(part(items(), Some(2), Some(7))), expect(&[9], None));
        assert_eq!(keys(part(items(), Some(5), None)), expect(&[1, 3, 5, 7, 9], None), "exactly as many");
        assert_eq!(keys(part(items(), None, Some(4))), expect(&[5, 7, 9], None));
    }
}
