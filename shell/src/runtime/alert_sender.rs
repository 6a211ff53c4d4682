//! The sender of notifications of alerts: a thread of its own, with a task for each URL, so that neither names, nor TLS, nor an
//! endpoint that is slow delay a shard, or each other.
//!
//! A notification that an endpoint does not take is tried again for an hour, with pauses that grow, after those of the other
//! alerts of that endpoint. One that the endpoint refuses for good (a 4xx) is lost.

use super::backoff::Backoff;
use super::clock::Clock;
use crate::config::AlertEntry;
use crate::net::http_client;
use crate::net::http_url::HttpUrl;
use crate::observe::alerts::deliveries::NotificationFigures;
use crate::observe::alerts::queue::{Notification, NotificationQueue};
use crate::observe::log;
use hyper::StatusCode;
use parlor_core::Instant;
use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Duration;
use tokio::runtime::{self, Handle};
use tokio::sync::watch;
use tokio::time::sleep;
use tracing::{debug, info, warn};

/// Time for one attempt, at most.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The senders of the URLs of alerts. They end when this is dropped.
#[derive(Debug)]
pub(crate) struct AlertSender {
    senders: Vec<UrlSender>,
    figures: Arc<NotificationFigures>,
    clock: Clock,
    /// The thread, once an alert has had a URL.
    thread: Option<SenderThread>,
}

/// The sender of one URL, as those see it who give it notifications.
#[derive(Debug)]
struct UrlSender {
    url: HttpUrl,
    queue: Arc<NotificationQueue>,
}

/// The thread, which ends when this is dropped.
#[derive(Debug)]
struct SenderThread {
    tasks: Handle,
    _lives: watch::Sender<()>,
}

/// The sender for one URL.
struct Endpoint {
    url: HttpUrl,
    queue: Arc<NotificationQueue>,
    figures: Arc<NotificationFigures>,
    clock: Clock,
    backoff: Backoff,
    /// Whether the last attempt failed.
    is_down: bool,
}

impl AlertSender {
    /// A sender without a URL.
    pub(crate) fn new(figures: Arc<NotificationFigures>, clock: Clock) -> Self {
        Self { senders: Vec::new(), figures, clock, thread: None }
    }

    /// Sends to the URLs of these alerts, too, from now on.
    ///
    /// # Errors
    /// The error of the system, where it gives no thread or no runtime.
    pub(crate) fn add(&mut self, entries: &[AlertEntry]) -> io::Result<()> {
        for url in urls(entries) {
            if self.queue(url).is_none() {
                let sender = self.start(url)?;
                self.senders.push(sender);
            }
        }
        Ok(())
    }

    /// Lets the senders of other URLs end, each once nothing waits for it.
    pub(crate) fn close_others(&mut self, entries: &[AlertEntry]) {
        let is_other = |sender: &mut UrlSender| urls(entries).all(|url| *url != sender.url);
        self.senders.extract_if(.., is_other).for_each(|UrlSender { queue, .. }| queue.close());
    }

    /// Starts the sender of a URL.
    fn start(&mut self, url: &HttpUrl) -> io::Result<UrlSender> {
        let queue = Arc::new(NotificationQueue::new(self.figures.clone()));
        let endpoint = Endpoint {
            url: url.clone(),
            queue: queue.clone(),
            figures: self.figures.clone(),
            clock: self.clock,
            backoff: Backoff::default(),
            is_down: false,
        };
        let thread = match self.thread.take() {
            Some(thread) => thread,
            None => SenderThread::start()?,
        };
        thread.tasks.spawn(endpoint.run());
        self.thread = Some(thread);
        Ok(UrlSender { url: url.clone(), queue })
    }

    /// The queue of a URL.
    pub(crate) fn queue(&self, url: &HttpUrl) -> Option<Arc<NotificationQueue>> {
        self.senders.iter().find(|known| known.url == *url).map(|known| known.queue.clone())
    }
}

/// The URLs of alerts.
fn urls(entries: &[AlertEntry]) -> impl Iterator<Item = &HttpUrl> {
    entries.iter().filter_map(|entry| Some(entry.url.as_ref()?.expose()))
}

impl SenderThread {
    fn start() -> io::Result<Self> {
        let (lives, mut ended) = watch::channel(());
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let tasks = runtime.handle().clone();
        thread::Builder::new().name("alerts".into()).spawn(move || {
            // Nothing is sent here: it ends with an error, once the other end is gone.
            let _ = runtime.block_on(ended.changed());
            // A name that is still being looked up does not hold up the end.
            runtime.shutdown_background();
        })?;
        Ok(Self { tasks, _lives: lives })
    }
}

impl Endpoint {
    /// Sends what is put into the queue, one after the other, until the queue is closed.
    async fn run(mut self) {
        loop {
            match self.next(self.clock.now().mono) {
                Some(notification) => self.send(notification).await,
                None if self.queue.is_closed() => return,
                None => self.queue.filled.notified().await,
            }
        }
    }

