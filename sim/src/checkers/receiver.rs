//! Publications that come to one connection, room by room.

use super::accepted::{AcceptedMessages, LogId, broken, number};
use crate::checkers::checker::Checked;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::mem;

/// Publications of one room that one client has received.
#[derive(Clone, Debug, Default)]
pub(super) struct RoomStream {
    epoch: String,
    /// The place of the last message, where it was told one.
    last: Option<u64>,
    /// The client receives the positions of its messages.
    has_positions: bool,
    /// A shard was lost since it was entered: it may be left without its client having read that.
    pub is_unsure: bool,
    /// Messages without a place that are to come.
    pub owed: Vec<u64>,
}

/// A place in a room's log: the epoch and the offset.
type Place = (String, u64);

/// Something that has come to a plain client.
#[derive(Clone, Debug)]
enum Heard {
    /// A message, by its number.
    Message(u64),
    /// It was told of a gap in a room, and where it goes on there.
    Gap(String, Place),
}

/// Publications that must have come when so many bytes have.
#[derive(Clone, Debug, Default)]
struct Due {
    bytes: usize,
    rooms: Vec<Debt>,
}

/// Publications of a room that are owed to a member: up to the position of its newest, and those without a position.
#[derive(Clone, Debug)]
struct Debt {
    room: String,
    epoch: String,
    top: u64,
    owed: Vec<u64>,
}

impl RoomStream {
    fn debt(&self, room: &str, top: u64) -> Debt {
        Debt { room: room.into(), epoch: self.epoch.clone(), top, owed: self.owed.clone() }
    }
}

/// Publications that have come to one connection.
#[derive(Clone, Debug, Default)]
pub(super) struct Receiver {
    pub runs: BTreeMap<String, RoomStream>,
    /// It or the server has ended its stream: nothing more is owed.
    pub ended: bool,
    /// It is plain, and filters.
    pub filters: bool,
    /// It has shown a token. A plain client that shows another one may leave rooms without being told.
    pub has_token: bool,
    pub is_moved: bool,
    /// The rooms that a backend may have put it into or taken it out of, of which a plain client is not told.
    pub moved_rooms: BTreeSet<String>,
    /// The number of its last command.
    pub asked: u64,
    /// The number of its last command when a shard was lost: until a later one is answered, what it reads may be older than that.
    asked_before_loss: Option<u64>,
    /// Messages and gaps of a plain client, in the order in which it read them.
    heard: Vec<Heard>,
    /// How often each message came to a plain client.
    pub times: BTreeMap<u64, usize>,
    due: Option<Due>,
}

impl Receiver {
    /// That of a client that comes in while backends put clients into these rooms, or take them out.
    pub(super) fn among(moved_rooms: BTreeSet<String>, has_token: bool) -> Self {
        Self { moved_rooms, has_token, ..Self::default() }
    }

    /// A token of a plain client may take it out of rooms that the one before has put it in.
    pub(super) fn shows_token(&mut self) {
        self.is_moved |= mem::replace(&mut self.has_token, true);
    }

    /// It reads that it is in a room, and what it has missed there.
    pub(super) fn enters(&mut self, room: &str, place: &Value, accepted: &mut AcceptedMessages) -> Checked {
        let run = self.runs.entry(room.into()).or_default();
        let epoch = place["epoch"].as_str().unwrap_or_default();
        if run.epoch != epoch {
            *run = RoomStream { epoch: epoch.into(), owed: std::mem::take(&mut run.owed), ..RoomStream::default() };
        }
        (run.has_positions, run.is_unsure) = (true, self.asked_before_loss.is_some());
        let mut last = place["offset"].as_u64();
        for publication in place["publications"].as_array().into_iter().flatten() {
            let (offset, data) = (publication["offset"].as_u64(), &publication["data"]);
            let next = last.map(|last| last.saturating_add(1));
            if offset != next {
                return broken(format_args!("{next:?} of {room} to be recovered next"), format_args!("{offset:?}"));
            }
            accepted.learn(room, epoch, offset.unwrap_or_default(), data)?;
            last = offset;
        }
        run.last = run.last.max(last);
        Ok(())
    }

