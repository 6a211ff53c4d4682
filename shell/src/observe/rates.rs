//! Rates of the last minute, from samples of the totals.

use parlor_core::Instant;
use parlor_core::stats::Totals;
use serde::Serialize;
use std::collections::VecDeque;
use std::time::Duration;

/// Samples of the last minute.
#[derive(Debug)]
pub(crate) struct Rates {
    /// Oldest first; never empty.
    samples: VecDeque<Sample>,
}

/// The totals at one instant.
#[derive(Clone, Copy, Debug, Default)]
struct Sample {
    at: Instant,
    accepted: u64,
    disconnected: u64,
    messages_in: u64,
    published: u64,
    frames_written: u64,
    frames_dropped: u64,
}

impl Rates {
    /// The time between two samples.
    pub(crate) const INTERVAL: Duration = Duration::from_secs(5);
    /// Number of samples that are kept. Times the interval, this is the window of the rates.
    const KEPT: usize = 12;

    /// Rates of a shard that starts now.
    pub(crate) fn new(now: Instant) -> Self {
        Self { samples: VecDeque::from([Sample { at: now, ..Sample::default() }]) }
    }

    /// Adds a sample, and drops the oldest one where there are too many.
    pub(crate) fn sample(&mut self, now: Instant, totals: &Totals) {
        if self.samples.len() == Self::KEPT {
            self.samples.pop_front();
        }
        self.samples.push_back(Sample::new(now, totals));
    }

    /// The rates from the oldest sample until now.
    pub(super) fn until(&self, now: Instant, totals: &Totals) -> RatesView {
        let (from, to) = (self.samples[0], Sample::new(now, totals));
        let window = to.at.since(from.at).as_secs_f64();
        let per_second = |from: u64, to: u64| if window > 0.0 { (to - from) as f64 / window } else { 0.0 };
        let written = to.frames_written - from.frames_written;
        let dropped = to.frames_dropped - from.frames_dropped;
        RatesView {
            window_seconds: window,
            connects_per_second: per_second(from.accepted, to.accepted),
            disconnects_per_second: per_second(from.disconnected, to.disconnected),
            messages_in_per_second: per_second(from.messages_in, to.messages_in),
            published_per_second: per_second(from.published, to.published),
            frames_written_per_second: per_second(from.frames_written, to.frames_written),
            send_success: if written + dropped == 0 { 1.0 } else { written as f64 / (written + dropped) as f64 },
        }
    }
}

impl Sample {
    fn new(at: Instant, totals: &Totals) -> Self {
        Self {
            at,
            accepted: totals.accepted,
            disconnected: totals.closed.values().sum(),
            messages_in: totals.messages_in,
            published: totals.published,
            frames_written: totals.frames_written,
            frames_dropped: totals.frames_dropped.values().sum(),
        }
    }
}

/// Rates over the last minute, or since the start where that is later.
#[derive(Serialize)]
pub(super) struct RatesView {
    window_seconds: f64,
    connects_per_second: f64,
    disconnects_per_second: f64,
    messages_in_per_second: f64,
    published_per_second: f64,
    frames_written_per_second: f64,
    /// The written part of the frames that left an outbox; the others were dropped with their connection. From 0 to 1.
    send_success: f64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use parlor_core::CloseCause;

    fn at(seconds: u64) -> Instant {
        Instant(0).after(Duration::from_secs(seconds))
    }

    fn published(count: u64) -> Totals {
        Totals { published: count, ..Totals::default() }
    }

    #[test]
    fn rates_are_those_of_the_last_minute() {
        let mut rates = Rates::new(at(0));
        let started = rates.until(at(2), &published(20));
        assert_eq!((started.window_seconds, started.published_per_second), (2.0, 10.0));
        for seconds in (5..=120).step_by(5) {
            rates.sample(at(seconds), &published(10 * seconds));
        }
        let busy = rates.until(at(122), &published(1220));
        assert_eq!((busy.window_seconds, busy.published_per_second), (57.0, 10.0));
        for seconds in (125..=180).step_by(5) {
            rates.sample(at(seconds), &published(1220));
        }
        let quiet = rates.until(at(182), &published(1220));
        assert_eq!((quiet.window_seconds, quiet.published_per_second), (57.0, 0.0));
    }

    #[test]
    fn frames_that_were_dropped_lower_the_success_of_sending() {
        let rates = Rates::new(at(0));
        let success = |frames_written, dropped| {
            let frames_dropped = [(CloseCause::Slow, dropped)].into();
            rates.until(at(1), &Totals { frames_written, frames_dropped, ..Totals::default() }).send_success
        };
        assert_eq!([success(0, 0), success(3, 1), success(0, 4)], [1.0, 0.75, 0.0]);
    }
}
