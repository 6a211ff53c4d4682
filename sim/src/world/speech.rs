//! What clients and backends say: the text that goes out, and beside it what the text means.

use crate::world::action::{BadCall, Batch, Filter, Payload, Saying};
use crate::world::history_request::Query;
use crate::world::history_request::Want;
use crate::world::setup::Setup;
use parlor_core::Limit;
use std::sync::Arc;

/// A payload and what must become of it.
#[derive(Clone, Debug)]
pub struct Data {
    /// No other payload of the run has it.
    pub number: u64,
    /// As it is sent.
    pub sent: String,
    /// As it must arrive: without newlines.
    pub line: Arc<str>,
    /// Its `type`.
    pub event: Option<&'static str>,
    /// It has a tag beside it when a backend publishes it.
    pub tagged: bool,
    /// It stays out of the log when a backend publishes it.
    pub unlogged: bool,
    /// It is larger than a publication may be.
    pub too_large: bool,
    /// It is not passed on: some clients could not read it. The limit that is in the way, if it is one.
    pub unreadable: Option<Option<Limit>>,
    /// Its `type` is one that only the server uses.
    pub is_servers: bool,
}

impl Data {
    /// The payload of this kind with this number.
    #[must_use]
    pub fn new(payload: Payload, number: u64, setup: &Setup) -> Self {
        let (sent, event) = match payload {
            Payload::TypeA => (format!(r#"{{"type":"a","n":{number}}}"#), Some("a")),
            Payload::TypeB => (format!(r#"{{"type":"b","n":{number}}}"#), Some("b")),
            Payload::Multiline => (format!("{{\n\"n\":\r\n{number}\n}}"), None),
            Payload::Large => (padded(number, setup.limits.publication_bytes), None),
            Payload::TooLarge => (padded(number, setup.limits.publication_bytes + 1), None),
            Payload::Deep => (nested(number, setup.limits.json_depth), None),
            Payload::TooDeep => (nested(number, setup.limits.json_depth + 1), None),
            Payload::LongNumber => {
                (format!(r#"{{"n":{number},"x":{}}}"#, digits(setup.limits.json_number_digits + 1)), None)
            }
            Payload::Surrogate => (format!(r#"{{"n":{number},"\ud800":0}}"#), None),
            Payload::ServersType => (format!(r#"{{"type":"gap","n":{number}}}"#), Some("gap")),
            Payload::EscapedType => (format!(r#"{{"\u0074ype":"g\u0061p","n":{number}}}"#), Some("gap")),
            Payload::SecondType => (format!(r#"{{"type":"a","type":"gap","n":{number}}}"#), None),
            Payload::Small | Payload::Tagged | Payload::Unlogged => (format!(r#"{{"n":{number}}}"#), None),
        };
        let line: String = sent.chars().filter(|char| !matches!(char, '\n' | '\r')).collect();
        let unreadable = match payload {
            _ if number.to_string().len() > setup.limits.json_number_digits => Some(Some(Limit::JsonNumberDigits)),
            Payload::TooDeep => Some(Some(Limit::JsonDepth)),
            Payload::LongNumber => Some(Some(Limit::JsonNumberDigits)),
            Payload::Surrogate => Some(None),
            _ => None,
        };
        Self {
            number,
            too_large: line.len() > setup.limits.publication_bytes,
            unreadable,
            is_servers: matches!(payload, Payload::ServersType | Payload::EscapedType | Payload::SecondType),
            line: line.into(),
            sent,
            event,
            tagged: payload == Payload::Tagged,
            unlogged: payload == Payload::Unlogged,
        }
    }
}

/// The number of the last payload in a text.
#[must_use]
pub fn newest_in(text: &str) -> Option<u64> {
    let (_, rest) = text.rsplit_once(r#""n":"#)?;
    let end = rest.find(|char: char| !char.is_ascii_digit()).unwrap_or(rest.len());
    rest[..end].parse().ok()
}

/// An object that is nested so deep, counting itself.
fn nested(number: u64, depth: usize) -> String {
    let arrays = depth.saturating_sub(1);
    let inner = if arrays == 0 { "0" } else { "" };
    format!(r#"{{"n":{number},"x":{}{inner}{}}}"#, "[".repeat(arrays), "]".repeat(arrays))
}

fn digits(count: usize) -> String {
    "9".repeat(count)
}

fn padded(number: u64, bytes: usize) -> String {
    let bare = format!(r#"{{"n":{number},"x":""}}"#).len();
    let padding = bytes.saturating_sub(bare);
    format!(r#"{{"n":{number},"x":"{}"}}"#, "x".repeat(padding))
}

/// A room as a client names it.
#[derive(Clone, Debug)]
pub enum Named {
    /// One of the scenario's.
    Room(usize),
    /// A name that is refused with this error, and the limit that is in the way.
    Refused(u16, Option<Limit>),
}

/// One message of a client, or one of several in a text.
#[derive(Clone, Debug)]
pub enum ClientMessage {
    /// `connect`, or `auth` in plain, with this token.
    Connect(Option<String>),
    /// Joining a room.
    Subscribe(u64, Named, Asking),
    /// `connect` with this token, and what is wanted of the rooms that it puts the connection in.
    Return(String, Vec<(usize, Want)>),
    /// Reading a room's log.
    History(u64, usize, Query),
    /// Who is in a room, or only how many.
    Presence(u64, usize, bool),
    /// A new token.
    Refresh(u64, String),
    /// A new token for a room.
    SubRefresh(u64, usize, String),
    /// Where its rooms are, in plain.
    Position,
    /// A command without an id.
    NoId,
    /// Leaving a room.
    Unsubscribe(u64, usize),
    /// Publishing to a room, or nothing to it; in plain the id is optional.
    Publish(Option<u64>, usize, Option<Arc<Data>>),
    /// The protocol's ping.
    Ping,
    /// The protocol's pong.
    Pong,
    /// A message that is not answered.
    Send,
    /// A command that is refused with this error; in plain a type that nobody knows.
    Unknown(u64, u16),
    /// Which events are wanted.
    Select(Vec<&'static str>),
    /// Events that are refused because of this limit.
    SelectTooMuch(Limit),
    /// What the protocol is not: json closes for it.
    Nonsense,
}

/// What a `subscribe` asks for besides the room.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asking {
    /// What it wants before anything else.
    pub want: Want,
    /// Whether it is told who comes and goes.
    pub watch: bool,
    /// A token for the room.
    pub token: Option<String>,
}

impl ClientMessage {
    /// Whether it says who a client is.
    #[must_use]
    pub fn is_connect(&self) -> bool {
        matches!(self, Self::Connect(_) | Self::Return(..))
    }

    /// The id that it is answered with; 0 for what has none.
    #[must_use]
    pub fn id(&self) -> u64 {
        match self {
            Self::Connect(_) | Self::Return(..) => CONNECT,
            Self::Ping => PING,
            Self::Publish(id, ..) => id.unwrap_or_default(),
            Self::Subscribe(id, ..)
            | Self::Unsubscribe(id, _)
            | Self::Unknown(id, _)
            | Self::History(id, ..)
            | Self::Presence(id, ..)
            | Self::Refresh(id, _)
            | Self::SubRefresh(id, ..) => *id,
            Self::Pong | Self::Send | Self::Nonsense | Self::NoId | Self::Position => 0,
            Self::Select(_) | Self::SelectTooMuch(_) => 0,
        }
    }
}

impl ClientMessage {
    /// The id that it is answered with in plain, whatever the answer.
    #[must_use]
    pub fn plain_id(&self) -> Option<u64> {
        match self {
            Self::Publish(id, ..) => *id,
            _ => None,
        }
    }
}

/// A text and its meaning.
pub type Speech = (String, Vec<ClientMessage>);

const CONNECT: u64 = 1;
const PING: u64 = 2;
const ODD: u64 = 3;
const SUBSCRIBE: u64 = 10;
const UNSUBSCRIBE: u64 = 20;
const PUBLISH: u64 = 30;
/// So many messages at once.
const FLOOD: usize = 120;

/// The name of a room that clients may name.
#[must_use]
pub fn room_name(room: usize) -> String {
    format!("r{room}")
}

/// The name of a user.
#[must_use]
pub fn user_name(user: usize) -> String {
    format!("u{user}")
}

/// `connect` or `auth`.
#[must_use]
pub fn connect(json: bool, token: Option<String>) -> Speech {
    let text = match (json, &token) {
        (true, Some(token)) => format!(r#"{{"id":{CONNECT},"connect":{{"token":"{token}","name":"sim"}}}}"#),
        (true, None) => format!(r#"{{"id":{CONNECT},"connect":{{}}}}"#),
        (false, token) => format!(r#"{{"type":"auth","token":"{}"}}"#, token.as_deref().unwrap_or_default()),
    };
    (text, vec![ClientMessage::Connect(token)])
}

/// `subscribe`.
#[must_use]
pub fn join(room: usize) -> Speech {
    subscribe(SUBSCRIBE + room as u64, &room_name(room), Named::Room(room))
}

fn subscribe(id: u64, name: &str, named: Named) -> Speech {
    let name = serde_json::Value::from(name);
    (
        format!(r#"{{"id":{id},"subscribe":{{"channel":{name}}}}}"#),
        vec![ClientMessage::Subscribe(id, named, Asking::default())],
    )
}

/// `unsubscribe`.
#[must_use]
pub fn leave(room: usize) -> Speech {
    let id = UNSUBSCRIBE + room as u64;
    let text = format!(r#"{{"id":{id},"unsubscribe":{{"channel":"{}"}}}}"#, room_name(room));
    (text, vec![ClientMessage::Unsubscribe(id, room)])
}

/// `publish`. A plain client gives an id to every other message.
#[must_use]
pub fn publish(json: bool, room: usize, data: Data) -> Speech {
    let (name, id) = (room_name(room), PUBLISH + room as u64);
    let id = (json || data.number % 2 == 1).then_some(id);
    let text = match (json, id) {
        (true, _) => {
            format!(r#"{{"id":{},"publish":{{"channel":"{name}","data":{}}}}}"#, id.unwrap_or_default(), data.sent)
        }
        (false, Some(id)) => format!(r#"{{"type":"publish","room":"{name}","id":{id},"data":{}}}"#, data.sent),
        (false, None) => format!(r#"{{"type":"publish","room":"{name}","data":{}}}"#, data.sent),
    };
    (text, vec![ClientMessage::Publish(id, room, Some(Arc::new(data)))])
}

/// Several commands of a json client in one text; `data` for those that publish.
#[must_use]
pub fn together(batch: Batch, setup: &Setup, token: String, data: [Data; 2]) -> Speech {
    let rooms = 0..usize::try_from(setup.rooms).expect("a few rooms");
    let [first, second] = data;
    let parts: Vec<Speech> = match batch {
        Batch::ConnectAndJoin => std::iter::once(connect(true, None)).chain(rooms.map(join)).collect(),
        Batch::TokenAndJoin => std::iter::once(connect(true, Some(token))).chain(rooms.map(join)).collect(),
        // Often enough to be too often, where little is allowed.
        Batch::Rejoin => (0..9).flat_map(|_| [leave(0), join(0)]).collect(),
        Batch::PublishTwice => vec![publish(true, 0, first), publish(true, 0, second)],
        Batch::Flood => {
            std::iter::repeat_with(|| (r#"{"send":{}}"#.to_owned(), vec![ClientMessage::Send])).take(FLOOD).collect()
        }
        Batch::JoinAndBreak => vec![join(0), ("{\"id\":".into(), vec![ClientMessage::Nonsense])],
    };
    let texts: Vec<&str> = parts.iter().map(|(text, _)| text.as_str()).collect();
    (texts.join("\n"), parts.iter().flat_map(|(_, messages)| messages.clone()).collect())
}

/// `subscribe` of a plain client.
#[must_use]
pub fn select(filter: Filter, setup: &Setup) -> Speech {
    let (most, longest) = (setup.limits.filter_events, setup.limits.filter_event_bytes);
    let known = match filter {
        Filter::A => vec!["a"],
        Filter::Both => vec!["a", "b"],
        Filter::All | Filter::TooMany | Filter::TooLong => vec![],
    };
    let names: Vec<String> = match filter {
        Filter::TooMany => (0..=most).map(|at| format!("e{at}")).collect(),
        Filter::TooLong => vec!["x".repeat(longest + 1)],
        _ => known.iter().map(ToString::to_string).collect(),
    };
    let message = if names.len() > most {
        ClientMessage::SelectTooMuch(Limit::FilterEvents)
    } else if names.iter().any(|name| name.len() > longest) {
        ClientMessage::SelectTooMuch(Limit::FilterEventBytes)
    } else {
        ClientMessage::Select(known)
    };
    (format!(r#"{{"type":"subscribe","events":{}}}"#, serde_json::Value::from(names)), vec![message])
}

/// Everything else; `None` where the protocol has nothing like it.
#[must_use]
pub fn say(json: bool, saying: Saying, setup: &Setup, data: Data) -> Option<Speech> {
    if json { say_json(saying, setup, data) } else { say_plain(saying) }
}

fn say_json(saying: Saying, setup: &Setup, data: Data) -> Option<Speech> {
    let command = |id: u64, body: &str, message| (format!(r#"{{"id":{id},{body}}}"#), vec![message]);
    let nonsense = |text: &str| (text.into(), vec![ClientMessage::Nonsense]);
    let long = "x".repeat(setup.limits.room_name_bytes + 1);
    Some(match saying {
        Saying::Ping => command(PING, r#""ping":{}"#, ClientMessage::Ping),
        Saying::Position => return None,
        Saying::Pong => ("{}".into(), vec![ClientMessage::Pong]),
        Saying::Send => (r#"{"send":{"data":{}}}"#.into(), vec![ClientMessage::Send]),
        Saying::Connect => connect(true, None),
        Saying::Rpc => command(ODD, r#""rpc":{"method":"x","data":{}}"#, ClientMessage::Unknown(ODD, 108)),
        Saying::Unknown => command(ODD, r#""dance":{}"#, ClientMessage::Unknown(ODD, 104)),
        Saying::NoId => (r#"{"ping":{}}"#.into(), vec![ClientMessage::NoId]),
        Saying::Malformed => nonsense(r#"{"id":1,"#),
        Saying::NotObject => nonsense("7"),
        Saying::EmptyName => subscribe(ODD, "", Named::Refused(107, None)),
        Saying::LongName => subscribe(ODD, &long, Named::Refused(107, Some(Limit::RoomNameBytes))),
        Saying::ControlName => subscribe(ODD, "a\u{7}b", Named::Refused(107, None)),
        Saying::BidiName => subscribe(ODD, "a\u{202E}b", Named::Refused(107, None)),
        Saying::LeaveReserved => {
            command(ODD, r##""unsubscribe":{"channel":"#somebody"}"##, ClientMessage::Unknown(ODD, 103))
        }
        Saying::Filtered => {
            let filter = r#""tf":{"op":"","key":"k","cmp":"eq","val":"v"}"#;
            command(ODD, &format!(r#""subscribe":{{"channel":"r0",{filter}}}"#), ClientMessage::Unknown(ODD, 108))
        }
        Saying::NoChannel => command(ODD, r#""presence":{}"#, ClientMessage::Unknown(ODD, 107)),
        Saying::Reserved => subscribe(ODD, "#somebody", Named::Refused(103, None)),
        Saying::NoData => (
            format!(r#"{{"id":{PUBLISH},"publish":{{"channel":"r0"}}}}"#),
            vec![ClientMessage::Publish(Some(PUBLISH), 0, None)],
        ),
        Saying::Elsewhere => {
            let text = format!(r#"{{"id":{ODD},"publish":{{"channel":"elsewhere","data":{}}}}}"#, data.sent);
            (text, vec![ClientMessage::Unknown(ODD, 103)])
        }
    })
}

fn say_plain(saying: Saying) -> Option<Speech> {
    Some(match saying {
        Saying::Ping => (r#"{"type":"ping"}"#.into(), vec![ClientMessage::Ping]),
        Saying::Position => (r#"{"type":"position"}"#.into(), vec![ClientMessage::Position]),
        Saying::Unknown => (r#"{"type":"dance"}"#.into(), vec![ClientMessage::Unknown(ODD, 0)]),
        Saying::Malformed => (r#"{"type":"#.into(), vec![ClientMessage::Nonsense]),
        Saying::NotObject => ("7".into(), vec![ClientMessage::Nonsense]),
        _ => return None,
    })
}

/// The method and body of a call that publishes to these rooms.
#[must_use]
pub fn announce(rooms: &[usize], data: &Data) -> (&'static str, String) {
    let names: Vec<String> = rooms.iter().map(|room| room_name(*room)).collect();
    let beside = beside(data);
    match names.as_slice() {
        [name] => ("publish", format!(r#"{{"channel":"{name}","data":{}{beside}}}"#, data.sent)),
        _ => {
            let names = serde_json::Value::from(names);
            ("broadcast", format!(r#"{{"channels":{names},"data":{}{beside}}}"#, data.sent))
        }
    }
}

/// The method and body of a call that publishes to a user.
#[must_use]
pub fn tell(user: usize, data: &Data) -> (&'static str, String) {
    ("publish_user", format!(r#"{{"user":"{}","data":{}{}}}"#, user_name(user), data.sent, beside(data)))
}

/// The body of `disconnect`.
#[must_use]
pub fn expel(user: usize) -> String {
    format!(r#"{{"user":"{}"}}"#, user_name(user))
}

fn beside(data: &Data) -> &'static str {
    match (data.tagged, data.unlogged) {
        (true, _) => r#","tags":{"k":"v"}"#,
        (_, true) => r#","skip_history":true"#,
        _ => "",
    }
}

/// The method and body of a call that cannot be, and the error that it is answered: 0 where it is done, to nobody.
#[must_use]
pub fn misuse(call: BadCall) -> (&'static str, String, u16) {
    let (method, body, code) = match call {
        BadCall::Unknown => ("dance", "{}", 104),
        BadCall::Malformed => ("publish", "{", 107),
        BadCall::NoChannel => ("publish", r#"{"data":{}}"#, 107),
        BadCall::NoData => ("publish", r#"{"channel":"r0"}"#, 107),
        BadCall::NoUser => ("publish_user", r#"{"user":"","data":{}}"#, 107),
        BadCall::OddPart => ("batch", r#"{"commands":[{"dance":{}}]}"#, 107),
        BadCall::LeaveReserved => ("unsubscribe", r##"{"user":"u0","channel":"#u0"}"##, 103),
        BadCall::OddClient => ("send", r#"{"client":"nobody","data":{}}"#, 102),
        BadCall::CloseNobody => ("disconnect", r#"{"client":"nobody"}"#, 0),
        BadCall::TwiceField => ("publish", r#"{"channel":"r0","data":1,"data":2}"#, 107),
        BadCall::BidiUser => ("publish_user", r#"{"user":"a\u202eb","data":{}}"#, 107),
        BadCall::NoClient => ("send", r#"{"client":"ffffffff-ffff-ffff-ffff-ffffffffffff","data":{}}"#, 102),
    };
    (method, body.into(), code)
}
