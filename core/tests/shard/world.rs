//! A shard with clients: enough of a world to say what happens in a line.

use parlor_core::admission::route::Routes;
use parlor_core::api::json;
use parlor_core::api::{Command, Reply};
use parlor_core::engine::EngineRequest;
use parlor_core::error::Error;
use parlor_core::{BadToken, CallId, Claims, Config, ConnId, Effect, End, Event, StepChange};
use parlor_core::{Input, Json, Limits, LinkMessage, Now, Permissions, Shard, ShardId, Upgrade, VerifiedClaims, Who};
use serde_json::Value;
use std::collections::VecDeque;
use std::io::{Cursor, ErrorKind};
use std::time::Duration;
use tungstenite::protocol::{Role, WebSocket};
use tungstenite::{Message, error::Error as WsError};

/// A shard, the time it is there, and what it has wanted so far.
pub struct World {
    pub shard: Shard,
    pub now: Now,
    pub ended: Vec<(ConnId, End)>,
    pub events: Vec<Event>,
    pub steps: Vec<StepChange>,
    pub replies: VecDeque<Result<Reply, Error>>,
    pub tokens: VecDeque<(ConnId, String)>,
    pub wakes: Vec<ConnId>,
    pub finished: Vec<ConnId>,
    /// Who may be read from again.
    pub listened: Vec<ConnId>,
    /// Why tokens were refused.
    pub refused_tokens: Vec<String>,
    pub address: Option<std::net::IpAddr>,
    /// What the next upgrade request has in a header.
    pub token: Option<String>,
    /// Messages for other shards.
    pub sent: VecDeque<(ShardId, LinkMessage)>,
    /// Requests to the engine.
    pub asked: VecDeque<EngineRequest>,
    clients: u8,
}

pub fn world() -> World {
    with(Limits::default(), Rules::open())
}

/// Who may do what, in a configuration without namespaces.
pub struct Rules {
    pub anonymous: bool,
    pub subscribe: Who,
    pub publish: Who,
    pub history: Who,
    pub presence: Who,
}

impl Rules {
    /// Those of development mode.
    pub fn open() -> Self {
        Self::new(true, Permissions::open())
    }

    /// Those of production mode.
    pub fn closed() -> Self {
        Self::new(false, Permissions::closed())
    }

    fn new(anonymous: bool, Permissions { subscribe, publish, history, presence }: Permissions) -> Self {
        Self { anonymous, subscribe, publish, history, presence }
    }
}

pub fn with(limits: Limits, rules: Rules) -> World {
    let Rules { anonymous, subscribe, publish, history, presence } = rules;
    with_config(Config::uniform(limits, anonymous, Permissions { subscribe, publish, history, presence }))
}

pub fn with_config(config: Config) -> World {
    with_shard(Shard::new(config, [7; 32]), 0)
}

/// A world around a shard, whose clients have ids above this.
pub fn with_shard(shard: Shard, clients: u8) -> World {
    World {
        shard,
        now: Now { mono: parlor_core::Instant(0), unix_ms: 1_700_000_000_000 },
        ended: vec![],
        events: vec![],
        steps: vec![],
        replies: VecDeque::new(),
        tokens: VecDeque::new(),
        wakes: vec![],
        finished: vec![],
        listened: vec![],
        refused_tokens: vec![],
        address: None,
        token: None,
        sent: VecDeque::new(),
        asked: VecDeque::new(),
        clients,
    }
}

impl World {
    /// An upgrade request, not yet answered.
    pub fn accept(&mut self, target: &str) -> ConnId {
        self.try_accept(target).expect("accepted")
    }

    pub fn try_accept(&mut self, target: &str) -> Result<ConnId, parlor_core::Refused> {
        self.clients += 1;
        let config = self.shard.config();
        let target = config.resolve(target).expect("a route");
        let request = Upgrade { client: [self.clients; 16], target, token: self.token.take(), address: self.address };
        self.shard.accept(self.now, request)
    }

    /// An open WebSocket.
    pub fn open(&mut self, target: &str) -> ConnId {
        let conn = self.accept(target);
        self.input(Input::Upgraded { conn });
        conn
    }

    /// An open WebSocket of the `json` protocol whose `connect` was answered.
    pub fn json(&mut self) -> ConnId {
        let conn = self.open("/connection/websocket");
        self.say(conn, r#"{"id":1,"connect":{}}"#);
        assert_eq!(self.read(conn).len(), 1, "the reply to connect");
        conn
    }

    /// The same with a token that proves this; and the reply.
    pub fn json_with(&mut self, claims: Claims) -> (ConnId, Value) {
        let conn = self.open("/connection/websocket");
        self.say(conn, r#"{"id":1,"connect":{"token":"t"}}"#);
        self.prove(claims);
        let mut replies = self.read_json(conn);
        assert_eq!(replies.len(), 1, "the reply to connect");
        (conn, replies.remove(0))
    }

    /// An open WebSocket of the `plain` protocol whose greeting was read.
    pub fn plain(&mut self, target: &str) -> ConnId {
        let conn = self.open(target);
        assert_eq!(self.read(conn).len(), 1, "the greeting");
        conn
    }

    /// One input and all that follows from it: sockets are offered what waits, and take nothing before they are asked.
    pub fn input(&mut self, input: Input) {
        self.begin(input);
        while self.shard.has_work() {
            self.resume();
        }
        self.shard.all_offered();
    }

    /// One turn, with its effects taken note of, and every guarantee checked.
    pub fn begin(&mut self, input: Input) {
        let effects = self.shard.handle(self.now, input).collect();
        self.note(effects);
    }

    /// The turn that goes on with what was put off.
    pub fn resume(&mut self) {
        let effects = self.shard.resume(self.now).collect();
        self.note(effects);
    }

    fn note(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Wake(conn) => self.wakes.push(conn),
                Effect::Finish(conn) => self.finished.push(conn),
                Effect::ResumeReading(conn) => self.listened.push(conn),
                Effect::TokenRefused { why, .. } => self.refused_tokens.push(*why),
                Effect::Authenticate { conn, token } => self.tokens.push_back((conn, *token)),
                Effect::Closed { conn, end } => self.ended.push((conn, end)),
                Effect::Reply { result, .. } => self.replies.push_back(*result),
                Effect::Event(event) => self.events.push(*event),
                Effect::Step(step) => self.steps.push(step.change),
                Effect::Link { to, message } => self.sent.push_back((to, message)),
                Effect::Engine(request) => self.asked.push_back(*request),
            }
        }
        self.shard.audit();
    }

