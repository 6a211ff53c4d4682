//! Many random runs, one after the other, and what they come to.

use crate::goals::Coverage;
use crate::guarantees::Failure;
use crate::search::run::{RunReport, run_twice};
use crate::search::swarm::Options;
use crate::subjects::subject::Subject;
use crate::world::setup::CheckedBy;
use crate::world::trace::Trace;
use std::fmt;
use std::time::Duration;

/// Which runs.
#[derive(Clone, Copy, Debug)]
pub struct RunBatch {
    /// The first seed; the others follow it.
    pub first: u64,
    /// How many.
    pub count: u64,
    /// Steps of each before its world is healed.
    pub steps: usize,
    /// What checks them.
    pub checked_by: CheckedBy,
    /// Whether the reference model foresees each turn, where there is one shard.
    pub foreseen: bool,
    /// How many shards; `None` for as many as each seed draws. A subject that has one shard has one.
    pub shards: Option<u64>,
    /// Whether links between them are slow; `None` for as each seed draws.
    pub slow_links: Option<bool>,
}

/// Progress of a batch so far.
#[derive(Clone, Debug)]
pub struct BatchReport {
    /// The batch.
    pub batch: RunBatch,
    /// Seeds, each of which was run twice.
    pub seeds: u64,
    /// Actions, counted both times.
    pub actions: u64,
    /// Virtual time, counted both times.
    pub virtual_time: Duration,
    /// In how many runs each goal was reached.
    pub coverage: Coverage,
}

/// A run that broke a guarantee.
#[derive(Clone, Debug)]
pub struct FailedRun {
    /// The options drawn for it.
    pub options: Options,
    /// Its actions until then.
    pub trace: Trace,
    /// The failure.
    pub failure: Failure,
}

impl RunBatch {
    /// The options of a seed in this batch.
    #[must_use]
    pub fn options<S: Subject>(&self, seed: u64) -> Options {
        let mut options = Options::draw(seed, self.steps);
        options.setup.checked_by = self.checked_by;
        options.setup.foreseen = u64::from(self.foreseen);
        if !self.foreseen || self.checked_by != CheckedBy::All {
            options = options.whole();
        }
        if S::HAS_SHARDS { options.with_shards(self.shards, self.slow_links) } else { options }
    }

    /// Runs every seed twice, up to the first that breaks a guarantee; `watch` is told after each.
    ///
    /// # Errors
    /// The run that broke one.
    pub fn run<S: Subject>(self, mut watch: impl FnMut(&BatchReport)) -> Result<BatchReport, Box<FailedRun>> {
        let mut done = BatchReport {
            batch: self,
            seeds: 0,
            actions: 0,
            virtual_time: Duration::ZERO,
            coverage: Coverage::default(),
        };
        while done.seeds < self.count {
            let options = self.options::<S>(self.first.wrapping_add(done.seeds));
            let actions = options.actions();
            let RunReport { goals, failure, clock, .. } = run_twice::<S>(&options.setup, &actions);
            if let Some((at, failure)) = failure {
                let trace = Trace { setup: options.setup.clone(), actions: actions[..=at].to_vec() };
                return Err(Box::new(FailedRun { options, trace, failure }));
            }
            done.seeds += 1;
            done.actions += 2 * actions.len() as u64;
            done.virtual_time += 2 * Duration::from_nanos(clock);
            done.coverage.add(goals);
            watch(&done);
        }
        Ok(done)
    }
}

impl BatchReport {
    /// Where it is after so much time: seeds done, actions a second, goals reached, and how long the rest will take.
    #[must_use]
    pub fn progress(&self, elapsed: Duration) -> String {
        let left = elapsed.as_secs_f64() / self.seeds.max(1) as f64 * (self.batch.count - self.seeds) as f64;
        let (reached, all) = (self.coverage.reached(), crate::goals::Goal::ALL.len());
        format!(
            "{} of {} seeds, {:.0} actions a second, {reached} of {all} goals, {left:.0} s left",
            self.seeds,
            self.batch.count,
            self.actions as f64 / elapsed.as_secs_f64()
        )
    }

    /// Summary of the batch after so much time.
    #[must_use]
    pub fn summary(&self, elapsed: Duration) -> String {
        let (seconds, virtual_seconds) = (elapsed.as_secs_f64(), self.virtual_time.as_secs_f64());
        format!(
            "{} seeds from {}, each run twice: {} actions and {virtual_seconds:.0} virtual seconds in {seconds:.1} s, \
             {:.0} actions and {:.0} virtual seconds a second",
            self.seeds,
            self.batch.first,
            self.actions,
            self.actions as f64 / seconds,
            virtual_seconds / seconds
        )
    }
}

impl fmt::Display for FailedRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "seed {}, step {}: {}", self.options.seed, self.trace.actions.len(), self.failure)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use parlor_core::Shard;

    #[test]
    fn a_batch_reports_its_progress() {
        let batch = RunBatch {
            first: 0,
            count: 4,
            steps: 20,
            checked_by: CheckedBy::All,
            foreseen: true,
            shards: None,
            slow_links: None,
        };
        let mut lines = Vec::new();
        let done =
            batch.run::<Shard>(|done| lines.push(done.progress(Duration::from_secs(done.seeds)))).expect("clean");
        assert_eq!(lines.len(), 4);
        assert!(lines[0].starts_with("1 of 4 seeds, "), "{}", lines[0]);
        assert!(lines[0].ends_with(" goals, 3 s left"), "{}", lines[0]);
        assert!(lines[3].contains(&format!("{} of ", done.coverage.reached())), "{}", lines[3]);
        let summary = done.summary(Duration::from_secs(2));
        assert!(summary.starts_with("4 seeds from 0, each run twice: "), "{summary}");
        assert!(summary.ends_with(&format!(
            "{} actions and {:.0} virtual seconds a second",
            done.actions / 2,
            done.virtual_time.as_secs_f64() / 2.0
        )));
    }
}
