//! Numbers that a backend is told: the values of limits, and how much is retained.

use super::calls::{broken, commands};
use crate::checkers::checker::Checked;
use crate::checkers::observation::ObservedTurn;
use crate::guarantees::{Failure, Guarantee};
use crate::world::limit_text::limit_text;
use parlor_core::api::Command;
use parlor_core::{Input, Limit, Limits};
use serde_json::Value;

/// Bytes beside a payload that may count: its tags, and who has published it.
const BESIDE: usize = 600;

/// How much was put in so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Figures {
    /// Bytes of all payloads, each counted once, with what may be retained beside them.
    bytes: usize,
}

impl Figures {
    /// A client publishes so many bytes.
    pub(super) fn put_in(&mut self, bytes: usize) {
        self.bytes += bytes + BESIDE;
    }

    /// No more is retained than was put in, however many rooms retain it.
    pub(super) fn turned(&mut self, turn: &ObservedTurn<'_>, shards: u64) -> Checked {
        if let Input::Call { command, .. } = turn.input {
            self.bytes += commands(command).map(payload).sum::<usize>();
        }
        let saw = turn.stats.gauges.history_bytes;
        // Each shard counts what its own rooms retain.
        if saw <= self.bytes || shards > 1 {
            return Ok(());
        }
        Err(Failure::new(
            Guarantee::G8,
            format_args!("at most {} bytes of history, which is all there was", self.bytes),
            saw,
        ))
    }
}

/// Bytes that a call may have retained.
fn payload(command: &Command) -> usize {
    match command {
        Command::Publish { message, .. }
        | Command::PublishUser { message, .. }
        | Command::Broadcast { message, .. } => {
            let tags: usize = message.tags.iter().map(|(name, value)| name.len() + value.len() + 8).sum();
            message.data.json_bytes() + tags
        }
        _ => 0,
    }
}

/// Each limit is told as it is set.
pub(super) fn limits(limits: &Limits, told: &Value) -> Checked {
    for limit in Limit::ALL {
        let value = limit_text(limits.value(*limit));
        if told[limit.name()]["value"] != value {
            return broken(format_args!("{} to be told as {value}", limit.name()), &told[limit.name()]);
        }
    }
    Ok(())
}
