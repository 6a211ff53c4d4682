//! The events of a home on their way to the hubs.

use crate::link::HomeEvent;
use crate::node::ShardId;
use alloc::collections::VecDeque;

/// The events that hubs have not taken yet.
#[derive(Clone, Debug, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub(crate) struct Outgoing {
    /// The shard of the home, whose hub is told which rooms are occupied.
    pub shard: ShardId,
    /// The events for the hub of this shard.
    #[serde(skip)]
    pub here: VecDeque<HomeEvent>,
    /// The events for hubs of other shards. They are apart, since a node with one shard has none.
    #[serde(skip)]
    pub elsewhere: VecDeque<(ShardId, HomeEvent)>,
}

impl Outgoing {
    /// Creates an empty list for a home in this shard.
    pub fn new(shard: ShardId) -> Self {
        Self { shard, here: VecDeque::new(), elsewhere: VecDeque::new() }
    }

    /// Appends an event for a hub.
    pub fn tell(&mut self, hub: ShardId, event: HomeEvent) {
        if hub == self.shard {
            self.here.push_back(event);
        } else {
            self.elsewhere.push_back((hub, event));
        }
    }
}
