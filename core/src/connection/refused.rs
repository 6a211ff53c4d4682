//! Accounting of `outbox_bytes_total`: a frame that sockets have refused counts once, however many connections wait for it.
//!
//! Frames that no socket was offered yet are not counted: the turn bounds them, and most sockets take them. So only connections
//! that refuse pay for the count, and only they can be closed to make room.

use crate::connection::frame::Frame;
use crate::map::{Keys, Map};

/// Refused frames of the whole node.
#[derive(Clone, Debug)]
pub(crate) struct RefusedFrames {
    /// Connections that wait for a frame, by the address of its bytes, which is its own while one waits.
    waiting: Map<usize, u32>,
    bytes: usize,
}

impl RefusedFrames {
    pub fn new(keys: Keys) -> Self {
        Self { waiting: Map::with_hasher(keys), bytes: 0 }
    }

    /// Bytes of all of them.
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

    /// Counts one connection fewer. It must have been added before.
    pub fn remove(&mut self, frame: &Frame) {
        let waiting = self.waiting.get_mut(&frame.address()).expect("a frame that was refused is counted");
        *waiting -= 1;
        if *waiting == 0 {
            self.waiting.swap_remove(&frame.address());
            self.bytes -= frame.len();
        }
    }

    /// Checks that `frames` are the ones that are counted, one for each connection that waits.
    pub fn audit<'a>(&self, frames: impl Iterator<Item = &'a Frame>) {
        let mut counted = Self::new(*self.waiting.hasher());
        frames.for_each(|frame| counted.add(frame));
        assert_eq!(counted.bytes, self.bytes, "G8: what sockets have refused counts its bytes");
        assert_eq!(counted.waiting, self.waiting, "G8: who waits for a frame that was refused is counted");
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
    fn its_audit_finds_what_is_wrong() {
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
                ("G8: what sockets have refused counts its bytes", |refused| refused.bytes += 1),
                ("G8: who waits for a frame that was refused is counted", |refused| refused.waiting[0] += 1),
            ],
        );
    }
}
