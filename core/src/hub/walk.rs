//! Calls that look at every room or every connection. They are spread over turns, each of which looks at some.
//!
//! What exists throughout such a call is in its answer exactly once: it stays in its place, and each place is looked at once.
//! What comes or goes meanwhile may be in it.

use super::Hub;
use super::turns::Work;
use crate::api::json::{connection_bytes, room_bytes};
use crate::api::{Connection, Page, Reply};
use crate::connection::{Conn, Protocol};
use crate::glob::Glob;
use crate::ids::{ClientId, Name, Slot};
use crate::link::Caller;
use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;

/// A call that is looking.
#[derive(Clone, Debug)]
pub(super) struct Walk {
    pub caller: Caller,
    what: What,
    /// The place that is looked at next.
    at: usize,
}

#[derive(Clone, Debug)]
enum What {
    Rooms { pattern: Option<Glob>, after: Option<String>, found: Found<Name> },
    Connections { user: Option<Name>, channel: Option<Name>, after: Option<ClientId>, found: Found<ClientId> },
}

/// Places that one step looks at, where that is all there is to do.
const PLACES_PER_STEP: usize = 1_000;
/// Compared characters that take as long as a place.
const COMPARED_PER_PLACE: usize = 50;

impl Walk {
    /// Through the rooms that have members.
    pub fn rooms(caller: Caller, pattern: Option<String>, page: Page<String>) -> Self {
        let what = What::Rooms { pattern: pattern.map(Glob::new), after: page.after, found: Found::new(page.limit) };
        Self { caller, what, at: 0 }
    }

    /// Through the connections that have said who they are.
    pub fn connections(caller: Caller, user: Option<Name>, channel: Option<Name>, page: Page<ClientId>) -> Self {
        let what = What::Connections { user, channel, after: page.after, found: Found::new(page.limit) };
        Self { caller, what, at: 0 }
    }
}

impl Hub {
    /// Looks at some more, and answers when that was all, or when it is too much for an answer.
    pub(super) fn walk_on(&mut self, mut walk: Box<Walk>) {
        let most = self.left_of(walk.caller);
        let (places, spent) = match &mut walk.what {
            What::Rooms { pattern, after, found } => {
                self.visit_rooms(walk.at, pattern.as_ref(), after.as_deref(), found)
            }
            What::Connections { user, channel, after, found } => {
                self.visit_connections(walk.at, user.as_ref(), channel.as_ref(), *after, found)
            }
        };
        self.budget.visit(spent);
        walk.at += places;
        let (bytes, end) = match &walk.what {
            What::Rooms { found, .. } => (found.bytes, self.registry.room_slots()),
            What::Connections { found, .. } => (found.bytes, self.conns.capacity()),
        };
        let caller = walk.caller;
        if bytes > most {
            let error = self.over_reply(caller);
            self.resolve(caller, Err(error));
        } else if walk.at < end {
            self.agenda.first(Work::Walk(walk));
        } else {
            let reply = match walk.what {
                What::Rooms { found, .. } => self.rooms_found(found),
                What::Connections { found, .. } => self.connections_found(found),
            };
            self.resolve(caller, Ok(reply));
        }
    }

    /// Looks at the next rooms. Returns how many places that were, and how many they count for.
    fn visit_rooms(
        &self,
        from: usize,
        pattern: Option<&Glob>,
        after: Option<&str>,
        found: &mut Found<Name>,
    ) -> (usize, usize) {
        let (mut places, mut spent) = (0, 0);
        while spent < PLACES_PER_STEP && from + places < self.registry.room_slots() {
            let room = self.registry.room_at(from + places);
            places += 1;
            spent += 1;
            let is_later = |name: &Name| after.is_none_or(|after| name.as_str() > after);
            let Some((name, members)) = room.filter(|(name, _)| is_later(name)) else { continue };
            let (is_meant, compared) = pattern.map_or((true, 0), |pattern| pattern.matches(name));
            spent += compared / COMPARED_PER_PLACE;
            if is_meant {
                found.add(name, room_bytes(name, members));
            }
        }
        (places, spent)
    }

