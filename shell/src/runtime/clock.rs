//! The only clock. Everything else gets the time as an argument.

use parlor_core::{Instant, Now};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The system's monotonic clock, in nanoseconds since this value was made, and its wall clock, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin: tokio::time::Instant,
}

impl Clock {
    /// A clock whose monotonic time is zero now.
    #[must_use]
    #[allow(clippy::new_without_default, reason = "a default that reads the time would be a surprise")]
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads a clock")]
    pub fn new() -> Self {
        Self { origin: tokio::time::Instant::now() }
    }

    /// The time, as inputs to the core need it.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads a clock")]
    pub fn now(&self) -> Now {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Now {
            mono: Instant(nanos(self.origin.elapsed())),
            unix_ms: u64::try_from(unix.as_millis()).unwrap_or(u64::MAX),
        }
    }

    /// The time since an instant. It reads the monotonic clock alone.
    #[must_use]
    pub fn since(&self, instant: Instant) -> Duration {
        Instant(nanos(self.origin.elapsed())).since(instant)
    }

    /// The instant of the runtime's timers that corresponds to one of the core.
    #[must_use]
    pub fn at(&self, instant: Instant) -> tokio::time::Instant {
        // A timer cannot hold "never"; half a century is as good.
        self.origin + Duration::from_nanos(instant.0.min(50 * 365 * 86_400 * 1_000_000_000))
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
