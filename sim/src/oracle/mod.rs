//! The independent judge: what the documents say must happen, in sets and queues of its own.
//!
//! It shares nothing with core but the types that go in and come out. What a client gets is judged frame by frame as the
//! client's own parser sees it; effects, state and counts are judged after every turn (in `judge.rs`).

mod calls;
mod expect;
mod judge;
mod pace;
mod presence;
mod recovery;
mod rooms;
mod session;
mod tokens;

pub use calls::Call;
pub use expect::Expect;
pub use judge::Outcome;
pub use recovery::{Query, Want};

use crate::checks::{Failure, Guarantee};
use crate::client::Frame;
use crate::coverage::{Goal, Goals};
use crate::setup::Setup;
use crate::speech::{Said, room_name, user_name};
use pace::{Bucket, Pace};
use parlor_core::{ClientId, Config, ConnId, EndedBy, Refused, Snapshot, Stats};
use presence::{News, Seat};
use recovery::{Keys, Replay};
use rooms::{Log, PUBLICATION, Past};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
pub(crate) use tokens::Ask;

/// What the oracle is told of one input.
#[derive(Clone, Debug)]
pub enum Deed<'a> {
    /// The 101 is out.
    Upgraded(usize),
    /// A text of this many bytes that means this.
    Text(usize, usize, &'a [Said]),
    /// A Ping frame with this payload.
    Ping(usize, &'a [u8]),
    /// A Pong frame.
    Pong(usize),
    /// A Close frame with this code.
    PeerClosed(usize, Option<u16>),
    /// A broken rule, and its close code.
    Violated(usize, u16),
    /// A lost socket, and the code that is recorded for it.
    Lost(usize, u16),
    /// The socket took this many bytes.
    Flushed(usize, usize),
    /// The token has been looked at.
    Decided(usize, Ruling),
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
pub struct Ruling {
    /// It says nothing: its signature is wrong.
    pub forged: bool,
    /// It is not valid yet.
    pub early: bool,
    /// Whose it is; `None` for nobody.
    pub user: Option<usize>,
    /// When it ends, in seconds since 1970.
    pub exp: Option<u64>,
    /// The rooms it puts the connection in.
    pub channels: Vec<usize>,
    /// It names more rooms than a connection may be in.
    pub crowded: bool,
    /// The room it is for.
    pub channel: Option<usize>,
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
    /// Whether it is told where it is.
    pub positions: bool,
    /// Which of the addresses it comes from.
    pub address: u8,
}

/// A text that waits, or what is left of it.
#[derive(Clone, Debug)]
pub(crate) struct Waiting {
    pub said: VecDeque<Said>,
    /// The fewest and the most bytes of it.
    bytes: (usize, usize),
}

/// Where in its life a connection is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Phase {
    Handshaking,
    Open,
    Closing { code: u16, by: EndedBy, hang_up: bool },
}

/// The deadlines of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Timer {
    Handshake,
    Authenticate,
    Ping,
    Pong,
    Write,
    Expiry,
    RoomExpiry,
    Close,
}

impl Timer {
    const ALL: [Self; 8] = [
        Self::Handshake,
        Self::Authenticate,
        Self::Ping,
        Self::Pong,
        Self::Write,
        Self::Expiry,
        Self::RoomExpiry,
        Self::Close,
    ];
}

impl Timer {
    /// The limit that is reached when it fires.
    fn limit(self) -> Option<&'static str> {
        match self {
            Self::Handshake => Some("handshake_timeout"),
            Self::Authenticate => Some("authenticate_timeout"),
            Self::Pong => Some("pong_timeout"),
            Self::Write => Some("write_timeout"),
            Self::Expiry | Self::RoomExpiry => Some("expiry_grace"),
            Self::Close => Some("close_timeout"),
            Self::Ping => None,
        }
    }
}