    fn visit_connections(
        &self,
        from: usize,
        user: Option<&Name>,
        channel: Option<&Name>,
        after: Option<ClientId>,
        found: &mut Found<ClientId>,
    ) -> (usize, usize) {
        for slot in from..from + PLACES_PER_STEP {
            let Some(conn) = self.conns.at(slot).filter(|conn| conn.ready().is_some()) else { continue };
            let Some(own) = user_of(conn).filter(|own| user.is_none_or(|user| *own == user)) else { continue };
            let is_later = after.is_none_or(|after| conn.client > after);
            if is_later && channel.is_none_or(|channel| self.registry.is_member(Slot::at(slot), channel)) {
                found.add(&conn.client, connection_bytes(own, protocol(conn), self.rooms_of_connection(conn)));
            }
        }
        (PLACES_PER_STEP, PLACES_PER_STEP)
    }

    fn rooms_found(&self, found: Found<Name>) -> Reply {
        let (names, next) = found.part();
        let members = |name: Name| Some((self.registry.member_count(&name), name)).filter(|(members, _)| *members > 0);
        let rooms = names.into_iter().filter_map(members).map(|(members, name)| (name, members)).collect();
        Reply::Channels { rooms, next: next.map(|name| String::from(name.as_str())) }
    }

    fn connections_found(&self, found: Found<ClientId>) -> Reply {
        let (clients, next) = found.part();
        let there = clients.iter().filter_map(|client| self.clients.get(client));
        let ready = there.map(|slot| &self.conns[*slot]).filter(|conn| conn.ready().is_some());
        Reply::Connections { connections: ready.map(|conn| self.describe(conn)).collect(), next }
    }

    fn rooms_of_connection<'a>(&'a self, conn: &Conn) -> impl Iterator<Item = &'a Name> + use<'a> {
        self.registry.membership_states(conn.id.slot).filter(|(_, member)| *member).map(|(room, _)| room)
    }

    fn describe(&self, conn: &Conn) -> Connection {
        Connection {
            client: conn.client,
            user: user_of(conn).cloned().unwrap_or_else(Name::empty),
            protocol: protocol(conn),
            channels: self.rooms_of_connection(conn).cloned().collect(),
        }
    }
}

/// What was found of a part of a list.
#[derive(Clone, Debug)]
struct Found<K> {
    limit: Option<usize>,
    /// The first in order; where there is a limit, one more than that, which tells that there are more.
    keys: BTreeSet<K>,
    /// What they take in an answer; where there is a limit, nothing that is known yet.
    bytes: usize,
}

impl<K: Ord + Clone> Found<K> {
    fn new(limit: Option<usize>) -> Self {
        Self { limit, keys: BTreeSet::new(), bytes: 0 }
    }

    fn add(&mut self, key: &K, bytes: usize) {
        let Some(limit) = self.limit else {
            if self.keys.insert(key.clone()) {
                self.bytes += bytes;
            }
            return;
        };
        if self.keys.len() > limit && self.keys.last().is_some_and(|last| key > last) {
            return;
        }
        self.keys.insert(key.clone());
        if self.keys.len() > limit + 1 {
            self.keys.pop_last();
        }
    }

    /// The keys in order, and where the next part begins, if there is one.
    fn part(mut self) -> (Vec<K>, Option<K>) {
        let has_more = self.limit.is_some_and(|limit| self.keys.len() > limit);
        if has_more {
            self.keys.pop_last();
        }
        let next = self.keys.last().filter(|_| has_more).cloned();
        (self.keys.into_iter().collect(), next)
    }
}

fn user_of(conn: &Conn) -> Option<&Name> {
    conn.open().map(|open| &open.info.user)
}

fn protocol(conn: &Conn) -> &'static str {
    match conn.protocol {
        Protocol::Json { .. } => "json",
        Protocol::Plain(_) => "plain",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    #[test]
    fn parts_that_follow_each_other_have_each_item_once() {
        let part = |limit, after| {
            let mut found = Found::new(limit);
            [5, 3, 9, 1, 7].iter().filter(|key| **key > after).for_each(|key| found.add(key, 1));
            found.part()
        };
        assert_eq!(part(Some(2), 0), (vec![1, 3], Some(3)));
        assert_eq!(part(Some(2), 3), (vec![5, 7], Some(7)));
        assert_eq!(part(Some(2), 7), (vec![9], None));
        assert_eq!(part(Some(5), 0), (vec![1, 3, 5, 7, 9], None), "exactly as many");
        assert_eq!(part(None, 4), (vec![5, 7, 9], None));
    }
}
