//! Who is in what, and what a room has said.

use super::{Chosen, Conn, Expect, Oracle, Subject, nanos};
use crate::coverage::Goal;
use crate::speech::Data;
use parlor_core::Snapshot;
use parlor_core::snapshot::{ConnView, PhaseView};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::sync::Arc;

/// What a room has said.
#[derive(Clone, Debug)]
pub(crate) struct Log {
    /// As the subject named it; `None` when the log came and went within one turn.
    pub epoch: Option<Arc<str>>,
    pub top: u64,
    pub entries: VecDeque<Entry>,
}

/// How often a room has come to life, and how often its log has begun.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Past {
    occupied: u32,
    logs: u32,
}

/// One retained message.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub offset: u64,
    pub line: Arc<str>,
    /// When it was published.
    pub at: u64,
}

/// The first byte of the tag of a publication; the second is its room.
pub(super) const PUBLICATION: u64 = 4;

/// Where a message came from, as its receivers see it.
pub(super) struct Origin {
    pub client: String,
    pub user: Option<usize>,
}

impl Oracle {
    /// Whether rooms keep what they say.
    pub(super) fn keeps_history(&self) -> bool {
        self.config.limits.history_messages > 0 && !self.config.limits.history_age.is_zero()
    }

    pub(super) fn read_choices(&self, after: &Snapshot) -> Chosen {
        let epoch = |name: &Arc<str>| {
            let view = after.logs.iter().find(|log| *log.name == **name)?;
            Some(Arc::from(view.epoch.as_str()))
        };
        let closing = |conn: &ConnView| match conn.phase {
            PhaseView::Closing { by: "server", code } => Some((conn.id, code)),
            _ => None,
        };
        Chosen {
            epochs: self.names.iter().map(epoch).collect(),
            closing: after.conns.iter().filter_map(closing).collect(),
        }
    }

    pub(super) fn join(&mut self, peer: usize, room: usize) {
        self.begin_log(room);
        if self.rooms[room].is_empty() {
            self.turn.changes.push((Subject::Room(room), true));
            self.past[room].occupied += 1;
            if self.past[room].occupied > 1 {
                self.goals.reach(Goal::RoomReoccupied);
            }
        }
        self.rooms[room].push(peer);
    }

    pub(super) fn leave(&mut self, peer: usize, room: usize) {
        let before = self.rooms[room].len();
        self.rooms[room].retain(|member| *member != peer);
        if before == 1 && self.rooms[room].is_empty() {
            self.turn.changes.push((Subject::Room(room), false));
            self.end_log(room);
        }
    }

    /// A log is there from now on.
    fn begin_log(&mut self, room: usize) {
        if self.logs[room].is_some() {
            return;
        }
        self.turn.began.push(room);
        self.past[room].logs += 1;
        if self.past[room].logs > 1 {
            self.goals.reach(Goal::LogReplaced);
        }
        self.logs[room] = Some(Log { epoch: self.chosen.epochs[room].clone(), top: 0, entries: VecDeque::new() });
    }

    /// A log lives while its room has a member or it retains something.
    fn end_log(&mut self, room: usize) {
        let ends = self.logs[room].as_ref().is_some_and(|log| log.entries.is_empty()) && self.rooms[room].is_empty();
        let Some(log) = self.logs[room].take_if(|_| ends) else { return };
        // The state after the turn tells the epoch of the turn's last log only.
        if let Some(epoch) = log.epoch.filter(|_| self.turn.began.contains(&room)) {
            let queues = self.conns.iter_mut().flatten().flat_map(|conn| &mut conn.queue);
            queues.for_each(|expect| expect.forget(&epoch));
        }
    }

    pub(super) fn age_logs(&mut self) {
        let (clock, age) = (self.clock, nanos(self.config.limits.history_age));
        for log in self.logs.iter_mut().flatten() {
            let before = log.entries.len();
            log.entries.retain(|entry| entry.at + age > clock);
            if log.entries.len() < before {
                self.goals.reach(Goal::Aged);
            }
        }
        (0..self.logs.len()).for_each(|room| self.end_log(room));
    }

