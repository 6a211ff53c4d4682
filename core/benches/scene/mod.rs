//! States from which the benchmarks start, and assertions that the counted work was done.

use parlor_core::api::{Command, Message};
use parlor_core::limits::Rate;
use parlor_core::{
    CallId, Config, ConnId, Effect, Input, Instant, Json, Limits, Lost, Now, Permissions, Shard, Upgrade, Who,
};
use std::collections::BTreeMap;

/// A shard whose rates are off, and who is there.
pub struct Scene {
    // Boxed, so that what it takes to hand a scene on does not grow with the shard and is not counted as its work.
    shard: Box<Shard>,
    /// Who is in the room `room`.
    pub members: Vec<ConnId>,
    /// Whose outbox is no longer empty.
    woken: Vec<ConnId>,
    clients: u32,
    expected: (usize, &'static str),
}

/// How connections speak.
#[derive(Clone, Copy)]
pub enum Protocol {
    /// The Centrifuge client protocol.
    Json,
    /// Bare payloads.
    Plain,
}

/// A scene, and what happens in it while the instructions are counted.
pub struct Step {
    scene: Scene,
    arrival: Option<Upgrade>,
    says: Option<String>,
    input: Option<Input>,
}

const NOW: Now = Now { mono: Instant(1_000_000_000), unix_ms: 1_767_225_600_000 };

/// 128 bytes of JSON, found again in what is sent by its `@@@@`.
const DATA: &str = "\"@@@@ a message as long as those that are measured over sockets, so that both say something of the same \
                    thing, and no longer than\"";

impl Protocol {
    /// Where a connection asks to be let in.
    pub fn url(self, room: &str, query: &str) -> String {
        match self {
            Self::Json => String::from("/connection/websocket"),
            Self::Plain => format!("/ws/{room}?{query}"),
        }
    }
}

/// A room with so many members, to whom nothing was said yet.
pub fn crowd(protocol: Protocol, members: usize) -> Scene {
    let mut scene = Scene::empty();
    scene.fill(protocol, members);
    scene
}

/// A room with a member, in which so many publications are retained.
pub fn busy(protocol: Protocol, publications: usize) -> Scene {
    let mut scene = crowd(protocol, 1);
    for _ in 0..publications {
        let publication = scene.publication();
        scene.turn(publication);
        scene.flush();
    }
    scene
}

impl Scene {
    /// Nobody is there.
    pub fn empty() -> Self {
        Self::with(Permissions::open())
    }

    /// A room with a member, who may not publish.
    pub fn closed_to_publishers(protocol: Protocol) -> Self {
        let mut scene = Self::with(Permissions { publish: Who::Token, ..Permissions::open() });
        scene.fill(protocol, 1);
        scene
    }

    fn with(permissions: Permissions) -> Self {
        let limits = Limits {
            new_connections: Rate::OFF,
            new_connections_per_ip: Rate::OFF,
            client_commands: Rate::OFF,
            client_frames: Rate::OFF,
            client_publishes: Rate::OFF,
            ..Limits::default()
        };
        let config = Config::uniform(limits, true, permissions);
        let shard = Box::new(Shard::new(config, [7; 32]));
        Self { shard, members: Vec::new(), woken: Vec::new(), clients: 0, expected: (0, "") }
    }

    fn fill(&mut self, protocol: Protocol, members: usize) {
        for _ in 0..members {
            let conn = self.open(&protocol.url("room", "greeting=off"));
            if matches!(protocol, Protocol::Json) {
                self.say(conn, "{\"id\":1,\"connect\":{}}\n{\"id\":2,\"subscribe\":{\"channel\":\"room\"}}");
            }
            self.flush();
            self.members.push(conn);
        }
        self.woken.reserve(members + 1);
    }

    fn upgrade(&mut self, url: &str) -> Upgrade {
        self.clients += 1;
        let config = self.shard.config();
        let target = config.resolve(url).expect("a path that is served");
        let client = u128::from(self.clients).to_be_bytes();
        Upgrade { client, target, token: None, address: None }
    }

    /// An open WebSocket.
    pub fn open(&mut self, url: &str) -> ConnId {
        let upgrade = self.upgrade(url);
        self.accept(upgrade)
    }

