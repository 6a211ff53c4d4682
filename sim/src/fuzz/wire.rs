//! Raw texts of clients and backends, through the public entry points, into a machine in which something goes on.

use super::taken::Taken;
use super::target::Teller;
use crate::subjects::subject::{go_on, vouch};
use crate::world::frames::{Parser, ReceivedFrame};
use crate::world::second_reader;
use parlor_core::admission::route::{Plain, Routes, Target};
use parlor_core::api::Reply;
use parlor_core::api::json;
use parlor_core::error::Error;
use parlor_core::{
    BadToken, CallId, Claims, Config, ConnId, Effect, Input, Instant, Limits, Lost, Now, Permissions, Shard, Upgrade,
};
use serde_json::Value;

/// Reads these bytes as what their first byte says: a client's text messages, one after each zero byte, as a body of the
/// API, as what a token says, or as the target of an upgrade request. Whatever comes of it, nothing panics, every answer
/// is JSON or a frame, none is longer than what was asked can be worth, and the machine's own checks hold.
///
/// # Panics
/// When one of these does not hold.
pub fn wire_decode(bytes: &[u8]) {
    let mut taken = Taken(bytes);
    let kind = taken.byte() % 5;
    let variant = taken.byte();
    let rest = taken.0;
    match kind {
        0 => client(variant, "/connection/websocket", rest),
        1 => client(variant, "/ws?room=a&room=b&positions=on", rest),
        2 => call(variant, rest),
        3 => claims(variant, rest),
        _ => route(variant, rest),
    }
}

/// The kind of input, and how it is handed in.
pub(super) fn tell(bytes: &[u8], tell: Teller<'_>) {
    let mut taken = Taken(bytes);
    let (kind, variant) = (taken.byte() % 5, taken.byte());
    let rest = taken.0;
    let (from, text) = (KINDS[usize::from(kind)], String::from_utf8_lossy(rest));
    match kind {
        0 | 1 => {
            tell(format_args!("messages of {from}, variant {variant}"));
            text.split('\0').for_each(|message| tell(format_args!("{message:?}")));
        }
        2 => tell(format_args!("{from} {}: {text:?}", method(variant))),
        3 => tell(format_args!("{from}, variant {variant}: {text:?}")),
        _ => tell(format_args!("{from}: {:?}", target_of(variant, rest))),
    }
}

/// The kind that the first byte selects.
const KINDS: [&str; 5] =
    ["a json client", "a plain client", "a body of the API's", "what a token says", "the target of an upgrade request"];

fn method(variant: u8) -> &'static str {
    json::METHODS.get(usize::from(variant) % (json::METHODS.len() + 1)).map_or("nonsense", |method| method.name)
}

fn target_of(variant: u8, bytes: &[u8]) -> String {
    let prefix = ["", "/ws/", "/ws?", "/ws/a?"][usize::from(variant) % 4];
    format!("{prefix}{}", String::from_utf8_lossy(bytes))
}

const NOW: Now = Now { mono: Instant(1_000_000_000), unix_ms: 1_795_352_400_000 };
/// A byte of what comes in can be escaped twice: by what names it, and again as a part of JSON.
const ESCAPED: usize = 8;
/// The most bytes around one answer, with the words of an error.
const ANSWER: usize = 1024;
/// No command, and no part of a batch, is shorter.
const COMMAND: usize = 6;

fn limits() -> Limits {
    Limits {
        publication_bytes: 256,
        reply_bytes: 512,
        history_messages: 3,
        rooms_per_connection: 4,
        ..Limits::default()
    }
}

/// A machine, and the one connection in it that is looked at.
struct ConnectedShard {
    shard: Shard,
    conn: ConnId,
    authenticated: usize,
    parser: Parser,
    stream: Vec<u8>,
    ended: bool,
}

