//! Recovery and history: the part of a log that a new member has missed, and the part that is read.

use super::expect::ExpectedFrame;
use super::log::{ExpectedLog, ExpectedReplay, LoggedPublication, bodies};
use super::model::ReferenceModel;
use crate::goals::Goal;
use crate::world::history_request::{LogQuery, RecoverFrom};
use serde_json::{Value, json};

impl ReferenceModel {
    /// Publications of a room's log for a new member; `None` when it wants all or nothing, and cannot have all.
    pub(super) fn replay(&mut self, room: usize, want: &RecoverFrom) -> Option<ExpectedReplay> {
        let log = self.logs[room].as_ref().expect("a room that is joined has a log");
        match want {
            RecoverFrom::Nothing => Some(ExpectedReplay::default()),
            RecoverFrom::Last(count) => {
                let mut entries: Vec<LoggedPublication> =
                    log.entries.iter().rev().take(self.fitting(*count, log.entries.iter().rev())).cloned().collect();
                entries.reverse();
                Some(ExpectedReplay { recovered: None, entries })
            }
            RecoverFrom::Since { epoch, offset, refuse } => {
                let missed = self.missed(log, epoch, *offset);
                self.note_recovery(room, epoch, *offset, missed.as_deref());
                match missed {
                    Some(entries) => Some(ExpectedReplay { recovered: Some(true), entries }),
                    None if *refuse => None,
                    None => Some(ExpectedReplay::FAILED),
                }
            }
        }
    }

    /// Publications after a position. There are some only if the epoch is empty or equal, and all that is missing is retained and fits.
    fn missed(&self, log: &ExpectedLog, epoch: &str, offset: u64) -> Option<Vec<LoggedPublication>> {
        let is_this = epoch.is_empty() || log.epoch.as_deref() == Some(epoch);
        if !is_this || offset > log.top {
            return None;
        }
        let missed: Vec<LoggedPublication> =
            log.entries.iter().filter(|entry| entry.offset > offset).cloned().collect();
        let complete = (offset + 1..=log.top).eq(missed.iter().map(|entry| entry.offset));
        let limits = &self.config.limits;
        let replay = ExpectedReplay { recovered: None, entries: missed };
        let fits = replay.entries.len() <= limits.reply_messages && replay.encoded() <= limits.reply_bytes;
        (complete && fits).then_some(replay.entries)
    }

    fn note_recovery(&mut self, room: usize, epoch: &str, offset: u64, missed: Option<&[LoggedPublication]>) {
        let log = self.logs[room].as_ref().expect("there is a log");
        let is_other = !epoch.is_empty() && log.epoch.as_deref() != Some(epoch);
        let goal = match missed {
            Some([]) => Goal::RecoveredNothing,
            Some(_) => Goal::Recovered,
            None if is_other => Goal::UnrecoveredEpoch,
            None if offset > log.top => Goal::UnrecoveredBeyond,
            None if log.entries.front().is_none_or(|oldest| oldest.offset > offset + 1) => Goal::UnrecoveredTrimmed,
            None => Goal::UnrecoveredTooLarge,
        };
        self.goals.reach(goal);
    }

