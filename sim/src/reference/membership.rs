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
    pub(super) came: bool,
}
