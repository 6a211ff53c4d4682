//! The thread of a shard: a runtime, the tasks that call the host, and shard after shard for as long as invariants break.
//!
//! Tasks that the runtime has ready run first, each handing its inputs to the host; then one task flushes. A socket
//! that is full has its own task woken, which alone waits for it.

use super::backoff::Backoff;
use super::canary::CANARY_INTERVAL;
use super::clock::Clock;
use super::host::Host;
use super::pulse::Pulse;
use super::server_requests::ProcessLink;
use super::shard::{Lasting, ShardRuntime};
use crate::auth::KeySource;
use crate::net::listener::{self, Listener};
use crate::observe::rates::Rates;
use std::future::pending;
use std::io;
use std::rc::Rc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::runtime;
use tokio::sync::watch;
use tokio::task::{JoinSet, spawn_local, yield_now};
use tokio::time::{sleep, sleep_until, timeout};
use tracing::{info, warn};

/// The end of a shard.
#[derive(Debug, PartialEq, Eq)]
enum ShardEnd {
    /// It was told to stop.
    Stopped,
    /// An invariant broke.
    Broken,
}

/// Connections that one flush writes to before other tasks run.
const FLUSH_BATCH: usize = 512;
/// Tokens that waited for a key and are verified before other tasks run: at most a millisecond of signatures.
const TOKENS_PER_ROUND: usize = 8;
/// From this delay on, a timer first lets the tasks read what came meanwhile.
const LATE: Duration = Duration::from_millis(100);
/// Yields of a late timer. At each one the runtime looks for input on up to a thousand sockets.
const CATCH_UP_YIELDS: usize = 16;
/// Time between two lines about how far a stop is.
const DRAIN_REPORTS: Duration = Duration::from_secs(10);
/// Time for requests that were sent before the stop to be read.
const STOP_GRACE: Duration = Duration::from_millis(50);

/// Runs a shard until `stop` is true. After a broken invariant, the next shard begins with a pause.
///
/// # Errors
/// The error of the system, where it gives no runtime or no socket.
pub(crate) fn run(
    listeners: &[Listener<std::net::TcpListener>],
    key_source: Option<&KeySource>,
    process: &ProcessLink,
    stop: &watch::Receiver<bool>,
    pulse: Pulse,
) -> io::Result<()> {
    run_with(listeners, key_source, process, stop, pulse, |_| ())
}

/// Like [`run`], and calls `show` with each shard that begins.
fn run_with(
    listeners: &[Listener<std::net::TcpListener>],
    key_source: Option<&KeySource>,
    process: &ProcessLink,
    stop: &watch::Receiver<bool>,
    pulse: Pulse,
    show: impl Fn(&Rc<ShardRuntime>),
) -> io::Result<()> {
    let clock = Clock::new();
    let mut backoff = Backoff::default();
    let lasting = Lasting::new(process.clone(), clock)?;
    let runtime = runtime::Builder::new_current_thread().enable_all().build_local(Default::default())?;
    runtime.block_on(async {
        spawn_local(pulse.answer());
        // Registered once for all shards: the start of the next one must not depend on file descriptors that are free.
        let listeners = listeners.iter().map(|Listener { socket, certificate, kind }| {
            let socket = Rc::new(TcpListener::from_std(socket.try_clone()?)?);
            Ok(Listener { socket, certificate: certificate.clone(), kind: *kind })
        });
        let listeners = listeners.collect::<io::Result<Vec<_>>>()?;
        for restarts in 0.. {
            let shard = Rc::new(ShardRuntime::new(key_source.cloned(), clock, lasting.clone(), restarts));
            // Other settings may have come since the shard before ended.
            shard.follow_alerts(&shard.settings());
            let tasks = shard.spawn_tasks(&listeners);
            show(&shard);
            if shard.run_and_rest(tasks, stop.clone(), &mut backoff).await == ShardEnd::Stopped {
                break;
            }
            info!(restarts = restarts + 1, "a new shard begins");
        }
        Ok(())
    })
}

impl ShardRuntime {
    /// Starts the tasks of a shard. None of them ends by itself.
    fn spawn_tasks(self: &Rc<Self>, listeners: &[Listener<Rc<TcpListener>>]) -> JoinSet<()> {
        let mut tasks = JoinSet::new();
        for listener in listeners {
            tasks.spawn_local(listener::accept(self.clone(), listener.clone()));
        }
        tasks.spawn_local(tick(self.clone()));
        tasks.spawn_local(flush(self.clone()));
        tasks.spawn_local(sample(self.clone()));
        tasks.spawn_local(release_canary(self.clone()));
        tasks.spawn_local(follow_settings(self.clone()));
        tasks.spawn_local(log_calls(self.clone()));
        tasks.spawn_local(verify_waiting(self.clone()));
        tasks
    }

