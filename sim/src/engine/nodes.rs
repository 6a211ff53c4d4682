//! Shards that follow an engine, with clients who speak JSON, in random steps: the homes of the nodes, where [`super::world`] has
//! only their followers.

use super::defects::EngineDefect;
use super::server::{Executed, ModelEngine, draft};
use super::tree::{EntryName, HistoryTree, SeenEntry, ToldStart};
use crate::guarantees::{Failure, Guarantee};
use crate::rng::Rng;
use crate::world::frames::{Parser, ReceivedFrame};
use parlor_core::api::{Command, Message, Reply};
use parlor_core::engine::EngineEvent;
use parlor_core::{CallId, Config, ConnId, Effect, Input, Instant, Limits, Now, Permissions, RoomName, Shard, Upgrade};
use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};
use std::ops::AddAssign;
use std::time::Duration;

const NODES: usize = 2;
const CLIENTS: usize = 4;
/// The publications of a run, each of which says something else.
const PUBLICATIONS: u8 = 120;
/// What the engine retains of the room, and the copies.
const RETAINED: usize = 3;
/// Longer than a room is followed for nobody, and than anything waits.
const LONG: Duration = Duration::from_secs(30);
/// The steps in which everything that is on its way arrives.
const HEALING_STEPS: usize = 10_000;

/// How often something happened in a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NodeCounts {
    /// Publications that a client has received as they came.
    pub received: usize,
    /// Joins that recovered something.
    pub recovered: usize,
    /// Joins that did not recover.
    pub unrecovered: usize,
    /// Gaps that a member was told.
    pub gaps: usize,
    /// Joins that were refused, since no engine could be asked.
    pub refused: usize,
    /// Answers that a draft is published.
    pub published: usize,
    /// Answers that it is not, or that this is not known.
    pub failed: usize,
    /// Joins that were answered while the link of their node was down.
    pub joined_while_down: usize,
}

impl NodeCounts {
    fn fields(&mut self) -> [&mut usize; 8] {
        let Self { received, recovered, unrecovered, gaps, refused, published, failed, joined_while_down } = self;
        [received, recovered, unrecovered, gaps, refused, published, failed, joined_while_down]
    }

    /// Returns the smallest.
    #[must_use]
    pub fn least(mut self) -> usize {
        self.fields().into_iter().map(|count| *count).min().unwrap_or_default()
    }
}

impl AddAssign for NodeCounts {
    fn add_assign(&mut self, mut other: Self) {
        self.fields().into_iter().zip(other.fields()).for_each(|(count, more)| *count += *more);
    }
}

/// Runs so many random steps, then lets everything arrive, everyone join, and everyone leave.
///
/// # Errors
/// What is broken.
pub fn run_nodes(seed: u64, steps: usize, defect: Option<EngineDefect>) -> Result<NodeCounts, Failure> {
    let mut nodes = Nodes::new(seed, defect);
    for _ in 0..steps {
        nodes.step()?;
        if nodes.is_quiet() {
            nodes.tree.rests()?;
        }
    }
    nodes.heal()?;
    for client in 0..CLIENTS {
        nodes.come_if_away(client)?;
    }
    nodes.heal()?;
    nodes.tree.rests()?;
    nodes.end()?;
    Ok(nodes.counts)
}

struct Nodes {
    rng: Rng,
    now: Now,
    engine: ModelEngine,
    shards: Vec<Shard>,
    clients: Vec<NodeClient>,
    tree: HistoryTree,
    /// The names of all that was executed, by what it says.
    executed: BTreeMap<u8, EntryName>,
    /// What was published, of which nobody knows yet what became, by the number of the call.
    calls: BTreeMap<u64, u8>,
    /// What each publication says, as clients see it.
    contents: BTreeMap<String, u8>,
    publications: u8,
    accepted: u8,
    room: RoomName,
    counts: NodeCounts,
}

