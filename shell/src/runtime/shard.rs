//! One shard at work: a thread, a runtime, a [`Host`], and the tasks that call it.
//!
//! Tasks that the runtime has ready run first, each handing its inputs to the host; then one task flushes. A socket
//! that is full has its own task woken, which alone waits for it.

use crate::auth::{self, TokenVerifier};
use crate::config::Settings;
use crate::http;
use crate::net::driver::Handshake;
use crate::net::refusals::{RefusalDetails, RefusalReason, Refusals};
use crate::net::sockets::Sockets;
use crate::observe::health::Rates;
use crate::runtime::backoff::Backoff;
use crate::runtime::clock::Clock;
use crate::runtime::host::{Host, Progress, RefusedTokens};
use crate::runtime::rounds::Rounds;
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
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime;
use tokio::sync::{Notify, watch};
use tokio::task::{JoinSet, spawn_local, yield_now};
use tokio::time::{sleep, sleep_until, timeout};
use tracing::{error, info, warn};

/// A shard as its tasks see it.
pub(crate) struct ShardRuntime {
    pub(crate) settings: Arc<Settings>,
    pub(crate) clock: Clock,
    pub(crate) rates: RefCell<Rates>,
    /// Sockets that have not become a WebSocket.
    pub(crate) sockets: Rc<Sockets>,
    /// What bodies of requests take of the time of all.
    pub(crate) rounds: Rc<Rounds>,
    /// How often a limit was in the way of what then did not come to the shard.
    pub(crate) hits: RefCell<BTreeMap<Limit, u64>>,
    /// What was refused, by this shard and by those before it.
    pub(crate) refusals: Rc<Refusals>,
    /// What is served as the description of the HTTP side.
    pub(crate) document: http::Document,
    /// Proxies that are not trusted, as far as the log has told of them.
    pub(crate) warned: http::Warned,
    /// How many shards were here before, each of which an invariant ended.
    pub(crate) restarts: u64,
    /// None from the moment that an invariant broke.
    host: RefCell<Option<Host<TcpStream>>>,
    /// When the next shard begins, where this one is broken.
    resumes: Cell<Instant>,
    /// When the timer goes off, as far as it was told.
    armed: Cell<Instant>,
    rearm: Notify,
    flush: Notify,
    broken: Notify,
    /// When it was told to stop.
    stopping: Cell<Option<Instant>>,
    vacant: Notify,
    /// Sockets that have nothing to be answered are to be closed.
    last_call: Call,
    /// Requests that are not complete are not waited for any more.
    time_up: Call,
}

/// Something that becomes true once, and can be waited for.
#[derive(Debug, Default)]
struct Call {
    is_made: Cell<bool>,
    made: Notify,
}

impl Call {
    fn make(&self) {
        self.is_made.set(true);
        self.made.notify_waiters();
    }

    async fn wait(&self) {
        if !self.is_made.get() {
            self.made.notified().await;
        }
    }
}

/// How a shard's life ended.
#[derive(Debug, PartialEq, Eq)]
enum Ended {
    /// It was told to stop, and did.
    Stopped,
    /// An invariant did not hold.
    Broken,
}

/// Connections that are written to before other tasks have their turn.
const FLUSH_BATCH: usize = 512;
/// A deadline that is noticed so late is seen to after all that has come meanwhile.
const LATE: Duration = Duration::from_millis(100);
/// How often the runtime then looks for what has come. It sees a thousand sockets at once.
const LOOKS: usize = 16;
/// How long the listener rests when the system has no more sockets to give.
const ACCEPT_REST: Duration = Duration::from_millis(100);
/// How long requests that were sent before the server was told to stop may take to be seen.
const SETTLE: Duration = Duration::from_millis(50);

/// Runs shards, one after the other for as long as invariants break, until `stop` says so.
///
/// # Errors
/// When the system gives neither a runtime nor a socket.
pub(crate) fn run(
    listeners: &[std::net::TcpListener],
    settings: &Arc<Settings>,
    stop: &watch::Receiver<bool>,
) -> io::Result<()> {
    run_with(listeners, settings, stop, |_| ())
}

