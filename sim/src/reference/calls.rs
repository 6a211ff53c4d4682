//! Calls of backends: what each does, and the answer that it must get.

use super::answer::{ExpectedAnswer, error, result};
use super::api_call::{ApiCall, ConnectionSelection};
use super::connection::{ExpectedConnection, ExpectedEnd, ExpectedPhase};
use super::model::ReferenceModel;
use super::time::nanos;
use crate::goals::Goal;
use crate::guarantees::Guarantee;
use crate::world::action::Look;
use crate::world::history_request::LogQuery;
use crate::world::payload::Data;
use parlor_core::limits::Rate;
use parlor_core::{CloseCause, Limit};
use serde_json::{Map, Value, json};

/// A call with more parts than this has many.
const MANY: usize = 100;

impl ReferenceModel {
    pub(super) fn call(&mut self, call: &ApiCall<'_>) {
        let (want, guarantee) = self.carry_out(call);
        self.turn.answer = Some(ExpectedAnswer { want, guarantee });
    }

    /// Carries out a call. Returns the answer that it must get, and the guarantee that another answer breaks.
    fn carry_out(&mut self, call: &ApiCall<'_>) -> (Value, Guarantee) {
        match call {
            ApiCall::Publish(room, data) => (self.announce(*room, data), Guarantee::P1),
            ApiCall::PublishUser(user, data) => (self.announce(self.own_room(*user), data), Guarantee::P1),
            ApiCall::PublishOnce(room, key, data) => (self.announce_once(*room, *key, data), Guarantee::P1),
            ApiCall::History(room, query) => (self.history(*room, query), Guarantee::G5),
            ApiCall::HistoryRemove(room) => {
                self.remove_history(*room);
                (result(json!({})), Guarantee::P1)
            }
            ApiCall::Presence(room) => (result(json!({ "presence": self.presence(*room) })), Guarantee::G2),
            ApiCall::PresenceStats(room) => (result(self.presence_stats(*room)), Guarantee::G2),
            ApiCall::Subscribe(user, room, want) => {
                let done = self.put_in(*user, *room, want);
                (done.map_or_else(error, |()| result(json!({}))), Guarantee::P1)
            }
            ApiCall::Unsubscribe(user, room) => {
                self.take_user_out(*user, *room);
                (result(json!({})), Guarantee::P1)
            }
            ApiCall::Refresh(user, renewal, exp) => {
                self.renew_user(*user, *renewal, *exp);
                (result(json!({})), Guarantee::P1)
            }
            ApiCall::Broadcast(rooms, data) => {
                if rooms.len() > MANY {
                    self.goals.reach(Goal::BroadcastMuch);
                }
                let publish = |room: &usize| {
                    let response = self.announce(*room, data);
                    self.settle();
                    response
                };
                let responses: Vec<Value> = rooms.iter().map(publish).collect();
                (result(json!({ "responses": responses })), Guarantee::P1)
            }
            ApiCall::Send(client, data) => (self.send(*client, data), Guarantee::P1),
            ApiCall::PublishAll(data) => {
                let ready: Vec<usize> = (0..self.conns.len()).filter(|client| self.is_ready(*client)).collect();
                self.message(&ready, data);
                (result(json!({})), Guarantee::P1)
            }
            ApiCall::DisconnectUser(user) => {
                self.close_all(3503, |conn| conn.user == Some(*user));
                (result(json!({})), Guarantee::P1)
            }
            ApiCall::DisconnectClient(client, code) => {
                let client_id = self.conns[*client].as_ref().map(|conn| conn.client_id);
                self.close_all(*code, |conn| Some(conn.client_id) == client_id);
                (result(json!({})), Guarantee::P1)
            }
            ApiCall::Selected(meant, call) => {
                self.meant = *meant;
                let done = self.carry_out(call);
                self.meant = ConnectionSelection::All;
                done
            }
            ApiCall::DisconnectSelected(user, meant, code) => {
                self.dismiss(*user, *meant, *code);
                (result(json!({})), Guarantee::P1)
            }
            ApiCall::ListQuery(list) => (result(self.list(list)), Guarantee::G8),
            ApiCall::Look(look) => (result(self.look(*look)), Guarantee::G8),
            ApiCall::Batch(parts) => (self.batch(parts), Guarantee::P1),
            ApiCall::Refused(code) => (error(*code), Guarantee::P1),
            ApiCall::WithoutEffect => (result(json!({})), Guarantee::P1),
        }
    }

    /// Every part sees what those before it have done, down to the members who have gone because of them.
    fn batch(&mut self, parts: &[(&str, ApiCall<'_>)]) -> Value {
        if parts.len() > MANY {
            self.goals.reach(Goal::BatchedMuch);
        }
        for (method, call) in parts {
            let (answer, _) = self.carry_out(call);
            self.settle();
            let answer = match answer.get("result") {
                Some(result) => json!({ *method: result }),
                None => answer,
            };
            self.turn.parts.push(answer);
        }
        self.goals.reach(Goal::Batched);
        json!({ "replies": std::mem::take(&mut self.turn.parts) })
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

    fn history(&mut self, room: usize, query: &LogQuery) -> Value {
        if !self.keeps_history() {
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

    fn look(&self, look: Look) -> Value {
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
                    let value = written(self.config.limits.value(*limit));
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

/// The value of a limit.
type Bound = parlor_core::limits::Value;

/// A limit as README writes it: `25s`, `65536`, `5/s, burst 5` or `off`.
pub(super) fn written(value: Bound) -> String {
    match value {
        Bound::Duration(time) => format!("{}s", time.as_secs()),
        Bound::OptionalCount(None) | Bound::Rate(Rate { per_second: 0, .. }) => "off".into(),
        Bound::Bytes(number) | Bound::Count(number) => number.to_string(),
        Bound::OptionalCount(Some(number)) => number.to_string(),
        Bound::Rate(Rate { per_second, burst }) => format!("{per_second}/s, burst {burst}"),
    }
}
