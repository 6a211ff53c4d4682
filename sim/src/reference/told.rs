//! What the subject makes up, and tells in what it puts out: the epochs of logs, and which of the rooms that empty at once
//! is the first. Nothing else of a turn is known when it is foreseen.

use super::Oracle;
use super::judge::Outcome;
use parlor_core::{Change, Effect};
use std::sync::Arc;

/// What was made up in a turn.
#[derive(Clone, Debug, Default)]
pub(super) struct Told {
    /// The epoch of each room's log, where there is one after the turn.
    pub epochs: Vec<Option<Arc<str>>>,
    /// Rooms that lost their last member, in the order in which the events tell it.
    pub vacated: Vec<usize>,
}

impl Oracle {
    pub(super) fn told_in(&self, outcome: &Outcome<'_>) -> Told {
        let room = |name: &str| self.names.iter().position(|known| **known == *name);
        let vacated = outcome.effects.iter().filter_map(|effect| match effect {
            Effect::Event(event) => match &event.change {
                Change::Vacated(name) => room(name),
                _ => None,
            },
            _ => None,
        });
        let epoch = |name: &Arc<str>| {
            let log = outcome.after.logs.iter().find(|log| *log.name == **name)?;
            Some(Arc::from(log.epoch.as_str()))
        };
        Told { epochs: self.names.iter().map(epoch).collect(), vacated: vacated.collect() }
    }
}
