//! The state that the tasks of a shard share, and the one way into its host.

use super::alert_sender::AlertSender;
use super::clock::Clock;
use super::connections::Accepted;
use super::host::{Host, Progress, RefusedTokens};
use super::in_force::SettingsInForce;
use super::latch::Latch;
use super::rounds::Rounds;
use super::server_requests::{ProcessLink, ServerRequest};
use crate::auth::{self, ConsoleTickets, KeySource};
use crate::config::{AlertEntry, Settings};
use crate::http::forwarded::ProxyWarning;
use crate::net::address_rates::AddressRates;
use crate::net::client_socket::ClientSocket;
use crate::net::driver::Handshake;
use crate::net::handshake_rates::HandshakeRates;
use crate::net::refusals::{RefusalDetails, RefusalReason, Refusals};
use crate::net::sockets::Sockets;
use crate::observe::alerts::Alerts;
use crate::observe::alerts::deliveries::NotificationFigures;
use crate::observe::alerts::figures::Readings;
use crate::observe::alerts::queue::NotificationQueue;
use crate::observe::alerts::rule::AlertRule;
use crate::observe::calls::CallLog;
use crate::observe::descriptors;
use crate::observe::host_log::HostLog;
use crate::observe::input_log::InputLogs;
use crate::observe::log;
use crate::observe::metrics::api_calls::ApiCallFigures;
use crate::observe::metrics::handshakes::HandshakeFigures;
use crate::observe::metrics::histogram::Histogram;
use crate::observe::rates::{RateWindow, Rates};
use crate::observe::readiness::{Readiness, ReadinessFigures};
use crate::observe::reloads::Reloads;
use parlor_core::input_log::{InputLog, InputRecorder};
use parlor_core::stats::Gauges;
use parlor_core::{ConnId, Instant, Limit, Now, Stats};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::{pending, poll_fn};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::{spawn_local, yield_now};
use tracing::{error, warn};

/// One shard on its thread: the host and the figures, shared by its tasks. The host is reached through
/// [`ShardRuntime::enter`] alone.
pub(crate) struct ShardRuntime {
    in_force: RefCell<Rc<SettingsInForce>>,
    /// The settings that are to be in use.
    latest: watch::Receiver<Arc<Settings>>,
    /// The keys of `token_jwks`, where it is set.
    pub(crate) key_source: Option<KeySource>,
    /// The addresses that have sent wrong keys lately.
    pub(crate) wrong_keys: RefCell<AddressRates>,
    /// The tickets of the console that wait to be used.
    pub(crate) console_tickets: RefCell<ConsoleTickets>,
    /// The TLS handshakes that have begun lately.
    pub(crate) handshakes: RefCell<HandshakeRates>,
    /// The lines of the log about calls.
    pub(crate) calls: CallLog,
    pub(crate) call_figures: ApiCallFigures,
    pub(crate) handshake_figures: HandshakeFigures,
    /// How long what is to be written waits for the flush.
    pub(crate) flush_delays: Histogram,
    /// Durations for which the thread writes at a stretch, in seconds.
    pub(crate) flush_durations: Histogram,
    /// Durations for which it works at a stretch at anything else, in seconds.
    pub(crate) turn_durations: Histogram,
    pub(crate) clock: Clock,
    pub(crate) rates: RefCell<Rates>,
    /// HTTP sockets: accepted, and not a WebSocket yet.
    pub(crate) sockets: Rc<Sockets>,
    /// Those beyond `http_connections`, which probes alone are answered on.
    pub(crate) probe_sockets: Rc<Sockets>,
    /// The share of the thread's time that request bodies and TLS handshakes may take.
    pub(crate) rounds: Rc<Rounds>,
    /// Refusals by each limit that the core did not see.
    pub(crate) limit_hits: RefCell<BTreeMap<Limit, u64>>,
    /// Refusals, counted over all shards of the process.
    pub(crate) refusals: Rc<Refusals>,
    /// The last reload, by the server's own thread.
    pub(crate) reloads: Arc<Reloads>,
    /// The way of requests to that thread.
    pub(crate) requests: mpsc::Sender<ServerRequest>,
    /// The alerts of the settings.
    pub(super) alerts: Rc<Alerts>,
    /// The counts of their notifications.
    pub(crate) notifications: Arc<NotificationFigures>,
    alert_sender: Rc<RefCell<AlertSender>>,
    /// The files that the input log is written to.
    pub(crate) input_logs: InputLogs,
    /// The time of the last warning about a proxy that is not trusted.
    pub(crate) proxy_warning: ProxyWarning,
    /// Number of shards before this one. A broken invariant ended each of them.
    pub(crate) restarts: u64,
    /// None once an invariant broke.
    host: RefCell<Option<Host<ClientSocket>>>,
    /// The time at which the next shard begins, once this one is broken.
    pub(super) restarts_at: Cell<Instant>,
    /// The deadline that the timer waits for.
    pub(super) armed: Cell<Option<Instant>>,
    pub(super) rearm: Notify,
    pub(super) flush: Notify,
    /// The time of the first input that left something to the next flush; None where nothing waits.
    unflushed_since: Cell<Option<Instant>>,
    pub(super) broken: Notify,
    /// Whether the shard was told to stop.
    pub(super) is_leaving: Cell<bool>,
    /// The time at which it began to refuse what comes; None before.
    pub(super) stopping: Cell<Option<Instant>>,
    pub(super) all_closed: Notify,
    /// Set when sockets without a request are to be closed.
    pub(super) close_idle: Latch,
    /// Set when incomplete requests are to be given up, too.
    pub(super) close_unfinished: Latch,
}

