//! The calls of backends that several actions make, or that are more than a row: of each its body, and what must come of it.

use super::answer::{error, result};
use super::api_call::ApiCall;
use super::connection::{ExpectedConnection, ExpectedEnd, ExpectedPhase};
use super::model::ReferenceModel;
use super::selection::{ConnectionSelection, ListQuery};
use super::time::nanos;
use crate::goals::Goal;
use crate::guarantees::Guarantee;
use crate::world::action::{Key, Look, Renewal};
use crate::world::history_request::{LogQuery, RecoverFrom, query_fields};
use crate::world::limit_text::limit_text;
use crate::world::names::{room_name, user_name};
use crate::world::payload::Data;
use parlor_core::{ClientId, CloseCause, Limit};
use serde_json::{Map, Value, json};

/// A call with more parts than this has many.
const MANY: usize = 100;

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

/// Sends to the connection of this id, which is that of a client or has ended.
#[must_use]
pub fn send(id: ClientId, client: Option<usize>, data: &Data) -> ApiCall<'_> {
    let body = format!(r#"{{"client":"{id}","data":{}}}"#, data.sent);
    ApiCall::new("send", body, Guarantee::P1, move |model| match client {
        Some(client) => model.send(client, data),
        None => error(102),
    })
}

/// Reads a log.
#[must_use]
pub fn history(room: usize, query: &LogQuery) -> ApiCall<'_> {
    let mut body = query_fields(query);
    body["channel"] = room_name(room).into();
    ApiCall::new("history", body, Guarantee::G5, move |model| model.history(room, query))
}

/// Removes what a log retains.
#[must_use]
pub fn history_remove(room: usize) -> ApiCall<'static> {
    ApiCall::new("history_remove", in_room(room), Guarantee::P1, move |model| {
        model.remove_history(room);
        done()
    })
}

/// Asks who is in a room.
#[must_use]
pub fn presence(room: usize) -> ApiCall<'static> {
    ApiCall::new("presence", in_room(room), Guarantee::G2, move |model| {
        model.if_listed(room, |model| json!({ "presence": model.presence(room) }))
    })
}

/// Asks how many are in a room.
#[must_use]
pub fn presence_stats(room: usize) -> ApiCall<'static> {
    ApiCall::new("presence_stats", in_room(room), Guarantee::G2, move |model| {
        model.if_listed(room, |model| model.presence_stats(room))
    })
}

/// Puts a user's connections into a room, with what they have missed.
#[must_use]
pub fn subscribe(user: usize, room: usize, want: &RecoverFrom) -> ApiCall<'_> {
    let mut body = json!({ "user": user_name(user), "channel": room_name(room) });
    if let RecoverFrom::Since { epoch, offset, .. } = want {
        body["recover_since"] = json!({ "epoch": **epoch, "offset": offset });
    }
    ApiCall::new("subscribe", body, Guarantee::P1, move |model| {
        model.put_in(user, room, want).map_or_else(error, |()| done())
    })
}

/// Takes a user's connections out of a room.
#[must_use]
pub fn unsubscribe(user: usize, room: usize) -> ApiCall<'static> {
    let body = json!({ "user": user_name(user), "channel": room_name(room) });
    ApiCall::new("unsubscribe", body, Guarantee::P1, move |model| {
        model.take_user_out(user, room);
        done()
    })
}

/// Changes when a user's connections expire, to this many seconds since 1970.
#[must_use]
pub fn refresh(user: usize, renewal: Renewal, exp: Option<u64>) -> ApiCall<'static> {
    let mut body = json!({ "user": user_name(user) });
    if let Some(exp) = exp {
        body["expire_at"] = exp.into();
    }
    if renewal == Renewal::Expired {
        body["expired"] = true.into();
    }
    ApiCall::new("refresh", body, Guarantee::P1, move |model| {
        model.renew_user(user, renewal, exp);
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

/// Closes connections with this code, as the body says: the user's, or those of all users, but for those that are spared.
#[must_use]
pub fn disconnect_selected(
    user: Option<usize>,
    meant: ConnectionSelection,
    code: u16,
    body: &Value,
) -> ApiCall<'static> {
    ApiCall::new("disconnect", body, Guarantee::P1, move |model| {
        model.dismiss(user, meant, code);
        done()
    })
}

/// Lists rooms or connections, as the body says.
#[must_use]
pub fn list<'a>(list: ListQuery<'a>, body: &Value) -> ApiCall<'a> {
    let method = if list.of_rooms { "channels" } else { "connections" };
    ApiCall::asking(method, body, Guarantee::G8, move |model| model.list(&list))
}

