//! Durations counted in fixed buckets, so that those of several servers can be added.

use std::cell::Cell;
use std::iter::once;

/// The upper bounds of the buckets, in seconds; above the last one there is no bound.
const BOUNDS: [f64; 14] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// A histogram of durations.
#[derive(Debug, Default)]
pub(crate) struct Histogram {
    /// Durations at most as long as each bound and longer than the one before it; the last are longer than all.
    counts: [Cell<u64>; BOUNDS.len() + 1],
    sum: Cell<f64>,
}

impl Histogram {
    /// Counts a duration in seconds.
    pub(crate) fn observe(&self, seconds: f64) {
        let bucket = &self.counts[BOUNDS.partition_point(|bound| *bound < seconds)];
        bucket.set(bucket.get() + 1);
        self.sum.set(self.sum.get() + seconds);
    }

    /// Each bucket's upper bound, and the durations in it alone.
    pub(super) fn buckets(&self) -> impl Iterator<Item = (Option<f64>, u64)> {
        BOUNDS.iter().copied().map(Some).chain(once(None)).zip(self.counts.iter().map(Cell::get))
    }

    /// The sum of all durations.
    pub(super) fn sum(&self) -> f64 {
        self.sum.get()
    }
}