/// State that outlives a shard: the next shard of the process goes on with it.
#[derive(Clone, Debug)]
pub(super) struct Lasting {
    refusals: Rc<Refusals>,
    process: ProcessLink,
    alerts: Rc<Alerts>,
    notifications: Arc<NotificationFigures>,
    alert_sender: Rc<RefCell<AlertSender>>,
}

impl Lasting {
    /// The state at the start of the first shard.
    ///
    /// # Errors
    /// As [`AlertSender::add`].
    pub(super) fn new(process: ProcessLink, clock: Clock) -> io::Result<Self> {
        let settings = process.settings.borrow().clone();
        let notifications = Arc::<NotificationFigures>::default();
        let mut sender = AlertSender::new(notifications.clone(), clock);
        sender.add(&settings.alerts)?;
        let alerts = Rc::new(Alerts::new(watched(&settings.alerts, &sender), &settings.node_name));
        let alert_sender = Rc::new(RefCell::new(sender));
        Ok(Self { refusals: Rc::default(), process, alerts, notifications, alert_sender })
    }
}

/// The rules of alerts, each with the queue of its URL.
fn watched(
    entries: &[AlertEntry],
    sender: &AlertSender,
) -> impl Iterator<Item = (AlertRule, Option<Arc<NotificationQueue>>)> {
    entries.iter().map(|AlertEntry { rule, url, .. }| {
        let queue = url.as_ref().and_then(|url| sender.queue(url.expose()));
        (rule.clone(), queue)
    })
}

