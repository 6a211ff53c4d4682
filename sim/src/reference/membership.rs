//! One connection in one room: why it is there, what it is told, and the events of its coming and going.

use crate::world::rules::Right;
use serde_json::Value;
use std::collections::BTreeSet;

/// One connection's membership of one room.
#[derive(Clone, Debug, Default)]
pub(crate) struct ExpectedMembership {
    /// Who wants the connection there; it leaves with the last of them.
    pub wanted: BTreeSet<MembershipReason>,
    /// It is told who comes and goes.
    pub watches: bool,
    /// Information about it from the room's token.
    pub info: Option<String>,
    /// When the room's token is no good any more.
    pub until: Option<u64>,
    /// The rights that the room's token grants; `None` without one.
    pub granted: Option<Vec<Right>>,
}

impl ExpectedMembership {
    /// A place for this reason, with nothing special about it.
    pub(super) fn because(reason: MembershipReason) -> Self {
        Self { wanted: BTreeSet::from([reason]), ..Self::default() }
    }
}

/// Why a connection is in a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum MembershipReason {
    /// The client asked for it.
    Client,
    /// Its token says so.
    Token,
    /// A backend has put it there.
    Backend,
    /// The room is its user's own.
    Own,
}

/// A member has joined or left.
#[derive(Clone, Debug)]
pub(super) struct MembershipEvent {
    pub(super) room: usize,
    pub(super) client: usize,
    pub(super) info: Value,
    /// The way in which it has left; `None` when it has joined.
    pub(super) left: Option<Departure>,
}

/// The way in which a member has left.
#[derive(Clone, Copy, Debug)]
pub(super) enum Departure {
    /// Its connection goes on.
    Left,
    /// Its connection has ended, and this user may be absent from now on.
    Ended { user: usize },
    /// It is gone since its connection ended, and this user is not absent any more. `newcomer` is the client that has
    /// joined in its place, and is not told.
    AbsenceOver { newcomer: Option<usize> },
}

impl MembershipEvent {
    /// Whether the home holds a member of this room until it has heard of this.
    pub(super) fn is_leave(&self, room: usize) -> bool {
        self.room == room && matches!(self.left, Some(Departure::Left | Departure::Ended { .. }))
    }

    /// The same for a connection of this user.
    pub(super) fn is_leave_of(&self, room: usize, user: &str) -> bool {
        self.is_leave(room) && self.info["user"] == user
    }
}

/// A user who is absent from a room.
#[derive(Clone, Debug)]
pub(crate) struct ExpectedAbsence {
    pub room: usize,
    pub user: usize,
    /// The client whose connection has ended.
    pub(super) client: usize,
    /// Who the connection was in the room.
    pub(super) info: Value,
    pub until: u64,
}

impl ExpectedAbsence {
    /// Announces its end.
    pub(super) fn over(self, newcomer: Option<usize>) -> MembershipEvent {
        let Self { room, client, info, .. } = self;
        MembershipEvent { room, client, info, left: Some(Departure::AbsenceOver { newcomer }) }
    }
}
