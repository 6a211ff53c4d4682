//! The page of `/metrics`: what Prometheus collects. Every series is there from the start, at 0, and no label has a value that
//! a client chooses, so that their number does not depend on what happens. Counts, histograms and sizes of the state may be added over
//! servers.

pub(crate) mod api_calls;
mod exposition;
pub(crate) mod handshakes;
pub(crate) mod histogram;
mod process;

pub(crate) use exposition::MetricsForm;

use super::log;
use crate::runtime::shard::ShardRuntime;
use exposition::Exposition;
use parlor_core::limits::{Limit, Value};
use parlor_core::stats::{ConnectionStates, Gauges, Totals};
use parlor_core::{CloseCause, EndedBy, Stats};

/// The page in this form.
pub(crate) fn metrics(shard: &ShardRuntime, stats: &Stats, form: MetricsForm) -> String {
    let mut page = Exposition::new(form);
    page.gauges("parlor_build_info", "1, with the version.", [([("version", crate::VERSION)], 1.0)]);
    write_state(&mut page, &stats.gauges);
    write_connections(&mut page, &stats.totals);
    write_deliveries(&mut page, shard, &stats.totals);
    write_anomalies(&mut page, &stats.totals);
    write_limits(&mut page, shard, &stats.totals);
    write_http(&mut page, shard);
    write_keys(&mut page, shard);
    write_server(&mut page, shard, stats.gauges);
    page.finish()
}

/// Writes the sizes of the present state.
fn write_state(page: &mut Exposition, gauges: &Gauges) {
    let &Gauges {
        // Contained in the numbers by protocol and state.
        connections: _,
        ref json,
        ref plain,
        users,
        rooms,
        absences,
        memberships,
        logs,
        history_bytes,
        outbox_bytes,
        refused_bytes,
        inbound_bytes,
    } = gauges;
    let states = [("json", json), ("plain", plain)].into_iter().flat_map(|(protocol, states)| {
        let &ConnectionStates { opening, ready, closing } = states;
        let series = move |(state, count)| ([("protocol", protocol), ("state", state)], count as f64);
        [("opening", opening), ("ready", ready), ("closing", closing)].map(series)
    });
    page.gauges("parlor_connections", "WebSockets, by protocol and state.", states);
    for (name, help, value) in [
        ("parlor_users", "Users who are online.", users),
        ("parlor_rooms", "Rooms with a member or an absent user.", rooms),
        ("parlor_memberships", "Memberships of connections in rooms.", memberships),
        ("parlor_absences", "Users who stay listed in a room after the end of their connection, by room.", absences),
        ("parlor_logs", "Rooms whose publications are numbered.", logs),
        ("parlor_history_bytes", "Bytes that the logs of all rooms retain.", history_bytes),
        ("parlor_outbox_bytes", "Bytes that wait for sockets.", outbox_bytes),
        (
            "parlor_refused_bytes",
            "Bytes that sockets have refused, each frame counted once for all that wait for it.",
            refused_bytes,
        ),
        ("parlor_inbound_bytes", "Bytes of clients and of calls that are not handled yet.", inbound_bytes),
    ] {
        page.gauge(name, help, value as f64);
    }
}

/// Writes the connections that came and went.
fn write_connections(page: &mut Exposition, totals: &Totals) {
    page.counter("parlor_connections_accepted", "WebSockets accepted.", totals.accepted);
    let closed = CloseCause::ALL.iter().map(|cause| {
        let labels = [("cause", cause.name()), ("by", side(cause.by()))];
        (labels, totals.closed.get(cause).copied().unwrap_or_default())
    });
    page.counters("parlor_connections_closed", "WebSockets that ended, by cause and by who decided it.", closed);
    for (name, help, label, counts) in [
        (
            "parlor_peer_closes",
            "WebSockets that ended by peer_close, by the code of the client's Close frame.",
            "code",
            totals.peer_closes.named().collect::<Vec<_>>(),
        ),
        (
            "parlor_authentications",
            "Tokens, by how they were judged, and those that were required and missing.",
            "result",
            totals.tokens.named().collect(),
        ),
        (
            "parlor_recoveries",
            "Joins that asked for what was missed, by what became of that.",
            "result",
            totals.recoveries.named().collect(),
        ),
        (
            "parlor_evictions",
            "Logs, publications, absences and idempotency keys given up early, by the limit that left no place.",
            "limit",
            totals.evictions.named().collect(),
        ),
    ] {
        page.counters(name, help, counts.into_iter().map(|(value, count)| ([(label, value)], count)));
    }
}

