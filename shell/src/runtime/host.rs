//! A shard with its sockets: carries out what the shard decides. It knows neither the runtime nor the clock.
//!
//! Whoever owns a [`Host`] calls it from one thread, passes the time, polls each connection in a task of its own, and
//! calls [`Host::flush`] once the tasks that were ready have run. Between two calls nothing of it is borrowed.

use super::connections::ConnectionTable;
use super::observer::Observer;
use crate::auth::TokenVerifier;
use crate::net::driver::{Driver, Handshake, Ready, Transport, WriteBuffer, WriteOutcome};
use crate::observe::input_log::InputLog;
use parlor_core::api::{Command, Reply};
use parlor_core::error::Error;
use parlor_core::{CallId, Config, ConnId, Effect, End, Input, Instant, Lost, Now, Refused, Shard, Turn, Upgrade};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::mem;
use std::net::IpAddr;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::oneshot;
use tracing::{debug, trace};

/// A call's answer, when it comes.
pub type Answer = oneshot::Receiver<Result<Reply, Error>>;

/// A shard and everything that it acts on.
#[derive(Debug)]
pub struct Host<T, O = InputLog> {
    shard: Shard,
    env: Environment<T>,
    /// Inputs that follow from effects of the turn before.
    inputs: VecDeque<Input>,
    /// While work is put off: until when sockets have time to take some of what they have refused.
    resume_by: Option<Instant>,
    read_buffer: Box<[u8]>,
    write_buffer: WriteBuffer,
    observer: O,
    next_call: u64,
}

/// What effects act on.
#[derive(Debug)]
struct Environment<T> {
    connections: ConnectionTable<T>,
    dirty: VecDeque<ConnId>,
    /// Sockets that have taken nothing since they refused bytes.
    full: BTreeSet<ConnId>,
    /// What was read of connections that are not to be listened to yet.
    unread: BTreeMap<ConnId, Vec<u8>>,
    /// Those sockets that refused when the last part of what was put off had been offered to all; None until it has been.
    awaited: Option<BTreeSet<ConnId>>,
    calls: BTreeMap<u64, oneshot::Sender<Result<Reply, Error>>>,
    verifier: TokenVerifier,
    refused_tokens: Option<RefusedTokens>,
    /// The connection that was accepted last, until it is opened, and its address.
    accepted: Option<(ConnId, Option<IpAddr>)>,
}

/// Tokens that were refused, or missed where one is required, since it was last asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedTokens {
    /// How many.
    pub count: u64,
    /// Why the last of them was.
    pub why: String,
    /// Where the client is that sent the last of them.
    pub address: Option<IpAddr>,
}

/// Bytes that one read takes at most. All connections share the buffer.
const READ_BYTES: usize = 16 << 10;
/// How long those who refuse bytes have, all in all, to take some before what was put off goes on without them.
const RESUME_DELAY: Duration = Duration::from_millis(50);
/// Reads and other steps of one connection before the others have their turn.
const STEPS_PER_POLL: usize = 2;

/// Result of polling a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// More to do: poll again once the other connections had their turn.
    Yield,
    /// The connection has ended.
    Ended,
}

impl<T: Transport> Host<T> {
    /// A shard without connections, which keeps its last inputs. `seed` must be unpredictable.
    #[must_use]
    pub fn new(config: Config, seed: [u8; 32], verifier: TokenVerifier) -> Self {
        Self::observed(config, seed, verifier, InputLog::default())
    }
}

impl<T: Transport, O: Observer> Host<T, O> {
    /// The same with another observer.
    #[must_use]
    pub fn observed(config: Config, seed: [u8; 32], verifier: TokenVerifier, observer: O) -> Self {
        Self {
            resume_by: None,
            shard: Shard::new(config, seed),
            env: Environment {
                connections: ConnectionTable::default(),
                dirty: VecDeque::new(),
                full: BTreeSet::new(),
                awaited: None,
                unread: BTreeMap::new(),
                calls: BTreeMap::new(),
                verifier,
                refused_tokens: None,
                accepted: None,
            },
            inputs: VecDeque::new(),
            read_buffer: vec![0; READ_BYTES].into(),
            write_buffer: WriteBuffer::default(),
            observer,
            next_call: 0,
        }
    }

