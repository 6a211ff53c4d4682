//! The fetcher of the keys of `token_jwks`: a thread of its own, so that neither names, nor TLS, nor a large set delay a shard.
//!
//! It fetches at the start and every ten minutes. Where a token wants a key that is not there, it fetches at once, for all
//! tokens that wait, unless the last fetch began less than thirty seconds ago. The keys stay until a fetch succeeds.

use super::backoff::Backoff;
use super::clock::Clock;
use crate::auth::{FetchedKeys, JwkSet, KeyFeed, KeySource, TokenKey};
use crate::net::http_client;
use crate::net::http_url::HttpUrl;
use crate::observe::log;
use parlor_core::Instant;
use std::future::ready;
use std::io;
use std::thread;
use std::time::Duration;
use tokio::runtime;
use tokio::sync::watch;
use tokio::time::sleep;
use tracing::{info, warn};

/// The bytes of a set, at most.
pub const JWKS_BYTES: usize = 64 << 10;

/// The times of fetches.
#[derive(Clone, Copy, Debug)]
pub struct JwksTimes {
    /// Time from a fetch that succeeded to the next one.
    pub interval: Duration,
    /// Least time between the beginnings of two fetches of which the second is for a token, and time from a fetch that
    /// failed to the next one where there are keys.
    pub least: Duration,
    /// Time for one fetch, at most.
    pub timeout: Duration,
}

impl Default for JwksTimes {
    fn default() -> Self {
        let [interval, least, timeout] = [10 * 60, 30, 5].map(Duration::from_secs);
        Self { interval, least, timeout }
    }
}

struct KeyFetcher {
    url: HttpUrl,
    times: JwksTimes,
    feed: KeyFeed,
    clock: Clock,
    /// The time at which the last fetch began.
    began: Instant,
    /// The pause after a failure while there are no keys.
    backoff: Backoff,
}

/// Starts the thread. It ends when the server is told to stop.
///
/// # Errors
/// The error of the system, where it gives no thread or no runtime.
pub(crate) fn start(url: HttpUrl, times: JwksTimes, mut stop: watch::Receiver<bool>) -> io::Result<KeySource> {
    let (source, feed) = KeySource::new();
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    thread::Builder::new().name("jwks".into()).spawn(move || {
        let clock = Clock::new();
        let fetcher = KeyFetcher { url, times, feed, clock, began: Instant(0), backoff: Backoff::default() };
        runtime.block_on(async {
            tokio::select! {
                // An error means that the server is gone.
                _ = stop.wait_for(|stop| *stop) => {}
                () = fetcher.run() => {}
            }
        });
        // A name that is still being looked up does not hold up the end.
        runtime.shutdown_background();
    })?;
    Ok(source)
}

impl KeyFetcher {
    /// Fetches again and again.
    async fn run(mut self) {
        loop {
            let pause = self.fetch().await;
            self.rest(pause).await;
        }
    }

    /// Fetches once. Returns the pause before the next time.
    async fn fetch(&mut self) -> Duration {
        self.began = self.clock.now().mono;
        let body = http_client::get(&self.url, JWKS_BYTES, self.times.timeout).await;
        // Tokens that wanted a key meanwhile are answered by this fetch.
        tokio::select! {
            biased;
            () = self.feed.wanted.notified() => {}
            () = ready(()) => {}
        }
        match body.and_then(|body| JwkSet::read(&body)) {
            Ok(set) => {
                self.succeeded(set);
                self.times.interval
            }
            Err(why) => self.failed(why),
        }
    }

    fn succeeded(&mut self, JwkSet { keys, skipped }: JwkSet) {
        let kids = |keys: &[TokenKey]| keys.iter().map(|key| key.kid().map(String::from)).collect::<Vec<_>>();
        let is_new = {
            let before = self.feed.fetched.borrow();
            before.error.is_some() || before.keys.as_ref().is_none_or(|before| kids(before) != kids(&keys))
        };
        if is_new {
            info!(target: log::AUTH, url = %self.url, keys = keys.len(), skipped, "token_jwks: keys were fetched");
        }
        let fetched_at = self.clock.now().unix_ms / 1000;
        self.feed.fetched.send_modify(|fetched| {
            let (successes, failures) = (fetched.successes + 1, fetched.failures);
            let keys = Some(keys.into());
            *fetched = FetchedKeys { keys, fetched_at, successes, failures, error: None, is_final: true };
        });
    }

    fn failed(&mut self, why: String) -> Duration {
        let has_keys = self.feed.fetched.borrow().keys.is_some();
        let pause = if has_keys { self.times.least } else { self.backoff.after(Duration::ZERO).min(self.times.least) };
        let effect = if has_keys { "those fetched before stay in use" } else { "there are none yet" };
        warn!(target: log::AUTH, "token_jwks: {} {why}; {effect}, and the next attempt is in {pause:?}", self.url);
        self.feed.fetched.send_modify(|fetched| {
            fetched.failures += 1;
            fetched.error = Some(why);
            fetched.is_final = false;
        });
        pause
    }

    /// Waits until the pause is over, or until a token wants a key and may have a fetch.
    async fn rest(&self, pause: Duration) {
        let pause = sleep(pause);
        tokio::pin!(pause);
        loop {
            tokio::select! {
                biased;
                () = &mut pause => return,
                () = self.feed.wanted.notified() => {
                    if self.clock.now().mono.since(self.began) >= self.times.least {
                        return;
                    }
                    self.feed.fetched.send_modify(|fetched| fetched.is_final = false);
                }
            }
        }
    }
}