    /// How many of these, at most `count`, fit one reply.
    fn fitting<'a>(&self, count: usize, entries: impl Iterator<Item = &'a LoggedPublication>) -> usize {
        let most = count.min(self.config.limits.reply_messages);
        let mut bytes = 0;
        let fits = |(at, entry): &(usize, &LoggedPublication)| {
            bytes += usize::from(*at > 0) + entry.encoded;
            bytes <= self.config.limits.reply_bytes
        };
        entries.take(most).enumerate().take_while(fits).count()
    }

    /// A part of a room's log with its position, or the error.
    pub(super) fn read(&mut self, room: usize, query: &LogQuery) -> Result<Vec<LoggedPublication>, u16> {
        if query.is_impossible() {
            return Err(107);
        }
        let log = self.logs[room].as_ref();
        let known = log.map_or_else(|| self.quiet_epoch(room), |log| log.epoch.clone());
        if query.since.as_ref().is_some_and(|(epoch, _)| !epoch.is_empty() && known.as_ref() != Some(epoch)) {
            self.goals.reach(Goal::HistoryOfAnotherEpoch);
            return Err(112);
        }
        let since = query.since.as_ref().map(|(_, offset)| *offset);
        let is_meant = |entry: &&LoggedPublication| match (query.reverse, since) {
            (_, None) => true,
            (false, Some(since)) => entry.offset > since,
            (true, Some(since)) => entry.offset < since,
        };
        let mut meant: Vec<LoggedPublication> =
            log.into_iter().flat_map(|log| &log.entries).filter(is_meant).cloned().collect();
        if query.reverse {
            meant.reverse();
        }
        let limit = query.limit.unwrap_or(0);
        let count = self.fitting(usize::try_from(limit).unwrap_or(usize::MAX), meant.iter());
        if count > 0 {
            self.goals.reach(if query.reverse { Goal::HistoryReversed } else { Goal::HistoryRead });
        }
        if limit != 0 && count < meant.len().min(usize::try_from(limit).unwrap_or(usize::MAX)) {
            self.goals.reach(Goal::HistoryCut);
        }
        meant.truncate(count);
        Ok(meant)
    }

    /// The result of `history`.
    pub(super) fn page(&self, room: usize, entries: &[LoggedPublication]) -> Value {
        let top = self.logs[room].as_ref().map_or(0, |log| log.top);
        let epoch = if self.logs[room].is_some() { self.epoch(room) } else { "".into() };
        json!({ "publications": bodies(entries), "epoch": epoch, "offset": top })
    }

    /// The result of `subscribe`: where the subscription begins, with what was recovered.
    pub(super) fn start(&self, room: usize, replay: &ExpectedReplay) -> Value {
        let missed = replay.entries.len() as u64;
        let mut start = self.position(room);
        if let Some(recovered) = replay.recovered.filter(|_| self.keeps_history(room)) {
            start["was_recovering"] = true.into();
            if recovered {
                // Before the first of the publications: each of them moves the client on.
                start["offset"] = (start["offset"].as_u64().expect("a log has a top") - missed).into();
                start["recovered"] = true.into();
                start["publications"] = bodies(&replay.entries);
            }
        }
        start
    }

    /// Tells a plain client that has joined about a gap, what it has missed, and its position.
    pub(super) fn start_plain(&mut self, client: usize, room: usize, replay: ExpectedReplay) {
        for frame in self.plain_start(client, room, replay) {
            if self.is_open(client) {
                self.tell(client, frame);
            }
        }
    }

    /// The frames with which a plain client begins in a room.
    pub(super) fn plain_start(&mut self, client: usize, room: usize, replay: ExpectedReplay) -> Vec<ExpectedFrame> {
        let positions = self.conns[client].as_ref().expect("it is there").entry.positions;
        let top = self.logs[room].as_ref().map_or(0, |log| log.top);
        let mut frames = Vec::new();
        if replay.recovered == Some(false) {
            self.goals.reach(Goal::Gap);
            frames.push(self.place_frame("gap", room, top));
        }
        for entry in &replay.entries {
            frames.push(ExpectedFrame::bare(&entry.line, 4 << 56 | (room as u64) << 48 | entry.number));
            if positions {
                frames.push(self.place_frame("position", room, entry.offset));
            }
        }
        if positions && replay.entries.is_empty() {
            frames.push(self.place_frame("position", room, top));
        }
        frames
    }

    /// A `position` or `gap` frame.
    pub(super) fn place_frame(&self, kind: &str, room: usize, offset: u64) -> ExpectedFrame {
        let frame = json!({ "type": kind, "room": *self.names[room], "epoch": self.epoch(room), "offset": offset });
        ExpectedFrame::json(frame, 15 << 56 | (room as u64) << 48 | offset)
    }

    /// Forgets what a room's log retains; its epoch and top stay while it is remembered.
    pub(super) fn remove_history(&mut self, room: usize) {
        if let Some(log) = &mut self.logs[room] {
            if !log.entries.is_empty() && !self.rooms[room].is_empty() {
                self.goals.reach(Goal::HistoryRemoved);
            }
            log.entries.clear();
        }
        self.weigh(room);
        self.end_log(room);
    }
}
