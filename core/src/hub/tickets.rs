//! Tickets: who waits for which answer of a home, or of another hub, and until when. Neither knows that: a request carries a
//! ticket, and so does its answer.

use super::gather::Caller;
use crate::connection::pending::CommandsInFlight;
use crate::ids::{ConnId, index};
use crate::link::Ticket;
use crate::names::RoomName;
use crate::node::ShardId;
use crate::protocol::CommandId;
use crate::stored::places;
use crate::time::{Deadline, Instant};
use alloc::vec::Vec;
use core::cmp::Reverse;
use slab::Slab;

/// The receiver of a home's answer.
#[derive(Clone, Debug, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub(super) enum Asker {
    /// A call of a backend.
    Call(Caller),
    /// A command with this id of a client, about this room. The answer is long where it tells of publications or members.
    Command { conn: ConnId, id: CommandId, room: RoomName, is_long: bool },
    /// A connection that joins a room.
    Join(ConnId),
    /// The canary, which hears what it has published and needs no answer.
    Canary,
}

/// The answers that are waited for. Each ticket is completed exactly once.
#[derive(Clone, Debug, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub(super) struct Tickets {
    #[serde(with = "crate::stored::places")]
    waiting: Slab<Waiting>,
    /// The number of tickets that were ever issued, modulo 2^32.
    issued: u32,
    /// The oldest and the newest of those with a receiver. All wait for as long, so that they are due in this order.
    oldest: u32,
    newest: u32,
    /// The number of tickets that were issued before this turn, modulo 2^32.
    issued_before: u32,
}

#[derive(Clone, Debug, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
struct Waiting {
    serial: u32,
    /// The shard that is to answer.
    shard: ShardId,
    /// `None` once the receiver was told that there is no answer. The answer that comes late has its ticket.
    asker: Option<Asker>,
    due: Instant,
    /// Its neighbours among those with a receiver.
    older: u32,
    newer: u32,
    /// The next among those of a connection's commands.
    next: u32,
}

/// The receiver of an answer that was taken from its ticket.
#[derive(Debug)]
pub(super) struct Answered {
    pub asker: Asker,
    at: u32,
    /// The next of its connection's commands.
    next: u32,
}

/// No place.
const NOWHERE: u32 = CommandsInFlight::NOWHERE;

impl Default for Tickets {
    fn default() -> Self {
        // On one shard an answer comes in the turn of its question: few wait, and none of them allocates.
        Self { waiting: Slab::with_capacity(16), issued: 0, oldest: NOWHERE, newest: NOWHERE, issued_before: 0 }
    }
}

impl Tickets {
    /// Puts the vacant places in the order in which a table that is read has them.
    pub fn settle_places(&mut self) {
        places::put_in_order(&mut self.waiting);
    }

    /// Issues a ticket for the answer of a shard, which is to come before `due`. No earlier ticket is due later.
    pub fn issue(&mut self, shard: ShardId, asker: Asker, due: Instant) -> Ticket {
        self.issued = self.issued.wrapping_add(1);
        let serial = self.issued;
        let older = self.newest;
        let waiting = Waiting { serial, shard, asker: Some(asker), due, older, newer: NOWHERE, next: NOWHERE };
        let at = index(self.waiting.insert(waiting));
        self.newest = at;
        self.link(older, at, Side::Newer);
        Ticket { at, serial }
    }

    /// Issues a ticket for a command of the connection that has asked this.
    pub fn issue_for(&mut self, asked: &mut CommandsInFlight, home: ShardId, asker: Asker, due: Instant) -> Ticket {
        let ticket = self.issue(home, asker, due);
        match self.waiting.get_mut(asked.last as usize) {
            Some(last) => last.next = ticket.at,
            None => asked.first = ticket.at,
        }
        (asked.last, asked.count) = (ticket.at, asked.count + 1);
        ticket
    }

