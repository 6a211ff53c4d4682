//! Rates of the last minute and of the last fifteen, from samples of the figures.

use parlor_core::stats::Totals;
use parlor_core::{CloseCause, Instant, Stats};
use serde::Serialize;
use std::collections::VecDeque;
use std::time::Duration;

/// Causes for which connections end because their client, a backend, the end of a token or a stop wants them to.
const WANTED: [CloseCause; 6] = [
    CloseCause::PeerClose,
    CloseCause::Shutdown,
    CloseCause::Backend,
    CloseCause::Expired,
    CloseCause::UserConnections,
    CloseCause::Revoked,
];
/// Causes for which the server gives up frames. What a client that vanished did not read is not among them.
const GIVEN_UP: [CloseCause; 5] =
    [CloseCause::Slow, CloseCause::Unanswered, CloseCause::Overloaded, CloseCause::Hoards, CloseCause::Gap];
/// Unwanted ends below which the rate of disconnects is zero: a few ends of a few connections say nothing.
const FEW_ENDS: u64 = 20;

/// Samples of the last fifteen minutes.
#[derive(Debug)]
pub(crate) struct Rates {
    /// Oldest first; never empty.
    samples: VecDeque<Sample>,
}

/// The time that rates are over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RateWindow {
    /// A minute.
    Minute,
    /// Fifteen minutes.
    Quarter,
}

impl RateWindow {
    /// The number of samples in it.
    const fn samples(self) -> usize {
        match self {
            Self::Minute => 12,
            Self::Quarter => 180,
        }
    }
}

/// The figures at one instant.
#[derive(Clone, Copy, Debug, Default)]
struct Sample {
    at: Instant,
    connections: usize,
    accepted: u64,
    refused: u64,
    disconnected: u64,
    unwanted: u64,
    messages_in: u64,
    published: u64,
    frames_written: u64,
    frames_given_up: u64,
}

impl Rates {
    /// The time between two samples.
    pub(crate) const INTERVAL: Duration = Duration::from_secs(5);

    /// Rates of a shard that starts now, when so many requests were refused before.
    pub(crate) fn new(now: Instant, refused: u64) -> Self {
        Self { samples: VecDeque::from([Sample { at: now, refused, ..Sample::default() }]) }
    }

    /// Adds a sample, and drops the oldest one where there are too many. `refused` are the requests refused so far.
    pub(crate) fn sample(&mut self, now: Instant, stats: &Stats, refused: u64) {
        if self.samples.len() == RateWindow::Quarter.samples() {
            self.samples.pop_front();
        }
        self.samples.push_back(Sample::new(now, stats, refused));
    }

    /// The rates from the oldest sample of the window until now.
    pub(crate) fn until(&self, window: RateWindow, now: Instant, stats: &Stats, refused: u64) -> RatesView {
        let samples = self.samples.iter().skip(self.samples.len().saturating_sub(window.samples()));
        let (from, to) = (samples.clone().next().copied().unwrap_or_default(), Sample::new(now, stats, refused));
        let seconds = to.at.since(from.at).as_secs_f64();
        let per_second = |count: fn(&Sample) -> u64| {
            if seconds > 0.0 { (count(&to) - count(&from)) as f64 / seconds } else { 0.0 }
        };
        let mean = (samples.map(|sample| sample.connections).sum::<usize>() + to.connections) as f64
            / (1 + self.samples.len().min(window.samples())) as f64;
        let unwanted = to.unwanted - from.unwanted;
        let (written, given_up) = (to.frames_written - from.frames_written, to.frames_given_up - from.frames_given_up);
        RatesView {
            window_seconds: seconds,
            connects_per_second: per_second(|sample| sample.accepted),
            refused_per_second: per_second(|sample| sample.refused),
            disconnects_per_second: per_second(|sample| sample.disconnected),
            disconnect_rate: if unwanted < FEW_ENDS { 0.0 } else { unwanted as f64 / mean.max(1.0) },
            messages_in_per_second: per_second(|sample| sample.messages_in),
            published_per_second: per_second(|sample| sample.published),
            frames_written_per_second: per_second(|sample| sample.frames_written),
            send_success: if written + given_up == 0 { 1.0 } else { written as f64 / (written + given_up) as f64 },
        }
    }
}

impl Sample {
    fn new(at: Instant, Stats { gauges, totals }: &Stats, refused: u64) -> Self {
        let ended: u64 = totals.closed.values().sum();
        Self {
            at,
            connections: gauges.connections,
            accepted: totals.accepted,
            refused,
            disconnected: ended,
            unwanted: unwanted(totals),
            messages_in: totals.messages_in,
            published: totals.published,
            frames_written: totals.frames_written,
            frames_given_up: GIVEN_UP.iter().filter_map(|cause| totals.frames_dropped.get(cause)).sum(),
        }
    }
}

/// Ends that nobody wanted. A client that closes with another code than 1000, 1001 or none has met an error.
fn unwanted(totals: &Totals) -> u64 {
    let others = totals.closed.iter().filter(|(cause, _)| !WANTED.contains(cause));
    others.map(|(_, count)| count).sum::<u64>() + totals.peer_closes.other
}

