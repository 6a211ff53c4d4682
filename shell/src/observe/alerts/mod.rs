//! The alerts of the settings: each watches a figure, and is raised and cleared by itself.

pub(crate) mod figures;
pub(crate) mod rule;

use figures::Readings;
use parlor_core::Instant;
use rule::{AlertChange, AlertRule, AlertState};
use std::cell::RefCell;
use tracing::{info, warn};

/// All alerts of a server, over all of its shards.
#[derive(Debug, Default)]
pub(crate) struct Alerts {
    watched: RefCell<Vec<(AlertRule, AlertState)>>,
}

impl Alerts {
    /// Alerts that are not raised.
    pub(crate) fn new(rules: impl IntoIterator<Item = AlertRule>) -> Self {
        Self { watched: RefCell::new(rules.into_iter().map(|rule| (rule, AlertState::default())).collect()) }
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.watched.borrow().is_empty()
    }

    /// Takes in the figures of this time, and tells the log what changes.
    pub(crate) fn take(&self, now: Instant, readings: &Readings) {
        for (rule, state) in self.watched.borrow_mut().iter_mut() {
            let value = rule.figure.value(readings);
            let (alert, figure, threshold) = (&*rule.name, rule.figure.name(), rule.threshold);
            match state.step(rule, now, value) {
                Some(AlertChange::Raised) => warn!(alert, figure, value, %threshold, "alert raised"),
                Some(AlertChange::Cleared) => info!(alert, figure, value, clear = rule.clear, "alert cleared"),
                None => {}
            }
        }
    }
}
