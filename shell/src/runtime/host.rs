//! A shard with its sockets. The host turns bytes into inputs and carries out effects; it knows neither runtime nor clock.
//!
//! The owner of a [`Host`] calls it from one thread, passes the time, polls each connection in a task of its own, and
//! calls [`Host::flush`] once the tasks that were ready have run. Between two calls nothing of it is borrowed.

use super::canary::CanaryWatch;
use super::connections::{Accepted, ConnectionTable};
use super::observer::Observer;
use super::waiting_tokens::WaitingTokens;
use crate::auth::{KeySource, TokenVerifier};
use crate::net::driver::{Driver, Handshake, Ready, Transport, WriteBuffer, WriteOutcome};
use crate::observe::closes::CloseLog;
use crate::observe::host_log::HostLog;
use crate::observe::log;
use parlor_core::api::{Command, Reply, Selection};
use parlor_core::error::Error;
use parlor_core::{
    BadToken, CallId, ClientId, CloseCause, Config, ConnId, Effect, End, Input, Instant, Lost, Now, Refused, Shard,
    Turn, Upgrade, UserId, VerifiedClaims,
};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::mem;
use std::net::IpAddr;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::oneshot;
use tracing::{debug, trace};

/// The answer to an API call. It ends without one when the shard does.
pub type Answer = oneshot::Receiver<Result<Reply, Error>>;

/// A shard, its sockets and its unanswered calls.
#[derive(Debug)]
pub struct Host<T, O = HostLog> {
    shard: Shard,
    env: Environment<T>,
    /// Inputs that effects of the last turn gave rise to.
    inputs: VecDeque<Input>,
    /// While work is postponed: until when full sockets are waited for.
    resume_by: Option<Instant>,
    read_buffer: Box<[u8]>,
    write_buffer: WriteBuffer,
    observer: O,
    next_call: u64,
    canary: CanaryWatch,
}

/// The targets of effects.
#[derive(Debug)]
struct Environment<T> {
    connections: ConnectionTable<T>,
    /// Connections that have something to be written, the longest wait first.
    dirty: VecDeque<ConnId>,
    /// Sockets that have taken nothing since they refused bytes.
    full: BTreeSet<ConnId>,
    /// Bytes that were read of connections whose input the shard holds back.
    unread: BTreeMap<ConnId, Vec<u8>>,
    /// Full sockets that postponed work waits for. None until the last part of it was offered to every socket.
    awaited: Option<BTreeSet<ConnId>>,
    calls: BTreeMap<u64, oneshot::Sender<Result<Reply, Error>>>,
    verifier: TokenVerifier,
    waiting_tokens: WaitingTokens,
    /// The claims of connections that were accepted with them, until the shard asks.
    vouched: BTreeMap<ConnId, VerifiedClaims>,
    closes: CloseLog,
    refused_tokens: Option<RefusedTokens>,
}

/// Tokens that were refused, or missing where one is required, since [`Host::take_refused_tokens`] was last called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedTokens {
    /// Number of tokens.
    pub count: u64,
    /// The reason of the last refusal.
    pub why: String,
    /// The address of the client of the last refusal.
    pub address: Option<IpAddr>,
}

/// Size of the read buffer, which all connections share: the most bytes of one read.
const READ_BYTES: usize = 16 << 10;
/// The longest time that postponed work waits for full sockets.
const RESUME_DELAY: Duration = Duration::from_millis(50);
/// Reads and other steps of one connection before other connections run.
const STEPS_PER_POLL: usize = 2;

/// Result of polling a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// More to do: poll again once the other tasks have run.
    Yield,
    /// The connection has ended.
    Ended,
}

impl<T: Transport> Host<T> {
    /// A host without connections, which keeps its last inputs and logs what its connections do, and does not record what goes
    /// into its shard. `seed` must be unpredictable.
    #[must_use]
    pub fn new(config: Config, seed: [u8; 32], verifier: TokenVerifier) -> Self {
        let log = HostLog::new(config.tells_steps, None);
        Self::observed(config, seed, verifier, log)
    }
}

