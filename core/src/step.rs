//! Steps in the life of a connection, for who follows it: a log, or a checker.

use crate::error::UnsubscribeReason;
use crate::ids::ConnId;
use crate::names::{RoomName, UserId};

/// A step in the life of a connection, told by [`crate::Effect::Step`]. The first step is the upgrade, which is an input, and the
/// last one is [`crate::Effect::Closed`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ConnectionStep {
    /// The connection.
    pub conn: ConnId,
    /// The change.
    pub change: StepChange,
}

/// The change that a step is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum StepChange {
    /// The connection has begun its session, or a later token has given it a user.
    Authenticated {
        /// The user, `""` where it is anonymous.
        user: UserId,
    },
    /// The connection is a member of a room, which may be the user's personal one.
    Joined {
        /// The room.
        room: RoomName,
    },
    /// The connection is a member of a room no more.
    Left {
        /// The room.
        room: RoomName,
        /// The cause.
        cause: LeaveCause,
    },
}

/// The cause for which a connection is a member of a room no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LeaveCause {
    /// The client has asked for it.
    Client,
    /// The server has unsubscribed it, for this reason. It comes back by itself after [`UnsubscribeReason::GAP`], unless its
    /// client has to ask.
    Server(UnsubscribeReason),
    /// The connection has ended, or closes.
    Closed,
}

impl LeaveCause {
    /// Returns the name of the cause in logs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Server(reason) => reason.reason,
            Self::Closed => "closed",
        }
    }
}
