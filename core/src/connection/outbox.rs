//! The frames that wait for one connection's socket.
//!
//! An [`Outbox`] takes frames; sealing it consumes it, and the [`Sealed`] queue that is left can only be drained. So
//! nothing can be enqueued after the decision to close, and the Close frame is the last one by construction (G1).

use crate::close::BeforeClose;
use crate::connection::frame::Frame;
use crate::connection::refused::RefusedFrames;
use crate::limits::{Limit, Limits};
use alloc::collections::VecDeque;
use core::mem;

/// The outgoing queue of an open connection.
///
/// It can be full only after its socket has refused bytes: the turn bounds what a connection is sent in one turn, and a
/// socket that takes all bytes it is offered keeps the queue empty between turns (G6).
#[derive(Clone, Debug, Default, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub(crate) struct Outbox(Queue);

/// The outgoing queue of a closing connection, which ends with the one Close frame, if one is sent.
#[derive(Clone, Debug, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub(crate) struct Sealed(Queue);

/// The error of [`Outbox::push`]: the limit that the frame exceeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Full(pub Limit);

/// The divisor of an outbox's limits: one turn may fill a quarter of it, and above a quarter the connection's commands
/// wait.
pub(crate) const PART: usize = 4;

/// The result of a write to the socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FlushProgress {
    /// The number of frames that this write completed.
    pub frames: u64,
    /// `true` when the queue is empty now.
    pub empty: bool,
}

impl Outbox {
    /// Appends a frame. Returns `true` when the queue was empty before.
    ///
    /// # Errors
    /// Returns the limit that the frame exceeds: `frame_bytes` always; `outbox_bytes` and `outbox_frames` once the
    /// socket has refused bytes.
    pub fn push(&mut self, frame: Frame, limits: &Limits, refused: &mut RefusedFrames) -> Result<bool, Full> {
        let queue = &mut self.0;
        let was_empty = queue.is_empty();
        if frame.len() > limits.frame_bytes {
            return Err(Full(Limit::FrameBytes));
        }
        if queue.refused && queue.bytes + frame.len() > limits.outbox_bytes {
            return Err(Full(Limit::OutboxBytes));
        }
        if queue.refused && queue.len() >= limits.outbox_frames {
            return Err(Full(Limit::OutboxFrames));
        }
        if queue.refused {
            refused.add(&frame);
        }
        queue.bytes += frame.len();
        queue.frames.push_back(frame);
        Ok(was_empty)
    }

    /// Returns `true` when more than a quarter of a limit waits, so that the client's commands wait for its socket.
    #[inline]
    pub fn is_high(&self, limits: &Limits) -> bool {
        self.0.len() > (limits.outbox_frames / PART).max(1) || self.0.bytes > limits.outbox_bytes / PART
    }

    /// Returns `true` when a large answer has to wait until the client has read: its socket has refused bytes, or the
    /// queue is high.
    pub fn is_behind(&self, limits: &Limits) -> bool {
        self.0.refused || self.is_high(limits)
    }

    /// Inserts a Pong before every frame that has not begun. It replaces an unsent Pong, so a client that pings
    /// without reading gets one answer and not a queue of them (RFC 6455 section 5.5.3). Returns whether the queue was
    /// empty before, and whether a Pong was replaced.
    pub fn pong(&mut self, frame: Frame, refused: &mut RefusedFrames) -> (bool, bool) {
        let queue = &mut self.0;
        let was_empty = queue.is_empty();
        if queue.refused {
            refused.add(&frame);
            queue.pong.iter().for_each(|unsent| refused.remove(unsent));
        }
        queue.bytes += frame.len();
        let unsent = queue.pong.replace(frame);
        queue.bytes -= unsent.as_ref().map_or(0, Frame::len);
        (was_empty, unsent.is_some())
    }

    /// Ends the queue with a Close frame. Returns the number of dropped whole frames, and whether the queue was empty
    /// before. O(n) in the frames when only those that have begun are kept.
    pub fn seal(self, before_close: BeforeClose, close: Frame, refused: &mut RefusedFrames) -> (Sealed, u64, bool) {
        let mut queue = self.0;
        let was_empty = queue.is_empty();
        let dropped = if before_close == BeforeClose::HalfWritten { queue.keep_begun(refused) } else { 0 };
        queue.end_with(close, refused);
        (Sealed(queue), dropped, was_empty)
    }

