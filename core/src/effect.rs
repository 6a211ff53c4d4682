//! The effects of a turn, to be carried out in order before the next input.

use crate::api::Reply;
use crate::close::{CloseCause, CloseReason};
use crate::engine::EngineRequest;
use crate::error::Error;
use crate::ids::ConnId;
use crate::input::CallId;
use crate::link::LinkMessage;
use crate::names::{RoomName, UserId};
use crate::node::ShardId;
use crate::step::ConnectionStep;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec;

/// An effect that the owner of the shard carries out.
#[derive(Clone, Debug)]
pub enum Effect {
    /// The connection's outbox is no longer empty: get its bytes from [`crate::Shard::pending`] and write them.
    Wake(ConnId),
    /// The connection, which was paused ([`crate::Shard::is_paused`]), may be read from again.
    ResumeReading(ConnId),
    /// Verify this token and answer with [`crate::Input::Authenticated`].
    Authenticate {
        /// The connection.
        conn: ConnId,
        /// The compact form of a JSON Web Token.
        token: Box<String>,
    },
    /// A token of the connection was refused, or is missing where one is required. The client is told by frames.
    TokenRefused {
        /// The connection.
        conn: ConnId,
        /// The reason, for the operator.
        why: Box<String>,
    },
    /// The last byte for this connection was written: the sending side of its socket is to be shut down, so that the
    /// client sees the end of the stream. Bytes from the client are still read, and discarded, until its stream ends.
    /// It is emitted once at most, and not when the connection ends at the same time.
    Finish(ConnId),
    /// The connection has ended: its slot is vacant and its socket is to be closed. It is the last effect for the
    /// connection.
    Closed {
        /// The connection.
        conn: ConnId,
        /// The description of the end.
        end: End,
    },
    /// The answer to a backend's call.
    Reply {
        /// The id of the call.
        call: CallId,
        /// The answer.
        result: Box<Result<Reply, Error>>,
    },
    /// A room or a user appeared or disappeared.
    Event(Box<Event>),
    /// A step in the life of a connection. It comes only where [`tells_steps`](crate::Config::tells_steps) is set.
    Step(Box<ConnectionStep>),
    /// A message for another shard of the node, to be handed to it as [`crate::Input::Link`], first in, first out.
    Link {
        /// The shard that it is for.
        to: ShardId,
        /// The message.
        message: LinkMessage,
    },
    /// A request to the engine, first in, first out. Its events come in as [`crate::Input::Engine`].
    Engine(Box<EngineRequest>),
}

/// The end of a connection.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct End {
    /// The cause.
    pub cause: CloseCause,
    /// `true` when everything was written and the client has closed or ended its stream, so that bytes in the socket
    /// may still be sent; otherwise the socket is aborted.
    pub clean: bool,
    /// The code and text of the Close frame, where they are not the cause's own. Boxed, since few ends have it and an
    /// effect is small.
    reason: Option<Box<CloseReason>>,
}

impl End {
    /// Describes an end whose Close frame, or the lack of one, has this code and text.
    #[must_use]
    pub fn new(cause: CloseCause, reason: &CloseReason, clean: bool) -> Self {
        let own = (*reason != cause.reason()).then(|| Box::new(reason.clone()));
        Self { cause, clean, reason: own }
    }

    /// Returns the code and text of the Close frame; 1006 when there was none.
    #[must_use]
    pub fn reason(&self) -> CloseReason {
        self.reason.as_deref().cloned().unwrap_or_else(|| self.cause.reason())
    }
}

/// A change of rooms or users, with a number.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Event {
    /// The number: 1, 2, 3, … over all events of the shard, without a gap.
    pub seq: u64,
    /// The change.
    pub change: Change,
}

/// A change of a room or a user. For each name, the two changes of a pair alternate, beginning with the first.
///
/// Where a policy has a `presence_grace`, a user whose connection ends is *absent* from each room that it was in, unless
/// the user has another connection there: for that time, or until the user is in that room again, the room is not vacated
/// and the user is not offline. Nothing is delivered to who is absent.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Change {
    /// A room got its first member, and nobody was absent from it.
    Occupied(RoomName),
    /// A room lost its last member or, if that was later, the last who was absent from it.
    Vacated(RoomName),
    /// A user's personal room was occupied.
    Online(UserId),
    /// A user's personal room was vacated.
    Offline(UserId),
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