impl ShardRuntime {
    pub(super) fn new(
        key_source: Option<KeySource>,
        clock: Clock,
        Lasting { refusals, process, alerts, notifications, alert_sender }: Lasting,
        restarts: u64,
    ) -> Self {
        let settings = process.settings.borrow().clone();
        let config = settings.checked_core();
        let verifier = settings.token_verifier().with_source(key_source.clone());
        let seed = auth::random();
        // Without a folder nothing could be written.
        let recorder = (settings.input_log_bytes > 0 && settings.input_log_dir.is_some())
            .then(|| InputRecorder::new(&config, seed, settings.input_log_bytes, settings.input_log_payloads));
        let log = HostLog::new(config.tells_steps, recorder);
        let host = Host::observed(config.clone(), seed, verifier, log);
        Self {
            rates: RefCell::new(Rates::new(clock.now().mono, refusals.total())),
            input_logs: InputLogs::new(&settings),
            in_force: RefCell::new(Rc::new(SettingsInForce::new(settings, config))),
            latest: process.settings,
            key_source,
            wrong_keys: RefCell::default(),
            console_tickets: RefCell::default(),
            handshakes: RefCell::default(),
            calls: CallLog::default(),
            call_figures: ApiCallFigures::default(),
            handshake_figures: HandshakeFigures::default(),
            flush_delays: Histogram::default(),
            flush_durations: Histogram::default(),
            turn_durations: Histogram::default(),
            clock,
            sockets: Rc::default(),
            probe_sockets: Rc::default(),
            rounds: Rc::default(),
            limit_hits: RefCell::default(),
            refusals,
            reloads: process.reloads,
            requests: process.requests,
            alerts,
            notifications,
            alert_sender,
            proxy_warning: ProxyWarning::default(),
            restarts,
            host: RefCell::new(Some(host)),
            restarts_at: Cell::new(Instant(0)),
            armed: Cell::new(None),
            rearm: Notify::new(),
            flush: Notify::new(),
            unflushed_since: Cell::new(None),
            broken: Notify::new(),
            is_leaving: Cell::new(false),
            stopping: Cell::new(None),
            all_closed: Notify::new(),
            close_idle: Latch::default(),
            close_unfinished: Latch::default(),
        }
    }

    /// The settings that are in use, with what is made of them. A reload leaves these as they are to who has them.
    pub(crate) fn in_force(&self) -> Rc<SettingsInForce> {
        self.in_force.borrow().clone()
    }

    /// The settings that are in use.
    pub(crate) fn settings(&self) -> Arc<Settings> {
        self.in_force.borrow().settings.clone()
    }

    /// Takes the settings of the last reload into use, unless it has done so.
    pub(crate) fn follow_settings(&self) {
        let latest = self.latest.borrow().clone();
        if Arc::ptr_eq(&latest, &self.settings()) {
            return;
        }
        let config = latest.checked_core();
        let verifier = latest.token_verifier().with_source(self.key_source.clone());
        // The core has namespaces in an order of its own, by which calls are to be parsed.
        let config = self.enter(|host, now| {
            host.reconfigure(now, config, verifier);
            // The keys that the console listens by may be gone. Its page listens again by those that are not.
            host.end_listeners(now);
            host.shard().config().clone()
        });
        self.console_tickets.take();
        if let Some(config) = config {
            self.follow_alerts(&latest);
            *self.in_force.borrow_mut() = Rc::new(SettingsInForce::new(latest, config));
        }
    }

    /// Watches the alerts of these settings, and no others.
    pub(super) fn follow_alerts(&self, settings: &Settings) {
        let mut sender = self.alert_sender.borrow_mut();
        if let Err(wrong) = sender.add(&settings.alerts) {
            warn!(target: log::ALERTS, %wrong, "alerts of the new settings cannot be sent to their URLs");
        }
        self.alerts.follow(self.clock.now(), watched(&settings.alerts, &sender));
        // Behind the last news of the alerts that are taken away.
        sender.close_others(&settings.alerts);
    }

    /// Waits until there are other settings than those in use.
    pub(super) async fn settings_changed(&self) {
        let mut latest = self.latest.clone();
        let in_use = self.settings();
        // The next shard begins with the latest. An error means that the server is gone: no other settings come.
        if self.is_restarting() || latest.wait_for(|latest| !Arc::ptr_eq(latest, &in_use)).await.is_err() {
            pending().await
        }
    }

    /// Calls the host, then schedules the flush and the timer that the call asks for. None once an invariant broke, in this
    /// call or before.
    pub(crate) fn enter<R>(&self, act: impl FnOnce(&mut Host<ClientSocket>, Now) -> R) -> Option<R> {
        self.enter_timed(&self.turn_durations, act)
    }

    /// Writes what waits for up to so many connections.
    pub(super) fn flush(&self, limit: usize) {
        self.enter_timed(&self.flush_durations, |host, now| {
            self.count_flush_delay(now.mono);
            host.flush(now, limit);
        });
    }