/// A client, and where it is.
#[derive(Default)]
struct NodeClient {
    conn: Option<(usize, ConnId)>,
    parser: Parser,
    state: ClientState,
    /// Where it was told to be, or what it has received last.
    last: Option<EntryName>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum ClientState {
    #[default]
    Away,
    Joining,
    Member,
}

impl Nodes {
    fn new(seed: u64, defect: Option<EngineDefect>) -> Self {
        let limits = Limits { history_messages: RETAINED, ..Limits::default() };
        let config = Config::uniform(limits, true, Permissions::open());
        let room = config.room("r0").expect("a name");
        let shard = |node: usize| Shard::new(config.clone(), [node as u8; 32]).following_engine();
        let mut nodes = Self {
            rng: Rng::stream(seed, "nodes"),
            now: Now { mono: Instant(0), unix_ms: 1_767_225_600_000 },
            engine: ModelEngine::new(NODES, RETAINED, RETAINED, defect),
            shards: (0..NODES).map(shard).collect(),
            clients: (0..CLIENTS).map(|_| NodeClient::default()).collect(),
            tree: HistoryTree::new(CLIENTS, RETAINED),
            executed: BTreeMap::new(),
            calls: BTreeMap::new(),
            contents: (0..=PUBLICATIONS).map(|content| (draft(content).data.json().into_owned(), content)).collect(),
            publications: 0,
            accepted: 0,
            room,
            counts: NodeCounts::default(),
        };
        (0..NODES).for_each(|node| nodes.input(node, Input::Engine(EngineEvent::Up)).expect("nothing is told yet"));
        nodes
    }

    fn step(&mut self) -> Result<(), Failure> {
        let node = self.rng.below(NODES as u64) as usize;
        let client = self.rng.below(CLIENTS as u64) as usize;
        match self.rng.below(100) {
            0..30 => self.execute(node),
            30..60 => self.read(node),
            60..75 => self.publish(node),
            75 if self.engine.is_up(node) => self.cut(node),
            75..85 => self.connect(node),
            85..90 => self.come_if_away(client),
            90..93 => self.leave(client),
            93..95 => self.disconnect(client),
            95 if self.rng.chance(20) => {
                self.engine.forget();
                self.tree.ended();
                Ok(())
            }
            _ => {
                let time = self.rng.pick(&[1, 10, 10, 100, 100, 1000, 6000, 11_000]);
                self.pass(Duration::from_millis(time))
            }
        }
    }

    fn execute(&mut self, node: usize) -> Result<(), Failure> {
        for executed in self.engine.execute(node) {
            match executed {
                Executed::Begun(epoch) => self.tree.begun(epoch)?,
                Executed::Sent(content) => self.tree.executed_unlogged(content),
                Executed::Appended(entry) => {
                    self.executed.insert(entry.content, entry.name);
                    self.tree.executed(entry)?;
                }
            }
        }
        Ok(())
    }

    fn read(&mut self, node: usize) -> Result<(), Failure> {
        match self.engine.read(node, &self.room) {
            Some(event) => self.input(node, Input::Engine(event)),
            None => Ok(()),
        }
    }

    fn publish(&mut self, node: usize) -> Result<(), Failure> {
        if self.publications == PUBLICATIONS {
            return Ok(());
        }
        self.publications += 1;
        let data = draft(self.publications).data;
        let message = Message { data, tags: BTreeMap::new(), skip_history: false, idempotency_key: None };
        let call = u64::from(self.publications);
        self.calls.insert(call, self.publications);
        let command = Command::Publish { channel: self.room.clone(), message };
        self.input(node, Input::Call { call: CallId(call), command })
    }

    fn cut(&mut self, node: usize) -> Result<(), Failure> {
        self.engine.cut(node);
        self.input(node, Input::Engine(EngineEvent::Down))
    }

    fn connect(&mut self, node: usize) -> Result<(), Failure> {
        if self.engine.is_up(node) {
            return Ok(());
        }
        self.engine.connect(node);
        self.input(node, Input::Engine(EngineEvent::Up))
    }

    fn pass(&mut self, time: Duration) -> Result<(), Failure> {
        self.now.mono = self.now.mono.after(time);
        (0..NODES).try_for_each(|node| self.input(node, Input::Tick))
    }

    /// A client that is in no room joins it, at any node if it has no connection.
    fn come_if_away(&mut self, client: usize) -> Result<(), Failure> {
        if self.clients[client].state != ClientState::Away {
            return Ok(());
        }
        let (node, conn) = match self.clients[client].conn {
            Some(known) => known,
            None => self.open(client)?,
        };
        self.clients[client].state = ClientState::Joining;
        self.tree.joins(client);
        let subscribe = match self.clients[client].last {
            Some(EntryName { epoch, offset }) => {
                json!({"channel": "r0", "recover": true, "epoch": format!("{epoch:016x}"), "offset": offset})
            }
            None => json!({"channel": "r0"}),
        };
        self.say(node, conn, &json!({"id": 2, "subscribe": subscribe}))
    }

