//! Logs of rooms: when they begin, what they retain, when they age and are forgotten.

use super::log::{ExpectedLog, LoggedPublication};
use super::model::{ReferenceModel, nanos};
use std::collections::VecDeque;

impl ReferenceModel {
    /// A log is there from now on. Its epoch is the one that the room's log had before it numbered anything, or else a new one.
    pub(super) fn begin_log(&mut self, room: usize) {
        if self.logs[room].is_some() {
            return;
        }
        let epoch = self.chosen[room].clone().or_else(|| self.quiet[room].clone());
        if epoch.is_none() || self.quiet[room] != epoch {
            self.turn.began.push(room);
        }
        self.quiet[room].clone_from(&epoch);
        self.logs[room] = Some(ExpectedLog { epoch, top: 0, entries: VecDeque::new(), touched: self.clock });
    }

    /// Whether a room keeps what is said there.
    pub(super) fn keeps_history(&self, room: usize) -> bool {
        self.rules[room].history_messages > 0 && !self.config.limits.history_age.is_zero()
    }

    /// A log retains one message more, and no more than it may.
    pub(super) fn retain(&mut self, room: usize, entry: LoggedPublication) {
        let log = self.logs[room].as_mut().expect("a log retains it");
        log.entries.push_back(entry);
        while log.entries.len() > self.rules[room].history_messages {
            log.entries.pop_front();
        }
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
    pub(super) fn forgotten_at(&self, room: usize) -> Option<u64> {
        let log = self.logs[room].as_ref().filter(|log| log.entries.is_empty() && self.rooms[room].is_empty())?;
        Some(log.touched + nanos(self.config.limits.log_memory))
    }

    /// A log that has numbered something is forgotten: the next one of the room is another.
    pub(super) fn drop_log(&mut self, room: usize) {
        let Some(log) = self.logs[room].take() else { return };
        if log.top == 0 {
            return;
        }
        self.quiet[room] = None;
        // The state after the turn tells the epoch of the turn's last log only.
        if self.turn.began.contains(&room) {
            self.give_up();
        }
    }

    pub(super) fn age_logs(&mut self) {
        let (clock, age) = (self.clock, nanos(self.config.limits.history_age));
        self.logs.iter_mut().flatten().for_each(|log| log.entries.retain(|entry| entry.at + age > clock));
        (0..self.logs.len()).for_each(|room| self.end_log(room));
    }

    pub(super) fn ages_out(&self, log: &ExpectedLog) -> Option<u64> {
        log.entries.front().map(|entry| entry.at + nanos(self.config.limits.history_age))
    }

    /// Forgets what a room's log retains; its epoch and top stay while it is remembered.
    pub(super) fn remove_history(&mut self, room: usize) {
        self.logs[room].iter_mut().for_each(|log| log.entries.clear());
        self.end_log(room);
    }
}
