//! Tickets: who waits for which answer of a home. A home does not know that: a request carries a ticket, and so does its
//! answer.

use super::gather::Caller;
use crate::ids::{ConnId, index};
use crate::link::Ticket;
use crate::names::RoomName;
use crate::protocol::CommandId;
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
    waiting: Slab<(u32, Asker)>,
    /// The number of tickets that were ever issued, modulo 2^32.
    issued: u32,
}

impl Default for Tickets {
    fn default() -> Self {
        // On one shard an answer comes in the turn of its question: few wait, and none of them allocates.
        Self { waiting: Slab::with_capacity(16), issued: 0 }
    }
}

impl Tickets {
    /// Issues a ticket for an answer.
    pub fn issue(&mut self, asker: Asker) -> Ticket {
        self.issued = self.issued.wrapping_add(1);
        Ticket { at: index(self.waiting.insert((self.issued, asker))), serial: self.issued }
    }

    /// Completes a ticket. Returns the receiver of the answer.
    ///
    /// # Panics
    /// Panics when the ticket was completed before.
    pub fn complete(&mut self, Ticket { at, serial }: Ticket) -> Asker {
        let (issued, asker) = self.waiting.try_remove(at as usize).expect("G7: a ticket is completed once");
        assert_eq!(issued, serial, "G7: a ticket is completed once");
        asker
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
        let [first, second] = [1, 2].map(|id| tickets.issue(command(id)));
        assert!(matches!(tickets.complete(second), Asker::Command { id: CommandId::Number(2), .. }));
        assert!(matches!(tickets.complete(first), Asker::Command { id: CommandId::Number(1), .. }));
        assert!(tickets.is_empty());
    }

    #[test]
    fn a_ticket_is_completed_once_although_its_place_is_used_again() {
        let mut tickets = Tickets::default();
        let first = tickets.issue(command(1));
        tickets.complete(first);
        let second = tickets.issue(command(2));
        assert_eq!((first.at, second.at), (0, 0));
        catch_unwind(AssertUnwindSafe(|| tickets.complete(first))).expect_err("it is another's place");
    }
}