    /// Runs the shard until it ends. After a broken invariant, it refuses every request until the pause is over.
    async fn run_and_rest(
        &self,
        mut tasks: JoinSet<()>,
        mut stop: watch::Receiver<bool>,
        backoff: &mut Backoff,
    ) -> ShardEnd {
        let began = self.clock.now().mono;
        if self.run_until_ended(&mut tasks, stop.clone()).await == ShardEnd::Broken {
            let now = self.clock.now().mono;
            let pause = backoff.after(now.since(began));
            self.restarts_at.set(now.after(pause));
            warn!(?pause, "all connections are closed; a new shard begins after a pause");
            tokio::select! {
                biased;
                () = self.wait_for_stop(&mut stop) => {}
                () = sleep(pause) => {
                    // Requests that came during the pause are answered while the next shard runs.
                    self.close_idle.set();
                    return ShardEnd::Broken;
                }
            }
        }
        self.finish_requests().await;
        ShardEnd::Stopped
    }

    /// Waits for a broken invariant, the panic of a task, or the end of a stop.
    async fn run_until_ended(&self, tasks: &mut JoinSet<()>, stop: watch::Receiver<bool>) -> ShardEnd {
        tokio::select! {
            biased;
            () = self.broken.notified() => ShardEnd::Broken,
            _ = tasks.join_next() => {
                // Tasks end by a panic only.
                self.abandon();
                ShardEnd::Broken
            }
            () = drain(self, stop) => ShardEnd::Stopped,
        }
    }

    /// Waits until the shard is told to stop. It is not ready any more.
    async fn wait_for_stop(&self, stop: &mut watch::Receiver<bool>) {
        // An error means that the sender is gone, which is a stop as well.
        let _ = stop.wait_for(|stop| *stop).await;
        self.is_leaving.set(true);
    }

    /// Refuses what comes from now on, and notes the time.
    fn begin_stop(&self) {
        if !self.is_stopping() {
            self.stopping.set(Some(self.clock.now().mono));
        }
    }

    /// Answers the requests that came before the stop, within what is left of `request_timeout` and `drain_timeout`, and
    /// closes sockets without a request.
    async fn finish_requests(&self) {
        self.begin_stop();
        let settings = self.settings();
        let limits = &settings.limits;
        let patience = limits.request_timeout.min(limits.drain_timeout);
        let left =
            |of: Duration| of.saturating_sub(self.clock.now().mono.since(self.stopping.get().unwrap_or_default()));
        sleep(left(STOP_GRACE)).await;
        self.close_idle.set();
        if timeout(left(patience), self.no_sockets()).await.is_err() {
            self.close_unfinished.set();
            if timeout(limits.linger_timeout, self.no_sockets()).await.is_err() {
                warn!(
                    sockets = self.http_connections(),
                    "requests are unfinished after the stop; their sockets are dropped"
                );
            }
        }
        self.refusals.report(self.clock.now().mono, true);
    }
}

/// Fires the timers of the core when they are due.
async fn tick(shard: Rc<ShardRuntime>) {
    loop {
        let armed = shard.armed.get();
        let due = async {
            match armed {
                Some(armed) => sleep_until(shard.clock.at(armed)).await,
                None => pending().await,
            }
        };
        tokio::select! {
            biased;
            () = shard.rearm.notified() => {}
            () = due => {
                if armed.is_some_and(|armed| shard.clock.now().mono.since(armed) >= LATE) {
                    // The machine stood still or was very busy. Input that came meanwhile is read first, so that no client
                    // is closed for a silence that was the server's.
                    for _ in 0..CATCH_UP_YIELDS {
                        yield_now().await;
                    }
                }
                // The next deadline arms the timer again.
                shard.armed.set(None);
                shard.enter(Host::tick);
            }
        }
    }
}

/// Writes what waits for connections, whenever a call to the host left something.
async fn flush(shard: Rc<ShardRuntime>) {
    loop {
        shard.flush.notified().await;
        // Tasks that became ready meanwhile run first: what they publish leaves in the same write.
        yield_now().await;
        shard.flush(FLUSH_BATCH);
    }
}

/// Takes a sample for the rates, has the alerts look at them, and reports refusals, at each interval.
async fn sample(shard: Rc<ShardRuntime>) {
    loop {
        sleep(Rates::INTERVAL).await;
        shard.refusals.report(shard.clock.now().mono, false);
        if let Some((now, stats)) = shard.enter(|host, now| (now, host.shard().stats())) {
            shard.rates.borrow_mut().sample(now.mono, &stats, shard.refusals.total());
            shard.watch(now, &stats);
        }
    }
}

/// Has the canary publish, again and again.
async fn release_canary(shard: Rc<ShardRuntime>) {
    loop {
        shard.enter(Host::release_canary);
        sleep(CANARY_INTERVAL).await;
    }
}

