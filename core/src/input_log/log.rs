//! An input log, as it is written.

use super::filler::{self, Filled};
use super::ring::LogSegment;
use crate::map::Keys;
use crate::stored::{ContentRange, WrittenState};
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::hash::BuildHasher;

/// The beginning of every log.
pub const MAGIC: &[u8] = b"parlor input log 2\n";

/// A log up to one moment, to be written by another thread.
#[derive(Debug)]
pub struct InputLog {
    head: Vec<u8>,
    segments: Vec<Arc<LogSegment>>,
    has_payloads: bool,
    steps: u64,
}

impl InputLog {
    pub(super) fn new(head: Vec<u8>, segments: Vec<Arc<LogSegment>>, has_payloads: bool, steps: u64) -> Self {
        Self { head, segments, has_payloads, steps }
    }

    /// Returns the number of the first step, from 0: the number of those that it lacks.
    #[must_use]
    pub fn first_step(&self) -> u64 {
        self.segments.first().map_or(0, |segment| segment.first_step)
    }

    /// Returns the number of its steps: calls of the shard.
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.steps - self.first_step()
    }

    /// Returns the number of its last steps that can be run: all of them where it has the first step of the shard, and else those
    /// behind its first state. 0 where it has none.
    #[must_use]
    pub fn run_steps(&self) -> u64 {
        let is_start = |segment: &&Arc<LogSegment>| segment.first_step == 0 || segment.state.is_some();
        self.segments.iter().find(is_start).map_or(0, |start| self.steps - start.first_step)
    }

    /// Returns the bytes to write, in parts. Filler is put in place of payloads that were not asked for.
    pub fn parts(&self) -> impl Iterator<Item = Vec<u8>> {
        let head = [MAGIC, &length(self.head.len()), &self.head].concat();
        [head].into_iter().chain(self.segments.iter().map(|segment| self.part(segment)))
    }

    fn part(&self, segment: &LogSegment) -> Vec<u8> {
        let mut part = length(segment.bytes.len());
        part.extend(number(segment.first_step));
        match &segment.state {
            Some(state) => self.push_state(&mut part, state),
            None => part.push(0),
        }
        let start = part.len();
        part.extend_from_slice(&segment.bytes);
        if !self.has_payloads {
            for text in &segment.texts {
                let [from, to] = [text.start, text.end].map(|at| start + at as usize);
                filler::fill_message(&mut part[from..to], Filled::Content);
            }
        }
        part
    }

    /// Appends a state: its length, a sum of its bytes, and them.
    fn push_state(&self, part: &mut Vec<u8>, state: &WrittenState) {
        let mut bytes = state.bytes.clone();
        let contents: &[ContentRange] = if self.has_payloads { &[] } else { &state.contents };
        for ContentRange { range, kind } in contents {
            filler::fill_content(&mut bytes[range.start as usize..range.end as usize], *kind);
        }
        part.extend(length(bytes.len()));
        part.extend(sum(&bytes).to_le_bytes());
        part.extend(bytes);
    }
}

/// Returns a sum of bytes by which damage is found, and a state is not read that is none.
pub(super) fn sum(bytes: &[u8]) -> u64 {
    Keys(0, 0).hash_one(bytes)
}

fn length(bytes: usize) -> Vec<u8> {
    number(bytes as u64)
}

fn number(number: u64) -> Vec<u8> {
    postcard::to_allocvec(&number).unwrap_or_else(|_| vec![0])
}
