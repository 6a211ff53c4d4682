//! Calls that look at every room or every connection. They are spread over turns, each of which looks at some.
//!
//! A room or connection that exists throughout such a call is in its answer exactly once: its index does not change, and each
//! index is visited once. One that comes or goes meanwhile may be in it.

use super::Hub;
use super::agenda::Work;
use super::walk::{COMPARED_PER_PLACE, Found, PLACES_PER_STEP, Walk, WalkOver};
use crate::api::json::{connection_bytes, room_bytes};
use crate::api::{ConnectionInfo, Reply};
use crate::connection::Conn;
use crate::glob::Glob;
use crate::ids::{ClientId, Slot};
use crate::names::{RoomName, UserId};
use alloc::boxed::Box;
use alloc::string::String;

impl Hub {
    /// Looks at some more, and answers when that was all, or when it is too much for an answer.
    pub(super) fn walk_on(&mut self, mut walk: Box<Walk>) {
        let most = self.left_of(walk.caller);
        let (places, spent) = match &mut walk.over {
            WalkOver::Rooms { pattern, after, found } => {
                self.visit_rooms(walk.at, pattern.as_ref(), after.as_deref(), found)
            }
            WalkOver::Connections { user, channel, after, found } => {
                self.visit_connections(walk.at, user.as_ref(), channel.as_ref(), *after, found)
            }
        };
        self.budget.visit(spent);
        walk.at += places;
        let (bytes, end) = match &walk.over {
            WalkOver::Rooms { found, .. } => (found.bytes, self.registry.room_slots()),
            WalkOver::Connections { found, .. } => (found.bytes, self.conns.capacity()),
        };
        let caller = walk.caller;
        if bytes > most {
            let error = self.over_reply();
            self.resolve(caller, Err(error));
        } else if walk.at < end {
            self.agenda.first(Work::Walk(walk));
        } else {
            let reply = match walk.over {
                WalkOver::Rooms { found, .. } => self.rooms_found(found),
                WalkOver::Connections { found, .. } => self.connections_found(found),
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
        found: &mut Found<RoomName>,
    ) -> (usize, usize) {
        let (mut places, mut spent) = (0, 0);
        while spent < PLACES_PER_STEP && from + places < self.registry.room_slots() {
            let room = self.registry.room_at(from + places);
            places += 1;
            spent += 1;
            let is_later = |name: &RoomName| !name.is_of_canary() && after.is_none_or(|after| name.as_str() > after);
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
        user: Option<&UserId>,
        channel: Option<&RoomName>,
        after: Option<ClientId>,
        found: &mut Found<ClientId>,
    ) -> (usize, usize) {
        for slot in from..from + PLACES_PER_STEP {
            let Some(conn) = self.conns.at(slot).filter(|conn| conn.ready().is_some()) else { continue };
            let Some(own) = user_of(conn).filter(|own| user.is_none_or(|user| *own == user)) else { continue };
            let is_later = after.is_none_or(|after| conn.client > after);
            if is_later && channel.is_none_or(|channel| self.registry.is_member(Slot::at(slot), channel)) {
                found.add(&conn.client, connection_bytes(own, conn.protocol.name(), self.rooms_of_connection(conn)));
            }
        }
        (PLACES_PER_STEP, PLACES_PER_STEP)
    }

    fn rooms_found(&self, found: Found<RoomName>) -> Reply {
        let (names, next) = found.part();
        let members =
            |name: RoomName| Some((self.registry.member_count(&name), name)).filter(|(members, _)| *members > 0);
        let rooms = names.into_iter().filter_map(members).map(|(members, name)| (name, members)).collect();
        Reply::Channels { rooms, next: next.map(|name| String::from(name.as_str())) }
    }

    fn connections_found(&self, found: Found<ClientId>) -> Reply {
        let (clients, next) = found.part();
        let there = clients.iter().filter_map(|client| self.clients.get(client));
        let ready = there.map(|slot| &self.conns[*slot]).filter(|conn| conn.ready().is_some());
        Reply::Connections { connections: ready.map(|conn| self.describe(conn)).collect(), next }
    }

    fn rooms_of_connection<'a>(&'a self, conn: &Conn) -> impl Iterator<Item = &'a RoomName> + use<'a> {
        self.registry.membership_states(conn.id.slot).filter(|(_, member)| *member).map(|(room, _)| room)
    }

    fn describe(&self, conn: &Conn) -> ConnectionInfo {
        ConnectionInfo {
            client: conn.client,
            user: user_of(conn).cloned().unwrap_or_else(UserId::anonymous),
            protocol: conn.protocol.name(),
            channels: self.rooms_of_connection(conn).cloned().collect(),
        }
    }
}

fn user_of(conn: &Conn) -> Option<&UserId> {
    conn.open().map(|open| &open.info.user)
}
