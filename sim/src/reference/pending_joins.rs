//! Rooms that a client has not asked for in a command, and wants to have something of that it has missed: it is put into one
//! after the other, each when it has read what it was sent before.

use super::connection::ExpectedJoin;
use super::membership::{ExpectedMembership, MembershipReason};
use super::model::ReferenceModel;
use crate::goals::Goal;
use crate::world::history_request::RecoverFrom;
use serde_json::Value;
use std::collections::BTreeSet;

impl ReferenceModel {
    /// Puts a connection into the rooms that it starts in: at once into those of which it wants nothing but what is new. Who
    /// makes room for it goes then, and it is put into the others.
    pub(super) fn put_into_all(&mut self, client: usize, rooms: Vec<ExpectedJoin>, displaced: Option<usize>) {
        let (others, mut at_once): (Vec<_>, Vec<_>) =
            rooms.into_iter().partition(|room| room.want != RecoverFrom::Nothing);
        let mut others = others.into_iter();
        if at_once.is_empty() {
            at_once.extend(others.next());
        }
        let in_vain: Vec<usize> = at_once.iter().map(|entering| entering.room).collect();
        for (at, entering) in at_once.into_iter().enumerate() {
            let info = self.info(client, entering.room);
            self.put_into(client, entering);
            if !self.is_open(client) {
                self.join_all_in_vain(&info, client, &in_vain[at + 1..]);
                break;
            }
        }
        self.displace(displaced);
        for entering in others {
            self.settle();
            self.put_into(client, entering);
        }
    }

    pub(super) fn join_all_in_vain(&mut self, info: &Value, client: usize, rooms: &[usize]) {
        rooms.iter().for_each(|room| self.join_in_vain(info, client, *room));
    }

    /// Puts a connection into a room, now or when its client has read.
    pub(super) fn put_into(&mut self, client: usize, entering: ExpectedJoin) {
        let Some(conn) = self.conns[client].as_ref().filter(|conn| conn.is_open()) else { return };
        if entering.want != RecoverFrom::Nothing && (!conn.entering.is_empty() || self.is_behind(client)) {
            self.conn(client).expect("it is open").entering.push_back(entering);
        } else {
            self.enter(client, entering);
        }
    }

    /// Nothing waits for a client any more: it is put into the next of its rooms, until something does.
    pub(super) fn enter_more(&mut self, client: usize) {
        while self.is_open(client) && !self.is_behind(client) {
            let Some(next) = self.conn(client).and_then(|conn| conn.entering.pop_front()) else { break };
            self.goals.reach(Goal::EnteredLater);
            self.enter(client, next);
            self.settle();
        }
        self.hear_waiting(client);
    }

    fn enter(&mut self, client: usize, ExpectedJoin { room, want, membership, renewal }: ExpectedJoin) {
        if let Some(renewal) = renewal {
            return self.enter_as_user(client, (room, want, membership), *renewal);
        }
        let Ok(replay) = self.join(client, room, &want, membership) else { return self.overloaded(client) };
        let conn = self.conns[client].as_mut().expect("it is open");
        conn.recoveries += usize::from(replay.recovered == Some(true) && !replay.entries.is_empty());
        if conn.recoveries > 1 && !conn.entry.json {
            self.goals.reach(Goal::RecoveredInSeveral);
        }
        self.tell_put_in(client, room, replay);
    }

    /// Hears what a client has said while it was put into rooms.
    pub(super) fn hear_waiting(&mut self, client: usize) {
        let is_high = self.is_high(client);
        let Some(conn) = self.conn(client).filter(|conn| conn.is_open() && !conn.is_busy() && !is_high) else { return };
        if conn.waiting.is_empty() {
            return;
        }
        let waiting = std::mem::take(&mut conn.waiting);
        self.stand_still_for(client);
        waiting.into_iter().for_each(|text| self.hear(client, text));
    }

    /// Whether a client is to read before it gets very much at once.
    fn is_behind(&mut self, client: usize) -> bool {
        self.conns[client].as_ref().is_some_and(|conn| conn.refused) || self.is_high(client)
    }

    /// Gives up putting a connection into a room. Returns why it was wanted there.
    pub(super) fn stop_entering(&mut self, client: usize, room: usize) -> Option<ExpectedMembership> {
        let conn = self.conn(client)?;
        let at = conn.entering.iter().position(|entering| entering.room == room)?;
        let membership = conn.entering.remove(at)?.membership;
        self.turn.to_hear.push(client);
        Some(membership)
    }

    /// The membership of a connection in a room, or the one that it waits for.
    pub(super) fn membership(&self, client: usize, room: usize) -> Option<&ExpectedMembership> {
        let entering = self.conns[client].iter().flat_map(|conn| &conn.entering);
        let on_its_way = entering.filter(|entering| entering.room == room).map(|entering| &entering.membership).next();
        self.memberships.get(&(room, client)).or(on_its_way)
    }

    /// The same, to change who wants it there.
    pub(super) fn reasons_mut(&mut self, client: usize, room: usize) -> Option<&mut BTreeSet<MembershipReason>> {
        if let Some(membership) = self.memberships.get_mut(&(room, client)) {
            return Some(&mut membership.wanted);
        }
        let entering = &mut self.conns[client].as_mut()?.entering;
        entering.iter_mut().find(|entering| entering.room == room).map(|entering| &mut entering.membership.wanted)
    }

    /// How many rooms a connection is in, or on its way to.
    pub(super) fn membership_count(&self, client: usize) -> usize {
        let on_its_way = self.conns[client].as_ref().map_or(0, |conn| conn.entering.len());
        self.rooms.iter().filter(|members| members.contains(&client)).count() + on_its_way
    }
}
