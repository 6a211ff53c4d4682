//! Where the documents leave the subject free and nothing of what it puts out tells which way it has gone, the oracle goes
//! every way there is: what came of a turn is right where one of them leads to it.

use super::judge::Outcome;
use super::{Call, Oracle, Stimulus};
use crate::guarantees::Failure;

/// How the open questions of a turn are answered, one after the other; with no where there is no answer yet.
#[derive(Clone, Debug, Default)]
pub(super) struct Ways {
    answers: Vec<bool>,
    asked: usize,
}

/// So many ways are gone at most: each of the frames of a turn can be the one that does not fit.
const MOST_WAYS: usize = 1000;

/// Whether a question can come up: words that the oracle does not know are told to whoever says something or has its token
/// looked at, and how long a token is good may take one digit or two.
fn may_be_open(stimulus: &Stimulus<'_>, is_waiting: impl Fn(usize) -> bool) -> bool {
    match stimulus {
        Stimulus::Text(..)
        | Stimulus::Decided(..)
        | Stimulus::Upgraded(_)
        | Stimulus::Call(Call::Renew(..) | Call::Some(..) | Call::Batch(_)) => true,
        Stimulus::Flushed(client, _) => is_waiting(*client),
        _ => false,
    }
}

impl Ways {
    /// The answer to the next question.
    pub fn ask(&mut self) -> bool {
        if self.asked == self.answers.len() {
            self.answers.push(false);
        }
        self.asked += 1;
        self.answers[self.asked - 1]
    }

    /// The way that is gone after this one: the last no becomes a yes.
    fn next(mut self) -> Option<Self> {
        while self.answers.pop()? {}
        self.answers.push(true);
        Some(Self { asked: 0, ..self })
    }
}

impl Oracle {
    /// Works out what must come of one input, and compares it with what has.
    ///
    /// # Errors
    /// The first difference, on the way that is gone first.
    pub fn turn(&mut self, stimulus: &Stimulus<'_>, outcome: &Outcome<'_>) -> Result<(), Failure> {
        let has_more = |conn: &super::Conn| !conn.waiting.is_empty() || !conn.entering.is_empty();
        let is_waiting = |client: usize| self.conns[client].as_ref().is_some_and(has_more);
        let before = may_be_open(stimulus, is_waiting).then(|| self.clone());
        let judgement = self.go(stimulus, outcome);
        let mut way = std::mem::take(&mut self.ways);
        let Some(before) = before.filter(|_| judgement.is_err()) else { return judgement };
        for _ in 0..MOST_WAYS {
            let Some(next) = way.next() else { break };
            let mut other = Self { ways: next, ..before.clone() };
            if other.go(stimulus, outcome).is_ok() {
                *self = Self { ways: Ways::default(), ..other };
                return Ok(());
            }
            way = other.ways;
        }
        judgement
    }

    fn go(&mut self, stimulus: &Stimulus<'_>, outcome: &Outcome<'_>) -> Result<(), Failure> {
        self.told = self.told_in(outcome);
        self.foresee(stimulus);
        self.judge(outcome)
    }

    /// Whether something is more than this, which is open where it is somewhere between two sizes.
    pub(super) fn exceeds(&mut self, (least, most): (usize, usize), limit: usize) -> bool {
        least > limit || (most > limit && self.ways.ask())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_is_gone_once() {
        let mut gone = Vec::new();
        let mut way = Some(Ways::default());
        while let Some(mut ways) = way {
            // A second question comes up only where the first is answered with no.
            gone.push(if ways.ask() { vec![true] } else { vec![false, ways.ask()] });
            way = ways.next();
        }
        assert_eq!(gone, [vec![false, false], vec![false, true], vec![true]]);
    }
}
