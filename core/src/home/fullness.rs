//! An index of logs by the bytes that they retain, exact to a factor of two, which finds the log to trim first.
//!
//! A log that retains 2^n to 2^(n+1) - 1 bytes is in bucket n. The fullest log is the one that has been in the highest
//! bucket for the longest. It retains more than half as much as any other log, and so more than half of the average.
//! Each operation takes constant time.

use alloc::boxed::Box;
use alloc::vec::Vec;

/// The number of buckets: one for each position of a number's highest bit.
const BUCKETS: usize = usize::BITS as usize;

/// The end of a list.
const NONE: u32 = u32::MAX;

/// The index: the logs that retain anything, in a list for each bucket.
#[derive(Clone, Debug, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub(super) struct Fullness {
    /// The first and the last log of each list; both are [`NONE`] for an empty list.
    #[serde(serialize_with = "crate::stored::list")]
    #[cfg_attr(feature = "replay", serde(deserialize_with = "crate::replayed::list"))]
    lists: Box<[(u32, u32); BUCKETS]>,
    /// The set of non-empty buckets, one bit each.
    taken: usize,
    /// The bucket and the neighbours of each log, by the number of the log.
    links: Vec<Links>,
}

/// The bucket of a log, `None` when it retains nothing, and its neighbours in that bucket's list.
#[derive(Clone, Copy, Debug, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
struct Links {
    bucket: Option<u8>,
    before: u32,
    after: u32,
}

impl Links {
    const UNLINKED: Self = Self { bucket: None, before: NONE, after: NONE };
}

impl Default for Fullness {
    fn default() -> Self {
        // A shard is moved as a whole, so its large parts are on the heap, and allocated before they are needed.
        Self { lists: Box::new([(NONE, NONE); BUCKETS]), taken: 0, links: Vec::with_capacity(BUCKETS) }
    }
}

impl Fullness {
    /// Sets the bytes that a log retains.
    pub fn set(&mut self, log: u32, bytes: usize) {
        let (bucket, at) = (bucket(bytes), log as usize);
        if at >= self.links.len() {
            self.links.resize(at + 1, Links::UNLINKED);
        }
        if self.links[at].bucket != bucket {
            self.unlink(log);
            bucket.into_iter().for_each(|bucket| self.append(log, bucket));
        }
    }

    /// Returns the fullest log; `None` when no log retains anything.
    pub fn fullest(&self) -> Option<u32> {
        let highest = self.taken.checked_ilog2()?;
        Some(self.lists[highest as usize].0)
    }

    /// Asserts that each of these logs is in the bucket of its bytes, and that no other log is in any. O(n) in the
    /// logs.
    pub fn audit(&self, logs: impl Iterator<Item = (u32, usize)>) {
        let mut holding = 0;
        for (log, bytes) in logs {
            let linked = self.links.get(log as usize).map_or(Links::UNLINKED, |linked| *linked);
            assert_eq!(linked.bucket, bucket(bytes), "G8: a log is in the bucket of its bytes");
            holding += usize::from(linked.bucket.is_some());
        }
        let mut listed = 0;
        for (bucket, (first, last)) in self.lists.iter().enumerate() {
            assert_eq!(*first != NONE, self.taken & (1 << bucket) != 0, "G8: non-empty buckets are marked");
            let (mut at, mut before) = (*first, NONE);
            while at != NONE {
                let linked = &self.links[at as usize];
                let is_right = linked.bucket.map(usize::from) == Some(bucket) && linked.before == before;
                assert!(
                    is_right && listed < holding,
                    "G3: the list of a bucket is linked both ways and holds only logs of that bucket"
                );
                listed += 1;
                (before, at) = (at, linked.after);
            }
            assert_eq!(*last, before, "G3: the list of a bucket has an end");
        }
        assert_eq!(listed, holding, "G8: a log that holds something is in a list");
    }

