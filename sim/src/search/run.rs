//! Running a list of actions: once, or twice to compare (G9).

use crate::goals::Goals;
use crate::guarantees::{Failure, Guarantee};
use crate::subjects::subject::Subject;
use crate::world::World;
use crate::world::action::Action;
use crate::world::setup::Setup;
use crate::world::transcript::Transcript;

/// Result of a run.
#[derive(Clone, Debug)]
pub struct RunReport {
    /// The goals that it reached.
    pub goals: Goals,
    /// How many actions of each kind made sense.
    pub effective: Vec<u64>,
    /// Where it broke a guarantee, and which.
    pub failure: Option<(usize, Failure)>,
    /// The checkers that have noticed something, where that ends nothing.
    pub noticed: Vec<&'static str>,
    /// Whether the reference model foresaw each turn to the end.
    pub is_foreseen: bool,
    /// The virtual time that passed, in nanoseconds.
    pub clock: u64,
    transcript: Transcript,
}

/// Runs these actions, with every check.
#[must_use]
pub fn run<S: Subject>(setup: &Setup, actions: &[Action]) -> RunReport {
    run_in(World::<S>::recorded(setup, Transcript::digest()).checked(), actions)
}

fn run_in<S: Subject>(mut world: World<S>, actions: &[Action]) -> RunReport {
    let mut effective = vec![0; Action::WORDS.len()];
    let mut failure = None;
    for (at, action) in actions.iter().enumerate() {
        match world.act(action) {
            Ok(made_sense) => effective[action.kind()] += u64::from(made_sense),
            Err(broken) => {
                failure = Some((at, broken));
                break;
            }
        }
    }
    if failure.is_none() {
        failure = world.check_streams().err().map(|broken| (actions.len().saturating_sub(1), broken));
    }
    let (goals, noticed, clock, is_foreseen) = (world.goals(), world.noticed(), world.clock(), world.is_foreseen());
    RunReport { goals, effective, failure, noticed, is_foreseen, clock, transcript: world.into_transcript() }
}

/// Runs these actions twice and compares every effect: G9.
#[must_use]
pub fn run_twice<S: Subject>(setup: &Setup, actions: &[Action]) -> RunReport {
    let mut first = run::<S>(setup, actions);
    // What is equal was checked already.
    let second = run_in(World::<S>::recorded(setup, Transcript::digest()).unforeseen(), actions);
    if first.failure.is_none() && first.transcript != second.transcript {
        first.failure = Some((actions.len().saturating_sub(1), first_difference::<S>(setup, actions)));
    }
    first
}

fn first_difference<S: Subject>(setup: &Setup, actions: &[Action]) -> Failure {
    let world = || World::<S>::recorded(setup, Transcript::full()).unforeseen();
    let lines = || run_in(world(), actions).transcript.lines.unwrap_or_default();
    let (first, second) = (lines(), lines());
    let differ = first.iter().zip(&second).find(|(one, other)| one != other);
    match differ {
        Some((one, other)) => Failure::new(Guarantee::G9, one, other),
        None => Failure::new(Guarantee::G9, "equal transcripts", "two runs of which the third and fourth were equal"),
    }
}
