//! A flag that becomes true once, and can be waited for.

use std::cell::Cell;
use tokio::sync::Notify;

/// A flag that becomes true once, and can be waited for.
#[derive(Debug, Default)]
pub(crate) struct Latch {
    is_made: Cell<bool>,
    made: Notify,
}

impl Latch {
    pub(crate) fn make(&self) {
        self.is_made.set(true);
        self.made.notify_waiters();
    }

    pub(crate) async fn wait(&self) {
        if !self.is_made.get() {
            self.made.notified().await;
        }
    }
}
