//! The numbers of a connection that no decision depends on: they are kept to be asked for.

use crate::limits::Limit;
use crate::names::RoomName;
use crate::time::Instant;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::time::Duration;

/// The record of a connection. There are many, so that what few of them have is apart.
#[derive(Clone, Debug, Default, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub(crate) struct Record {
    /// The time of its upgrade request, in milliseconds since 1970.
    pub since_ms: u64,
    /// When the last ping was sent.
    pinged_at: Instant,
    /// The pings that were sent.
    pub pings: u32,
    /// Those that were answered.
    pub answered: u32,
    /// Milliseconds from the last answered ping to its answer.
    round_trip_ms: u32,
    rare: Option<Box<RareRecord>>,
}

/// The part of a record that most connections do not have before they end.
#[derive(Clone, Debug, Default, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
struct RareRecord {
    /// The limits that it has exceeded, at most one entry each.
    limits: Vec<(Limit, u32)>,
    /// The publication that its outbox did not take, for which it is to be closed: the room, and the offset of the one before.
    overflow: Option<(RoomName, u64)>,
    /// The frames that its outbox did not take.
    refused_frames: u64,
    /// The number of its account among those of connections that end, once it closes.
    ending: Option<u64>,
}

impl Record {
    /// Creates the record of a connection that comes at this time, in milliseconds since 1970.
    pub fn since(since_ms: u64) -> Self {
        Self { since_ms, ..Self::default() }
    }

    fn rare(&mut self) -> &mut RareRecord {
        self.rare.get_or_insert_default()
    }

    /// Counts that a limit was exceeded.
    #[cold]
    pub fn exceeded(&mut self, limit: Limit) {
        let limits = &mut self.rare().limits;
        match limits.iter_mut().find(|(known, _)| *known == limit) {
            Some((_, times)) => *times = times.saturating_add(1),
            None => limits.push((limit, 1)),
        }
    }

    /// Counts that its outbox did not take a frame, because of this limit.
    #[cold]
    pub fn refused(&mut self, limit: Limit) {
        self.exceeded(limit);
        self.rare().refused_frames += 1;
    }

    /// Returns the number of frames that its outbox did not take.
    pub fn refused_frames(&self) -> u64 {
        self.rare.as_deref().map_or(0, |rare| rare.refused_frames)
    }

    /// Returns the limits that were exceeded, each with how often.
    pub fn limits(&self) -> &[(Limit, u32)] {
        self.rare.as_deref().map_or(&[], |rare| &rare.limits)
    }

    /// Records the publication that its outbox did not take, or that it took everything.
    #[cold]
    pub fn set_overflow(&mut self, overflow: Option<(RoomName, u64)>) {
        self.rare().overflow = overflow;
    }

    /// Returns the publication that its outbox did not take: the room, and the offset of the one before.
    pub fn overflow(&self) -> Option<&(RoomName, u64)> {
        self.rare.as_deref()?.overflow.as_ref()
    }

    /// Records the number of its account among those of connections that end.
    pub fn set_ending(&mut self, number: u64) {
        self.rare().ending = Some(number);
    }

    /// Returns the number of its account among those of connections that end; `None` before it closes.
    pub fn ending(&self) -> Option<u64> {
        self.rare.as_deref()?.ending
    }

    /// Counts a ping that was sent.
    pub fn pinged(&mut self, now: Instant) {
        self.pings = self.pings.saturating_add(1);
        self.pinged_at = now;
    }

    /// Counts the answer to the last ping.
    pub fn answered_ping(&mut self, now: Instant) {
        self.answered = self.answered.saturating_add(1);
        self.round_trip_ms = u32::try_from(now.since(self.pinged_at).as_millis()).unwrap_or(u32::MAX);
    }

    /// Returns the time from the last answered ping to its answer, in whole milliseconds.
    pub fn round_trip(&self) -> Duration {
        Duration::from_millis(self.round_trip_ms.into())
    }
}
