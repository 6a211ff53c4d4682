//! The order of eviction of logs without members.

use alloc::collections::BTreeSet;

/// The logs without members, ordered by their last use: the least recently used is evicted first.
#[derive(Clone, Debug, Default, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub(super) struct Idle {
    order: BTreeSet<(u64, u32)>,
}

impl Idle {
    /// Moves a log to a position in the order, or out of it. `held` is the log's own record of its position, `None`
    /// while it has members. O(log n) in the idle logs.
    pub fn set(&mut self, log: u32, held: &mut Option<u64>, to: Option<u64>) {
        if *held == to {
            return;
        }
        if let Some(since) = held {
            assert!(self.order.remove(&(*since, log)), "G3: an idle log is in the order of eviction");
        }
        if let Some(since) = to {
            self.order.insert((since, log));
        }
        *held = to;
    }

    /// Returns the log that has been idle for the longest.
    pub fn oldest(&self) -> Option<u32> {
        self.order.first().map(|(_, log)| *log)
    }

    /// Returns `true` when this log is in the order at this position.
    pub fn holds(&self, log: u32, since: u64) -> bool {
        self.order.contains(&(since, log))
    }

    /// Returns the number of idle logs.
    pub fn len(&self) -> usize {
        self.order.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_that_is_idle_longest_is_evicted_first() {
        let mut idle = Idle::default();
        let mut held = [None; 3];
        for (log, since) in [(0, 3), (1, 1), (2, 2)] {
            idle.set(log, &mut held[log as usize], Some(since));
        }
        assert_eq!((idle.oldest(), idle.len()), (Some(1), 3));
        idle.set(1, &mut held[1], None);
        assert_eq!((idle.oldest(), idle.len(), held[1]), (Some(2), 2, None));
        idle.set(2, &mut held[2], Some(4));
        assert_eq!(idle.oldest(), Some(0));
        assert!(idle.holds(2, 4) && !idle.holds(2, 2));
    }
}