    fn open(&mut self, client: usize) -> Result<(usize, ConnId), Failure> {
        let node = self.rng.below(NODES as u64) as usize;
        self.accepted = self.accepted.wrapping_add(1);
        let config = self.shards[node].config();
        let target = config.resolve("/connection/websocket").expect("a route");
        let id = core::array::from_fn(|at| if at == 0 { self.accepted } else { client as u8 });
        let request = Upgrade { client: id, target, token: None, address: None };
        let conn = self.shards[node].accept(self.now, request).expect("there is room");
        self.clients[client].conn = Some((node, conn));
        self.clients[client].parser = Parser::default();
        self.input(node, Input::Upgraded { conn })?;
        self.say(node, conn, &json!({"id": 1, "connect": {}}))?;
        Ok((node, conn))
    }

    fn leave(&mut self, client: usize) -> Result<(), Failure> {
        let Some((node, conn)) =
            self.clients[client].conn.filter(|_| self.clients[client].state == ClientState::Member)
        else {
            return Ok(());
        };
        self.gone(client);
        self.say(node, conn, &json!({"id": 3, "unsubscribe": {"channel": "r0"}}))
    }

    fn disconnect(&mut self, client: usize) -> Result<(), Failure> {
        let Some((node, conn)) = self.clients[client].conn.take() else { return Ok(()) };
        self.gone(client);
        self.input(node, Input::Lost { conn, cause: parlor_core::Lost::Eof })
    }

    fn gone(&mut self, client: usize) {
        self.clients[client].state = ClientState::Away;
        self.tree.leaves(client);
    }

    /// Whether both links are up, and nothing is on its way.
    fn is_quiet(&self) -> bool {
        let has_none = |node: usize| !self.engine.has_commands(node) && !self.engine.has_sent(node);
        (0..NODES).all(|node| self.engine.is_up(node) && has_none(node))
    }

    /// Both links come up, and everything arrives.
    fn heal(&mut self) -> Result<(), Failure> {
        for _ in 0..HEALING_STEPS {
            for node in 0..NODES {
                self.connect(node)?;
                self.execute(node)?;
                self.read(node)?;
            }
            if self.is_quiet() {
                return Ok(());
            }
        }
        Err(Failure::new(Guarantee::L1, format_args!("rest within {HEALING_STEPS} steps"), "more to do"))
    }

    /// Everyone leaves, and nothing remains.
    fn end(&mut self) -> Result<(), Failure> {
        if let Some(content) = self.calls.values().next() {
            let expected = format_args!("an answer to who has published {content}");
            return Err(Failure::new(Guarantee::L1, expected, "none"));
        }
        (0..CLIENTS).try_for_each(|client| self.disconnect(client))?;
        self.pass(LONG)?;
        self.heal()?;
        for node in 0..NODES {
            let left = self.shards[node].snapshot();
            if self.engine.is_followed(node) || !left.logs.is_empty() || !left.conns.is_empty() {
                return Err(Failure::new(Guarantee::L3, "nothing to remain", format_args!("{left:?}")));
            }
        }
        Ok(())
    }

    fn say(&mut self, node: usize, conn: ConnId, message: &Value) -> Result<(), Failure> {
        self.input(node, Input::Message { conn, message: message.to_string().as_str().into() })
    }

    /// One input, and all that follows from it at this node: what it writes arrives at once.
    fn input(&mut self, node: usize, input: Input) -> Result<(), Failure> {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            let shard = &mut self.shards[node];
            let mut effects: Vec<Effect> = shard.handle(self.now, input).collect();
            while shard.has_work() {
                shard.all_offered();
                effects.extend(shard.resume(self.now));
            }
            shard.all_offered();
            shard.audit();
            for effect in effects {
                inputs.extend(self.carry_out(node, effect)?);
            }
        }
        Ok(())
    }

    fn carry_out(&mut self, node: usize, effect: Effect) -> Result<Vec<Input>, Failure> {
        match effect {
            Effect::Engine(request) => self.engine.send(node, &request),
            Effect::Wake(conn) => return self.flush(node, conn),
            Effect::Reply { call, result } => self.answered(call, &result)?,
            Effect::Closed { conn, .. } => {
                if let Some(client) = self.client_of(node, conn) {
                    self.clients[client].conn = None;
                    self.gone(client);
                }
            }
            _ => {}
        }
        Ok(Vec::new())
    }