/// Takes other settings into use, whenever there are some.
async fn follow_settings(shard: Rc<ShardRuntime>) {
    loop {
        shard.settings_changed().await;
        shard.follow_settings();
    }
}

/// Writes the lines of the log about calls.
async fn log_calls(shard: Rc<ShardRuntime>) {
    shard.calls.run().await;
}

/// Verifies the tokens that wait for a key, whenever keys were fetched or could not be. Other tasks run between parts of them.
async fn verify_waiting(shard: Rc<ShardRuntime>) {
    let Some(mut source) = shard.key_source.clone() else { return pending().await };
    loop {
        let has_ended = !source.changed().await;
        let mut waiting = shard.enter(|host, _| host.waiting_tokens()).unwrap_or(0);
        while waiting > 0 {
            let part = waiting.min(TOKENS_PER_ROUND);
            shard.enter(|host, now| host.verify_waiting(now, part));
            waiting -= part;
            yield_now().await;
        }
        if has_ended {
            return pending().await;
        }
    }
}

/// Waits for the stop and for `drain_delay`, closes every connection, and waits until they are gone or `drain_timeout` is over.
async fn drain(shard: &ShardRuntime, mut stop: watch::Receiver<bool>) {
    shard.wait_for_stop(&mut stop).await;
    let settings = shard.settings();
    let (delay, patience) = (settings.stop_delay(), settings.limits.drain_timeout);
    if !delay.is_zero() {
        info!(?delay, "not ready any more; what comes is served until the delay is over");
        sleep(delay).await;
    }
    shard.begin_stop();
    info!(?patience, connections = shard.open_connections(), "stopping");
    shard.enter(Host::shut_down);
    tokio::select! {
        biased;
        () = shard.all_closed.notified() => {}
        () = sleep(patience) => {
            let connections = shard.open_connections();
            warn!(connections, "drain_timeout is over; connections that are still open are dropped");
        }
        () = report_drain(shard) => {}
    }
}

/// Says from time to time how many connections are left.
async fn report_drain(shard: &ShardRuntime) {
    loop {
        sleep(DRAIN_REPORTS).await;
        info!(connections = shard.open_connections(), "connections are being closed");
    }
}

#[cfg(test)]
mod broken;
#[cfg(test)]
mod busy;

/// A listener without TLS.
#[cfg(test)]
fn plain<T>(socket: T) -> Listener<T> {
    Listener { socket, certificate: None, kind: crate::config::ListenerKind::Public }
}

#[cfg(test)]
mod tests {
    use super::super::pulse::Heart;
    use super::*;
    use crate::config::Settings;
    use crate::observe::reloads::Reloads;
    use std::io::{Read, Write};
    use std::net::{Ipv4Addr, SocketAddr, TcpListener as Listener, TcpStream as Socket};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    /// The link to a process that runs by default settings.
    fn process() -> ProcessLink {
        ProcessLink::new(Arc::new(Reloads::new(0)), watch::channel(Arc::new(Settings::default())).1).0
    }

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
            let lasting = Lasting::new(process(), Clock::new()).unwrap();
            let shard = Rc::new(ShardRuntime::new(None, Clock::new(), lasting, 0));
            let mut tasks = shard.spawn_tasks(&[plain(Rc::new(TcpListener::from_std(listener).unwrap()))]);
            while shard.enter(|host, _| host.shard().stats().gauges.rooms) == Some(0) {
                sleep(Duration::from_millis(1)).await;
            }
            assert!(shard.enter(|_, _| panic!("an invariant")).is_none());
            assert!(shard.enter(|_, _| ()).is_none(), "nothing gets in any more");
            shard.run_until_ended(&mut tasks, stop).await
        });
        assert_eq!(ended, ShardEnd::Broken);
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
                run_with(&[plain(listener)], None, &process(), &stopped, Heart::new().1, |shard| {
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
    fn a_shard_that_stood_still_is_stalled_until_a_publication_has_come_through() {
        let runtime = runtime::Builder::new_current_thread().enable_all().build_local(Default::default()).unwrap();
        runtime.block_on(async {
            let clock = Clock::new();
            let shard = Rc::new(ShardRuntime::new(None, clock, Lasting::new(process(), clock).unwrap(), 0));
            let readiness = || shard.readiness(shard.gauges());
            assert!(readiness().is_ready(), "nothing was due yet");
            shard.enter(Host::release_canary);
            assert!(readiness().is_ready(), "it may be on its way");
            thread::sleep(Duration::from_secs(2));
            assert_eq!((readiness().word(), readiness().is_ready()), ("stalled", false));
            let _tasks = shard.spawn_tasks(&[]);
            while !readiness().is_ready() {
                sleep(Duration::from_millis(1)).await;
            }
            assert_eq!(shard.gauges(), parlor_core::stats::Gauges::default(), "nobody is there");
        });
    }

    #[test]
    fn only_health_is_answered_while_a_shard_restarts() {
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
