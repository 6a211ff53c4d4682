//! Input of one client that is not carried out yet: parts of a message, bytes that are not decoded, and messages that wait.

use crate::limits::{Limit, Limits};
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::mem;

/// Input that is kept for one client, by core, host or driver. For most clients nothing is kept, and that takes no memory.
#[derive(Clone, Debug, Default)]
pub(crate) struct Inbound(Option<Box<Kept>>);

#[derive(Clone, Debug, Default)]
struct Kept {
    /// Bytes of the parts of a message that have come, of which more is to come.
    fragments: Option<usize>,
    /// Bytes of the frame that has begun and is not complete; as many as it will have, once it has said so.
    half_frame: usize,
    /// Bytes that were read and are not decoded, since the connection is held.
    unread: usize,
    /// Messages whose time has not come: the connection was not ready, a token was being checked, too much waited for its
    /// socket, or the turn had done enough. In order.
    waiting: Vec<String>,
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
    /// All that is kept, in bytes.
    pub fn bytes(&self) -> usize {
        self.0.as_ref().map_or(0, |kept| kept.bytes())
    }

    /// Whether a message, or a frame, has begun that has not ended.
    #[inline]
    pub fn is_unfinished(&self) -> bool {
        self.0.as_ref().is_some_and(|kept| kept.is_unfinished())
    }

    /// Messages that wait for their time, in bytes.
    pub fn waiting_bytes(&self) -> usize {
        self.0.as_ref().map_or(0, |kept| kept.waiting_bytes)
    }

    /// Whether messages wait for their time.
    #[inline]
    pub fn has_waiting(&self) -> bool {
        self.0.as_ref().is_some_and(|kept| !kept.waiting.is_empty())
    }

    /// A frame has begun that will have so many bytes, as far as it is known.
    pub fn frame_begun(&mut self, bytes: usize) {
        self.change(|kept| kept.half_frame = bytes.max(1));
    }

    /// A frame between two messages, or among the parts of one, is complete.
    pub fn frame_ended(&mut self) {
        self.change(|kept| kept.half_frame = 0);
    }

    /// A part of a message is complete, and more is to come.
    pub fn fragment_ended(&mut self, bytes: usize) {
        self.change(|kept| {
            kept.half_frame = 0;
            kept.fragments = Some(kept.fragments.unwrap_or(0) + bytes);
        });
    }

    /// A message is complete.
    pub fn message_ended(&mut self) {
        self.change(|kept| (kept.fragments, kept.half_frame) = (None, 0));
    }

    /// So many bytes are read and not decoded.
    pub fn is_unread(&mut self, bytes: usize) {
        self.change(|kept| kept.unread = bytes);
    }

    /// Keeps a message until its time has come.
    ///
    /// # Errors
    /// The limit in the way: all that wait have at most the bytes of one message, and there are so many at most.
    pub fn wait(&mut self, text: String, limits: &Limits) -> Result<(), Limit> {
        self.change(|kept| {
            if kept.waiting_bytes + text.len() > limits.message_bytes {
                return Err(Limit::MessageBytes);
            }
            if kept.waiting.len() >= limits.waiting_messages {
                return Err(Limit::WaitingMessages);
            }
            kept.waiting_bytes += text.len();
            kept.waiting.push(text);
            Ok(())
        })
    }

    /// The messages that have waited, in order.
    pub fn take_waiting(&mut self) -> Vec<String> {
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

    /// Checks that the counter equals what it counts.
    pub fn audit(&self) {
        let Some(kept) = &self.0 else { return };
        let waiting: usize = kept.waiting.iter().map(String::len).sum();
        assert_eq!(waiting, kept.waiting_bytes, "G8: what waits for its time counts its bytes");
        assert!(kept.is_unfinished() || kept.unread > 0 || !kept.waiting.is_empty(), "G3: nothing is kept for nothing");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::audit_finds;

    #[test]
    fn what_is_kept_is_counted_until_it_is_done() {
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
        assert_eq!(inbound.wait(String::new(), &limits), Err(Limit::WaitingMessages));
        assert_eq!((inbound.has_waiting(), inbound.bytes()), (true, 110));
        inbound.audit();
        assert_eq!(inbound.take_waiting(), ["123456", "1234"]);
        inbound.is_unread(0);
        assert!(inbound.0.is_none() && inbound.bytes() == 0);
    }

    #[test]
    fn its_audit_finds_what_is_wrong() {
        let make = || {
            let mut inbound = Inbound::default();
            inbound.wait("1".into(), &Limits::default()).expect("there is room");
            inbound
        };
        audit_finds(
            make,
            Inbound::audit,
            &[
                ("G8: what waits for its time counts its bytes", |inbound| {
                    inbound.0.as_mut().expect("it waits").waiting_bytes = 2;
                }),
                ("G3: nothing is kept for nothing", |inbound| inbound.0 = Some(Box::default())),
            ],
        );
    }
}