    /// Takes a ticket, whose receiver was taken, from what its connection has asked. O(n) in what that has asked before.
    pub fn unlink(&mut self, asked: &mut CommandsInFlight, Answered { at, next, .. }: &Answered) {
        asked.count -= 1;
        if asked.first == *at {
            asked.first = *next;
            if *next == NOWHERE {
                asked.last = NOWHERE;
            }
            return;
        }
        let mut before = asked.first;
        while self.waiting[before as usize].next != *at {
            before = self.waiting[before as usize].next;
        }
        self.waiting[before as usize].next = *next;
        if asked.last == *at {
            asked.last = before;
        }
    }

    /// Returns `true` when one of these answers is about a room. O(n) in them.
    pub fn is_any_about(&self, asked: &CommandsInFlight, room: &str) -> bool {
        self.askers_of(asked).any(|asker| matches!(asker, Asker::Command { room: of, .. } if of.as_str() == room))
    }

    /// Returns `true` when one of these answers is long. O(n) in them.
    pub fn is_any_long(&self, asked: &CommandsInFlight) -> bool {
        self.askers_of(asked).any(|asker| matches!(asker, Asker::Command { is_long: true, .. }))
    }

    fn askers_of(&self, asked: &CommandsInFlight) -> impl Iterator<Item = &Asker> {
        let next = |at: &u32| self.waiting.get(*at as usize).map(|waiting| waiting.next);
        core::iter::successors(Some(asked.first), next).filter_map(|at| self.waiting.get(at as usize)?.asker.as_ref())
    }

    /// Begins a turn.
    pub fn begin_turn(&mut self) {
        self.issued_before = self.issued;
    }

    /// Returns `true` for a ticket that an earlier turn has issued.
    pub fn is_old(&self, ticket: Ticket) -> bool {
        // Since the oldest was issued, fewer than 2^31 others were.
        self.issued_before.wrapping_sub(ticket.serial) < 1 << 31
    }

    /// Returns `true` while an answer is waited for that is not overdue.
    #[inline]
    pub fn is_awaited(&self) -> bool {
        self.oldest != NOWHERE
    }

    /// Returns when the first of those who wait has waited for too long.
    pub fn deadline(&self) -> Deadline {
        Deadline::from_option(self.waiting.get(self.oldest as usize).map(|waiting| waiting.due))
    }

    /// Takes the receiver that has waited for too long at this time, the oldest first. The ticket stays until the answer comes.
    pub fn take_overdue(&mut self, now: Instant) -> Option<(Ticket, Answered)> {
        let at = self.oldest;
        let waiting = self.waiting.get(at as usize).filter(|waiting| waiting.due <= now)?;
        let ticket = Ticket { at, serial: waiting.serial };
        Some((ticket, self.take_asker(at).expect("who is in the list of those who wait does so")))
    }

    /// Returns the tickets of a shard, in the order in which they were issued.
    pub fn of_shard(&self, shard: ShardId) -> Vec<Ticket> {
        let of_shard = self.waiting.iter().filter(|(_, waiting)| waiting.shard == shard);
        let ticket = |(at, waiting): (usize, &Waiting)| Ticket { at: index(at), serial: waiting.serial };
        let mut tickets: Vec<Ticket> = of_shard.map(ticket).collect();
        // Since the oldest was issued, fewer than 2^31 others were.
        tickets.sort_unstable_by_key(|ticket| Reverse(self.issued.wrapping_sub(ticket.serial)));
        tickets
    }

    /// Forgets who of a lost shard waits. The tickets are completed as they would be.
    pub fn forget(&mut self, lost: ShardId) {
        for (_, waiting) in &mut self.waiting {
            if let Some(Asker::Call(caller)) = &mut waiting.asker {
                *caller = caller.without(lost);
            }
        }
    }

    /// Completes a ticket. Returns the receiver of the answer; `None` when it was told before that there is none.
    ///
    /// # Panics
    /// Panics when the ticket was completed before.
    pub fn complete(&mut self, Ticket { at, serial }: Ticket) -> Option<Answered> {
        let waiting = self.waiting.get(at as usize).expect("G7: a ticket is completed once");
        assert_eq!(waiting.serial, serial, "G7: a ticket is completed once");
        let answered = self.take_asker(at);
        self.waiting.remove(at as usize);
        answered
    }