impl ConnectedShard {
    /// With a member in room `a`, which has a message in its log.
    fn new(variant: u8, target: &str) -> Self {
        let (anonymous, permissions) =
            if variant & 1 == 0 { (true, Permissions::open()) } else { (false, Permissions::closed()) };
        let mut config = Config::uniform(limits(), anonymous, permissions);
        config.routes = routes();
        let mut shard = Shard::new(config, [7; 32]);
        let other = accept(&mut shard, 1, "/ws/a?greeting=off");
        let conn = accept(&mut shard, 2, target);
        let mut place =
            Self { shard, conn, authenticated: 0, parser: Parser::default(), stream: Vec::new(), ended: false };
        place.input(Input::Upgraded { conn: other });
        place.input(Input::Authenticated {
            conn: other,
            verdict: vouch(Ok(Claims { sub: "u".into(), ..Claims::default() })),
        });
        place.called("publish", r#"{"channel":"a","data":{"n":1}}"#);
        place.input(Input::Upgraded { conn });
        place
    }

    /// An input with what follows from it. A token is what it says; what is none proves nothing.
    fn input(&mut self, input: Input) -> Option<Result<Reply, Error>> {
        let mut reply = None;
        let mut inputs = vec![input];
        while let Some(input) = inputs.pop() {
            let mut effects = self.shard.handle(NOW, input).collect();
            go_on(&mut self.shard, NOW, &mut effects);
            for effect in effects {
                match effect {
                    Effect::Authenticate { conn, token } => {
                        let verdict = vouch(Claims::parse(&token));
                        inputs.push(Input::Authenticated { conn, verdict });
                        self.authenticated += 1;
                    }
                    Effect::Reply { result, .. } => assert!(reply.replace(*result).is_none(), "P1: one answer"),
                    Effect::Closed { conn, .. } => self.ended |= conn == self.conn,
                    _ => {}
                }
            }
            self.shard.audit();
        }
        reply
    }

    fn called(&mut self, method: &str, body: &str) {
        let command = json::parse(method, body.as_bytes(), self.shard.config()).expect("a good body");
        self.input(Input::Call { call: CallId(0), command }).expect("an answer").expect("a good one");
    }

    /// Writes out everything that waits: counts the bytes, and checks frames whose texts are JSON of one line.
    fn receive(&mut self) -> (usize, Vec<ReceivedFrame>) {
        let Some(pending) = self.shard.pending(self.conn) else { return (0, Vec::new()) };
        let bytes: Vec<u8> = pending.slices().flatten().copied().collect();
        self.input(Input::Flushed { conn: self.conn, bytes: bytes.len() });
        let frames = self.parser.feed(&bytes).expect("G1: whole frames of RFC 6455");
        self.stream.extend_from_slice(&bytes);
        for frame in &frames {
            if let ReceivedFrame::Text(text) = frame {
                assert!(!text.contains(['\n', '\r']), "a text of more than one line: {text:?}");
                json(text);
            }
        }
        (bytes.len(), frames)
    }

    fn end(self) {
        second_reader::check(&self.stream).expect("tungstenite reads the same");
    }
}

fn accept(shard: &mut Shard, client: u8, target: &str) -> ConnId {
    let target = shard.config().resolve(target).expect("a path that is served");
    shard.accept(NOW, Upgrade { client: [client; 16], target, token: None, address: None }).expect("within the limits")
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("P1: {text:?} is not JSON: {error}"))
}

