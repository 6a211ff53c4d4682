//! The last time that files were read again, and what came of it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// The state of what is read again while the server runs: today the certificate and its key.
#[derive(Debug)]
pub(crate) struct Reloads {
    /// Whether the files could be used when they were last looked at.
    is_good: AtomicBool,
    /// The time at which what is in use was read, in milliseconds since 1970.
    read_at: AtomicU64,
    replaced: AtomicU64,
    failed: AtomicU64,
}

impl Reloads {
    /// The state of a server that has read everything now, in milliseconds since 1970.
    pub(crate) fn new(unix_ms: u64) -> Self {
        let zero = AtomicU64::default;
        Self { is_good: AtomicBool::new(true), read_at: AtomicU64::new(unix_ms), replaced: zero(), failed: zero() }
    }

    /// Notes that the files are what is in use.
    pub(crate) fn unchanged(&self) {
        self.is_good.store(true, Ordering::Relaxed);
    }

    /// Notes that what the files hold is in use from now on, in milliseconds since 1970.
    pub(crate) fn replaced(&self, unix_ms: u64) {
        self.is_good.store(true, Ordering::Relaxed);
        self.read_at.store(unix_ms, Ordering::Relaxed);
        self.replaced.fetch_add(1, Ordering::Relaxed);
    }

    /// Notes that the files cannot be used. Looks that find the same again count once.
    pub(crate) fn failed(&self) {
        if self.is_good.swap(false, Ordering::Relaxed) {
            self.failed.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Whether the files could be used when they were last looked at.
    pub(crate) fn is_good(&self) -> bool {
        self.is_good.load(Ordering::Relaxed)
    }

    /// The time at which what is in use was read, in seconds since 1970.
    pub(crate) fn read_at_seconds(&self) -> f64 {
        self.read_at.load(Ordering::Relaxed) as f64 / 1000.0
    }

    /// The reloads, by result.
    pub(crate) fn counts(&self) -> [(&'static str, u64); 2] {
        [("replaced", self.replaced.load(Ordering::Relaxed)), ("failed", self.failed.load(Ordering::Relaxed))]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_stays_wrong_is_one_failure() {
        let reloads = Reloads::new(5_000);
        reloads.failed();
        reloads.failed();
        assert_eq!((reloads.is_good(), reloads.read_at_seconds()), (false, 5.0));
        reloads.replaced(7_500);
        assert_eq!((reloads.is_good(), reloads.read_at_seconds()), (true, 7.5));
        reloads.failed();
        reloads.unchanged();
        assert!(reloads.is_good());
        assert_eq!(reloads.counts(), [("replaced", 1), ("failed", 2)]);
    }
}
