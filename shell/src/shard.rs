//! One shard at work: a thread, a runtime, a [`Host`], and the tasks that call it.
//!
//! Tasks that the runtime has ready run first, each handing its inputs to the host; then one task flushes. A socket
//! that is full has its own task woken, which alone waits for it.

use crate::auth::{self, Tokens};
use crate::clock::Clock;
use crate::config::Settings;
use crate::driver::Handshake;
use crate::host::{Host, Served};
use crate::http;
use crate::observe::Rates;
use parlor_core::{ConnId, Instant, Now};
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
use tokio::task::{spawn_local, yield_now};
use tokio::time::{sleep, sleep_until, timeout};
use tracing::{error, info, warn};

/// A shard as its tasks see it.
pub(crate) struct Shard {
    pub(crate) settings: Arc<Settings>,
    pub(crate) clock: Clock,
    pub(crate) rates: RefCell<Rates>,
    /// Sockets that have not become a WebSocket.
    pub(crate) guests: Cell<usize>,
    /// How often a limit was in the way of what then did not come to the shard, by its key.
    pub(crate) hits: RefCell<BTreeMap<&'static str, u64>>,
    /// None from the moment that an invariant broke.
    host: RefCell<Option<Host<TcpStream>>>,
    /// When the timer goes off, as far as it was told.
    armed: Cell<Instant>,
    rearm: Notify,
    flush: Notify,
    broken: Notify,
    stopping: Cell<bool>,
    vacant: Notify,
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
/// How long the listener rests when the system has no more sockets to give.
const ACCEPT_REST: Duration = Duration::from_millis(100);

/// Runs shards, one after the other for as long as invariants break, until `stop` says so.
///
/// # Errors
/// When the system gives neither a runtime nor a socket.
pub(crate) fn run(
    listener: &std::net::TcpListener,
    settings: &Arc<Settings>,
    stop: &watch::Receiver<bool>,
) -> io::Result<()> {
    let clock = Clock::new();
    loop {
        let runtime = runtime::Builder::new_current_thread().enable_all().build_local(Default::default())?;
        let ended = runtime.block_on(live(listener.try_clone()?, settings.clone(), clock, stop.clone()))?;
        if ended == Ended::Stopped || *stop.borrow() {
            return Ok(());
        }
        warn!("all connections are closed; starting with a fresh shard");
    }
}

/// The life of one shard. Whatever it leaves open goes with the runtime.
async fn live(
    listener: std::net::TcpListener,
    settings: Arc<Settings>,
    clock: Clock,
    stop: watch::Receiver<bool>,
) -> io::Result<Ended> {
    let shard = Rc::new(Shard::new(settings, clock));
    shard.begin(TcpListener::from_std(listener)?);
    Ok(shard.end(stop).await)
}

impl Shard {
    fn new(settings: Arc<Settings>, clock: Clock) -> Self {
        let config = settings.core().expect("the settings were checked when the server was started");
        let secret = settings.token_secret.as_ref().map(|secret| secret.expose().as_str());
        let host = Host::new(config, auth::random(), Tokens::new(secret));
        Self {
            rates: RefCell::new(Rates::new(clock.now().mono)),
            settings,
            clock,
            guests: Cell::new(0),
            hits: RefCell::default(),
            host: RefCell::new(Some(host)),
            armed: Cell::new(Instant::NEVER),
            rearm: Notify::new(),
            flush: Notify::new(),
            broken: Notify::new(),
            stopping: Cell::new(false),
            vacant: Notify::new(),
        }
    }

    fn begin(self: &Rc<Self>, listener: TcpListener) {
        spawn_local(accept(self.clone(), listener));
        spawn_local(tick(self.clone()));
        spawn_local(flush(self.clone()));
        spawn_local(sample(self.clone()));
    }

