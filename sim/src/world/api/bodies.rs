//! The bodies of API calls, and the methods that go with them.

use crate::world::action::{BadCall, Key, Renewal};
use crate::world::history_request::{LogQuery, RecoverFrom, query_fields};
use crate::world::names::{room_name, user_name};
use crate::world::payload::Data;
use serde_json::json;

/// The method and body of a call that publishes to these rooms.
#[must_use]
pub fn publish(rooms: &[usize], data: &Data) -> (&'static str, String) {
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
pub fn publish_user(user: usize, data: &Data) -> (&'static str, String) {
    ("publish_user", format!(r#"{{"user":"{}","data":{}{}}}"#, user_name(user), data.sent, beside(data)))
}

/// The method and body of a call that sends to every connection.
#[must_use]
pub fn publish_all(data: &Data) -> (&'static str, String) {
    ("publish_all", format!(r#"{{"data":{}}}"#, data.sent))
}

/// The body of `disconnect`.
#[must_use]
pub fn disconnect(user: usize) -> String {
    format!(r#"{{"user":"{}"}}"#, user_name(user))
}

/// The body of a publication with an idempotency key, and the key's number; `None` for one that is too long.
#[must_use]
pub fn publish_once(room: usize, key: Key, data: &Data, longest: usize) -> (String, Option<u8>) {
    let (text, number) = match key {
        Key::A => ("a".to_owned(), Some(0)),
        Key::B => ("b".to_owned(), Some(1)),
        Key::TooLong => ("k".repeat(longest + 1), None),
        Key::Longest => ("k".repeat(longest), Some(2)),
    };
    (format!(r#"{{"channel":"{}","data":{},"idempotency_key":"{text}"}}"#, room_name(room), data.sent), number)
}

/// The body of `history`.
#[must_use]
pub fn history(room: usize, query: &LogQuery) -> String {
    let mut fields = query_fields(query);
    fields["channel"] = room_name(room).into();
    fields.to_string()
}

/// The body of `history` for all that is behind a position; an empty epoch is any.
#[must_use]
pub fn history_since(room: &str, epoch: &str, offset: u64) -> String {
    json!({ "channel": room, "limit": -1, "since": { "epoch": epoch, "offset": offset } }).to_string()
}

/// The body of the calls that only name a room.
#[must_use]
pub fn channel(room: usize) -> String {
    json!({ "channel": room_name(room) }).to_string()
}

/// The body of `subscribe`.
#[must_use]
pub fn subscribe(user: usize, room: usize, want: &RecoverFrom) -> String {
    let mut fields = json!({ "user": user_name(user), "channel": room_name(room) });
    if let RecoverFrom::Since { epoch, offset, .. } = want {
        fields["recover_since"] = json!({ "epoch": **epoch, "offset": offset });
    }
    fields.to_string()
}

/// The body of `unsubscribe`.
#[must_use]
pub fn unsubscribe(user: usize, room: usize) -> String {
    json!({ "user": user_name(user), "channel": room_name(room) }).to_string()
}

/// The body of `refresh`.
#[must_use]
pub fn refresh(user: usize, renewal: Renewal, exp: Option<u64>) -> String {
    let mut fields = json!({ "user": user_name(user) });
    if let Some(exp) = exp {
        fields["expire_at"] = exp.into();
    }
    if renewal == Renewal::Expired {
        fields["expired"] = true.into();
    }
    fields.to_string()
}

fn beside(data: &Data) -> &'static str {
    match (data.tagged, data.unlogged) {
        (true, _) => r#","tags":{"k":"v"}"#,
        (_, true) => r#","skip_history":true"#,
        _ => "",
    }
}

/// The method and body of a call that cannot be, and the error that it is answered: 0 where it is accepted and changes nothing.
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
