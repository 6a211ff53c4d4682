//! A failing trace made short and plain, while it goes on breaking the same guarantee.
//!
//! Every subsequence of a trace is a trace, so ddmin (Zeller) needs no knowledge of actions. Then clients, rooms and users
//! get the lowest numbers that do, arguments become the first of their kind, and the world loses what is not needed.
//! All of it is repeated until nothing changes. Where what is left is small enough, a search tells whether there is
//! anything shorter at all.

use crate::guarantees::{Failure, Guarantee};
use crate::search::explore::{Scope, search};
use crate::search::run::{run, run_twice};
use crate::subjects::subject::Subject;
use crate::world::World;
use crate::world::action::{Action, Numbered, Renaming};
use crate::world::setup::Setup;
use crate::world::trace::Trace;
use parlor_core::limits::{Limit, Rate, Value};
use std::fmt;
use std::marker::PhantomData;

/// More runs than this are not worth a shorter trace.
const RUNS: usize = 20_000;
/// More states than this are not worth a proof.
const STATES: usize = 20_000;
/// The most clients and rooms of a world that is searched.
const SMALL: (u64, u64) = (3, 2);

/// A trace made short.
#[derive(Clone, Debug)]
pub struct Shrunk {
    /// The shortened trace.
    pub trace: Trace,
    /// Whether there is anything shorter.
    pub proof: Minimality,
}

/// Whether there is a shorter trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Minimality {
    /// In this world no shorter sequence of these actions, done by and to any client, breaks the guarantee: a search of this
    /// many states has found none, and has found one of this length.
    Minimal(usize),
    /// It is not known, for this reason.
    Open(&'static str),
}

impl fmt::Display for Minimality {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Minimal(states) => write!(
                f,
                "proved minimal in this world: with this setup nothing shorter that is made of these actions breaks it, \
                 whichever of its clients, rooms and users they are about ({states} states searched)"
            ),
            Self::Open(why) => write!(f, "not proved minimal: {why}"),
        }
    }
}

/// Makes a trace shorter and plainer, and searches for anything shorter still.
#[must_use]
pub fn shrink<S: Subject + Clone>(trace: &Trace, guarantee: Guarantee) -> Shrunk {
    prove::<S>(shorten::<S>(trace, guarantee), guarantee)
}

/// The shortest and plainest trace found that breaks the same guarantee.
#[must_use]
pub fn shorten<S: Subject>(trace: &Trace, guarantee: Guarantee) -> Trace {
    let mut shrinker = Shrinker::<S> { best: trace.clone(), guarantee, runs: 0, subject: PhantomData };
    loop {
        let before = shrinker.best.clone();
        shrinker.drop_actions();
        shrinker.rename();
        shrinker.simplify_actions();
        shrinker.simplify_setup();
        if shrinker.best == before || shrinker.runs >= RUNS {
            return shrinker.best;
        }
    }
}

struct Shrinker<S> {
    best: Trace,
    guarantee: Guarantee,
    runs: usize,
    subject: PhantomData<S>,
}

impl<S: Subject> Shrinker<S> {
    /// Takes a candidate, up to the action that breaks the guarantee, if it is the first that it breaks.
    fn take(&mut self, mut candidate: Trace) -> bool {
        if self.runs >= RUNS {
            return false;
        }
        self.runs += 1;
        // Once is enough, but for what only a comparison tells.
        let once = if self.guarantee == Guarantee::G9 { run_twice::<S> } else { run::<S> };
        let Some((at, failure)) = once(&candidate.setup, &candidate.actions).failure else { return false };
        if failure.guarantee != self.guarantee {
            return false;
        }
        candidate.actions.truncate(at + 1);
        self.best = candidate;
        true
    }

    fn take_actions(&mut self, actions: Vec<Action>) -> bool {
        self.take(Trace { setup: self.best.setup.clone(), actions })
    }

    fn drop_actions(&mut self) {
        let mut chunk = self.best.actions.len().div_ceil(2).max(1);
        loop {
            let before = self.best.actions.len();
            let mut at = 0;
            while at < self.best.actions.len() {
                let mut actions = self.best.actions.clone();
                actions.drain(at..(at + chunk).min(actions.len()));
                if !self.take_actions(actions) {
                    at += chunk;
                }
            }
            if chunk == 1 && self.best.actions.len() == before {
                return;
            }
            chunk = chunk.div_ceil(2);
        }
    }

