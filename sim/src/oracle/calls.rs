//! What a backend asks for, and what it must be answered.

use super::expect::{ANY, fits};
use super::rooms::user_text;
use super::{Conn, Ending, Oracle, Phase};
use crate::action::Look;
use crate::checks::{Failure, Guarantee};
use crate::speech::Data;
use serde_json::{Map, Value, json};

/// One call.
#[derive(Clone, Debug)]
pub enum Call<'a> {
    /// Publish to one room.
    Publish(usize, &'a Data),
    /// Publish to all of these rooms.
    Broadcast(&'a [usize], &'a Data),
    /// Send to the connection of one peer.
    Send(usize, &'a Data),
    /// Publish to the personal room of a user.
    Tell(usize, &'a Data),
    /// Send to everybody.
    TellAll(&'a Data),
    /// Close all connections of a user.
    Expel(usize),
    /// Close the connection of one peer.
    Kick(usize),
    /// Look.
    Look(Look),
    /// Ask for a connection that does not exist.
    Nobody,
}

/// What the body of the answer must fit, and what is broken when it does not.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    want: Value,
    guarantee: Guarantee,
}

impl Answer {
    pub(super) fn compare(&self, body: &str) -> Result<(), Failure> {
        let got = serde_json::from_str(body).unwrap_or(Value::Null);
        if fits(&self.want, &got, true) && same_keys(&self.want["result"], &got["result"]) {
            return Ok(());
        }
        Err(Failure::new(self.guarantee, format_args!("the answer {}", self.want), body))
    }
}

/// Maps by name must have exactly the expected names; other objects may say more than is expected.
fn same_keys(want: &Value, got: &Value) -> bool {
    ["channels", "connections"].iter().all(|map| {
        let count = |value: &Value| value[map].as_object().map(Map::len);
        count(want).is_none() || count(want) == count(got)
    })
}

impl Oracle {
    pub(super) fn call(&mut self, call: &Call<'_>) {
        let (want, guarantee) = match call {
            Call::Publish(room, data) => (self.announce(&[*room], data).remove(0), Guarantee::P1),
            Call::Tell(user, data) => (self.announce(&[self.own_room(*user)], data).remove(0), Guarantee::P1),
            Call::Broadcast(rooms, data) => (result(json!({ "responses": self.announce(rooms, data) })), Guarantee::P1),
            Call::Send(peer, data) => (self.send(*peer, data), Guarantee::P1),
            Call::TellAll(data) => {
                let ready: Vec<usize> = (0..self.conns.len()).filter(|peer| self.is_ready(*peer)).collect();
                self.message(&ready, data);
                (result(json!({})), Guarantee::P1)
            }
            Call::Expel(user) => {
                self.close_all(|conn| conn.user == Some(*user));
                (result(json!({})), Guarantee::P1)
            }
            Call::Kick(peer) => {
                let client = self.conns[*peer].as_ref().map(|conn| conn.client);
                self.close_all(|conn| Some(conn.client) == client);
                (result(json!({})), Guarantee::P1)
            }
            Call::Look(look) => (result(self.look(*look)), Guarantee::G8),
            Call::Nobody => (error(107), Guarantee::P1),
        };
        self.turn.answer = Some(Answer { want, guarantee });
    }

    fn announce(&mut self, rooms: &[usize], data: &Data) -> Vec<Value> {
        let positions = self.publish(rooms, data, None).into_iter();
        let position = |(offset, epoch)| json!({ "offset": offset, "epoch": epoch });
        positions.map(|one| result(one.map_or(json!({}), position))).collect()
    }

    pub(crate) fn is_ready(&self, peer: usize) -> bool {
        self.conns[peer].as_ref().is_some_and(|conn| conn.ready)
    }

    fn send(&mut self, peer: usize, data: &Data) -> Value {
        if !self.is_ready(peer) {
            return error(107);
        }
        self.message(&[peer], data);
        result(json!({}))
    }

    fn close_all(&mut self, which: impl Fn(&Conn) -> bool) {
        for peer in 0..self.conns.len() {
            let Some(conn) = self.conns[peer].as_ref().filter(|conn| which(conn)) else { continue };
            match conn.phase {
                Phase::Handshaking => self.end(peer, Ending::ABORTED),
                Phase::Open => self.close(peer, 3503),
                Phase::Closing { .. } => {}
            }
        }
    }

    fn look(&self, look: Look) -> Value {
        let occupied = || (0..self.rooms.len()).filter(|room| !self.rooms[*room].is_empty());
        let ready: Vec<&Conn> = self.conns.iter().flatten().filter(|conn| conn.ready).collect();
        match look {
            Look::Channels => {
                let counts = occupied()
                    .map(|room| (self.names[room].to_string(), json!({ "num_clients": self.rooms[room].len() })));
                json!({ "channels": counts.collect::<Map<String, Value>>() })
            }
            Look::Connections => {
                let views = ready.iter().map(|conn| {
                    let protocol = if conn.entry.json { "json" } else { "plain" };
                    (conn.client.to_string(), json!({ "user": user_text(conn.user), "protocol": protocol }))
                });
                json!({ "connections": views.collect::<Map<String, Value>>() })
            }
            Look::Info => {
                let mut users: Vec<Option<usize>> = ready.iter().map(|conn| conn.user).collect();
                users.sort_unstable();
                users.dedup();
                json!({ "nodes": [{
                    "name": self.config.node,
                    "version": self.config.version,
                    "num_clients": ready.len(),
                    "num_users": users.len(),
                    "num_channels": occupied().count(),
                }] })
            }
        }
    }
}

fn result(value: Value) -> Value {
    json!({ "result": value })
}

pub(super) fn error(code: u16) -> Value {
    json!({ "error": { "code": code, "message": ANY } })
}