    pub(super) fn ages_out(&self, log: &Log) -> Option<u64> {
        log.entries.front().map(|entry| entry.at + nanos(self.config.limits.history_age))
    }

    /// Publishes to rooms and returns for each the offset and the epoch, if the message is in its log.
    ///
    /// All requests of one call go to the broker before any of its entries comes back to the members.
    pub(super) fn publish(
        &mut self,
        rooms: &[usize],
        data: &Data,
        origin: Option<&Origin>,
    ) -> Vec<Option<(u64, Value)>> {
        self.counted.published += rooms.len() as u64;
        let positions: Vec<_> = rooms.iter().map(|room| (!data.unlogged).then(|| self.retain(*room, data))).collect();
        for (&room, position) in rooms.iter().zip(&positions) {
            let offset = position.as_ref().map(|(offset, _)| *offset);
            let members = self.rooms[room].clone();
            let envelope = self.envelope(room, data, origin, offset);
            let tag = PUBLICATION << 56 | (room as u64) << 48 | data.number;
            self.fan_out(&members, data, &envelope, "/push/pub/data", tag);
        }
        rooms.iter().for_each(|room| self.end_log(*room));
        positions
    }

    fn retain(&mut self, room: usize, data: &Data) -> (u64, Value) {
        self.begin_log(room);
        let limit = if self.keeps_history() { self.config.limits.history_messages } else { 0 };
        let at = self.clock;
        let log = self.logs[room].as_mut().expect("it has begun");
        log.top += 1;
        log.entries.push_back(Entry { offset: log.top, line: Arc::clone(&data.line), at });
        while log.entries.len() > limit {
            log.entries.pop_front();
            self.goals.reach(Goal::Trimmed);
        }
        (log.top, self.epoch(room))
    }

    fn envelope(&self, room: usize, data: &Data, origin: Option<&Origin>, offset: Option<u64>) -> Value {
        let mut publication = json!({ "data": null });
        if let Some(origin) = origin {
            publication["info"] = json!({ "client": origin.client, "user": user_text(origin.user) });
            if let Some(info) = origin.user.and_then(info_of) {
                publication["info"]["conn_info"] = serde_json::from_str(&info).expect("it is JSON");
            }
        }
        if let Some(offset) = offset {
            publication["offset"] = offset.into();
        }
        if data.tagged && origin.is_none() {
            publication["tags"] = json!({ "k": "v" });
        }
        json!({ "push": { "channel": *self.names[room], "pub": publication } })
    }

    /// A message that is no publication: it belongs to no room.
    pub(super) fn message(&mut self, receivers: &[usize], data: &Data) {
        let envelope = json!({ "push": { "message": { "data": null } } });
        self.fan_out(receivers, data, &envelope, "/push/message/data", 5 << 56 | data.number);
    }

    /// Every receiver that wants it gets it; whoever has no room for it is closed when all have been served.
    fn fan_out(&mut self, receivers: &[usize], data: &Data, envelope: &Value, hole: &str, tag: u64) {
        let mut slow = Vec::new();
        let enveloped = Expect::publication(envelope.clone(), hole, &data.line, tag);
        let bare = Expect::bare(&data.line, tag);
        for &peer in receivers {
            let conn = self.conns[peer].as_ref().expect("receivers are open");
            let expect = if conn.entry.json { &enveloped } else { &bare };
            if !wants(conn, data) {
                self.goals.reach(Goal::Withheld);
            } else if !self.enqueue(peer, expect.clone()) {
                slow.push(peer);
            }
        }
        for peer in slow {
            self.close(peer, 3008);
        }
    }
}

fn wants(conn: &Conn, data: &Data) -> bool {
    conn.filter.is_empty() || data.event.is_some_and(|event| conn.filter.contains(&event))
}

/// How a user is written; anonymous is the empty name.
pub(super) fn user_text(user: Option<usize>) -> String {
    user.map(crate::speech::user_name).unwrap_or_default()
}

/// What the tokens of every other user say about them.
#[must_use]
pub fn info_of(user: usize) -> Option<String> {
    (user % 2 == 1).then(|| format!(r#"{{"name":"user {user}"}}"#))
}
