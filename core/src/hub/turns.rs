//! Pending work of a hub, and how much of it one turn carries out.
//!
//! A turn carries out one command after the other, each to its end. It stops between two once a connection could have been
//! given a good part of an outbox since the sockets were last offered what waits: the rest is put off, the sockets are
//! written to, and [`Hub::resume`] goes on. So an outbox never grows beyond what its socket was offered but by one turn (G6).

use super::Hub;
use super::agenda::{ANSWERS_PER_TURN, FRAMES_PER_TURN, VISITS_PER_TURN, Work};
use super::gather::Caller;
use crate::api::Command;
use crate::api::json::bad_room;
use crate::connection::Conn;
use crate::error::Error;
use crate::ids::{ConnId, Slot};
use crate::input::WebSocketMessage;
use crate::publication::Draft;
use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec::{self, Vec};
use core::mem;

impl Hub {
    /// Whether nothing more is to be begun before the sockets were offered what waits.
    pub fn is_spent(&self) -> bool {
        self.config.bounded_turns && self.budget.is_spent(&self.config.limits)
    }

    /// A turn begins.
    pub fn begin_turn(&mut self) {
        self.tickets.begin_turn();
        self.budget.queued_before = self.totals.frames_queued;
        (self.budget.visited, self.budget.answered, self.budget.pauses) = (0, 0, 0);
    }

    /// The slots of the connections whose messages this turn has put off.
    pub(super) fn paused_slots(&self) -> Vec<Slot> {
        self.agenda.waiting_since(self.budget.pauses).map(|conn| conn.slot).collect()
    }

    /// Whether this turn is to begin nothing more.
    pub fn has_done_enough(&self) -> bool {
        let queued = self.totals.frames_queued - self.budget.queued_before;
        let is_long = queued >= FRAMES_PER_TURN || self.budget.answered >= ANSWERS_PER_TURN;
        self.is_spent() || self.has_looked_enough() || (self.config.bounded_turns && is_long)
    }

    /// Counts so many rooms or publications that the home has looked at.
    pub fn visit(&mut self, places: usize) {
        self.budget.visit(places);
    }

    /// Whether this turn is to look at nothing more.
    pub(super) fn has_looked_enough(&self) -> bool {
        self.config.bounded_turns && self.budget.visited >= VISITS_PER_TURN
    }

    /// Whether something was put off.
    pub fn has_work(&self) -> bool {
        !self.agenda.put_off.is_empty()
    }

    /// All sockets were offered what waits.
    pub fn all_offered(&mut self) {
        (self.budget.frames, self.budget.bytes) = (0, 0);
    }

    /// Goes on with what was put off first.
    pub fn resume(&mut self) {
        self.all_offered();
        self.begin_turn();
        self.agenda.current.extend(self.agenda.put_off.pop_front().into_iter().flatten());
    }

    /// Carries out the next command. False when there is none, or the turn has done enough.
    #[inline]
    pub fn next_command(&mut self) -> bool {
        if self.agenda.is_done() {
            return false;
        }
        if self.has_done_enough() {
            self.put_off();
        } else {
            self.begin_next();
        }
        true
    }

    #[inline(never)]
    fn begin_next(&mut self) {
        match self.agenda.current.pop_front() {
            None => {}
            Some(Work::Message { conn, message, at }) => self.next_of_message(conn, message, at),
            Some(Work::Waiting(conn)) if self.find(conn).is_some() => self.resume_waiting(conn.slot),
            Some(Work::Enter(conn)) if self.find(conn).is_some() => self.enter_next(conn.slot),
            Some(Work::Check { conn, rooms }) if self.find(conn).is_some() => self.end_forbidden(conn.slot, rooms),
            Some(Work::Waiting(_) | Work::Enter(_) | Work::Check { .. }) => {}
            Some(Work::Walk(walk)) => self.walk_on(walk),
            Some(Work::Sweep(sweep)) => self.sweep_on(sweep),
            Some(Work::Batch { gather, at, commands }) => self.next_of_batch(gather, at, commands),
            Some(Work::Broadcast { gather, at, mut rooms, message }) => {
                if let Some(room) = rooms.next() {
                    self.next_of_broadcast(Caller::Part { gather, at }, &room, message.clone());
                }
                if rooms.len() > 0 {
                    self.agenda.first(Work::Broadcast { gather, at: at + 1, rooms, message });
                }
            }
        }
    }

    /// Whether a connection is not to be listened to: what it says would have to wait.
    pub fn is_paused(&self, conn: ConnId) -> bool {
        self.find(conn).and_then(Conn::open).is_some_and(|open| open.is_paused(&self.config.limits))
    }

    fn next_of_message(&mut self, id: ConnId, message: WebSocketMessage, at: usize) {
        let Some(conn) = self.find(id) else { return };
        match conn.open() {
            None => {}
            Some(open) if open.is_barred() || open.is_paused(&self.config.limits) => {
                self.defer_message(id.slot, message.rest(at).into());
            }
            Some(_) => self.commands_of_message(id, message, at),
        }
    }

    /// Carries out a part of a batch, once the one before it is answered.
    fn next_of_batch(&mut self, gather: u64, at: usize, mut commands: vec::IntoIter<Result<Command, Error>>) {
        if let Some(gathering) = self.gathers.get_mut(&gather)
            && at > 0
            && gathering.results[at - 1].is_none()
        {
            gathering.rest = Some((at, commands));
            return;
        }
        let command = commands.next();
        if commands.len() > 0 {
            self.agenda.first(Work::Batch { gather, at: at + 1, commands });
        }
        let caller = Caller::Part { gather, at };
        match command {
            Some(Ok(command)) => self.call(caller, command),
            Some(Err(error)) => self.resolve(caller, Err(error)),
            None => {}
        }
    }

    fn next_of_broadcast(&mut self, part: Caller, room: &str, (draft, key): (Draft, Option<String>)) {
        match self.config.room(room) {
            Ok(name) => self.publish_for(part, name, draft, key),
            Err(wrong) => self.resolve(part, Err(bad_room(room, &wrong))),
        }
    }

    /// Leaves the rest of this turn's work to another. A message waits at its connection, so that the next one waits behind
    /// it.
    fn put_off(&mut self) {
        let mut rest = VecDeque::new();
        for work in mem::take(&mut self.agenda.current) {
            rest.push_back(match work {
                Work::Message { conn, message, at } => {
                    if self.find(conn).is_some() {
                        self.defer_message(conn.slot, message.rest(at).into());
                    }
                    Work::Waiting(conn)
                }
                other => other,
            });
        }
        self.agenda.put_off.push_back(rest);
        self.budget.pauses += 1;
    }
}
