//! The calls of backends that several actions make, or that are more than a row: of each its body, and what must come of it.

use super::answer::{error, result};
use super::api_call::ApiCall;
use super::connection::{ExpectedConnection, ExpectedEnd, ExpectedPhase};
use super::model::{ReferenceModel, nanos};
use crate::guarantees::Guarantee;
use crate::world::action::Key;
use crate::world::history_request::{LogQuery, query_fields};
use crate::world::names::{room_name, user_name};
use crate::world::payload::Data;
use parlor_core::CloseCause;
use serde_json::{Value, json};

/// Publishes to one room.
#[must_use]
pub fn publish(room: usize, data: &Data) -> ApiCall<'_> {
    let body = format!(r#"{{"channel":"{}","data":{}{}}}"#, room_name(room), data.sent, beside(data));
    ApiCall::new("publish", body, Guarantee::P1, move |model| model.announce(room, data))
}

/// Publishes to one room with an idempotency key, which is at most so long, or one byte longer.
#[must_use]
pub fn publish_once(room: usize, key: Key, data: &Data, longest: usize) -> ApiCall<'_> {
    let (text, number) = match key {
        Key::A => ("a".to_owned(), 0),
        Key::B => ("b".to_owned(), 1),
        Key::Longest => ("k".repeat(longest), 2),
        Key::TooLong => ("k".repeat(longest + 1), 3),
    };
    let body = format!(r#"{{"channel":"{}","data":{},"idempotency_key":"{text}"}}"#, room_name(room), data.sent);
    ApiCall::new("publish", body, Guarantee::P1, move |model| model.announce_once(room, number, data))
}

/// Publishes to all of these rooms.
#[must_use]
pub fn broadcast<'a>(rooms: &'a [usize], data: &'a Data) -> ApiCall<'a> {
    let names: Vec<String> = rooms.iter().map(|room| room_name(*room)).collect();
    let body = format!(r#"{{"channels":{},"data":{}{}}}"#, Value::from(names), data.sent, beside(data));
    ApiCall::new("broadcast", body, Guarantee::P1, move |model| model.announce_to(rooms, data))
}

/// Publishes to the personal room of a user.
#[must_use]
pub fn publish_user(user: usize, data: &Data) -> ApiCall<'_> {
    let body = format!(r#"{{"user":"{}","data":{}{}}}"#, user_name(user), data.sent, beside(data));
    ApiCall::new("publish_user", body, Guarantee::P1, move |model| model.announce(model.own_room(user), data))
}

/// Sends to everybody.
#[must_use]
pub fn publish_all(data: &Data) -> ApiCall<'_> {
    ApiCall::new("publish_all", format!(r#"{{"data":{}}}"#, data.sent), Guarantee::P1, move |model| {
        let ready: Vec<usize> = (0..model.conns.len()).filter(|client| model.is_ready(*client)).collect();
        model.message(&ready, data);
        done()
    })
}

/// Reads a log.
#[must_use]
pub fn history(room: usize, query: &LogQuery) -> ApiCall<'static> {
    let mut body = query_fields(query);
    body["channel"] = room_name(room).into();
    ApiCall::reading("history", body)
}

/// Removes what a log retains.
#[must_use]
pub fn history_remove(room: usize) -> ApiCall<'static> {
    ApiCall::new("history_remove", json!({ "channel": room_name(room) }), Guarantee::P1, move |model| {
        model.remove_history(room);
        done()
    })
}

/// Closes all connections of a user.
#[must_use]
pub fn disconnect(user: usize) -> ApiCall<'static> {
    ApiCall::new("disconnect", json!({ "user": user_name(user) }), Guarantee::P1, move |model| {
        model.close_all(3503, |conn| conn.user == Some(user));
        done()
    })
}

/// Closes the connection of one client with this code, as the body says.
#[must_use]
pub fn disconnect_client(client: usize, code: u16, body: &Value) -> ApiCall<'static> {
    ApiCall::new("disconnect", body, Guarantee::P1, move |model| {
        let client_id = model.conns[client].as_ref().map(|conn| conn.client_id);
        model.close_all(code, |conn| Some(conn.client_id) == client_id);
        done()
    })
}

/// A call that is refused with this error.
#[must_use]
pub fn refused(method: &str, body: &str, code: u16) -> ApiCall<'static> {
    ApiCall::new(method, body, Guarantee::P1, move |_| error(code))
}

/// A call that is accepted and changes nothing.
#[must_use]
pub fn without_effect(method: &str, body: &str) -> ApiCall<'static> {
    ApiCall::new(method, body, Guarantee::P1, |_| done())
}

/// Fields of a publication beside its payload.
fn beside(data: &Data) -> &'static str {
    match (data.tagged, data.unlogged) {
        (true, _) => r#","tags":{"k":"v"}"#,
        (_, true) => r#","skip_history":true"#,
        _ => "",
    }
}

/// The answer to a call that has nothing to tell.
fn done() -> Value {
    result(json!({}))
}

impl ReferenceModel {
    fn announce(&mut self, room: usize, data: &Data) -> Value {
        let (offset, epoch) = self.publish(room, data, None);
        result(json!({ "offset": offset, "epoch": epoch }))
    }

    fn announce_to(&mut self, rooms: &[usize], data: &Data) -> Value {
        let publish = |room: &usize| {
            let response = self.announce(*room, data);
            self.settle();
            response
        };
        let responses: Vec<Value> = rooms.iter().map(publish).collect();
        result(json!({ "responses": responses }))
    }

    /// The same key in the same room is published once; the answer stays the same for a while.
    fn announce_once(&mut self, room: usize, key: u8, data: &Data) -> Value {
        if let Some(answer) = self.keys.find(room, key) {
            return answer;
        }
        let answer = self.announce(room, data);
        let limits = &self.config.limits;
        let end = self.clock + nanos(limits.idempotency_window);
        self.keys.remember(room, key, end, answer.clone(), limits.idempotency_keys);
        answer
    }

    fn close_all(&mut self, code: u16, which: impl Fn(&ExpectedConnection) -> bool) {
        for client in 0..self.conns.len() {
            let Some(conn) = self.conns[client].as_ref().filter(|conn| which(conn)) else { continue };
            match conn.phase {
                ExpectedPhase::Handshaking => self.end(client, ExpectedEnd::aborted(CloseCause::Backend)),
                ExpectedPhase::Open => self.close_saying(client, CloseCause::Backend, code),
                ExpectedPhase::Closing { .. } => {}
            }
        }
    }
}
