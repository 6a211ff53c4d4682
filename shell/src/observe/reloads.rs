//! The last time that files were read again, and what came of it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// The parts of what is read again while the server runs.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ReloadPart {
    /// The certificate and its key, which are looked at from time to time, too.
    Certificate,
    /// The settings.
    Settings,
}

/// The state of what is read again while the server runs.
#[derive(Debug)]
pub(crate) struct Reloads {
    /// Whether each part could be used when it was last looked at.
    is_good: [AtomicBool; 2],
    /// The time at which what is in use was read, in milliseconds since 1970.
    read_at: AtomicU64,
    replaced: AtomicU64,
    failed: AtomicU64,
}

impl Reloads {
    /// The state of a server that has read everything now, in milliseconds since 1970.
    pub(crate) fn new(unix_ms: u64) -> Self {
        let zero = AtomicU64::default;
        Self {
            is_good: [true, true].map(AtomicBool::new),
            read_at: AtomicU64::new(unix_ms),
            replaced: zero(),
            failed: zero(),
        }
    }

    /// Notes that a part is what is in use.
    pub(crate) fn unchanged(&self, part: ReloadPart) {
        self.is_good[part as usize].store(true, Ordering::Relaxed);
    }

    /// Notes that what was read of a part is in use from now on, in milliseconds since 1970.
    pub(crate) fn replaced(&self, part: ReloadPart, unix_ms: u64) {
        self.is_good[part as usize].store(true, Ordering::Relaxed);
        self.read_at.store(unix_ms, Ordering::Relaxed);
        self.replaced.fetch_add(1, Ordering::Relaxed);
    }

    /// Notes that a part cannot be used. Looks that find the same again count once.
    pub(crate) fn failed(&self, part: ReloadPart) {
        if self.is_good[part as usize].swap(false, Ordering::Relaxed) {
            self.failed.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Whether each part could be used when it was last looked at.
    pub(crate) fn is_good(&self) -> bool {
        self.is_good.iter().all(|is_good| is_good.load(Ordering::Relaxed))
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
        reloads.failed(ReloadPart::Certificate);
        reloads.failed(ReloadPart::Certificate);
        assert_eq!((reloads.is_good(), reloads.read_at_seconds()), (false, 5.0));
        reloads.replaced(ReloadPart::Certificate, 7_500);
        assert_eq!((reloads.is_good(), reloads.read_at_seconds()), (true, 7.5));
        reloads.failed(ReloadPart::Settings);
        reloads.unchanged(ReloadPart::Certificate);
        assert!(!reloads.is_good(), "the certificate says nothing of the settings");
        reloads.unchanged(ReloadPart::Settings);
        assert!(reloads.is_good());
        assert_eq!(reloads.counts(), [("replaced", 1), ("failed", 2)]);
    }
}
