//! Who is in what, and what a room has said.

use super::calls::Denied;
use super::expect::forget;
use super::presence::Seat;
use super::recovery::{Replay, Want};
use super::retained::Fullness;
use super::{Conn, Expect, Oracle, Subject, nanos};
use crate::goals::Goal;
use crate::world::speech::Data;
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
    pub fullness: Fullness,
    /// When it lost its last member or was published to, whichever was later.
    touched: u64,
    /// Its place in the order of these times.
    pub idle: (u64, usize),
}

/// What is known of the log that a room has before it has numbered anything: it needs no memory, so it is the same one
/// whenever the room comes to life, until a log of the room with offsets is forgotten.
#[derive(Clone, Debug, Default)]
pub(super) struct Quiet {
    epoch: Option<Arc<str>>,
    /// Another room's log was forgotten since its epoch was seen. Rooms share counters, by chance and seldom.
    is_doubtful: bool,
    /// That chance has come about.
    has_moved: bool,
}

/// In so many rooms of one run at most, an epoch may change because a room shares its counter with another one.
const COINCIDENCES: usize = 2;

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
    /// What it takes of a log: payload, tags, and what is said of the publisher.
    pub bytes: usize,
    /// What it takes of a reply, without the comma before the next.
    pub encoded: usize,
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
    /// Makes a connection a member and returns what it gets first, or the error where there is no place for the log or
    /// what it wants cannot be had.
    pub(super) fn join(&mut self, client: usize, room: usize, want: &Want, seat: Seat) -> Result<Replay, Denied> {
        if !self.may_occupy(room) {
            self.hit(Limit::Logs);
            return Err(Denied::by("logs"));
        }
        self.begin_log(room);
        let Some(replay) = self.replay(room, want) else {
            self.goals.reach(Goal::Unrecoverable);
            if self.logs[room].as_ref().is_some_and(|log| log.top == 0) && !self.has_members(room) {
                self.drop_log(room);
            }
            return Err(Denied::from(112));
        };
        if self.rooms[room].is_empty() && !self.is_being_left(room) {
            self.turn.changes.push((Subject::Room(room), true));
            self.past[room].occupied += 1;
            if self.past[room].occupied > 1 {
                self.goals.reach(Goal::RoomReoccupied);
            }
        }
        self.rooms[room].push(client);
        self.seats.insert((room, client), seat);
        self.arm_seats(client);
        self.announce_member(room, client, true);
        Ok(replay)
    }

    /// The client asks for a room that its token or a backend has put it into.
    pub(super) fn join_again(&mut self, client: usize, room: usize, want: &Want, seat: Seat) -> Replay {
        self.goals.reach(Goal::JoinedAgain);
        let before = self.seats.remove(&(room, client)).expect("it is there");
        let wanted = &before.wanted | &seat.wanted;
        self.seats.insert((room, client), Seat { wanted, ..seat });
        self.arm_seats(client);
        self.replay(room, &want.clone().or_without()).expect("it is no reason to refuse")
    }

    /// A connection was closed on its way into a room: the home counts it until it is told.
    pub(super) fn join_in_vain(&mut self, info: &Value, client: usize, room: usize) {
        if !self.may_occupy(room) {
            return;
        }
        self.counted.late_joins += 1;
        // Whoever leaves it in this turn is there until the home has heard of that.
        if self.rooms[room].is_empty() && !self.is_being_left(room) {
            self.turn.flashes.push(Subject::Room(room));
            // It leaves with those who are settled next.
            self.stamp_vacated(room, self.stamps + 1);
        } else {
            self.announce_in_vain(room, client, info);
        }
    }

    pub(super) fn leave(&mut self, client: usize, room: usize) {
        if !self.rooms[room].contains(&client) {
            self.stop_entering(client, room);
            return;
        }
        self.announce_member(room, client, false);
        self.rooms[room].retain(|member| *member != client);
        self.seats.remove(&(room, client));
        self.arm_seats(client);
    }

    /// The home has heard that the last member of a room is gone.
    pub(super) fn vacated(&mut self, room: usize) {
        self.turn.changes.push((Subject::Room(room), false));
        self.stamp_vacated(room, self.stamps);
        self.end_log(room);
    }

    /// Whether this room may have a member: so many rooms may.
    fn may_occupy(&self, room: usize) -> bool {
        let others = (0..self.logs.len()).filter(|other| *other != room && self.has_members(*other)).count();
        self.has_members(room) || others < self.config.limits.logs
    }

    /// How many logs have numbered something.
    pub(super) fn numbered(&self) -> usize {
        self.logs.iter().flatten().filter(|log| log.top > 0).count()
    }

    /// Whether the home knows of members: it hears of who has left after what was asked of it before.
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
        let clock = self.clock;
        if let Some(log) = &mut self.logs[room] {
            (log.touched, log.idle) = (clock, (stamp, place));
        }
    }

    /// The log without members that was left or published to longest ago.
    pub(super) fn oldest_idle(&self, not: usize) -> Option<usize> {
        let idle = |room: &usize| {
            let log = self.logs[*room].as_ref()?;
            (*room != not && !self.has_members(*room) && log.top > 0).then_some(log.idle)
        };
        (0..self.logs.len()).filter(|room| idle(room).is_some()).min_by_key(idle)
    }

    /// Of the logs that have numbered something one goes, where there is one too many.
    fn evict_log(&mut self, room: usize) {
        if let Some(victim) = self.oldest_idle(room).filter(|_| self.numbered() > self.config.limits.logs) {
            self.goals.reach(Goal::LogEvicted);
            self.drop_log(victim);
        }
    }

    /// A log is there from now on.
    fn begin_log(&mut self, room: usize) {
        if self.logs[room].is_none() {
            let epoch = self.epoch_of_new_log(room);
            self.logs[room] = Some(self.new_log(epoch));
        }
    }

    fn new_log(&mut self, epoch: Option<Arc<str>>) -> Log {
        self.stamps += 1;
        let (touched, idle) = (self.clock, (self.stamps, 0));
        Log { epoch, top: 0, entries: VecDeque::new(), fullness: Fullness::default(), touched, idle }
    }

    /// The epoch that the room's log had before it numbered anything, or else one that is new: the subject says which.
    fn epoch_of_new_log(&mut self, room: usize) -> Option<Arc<str>> {
        let told = self.told.epochs[room].clone();
        let moved = self.quiet.iter().filter(|quiet| quiet.has_moved).count();
        let quiet = &mut self.quiet[room];
        let is_other = quiet.epoch.is_some() && told.is_some() && told != quiet.epoch;
        if is_other && quiet.is_doubtful && (quiet.has_moved || moved < COINCIDENCES) {
            (quiet.epoch, quiet.has_moved) = (None, true);
        }
        if quiet.epoch.is_some() {
            return quiet.epoch.clone();
        }
        self.turn.began.push(room);
        *quiet = Quiet { epoch: told.clone(), is_doubtful: false, ..*quiet };
        self.past[room].logs += 1;
        if self.past[room].logs > 1 {
            self.goals.reach(Goal::LogReplaced);
        }
        told
    }

    /// The epoch that the log of a room without one would have, where that is known.
    pub(super) fn quiet_epoch(&self, room: usize) -> Option<Arc<str>> {
        self.quiet[room].epoch.clone()
    }

    /// A log lives while its room has a member, it retains something, or it has numbered something lately.
    pub(super) fn end_log(&mut self, room: usize) {
        let memory = nanos(self.config.limits.log_memory);
        let is_over = |log: &Log| log.entries.is_empty() && (log.top == 0 || log.touched + memory <= self.clock);
        if self.logs[room].as_ref().is_some_and(is_over) && !self.has_members(room) {
            self.drop_log(room);
        }
    }

    /// When a log is forgotten, if nothing more happens to it.
    pub(crate) fn forgotten_at(&self, room: usize) -> Option<u64> {
        let log = self.logs[room].as_ref().filter(|log| log.entries.is_empty() && self.rooms[room].is_empty())?;
        Some(log.touched + nanos(self.config.limits.log_memory))
    }

    /// When what was last said or done in a room without members stops being a reason to remember its log.
    pub(crate) fn remembered_until(&self, room: &str) -> Option<u64> {
        let room = self.names.iter().position(|name| **name == *room)?;
        let log = self.logs[room].as_ref().filter(|_| self.rooms[room].is_empty())?;
        Some(log.touched + nanos(self.config.limits.log_memory))
    }

    fn drop_log(&mut self, room: usize) {
        let Some(log) = self.logs[room].take() else { return };
        if log.top == 0 {
            return;
        }
        self.no_log_goes_on(room);
        // The state after the turn tells the epoch of the turn's last log only.
        if let Some(epoch) = log.epoch.filter(|_| self.turn.began.contains(&room)) {
            let queues = self.conns.iter_mut().flatten().flat_map(|conn| &mut conn.queue);
            queues.for_each(|expect| expect.forget(&epoch));
            self.turn.parts.iter_mut().for_each(|part| forget(part, &epoch));
            self.keys.forget_epoch(&epoch);
        }
    }

    /// A log that has numbered something is forgotten: the next one of the room is another.
    fn no_log_goes_on(&mut self, room: usize) {
        self.quiet.iter_mut().for_each(|quiet| quiet.is_doubtful = true);
        self.quiet[room].epoch = None;
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
        self.weigh_all();
    }

    pub(super) fn ages_out(&self, log: &Log) -> Option<u64> {
        log.entries.front().map(|entry| entry.at + nanos(self.config.limits.history_age))
    }

    /// Publishes to a room. Returns the message's place, with offset 0 where it has none.
    pub(super) fn publish(&mut self, room: usize, data: &Data, origin: Option<&Origin>) -> Place {
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
        let is_nowhere = self.logs[room].is_none();
        let place = if data.unlogged {
            (0, if is_nowhere { "".into() } else { self.epoch(room) })
        } else if is_nowhere && (!self.may_begin(room, bytes) || !self.number(room, data, &mut body, bytes)) {
            // It is the first and the last of a log that nobody is left to remember.
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
    fn number(&mut self, room: usize, data: &Data, body: &mut Value, bytes: usize) -> bool {
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
        if self.keeps_history() {
            let encoded = body.to_string().len() - "null".len() + data.line.len();
            let mut whole = body.clone();
            whole["data"] = serde_json::from_str(&data.line).expect("payloads are JSON");
            let line = Arc::clone(&data.line);
            self.retain(room, Entry { offset, number: data.number, line, body: whole, bytes, encoded, at });
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
    user.map(crate::world::speech::user_name).unwrap_or_default()
}

/// What the tokens of every other user say about them.
#[must_use]
pub fn info_of(user: usize) -> Option<String> {
    (user % 2 == 1).then(|| format!(r#"{{"name":"user {user}"}}"#))
}
