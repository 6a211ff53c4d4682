//! Points in time. A shard never reads a clock: the time comes with each input.

use core::time::Duration;

/// A point on the monotonic clock of the shard's driver, in nanoseconds from an arbitrary origin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub struct Instant(pub u64);

impl Instant {
    /// Returns the instant `by` later, or the latest that can be represented, 584 years from the origin.
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

/// The time at which something is due, or none. In order, no deadline comes last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(into = "Option<Instant>")]
#[cfg_attr(feature = "replay", derive(serde::Deserialize), serde(from = "Option<Instant>"))]
pub(crate) struct Deadline(u64);

impl Deadline {
    /// No deadline.
    pub const NONE: Self = Self(u64::MAX);

    /// Returns a deadline at this time; none without one.
    pub fn from_option(at: Option<Instant>) -> Self {
        at.map_or(Self::NONE, Self::from)
    }

    /// Returns the time; `None` when there is no deadline.
    pub fn time(self) -> Option<Instant> {
        (self != Self::NONE).then_some(Instant(self.0))
    }

    /// Returns `true` when there is a deadline.
    pub fn is_set(self) -> bool {
        self != Self::NONE
    }

    /// Returns `true` when the deadline is at or before `now`.
    pub fn is_due(self, now: Instant) -> bool {
        self.is_set() && self.0 <= now.0
    }
}

impl From<Deadline> for Option<Instant> {
    fn from(deadline: Deadline) -> Self {
        deadline.time()
    }
}

#[cfg(feature = "replay")]
impl From<Option<Instant>> for Deadline {
    fn from(at: Option<Instant>) -> Self {
        Self::from_option(at)
    }
}

impl From<Instant> for Deadline {
    fn from(at: Instant) -> Self {
        Self(at.0)
    }
}

/// The monotonic time and the wall-clock time of an input.
///
/// Deadlines depend on `mono` alone, which the shard never lets go back. `unix_ms` is the timestamp of messages; a
/// token is validated against it, and its `exp` becomes a deadline once, when the token is accepted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub struct Now {
    /// The monotonic time.
    pub mono: Instant,
    /// The wall-clock time in milliseconds since 1970-01-01T00:00:00Z.
    pub unix_ms: u64,
}
