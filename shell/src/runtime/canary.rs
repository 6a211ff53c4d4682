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
    /// The time at which the first one was due that has not come back; None before all.
    due: Option<Instant>,
}

impl CanaryWatch {
    /// Begins the next publication. Returns its number.
    pub(super) fn release(&mut self, now: Instant) -> u64 {
        self.due.get_or_insert(now);
        self.released += 1;
        self.released
    }

    /// Takes what has come.
    pub(super) fn hear(&mut self, now: Instant, pending: &Pending<'_>) {
        let number = self.released.to_string();
        if pending.slices().any(|frame| frame.ends_with(number.as_bytes())) {
            self.due = Some(now.after(CANARY_INTERVAL));
        }
    }

    /// Whether nothing has come back for too long, or nothing was published in that time.
    pub(super) fn is_silent(&self, now: Instant) -> bool {
        self.due.is_some_and(|due| now.since(due) >= PATIENCE)
    }

    /// Whether the last one has come back.
    pub(super) fn has_returned(&self, now: Instant) -> bool {
        self.due.is_some_and(|due| due > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use parlor_core::{Config, Input, Now, Shard};

    /// A shard whose canary publishes now.
    fn release(shard: &mut Shard, watch: &mut CanaryWatch, mono: Instant) {
        let number = watch.release(mono);
        shard.handle(Now { mono, unix_ms: 0 }, Input::Canary { number }).for_each(drop);
    }

    #[test]
    fn it_is_silent_two_seconds_after_what_has_not_come_back_was_due() {
        let (mut shard, mut watch) = (Shard::new(Config::default(), [1; 32]), CanaryWatch::default());
        let at = |seconds| Instant(0).after(Duration::from_secs(seconds));
        assert!(!watch.is_silent(at(9)) && !watch.has_returned(at(9)), "it has not begun");
        release(&mut shard, &mut watch, at(10));
        assert!(!watch.is_silent(at(11)) && watch.is_silent(at(12)) && !watch.has_returned(at(10)));
        watch.hear(at(12), &shard.pending(shard.canary().unwrap()).unwrap());
        assert!(watch.has_returned(at(12)));
        // The next one is due at 13.
        assert!(!watch.is_silent(at(14)) && watch.is_silent(at(15)), "the host has published nothing");
        release(&mut shard, &mut watch, at(15));
        watch.hear(at(15), &shard.pending(shard.canary().unwrap()).unwrap());
        assert!(watch.is_silent(at(15)), "it hears a publication of before");
    }
}
