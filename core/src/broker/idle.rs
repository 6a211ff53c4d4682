//! Logs without members, in the order in which they make room for others.

use alloc::collections::BTreeSet;

/// The place of one log in the order: when it was last left or published to, and whether it retains anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub since: u64,
    pub retains: bool,
}

/// Logs without members, idle longest first.
#[derive(Clone, Debug, Default)]
pub(super) struct Idle {
    /// Those that retain something: bytes are to be had from no others.
    retaining: BTreeSet<(u64, u32)>,
    empty: BTreeSet<(u64, u32)>,
}

impl Idle {
    /// Moves a log. `held` is where the log keeps what the order holds for it; a log with members is in no place.
    pub fn set(&mut self, log: u32, held: &mut Option<Place>, to: Option<Place>) {
        if *held == to {
            return;
        }
        if let Some(place) = held {
            assert!(self.of(place.retains).remove(&(place.since, log)), "G3: an idle log is in its place");
        }
        if let Some(place) = to {
            self.of(place.retains).insert((place.since, log));
        }
        *held = to;
    }

    /// The log that has been idle for the longest.
    pub fn oldest(&self) -> Option<u32> {
        self.retaining.first().into_iter().chain(self.empty.first()).min().map(|(_, log)| *log)
    }

    /// The same of those that retain something, but for one.
    pub fn oldest_retaining(&self, but: Option<u32>) -> Option<u32> {
        self.retaining.iter().map(|(_, log)| *log).find(|log| Some(*log) != but)
    }

    /// Whether this log has this place.
    pub fn holds(&self, log: u32, place: Place) -> bool {
        let set = if place.retains { &self.retaining } else { &self.empty };
        set.contains(&(place.since, log))
    }

    /// How many logs are idle.
    pub fn len(&self) -> usize {
        self.retaining.len() + self.empty.len()
    }

    fn of(&mut self, retains: bool) -> &mut BTreeSet<(u64, u32)> {
        if retains { &mut self.retaining } else { &mut self.empty }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_been_idle_for_the_longest_goes_first() {
        let mut idle = Idle::default();
        let mut held = [None; 3];
        for (log, since, retains) in [(0, 3, true), (1, 1, false), (2, 2, true)] {
            idle.set(log, &mut held[log as usize], Some(Place { since, retains }));
        }
        assert_eq!((idle.oldest(), idle.oldest_retaining(None), idle.len()), (Some(1), Some(2), 3));
        assert_eq!(idle.oldest_retaining(Some(2)), Some(0));
        idle.set(1, &mut held[1], None);
        assert_eq!((idle.oldest(), idle.len(), held[1]), (Some(2), 2, None));
        idle.set(2, &mut held[2], Some(Place { since: 2, retains: false }));
        assert_eq!((idle.oldest(), idle.oldest_retaining(None)), (Some(2), Some(0)));
        assert!(idle.holds(0, Place { since: 3, retains: true }) && !idle.holds(0, Place { since: 3, retains: false }));
    }
}