fn side(by: EndedBy) -> &'static str {
    match by {
        EndedBy::Server => "server",
        EndedBy::Peer => "peer",
        EndedBy::Loss => "loss",
    }
}

/// Writes the deliveries. Frames queued are those written, those dropped, and those that wait.
fn write_deliveries(page: &mut Exposition, shard: &ShardRuntime, totals: &Totals) {
    page.counter("parlor_publications", "Publications of backends and clients.", totals.published);
    page.counter("parlor_client_messages", "Text messages from clients.", totals.messages_in);
    page.counter("parlor_frames_queued", "Frames put into outboxes.", totals.frames_queued);
    page.counter("parlor_frames_written", "Frames that the kernel took whole.", totals.frames_written);
    let dropped = CloseCause::ALL
        .iter()
        .map(|cause| ([("cause", cause.name())], totals.frames_dropped.get(cause).copied().unwrap_or_default()));
    let dropped: Vec<_> = dropped.chain([([("cause", "newer_pong")], totals.pongs_replaced)]).collect();
    page.counters(
        "parlor_frames_dropped",
        "Frames dropped before they were written: by why their connection ended, or Pongs for a newer one.",
        dropped.iter().copied(),
    );
    let waiting = totals.frames_queued - totals.frames_written - dropped.iter().map(|(_, count)| count).sum::<u64>();
    page.gauge("parlor_frames_waiting", "Frames in outboxes.", waiting as f64);
    let help = "The most bytes that wait for one WebSocket, which outbox_bytes bounds.";
    page.gauge("parlor_largest_outbox_bytes", help, shard.largest_outbox() as f64);
    page.counter("parlor_written_bytes", "Bytes that the kernel took for WebSockets.", totals.bytes_written);
    let help = "Time from the first input that left something to be written until its writing began, or went on.";
    page.histogram("parlor_flush_delay_seconds", help, &shard.flush_delays);
    let help = "Time that the thread of the shard wrote at a stretch, which is to so many sockets that others have their turn.";
    page.histogram("parlor_flush_duration_seconds", help, &shard.flush_durations);
    let help = "Time that the thread of the shard worked at a stretch on what came from a socket, a call or a timer.";
    page.histogram("parlor_turn_duration_seconds", help, &shard.turn_durations);
}

/// Writes the events that should be rare.
fn write_anomalies(page: &mut Exposition, totals: &Totals) {
    for (name, help, count) in [
        ("parlor_client_errors", "Errors in answers to clients.", totals.errors),
        ("parlor_unknown_types", "Messages of plain clients with an unknown type.", totals.unknown_types),
        ("parlor_gaps", "Memberships interrupted since publications may be missing.", totals.gaps),
        ("parlor_repeats", "Publications that came twice and were delivered once.", totals.repeats),
        ("parlor_late_joins", "Joins confirmed after they were given up.", totals.late_joins),
        (
            "parlor_late_answers",
            "Answers that came after their caller was told that there is none.",
            totals.late_answers,
        ),
        ("parlor_stale_inputs", "Inputs for connections that had ended.", totals.stale_inputs),
        ("parlor_ignored_inputs", "Inputs without meaning in the phase of their connection.", totals.ignored_inputs),
        ("parlor_clock_backsteps", "Times at which the clock went back.", totals.clock_backsteps),
    ] {
        page.counter(name, help, count);
    }
}

/// Writes the refusals by limits, and the limits that are numbers.
fn write_limits(page: &mut Exposition, shard: &ShardRuntime, totals: &Totals) {
    let hits = shard.limit_hits.borrow();
    let count = |limit| totals.limits.get(limit).copied().unwrap_or(0) + hits.get(limit).copied().unwrap_or(0);
    let refused = Limit::ALL.iter().map(|limit| ([("limit", limit.name())], count(limit)));
    page.counters("parlor_limit_hits", "Refusals by a limit, by its setting.", refused);
    let value = |limit: &Limit| match shard.settings().limits.value(*limit) {
        Value::Bytes(number) | Value::Count(number) => Some(([("limit", limit.name())], number as f64)),
        Value::OptionalCount(number) => Some(([("limit", limit.name())], number?.get() as f64)),
        Value::Duration(_) | Value::Rate(_) => None,
    };
    let values = Limit::ALL.iter().filter_map(value);
    page.gauges("parlor_limit", "Limits in bytes or numbers, by their setting; none for one that is off.", values);
}

