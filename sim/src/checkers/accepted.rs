//! Messages that were accepted: each with its rooms, and its position in a room's log as those say
//! who were told.

use super::calls::Sent;
use crate::guarantees::{Failure, Guarantee};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// A room and an epoch of it.
pub(super) type LogId = (String, String);

/// Messages that clients and backends have published.
#[derive(Clone, Debug, Default)]
pub(super) struct AcceptedMessages {
    /// Each message with its payload, and the rooms that it is for; the one without a name is for those told without one.
    sent: BTreeMap<u64, (Value, Vec<String>)>,
    /// Which message is known to be at which place.
    logs: BTreeMap<LogId, BTreeMap<u64, u64>>,
    /// Positions that calls with an idempotency key were answered.
    keyed_positions: BTreeSet<(LogId, u64)>,
}

/// The number of a payload, which no other payload of a run has.
pub(super) fn number(data: &Value) -> u64 {
    data["n"].as_u64().unwrap_or_default()
}

pub(super) fn broken(expected: impl std::fmt::Display, saw: impl std::fmt::Display) -> Result<(), Failure> {
    Err(Failure::new(Guarantee::G5, expected, saw))
}

impl AcceptedMessages {
    /// Records a publication.
    pub(super) fn put_in(&mut self, room: &str, data: &Value) {
        let (_, rooms) = self.sent.entry(number(data)).or_insert_with(|| (data.clone(), Vec::new()));
        rooms.push(room.into());
    }

    /// It was refused in this room.
    pub(super) fn refused(&mut self, room: &str, number: u64) {
        if let Some((_, rooms)) = self.sent.get_mut(&number) {
            rooms.retain(|known| known != room);
        }
    }

    /// It was not put in this room after all, once.
    pub(super) fn withdraw(&mut self, room: &str, number: u64) {
        if let Some((_, rooms)) = self.sent.get_mut(&number)
            && let Some(at) = rooms.iter().position(|known| known == room)
        {
            rooms.swap_remove(at);
        }
    }

    /// A backend was told that a message, which it has put in, was accepted. Returns its number, if it is for sure without a
    /// place.
    pub(super) fn called(&mut self, sent: &Sent<'_>, place: &Value) -> Result<Option<u64>, Failure> {
        let room = sent.room.as_deref().unwrap_or_default();
        let data: Value = serde_json::from_str(&sent.data).unwrap_or_default();
        let (epoch, offset) =
            (place["epoch"].as_str().unwrap_or_default(), place["offset"].as_u64().unwrap_or_default());
        if sent.keyed && !self.keyed_positions.insert(((room.into(), epoch.into()), offset)) {
            self.withdraw(room, number(&data));
            return Ok(None);
        }
        if offset > 0 {
            self.learn(room, epoch, offset, &data)?;
        }
        Ok((offset == 0 && !sent.keyed).then(|| number(&data)))
    }

    /// Records a message's position in a room's log, as a client or backend was told it.
    pub(super) fn learn(&mut self, room: &str, epoch: &str, offset: u64, data: &Value) -> Result<(), Failure> {
        self.is_known(room, data)?;
        let number = number(data);
        let log = self.logs.entry((room.into(), epoch.into())).or_default();
        let known = *log.entry(offset).or_insert(number);
        if known != number {
            return broken(format_args!("message {known} at {offset} of {room}"), format_args!("message {number}"));
        }
        Ok(())
    }

    /// Whether this payload was put in for this room, as it is.
    pub(super) fn is_known(&self, room: &str, data: &Value) -> Result<(), Failure> {
        match self.sent.get(&number(data)) {
            Some((sent, rooms)) if sent == data && rooms.iter().any(|known| known == room) => Ok(()),
            Some((sent, rooms)) => broken(format_args!("{sent} in {rooms:?}"), format_args!("{data} in {room:?}")),
            None => broken("what was put in", format_args!("{data} in {room:?}")),
        }
    }

    /// The payload of a message, and the rooms that it is for.
    pub(super) fn sent(&self, number: u64) -> Option<&(Value, Vec<String>)> {
        self.sent.get(&number)
    }

    /// The place of the newest message that is known of a log.
    pub(super) fn top(&self, log: &LogId) -> u64 {
        self.logs.get(log).and_then(|log| log.last_key_value()).map_or(0, |(offset, _)| *offset)
    }

    /// The messages of a log that are known to be between these places.
    pub(super) fn between(&self, log: &LogId, after: u64, to: u64) -> impl Iterator<Item = u64> {
        let log = self.logs.get(log).filter(|_| after < to);
        log.into_iter().flat_map(move |log| log.range(after + 1..=to)).map(|(_, number)| *number)
    }

    /// In which log of a room a message is, and at which place.
    pub(super) fn place_of(&self, room: &str, number: u64) -> Option<(&LogId, u64)> {
        let logs = self.logs.iter().filter(|((name, _), _)| name == room);
        let mut found =
            logs.filter_map(|(id, log)| Some((id, *log.iter().rev().find(|(_, known)| **known == number)?.0)));
        let place = found.next()?;
        found.next().is_none().then_some(place)
    }
}
