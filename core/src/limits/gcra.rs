//! Rate limits by the generic cell rate algorithm (ITU-T I.371), which keeps one number for each rate.

use crate::limits::Rate;
use crate::time::Instant;

/// The theoretical arrival time of the next event, in nanoseconds of the shard's clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub struct Gcra(u64);

const SECOND: u64 = 1_000_000_000;

impl Gcra {
    /// The state before the first event.
    pub const NEW: Self = Self(0);

    /// Counts one event. Returns `false`, and counts nothing, when the event exceeds the rate; a rate of 0 has no
    /// bound.
    #[must_use]
    pub fn take(&mut self, now: Instant, rate: Rate) -> bool {
        if rate.per_second == 0 {
            return true;
        }
        let interval = SECOND / u64::from(rate.per_second);
        let tolerance = interval.saturating_mul(u64::from(rate.burst.max(1) - 1));
        let arrival = self.0.max(now.0);
        if arrival - now.0 > tolerance {
            return false;
        }
        self.0 = arrival.saturating_add(interval);
        true
    }

    /// Returns the time from which earlier events no longer matter, so that the state can be discarded.
    #[must_use]
    pub fn idle_at(self) -> Instant {
        Instant(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_then_the_rate() {
        let rate = Rate { per_second: 10, burst: 3 };
        let mut gcra = Gcra::default();
        let at = |millis: u64| Instant(millis * 1_000_000);
        let taken: alloc::vec::Vec<bool> = (0..4).map(|_| gcra.take(at(5), rate)).collect();
        assert_eq!(taken, [true, true, true, false]);
        assert!(!gcra.take(at(104), rate) && gcra.take(at(105), rate) && !gcra.take(at(105), rate));
        assert_eq!(gcra.idle_at(), at(405));
        let taken = (0..4).filter(|_| gcra.take(at(9_000), rate)).count();
        assert_eq!(taken, 3, "a burst is not saved up");
        assert!((0..1000).all(|_| gcra.take(at(9_000), Rate::OFF)));
    }
}