    /// A shard was lost: what was accepted there may never come, but then a client is told before anything newer comes.
    pub(super) fn is_unsure(&mut self) {
        self.asked_before_loss = Some(self.asked);
        self.due = None;
        self.runs.values_mut().for_each(|run| {
            run.owed.clear();
            run.is_unsure = true;
        });
    }

    /// It reads the answer to its command of this number, and from then on what was written after that was asked.
    pub(super) fn is_answered(&mut self, number: u64) {
        self.asked_before_loss = self.asked_before_loss.filter(|asked| number <= *asked);
    }

    /// A message of a room comes, and says so.
    pub(super) fn gets(&mut self, room: &str, publication: &Value, accepted: &mut AcceptedMessages) -> Checked {
        let data = &publication["data"];
        let Some(run) = self.runs.get_mut(room) else {
            return broken("messages of rooms that it is in alone", format_args!("{data} in {room:?}"));
        };
        match publication["offset"].as_u64() {
            Some(offset) if !run.epoch.is_empty() => {
                accepted.learn(room, &run.epoch, offset, data)?;
                if run.last.is_some_and(|last| last.checked_add(1) != Some(offset)) {
                    return broken(format_args!("in {room} the message behind {:?}", run.last), offset);
                }
                run.last = Some(offset);
                Ok(())
            }
            _ => {
                accepted.is_known(room, data)?;
                run.owed.retain(|owed| *owed != number(data));
                self.comes_once(data, accepted)
            }
        }
    }

    /// A message comes as it was published: which room it is of, only its number tells.
    pub(super) fn gets_plain(&mut self, data: &Value, accepted: &AcceptedMessages) -> Checked {
        let number = number(data);
        let Some((sent, rooms)) = accepted.sent(number) else { return broken("what was put in", data) };
        if sent != data {
            return broken(sent, data);
        }
        self.comes_once(data, accepted)?;
        self.runs.values_mut().for_each(|run| run.owed.retain(|owed| *owed != number));
        self.heard.push(Heard::Message(number));
        let [room] = rooms.as_slice() else { return Ok(()) };
        let Some((log, offset)) = accepted.place_of(room, number) else { return Ok(()) };
        let run = self.runs.entry(room.clone()).or_default();
        let before = run.last.replace(offset).map(|last| (mem::replace(&mut run.epoch, log.1.clone()), last));
        run.epoch.clone_from(&log.1);
        self.goes_on(before.as_ref(), log, offset, accepted)
    }

    /// Whether what comes to a plain client next in a room may come behind what it had there before.
    fn goes_on(&self, before: Option<&Place>, log: &LogId, offset: u64, accepted: &AcceptedMessages) -> Checked {
        let room = &log.0;
        match before {
            Some((epoch, last)) if *epoch != log.1 && !self.is_moved(room) => {
                broken(format_args!("a gap behind {last} in {room}, whose log is another one"), offset)
            }
            Some((epoch, _)) if *epoch != log.1 || self.is_blurred(room) => Ok(()),
            Some((_, last)) if *last >= offset => broken(format_args!("what comes behind {last} in {room}"), offset),
            Some((_, last)) => self.has(log, *last, offset, accepted),
            None => Ok(()),
        }
    }

    /// A plain client reads that it has missed something in a room, and where it goes on.
    pub(super) fn is_told_of_gap(&mut self, room: &str, place: &Value) {
        let (epoch, last) = (place["epoch"].as_str().unwrap_or_default().to_owned(), place["offset"].as_u64());
        self.heard.push(Heard::Gap(room.into(), (epoch.clone(), last.unwrap_or_default())));
        self.runs.insert(room.into(), RoomStream { epoch, last, ..RoomStream::default() });
    }

    /// Whether all that has come to a plain client goes on from what was before it. Only in the end all places are known that
    /// backends are told.
    fn has_no_hole(&self, accepted: &AcceptedMessages) -> Checked {
        let mut places: BTreeMap<&str, Place> = BTreeMap::new();
        for heard in &self.heard {
            let (room, place) = match heard {
                Heard::Gap(room, place) => (room.as_str(), place.clone()),
                Heard::Message(number) => {
                    let Some((_, [room])) = accepted.sent(*number).map(|(data, rooms)| (data, rooms.as_slice())) else {
                        continue;
                    };
                    let Some((log, offset)) = accepted.place_of(room, *number) else { continue };
                    self.goes_on(places.get(room.as_str()), log, offset, accepted)?;
                    (room.as_str(), (log.1.clone(), offset))
                }
            };
            places.insert(room, place);
        }
        Ok(())
    }