    /// Asks the shard to take a connection in. After that, [`Host::open`] must follow in the same breath.
    ///
    /// # Errors
    /// The shard's reason not to.
    pub fn accept(&mut self, now: Now, upgrade: Upgrade) -> Result<ConnId, Refused> {
        let address = upgrade.address;
        let conn = self.shard.accept(now, upgrade)?;
        self.env.accepted = Some((conn, address));
        Ok(conn)
    }

    /// Gives a connection its socket.
    pub fn open(&mut self, conn: ConnId, transport: T, handshake: Handshake) {
        let message_bytes = self.shard.config().limits.message_bytes;
        let address = self.env.accepted.take().filter(|(accepted, _)| *accepted == conn).and_then(|(_, from)| from);
        self.env.connections.put(Driver::new(conn, transport, handshake, message_bytes), address);
    }

    /// Does what a connection is ready for: its task.
    pub fn poll_connection(&mut self, now: Now, conn: ConnId, cx: &mut Context<'_>) -> Poll<Progress> {
        for _ in 0..STEPS_PER_POLL {
            let Some(entry) = self.env.connections.get(conn) else { return Poll::Ready(Progress::Ended) };
            entry.waker.clone_from(cx.waker());
            let is_held = self.shard.is_held(conn);
            if !is_held && let Some(unread) = self.env.unread.remove(&conn) {
                self.turn(now, Input::Unread { conn, bytes: 0 });
                self.decode(now, conn, &unread);
                continue;
            }
            let Poll::Ready(ready) = entry.driver.poll(cx, &mut self.read_buffer, !is_held) else {
                return Poll::Pending;
            };
            match ready {
                Ready::Upgraded(early) => {
                    self.turn(now, Input::Upgraded { conn });
                    self.decode(now, conn, &early);
                }
                Ready::Writable => self.write(now, conn),
                Ready::Read(bytes) => {
                    let buffer = mem::take(&mut self.read_buffer);
                    self.decode(now, conn, &buffer[..bytes]);
                    self.read_buffer = buffer;
                }
                Ready::Lost(cause) => self.turn(now, Input::Lost { conn, cause }),
            }
        }
        Poll::Ready(Progress::Yield)
    }

    /// Writes what waits for up to `limit` connections, once each. When nothing is left to write, it goes on with what was
    /// put off.
    pub fn flush(&mut self, now: Now, limit: usize) {
        for _ in 0..limit {
            let Some(conn) = self.env.dirty.pop_front() else { break };
            self.write(now, conn);
        }
        if self.env.dirty.is_empty() {
            self.shard.all_offered();
            self.resume(now);
        }
    }

    /// Whether there is anything for [`Host::flush`] to do.
    #[must_use]
    pub fn needs_flush(&self) -> bool {
        !self.env.dirty.is_empty() || self.shard.is_spent() || (self.shard.has_work() && self.may_resume())
    }

