//! Recovery: the part of a log that a new member has missed.

use super::expect::EPOCH;
use super::log::{ExpectedLog, ExpectedReplay, LoggedPublication};
use super::model::ReferenceModel;
use crate::world::history_request::RecoverFrom;
use serde_json::{Value, json};

impl ReferenceModel {
    /// Publications of a room's log for a new member; `None` when it wants all or nothing, and cannot have all.
    pub(super) fn replay(&self, room: usize, want: &RecoverFrom) -> Option<ExpectedReplay> {
        let log = self.logs[room].as_ref().expect("a room that is joined has a log");
        match want {
            RecoverFrom::Nothing => Some(ExpectedReplay::default()),
            RecoverFrom::Last(count) => {
                let skipped = log.entries.len().saturating_sub(*count);
                let entries = log.entries.iter().skip(skipped).cloned().collect();
                Some(ExpectedReplay { recovered: None, entries })
            }
            RecoverFrom::Since { epoch, offset, refuse } => match missed(log, epoch, *offset) {
                None if *refuse => None,
                missed => {
                    let recovered = Some(missed.is_some());
                    Some(ExpectedReplay { recovered, entries: missed.unwrap_or_default() })
                }
            },
        }
    }

    /// The result of `subscribe`: where the subscription begins, with what was recovered.
    pub(super) fn start(&self, room: usize, replay: &ExpectedReplay) -> Value {
        if !self.keeps_history(room) {
            return json!({});
        }
        let top = self.logs[room].as_ref().expect("a joined room has a log").top;
        let mut start = json!({ "recoverable": true, "positioned": true, "epoch": self.epoch(room), "offset": top });
        if let Some(recovered) = replay.recovered {
            start["was_recovering"] = true.into();
            if recovered {
                // Before the first of the publications: each of them moves the client on.
                start["offset"] = (top - replay.entries.len() as u64).into();
                start["recovered"] = true.into();
                start["publications"] = bodies(&replay.entries);
            }
        }
        start
    }

    /// The epoch of a room's log, as a client must see it.
    pub(super) fn epoch(&self, room: usize) -> Value {
        let epoch = self.logs[room].as_ref().and_then(|log| log.epoch.as_deref());
        epoch.unwrap_or(EPOCH).into()
    }
}

/// Publications after a position. There are some only if the epoch is empty or equal, and all that is missing is retained.
fn missed(log: &ExpectedLog, epoch: &str, offset: u64) -> Option<Vec<LoggedPublication>> {
    let is_this = epoch.is_empty() || log.epoch.as_deref() == Some(epoch);
    if !is_this || offset > log.top {
        return None;
    }
    let missed: Vec<LoggedPublication> = log.entries.iter().filter(|entry| entry.offset > offset).cloned().collect();
    let is_complete = (offset + 1..=log.top).eq(missed.iter().map(|entry| entry.offset));
    is_complete.then_some(missed)
}

fn bodies(entries: &[LoggedPublication]) -> Value {
    entries.iter().map(|entry| entry.body.clone()).collect()
}
