//! The figures of a server, as `/health` shows them.

use super::log;
use super::rates::{RateWindow, RatesView};
use crate::auth::FetchedKeys;
use crate::config::Settings;
use crate::runtime::shard::ShardRuntime;
use parlor_core::stats::Totals;
use parlor_core::{Instant, Limit, Stats};
use serde::Serialize;
use std::collections::BTreeMap;

/// The body of `/health`.
#[derive(Serialize)]
struct Health<'a> {
    status: &'static str,
    /// The checks of `/health/ready`, by name: `ok`, or the reason for which one has not passed.
    checks: BTreeMap<&'static str, &'a str>,
    version: &'static str,
    node: &'a str,
    uptime_seconds: f64,
    connections: usize,
    users: usize,
    rooms: usize,
    memberships: usize,
    absences: usize,
    logs: usize,
    history_bytes: usize,
    outbox_bytes: usize,
    refused_bytes: usize,
    inbound_bytes: usize,
    http_connections: usize,
    /// The keys of `token_jwks`, where it is set.
    #[serde(skip_serializing_if = "Option::is_none")]
    token_jwks: Option<JwksView>,
    /// Number of log lines that could not be written.
    log_lines_dropped: u64,
    /// Number of times that an invariant broke and a new shard began.
    restarts: u64,
    /// Whether the files that are read again could be used the last time.
    last_reload_successful: bool,
    /// Limits on connections, by configuration key.
    limits: BTreeMap<&'static str, String>,
    totals: TotalsView,
    rates: RatesByWindow,
}

/// Rates over two windows.
#[derive(Serialize)]
struct RatesByWindow {
    #[serde(rename = "1m")]
    minute: RatesView,
    #[serde(rename = "15m")]
    quarter: RatesView,
}

/// The keys of `token_jwks`.
#[derive(Serialize)]
struct JwksView {
    /// Number of keys; 0 while none have been fetched.
    keys: usize,
    /// The time of the last fetch that succeeded, in seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    fetched_at: Option<u64>,
    failures: u64,
    /// The reason for which the last fetch failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

impl JwksView {
    fn new(fetched: &FetchedKeys) -> Self {
        Self {
            keys: fetched.keys.as_ref().map_or(0, |keys| keys.len()),
            fetched_at: fetched.keys.as_ref().map(|_| fetched.fetched_at),
            failures: fetched.failures,
            error: fetched.error.clone(),
        }
    }
}

/// Counts since the shard began.
#[derive(Serialize)]
struct TotalsView {
    accepted: u64,
    /// Refusals of what never became a connection or a call, by reason.
    refused: BTreeMap<&'static str, u64>,
    /// Connections that ended, by cause.
    closed: BTreeMap<&'static str, u64>,
    /// Those that clients have closed, by the code of their Close frame.
    peer_closes: BTreeMap<&'static str, u64>,
    /// Tokens, by how they were judged.
    authentications: BTreeMap<&'static str, u64>,
    /// Joins that asked for what was missed, by what became of that.
    recoveries: BTreeMap<&'static str, u64>,
    /// Losses because of limits, by the limit that left no place.
    evictions: BTreeMap<&'static str, u64>,
    messages_in: u64,
    published: u64,
    frames_queued: u64,
    frames_written: u64,
    /// Frames dropped since their connection ended.
    frames_dropped: u64,
    /// Pongs dropped, each for a newer one.
    pongs_replaced: u64,
    bytes_written: u64,
    errors: u64,
    unknown_types: u64,
    stale_inputs: u64,
    ignored_inputs: u64,
    late_joins: u64,
    late_answers: u64,
    gaps: u64,
    repeats: u64,
    clock_backsteps: u64,
    /// Refusals by a limit, by its configuration key.
    limits: BTreeMap<&'static str, u64>,
}

impl TotalsView {
    /// The counts of the core, and those of refusals that the core does not see.
    fn new(totals: &Totals, limit_hits: &BTreeMap<Limit, u64>, refused: BTreeMap<&'static str, u64>) -> Self {
        // Destructured in full, so that a new count does not compile until it is reported.
        let &Totals {
            accepted,
            // Contained in the counts by reason.
            refused: _,
            ref closed,
            peer_closes,
            tokens,
            recoveries,
            evictions,
            messages_in,
            published,
            frames_queued,
            frames_written,
            ref frames_dropped,
            pongs_replaced,
            bytes_written,
            ref limits,
            errors,
            unknown_types,
            stale_inputs,
            ignored_inputs,
            late_joins,
            late_answers,
            gaps,
            repeats,
            clock_backsteps,
        } = totals;
        let mut by_name = BTreeMap::new();
        for (limit, count) in limits.iter().chain(limit_hits) {
            *by_name.entry(limit.name()).or_default() += count;
        }
        Self {
            accepted,
            refused,
            closed: closed.iter().map(|(cause, count)| (cause.name(), *count)).collect(),
            peer_closes: peer_closes.named().collect(),
            authentications: tokens.named().collect(),
            recoveries: recoveries.named().collect(),
            evictions: evictions.named().collect(),
            messages_in,
            published,
            frames_queued,
            frames_written,
            frames_dropped: frames_dropped.values().sum(),
            pongs_replaced,
            bytes_written,
            errors,
            unknown_types,
            stale_inputs,
            ignored_inputs,
            late_joins,
            late_answers,
            gaps,
            repeats,
            clock_backsteps,
            limits: by_name,
        }
    }
}

/// The body of `/health`, as JSON.
pub(crate) fn health(shard: &ShardRuntime, now: Instant, stats: &Stats) -> String {
    let Stats { gauges, totals } = stats;
    let rates = |window| shard.rates.borrow().until(window, now, stats, shard.refusals.total());
    let readiness = shard.readiness(*gauges);
    let health = Health {
        status: readiness.word(),
        checks: readiness.checks().iter().map(|check| (check.name, check.result())).collect(),
        version: crate::VERSION,
        node: &shard.settings().node_name,
        uptime_seconds: now.since(Instant(0)).as_secs_f64(),
        connections: gauges.connections,
        users: gauges.users,
        rooms: gauges.rooms,
        memberships: gauges.memberships,
        absences: gauges.absences,
        logs: gauges.logs,
        history_bytes: gauges.history_bytes,
        outbox_bytes: gauges.outbox_bytes,
        refused_bytes: gauges.refused_bytes,
        inbound_bytes: gauges.inbound_bytes,
        http_connections: shard.http_connections(),
        token_jwks: shard.key_source.as_ref().map(|source| JwksView::new(&source.fetched())),
        log_lines_dropped: log::dropped(),
        restarts: shard.restarts + u64::from(shard.is_restarting()),
        last_reload_successful: shard.reloads.is_good(),
        limits: connection_limits(&shard.settings()),
        totals: TotalsView::new(totals, &shard.limit_hits.borrow(), shard.refusals.counts()),
        rates: RatesByWindow { minute: rates(RateWindow::Minute), quarter: rates(RateWindow::Quarter) },
    };
    serde_json::to_string(&health).expect("it has no map with keys that are not text or numbers")
}

fn connection_limits(settings: &Settings) -> BTreeMap<&'static str, String> {
    let limits = Limit::ALL.iter().filter(|limit| limit.name().contains("connections"));
    limits.map(|limit| (limit.name(), settings.limits.value(*limit).to_string())).collect()
}
