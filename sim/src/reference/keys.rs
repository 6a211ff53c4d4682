//! Idempotency keys that are remembered, each with the answer that its call got.

use super::expect::forget;
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

    pub fn forget(&mut self, clock: u64) -> bool {
        let before = self.0.len();
        self.0.retain(|(_, _, until, _)| *until > clock);
        self.0.len() < before
    }

    /// Lets any epoch stand where this one is.
    pub fn forget_epoch(&mut self, epoch: &str) {
        self.0.iter_mut().for_each(|(.., answer)| forget(answer, epoch));
    }

    pub fn next(&self) -> Option<u64> {
        self.0.iter().map(|(_, _, until, _)| *until).min()
    }

    /// Which keys of which rooms are known until when, for comparing states.
    pub fn known(&self) -> impl Iterator<Item = (u8, u8, u64)> {
        self.0.iter().map(|(room, key, until, _)| (u8::try_from(*room).expect("a few rooms"), *key, *until))
    }
}
