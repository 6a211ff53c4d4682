//! Retained publications, and which log gives one up when all together retain too much.

use super::log::{LogFullness, LoggedPublication};
use super::model::ReferenceModel;
use crate::goals::Goal;
use std::collections::BTreeMap;

impl ReferenceModel {
    /// Whether a room keeps what is said there.
    pub(super) fn keeps_history(&self, room: usize) -> bool {
        let limits = &self.config.limits;
        self.rules[room].history_messages > 0 && self.most_of_a_room() > 0 && !limits.history_age.is_zero()
    }

    fn most_of_a_room(&self) -> usize {
        self.config.limits.history_bytes_per_room.min(self.config.limits.history_bytes)
    }

    /// Bytes that all logs retain. A payload that is in several of them counts once.
    pub(super) fn history_bytes(&self) -> usize {
        let entries = self.logs.iter().flatten().flat_map(|log| &log.entries);
        entries.map(|entry| (entry.number, entry.bytes)).collect::<BTreeMap<_, _>>().values().sum()
    }

    /// Whether the log of a room that has none may begin with a message of this size, while it has no member.
    pub(super) fn may_begin(&mut self, room: usize, bytes: usize) -> bool {
        if !self.keeps_history(room) {
            return false;
        }
        let is_too_large = bytes > self.most_of_a_room();
        let has_place = self.numbered() < self.config.limits.logs || self.oldest_idle(room).is_some();
        if is_too_large {
            self.goals.reach(Goal::HistoryFull);
        } else if !has_place {
            self.goals.reach(Goal::LogsFull);
        }
        !is_too_large && has_place
    }

    /// A log retains one message more, and all of them together no more than they may.
    pub(super) fn retain(&mut self, room: usize, entry: LoggedPublication) {
        let (most, messages) = (self.most_of_a_room(), self.rules[room].history_messages);
        if self.logs.iter().flatten().flat_map(|log| &log.entries).any(|other| other.number == entry.number) {
            self.goals.reach(Goal::RetainedTwice);
        }
        let log = self.logs[room].as_mut().expect("a log retains it");
        let offset = entry.offset;
        log.entries.push_back(entry);
        while log.entries.len() > messages {
            log.entries.pop_front();
            self.goals.reach(Goal::Trimmed);
        }
        while log.bytes() > most {
            log.entries.pop_front();
            self.goals.reach(if log.entries.is_empty() { Goal::HistoryFull } else { Goal::RoomFull });
        }
        self.weigh(room);
        while self.history_bytes() > self.config.limits.history_bytes {
            self.give_up(room, offset);
        }
    }

    /// The log that is the fullest to within a factor of two, and of several the one that has been so for the longest, gives
    /// up its oldest message.
    fn give_up(&mut self, publisher: usize, newest: u64) {
        let fullness = |room: &usize| self.logs[*room].as_ref().map_or(LogFullness::default(), |log| log.fullness);
        let most = (0..self.logs.len()).map(|room| fullness(&room).bits).max();
        let fullest = (0..self.logs.len()).filter(|room| Some(fullness(room).bits) == most);
        let room = fullest.min_by_key(|room| fullness(room).since).expect("what is retained is in a log");
        let log = self.logs[room].as_mut().expect("it retains something");
        let gone = log.entries.pop_front().expect("it retains something");
        self.goals.reach(match room == publisher {
            true if gone.offset == newest => Goal::HistoryFull,
            true => Goal::FullestItself,
            false => Goal::GaveWay,
        });
        self.weigh(room);
        if room != publisher {
            self.end_log(room);
        }
    }

    /// Records how full a log is.
    pub(super) fn weigh(&mut self, room: usize) {
        let Some(log) = &mut self.logs[room] else { return };
        let bits = usize::BITS - log.bytes().leading_zeros();
        if log.fullness.bits != bits {
            self.stamps += 1;
            log.fullness = LogFullness { bits, since: self.stamps };
        }
    }

    /// The logs that have become lighter at once are so in the order in which they were last used.
    pub(super) fn weigh_all(&mut self) {
        let mut rooms: Vec<usize> = (0..self.logs.len()).filter(|room| self.logs[*room].is_some()).collect();
        rooms.sort_by_key(|room| self.logs[*room].as_ref().map(|log| log.idle));
        rooms.into_iter().for_each(|room| self.weigh(room));
    }
}
