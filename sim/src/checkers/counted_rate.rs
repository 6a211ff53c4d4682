//! A count of its own of what a rate allows: the whole of it, or half.

use parlor_core::limits::Rate;

/// How much of a part of a rate's burst is used up, and since when, in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct CountedRate {
    part: f64,
    used: f64,
    at: u64,
}

impl CountedRate {
    /// Counts what is allowed.
    pub(super) const WHOLE: Self = Self { part: 1.0, used: 0.0, at: 0 };
    /// Counts half of it.
    pub(super) const HALF: Self = Self { part: 0.5, used: 0.0, at: 0 };

    /// Counts one more. Returns whether the count stays within this part of the rate.
    pub(super) fn take(&mut self, now: u64, rate: Rate) -> bool {
        let passed = (now - self.at) as f64 / 1e9;
        self.used = (self.used - passed * f64::from(rate.per_second) * self.part).max(0.0) + 1.0;
        self.at = now;
        self.used <= f64::from(rate.burst) * self.part + 1e-6
    }
}
