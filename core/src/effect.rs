//! What comes out of the machine: the effects of a turn, to be carried out in order before the next input.

use crate::api::Reply;
use crate::close::{CloseCause, CloseReason};
use crate::error::Error;
use crate::ids::{ConnId, Name};
use crate::input::CallId;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec;

/// What the shard wants done, in this order.
#[derive(Clone, Debug)]
pub enum Effect {
    /// This connection's outbox went from empty to non-empty: ask [`crate::Shard::pending`] and write.
    Wake(ConnId),
    /// This connection, to which [`crate::Shard::is_paused`] applied, may be read from again.
    ResumeReading(ConnId),
    /// Verify this token and answer with [`crate::Input::Authenticated`].
    Authenticate {
        /// The connection.
        conn: ConnId,
        /// The compact form of a JSON Web Token.
        token: String,
    },
    /// A token of this connection proves nothing, or not what it was shown for, or it has none where one is required. What
    /// comes of that for the client is in its frames.
    TokenRefused {
        /// The connection.
        conn: ConnId,
        /// Why, for the operator.
        why: String,
    },
    /// All that this connection will ever be sent was written: the sending side of its socket is to be shut down, so that
    /// the peer sees the end of the stream. What comes from the peer is still read, and thrown away, until its stream
    /// ends too. It comes once at most, and not where the connection ends at the same time.
    Finish(ConnId),
    /// The one terminal effect of a connection: its slot is vacant, its socket is to be hung up on.
    Closed {
        /// The connection.
        conn: ConnId,
        /// How it ended.
        end: Box<End>,
    },
    /// The answer to a call.
    Reply {
        /// Which.
        call: CallId,
        /// What.
        result: Box<Result<Reply, Error>>,
    },
    /// A room or a user came to life or ceased to be.
    Event(Box<Event>),
}

/// How a connection ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct End {
    /// Why.
    pub cause: CloseCause,
    /// What the Close frame says; 1006 when there was none.
    pub reason: CloseReason,
    /// Whether everything was written, and the peer has ended its stream or closed: what the socket holds may still go
    /// out. Otherwise the socket is aborted.
    pub clean: bool,
}

/// A change that others are told about, numbered without a hole.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Event {
    /// 1, 2, 3, … over all events of the node.
    pub seq: u64,
    /// What changed.
    pub change: Change,
}

/// What changed. For one name the two of a pair alternate strictly, starting with the first.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Change {
    /// A room got its first member.
    Occupied(Name),
    /// A room lost its last member.
    Vacated(Name),
    /// A user got a first connection.
    Online(Name),
    /// A user lost the last connection.
    Offline(Name),
}

/// The effects of one input, in order. It borrows the shard: the next input comes after the last effect was taken.
#[must_use = "effects that are not carried out are lost"]
#[derive(Debug)]
pub struct Turn<'a> {
    pub(crate) effects: vec::Drain<'a, Effect>,
}

impl Iterator for Turn<'_> {
    type Item = Effect;

    fn next(&mut self) -> Option<Effect> {
        self.effects.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.effects.size_hint()
    }
}

impl ExactSizeIterator for Turn<'_> {}
