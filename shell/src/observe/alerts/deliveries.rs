//! Counts of the notifications of alerts, by how they ended.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts of notifications, over all URLs. Each ends as sent, superseded or lost, and may fail any number of times before.
#[derive(Debug, Default)]
pub(crate) struct NotificationFigures {
    sent: AtomicU64,
    superseded: AtomicU64,
    lost: AtomicU64,
    failures: AtomicU64,
}

impl NotificationFigures {
    /// Notes one that was taken by its URL.
    pub(crate) fn sent(&self) {
        self.sent.fetch_add(1, Ordering::Relaxed);
    }

    /// Notes one whose alert has changed again before it was sent.
    pub(super) fn superseded(&self) {
        self.superseded.fetch_add(1, Ordering::Relaxed);
    }

    /// Notes one that was refused for good, or was not taken for too long.
    pub(crate) fn lost(&self) {
        self.lost.fetch_add(1, Ordering::Relaxed);
    }

    /// Notes an attempt that failed.
    pub(crate) fn failed(&self) {
        self.failures.fetch_add(1, Ordering::Relaxed);
    }

    /// The notifications that have ended, by how.
    pub(crate) fn counts(&self) -> [(&'static str, u64); 3] {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        [("sent", of(&self.sent)), ("superseded", of(&self.superseded)), ("lost", of(&self.lost))]
    }

    /// Attempts that failed.
    pub(crate) fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }
}
