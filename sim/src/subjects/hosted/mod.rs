//! The server's own host and driver as the subject, over invented sockets and in an executor of this simulator.
//!
//! Inputs are bytes here, or a socket that ends: the driver has to make the machine's input of it
//! again, and has to write when it is let. A task is polled when its socket has woken it, and never else.

mod frames;
pub(crate) mod pipe;
mod watch;

use crate::goals::Goal;
use crate::rng::Rng;
use crate::subjects::subject::{Mint, Subject, TurnReport, explain};
use crate::world::socket::RECORD_BYTES;
use jsonwebtoken::{EncodingKey, Header, encode};
use parlor::auth::TokenVerifier;
use parlor::net::driver::Handshake;
use parlor::runtime::host::{Host, Progress};
use parlor_core::explain::DeliveryAccount;
use parlor_core::{
    BadToken, CapabilityClaim, Claims, Config, ConnId, Effect, Input, Instant, Lost, Now, Refused, RoomName, Shard,
    Snapshot, Stats, Upgrade, WebSocketMessage,
};
use pipe::Pipe;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use watch::Watch;

/// The key that signs the tokens of this world.
const SECRET: &str = "the secret of an invented world";
/// A 101, as far as the driver cares.
const RESPONSE: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\n\r\n";

/// Goals that a driver does not let come about: it reads nothing before the 101 is out, it checks a token at once, and it has
/// forgotten connections that have ended.
pub const OUT_OF_REACH: [Goal; 2] = [Goal::LostHandshaking, Goal::StaleInput];

/// Sockets are the world's to grant something, between two inputs.
fn with_long_turns(config: Config) -> Config {
    Config { bounded_turns: false, ..config }
}

/// A host with its sockets, and the tasks of its connections.
pub struct Hosted {
    host: Host<Pipe, Watch>,
    pipes: BTreeMap<ConnId, Pipe>,
    tasks: BTreeMap<ConnId, Arc<pipe::Alarm>>,
    /// Connections whose 101 is not out, as far as it has been told.
    answering: BTreeSet<ConnId>,
    /// Connections whose clients have sent a part of a message, of which more is to come.
    fragmented: BTreeSet<ConnId>,
    /// Bytes still to come of the Pong that a client has begun to send.
    half_sent: BTreeMap<ConnId, Vec<u8>>,
    /// Whether its sockets encrypt what they are offered.
    encrypts: bool,
    /// How bytes are cut, and in which order tasks run.
    rng: Rng,
}

impl Subject for Hosted {
    const HAS_DRIVER: bool = true;
    const MINT: Option<Mint> = Some(mint);

    fn new(config: Config, seed: [u8; 32]) -> Self {
        let config = with_long_turns(config);
        let drawn = u64::from_le_bytes(*seed.first_chunk().expect("a seed has more than 8 bytes"));
        Self {
            host: Host::observed(config, seed, TokenVerifier::new(Some(SECRET)), Watch::default()),
            pipes: BTreeMap::new(),
            tasks: BTreeMap::new(),
            answering: BTreeSet::new(),
            fragmented: BTreeSet::new(),
            half_sent: BTreeMap::new(),
            encrypts: false,
            rng: Rng::stream(drawn, "hosted"),
        }
    }

    fn encrypt(&mut self) {
        self.encrypts = true;
    }

    fn accept(&mut self, now: Now, request: Upgrade) -> Result<ConnId, Refused> {
        let accepted = self.host.accept(now, request)?;
        let pipe = if self.encrypts { Pipe::encrypting(RECORD_BYTES) } else { Pipe::default() };
        let conn = accepted.conn();
        self.host.open(accepted, pipe.clone(), Handshake { response: RESPONSE.into(), early: Vec::new() });
        self.pipes.insert(conn, pipe);
        self.answering.insert(conn);
        self.tasks.insert(conn, pipe::Alarm::ringing());
        self.run(now);
        Ok(conn)
    }

    fn turns(&mut self, now: Now, input: Input) -> Vec<TurnReport> {
        let input = match input {
            Input::Configured { config } => Input::Configured { config: with_long_turns(*config).into() },
            other => other,
        };
        self.host.observer().expect_input(&input);
        self.cause(now, input.clone());
        self.run(now);
        let mut turns = self.host.observer().take();
        self.judge_refusals(&turns, &input);
        for seen in &mut turns {
            match seen.follow_up.as_ref().unwrap_or(&input) {
                Input::Flushed { conn, bytes } => seen.written = self.pipes[conn].take(*bytes),
                Input::Upgraded { conn } => assert_eq!(self.pipes[conn].take(RESPONSE.len()), RESPONSE, "the 101"),
                _ => {}
            }
            seen.effects.iter().for_each(|effect| self.forget(effect));
        }
        turns
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.host.shard().poll_timeout()
    }

