//! A flag that is set once and can be waited for.

use std::cell::Cell;
use tokio::sync::Notify;

/// A flag that is set once. Any number of tasks may wait for it.
#[derive(Debug, Default)]
pub(crate) struct Latch {
    is_set: Cell<bool>,
    changed: Notify,
}

impl Latch {
    /// Sets the flag and wakes every task that waits for it.
    pub(crate) fn set(&self) {
        self.is_set.set(true);
        self.changed.notify_waiters();
    }

    /// Waits until the flag is set.
    pub(crate) async fn wait(&self) {
        if !self.is_set.get() {
            self.changed.notified().await;
        }
    }
}
