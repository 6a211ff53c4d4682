//! The independent judge: what the documents say must happen, in sets and queues of its own.
//!
//! It shares nothing with core but the types that go in and come out. What a client gets is judged frame by frame as the
//! client's own parser sees it; effects, state and counts are judged after every turn (in `judge.rs`).

mod calls;
mod entering;
mod expect;
mod judge;
mod life;
mod lists;
mod pace;
mod plain;
mod presence;
mod recovery;
mod retained;
mod rooms;
mod session;
mod tokens;
mod told;
mod ways;

pub use calls::Call;
pub use expect::Expect;
pub use judge::Outcome;
pub use lists::{List, Meant};
pub use recovery::{Query, Want};

use crate::goals::{Goal, Goals};
use crate::guarantees::{Failure, Guarantee, Guarantees};
use crate::world::frames::Frame;
use crate::world::setup::{Judges, Setup};
use crate::world::speech::{ClientMessage, room_name, user_name};
use entering::Entering;
use pace::{Address, Bucket, Pace};
use parlor_core::{ClientId, CloseCause, Config, ConnId, Limit, Refused};
use presence::{News, Seat};
use recovery::Keys;
use rooms::{Log, PUBLICATION, Past, Quiet};
use serde_json::Value;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
pub(crate) use tokens::Ask;
use told::Told;
use ways::Ways;

/// What the oracle is told of one input.
#[derive(Clone, Debug)]
pub enum Stimulus<'a> {
    /// The 101 is out.
    Upgraded(usize),
    /// A text that means this.
    Text(usize, &'a str, &'a [ClientMessage]),
    /// A frame with a part of a message.
    Fragment(usize, usize),
    /// A part of a frame that will have so many bytes.
    HalfFrame(usize, usize),
    /// So many bytes that came are not decoded.
    Unread(usize, usize),
    /// A Ping frame with this payload.
    Ping(usize, &'a [u8]),
    /// A Pong frame.
    Pong(usize),
    /// A Close frame with this code.
    PeerClosed(usize, Option<u16>),
    /// A broken rule, as the cause of an end.
    Violated(usize, CloseCause),
    /// A lost socket, as the cause of an end.
    Lost(usize, CloseCause),
    /// The socket took this many bytes.
    Flushed(usize, usize),
    /// The token has been looked at.
    Decided(usize, TokenOutcome),
    /// A backend's call.
    Call(Call<'a>),
    /// Time may have passed.
    Tick,
    /// The server is to stop.
    Shutdown,
    /// Something for a connection that has ended.
    Stale,
}

/// What a token says.
#[derive(Clone, Debug, Default)]
pub struct TokenOutcome {
    /// It says nothing: its signature is wrong.
    pub forged: bool,
    /// When it begins, in seconds since 1970.
    pub nbf: Option<u64>,
    /// Whose it is; `None` for nobody.
    pub user: Option<usize>,
    /// When it ends, in seconds since 1970.
    pub exp: Option<u64>,
    /// What it says of its user, as JSON.
    pub info: Option<String>,
    /// The rooms it puts the connection in.
    pub channels: Vec<usize>,
    /// It names more rooms than a connection may be in.
    pub crowded: bool,
    /// It says more of its user than it may.
    pub wordy: bool,
    /// It names a room by a name that is too long.
    pub long: bool,
    /// The room it is for.
    pub channel: Option<usize>,
    /// What it says of its user is nested deeper than is allowed.
    pub unreadable: bool,
}

/// How a connection came in.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Whether it speaks json.
    pub json: bool,
    /// Whether pings are Ping frames.
    pub frame_pings: bool,
    /// Whether it is greeted.
    pub greeting: bool,
    /// The rooms of the URL.
    pub rooms: Vec<usize>,
    /// The token in the request.
    pub token: Option<String>,
    /// What it wants of each of its rooms before anything else.
    pub want: Want,
    /// What it wants of rooms by their name instead, of those too that its token puts it in.
    pub since: Vec<(usize, Want)>,
    /// Whether it is told where it is.
    pub positions: bool,
    /// Which of the addresses it comes from.
    pub address: u8,
}

/// A text that waits, or what is left of it.
#[derive(Clone, Debug)]
pub(crate) struct Waiting {
    pub messages: VecDeque<ClientMessage>,
    text: Arc<str>,
    /// How many of its commands were heard.
    heard: usize,
}