/// The same, and shows each shard that begins.
fn run_with(
    listeners: &[std::net::TcpListener],
    settings: &Arc<Settings>,
    stop: &watch::Receiver<bool>,
    show: impl Fn(&Rc<ShardRuntime>),
) -> io::Result<()> {
    let clock = Clock::new();
    let mut backoff = Backoff::default();
    let refusals = Rc::new(Refusals::default());
    let runtime = runtime::Builder::new_current_thread().enable_all().build_local(Default::default())?;
    runtime.block_on(async {
        // Once for all shards: to begin the next one must not depend on what the system has left.
        let listeners = listeners.iter().map(|listener| Ok(Rc::new(TcpListener::from_std(listener.try_clone()?)?)));
        let listeners = listeners.collect::<io::Result<Vec<_>>>()?;
        for restarts in 0.. {
            let shard = Rc::new(ShardRuntime::new(settings.clone(), clock, refusals.clone(), restarts));
            let tasks = shard.begin(&listeners);
            show(&shard);
            if shard.live(tasks, stop.clone(), &mut backoff).await == Ended::Stopped {
                break;
            }
            info!(restarts = restarts + 1, "a new shard begins");
        }
        Ok(())
    })
}

impl ShardRuntime {
    fn new(settings: Arc<Settings>, clock: Clock, refusals: Rc<Refusals>, restarts: u64) -> Self {
        let config = settings.core().expect("the settings were checked when the server was started");
        let secret = settings.token_secret.as_ref().map(|secret| secret.expose().as_str());
        let verifier =
            TokenVerifier::new(secret).requiring(settings.token_audience.as_deref(), settings.token_issuer.as_deref());
        let host = Host::new(config, auth::random(), verifier);
        Self {
            rates: RefCell::new(Rates::new(clock.now().mono)),
            settings,
            clock,
            sockets: Rc::default(),
            rounds: Rc::default(),
            hits: RefCell::default(),
            refusals,
            document: http::Document::default(),
            warned: http::Warned::default(),
            restarts,
            host: RefCell::new(Some(host)),
            resumes: Cell::new(Instant(0)),
            armed: Cell::new(Instant::NEVER),
            rearm: Notify::new(),
            flush: Notify::new(),
            broken: Notify::new(),
            stopping: Cell::new(None),
            vacant: Notify::new(),
            last_call: Call::default(),
            time_up: Call::default(),
        }
    }

    /// Starts the tasks that a shard cannot be without. None of them ends by itself.
    fn begin(self: &Rc<Self>, listeners: &[Rc<TcpListener>]) -> JoinSet<()> {
        let mut tasks = JoinSet::new();
        for listener in listeners {
            tasks.spawn_local(accept(self.clone(), listener.clone()));
        }
        tasks.spawn_local(tick(self.clone()));
        tasks.spawn_local(flush(self.clone()));
        tasks.spawn_local(sample(self.clone()));
        tasks
    }

    /// The life of a shard, and what is left of it after an invariant broke: it turns everything away for a while.
    async fn live(&self, mut tasks: JoinSet<()>, mut stop: watch::Receiver<bool>, backoff: &mut Backoff) -> Ended {
        let began = self.clock.now().mono;
        if self.end(&mut tasks, stop.clone()).await == Ended::Broken {
            let now = self.clock.now().mono;
            let pause = backoff.after(now.since(began));
            self.resumes.set(now.after(pause));
            warn!(?pause, "all connections are closed; a new shard begins after a pause");
            tokio::select! {
                biased;
                () = self.told(&mut stop) => {}
                () = sleep(pause) => {
                    // What came meanwhile is answered beside the next shard.
                    self.last_call.make();
                    return Ended::Broken;
                }
            }
        }
        self.answer_the_rest().await;
        Ended::Stopped
    }

    async fn end(&self, tasks: &mut JoinSet<()>, stop: watch::Receiver<bool>) -> Ended {
        tokio::select! {
            biased;
            () = self.broken.notified() => Ended::Broken,
            _ = tasks.join_next() => {
                // It has panicked.
                self.break_off();
                Ended::Broken
            }
            () = drain(self, stop) => Ended::Stopped,
        }
    }

    /// Waits until the shard is told to stop.
    async fn told(&self, stop: &mut watch::Receiver<bool>) {
        // An error means that whoever could say so is gone.
        let _ = stop.wait_for(|stop| *stop).await;
        if !self.is_stopping() {
            self.stopping.set(Some(self.clock.now().mono));
        }
    }