/// One connection as the documents say it must be.
#[derive(Clone, Debug)]
pub(crate) struct Conn {
    pub id: ConnId,
    pub client: ClientId,
    pub entry: Entry,
    pub phase: Phase,
    /// What must come out of its socket, in this order.
    pub queue: VecDeque<Expect>,
    /// Whether the client has a part of the first of them.
    pub half: bool,
    /// It was greeted or answered: it is in its rooms.
    pub ready: bool,
    /// A token is being looked at.
    pub asked: bool,
    /// What for.
    pub ask: Ask,
    pub user: Option<usize>,
    pub filter: Vec<&'static str>,
    /// What came while a token was being looked at.
    pub waiting: VecDeque<Waiting>,
    /// What it wants of the rooms that a token puts it in.
    pub wants: Vec<(usize, Want)>,
    pace: Pace,
    pub timers: [Option<u64>; 8],
    /// Bytes that waited after the last turn, and the fewest and most that came to them in this one.
    bytes: usize,
    added: (usize, usize),
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

    /// The earliest deadline; of two at one instant the one that is listed first.
    fn next_timer(&self) -> Option<(u64, Timer)> {
        Timer::ALL.iter().filter_map(|timer| Some((self.timer(*timer)?, *timer))).min_by_key(|(at, _)| *at)
    }
}

/// How a connection must have ended; `None` where the documents leave it open.
#[derive(Clone, Copy, Debug)]
struct Ending {
    code: Option<u16>,
    by: Option<EndedBy>,
    clean: bool,
}

impl Ending {
    /// The server gave up a connection that was not open yet.
    const ABORTED: Self = Self { code: Some(1006), by: Some(EndedBy::Server), clean: false };
}