    async fn end(&self, stop: watch::Receiver<bool>) -> Ended {
        tokio::select! {
            biased;
            () = self.broken.notified() => Ended::Broken,
            () = drain(self, stop) => Ended::Stopped,
        }
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
                *host = None;
                self.broken.notify_one();
                None
            }
        }
    }

    /// Takes note that a limit was in the way of what will not come to the shard.
    pub(crate) fn hit(&self, limit: &'static str) {
        *self.hits.borrow_mut().entry(limit).or_default() += 1;
    }

    /// Whether the shard is on its way out.
    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.get()
    }

    /// Gives an accepted connection its socket, and a task.
    pub(crate) fn open(self: Rc<Self>, conn: ConnId, socket: TcpStream, handshake: Handshake) {
        self.enter(|host, _| host.seat(conn, socket, handshake));
        spawn_local(async move {
            // To yield is more than to be woken at once: it lets the runtime look for sockets that became ready.
            while poll_fn(|cx| self.poll(conn, cx)).await == Served::Partly {
                yield_now().await;
            }
        });
    }

    fn poll(&self, conn: ConnId, cx: &mut Context<'_>) -> Poll<Served> {
        self.enter(|host, now| host.poll_connection(now, conn, cx)).unwrap_or(Poll::Ready(Served::Ended))
    }

    fn follow_up(&self, host: &Host<TcpStream>) {
        if host.needs_flush() {
            self.flush.notify_one();
        }
        let next = host.shard().poll_timeout().unwrap_or(Instant::NEVER);
        if next < self.armed.get() {
            self.armed.set(next);
            self.rearm.notify_one();
        }
        if self.stopping.get() && host.seated() == 0 {
            self.vacant.notify_one();
        }
    }
}

async fn accept(shard: Rc<Shard>, listener: TcpListener) {
    let mut warned = false;
    loop {
        match listener.accept().await {
            Ok((socket, peer)) => {
                warned = false;
                // An IPv4 address is one address, whichever kind of socket it came through.
                http::greet(&shard, socket, peer.ip().to_canonical());
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

async fn tick(shard: Rc<Shard>) {
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
                // Whatever the shard waits for next arms the timer anew.
                shard.armed.set(Instant::NEVER);
                shard.enter(Host::tick);
            }
        }
    }
}

async fn flush(shard: Rc<Shard>) {
    loop {
        shard.flush.notified().await;
        // Tasks that became ready meanwhile go first: what they have to say leaves in the same write.
        yield_now().await;
        shard.enter(|host, now| host.flush(now, FLUSH_BATCH));
    }
}

async fn sample(shard: Rc<Shard>) {
    loop {
        sleep(Rates::INTERVAL).await;
        if let Some((now, stats)) = shard.enter(|host, now| (now, host.shard().stats())) {
            shard.rates.borrow_mut().sample(now.mono, &stats.totals);
        }
    }
}

/// Waits until the shard is told to stop, and until its connections are gone or have had their time.
async fn drain(shard: &Shard, mut stop: watch::Receiver<bool>) {
    // An error means that whoever could say so is gone.
    let _ = stop.wait_for(|stop| *stop).await;
    shard.stopping.set(true);
    let patience = shard.settings.limits.drain_timeout;
    info!(?patience, "stopping");
    shard.enter(Host::shut_down);
    if timeout(patience, shard.vacant.notified()).await.is_err() {
        warn!("connections are left; they are dropped");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::{Ipv4Addr, TcpListener as Listener, TcpStream as Socket};
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
            let shard = Rc::new(Shard::new(Arc::new(Settings::default()), Clock::new()));
            shard.begin(TcpListener::from_std(listener).unwrap());
            while shard.enter(|host, _| host.shard().stats().gauges.rooms) == Some(0) {
                sleep(Duration::from_millis(1)).await;
            }
            assert!(shard.enter(|_, _| panic!("an invariant")).is_none());
            assert!(shard.enter(|_, _| ()).is_none(), "nothing gets in any more");
            shard.end(stop).await
        });
        assert_eq!(ended, Ended::Broken);
        drop(runtime);
        assert!(client.join().unwrap().starts_with("HTTP/1.1 101 "));
    }
}
