//! Rooms that a client has not asked for in a command, and wants to have something of that it has missed: it is put into one
//! after the other, each when it has read what it was sent before.

use super::Oracle;
use super::presence::{Seat, Wish};
use super::recovery::Want;
use crate::coverage::Goal;
use serde_json::Value;
use std::collections::BTreeSet;

/// A room that a connection waits to be put into.
#[derive(Clone, Debug)]
pub(crate) struct Entering {
    pub room: usize,
    pub want: Want,
    pub seat: Seat,
}

impl Oracle {
    /// Puts a connection into the rooms that it starts in: at once into those of which it wants nothing but what is new. Who
    /// makes room for it goes then, and it is put into the others.
    pub(super) fn put_into_all(&mut self, peer: usize, rooms: Vec<Entering>, displaced: Option<usize>) {
        let (others, mut at_once): (Vec<_>, Vec<_>) = rooms.into_iter().partition(|room| room.want != Want::Nothing);
        let mut others = others.into_iter();
        if at_once.is_empty() {
            at_once.extend(others.next());
        }
        let in_vain: Vec<usize> = at_once.iter().map(|entering| entering.room).collect();
        for (at, entering) in at_once.into_iter().enumerate() {
            let info = self.info(peer, entering.room);
            self.put_into(peer, entering);
            if !self.is_open(peer) {
                self.join_all_in_vain(&info, peer, &in_vain[at + 1..]);
                break;
            }
        }
        self.displace(displaced);
        for entering in others {
            self.settle();
            self.put_into(peer, entering);
        }
    }

    pub(super) fn join_all_in_vain(&mut self, info: &Value, peer: usize, rooms: &[usize]) {
        rooms.iter().for_each(|room| self.join_in_vain(info, peer, *room));
    }

    /// Puts a connection into a room, now or when its client has read.
    pub(super) fn put_into(&mut self, peer: usize, entering: Entering) {
        let Some(conn) = self.conns[peer].as_ref().filter(|conn| conn.is_open()) else { return };
        if entering.want != Want::Nothing && (!conn.entering.is_empty() || self.is_behind(peer)) {
            self.conn(peer).expect("it is open").entering.push_back(entering);
        } else {
            self.enter(peer, entering);
        }
    }

    /// Nothing waits for a client any more: it is put into the next of its rooms, until something does.
    pub(super) fn enter_more(&mut self, peer: usize) {
        while self.is_open(peer) && !self.is_behind(peer) {
            let Some(next) = self.conn(peer).and_then(|conn| conn.entering.pop_front()) else { break };
            self.goals.reach(Goal::EnteredLater);
            self.enter(peer, next);
            self.settle();
        }
        self.hear_waiting(peer);
    }

    fn enter(&mut self, peer: usize, Entering { room, want, seat }: Entering) {
        let Ok(replay) = self.join(peer, room, &want, seat) else { return self.overloaded(peer) };
        let conn = self.conns[peer].as_mut().expect("it is open");
        conn.recoveries += usize::from(replay.recovered == Some(true) && !replay.entries.is_empty());
        if conn.recoveries > 1 && !conn.entry.json {
            self.goals.reach(Goal::RecoveredInSeveral);
        }
        self.tell_put_in(peer, room, replay);
    }

    /// Hears what a client has said while it was put into rooms.
    pub(super) fn hear_waiting(&mut self, peer: usize) {
        let is_high = self.is_high(peer);
        let Some(conn) = self.conn(peer).filter(|conn| conn.is_open() && !conn.is_busy() && !is_high) else { return };
        if conn.waiting.is_empty() {
            return;
        }
        let waiting = std::mem::take(&mut conn.waiting);
        self.stand_still_for(peer);
        waiting.into_iter().for_each(|text| self.hear(peer, text));
    }

    /// Whether a client is to read before it gets very much at once.
    fn is_behind(&mut self, peer: usize) -> bool {
        self.conns[peer].as_ref().is_some_and(|conn| conn.refused) || self.is_high(peer)
    }

    /// Gives up putting a connection into a room. Returns why it was wanted there.
    pub(super) fn stop_entering(&mut self, peer: usize, room: usize) -> Option<Seat> {
        let conn = self.conn(peer)?;
        let at = conn.entering.iter().position(|entering| entering.room == room)?;
        let seat = conn.entering.remove(at)?.seat;
        self.turn.to_hear.push(peer);
        Some(seat)
    }

    /// What is known of a connection in a room, or on its way there.
    pub(super) fn seat(&self, peer: usize, room: usize) -> Option<&Seat> {
        let entering = self.conns[peer].iter().flat_map(|conn| &conn.entering);
        let on_its_way = entering.filter(|entering| entering.room == room).map(|entering| &entering.seat).next();
        self.seats.get(&(room, peer)).or(on_its_way)
    }

    /// The same, to change who wants it there.
    pub(super) fn wishes(&mut self, peer: usize, room: usize) -> Option<&mut BTreeSet<Wish>> {
        if let Some(seat) = self.seats.get_mut(&(room, peer)) {
            return Some(&mut seat.wanted);
        }
        let entering = &mut self.conns[peer].as_mut()?.entering;
        entering.iter_mut().find(|entering| entering.room == room).map(|entering| &mut entering.seat.wanted)
    }

    /// How many rooms a connection is in, or on its way to.
    pub(super) fn seat_count(&self, peer: usize) -> usize {
        let on_its_way = self.conns[peer].as_ref().map_or(0, |conn| conn.entering.len());
        self.rooms.iter().filter(|members| members.contains(&peer)).count() + on_its_way
    }
}
