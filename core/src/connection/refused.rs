//! Accounting of `outbox_bytes_total`: a frame that sockets have refused counts once for all connections that wait for
//! it.
//!
//! Frames that no socket was offered yet are not counted: the turn bounds them, and most sockets take them. So only
//! connections whose sockets refuse bytes cost the counting, and only they are closed to free memory.

use crate::connection::frame::Frame;
use crate::map::{Keys, Map};

/// The refused frames of all connections of a shard.
#[derive(Clone, Debug, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub(crate) struct RefusedFrames {
    /// The number of connections that wait for each frame, by the address of its bytes, which is unique while a
    /// connection waits.
    #[serde(with = "crate::map::of_addresses")]
    waiting: Map<usize, u32>,
    bytes: usize,
}

impl RefusedFrames {
    /// Creates an empty count whose hash function has these keys.
    pub fn new(keys: Keys) -> Self {
        Self { waiting: Map::with_hasher(keys), bytes: 0 }
    }

    /// Returns the bytes of all refused frames, each counted once.
    #[inline]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Counts one more connection that waits for this frame.
    pub fn add(&mut self, frame: &Frame) {
        let waiting = self.waiting.entry(frame.address()).or_insert(0);
        if *waiting == 0 {
            self.bytes += frame.len();
        }
        *waiting += 1;
    }

    /// Counts one connection less.
    ///
    /// # Panics
    /// Panics when the frame was not added as often as it is removed.
    pub fn remove(&mut self, frame: &Frame) {
        let waiting = self.waiting.get_mut(&frame.address()).expect("a frame that was refused is counted");
        *waiting -= 1;
        if *waiting == 0 {
            self.waiting.swap_remove(&frame.address());
            self.bytes -= frame.len();
        }
    }

    /// Counts anew who waits for which frame, where these are all of them. The bytes are left as they are. O(n) in the frames.
    #[cfg(feature = "replay")]
    pub fn recount<'a>(&mut self, frames: impl Iterator<Item = &'a Frame>) {
        self.waiting.clear();
        frames.for_each(|frame| *self.waiting.entry(frame.address()).or_insert(0) += 1);
    }

    /// Asserts that `frames` are the counted frames, one for each connection that waits. O(n) in the frames.
    pub fn audit<'a>(&self, frames: impl Iterator<Item = &'a Frame>) {
        let mut counted = Self::new(*self.waiting.hasher());
        frames.for_each(|frame| counted.add(frame));
        assert_eq!(counted.bytes, self.bytes, "G8: refused frames are counted in bytes");
        assert_eq!(counted.waiting, self.waiting, "G8: connections that wait for a refused frame are counted");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::audit_finds;

    #[test]
    fn a_frame_counts_once_however_many_wait_for_it() {
        let mut refused = RefusedFrames::new(Keys(1, 2));
        let (frame, other) = (Frame::text("abc"), Frame::text("abc"));
        refused.add(&frame);
        refused.add(&frame.clone());
        assert_eq!(refused.bytes(), 5);
        refused.add(&other);
        assert_eq!(refused.bytes(), 10, "one that says the same is another");
        refused.remove(&frame);
        assert_eq!(refused.bytes(), 10);
        refused.audit([&frame, &other].into_iter());
        refused.remove(&frame);
        refused.remove(&other);
        assert_eq!(refused.bytes(), 0);
        refused.audit([].into_iter());
    }

    #[test]
    fn the_audit_reports_each_broken_invariant() {
        let frame = Frame::text("abc");
        let make = || {
            let mut refused = RefusedFrames::new(Keys(1, 2));
            refused.add(&frame);
            refused
        };
        audit_finds(
            make,
            |refused| refused.audit([&frame].into_iter()),
            &[
                ("G8: refused frames are counted in bytes", |refused| refused.bytes += 1),
                ("G8: connections that wait for a refused frame are counted", |refused| refused.waiting[0] += 1),
            ],
        );
    }
}