impl<T: Transport, O: Observer> Host<T, O> {
    /// Like [`Host::new`], with another observer.
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
                waiting_tokens: WaitingTokens::default(),
                vouched: BTreeMap::new(),
                closes: CloseLog::default(),
                refused_tokens: None,
            },
            inputs: VecDeque::new(),
            read_buffer: vec![0; READ_BYTES].into(),
            write_buffer: WriteBuffer::default(),
            observer,
            next_call: 0,
            canary: CanaryWatch::default(),
        }
    }

    /// Admits a connection, which [`Host::open`] gives its socket.
    ///
    /// # Errors
    /// The reason for which the shard refuses it.
    pub fn accept(&mut self, now: Now, upgrade: Upgrade) -> Result<Accepted, Refused> {
        let (client, address) = (ClientId(upgrade.client), upgrade.address);
        self.observer.requested(now, &upgrade);
        let result = self.shard.accept(now, upgrade);
        self.observer.answered(&result);
        let conn = result?;
        let accepted = Accepted { conn, client, address, at: now.mono };
        self.observer.accepted(now, &accepted, &self.shard);
        Ok(accepted)
    }

    /// Admits a connection with claims that were verified already, in place of a token. It may listen and not speak.
    ///
    /// # Errors
    /// As [`Host::accept`].
    pub fn accept_listener(&mut self, now: Now, upgrade: Upgrade, claims: VerifiedClaims) -> Result<Accepted, Refused> {
        // The shard asks about any token, and is answered with the claims.
        let accepted = self.accept(now, Upgrade { token: Some("verified".into()), ..upgrade })?;
        self.env.vouched.insert(accepted.conn, claims);
        Ok(accepted)
    }

    /// Gives an accepted connection its socket.
    pub fn open(&mut self, accepted: Accepted, transport: T, handshake: Handshake) {
        let message_bytes = self.shard.config().limits.message_bytes;
        let mut driver = Driver::new(accepted.conn, transport, handshake, message_bytes);
        if self.env.vouched.contains_key(&accepted.conn) {
            driver.only_listen();
        }
        self.env.connections.put(driver, accepted);
    }

    /// Reads and writes what a connection's socket is ready for. This is the whole of the connection's task.
    pub fn poll_connection(&mut self, now: Now, conn: ConnId, cx: &mut Context<'_>) -> Poll<Progress> {
        for _ in 0..STEPS_PER_POLL {
            let Some(entry) = self.env.connections.get(conn) else { return Poll::Ready(Progress::Ended) };
            entry.waker.clone_from(cx.waker());
            let is_paused = self.shard.is_paused(conn);
            if !is_paused && let Some(unread) = self.env.unread.remove(&conn) {
                let bytes = entry.driver.kept();
                self.turn(now, Input::Unread { conn, bytes });
                self.decode(now, conn, &unread);
                continue;
            }
            let Poll::Ready(ready) = entry.driver.poll(cx, &mut self.read_buffer, !is_paused) else {
                if let Some(kept) = entry.driver.take_kept() {
                    let bytes = kept + self.env.unread.get(&conn).map_or(0, Vec::len);
                    self.handle_growth(now, Input::Unread { conn, bytes });
                }
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

    /// Writes what waits for up to `limit` connections, once each. When nothing is left to write, resumes postponed work.
    pub fn flush(&mut self, now: Now, limit: usize) {
        for _ in 0..limit {
            let Some(conn) = self.env.dirty.pop_front() else { break };
            self.write(now, conn);
        }
        if self.env.dirty.is_empty() {
            self.all_offered();
            self.resume(now);
        }
    }

    /// Whether [`Host::flush`] has something to do.
    #[must_use]
    pub fn needs_flush(&self) -> bool {
        !self.env.dirty.is_empty() || self.shard.is_spent() || (self.shard.has_work() && self.may_resume())
    }

    /// The instant at which [`Host::tick`] is due. None while no timer runs.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let resume_by = self.resume_by.filter(|_| !self.may_resume());
        self.shard.poll_timeout().into_iter().chain(resume_by).min()
    }

    /// Reserves `bytes` for the body of an API call until [`Host::release_body`]. False where `inbound_bytes_total` does not
    /// allow it.
    #[must_use]
    pub fn reserve_body(&mut self, now: Now, bytes: usize) -> bool {
        let is_taken = self.shard.can_take_body(bytes);
        if is_taken {
            self.handle_growth(now, Input::BodyBegun { bytes });
        }
        is_taken
    }

    /// Gives a reservation back.
    pub fn release_body(&mut self, now: Now, bytes: usize) {
        self.turn(now, Input::BodyEnded { bytes });
    }

    /// Starts an API call.
    pub fn call(&mut self, now: Now, command: Command) -> Answer {
        self.flush_if_spent(now);
        let (sender, answer) = oneshot::channel();
        let call = self.next_call;
        self.next_call += 1;
        self.env.calls.insert(call, sender);
        self.turn(now, Input::Call { call: CallId(call), command });
        answer
    }

    /// Publishes with the canary. It comes back when what waits is written.
    pub fn release_canary(&mut self, now: Now) {
        self.flush_if_spent(now);
        let number = self.canary.release(now.mono);
        self.turn(now, Input::Canary { number });
    }

    /// Whether a publication of the canary was due two seconds ago, and has not come back.
    #[must_use]
    pub fn canary_is_silent(&self, now: Now) -> bool {
        self.canary.is_silent(now.mono)
    }

    /// Whether the last publication of the canary has come back.
    #[must_use]
    pub fn canary_has_returned(&self) -> bool {
        self.canary.has_returned()
    }

    /// Closes the connections that were accepted as listeners, as a backend does. O(n) in the connections.
    pub fn end_listeners(&mut self, now: Now) {
        let open = self.env.connections.slots.iter().flatten();
        let listeners: Vec<ClientId> =
            open.filter(|entry| entry.driver.only_listens()).map(|entry| entry.client).collect();
        for client in listeners {
            let (client, reason) = (Selection::One(client), CloseCause::Backend.reason());
            let command = Command::Disconnect { user: UserId::anonymous(), client, whitelist: Vec::new(), reason };
            // Nobody waits for the answer.
            drop(self.call(now, command));
        }
    }

    /// Advances the shard's clock and fires due timers.
    pub fn tick(&mut self, now: Now) {
        self.flush_if_spent(now);
        self.turn(now, Input::Tick);
        if self.resume_by.is_some_and(|end| end <= now.mono) {
            self.env.awaited = Some(BTreeSet::new());
        }
    }

    /// Number of tokens that wait until their key has been fetched.
    #[must_use]
    pub fn waiting_tokens(&self) -> usize {
        self.env.waiting_tokens.len()
    }

    /// Verifies `count` of the tokens that wait, the longest wait first. None of them waits again.
    pub fn verify_waiting(&mut self, now: Now, count: usize) {
        for _ in 0..count {
            if let Some(input) = self.env.verify_waiting() {
                self.flush_if_spent(now);
                self.turn(now, input);
            }
        }
    }

    /// Goes on with another configuration and other keys of tokens.
    pub fn reconfigure(&mut self, now: Now, config: Config, verifier: TokenVerifier) {
        self.env.verifier = verifier;
        self.turn(now, Input::Configured { config: config.into() });
    }

    /// Begins to close every connection.
    pub fn shut_down(&mut self, now: Now) {
        self.turn(now, Input::Shutdown);
    }

    /// The shard, for its figures and snapshots.
    #[must_use]
    pub fn shard(&self) -> &Shard {
        &self.shard
    }

    /// Number of open connections.
    #[must_use]
    pub fn open_connections(&self) -> usize {
        self.env.connections.open
    }

    /// The last connections that ended.
    #[must_use]
    pub fn closes(&self) -> &CloseLog {
        &self.env.closes
    }

    /// The address that a connection came from, where it is known: of one that is open, or one of the last that ended.
    #[must_use]
    pub fn address_of(&self, conn: ConnId, client: ClientId) -> Option<IpAddr> {
        let open = self.env.connections.slots.get(conn.slot()).and_then(Option::as_ref);
        let open = open.filter(|entry| entry.client == client);
        open.map_or_else(|| self.env.closes.address_of(client), |entry| entry.address)
    }

    /// The tokens that were refused or missing since this was last called.
    pub fn take_refused_tokens(&mut self) -> Option<RefusedTokens> {
        self.env.refused_tokens.take()
    }

    /// The observer of inputs and effects.
    #[must_use]
    pub fn observer(&self) -> &O {
        &self.observer
    }

    /// The shard, and the observer to be changed.
    #[must_use]
    pub fn shard_and_observer(&mut self) -> (&Shard, &mut O) {
        (&self.shard, &mut self.observer)
    }

    /// Drops every socket and every call at once, and wakes the connections' tasks, which end.
    pub fn abandon(self) {
        for entry in self.env.connections.slots.into_iter().flatten() {
            entry.waker.wake();
        }
    }

    /// Decodes bytes of a connection into inputs, until it ends or the shard holds its input back.
    fn decode(&mut self, now: Now, conn: ConnId, mut bytes: &[u8]) {
        // Each input may end the connection.
        while let Some(entry) = self.env.connections.get(conn) {
            let Some(input) = entry.driver.decode(&mut bytes) else { return };
            self.flush_if_spent(now);
            if matches!(input, Input::Fragment { .. } | Input::HalfFrame { .. }) {
                self.handle_growth(now, input);
            } else {
                self.turn(now, input);
            }
            if !self.shard.is_paused(conn) {
                continue;
            }
            self.write(now, conn);
            if self.shard.is_paused(conn) && !bytes.is_empty() {
                let kept = self.env.connections.get(conn).map_or(0, |entry| entry.driver.kept());
                self.env.unread.insert(conn, bytes.to_vec());
                return self.turn(now, Input::Unread { conn, bytes: bytes.len() + kept });
            }
        }
    }

    /// Handles an input that takes more memory. Connections that are closed to make up for it release their memory at once,
    /// since there may be many of them before anything is written.
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

    /// Where the shard has spent its turn's budget, writes what waits for every connection before the next input.
    fn flush_if_spent(&mut self, now: Now) {
        if self.shard.is_spent() {
            while let Some(conn) = self.env.dirty.pop_front() {
                self.write(now, conn);
            }
            self.all_offered();
        }
    }

    fn all_offered(&mut self) {
        self.observer.offered();
        self.shard.all_offered();
    }

    /// Resumes postponed work once every full socket has taken some bytes, or [`RESUME_DELAY`] is over.
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
        apply_effects(now, effects, &mut self.env, &mut self.observer, &mut self.inputs);
        self.observer.after(&mut self.shard);
        self.handle_queued(now);
        if !self.shard.has_work() {
            self.resume_by = None;
        }
    }

    /// Whether no full socket is waited for.
    fn may_resume(&self) -> bool {
        self.env.awaited.as_ref().is_none_or(BTreeSet::is_empty)
    }

    /// Takes what is pending for a connection without a socket, if that is the canary.
    fn hear_canary(&mut self, now: Now, conn: ConnId) {
        if let Some(pending) = self.shard.pending(conn).filter(|_| self.shard.canary() == Some(conn)) {
            self.canary.hear(now.mono, &pending);
            self.turn(now, Input::CanaryHeard);
        }
    }

    /// Writes what waits for a connection until the socket is full. The check that it may be written to, the write and its
    /// accounting are one step: nothing comes between them.
    fn write(&mut self, now: Now, conn: ConnId) {
        loop {
            let Some(entry) = self.env.connections.get(conn) else { return self.hear_canary(now, conn) };
            if entry.driver.is_blocked() {
                return;
            }
            let Some(pending) = self.shard.pending(conn) else { return };
            if pending.is_last() {
                entry.driver.skip_to_close();
            }
            match entry.driver.write(&pending, &mut self.write_buffer) {
                WriteOutcome::All(bytes) => {
                    let flushed = pending.consumed(bytes);
                    self.observer.wrote(conn, &pending, bytes);
                    self.env.socket_took_bytes(conn);
                    return self.turn(now, flushed);
                }
                WriteOutcome::Part(bytes) => {
                    let flushed = pending.consumed(bytes);
                    self.observer.wrote(conn, &pending, bytes);
                    self.env.socket_took_bytes(conn);
                    self.turn(now, flushed);
                }
                WriteOutcome::Refused { committed } => {
                    let committed = (committed > 0).then(|| pending.committed(committed));
                    let flushed = pending.consumed(0);
                    entry.waker.wake_by_ref();
                    self.env.full.insert(conn);
                    if let Some(committed) = committed {
                        self.turn(now, committed);
                    }
                    return self.turn(now, flushed);
                }
                WriteOutcome::Failed => return self.turn(now, Input::Lost { conn, cause: Lost::Write }),
            }
        }
    }

    /// Handles an input and everything that follows from it: nothing is queued between two calls.
    fn turn(&mut self, now: Now, input: Input) {
        self.handle(now, input);
        self.handle_queued(now);
    }

    fn handle(&mut self, now: Now, input: Input) {
        self.observer.before(now, &input);
        let effects = self.shard.handle(now, input);
        apply_effects(now, effects, &mut self.env, &mut self.observer, &mut self.inputs);
        self.observer.after(&mut self.shard);
    }

    fn handle_queued(&mut self, now: Now) {
        while let Some(input) = self.inputs.pop_front() {
            self.handle(now, input);
        }
    }
}

