//! The pulse of a shard: it is asked from outside whether its tasks run, and answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::watch;

/// The side that asks.
#[derive(Debug)]
pub struct Heart {
    asked: watch::Sender<u64>,
    answered: Arc<AtomicU64>,
}

/// The side of the shard.
#[derive(Clone, Debug)]
pub(crate) struct Pulse {
    asked: watch::Receiver<u64>,
    answered: Arc<AtomicU64>,
}

impl Heart {
    /// Creates the two sides. Nothing was asked yet, which counts as answered.
    pub(crate) fn new() -> (Self, Pulse) {
        let (sender, asked) = watch::channel(0);
        let answered = Arc::new(AtomicU64::new(0));
        (Self { asked: sender, answered: answered.clone() }, Pulse { asked, answered })
    }

    /// Whether the shard has answered since this was called last. Asks it again.
    pub(crate) fn beats(&self) -> bool {
        let has_answered = self.answered.load(Ordering::Acquire) == *self.asked.borrow();
        self.asked.send_modify(|number| *number += 1);
        has_answered
    }
}

impl Pulse {
    /// Answers for as long as this is polled.
    pub(crate) async fn answer(mut self) {
        loop {
            let number = *self.asked.borrow_and_update();
            self.answered.store(number, Ordering::Release);
            if self.asked.changed().await.is_err() {
                // Nobody will ask any more.
                std::future::pending().await
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::pin;
    use std::task::{Context, Waker};

    #[test]
    fn a_shard_that_stands_still_does_not_answer() {
        let (heart, pulse) = Heart::new();
        assert!(heart.beats(), "it was not asked before");
        let mut answer = pin!(pulse.answer());
        let mut run = || assert!(answer.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        for _ in 0..2 {
            assert!(!heart.beats(), "its tasks have not run");
            run();
            assert!(heart.beats());
        }
    }
}