    /// Ends the queue with the rest of the frames that have begun and no Close frame. Returns the number of dropped whole
    /// frames. O(n) in the frames.
    pub fn cut(self, refused: &mut RefusedFrames) -> (Sealed, u64) {
        let mut queue = self.0;
        let dropped = queue.keep_begun(refused);
        queue.refused &= !queue.is_empty();
        (Sealed(queue), dropped)
    }

    /// Returns the frames as they will be written.
    pub fn queue(&self) -> &Queue {
        &self.0
    }

    /// Records that the transport has the first `bytes` bytes and cannot give them back. O(n) in the frames.
    pub fn committed(&mut self, bytes: usize) {
        self.0.committed(bytes);
    }

    /// Records that the socket took `bytes` bytes of the queue, all of which it was offered. O(n) in the frames taken.
    #[inline]
    pub fn flushed(&mut self, bytes: usize, refused: &mut RefusedFrames) -> FlushProgress {
        self.0.flushed(bytes, refused)
    }
}

impl Sealed {
    /// Returns the frames as they will be written.
    pub fn queue(&self) -> &Queue {
        &self.0
    }

    /// Records that the transport has the first `bytes` bytes and cannot give them back. O(n) in the frames.
    pub fn committed(&mut self, bytes: usize) {
        self.0.committed(bytes);
    }

    /// Records that the socket took `bytes` bytes. O(n) in the frames taken.
    pub fn flushed(&mut self, bytes: usize, refused: &mut RefusedFrames) -> FlushProgress {
        self.0.flushed(bytes, refused)
    }

    /// Drops every frame that has not begun except the Close frame. Returns the number of dropped frames. O(n) in the
    /// frames.
    pub fn drop_unsent(&mut self, refused: &mut RefusedFrames) -> u64 {
        let queue = &mut self.0;
        if queue.frames.len() == queue.begun() {
            return 0;
        }
        let Some(close) = queue.frames.back().cloned() else { return 0 };
        let dropped = queue.keep_begun(refused) - 1;
        queue.end_with(close, refused);
        dropped
    }
}

/// The capacity in frames that an empty queue keeps. A larger buffer is given back, so that idle connections do not
/// keep the memory of a burst.
const KEPT_CAPACITY: usize = 8;

/// Frames in the order in which they are written.
#[derive(Clone, Debug, Default, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub(crate) struct Queue {
    frames: VecDeque<Frame>,
    /// The newest unsent Pong; it is written at the next frame boundary.
    pong: Option<Frame>,
    /// The bytes of the first frame that are already written.
    half_written: usize,
    /// The next bytes that are not taken back: the transport has encrypted them, and has not reported them as written.
    committed: usize,
    /// The bytes that remain to be written.
    bytes: usize,
    /// `true` when the socket has left offered bytes behind since the queue was last empty.
    refused: bool,
}

impl Queue {
    /// Returns the number of frames that are not completely written.
    pub fn len(&self) -> usize {
        self.frames.len() + usize::from(self.pong.is_some())
    }

    /// Returns `true` when no byte remains to be written.
    pub fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// Returns the bytes that remain to be written.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns the bytes of the first frame that are already written.
    pub fn half_written(&self) -> usize {
        self.half_written
    }

    /// Returns the bytes that the transport has and has not reported as written.
    pub fn committed_bytes(&self) -> usize {
        self.committed
    }

    /// Returns the bytes to write, one slice for each frame.
    pub fn slices(&self) -> impl Iterator<Item = &[u8]> {
        let (started, rest) = self.frames.as_slices();
        // Those that have begun are all in the first slice: see `committed`.
        let (begun, started) = started.split_at(self.begun());
        let mut written = self.half_written;
        let begun = begun.iter().map(move |frame| &frame.bytes()[mem::take(&mut written)..]);
        let pong = self.pong.iter().map(Frame::bytes);
        let tail = started.iter().chain(rest).map(Frame::bytes);
        begun.chain(pong).chain(tail)
    }

    /// Returns the number of frames that are half written or committed in part. O(n) in the committed ones.
    #[inline]
    fn begun(&self) -> usize {
        if self.committed == 0 {
            usize::from(self.half_written > 0)
        } else {
            self.begun_by(self.half_written + self.committed)
        }
    }

    #[cold]
    fn begun_by(&self, bytes: usize) -> usize {
        let mut end = 0;
        self.frames
            .iter()
            .take_while(|frame| {
                let begins = end < bytes;
                end += frame.len();
                begins
            })
            .count()
    }