/// Carries out the effects of a turn, and queues the inputs that follow from them.
fn apply_effects<T: Transport>(
    now: Now,
    effects: Turn<'_>,
    env: &mut Environment<T>,
    observer: &mut impl Observer,
    inputs: &mut VecDeque<Input>,
) {
    for effect in effects {
        observer.effect(now, &effect);
        inputs.extend(env.apply(now, effect));
    }
}

impl<T: Transport> Environment<T> {
    /// Carries out one effect. Returns the input that follows from it, if there is one.
    fn apply(&mut self, now: Now, effect: Effect) -> Option<Input> {
        match effect {
            Effect::Wake(conn) => self.dirty.push_back(conn),
            Effect::Authenticate { conn, token } => {
                if let Some(claims) = self.vouched.remove(&conn) {
                    return Some(Input::Authenticated { conn, verdict: Ok(claims) });
                }
                let verdict = self.verifier.verify(&token);
                if matches!(verdict, Err(BadToken::KeyNotFetched)) && self.waits_for_key(&token) {
                    self.waiting_tokens.push(conn, *token);
                    return None;
                }
                return Some(self.authenticated(conn, verdict));
            }
            Effect::TokenRefused { conn, why } => {
                let entry = self.connections.get(conn);
                let (client, address) =
                    (entry.as_ref().map(|entry| entry.client), entry.and_then(|entry| entry.address));
                debug!(target: log::AUTH, %conn, client = client.map(tracing::field::display), %why, "token refused");
                let before = self.refused_tokens.take().map_or(0, |refused| refused.count);
                self.refused_tokens = Some(RefusedTokens { count: before + 1, why: *why, address });
            }
            Effect::ResumeReading(conn) => {
                if let Some(entry) = self.connections.get(conn) {
                    entry.waker.wake_by_ref();
                }
            }
            Effect::Finish(conn) => {
                if let Some(entry) = self.connections.get(conn) {
                    entry.driver.finish();
                    // What a full socket did not take of the end leaves when it is polled.
                    entry.waker.wake_by_ref();
                }
            }
            Effect::Closed { conn, end } => self.connection_closed(now, conn, &end),
            Effect::Reply { call, result } => {
                if let Some(caller) = self.calls.remove(&call.0) {
                    // An error means that the caller gave up.
                    let _ = caller.send(*result);
                }
            }
            Effect::Event(event) => trace!(target: log::CONNECTIONS, seq = event.seq, change = ?event.change, "event"),
            Effect::Step(_) => {}
            Effect::Link { to, .. } => unreachable!("the node has one shard, and this is for shard {to}"),
            Effect::Engine(request) => unreachable!("the shard follows no engine, and asks one {request:?}"),
        }
        None
    }

