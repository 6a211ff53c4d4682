//! Publications and messages: their place in the log, and who receives them.

use super::connection::ExpectedConnection;
use super::expect::ExpectedFrame;
use super::log::{ExpectedPosition, LoggedPublication, PUBLICATION, PublisherInfo};
use super::model::ReferenceModel;
use crate::goals::Goal;
use crate::world::payload::Data;
use crate::world::rules;
use parlor_core::{CloseCause, Limit};
use serde_json::{Value, json};
use std::sync::Arc;

impl ReferenceModel {
    pub(super) fn client_publish(&mut self, client: usize, id: Option<u64>, room: usize, data: Option<&Data>) {
        let conn = self.conns[client].as_ref().expect("it is open");
        let json = conn.entry.json;
        let too_large = data.is_some_and(|data| data.too_large);
        let refused = if data.is_none() {
            Some(107)
        } else if !self.may(client, room, rules::PUBLISH) {
            Some(103)
        } else if too_large {
            self.hit(Limit::PublicationBytes);
            Some(107)
        } else if let Some(limit) = data.and_then(|data| data.unreadable) {
            limit.into_iter().for_each(|limit| self.hit(limit));
            self.goals.reach(Goal::Unreadable);
            Some(107)
        } else if data.is_some_and(|data| data.is_servers) {
            self.goals.reach(Goal::ServersType);
            Some(107)
        } else if !self.may_publish(client) {
            Some(111)
        } else {
            None
        };
        let (Some(data), None) = (data, refused) else {
            let code = refused.unwrap_or(107);
            self.goals.reach(Goal::Refused);
            return self.refuse_publish(client, id, code);
        };
        // Tags and keeping out of the log are for backends alone.
        let data = Data { unlogged: false, tagged: false, ..data.clone() };
        let origin = PublisherInfo { info: self.info(client, room) };
        let (offset, epoch) = self.publish(room, &data, Some(&origin));
        let Some((id, _)) = id.zip(self.conns[client].as_ref().filter(|conn| conn.is_open())) else { return };
        if json {
            self.reply(client, id, "publish", json!({}));
        } else {
            let room = &*self.names[room];
            let published = json!({ "type": "published", "id": id, "room": room, "epoch": epoch, "offset": offset });
            self.tell(client, ExpectedFrame::json(published, 8 << 56 | id << 32));
        }
    }

    fn refuse_publish(&mut self, client: usize, id: Option<u64>, code: u16) {
        let conn = self.conns[client].as_ref().expect("it is there");
        match id {
            _ if !conn.is_open() => {}
            Some(id) if conn.entry.json => self.refuse(client, id, code),
            id => self.refuse_plain(client, id, code),
        }
    }

    /// Publishes to a room. Returns the message's place, with offset 0 where it has none.
    pub(super) fn publish(&mut self, room: usize, data: &Data, origin: Option<&PublisherInfo>) -> ExpectedPosition {
        let mut body = json!({ "data": null });
        let mut bytes = data.line.len();
        if let Some(PublisherInfo { info }) = origin {
            body["info"] = info.clone();
            bytes += ["user", "conn_info", "chan_info"].iter().map(|key| written(&info[key])).sum::<usize>();
        }
        if data.tagged && origin.is_none() {
            body["tags"] = json!({ "k": "v" });
            bytes += body["tags"].to_string().len();
        }
        let is_nowhere = self.logs[room].is_none();
        let place = if data.unlogged {
            (0, if is_nowhere { "".into() } else { self.epoch(room) })
        } else if is_nowhere && (!self.may_begin(room, bytes) || !self.number(room, data, &mut body, bytes)) {
            // It is the first and the last of a log that is not remembered.
            self.logs[room] = None;
            self.no_log_goes_on(room);
            (0, "".into())
        } else {
            if !is_nowhere {
                self.number(room, data, &mut body, bytes);
            }
            let place = (body["offset"].as_u64().expect("it is numbered"), self.epoch(room));
            self.end_log(room);
            place
        };
        self.counted.published += 1;
        let members = self.rooms[room].clone();
        let envelope = json!({ "push": { "channel": *self.names[room], "pub": body } });
        let tag = PUBLICATION << 56 | (room as u64) << 48 | data.number;
        let at = (place.0 > 0).then_some((room, place.0));
        self.fan_out(&members, data, &envelope, "/push/pub/data", tag, at);
        place
    }

