//! The texts that clients send, each beside its meaning.

use crate::world::action::{Batch, Filter, Saying};
use crate::world::client_message::{CONNECT, ClientMessage, NamedRoom, PING, Speech, SubscribeOptions};
use crate::world::history_request::{LogQuery, RecoverFrom, query_fields, recovery_fields};
use crate::world::names::room_name;
use crate::world::payload::Data;
use crate::world::setup::Setup;
use parlor_core::{Limit, Who};
use serde_json::{Value, json};
use std::sync::Arc;

// The ids of commands. Each kind has ten, one for each room, so that the replies to two commands are not the same.

const ODD: u64 = 3;

const SUBSCRIBE: u64 = 10;

const UNSUBSCRIBE: u64 = 20;

const PUBLISH: u64 = 30;

const HISTORY: u64 = 40;

/// So many messages at once.
const FLOOD: usize = 120;

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
    subscribe_as(SUBSCRIBE + room as u64, &room_name(room), NamedRoom::Room(room))
}

fn subscribe_as(id: u64, name: &str, named: NamedRoom) -> Speech {
    let name = serde_json::Value::from(name);
    (
        format!(r#"{{"id":{id},"subscribe":{{"channel":{name}}}}}"#),
        vec![ClientMessage::Subscribe(id, named, SubscribeOptions::default())],
    )
}

/// `unsubscribe`.
#[must_use]
pub fn leave(room: usize) -> Speech {
    in_room(UNSUBSCRIBE, "unsubscribe", room)
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
        Saying::EmptyName => subscribe_as(ODD, "", NamedRoom::Refused(107, None)),
        Saying::LongName => subscribe_as(ODD, &long, NamedRoom::Refused(107, Some(Limit::RoomNameBytes))),
        Saying::ControlName => subscribe_as(ODD, "a\u{7}b", NamedRoom::Refused(107, None)),
        Saying::BidiName => subscribe_as(ODD, "a\u{202E}b", NamedRoom::Refused(107, None)),
        Saying::LeaveReserved => {
            command(ODD, r##""unsubscribe":{"channel":"#somebody"}"##, ClientMessage::Unknown(ODD, 103))
        }
        Saying::Filtered => {
            let filter = r#""tf":{"op":"","key":"k","cmp":"eq","val":"v"}"#;
            command(ODD, &format!(r#""subscribe":{{"channel":"r0",{filter}}}"#), ClientMessage::Unknown(ODD, 108))
        }
        Saying::NoChannel => command(ODD, r#""presence":{}"#, ClientMessage::Unknown(ODD, 107)),
        Saying::Reserved => subscribe_as(ODD, "#somebody", NamedRoom::Refused(103, None)),
        Saying::NoData => (
            format!(r#"{{"id":{PUBLISH},"publish":{{"channel":"r0"}}}}"#),
            vec![ClientMessage::Publish(Some(PUBLISH), 0, None)],
        ),
        Saying::Elsewhere if setup.namespaces == 1 => publish_elsewhere("c:other", 102, &data),
        // A token may grant it in all rooms but those of users.
        Saying::Elsewhere => publish_elsewhere("#other", 103, &data),
        // Some rules let every user, or everybody, publish to every user.
        Saying::AnothersRoom if setup.rules("#").publish >= Who::Users => return None,
        Saying::AnothersRoom => publish_elsewhere("#other", 103, &data),
    })
}

/// A publication to a room that is none of the scenario's, and is refused with this error.
fn publish_elsewhere(room: &str, code: u16, data: &Data) -> Speech {
    let text = format!(r#"{{"id":{ODD},"publish":{{"channel":"{room}","data":{}}}}}"#, data.sent);
    (text, vec![ClientMessage::Unknown(ODD, code)])
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

/// `subscribe` with all that it may ask for.
#[must_use]
pub fn subscribe(room: usize, asking: SubscribeOptions) -> Speech {
    let mut fields = recovery_fields(&asking.want);
    fields["channel"] = room_name(room).into();
    if asking.watch {
        fields["join_leave"] = true.into();
    }
    if let Some(token) = &asking.token {
        fields["token"] = token.as_str().into();
    }
    let id = SUBSCRIBE + room as u64;
    spoken(id, "subscribe", &fields, ClientMessage::Subscribe(id, NamedRoom::Room(room), asking))
}

/// `connect` with a token, and where the client was in the rooms of these names.
#[must_use]
pub fn come_back(token: String, subs: Vec<(usize, String, RecoverFrom)>) -> Speech {
    let named: serde_json::Map<String, Value> =
        subs.iter().map(|(_, name, want)| (name.clone(), recovery_fields(want))).collect();
    let params = json!({ "token": token, "subs": named });
    let wants = subs.into_iter().map(|(room, _, want)| (room, want)).collect();
    spoken(1, "connect", &params, ClientMessage::Return(token, wants))
}

/// `history`.
#[must_use]
pub fn history(room: usize, query: LogQuery) -> Speech {
    let mut fields = query_fields(&query);
    fields["channel"] = room_name(room).into();
    let id = HISTORY + room as u64;
    spoken(id, "history", &fields, ClientMessage::History(id, room, query))
}

/// A command that names a room alone; `id` is the first of its kind.
#[must_use]
pub fn in_room(id: u64, name: &'static str, room: usize) -> Speech {
    command(id + room as u64, name, json!({ "channel": room_name(room) }))
}

/// A command whose name and parameters say it all.
#[must_use]
pub fn command(id: u64, name: &'static str, params: Value) -> Speech {
    spoken(id, name, &params, ClientMessage::Command(id, name, params.clone()))
}

fn spoken(id: u64, name: &str, params: &Value, message: ClientMessage) -> Speech {
    (json!({ "id": id, name: params }).to_string(), vec![message])
}
