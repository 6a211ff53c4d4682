//! The subject's own choices, read from its output: the epochs of logs, and which of the rooms that empty at once
//! is the first. Nothing else of a turn is known when it is foreseen.

use super::model::ReferenceModel;
use super::outcome::Outcome;
use super::turn::SubjectChoices;
use parlor_core::{Change, Effect};
use std::sync::Arc;

impl ReferenceModel {
    pub(super) fn choices_in(&self, outcome: &Outcome<'_>) -> SubjectChoices {
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
        SubjectChoices { epochs: self.names.iter().map(epoch).collect(), vacated: vacated.collect() }
    }
}
