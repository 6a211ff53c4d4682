//! What rooms retain, as their histories and the answers to publications show: what is removed is gone, a log goes on while it is
//! remembered, a key counts once, and a room that has much less than its share loses nothing.

use super::calls::broken;
use crate::checkers::checker::Checked;
use crate::world::names::prefix;
use crate::world::setup::Setup;
use parlor_core::api::Message;
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

/// Bytes beside a payload that may count for a room, and in a reply.
const BESIDE: usize = 80;

/// One publication of a backend.
#[derive(Clone, Debug)]
struct KnownPublication {
    at: u64,
    offset: u64,
    data: Value,
}

/// What was put into one room.
#[derive(Clone, Debug, Default)]
struct KnownLog {
    /// The epoch and the offset that the last publication was answered with, and when.
    last: Option<(String, u64, u64)>,
    /// The epoch and the offset up to which the history was removed.
    removed: Option<(String, u64)>,
    /// What is to be retained, as long as so much is not too much.
    accepted: Vec<KnownPublication>,
    /// The most bytes that one publication may have.
    largest: usize,
}

/// Publications of backends, and what they were answered.
#[derive(Clone, Debug)]
pub(super) struct RetainedLogs {
    setup: Setup,
    rooms: BTreeMap<String, KnownLog>,
    /// The most bytes that a publication of a client may have that did not name its room.
    unnamed: usize,
    /// Answers to idempotency keys, with when they came, and how many others came before each.
    keys: BTreeMap<(String, String), (Value, u64, usize)>,
    key_count: usize,
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

impl RetainedLogs {
    pub(super) fn new(setup: &Setup) -> Self {
        Self { setup: setup.clone(), rooms: BTreeMap::new(), unnamed: 0, keys: BTreeMap::new(), key_count: 0 }
    }

    /// Returns the log of a room. In a new one there may be what named no room.
    fn room(&mut self, room: &str) -> &mut KnownLog {
        let largest = self.unnamed;
        self.rooms.entry(room.into()).or_insert_with(|| KnownLog { largest, ..KnownLog::default() })
    }

    /// A client puts something into a room, now or when what it has said before is done.
    pub(super) fn put_in(&mut self, room: &str, bytes: usize) {
        let bytes = bytes + 8 * BESIDE;
        // A plain client need not name its room.
        if room.is_empty() {
            self.unnamed = self.unnamed.max(bytes);
        } else {
            self.room(room);
        }
        for past in self.rooms.iter_mut().filter(|(name, _)| room.is_empty() || *name == room).map(|(_, past)| past) {
            past.largest = past.largest.max(bytes);
        }
    }

    /// A backend has published, and was answered this.
    pub(super) fn published(&mut self, at: u64, room: &str, message: &Message, result: &Value) -> Checked {
        // Several shards answer when they like, so that it is not known what came first.
        if self.setup.shards > 1 {
            return Ok(());
        }
        let limits = self.setup.limits.clone();
        if let Some(key) = &message.idempotency_key {
            let id = (room.to_owned(), key.clone());
            if let Some((before, since, count)) = self.keys.get(&id) {
                let is_known = at.saturating_sub(*since) < nanos(limits.idempotency_window)
                    && self.key_count - count <= limits.idempotency_keys;
                if is_known && before != result {
                    return broken(format_args!("the answer {before} to {key:?} once more"), result);
                }
                // It may be remembered for longer, or be remembered anew.
                if before == result {
                    self.key_count += usize::from(!is_known);
                    return Ok(());
                }
            }
            self.keys.insert(id, (result.clone(), at, self.key_count));
            self.key_count += 1;
        }
        let (epoch, offset) =
            (result["epoch"].as_str().unwrap_or_default(), result["offset"].as_u64().unwrap_or_default());
        let data: Value = serde_json::from_str(&message.data.json()).unwrap_or_default();
        let is_few = self.setup.rooms + self.setup.users <= limits.logs as u64;
        let past = self.room(room);
        if let Some((before, last, since)) = &past.last
            && is_few
            && offset > 0
            && at.saturating_sub(*since) < nanos(limits.log_memory)
            && !(before == epoch && *last < offset)
        {
            return broken(format_args!("the log {before} of {room:?} to go on after {last}"), result);
        }
        if offset > 0 {
            past.last = Some((epoch.into(), offset, at));
            past.accepted.push(KnownPublication { at, offset, data });
        }
        past.largest = past.largest.max(message.data.json_bytes() + BESIDE);
        Ok(())
    }

    /// A backend has removed the history of a room.
    pub(super) fn removed(&mut self, room: &str) {
        let past = self.room(room);
        past.removed = past.last.as_ref().map(|(epoch, offset, _)| (epoch.clone(), *offset));
        past.accepted.clear();
    }

    /// A history is read; `is_whole`: all of it was asked for.
    pub(super) fn read(&self, at: u64, room: &str, result: &Value, is_whole: bool) -> Checked {
        let Some(past) = self.rooms.get(room).filter(|_| self.setup.shards == 1) else { return Ok(()) };
        let all = result["publications"].as_array().map(Vec::as_slice).unwrap_or_default();
        if let Some((epoch, top)) = &past.removed
            && result["epoch"] == **epoch
            && all.iter().any(|publication| publication["offset"].as_u64() <= Some(*top))
        {
            return broken(format_args!("nothing of {room:?} up to {top}, which was removed"), result);
        }
        let limits = &self.setup.limits;
        let names = usize::try_from(self.setup.rooms + self.setup.users).expect("a few rooms");
        let share = (limits.history_bytes / (2 * names)).min(limits.history_bytes_per_room).min(limits.reply_bytes);
        let messages = self.setup.rules(prefix(room)).history_messages;
        // How many were put in is told by their offsets: what a client has said may wait.
        let top = result["offset"].as_u64().unwrap_or_default();
        let removed = past.removed.as_ref().filter(|(epoch, _)| result["epoch"] == **epoch).map_or(0, |(_, top)| *top);
        let put_in = usize::try_from(top.saturating_sub(removed)).unwrap_or(usize::MAX).max(past.accepted.len());
        let most = messages.min(put_in);
        if !is_whole || most * past.largest > share || most > limits.reply_messages || names > limits.logs {
            return Ok(());
        }
        let is_due = |accepted: &&KnownPublication| {
            at.saturating_sub(accepted.at) < nanos(limits.history_age)
                && top.saturating_sub(accepted.offset) < messages as u64
        };
        let is_there =
            |accepted: &&KnownPublication| all.iter().any(|publication| publication["data"] == accepted.data);
        match past.accepted.iter().filter(is_due).find(|accepted| !is_there(accepted)) {
            Some(KnownPublication { data, .. }) => broken(format_args!("{data} to be retained in {room:?}"), result),
            None => Ok(()),
        }
    }
}