    /// Places an unsent Pong where it will be written, and records the bytes that are not taken back.
    fn committed(&mut self, bytes: usize) {
        assert!(self.committed <= bytes && bytes <= self.bytes, "only bytes that were offered are committed");
        let begun = self.begun();
        let first: usize = self.frames.range(..begun).map(Frame::len).sum();
        if bytes + self.half_written > first
            && let Some(pong) = self.pong.take()
        {
            self.frames.insert(begun, pong);
        }
        // `slices` looks for the frames that have begun in one slice. Later pushes leave them there.
        self.frames.make_contiguous();
        self.committed = bytes;
    }

    /// Returns `true` when a frame of these bytes is not completely written. O(n) in the frames.
    pub fn has(&self, frame: &Frame) -> bool {
        self.frames.contains(frame)
    }

    /// Returns `true` when the socket has left offered bytes behind since the queue was last empty.
    #[inline]
    pub fn has_refused(&self) -> bool {
        self.refused
    }

    /// Returns the frames that the socket has refused: all of the queue when it has refused any, otherwise none.
    pub fn refused(&self) -> impl Iterator<Item = &Frame> {
        self.frames.iter().chain(&self.pong).filter(|_| self.refused)
    }

    /// Asserts that the counters are right, and that the queue counts as refused only while bytes remain. O(n) in the
    /// frames.
    pub fn audit(&self) {
        assert!(!self.refused || !self.is_empty(), "G6: an empty queue is not refused");
        let sum: usize = self.slices().map(<[u8]>::len).sum();
        assert_eq!(sum, self.bytes, "G8: an outbox counts its bytes");
        assert!(self.committed <= self.bytes, "G8: committed bytes are counted as bytes");
        let is_unfinished = |head: &Frame| self.half_written < head.len();
        assert!(
            self.half_written == 0 || self.frames.front().is_some_and(is_unfinished),
            "G1: a half-written frame has bytes left to write"
        );
    }

    fn flushed(&mut self, bytes: usize, refused: &mut RefusedFrames) -> FlushProgress {
        assert!(bytes <= self.bytes, "more bytes were written than were pending");
        if self.refused {
            self.let_go(bytes, refused);
        }
        if bytes == self.bytes {
            return self.all_written();
        }
        self.bytes -= bytes;
        let mut left = bytes;
        let mut frames = 0;
        // A Pong goes out at the next frame boundary behind what is committed.
        let mut begun = if self.committed == 0 { 0 } else { self.begun() };
        while left > 0 {
            if self.half_written == 0
                && let Some(pong) = self.pong.take_if(|_| begun == 0)
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
            begun = begun.saturating_sub(1);
            self.half_written = 0;
            self.frames.pop_front();
        }
        if self.committed > 0 {
            self.committed = self.committed.saturating_sub(bytes);
        }
        if !self.refused {
            self.refuse(refused);
        }
        FlushProgress { frames, empty: false }
    }

    /// The socket has taken everything, as it mostly does.
    fn all_written(&mut self) -> FlushProgress {
        let frames = self.len() as u64;
        // One by one: mostly there is one, for which `clear` is the slower way.
        while self.frames.pop_front().is_some() {}
        self.frames.shrink_to(KEPT_CAPACITY);
        self.pong = None;
        (self.half_written, self.committed, self.bytes, self.refused) = (0, 0, 0, false);
        FlushProgress { frames, empty: true }
    }

    /// Marks the queue as refused and counts its frames as refused. O(n) in the frames.
    #[cold]
    fn refuse(&mut self, refused: &mut RefusedFrames) {
        self.refused = true;
        self.refused().for_each(|frame| refused.add(frame));
    }

    /// Stops counting the frames as refused that end within the next `bytes` bytes.
    #[cold]
    fn let_go(&self, bytes: usize, refused: &mut RefusedFrames) {
        let begun = self.begun();
        let in_order = self.frames.range(..begun).chain(&self.pong).chain(self.frames.range(begun..));
        let mut left = bytes + self.half_written;
        for frame in in_order.take_while(|frame| {
            let ends = left >= frame.len();
            left = left.saturating_sub(frame.len());
            ends
        }) {
            refused.remove(frame);
        }
    }