impl Waiting {
    fn new(text: &str, messages: &[ClientMessage]) -> Self {
        Self { messages: messages.iter().cloned().collect(), text: text.into(), heard: 0 }
    }

    /// The bytes behind the last command that was heard.
    fn bytes(&self) -> usize {
        let mut commands = serde_json::Deserializer::from_str(&self.text).into_iter::<Value>();
        commands.by_ref().take(self.heard).for_each(drop);
        self.text.len() - commands.byte_offset()
    }
}

/// Where in its life a connection is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Phase {
    Handshaking,
    Open,
    Closing { cause: CloseCause, code: u16, client: Side },
}

/// How far a client is with its side of a connection that ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Side {
    Open,
    /// Its Close frame came.
    Closed,
    /// Its stream has ended.
    Ended,
}

/// The deadlines of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Timer {
    Handshake,
    Authenticate,
    Ping,
    Pong,
    Message,
    Write,
    Expiry,
    RoomExpiry,
    Close,
}

impl Timer {
    const ALL: [Self; 9] = [
        Self::Handshake,
        Self::Authenticate,
        Self::Ping,
        Self::Pong,
        Self::Message,
        Self::Write,
        Self::Expiry,
        Self::RoomExpiry,
        Self::Close,
    ];
}

impl Timer {
    /// The limit that is reached when it fires.
    fn limit(self) -> Option<Limit> {
        match self {
            Self::Handshake => Some(Limit::HandshakeTimeout),
            Self::Authenticate => Some(Limit::AuthenticateTimeout),
            Self::Pong => Some(Limit::PongTimeout),
            Self::Message => Some(Limit::MessageTimeout),
            Self::Write => Some(Limit::WriteTimeout),
            Self::Expiry | Self::RoomExpiry => Some(Limit::ExpiryGrace),
            Self::Close => Some(Limit::CloseTimeout),
            Self::Ping => None,
        }
    }
}

/// One connection as the documents say it must be.
#[derive(Clone, Debug)]
pub(crate) struct Conn {
    pub id: ConnId,
    pub client_id: ClientId,
    pub entry: Entry,
    pub phase: Phase,
    /// What must come out of its socket, in this order.
    pub queue: VecDeque<Expect>,
    /// The Pong that goes out at the next end of a frame.
    pub pong: Option<Expect>,
    /// Whether the client has a part of the first of the queue.
    pub half: bool,
    /// It was greeted or answered: it is in its rooms.
    pub ready: bool,
    /// A token is being looked at.
    pub asked: bool,
    /// What for.
    pub ask: Ask,
    pub user: Option<usize>,
    /// What its token says of the user.
    pub info: Option<String>,
    /// The turn in which it became the user's.
    known: u64,
    /// The rooms that its token names.
    pub granted: Vec<usize>,
    pub filter: Vec<&'static str>,
    /// What came while a token was being looked at.
    pub waiting: VecDeque<Waiting>,
    /// Whether its last `connect` was answered with an error: what it has sent behind that is passed over.
    pub turned_down: bool,
    /// Bytes of the parts of a message that have come, where more is to come.
    pub fragments: Option<usize>,
    /// Bytes of the frame that has begun and not ended.
    pub half_frame: usize,
    /// Bytes that the driver has not decoded.
    pub unread: usize,
    /// What it wants of the rooms that a token puts it in.
    pub wants: Vec<(usize, Want)>,
    /// The rooms that it waits to be put into.
    pub entering: VecDeque<Entering>,
    /// In how many rooms that it was put into it got what it had missed.
    recoveries: usize,
    pace: Pace,
    pub timers: [Option<u64>; Timer::ALL.len()],
    /// Frames that waited after the last turn.
    waited: usize,
    /// Bytes that waited after the last turn, and the fewest and most that came to them in this one.
    bytes: usize,
    added: (usize, usize),
    /// Whether its socket was offered everything and left something, and has not taken all of it since.
    pub refused: bool,
}

impl Conn {
    pub(crate) fn timer(&self, timer: Timer) -> Option<u64> {
        self.timers[timer as usize]
    }

    fn arm(&mut self, timer: Timer, at: u64) {
        self.timers[timer as usize] = Some(at);
    }

