//! The connections of one shard: their lives, what waits to be written to them, and what they ask for.

mod answers;
mod api;
mod audit;
mod centrifuge;
mod fanout;
mod inbox;
mod membership;
mod plain;
mod rates;
pub(crate) mod registry;
mod reply;
mod session;
mod turns;
mod verdict;
mod view;
mod walk;

use crate::admission::address::Address;
use crate::admission::route::Target;
use crate::close::{ABNORMAL, CloseCause, CloseReason};
use crate::config::Config;
use crate::connection::frame::Frame;
use crate::connection::held::Held;
use crate::connection::outbox::{Progress, Queue};
use crate::connection::{Closing, Conn, Deadlines, Handshaking, PeerSide, Phase, Protocol, SealOutcome, Stage, Timer};
use crate::hub::registry::{JoinId, Registry, index};
use crate::ids::{ClientId, ClientInfo, ConnId, Name};
use crate::limits::Limit;
use crate::limits::gcra::Gcra;
use crate::link::{Caller, HomeEvent, HomeRequest};
use crate::map::{Keys, Map};
use crate::protocol::centrifuge::PING;
use crate::stats::Totals;
use crate::time::{Instant, Now};
use crate::timers::Timers;
use crate::turn::{Change, Effect, End, Event, Input, Lost, Refused, Upgrade, Violation};
use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use api::Gather;
use core::time::Duration;
use rates::Peer;
use slab::Slab;
use turns::{Agenda, TurnBudget, Work};

/// The connections of one shard.
#[derive(Clone, Debug)]
pub(crate) struct Hub {
    config: Rc<Config>,
    /// The time of the current turn.
    now: Now,
    conns: Slab<Conn>,
    /// How many lives each slot has had.
    generations: Vec<u32>,
    clients: Map<ClientId, u32>,
    registry: Registry,
    timers: Timers<Owner>,
    /// Connections whose outbox could not take a frame; they are closed when the step is over.
    slow: Vec<ConnId>,
    agenda: Agenda,
    budget: TurnBudget,
    gathers: Map<u64, Gather>,
    gathered: u64,
    peers: Map<Address, Peer>,
    arrivals: Gcra,
    drain: Option<Drain>,
    joins: u64,
    events: u64,
    anonymous: Name,
    totals: Totals,
    /// Connections that are ready.
    ready: usize,
    /// Bytes that wait in all outboxes.
    outbox_bytes: usize,
    /// Frames that sockets have refused.
    held: Held,
    /// Bytes of input that is not carried out yet, of all clients.
    inbound_bytes: usize,
    /// Bytes of the bodies of API calls that are not answered.
    bodies: usize,
    /// Requests that the home has not taken yet.
    pub requests: VecDeque<HomeRequest>,
    /// Effects that the shell has not taken yet.
    pub effects: Vec<Effect>,
}

/// Who a deadline belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Owner {
    /// The connection in this slot.
    Conn(u32),
    /// The shutdown.
    Drain,
    /// An address that has no connection any more.
    Peer(Address),
}

/// A shutdown under way.
#[derive(Clone, Copy, Debug)]
struct Drain {
    /// Connections that are closed in one step.
    per_step: usize,
    armed: Instant,
}

/// Between two steps of a shutdown.
const DRAIN_STEP: Duration = Duration::from_millis(100);
/// Deadlines that one turn sees to.
const DUE_PER_TURN: usize = 100;
/// The least number of connections that one step closes.
const DRAIN_LEAST: usize = 100;

impl Hub {
    pub fn new(config: Rc<Config>, keys: Keys) -> Self {
        Self {
            config,
            now: Now::default(),
            conns: Slab::new(),
            generations: Vec::new(),
            clients: Map::with_hasher(keys),
            registry: Registry::new(keys),
            timers: Timers::default(),
            slow: Vec::new(),
            agenda: Agenda::default(),
            budget: TurnBudget::default(),
            gathers: Map::with_hasher(keys),
            gathered: 0,
            peers: Map::with_hasher(keys),
            arrivals: Gcra::NEW,
            drain: None,
            joins: 0,
            events: 0,
            anonymous: Name::empty(),
            totals: Totals::default(),
            ready: 0,
            outbox_bytes: 0,
            held: Held::new(keys),
            inbound_bytes: 0,
            bodies: 0,
            requests: VecDeque::new(),
            effects: Vec::new(),
        }
    }

