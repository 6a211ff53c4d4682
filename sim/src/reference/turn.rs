//! The expected result of the turn at hand.

use super::connection::ExpectedEnd;
use parlor_core::ConnId;
use std::collections::VecDeque;

/// The expected result of the turn at hand.
#[derive(Clone, Debug, Default)]
pub(super) struct ExpectedTurn {
    /// Which room or user, and whether it came to life.
    pub(super) changes: Vec<(RoomOrUser, bool)>,
    pub(super) ended: Vec<(usize, ConnId, ExpectedEnd)>,
    /// Connections that have been sent all that they will ever be sent.
    pub(super) finished: Vec<ConnId>,
    pub(super) asks: Vec<(usize, String)>,
    pub(super) answer: Option<super::answer::ExpectedAnswer>,
    /// Connections whose queue was empty when the turn began.
    pub(super) were_empty: Vec<bool>,
    /// Connections of which frames were dropped.
    pub(super) were_cut: Vec<bool>,
    /// Rooms of which a log began.
    pub(super) began: Vec<usize>,
    /// The rooms that clients have left, of which the homes have not heard yet.
    pub(super) left: VecDeque<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RoomOrUser {
    Room(usize),
    User(usize),
}
