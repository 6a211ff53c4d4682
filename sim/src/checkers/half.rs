//! HalfRate of a rate, in a count of its own.

use parlor_core::limits::Rate;

/// HalfRate of a rate: how much of its half burst is used up, and since when, in nanoseconds.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct HalfRate {
    used: f64,
    at: u64,
}

impl HalfRate {
    /// Counts one more. Returns whether the count stays under half of the rate.
    pub(super) fn take(&mut self, now: u64, rate: Rate) -> bool {
        let passed = now.saturating_sub(self.at) as f64 / 1e9;
        self.used = (self.used - passed * f64::from(rate.per_second) / 2.0).max(0.0) + 1.0;
        self.at = now.max(self.at);
        self.used <= f64::from(rate.burst) / 2.0
    }
}