    /// Takes the time of a turn. A clock that goes back is held where it was.
    pub fn begin(&mut self, now: Now) -> Instant {
        if now.mono < self.now.mono {
            self.totals.clock_backsteps += 1;
        }
        self.go_on_at(now)
    }

    /// The same for a turn that goes on with what others have begun, of which nothing is counted twice.
    pub fn go_on_at(&mut self, now: Now) -> Instant {
        self.now = Now { mono: now.mono.max(self.now.mono), unix_ms: now.unix_ms };
        self.now.mono
    }

    /// Makes a connection of an upgrade request.
    pub fn accept(&mut self, request: Upgrade) -> Result<ConnId, Refused> {
        let peer = self.admit_new(request.peer.map(Address::from)).inspect_err(|_| self.totals.refused += 1)?;
        let (protocol, in_url) = match request.target {
            Target::Json { frame_pings } => (Protocol::Json { frame_pings }, None),
            Target::Plain(mut plain) => {
                let token = plain.token.take();
                (Protocol::Plain(Box::new(plain)), token)
            }
        };
        let slot = index(self.conns.vacant_key());
        if self.generations.len() <= slot as usize {
            self.generations.push(0);
        }
        let id = ConnId { slot, generation: self.generations[slot as usize] };
        let client = ClientId(request.client);
        let phase = Some(Phase::Handshaking(Handshaking { token: request.token.or(in_url) }));
        self.conns.insert(Conn { id, client, peer, protocol, phase, deadlines: Deadlines::NONE });
        let twin = self.clients.insert(client, slot);
        assert!(twin.is_none(), "client ids are random: two that are alike are one that was drawn twice");
        self.totals.accepted += 1;
        self.arm(slot, Timer::Phase, self.config.limits.handshake_timeout);
        Ok(id)
    }

    /// Handles one input.
    pub fn handle(&mut self, input: Input) {
        match input {
            Input::Upgraded { conn } => self.with(conn, Self::upgraded),
            Input::Message { conn, text } => self.with(conn, |hub, slot| hub.message(slot, text)),
            Input::Ping { conn, payload } => self.with(conn, |hub, slot| hub.pinged(slot, &payload)),
            Input::Fragment { conn, bytes } => self.with(conn, |hub, slot| hub.fragment(slot, bytes)),
            Input::HalfFrame { conn, bytes } => self.with(conn, |hub, slot| hub.half_frame(slot, bytes)),
            Input::Unread { conn, bytes } => self.with(conn, |hub, slot| hub.unread(slot, bytes)),
            Input::Pong { conn } => self.with(conn, Self::ponged),
            Input::PeerClosed { conn, code } => self.with(conn, |hub, slot| hub.peer_closed(slot, code)),
            Input::Violation { conn, rule } => self.with(conn, |hub, slot| {
                if rule == Violation::TooLarge {
                    return hub.close_over(slot, Limit::MessageBytes, rule.cause());
                }
                hub.close(slot, rule.cause());
            }),
            Input::Lost { conn, cause: Lost::Eof } => self.with(conn, Self::peer_ended),
            Input::Lost { conn, cause: Lost::Read | Lost::Write } => self.with(conn, Self::lost),
            Input::Flushed { conn, bytes } => self.with(conn, |hub, slot| hub.flushed(slot, bytes)),
            Input::Authenticated { conn, verdict } => self.with(conn, |hub, slot| hub.authenticated(slot, verdict)),
            Input::BodyBegun { bytes } => self.bodies += bytes,
            Input::BodyEnded { bytes } => self.bodies -= bytes,
            Input::Call { call, command } => self.call(Caller::Whole(call), command),
            Input::Tick => self.tick(),
            Input::Shutdown => self.shutdown(),
        }
    }

    /// Handles what the home has to say.
    pub fn on_home_event(&mut self, event: HomeEvent) {
        match event {
            HomeEvent::Joined { conn, client, join, room, position, replay } => {
                self.joined(conn, client, join, room, position, replay);
            }
            HomeEvent::JoinRefused { conn, join, error } => self.join_refused(conn, join, error),
            HomeEvent::Entry { room, entry } => self.deliver(&room, &entry),
            HomeEvent::Published { from, room, position } => self.published(from, &room, position),
            HomeEvent::History { from, room, result } => self.history_read(from, &room, result),
            HomeEvent::Presence { from, members } => self.presence_read(from, members),
            HomeEvent::PresenceStats { from, clients, users } => self.presence_counted(from, clients, users),
            HomeEvent::HistoryRemoved { from } => self.history_removed(&from),
            HomeEvent::MemberJoined { room, member } => self.tell_watchers(&room, &member, true),
            HomeEvent::MemberLeft { room, member } => self.tell_watchers(&room, &member, false),
            HomeEvent::Occupied(room) => self.event(Change::Occupied(room)),
            HomeEvent::Vacated(room) => self.event(Change::Vacated(room)),
        }
    }

