//! The last inputs of a shard, without their content: enough to see what led to a broken invariant, and nothing that must
//! not be in a log.

use crate::runtime::observer::Observer;
use parlor_core::{ConnId, Input, Now};
use std::collections::VecDeque;
use std::fmt;

/// Number of inputs that are kept.
const KEPT: usize = 64;

/// The last inputs, oldest first.
#[derive(Clone, Debug, Default)]
pub struct LastInputs {
    inputs: VecDeque<InputRecord>,
}

/// One input without its content, or a run of flushes or of the canary.
#[derive(Clone, Copy, Debug)]
struct InputRecord {
    at: Now,
    kind: &'static str,
    conn: Option<ConnId>,
    bytes: usize,
}

impl Observer for LastInputs {
    fn before(&mut self, at: Now, input: &Input) {
        let (kind, conn, bytes) = match input {
            Input::Upgraded { conn } => ("upgraded", Some(*conn), 0),
            Input::Message { conn, message } => ("message", Some(*conn), message.len()),
            Input::Fragment { conn, bytes } => ("fragment", Some(*conn), *bytes),
            Input::HalfFrame { conn, bytes } => ("half a frame", Some(*conn), *bytes),
            Input::Unread { conn, bytes } => ("unread", Some(*conn), *bytes),
            Input::BodyBegun { bytes } => ("body begun", None, *bytes),
            Input::BodyEnded { bytes } => ("body ended", None, *bytes),
            Input::Ping { conn, payload } => ("ping", Some(*conn), payload.len()),
            Input::Pong { conn } => ("pong", Some(*conn), 0),
            Input::PeerClosed { conn, .. } => ("peer closed", Some(*conn), 0),
            Input::Violation { conn, .. } => ("violation", Some(*conn), 0),
            Input::Lost { conn, .. } => ("lost", Some(*conn), 0),
            Input::Flushed { conn, bytes } => ("flushed", Some(*conn), *bytes),
            Input::Committed { conn, bytes } => ("committed", Some(*conn), *bytes),
            Input::Authenticated { conn, .. } => ("authenticated", Some(*conn), 0),
            Input::Call { .. } => ("call", None, 0),
            Input::Link { .. } => ("link", None, 0),
            Input::ShardLost { .. } => ("shard lost", None, 0),
            Input::Engine(_) => ("engine", None, 0),
            Input::Configured { .. } => ("configured", None, 0),
            Input::Tick => ("tick", None, 0),
            Input::Shutdown => ("shutdown", None, 0),
            Input::Canary { .. } | Input::CanaryHeard => ("canary", None, 0),
        };
        // Flushes come by the thousand, and the canary all the time: a run of them is one record, with the last connection and all
        // the bytes.
        let is_often = matches!(input, Input::Flushed { .. } | Input::Canary { .. } | Input::CanaryHeard);
        if let Some(last) = self.inputs.back_mut().filter(|last| is_often && last.kind == kind) {
            *last = InputRecord { at, kind, conn, bytes: last.bytes.saturating_add(bytes) };
            return;
        }
        self.keep(InputRecord { at, kind, conn, bytes });
    }

    fn resumed(&mut self, at: Now) {
        self.keep(InputRecord { at, kind: "resumed", conn: None, bytes: 0 });
    }
}

impl LastInputs {
    fn keep(&mut self, record: InputRecord) {
        if self.inputs.len() == KEPT {
            self.inputs.pop_front();
        }
        self.inputs.push_back(record);
    }
}

impl fmt::Display for LastInputs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, input) in self.inputs.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{}ns {}", input.at.mono.0, input.kind)?;
            if let Some(conn) = input.conn {
                write!(f, " {conn}")?;
            }
            if input.bytes > 0 {
                write!(f, " ({} bytes)", input.bytes)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use parlor_core::Instant;

    fn at(nanoseconds: u64) -> Now {
        Now { mono: Instant(nanoseconds), unix_ms: 0 }
    }

    #[test]
    fn only_the_last_inputs_are_kept() {
        let mut log = LastInputs::default();
        (0..1000).for_each(|now| log.before(at(now), &Input::Tick));
        let entries = log.to_string();
        let entries: Vec<&str> = entries.split(", ").collect();
        assert_eq!((entries.len(), entries[0], entries[KEPT - 1]), (KEPT, "936ns tick", "999ns tick"));
    }

    #[test]
    fn consecutive_flushes_are_one_entry_and_no_entry_has_a_payload() {
        let mut log = LastInputs::default();
        let conn = ConnId::from_parts(1, 2);
        log.before(at(1), &Input::Message { conn, message: "secret".into() });
        for slot in 1..=1000 {
            log.before(at(2), &Input::Flushed { conn: ConnId::from_parts(slot, 0), bytes: 7 });
        }
        assert_eq!(log.to_string(), "1ns message 1.2 (6 bytes), 2ns flushed 1000.0 (7000 bytes)");
    }
}