    /// The notification that is sent next. Tells the log of those that are given up.
    fn next(&self, now: Instant) -> Option<Notification> {
        let (next, lost) = self.queue.take(now);
        for Notification { alert, .. } in lost {
            let server = self.url.server();
            warn!(target: log::ALERTS, alert, %server, "a notification of an alert was not taken for an hour, and is given up");
        }
        next
    }

    /// Sends one notification once, and pauses where it was not taken.
    async fn send(&mut self, notification: Notification) {
        let body = notification.body.clone().into();
        match http_client::post(&self.url, body, TIMEOUT).await {
            Ok(status) if status.is_success() => self.sent(&notification),
            Ok(status) if is_refusal(status) => self.refused(&notification, status),
            Ok(status) => self.retry(notification, &format!("answered {status}")).await,
            Err(why) => self.retry(notification, &why).await,
        }
    }

    fn sent(&mut self, notification: &Notification) {
        let (alert, server) = (&*notification.alert, self.url.server());
        debug!(target: log::ALERTS, alert, %server, "a notification was sent");
        if self.is_down {
            info!(target: log::ALERTS, %server, "notifications of alerts are taken again");
        }
        self.figures.sent();
        (self.is_down, self.backoff) = (false, Backoff::default());
    }

    fn refused(&mut self, notification: &Notification, status: StatusCode) {
        let (alert, server) = (&*notification.alert, self.url.server());
        warn!(target: log::ALERTS, alert, %server, %status, "a notification of an alert was refused, and is not sent again");
        self.figures.failed();
        self.figures.lost();
        // It has answered: the next failure is a new one.
        (self.is_down, self.backoff) = (false, Backoff::default());
    }

    async fn retry(&mut self, notification: Notification, why: &str) {
        self.failed(&notification, why);
        self.queue.give_back(notification);
        sleep(self.backoff.after(Duration::ZERO)).await;
    }

    /// Tells the log of the first failure alone: it goes on until the endpoint takes or refuses one.
    fn failed(&mut self, notification: &Notification, why: &str) {
        let (alert, server) = (&*notification.alert, self.url.server());
        self.figures.failed();
        if self.is_down {
            debug!(target: log::ALERTS, alert, %server, why, "a notification could not be sent");
        } else {
            warn!(target: log::ALERTS, alert, %server, why, "a notification of an alert could not be sent; trying again for an hour");
        }
        self.is_down = true;
    }
}

/// Whether an endpoint will not take the same another time (RFC 9110 section 15.5), nor at another URL that it names.
fn is_refusal(status: StatusCode) -> bool {
    let may_pass = [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_MANY_REQUESTS].contains(&status);
    status.is_redirection() || (status.is_client_error() && !may_pass)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use tracing::subscriber::with_default;

    /// The lines that a notification of an endpoint leaves in the log.
    fn logged(act: impl FnOnce(&mut Endpoint, Notification)) -> String {
        let figures = Arc::<NotificationFigures>::default();
        let queue = Arc::new(NotificationQueue::new(figures.clone()));
        let url = "http://a.example/s3cret".parse().unwrap();
        let mut endpoint =
            Endpoint { url, queue, figures, clock: Clock::new(), backoff: Backoff::default(), is_down: false };
        let news = Notification { alert: "crowded".into(), body: String::new(), changed_at: Instant(0) };
        let (mut lines, writer) = io::pipe().unwrap();
        let log = tracing_subscriber::fmt().with_ansi(false).with_writer(Arc::new(writer)).finish();
        with_default(log, || act(&mut endpoint, news));
        let mut text = String::new();
        lines.read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn what_is_given_up_is_in_the_log() {
        let text = logged(|endpoint, news| {
            endpoint.queue.push(news);
            assert_eq!(endpoint.next(Instant(0).after(Duration::from_secs(3600))), None);
        });
        for part in [" WARN alerts: ", "is given up", "\"crowded\"", "http://a.example"] {
            assert!(text.contains(part), "{part} in {text}");
        }
        assert!(!text.contains("s3cret"), "{text}");
    }

    #[test]
    fn a_failure_after_a_refusal_is_a_new_one() {
        let text = logged(|endpoint, news| {
            endpoint.failed(&news, "answered 500");
            endpoint.failed(&news, "answered 500");
            endpoint.refused(&news, StatusCode::NOT_FOUND);
            endpoint.failed(&news, "answered 500");
        });
        assert_eq!(text.matches("trying again for an hour").count(), 2, "{text}");
    }

    #[test]
    fn what_may_pass_is_tried_again() {
        for (status, refused) in
            [(301, true), (400, true), (404, true), (408, false), (429, false), (500, false), (503, false)]
        {
            assert_eq!(is_refusal(StatusCode::from_u16(status).unwrap()), refused, "{status}");
        }
    }
}
