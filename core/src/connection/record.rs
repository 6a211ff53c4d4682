//! The numbers of a connection that no decision depends on: they are kept to be asked for.

use crate::explain::PingAccount;
use crate::limits::Limit;
use crate::names::RoomName;
use crate::time::Instant;
use alloc::boxed::Box;
use alloc::vec::Vec;

/// The record of a connection.
#[derive(Clone, Debug, Default)]
pub(crate) struct Record {
    /// The time of its upgrade request, in milliseconds since 1970.
    pub since_ms: u64,
    pub pings: PingAccount,
    /// The limits that it has exceeded, at most one entry each.
    pub limits: Vec<(Limit, u32)>,
    /// The publication that its outbox did not take, for which it is to be closed: the room, and the offset of the one before.
    pub overflow: Option<Box<(RoomName, u64)>>,
    /// The number of its account among those of connections that end, once it closes.
    pub ending: Option<u64>,
}

impl Record {
    /// Counts that a limit was exceeded.
    #[cold]
    pub fn exceeded(&mut self, limit: Limit) {
        match self.limits.iter_mut().find(|(known, _)| *known == limit) {
            Some((_, times)) => *times = times.saturating_add(1),
            None => self.limits.push((limit, 1)),
        }
    }

    /// Counts a ping that was sent.
    pub fn pinged(&mut self, now: Instant) {
        self.pings.sent = self.pings.sent.saturating_add(1);
        self.pings.sent_at = now;
    }

    /// Counts the answer to the last ping.
    pub fn answered(&mut self, now: Instant) {
        self.pings.answered = self.pings.answered.saturating_add(1);
        self.pings.last_round_trip = now.since(self.pings.sent_at);
    }
}
