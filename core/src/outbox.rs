//! What waits for one connection's socket.
//!
//! An [`Outbox`] takes frames; sealing it consumes it, and the [`Sealed`] that is left can only be drained. So after the
//! decision to close there is nothing to enqueue with, and the Close frame is the last one by construction (G1).

use crate::frame::Frame;
use crate::limits::{Limit, Limits};
use alloc::collections::VecDeque;

/// The queue of an open connection.
///
/// It is full only for a socket that has refused bytes: what one turn gives a connection is bounded by the turn, and
/// whoever takes what it is offered is never in arrears (G6).
#[derive(Clone, Debug, Default)]
pub(crate) struct Outbox {
    queue: Queue,
    /// Whether the socket has left bytes behind since nothing waited last.
    refused: bool,
}

/// The queue of a closing connection: it ends with the one Close frame, if there is to be one.
#[derive(Clone, Debug)]
pub(crate) struct Sealed(Queue);

/// The frame does not fit, because of this limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Full(pub Limit);

/// Which frames still go out before the Close frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Drain {
    /// All that were queued.
    Queued,
    /// Only the rest of one that is half written: cutting it would corrupt the stream.
    HalfWritten,
}

/// The share of an outbox that one turn may fill, and above which its connection's commands wait.
pub(crate) const PART: usize = 4;

/// What the socket took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Progress {
    /// Frames that are now written whole.
    pub frames: u64,
    /// Whether nothing waits any more.
    pub empty: bool,
}

impl Outbox {
    /// Appends a frame. Returns whether the queue was empty before.
    pub fn push(&mut self, frame: Frame, limits: &Limits) -> Result<bool, Full> {
        let was_empty = self.queue.is_empty();
        if frame.len() > limits.frame_bytes {
            return Err(Full(Limit::FrameBytes));
        }
        if self.refused && self.queue.bytes + frame.len() > limits.outbox_bytes {
            return Err(Full(Limit::OutboxBytes));
        }
        if self.refused && self.queue.len() >= limits.outbox_frames {
            return Err(Full(Limit::OutboxFrames));
        }
        self.queue.bytes += frame.len();
        self.queue.frames.push_back(frame);
        Ok(was_empty)
    }

    /// Whether so much waits that nothing more is done for the client until its socket has taken some of it.
    #[inline]
    pub fn is_high(&self, limits: &Limits) -> bool {
        self.queue.len() > (limits.outbox_frames / PART).max(1) || self.queue.bytes > limits.outbox_bytes / PART
    }

    /// Checks that it is held to its limits only while something is left of what was offered.
    pub fn audit(&self) {
        assert!(!self.refused || !self.queue.is_empty(), "G6: a socket that has taken everything has refused nothing");
    }

    /// Puts a Pong ahead of everything that is not half written. It replaces one that has not gone out: a peer that
    /// pings without reading gets one answer, not a queue of them. Returns whether the queue was empty before, and
    /// whether a Pong was replaced.
    pub fn pong(&mut self, frame: Frame) -> (bool, bool) {
        let was_empty = self.queue.is_empty();
        self.queue.bytes += frame.len();
        let unsent = self.queue.pong.replace(frame);
        self.queue.bytes -= unsent.as_ref().map_or(0, Frame::len);
        (was_empty, unsent.is_some())
    }

    /// Ends the queue with a Close frame. Returns how many whole frames were dropped, and whether it was empty before.
    pub fn seal(self, drain: Drain, close: Frame) -> (Sealed, u64, bool) {
        let mut queue = self.queue;
        let was_empty = queue.is_empty();
        let dropped = if drain == Drain::HalfWritten { queue.keep_half_written() } else { 0 };
        queue.bytes += close.len();
        queue.frames.push_back(close);
        (Sealed(queue), dropped, was_empty)
    }

    /// Ends the queue with what is left of a half-written frame, and without a Close frame. Returns how many whole frames
    /// were dropped.
    pub fn cut(self) -> (Sealed, u64) {
        let mut queue = self.queue;
        let dropped = queue.keep_half_written();
        (Sealed(queue), dropped)
    }

    /// The frames as they will be written.
    pub fn queue(&self) -> &Queue {
        &self.queue
    }

    /// Takes note that the socket took `bytes` of what it was offered, which is all that waited.
    #[inline]
    pub fn flushed(&mut self, bytes: usize) -> Progress {
        let progress = self.queue.flushed(bytes);
        self.refused = !progress.empty;
        progress
    }
}

impl Sealed {
    /// The frames as they will be written.
    pub fn queue(&self) -> &Queue {
        &self.0
    }

    /// Takes note that the socket took `bytes`.
    pub fn flushed(&mut self, bytes: usize) -> Progress {
        self.0.flushed(bytes)
    }

    /// Drops every whole frame but the Close. Returns how many.
    pub fn hurry(&mut self) -> u64 {
        let Some(close) = self.0.frames.pop_back() else { return 0 };
        if self.0.frames.is_empty() && self.0.half_written > 0 {
            self.0.frames.push_back(close);
            return 0;
        }
        let dropped = self.0.keep_half_written();
        self.0.bytes += close.len();
        self.0.frames.push_back(close);
        dropped
    }
}

