//! The notifications that wait for one URL: of each alert the newest, in the order of their changes, but that one which could
//! not be delivered lets the others go first.

use super::deliveries::NotificationFigures;
use parlor_core::Instant;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// Time for which a notification is tried to be delivered, from its change on.
const PATIENCE: Duration = Duration::from_secs(60 * 60);

/// The news of a change of an alert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Notification {
    /// The name of the alert.
    pub(crate) alert: String,
    /// The body of the request.
    pub(crate) body: String,
    pub(crate) changed_at: Instant,
}

/// The notifications that wait for one URL. A shard puts in, and another thread takes out; neither holds the lock for longer than that takes.
#[derive(Debug)]
pub(crate) struct NotificationQueue {
    waiting: Mutex<VecDeque<Notification>>,
    /// Notified when something was put in, and when nothing will be.
    pub(crate) filled: Notify,
    is_closed: AtomicBool,
    figures: Arc<NotificationFigures>,
}

impl NotificationQueue {
    /// An empty one, which counts what becomes of its notifications.
    pub(crate) fn new(figures: Arc<NotificationFigures>) -> Self {
        Self { waiting: Mutex::default(), filled: Notify::new(), is_closed: AtomicBool::new(false), figures }
    }

    /// Puts a notification behind the others. An older one of the same alert is left out: its state is past. So there are never
    /// more than there are alerts.
    pub(crate) fn push(&self, notification: Notification) {
        {
            let mut waiting = self.waiting();
            if let Some(older) = waiting.iter().position(|other| other.alert == notification.alert) {
                waiting.remove(older);
                self.figures.superseded();
            }
            waiting.push_back(notification);
        }
        self.filled.notify_one();
    }

    /// Takes the first notification, and all those that have waited for too long, which are lost.
    pub(crate) fn take(&self, now: Instant) -> (Option<Notification>, Vec<Notification>) {
        let mut waiting = self.waiting();
        let is_late = |notification: &Notification| now.since(notification.changed_at) >= PATIENCE;
        let (late, in_time) = waiting.drain(..).partition(is_late);
        *waiting = in_time;
        let late = Vec::from(late);
        late.iter().for_each(|_| self.figures.lost());
        (waiting.pop_front(), late)
    }

    /// Puts a notification back that could not be delivered, behind the others: the receiver may refuse this one alone. Leaves it
    /// out where its alert has changed meanwhile.
    pub(crate) fn give_back(&self, notification: Notification) {
        let mut waiting = self.waiting();
        if waiting.iter().any(|other| other.alert == notification.alert) {
            self.figures.superseded();
        } else {
            waiting.push_back(notification);
        }
    }

    /// Says that nothing will be put in any more.
    pub(crate) fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
        self.filled.notify_one();
    }

    /// Whether nothing will be put in any more.
    pub(crate) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Acquire)
    }

    fn waiting(&self) -> MutexGuard<'_, VecDeque<Notification>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue() -> (NotificationQueue, Arc<NotificationFigures>) {
        let figures = Arc::<NotificationFigures>::default();
        (NotificationQueue::new(figures.clone()), figures)
    }

    fn news(alert: &str, body: &str, seconds: u64) -> Notification {
        let changed_at = Instant(0).after(Duration::from_secs(seconds));
        Notification { alert: alert.into(), body: body.into(), changed_at }
    }

    /// The bodies that are taken one after the other.
    fn taken(queue: &NotificationQueue, seconds: u64) -> Vec<String> {
        let now = Instant(0).after(Duration::from_secs(seconds));
        std::iter::from_fn(|| queue.take(now).0).map(|notification| notification.body).collect()
    }

    /// Those superseded, and those lost.
    fn gone(figures: &NotificationFigures) -> [u64; 2] {
        let counts = figures.counts();
        ["superseded", "lost"].map(|result| counts.iter().find(|(name, _)| *name == result).unwrap().1)
    }

    #[test]
    fn of_each_alert_the_newest_state_waits_in_the_order_of_changes() {
        let (queue, figures) = queue();
        for (alert, body) in [("a", "a raised"), ("b", "b raised"), ("a", "a cleared"), ("c", "c raised")] {
            queue.push(news(alert, body, 0));
        }
        assert_eq!(taken(&queue, 1), ["b raised", "a cleared", "c raised"]);
        assert_eq!(gone(&figures), [1, 0]);
    }

    #[test]
    fn what_could_not_be_delivered_waits_behind_the_others_unless_it_is_past() {
        let (queue, figures) = queue();
        queue.push(news("a", "a raised", 0));
        queue.push(news("b", "b raised", 0));
        let first = queue.take(Instant(0)).0.unwrap();
        queue.give_back(first);
        assert_eq!(taken(&queue, 1), ["b raised", "a raised"]);
        queue.push(news("a", "a raised again", 0));
        let first = queue.take(Instant(0)).0.unwrap();
        queue.push(news("a", "a cleared", 0));
        queue.give_back(first);
        assert_eq!(taken(&queue, 1), ["a cleared"]);
        assert_eq!(gone(&figures), [1, 0]);
    }

    #[test]
    fn what_waits_for_too_long_is_lost() {
        let (queue, figures) = queue();
        for (alert, body, seconds) in [("a", "a raised", 1), ("b", "b raised", 10), ("c", "c raised", 0)] {
            queue.push(news(alert, body, seconds));
        }
        let (next, lost) = queue.take(Instant(0).after(PATIENCE + Duration::from_secs(1)));
        let lost: Vec<&str> = lost.iter().map(|notification| &*notification.body).collect();
        assert_eq!((next.unwrap().body, lost), ("b raised".into(), vec!["a raised", "c raised"]));
        assert_eq!(gone(&figures), [0, 2]);
    }
}
