//! Tickets: who waits for which answer of a home, or of another hub. Neither knows that: a request carries a ticket, and so does
//! its answer.

use super::gather::Caller;
use crate::ids::{ConnId, index};
use crate::link::Ticket;
use crate::names::RoomName;
use crate::node::ShardId;
use crate::protocol::CommandId;
use alloc::vec::Vec;
use slab::Slab;

/// The receiver of a home's answer.
#[derive(Clone, Debug)]
pub(super) enum Asker {
    /// A call of a backend.
    Call(Caller),
    /// A command with this id of a client, about this room.
    Command { conn: ConnId, id: CommandId, room: RoomName },
}

/// The answers that are waited for. Each ticket is completed exactly once.
#[derive(Clone, Debug)]
pub(super) struct Tickets {
    waiting: Slab<Waiting>,
    /// The number of tickets that were ever issued, modulo 2^32.
    issued: u32,
}

#[derive(Clone, Debug)]
struct Waiting {
    serial: u32,
    /// The shard that is to answer.
    shard: ShardId,
    asker: Asker,
}

impl Default for Tickets {
    fn default() -> Self {
        // On one shard an answer comes in the turn of its question: few wait, and none of them allocates.
        Self { waiting: Slab::with_capacity(16), issued: 0 }
    }
}

impl Tickets {
    /// Issues a ticket for the answer of a shard.
    pub fn issue(&mut self, shard: ShardId, asker: Asker) -> Ticket {
        self.issued = self.issued.wrapping_add(1);
        let serial = self.issued;
        Ticket { at: index(self.waiting.insert(Waiting { serial, shard, asker })), serial }
    }

    /// Completes the tickets of a shard that was lost. Returns those who have waited, in the order in which they asked.
    pub fn lose(&mut self, shard: ShardId) -> Vec<Asker> {
        let lost = self.waiting.iter().filter(|(_, waiting)| waiting.shard == shard);
        // Since the oldest was issued, fewer than 2^31 others were.
        let age = |serial: u32| self.issued.wrapping_sub(serial);
        let mut lost: Vec<(u32, usize)> = lost.map(|(at, waiting)| (age(waiting.serial), at)).collect();
        lost.sort_unstable_by(|a, b| b.cmp(a));
        lost.into_iter().map(|(_, at)| self.waiting.remove(at).asker).collect()
    }

    /// Forgets who of a lost shard waits. The tickets are completed as they would be.
    pub fn forget(&mut self, lost: ShardId) {
        for (_, waiting) in &mut self.waiting {
            if let Asker::Call(caller) = &mut waiting.asker {
                *caller = caller.without(lost);
            }
        }
    }

    /// Completes a ticket. Returns the receiver of the answer.
    ///
    /// # Panics
    /// Panics when the ticket was completed before.
    pub fn complete(&mut self, Ticket { at, serial }: Ticket) -> Asker {
        let waiting = self.waiting.try_remove(at as usize).expect("G7: a ticket is completed once");
        assert_eq!(waiting.serial, serial, "G7: a ticket is completed once");
        waiting.asker
    }

    /// Returns the calls whose parts wait for an answer, once for each part.
    pub fn gathers(&self) -> impl Iterator<Item = u64> {
        self.waiting.iter().filter_map(|(_, waiting)| match waiting.asker {
            Asker::Call(caller) => caller.gather(),
            Asker::Command { .. } => None,
        })
    }

    /// Returns the number of answers that commands of a connection wait for. O(n) in the tickets.
    pub fn count_of(&self, conn: ConnId) -> usize {
        let is_its = |waiting: &Waiting| matches!(waiting.asker, Asker::Command { conn: of, .. } if of == conn);
        self.waiting.iter().filter(|(_, waiting)| is_its(waiting)).count()
    }

    /// Returns `true` when no answer is waited for.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    fn command(id: u64) -> Asker {
        Asker::Command { conn: ConnId::from_parts(0, 0), id: CommandId::Number(id), room: RoomName::from("a") }
    }

    #[test]
    fn an_answer_finds_the_one_who_waits_for_it() {
        let mut tickets = Tickets::default();
        let [first, second] = [1, 2].map(|id| tickets.issue(ShardId::FIRST, command(id)));
        assert!(matches!(tickets.complete(second), Asker::Command { id: CommandId::Number(2), .. }));
        assert!(matches!(tickets.complete(first), Asker::Command { id: CommandId::Number(1), .. }));
        assert!(tickets.is_empty());
    }

    #[test]
    fn a_lost_home_completes_its_tickets_in_their_order() {
        let mut tickets = Tickets { issued: u32::MAX - 1, ..Tickets::default() };
        let [lost, other] = [0, 1].map(ShardId::at);
        let first = tickets.issue(other, command(1));
        for id in 2..5 {
            tickets.issue(lost, command(id));
        }
        tickets.complete(first);
        tickets.issue(lost, command(5));
        let kept = tickets.issue(other, command(6));
        let number = |asker: Asker| match asker {
            Asker::Command { id: CommandId::Number(number), .. } => number,
            other => panic!("a command waits: {other:?}"),
        };
        assert_eq!(tickets.lose(lost).into_iter().map(number).collect::<Vec<_>>(), [2, 3, 4, 5]);
        tickets.complete(kept);
        assert!(tickets.is_empty());
    }

    #[test]
    fn a_ticket_is_completed_once_although_its_place_is_used_again() {
        let mut tickets = Tickets::default();
        let first = tickets.issue(ShardId::FIRST, command(1));
        tickets.complete(first);
        let second = tickets.issue(ShardId::FIRST, command(2));
        assert_eq!((first.at, second.at), (0, 0));
        catch_unwind(AssertUnwindSafe(|| tickets.complete(first))).expect_err("it is another's place");
    }
}
