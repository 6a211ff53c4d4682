//! The answers to questions that are open in a turn: each combination of them is one alternative.

/// How the open questions of a turn are answered, one after the other; with no where there is no answer yet.
#[derive(Clone, Debug, Default)]
pub(super) struct Alternatives {
    pub(super) answers: Vec<bool>,
    pub(super) asked: usize,
}

impl Alternatives {
    /// The answer to the next question.
    pub fn ask(&mut self) -> bool {
        if self.asked == self.answers.len() {
            self.answers.push(false);
        }
        self.asked += 1;
        self.answers[self.asked - 1]
    }

    /// The way that is gone after this one: the last no becomes a yes.
    pub(super) fn next(mut self) -> Option<Self> {
        while self.answers.pop()? {}
        self.answers.push(true);
        Some(Self { asked: 0, ..self })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_alternative_is_tried_once() {
        let mut gone = Vec::new();
        let mut way = Some(Alternatives::default());
        while let Some(mut ways) = way {
            // A second question comes up only where the first is answered with no.
            gone.push(if ways.ask() { vec![true] } else { vec![false, ways.ask()] });
            way = ways.next();
        }
        assert_eq!(gone, [vec![false, false], vec![false, true], vec![true]]);
    }
}
