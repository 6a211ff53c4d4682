//! The expected result of the turn at hand, the totals so far, and the choices of the subject.

use super::connection::ExpectedEnd;
use super::membership::MembershipEvent;
use parlor_core::{CloseCause, ConnId, Limit};
use serde_json::Value;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

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
    /// The answers to those parts of a call that have been carried out.
    pub(super) parts: Vec<Value>,
    /// Connections whose queue was empty when the turn began.
    pub(super) were_empty: Vec<bool>,
    /// Connections of which frames were dropped.
    pub(super) were_cut: Vec<bool>,
    /// Rooms of which a log began.
    pub(super) began: Vec<usize>,
    /// Rooms and users that may begin and end within the turn: a connection was closed on its way in.
    pub(super) flashes: Vec<RoomOrUser>,
    /// Who came and went, and was not told of yet.
    pub(super) events: VecDeque<MembershipEvent>,
    /// Whose clients may be heard again when all else is done.
    pub(super) to_hear: Vec<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RoomOrUser {
    Room(usize),
    User(usize),
}

/// Totals, counted independently.
#[derive(Clone, Debug, Default)]
pub(super) struct ExpectedTotals {
    pub(super) accepted: u64,
    pub(super) refused: u64,
    pub(super) closed: BTreeMap<CloseCause, u64>,
    pub(super) messages_in: u64,
    pub(super) unknown_types: u64,
    pub(super) frames_written: u64,
    pub(super) bytes_written: u64,
    pub(super) published: u64,
    pub(super) errors: u64,
    pub(super) late_joins: u64,
    pub(super) stale: u64,
    pub(super) backsteps: u64,
    pub(super) events: u64,
    pub(super) limits: BTreeMap<Limit, u64>,
}

/// Choices of the subject in a turn.
#[derive(Clone, Debug, Default)]
pub(super) struct SubjectChoices {
    /// The epoch of each room's log, where there is one after the turn.
    pub epochs: Vec<Option<Arc<str>>>,
    /// Rooms whose logs have no member after the turn, in the order in which they would be evicted.
    pub idle: Vec<usize>,
    /// Rooms, users who are absent from them after the turn, and the clients of their last connections.
    pub absent: Vec<(usize, usize, String)>,
}