/// What must come of the turn at hand.
#[derive(Clone, Debug, Default)]
struct Turn {
    /// Which room or user, and whether it came to life.
    changes: Vec<(Subject, bool)>,
    ended: Vec<(usize, ConnId, Ending)>,
    asks: Vec<(usize, String)>,
    answer: Option<calls::Answer>,
    /// Connections whose queue was empty when the turn began.
    were_empty: Vec<bool>,
    /// Connections of which frames were dropped.
    were_cut: Vec<bool>,
    /// Rooms of which a log began.
    began: Vec<usize>,
    /// What may come to life and cease to be within the turn: a connection was closed on its way in.
    flashes: Vec<Subject>,
    was_tick: bool,
    /// More than one command may be carried out in it.
    is_long: bool,
    /// Who came and went, and was not told of yet.
    news: VecDeque<News>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Subject {
    Room(usize),
    User(usize),
}

/// What the subject chose where it was free to choose: epochs, and where bytes are counted to the last one.
#[derive(Clone, Debug, Default)]
struct Chosen {
    epochs: Vec<Option<Arc<str>>>,
    /// Who is being closed by the server, with what.
    closing: Vec<(ConnId, u16)>,
    /// How often which limit was in the way.
    hits: BTreeMap<&'static str, u64>,
}

/// Totals, counted independently.
#[derive(Clone, Debug, Default)]
struct Counted {
    accepted: u64,
    refused: u64,
    closed: BTreeMap<u16, u64>,
    bytes_written: u64,
    published: u64,
    stale: u64,
    backsteps: u64,
    events: u64,
    limits: BTreeMap<&'static str, u64>,
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
    /// What is special about a peer in a room; every member has one.
    pub(crate) seats: BTreeMap<(usize, usize), Seat>,
    keys: Keys,
    arrivals: Bucket,
    /// How many turns there were.
    turns: u64,
    /// How often a log lost its last member.
    stamps: u64,
    pub(crate) logs: Vec<Option<Log>>,
    /// Every epoch there ever was.
    epochs: Vec<Arc<str>>,
    /// Every slot's generations so far.
    generations: BTreeMap<u32, u32>,
    past: Vec<Past>,
    pub(crate) shutting_down: bool,
    counted: Counted,
    goals: Goals,
    turn: Turn,
    chosen: Chosen,
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
            turns: 0,
            stamps: 0,
            logs: vec![None; names.len()],
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
            chosen: Chosen::default(),
        }
    }

    /// Judges the answer to an upgrade request of this peer.
    ///
    /// # Errors
    /// It was taken in where it must not be, refused where it may not be, or got an id that is not new.
    pub fn accepted(
        &mut self,
        peer: usize,
        client: ClientId,
        entry: Entry,
        answer: Result<ConnId, Refused>,
    ) -> Result<(), Failure> {
        let reasons = self.reasons_to_refuse(&entry);
        match answer {
            Err(refused) if reasons.iter().any(|(reason, _)| *reason == refused) => {
                self.counted.refused += 1;
                if let Some((_, limit)) = reasons.iter().find(|(reason, limit)| *reason == refused && !limit.is_empty()) {
                    self.goals.reach(Goal::ConnectionLimit);
                    self.hit(limit);
                }
                Ok(())
            }
            Ok(id) if reasons.is_empty() => {
                let rate = self.config.limits.new_connections;
                self.arrivals.take(self.clock, (rate.per_second, rate.burst));
                self.take_in(peer, id, client, entry)
            }
            _ => Err(Failure::new(Guarantee::P1, format_args!("refused with one of {reasons:?}, or accepted if there is none"), format_args!("{answer:?}"))),
        }
    }

    /// Why a connection may be refused, each with the limit that is in the way.
    fn reasons_to_refuse(&self, entry: &Entry) -> Vec<(Refused, &'static str)> {
        let limits = &self.config.limits;
        if self.shutting_down {
            return vec![(Refused::ShuttingDown, "")];
        }
        let count = self.conns.iter().flatten().count();
        let neighbours = self.conns.iter().flatten().filter(|conn| conn.entry.address == entry.address).count();
        let rate = limits.new_connections;
        let mut reasons = Vec::new();
        if count >= limits.connections {
            reasons.push((Refused::Connections, "connections"));
        }
        if limits.connections_per_ip > 0 && neighbours >= limits.connections_per_ip {
            reasons.push((Refused::ConnectionsPerIp, "connections_per_ip"));
        }
        if !self.arrivals.clone().take(self.clock, (rate.per_second, rate.burst)) {
            reasons.push((Refused::NewConnections, "new_connections"));
        }
        reasons
    }

    fn take_in(&mut self, peer: usize, id: ConnId, client: ClientId, entry: Entry) -> Result<(), Failure> {
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
            client,
            entry,
            phase: Phase::Handshaking,
            queue: VecDeque::new(),
            half: false,
            ready: false,
            asked: false,
            user: None,
            filter: Vec::new(),
            ask: Ask::Identity,
            waiting: VecDeque::new(),
            wants: Vec::new(),
            pace: Pace::default(),
            timers: [None; 8],
            bytes: 0,
            added: (0, 0),
        };
        conn.arm(Timer::Handshake, self.clock + nanos(self.config.limits.handshake_timeout));
        self.conns[peer] = Some(conn);
        Ok(())
    }

    /// Judges one frame that a client has received; `half` is whether a part of another one has come after it.
    ///
    /// # Errors
    /// It is not the one that was due.
    pub fn saw(&mut self, peer: usize, frame: &Frame) -> Result<(), Failure> {
        let conn = self.conns[peer].as_mut().expect("whoever is written to exists");
        // What is about different members and comes from one turn has no order among itself.
        let first = conn.queue.front().filter(|expect| !expect.is_met_by(frame));
        let out_of_order = first.and_then(|_| {
            let at = conn.queue.iter().position(|expect| expect.is_met_by(frame))?;
            let may = (0..at).all(|before| conn.queue[at].may_follow(&conn.queue[before]));
            may.then_some(at)
        });
        let Some(expect) = conn.queue.remove(out_of_order.unwrap_or(0)) else {
            let closed = matches!(conn.phase, Phase::Closing { .. });
            let unasked = if matches!(frame, Frame::Text(_)) { Guarantee::G5 } else { Guarantee::P1 };
            let guarantee = if closed { Guarantee::G1 } else { unasked };
            return Err(Failure::new(guarantee, format_args!("nothing more for client {peer}"), frame));
        };
        conn.half = false;
        let json = conn.entry.json;
        if expect.is_met_by(frame) {
            self.note_delivery(&expect, json);
            return Ok(());
        }
        let is_known = self.names.iter().any(|name| frame.to_string().contains(&format!(r#""channel":"{name}","pub""#)));
        let guarantee = if is_known { Guarantee::G5 } else { expect.guarantee() };
        Err(Failure::new(guarantee, format_args!("client {peer} receives {expect}"), frame))
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
    pub fn is_cut(&mut self, peer: usize, half: bool) {
        let conn = self.conns[peer].as_mut().expect("whoever is written to exists");
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

    /// Works out what must come of one input; [`Oracle::judge`] compares. The snapshot after the turn tells what the
    /// subject chose where the documents leave it free.
    pub fn foresee(&mut self, deed: &Deed<'_>, after: &Snapshot, stats: &Stats) {
        self.turns += 1;
        self.turn = Turn {
            were_empty: self.conns.iter().map(|conn| conn.as_ref().is_none_or(|conn| conn.queue.is_empty())).collect(),
            were_cut: vec![false; self.conns.len()],
            was_tick: matches!(deed, Deed::Tick),
            ..Turn::default()
        };
        self.chosen = self.read_choices(after, stats);
        match deed {
            Deed::Upgraded(peer) => self.upgraded(*peer),
            Deed::Text(peer, bytes, said) => self.text(*peer, *bytes, said),
            Deed::Ping(peer, payload) => self.ping(*peer, payload),
            Deed::Pong(peer) => self.heard(*peer),
            Deed::PeerClosed(peer, code) => self.peer_closed(*peer, *code),
            Deed::Violated(peer, code) => self.violated(*peer, *code),
            Deed::Lost(peer, code) => self.lost(*peer, *code),
            Deed::Flushed(peer, bytes) => self.flushed(*peer, *bytes),
            Deed::Decided(peer, ruling) => self.decided(*peer, ruling),
            Deed::Call(call) => self.call(call),
            Deed::Tick => self.tick(),
            Deed::Shutdown => self.shutdown(),
            Deed::Stale => self.counted.stale += 1,
        }
        self.settle();
        self.end_logs();
    }

    fn upgraded(&mut self, peer: usize) {
        let authenticate = self.clock + nanos(self.config.limits.authenticate_timeout);
        let ping = self.clock + nanos(self.config.limits.ping_interval);
        let Some(conn) = self.conn(peer).filter(|conn| conn.phase == Phase::Handshaking) else { return };
        conn.phase = Phase::Open;
        conn.disarm(Timer::Handshake);
        conn.arm(Timer::Authenticate, authenticate);
        if !conn.entry.json {
            conn.arm(Timer::Ping, ping);
            self.opened_plain(peer);
        }
    }

    /// Any complete frame meets the deadline of a ping.
    fn heard(&mut self, peer: usize) {
        let is_due = |conn: &&mut Conn| conn.is_open() && conn.timer(Timer::Pong).is_some();
        if let Some(conn) = self.conn(peer).filter(is_due) {
            conn.disarm(Timer::Pong);
            self.goals.reach(Goal::PingAnswered);
        }
    }

    /// A Pong goes out at the next end of a frame (RFC 6455 section 5.5.3). One waits at most, so it needs no room.
    fn ping(&mut self, peer: usize, payload: &[u8]) {
        self.heard(peer);
        let Some(conn) = self.conn(peer).filter(|conn| conn.is_open()) else { return };
        let written = usize::from(conn.half);
        let unsent = conn.queue.iter_mut().skip(written).find(|expect| expect.is_pong());
        match unsent {
            Some(pong) => {
                *pong = Expect::pong(payload);
                self.goals.reach(Goal::PongReplaced);
            }
            None => conn.queue.insert(written, Expect::pong(payload)),
        }
    }

    fn peer_closed(&mut self, peer: usize, code: Option<u16>) {
        let Some(conn) = self.conn(peer) else { return };
        match conn.phase {
            Phase::Handshaking => self.end(peer, Ending { code: None, by: None, clean: false }),
            Phase::Open => self.close_with(peer, code.unwrap_or(1005), EndedBy::Peer, Expect::close(code)),
            Phase::Closing { by: EndedBy::Peer, .. } | Phase::Closing { hang_up: true, .. } => {}
            Phase::Closing { code, by, .. } if conn.queue.is_empty() => {
                self.goals.reach(Goal::PeerClosedWhileClosing);
                self.end(peer, Ending { code: Some(code), by: Some(by), clean: true });
            }
            Phase::Closing { code, by, .. } => {
                conn.phase = Phase::Closing { code, by, hang_up: true };
                if conn.half && conn.queue.len() == 1 {
                    return;
                }
                let close = conn.queue.pop_back().expect("a Close waits");
                self.drop_unsent(peer);
                self.conn(peer).expect("it is closing").queue.push_back(close);
            }
        }
    }

    fn violated(&mut self, peer: usize, code: u16) {
        let Some(conn) = self.conn(peer) else { return };
        match conn.phase {
            Phase::Handshaking => self.end(peer, Ending { code: None, by: None, clean: false }),
            Phase::Open => self.close(peer, code),
            Phase::Closing { .. } => {}
        }
        if code == 1009 {
            self.hit("message_bytes");
        }
    }

    fn lost(&mut self, peer: usize, code: u16) {
        let Some(conn) = self.conn(peer) else { return };
        let goal = match conn.phase {
            Phase::Handshaking => Goal::LostHandshaking,
            Phase::Open => Goal::LostOpen,
            Phase::Closing { .. } => Goal::LostClosing,
        };
        let ending = match conn.phase {
            Phase::Closing { code, by, .. } => Ending { code: Some(code), by: Some(by), clean: false },
            _ => Ending { code: Some(code), by: Some(EndedBy::Loss), clean: false },
        };
        self.goals.reach(goal);
        self.end(peer, ending);
    }

    fn flushed(&mut self, peer: usize, bytes: usize) {
        self.counted.bytes_written += bytes as u64;
        let deadline = self.clock + nanos(self.config.limits.write_timeout);
        let Some(conn) = self.conn(peer) else { return };
        match conn.phase {
            Phase::Closing { code, by, hang_up: true } if conn.queue.is_empty() => {
                self.end(peer, Ending { code: Some(code), by: Some(by), clean: true });
            }
            Phase::Open if conn.queue.is_empty() => conn.disarm(Timer::Write),
            Phase::Open if bytes > 0 || conn.timer(Timer::Write).is_none() => conn.arm(Timer::Write, deadline),
            _ => {}
        }
    }

    fn tick(&mut self) {
        for peer in 0..self.conns.len() {
            while let Some((at, timer)) = self.conn(peer).and_then(|conn| conn.next_timer()) {
                if at > self.clock {
                    break;
                }
                self.due(peer, timer, at);
            }
        }
        self.age_logs();
        if self.keys.forget(self.clock) {
            self.goals.reach(Goal::KeyForgotten);
        }
    }

    fn due(&mut self, peer: usize, timer: Timer, at: u64) {
        let clock = self.clock;
        let interval = nanos(self.config.limits.ping_interval);
        let conn = self.conn(peer).expect("its timer is armed");
        conn.disarm(timer);
        timer.limit().into_iter().for_each(|limit| self.hit(limit));
        let conn = self.conn(peer).expect("its timer was armed");
        match timer {
            Timer::Handshake => {
                self.goals.reach(Goal::HandshakeLapsed);
                self.end(peer, Ending::ABORTED);
            }
            Timer::Authenticate => self.close(peer, 3502),
            Timer::Pong => self.close(peer, 3012),
            Timer::Write => self.close(peer, 3009),
            Timer::Expiry => self.close(peer, 3005),
            Timer::RoomExpiry => self.seats_due(peer),
            Timer::Close => {
                let Phase::Closing { code, by, .. } = conn.phase else { unreachable!("only then is it armed") };
                self.goals.reach(Goal::CloseLapsed);
                self.end(peer, Ending { code: Some(code), by: Some(by), clean: false });
            }
            Timer::Ping => {
                // The schedule is fixed: a tick that comes late moves nothing.
                conn.arm(Timer::Ping, at + interval * ((clock - at) / interval + 1));
                if conn.timer(Timer::Pong).is_none() {
                    self.send_ping(peer);
                }
            }
        }
    }

    fn send_ping(&mut self, peer: usize) {
        let deadline = self.clock + nanos(self.config.limits.pong_timeout);
        let conn = self.conn(peer).expect("its timer was armed");
        conn.arm(Timer::Pong, deadline);
        let frame = !conn.entry.json || conn.entry.frame_pings;
        self.tell(peer, if frame { Expect::ping() } else { Expect::json(serde_json::json!({}), 3) });
    }

    fn shutdown(&mut self) {
        if self.shutting_down {
            return;
        }
        self.shutting_down = true;
        let is_any = |which: fn(&Phase) -> bool| self.conns.iter().flatten().any(|conn| which(&conn.phase));
        let is_closing: fn(&Phase) -> bool = |phase| matches!(phase, Phase::Closing { .. });
        if is_any(|phase| *phase == Phase::Handshaking) && is_any(|phase| *phase == Phase::Open) && is_any(is_closing) {
            self.goals.reach(Goal::ShutDownWithPeersInEveryPhase);
        }
        for peer in 0..self.conns.len() {
            match self.conn(peer).map(|conn| conn.phase.clone()) {
                Some(Phase::Handshaking) => self.end(peer, Ending::ABORTED),
                Some(Phase::Open) => self.close(peer, 3001),
                _ => {}
            }
        }
    }

    fn conn(&mut self, peer: usize) -> Option<&mut Conn> {
        self.conns[peer].as_mut()
    }

    /// Puts a frame before a client, or closes it as slow where its outbox has no room.
    fn tell(&mut self, peer: usize, expect: Expect) {
        if !self.enqueue(peer, expect) {
            self.close(peer, 3008);
        }
    }

    /// Whether the outbox had room for it.
    fn enqueue(&mut self, peer: usize, expect: Expect) -> bool {
        if let Some(limit) = self.fullness(peer, &expect) {
            self.hit(limit);
            return false;
        }
        let conn = self.conns[peer].as_mut().expect("only who is open is told");
        conn.added = (conn.added.0 + expect.size.0, conn.added.1 + expect.size.1);
        conn.queue.push_back(expect);
        true
    }

    /// Which limit keeps a frame out of an outbox. Where bytes cannot be told to the last one, the subject says.
    fn fullness(&self, peer: usize, expect: &Expect) -> Option<&'static str> {
        let limits = &self.config.limits;
        let conn = self.conns[peer].as_ref().expect("only who is open is told");
        let least = conn.bytes + conn.added.0 + expect.size.0;
        let most = conn.bytes + conn.added.1 + expect.size.1;
        let says = |limit| self.chosen.hits.get(limit) > self.counted.limits.get(limit);
        if expect.size.0 > limits.frame_bytes || (expect.size.1 > limits.frame_bytes && says("frame_bytes")) {
            Some("frame_bytes")
        } else if least > limits.outbox_bytes || (most > limits.outbox_bytes && says("outbox_bytes")) {
            Some("outbox_bytes")
        } else {
            (conn.queue.len() >= limits.outbox_frames).then_some("outbox_frames")
        }
    }

    /// Leaves out a replay of more than half of what the outbox still takes: several at once would end the connection.
    fn within_outbox(&self, peer: usize, replay: Replay) -> Replay {
        let conn = self.conns[peer].as_ref().expect("it is open");
        let free = self.config.limits.outbox_bytes.saturating_sub(conn.bytes + conn.added.0);
        if replay.bytes() > free / 2 { Replay::FAILED } else { replay }
    }

    /// Closes an open connection by the server's decision.
    fn close(&mut self, peer: usize, code: u16) {
        self.note_close(peer, code);
        self.close_with(peer, code, EndedBy::Server, Expect::close(Some(code)));
    }

    fn note_close(&mut self, peer: usize, code: u16) {
        let half = self.conns[peer].as_ref().is_some_and(|conn| conn.half);
        let is_among_others = self.rooms.iter().any(|members| members.contains(&peer) && members.len() > 2);
        let goal = match code {
            1000..=1999 => Goal::Violation,
            3005 => Goal::Expired,
            3008 => Goal::Slow,
            3009 => Goal::WriteLapsed,
            3012 => Goal::NoPong,
            3500 => Goal::InvalidToken,
            3501 => Goal::BadRequest,
            3502 => Goal::AuthenticateLapsed,
            3013 => Goal::TooManyRefusals,
            3503 => Goal::Disconnected,
            3504 => Goal::UserLimit,
            3505 => Goal::RoomLimit,
            _ => return,
        };
        self.goals.reach(goal);
        if goal == Goal::Slow && half {
            self.goals.reach(Goal::SlowHalfWritten);
        }
        if goal == Goal::Slow && is_among_others {
            self.goals.reach(Goal::SlowAmongOthers);
        }
    }

    fn close_with(&mut self, peer: usize, code: u16, by: EndedBy, close: Expect) {
        self.leave_everything(peer);
        if by == EndedBy::Peer && self.conns[peer].as_ref().is_some_and(|conn| conn.half) {
            self.goals.reach(Goal::PeerClosedHalfWritten);
        }
        let orderly = by == EndedBy::Server && matches!(code, 3000 | 3001 | 3005 | 3006 | 3011 | 3503);
        if !orderly {
            self.drop_unsent(peer);
        }
        let deadline = self.clock + nanos(self.config.limits.close_timeout);
        let conn = self.conn(peer).expect("it is open");
        conn.queue.push_back(close);
        conn.timers = [None; 8];
        conn.arm(Timer::Close, deadline);
        conn.phase = Phase::Closing { code, by, hang_up: by == EndedBy::Peer };
        conn.waiting.clear();
        conn.wants.clear();
        conn.ask = Ask::Identity;
        (conn.ready, conn.asked, conn.user) = (false, false, None);
    }

    /// Drops every frame of which the client has nothing yet.
    fn drop_unsent(&mut self, peer: usize) {
        let conn = self.conns[peer].as_mut().expect("it is there");
        let kept = usize::from(conn.half);
        self.turn.were_cut[peer] |= conn.queue.len() > kept;
        conn.queue.truncate(kept);
    }

    fn end(&mut self, peer: usize, ending: Ending) {
        if self.conns[peer].as_ref().is_some_and(Conn::is_open) {
            self.leave_everything(peer);
        }
        let conn = self.conns[peer].take().expect("it has not ended yet");
        self.turn.ended.push((peer, conn.id, ending));
    }

    /// The one way out of being open: every room and the user.
    fn leave_everything(&mut self, peer: usize) {
        for room in 0..self.rooms.len() {
            self.leave(peer, room);
        }
        let Some(user) = self.conn(peer).and_then(|conn| conn.user.take()) else { return };
        if !self.conns.iter().flatten().any(|conn| conn.user == Some(user)) {
            self.turn.changes.push((Subject::User(user), false));
        }
    }

    /// The next instant at which something is due.
    #[must_use]
    pub fn next_deadline(&self) -> Option<u64> {
        let timers = self.conns.iter().flatten().filter_map(|conn| conn.next_timer()).map(|(at, _)| at);
        timers.chain(self.logs.iter().flatten().filter_map(|log| self.ages_out(log))).chain(self.keys.next()).min()
    }

    /// Whether this peer's connection is open and its client has not said who it is.
    #[must_use]
    pub fn is_waited_for(&self, peer: usize) -> bool {
        self.conns[peer].as_ref().is_some_and(|conn| conn.is_open() && !conn.ready && !conn.asked)
    }

    /// Whether this peer's connection speaks json.
    pub(crate) fn is_json(&self, peer: usize) -> bool {
        self.conns[peer].as_ref().is_some_and(|conn| conn.entry.json)
    }

    /// Whether this peer's connection has said who it is, or is about to.
    pub(crate) fn is_known(&self, peer: usize) -> bool {
        self.conns[peer].as_ref().is_some_and(|conn| conn.user.is_some() || conn.asked)
    }

    /// Where a room's log is: its epoch, if it has one that is known, and its top.
    #[must_use]
    pub fn place_of(&self, room: usize) -> (Option<Arc<str>>, u64) {
        self.logs[room].as_ref().map_or((None, 0), |log| (log.epoch.clone(), log.top))
    }

    /// The idempotency keys that are remembered, each with its room.
    pub(crate) fn known_keys(&self) -> impl Iterator<Item = (u8, u8)> {
        self.keys.known()
    }

    /// What has been reached so far.
    #[must_use]
    pub fn goals(&self) -> Goals {
        self.goals
    }

    /// One word for where a peer's connection is, with what matters there.
    #[must_use]
    pub fn describe(&self, peer: usize) -> String {
        let Some(conn) = &self.conns[peer] else { return "-".into() };
        let phase = match &conn.phase {
            Phase::Handshaking => "handshaking".into(),
            Phase::Open if conn.asked => "asked".into(),
            Phase::Open if conn.ready => "ready".into(),
            Phase::Open => "open".into(),
            Phase::Closing { code, .. } => format!("closing {code}"),
        };
        let rooms: Vec<&str> =
            (0..self.rooms.len()).filter(|room| self.rooms[*room].contains(&peer)).map(|room| &*self.names[room]).collect();
        let half = if conn.half { "½" } else { "" };
        format!("{phase} [{}] out {}{half}", rooms.join(" "), conn.queue.len())
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).expect("a duration of less than centuries")
}