    fn pending(&self, conn: ConnId) -> Option<Vec<u8>> {
        Subject::pending(self.host.shard(), conn)
    }

    fn is_paused(&self, conn: ConnId) -> bool {
        self.host.shard().is_paused(conn)
    }

    fn snapshot(&self) -> Snapshot {
        self.host.shard().snapshot()
    }

    fn details(&self) -> Vec<(ConnId, String)> {
        self.host.shard().details()
    }

    fn stats(&self) -> Stats {
        self.host.shard().stats()
    }

    fn twin(&self) -> Option<Shard> {
        Some(self.host.shard().clone())
    }

    fn explain(&self, room: &RoomName, epoch: &str, offset: u64) -> Option<Vec<DeliveryAccount>> {
        Some(explain(&[self.host.shard()], room, epoch, offset))
    }

    fn release_canary(&mut self, now: Now, _: u64) -> Option<bool> {
        // What waits for sockets is the world's to have written.
        if self.host.needs_flush() {
            return None;
        }
        self.host.release_canary(now);
        self.host.flush(now, usize::MAX);
        // The input itself, and that it was heard.
        let turns = self.host.observer().take();
        Some(self.host.canary_has_returned() && turns.len() == 2)
    }

    fn audit(&self) {
        self.host.shard().audit();
        assert_eq!(
            self.host.open_connections(),
            self.pipes.len(),
            "G3: an entry is kept for as long as its connection"
        );
    }
}

fn mint(verdict: &Result<Claims, BadToken>) -> String {
    let (claims, secret) = match verdict {
        Ok(claims) => (claims.clone(), SECRET),
        Err(_) => (Claims::default(), "another secret"),
    };
    let mut fields = json!({ "sub": claims.sub, "channels": claims.channels });
    let info = claims.info.map(|info| serde_json::from_str(&info).expect("it is JSON"));
    let entry = |entry: &CapabilityClaim| {
        let mut fields = json!({ "channels": entry.channels, "allow": entry.allow });
        if let Some(matching) = &entry.matching {
            fields["match"] = matching.as_str().into();
        }
        fields
    };
    let caps: Vec<Value> = claims.caps.iter().map(entry).collect();
    let rest = [
        ("caps", (!caps.is_empty()).then(|| caps.into())),
        ("allow", (!claims.allow.is_empty()).then(|| claims.allow.into())),
        ("exp", claims.exp.map(Into::into)),
        ("nbf", claims.nbf.map(Into::into)),
        ("iat", claims.iat.map(Into::into)),
        ("jti", claims.jti.map(Into::into)),
        ("channel", claims.channel.map(Into::into)),
        ("info", info),
    ];
    for (name, value) in rest {
        if let Some(value) = value {
            fields[name] = value;
        }
    }
    encode(&Header::default(), &fields, &EncodingKey::from_secret(secret.as_bytes())).expect("claims can be signed")
}

impl Hosted {
    /// Makes happen outside what leads to this input.
    fn cause(&mut self, now: Now, input: Input) {
        match input {
            Input::Upgraded { conn } => self.pipe(conn).grant(RESPONSE.len()),
            Input::Message { conn, message: WebSocketMessage::Binary(bytes) } => {
                self.send(conn, &frames::binary(&bytes))
            }
            Input::Message { conn, message: WebSocketMessage::Text(text) } => {
                let begun = self.fragmented.remove(&conn);
                let bytes = frames::text(&text, begun, &mut self.rng);
                self.send(conn, &bytes);
            }
            Input::Fragment { conn, .. } => {
                let begun = !self.fragmented.insert(conn);
                self.send(conn, &frames::fragment(begun));
            }
            Input::HalfFrame { conn, .. } => {
                let pong = frames::pong();
                let (first, rest) = pong.split_at(3);
                self.send(conn, first);
                self.half_sent.insert(conn, rest.to_vec());
            }
            Input::Ping { conn, payload } => self.send(conn, &frames::ping(&payload)),
            Input::Pong { conn } => self.send(conn, &frames::pong()),
            Input::PeerClosed { conn, code } => {
                // Whatever a client may say after its Close.
                let more = if self.rng.chance(50) { frames::ping(b"?") } else { Vec::new() };
                self.send(conn, &[frames::close(code), more].concat());
            }
            Input::Violation { conn, rule } => {
                let message_bytes = self.host.shard().config().limits.message_bytes;
                let more = frames::text("{}", false, &mut self.rng);
                let begun = self.fragmented.remove(&conn);
                self.send(conn, &[frames::violation(rule, begun, message_bytes), more].concat());
            }
            Input::Lost { conn, cause: Lost::Write } => {
                self.pipe(conn).break_off();
                self.host.flush(now, usize::MAX);
            }
            Input::Lost { conn, cause } => self.pipe(conn).end(cause),
            Input::Flushed { conn, bytes } => {
                self.pipe(conn).grant(bytes);
                self.host.flush(now, usize::MAX);
            }
            Input::Call { command, .. } => drop(self.host.call(now, command)),
            Input::Link { .. } | Input::ShardLost { .. } => unreachable!("a host has one shard"),
            Input::Engine(_) => unreachable!("it follows no engine"),
            Input::Canary { .. } | Input::CanaryHeard => unreachable!("the world asks for that by itself"),
            Input::Configured { config } => self.host.reconfigure(now, *config, TokenVerifier::new(Some(SECRET))),
            Input::Tick => self.host.tick(now),
            Input::Shutdown => self.host.shut_down(now),
            Input::BodyBegun { bytes } => assert!(self.host.reserve_body(now, bytes), "there is room"),
            Input::BodyEnded { bytes } => self.host.release_body(now, bytes),
            Input::Authenticated { .. } | Input::Unread { .. } | Input::Committed { .. } => {
                unreachable!("the host does that by itself")
            }
        }
    }

