//! Idempotency keys that are remembered, each with the answer that its call got.

use serde_json::Value;
use std::collections::VecDeque;

/// Answers to calls that carried an idempotency key.
#[derive(Clone, Debug, Default)]
pub(super) struct RememberedKeys(pub(super) VecDeque<(usize, u8, u64, Value)>);

impl RememberedKeys {
    pub fn find(&self, room: usize, key: u8) -> Option<Value> {
        self.0.iter().find(|(of, known, ..)| (*of, *known) == (room, key)).map(|(.., answer)| answer.clone())
    }

    pub fn remember(&mut self, room: usize, key: u8, until: u64, answer: Value, most: usize) {
        self.0.push_back((room, key, until, answer));
        while self.0.len() > most {
            self.0.pop_front();
        }
    }

    pub fn forget(&mut self, clock: u64) {
        self.0.retain(|(_, _, until, _)| *until > clock);
    }

    pub fn next(&self) -> Option<u64> {
        self.0.iter().map(|(_, _, until, _)| *until).min()
    }
}
