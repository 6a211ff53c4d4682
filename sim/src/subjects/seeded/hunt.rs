//! The hunt for a defect that was put in: by its trace, by its stored trace, or by random runs.

use super::defect::{DefectiveMachine, FoundBy, Seeded};
use crate::checkers::names;
use crate::guarantees::Failure;
use crate::search::batch::RunBatch;
use crate::search::run::{run, run_twice};
use crate::search::swarm::Options;
use crate::world::setup::CheckedBy;
use crate::world::trace::Trace;
use std::collections::BTreeMap;
use std::fmt;
use std::panic;

/// Steps of a random run.
const STEPS: usize = 300;

/// Seeds that each defect is looked for with where every checker looks for itself.
pub const LEAST: u64 = 100;

/// The witness of a defect that no checker notices: a parser or a panic.
pub const OTHERWISE: &str = "otherwise";

/// How a defect was found.
pub struct Find {
    /// The seed that did it, where it was one.
    pub seed: Option<u64>,
    /// The trace that shows it.
    pub trace: Trace,
    /// The failure.
    pub failure: Failure,
}

impl fmt::Display for Find {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.seed {
            Some(seed) => write!(f, "{} by seed {seed}, in step {}", self.failure.guarantee, self.trace.actions.len()),
            None => write!(f, "{} by a trace of {} steps", self.failure.guarantee, self.trace.actions.len()),
        }?;
        self.failure.checker().map_or(Ok(()), |checker| write!(f, ", as the checker of {checker} says"))
    }
}

impl Seeded {
    /// Looks for it.
    ///
    /// # Errors
    /// It was not found: what was seen instead.
    pub fn hunt(&self) -> Result<Find, String> {
        let find = self.hunt_with(CheckedBy::All, true)?;
        self.demand(&find, CheckedBy::All)?;
        Ok(find)
    }

    /// Looks for it with these checks alone, in worlds that are foreseen or not. Checkers have [`LEAST`] seeds in any case.
    ///
    /// # Errors
    /// It was not found: what was seen instead.
    pub fn hunt_with(&self, checked_by: CheckedBy, foreseen: bool) -> Result<Find, String> {
        self.choose();
        match self.search {
            FoundBy::Seeds(count) => {
                let count = if checked_by == CheckedBy::All && foreseen { count } else { count.max(LEAST) };
                let batch =
                    RunBatch { first: 0, count, steps: STEPS, checked_by, foreseen, shards: None, slow_links: None };
                // What is not foreseen comes up seldom in worlds that are to be.
                let whole = RunBatch { foreseen: false, ..batch };
                let ways = [batch, whole].into_iter().take(1 + usize::from(foreseen));
                let found = ways.into_iter().find_map(|batch| batch.run::<DefectiveMachine>(|_| {}).err());
                let found = found.ok_or_else(|| format!("{count} seeds have not noticed it"))?;
                Ok(Find { seed: Some(found.options.seed), trace: found.trace, failure: found.failure })
            }
            FoundBy::Trace(text) => {
                let mut trace: Trace = text.parse()?;
                trace.setup.checked_by = checked_by;
                trace.setup.foreseen = u64::from(foreseen);
                self.show(trace)
            }
        }
    }

    /// Replays a trace twice with this defect put in.
    ///
    /// # Errors
    /// Nothing notices the defect.
    pub fn show(&self, trace: Trace) -> Result<Find, String> {
        self.choose();
        let broken = run_twice::<DefectiveMachine>(&trace.setup, &trace.actions).failure;
        let (_, failure) = broken.ok_or("its trace has not shown it")?;
        Ok(Find { seed: None, trace, failure })
    }

    /// Who notices it while the reference model looks away: each checker as if it judged alone, with the first seed that
    /// shows it, of as many as it is looked for and of [`LEAST`] in any case. What ends a run without a checker (a panic, or
    /// bytes that a client cannot read) is [`OTHERWISE`].
    #[must_use]
    pub fn witnesses(&self) -> BTreeMap<&'static str, u64> {
        self.choose();
        let mut witnesses = BTreeMap::new();
        let traces: Box<dyn Iterator<Item = (u64, Trace)>> = match self.search {
            FoundBy::Seeds(count) => Box::new((0..count.max(LEAST)).map(|seed| {
                let options = Options::draw(seed, STEPS).whole();
                (seed, Trace { actions: options.actions(), setup: options.setup })
            })),
            FoundBy::Trace(text) => Box::new(std::iter::once((0, text.parse().expect("a trace")))),
        };
        for (seed, mut trace) in traces {
            trace.setup.checked_by = CheckedBy::Each;
            // A world that has gone wrong runs on: it may end in a panic of its own.
            let run = panic::catch_unwind(|| run::<DefectiveMachine>(&trace.setup, &trace.actions));
            let (noticed, failed) = run.map_or((Vec::new(), true), |run| (run.noticed, run.failure.is_some()));
            for name in noticed.into_iter().chain(failed.then_some(OTHERWISE)) {
                witnesses.entry(name).or_insert(seed);
            }
            if names::NAMES.iter().all(|name| witnesses.contains_key(name)) {
                break;
            }
        }
        witnesses
    }
}
