//! Logs without members, in the order in which they make room for others.

use alloc::collections::BTreeSet;

/// Logs without members by when they were last left or published to: idle longest first.
#[derive(Clone, Debug, Default)]
pub(super) struct Idle {
    order: BTreeSet<(u64, u32)>,
}

impl Idle {
    /// Moves a log. `held` is where the log keeps what the order holds for it; a log with members is in no place.
    pub fn set(&mut self, log: u32, held: &mut Option<u64>, to: Option<u64>) {
        if *held == to {
            return;
        }
        if let Some(since) = held {
            assert!(self.order.remove(&(*since, log)), "G3: an idle log is in its place");
        }
        if let Some(since) = to {
            self.order.insert((since, log));
        }
        *held = to;
    }

    /// The log that has been idle for the longest.
    pub fn oldest(&self) -> Option<u32> {
        self.order.first().map(|(_, log)| *log)
    }

    /// Whether this log has this place.
    pub fn holds(&self, log: u32, since: u64) -> bool {
        self.order.contains(&(since, log))
    }

    /// How many logs are idle.
    pub fn len(&self) -> usize {
        self.order.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_been_idle_for_the_longest_goes_first() {
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