    fn enter_timed<R>(&self, durations: &Histogram, act: impl FnOnce(&mut Host<ClientSocket>, Now) -> R) -> Option<R> {
        let mut host = self.host.borrow_mut();
        let entered = host.as_mut()?;
        let now = self.clock.now();
        let result = catch_unwind(AssertUnwindSafe(|| act(entered, now)));
        match result {
            Ok(result) => {
                durations.observe(self.clock.since(now.mono).as_secs_f64());
                self.schedule(entered, now.mono);
                Some(result)
            }
            Err(_) => {
                error!(last_inputs = %entered.observer().inputs, "an invariant does not hold; the shard ends");
                drop(host);
                self.abandon();
                None
            }
        }
    }

    /// The input log up to now. None where nothing is recorded, and without a host.
    pub(crate) fn input_log(&self) -> Option<InputLog> {
        self.enter(|host, _| {
            let (shard, log) = host.shard_and_observer();
            log.recorder.as_mut().map(|recorder| recorder.log(shard))
        })?
    }

    /// Drops the host, with every connection and every call. Its input log is written first, where there is a folder for it.
    pub(super) fn abandon(&self) {
        if let Some(mut host) = self.host.take() {
            self.write_last_log(&mut host);
            host.abandon();
        }
        // The counts begin anew with the next shard.
        *self.rates.borrow_mut() = Rates::new(self.clock.now().mono, self.refusals.total());
        self.broken.notify_one();
    }

    fn write_last_log(&self, host: &mut Host<ClientSocket>) {
        let Some(recorder) = &mut host.shard_and_observer().1.recorder else { return };
        match self.input_logs.folder() {
            Ok(folder) => self.input_logs.write_last(folder, recorder.log_of_broken(), self.clock.now()),
            Err(wrong) => warn!(wrong, "the input log is not written"),
        }
    }

    /// Counts a refusal by a limit that the core does not see.
    pub(crate) fn count_limit(&self, limit: Limit) {
        *self.limit_hits.borrow_mut().entry(limit).or_default() += 1;
    }

    /// Counts a refusal and reports it to the log.
    pub(crate) fn record_refusal(&self, reason: RefusalReason, refused: RefusalDetails) {
        self.refusals.record(self.clock.now().mono, reason, refused);
    }

    /// Whether the shard was told to stop. Clients and calls are served until [`ShardRuntime::is_stopping`].
    pub(crate) fn is_leaving(&self) -> bool {
        self.is_leaving.get()
    }

    /// Notes that the shard is about to be told to stop: it is not ready any more.
    pub(crate) fn leave(&self) {
        self.is_leaving.set(true);
    }