    fn disarm(&mut self, timer: Timer) {
        self.timers[timer as usize] = None;
    }

    fn is_open(&self) -> bool {
        self.phase == Phase::Open
    }

    /// Whether what its client says has to wait for what it has said, or for the rooms that it is put into.
    fn is_busy(&self) -> bool {
        self.asked || !self.entering.is_empty()
    }

    /// What must come out of its socket, in this order as far as there is one.
    pub(crate) fn coming(&self) -> impl Iterator<Item = &Expect> {
        let begun = usize::from(self.half);
        self.queue.iter().take(begun).chain(&self.pong).chain(self.queue.iter().skip(begun))
    }

    /// How many frames must come out of its socket.
    fn frames(&self) -> usize {
        self.queue.len() + usize::from(self.pong.is_some())
    }

    /// Whether nothing waits for its socket.
    fn is_idle(&self) -> bool {
        self.frames() == 0
    }

    /// Which of the queue may come out of the socket first: those about different members that come from one turn have no
    /// order among themselves.
    fn first(&self) -> impl Iterator<Item = usize> {
        let may_be_first = |at: &usize| (0..*at).all(|before| self.queue[*at].may_follow(&self.queue[before]));
        (0..self.queue.len()).filter(may_be_first)
    }

    /// Takes the frame out of what must come; another than this one where this one is not due.
    fn take(&mut self, frame: &Frame) -> Option<Expect> {
        if let Some(pong) = self.pong.take_if(|_| !self.half) {
            return Some(pong);
        }
        let at = self.first().find(|at| self.queue[*at].is_met_by(frame)).unwrap_or(0);
        self.queue.remove(at)
    }

    /// Drops every frame of which the client has nothing yet. Returns whether there was one.
    fn drop_unsent(&mut self) -> bool {
        let kept = usize::from(self.half);
        let is_cut = self.frames() > kept;
        // Any of those that may come first can be the one that is half-written.
        let first: Vec<Expect> = self.first().take(kept * self.queue.len()).map(|at| self.queue[at].clone()).collect();
        if let (Some(front), false) = (self.queue.front_mut(), first.is_empty()) {
            *front = Expect::one_of(first);
        }
        self.queue.truncate(kept);
        self.pong = None;
        is_cut
    }

    /// The earliest deadline; of two at one instant the one that is listed first.
    fn next_timer(&self) -> Option<(u64, Timer)> {
        Timer::ALL.iter().filter_map(|timer| Some((self.timer(*timer)?, *timer))).min_by_key(|(at, _)| *at)
    }
}

/// How a connection must have ended.
#[derive(Clone, Copy, Debug)]
struct Ending {
    cause: CloseCause,
    code: u16,
    clean: bool,
}

impl Ending {
    /// An end without a Close frame.
    fn aborted(cause: CloseCause) -> Self {
        Self { cause, code: 1006, clean: false }
    }
}

