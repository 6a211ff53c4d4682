//! What can be seen from outside: `/health`.

use crate::config::Settings;
use crate::net::refusals::RefusalCounts;
use crate::observe::log;
use crate::runtime::shard::ShardRuntime;
use parlor_core::stats::Totals;
use parlor_core::{Instant, Limit, Stats};
use serde::Serialize;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// RefusalCounts of the recent past, to tell rates from.
#[derive(Debug)]
pub(crate) struct Rates {
    /// Oldest first; never empty.
    samples: VecDeque<Sample>,
}

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
    /// Between two samples.
    pub(crate) const INTERVAL: Duration = Duration::from_secs(5);
    /// How many samples are kept: together with the interval, how far back rates go.
    const KEPT: usize = 12;

    /// Rates of a server that starts now.
    pub(crate) fn new(now: Instant) -> Self {
        Self { samples: VecDeque::from([Sample { at: now, ..Sample::default() }]) }
    }

    /// Takes note of the counts as they are now.
    pub(crate) fn sample(&mut self, now: Instant, totals: &Totals) {
        if self.samples.len() == Self::KEPT {
            self.samples.pop_front();
        }
        self.samples.push_back(Sample::new(now, totals));
    }

    fn until(&self, now: Instant, totals: &Totals) -> RatesView {
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
            frames_dropped: totals.frames_dropped,
        }
    }
}

/// The body of `/health`.
#[derive(Serialize)]
struct Health<'a> {
    status: &'static str,
    version: &'static str,
    node: &'a str,
    uptime_seconds: f64,
    connections: usize,
    users: usize,
    rooms: usize,
    memberships: usize,
    logs: usize,
    history_bytes: usize,
    outbox_bytes: usize,
    http_connections: usize,
    /// Lines of the log that could not be written.
    log_lines_dropped: u64,
    /// How often an invariant broke, and a new shard began.
    restarts: u64,
    /// How many connections there may be, and how fast they may come, by configuration key.
    limits: BTreeMap<&'static str, String>,
    totals: TotalsView,
    rates: RatesView,
}

#[derive(Serialize)]
struct TotalsView {
    accepted: u64,
    /// What never became a connection or a call, by reason.
    refused: RefusalCounts,
    /// Connections that ended, by cause.
    closed: BTreeMap<&'static str, u64>,
    messages_in: u64,
    published: u64,
    frames_queued: u64,
    frames_written: u64,
    frames_dropped: u64,
    bytes_written: u64,
    errors: u64,
    unknown_types: u64,
    stale_inputs: u64,
    ignored_inputs: u64,
    late_joins: u64,
    clock_backsteps: u64,
    /// Refusals by the configuration key of the limit that was in the way.
    limits: BTreeMap<&'static str, u64>,
}

impl TotalsView {
    /// What the shard has counted, and what was refused before it came to the shard.
    fn new(totals: &Totals, hits: &BTreeMap<Limit, u64>, refused: RefusalCounts) -> Self {
        // Does not compile when there is a count that is not reported.
        let &Totals {
            accepted,
            // Part of what is reported by reason.
            refused: _,
            ref closed,
            messages_in,
            published,
            frames_queued,
            frames_written,
            frames_dropped,
            bytes_written,
            ref limits,
            errors,
            unknown_types,
            stale_inputs,
            ignored_inputs,
            late_joins,
            clock_backsteps,
        } = totals;
        let mut by_name = BTreeMap::new();
        for (limit, count) in limits.iter().chain(hits) {
            *by_name.entry(limit.name()).or_default() += count;
        }
        Self {
            accepted,
            refused,
            closed: closed.iter().map(|(cause, count)| (cause.name(), *count)).collect(),
            messages_in,
            published,
            frames_queued,
            frames_written,
            frames_dropped,
            bytes_written,
            errors,
            unknown_types,
            stale_inputs,
            ignored_inputs,
            late_joins,
            clock_backsteps,
            limits: by_name,
        }
    }
}

/// Over the last minute, or since the start.
#[derive(Serialize)]
struct RatesView {
    window_seconds: f64,
    connects_per_second: f64,
    disconnects_per_second: f64,
    messages_in_per_second: f64,
    published_per_second: f64,
    frames_written_per_second: f64,
    /// Of the frames that left their outbox, the part that was written rather than dropped with its connection.
    send_success: f64,
}

/// The body of `/health`, as JSON.
pub(crate) fn health(shard: &ShardRuntime, now: Instant, stats: &Stats) -> String {
    let Stats { gauges, totals } = stats;
    let health = Health {
        status: match () {
            () if shard.is_stopping() => "stopping",
            () if shard.is_restarting() => "restarting",
            () => "ok",
        },
        version: crate::VERSION,
        node: &shard.settings.node_name,
        uptime_seconds: now.since(Instant(0)).as_secs_f64(),
        connections: gauges.connections,
        users: gauges.users,
        rooms: gauges.rooms,
        memberships: gauges.memberships,
        logs: gauges.logs,
        history_bytes: gauges.history_bytes,
        outbox_bytes: gauges.outbox_bytes,
        http_connections: shard.sockets.len(),
        log_lines_dropped: log::dropped(),
        restarts: shard.restarts + u64::from(shard.is_restarting()),
        limits: connection_limits(&shard.settings),
        totals: TotalsView::new(totals, &shard.hits.borrow(), shard.refusals.counts()),
        rates: shard.rates.borrow().until(now, totals),
    };
    serde_json::to_string(&health).expect("it has no map with keys that are not text or numbers")
}

fn connection_limits(settings: &Settings) -> BTreeMap<&'static str, String> {
    let limits = Limit::ALL.iter().filter(|limit| limit.name().contains("connections"));
    limits.map(|limit| (limit.name(), settings.limits.value(*limit).to_string())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let success = |frames_written, frames_dropped| {
            rates.until(at(1), &Totals { frames_written, frames_dropped, ..Totals::default() }).send_success
        };
        assert_eq!([success(0, 0), success(3, 1), success(0, 4)], [1.0, 0.75, 0.0]);
    }
}
