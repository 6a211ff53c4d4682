//! Numbers that backends and operators are told: the values of limits, how much is retained, and how many have ended or shown
//! a token that was refused.

use super::calls::{broken, commands};
use crate::checkers::checker::Checked;
use crate::checkers::observation::ObservedTurn;
use crate::guarantees::{Failure, Guarantee, equal};
use crate::world::limit_text::limit_text;
use parlor_core::api::Command;
use parlor_core::stats::PeerCloses;
use parlor_core::{CloseCause, Effect, Input, Limit, Limits, Stats};
use serde_json::Value;
use std::collections::BTreeMap;

/// Bytes beside a payload that may count: its tags, and who has published it.
const BESIDE: usize = 600;

/// How much was put in so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Figures {
    /// Bytes of all payloads, each counted once, with what may be retained beside them.
    bytes: usize,
    /// Connections that have ended, by cause.
    ended: BTreeMap<CloseCause, u64>,
    /// Those that their clients have closed: with 1000, with 1001, without a code, and with any other.
    closed_by_clients: [u64; 4],
    /// Tokens that were refused, or missing.
    refused: u64,
}

impl Figures {
    /// A client publishes so many bytes.
    pub(super) fn put_in(&mut self, bytes: usize) {
        self.bytes += bytes + BESIDE;
    }

    /// No more is retained than was put in, however many rooms retain it; and what has happened is counted.
    pub(super) fn turned(&mut self, turn: &ObservedTurn<'_>, shards: u64) -> Checked {
        turn.effects.iter().for_each(|effect| self.count(effect));
        if shards == 1 {
            self.recount(turn.stats)?;
        }
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

    fn count(&mut self, effect: &Effect) {
        match effect {
            Effect::TokenRefused { .. } => self.refused += 1,
            Effect::Closed { end, .. } => {
                *self.ended.entry(end.cause).or_default() += 1;
                if end.cause == CloseCause::PeerClose {
                    let code = match end.reason().code() {
                        1000 => 0,
                        1001 => 1,
                        1005 | 1006 => 2,
                        _ => 3,
                    };
                    self.closed_by_clients[code] += 1;
                }
            }
            _ => {}
        }
    }

    /// The counts are those of what was told. With several shards one that is lost takes its counts along.
    fn recount(&self, Stats { totals, .. }: &Stats) -> Checked {
        equal(Guarantee::G8, "ends by cause:", &self.ended, &totals.closed)?;
        let PeerCloses { normal, going_away, none, other } = totals.peer_closes;
        equal(Guarantee::G8, "ends by clients:", &self.closed_by_clients, &[normal, going_away, none, other])?;
        equal(Guarantee::G8, "tokens refused:", &self.refused, &(totals.tokens.sum() - totals.tokens.accepted))
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
