//! What a client has sent that is not carried out: parts of a message, and messages whose time has not come.

use crate::limits::{Limit, Limits};
use alloc::string::String;
use alloc::vec::Vec;
use core::mem;

/// What is kept of what one client has sent, wherever it is kept.
#[derive(Clone, Debug, Default)]
pub(crate) struct Inbound {
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

impl Inbound {
    /// All that is kept, in bytes.
    pub fn bytes(&self) -> usize {
        self.fragments.unwrap_or(0) + self.half_frame + self.unread + self.waiting_bytes
    }

    /// Whether a message, or a frame, has begun that has not ended.
    #[inline]
    pub fn is_unfinished(&self) -> bool {
        self.fragments.is_some() || self.half_frame > 0
    }

    /// Whether messages wait for their time.
    #[inline]
    pub fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// A frame has begun that will have so many bytes, as far as it is known.
    pub fn frame_begun(&mut self, bytes: usize) {
        self.half_frame = bytes.max(1);
    }

    /// A frame between two messages, or among the parts of one, is complete.
    pub fn frame_ended(&mut self) {
        self.half_frame = 0;
    }

    /// A part of a message is complete, and more is to come.
    pub fn fragment_ended(&mut self, bytes: usize) {
        self.half_frame = 0;
        self.fragments = Some(self.fragments.unwrap_or(0) + bytes);
    }

    /// A message is complete.
    pub fn message_ended(&mut self) {
        (self.fragments, self.half_frame) = (None, 0);
    }

    /// So many bytes are read and not decoded.
    pub fn is_unread(&mut self, bytes: usize) {
        self.unread = bytes;
    }

    /// Keeps a message until its time has come.
    ///
    /// # Errors
    /// The limit in the way: all that wait have at most the bytes of one message, and there are so many at most.
    pub fn wait(&mut self, text: String, limits: &Limits) -> Result<(), Limit> {
        if self.waiting_bytes + text.len() > limits.message_bytes {
            return Err(Limit::MessageBytes);
        }
        if self.waiting.len() >= limits.waiting_messages {
            return Err(Limit::WaitingMessages);
        }
        self.waiting_bytes += text.len();
        self.waiting.push(text);
        Ok(())
    }

    /// The messages that have waited, in order.
    pub fn take_waiting(&mut self) -> Vec<String> {
        self.waiting_bytes = 0;
        mem::take(&mut self.waiting)
    }

    /// Checks that the counter equals what it counts.
    pub fn audit(&self) {
        let waiting: usize = self.waiting.iter().map(String::len).sum();
        assert_eq!(waiting, self.waiting_bytes, "G8: what waits for its time counts its bytes");
    }
}
