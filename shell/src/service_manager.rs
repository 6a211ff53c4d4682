//! Messages to the service manager that has started the server, by the protocol of systemd (sd_notify(3)). Without one
//! (`NOTIFY_SOCKET` is not set) nothing happens.

use crate::runtime::pulse::Heart;
use sd_notify::NotifyState;
use std::time::Duration;
use tokio::time::{Interval, interval, sleep};
use tracing::{debug, warn};

/// The time by which a stop that goes on may last longer than the unit's `TimeoutStopSec`. Asked for three times within it.
const STOP_EXTENSION: Duration = Duration::from_secs(30);

/// Tells that the server listens, at its start or after a reload.
pub fn ready() {
    if let Err(error) = sd_notify::notify(&[NotifyState::Ready]) {
        warn!(%error, "the service manager cannot be told that the server is ready (NOTIFY_SOCKET)");
    }
}

/// Tells that a reload begins, which ends with [`ready`].
pub fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => notify(&[NotifyState::Reloading, now]),
        Err(error) => debug!(%error, "no time for the service manager"),
    }
}

/// Tells that the server stops, and asks for time for as long as the shard lives. It never ends.
///
/// A service manager does not listen to the watchdog any more, so that nothing else ends a shard that hangs.
pub async fn stopping(heart: &Heart) {
    notify(&[NotifyState::Stopping]);
    loop {
        if heart.beats() {
            let microseconds = u32::try_from(STOP_EXTENSION.as_micros()).unwrap_or(u32::MAX);
            notify(&[NotifyState::ExtendTimeoutUsec(microseconds)]);
        }
        sleep(STOP_EXTENSION / 3).await;
    }
}

/// The watchdog of the service manager (`WatchdogSec`): it is told regularly that the shard lives.
#[derive(Debug)]
pub struct Watchdog {
    /// None where it was not asked for.
    interval: Option<Interval>,
}

impl Watchdog {
    /// Sees whether it was asked for. Called within a runtime.
    #[must_use]
    pub fn new() -> Self {
        // Twice within the time after which the process is given up, as sd_watchdog_enabled(3) recommends.
        let longest = sd_notify::watchdog_enabled().filter(|longest| !longest.is_zero());
        Self { interval: longest.map(|longest| interval(longest / 2)) }
    }

    /// Waits until the service manager is to be told that the shard lives, and tells it if that is so. Never ends where the
    /// watchdog was not asked for.
    pub async fn tell(&mut self, heart: &Heart) {
        match &mut self.interval {
            Some(interval) => {
                interval.tick().await;
                if heart.beats() {
                    notify(&[NotifyState::Watchdog]);
                }
            }
            None => std::future::pending().await,
        }
    }
}

impl Default for Watchdog {
    fn default() -> Self {
        Self::new()
    }
}

fn notify(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        debug!(%error, ?state, "the service manager is not told");
    }
}
