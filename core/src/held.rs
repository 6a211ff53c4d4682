//! The frames that sockets have refused, each counted once however many connections wait for it.
//!
//! What was not offered yet is none of them: it is bounded by the turn, and most sockets take it. So only connections that
//! refuse pay for the count, and only they can be asked to make room.

use crate::frame::Frame;
use crate::map::{Keys, Map};

/// What all refused frames of a node take.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    /// How many connections wait for a frame, by where its bytes are: nothing else is where they are while one waits.
    waiting: Map<usize, u32>,
    bytes: usize,
}

impl Held {
    pub fn new(keys: Keys) -> Self {
        Self { waiting: Map::with_hasher(keys), bytes: 0 }
    }

    /// How many bytes.
    #[inline]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// One more connection waits for this frame.
    pub fn add(&mut self, frame: &Frame) {
        let waiting = self.waiting.entry(frame.address()).or_insert(0);
        if *waiting == 0 {
            self.bytes += frame.len();
        }
        *waiting += 1;
    }

    /// One fewer waits for it.
    pub fn remove(&mut self, frame: &Frame) {
        let waiting = self.waiting.get_mut(&frame.address()).expect("a frame that was refused is counted");
        *waiting -= 1;
        if *waiting == 0 {
            self.waiting.swap_remove(&frame.address());
            self.bytes -= frame.len();
        }
    }

    /// Checks that these are the frames that it counts.
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
        let mut held = Held::new(Keys(1, 2));
        let (frame, other) = (Frame::text("abc"), Frame::text("abc"));
        held.add(&frame);
        held.add(&frame.clone());
        assert_eq!(held.bytes(), 5);
        held.add(&other);
        assert_eq!(held.bytes(), 10, "one that says the same is another");
        held.remove(&frame);
        assert_eq!(held.bytes(), 10);
        held.audit([&frame, &other].into_iter());
        held.remove(&frame);
        held.remove(&other);
        assert_eq!(held.bytes(), 0);
        held.audit([].into_iter());
    }

    #[test]
    fn its_audit_finds_what_is_wrong() {
        let frame = Frame::text("abc");
        let make = || {
            let mut held = Held::new(Keys(1, 2));
            held.add(&frame);
            held
        };
        audit_finds(
            make,
            |held| held.audit([&frame].into_iter()),
            &[
                ("G8: what sockets have refused counts its bytes", |held| held.bytes += 1),
                ("G8: who waits for a frame that was refused is counted", |held| held.waiting[0] += 1),
            ],
        );
    }
}
