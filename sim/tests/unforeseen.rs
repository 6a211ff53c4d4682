//! Random runs without the reference model: nothing foresees a turn, and the property checkers judge alone, with the machine's
//! own audits.

use parlor_core::Shard;
use parlor_sim::goals::Goal;
use parlor_sim::search::batch::RunBatch;
use parlor_sim::subjects::seeded::named;
use parlor_sim::world::setup::CheckedBy;

const SEEDS: u64 = 100;

#[test]
fn a_hundred_seeds_are_clean_and_end_with_somebody_to_serve() {
    let batch = RunBatch {
        first: 0,
        count: SEEDS,
        steps: 300,
        checked_by: CheckedBy::All,
        foreseen: false,
        shards: None,
        slow_links: None,
    };
    let done = batch.run::<Shard>(|_| {}).map_err(|failed| format!("{failed}\n{}", failed.trace)).expect("clean");
    let (served, all) = (done.coverage.count(Goal::ServedInTheEnd), done.seeds);
    assert!(served * 4 >= all * 3, "only {served} of {all} runs end with somebody to serve");
}

#[test]
fn a_defect_is_found_without_the_reference_model() {
    for (name, checker) in [("a_publication_that_does_not_come", "streams"), ("an_end_that_is_not_told", "answers")] {
        let seeded = named(name).expect("there is such a defect");
        let find = seeded.hunt_with(CheckedBy::Checkers, false).expect("it is found");
        assert_eq!(find.failure.checker(), Some(checker), "{name}: {}", find.failure);
    }
}
