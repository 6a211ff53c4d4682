//! Who is in what, and what a room has said.

use super::calls::Denied;
use super::expect::forget;
use super::presence::Seat;
use super::recovery::{Replay, Want};
use super::{Conn, Expect, Oracle, Subject, nanos};
use crate::coverage::Goal;
use crate::speech::Data;
use parlor_core::{CloseCause, Limit};
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
    /// Its place in the order in which logs have lost their last member, while it has none.
    pub idle: Option<(u64, usize)>,
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
    /// The payload's number, and the payload.
    pub number: u64,
    pub line: Arc<str>,
    /// The publication as it is sent again.
    pub body: Value,
    /// What it takes of a log and of a reply: payload, tags, and what is said of the publisher.
    pub bytes: usize,
    /// When it was published.
    pub at: u64,
}

impl Replay {
    /// The payloads, each as it must arrive.
    pub fn lines(&self) -> Vec<Arc<str>> {
        self.entries.iter().map(|entry| Arc::clone(&entry.line)).collect()
    }
}

/// The first byte of the tag of a publication; the second is its room.
pub(super) const PUBLICATION: u64 = 4;

/// Where a message is: its offset, and the epoch of the log as whoever asks must see it.
pub(super) type Place = (u64, Value);

/// Where a message came from, as its receivers see it.
pub(super) struct Origin {
    pub info: Value,
}

impl Oracle {
    /// Whether rooms keep what they say.
    pub(super) fn keeps_history(&self) -> bool {
        self.config.limits.history_messages > 0 && !self.config.limits.history_age.is_zero()
    }

    /// Makes a connection a member and returns what it gets first, or the error where there is no place for the log or
    /// what it wants cannot be had.
    pub(super) fn join(&mut self, peer: usize, room: usize, want: &Want, seat: Seat) -> Result<Replay, Denied> {
        self.claim_place(room)?;
        self.begin_log(room);
        let Some(replay) = self.replay(room, want) else {
            self.goals.reach(Goal::Unrecoverable);
            self.end_log(room);
            return Err(Denied::from(112));
        };
        if self.rooms[room].is_empty() && !self.is_being_left(room) {
            self.turn.changes.push((Subject::Room(room), true));
            self.past[room].occupied += 1;
            if self.past[room].occupied > 1 {
                self.goals.reach(Goal::RoomReoccupied);
            }
        }
        self.logs[room].as_mut().expect("it has begun").idle = None;
        self.rooms[room].push(peer);
        self.seats.insert((room, peer), seat);
        self.arm_seats(peer);
        self.announce_member(room, peer, true);
        Ok(replay)
    }

    /// A connection was closed on its way into a room: the broker counts it until it is told.
    pub(super) fn join_in_vain(&mut self, info: &Value, peer: usize, room: usize) {
        if self.find_place(room).is_err() {
            return;
        }
        self.counted.late_joins += 1;
        if self.rooms[room].is_empty() {
            self.turn.flashes.push(Subject::Room(room));
            // It leaves with those who are settled next.
            self.stamp_vacated(room, self.stamps + 1);
        } else {
            self.announce_in_vain(room, peer, info);
        }
    }

    pub(super) fn leave(&mut self, peer: usize, room: usize) {
        if !self.rooms[room].contains(&peer) {
            return;
        }
        self.announce_member(room, peer, false);
        self.rooms[room].retain(|member| *member != peer);
        self.seats.remove(&(room, peer));
        self.arm_seats(peer);
    }

    /// The broker has heard that the last member of a room is gone.
    pub(super) fn vacated(&mut self, room: usize) {
        self.turn.changes.push((Subject::Room(room), false));
        self.stamp_vacated(room, self.stamps);
        self.end_log(room);
    }

