//! Points in time. A shard never reads a clock: the time comes with each input.

use core::time::Duration;

/// A point on the monotonic clock of the shard's driver, in nanoseconds from an arbitrary origin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(pub u64);

impl Instant {
    /// The latest instant: the deadline of a timer that is not armed.
    pub const NEVER: Self = Self(u64::MAX);

    /// Returns the instant `by` later, or [`Instant::NEVER`] when it cannot be represented.
    #[must_use]
    pub fn after(self, by: Duration) -> Self {
        let nanos = u64::try_from(by.as_nanos()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(nanos))
    }

    /// Returns the time from `earlier` to this instant; zero when `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// The monotonic time and the wall-clock time of an input.
///
/// Deadlines depend on `mono` alone, which the shard never lets go back. `unix_ms` is the timestamp of messages, and
/// turns a token's `exp` into a deadline once, when the token is accepted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// The monotonic time.
    pub mono: Instant,
    /// The wall-clock time in milliseconds since 1970-01-01T00:00:00Z.
    pub unix_ms: u64,
}