    /// Whether what comes is refused, since the shard stops.
    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.get().is_some()
    }

    /// Whether an invariant broke and the next shard has not begun.
    pub(crate) fn is_restarting(&self) -> bool {
        self.host.try_borrow().is_ok_and(|host| host.is_none())
    }

    /// Whether tokens are to be verified with keys that are fetched alone, and none has been fetched yet.
    pub(crate) fn is_starting(&self) -> bool {
        let has_none = |source: &KeySource| source.fetched().keys.is_none();
        !self.settings().has_own_token_key() && self.key_source.as_ref().is_some_and(has_none)
    }

    /// Whether the server is ready, by figures of this time. The socket that asks counts, unless it is marked as waiting.
    pub(crate) fn readiness(&self, gauges: Gauges) -> Readiness {
        let figures = ReadinessFigures {
            is_leaving: self.is_leaving(),
            is_restarting: self.is_restarting(),
            is_starting: self.is_starting(),
            is_stalled: self.enter(|host, now| host.canary_is_silent(now)).unwrap_or(false),
            gauges,
            busy_sockets: self.sockets.busy(),
            descriptors: descriptors::kept().zip(descriptors::most()),
        };
        Readiness::judge(&figures, &self.settings().limits, self.settings().ready_strict)
    }

    /// Time until the next shard begins.
    pub(crate) fn restarts_in(&self) -> Duration {
        self.restarts_at.get().since(self.clock.now().mono)
    }

    /// The figures of the core, and the time. Without a host all are zero.
    pub(crate) fn stats(&self) -> (Now, Stats) {
        let stats = self.enter(|host, now| (now, host.shard().stats()));
        stats.unwrap_or_else(|| (self.clock.now(), Stats::default()))
    }

    /// The sizes of the core's state. Without a host all are zero.
    pub(crate) fn gauges(&self) -> Gauges {
        self.enter(|host, _| host.shard().gauges()).unwrap_or_default()
    }

    /// The most bytes that wait for one WebSocket. O(n) in the connections.
    pub(crate) fn largest_outbox(&self) -> usize {
        self.enter(|host, _| host.shard().largest_outbox()).unwrap_or_default()
    }

    /// Number of HTTP sockets, those for probes included.
    pub(crate) fn http_connections(&self) -> usize {
        self.sockets.len() + self.probe_sockets.len()
    }

    /// Waits until there is no HTTP socket.
    pub(super) async fn no_sockets(&self) {
        self.sockets.all_gone().await;
        self.probe_sockets.all_gone().await;
    }

    /// Number of open connections.
    pub(crate) fn open_connections(&self) -> usize {
        self.host.borrow().as_ref().map_or(0, Host::open_connections)
    }

    /// Lets the alerts look at the figures of this time.
    pub(super) fn watch(&self, now: Now, stats: &Stats) {
        if self.alerts.is_empty() {
            return;
        }
        let rates = |window| self.rates.borrow().until(window, now.mono, stats, self.refusals.total());
        let readings = Readings {
            gauges: stats.gauges,
            minute: rates(RateWindow::Minute),
            quarter: rates(RateWindow::Quarter),
            http_connections: self.http_connections(),
            restarts: self.restarts,
            log_lines_dropped: log::dropped(),
            is_reload_good: self.reloads.is_good(),
        };
        self.alerts.take(now, &readings);
    }

    /// Waits until sockets without a request are to be closed.
    pub(crate) async fn close_idle(&self) {
        self.close_idle.wait().await;
    }

    /// Waits until incomplete requests are to be given up, too.
    pub(crate) async fn close_unfinished(&self) {
        self.close_unfinished.wait().await;
    }

    /// Gives an accepted connection its socket and a task.
    pub(crate) fn open(self: Rc<Self>, accepted: Accepted, socket: ClientSocket, handshake: Handshake) {
        let conn = accepted.conn();
        self.enter(|host, _| host.open(accepted, socket, handshake));
        spawn_local(async move {
            // Being woken at once would not do: only a yield lets the runtime look for sockets that became ready.
            while poll_fn(|cx| self.poll(conn, cx)).await == Progress::Yield {
                yield_now().await;
            }
        });
    }

    fn poll(&self, conn: ConnId, cx: &mut Context<'_>) -> Poll<Progress> {
        self.enter(|host, now| host.poll_connection(now, conn, cx)).unwrap_or(Poll::Ready(Progress::Ended))
    }

    /// Counts how long the first of what is to be written has waited, when a flush begins: from the beginning
    /// of the call to the host that left it to the beginning of the flush.
    fn count_flush_delay(&self, now: Instant) {
        if let Some(since) = self.unflushed_since.get() {
            self.flush_delays.observe(now.since(since).as_secs_f64());
        }
    }

    /// Wakes the tasks that have something to do after a call to the host.
    fn schedule(&self, host: &mut Host<ClientSocket>, now: Instant) {
        if host.needs_flush() {
            self.flush.notify_one();
            self.unflushed_since.set(Some(self.unflushed_since.get().unwrap_or(now)));
        } else {
            self.unflushed_since.set(None);
        }
        if let Some(RefusedTokens { count, why, address }) = host.take_refused_tokens() {
            let now = self.clock.now().mono;
            self.refusals.record_many(
                now,
                RefusalReason::Token,
                count,
                RefusalDetails { why, address, ..RefusalDetails::default() },
            );
        }
        if let Some(next) = host.poll_timeout()
            && self.armed.get().is_none_or(|armed| next < armed)
        {
            self.armed.set(Some(next));
            self.rearm.notify_one();
        }
        if self.is_stopping() && host.open_connections() == 0 {
            self.all_closed.notify_one();
        }
    }
}