    /// Gives a message its offset, which is written into its body, and retains it if that is possible. Returns false where
    /// it would be all there is of a log that retains nothing.
    pub(super) fn number(&mut self, room: usize, data: &Data, body: &mut Value, bytes: usize) -> bool {
        let is_nowhere = self.logs[room].is_none();
        if is_nowhere {
            // It has a name when it is clear that it stays.
            self.logs[room] = Some(self.new_log(None));
        }
        self.stamps += 1;
        let (at, stamp) = (self.clock, self.stamps);
        let log = self.logs[room].as_mut().expect("it has begun");
        log.top += 1;
        (log.touched, log.idle) = (at, (stamp, 0));
        let offset = log.top;
        body["offset"] = offset.into();
        if self.keeps_history(room) {
            let encoded = body.to_string().len() - "null".len() + data.line.len();
            let mut whole = body.clone();
            whole["data"] = serde_json::from_str(&data.line).expect("payloads are JSON");
            let line = Arc::clone(&data.line);
            self.retain(room, LoggedPublication { offset, number: data.number, line, body: whole, bytes, encoded, at });
        }
        let log = self.logs[room].as_ref().expect("it has begun");
        if is_nowhere && log.entries.is_empty() {
            return false;
        }
        self.evict_log(room);
        if is_nowhere {
            let epoch = self.epoch_of_new_log(room);
            self.logs[room].as_mut().expect("it has begun").epoch = epoch;
        }
        true
    }

    /// A message that is no publication: it belongs to no room.
    pub(super) fn message(&mut self, receivers: &[usize], data: &Data) {
        let envelope = json!({ "push": { "message": { "data": null } } });
        self.fan_out(receivers, data, &envelope, "/push/message/data", 5 << 56 | data.number, None);
    }

    /// Enqueues a message for every receiver that wants it, and after it its position, if it wants that; one whose outbox is full is
    /// closed when all have been served.
    fn fan_out(
        &mut self,
        receivers: &[usize],
        data: &Data,
        envelope: &Value,
        hole: &str,
        tag: u64,
        place: Option<(usize, u64)>,
    ) {
        let mut slow = Vec::new();
        let enveloped = ExpectedFrame::publication(envelope.clone(), hole, &data.line, tag);
        let bare = ExpectedFrame::bare(&data.line, tag);
        let place = place.map(|(room, offset)| self.place_frame("position", room, offset));
        for &client in receivers {
            let conn = self.conns[client].as_ref().expect("receivers are open");
            let expect = if conn.entry.json { &enveloped } else { &bare };
            let place = place.as_ref().filter(|_| conn.entry.positions);
            if !wants(conn, data) {
                self.goals.reach(Goal::Withheld);
            } else if !self.enqueue(client, expect.clone())
                || place.is_some_and(|place| !self.enqueue(client, place.clone()))
            {
                slow.push(client);
            }
        }
        for client in slow {
            self.close(client, CloseCause::Slow);
        }
    }
}

/// How many bytes something takes that is said of a publisher: the name without its quotes, the rest as JSON.
pub(super) fn written(value: &Value) -> usize {
    match value {
        Value::Null => 0,
        Value::String(name) => name.len(),
        other => other.to_string().len(),
    }
}

pub(super) fn wants(conn: &ExpectedConnection, data: &Data) -> bool {
    conn.filter.is_empty() || data.event.is_some_and(|event| conn.filter.contains(&event))
}