/// Rates over a window, or since the start where that is later.
#[derive(Debug, Serialize)]
pub(crate) struct RatesView {
    pub(crate) window_seconds: f64,
    pub(crate) connects_per_second: f64,
    /// Requests refused before they were a WebSocket or a call.
    pub(crate) refused_per_second: f64,
    pub(crate) disconnects_per_second: f64,
    /// Ends in the window that nobody wanted, for each connection that was there on average. Zero below [`FEW_ENDS`].
    pub(crate) disconnect_rate: f64,
    pub(crate) messages_in_per_second: f64,
    pub(crate) published_per_second: f64,
    pub(crate) frames_written_per_second: f64,
    /// The written part of the frames that were written or given up. From 0 to 1.
    pub(crate) send_success: f64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use parlor_core::stats::{Gauges, PeerCloses};

    fn at(seconds: u64) -> Instant {
        Instant(0).after(Duration::from_secs(seconds))
    }

    fn of(totals: Totals) -> Stats {
        Stats { totals, ..Stats::default() }
    }

    fn published(count: u64) -> Stats {
        of(Totals { published: count, ..Totals::default() })
    }

    #[test]
    fn rates_are_those_of_their_window() {
        let mut rates = Rates::new(at(0), 0);
        let started = rates.until(RateWindow::Quarter, at(2), &published(20), 0);
        assert_eq!((started.window_seconds, started.published_per_second), (2.0, 10.0));
        for seconds in (5..=1200).step_by(5) {
            rates.sample(at(seconds), &published(10 * seconds), 0);
        }
        let rate = |rates: &Rates, window, seconds, count| {
            let view = rates.until(window, at(seconds), &published(count), 0);
            (view.window_seconds, view.published_per_second)
        };
        assert_eq!(rate(&rates, RateWindow::Minute, 1202, 12_020), (57.0, 10.0));
        assert_eq!(rate(&rates, RateWindow::Quarter, 1202, 12_020), (897.0, 10.0));
        for seconds in (1205..=1260).step_by(5) {
            rates.sample(at(seconds), &published(12_000), 0);
        }
        assert_eq!(rate(&rates, RateWindow::Minute, 1262, 12_000), (57.0, 0.0));
        let (window, before) = rate(&rates, RateWindow::Quarter, 1262, 12_000);
        assert!(window == 897.0 && (9.0..10.0).contains(&before), "{before}");
    }

    #[test]
    fn refusals_before_the_shard_are_not_its_own() {
        let rates = Rates::new(at(0), 50);
        assert_eq!(rates.until(RateWindow::Minute, at(10), &Stats::default(), 70).refused_per_second, 2.0);
    }

    #[test]
    fn frames_that_were_given_up_lower_the_success_of_sending() {
        let rates = Rates::new(at(0), 0);
        let success = |frames_written, cause, dropped| {
            let frames_dropped = [(cause, dropped)].into();
            let stats = of(Totals { frames_written, frames_dropped, ..Totals::default() });
            rates.until(RateWindow::Minute, at(1), &stats, 0).send_success
        };
        assert_eq!([0, 3, 0].map(|written| success(written, CloseCause::Slow, 1)), [0.0, 0.75, 0.0]);
        assert_eq!(success(0, CloseCause::Slow, 0), 1.0, "nothing was to be sent");
        assert_eq!(success(3, CloseCause::PeerReset, 1), 1.0, "who vanished does not count");
    }

    #[test]
    fn the_rate_of_disconnects_is_of_ends_that_nobody_wanted() {
        let mut rates = Rates::new(at(0), 0);
        let stats = |cause, ended, other| Stats {
            gauges: Gauges { connections: 200, ..Gauges::default() },
            totals: Totals {
                closed: [(cause, ended)].into(),
                peer_closes: PeerCloses { other, ..PeerCloses::default() },
                ..Totals::default()
            },
        };
        rates.samples[0].connections = 200;
        rates.sample(at(5), &stats(CloseCause::NoPong, 0, 0), 0);
        let rate = |cause, ended, other| {
            rates.until(RateWindow::Minute, at(10), &stats(cause, ended, other), 0).disconnect_rate
        };
        assert_eq!(rate(CloseCause::NoPong, 50, 0), 0.25);
        assert_eq!(rate(CloseCause::NoPong, 19, 0), 0.0, "a few say nothing");
        assert_eq!(rate(CloseCause::PeerClose, 50, 0), 0.0);
        assert_eq!(rate(CloseCause::PeerClose, 50, 50), 0.25, "a code that tells of an error");
        assert_eq!(rate(CloseCause::Shutdown, 50, 0), 0.0);
    }

    #[test]
    fn the_alert_rules_have_the_same_causes() {
        let rules = include_str!("../../ops/alerts.yml");
        let names = |causes: &[CloseCause]| causes.iter().map(|cause| cause.name()).collect::<Vec<_>>().join("|");
        assert!(rules.contains(&format!("cause!~\"{}\"", names(&WANTED))));
        assert!(rules.contains(&format!("cause=~\"{}\"", names(&GIVEN_UP))));
    }
}
