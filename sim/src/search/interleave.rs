//! Exhaustive search of a few scripts on several shards: in every order, with each message between shards at any time. From every
//! state that is reached the faults stop, and what has to come right then is checked.
//!
//! Worlds of several shards are not foreseen: the checkers of properties judge them. So two of them are the same only when all is
//! the same, what the checkers remember included, and nothing is abstracted away. A script ends, and with all of them the search.

use crate::guarantees::{Failure, Guarantee};
use crate::search::canon::{Digest, StateKey};
use crate::search::explore::Counterexample;
use crate::subjects::subject::Subject;
use crate::world::World;
use crate::world::action::{Action, ShardNumber};
use crate::world::setup::Setup;
use crate::world::trace::Trace;
use std::collections::BTreeSet;
use std::fmt::{Debug, Write};

/// Scripts in one world.
#[derive(Clone, Debug)]
pub struct Scripts {
    /// The world.
    pub setup: Setup,
    /// What each one does, in this order.
    pub scripts: Vec<Vec<Action>>,
    /// A search of more states than this is given up.
    pub cap: usize,
}

/// Result of a search that has found nothing wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Interleaved {
    /// Different states.
    pub states: usize,
    /// Steps between them.
    pub transitions: usize,
    /// Steps to the furthest of them.
    pub depth: usize,
    /// States in which nothing more can happen: nothing is on its way, and each script is at its end, or its next action makes
    /// no sense any more.
    pub ends: usize,
}

/// A state, and how far each script is there.
struct Reached<S> {
    world: World<S>,
    done: Vec<usize>,
    /// The number of its step among all.
    step: usize,
}

/// Searches all orders of these scripts. A client reads what it is sent at once.
///
/// # Errors
/// A guarantee that is broken in one of them, by a trace than which there is no shorter; or too many states.
pub fn interleave<S: Subject + Clone + Debug>(scripts: &Scripts) -> Result<Interleaved, Box<Counterexample>> {
    let world = World::<S>::new(&scripts.setup).checked();
    let mut search = Search { scripts, seen: BTreeSet::new(), steps: vec![(0, None)] };
    let mut found = Interleaved { states: 1, ..Interleaved::default() };
    let mut level = vec![Reached { world, done: vec![0; scripts.scripts.len()], step: 0 }];
    while !level.is_empty() {
        let mut next = Vec::new();
        for state in level {
            search.expand(&state, &mut next, &mut found)?;
        }
        found.depth += usize::from(!next.is_empty());
        level = next;
    }
    Ok(found)
}

struct Search<'a> {
    scripts: &'a Scripts,
    seen: BTreeSet<StateKey>,
    /// For every state the one before it, and the action that led here.
    steps: Vec<(usize, Option<Action>)>,
}

impl Search<'_> {
    fn expand<S: Subject + Clone + Debug>(
        &mut self,
        state: &Reached<S>,
        next: &mut Vec<Reached<S>>,
        found: &mut Interleaved,
    ) -> Result<(), Box<Counterexample>> {
        let mut is_end = true;
        for (who, action) in self.possible(state) {
            is_end = false;
            found.transitions += 1;
            let mut world = state.world.clone();
            let went = world.act(&action).and_then(|_| world.act(&Action::Flush()));
            went.map_err(|failure| self.broken(failure, state.step, &[action, Action::Flush()]))?;
            let mut done = state.done.clone();
            who.iter().for_each(|who| done[*who] += 1);
            if !self.seen.insert(key(&world, &done)) {
                continue;
            }
            found.states += 1;
            if found.states > self.scripts.cap {
                let expected = format_args!("at most {} states", self.scripts.cap);
                let broken = self.broken(Failure::new(Guarantee::G10, expected, "more"), state.step, &[action]);
                return Err(Box::new(Counterexample { unfinished: true, ..*broken }));
            }
            let healed = world.clone().act(&Action::Heal());
            healed.map_err(|failure| self.broken(failure, state.step, &[action, Action::Flush(), Action::Heal()]))?;
            self.steps.push((state.step, Some(action)));
            next.push(Reached { world, done, step: self.steps.len() - 1 });
        }
        found.ends += usize::from(is_end);
        Ok(())
    }

    /// What may happen next: the next action of each script, with its number, and a message on each link.
    fn possible<S: Subject>(&self, state: &Reached<S>) -> Vec<(Option<usize>, Action)> {
        let of_scripts = self.scripts.scripts.iter().zip(&state.done).enumerate();
        let of_scripts = of_scripts.filter_map(|(who, (script, done))| Some((Some(who), *script.get(*done)?)));
        let shards = u8::try_from(self.scripts.setup.shards).expect("a few shards");
        let pairs = (0..shards).flat_map(|from| (0..shards).map(move |to| (from, to)));
        let links = pairs.map(|(from, to)| (None, Action::Deliver(ShardNumber(from), ShardNumber(to))));
        of_scripts.chain(links).filter(|(_, action)| state.world.can(action)).collect()
    }

    fn broken(&self, failure: Failure, mut step: usize, last: &[Action]) -> Box<Counterexample> {
        let mut actions: Vec<Action> = last.iter().rev().copied().collect();
        while let (before, Some(action)) = self.steps[step] {
            actions.extend([Action::Flush(), action]);
            step = before;
        }
        actions.reverse();
        let trace = Trace { setup: self.scripts.setup.clone(), actions };
        Box::new(Counterexample { failure, trace, states: self.seen.len(), unfinished: false })
    }
}

/// The digest of all that there is.
fn key<S: Subject + Debug>(world: &World<S>, done: &[usize]) -> StateKey {
    let mut digest = Digest::default();
    write!(digest, "{done:?} {world:?}").expect("a digest takes everything");
    digest.key()
}