    /// Closes the connections that could not keep up.
    pub fn close_slow_consumers(&mut self) {
        while let Some(conn) = self.slow.pop() {
            self.with(conn, |hub, slot| hub.close(slot, CloseCause::Slow));
        }
    }

    /// Ends connections until what waits for those that refuse it, and what is kept of what clients have sent, is within the
    /// bounds of the node. Returns whether there was one to end.
    pub fn relieve(&mut self) -> bool {
        self.relieve_outboxes() || self.relieve_inbound()
    }

    /// When [`Input::Tick`] is next useful.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// The frames that wait for a connection's socket, and whether none will follow.
    pub fn queue(&self, conn: ConnId) -> Option<(&Queue, bool)> {
        let conn = self.find(conn)?;
        Some((conn.queue()?, matches!(conn.phase, Some(Phase::Closing(_)))))
    }

    /// The connection of this id, unless it has ended.
    fn find(&self, conn: ConnId) -> Option<&Conn> {
        self.conns.get(conn.slot as usize).filter(|found| found.id == conn)
    }

    /// Does something with a connection, unless the id is that of one that has ended.
    fn with(&mut self, conn: ConnId, then: impl FnOnce(&mut Self, u32)) {
        match self.conns.get(conn.slot as usize) {
            Some(found) if found.id == conn => then(self, conn.slot),
            _ => self.totals.stale_inputs += 1,
        }
    }

    fn upgraded(&mut self, slot: u32) {
        let conn = &mut self.conns[slot as usize];
        let token = match conn.phase.take() {
            Some(Phase::Handshaking(mut handshaking)) => {
                let token = handshaking.token.take();
                let info =
                    ClientInfo { client: conn.client, user: self.anonymous.clone(), info: None, room_info: None };
                conn.phase = Some(Phase::Open(handshaking.upgraded(Arc::new(info))));
                token
            }
            other => {
                conn.phase = other;
                self.totals.ignored_inputs += 1;
                return;
            }
        };
        self.arm(slot, Timer::Phase, self.config.limits.authenticate_timeout);
        let token = token.filter(|token| !token.is_empty());
        let conn = &mut self.conns[slot as usize];
        if let Protocol::Plain(_) = conn.protocol {
            self.arm_first_ping(slot);
            self.plain_opened(slot, token);
        } else if let Some(open) = conn.open_mut() {
            open.stage = Stage::Unauthenticated { token: token.map(String::into_boxed_str), refused: false };
        }
    }

    fn peer_closed(&mut self, slot: u32, code: Option<u16>) {
        let conn = &mut self.conns[slot as usize];
        match conn.phase.take() {
            Some(Phase::Open(open)) => {
                let closing = open.answer_close(code, &self.config.limits, &mut self.held);
                self.leave_everything(slot);
                self.enter_closing(slot, closing);
            }
            Some(Phase::Closing(closing)) => self.keep_closing(slot, closing, PeerSide::Closed),
            other => {
                conn.phase = other;
                self.vacate(slot, abnormal(CloseCause::PeerClose));
            }
        }
    }

    /// The peer will send nothing more. What it was being sent is finished, and that is the end.
    fn peer_ended(&mut self, slot: u32) {
        let conn = &mut self.conns[slot as usize];
        match conn.phase.take() {
            Some(Phase::Open(open)) => {
                let closing = open.follow(&self.config.limits, &mut self.held);
                self.leave_everything(slot);
                self.enter_closing(slot, closing);
                self.end_if_over(slot);
            }
            Some(Phase::Closing(closing)) => self.keep_closing(slot, closing, PeerSide::Ended),
            other => {
                conn.phase = other;
                self.vacate(slot, abnormal(CloseCause::PeerEof));
            }
        }
    }

    /// The socket failed.
    fn lost(&mut self, slot: u32) {
        let end = match &self.conns[slot as usize].phase {
            Some(Phase::Closing(closing)) => closing.end(false),
            _ => abnormal(CloseCause::PeerReset),
        };
        self.vacate(slot, end);
    }

