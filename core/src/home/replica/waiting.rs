//! Joins of rooms that follow an engine, which wait until their position is known.

use crate::engine::EngineTicket;
use crate::home::members::Joining;
use crate::link::Ticket;
use crate::map::{Keys, Map};
use crate::node::ShardId;
use crate::publication::Replay;
use crate::time::Instant;
use alloc::collections::{BTreeSet, VecDeque};
use alloc::vec::Vec;

/// The joins of all rooms that are not answered.
#[derive(Clone, Debug)]
pub(crate) struct WaitingJoins {
    pub by_ticket: Map<EngineTicket, WaitingJoin>,
    /// The times at which they have waited for too long. Some are answered, but not the first.
    pub deadlines: VecDeque<(Instant, EngineTicket)>,
    /// The time of the last tick, while joins that had waited for too long then are not refused.
    overdue: Option<Instant>,
}

#[derive(Clone, Debug)]
pub(crate) struct WaitingJoin {
    pub joining: Joining,
    /// `true` once its position is known, while the newest publications are read that it wants beside.
    pub reads_newest: bool,
}

/// The joins of one room that are not answered, and those who are told once they are.
#[derive(Clone, Debug, Default)]
pub(crate) struct JoinsOfRoom {
    pub waiting: BTreeSet<EngineTicket>,
    /// Who asks for an answer behind those to all joins up to this one.
    pub reaches: Vec<(EngineTicket, ShardId, Ticket)>,
    /// The latest join that was made.
    pub made: Option<EngineTicket>,
}

impl JoinsOfRoom {
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

impl WaitingJoins {
    pub fn new(keys: Keys) -> Self {
        Self { by_ticket: Map::with_hasher(keys), deadlines: VecDeque::new(), overdue: None }
    }

    pub fn is_empty(&self) -> bool {
        self.by_ticket.is_empty()
    }

    pub fn is_any_overdue(&self) -> bool {
        self.overdue.is_some()
    }

    /// Returns the time at which the first has waited for too long; `None` when none waits.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.front().map(|(due, _)| *due)
    }

    /// Notes which have waited for too long.
    pub fn tick(&mut self, now: Instant) {
        self.overdue = self.next_deadline().filter(|due| *due <= now).map(|_| now);
    }

    pub fn reads_newest(&self, ticket: EngineTicket) -> bool {
        self.by_ticket.get(&ticket).is_some_and(|join| join.reads_newest)
    }

    /// Returns the joins whose newest publications are read, in the order in which they came.
    pub fn that_read(&self) -> Vec<EngineTicket> {
        let reading = self.by_ticket.iter().filter(|(_, join)| join.reads_newest);
        let mut tickets: Vec<EngineTicket> = reading.map(|(ticket, _)| *ticket).collect();
        tickets.sort_unstable();
        tickets
    }

    /// Begins to read the newest publications for a join, if it wants any. Returns how many it wants.
    pub fn begin_to_read(&mut self, ticket: EngineTicket, lacks: impl FnOnce(usize) -> bool) -> Option<usize> {
        let join = self.by_ticket.get_mut(&ticket)?;
        let Replay::Last(most) = join.joining.replay else { return None };
        join.reads_newest = lacks(most);
        join.reads_newest.then_some(most)
    }

    /// Takes the one that has waited longest, if that was for too long at the last tick.
    pub fn overdue(&mut self) -> Option<EngineTicket> {
        let tick = self.overdue?;
        let overdue = self.deadlines.front().filter(|(due, _)| *due <= tick).copied();
        self.overdue = overdue.map(|_| tick);
        overdue.map(|(_, ticket)| ticket)
    }

    /// Takes a join that is to be answered; `None` when it was already.
    pub fn take(&mut self, ticket: EngineTicket) -> Option<Joining> {
        let join = self.by_ticket.swap_remove(&ticket);
        while self.deadlines.front().is_some_and(|(_, ticket)| !self.by_ticket.contains_key(ticket)) {
            self.deadlines.pop_front();
        }
        join.map(|join| join.joining)
    }
}
