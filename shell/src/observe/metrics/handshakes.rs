//! Counts of TLS handshakes, by result.

use std::cell::Cell;

/// The result of a handshake, as it is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HandshakeResult {
    /// It led to a session.
    Done,
    /// The client spoke no TLS, or none that the server does.
    Failed,
    /// It was not complete within `request_timeout`.
    TimedOut,
    /// Another limit ended it.
    Refused,
    /// The client went away.
    Gone,
}

/// The values of the label, in the order of the results.
const RESULTS: [&str; 5] = ["done", "failed", "timed_out", "refused", "gone"];

/// The handshakes of a shard. As those of the core, these counts begin anew where an invariant broke.
#[derive(Debug, Default)]
pub(crate) struct HandshakeFigures([Cell<u64>; RESULTS.len()]);

impl HandshakeFigures {
    /// Counts a handshake that is over.
    pub(crate) fn count(&self, result: HandshakeResult) {
        let count = &self.0[result as usize];
        count.set(count.get() + 1);
    }

    /// The counts, by result.
    pub(super) fn counts(&self) -> impl Iterator<Item = (&'static str, u64)> {
        RESULTS.into_iter().zip(self.0.iter().map(Cell::get))
    }
}