    fn unlink(&mut self, log: u32) {
        let Links { bucket: Some(bucket), before, after } = self.links[log as usize] else { return };
        let list = &mut self.lists[usize::from(bucket)];
        match self.links.get_mut(before as usize) {
            Some(linked) => linked.after = after,
            None => list.0 = after,
        }
        match self.links.get_mut(after as usize) {
            Some(linked) => linked.before = before,
            None => list.1 = before,
        }
        if list.0 == NONE {
            self.taken &= !(1 << bucket);
        }
        self.links[log as usize] = Links::UNLINKED;
    }

    fn append(&mut self, log: u32, bucket: u8) {
        let list = &mut self.lists[usize::from(bucket)];
        let before = list.1;
        list.1 = log;
        match self.links.get_mut(before as usize) {
            Some(linked) => linked.after = log,
            None => list.0 = log,
        }
        self.taken |= 1 << bucket;
        self.links[log as usize] = Links { bucket: Some(bucket), before, after: NONE };
    }
}

/// Returns the bucket for this many bytes; `None` for 0.
fn bucket(bytes: usize) -> Option<u8> {
    bytes.checked_ilog2().map(|bit| u8::try_from(bit).expect("a number has few bits"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::audit_finds;

    #[test]
    fn the_fullest_log_is_the_first_of_the_highest_bucket() {
        let mut fullness = Fullness::default();
        assert_eq!(fullness.fullest(), None);
        for (log, bytes, fullest) in [(0, 5, 0), (1, 7, 0), (2, 3, 0), (1, 8, 1), (3, 15, 1), (1, 12, 1), (1, 7, 3)] {
            fullness.set(log, bytes);
            assert_eq!(fullness.fullest(), Some(fullest), "{log} holds {bytes}");
        }
        let order: Vec<u32> = core::iter::from_fn(|| fullness.fullest().inspect(|log| fullness.set(*log, 0))).collect();
        assert_eq!(order, [3, 0, 1, 2], "1 came to the bucket of 0 after it");
        fullness.audit((0..4).map(|log| (log, 0)));
    }

    #[test]
    fn every_number_of_bytes_has_a_bucket() {
        let mut fullness = Fullness::default();
        fullness.set(0, usize::MAX);
        fullness.set(1, 1);
        fullness.audit([(0, usize::MAX), (1, 1)].into_iter());
        assert_eq!(fullness.fullest(), Some(0));
    }

    #[test]
    fn lists_stay_consistent_under_random_moves() {
        let (mut fullness, mut bytes, mut draw) = (Fullness::default(), [0; 9], 1_u64);
        for _ in 0..2000 {
            draw = draw.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let (log, held) = ((draw >> 33) as usize % 9, (draw >> 40) as usize % 20);
            bytes[log] = held;
            fullness.set(log as u32, held);
            fullness.audit((0..).zip(bytes));
            let most = bytes.iter().max().expect("nine of them");
            let fullest = fullness.fullest().map_or(0, |log| bytes[log as usize]);
            assert!(fullest * 2 > *most || *most == 0, "{fullest} of {bytes:?}");
        }
    }

    #[test]
    fn the_audit_reports_each_broken_invariant() {
        let make = || {
            let mut fullness = Fullness::default();
            [4, 5, 1].into_iter().zip(0..).for_each(|(bytes, log)| fullness.set(log, bytes));
            fullness
        };
        audit_finds(
            make,
            |fullness| fullness.audit([(0, 4), (1, 5), (2, 1), (7, 0)].into_iter()),
            &[
                ("G8: a log is in the bucket of its bytes", |fullness| fullness.set(0, 1)),
                ("G8: non-empty buckets are marked", |fullness| fullness.taken = 1),
                ("G3: the list of a bucket is linked both ways", |fullness| fullness.links[1].before = NONE),
                ("G3: the list of a bucket is linked both ways", |fullness| fullness.set(3, 1)),
                ("G3: the list of a bucket has an end", |fullness| fullness.lists[2].1 = 0),
                ("G8: a log that holds something is in a list", |fullness| {
                    (fullness.lists[2].1, fullness.links[0].after) = (0, NONE);
                }),
            ],
        );
    }
}
