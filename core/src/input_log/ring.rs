//! The bytes of an input log, of which the oldest are dropped.

use crate::stored::WrittenState;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::Range;
use postcard::ser_flavors::Flavor;
use serde::Serialize;

/// Segments that make up the whole, at least.
const SEGMENTS: usize = 16;
/// The most bytes of a segment, but for the last record in it.
const LARGEST_SEGMENT: usize = 1 << 20;

/// A part of a log that can be read alone.
#[derive(Clone, Debug, Default)]
pub(super) struct LogSegment {
    /// The number of its first step, from 0.
    pub first_step: u64,
    /// The state before that step, if it was written.
    pub state: Option<Arc<WrittenState>>,
    pub bytes: Vec<u8>,
    /// The messages in it whose payloads are as they came.
    pub texts: Vec<Range<u32>>,
}

/// The last so many bytes of a log.
#[derive(Debug)]
pub(super) struct LogRing {
    sealed: VecDeque<Arc<LogSegment>>,
    sealed_bytes: usize,
    open: LogSegment,
    capacity: usize,
    segment_bytes: usize,
    /// The bytes of the sealed segments since a state was written, or was too large.
    since_state: usize,
}

impl LogRing {
    /// Creates one of so many bytes at most, but for the last record.
    pub fn new(capacity: usize) -> Self {
        Self {
            sealed: VecDeque::new(),
            sealed_bytes: 0,
            open: LogSegment::default(),
            capacity,
            segment_bytes: (capacity / SEGMENTS).clamp(1, LARGEST_SEGMENT),
            since_state: 0,
        }
    }

    /// Whether the open segment has all that it may have.
    pub fn is_segment_full(&self) -> bool {
        self.open.memory() >= self.segment_bytes
    }

    /// Whether the next segment is to begin with a state, since none of the newer half does.
    pub fn is_state_due(&self) -> bool {
        (self.since_state + self.open.memory()) * 2 >= self.capacity
    }

    /// Whether the open segment has waited for a state until it is twice as large as another: what is no turn, as a request that is
    /// refused, leads to none.
    pub fn is_state_overdue(&self) -> bool {
        self.open.memory() >= 2 * self.segment_bytes
    }

    /// Has the open segment, which is empty, begin with this state; none where it is too large.
    pub fn keep_state(&mut self, state: Option<WrittenState>) {
        self.open.state = state.map(Arc::new);
        self.since_state = 0;
    }

    /// Begins a segment with this step, and drops the oldest where there are too many bytes.
    pub fn begin_segment(&mut self, first_step: u64) {
        let mut next = LogSegment::default();
        self.sealed_bytes += self.open.memory();
        self.since_state += self.open.memory();
        while self.sealed_bytes + self.segment_bytes > self.capacity
            && let Some(oldest) = self.sealed.pop_front()
        {
            self.sealed_bytes -= oldest.memory();
            // Its memory is used again, unless it is being written.
            next = Arc::try_unwrap(oldest).unwrap_or_default();
        }
        next.state = None;
        next.bytes.clear();
        next.texts.clear();
        next.bytes.reserve(self.segment_bytes);
        next.first_step = first_step;
        self.sealed.push_back(Arc::new(core::mem::replace(&mut self.open, next)));
    }

    /// Returns all segments, the oldest first. O(n) in the open one alone.
    pub fn segments(&self) -> Vec<Arc<LogSegment>> {
        self.sealed.iter().cloned().chain([Arc::new(self.open.clone())]).collect()
    }

    pub fn push(&mut self, byte: u8) {
        self.open.bytes.push(byte);
    }

    /// Appends a number, in seven bits a byte, the lowest first.
    pub fn push_number(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.push(number as u8);
    }

    /// Appends the text of a message, and returns where it is.
    pub fn push_text(&mut self, text: &str) -> &mut [u8] {
        let start = self.open.bytes.len();
        self.open.bytes.extend_from_slice(text.as_bytes());
        if let (Ok(from), Ok(to)) = (u32::try_from(start), u32::try_from(self.open.bytes.len())) {
            self.open.texts.push(from..to);
        }
        &mut self.open.bytes[start..]
    }

    /// Appends a structure.
    pub fn push_structure(&mut self, value: &impl Serialize) {
        let start = self.open.bytes.len();
        if postcard::serialize_with_flavor(value, Appended(&mut self.open.bytes)).is_err() {
            // Only what passes between shards cannot be written, and a log is of a node with one.
            self.open.bytes.truncate(start);
        }
    }
}

impl LogSegment {
    fn memory(&self) -> usize {
        self.bytes.len() + self.texts.len() * size_of::<Range<u32>>()
    }
}

/// Bytes that a structure is written behind.
struct Appended<'a>(&'a mut Vec<u8>);

impl Flavor for Appended<'_> {
    type Output = ();

    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.0.push(byte);
        Ok(())
    }

    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_segments_are_dropped_and_the_newest_bytes_are_kept() {
        let mut ring = LogRing::new(1600);
        for step in 0..10_000u64 {
            if ring.is_segment_full() {
                ring.begin_segment(step);
            }
            ring.push_number(step);
        }
        let segments = ring.segments();
        let bytes: usize = segments.iter().map(|segment| segment.bytes.len()).sum();
        assert!((1400..=1700).contains(&bytes), "{bytes}");
        assert!(segments[0].first_step > 8_000 && segments.is_sorted_by_key(|segment| segment.first_step));
        assert_eq!(segments.last().and_then(|last| last.bytes.last_chunk()), Some(&[0x8F, 0x4E]), "9,999");
    }

    #[test]
    fn a_segment_that_is_being_written_is_not_changed() {
        let mut ring = LogRing::new(32);
        ring.push_text("ab");
        let written = ring.segments();
        for step in 0..100 {
            ring.begin_segment(step);
            ring.push(7);
        }
        assert_eq!((&written[0].bytes[..], written[0].texts[0].clone()), (&b"ab"[..], 0..2));
    }
}
