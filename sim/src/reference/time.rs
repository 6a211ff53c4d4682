//! Durations as the reference model counts them.

use std::time::Duration;

pub(super) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).expect("a duration of less than centuries")
}