/// What an empty queue may keep, in frames: an idle connection is not to remember its worst moment.
const KEPT_CAPACITY: usize = 8;

/// Frames in the order in which they are written.
#[derive(Clone, Debug, Default)]
pub(crate) struct Queue {
    frames: VecDeque<Frame>,
    /// The newest Pong that has not been started; it goes out at the next frame boundary.
    pong: Option<Frame>,
    /// How much of the first frame is written.
    half_written: usize,
    /// What is left to write, in bytes.
    bytes: usize,
}

impl Queue {
    /// Frames that are not yet written whole.
    pub fn len(&self) -> usize {
        self.frames.len() + usize::from(self.pong.is_some())
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// What is left to write, in bytes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// How much of the first frame is written.
    pub fn half_written(&self) -> usize {
        self.half_written
    }

    /// The bytes to write, a slice a frame.
    pub fn slices(&self) -> impl Iterator<Item = &[u8]> {
        let (started, rest) = self.frames.as_slices();
        let split = usize::from(self.half_written > 0);
        let head = started.iter().take(split).map(|frame| &frame.bytes()[self.half_written..]);
        let pong = self.pong.iter().map(Frame::bytes);
        let tail = started.iter().skip(split).chain(rest).map(Frame::bytes);
        head.chain(pong).chain(tail)
    }

    /// Checks that the counters equal what they count.
    pub fn audit(&self) {
        let sum: usize = self.slices().map(<[u8]>::len).sum();
        assert_eq!(sum, self.bytes, "G8: an outbox counts its bytes");
        let is_unfinished = |head: &Frame| self.half_written < head.len();
        assert!(
            self.half_written == 0 || self.frames.front().is_some_and(is_unfinished),
            "G1: a frame that has begun is not whole"
        );
    }

    fn flushed(&mut self, bytes: usize) -> Progress {
        assert!(bytes <= self.bytes, "more bytes were written than were pending");
        self.bytes -= bytes;
        let mut left = bytes;
        let mut frames = 0;
        while left > 0 {
            if self.half_written == 0
                && let Some(pong) = self.pong.take()
            {
                self.frames.push_front(pong);
            }
            let head = self.frames.front().expect("bytes that were pending belong to a frame");
            let rest = head.len() - self.half_written;
            if left < rest {
                self.half_written += left;
                break;
            }
            left -= rest;
            frames += 1;
            self.half_written = 0;
            self.frames.pop_front();
        }
        if self.bytes == 0 {
            self.frames.shrink_to(KEPT_CAPACITY);
        }
        Progress { frames, empty: self.bytes == 0 }
    }

    fn keep_half_written(&mut self) -> u64 {
        let keep = usize::from(self.half_written > 0);
        let before = self.len();
        self.frames.truncate(keep);
        self.pong = None;
        self.bytes = self.frames.front().map_or(0, |head| head.len() - self.half_written);
        (before - keep) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::close::CloseCause;
    use crate::testing::audit_finds;
    use alloc::vec::Vec;

    fn text(payload: &str) -> Frame {
        Frame::text(payload)
    }

    fn written(queue: &Queue) -> Vec<u8> {
        queue.slices().flatten().copied().collect()
    }

    fn limits() -> Limits {
        Limits { outbox_frames: 2, outbox_bytes: 20, frame_bytes: 10, ..Limits::default() }
    }

    #[test]
    fn it_is_full_only_for_a_socket_that_has_refused() {
        let mut outbox = Outbox::default();
        assert_eq!(outbox.push(text("123456789"), &limits()), Err(Full(Limit::FrameBytes)));
        assert_eq!(outbox.push(text("12345678"), &limits()), Ok(true));
        assert_eq!(outbox.push(text("12345678"), &limits()), Ok(false), "exactly outbox_bytes");
        assert_eq!(outbox.push(text("1234567"), &limits()), Ok(false), "nobody has offered them yet");
        assert!(outbox.is_high(&limits()));
        assert_eq!(outbox.flushed(10), Progress { frames: 1, empty: false });
        assert_eq!(outbox.push(text(""), &limits()), Err(Full(Limit::OutboxBytes)), "it was offered, and is left");
        assert_eq!(outbox.flushed(8), Progress { frames: 0, empty: false });
        outbox.queue().audit();
        assert_eq!(outbox.flushed(11), Progress { frames: 2, empty: true });
        assert!(!outbox.is_high(&limits()));
        (0..3).for_each(|_| assert!(outbox.push(text("12345678"), &limits()).is_ok(), "it takes everything again"));
        assert_eq!(outbox.flushed(10), Progress { frames: 1, empty: false });
        assert_eq!(outbox.push(text(""), &limits()), Err(Full(Limit::OutboxBytes)), "even the smallest");
        assert_eq!(outbox.flushed(11), Progress { frames: 1, empty: false });
        assert_eq!(outbox.push(text("123456789"), &limits()), Err(Full(Limit::FrameBytes)));
        assert_eq!(outbox.push(text("12345"), &limits()), Ok(false));
        assert_eq!(outbox.push(text(""), &limits()), Err(Full(Limit::OutboxFrames)), "two bytes would fit");
        outbox.queue().audit();
    }

    #[test]
    fn an_empty_queue_gives_back_what_a_burst_took() {
        let mut outbox = Outbox::default();
        for _ in 0..100 {
            outbox.push(text("ab"), &Limits::default()).unwrap();
        }
        assert!(outbox.flushed(400).empty);
        assert!(outbox.queue.frames.capacity() <= KEPT_CAPACITY);
    }

    #[test]
    fn a_pong_goes_out_at_the_next_frame_boundary_and_replaces_an_unsent_one() {
        let mut outbox = Outbox::default();
        outbox.push(text("ab"), &limits()).unwrap();
        outbox.push(text("cd"), &limits()).unwrap();
        outbox.flushed(1);
        assert_eq!(outbox.pong(Frame::pong(b"1")), (false, false));
        assert_eq!(outbox.pong(Frame::pong(b"2")), (false, true));
        let expected = [&text("ab").bytes()[1..], Frame::pong(b"2").bytes(), text("cd").bytes()].concat();
        assert_eq!(written(outbox.queue()), expected);
        assert_eq!(outbox.flushed(4), Progress { frames: 1, empty: false });
        outbox.queue().audit();
        outbox.pong(Frame::pong(b"3"));
        let expected = [&Frame::pong(b"2").bytes()[1..], Frame::pong(b"3").bytes(), text("cd").bytes()].concat();
        assert_eq!(written(outbox.queue()), expected, "a Pong that has begun is finished first");
        assert_eq!(outbox.flushed(expected.len()), Progress { frames: 3, empty: true });
    }

    #[test]
    fn sealing_finishes_a_half_written_frame_and_ends_with_the_close() {
        let close = Frame::close(Some(&CloseCause::Slow.reason()));
        let mut outbox = Outbox::default();
        outbox.push(text("ab"), &limits()).unwrap();
        outbox.push(text("cd"), &limits()).unwrap();
        outbox.flushed(1);
        let orderly = outbox.clone().seal(Drain::Queued, close.clone());
        assert_eq!(written(orderly.0.queue()), [&text("ab").bytes()[1..], text("cd").bytes(), close.bytes()].concat());
        let (mut sealed, dropped, was_empty) = outbox.seal(Drain::HalfWritten, close.clone());
        assert_eq!((dropped, was_empty), (1, false));
        assert_eq!(written(sealed.queue()), [&text("ab").bytes()[1..], close.bytes()].concat());
        sealed.queue().audit();
        assert_eq!(sealed.flushed(3).frames, 1);
        assert_eq!(written(sealed.queue()), close.bytes());
    }

    #[test]
    fn hurrying_drops_a_pong_that_waits() {
        let mut outbox = Outbox::default();
        outbox.pong(Frame::pong(b"1"));
        let (mut sealed, ..) = outbox.seal(Drain::Queued, Frame::close(None));
        assert_eq!(sealed.queue().len(), 2);
        assert_eq!(sealed.hurry(), 1);
        assert_eq!(written(sealed.queue()), Frame::close(None).bytes());
        sealed.queue().audit();
    }

    #[test]
    fn its_audit_finds_a_socket_that_is_blamed_for_nothing() {
        let words = "G6: a socket that has taken everything has refused nothing";
        audit_finds(Outbox::default, Outbox::audit, &[(words, |outbox| outbox.refused = true)]);
    }

    #[test]
    fn its_audit_finds_what_is_wrong() {
        let make = || {
            let mut outbox = Outbox::default();
            outbox.push(text("ab"), &limits()).unwrap();
            outbox.flushed(1);
            outbox.queue
        };
        audit_finds(
            make,
            Queue::audit,
            &[
                ("G8: an outbox counts its bytes", |queue| queue.bytes += 1),
                ("G1: a frame that has begun is not whole", |queue| (queue.half_written, queue.bytes) = (4, 0)),
            ],
        );
    }

    #[test]
    fn hurrying_drops_whole_frames_but_never_the_close() {
        let close = Frame::close(None);
        let mut outbox = Outbox::default();
        outbox.push(text("ab"), &limits()).unwrap();
        outbox.push(text("cd"), &limits()).unwrap();
        let (mut sealed, ..) = outbox.seal(Drain::Queued, close.clone());
        sealed.flushed(1);
        assert_eq!(sealed.hurry(), 1);
        assert_eq!(written(sealed.queue()), [&text("ab").bytes()[1..], close.bytes()].concat());
        sealed.flushed(4);
        assert_eq!(sealed.hurry(), 0, "a Close that has begun is finished");
        assert_eq!(written(sealed.queue()), &close.bytes()[1..]);
        sealed.queue().audit();
        sealed.flushed(1);
        assert_eq!(sealed.hurry(), 0);
        assert!(sealed.queue().is_empty());
    }
}
