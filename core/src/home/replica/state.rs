//! The state of a home whose rooms follow an engine.

use super::waiting::{JoinsOfRoom, WaitingJoins};
use crate::api::HistoryQuery;
use crate::engine::follow::RoomFollower;
use crate::engine::{EngineRequest, EngineTicket};
use crate::home::members::Joining;
use crate::link::Ticket;
use crate::map::{Keys, Map};
use crate::names::RoomName;
use crate::node::ShardId;
use crate::time::{Deadline, Instant};
use alloc::collections::{BTreeSet, VecDeque};
use alloc::vec::Vec;
use core::time::Duration;

/// The time for which a room is followed after its last member has left.
pub(crate) const LINGER: Duration = Duration::from_secs(10);

/// The pause before the engine is asked again for what it has refused.
pub(super) const PAUSE: Duration = Duration::from_secs(1);

/// The link to the engine, the followers of the rooms, and the requests without an answer.
#[derive(Clone, Debug)]
pub(crate) struct Replica {
    /// The number of times that a link has begun or ended: it is up while this is odd.
    pub changes: u64,
    pub rooms: Map<RoomName, FollowerOfRoom>,
    /// The rooms before this one may not have been told of the last change of the link.
    pub behind: usize,
    pub asked: Map<EngineTicket, EngineAsker>,
    pub issued: u64,
    pub joins: WaitingJoins,
    /// The rooms whose copies were dropped, which are not to be followed any longer.
    pub vacant: Vec<RoomName>,
    /// The rooms whose followers the engine has refused something, and when they ask again.
    pub refused: BTreeSet<RoomName>,
    pub retry_at: Deadline,
    /// Those whose time has come.
    pub retrying: Vec<RoomName>,
    /// The requests that the engine has not been handed yet.
    pub requests: VecDeque<EngineRequest>,
}

/// The follower of a room, which is not here while it is at work.
#[derive(Clone, Debug)]
pub(crate) struct FollowerOfRoom {
    pub follower: Option<RoomFollower>,
    /// The number of changes of the link that it has been told of.
    pub told: u64,
    pub joins: JoinsOfRoom,
}

/// The words for a request that could not be sent.
pub(super) const OUT_OF_REACH: &str = "the engine cannot be reached";

/// The words for a change whose answer has not come.
pub(super) const UNKNOWN: &str = "the link to the engine has ended: it is not known whether this was done";

/// The receiver of an answer of the engine.
#[derive(Clone, Debug)]
pub(crate) enum EngineAsker {
    /// A hub that has published.
    Publish(ShardId, Ticket),
    /// A hub that reads a page of a log.
    History(ShardId, Ticket, HistoryQuery),
    /// A hub that removes what a log retains.
    Removal(ShardId, Ticket),
}

impl EngineAsker {
    pub fn hub(&self) -> ShardId {
        match self {
            Self::Publish(hub, _) | Self::History(hub, ..) | Self::Removal(hub, _) => *hub,
        }
    }
}

impl Replica {
    /// Creates one whose link is down.
    pub fn new(keys: Keys) -> Self {
        Self {
            changes: 0,
            rooms: Map::with_hasher(keys),
            behind: 0,
            asked: Map::with_hasher(keys),
            issued: 0,
            joins: WaitingJoins::new(keys),
            vacant: Vec::new(),
            refused: BTreeSet::new(),
            retry_at: Deadline::NONE,
            retrying: Vec::new(),
            requests: VecDeque::new(),
        }
    }

    pub fn is_up(&self) -> bool {
        is_up_after(self.changes)
    }

    pub fn wait(&mut self, asked: EngineAsker) -> EngineTicket {
        let ticket = self.issue();
        self.asked.insert(ticket, asked);
        ticket
    }

    pub fn issue(&mut self) -> EngineTicket {
        self.issued += 1;
        EngineTicket(self.issued)
    }

    /// Takes a join that is to be answered; `None` when its hub was lost.
    pub fn take_join(&mut self, ticket: EngineTicket) -> Option<Joining> {
        let joining = self.joins.take(ticket)?;
        if let Some(followed) = self.rooms.get_mut(&joining.room) {
            followed.joins.waiting.remove(&ticket);
        }
        Some(joining)
    }

    /// Takes the receiver of an answer; `None` for that of a join.
    pub fn take_asked(&mut self, ticket: EngineTicket) -> Option<EngineAsker> {
        self.asked.swap_remove(&ticket)
    }

    /// Returns the time at which a join has waited for too long; `None` when none waits.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.joins.next_deadline().into_iter().chain(self.retry_at.time()).min()
    }
}

/// Returns `true` when a link is up after so many changes.
pub(super) fn is_up_after(changes: u64) -> bool {
    changes % 2 == 1
}