    /// Lets what was asked before the server was told to stop be answered, within what is left of `request_timeout` and of
    /// `drain_timeout`, and closes the sockets that ask nothing.
    async fn answer_the_rest(&self) {
        let limits = &self.settings.limits;
        let patience = limits.request_timeout.min(limits.drain_timeout);
        let left =
            |of: Duration| of.saturating_sub(self.clock.now().mono.since(self.stopping.get().unwrap_or_default()));
        sleep(left(SETTLE)).await;
        self.last_call.make();
        if timeout(left(patience), self.sockets.all_gone()).await.is_err() {
            self.time_up.make();
            if timeout(limits.linger_timeout, self.sockets.all_gone()).await.is_err() {
                warn!(sockets = self.sockets.len(), "requests are left; their sockets are dropped");
            }
        }
        self.refusals.report(self.clock.now().mono, true);
    }

    /// Does something with the host, and sees to what follows from it. None when an invariant broke, now or before.
    pub(crate) fn enter<R>(&self, act: impl FnOnce(&mut Host<TcpStream>, Now) -> R) -> Option<R> {
        let mut host = self.host.borrow_mut();
        let entered = host.as_mut()?;
        let now = self.clock.now();
        let result = catch_unwind(AssertUnwindSafe(|| act(entered, now)));
        match result {
            Ok(result) => {
                self.follow_up(entered);
                Some(result)
            }
            Err(_) => {
                error!(last_inputs = %entered.observer(), "an invariant does not hold; the shard ends here");
                drop(host);
                self.break_off();
                None
            }
        }
    }

    /// Ends every connection and every call at once.
    fn break_off(&self) {
        if let Some(host) = self.host.take() {
            host.abandon();
        }
        // The counts begin anew with the next shard.
        *self.rates.borrow_mut() = Rates::new(self.clock.now().mono);
        self.broken.notify_one();
    }

    /// Takes note that a limit was in the way of what will not come to the shard.
    pub(crate) fn hit(&self, limit: Limit) {
        *self.hits.borrow_mut().entry(limit).or_default() += 1;
    }

    /// RefusalCounts what is refused, and leaves a trace of it in the log.
    pub(crate) fn refuse(&self, reason: RefusalReason, refused: RefusalDetails) {
        self.refusals.record(self.clock.now().mono, reason, refused);
    }

    /// Whether the shard is on its way out.
    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.get().is_some()
    }

    /// Whether an invariant broke, and the next shard has not begun.
    pub(crate) fn is_restarting(&self) -> bool {
        self.host.try_borrow().is_ok_and(|host| host.is_none())
    }

    /// How long it is until the next shard begins.
    pub(crate) fn resumes_in(&self) -> Duration {
        self.resumes.get().since(self.clock.now().mono)
    }

    /// What there is while there is nothing.
    pub(crate) fn empty(&self) -> (Now, Stats) {
        (self.clock.now(), Stats::default())
    }

    /// Waits until sockets that have nothing to be answered are to be closed.
    pub(crate) async fn last_call(&self) {
        self.last_call.wait().await;
    }

    /// Waits until requests that are not complete are to be closed, too.
    pub(crate) async fn time_up(&self) {
        self.time_up.wait().await;
    }

    /// Gives an accepted connection its socket, and a task.
    pub(crate) fn open(self: Rc<Self>, conn: ConnId, socket: TcpStream, handshake: Handshake) {
        self.enter(|host, _| host.open(conn, socket, handshake));
        spawn_local(async move {
            // To yield is more than to be woken at once: it lets the runtime look for sockets that became ready.
            while poll_fn(|cx| self.poll(conn, cx)).await == Progress::Yield {
                yield_now().await;
            }
        });
    }

    fn poll(&self, conn: ConnId, cx: &mut Context<'_>) -> Poll<Progress> {
        self.enter(|host, now| host.poll_connection(now, conn, cx)).unwrap_or(Poll::Ready(Progress::Ended))
    }

    fn follow_up(&self, host: &mut Host<TcpStream>) {
        if host.needs_flush() {
            self.flush.notify_one();
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
        let next = host.poll_timeout().unwrap_or(Instant::NEVER);
        if next < self.armed.get() {
            self.armed.set(next);
            self.rearm.notify_one();
        }
        if self.is_stopping() && host.open_connections() == 0 {
            self.vacant.notify_one();
        }
    }
}

