//! The alerts of the settings: each watches a figure, and is raised and cleared by itself, in the log and at its URL.

pub(crate) mod deliveries;
pub(crate) mod figures;
pub(crate) mod queue;
pub(crate) mod rule;
mod webhook;

use super::log;
use figures::Readings;
use parlor_core::Now;
use queue::{Notification, NotificationQueue};
use rule::{AlertChange, AlertRule, AlertState};
use std::cell::RefCell;
use std::sync::Arc;
use tracing::warn;
use webhook::AlertTimes;

/// All alerts of a server, over all of its shards.
#[derive(Debug)]
pub(crate) struct Alerts {
    watched: RefCell<Vec<WatchedAlert>>,
    /// The name of the node, by which receivers know the server.
    instance: String,
}

/// An alert, and what it does.
#[derive(Debug)]
struct WatchedAlert {
    rule: AlertRule,
    state: AlertState,
    /// The time at which it was raised last, in milliseconds since 1970.
    raised_at: u64,
    /// The queue that its changes go to, beside the log.
    queue: Option<Arc<NotificationQueue>>,
}

impl Alerts {
    /// Alerts that are not raised, each with where its changes go.
    pub(crate) fn new(
        rules: impl IntoIterator<Item = (AlertRule, Option<Arc<NotificationQueue>>)>,
        instance: &str,
    ) -> Self {
        let watch = |(rule, queue)| WatchedAlert { rule, state: AlertState::default(), raised_at: 0, queue };
        Self { watched: RefCell::new(rules.into_iter().map(watch).collect()), instance: instance.into() }
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.watched.borrow().is_empty()
    }

    /// Takes in the figures of this time, and tells what changes.
    pub(crate) fn take(&self, now: Now, readings: &Readings) {
        for alert in self.watched.borrow_mut().iter_mut() {
            let value = alert.rule.figure.value(readings);
            if let Some(change) = alert.state.step(&alert.rule, now.mono, value) {
                alert.tell(change, value, now, &self.instance);
            }
        }
    }
}

impl WatchedAlert {
    /// Tells the log of a change, and puts the notification into the queue.
    fn tell(&mut self, change: AlertChange, value: f64, now: Now, instance: &str) {
        let rule = &self.rule;
        let (alert, figure, threshold) = (&*rule.name, rule.figure.name(), rule.threshold);
        match change {
            AlertChange::Raised => {
                self.raised_at = now.unix_ms;
                warn!(target: log::ALERTS, alert, figure, value, %threshold, "alert raised");
            }
            AlertChange::Cleared => {
                warn!(target: log::ALERTS, alert, figure, value, clear = rule.clear, "alert cleared")
            }
        }
        if let Some(queue) = &self.queue {
            let times = AlertTimes { raised_at: self.raised_at, now: now.unix_ms };
            let body = webhook::body(rule, change, value, times, instance);
            queue.push(Notification { alert: alert.into(), body, changed_at: now.mono });
        }
    }
}