    /// Sees to it that there may be a log of this room.
    fn find_place(&mut self, room: usize) -> Result<(), Denied> {
        let is_live =
            |room: usize| self.logs[room].as_ref().is_some_and(|log| !log.entries.is_empty()) || self.has_members(room);
        let count = (0..self.logs.len()).filter(|room| is_live(*room)).count();
        if is_live(room) || count < self.config.limits.logs {
            return Ok(());
        }
        match self.oldest_idle(room) {
            Some(victim) => self.evict_log(victim),
            None => return Err(Denied::by("logs")),
        }
        Ok(())
    }

    /// The same for who is told when there is none.
    fn claim_place(&mut self, room: usize) -> Result<(), Denied> {
        self.find_place(room).inspect_err(|_| self.hit(Limit::Logs))
    }

    /// Whether the broker knows of members: it hears of who has left after what was asked of it before.
    fn has_members(&self, room: usize) -> bool {
        !self.rooms[room].is_empty() || self.is_being_left(room) || self.turn.flashes.contains(&Subject::Room(room))
    }

    /// From now on this room's log has no members. Of rooms that lose their last one at once, the events tell which was
    /// the first.
    fn stamp_vacated(&mut self, room: usize, stamp: u64) {
        let before = self.turn.vacated.iter().filter(|of| **of == room).count();
        self.turn.vacated.push(room);
        let told = self.told.vacated.iter().enumerate().filter(|(_, of)| **of == room);
        let place = told.map(|(place, _)| place).nth(before).unwrap_or(usize::MAX);
        if let Some(log) = &mut self.logs[room] {
            log.idle = Some((stamp, place));
        }
    }

    /// The log that has been without members for the longest.
    fn oldest_idle(&self, not: usize) -> Option<usize> {
        let idle = |room: &usize| {
            let log = self.logs[*room].as_ref()?;
            (*room != not && !self.has_members(*room) && !log.entries.is_empty()).then_some(log.idle?)
        };
        (0..self.logs.len()).filter(|room| idle(room).is_some()).min_by_key(idle)
    }

    fn evict_log(&mut self, room: usize) {
        self.goals.reach(Goal::LogEvicted);
        self.drop_log(room);
    }

    /// Sees to it that so many bytes more may be retained.
    fn find_bytes(&mut self, room: usize, bytes: usize) -> Result<(), Denied> {
        let limits = &self.config.limits;
        let (most, messages) = (limits.history_bytes, limits.history_messages);
        let freed = self.logs[room].as_ref().filter(|log| log.entries.len() >= messages);
        let freed = freed.and_then(|log| log.entries.front()).map_or(0, |oldest| oldest.bytes);
        while self.history_bytes() + bytes - freed > most {
            let Some(victim) = self.oldest_idle(room) else {
                self.hit(Limit::HistoryBytes);
                self.goals.reach(Goal::HistoryFull);
                return Err(Denied::by("history_bytes"));
            };
            self.evict_log(victim);
        }
        Ok(())
    }

    /// What all logs retain.
    pub(super) fn history_bytes(&self) -> usize {
        self.logs.iter().flatten().flat_map(|log| &log.entries).map(|entry| entry.bytes).sum()
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
        let epoch = self.told.epochs[room].clone();
        self.stamps += 1;
        self.logs[room] = Some(Log { epoch, top: 0, entries: VecDeque::new(), idle: Some((self.stamps, 0)) });
    }

    /// A log lives while its room has a member or it retains something.
    pub(super) fn end_log(&mut self, room: usize) {
        if self.logs[room].as_ref().is_some_and(|log| log.entries.is_empty()) && !self.has_members(room) {
            self.drop_log(room);
        }
    }