/// Writes the requests that become no WebSocket.
fn write_http(page: &mut Exposition, shard: &ShardRuntime) {
    page.gauge(
        "parlor_http_connections",
        "Sockets that are no WebSocket, or not yet.",
        shard.http_connections() as f64,
    );
    let refused = shard.refusals.counts().into_iter().map(|(reason, count)| ([("reason", reason)], count));
    let help = "Requests refused before they were a WebSocket or a call, by reason.";
    page.counters("parlor_requests_refused", help, refused);
    let handshakes = shard.handshake_figures.counts().map(|(result, count)| ([("result", result)], count));
    page.counters("parlor_tls_handshakes", "TLS handshakes, by result.", handshakes);
    let calls = shard.call_figures.counts();
    let calls = calls.into_iter().map(|(method, result, count)| ([("method", method), ("result", result)], count));
    page.counters("parlor_api_calls", "API calls, by method and result.", calls);
    page.histograms(
        "parlor_api_call_duration_seconds",
        "Time from a call that was understood until its answer, by whether it only reads.",
        "class",
        shard.call_figures.times(),
    );
}

/// Writes the fetches of `token_jwks`.
fn write_keys(page: &mut Exposition, shard: &ShardRuntime) {
    let fetched = shard.key_source.as_ref().map(|source| source.fetched().clone()).unwrap_or_default();
    let keys = fetched.keys.map_or(0, |keys| keys.len());
    page.gauge("parlor_jwks_keys", "Keys of tokens that were fetched from token_jwks.", keys as f64);
    let help = "Time of the last fetch of token_jwks that succeeded, since 1970; 0 before the first one.";
    page.gauge("parlor_jwks_last_success_timestamp_seconds", help, fetched.fetched_at as f64);
    let fetches = [([("result", "ok")], fetched.successes), ([("result", "failed")], fetched.failures)];
    page.counters("parlor_jwks_fetches", "Fetches of token_jwks, by result.", fetches);
}

/// Writes the figures of the server itself and its process.
fn write_server(page: &mut Exposition, shard: &ShardRuntime, gauges: Gauges) {
    let broken = shard.restarts + u64::from(shard.is_restarting());
    page.counter(
        "parlor_invariant_violations",
        "Times at which an invariant broke, and all connections ended.",
        broken,
    );
    page.counter("parlor_log_lines_dropped", "Log lines that could not be written.", log::dropped());
    let ended = shard.notifications.counts().map(|(result, count)| ([("result", result)], count));
    page.counters("parlor_alert_notifications", "Notifications of [[alerts]] to URLs, by how they ended.", ended);
    let help = "Attempts to send a notification that failed.";
    page.counter("parlor_alert_notification_failures", help, shard.notifications.failures());
    let (reloads, is_good) = (&shard.reloads, shard.reloads.is_good());
    let results = reloads.counts().map(|(result, count)| ([("result", result)], count));
    page.counters("parlor_reloads", "Files that had changed and were read again, by result.", results);
    let help = "1 where the files could be used when they were last looked at, else 0: what was in use stays so.";
    page.gauge("parlor_last_reload_successful", help, f64::from(u8::from(is_good)));
    let help = "Time at which what is in use was read, since 1970.";
    page.gauge("parlor_last_reload_success_timestamp_seconds", help, reloads.read_at_seconds());
    let readiness = shard.readiness(gauges);
    page.gauge("parlor_ready", "1 while /health/ready answers that it is.", f64::from(u8::from(readiness.is_ready())));
    let help = "1 while a limit of the whole server is reached, as /health/ready?verbose says.";
    page.gauge("parlor_degraded", help, f64::from(u8::from(readiness.is_degraded())));
    page.gauge("parlor_draining", "1 while the server stops.", f64::from(u8::from(shard.is_leaving())));
    process::write(page);
}