    /// Returns the calls whose parts wait for an answer, once for each part.
    pub fn gathers(&self) -> impl Iterator<Item = u64> {
        self.askers().filter_map(|asker| match asker {
            Asker::Call(caller) => caller.gather(),
            _ => None,
        })
    }

    /// Asserts that a connection knows what its commands wait for. O(n) in the tickets.
    pub fn audit_asked(&self, conn: ConnId, asked: &CommandsInFlight) {
        let is_its = |asker: &&Asker| matches!(asker, Asker::Command { conn: of, .. } if *of == conn);
        let (all, listed) = (self.askers().filter(is_its).count(), self.askers_of(asked).filter(is_its).count());
        assert_eq!((asked.count as usize, listed), (all, all), "G8: answers that are waited for are counted");
    }

    /// Returns `true` when no answer is to come.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Asserts that exactly those who wait are in the list by which they are told that there is no answer. O(n) in the tickets.
    pub fn audit(&self) {
        let next = |at: &u32| self.waiting.get(*at as usize).map(|waiting| waiting.newer);
        let listed = core::iter::successors(Some(self.oldest), next).take_while(|at| *at != NOWHERE).count();
        assert_eq!(listed, self.askers().count(), "G7: who waits for an answer has a deadline");
    }

    fn askers(&self) -> impl Iterator<Item = &Asker> {
        self.waiting.iter().filter_map(|(_, waiting)| waiting.asker.as_ref())
    }

    /// Takes the receiver of an answer out of those who wait.
    fn take_asker(&mut self, at: u32) -> Option<Answered> {
        let waiting = &mut self.waiting[at as usize];
        let asker = waiting.asker.take()?;
        let (older, newer, next) = (waiting.older, waiting.newer, waiting.next);
        self.link(older, newer, Side::Newer);
        self.link(newer, older, Side::Older);
        Some(Answered { asker, at, next })
    }

    /// Makes `to` the neighbour of `at` on this side, or the end of the list where there is no `at`.
    fn link(&mut self, at: u32, to: u32, side: Side) {
        let place = match (self.waiting.get_mut(at as usize), side) {
            (Some(waiting), Side::Newer) => &mut waiting.newer,
            (Some(waiting), Side::Older) => &mut waiting.older,
            (None, Side::Newer) => &mut self.oldest,
            (None, Side::Older) => &mut self.newest,
        };
        *place = to;
    }
}

/// A side of a ticket in the list of those who wait.
#[derive(Clone, Copy)]
enum Side {
    Older,
    Newer,
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    fn command(id: u64) -> Asker {
        Asker::Command {
            conn: ConnId::from_parts(0, 0),
            id: CommandId::Number(id),
            room: RoomName::from("a"),
            is_long: false,
        }
    }

    fn number(answered: Option<Answered>) -> u64 {
        match answered.map(|answered| answered.asker) {
            Some(Asker::Command { id: CommandId::Number(number), .. }) => number,
            other => panic!("a command waits: {other:?}"),
        }
    }

    /// Issues a ticket for the answer of the first home to a command with this id, which is due then.
    fn issue(tickets: &mut Tickets, id: u64) -> Ticket {
        tickets.issue(ShardId::FIRST, command(id), Instant(id))
    }

    #[test]
    fn an_answer_finds_the_one_who_waits_for_it() {
        let mut tickets = Tickets::default();
        let [first, second] = [1, 2].map(|id| issue(&mut tickets, id));
        assert_eq!(number(tickets.complete(second)), 2);
        assert_eq!(number(tickets.complete(first)), 1);
        assert!(tickets.is_empty());
    }

    #[test]
    fn a_lost_home_completes_its_tickets_in_their_order() {
        let mut tickets = Tickets { issued: u32::MAX - 1, ..Tickets::default() };
        let [lost, other] = [0, 1].map(ShardId::at);
        let first = tickets.issue(other, command(1), Instant(1));
        for id in 2..5 {
            tickets.issue(lost, command(id), Instant(1));
        }
        tickets.complete(first);
        tickets.issue(lost, command(5), Instant(1));
        let kept = tickets.issue(other, command(6), Instant(1));
        let tickets_of_lost = tickets.of_shard(lost);
        let numbers: Vec<u64> = tickets_of_lost.into_iter().map(|ticket| number(tickets.complete(ticket))).collect();
        assert_eq!(numbers, [2, 3, 4, 5]);
        tickets.audit();
        tickets.complete(kept);
        assert!(tickets.is_empty());
    }

