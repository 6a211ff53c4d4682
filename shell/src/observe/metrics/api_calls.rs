//! Counts of API calls, by method and result, and how long they take.

use super::histogram::Histogram;
use parlor_core::api::Reply;
use parlor_core::api::json::METHODS;
use parlor_core::error::Error;
use std::cell::RefCell;
use std::time::Duration;

/// The results of a call, as a label has them: it was done, it was refused with an error, or an invariant broke meanwhile and
/// nobody knows.
const RESULTS: [&str; 3] = ["done", "refused", "unknown"];

/// The calls of a shard. As those of the core, these counts begin anew where an invariant broke.
#[derive(Debug)]
pub(crate) struct ApiCallFigures {
    /// One row for each of [`METHODS`], one column for each of [`RESULTS`].
    counts: RefCell<Vec<[u64; RESULTS.len()]>>,
    /// Calls that only read.
    reads: Histogram,
    /// Calls that may change something.
    writes: Histogram,
}

impl Default for ApiCallFigures {
    fn default() -> Self {
        let counts = RefCell::new(vec![[0; RESULTS.len()]; METHODS.len()]);
        Self { counts, reads: Histogram::default(), writes: Histogram::default() }
    }
}

impl ApiCallFigures {
    /// Counts a call that is over. A method that does not exist counts nowhere.
    pub(crate) fn count(&self, method: &str, result: Option<&Result<Reply, Error>>) {
        let Some(at) = METHODS.iter().position(|known| known.name == method) else { return };
        let result = match result {
            Some(Ok(_)) => 0,
            Some(Err(_)) => 1,
            None => 2,
        };
        self.counts.borrow_mut()[at][result] += 1;
    }

    /// Counts the time from when a call was understood until its answer was there.
    pub(crate) fn took(&self, only_reads: bool, time: Duration) {
        let class = if only_reads { &self.reads } else { &self.writes };
        class.observe(time.as_secs_f64());
    }

    /// The counts, by method and result.
    pub(super) fn counts(&self) -> Vec<(&'static str, &'static str, u64)> {
        let counts = self.counts.borrow();
        let rows = METHODS.iter().zip(counts.iter());
        rows.flat_map(|(method, row)| RESULTS.iter().zip(row).map(|(result, count)| (method.name, *result, *count)))
            .collect()
    }

    /// The times, by class.
    pub(super) fn times(&self) -> [(&'static str, &Histogram); 2] {
        [("read", &self.reads), ("write", &self.writes)]
    }
}
