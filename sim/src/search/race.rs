//! One of many words picked at each step, in proportion to their weights, while each word draws from a stream of its own:
//! a word that is added or taken away changes no other draw, and so no step but those that it wins.

use crate::rng::{Indexed, mixed};
use crate::world::action::Action;

/// The words that are picked from, each with its weight.
#[derive(Clone, Debug)]
pub struct Race(Vec<Word>);

#[derive(Clone, Copy, Debug)]
struct Word {
    kind: usize,
    weight: u64,
    draws: Indexed,
}

/// A word that was picked, by the number of its kind, and random bits for its arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pick {
    pub kind: usize,
    pub bits: u64,
}

impl Race {
    /// A race of the words that have a weight; races of different names draw independently.
    pub fn new(seed: u64, name: &str, weights: &[u64]) -> Self {
        let weighted = Action::WORDS.iter().zip(weights).enumerate().filter(|(_, (_, weight))| **weight > 0);
        let words = weighted.map(|(kind, (word, weight))| {
            let draws = Indexed::stream(seed, &format!("{name} {word}"));
            Word { kind, weight: *weight, draws }
        });
        Self(words.collect())
    }

    /// Each word waits for a time that is drawn at this step and shorter in proportion to its weight: the first to come
    /// is picked. None is where no word has a weight.
    pub fn pick(&self, step: u64) -> Option<Pick> {
        let mut first: Option<(Word, u64, u64)> = None;
        for word in &self.0 {
            let draw = word.draws.at(step);
            // Times are compared as fractions, by their cross products.
            let is_first = |time: u64| first.is_none_or(|(other, least, _)| time * other.weight < least * word.weight);
            // Most come later even by a time that is too short, which spares the logarithm.
            if is_first(no_longer_than(draw)) && is_first(waiting_time(draw)) {
                first = Some((*word, waiting_time(draw), draw));
            }
        }
        first.map(|(word, _, draw)| Pick { kind: word.kind, bits: mixed(draw) })
    }
}

/// Bits of a waiting time behind the point.
const PRECISION: u32 = 24;

/// How long an event is waited for that comes at a constant rate, as 64 random bits have it: the negative binary logarithm
/// of a fraction, computed bit by bit in integers, so that it is the same on every platform. More than 0 and at most 64.
fn waiting_time(draw: u64) -> u64 {
    let draw = draw | 1;
    let zeros = draw.leading_zeros();
    // From 1 to 2, with 31 bits behind the point.
    let mut mantissa = (draw << zeros) >> 32;
    let mut logarithm = 0;
    for _ in 0..PRECISION {
        mantissa = (mantissa * mantissa) >> 31;
        let is_two = mantissa >> 32;
        logarithm = logarithm << 1 | is_two;
        mantissa >>= is_two;
    }
    (u64::from(zeros + 1) << PRECISION) - logarithm
}

/// A number that is not above the waiting time: `1 - x` is not above the negative logarithm of `x`.
fn no_longer_than(draw: u64) -> u64 {
    !draw >> (64 - PRECISION)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUNS: u64 = 200;
    const STEPS: u64 = 500;

    fn picks(seed: u64, weights: &[u64]) -> Vec<Option<Pick>> {
        let race = Race::new(seed, "test", weights);
        (0..STEPS).map(|step| race.pick(step)).collect()
    }

    #[test]
    fn words_are_picked_in_proportion_to_their_weights() {
        let weights = [1, 0, 9, 30, 60];
        let mut counts = [0_u64; 5];
        for pick in (0..RUNS).flat_map(|seed| picks(seed, &weights)) {
            counts[pick.expect("there are words").kind] += 1;
        }
        let total = RUNS * STEPS;
        for (weight, count) in weights.iter().zip(counts) {
            let expected = weight * total / 100;
            // Five standard deviations.
            let most = 5 * expected.isqrt();
            assert!(count.abs_diff(expected) <= most, "{counts:?} of {total} for {weights:?}");
        }
    }

    #[test]
    fn adding_an_action_changes_only_the_steps_that_it_takes() {
        for seed in 0..RUNS {
            let (with, without) = (picks(seed, &[20, 10, 30, 5]), picks(seed, &[20, 0, 30, 5]));
            let others = with.iter().zip(&without).filter(|(pick, _)| pick.is_some_and(|pick| pick.kind != 1));
            let others: Vec<_> = others.collect();
            assert!(others.iter().all(|(with, without)| with == without), "seed {seed}");
            assert!(others.len() < with.len(), "it wins some steps");
        }
    }

    #[test]
    fn no_word_is_picked_where_none_has_a_weight() {
        assert_eq!(Race::new(1, "test", &[0, 0]).pick(0), None);
    }

    #[test]
    fn a_waiting_time_is_a_logarithm_and_never_shorter_than_its_bound() {
        assert_eq!(waiting_time(1 << 63), 1 << PRECISION);
        assert_eq!(waiting_time(1), 64 << PRECISION);
        assert_eq!(waiting_time(u64::MAX), 1);
        // The binary logarithm of 3/4 is -0.41504.
        assert_eq!((waiting_time(3 << 62) * 100_000) >> PRECISION, 41_503);
        let stream = Indexed::stream(1, "test");
        for draw in (0..10_000).map(|place| stream.at(place)) {
            assert!(no_longer_than(draw) <= waiting_time(draw), "{draw}");
        }
    }
}