    fn pipe(&mut self, conn: ConnId) -> &Pipe {
        &self.pipes[&conn]
    }

    /// Tells the machine what a socket has refused; without that, a client that takes nothing would never be slow.
    fn judge_refusals(&mut self, turns: &[TurnReport], input: &Input) {
        let inputs = || turns.iter().map(|seen| seen.follow_up.as_ref().unwrap_or(input));
        let reported = inputs().filter(|input| matches!(input, Input::Flushed { bytes: 0, .. })).count();
        let refusals = self.pipes.iter().map(|(conn, pipe)| (pipe.take_refusals(), self.answering.contains(conn)));
        // What is refused of a 101 is nothing to the machine.
        let refused: usize = refusals.filter(|(_, is_answering)| !is_answering).map(|(count, _)| count).sum();
        assert!(reported >= refused, "G6: sockets refused {refused} times, which is told {reported} times");
        for input in inputs() {
            if let Input::Upgraded { conn } = input {
                self.answering.remove(conn);
            }
        }
    }

    /// Delivers a client's bytes in pieces of any size.
    fn send(&mut self, conn: ConnId, bytes: &[u8]) {
        let whole = [self.half_sent.remove(&conn).unwrap_or_default().as_slice(), bytes].concat();
        let mut bytes = whole.as_slice();
        while !bytes.is_empty() {
            let most = if self.rng.chance(50) { bytes.len() } else { bytes.len().min(7) };
            let length = self.rng.between(1, most as u64);
            let (piece, rest) = bytes.split_at(usize::try_from(length).expect("a length"));
            self.pipes[&conn].deliver(piece);
            bytes = rest;
        }
    }

    /// Checks that the sockets of connections that have ended are closed, as the shard said.
    fn forget(&mut self, effect: &Effect) {
        if let Effect::Finish(conn) = effect {
            assert!(self.pipes[conn].is_finished(), "G1: the stream to {conn} ends with its last frame");
        }
        let Effect::Closed { conn, end } = effect else { return };
        let pipe = self.pipes.remove(conn).expect("a connection that ends has a pipe");
        self.fragmented.remove(conn);
        self.answering.remove(conn);
        self.half_sent.remove(conn);
        assert!(pipe.hung_up() == Some(end.clean), "G7: a clean end lets out what was written, and no other does");
        assert!(!self.tasks.contains_key(conn), "G7: the task of {conn} ends with it");
    }

    /// Polls the tasks that were woken, in any order, until none is.
    fn run(&mut self, now: Now) {
        loop {
            let woken: Vec<ConnId> =
                self.tasks.iter().filter(|(_, alarm)| alarm.is_ringing()).map(|(conn, _)| *conn).collect();
            if woken.is_empty() {
                return;
            }
            let conn = self.rng.pick(&woken);
            let alarm = Arc::clone(&self.tasks[&conn]);
            alarm.silence();
            let waker = Waker::from(Arc::clone(&alarm));
            match self.host.poll_connection(now, conn, &mut Context::from_waker(&waker)) {
                Poll::Ready(Progress::Yield) => alarm.ring(),
                Poll::Ready(Progress::Ended) => drop(self.tasks.remove(&conn)),
                Poll::Pending => {}
            }
        }
    }
}