async fn accept(shard: Rc<ShardRuntime>, listener: Rc<TcpListener>) {
    let mut warned = false;
    loop {
        match listener.accept().await {
            Ok((socket, address)) => {
                warned = false;
                // An IPv4 address is one address, whichever kind of socket it came through.
                http::accept(&shard, socket, address.ip().to_canonical());
                if shard.sockets.len() >= shard.settings.limits.http_connections {
                    // The next one takes a place: those that have just come show first what they want.
                    yield_now().await;
                }
            }
            Err(error) => {
                if !warned {
                    warn!(%error, "cannot accept connections; trying again until it works");
                }
                warned = true;
                sleep(ACCEPT_REST).await;
            }
        }
    }
}

async fn tick(shard: Rc<ShardRuntime>) {
    loop {
        let armed = shard.armed.get();
        let due = async {
            if armed == Instant::NEVER {
                pending::<()>().await;
            }
            sleep_until(shard.clock.at(armed)).await;
        };
        tokio::select! {
            biased;
            () = shard.rearm.notified() => {}
            () = due => {
                if shard.clock.now().mono.since(armed) >= LATE {
                    // The machine stood still, or was very busy: what has come meanwhile is read first. Nobody is to be ended
                    // for a silence that was ours.
                    for _ in 0..LOOKS {
                        yield_now().await;
                    }
                }
                // Whatever the shard waits for next arms the timer anew.
                shard.armed.set(Instant::NEVER);
                shard.enter(Host::tick);
            }
        }
    }
}

async fn flush(shard: Rc<ShardRuntime>) {
    loop {
        shard.flush.notified().await;
        // Tasks that became ready meanwhile go first: what they have to say leaves in the same write.
        yield_now().await;
        shard.enter(|host, now| host.flush(now, FLUSH_BATCH));
    }
}

async fn sample(shard: Rc<ShardRuntime>) {
    loop {
        sleep(Rates::INTERVAL).await;
        shard.refusals.report(shard.clock.now().mono, false);
        if let Some((now, stats)) = shard.enter(|host, now| (now, host.shard().stats())) {
            shard.rates.borrow_mut().sample(now.mono, &stats.totals);
        }
    }
}

/// Waits until the shard is told to stop, and until its connections are gone or have had their time.
async fn drain(shard: &ShardRuntime, mut stop: watch::Receiver<bool>) {
    shard.told(&mut stop).await;
    let patience = shard.settings.limits.drain_timeout;
    info!(?patience, "stopping");
    shard.enter(Host::shut_down);
    if timeout(patience, shard.vacant.notified()).await.is_err() {
        warn!("connections are left; they are dropped");
    }
}