    /// Whether it is plain, and may have left a room and come back without being told.
    fn is_moved(&self, room: &str) -> bool {
        self.is_moved || self.moved_rooms.contains(room)
    }

    /// Whether it is plain, and what it reads of a room may have a hole of which it is not told.
    fn is_blurred(&self, room: &str) -> bool {
        self.filters || self.is_moved(room)
    }

    /// Whether no message came more often than there are rooms that it was put into.
    fn comes_once(&mut self, data: &Value, accepted: &AcceptedMessages) -> Checked {
        let times = self.times.entry(number(data)).or_default();
        *times += 1;
        let times = *times;
        let rooms = accepted.sent(number(data)).map_or(&[][..], |(_, rooms)| rooms);
        if times > rooms.len() && !rooms.iter().any(|room| self.is_blurred(room)) {
            return broken(format_args!("{data} {} times", rooms.len()), times);
        }
        Ok(())
    }

    /// Its socket is offered so much: with the last byte of it, it has all that was accepted until now.
    pub(super) fn is_offered(&mut self, bytes: usize, accepted: &AcceptedMessages) {
        let runs = self.runs.iter().filter(|_| !self.ended);
        let due = |(room, run): (&String, &RoomStream)| {
            let top = accepted.top(&(room.clone(), run.epoch.clone()));
            let is_owed = run.last.is_some_and(|last| last < top) || !run.owed.is_empty();
            (is_owed && !run.is_unsure).then(|| run.debt(room, top))
        };
        self.due = Some(Due { bytes, rooms: runs.filter_map(due).collect() });
    }

    /// Its socket took so much.
    pub(super) fn took(&mut self, client: usize, bytes: usize, accepted: &AcceptedMessages) -> Checked {
        let Some(due) = &mut self.due else { return Ok(()) };
        due.bytes = due.bytes.saturating_sub(bytes);
        if due.bytes > 0 {
            return Ok(());
        }
        let rooms = self.due.take().unwrap_or_default().rooms;
        rooms.iter().try_for_each(|debt| self.lacks(client, debt, accepted))
    }

    /// Whether it has all that was accepted in its rooms.
    pub(super) fn lacks_nothing(&self, client: usize, accepted: &AcceptedMessages) -> Checked {
        self.has_no_hole(accepted)?;
        self.runs.iter().try_for_each(|(room, run)| {
            let top = accepted.top(&(room.clone(), run.epoch.clone()));
            self.lacks(client, &run.debt(room, top), accepted)
        })
    }

    fn lacks(&self, client: usize, debt: &Debt, accepted: &AcceptedMessages) -> Checked {
        let Debt { room, epoch, top, owed } = debt;
        let is_sure =
            |run: &&RoomStream| !self.ended && (run.has_positions || !self.is_blurred(room)) && run.epoch == *epoch;
        let Some(run) = self.runs.get(room).filter(is_sure) else { return Ok(()) };
        if let Some(number) = owed.iter().find(|number| run.owed.contains(number)) {
            return broken(format_args!("client {client} to get message {number} in {room:?}"), "it never came");
        }
        match run.last {
            Some(last) if last < *top && run.has_positions => broken(
                format_args!("client {client} to get what is in {room} up to {top}"),
                format_args!("nothing behind {last}"),
            ),
            Some(last) => self.has(&(room.clone(), epoch.clone()), last, *top, accepted),
            None => Ok(()),
        }
    }

    /// Whether a plain client got what is known to be between these places.
    fn has(&self, log: &LogId, after: u64, to: u64, accepted: &AcceptedMessages) -> Checked {
        if self.is_blurred(&log.0) {
            return Ok(());
        }
        match accepted.between(log, after, to).find(|number| !self.times.contains_key(number)) {
            Some(number) => broken(format_args!("message {number} in {} before {to}", log.0), "it never came"),
            None => Ok(()),
        }
    }
}