    fn drop_log(&mut self, room: usize) {
        let epoch = self.logs[room].take().and_then(|log| log.epoch);
        // The state after the turn tells the epoch of the turn's last log only.
        if let Some(epoch) = epoch.filter(|_| self.turn.began.contains(&room)) {
            let queues = self.conns.iter_mut().flatten().flat_map(|conn| &mut conn.queue);
            queues.for_each(|expect| expect.forget(&epoch));
            self.turn.parts.iter_mut().for_each(|part| forget(part, &epoch));
            self.keys.forget_epoch(&epoch);
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

    /// Publishes to a room. Returns the message's place, if it has one, or the error where it cannot be retained.
    pub(super) fn publish(
        &mut self,
        room: usize,
        data: &Data,
        origin: Option<&Origin>,
    ) -> Result<Option<Place>, Denied> {
        self.claim_place(room)?;
        let mut body = json!({ "data": null });
        let mut bytes = data.line.len();
        if let Some(Origin { info }) = origin {
            body["info"] = info.clone();
            bytes += ["user", "conn_info", "chan_info"].iter().map(|key| written(&info[key])).sum::<usize>();
        }
        if data.tagged && origin.is_none() {
            body["tags"] = json!({ "k": "v" });
            bytes += body["tags"].to_string().len();
        }
        let place = if data.unlogged { None } else { Some(self.retain(room, data, &mut body, bytes)?) };
        self.end_log(room);
        self.counted.published += 1;
        let members = self.rooms[room].clone();
        let envelope = json!({ "push": { "channel": *self.names[room], "pub": body } });
        let tag = PUBLICATION << 56 | (room as u64) << 48 | data.number;
        self.fan_out(
            &members,
            data,
            &envelope,
            "/push/pub/data",
            tag,
            place.as_ref().map(|(offset, _)| (room, *offset)),
        );
        Ok(place)
    }

    fn retain(&mut self, room: usize, data: &Data, body: &mut Value, bytes: usize) -> Result<Place, Denied> {
        if self.keeps_history() {
            self.find_bytes(room, bytes)?;
        }
        self.begin_log(room);
        let limit = if self.keeps_history() { self.config.limits.history_messages } else { 0 };
        let at = self.clock;
        let log = self.logs[room].as_mut().expect("it has begun");
        log.top += 1;
        let top = log.top;
        body["offset"] = top.into();
        let mut whole = body.clone();
        whole["data"] = serde_json::from_str(&data.line).expect("payloads are JSON");
        let line = Arc::clone(&data.line);
        log.entries.push_back(Entry { offset: top, number: data.number, line, body: whole, bytes, at });
        while log.entries.len() > limit {
            log.entries.pop_front();
            self.goals.reach(Goal::Trimmed);
        }
        Ok((top, self.epoch(room)))
    }

    /// A message that is no publication: it belongs to no room.
    pub(super) fn message(&mut self, receivers: &[usize], data: &Data) {
        let envelope = json!({ "push": { "message": { "data": null } } });
        self.fan_out(receivers, data, &envelope, "/push/message/data", 5 << 56 | data.number, None);
    }

    /// Every receiver that wants it gets it, and after it its place, if it wants that; whoever has no room for it is
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
        let enveloped = Expect::publication(envelope.clone(), hole, &data.line, tag);
        let bare = Expect::bare(&data.line, tag);
        let place = place.map(|(room, offset)| self.place_frame("position", room, offset));
        for &peer in receivers {
            let conn = self.conns[peer].as_ref().expect("receivers are open");
            let expect = if conn.entry.json { &enveloped } else { &bare };
            let place = place.as_ref().filter(|_| conn.entry.positions);
            if !wants(conn, data) {
                self.goals.reach(Goal::Withheld);
            } else if !self.enqueue(peer, expect.clone())
                || place.is_some_and(|place| !self.enqueue(peer, place.clone()))
            {
                slow.push(peer);
            }
        }
        for peer in slow {
            self.close(peer, CloseCause::Slow);
        }
    }
}

/// How many bytes something takes that is said of a publisher: the name without its quotes, the rest as JSON.
fn written(value: &Value) -> usize {
    match value {
        Value::Null => 0,
        Value::String(name) => name.len(),
        other => other.to_string().len(),
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