#[cfg(test)]
mod busy;

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::{Ipv4Addr, SocketAddr, TcpListener as Listener, TcpStream as Socket};
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    #[test]
    fn a_broken_invariant_ends_the_shard_and_its_sockets() {
        let listener = Listener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let client = thread::spawn(move || {
            let mut socket = Socket::connect(address).unwrap();
            let request = "GET /ws/room?greeting=off HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\n\
                Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
            socket.write_all(request.as_bytes()).unwrap();
            let mut answer = Vec::new();
            // However it ends: what matters is that it does.
            let _ = socket.read_to_end(&mut answer);
            String::from_utf8(answer).unwrap()
        });
        let runtime = runtime::Builder::new_current_thread().enable_all().build_local(Default::default()).unwrap();
        let (_keep_going, stop) = watch::channel(false);
        let ended = runtime.block_on(async {
            let shard = Rc::new(ShardRuntime::new(Arc::new(Settings::default()), Clock::new(), Rc::default(), 0));
            let mut tasks = shard.begin(&[Rc::new(TcpListener::from_std(listener).unwrap())]);
            while shard.enter(|host, _| host.shard().stats().gauges.rooms) == Some(0) {
                sleep(Duration::from_millis(1)).await;
            }
            assert!(shard.enter(|_, _| panic!("an invariant")).is_none());
            assert!(shard.enter(|_, _| ()).is_none(), "nothing gets in any more");
            shard.end(&mut tasks, stop).await
        });
        assert_eq!(ended, Ended::Broken);
        drop(runtime);
        assert!(client.join().unwrap().starts_with("HTTP/1.1 101 "));
    }

    /// Shards at work, whose invariants break when a test wants it.
    struct Broken {
        address: SocketAddr,
        breaks: Arc<AtomicUsize>,
        stop: watch::Sender<bool>,
        thread: thread::JoinHandle<io::Result<()>>,
    }

    impl Broken {
        fn start() -> Self {
            let listener = Listener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            listener.set_nonblocking(true).unwrap();
            let address = listener.local_addr().unwrap();
            let (stop, stopped) = watch::channel(false);
            let breaks = Arc::new(AtomicUsize::new(0));
            let wanted = breaks.clone();
            let thread = thread::spawn(move || {
                run_with(&[listener], &Arc::default(), &stopped, |shard| {
                    spawn_local(break_when_wanted(shard.clone(), wanted.clone()));
                })
            });
            Self { address, breaks, stop, thread }
        }

        fn break_again(&self) {
            self.breaks.fetch_add(1, Ordering::Relaxed);
            while self.breaks.load(Ordering::Relaxed) > 0 {
                thread::sleep(Duration::from_millis(1));
            }
        }

        /// The answer to a request without a body. A shard that ends drops its sockets: who is cut off asks again.
        fn ask(&self, request: &str) -> String {
            loop {
                match self.try_to_ask(request) {
                    Ok(answer) if !answer.is_empty() => return answer,
                    Ok(_) | Err(_) => thread::sleep(Duration::from_millis(1)),
                }
            }
        }

        fn try_to_ask(&self, request: &str) -> io::Result<String> {
            let mut socket = Socket::connect(self.address)?;
            socket.write_all(format!("{request}Host: localhost\r\nConnection: close\r\n\r\n").as_bytes())?;
            let mut answer = String::new();
            socket.read_to_string(&mut answer)?;
            Ok(answer)
        }

        fn get(&self, path: &str) -> String {
            self.ask(&format!("GET {path} HTTP/1.1\r\n"))
        }

        fn wait_until_ready(&self) {
            while !self.get("/health/ready").starts_with("HTTP/1.1 200 ") {
                thread::sleep(Duration::from_millis(5));
            }
        }
    }

    async fn break_when_wanted(shard: Rc<ShardRuntime>, wanted: Arc<AtomicUsize>) {
        loop {
            sleep(Duration::from_millis(1)).await;
            if !shard.is_restarting() && wanted.load(Ordering::Relaxed) > 0 {
                shard.enter(|_, _| panic!("an invariant"));
                wanted.fetch_sub(1, Ordering::Relaxed);
            }
        }
    }

    #[test]
    fn while_a_shard_restarts_only_its_health_is_told() {
        let server = Broken::start();
        for pauses in 1..=3 {
            server.wait_until_ready();
            server.break_again();
            assert!(server.get("/health/live").starts_with("HTTP/1.1 200 "), "after {pauses}");
        }
        // The pause is 400 ms by now.
        for path in ["GET /health/ready", "GET /ws/room", "POST /api/info"] {
            let request = format!("{path} HTTP/1.1\r\n");
            let answer = server.ask(&request);
            assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("restarting"), "{answer}");
            assert!(answer.contains("retry-after: 1\r\n") && answer.contains("connection: close\r\n"), "{answer}");
        }
        let health = server.get("/health");
        assert!(health.contains(r#""status":"restarting""#) && health.contains(r#""restarts":3,"#), "{health}");
        server.wait_until_ready();
        let health = server.get("/health");
        assert!(health.contains(r#""status":"ok""#) && health.contains(r#""restarts":3,"#), "{health}");
        server.stop.send_replace(true);
        server.thread.join().unwrap().unwrap();
    }

    #[test]
    fn a_server_that_restarts_can_be_stopped() {
        let server = Broken::start();
        for _ in 0..3 {
            server.wait_until_ready();
            server.break_again();
        }
        server.stop.send_replace(true);
        server.thread.join().unwrap().unwrap();
    }
}
