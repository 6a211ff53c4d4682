//! Inputs that come in between the parts of a call that was put off. No reference model foresees them: what each client reads is
//! judged alone, by what every client and backend may count on.

use crate::guarantees::{Failure, Guarantee, equal};
use crate::rng::Rng;
use crate::world::frames::{Parser, ReceivedFrame};
use parlor_core::admission::route;
use parlor_core::api::json;
use parlor_core::{CallId, Config, ConnId, Effect, Input, Instant, Limits, Lost, Now, Shard, Upgrade};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

const ROOMS: u64 = 4;
const STEPS: usize = 30;
/// Ids of the commands of a client, each with its room.
const JOIN: u64 = 100;
const LEAVE: u64 = 200;

/// Result of a run.
#[derive(Clone, Copy, Debug, Default)]
pub struct PartsReport {
    /// How often something was put off.
    pub parts: u64,
    /// How many inputs came before it was gone on with.
    pub inputs: u64,
    /// How many publications were read.
    pub read: u64,
}

/// Publications of each room by their offset, as the first client to read them did.
#[derive(Debug, Default)]
struct KnownLogs(BTreeMap<(String, u64), String>);

/// Everything that one client has read.
#[derive(Debug, Default)]
struct ClientStream {
    /// The rooms that it is in, each with the offset that it is at.
    rooms: BTreeMap<String, u64>,
    messages: BTreeSet<String>,
    publications: u64,
    replies: u64,
}

impl ClientStream {
    /// Reads one text: in each room a run of what was said there, the same to everybody.
    ///
    /// # Errors
    /// A hole, a repeat, a swap, or another message than another client has read.
    fn read(&mut self, text: &str, known_logs: &mut KnownLogs) -> Result<(), Failure> {
        let broken = |expected: String| Err(Failure::new(Guarantee::G5, expected, text));
        let value: Value = serde_json::from_str(text).expect("what is sent is JSON");
        self.replies += u64::from(value["id"].is_u64());
        let name = |id: u64, first: u64| format!("r{}", id - first);
        match (value["id"].as_u64(), value.get("error")) {
            (Some(id @ JOIN..LEAVE), None) => {
                self.rooms.insert(name(id, JOIN), value["subscribe"]["offset"].as_u64().unwrap_or(0));
            }
            (Some(id @ LEAVE..), None) => drop(self.rooms.remove(&name(id, LEAVE))),
            _ => {}
        }
        let push = &value["push"];
        if let Some(message) = push.get("message") {
            let message = message.to_string();
            if !self.messages.insert(message.clone()) {
                return broken(format!("{message} once"));
            }
        }
        let (Some(room), Some(publication)) = (push["channel"].as_str(), push.get("pub")) else { return Ok(()) };
        let (offset, data) = (publication["offset"].as_u64().unwrap_or(0), publication["data"].to_string());
        let Some(at) = self.rooms.get_mut(room) else {
            return broken(format!("nothing of {room}, which it is not in"));
        };
        if offset != *at + 1 {
            return broken(format!("{} of {room}", *at + 1));
        }
        *at = offset;
        self.publications += 1;
        let known = known_logs.0.entry((room.to_owned(), offset)).or_insert_with(|| data.clone());
        if *known == data { Ok(()) } else { broken(format!("{known} as {offset} of {room}")) }
    }
}

struct PartsClient {
    parser: Parser,
    stream: ClientStream,
    /// How many commands it has sent.
    commands: u64,
    /// Its socket may refuse.
    slow: bool,
}

struct PartsWorld {
    shard: Shard,
    rng: Rng,
    clients: BTreeMap<ConnId, PartsClient>,
    known_logs: KnownLogs,
    calls: u64,
    /// The calls that are not answered yet.
    open: BTreeSet<u64>,
    /// Whose sockets were made to fail.
    lost: BTreeSet<ConnId>,
    number: u64,
    /// When the shard is to go on from its written state.
    rereads: Rng,
    done: PartsReport,
}

/// Runs the world of this seed.
///
/// # Errors
/// A property of the streams or the answers that does not hold.
pub fn run(seed: u64) -> Result<PartsReport, Failure> {
    let mut rng = Rng::stream(seed, "between");
    let limits = Limits { outbox_frames: rng.pick(&[8, 16, 64]), ..Limits::default() };
    let shard = Shard::new(Config::from(limits), [seed.to_le_bytes()[0]; 32]);
    let mut world = PartsWorld {
        shard,
        rng,
        clients: BTreeMap::new(),
        known_logs: KnownLogs::default(),
        calls: 0,
        open: BTreeSet::new(),
        lost: BTreeSet::new(),
        number: 0,
        rereads: Rng::stream(seed, "rereads"),
        done: PartsReport::default(),
    };
    for _ in 0..4 {
        world.come()?;
    }
    for _ in 0..STEPS {
        let is_much = world.rng.chance(40);
        if is_much { world.ask_much() } else { world.do_little() }?;
        world.go_on()?;
    }
    world.check_end()
}

