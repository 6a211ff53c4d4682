//! The place of a receiver in a log: the rule by which it notices what has not reached it.

use crate::publication::{LogPosition, Publication};

/// The place of a receiver that is sent each publication of a log once it has joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub(crate) struct Follower(LogPosition);

/// The relation of a publication to the place of its receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sequence {
    /// It is the next one, or no log numbers it.
    Next,
    /// The receiver has had it.
    Repeat,
    /// Others before it have not come, or what the receiver had last is not in the log any more.
    Gap,
}

impl Follower {
    /// Creates a follower that has had everything up to this position.
    pub fn at(position: LogPosition) -> Self {
        Self(position)
    }

    /// Returns the position up to which it has had everything.
    pub fn position(self) -> LogPosition {
        self.0
    }

    /// Takes a publication. Its place changes only with the next one.
    pub fn step(&mut self, publication: &Publication) -> Sequence {
        let Publication { epoch, offset, prev, .. } = *publication;
        if offset == 0 {
            Sequence::Next
        } else if epoch != self.0.epoch {
            Sequence::Gap
        } else if prev == self.0.offset {
            self.0.offset = offset;
            Sequence::Next
        } else if offset <= self.0.offset {
            Sequence::Repeat
        } else {
            Sequence::Gap
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::draft;

    /// Returns the step of a follower that has had everything up to the offset 5 of the epoch 1.
    fn step(epoch: u64, prev: u64, offset: u64) -> (Sequence, u64) {
        let mut follower = Follower::at(LogPosition { epoch: 1, offset: 5 });
        let step = follower.step(&Publication { epoch, offset, prev, draft: draft("1") });
        (step, follower.position().offset)
    }

    #[test]
    fn a_publication_is_next_a_repeat_or_behind_a_gap() {
        assert_eq!(step(1, 5, 6), (Sequence::Next, 6));
        assert_eq!(step(1, 5, 900), (Sequence::Next, 900), "offsets are names, and may jump");
        assert_eq!(step(1, 4, 5), (Sequence::Repeat, 5));
        assert_eq!(step(1, 6, 7), (Sequence::Gap, 5), "6 has not come");
        assert_eq!(step(1, 4, 900), (Sequence::Gap, 5), "5 is not in the log any more");
        assert_eq!(step(2, 5, 6), (Sequence::Gap, 5), "it is another log");
        assert_eq!(step(0, 0, 0), (Sequence::Next, 5), "no log numbers it");
    }
}
