//! Publications: their place in the log, and who receives them.

use super::expect::ExpectedFrame;
use super::log::LoggedPublication;
use super::model::ReferenceModel;
use crate::world::payload::Data;
use crate::world::rules::PUBLISH;
use parlor_core::CloseCause;
use serde_json::{Value, json};
use std::sync::Arc;

impl ReferenceModel {
    pub(super) fn client_publish(&mut self, client: usize, id: Option<u64>, room: usize, data: Option<&Data>) {
        let json = self.conns[client].as_ref().expect("it is open").entry.json;
        let is_bad = |data: &Data| data.too_large || data.unreadable.is_some() || data.is_servers;
        let Some(data) = data else { return self.refuse_publish(client, id, 107) };
        if !self.may(client, room, PUBLISH) {
            return self.refuse_publish(client, id, 103);
        }
        if is_bad(data) {
            return self.refuse_publish(client, id, 107);
        }
        // Tags and keeping out of the log are for backends alone.
        let data = Data { unlogged: false, tagged: false, ..data.clone() };
        let info = self.info(client);
        let (offset, epoch) = self.publish(room, &data, Some(info));
        let Some(id) = id.filter(|_| self.is_open(client)) else { return };
        if json {
            self.reply(client, id, "publish", json!({}));
        } else {
            let room = &*self.names[room];
            let published = json!({ "type": "published", "id": id, "room": room, "epoch": epoch, "offset": offset });
            self.tell(client, ExpectedFrame::json(published));
        }
    }

    fn refuse_publish(&mut self, client: usize, id: Option<u64>, code: u16) {
        let json = self.conns[client].as_ref().expect("it is there").entry.json;
        match id {
            Some(id) if json => self.refuse(client, id, code),
            id => self.refuse_plain(client, id, code),
        }
    }

    /// Publishes to a room what comes from a client of which this is told, or from a backend. Returns the message's offset, or 0,
    /// and the epoch of the log.
    pub(super) fn publish(&mut self, room: usize, data: &Data, info: Option<Value>) -> (u64, Value) {
        let mut body = json!({ "data": serde_json::from_str::<Value>(&data.line).expect("payloads are JSON") });
        if data.tagged && info.is_none() {
            body["tags"] = json!({ "k": "v" });
        }
        if let Some(info) = info {
            body["info"] = info;
        }
        let is_nowhere = self.logs[room].is_none();
        let place = if data.unlogged {
            (0, if is_nowhere { "".into() } else { self.epoch(room) })
        } else if is_nowhere && !self.keeps_history(room) {
            self.quiet[room] = None;
            (0, "".into())
        } else {
            let offset = self.number(room, data, &mut body);
            let place = (offset, self.epoch(room));
            self.end_log(room);
            place
        };
        let push = json!({ "push": { "channel": *self.names[room], "pub": body } });
        let members: Vec<usize> = self.rooms[room].iter().map(|(member, _)| *member).collect();
        self.fan_out(&members, data, push);
        place
    }

    /// Gives a message its offset, which is written into its body, and retains it if that is possible.
    fn number(&mut self, room: usize, data: &Data, body: &mut Value) -> u64 {
        self.begin_log(room);
        let at = self.clock;
        let log = self.logs[room].as_mut().expect("it has begun");
        log.top += 1;
        log.touched = at;
        let offset = log.top;
        body["offset"] = offset.into();
        if self.keeps_history(room) {
            self.retain(room, LoggedPublication { offset, line: Arc::clone(&data.line), body: body.clone(), at });
        }
        offset
    }

    /// A message that is no publication: it belongs to no room.
    pub(super) fn message(&mut self, receivers: &[usize], data: &Data) {
        let data_sent: Value = serde_json::from_str(&data.line).expect("payloads are JSON");
        self.fan_out(receivers, data, json!({ "push": { "message": { "data": data_sent } } }));
    }

    /// Enqueues a message for every receiver; one whose outbox is full is closed when all have been served.
    fn fan_out(&mut self, receivers: &[usize], data: &Data, push: Value) {
        let enveloped = ExpectedFrame::with_payloads(push, vec![Arc::clone(&data.line)]);
        let bare = ExpectedFrame::Bare(Arc::clone(&data.line));
        let mut slow = Vec::new();
        for &client in receivers {
            let json = self.conns[client].as_ref().expect("receivers are open").entry.json;
            if !self.enqueue(client, if json { enveloped.clone() } else { bare.clone() }) {
                slow.push(client);
            }
        }
        slow.into_iter().for_each(|client| self.close(client, CloseCause::Slow));
    }
}