    /// Has the key of a token fetched. False where the token cannot wait for it.
    fn waits_for_key(&self, token: &str) -> bool {
        self.waiting_tokens.has_space(token) && self.verifier.source().is_some_and(KeySource::request)
    }

    /// Verifies the token that has waited for the longest. Returns the input that follows from it; `None` where the connection
    /// has ended.
    fn verify_waiting(&mut self) -> Option<Input> {
        let (conn, token) = self.waiting_tokens.pop()?;
        self.connections.get(conn)?;
        let is_final = self.verifier.source().is_some_and(|source| source.fetched().is_final);
        let verdict = match self.verifier.verify(&token) {
            Err(BadToken::KeyNotFetched) if is_final => Err(BadToken::UnknownKey),
            verdict => verdict,
        };
        Some(self.authenticated(conn, verdict))
    }

    /// The input for a token that was verified. Its user is remembered, for when the connection has ended.
    fn authenticated(&mut self, conn: ConnId, verdict: Result<VerifiedClaims, BadToken>) -> Input {
        if let Ok(claims) = verdict.as_ref().map(VerifiedClaims::claims)
            && claims.channel.is_none()
            && let Some(entry) = self.connections.get(conn)
        {
            entry.user = claims.sub.as_str().into();
        }
        Input::Authenticated { conn, verdict }
    }

    /// Notes that a socket has taken bytes or is gone: it is not full.
    fn socket_took_bytes(&mut self, conn: ConnId) {
        // No socket is full nearly always, and this runs for every write.
        if !self.full.is_empty()
            && self.full.remove(&conn)
            && let Some(awaited) = &mut self.awaited
        {
            awaited.remove(&conn);
        }
    }

    /// Removes a connection that has ended, and closes its socket.
    fn connection_closed(&mut self, now: Now, conn: ConnId, end: &End) {
        self.socket_took_bytes(conn);
        self.unread.remove(&conn);
        self.vouched.remove(&conn);
        if let Some(mut entry) = self.connections.take(conn) {
            self.closes.add(now, entry.ended(now.mono), end);
            entry.driver.close(end.clean);
            entry.waker.wake();
        }
    }
}
