//! Calls that look at every room or every connection: how far each has come, and what it has found.

use super::gather::Caller;
use crate::api::Page;
use crate::glob::Glob;
use crate::ids::ClientId;
use crate::names::{RoomName, UserId};
use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;

/// A call that is looking.
#[derive(Clone, Debug, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub(super) struct Walk {
    pub caller: Caller,
    pub over: WalkOver,
    /// The place that is looked at next.
    pub at: usize,
}

#[derive(Clone, Debug, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub(super) enum WalkOver {
    Rooms { pattern: Option<Glob>, after: Option<String>, found: Found<RoomName> },
    Connections { user: Option<UserId>, channel: Option<RoomName>, after: Option<ClientId>, found: Found<ClientId> },
}

/// Places that one step looks at, where that is all there is to do.
pub(super) const PLACES_PER_STEP: usize = 1_000;

/// Compared characters that take as long as a place.
pub(super) const COMPARED_PER_PLACE: usize = 50;

impl Walk {
    /// Through the rooms that have members.
    pub fn rooms(caller: Caller, pattern: Option<String>, page: Page<String>) -> Self {
        let over =
            WalkOver::Rooms { pattern: pattern.map(Glob::new), after: page.after, found: Found::new(page.limit) };
        Self { caller, over, at: 0 }
    }

    /// Through the connections that have said who they are.
    pub fn connections(caller: Caller, user: Option<UserId>, channel: Option<RoomName>, page: Page<ClientId>) -> Self {
        let over = WalkOver::Connections { user, channel, after: page.after, found: Found::new(page.limit) };
        Self { caller, over, at: 0 }
    }
}

/// The keys that a walk has found, for one part of a list.
#[derive(Clone, Debug, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
#[cfg_attr(feature = "replay", serde(bound(deserialize = "K: Ord + serde::Deserialize<'de>")))]
pub(super) struct Found<K> {
    limit: Option<usize>,
    /// The first in order; where there is a limit, one more than that, which tells that there are more.
    keys: BTreeSet<K>,
    /// Their bytes in an answer; 0 where there is a limit, since it is not known yet which of them are in it.
    pub bytes: usize,
}

impl<K: Ord + Clone> Found<K> {
    pub fn new(limit: Option<usize>) -> Self {
        Self { limit, keys: BTreeSet::new(), bytes: 0 }
    }

    pub fn add(&mut self, key: &K, bytes: usize) {
        let Some(limit) = self.limit else {
            if self.keys.insert(key.clone()) {
                self.bytes += bytes;
            }
            return;
        };
        if self.keys.len() > limit && self.keys.last().is_some_and(|last| key > last) {
            return;
        }
        self.keys.insert(key.clone());
        if self.keys.len() > limit + 1 {
            self.keys.pop_last();
        }
    }

    /// The keys in order, and where the next part begins, if there is one.
    pub fn part(mut self) -> (Vec<K>, Option<K>) {
        let has_more = self.limit.is_some_and(|limit| self.keys.len() > limit);
        if has_more {
            self.keys.pop_last();
        }
        let next = self.keys.last().filter(|_| has_more).cloned();
        (self.keys.into_iter().collect(), next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    #[test]
    fn successive_parts_of_a_list_have_each_item_once() {
        let part = |limit, after| {
            let mut found = Found::new(limit);
            [5, 3, 9, 1, 7].iter().filter(|key| **key > after).for_each(|key| found.add(key, 1));
            found.part()
        };
        assert_eq!(part(Some(2), 0), (vec![1, 3], Some(3)));
        assert_eq!(part(Some(2), 3), (vec![5, 7], Some(7)));
        assert_eq!(part(Some(2), 7), (vec![9], None));
        assert_eq!(part(Some(5), 0), (vec![1, 3, 5, 7, 9], None), "exactly as many");
        assert_eq!(part(None, 4), (vec![5, 7, 9], None));
    }
}
