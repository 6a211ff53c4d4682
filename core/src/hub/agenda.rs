//! The work of a turn and of later ones, and how much of it one turn carries out.

use super::sweep::Sweep;
use super::walk::{COMPARED_PER_PLACE, Walk};
use crate::api::Command;
use crate::connection::frame::Frame;
use crate::connection::outbox::PART;
use crate::error::Error;
use crate::ids::ConnId;
use crate::input::WebSocketMessage;
use crate::limits::Limits;
use crate::names::RoomName;
use crate::node::ShardId;
use crate::publication::Draft;
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec;

/// Something that is carried out command by command.
#[derive(Clone, Debug, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub(super) enum Work {
    /// The rest of a message, from this byte on.
    Message { conn: ConnId, message: WebSocketMessage, at: usize },
    /// The messages that wait at a connection.
    Waiting(ConnId),
    /// The joins that wait for a connection's client to read.
    Enter(ConnId),
    /// The rooms of a connection that its latest token may forbid. There is at most one of a connection.
    Check {
        conn: ConnId,
        #[serde(serialize_with = "crate::stored::rest")]
        #[cfg_attr(feature = "replay", serde(deserialize_with = "crate::replayed::rest"))]
        rooms: vec::IntoIter<RoomName>,
    },
    /// The parts of a backend's batch from this one on. Each sees what those before it have done.
    Batch {
        gather: u64,
        at: usize,
        #[serde(serialize_with = "crate::stored::rest")]
        #[cfg_attr(feature = "replay", serde(deserialize_with = "crate::replayed::rest"))]
        commands: vec::IntoIter<Result<Command, Error>>,
    },
    /// A call that looks at every room or connection.
    Walk(Box<Walk>),
    /// A search for connections and subscriptions by revoked tokens.
    Sweep(Box<Sweep>),
    /// The rooms of a broadcast from this one on, which share one payload.
    Broadcast {
        gather: u64,
        at: usize,
        #[serde(serialize_with = "crate::stored::rest")]
        #[cfg_attr(feature = "replay", serde(deserialize_with = "crate::replayed::rest"))]
        rooms: vec::IntoIter<String>,
        message: (Draft, Option<String>),
    },
}

/// The work of this turn, and the work that earlier turns have put off, first in, first out.
#[derive(Clone, Debug, Default, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub(super) struct Agenda {
    pub current: VecDeque<Work>,
    pub put_off: VecDeque<VecDeque<Work>>,
}

impl Agenda {
    /// Adds work that goes before all other work of this turn.
    pub fn first(&mut self, work: Work) {
        self.current.push_front(work);
    }

    /// Adds work that goes behind all other work of this turn.
    pub fn then(&mut self, work: Work) {
        self.current.push_back(work);
    }

    /// Forgets who of a lost shard waits for the end of some work.
    pub fn forget(&mut self, lost: ShardId) {
        for work in self.current.iter_mut().chain(self.put_off.iter_mut().flatten()) {
            match work {
                Work::Walk(walk) => walk.caller = walk.caller.without(lost),
                Work::Sweep(sweep) => sweep.caller = sweep.caller.without(lost),
                _ => {}
            }
        }
    }

    /// Whether no work is left for this turn.
    pub fn is_done(&self) -> bool {
        self.current.is_empty()
    }

    /// Work that was put off, in the order in which turns go on with it.
    pub fn put_off(&self) -> impl Iterator<Item = &Work> {
        self.put_off.iter().flatten()
    }

    /// The connections whose messages are among what was put off last, this many times.
    pub fn waiting_since(&self, times: usize) -> impl Iterator<Item = ConnId> {
        self.put_off.iter().rev().take(times).flatten().filter_map(|work| match work {
            Work::Waiting(conn) => Some(*conn),
            _ => None,
        })
    }
}

/// The most that one connection may have been given since the sockets were last offered what waits.
#[derive(Clone, Copy, Debug, Default, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub(super) struct TurnBudget {
    pub frames: usize,
    pub bytes: usize,
    /// The number of frames that had been queued when the turn began, for all connections.
    pub queued_before: u64,
    /// Connections and rooms that calls of this turn have looked at, and what has been compared with patterns.
    pub visited: usize,
    /// Bytes of what calls of this turn have read.
    pub answered: usize,
    /// The number of times that this turn has put off the rest of its work.
    pub pauses: usize,
}

/// Frames that one turn queues for all connections together, but for those of its last command.
pub(super) const FRAMES_PER_TURN: u64 = 10_000;

/// Connections and rooms that the calls of one turn look at, but for those of the last.
pub(super) const VISITS_PER_TURN: usize = 10_000;

/// Bytes that the calls of one turn read for their answers, but for the last.
pub(super) const ANSWERS_PER_TURN: usize = 256 << 10;

impl TurnBudget {
    /// Counts frames that a connection may have been given.
    pub fn take<'a>(&mut self, frames: impl IntoIterator<Item = Option<&'a Frame>>) {
        for frame in frames.into_iter().flatten() {
            self.frames += 1;
            self.bytes += frame.len();
        }
    }

    /// Counts the connections or rooms that a call visits.
    pub fn visit(&mut self, places: usize) {
        self.visited += places;
    }

    /// Counts compared characters of patterns.
    pub fn compare(&mut self, characters: usize) {
        self.visited += characters.div_ceil(COMPARED_PER_PLACE);
    }

    /// Counts the bytes that a call has read for its answer.
    pub fn answer(&mut self, bytes: usize) {
        self.answered += bytes;
    }

    pub fn is_spent(&self, limits: &Limits) -> bool {
        let is_much = |some: usize, limit: usize| some > 0 && some >= limit / PART;
        is_much(self.frames, limits.outbox_frames) || is_much(self.bytes, limits.outbox_bytes)
    }
}
