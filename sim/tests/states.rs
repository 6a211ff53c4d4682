//! A shard that goes on from its written state does what it would have done, at any time of any run.

use parlor_sim::search::batch::RunBatch;
use parlor_sim::search::run::run_twice;
use parlor_sim::search::swarm::Options;
use parlor_sim::subjects::recorded::{LogRuns, Recorded};
use parlor_sim::subjects::reread::Reread;
use parlor_sim::subjects::subject::Subject;
use parlor_sim::world::setup::CheckedBy;

const STEPS: usize = 300;

fn run<S: Subject>(shards: Option<u64>, slow_links: Option<bool>, first: u64, count: u64) {
    let batch = RunBatch { first, count, steps: STEPS, checked_by: CheckedBy::All, foreseen: true, shards, slow_links };
    batch.run::<S>(|_| {}).unwrap_or_else(|failed| panic!("{failed}\n{}", failed.trace));
}

#[test]
fn a_shard_goes_on_from_its_state() {
    run::<Reread>(Some(1), None, 0, 150);
}

#[test]
fn shards_of_a_node_go_on_from_their_states() {
    for (shards, slow_links) in [(2, false), (3, true), (4, true)] {
        run::<Reread>(Some(shards), Some(slow_links), 0, 40);
    }
}

#[test]
fn a_log_whose_ring_was_full_is_run_to_the_same_state() {
    for seed in 0..200 {
        let options = Options::draw(seed, STEPS);
        let run = run_twice::<Recorded>(&options.setup, &options.actions());
        assert!(run.failure.is_none(), "seed {seed}: {:?}", run.failure);
    }
    let runs = LogRuns::take();
    assert!(runs.from_state > 1_000 && runs.from_start > 500 && runs.steps > 20_000, "{runs:?}");
}