    /// The socket took some of what was pending. The phase stays where it is: this is done for every frame of every member.
    fn flushed(&mut self, slot: u32, bytes: usize) {
        self.totals.bytes_written += bytes as u64;
        self.outbox_bytes -= bytes;
        let conn = &mut self.conns[slot as usize];
        match &mut conn.phase {
            Some(Phase::Open(open)) => {
                let limits = &self.config.limits;
                let was_high = open.outbox.is_high(limits);
                let progress = open.outbox.flushed(bytes, &mut self.held);
                let is_low_again = was_high && !open.outbox.is_high(limits);
                let goes_on = progress.empty && !open.joins.is_empty();
                self.totals.frames_written += progress.frames;
                self.watch_progress(slot, bytes, progress);
                if is_low_again {
                    self.is_low_again(slot);
                }
                if goes_on {
                    self.agenda.then(Work::Enter(self.conns[slot as usize].id));
                }
            }
            Some(Phase::Closing(closing)) => {
                let progress = closing.sealed.flushed(bytes, &mut self.held);
                self.totals.frames_written += progress.frames;
                if bytes > 0 && progress.empty && !closing.is_over() {
                    self.effects.push(Effect::Finish(conn.id));
                }
                self.end_if_over(slot);
            }
            _ => {
                assert_eq!(bytes, 0, "nothing is pending while the 101 is being written");
                self.totals.ignored_inputs += 1;
            }
        }
    }

    /// The clock of `write_timeout` runs from the moment a socket refuses until it takes something.
    fn watch_progress(&mut self, slot: u32, bytes: usize, progress: Progress) {
        let armed = self.conns[slot as usize].deadlines.get(Timer::Write) != Instant::NEVER;
        if progress.empty {
            if armed {
                self.disarm(slot, Timer::Write);
            }
        } else if bytes > 0 || !armed {
            self.arm(slot, Timer::Write, self.config.limits.write_timeout);
        }
    }

    /// Ends a connection, or does nothing where that is under way.
    fn close(&mut self, slot: u32, cause: CloseCause) {
        if cause == CloseCause::TokenRequired {
            self.token_refused(slot, "there is none, and one is required");
        }
        self.close_saying(slot, cause, cause.reason());
    }

    /// The same with other words than the cause's own.
    fn close_saying(&mut self, slot: u32, cause: CloseCause, reason: CloseReason) {
        let conn = &mut self.conns[slot as usize];
        match conn.phase.take() {
            Some(Phase::Open(open)) => {
                let closing = open.begin_close(cause, reason, &self.config.limits, &mut self.held);
                self.leave_everything(slot);
                self.enter_closing(slot, closing);
            }
            Some(Phase::Handshaking(handshaking)) => {
                conn.phase = Some(Phase::Handshaking(handshaking));
                self.vacate(slot, abnormal(cause));
            }
            other => {
                conn.phase = other;
                self.totals.ignored_inputs += 1;
            }
        }
    }

    fn enter_closing(&mut self, slot: u32, (closing, sealed): (Closing, SealOutcome)) {
        let conn = &mut self.conns[slot as usize];
        self.totals.frames_queued += u64::from(sealed.close);
        self.totals.frames_dropped += sealed.dropped;
        self.ready -= usize::from(sealed.was_ready);
        self.inbound_bytes -= sealed.inbound;
        self.outbox_bytes = self.outbox_bytes - sealed.waited + closing.sealed.queue().bytes();
        conn.deadlines.clear();
        conn.phase = Some(Phase::Closing(closing));
        if sealed.was_empty {
            self.effects.push(Effect::Wake(conn.id));
        }
        if sealed.was_held {
            self.effects.push(Effect::Listen(conn.id));
        }
        self.arm(slot, Timer::Phase, self.config.limits.close_timeout);
    }

    /// Goes on with an end that the peer is further with.
    fn keep_closing(&mut self, slot: u32, mut closing: Closing, peer: PeerSide) {
        self.outbox_bytes -= closing.sealed.queue().bytes();
        let dropped = closing.peer_is(peer, &mut self.held);
        self.outbox_bytes += closing.sealed.queue().bytes();
        match dropped {
            Some(dropped) => self.totals.frames_dropped += dropped,
            None => self.totals.ignored_inputs += 1,
        }
        self.conns[slot as usize].phase = Some(Phase::Closing(closing));
        self.end_if_over(slot);
    }

    fn end_if_over(&mut self, slot: u32) {
        if let Some(Phase::Closing(closing)) = &self.conns[slot as usize].phase
            && closing.is_over()
        {
            let end = closing.end(true);
            self.vacate(slot, end);
        }
    }

