//! The log of one room: its epoch, its top offset, and what of it is still retained.

use crate::ids::{ClientId, Name};
use crate::limits::Limits;
use crate::link::{Entry, Position};
use crate::map::{Keys, Map};
use crate::registry::JoinId;
use crate::time::Instant;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use core::time::Duration;

/// What a room has said, and who is there to hear it.
#[derive(Clone, Debug)]
pub(crate) struct Log {
    pub name: Name,
    epoch: u64,
    top: u64,
    retained: VecDeque<Retained>,
    bytes: usize,
    /// Who is in the room, and by which join.
    pub members: Map<ClientId, JoinId>,
    /// Its place in the broker's order of eviction, while it has no members.
    pub idle_since: Option<u64>,
    /// What the broker's timers hold for it.
    pub armed: Instant,
}

#[derive(Clone, Debug)]
struct Retained {
    at: Instant,
    entry: Arc<Entry>,
}

impl Log {
    pub fn new(name: Name, epoch: u64, idle_since: u64, keys: Keys) -> Self {
        Self {
            name,
            epoch,
            top: 0,
            retained: VecDeque::new(),
            bytes: 0,
            members: Map::with_hasher(keys),
            idle_since: Some(idle_since),
            armed: Instant::NEVER,
        }
    }

    /// The newest message's place.
    pub fn position(&self) -> Position {
        Position { epoch: self.epoch, offset: self.top }
    }

    /// Takes the next number.
    pub fn next_offset(&mut self) -> u64 {
        self.top += 1;
        self.top
    }

    /// Keeps the newest message, and no more than `max`. Returns the bytes that were dropped for it.
    pub fn retain(&mut self, now: Instant, entry: Arc<Entry>, max: usize) -> usize {
        assert_eq!(entry.offset, self.top, "G5: a log is appended to in order");
        self.bytes += entry.draft.bytes();
        self.retained.push_back(Retained { at: now, entry });
        let mut dropped = 0;
        while self.retained.len() > max {
            dropped += self.drop_oldest();
        }
        dropped
    }

    /// Drops what is `age` old or older. Returns how many bytes that were.
    pub fn drop_older(&mut self, now: Instant, age: Duration) -> usize {
        let mut dropped = 0;
        while self.retained.front().is_some_and(|oldest| oldest.at.after(age) <= now) {
            dropped += self.drop_oldest();
        }
        dropped
    }

    /// How many bytes the next message pushes out.
    pub fn bytes_of_oldest_if_full(&self, max: usize) -> usize {
        let oldest = self.retained.front().filter(|_| self.retained.len() >= max);
        oldest.map_or(0, |oldest| oldest.entry.draft.bytes())
    }

    /// When the oldest retained message is to be dropped.
    pub fn ages_out(&self, age: Duration) -> Instant {
        self.retained.front().map_or(Instant::NEVER, |oldest| oldest.at.after(age))
    }

    /// Whether it has neither a member nor anything to tell one.
    pub fn is_void(&self) -> bool {
        self.members.is_empty() && self.retained.is_empty()
    }

    /// Bytes retained.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// What is retained, oldest first.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.retained.iter().map(|retained| &*retained.entry)
    }

    /// Checks bounds, order and counts. Returns the bytes retained.
    pub fn audit(&self, limits: &Limits) -> usize {
        assert!(self.retained.len() <= limits.history_messages, "G6: a log is bounded");
        let offsets = self.entries().map(|entry| entry.offset);
        let first = self.top - self.retained.len() as u64 + 1;
        let newest_known =
            self.retained.is_empty() || self.retained.back().is_some_and(|last| last.entry.offset == self.top);
        assert!(newest_known && offsets.eq(first..=self.top), "G5: a log has no hole");
        assert_eq!(
            self.bytes,
            self.entries().map(|entry| entry.draft.bytes()).sum::<usize>(),
            "G8: a log counts its bytes"
        );
        self.bytes
    }

    fn drop_oldest(&mut self) -> usize {
        let oldest = self.retained.pop_front().expect("a log over its bound has an entry");
        self.bytes -= oldest.entry.draft.bytes();
        oldest.entry.draft.bytes()
    }
}
