//! Commands for users that hubs are carrying out.

use crate::error::Error;
use crate::ids::index;
use crate::link::{ErrandId, HomeEvent, Ticket};
use crate::node::ShardId;
use alloc::vec::Vec;
use slab::Slab;

/// The commands that are not done everywhere.
#[derive(Clone, Debug, Default)]
pub(super) struct Errands {
    under_way: Slab<Errand>,
}

/// A command that hubs are carrying out.
#[derive(Clone, Debug)]
struct Errand {
    /// The hub that has asked; `None` when it was lost.
    asker: Option<ShardId>,
    ticket: Ticket,
    /// The hubs that have not answered.
    waiting: Vec<ShardId>,
    result: Result<(), Error>,
}

/// The answer for the hub that has asked.
pub(super) type Answer = (ShardId, HomeEvent);

impl Errands {
    /// Begins to wait for these hubs, of which there is at least one.
    pub fn begin(&mut self, asker: ShardId, ticket: Ticket, waiting: Vec<ShardId>) -> ErrandId {
        ErrandId(index(self.under_way.insert(Errand { asker: Some(asker), ticket, waiting, result: Ok(()) })))
    }

    /// A hub has carried a command out, or could not. The answer, once all hubs have, is the first error, if there is one.
    pub fn done(&mut self, hub: ShardId, errand: ErrandId, result: Result<(), Error>) -> Option<Answer> {
        let at = errand.0 as usize;
        let errand = &mut self.under_way[at];
        errand.waiting.retain(|waiting| *waiting != hub);
        if errand.result.is_ok() {
            errand.result = result;
        }
        self.finish(at)
    }

    /// Waits no longer for a hub that was lost, nor answers it. Returns the answers that only waited for it.
    pub fn lose_hub(&mut self, hub: ShardId) -> Vec<Answer> {
        let places: Vec<usize> = self.under_way.iter().map(|(at, _)| at).collect();
        let without = |at: usize| {
            let errand = &mut self.under_way[at];
            errand.asker = errand.asker.filter(|asker| *asker != hub);
            errand.waiting.retain(|waiting| *waiting != hub);
            self.finish(at)
        };
        places.into_iter().filter_map(without).collect()
    }

    /// Returns `true` when no command is under way.
    pub fn is_empty(&self) -> bool {
        self.under_way.is_empty()
    }

    fn finish(&mut self, at: usize) -> Option<Answer> {
        if !self.under_way[at].waiting.is_empty() {
            return None;
        }
        let Errand { asker, ticket, result, .. } = self.under_way.remove(at);
        Some((asker?, HomeEvent::UserCommandDone { ticket, result }))
    }
}
