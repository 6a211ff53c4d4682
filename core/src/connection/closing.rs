//! The closing phase of a connection: its Close frame is the last frame queued, and the client's side is awaited.

use super::outbox::Sealed;
use super::refused::RefusedFrames;
use crate::close::{CloseCause, CloseReason};
use crate::effect::End;

/// The closing phase: only frames that are already queued are written, with one Close frame as the last.
#[derive(Clone, Debug, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub(crate) struct Closing {
    /// The frames that remain to be written.
    pub sealed: Sealed,
    /// The cause, for the logs and the counters.
    pub cause: CloseCause,
    /// The code and the text of the Close frame.
    pub reason: CloseReason,
    /// The progress of the client's side of the closing handshake.
    pub peer: PeerSide,
}

/// The progress of the client's side of a connection that closes (RFC 6455 section 7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub(crate) enum PeerSide {
    /// The client may still send its Close frame.
    Open,
    /// The client's Close frame has arrived.
    Closed,
    /// The client's stream has ended.
    Ended,
}

/// The result of sealing an outbox.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SealOutcome {
    /// The number of whole frames that are not written any more.
    pub dropped: u64,
    /// `true` when a Close frame was queued.
    pub close: bool,
    /// `true` when the queue was empty before, so that the socket's owner has to be woken for the Close frame.
    pub was_empty: bool,
    /// The bytes that were queued before.
    pub waited: usize,
    /// `true` when the connection was ready ([`Stage::Ready`](super::Stage::Ready)).
    pub was_ready: bool,
    /// `true` when it was ready and had no user.
    pub was_anonymous: bool,
    /// `true` when reading from the client was paused.
    pub was_paused: bool,
    /// The bytes of the client's input that were kept.
    pub inbound: usize,
}

impl Closing {
    /// Records that the client's side has progressed, and drops the unsent frames, since only the Close frame is still
    /// worth sending. Returns the number of dropped frames, or `None` when the client's side had got as far before.
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

    /// Returns the description of the end of the connection for its owner.
    pub fn end(&self, clean: bool) -> End {
        End::new(self.cause, &self.reason, clean)
    }

    /// Returns `true` when both sides of the stream have ended.
    pub fn is_over(&self) -> bool {
        self.peer == PeerSide::Ended && self.sealed.queue().is_empty()
    }

    /// Returns `true` when both Close frames have been exchanged.
    pub fn is_agreed(&self) -> bool {
        self.peer == PeerSide::Closed && self.sealed.queue().is_empty()
    }
}