/// What must come of the turn at hand.
#[derive(Clone, Debug, Default)]
struct Turn {
    /// Which room or user, and whether it came to life.
    changes: Vec<(Subject, bool)>,
    ended: Vec<(usize, ConnId, Ending)>,
    /// Connections that have been sent all that they will ever be sent.
    finished: Vec<ConnId>,
    asks: Vec<(usize, String)>,
    answer: Option<calls::Answer>,
    /// The answers to those parts of a call that have been carried out.
    parts: Vec<Value>,
    /// Connections whose queue was empty when the turn began.
    were_empty: Vec<bool>,
    /// Connections of which frames were dropped.
    were_cut: Vec<bool>,
    /// Rooms of which a log began.
    began: Vec<usize>,
    /// Rooms that have lost their last member.
    vacated: Vec<usize>,
    /// What may come to life and cease to be within the turn: a connection was closed on its way in.
    flashes: Vec<Subject>,
    /// Who came and went, and was not told of yet.
    news: VecDeque<News>,
    /// Whose clients may be heard again when all else is done.
    to_hear: Vec<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Subject {
    Room(usize),
    User(usize),
}

/// Totals, counted independently.
#[derive(Clone, Debug, Default)]
struct Counted {
    accepted: u64,
    refused: u64,
    closed: BTreeMap<CloseCause, u64>,
    messages_in: u64,
    unknown_types: u64,
    frames_written: u64,
    bytes_written: u64,
    published: u64,
    errors: u64,
    late_joins: u64,
    stale: u64,
    backsteps: u64,
    events: u64,
    limits: BTreeMap<Limit, u64>,
}

/// The judge.
#[derive(Clone, Debug)]
pub struct Oracle {
    config: Arc<Config>,
    /// Names of the rooms that clients may name, then of the users' personal ones.
    names: Arc<[Arc<str>]>,
    users: usize,
    /// Nanoseconds; it does not go back.
    pub(crate) clock: u64,
    unix_ms: u64,
    pub(crate) conns: Vec<Option<Conn>>,
    /// The members of each room.
    pub(crate) rooms: Vec<Vec<usize>>,
    /// What is special about a client in a room; every member has one.
    pub(crate) seats: BTreeMap<(usize, usize), Seat>,
    keys: Keys,
    arrivals: Bucket,
    /// The same for each address.
    addresses: [Address; 2],
    /// How many turns there were.
    turns: u64,
    /// Counts the times at which logs began, lost their last member, or became fuller or emptier.
    stamps: u64,
    pub(crate) logs: Vec<Option<Log>>,
    quiet: Vec<Quiet>,
    /// Every epoch there ever was.
    epochs: Vec<Arc<str>>,
    /// Every slot's generations so far.
    generations: BTreeMap<u32, u32>,
    past: Vec<Past>,
    pub(crate) shutting_down: bool,
    counted: Counted,
    goals: Goals,
    turn: Turn,
    /// Which connections the call at hand means.
    meant: Meant,
    told: Told,
    ways: Ways,
    overlooked: Guarantees,
}

impl Oracle {
    /// A world with nobody in it.
    #[must_use]
    pub fn new(setup: &Setup) -> Self {
        let count = |number: u64| usize::try_from(number).expect("a small number");
        let (conns, rooms, users) = (count(setup.conns), count(setup.rooms), count(setup.users));
        let own = (0..users).map(|user| format!("#{}", user_name(user)));
        let names: Vec<Arc<str>> = (0..rooms).map(room_name).chain(own).map(Arc::from).collect();
        Self {
            config: Arc::new(setup.config()),
            rooms: vec![Vec::new(); names.len()],
            seats: BTreeMap::new(),
            keys: Keys::default(),
            arrivals: Bucket::default(),
            addresses: Default::default(),
            turns: 0,
            stamps: 0,
            logs: vec![None; names.len()],
            quiet: vec![Quiet::default(); names.len()],
            past: vec![Past::default(); names.len()],
            names: names.into(),
            users,
            clock: 0,
            unix_ms: 0,
            conns: vec![None; conns],
            epochs: Vec::new(),
            generations: BTreeMap::new(),
            shutting_down: false,
            counted: Counted::default(),
            goals: Goals::default(),
            turn: Turn::default(),
            meant: Meant::All,
            told: Told::default(),
            ways: Ways::default(),
            overlooked: if setup.judges != Judges::All { Guarantees::of(Guarantee::ALL) } else { setup.overlooked },
        }
    }

    /// What is left of a judgement when there is something to overlook.
    ///
    /// # Errors
    /// The failure, where it is none of them that it breaks.
    pub fn heed(&self, judgement: Result<(), Failure>) -> Result<(), Failure> {
        judgement.or_else(|failure| if self.overlooked.has(failure.guarantee) { Ok(()) } else { Err(failure) })
    }

    /// Judges the answer to an upgrade request of this client.
    ///
    /// # Errors
    /// It was taken in where it must not be, refused where it may not be, or got an id that is not new.
    pub fn accepted(
        &mut self,
        client: usize,
        client_id: ClientId,
        entry: Entry,
        answer: Result<ConnId, Refused>,
    ) -> Result<(), Failure> {
        let reasons = self.reasons_to_refuse(&entry);
        match answer {
            Err(refused) if reasons.contains(&refused) => {
                self.counted.refused += 1;
                if let Refused::Limit(limit) = refused {
                    let by_rate = limit == Limit::NewConnectionsPerIp;
                    self.goals.reach(if by_rate { Goal::ConnectionRate } else { Goal::ConnectionLimit });
                    self.hit(limit);
                }
                Ok(())
            }
            Ok(id) if reasons.is_empty() => {
                self.arrived(entry.address);
                self.take_in(client, id, client_id, entry)
            }
            _ => Err(Failure::new(
                Guarantee::P1,
                format_args!("refused with one of {reasons:?}, or accepted if there is none"),
                format_args!("{answer:?}"),
            )),
        }
    }