    #[test]
    fn those_who_wait_for_too_long_are_told_in_their_order_and_their_answers_dropped() {
        let mut tickets = Tickets::default();
        let issued = [1, 2, 3, 4, 5].map(|id| issue(&mut tickets, id));
        assert_eq!(tickets.deadline(), Instant(1).into());
        for at in [0, 2, 4] {
            assert!(tickets.complete(issued[at]).is_some());
            tickets.audit();
        }
        assert_eq!(tickets.deadline(), Instant(2).into());
        assert!(tickets.take_overdue(Instant(1)).is_none(), "it is not due yet");
        for (id, at) in [(2, 1), (4, 3)] {
            let (ticket, asker) = tickets.take_overdue(Instant(4)).expect("it is due");
            assert_eq!((ticket, number(Some(asker))), (issued[at], id));
            tickets.audit();
        }
        assert_eq!(tickets.deadline(), Deadline::NONE);
        assert!(tickets.take_overdue(Instant(9)).is_none() && !tickets.is_empty());
        assert!(tickets.complete(issued[1]).is_none(), "it has been told");
        assert_eq!(tickets.of_shard(ShardId::FIRST), [issued[3]]);
        assert!(tickets.complete(issued[3]).is_none(), "so has this one");
        assert!(tickets.is_empty());
    }

    #[test]
    fn a_connection_knows_what_its_commands_wait_for() {
        let room = |at: usize| ["a", "b", "c", "d"][at];
        for order in [[0, 1, 2, 3], [3, 2, 1, 0], [1, 2, 0, 3], [2, 3, 0, 1]] {
            let (mut tickets, mut asked) = (Tickets::default(), CommandsInFlight::NOTHING);
            let conn = ConnId::from_parts(0, 0);
            let asker = |at| {
                let (id, room) = (CommandId::NONE, RoomName::from(room(at)));
                Asker::Command { conn, id, room, is_long: at == 2 }
            };
            let issued = [0, 1, 2, 3].map(|at| tickets.issue_for(&mut asked, ShardId::FIRST, asker(at), Instant(1)));
            for (done, at) in order.into_iter().enumerate() {
                tickets.audit_asked(conn, &asked);
                assert!(tickets.is_any_about(&asked, room(at)));
                let answered = tickets.complete(issued[at]).expect("it waits");
                tickets.unlink(&mut asked, &answered);
                assert!(!tickets.is_any_about(&asked, room(at)));
                assert_eq!(tickets.is_any_long(&asked), order[done + 1..].contains(&2));
                assert_eq!(asked.count as usize, 3 - done);
            }
            tickets.issue_for(&mut asked, ShardId::FIRST, asker(0), Instant(1));
            tickets.audit_asked(conn, &asked);
        }
    }

    #[test]
    fn a_ticket_is_old_in_the_turn_after_its_own() {
        let mut tickets = Tickets { issued: u32::MAX - 1, issued_before: u32::MAX - 1, ..Tickets::default() };
        let [first, second] = [1, 2].map(|id| issue(&mut tickets, id));
        assert_eq!([first, second].map(|ticket| tickets.is_old(ticket)), [false; 2]);
        tickets.begin_turn();
        let third = issue(&mut tickets, 3);
        assert_eq!([first, second, third].map(|ticket| tickets.is_old(ticket)), [true, true, false]);
    }

    #[test]
    fn a_ticket_is_completed_once_although_its_place_is_used_again() {
        let mut tickets = Tickets::default();
        let first = issue(&mut tickets, 1);
        tickets.complete(first);
        let second = issue(&mut tickets, 2);
        assert_eq!((first.at, second.at), (0, 0));
        catch_unwind(AssertUnwindSafe(|| tickets.complete(first))).expect_err("it is another's place");
    }
}
