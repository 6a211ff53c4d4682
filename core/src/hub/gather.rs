//! Calls that are answered in parts, and the room that is left in such an answer.

use super::merge::Merge;
use crate::api::{Command, Reply};
use crate::error::Error;
use crate::input::CallId;
use crate::link::Ticket;
use crate::node::ShardId;
use alloc::sync::Arc;
use alloc::vec::{self, Vec};

/// The call of a backend that waits for an answer, or what another shard waits for because of one.
#[derive(Clone, Copy, Debug, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub(super) enum Caller {
    /// A call that makes one request.
    Whole(CallId),
    /// Part `at` of a call that makes several requests and gathers their answers under the number `gather`.
    Part { gather: u64, at: usize },
    /// The hub of another shard, which asks for a part of a call that concerns the whole node.
    Hub { shard: ShardId, ticket: Ticket },
    /// The home of a user, which has a command carried out for the user's connections.
    Home { shard: ShardId, errand: Ticket },
    /// Nobody any more: the shard that asked was lost.
    Nobody,
}

impl Caller {
    /// Returns who waits once a shard is lost.
    pub fn without(self, lost: ShardId) -> Self {
        match self {
            Self::Hub { shard, .. } | Self::Home { shard, .. } if shard == lost => Self::Nobody,
            other => other,
        }
    }

    /// Returns the call that it is a part of, if it is one.
    pub fn gather(self) -> Option<u64> {
        match self {
            Self::Part { gather, .. } => Some(gather),
            _ => None,
        }
    }
}

/// The answer that is made of the parts.
#[derive(Clone, Debug, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub(super) enum Whole {
    /// The answers to the rooms of a broadcast.
    Broadcast,
    /// The answers to the calls of a batch, with their methods.
    Batch(#[cfg_attr(feature = "replay", serde(deserialize_with = "crate::replayed::texts"))] Vec<&'static str>),
    /// One answer of the answers of all shards.
    Node(Merge),
    /// The end of the tokens with this id, which are revoked then.
    EndOf(Arc<str>),
}

/// A call whose parts are answered one by one.
#[derive(Clone, Debug, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub(super) struct Gather {
    pub caller: Caller,
    pub whole: Whole,
    pub results: Vec<Option<Result<Reply, Error>>>,
    /// The parts of a batch from this one on, while the one before it is not answered.
    #[serde(serialize_with = "crate::stored::numbered_rest")]
    #[cfg_attr(feature = "replay", serde(deserialize_with = "crate::replayed::numbered_rest"))]
    pub rest: Option<(usize, vec::IntoIter<Result<Command, Error>>)>,
    /// The number of parts that are still to come. To count them would be O(parts) each time.
    pub missing: usize,
    /// The room that is left in its answer.
    pub budget: ReplyBudget,
}

/// Room that is left in the answer to one call.
#[derive(Clone, Copy, Debug, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub(super) struct ReplyBudget {
    /// Bytes; none from the first part on that did not fit.
    pub left: usize,
}

/// Bytes of the answer to a write, for each room.
pub(super) const WRITE_BYTES: usize = 100;

/// Bytes around the answers of a batch, and around one of them beside its method.
pub(super) const AROUND_BYTES: usize = 20;

impl ReplyBudget {
    pub fn new(most: usize) -> Self {
        Self { left: most.saturating_sub(AROUND_BYTES) }
    }

    /// Nothing fits any more.
    pub fn end(&mut self) {
        self.left = 0;
    }

    /// Takes so many bytes, or all that is left where those are fewer. False then: nothing fits any more.
    pub fn take(&mut self, bytes: usize) -> bool {
        let rest = self.left.checked_sub(bytes.saturating_add(AROUND_BYTES));
        self.left = rest.unwrap_or(0);
        rest.is_some()
    }
}