    /// The one way out of `Open`: out of every room and away from the user, in the same turn (G2, G3).
    fn leave_everything(&mut self, slot: u32) {
        while let Some(left) = self.registry.leave_one(slot) {
            self.left(slot, left);
        }
        if let Some(user) = self.registry.clear_user(slot) {
            self.event(Change::Offline(user));
        }
    }

    /// Makes the slot vacant: the one terminal effect of the connection (G7).
    fn vacate(&mut self, slot: u32, end: End) {
        self.leave_everything(slot);
        let mut conn = self.conns.remove(slot as usize);
        self.timers.rearm(Owner::Conn(slot), &mut conn.deadlines.armed, Instant::NEVER);
        self.ready -= usize::from(conn.ready().is_some());
        self.inbound_bytes -= conn.open().map_or(0, |open| open.inbound.bytes());
        let unsent = conn.queue();
        self.totals.frames_dropped += unsent.map_or(0, Queue::len) as u64;
        self.outbox_bytes -= unsent.map_or(0, Queue::bytes);
        unsent.into_iter().flat_map(Queue::refused).for_each(|frame| self.held.remove(frame));
        if let Some(peer) = conn.peer {
            self.peer_left(peer);
        }
        self.generations[slot as usize] = conn.id.generation.wrapping_add(1);
        let known = self.clients.swap_remove(&conn.client);
        assert_eq!(known, Some(slot), "G3: a client id leads to its connection");
        *self.totals.closed.entry(end.cause).or_default() += 1;
        tracing::debug!(client = %conn.client, cause = end.cause.name(), code = end.reason.code, reason = &*end.reason.reason, "closed");
        self.effects.push(Effect::Closed { conn: conn.id, end: Box::new(end) });
    }

    /// Does what is due. Of very many the rest is due at once again: they are not all to end, or be pinged, between two
    /// writes of those who are told of it.
    fn tick(&mut self) {
        for _ in 0..DUE_PER_TURN {
            let Some(owner) = self.timers.due(self.now.mono) else { break };
            match owner {
                Owner::Conn(slot) => {
                    self.fire(slot);
                    // What it was told may have been too much for it: that is why it ends, whatever else is due.
                    self.close_slow_consumers();
                }
                Owner::Drain => self.drain_step(),
                Owner::Peer(from) => self.settle_peer(from),
            }
        }
    }

    fn fire(&mut self, slot: u32) {
        let conn = &self.conns[slot as usize];
        let timer = conn.deadlines.due(self.now.mono).expect("an entry in the queue is somebody's deadline");
        match timer {
            Timer::Phase => self.phase_over(slot),
            Timer::Ping => self.ping(slot),
            // It is not listened to: write_timeout judges it.
            Timer::Pong | Timer::Message if conn.open().is_some_and(|open| open.is_to_read(&self.config.limits)) => {
                self.arm_for_client(slot, timer);
            }
            Timer::Pong => self.close_for(slot, Limit::PongTimeout, CloseCause::NoPong),
            Timer::Message => self.close_over(slot, Limit::MessageTimeout, CloseCause::Unfinished),
            Timer::Write => self.close_for(slot, Limit::WriteTimeout, CloseCause::WriteTimeout),
            Timer::Expiry => self.close_for(slot, Limit::ExpiryGrace, CloseCause::Expired),
            Timer::RoomExpiry => {
                self.hit(Limit::ExpiryGrace);
                self.rooms_expired(slot);
            }
        }
    }

    fn phase_over(&mut self, slot: u32) {
        match &self.conns[slot as usize].phase {
            Some(Phase::Open(open)) => {
                if !self.config.policy.allow_anonymous && open.pending_auth.is_none() {
                    self.token_refused(slot, "none came within authenticate_timeout");
                }
                self.close_for(slot, Limit::AuthenticateTimeout, CloseCause::Stale);
            }
            Some(Phase::Closing(closing)) => {
                // A peer that has answered our Close, and never ends its stream, has nothing more to read.
                let end = closing.end(closing.is_agreed());
                self.hit(Limit::CloseTimeout);
                self.vacate(slot, end);
            }
            _ => {
                self.hit(Limit::HandshakeTimeout);
                self.vacate(slot, abnormal(CloseCause::HandshakeTimeout));
            }
        }
    }

    /// Ends a connection because of a limit.
    fn close_for(&mut self, slot: u32, limit: Limit, cause: CloseCause) {
        self.hit(limit);
        self.close(slot, cause);
    }

