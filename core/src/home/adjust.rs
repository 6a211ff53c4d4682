//! The way of a home from one configuration to the next: what its logs retain is brought within it, a little in each turn.

use super::{Home, index};
use crate::config::Config;
use crate::limits::Limits;

impl Home {
    /// Begins to bring the logs within another configuration. Those that are made meanwhile are within it.
    pub fn reconfigure(&mut self, before: &Limits, config: &Config) {
        self.bounds.widen(before, &config.limits);
        let end = self.logs.iter().next_back().map_or(0, |(at, _)| at + 1);
        self.unadjusted = Some(0..end);
    }

    /// Returns `true` while logs may not be within the configuration.
    pub fn is_unadjusted(&self) -> bool {
        self.unadjusted.is_some()
    }

    /// Brings the next log within the configuration: what it retains, and when that or the log itself is dropped, which is for
    /// a tick to do. Once all of them are, drops one publication of the fullest log above `history_bytes`. Returns the number of publications and logs
    /// that it has looked at; `None` when nothing is left to do.
    pub fn adjust_next(&mut self, config: &Config) -> Option<usize> {
        if let Some(at) = self.unadjusted.as_mut()?.next() {
            let Some(log) = self.logs.get_mut(at) else { return Some(1) };
            let dropped = log.drop_above(config.policy(&log.name), &config.limits, &mut self.charges);
            self.update_fullness(index(at));
            self.arm(index(at), config);
            return Some(1 + dropped);
        }
        if self.bytes() > config.limits.history_bytes {
            let fullest = self.fullness.fullest().expect("retained bytes belong to a log");
            self.logs[fullest as usize].drop_oldest(&mut self.charges);
            self.evictions.history_bytes += 1;
            self.update_fullness(fullest);
            self.arm(fullest, config);
            return Some(1);
        }
        self.unadjusted = None;
        None
    }
}
