//! The publications of the canary: each goes the whole way to a member, and has to come back.

use parlor_core::{Instant, Pending};
use std::time::Duration;

/// The time from one publication to the next.
pub(super) const CANARY_INTERVAL: Duration = Duration::from_secs(1);
/// The time for which one may be overdue before something is wrong.
const PATIENCE: Duration = Duration::from_secs(2);

/// The publications of a shard's canary, as far as its host knows.
#[derive(Debug, Default)]
pub(super) struct CanaryWatch {
    /// The number of the last one.
    released: u64,
    /// Whether that one has not come back.
    is_on_its_way: bool,
    /// The time at which the first one was due that has not come back; None before all.
    due: Option<Instant>,
}

impl CanaryWatch {
    /// Begins the next publication, or once more the one that has not come back. Returns its number.
    pub(super) fn release(&mut self, now: Instant) -> u64 {
        self.due.get_or_insert(now);
        self.released += u64::from(!self.is_on_its_way);
        self.is_on_its_way = true;
        self.released
    }

    /// Takes what has come.
    pub(super) fn hear(&mut self, now: Instant, pending: &Pending<'_>) {
        let number = self.released.to_string();
        if self.is_on_its_way && pending.slices().any(|frame| frame.ends_with(number.as_bytes())) {
            self.is_on_its_way = false;
            self.due = Some(now.after(CANARY_INTERVAL));
        }
    }

    /// Whether one that was due has not come back for too long, or was not even begun in that time.
    pub(super) fn is_silent(&self, now: Instant) -> bool {
        self.due.is_some_and(|due| now.since(due) >= PATIENCE)
    }

    /// Whether the last one has come back.
    pub(super) fn has_returned(&self) -> bool {
        self.released > 0 && !self.is_on_its_way
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use parlor_core::{Config, Input, Now, Shard};

    /// A shard whose canary publishes.
    fn release(shard: &mut Shard, watch: &mut CanaryWatch, mono: Instant) {
        let number = watch.release(mono);
        shard.handle(Now { mono, unix_ms: 0 }, Input::Canary { number }).for_each(drop);
    }

    /// Has the canary hear what waits for it.
    fn hear(shard: &mut Shard, watch: &mut CanaryWatch, mono: Instant) {
        watch.hear(mono, &shard.pending(shard.canary().unwrap()).unwrap());
        shard.handle(Now { mono, unix_ms: 0 }, Input::CanaryHeard).for_each(drop);
    }

    fn at(milliseconds: u64) -> Instant {
        Instant(0).after(Duration::from_millis(milliseconds))
    }

    #[test]
    fn it_is_silent_two_seconds_after_what_has_not_come_back_was_due() {
        let (mut shard, mut watch) = (Shard::new(Config::default(), [1; 32]), CanaryWatch::default());
        assert!(!watch.is_silent(at(9000)) && !watch.has_returned(), "it has not begun");
        release(&mut shard, &mut watch, at(10_000));
        assert!(!watch.is_silent(at(11_999)) && watch.is_silent(at(12_000)) && !watch.has_returned());
        hear(&mut shard, &mut watch, at(12_000));
        assert!(watch.has_returned());
        // The next one is due at 13.
        assert!(!watch.is_silent(at(14_999)) && watch.is_silent(at(15_000)), "the host has published nothing");
        release(&mut shard, &mut watch, at(15_000));
        assert!(!watch.has_returned());
        hear(&mut shard, &mut watch, at(15_001));
        assert!(watch.has_returned() && !watch.is_silent(at(15_001)));
    }

    #[test]
    fn one_that_takes_longer_than_the_interval_counts_when_it_comes() {
        let (mut shard, mut watch) = (Shard::new(Config::default(), [1; 32]), CanaryWatch::default());
        for second in 0..10 {
            release(&mut shard, &mut watch, at(second * 1000));
            if second % 2 == 1 {
                hear(&mut shard, &mut watch, at(second * 1000 + 500));
            }
            assert!(!watch.is_silent(at(second * 1000 + 999)), "{second}");
        }
    }

    #[test]
    fn another_publication_than_the_last_is_not_taken_for_it() {
        let (mut shard, mut watch) = (Shard::new(Config::default(), [1; 32]), CanaryWatch::default());
        release(&mut shard, &mut CanaryWatch::default(), at(0));
        release(&mut shard, &mut watch, at(1));
        hear(&mut shard, &mut watch, at(2));
        release(&mut shard, &mut CanaryWatch::default(), at(3));
        watch.release(at(4));
        hear(&mut shard, &mut watch, at(5));
        assert!(!watch.has_returned(), "1 has come, and 2 was waited for");
    }
}