    /// Ends a connection, and says what exactly is wrong.
    fn close_because(&mut self, slot: u32, cause: CloseCause, words: &str) {
        self.close_saying(slot, cause, cause.reason().because(words));
    }

    /// Ends a connection that goes beyond a limit, which the Close frame names.
    fn close_over(&mut self, slot: u32, limit: Limit, cause: CloseCause) {
        self.hit(limit);
        self.close_saying(slot, cause, cause.reason().naming(limit));
    }

    /// Arms the next ping on the fixed schedule, past those that nobody was there to send, and sends the one that is due
    /// unless the last is not answered yet.
    fn ping(&mut self, slot: u32) {
        let interval = u64::try_from(self.config.limits.ping_interval.as_nanos()).unwrap_or(u64::MAX).max(1);
        let due = self.conns[slot as usize].deadlines.get(Timer::Ping);
        let missed = (self.now.mono.0 - due.0) / interval;
        self.set(slot, Timer::Ping, Instant(due.0.saturating_add((missed + 1).saturating_mul(interval))));
        self.send_ping(slot);
    }

    /// Those who came together, after a restart, say, are not pinged together for ever: the first ping comes up to a quarter of
    /// the interval early, by the connection's random id.
    pub(super) fn arm_first_ping(&mut self, slot: u32) {
        let interval = self.config.limits.ping_interval;
        let [a, b, c, d, ..] = self.conns[slot as usize].client.0;
        let share = u32::from(u16::from_be_bytes([a ^ c, b ^ d]));
        let early = (interval / 4 / (1 << 16)).saturating_mul(share);
        self.arm(slot, Timer::Ping, interval.saturating_sub(early));
    }

    /// Sends a ping, unless the last is not answered yet.
    fn send_ping(&mut self, slot: u32) {
        let conn = &self.conns[slot as usize];
        if conn.deadlines.get(Timer::Pong) != Instant::NEVER {
            return;
        }
        let frame = match conn.protocol {
            Protocol::Json { frame_pings: false } => Frame::text(PING),
            _ => Frame::ping(),
        };
        self.arm(slot, Timer::Pong, self.config.limits.pong_timeout);
        self.enqueue(slot, frame);
    }

    fn shutdown(&mut self) {
        if self.drain.is_some() {
            return;
        }
        let steps = (self.config.limits.drain_timeout.as_millis() / 2 / DRAIN_STEP.as_millis()).max(1);
        let per_step = self.conns.len().div_ceil(usize::try_from(steps).unwrap_or(usize::MAX)).max(DRAIN_LEAST);
        self.drain = Some(Drain { per_step, armed: Instant::NEVER });
        self.drain_step();
    }

    fn drain_step(&mut self) {
        let Some(mut drain) = self.drain else { return };
        let living = |(_, conn): &(usize, &Conn)| !matches!(conn.phase, Some(Phase::Closing(_)));
        let mut rest = self.conns.iter().filter(living).map(|(slot, _)| index(slot));
        let step: Vec<u32> = rest.by_ref().take(drain.per_step).collect();
        let next = if rest.next().is_some() { self.now.mono.after(DRAIN_STEP) } else { Instant::NEVER };
        drop(rest);
        self.timers.rearm(Owner::Drain, &mut drain.armed, next);
        self.drain = Some(drain);
        for slot in step {
            self.close(slot, CloseCause::Shutdown);
        }
    }

    fn arm(&mut self, slot: u32, timer: Timer, after: Duration) {
        self.set(slot, timer, self.now.mono.after(after));
    }

    fn disarm(&mut self, slot: u32, timer: Timer) {
        self.set(slot, timer, Instant::NEVER);
    }

    fn set(&mut self, slot: u32, timer: Timer, at: Instant) {
        let deadlines = &mut self.conns[slot as usize].deadlines;
        deadlines.set(timer, at);
        let earliest = deadlines.earliest();
        self.timers.rearm(Owner::Conn(slot), &mut deadlines.armed, earliest);
    }

    fn event(&mut self, change: Change) {
        self.events += 1;
        self.effects.push(Effect::Event(Box::new(Event { seq: self.events, change })));
    }

    fn next_join(&mut self) -> JoinId {
        self.joins += 1;
        JoinId(self.joins)
    }
}

/// The end of a connection that no Close frame spoke of.
fn abnormal(cause: CloseCause) -> End {
    let reason = CloseReason { code: ABNORMAL, reason: Cow::Borrowed("abnormal closure") };
    End { cause, reason, clean: false }
}
