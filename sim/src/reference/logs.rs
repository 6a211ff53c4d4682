//! When logs begin, age, are evicted and forgotten.

use super::expect::forget;
use super::log::{EmptyLog, ExpectedLog, LogFullness};
use super::model::ReferenceModel;
use super::time::nanos;
use crate::goals::Goal;
use std::collections::VecDeque;
use std::sync::Arc;

/// In so many rooms of one run at most, an epoch may change because a room shares its counter with another one.
const COINCIDENCES: usize = 2;

impl ReferenceModel {
    /// How many logs have numbered something.
    pub(super) fn numbered(&self) -> usize {
        self.logs.iter().flatten().filter(|log| log.top > 0).count()
    }

    /// From now on this room's log has no members. Of rooms that lose their last one at once, the state after the turn
    /// tells which was the first; one that is gone by then was the first of all.
    pub(super) fn stamp_vacated(&mut self, room: usize, stamp: u64) {
        let place = self.choices.idle.iter().position(|of| *of == room).map_or(0, |place| place + 1);
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
    pub(super) fn evict_log(&mut self, room: usize) {
        if let Some(victim) = self.oldest_idle(room).filter(|_| self.numbered() > self.config.limits.logs) {
            self.goals.reach(Goal::LogEvicted);
            self.drop_log(victim);
        }
    }

    /// A log is there from now on.
    pub(super) fn begin_log(&mut self, room: usize) {
        if self.logs[room].is_none() {
            let epoch = self.epoch_of_new_log(room);
            self.logs[room] = Some(self.new_log(epoch));
        }
    }

    pub(super) fn new_log(&mut self, epoch: Option<Arc<str>>) -> ExpectedLog {
        self.stamps += 1;
        let (touched, idle) = (self.clock, (self.stamps, 0));
        ExpectedLog { epoch, top: 0, entries: VecDeque::new(), fullness: LogFullness::default(), touched, idle }
    }

    /// The epoch that the room's log had before it numbered anything, or else one that is new: the subject says which.
    pub(super) fn epoch_of_new_log(&mut self, room: usize) -> Option<Arc<str>> {
        let chosen = self.choices.epochs[room].clone();
        let moved = self.quiet.iter().filter(|quiet| quiet.has_moved).count();
        let quiet = &mut self.quiet[room];
        let is_other = quiet.epoch.is_some() && chosen.is_some() && chosen != quiet.epoch;
        if is_other && quiet.is_doubtful && (quiet.has_moved || moved < COINCIDENCES) {
            (quiet.epoch, quiet.has_moved) = (None, true);
        }
        if quiet.epoch.is_some() {
            return quiet.epoch.clone();
        }
        self.turn.began.push(room);
        *quiet = EmptyLog { epoch: chosen.clone(), is_doubtful: false, ..*quiet };
        self.past[room].logs += 1;
        if self.past[room].logs > 1 {
            self.goals.reach(Goal::LogReplaced);
        }
        chosen
    }

    /// The epoch that the log of a room without one would have, where that is known.
    pub(super) fn quiet_epoch(&self, room: usize) -> Option<Arc<str>> {
        self.quiet[room].epoch.clone()
    }

    /// A log lives while its room has a member, it retains something, or it has numbered something lately.
    pub(super) fn end_log(&mut self, room: usize) {
        let memory = nanos(self.config.limits.log_memory);
        let is_over =
            |log: &ExpectedLog| log.entries.is_empty() && (log.top == 0 || log.touched + memory <= self.clock);
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

    pub(super) fn drop_log(&mut self, room: usize) {
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
    pub(super) fn no_log_goes_on(&mut self, room: usize) {
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

    pub(super) fn ages_out(&self, log: &ExpectedLog) -> Option<u64> {
        log.entries.front().map(|entry| entry.at + nanos(self.config.limits.history_age))
    }
}