fn client(variant: u8, target: &str, bytes: &[u8]) {
    let mut place = ConnectedShard::new(variant, target);
    let conn = place.conn;
    if variant & 2 != 0 {
        let text = if variant & 4 == 0 { r#"{"id":1,"connect":{}}"# } else { CONNECT_AS_U };
        place.input(Input::Message { conn, message: text.into() });
    }
    place.receive();
    for message in bytes.split(|byte| *byte == 0) {
        let text = String::from_utf8_lossy(message).into_owned();
        let length = text.len();
        place.input(Input::Message { conn, message: text.into() });
        let (bytes, frames) = place.receive();
        let commands = 1 + length / COMMAND;
        // A command is answered, and may bring one push for each room that it leads into.
        assert!(frames.len() <= 6 * commands, "G6: {} frames for {length} bytes", frames.len());
        let most = ESCAPED * length + commands * (ANSWER + limits().reply_bytes);
        assert!(bytes <= most, "G6: {bytes} bytes for {length}, at most {most}: {frames:?}");
        if frames.iter().any(|frame| matches!(frame, ReceivedFrame::Close(_))) {
            assert!(matches!(frames.last(), Some(ReceivedFrame::Close(_))), "G1: the Close is the last");
        }
    }
    place.input(Input::PeerClosed { conn, code: None });
    place.receive();
    place.input(Input::Lost { conn, cause: Lost::Eof });
    assert!(place.ended, "G7: it ends with the peer's stream, once its own Close is out");
    place.end();
}

/// Hands in claims as if a token with them had been verified.
const CONNECT_AS_U: &str = r#"{"id":1,"connect":{"token":"{\"sub\":\"u\",\"channels\":[\"b\"],\"info\":{\"n\":1}}"}}"#;

fn call(variant: u8, body: &[u8]) {
    let method = method(variant);
    let mut place = ConnectedShard::new(0, "/connection/websocket");
    let conn = place.conn;
    place.input(Input::Message { conn, message: CONNECT_AS_U.into() });
    place.receive();
    let parsed = json::parse(method, body, place.shard.config());
    assert_eq!(parsed, json::parse(method, body, place.shard.config()), "G9: the same text means the same");
    let result = parsed.and_then(|command| {
        let call = CallId(1);
        place.input(Input::Call { call, command }).expect("P1: a call is answered")
    });
    let text = json::encode(&result);
    let answer = json(&text);
    let keys: Vec<&String> = answer.as_object().expect("P1: an answer is an object").keys().collect();
    assert!(matches!(keys.as_slice(), [key] if ["result", "error", "replies"].contains(&key.as_str())), "P1: {keys:?}");
    // The table of limits is the longest answer, and a batch may ask for it again and again.
    let most = ESCAPED * body.len() + (1 + body.len() / COMMAND) * 8 * ANSWER;
    assert!(text.len() <= most, "G6: {} bytes for {}", text.len(), body.len());
    place.receive();
    place.end();
}

/// Claims of a client that joins rooms by them, and again when they are renewed.
fn claims(variant: u8, bytes: &[u8]) {
    let claims = std::str::from_utf8(bytes).map_err(|_| BadToken::Malformed).and_then(Claims::parse);
    let verdict = vouch(claims);
    let target = if variant & 2 == 0 { "/connection/websocket" } else { "/ws?room=a&positions=on&token=x" };
    let mut place = ConnectedShard::new(variant, target);
    let conn = place.conn;
    let texts: [&str; 3] = [
        r#"{"id":1,"connect":{"token":"x"}}"#,
        r#"{"id":2,"refresh":{"token":"x"}}{"id":3,"subscribe":{"channel":"a","token":"x","join_leave":true}}"#,
        r#"{"type":"auth","token":"x"}"#,
    ];
    for text in texts {
        place.input(Input::Message { conn, message: text.into() });
        // "x" proves nothing by itself; the verdict is what the bytes say, wherever one is waited for.
        place.input(Input::Authenticated { conn, verdict: verdict.clone() });
        let (sent, _) = place.receive();
        let most = ESCAPED * bytes.len() * limits().rooms_per_connection + 8 * ANSWER;
        assert!(sent <= most, "G6: {sent} bytes for claims of {}", bytes.len());
    }
    place.end();
}

fn routes() -> Routes {
    let mut routes = Routes::default();
    routes.add("/ws/chat/{id}", "chat:{id}", None).expect("a good template");
    routes.add("/ws/{id}/events", "{id}", Some("subscription_updated")).expect("a good template");
    routes.add("/ws/news", "news", None).expect("a good template");
    routes
}

fn route(variant: u8, bytes: &[u8]) {
    let config = Config::from(Limits { room_name_bytes: 40, ..limits() });
    let target = target_of(variant, bytes);
    let routes = routes();
    let found = routes.resolve(&target, &config.limits, &config.namespaces);
    assert_eq!(
        found,
        routes.resolve(&target, &config.limits, &config.namespaces),
        "G9: the same target leads to the same"
    );
    match &found {
        Ok(Target::Plain(plain)) => is_possible(plain, &config.limits),
        Ok(Target::Json { .. }) => {}
        Err(error) => assert!(format!("{error:?}").len() <= ESCAPED * target.len() + ANSWER, "G6: {error:?}"),
    }
    if let Ok(target) = found {
        let mut place = ConnectedShard::new(variant, "/connection/websocket");
        let upgrade = Upgrade { client: [3; 16], target, token: None, address: None };
        place.conn = place.shard.accept(NOW, upgrade).expect("within the limits");
        place.input(Input::Upgraded { conn: place.conn });
        place.receive();
        place.end();
    }
}

/// Checks what the machine relies on in a target (it checks only the number of rooms again).
fn is_possible(plain: &Plain, limits: &Limits) {
    let rooms = &plain.rooms;
    assert!((1..=limits.rooms_per_connection).contains(&rooms.len()), "P1: {rooms:?}");
    for (at, room) in rooms.iter().enumerate() {
        assert!((1..=limits.room_name_bytes).contains(&room.len()), "P1: {room:?}");
        assert!(!room.starts_with('#') && !room.chars().any(char::is_control), "P1: {room:?}");
        assert!(!rooms[..at].contains(room), "P1: {room:?} twice");
    }
    assert!(plain.history <= 100, "P1: history={}", plain.history);
    assert!(plain.since.is_empty() || plain.history == 0, "P1: since and history");
    assert!(plain.since.len() <= limits.rooms_per_connection, "P1: since with {:?}", plain.since);
}
