//! A flag that becomes true once, and can be waited for.

use std::cell::Cell;
use tokio::sync::Notify;

/// A flag that becomes true once, and can be waited for.
#[derive(Debug, Default)]
pub(crate) struct Latch {
    is_set: Cell<bool>,
    changed: Notify,
}

impl Latch {
    pub(crate) fn set(&self) {
        self.is_set.set(true);
        self.changed.notify_waiters();
    }

    pub(crate) async fn wait(&self) {
        if !self.is_set.get() {
            self.changed.notified().await;
        }
    }
}
