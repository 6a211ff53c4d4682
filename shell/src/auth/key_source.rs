//! Keys of tokens that are fetched while the server runs: what was fetched last, and the wish for a fetch.

use super::token_key::TokenKey;
use std::sync::Arc;
use tokio::sync::{Notify, watch};

/// The result of the fetches so far.
#[derive(Clone, Debug, Default)]
pub struct FetchedKeys {
    /// The keys of the last fetch that succeeded; `None` before the first one.
    pub keys: Option<Arc<[TokenKey]>>,
    /// The time of that fetch, in seconds since 1970; 0 before the first one.
    pub fetched_at: u64,
    /// Fetches that succeeded.
    pub successes: u64,
    /// Fetches that failed.
    pub failures: u64,
    /// The reason for which the last fetch failed; `None` where it succeeded.
    pub error: Option<String>,
    /// Whether a token whose key is not among these is refused for good: they have just been fetched. Otherwise the fetch
    /// failed, or there was one a moment ago.
    pub is_final: bool,
}

/// The reader of fetched keys, of which there may be any number.
#[derive(Clone, Debug)]
pub struct KeySource {
    fetched: watch::Receiver<FetchedKeys>,
    wanted: Arc<Notify>,
}

/// The other end: the fetcher's.
#[derive(Debug)]
pub struct KeyFeed {
    /// The state that every reader sees.
    pub fetched: watch::Sender<FetchedKeys>,
    /// Notified when a token wants a key that was not fetched. It is answered by a change of `fetched`, be it without keys.
    pub wanted: Arc<Notify>,
}

impl KeySource {
    /// Both ends, before the first fetch.
    #[must_use]
    pub fn new() -> (Self, KeyFeed) {
        let (sender, fetched) = watch::channel(FetchedKeys::default());
        let wanted = Arc::new(Notify::new());
        (Self { fetched, wanted: wanted.clone() }, KeyFeed { fetched: sender, wanted })
    }

    /// The present state.
    #[must_use]
    pub fn fetched(&self) -> watch::Ref<'_, FetchedKeys> {
        self.fetched.borrow()
    }

    /// Asks for a fetch. False where the fetcher has ended, so that there will be none.
    pub(crate) fn request(&self) -> bool {
        self.wanted.notify_one();
        self.fetched.has_changed().is_ok()
    }

    /// Waits until a fetch has ended, or was refused. False once the fetcher has ended.
    pub(crate) async fn changed(&mut self) -> bool {
        self.fetched.changed().await.is_ok()
    }
}