    /// Why a connection may be refused.
    fn reasons_to_refuse(&self, entry: &Entry) -> Vec<Refused> {
        let limits = &self.config.limits;
        if self.shutting_down {
            return vec![Refused::ShuttingDown];
        }
        let count = self.conns.iter().flatten().count();
        let neighbours = self.conns.iter().flatten().filter(|conn| conn.entry.address == entry.address).count();
        let mut reasons = Vec::new();
        if count >= limits.connections {
            reasons.push(Refused::Limit(Limit::Connections));
        }
        if limits.connections_per_ip > 0 && neighbours >= limits.connections_per_ip {
            reasons.push(Refused::Limit(Limit::ConnectionsPerIp));
        }
        reasons.extend(self.is_too_soon(entry.address).map(Refused::Limit));
        reasons
    }

    fn take_in(&mut self, client: usize, id: ConnId, client_id: ClientId, entry: Entry) -> Result<(), Failure> {
        let generation = self.generations.get(&id.slot).map_or(0, |last| last + 1);
        if self.conns.iter().flatten().any(|conn| conn.id.slot == id.slot) {
            return Err(Failure::new(Guarantee::G7, "a vacant slot", format_args!("{id}, which is occupied")));
        }
        if id.generation != generation {
            return Err(Failure::new(Guarantee::G7, format_args!("generation {generation} of slot {}", id.slot), id));
        }
        if generation >= 2 {
            self.goals.reach(Goal::SlotReused);
        }
        self.generations.insert(id.slot, generation);
        self.counted.accepted += 1;
        let mut conn = Conn {
            id,
            client_id,
            entry,
            phase: Phase::Handshaking,
            queue: VecDeque::new(),
            pong: None,
            half: false,
            ready: false,
            asked: false,
            user: None,
            info: None,
            known: 0,
            granted: Vec::new(),
            filter: Vec::new(),
            ask: Ask::Identity,
            waiting: VecDeque::new(),
            turned_down: false,
            fragments: None,
            half_frame: 0,
            unread: 0,
            wants: Vec::new(),
            entering: VecDeque::new(),
            recoveries: 0,
            pace: Pace::default(),
            timers: [None; Timer::ALL.len()],
            waited: 0,
            bytes: 0,
            added: (0, 0),
            refused: false,
        };
        conn.arm(Timer::Handshake, self.clock + nanos(self.config.limits.handshake_timeout));
        self.conns[client] = Some(conn);
        Ok(())
    }

