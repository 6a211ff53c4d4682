//! Input of one client that is not handled yet: fragments of a message, bytes that are not decoded, and messages that
//! wait.

use crate::input::WebSocketMessage;
use crate::limits::{Limit, Limits};
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::mem;

/// Input that is kept for one client by the core, the host or the driver. An empty one, as most clients have, allocates
/// no memory.
#[derive(Clone, Debug, Default, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub(crate) struct Inbound(Option<Box<Kept>>);

#[derive(Clone, Debug, Default, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
struct Kept {
    /// The bytes of the fragments that have arrived of an unfinished message; `None` between messages.
    fragments: Option<usize>,
    /// The bytes of an incomplete frame: those its header announces, or those that have arrived while the header is
    /// incomplete.
    half_frame: usize,
    /// The bytes that were read and are not decoded because reading is paused.
    unread: usize,
    /// Messages that wait, in order, because the connection was not ready, a token was being checked, its outbox was
    /// too full or the turn's work budget was spent.
    waiting: Vec<WebSocketMessage>,
    waiting_bytes: usize,
}

impl Kept {
    fn bytes(&self) -> usize {
        self.fragments.unwrap_or(0) + self.half_frame + self.unread + self.waiting_bytes
    }

    fn is_unfinished(&self) -> bool {
        self.fragments.is_some() || self.half_frame > 0
    }
}

impl Inbound {
    /// Returns the bytes of all input that is kept.
    pub fn bytes(&self) -> usize {
        self.0.as_ref().map_or(0, |kept| kept.bytes())
    }

    /// Returns `true` when a message or a frame has begun and is not complete.
    #[inline]
    pub fn is_unfinished(&self) -> bool {
        self.0.as_ref().is_some_and(|kept| kept.is_unfinished())
    }

    /// Returns the bytes of the messages that wait.
    pub fn waiting_bytes(&self) -> usize {
        self.0.as_ref().map_or(0, |kept| kept.waiting_bytes)
    }

    /// Returns `true` when messages wait.
    #[inline]
    pub fn has_waiting(&self) -> bool {
        self.0.as_ref().is_some_and(|kept| !kept.waiting.is_empty())
    }

    /// Records that a frame has begun, with its bytes as far as they are known.
    pub fn frame_begun(&mut self, bytes: usize) {
        self.change(|kept| kept.half_frame = bytes.max(1));
    }

    /// Records the end of a control frame.
    pub fn frame_ended(&mut self) {
        self.change(|kept| kept.half_frame = 0);
    }

    /// Records the end of a fragment of `bytes` bytes after which more fragments of the message follow.
    pub fn fragment_ended(&mut self, bytes: usize) {
        self.change(|kept| {
            kept.half_frame = 0;
            kept.fragments = Some(kept.fragments.unwrap_or(0) + bytes);
        });
    }

    /// Records the end of a message.
    pub fn message_ended(&mut self) {
        self.change(|kept| (kept.fragments, kept.half_frame) = (None, 0));
    }

    /// Sets the number of bytes that are read and not decoded.
    pub fn is_unread(&mut self, bytes: usize) {
        self.change(|kept| kept.unread = bytes);
    }

    /// Appends a message to those that wait.
    ///
    /// # Errors
    /// Returns the limit that the message exceeds: the messages that wait have `message_bytes` bytes in all at most,
    /// and their number is `waiting_messages` at most.
    pub fn wait(&mut self, message: WebSocketMessage, limits: &Limits) -> Result<(), Limit> {
        self.change(|kept| {
            if kept.waiting_bytes + message.len() > limits.message_bytes {
                return Err(Limit::MessageBytes);
            }
            if kept.waiting.len() >= limits.waiting_messages {
                return Err(Limit::WaitingMessages);
            }
            kept.waiting_bytes += message.len();
            kept.waiting.push(message);
            Ok(())
        })
    }

    /// Takes the messages that wait, in order.
    pub fn take_waiting(&mut self) -> Vec<WebSocketMessage> {
        self.change(|kept| {
            kept.waiting_bytes = 0;
            mem::take(&mut kept.waiting)
        })
    }

    fn change<T>(&mut self, change: impl FnOnce(&mut Kept) -> T) -> T {
        let kept = self.0.get_or_insert_default();
        let result = change(kept);
        if !kept.is_unfinished() && kept.unread == 0 && kept.waiting.is_empty() {
            self.0 = None;
        }
        result
    }

    /// Asserts that the counter of bytes equals the bytes of the messages that wait. O(n) in these messages.
    pub fn audit(&self) {
        let Some(kept) = &self.0 else { return };
        let waiting: usize = kept.waiting.iter().map(WebSocketMessage::len).sum();
        assert_eq!(waiting, kept.waiting_bytes, "G8: waiting messages are counted in bytes");
        assert!(
            kept.is_unfinished() || kept.unread > 0 || !kept.waiting.is_empty(),
            "G3: a record of kept input is not empty"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::audit_finds;

    #[test]
    fn kept_input_is_counted_until_it_is_handled() {
        let limits = Limits { message_bytes: 10, waiting_messages: 2, ..Limits::default() };
        let mut inbound = Inbound::default();
        inbound.frame_begun(5);
        inbound.fragment_ended(3);
        inbound.fragment_ended(0);
        inbound.frame_begun(20);
        inbound.is_unread(100);
        assert_eq!(inbound.bytes(), 123);
        inbound.frame_ended();
        assert!(inbound.is_unfinished(), "parts of a message have come");
        inbound.message_ended();
        assert!(!inbound.is_unfinished());
        assert_eq!(inbound.wait("12345678901".into(), &limits), Err(Limit::MessageBytes));
        assert_eq!(inbound.wait("123456".into(), &limits), Ok(()));
        assert_eq!(inbound.wait("12345".into(), &limits), Err(Limit::MessageBytes), "of all that wait");
        assert_eq!(inbound.wait("1234".into(), &limits), Ok(()));
        assert_eq!(inbound.wait("".into(), &limits), Err(Limit::WaitingMessages));
        assert_eq!((inbound.has_waiting(), inbound.bytes()), (true, 110));
        inbound.audit();
        assert_eq!(inbound.take_waiting(), ["123456".into(), "1234".into()]);
        inbound.is_unread(0);
        assert!(inbound.0.is_none() && inbound.bytes() == 0);
    }

    #[test]
    fn the_audit_reports_each_broken_invariant() {
        let make = || {
            let mut inbound = Inbound::default();
            inbound.wait("1".into(), &Limits::default()).expect("there is room");
            inbound
        };
        audit_finds(
            make,
            Inbound::audit,
            &[
                ("G8: waiting messages are counted in bytes", |inbound| {
                    inbound.0.as_mut().expect("it waits").waiting_bytes = 2;
                }),
                ("G3: a record of kept input is not empty", |inbound| inbound.0 = Some(Box::default())),
            ],
        );
    }
}
