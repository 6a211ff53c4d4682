//! The pause between a broken shard and the next one. It grows, so that an invariant that breaks at once, again and again,
//! does not keep the machine busy with starting.

use std::time::Duration;

/// The pause after the next broken invariant.
#[derive(Debug)]
pub(crate) struct Backoff {
    next: Duration,
}

impl Backoff {
    /// The first pause. Each one after it is twice as long.
    const FIRST: Duration = Duration::from_millis(100);
    /// The longest pause.
    const MOST: Duration = Duration::from_secs(30);
    /// After a shard that ran this long, the pause is the first one again.
    const QUIET: Duration = Duration::from_secs(60);

    /// The pause after a shard that ran for `lived`.
    pub(crate) fn after(&mut self, lived: Duration) -> Duration {
        if lived >= Self::QUIET {
            self.next = Self::FIRST;
        }
        let pause = self.next;
        self.next = (pause * 2).min(Self::MOST);
        pause
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Self { next: Self::FIRST }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn restart_pauses_double_up_to_the_longest_until_a_quiet_time() {
        let mut backoff = Backoff::default();
        let mut pauses = |lived| backoff.after(Duration::from_secs(lived)).as_millis();
        let ten: Vec<u128> = (0..10).map(|_| pauses(59)).collect();
        assert_eq!(ten, [100, 200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 30_000]);
        assert_eq!([pauses(0), pauses(60), pauses(0)], [30_000, 100, 200]);
    }
}