    /// Drops every frame of which no byte is written or committed. Returns the number of dropped frames.
    fn keep_begun(&mut self, refused: &mut RefusedFrames) -> u64 {
        let keep = self.begun();
        let dropped = self.frames.iter().skip(keep).chain(&self.pong);
        if self.refused {
            dropped.clone().for_each(|frame| refused.remove(frame));
        }
        let dropped = dropped.count();
        self.frames.truncate(keep);
        self.pong = None;
        self.bytes = self.frames.iter().map(Frame::len).sum::<usize>() - self.half_written;
        dropped as u64
    }

    /// Appends the Close frame, after which no frame follows.
    fn end_with(&mut self, close: Frame, refused: &mut RefusedFrames) {
        if self.refused {
            refused.add(&close);
        }
        self.bytes += close.len();
        self.frames.push_back(close);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::close::CloseCause;
    use crate::map::Keys;
    use crate::testing::audit_finds;
    use alloc::vec::Vec;

    fn text(payload: &str) -> Frame {
        Frame::text(payload)
    }

    fn refused() -> RefusedFrames {
        RefusedFrames::new(Keys(1, 2))
    }

    fn written(queue: &Queue) -> Vec<u8> {
        queue.slices().flatten().copied().collect()
    }

    fn limits() -> Limits {
        Limits { outbox_frames: 2, outbox_bytes: 20, frame_bytes: 10, ..Limits::default() }
    }

    #[test]
    fn an_outbox_is_full_only_after_its_socket_refused_bytes() {
        let mut refused = refused();
        let mut outbox = Outbox::default();
        assert_eq!(outbox.push(text("123456789"), &limits(), &mut refused), Err(Full(Limit::FrameBytes)));
        assert_eq!(outbox.push(text("12345678"), &limits(), &mut refused), Ok(true));
        assert_eq!(outbox.push(text("12345678"), &limits(), &mut refused), Ok(false), "exactly outbox_bytes");
        assert_eq!(outbox.push(text("1234567"), &limits(), &mut refused), Ok(false), "nobody has offered them yet");
        assert!(outbox.is_high(&limits()));
        assert_eq!(outbox.flushed(10, &mut refused), FlushProgress { frames: 1, empty: false });
        assert_eq!(
            outbox.push(text(""), &limits(), &mut refused),
            Err(Full(Limit::OutboxBytes)),
            "it was offered, and is left"
        );
        assert_eq!(outbox.flushed(8, &mut refused), FlushProgress { frames: 0, empty: false });
        outbox.queue().audit();
        assert_eq!(outbox.flushed(11, &mut refused), FlushProgress { frames: 2, empty: true });
        assert!(!outbox.is_high(&limits()));
        (0..3).for_each(|_| {
            assert!(outbox.push(text("12345678"), &limits(), &mut refused).is_ok(), "it takes everything again")
        });
        assert_eq!(outbox.flushed(10, &mut refused), FlushProgress { frames: 1, empty: false });
        assert_eq!(outbox.push(text(""), &limits(), &mut refused), Err(Full(Limit::OutboxBytes)), "even the smallest");
        assert_eq!(outbox.flushed(11, &mut refused), FlushProgress { frames: 1, empty: false });
        assert_eq!(outbox.push(text("123456789"), &limits(), &mut refused), Err(Full(Limit::FrameBytes)));
        assert_eq!(outbox.push(text("12345"), &limits(), &mut refused), Ok(false));
        assert_eq!(
            outbox.push(text(""), &limits(), &mut refused),
            Err(Full(Limit::OutboxFrames)),
            "two bytes would fit"
        );
        outbox.queue().audit();
    }

    #[test]
    fn refused_frames_count_until_they_are_written_or_dropped() {
        let mut refused = refused();
        let push = |outbox: &mut Outbox, refused: &mut RefusedFrames| {
            outbox.push(text("abcd"), &Limits::default(), refused).unwrap()
        };
        let mut outbox = Outbox::default();
        push(&mut outbox, &mut refused);
        push(&mut outbox, &mut refused);
        assert_eq!(refused.bytes(), 0, "nobody has offered them yet");
        outbox.flushed(8, &mut refused);
        assert_eq!(refused.bytes(), 6, "a whole frame is kept until its last byte is written");
        push(&mut outbox, &mut refused);
        outbox.pong(Frame::pong(b"1"), &mut refused);
        outbox.pong(Frame::pong(b"23"), &mut refused);
        assert_eq!(refused.bytes(), 6 + 6 + 4);
        let close = Frame::close(None);
        let closes = |drain| {
            let mut refused = refused.clone();
            let (mut sealed, ..) = outbox.clone().seal(drain, close.clone(), &mut refused);
            let sealed_with = refused.bytes();
            sealed.drop_unsent(&mut refused);
            let hurried = refused.bytes();
            refused.audit(sealed.queue().refused());
            sealed.flushed(sealed.queue().bytes(), &mut refused);
            (sealed_with, hurried, refused.bytes())
        };
        assert_eq!(closes(BeforeClose::Queued), (18, 8, 0));
        assert_eq!(closes(BeforeClose::HalfWritten), (8, 8, 0));
        outbox.flushed(outbox.queue().bytes(), &mut refused);
        assert_eq!(refused.bytes(), 0);
        push(&mut outbox, &mut refused);
        assert_eq!(refused.bytes(), 0, "it takes everything again");
    }

    #[test]
    fn an_empty_queue_frees_the_memory_of_a_burst() {
        let mut refused = refused();
        let mut outbox = Outbox::default();
        for _ in 0..100 {
            outbox.push(text("ab"), &Limits::default(), &mut refused).unwrap();
        }
        assert!(outbox.flushed(400, &mut refused).empty);
        assert!(outbox.0.frames.capacity() <= KEPT_CAPACITY);
    }

    #[test]
    fn a_pong_goes_out_at_the_next_frame_boundary_and_replaces_an_unsent_one() {
        let mut refused = refused();
        let mut outbox = Outbox::default();
        outbox.push(text("ab"), &limits(), &mut refused).unwrap();
        outbox.push(text("cd"), &limits(), &mut refused).unwrap();
        outbox.flushed(1, &mut refused);
        assert_eq!(outbox.pong(Frame::pong(b"1"), &mut refused), (false, false));
        assert_eq!(outbox.pong(Frame::pong(b"2"), &mut refused), (false, true));
        let expected = [&text("ab").bytes()[1..], Frame::pong(b"2").bytes(), text("cd").bytes()].concat();
        assert_eq!(written(outbox.queue()), expected);
        assert_eq!(outbox.flushed(4, &mut refused), FlushProgress { frames: 1, empty: false });
        outbox.queue().audit();
        outbox.pong(Frame::pong(b"3"), &mut refused);
        let expected = [&Frame::pong(b"2").bytes()[1..], Frame::pong(b"3").bytes(), text("cd").bytes()].concat();
        assert_eq!(written(outbox.queue()), expected, "a Pong that has begun is finished first");
        assert_eq!(outbox.flushed(expected.len(), &mut refused), FlushProgress { frames: 3, empty: true });
    }

    #[test]
    fn sealing_finishes_a_half_written_frame_and_ends_with_the_close() {
        let mut refused = refused();
        let close = Frame::close(Some(&CloseCause::Slow.reason()));
        let mut outbox = Outbox::default();
        outbox.push(text("ab"), &limits(), &mut refused).unwrap();
        outbox.push(text("cd"), &limits(), &mut refused).unwrap();
        outbox.flushed(1, &mut refused);
        let orderly = outbox.clone().seal(BeforeClose::Queued, close.clone(), &mut refused);
        assert_eq!(written(orderly.0.queue()), [&text("ab").bytes()[1..], text("cd").bytes(), close.bytes()].concat());
        let (mut sealed, dropped, was_empty) = outbox.seal(BeforeClose::HalfWritten, close.clone(), &mut refused);
        assert_eq!((dropped, was_empty), (1, false));
        assert_eq!(written(sealed.queue()), [&text("ab").bytes()[1..], close.bytes()].concat());
        sealed.queue().audit();
        assert_eq!(sealed.flushed(3, &mut refused).frames, 1);
        assert_eq!(written(sealed.queue()), close.bytes());
    }

    #[test]
    fn committed_bytes_are_written_first_whatever_happens() {
        let mut refused = refused();
        let mut outbox = Outbox::default();
        for payload in ["ab", "cd", "ef"] {
            outbox.push(text(payload), &Limits::default(), &mut refused).unwrap();
        }
        outbox.committed(5);
        assert_eq!(outbox.flushed(0, &mut refused), FlushProgress { frames: 0, empty: false });
        outbox.pong(Frame::pong(b"1"), &mut refused);
        outbox.queue().audit();
        let [ab, cd, ef, pong, close] = [text("ab"), text("cd"), text("ef"), Frame::pong(b"1"), Frame::close(None)]
            .map(|frame| frame.bytes().to_vec());
        assert_eq!(written(outbox.queue()), [&ab[..], &cd, &pong, &ef].concat(), "the Pong waits for what has begun");
        let sealed = |outbox: &Outbox, refused: &RefusedFrames| {
            let mut refused = refused.clone();
            let (mut sealed, ..) = outbox.clone().seal(BeforeClose::HalfWritten, Frame::close(None), &mut refused);
            sealed.queue().audit();
            refused.audit(sealed.queue().refused());
            assert_eq!(sealed.drop_unsent(&mut refused), 0);
            written(sealed.queue())
        };
        assert_eq!(sealed(&outbox, &refused), [&ab[..], &cd, &close].concat());
        let (mut flushed, mut still_refused) = (outbox.clone(), refused.clone());
        assert_eq!(flushed.flushed(5, &mut still_refused).frames, 1);
        assert_eq!(written(flushed.queue()), [&cd[1..], &pong, &ef].concat());
        assert_eq!(sealed(&flushed, &still_refused), [&cd[1..], &close].concat());
        outbox.committed(ab.len() + cd.len() + 1);
        outbox.pong(Frame::pong(b"2"), &mut refused);
        outbox.queue().audit();
        let expected = [&ab[..], &cd, &pong, Frame::pong(b"2").bytes(), &ef].concat();
        assert_eq!(written(outbox.queue()), expected, "a Pong that is committed is replaced no more");
        assert_eq!(sealed(&outbox, &refused), [&ab[..], &cd, &pong, &close].concat());
        let frames = outbox.flushed(outbox.queue().bytes(), &mut refused);
        assert_eq!(frames, FlushProgress { frames: 5, empty: true });
        assert_eq!(outbox.queue().committed_bytes(), 0);
    }

    #[test]
    fn dropping_unsent_frames_drops_an_unsent_pong() {
        let mut refused = refused();
        let mut outbox = Outbox::default();
        outbox.pong(Frame::pong(b"1"), &mut refused);
        let (mut sealed, ..) = outbox.seal(BeforeClose::Queued, Frame::close(None), &mut refused);
        assert_eq!(sealed.queue().len(), 2);
        assert_eq!(sealed.drop_unsent(&mut refused), 1);
        assert_eq!(written(sealed.queue()), Frame::close(None).bytes());
        sealed.queue().audit();
    }

    #[test]
    fn the_audit_reports_each_broken_invariant() {
        let make = || {
            let mut refused = refused();
            let mut outbox = Outbox::default();
            outbox.push(text("ab"), &limits(), &mut refused).unwrap();
            outbox.flushed(1, &mut refused);
            outbox.0
        };
        audit_finds(
            make,
            Queue::audit,
            &[
                ("G8: an outbox counts its bytes", |queue| queue.bytes += 1),
                ("G6: an empty queue is not refused", |queue| {
                    (queue.half_written, queue.bytes) = (0, 0);
                    queue.frames.clear();
                }),
                ("G1: a half-written frame has bytes left to write", |queue| {
                    (queue.half_written, queue.bytes, queue.refused) = (4, 0, false);
                }),
            ],
        );
    }

    #[test]
    fn dropping_unsent_frames_keeps_the_half_written_frame_and_the_close() {
        let mut refused = refused();
        let close = Frame::close(None);
        let mut outbox = Outbox::default();
        outbox.push(text("ab"), &limits(), &mut refused).unwrap();
        outbox.push(text("cd"), &limits(), &mut refused).unwrap();
        let (mut sealed, ..) = outbox.seal(BeforeClose::Queued, close.clone(), &mut refused);
        sealed.flushed(1, &mut refused);
        assert_eq!(sealed.drop_unsent(&mut refused), 1);
        assert_eq!(written(sealed.queue()), [&text("ab").bytes()[1..], close.bytes()].concat());
        sealed.flushed(4, &mut refused);
        assert_eq!(sealed.drop_unsent(&mut refused), 0, "a Close that has begun is finished");
        assert_eq!(written(sealed.queue()), &close.bytes()[1..]);
        sealed.queue().audit();
        sealed.flushed(1, &mut refused);
        assert_eq!(sealed.drop_unsent(&mut refused), 0);
        assert!(sealed.queue().is_empty());
    }
}
