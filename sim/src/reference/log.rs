//! A room's log: its position, what it retains, and what a new member is given of it.

use serde_json::Value;
use std::collections::VecDeque;
use std::sync::Arc;

/// A room's log.
#[derive(Clone, Debug)]
pub(crate) struct ExpectedLog {
    /// As the subject named it; `None` when the log came and went within one turn.
    pub epoch: Option<Arc<str>>,
    pub top: u64,
    pub entries: VecDeque<LoggedPublication>,
    pub fullness: LogFullness,
    /// When it lost its last member or was published to, whichever was later.
    pub(super) touched: u64,
    /// Its place in the order of these times.
    pub idle: (u64, usize),
}

impl ExpectedLog {
    /// Bytes that it retains, including payloads that other logs retain too.
    pub(super) fn bytes(&self) -> usize {
        self.entries.iter().map(|entry| entry.bytes).sum()
    }
}

/// One retained message.
#[derive(Clone, Debug)]
pub(crate) struct LoggedPublication {
    pub offset: u64,
    /// The payload's number, and the payload.
    pub number: u64,
    pub line: Arc<str>,
    /// The publication as it is sent again.
    pub body: Value,
    /// Bytes that it counts for in a log: payload, tags and information about the publisher.
    pub bytes: usize,
    /// Bytes that it takes in a reply, without the comma before the next.
    pub encoded: usize,
    /// When it was published.
    pub at: u64,
}

/// How full a log is: the bits of the bytes that it holds, and since when they are as many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LogFullness {
    pub(super) bits: u32,
    pub(super) since: u64,
}

/// The log that a room has before anything was numbered: it takes no memory, so it is the same one
/// whenever the room comes to life, until a log of the room with offsets is forgotten.
#[derive(Clone, Debug, Default)]
pub(super) struct EmptyLog {
    pub(super) epoch: Option<Arc<str>>,
    /// Another room's log was forgotten since its epoch was seen. Rooms share counters, by chance and seldom.
    pub(super) is_doubtful: bool,
    /// That chance has come about.
    pub(super) has_moved: bool,
}

/// How often a room has come to life, and how often its log has begun.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RoomPast {
    pub(super) occupied: u32,
    pub(super) logs: u32,
}

/// A message's position: its offset, and the epoch of the log as a reply must have it.
pub(super) type ExpectedPosition = (u64, Value);

/// Where a message came from, as its receivers see it.
pub(super) struct PublisherInfo {
    pub info: Value,
}

/// Publications that a new member gets before anything else.
#[derive(Clone, Debug, Default)]
pub(super) struct ExpectedReplay {
    /// Whether all was there; `None` when nothing was asked for.
    pub recovered: Option<bool>,
    pub entries: Vec<LoggedPublication>,
}

impl ExpectedReplay {
    pub const FAILED: Self = Self { recovered: Some(false), entries: Vec::new() };

    /// Bytes that it takes in a reply: its publications, with commas between them.
    pub fn encoded(&self) -> usize {
        let messages: usize = self.entries.iter().map(|entry| entry.encoded).sum();
        messages + self.entries.len().saturating_sub(1)
    }
}

impl ExpectedReplay {
    /// The payloads, each as it must arrive.
    pub fn lines(&self) -> Vec<Arc<str>> {
        self.entries.iter().map(|entry| Arc::clone(&entry.line)).collect()
    }
}

pub(super) fn bodies(entries: &[LoggedPublication]) -> Value {
    entries.iter().map(|entry| entry.body.clone()).collect()
}

/// The first byte of the tag of a publication; the second is its room.
pub(super) const PUBLICATION: u64 = 4;