    /// When [`Host::tick`] is next useful.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let resume_by = self.resume_by.filter(|_| !self.may_resume());
        self.shard.poll_timeout().into_iter().chain(resume_by).min()
    }

    /// Keeps room for the body of a backend's call of at most so many bytes, until [`Host::release_body`]. False when there is none.
    #[must_use]
    pub fn reserve_body(&mut self, now: Now, bytes: usize) -> bool {
        let has_place = self.shard.has_place_for_body(bytes);
        if has_place {
            self.handle_growth(now, Input::BodyBegun { bytes });
        }
        has_place
    }

    /// Gives that room back.
    pub fn release_body(&mut self, now: Now, bytes: usize) {
        self.turn(now, Input::BodyEnded { bytes });
    }

    /// Hands in a backend's call.
    pub fn call(&mut self, now: Now, command: Command) -> Answer {
        self.offer_all_if_spent(now);
        let (sender, answer) = oneshot::channel();
        let call = self.next_call;
        self.next_call += 1;
        self.env.calls.insert(call, sender);
        self.turn(now, Input::Call { call: CallId(call), command });
        answer
    }

    /// Lets the shard notice how late it is.
    pub fn tick(&mut self, now: Now) {
        self.offer_all_if_spent(now);
        self.turn(now, Input::Tick);
        if self.resume_by.is_some_and(|end| end <= now.mono) {
            self.env.awaited = Some(BTreeSet::new());
        }
    }

    /// Begins to close every connection.
    pub fn shut_down(&mut self, now: Now) {
        self.turn(now, Input::Shutdown);
    }

    /// The shard, to look at.
    #[must_use]
    pub fn shard(&self) -> &Shard {
        &self.shard
    }

    /// Connections that have a socket.
    #[must_use]
    pub fn open_connections(&self) -> usize {
        self.env.connections.open
    }

    /// The tokens that were refused, or missed, since this was last called.
    pub fn take_refused_tokens(&mut self) -> Option<RefusedTokens> {
        self.env.refused_tokens.take()
    }

    /// Whoever sees the inputs.
    #[must_use]
    pub fn observer(&self) -> &O {
        &self.observer
    }

    /// Drops every socket and every call, as they are, and lets the tasks of the connections find out.
    pub fn abandon(self) {
        for entry in self.env.connections.slots.into_iter().flatten() {
            entry.waker.wake();
        }
    }

    fn decode(&mut self, now: Now, conn: ConnId, mut bytes: &[u8]) {
        // Each input may end the connection.
        while let Some(entry) = self.env.connections.get(conn) {
            let Some(input) = entry.driver.decode(&mut bytes) else { return };
            self.offer_all_if_spent(now);
            if matches!(input, Input::Fragment { .. } | Input::HalfFrame { .. }) {
                self.handle_growth(now, input);
            } else {
                self.turn(now, input);
            }
            if self.shard.is_held(conn) {
                self.write(now, conn);
            }
            if self.shard.is_held(conn) && !bytes.is_empty() {
                self.env.unread.insert(conn, bytes.to_vec());
                return self.turn(now, Input::Unread { conn, bytes: bytes.len() });
            }
        }
    }

    /// Hands in that more is kept than before. Whoever has to go for that gives back at once what was kept of it: there may be
    /// many of them before anything is written.
    fn handle_growth(&mut self, now: Now, input: Input) {
        let woken = self.env.dirty.len();
        self.turn(now, input);
        for conn in self.env.dirty.iter().skip(woken) {
            if let Some(entry) = self.env.connections.get(*conn)
                && self.shard.pending(*conn).is_some_and(|pending| pending.is_last())
            {
                entry.driver.skip_to_close();
            }
        }
    }

    /// Offers all sockets what waits, if nothing more is to be begun before that.
    fn offer_all_if_spent(&mut self, now: Now) {
        if self.shard.is_spent() {
            while let Some(conn) = self.env.dirty.pop_front() {
                self.write(now, conn);
            }
            self.shard.all_offered();
        }
    }

    /// Goes on with what was put off, once those who refused what they were offered before have taken some of it, or their
    /// time is over.
    fn resume(&mut self, now: Now) {
        if !self.shard.has_work() {
            return;
        }
        let end = *self.resume_by.get_or_insert(now.mono.after(RESUME_DELAY));
        if self.env.awaited.is_none() && now.mono < end {
            self.env.awaited = Some(self.env.full.clone());
        }
        if !self.may_resume() {
            return;
        }
        self.env.awaited = None;
        self.observer.resumed(now);
        let effects = self.shard.resume(now);
        apply_effects(effects, &mut self.env, &mut self.observer, &mut self.inputs);
        self.observer.after(&self.shard);
        self.handle_rest(now);
        if !self.shard.has_work() {
            self.resume_by = None;
        }
    }

    /// Whether nobody is waited for who refused what it was offered.
    fn may_resume(&self) -> bool {
        self.env.awaited.as_ref().is_none_or(BTreeSet::is_empty)
    }

    /// From here to the accounting nothing can come between the check that a connection may be written to and the
    /// write.
    fn write(&mut self, now: Now, conn: ConnId) {
        loop {
            let Some(entry) = self.env.connections.get(conn) else { return };
            if entry.driver.is_blocked() {
                return;
            }
            let Some(pending) = self.shard.pending(conn) else { return };
            if pending.is_last() {
                entry.driver.skip_to_close();
            }
            match entry.driver.write(&pending, &mut self.write_buffer) {
                WriteOutcome::All(bytes) => {
                    self.env.socket_took_bytes(conn);
                    return self.turn(now, Input::Flushed { conn, bytes });
                }
                WriteOutcome::Part(bytes) => {
                    self.env.socket_took_bytes(conn);
                    self.turn(now, Input::Flushed { conn, bytes });
                }
                WriteOutcome::Refused => {
                    entry.waker.wake_by_ref();
                    self.env.full.insert(conn);
                    return self.turn(now, Input::Flushed { conn, bytes: 0 });
                }
                WriteOutcome::Failed => return self.turn(now, Input::Lost { conn, cause: Lost::Write }),
            }
        }
    }

    fn turn(&mut self, now: Now, input: Input) {
        self.inputs.push_back(input);
        self.handle_rest(now);
    }

    fn handle_rest(&mut self, now: Now) {
        while let Some(input) = self.inputs.pop_front() {
            self.observer.before(now, &input);
            let effects = self.shard.handle(now, input);
            apply_effects(effects, &mut self.env, &mut self.observer, &mut self.inputs);
            self.observer.after(&self.shard);
        }
    }
}

