//! The search for everything that can happen to two sites, with the properties judging every step.

use super::world::{EngineAction, EngineGoal, EngineSetup, EngineTimes, EngineWorld};
use crate::guarantees::{Failure, Guarantee};
use crate::search::canon::{StateKey, hashed};
use std::collections::BTreeSet;

impl EngineSetup {
    /// Two sites with a client each, and one that roams: two publications, a cut and a move.
    #[must_use]
    pub fn s1() -> Self {
        let times = EngineTimes { publishes: 2, cuts: 1, moves: 1, ..EngineTimes::default() };
        Self { times, attended: true, history: 2, answer: 2, copy: 1, defect: None }
    }

    /// The same with one publication.
    #[must_use]
    pub fn small() -> Self {
        Self::s1().with(|times| times.publishes = 1)
    }

    /// An engine that retains one entry, so that something is lost for who misses two.
    #[must_use]
    pub fn trimmed() -> Self {
        Self { history: 1, ..Self::s1().with(|times| times.moves = 0) }
    }

    /// The same, for a client that comes back too late.
    #[must_use]
    pub fn too_late() -> Self {
        Self { history: 1, ..Self::s1().with(|times| times.cuts = 0) }
    }

    /// An engine that retains nothing.
    #[must_use]
    pub fn unretained() -> Self {
        Self { history: 0, ..Self::small() }
    }

    /// An engine whose answers have one entry at most, or none for the other rooms that are asked for.
    #[must_use]
    pub fn bounded() -> Self {
        Self { answer: 1, ..Self::s1().with(|times| (times.moves, times.spent) = (0, 1)) }
    }

    /// Sites that nobody is at but the client that roams.
    #[must_use]
    pub fn unattended() -> Self {
        Self { attended: false, ..Self::small() }
    }

    /// An engine that loses the log.
    #[must_use]
    pub fn losing() -> Self {
        Self::small().with(|times| times.losses = 1)
    }

    /// An engine that refuses a request.
    #[must_use]
    pub fn refusing() -> Self {
        Self::small().with(|times| times.refusals = 1)
    }

    /// A publication that no log numbers beside one that has a place.
    #[must_use]
    pub fn unlogged() -> Self {
        Self::small().with(|times| times.unlogged = 1)
    }

    fn with(mut self, change: impl FnOnce(&mut EngineTimes)) -> Self {
        change(&mut self.times);
        self
    }
}

/// Result of a search that has found nothing wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EngineFound {
    /// Different states.
    pub states: usize,
    /// Steps between them.
    pub transitions: usize,
    /// Steps to the furthest of them.
    pub depth: usize,
    /// The goals that were reached.
    pub goals: BTreeSet<EngineGoal>,
}

/// Result of a search that has found something wrong, by a trace than which there is no shorter.
#[derive(Clone, Debug)]
pub struct EngineBroken {
    /// The failure.
    pub failure: Failure,
    /// How.
    pub trace: Vec<EngineAction>,
    /// Nothing is known to be wrong: the scope has more states than it may have.
    pub is_unfinished: bool,
}

impl EngineBroken {
    /// The trace as text.
    #[must_use]
    pub fn steps(&self) -> String {
        self.trace.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    }
}

/// Searches all that can happen, lets everything arrive from each state, and tells what it has found so far.
///
/// # Errors
/// What is broken by the fewest steps, or too many states.
pub fn search_engine(
    setup: &EngineSetup,
    cap: usize,
    tell: &mut dyn FnMut(&EngineFound),
) -> Result<EngineFound, Box<EngineBroken>> {
    let actions = EngineAction::all();
    let world = EngineWorld::new(setup);
    let mut search = EngineSearch { seen: BTreeSet::from([hashed(&world)]), steps: Vec::new() };
    let mut found = EngineFound { states: 1, ..EngineFound::default() };
    let mut level = vec![(None, world)];
    while !level.is_empty() {
        let mut next = Vec::new();
        for (step, world) in level {
            for action in actions.iter().copied().filter(|action| world.can(*action)) {
                let mut after = world.clone();
                after.act(action).map_err(|failure| search.broken(failure, step, action))?;
                found.transitions += 1;
                found.goals.extend(after.goals());
                if search.seen.insert(hashed(&after)) {
                    if search.seen.len() > cap {
                        let failure = Failure::new(Guarantee::G10, format_args!("at most {cap} states"), "more");
                        let broken = search.broken(failure, step, action);
                        return Err(Box::new(EngineBroken { is_unfinished: true, ..*broken }));
                    }
                    let healed = after.clone().heal();
                    healed.map_err(|failure| search.broken(failure, step, action))?;
                    search.steps.push((step, action));
                    next.push((Some(search.steps.len() - 1), after));
                }
            }
            found.states = search.seen.len();
            tell(&found);
        }
        found.depth += usize::from(!next.is_empty());
        level = next;
    }
    Ok(found)
}

/// Runs a trace, of which what cannot happen is left out, and lets everything arrive then.
///
/// # Errors
/// What it breaks.
pub fn replay_engine(setup: &EngineSetup, trace: &[EngineAction]) -> Result<(), Failure> {
    let mut world = EngineWorld::new(setup);
    trace.iter().try_for_each(|action| if world.can(*action) { world.act(*action) } else { Ok(()) })?;
    world.heal()
}

struct EngineSearch {
    seen: BTreeSet<StateKey>,
    /// For each state but the first the step before it, and the action that led here.
    steps: Vec<(Option<usize>, EngineAction)>,
}

impl EngineSearch {
    fn broken(&self, failure: Failure, mut step: Option<usize>, last: EngineAction) -> Box<EngineBroken> {
        let mut trace = vec![last];
        while let Some((before, action)) = step.map(|step| self.steps[step]) {
            trace.push(action);
            step = before;
        }
        trace.reverse();
        Box::new(EngineBroken { failure, trace, is_unfinished: false })
    }
}
