//! The log of a room as it must be.

use serde_json::Value;
use std::collections::VecDeque;
use std::sync::Arc;

/// A room's log.
#[derive(Clone, Debug)]
pub(super) struct ExpectedLog {
    /// As the subject named it; `None` when the log came and went within one turn.
    pub(super) epoch: Option<Arc<str>>,
    pub(super) top: u64,
    pub(super) entries: VecDeque<LoggedPublication>,
    /// When it lost its last member or was published to, whichever was later.
    pub(super) touched: u64,
}

/// One retained message.
#[derive(Clone, Debug)]
pub(super) struct LoggedPublication {
    pub(super) offset: u64,
    pub(super) line: Arc<str>,
    /// The publication as it is sent again.
    pub(super) body: Value,
    /// When it was published.
    pub(super) at: u64,
}

/// Publications that a new member gets before anything else.
#[derive(Clone, Debug, Default)]
pub(super) struct ExpectedReplay {
    /// Whether all was there; `None` when nothing was asked for.
    pub(super) recovered: Option<bool>,
    pub(super) entries: Vec<LoggedPublication>,
}

/// The payloads, each as it must arrive.
pub(super) fn lines(entries: &[LoggedPublication]) -> Vec<Arc<str>> {
    entries.iter().map(|entry| Arc::clone(&entry.line)).collect()
}