    /// Judges one frame that a client has received; `half` is whether a part of another one has come after it.
    ///
    /// # Errors
    /// It is not the one that was due.
    pub fn saw(&mut self, client: usize, frame: &Frame) -> Result<(), Failure> {
        let conn = self.conns[client].as_mut().expect("whoever is written to exists");
        let Some(expect) = conn.take(frame) else {
            let closed = matches!(conn.phase, Phase::Closing { .. });
            let unasked = if matches!(frame, Frame::Text(_)) { Guarantee::G5 } else { Guarantee::P1 };
            let guarantee = if closed { Guarantee::G1 } else { unasked };
            return Err(Failure::new(guarantee, format_args!("nothing more for client {client}"), frame));
        };
        self.counted.frames_written += 1;
        conn.half = false;
        let json = conn.entry.json;
        if expect.is_met_by(frame) {
            self.note_delivery(&expect, json);
            return Ok(());
        }
        let is_known =
            self.names.iter().any(|name| frame.to_string().contains(&format!(r#""channel":"{name}","pub""#)));
        let guarantee = if is_known { Guarantee::G5 } else { expect.guarantee() };
        Err(Failure::new(guarantee, format_args!("client {client} receives {expect}"), frame))
    }

    fn note_delivery(&mut self, expect: &Expect, json: bool) {
        let [kind, room, ..] = expect.tag.to_be_bytes();
        if u64::from(kind) == PUBLICATION {
            self.goals.reach(Goal::Delivered);
            self.goals.reach(if json { Goal::DeliveredInJson } else { Goal::DeliveredInPlain });
            if usize::from(room) >= self.own_room(0) {
                self.goals.reach(Goal::Personal);
            }
        }
    }

    /// Says whether a client has a part of its next frame.
    pub fn is_cut(&mut self, client: usize, half: bool) {
        let conn = self.conns[client].as_mut().expect("whoever is written to exists");
        if half && !conn.half {
            // A Pong that waits is the next frame to begin.
            conn.pong.take().into_iter().for_each(|pong| conn.queue.push_front(pong));
        }
        conn.half = half;
        if half && conn.queue.len() == 1 && matches!(conn.phase, Phase::Closing { .. }) {
            self.goals.reach(Goal::CloseHalfWritten);
        }
    }

    /// Sets the time of the input that comes next.
    pub fn time(&mut self, mono: u64, unix_ms: u64) {
        if mono < self.clock {
            self.counted.backsteps += 1;
        }
        self.clock = self.clock.max(mono);
        self.unix_ms = unix_ms;
    }

    /// Works out what must come of one input.
    fn foresee(&mut self, stimulus: &Stimulus<'_>) {
        self.turns += 1;
        self.turn = Turn {
            were_empty: self.conns.iter().map(|conn| conn.as_ref().is_none_or(Conn::is_idle)).collect(),
            were_cut: vec![false; self.conns.len()],
            ..Turn::default()
        };
        match stimulus {
            Stimulus::Upgraded(client) => self.upgraded(*client),
            Stimulus::Text(client, text, messages) => self.text(*client, text, messages),
            Stimulus::Ping(client, payload) => self.ping(*client, payload),
            Stimulus::Fragment(client, bytes) => self.fragment(*client, *bytes),
            Stimulus::HalfFrame(client, bytes) => self.half_frame(*client, *bytes),
            Stimulus::Unread(client, bytes) => self.unread(*client, *bytes),
            Stimulus::Pong(client) => {
                self.heard(*client);
            }
            Stimulus::PeerClosed(client, code) => self.client_closed(*client, *code),
            Stimulus::Violated(client, cause) => self.violated(*client, *cause),
            Stimulus::Lost(client, cause) => self.lost(*client, *cause),
            Stimulus::Flushed(client, bytes) => self.flushed(*client, *bytes),
            Stimulus::Decided(client, token) => self.decided(*client, token),
            Stimulus::Call(call) => self.call(call),
            Stimulus::Tick => self.tick(),
            Stimulus::Shutdown => self.shutdown(),
            Stimulus::Stale => self.counted.stale += 1,
        }
        self.settle();
        for client in std::mem::take(&mut self.turn.to_hear) {
            self.hear_waiting(client);
        }
        self.make_room();
    }

    /// The next instant at which something is due.
    #[must_use]
    pub fn next_deadline(&self) -> Option<u64> {
        let timers = self.conns.iter().flatten().filter_map(|conn| conn.next_timer()).map(|(at, _)| at);
        timers
            .chain(self.logs.iter().flatten().filter_map(|log| self.ages_out(log)))
            .chain((0..self.logs.len()).filter_map(|room| self.forgotten_at(room)))
            .chain(self.keys.next())
            .chain(self.next_forgotten())
            .min()
    }

    /// Whether this client's connection is open and has not said who it is.
    #[must_use]
    pub fn is_waited_for(&self, client: usize) -> bool {
        self.conns[client].as_ref().is_some_and(|conn| conn.is_open() && !conn.ready && !conn.asked)
    }

    /// Whether this client's connection is closing, or has ended.
    #[must_use]
    pub fn is_closing(&self, client: usize) -> bool {
        self.conns[client].as_ref().is_none_or(|conn| matches!(conn.phase, Phase::Closing { .. }))
    }

    /// Whether this client is not listened to: it is to read first.
    #[must_use]
    pub fn is_held(&self, client: usize) -> bool {
        let is_held = |conn: &Conn| conn.is_open() && !conn.waiting.is_empty() && !conn.asked;
        self.was_high(client) || self.conns[client].as_ref().is_some_and(is_held)
    }

    /// Whether so much waited for this client after the last turn that nothing more was done for it.
    fn was_high(&self, client: usize) -> bool {
        let limits = &self.config.limits;
        let is_high =
            |conn: &Conn| conn.waited > (limits.outbox_frames / 4).max(1) || conn.bytes > limits.outbox_bytes / 4;
        self.conns[client].as_ref().is_some_and(|conn| conn.is_open() && is_high(conn))
    }

    /// Whether this client's socket has not been offered what waits, which is as much as one that refuses may be left with.
    #[must_use]
    pub fn is_to_be_offered(&self, client: usize) -> bool {
        let is_much = |conn: &Conn| !conn.refused && conn.frames() >= self.config.limits.outbox_frames;
        self.conns[client].as_ref().is_some_and(is_much)
    }

    /// Whether the last `connect` of this client was answered with an error, and no other has come.
    #[must_use]
    pub fn was_turned_down(&self, client: usize) -> bool {
        self.conns[client].as_ref().is_some_and(|conn| conn.is_open() && conn.turned_down)
    }

    /// Whether there is a frame that this client must get next.
    #[must_use]
    pub fn waits(&self, client: usize) -> bool {
        self.conns[client].as_ref().is_some_and(|conn| !conn.is_idle())
    }

    /// Whether this client is sent whatever there is for it: it is open, and filters by no events.
    pub(crate) fn hears_all(&self, client: usize) -> bool {
        self.conns[client].as_ref().is_some_and(|conn| conn.is_open() && conn.filter.is_empty())
    }

    /// Whether this client's connection speaks json.
    pub(crate) fn is_json(&self, client: usize) -> bool {
        self.conns[client].as_ref().is_some_and(|conn| conn.entry.json)
    }

    /// Whether this client's connection has said who it is, or is about to.
    pub(crate) fn is_known(&self, client: usize) -> bool {
        self.conns[client].as_ref().is_some_and(|conn| conn.user.is_some() || conn.asked)
    }

    /// Where a room's log is: its epoch, if that is known, and its top.
    #[must_use]
    pub fn place_of(&self, room: usize) -> (Option<Arc<str>>, u64) {
        self.logs[room].as_ref().map_or_else(|| (self.quiet_epoch(room), 0), |log| (log.epoch.clone(), log.top))
    }

    /// The rooms that have no log, where it is known which epoch it would have.
    pub(crate) fn quiet_rooms(&self) -> impl Iterator<Item = u8> {
        let is_known = |room: &usize| self.logs[*room].is_none() && self.quiet_epoch(*room).is_some();
        (0..self.logs.len()).filter(is_known).map(|room| u8::try_from(room).expect("a few rooms"))
    }

    /// What a room is called.
    pub(crate) fn name_of(&self, room: usize) -> &str {
        &self.names[room]
    }

    /// The name of the room that has no log, and would have one of this epoch.
    pub(crate) fn quiet_room(&self, epoch: &str) -> Option<&str> {
        let is_it = |room: &usize| self.logs[*room].is_none() && self.quiet_epoch(*room).as_deref() == Some(epoch);
        (0..self.logs.len()).find(is_it).map(|room| &*self.names[room])
    }

    /// The idempotency keys that are remembered, each with its room and its end.
    pub(crate) fn known_keys(&self) -> impl Iterator<Item = (u8, u8, u64)> {
        self.keys.known()
    }

    /// What has been reached so far.
    #[must_use]
    pub fn goals(&self) -> Goals {
        self.goals
    }

    /// One word for where a client's connection is, with what matters there.
    #[must_use]
    pub fn describe(&self, client: usize) -> String {
        let Some(conn) = &self.conns[client] else { return "-".into() };
        let phase = match &conn.phase {
            Phase::Handshaking => "handshaking".into(),
            Phase::Open if conn.asked => "asked".into(),
            Phase::Open if conn.ready => "ready".into(),
            Phase::Open => "open".into(),
            Phase::Closing { cause, code, .. } => format!("closing {code} for {cause:?}"),
        };
        let rooms: Vec<&str> = (0..self.rooms.len())
            .filter(|room| self.rooms[*room].contains(&client))
            .map(|room| &*self.names[room])
            .collect();
        let half = if conn.half { "½" } else { "" };
        format!("{phase} [{}] out {}{half}", rooms.join(" "), conn.frames())
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).expect("a duration of less than centuries")
}