/// Carries out what a turn has come to, and queues the inputs that follow from it.
fn apply_effects<T: Transport>(
    effects: Turn<'_>,
    env: &mut Environment<T>,
    observer: &mut impl Observer,
    inputs: &mut VecDeque<Input>,
) {
    for effect in effects {
        observer.effect(&effect);
        inputs.extend(env.apply(effect));
    }
}

impl<T: Transport> Environment<T> {
    fn apply(&mut self, effect: Effect) -> Option<Input> {
        match effect {
            Effect::Wake(conn) => self.dirty.push_back(conn),
            Effect::Authenticate { conn, token } => {
                let verdict = self.verifier.verify(&token);
                return Some(Input::Authenticated { conn, verdict });
            }
            Effect::TokenRefused { conn, why } => {
                let address = self.connections.get(conn).and_then(|entry| entry.address);
                let before = self.refused_tokens.take().map_or(0, |refused| refused.count);
                self.refused_tokens = Some(RefusedTokens { count: before + 1, why, address });
            }
            Effect::Listen(conn) => {
                if let Some(entry) = self.connections.get(conn) {
                    entry.waker.wake_by_ref();
                }
            }
            Effect::Finish(conn) => {
                if let Some(entry) = self.connections.get(conn) {
                    entry.driver.finish();
                }
            }
            Effect::Closed { conn, end } => self.connection_closed(conn, &end),
            Effect::Reply { call, result } => {
                if let Some(caller) = self.calls.remove(&call.0) {
                    // The caller may have given up meanwhile.
                    let _ = caller.send(*result);
                }
            }
            Effect::Event(event) => trace!(seq = event.seq, change = ?event.change, "event"),
        }
        None
    }

    /// A socket that may have refused bytes before has taken some, or is gone.
    fn socket_took_bytes(&mut self, conn: ConnId) {
        // Nearly always: this is done for every write.
        if !self.full.is_empty()
            && self.full.remove(&conn)
            && let Some(awaited) = &mut self.awaited
        {
            awaited.remove(&conn);
        }
    }

    fn connection_closed(&mut self, conn: ConnId, end: &End) {
        debug!(%conn, cause = end.cause.name(), code = end.reason.code, reason = &*end.reason.reason, "connection ended");
        self.socket_took_bytes(conn);
        self.unread.remove(&conn);
        if let Some(entry) = self.connections.take(conn) {
            entry.driver.close(end.clean);
            entry.waker.wake();
        }
    }
}