    pub fn say(&mut self, conn: ConnId, text: &str) {
        self.input(Input::Message { conn, message: text.into() });
    }

    /// Lets a token that is being checked prove what `claims` says.
    pub fn prove(&mut self, claims: Claims) {
        let (conn, _) = self.tokens.pop_front().expect("a token is being checked");
        self.judge(conn, Ok(claims));
    }

    /// What a verifier has said of a token.
    pub fn judge(&mut self, conn: ConnId, verdict: Result<Claims, BadToken>) {
        #[expect(clippy::disallowed_methods, reason = "the test is the verifier")]
        let verdict = verdict.map(VerifiedClaims::vouched_for_by_verifier);
        self.input(Input::Authenticated { conn, verdict });
    }

    pub fn pass(&mut self, time: Duration) {
        self.now.mono = self.now.mono.after(time);
        self.now.unix_ms += time.as_millis() as u64;
        self.input(Input::Tick);
    }

    pub fn call(&mut self, command: Command) -> Result<Reply, Error> {
        self.input(Input::Call { call: CallId(1), command });
        self.replies.pop_front().expect("a reply in the same turn")
    }

    /// A call as it comes over HTTP, with its answer as JSON.
    pub fn api(&mut self, method: &str, body: &str) -> Value {
        let command = json::parse(method, body.as_bytes(), self.shard.config());
        let result = command.and_then(|command| self.call(command));
        serde_json::from_str(&json::encode(&result)).expect("JSON")
    }

    /// Begins a call, which may be answered later.
    pub fn ask(&mut self, method: &str, body: &str) {
        let command = json::parse(method, body.as_bytes(), self.shard.config()).expect("a good call");
        self.input(Input::Call { call: CallId(1), command });
    }

    /// The next answer to a call, as JSON.
    pub fn answer(&mut self) -> Value {
        let result = self.replies.pop_front().expect("an answer");
        serde_json::from_str(&json::encode(&result)).expect("JSON")
    }

    /// The same, between two turns of what was put off.
    pub fn flush_begun(&mut self, conn: ConnId) -> Vec<u8> {
        let Some(pending) = self.shard.pending(conn) else { return vec![] };
        let bytes: Vec<u8> = pending.slices().flatten().copied().collect();
        self.begin(Input::Flushed { conn, bytes: bytes.len() });
        bytes
    }

    /// Everything that is pending, written to the socket.
    pub fn flush(&mut self, conn: ConnId) -> Vec<u8> {
        let Some(pending) = self.shard.pending(conn) else { return vec![] };
        let bytes: Vec<u8> = pending.slices().flatten().copied().collect();
        assert_eq!(bytes.len(), pending.len());
        self.input(Input::Flushed { conn, bytes: bytes.len() });
        bytes
    }

    /// What the client receives, read by an independent parser.
    pub fn messages(&mut self, conn: ConnId) -> Vec<Message> {
        parse(self.flush(conn))
    }

    /// The text messages among it.
    pub fn read(&mut self, conn: ConnId) -> Vec<String> {
        let texts = self.messages(conn).into_iter().filter(Message::is_text);
        texts.map(|message| message.into_text().expect("text").to_string()).collect()
    }

    /// The text messages among it, as JSON.
    pub fn read_json(&mut self, conn: ConnId) -> Vec<Value> {
        self.read(conn).iter().map(|text| serde_json::from_str(text).expect("JSON")).collect()
    }

    /// The code and reason of the Close frame that the client receives last.
    pub fn read_close(&mut self, conn: ConnId) -> Option<(u16, String)> {
        match self.messages(conn).pop() {
            Some(Message::Close(Some(frame))) => Some((frame.code.into(), frame.reason.to_string())),
            _ => None,
        }
    }
}

pub fn parse(bytes: Vec<u8>) -> Vec<Message> {
    let mut socket = WebSocket::from_raw_socket(Cursor::new(bytes), Role::Client, None);
    let mut messages = vec![];
    loop {
        match socket.read() {
            Ok(message) => messages.push(message),
            Err(WsError::ConnectionClosed | WsError::AlreadyClosed) => return messages,
            Err(WsError::Protocol(_)) | Err(WsError::Io(_)) if messages.last().is_some_and(Message::is_close) => {
                return messages;
            }
            Err(WsError::Protocol(tungstenite::error::ProtocolError::ResetWithoutClosingHandshake)) => return messages,
            Err(WsError::Io(error)) if error.kind() == ErrorKind::UnexpectedEof => return messages,
            Err(other) => panic!("the server sent {other:?}"),
        }
    }
}

pub fn raw(text: &str) -> Json {
    Json::parse(text).expect("JSON")
}

pub fn claims(user: &str) -> Claims {
    Claims { sub: user.into(), ..Claims::default() }
}

pub fn routes(routes: &[(&str, &str, Option<&str>)]) -> Routes {
    let mut all = Routes::default();
    for (path, room, word) in routes {
        all.add(path, room, *word).expect("a good route");
    }
    all
}
