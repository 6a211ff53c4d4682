//! Counts of API calls, by method and result, and how long they take.

use super::histogram::Histogram;
use crate::http::server_methods::SERVER_METHODS;
use parlor_core::api::json::METHODS;
use parlor_core::error::{Error, ErrorCode};
use std::cell::RefCell;
use std::time::Duration;

/// The result of a call, as it is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CallResult {
    /// It was done.
    Done,
    /// The key is missing or wrong, or does not allow it.
    Denied,
    /// The call is wrong, too large, or more than a limit of its own allows.
    ClientError,
    /// The server could not take it, or lost what had to answer.
    ServerError,
    /// An invariant broke meanwhile, and nobody knows.
    Unknown,
}

/// The values of the label, in the order of the results.
const RESULTS: [&str; 5] = ["done", "denied", "client_error", "server_error", "unknown"];
/// The value of the label for all methods that do not exist.
const NO_METHOD: &str = "other";

/// The names of all methods.
fn names() -> impl Iterator<Item = &'static str> {
    METHODS.iter().map(|method| method.name).chain(SERVER_METHODS.iter().map(|method| method.name))
}

impl CallResult {
    /// The class of a result.
    pub(crate) fn of<T>(result: Option<&Result<T, Error>>) -> Self {
        match result {
            Some(Ok(_)) => Self::Done,
            Some(Err(Error { code: ErrorCode::Unauthorized | ErrorCode::PermissionDenied, .. })) => Self::Denied,
            Some(Err(error)) if error.code.http_status() >= 500 => Self::ServerError,
            Some(Err(_)) => Self::ClientError,
            None => Self::Unknown,
        }
    }
}

/// The calls of a shard. As those of the core, these counts begin anew where an invariant broke.
#[derive(Debug)]
pub(crate) struct ApiCallFigures {
    /// One row for each of [`names`] and one for all others, one column for each of [`RESULTS`].
    counts: RefCell<Vec<[u64; RESULTS.len()]>>,
    /// Calls that only read.
    reads: Histogram,
    /// Calls that may change something.
    writes: Histogram,
}

impl Default for ApiCallFigures {
    fn default() -> Self {
        let counts = RefCell::new(vec![[0; RESULTS.len()]; names().count() + 1]);
        Self { counts, reads: Histogram::default(), writes: Histogram::default() }
    }
}

impl ApiCallFigures {
    /// Counts a call that is over.
    pub(crate) fn count(&self, method: &str, result: CallResult) {
        let at = names().position(|known| known == method).unwrap_or_else(|| names().count());
        self.counts.borrow_mut()[at][result as usize] += 1;
    }

    /// Counts the time from when a call was understood until its answer was there.
    pub(crate) fn took(&self, only_reads: bool, time: Duration) {
        let class = if only_reads { &self.reads } else { &self.writes };
        class.observe(time.as_secs_f64());
    }

    /// The counts, by method and result.
    pub(super) fn counts(&self) -> Vec<(&'static str, &'static str, u64)> {
        let counts = self.counts.borrow();
        let rows = names().chain([NO_METHOD]).zip(counts.iter());
        rows.flat_map(|(method, row)| RESULTS.iter().zip(row).map(move |(result, count)| (method, *result, *count)))
            .collect()
    }

    /// The times, by class.
    pub(super) fn times(&self) -> [(&'static str, &Histogram); 2] {
        [("read", &self.reads), ("write", &self.writes)]
    }
}
