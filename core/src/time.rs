//! Time as the machine sees it: it comes in with every input and is never read from a clock.

use core::time::Duration;

/// A point on the monotonic clock of whoever drives the shard, in nanoseconds from an origin of its choice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(pub u64);

impl Instant {
    /// The far end of time: what a deadline that is not armed compares as.
    pub const NEVER: Self = Self(u64::MAX);

    /// This instant `by` later, or [`Instant::NEVER`] where that cannot be represented.
    #[must_use]
    pub fn after(self, by: Duration) -> Self {
        let nanos = u64::try_from(by.as_nanos()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(nanos))
    }

    /// How long from `earlier` until this instant; zero when `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// Both clocks at the moment of an input.
///
/// Deadlines follow `mono` alone, which the shard clamps so that it never goes back. `unix_ms` stamps what is sent and
/// turns a token's `exp` into a deadline once, when the token is accepted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// The monotonic clock.
    pub mono: Instant,
    /// Milliseconds since 1970-01-01T00:00:00Z.
    pub unix_ms: u64,
}
