//! The figures that an alert of the settings may watch.

use crate::observe::rates::RatesView;
use parlor_core::stats::Gauges;

/// The figures at one time.
#[derive(Debug)]
pub(crate) struct Readings {
    pub(crate) gauges: Gauges,
    /// Rates over a minute, and over fifteen.
    pub(crate) minute: RatesView,
    pub(crate) quarter: RatesView,
    pub(crate) http_connections: usize,
    /// Times at which an invariant broke.
    pub(crate) restarts: u64,
    pub(crate) log_lines_dropped: u64,
    /// Whether the files that are read again could be used the last time.
    pub(crate) is_reload_good: bool,
}

/// A figure of [`FIGURES`].
#[derive(Clone, Copy, Debug)]
pub struct Figure {
    name: &'static str,
    read: fn(&Readings) -> f64,
}

/// A figure is told by its name.
impl PartialEq for Figure {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Figure {
    /// The figure with a name of the settings.
    ///
    /// # Errors
    /// The names that there are.
    pub(crate) fn named(name: &str) -> Result<Self, String> {
        FIGURES.iter().find(|figure| figure.name == name).copied().ok_or_else(|| {
            let names: Vec<&str> = FIGURES.iter().map(|figure| figure.name).collect();
            format!("expected one of {}", names.join(", "))
        })
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.name
    }

    /// Its value.
    pub(crate) fn value(self, readings: &Readings) -> f64 {
        (self.read)(readings)
    }
}

macro_rules! figures {
    ($($name:literal: $read:expr,)*) => {
        /// The figures, all of which `/health` shows.
        const FIGURES: &[Figure] = &[$(Figure { name: $name, read: $read }),*];
    };
}

figures! {
    "connections": |now| now.gauges.connections as f64,
    "users": |now| now.gauges.users as f64,
    "rooms": |now| now.gauges.rooms as f64,
    "memberships": |now| now.gauges.memberships as f64,
    "absences": |now| now.gauges.absences as f64,
    "logs": |now| now.gauges.logs as f64,
    "history_bytes": |now| now.gauges.history_bytes as f64,
    "outbox_bytes": |now| now.gauges.outbox_bytes as f64,
    "refused_bytes": |now| now.gauges.refused_bytes as f64,
    "inbound_bytes": |now| now.gauges.inbound_bytes as f64,
    "http_connections": |now| now.http_connections as f64,
    "invariant_violations": |now| now.restarts as f64,
    "log_lines_dropped": |now| now.log_lines_dropped as f64,
    "last_reload_successful": |now| f64::from(u8::from(now.is_reload_good)),
    "connects_per_second_1m": |now| now.minute.connects_per_second,
    "connects_per_second_15m": |now| now.quarter.connects_per_second,
    "refused_per_second_1m": |now| now.minute.refused_per_second,
    "refused_per_second_15m": |now| now.quarter.refused_per_second,
    "disconnects_per_second_1m": |now| now.minute.disconnects_per_second,
    "disconnects_per_second_15m": |now| now.quarter.disconnects_per_second,
    "disconnect_rate_1m": |now| now.minute.disconnect_rate,
    "disconnect_rate_15m": |now| now.quarter.disconnect_rate,
    "send_success_1m": |now| now.minute.send_success,
    "send_success_15m": |now| now.quarter.send_success,
    "published_per_second_1m": |now| now.minute.published_per_second,
    "published_per_second_15m": |now| now.quarter.published_per_second,
}