    fn accept(&mut self, upgrade: Upgrade) -> ConnId {
        let conn = self.shard.accept(NOW, upgrade).expect("within the limits");
        self.turn(Input::Upgraded { conn });
        self.shard.all_offered();
        conn
    }

    /// A client sends a text.
    pub fn say(&mut self, conn: ConnId, text: &str) {
        self.turn(Input::Message { conn, message: text.into() });
        self.shard.all_offered();
    }

    /// A backend publishes to the room `room`.
    pub fn publication(&self) -> Input {
        let message = Message {
            data: Json::parse(DATA).expect("JSON").into(),
            tags: BTreeMap::new(),
            skip_history: false,
            idempotency_key: None,
        };
        let channel = self.shard.config().room("room").expect("a name");
        Input::Call { call: CallId(1), command: Command::Publish { channel, message } }
    }

    /// One input, and its effects.
    pub fn turn(&mut self, input: Input) {
        for effect in self.shard.handle(NOW, input) {
            if let Effect::Wake(conn) = effect {
                self.woken.push(conn);
            }
        }
    }

    /// Every socket takes what waits for it.
    pub fn flush(&mut self) {
        while let Some(conn) = self.woken.pop() {
            let Some(pending) = self.shard.pending(conn) else { continue };
            let bytes = pending.slices().map(<[u8]>::len).sum();
            let flushed = pending.consumed(bytes);
            self.turn(flushed);
        }
    }

    /// The epoch of a room's log.
    pub fn epoch(&self, room: &str) -> String {
        self.shard.snapshot().logs.into_iter().find(|log| &*log.name == room).expect("a log").epoch
    }

    /// A backend publishes to the room `room`.
    pub fn publish(self) -> Step {
        let publication = self.publication();
        Step { input: Some(publication), ..Step::of(self) }
    }

    /// Another connection comes.
    pub fn arrival(mut self, url: &str) -> Step {
        let upgrade = self.upgrade(url);
        Step { arrival: Some(upgrade), ..Step::of(self) }
    }

    /// A client sends a text.
    pub fn saying(self, conn: ConnId, text: &str) -> Step {
        Step { input: Some(Input::Message { conn, message: text.into() }), ..Step::of(self) }
    }

    /// A connection's socket fails.
    pub fn losing(self, conn: ConnId) -> Step {
        Step { input: Some(Input::Lost { conn, cause: Lost::Read }), ..Step::of(self) }
    }

    /// Panics when what was counted is not what was expected.
    pub fn check(self) {
        let (woken, words) = self.expected;
        assert_eq!(self.woken.len(), woken, "who is told something");
        for conn in &self.woken {
            let pending = self.shard.pending(*conn).expect("something to write");
            let bytes: Vec<u8> = pending.slices().flatten().copied().collect();
            let text = String::from_utf8_lossy(&bytes);
            assert!(text.contains(words), "{words:?} in {text}");
        }
        self.shard.audit();
    }

    /// Panics when a member has something left to be written.
    pub fn check_nothing_waits(self) {
        assert!(self.members.iter().all(|conn| self.shard.pending(*conn).is_none()));
        assert!(self.shard.stats().totals.frames_written >= self.members.len() as u64);
        self.shard.audit();
    }
}

impl Step {
    fn of(scene: Scene) -> Self {
        Self { scene, arrival: None, says: None, input: None }
    }

    /// The connection that comes sends a text at once.
    pub fn then_says(self, text: &str) -> Self {
        Self { says: Some(text.into()), ..self }
    }

    /// So many are told something afterwards, and each of them something with these words.
    pub fn expecting(mut self, woken: usize, words: &'static str) -> Self {
        self.scene.expected = (woken, words);
        self
    }

    /// Carries the step out. Only this is counted.
    pub fn take(self) -> Scene {
        let Self { mut scene, arrival, says, input } = self;
        if let Some(upgrade) = arrival {
            let conn = scene.accept(upgrade);
            if let Some(text) = says {
                scene.turn(Input::Message { conn, message: text.into() });
            }
        }
        if let Some(input) = input {
            scene.turn(input);
        }
        scene
    }
}