    /// An answer that a draft is published names what was executed.
    fn answered(&mut self, call: CallId, result: &Result<Reply, parlor_core::error::Error>) -> Result<(), Failure> {
        let content = self.calls.remove(&call.0).expect("a call that nobody has answered");
        let Ok(Reply::Published(position)) = result else {
            self.counts.failed += 1;
            return Ok(());
        };
        self.counts.published += 1;
        let executed = self.executed.get(&content).copied();
        let told = EntryName { epoch: epoch(&position.epoch), offset: position.offset };
        if executed != Some(told) {
            let told = format_args!("{told:?}");
            return Err(Failure::new(Guarantee::P1, format_args!("the name of {content}, {executed:?}"), told));
        }
        Ok(())
    }

    fn client_of(&self, node: usize, conn: ConnId) -> Option<usize> {
        self.clients.iter().position(|client| client.conn == Some((node, conn)))
    }

    /// Hands what waits to the client. Returns what its socket and the client itself say to that.
    fn flush(&mut self, node: usize, conn: ConnId) -> Result<Vec<Input>, Failure> {
        let Some(pending) = self.shards[node].pending(conn) else { return Ok(Vec::new()) };
        let bytes: Vec<u8> = pending.slices().flatten().copied().collect();
        let mut inputs = vec![pending.consumed(bytes.len())];
        let Some(client) = self.client_of(node, conn) else { return Ok(inputs) };
        let frames = self.clients[client].parser.feed(&bytes);
        let frames = frames.map_err(|broken| Failure::new(Guarantee::G1, "a stream of whole frames", broken))?;
        for frame in frames {
            let ReceivedFrame::Text(text) = frame else { continue };
            for line in text.lines() {
                let message: Value = serde_json::from_str(line).expect("JSON");
                if message == json!({}) {
                    inputs.push(Input::Message { conn, message: "{}".into() });
                } else {
                    self.hear(node, client, &message)?;
                }
            }
        }
        Ok(inputs)
    }

    fn hear(&mut self, node: usize, client: usize, message: &Value) -> Result<(), Failure> {
        if let Some(reply) = message.get("subscribe") {
            return self.joined(node, client, reply);
        }
        if message.get("error").is_some() {
            self.counts.refused += 1;
            self.gone(client);
        } else if let Some(publication) = message.pointer("/push/pub") {
            // What it left before may be on its way.
            if self.clients[client].state == ClientState::Member {
                let entry = self.seen(client, publication);
                self.counts.received += 1;
                self.tree.received(client, entry)?;
                self.clients[client].last = Some(entry.name);
            }
        } else if message.pointer("/push/unsubscribe/code") == Some(&json!(2500)) {
            self.counts.gaps += 1;
            self.tree.expelled(client)?;
            self.gone(client);
        }
        Ok(())
    }

    fn joined(&mut self, node: usize, client: usize, reply: &Value) -> Result<(), Failure> {
        let place = EntryName {
            epoch: epoch(reply["epoch"].as_str().expect("a text")),
            offset: reply["offset"].as_u64().unwrap_or_default(),
        };
        let had = self.clients[client].last.replace(place);
        let none = Vec::new();
        let publications = reply["publications"].as_array().unwrap_or(&none);
        let entries: Vec<SeenEntry> = publications.iter().map(|entry| self.seen(client, entry)).collect();
        let at = entries.last().map_or(place, |entry| entry.name);
        let start = match had {
            None => ToldStart::Fresh,
            Some(_) if reply["recovered"] == true => ToldStart::Recovered(entries),
            Some(_) => ToldStart::Unrecovered,
        };
        self.counts.recovered += usize::from(start != ToldStart::Recovered(Vec::new()) && reply["recovered"] == true);
        self.counts.unrecovered += usize::from(start == ToldStart::Unrecovered);
        self.counts.joined_while_down += usize::from(!self.engine.is_up(node));
        self.tree.joined(client, at, &start)?;
        (self.clients[client].last, self.clients[client].state) = (Some(at), ClientState::Member);
        Ok(())
    }

    /// A publication as this client sees it, which is told the epoch only when it joins.
    fn seen(&self, client: usize, publication: &Value) -> SeenEntry {
        let epoch = self.clients[client].last.expect("a member was told where it is").epoch;
        let offset = publication["offset"].as_u64().expect("a number");
        let content = self.contents.get(&publication["data"].to_string()).copied();
        SeenEntry { name: EntryName { epoch, offset }, content: content.unwrap_or_default() }
    }
}

fn epoch(text: &str) -> u64 {
    u64::from_str_radix(text, 16).unwrap_or_default()
}
