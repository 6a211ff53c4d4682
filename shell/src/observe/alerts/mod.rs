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
    /// The figure when it was looked at last.
    value: f64,
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
        Self { watched: RefCell::new(rules.into_iter().map(WatchedAlert::new).collect()), instance: instance.into() }
    }

    /// Goes on with other alerts. One with the same rule stays as it is; one that is raised and is not among them is cleared.
    pub(crate) fn follow(
        &self,
        now: Now,
        rules: impl IntoIterator<Item = (AlertRule, Option<Arc<NotificationQueue>>)>,
    ) {
        let mut watched = self.watched.borrow_mut();
        let go_on = |(rule, queue)| match watched.iter().position(|known| known.rule == rule) {
            Some(known) => watched.swap_remove(known).tells(queue, now, &self.instance),
            None => WatchedAlert::new((rule, queue)),
        };
        let following: Vec<WatchedAlert> = rules.into_iter().map(go_on).collect();
        for alert in watched.iter_mut().filter(|alert| alert.state == AlertState::Raised) {
            alert.tell(AlertChange::Cleared, now, &self.instance);
        }
        *watched = following;
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.watched.borrow().is_empty()
    }

    /// Takes in the figures of this time, and tells what changes.
    pub(crate) fn take(&self, now: Now, readings: &Readings) {
        for alert in self.watched.borrow_mut().iter_mut() {
            alert.value = alert.rule.figure.value(readings);
            if let Some(change) = alert.state.step(&alert.rule, now.mono, alert.value) {
                alert.tell(change, now, &self.instance);
            }
        }
    }
}

impl WatchedAlert {
    /// One that is not raised.
    fn new((rule, queue): (AlertRule, Option<Arc<NotificationQueue>>)) -> Self {
        Self { rule, state: AlertState::default(), value: 0.0, raised_at: 0, queue }
    }

    /// The same with another queue. Where it is raised, who was told of it learns that it is cleared, and who is told from now
    /// on that it is raised.
    fn tells(mut self, queue: Option<Arc<NotificationQueue>>, now: Now, instance: &str) -> Self {
        let id = |queue: &Option<Arc<NotificationQueue>>| queue.as_ref().map(Arc::as_ptr);
        let is_other = id(&self.queue) != id(&queue);
        if is_other && self.state == AlertState::Raised {
            self.notify(AlertChange::Cleared, now, instance);
            self.queue = queue;
            self.notify(AlertChange::Raised, now, instance);
            return self;
        }
        Self { queue, ..self }
    }

    /// Tells the log of a change, and puts the notification into the queue.
    fn tell(&mut self, change: AlertChange, now: Now, instance: &str) {
        let (rule, value) = (&self.rule, self.value);
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
        self.notify(change, now, instance);
    }

    /// Puts the notification of a change into the queue.
    fn notify(&self, change: AlertChange, now: Now, instance: &str) {
        let (rule, value) = (&self.rule, self.value);
        if let Some(queue) = &self.queue {
            let times = AlertTimes { raised_at: self.raised_at, now: now.unix_ms };
            let body = webhook::body(rule, change, value, times, instance);
            queue.push(Notification { alert: rule.name.clone(), body, changed_at: now.mono });
        }
    }
}
