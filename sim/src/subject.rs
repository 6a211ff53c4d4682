//! What is put to the test: the real machine, or another that claims to do the same.

use parlor_core::{Config, ConnId, Effect, Input, Instant, Now, Refused, Shard, Snapshot, Stats, Upgrade};

/// A room server without sockets.
pub trait Subject: Clone {
    /// One with nothing in it.
    fn new(config: Config, seed: [u8; 32]) -> Self;
    /// Takes in a connection.
    ///
    /// # Errors
    /// Why it does not.
    fn accept(&mut self, now: Now, request: Upgrade) -> Result<ConnId, Refused>;
    /// Handles one input to the end.
    fn handle(&mut self, now: Now, input: Input) -> Vec<Effect>;
    /// When a tick is next useful.
    fn poll_timeout(&self) -> Option<Instant>;
    /// The bytes that wait for a connection's socket; `None` when there are none or no such connection.
    fn pending(&self, conn: ConnId) -> Option<Vec<u8>>;
    /// Its state.
    fn snapshot(&self) -> Snapshot;
    /// Its counts.
    fn stats(&self) -> Stats;
    /// Panics when a guarantee does not hold in its own books.
    fn audit(&self);
}

impl Subject for Shard {
    fn new(config: Config, seed: [u8; 32]) -> Self {
        Self::new(config, seed)
    }

    fn accept(&mut self, now: Now, request: Upgrade) -> Result<ConnId, Refused> {
        self.accept(now, request)
    }

    fn handle(&mut self, now: Now, input: Input) -> Vec<Effect> {
        self.handle(now, input).collect()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.poll_timeout()
    }

    fn pending(&self, conn: ConnId) -> Option<Vec<u8>> {
        let pending = self.pending(conn)?;
        let mut bytes = Vec::with_capacity(pending.len());
        pending.slices().for_each(|slice| bytes.extend_from_slice(slice));
        Some(bytes)
    }

    fn snapshot(&self) -> Snapshot {
        self.snapshot()
    }

    fn stats(&self) -> Stats {
        self.stats()
    }

    fn audit(&self) {
        self.audit();
    }
}