    /// Gives clients, rooms and users lower numbers, everywhere at once: one action alone would lose its connection.
    fn rename(&mut self) {
        let Setup { conns, rooms, users, .. } = self.best.setup;
        for (what, count) in [(Numbered::Client, conns), (Numbered::Room, rooms), (Numbered::User, users)] {
            let count = u8::try_from(count).expect("a few");
            for (from, to) in (1..count).flat_map(|from| (0..from).map(move |to| (from, to))) {
                let renamed: Vec<Action> =
                    self.best.actions.iter().map(|action| action.renamed(Renaming { what, from, to })).collect();
                if renamed != self.best.actions {
                    self.take_actions(renamed);
                }
            }
        }
    }

    fn simplify_actions(&mut self) {
        for at in (0..self.best.actions.len()).rev() {
            // Each that is taken may end the trace earlier.
            while let Some(action) = self.best.actions.get(at) {
                let is_simpler = action.simpler().into_iter().any(|simpler| {
                    let mut actions = self.best.actions.clone();
                    actions[at] = simpler;
                    self.take_actions(actions)
                });
                if !is_simpler {
                    break;
                }
            }
        }
    }

    fn simplify_setup(&mut self) {
        while self.best.setup.simpler().into_iter().any(|setup| {
            let actions = self.best.actions.clone();
            self.take(Trace { setup, actions })
        }) {}
    }
}

/// Searches for a trace that breaks the same guarantee in fewer steps, in the order of the fewest.
///
/// The search goes as far as the trace is long and has to come to a failure by itself: one that takes for equal what the
/// subject tells apart proves nothing by finding nothing.
#[must_use]
pub fn prove<S: Subject + Clone>(trace: Trace, guarantee: Guarantee) -> Shrunk {
    if let Some(why) = reason_not_to::<S>(&trace, guarantee) {
        return Shrunk { trace, proof: Minimality::Open(why) };
    }
    let scope = Scope {
        deepest: trace.actions.len(),
        orderly: false,
        counted: true,
        cap: STATES,
        ..Scope::of_everything(trace.setup.clone(), anybodys(&trace))
    };
    let is_sought = |failure: &Failure, _: &World<S>| failure.guarantee == guarantee;
    let (trace, proof) = match search::<S>(&scope, &is_sought, &mut |_, _| {}) {
        Err(broken) if broken.unfinished => (trace, Minimality::Open("there are too many states to search")),
        Err(broken) if broken.failure.guarantee == guarantee => {
            let is_shorter = broken.trace.actions.len() < trace.actions.len();
            (if is_shorter { broken.trace } else { trace }, Minimality::Minimal(broken.states))
        }
        Ok(_) | Err(_) => (trace, Minimality::Open("a search does not tell apart all that this subject does")),
    };
    Shrunk { trace, proof }
}

/// The actions of a trace, done by and to everybody that its world has; each of them once.
fn anybodys(trace: &Trace) -> Vec<Action> {
    let mut actions = Vec::new();
    for action in trace.actions.iter().flat_map(|action| action.everywhere(&trace.setup)) {
        if !actions.contains(&action) {
            actions.push(action);
        }
    }
    actions
}