impl PartsWorld {
    fn now() -> Now {
        Now { mono: Instant(1_000_000_000), unix_ms: 1_795_352_400_000 }
    }

    /// Has the shard go on from its written state now and then: what is put off is in it.
    fn maybe_reread(&mut self) {
        if self.rereads.chance(20) {
            self.shard = self.shard.reread();
            self.shard.audit();
        }
    }

    fn handle(&mut self, input: Input) -> Result<(), Failure> {
        self.maybe_reread();
        let effects: Vec<Effect> = self.shard.handle(Self::now(), input).collect();
        self.carry_out(effects)
    }

    fn carry_out(&mut self, effects: Vec<Effect>) -> Result<(), Failure> {
        self.shard.audit();
        for effect in effects {
            match effect {
                Effect::Reply { call, result } => {
                    if !self.open.remove(&call.0) {
                        return Err(Failure::new(Guarantee::P1, "one answer to each call", format_args!("{call:?}")));
                    }
                    let body = json::encode(&result);
                    if body.contains("error") {
                        return Err(Failure::new(Guarantee::P1, "no error", body));
                    }
                }
                Effect::Closed { conn, end } => {
                    let client = self.clients.remove(&conn).expect("it was there");
                    if !client.slow && !self.lost.contains(&conn) {
                        return Err(Failure::new(Guarantee::G6, "whoever reads to stay", format_args!("{end:?}")));
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Offers every socket what waits, until those that take everything have it.
    fn offer(&mut self) -> Result<(), Failure> {
        loop {
            let mut is_idle = true;
            for conn in self.clients.keys().copied().collect::<Vec<_>>() {
                let Some(pending) = self.shard.pending(conn) else { continue };
                let mut bytes: Vec<u8> = pending.slices().flatten().copied().collect();
                let client = self.clients.get_mut(&conn).expect("it is there");
                if client.slow {
                    bytes.truncate(usize::try_from(self.rng.below(bytes.len() as u64 + 1)).expect("a length"));
                } else {
                    is_idle = false;
                }
                for frame in client.parser.feed(&bytes).expect("frames") {
                    if let ReceivedFrame::Text(text) = frame {
                        client.stream.read(&text, &mut self.known_logs)?;
                    }
                }
                self.handle(Input::Flushed { conn, bytes: bytes.len() })?;
            }
            if is_idle {
                return Ok(());
            }
        }
    }

    /// Goes on with what was put off, and lets others in between.
    fn go_on(&mut self) -> Result<(), Failure> {
        self.offer()?;
        while self.shard.has_work() {
            self.done.parts += 1;
            while self.rng.chance(40) {
                self.done.inputs += 1;
                self.do_little()?;
                self.offer()?;
            }
            self.shard.all_offered();
            self.maybe_reread();
            let effects: Vec<Effect> = self.shard.resume(Self::now()).collect();
            self.carry_out(effects)?;
            self.offer()?;
        }
        self.shard.all_offered();
        if self.open.is_empty() {
            Ok(())
        } else {
            Err(Failure::new(Guarantee::P1, "an answer to each call", format_args!("{:?}", self.open)))
        }
    }

    fn come(&mut self) -> Result<(), Failure> {
        let client = u128::from(self.rng.draw()).to_be_bytes();
        let target = route::Target::Json { frame_pings: true };
        let upgrade = Upgrade { client, target, token: None, address: None };
        let conn = self.shard.accept(Self::now(), upgrade).expect("there is room");
        let slow = self.rng.chance(25);
        self.clients.insert(
            conn,
            PartsClient { parser: Parser::default(), stream: ClientStream::default(), commands: 0, slow },
        );
        self.handle(Input::Upgraded { conn })?;
        self.say(conn, r#"{"id":1,"connect":{}}"#.into())?;
        self.join(conn, JOIN)
    }

    fn join(&mut self, conn: ConnId, what: u64) -> Result<(), Failure> {
        let room = self.rng.below(ROOMS);
        let method = if what == JOIN { "subscribe" } else { "unsubscribe" };
        let text = json!({ "id": what + room, method: { "channel": format!("r{room}") } }).to_string();
        self.say(conn, text)
    }

    fn say(&mut self, conn: ConnId, text: String) -> Result<(), Failure> {
        self.clients.get_mut(&conn).expect("it is there").commands += 1;
        self.handle(Input::Message { conn, message: text.into() })
    }

    fn call(&mut self, method: &str, body: &Value) -> Result<(), Failure> {
        self.calls += 1;
        self.open.insert(self.calls);
        let command = json::parse(method, body.to_string().as_bytes(), self.shard.config());
        let command = command.expect("a good call");
        self.handle(Input::Call { call: CallId(self.calls), command })
    }

    fn payload(&mut self) -> Value {
        self.number += 1;
        json!({ "n": self.number })
    }

    fn room(&mut self) -> String {
        format!("r{}", self.rng.below(ROOMS))
    }

    /// One of what clients and backends do all the time. A client that is to read first is not read from.
    fn do_little(&mut self) -> Result<(), Failure> {
        let heard: Vec<ConnId> = self.clients.keys().copied().filter(|conn| !self.shard.is_paused(*conn)).collect();
        let (kind, room) = (self.rng.below(7), self.room());
        if heard.is_empty() || kind == 0 {
            let data = self.payload();
            return self.call("publish", &json!({ "channel": room, "data": data }));
        }
        let conn = self.rng.pick(&heard);
        match kind {
            1 | 2 => self.join(conn, JOIN),
            3 => self.join(conn, LEAVE),
            4 if self.clients.len() < 8 => self.come(),
            5 if self.clients.len() > 3 => {
                self.lost.insert(conn);
                self.handle(Input::Lost { conn, cause: Lost::Read })
            }
            _ => {
                let data = self.payload();
                let text = json!({ "id": 2, "publish": { "channel": room, "data": data } }).to_string();
                self.say(conn, text)
            }
        }
    }

    /// A call of many parts.
    fn ask_much(&mut self) -> Result<(), Failure> {
        let parts = self.rng.between(20, 200);
        if self.rng.chance(40) {
            let (rooms, data) = ((0..parts).map(|_| self.room()).collect::<Vec<_>>(), self.payload());
            return self.call("broadcast", &json!({ "channels": rooms, "data": data }));
        }
        let part = |world: &mut Self| {
            let (room, data) = (world.room(), world.payload());
            if world.rng.chance(20) {
                json!({ "publish_all": { "data": data } })
            } else {
                json!({ "publish": { "channel": room, "data": data } })
            }
        };
        let commands: Vec<Value> = (0..parts).map(|_| part(self)).collect();
        self.call("batch", &json!({ "commands": commands }))
    }

    /// Checks that a client that reads everything has read all publications since it joined, and an answer to each of its commands.
    fn check_end(mut self) -> Result<PartsReport, Failure> {
        self.go_on()?;
        let logs = self.shard.snapshot().logs;
        let tops: BTreeMap<String, u64> = logs.iter().map(|log| (log.name.to_string(), log.top)).collect();
        for client in self.clients.values().filter(|client| !client.slow) {
            self.done.read += client.stream.publications;
            equal(Guarantee::P1, "answers:", &client.commands, &client.stream.replies)?;
            for (room, at) in &client.stream.rooms {
                if tops.get(room) != Some(at) {
                    return Err(Failure::new(
                        Guarantee::L1,
                        format_args!("{:?} of {room} to be read", tops.get(room)),
                        at,
                    ));
                }
            }
        }
        Ok(self.done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(texts: &[&str]) -> Result<(), Failure> {
        let (mut stream, mut known_logs) = (ClientStream::default(), KnownLogs::default());
        texts.iter().try_for_each(|text| stream.read(text, &mut known_logs))
    }

    const JOINED: &str = r#"{"id":100,"subscribe":{"offset":3}}"#;
    const FOURTH: &str = r#"{"push":{"channel":"r0","pub":{"data":1,"offset":4}}}"#;
    const FIFTH: &str = r#"{"push":{"channel":"r0","pub":{"data":2,"offset":5}}}"#;

    #[test]
    fn a_hole_a_repeat_and_a_swap_are_seen() {
        assert_eq!(read(&[JOINED, FOURTH, FIFTH]), Ok(()));
        for texts in [&[JOINED, FIFTH][..], &[JOINED, FOURTH, FOURTH], &[JOINED, FIFTH, FOURTH], &[FOURTH]] {
            assert!(read(texts).is_err(), "{texts:?}");
        }
        assert!(read(&[JOINED, FOURTH, r#"{"id":200,"unsubscribe":{}}"#, FIFTH]).is_err(), "it has left");
        let message = r#"{"push":{"message":{"data":1}}}"#;
        assert!(read(&[message, message]).is_err());
    }
}