/// Makes several calls, one after the other.
#[must_use]
pub fn batch<'a>(parts: Vec<ApiCall<'a>>) -> ApiCall<'a> {
    let command = |part: &ApiCall<'_>| format!(r#"{{"{}":{}}}"#, part.method, part.body);
    let commands: Vec<String> = parts.iter().map(command).collect();
    let body = format!(r#"{{"commands":[{}]}}"#, commands.join(","));
    ApiCall::new("batch", body, Guarantee::P1, move |model| model.batch(&parts))
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

/// The body of the calls that only name a room.
fn in_room(room: usize) -> Value {
    json!({ "channel": room_name(room) })
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
    /// Every part sees what those before it have done, down to the members who have gone because of them.
    fn batch(&mut self, parts: &[ApiCall<'_>]) -> Value {
        if parts.len() > MANY {
            self.goals.reach(Goal::BatchedMuch);
        }
        for part in parts {
            let answer = part.carry_out(self).want;
            self.settle();
            let answer = match answer.get("result") {
                Some(result) => json!({ &part.method: result }),
                None => answer,
            };
            self.turn.parts.push(answer);
        }
        self.goals.reach(Goal::Batched);
        json!({ "replies": std::mem::take(&mut self.turn.parts) })
    }

    fn announce_to(&mut self, rooms: &[usize], data: &Data) -> Value {
        if rooms.len() > MANY {
            self.goals.reach(Goal::BroadcastMuch);
        }
        let publish = |room: &usize| {
            let response = self.announce(*room, data);
            self.settle();
            response
        };
        let responses: Vec<Value> = rooms.iter().map(publish).collect();
        result(json!({ "responses": responses }))
    }

    fn announce(&mut self, room: usize, data: &Data) -> Value {
        let (offset, epoch) = self.publish(room, data, None);
        result(json!({ "offset": offset, "epoch": epoch }))
    }

    /// The same key in the same room is published once; the answer stays the same for a while.
    fn announce_once(&mut self, room: usize, key: u8, data: &Data) -> Value {
        if let Some(answer) = self.keys.find(room, key) {
            self.goals.reach(Goal::PublishedOnce);
            return answer;
        }
        let answer = self.announce(room, data);
        let (end, most) = (self.key_end(), self.config.limits.idempotency_keys);
        self.keys.remember(room, key, end, answer.clone(), most);
        answer
    }

    /// Answers a question about a room's members, where they can be listed.
    fn if_listed(&self, room: usize, answer: impl Fn(&Self) -> Value) -> Value {
        if self.rules[room].presence_list { result(answer(self)) } else { error(108) }
    }

    fn history(&mut self, room: usize, query: &LogQuery) -> Value {
        if !self.keeps_history(room) {
            return error(if query.is_impossible() { 107 } else { 108 });
        }
        match self.read(room, query) {
            Ok(entries) => result(self.page(room, &entries)),
            Err(code) => error(code),
        }
    }

    pub(crate) fn is_ready(&self, client: usize) -> bool {
        self.conns[client].as_ref().is_some_and(|conn| conn.ready)
    }

    fn send(&mut self, client: usize, data: &Data) -> Value {
        if !self.is_ready(client) {
            return error(102);
        }
        self.message(&[client], data);
        result(json!({}))
    }

    /// The rooms that a connection is in, by name.
    pub(super) fn rooms_of(&self, conn: &ExpectedConnection) -> Vec<&str> {
        let is_it = |client: &usize| self.conns[*client].as_ref().is_some_and(|other| other.id == conn.id);
        let rooms = self.rooms.iter().zip(&*self.names).filter(|(members, _)| members.iter().any(is_it));
        let mut names: Vec<&str> = rooms.map(|(_, name)| &**name).collect();
        names.sort_unstable();
        names
    }

    pub(super) fn close_all(&mut self, code: u16, which: impl Fn(&ExpectedConnection) -> bool) {
        for client in 0..self.conns.len() {
            let Some(conn) = self.conns[client].as_ref().filter(|conn| which(conn)) else { continue };
            match conn.phase {
                ExpectedPhase::Handshaking => self.end(client, ExpectedEnd::aborted(CloseCause::Backend)),
                ExpectedPhase::Open => self.close_saying(client, CloseCause::Backend, code),
                ExpectedPhase::Closing { .. } => {}
            }
        }
    }

    /// The result of a call without parameters.
    pub(crate) fn look(&self, look: Look) -> Value {
        let occupied = || (0..self.rooms.len()).filter(|room| !self.rooms[*room].is_empty());
        let ready: Vec<&ExpectedConnection> = self.conns.iter().flatten().filter(|conn| conn.ready).collect();
        match look {
            Look::Channels => json!({ "channels": self.rooms_listed().collect::<Map<String, Value>>() }),
            Look::Connections => {
                let all = ready.iter().map(|conn| self.listed(conn));
                json!({ "connections": all.collect::<Map<String, Value>>() })
            }
            // Which limits there are, and what comes of reaching each, is the table's to say: README is compared with it.
            Look::Limits => {
                let row = |limit: &Limit| {
                    let value = limit_text(self.config.limits.value(*limit));
                    (limit.name().to_owned(), json!({ "value": value, "answer": limit.answer() }))
                };
                json!({ "limits": Limit::ALL.iter().map(row).collect::<Map<String, Value>>() })
            }
            Look::Info => {
                let mut users: Vec<Option<usize>> = ready.iter().map(|conn| conn.user).collect();
                users.sort_unstable();
                users.dedup();
                json!({ "nodes": [{
                    "uid": self.config.node,
                    "name": self.config.node,
                    "version": self.config.version,
                    "num_clients": ready.len(),
                    "num_users": users.len(),
                    "num_channels": occupied().count(),
                    "num_subs": self.rooms.iter().map(Vec::len).sum::<usize>(),
                }] })
            }
        }
    }

    /// The end of an idempotency key that is remembered now.
    pub(super) fn key_end(&self) -> u64 {
        self.clock + nanos(self.config.limits.idempotency_window)
    }
}