fn reason_not_to<S: Subject>(trace: &Trace, guarantee: Guarantee) -> Option<&'static str> {
    let setup = &trace.setup;
    let is_rate = |limit: &Limit| matches!(setup.limits.value(*limit), Value::Rate(rate) if rate != Rate::OFF);
    let counts_rates = setup.limits.connections_per_ip.is_some() || Limit::ALL.iter().any(is_rate);
    let mut world = World::<S>::new(setup);
    let is_seen_at_once = || {
        let results: Vec<_> = trace.actions.iter().map(|action| world.act(action)).collect();
        matches!(results.last(), Some(Err(failure)) if failure.guarantee == guarantee)
    };
    if guarantee == Guarantee::G9 {
        return Some("it is found by comparing runs");
    }
    if !setup.is_foreseen() {
        return Some("a search is judged by what is foreseen");
    }
    if setup.conns > SMALL.0 || setup.rooms > SMALL.1 {
        return Some("the world is too large to search");
    }
    if counts_rates {
        return Some("a search does not tell states apart by what is left of a rate");
    }
    (!{ is_seen_at_once }()).then_some("it is found at the end of a run")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::subjects::canary::Canary;
    use crate::subjects::naive::{V0, V1};
    use crate::subjects::seeded::{self, DefectiveMachine};

    /// A way to the KeyError of the historic manager, among much else.
    const LONG: &str =
        "setup conns=6 rooms=3 users=0 seed=99 messages=30 outbox_bytes=65536 history_messages=0 log_memory=0
        enter 4 2
        advance little
        api-publish 1 large
        flush
        enter 5 4
        advance little
        api-publish 1 large
        api-publish 2 large
        write 4 all
        lose 5 reset
        flush";

    fn shrunk() -> Shrunk {
        let trace: Trace = LONG.parse().expect("a trace");
        let (_, failure) = run::<V1>(&trace.setup, &trace.actions).failure.expect("it breaks something");
        assert_eq!(failure.guarantee, Guarantee::G10);
        shrink::<V1>(&trace, Guarantee::G10)
    }

    #[test]
    fn shrinking_removes_every_unneeded_action() {
        let expected = "setup conns=1 rooms=1 users=0 history_messages=0 log_memory=0
            enter 0 1
            api-publish 0 small
            lose 0 eof";
        assert_eq!(Ok(shrunk().trace), expected.parse());
    }

    #[test]
    fn a_small_trace_is_proved_minimal() {
        let Shrunk { proof, .. } = shrunk();
        assert!(matches!(proof, Minimality::Minimal(states) if states > 2), "{proof}");
        assert!(proof.to_string().starts_with("proved minimal in this world: with this setup "), "{proof}");
    }

    #[test]
    fn states_of_a_subject_that_depends_on_counts_differ_by_the_counts() {
        seeded::named("a_user_who_outlives_the_connections").expect("a defect").choose();
        let six = "accept 0 json 0\nlose 0 eof\n".repeat(6);
        let trace: Trace = format!("setup conns=1 rooms=1\n{six}").parse().expect("a trace");
        let (at, failure) = run::<DefectiveMachine>(&trace.setup, &trace.actions).failure.expect("it breaks something");
        let trace = Trace { actions: trace.actions[..=at].to_vec(), ..trace };
        let Shrunk { trace: same, proof } = prove::<DefectiveMachine>(trace.clone(), failure.guarantee);
        assert_eq!(same, trace);
        assert!(matches!(proof, Minimality::Minimal(states) if states >= trace.actions.len()), "{proof}");
    }

    /// The canary counts its inputs, which no state shows: those that change nothing are one to a search.
    #[test]
    fn a_search_that_does_not_come_to_the_failure_proves_nothing() {
        let idle = "advance little\n".repeat(18);
        let sick = |seed: u64| -> Option<Trace> {
            let text =
                format!("setup conns=1 rooms=1 users=0 seed={seed}\n{idle}accept 0 json 0\nupgrade 0\nlose 0 eof");
            let trace: Trace = text.parse().expect("a trace");
            run::<Canary>(&trace.setup, &trace.actions).failure.map(|_| trace)
        };
        let trace = (0..10_000).find_map(sick).expect("one in a thousand is");
        let Shrunk { trace: same, proof } = prove::<Canary>(trace.clone(), Guarantee::G7);
        assert_eq!(same, trace);
        assert_eq!(proof.to_string(), "not proved minimal: a search does not tell apart all that this subject does");
    }

    #[test]
    fn a_search_finds_what_cutting_does_not() {
        // Each of these steps is needed by the others, and yet there is a shorter way.
        let text = "setup conns=1 rooms=1 users=0 history_messages=0 log_memory=0\nenter 0 1\napi-publish 0 small\nwrite 0 all\n\
                    api-publish 0 small\nlose 0 eof";
        let trace: Trace = text.parse().expect("a trace");
        let Shrunk { trace: shorter, proof } = prove::<V0>(trace.clone(), Guarantee::G3);
        assert!(shorter.actions.len() < trace.actions.len(), "{shorter}");
        assert!(matches!(proof, Minimality::Minimal(_)));
    }

    #[test]
    fn a_missing_proof_is_explained() {
        let open = |text: &str, guarantee| prove::<V0>(text.parse().expect("a trace"), guarantee).proof;
        let too_large = open("setup conns=9\nenter 0 1", Guarantee::G3);
        assert_eq!(too_large.to_string(), "not proved minimal: the world is too large to search");
        assert!(matches!(
            open("setup conns=1 rooms=1 rooms_per_connection=1 client_commands=2\nenter 0 1", Guarantee::G3),
            Minimality::Open(_)
        ));
        assert!(matches!(open("setup conns=1 rooms=1\nenter 0 1", Guarantee::G3), Minimality::Open(_)));
    }
}
