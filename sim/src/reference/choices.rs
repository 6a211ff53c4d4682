//! The subject's own choices, read from its output: the epochs of logs, which of the rooms that empty at once is
//! the first, and which of the users who go at once are absent. Nothing else of a turn is known when it is foreseen.

use super::model::ReferenceModel;
use super::outcome::Outcome;
use super::turn::SubjectChoices;
use crate::world::names::user_name;
use std::sync::Arc;

impl ReferenceModel {
    pub(super) fn choices_in(&self, outcome: &Outcome<'_>) -> SubjectChoices {
        let room = |name: &str| self.names.iter().position(|known| **known == *name);
        let mut idle: Vec<(u64, usize)> =
            outcome.after.logs.iter().filter_map(|log| Some((log.idle_order?, room(&log.name)?))).collect();
        idle.sort_unstable();
        let user = |user: &str| (0..self.users).find(|known| user_name(*known) == *user);
        let absent = outcome
            .after
            .absences
            .iter()
            .filter_map(|view| Some((room(&view.room)?, user(&view.user)?, view.client.to_string())));
        let epoch = |name: &Arc<str>| {
            let log = outcome.after.logs.iter().find(|log| *log.name == **name)?;
            Some(Arc::from(log.epoch.as_str()))
        };
        SubjectChoices {
            epochs: self.names.iter().map(epoch).collect(),
            idle: idle.into_iter().map(|(_, room)| room).collect(),
            absent: absent.collect(),
        }
    }
}
