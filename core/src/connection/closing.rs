//! A connection that ends: its Close frame is the last that is queued, and it waits for the peer to end its side.

use super::outbox::Sealed;
use super::refused::RefusedFrames;
use crate::close::{CloseCause, CloseReason};
use crate::effect::End;

/// Only what is queued goes out, with one Close frame as the last.
#[derive(Clone, Debug)]
pub(crate) struct Closing {
    pub sealed: Sealed,
    pub cause: CloseCause,
    /// What the Close frame says.
    pub reason: CloseReason,
    /// How far the peer is with its side.
    pub peer: PeerSide,
}

/// How far a peer is with its side of a connection that ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PeerSide {
    /// It may still send its Close frame.
    Open,
    /// Its Close frame came.
    Closed,
    /// Its stream has ended.
    Ended,
}

/// What sealing an outbox did.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SealOutcome {
    /// Whole frames that will not be written.
    pub dropped: u64,
    /// Whether a Close frame was queued.
    pub close: bool,
    /// Whether nothing waited before, so that the socket's owner has to be woken for the Close frame.
    pub was_empty: bool,
    /// What waited before, in bytes.
    pub waited: usize,
    /// Whether the connection was ready.
    pub was_ready: bool,
    /// Whether its client was not listened to.
    pub was_paused: bool,
    /// Bytes that were kept of what its client had sent.
    pub inbound: usize,
}

impl Closing {
    /// Takes note that the peer is further with its side: nothing but our Close frame is worth sending any more. Returns
    /// how many frames were dropped; none where that is nothing new.
    pub fn peer_is(&mut self, side: PeerSide, refused: &mut RefusedFrames) -> Option<u64> {
        let is_new = match self.peer {
            PeerSide::Open => true,
            PeerSide::Closed => side == PeerSide::Ended,
            PeerSide::Ended => false,
        };
        is_new.then(|| {
            self.peer = side;
            self.sealed.drop_unsent(refused)
        })
    }

    /// How it ends.
    pub fn end(&self, clean: bool) -> End {
        End { cause: self.cause, reason: self.reason.clone(), clean }
    }

    /// Whether both sides of the stream have ended.
    pub fn is_over(&self) -> bool {
        self.peer == PeerSide::Ended && self.sealed.queue().is_empty()
    }

    /// Whether both Close frames have passed.
    pub fn is_agreed(&self) -> bool {
        self.peer == PeerSide::Closed && self.sealed.queue().is_empty()
    }
}
