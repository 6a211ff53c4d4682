//! Random runs on a node of several shards, with prompt links between them or slow ones, of which some shards are lost: the
//! property checkers judge, and the machine's own audits.

use parlor_sim::goals::{Goal, OF_SHARDS};
use parlor_sim::search::batch::{BatchReport, RunBatch};
use parlor_sim::search::run::run_twice;
use parlor_sim::search::swarm::Options;
use parlor_sim::subjects::cluster::Cluster;
use parlor_sim::world::setup::CheckedBy;

const STEPS: usize = 300;

fn batch(shards: u64, are_links_slow: bool, count: u64) -> BatchReport {
    let batch = RunBatch {
        first: 0,
        count,
        steps: STEPS,
        checked_by: CheckedBy::All,
        foreseen: true,
        shards: Some(shards),
        slow_links: Some(are_links_slow),
    };
    batch.run::<Cluster>(|_| {}).map_err(|failed| format!("{failed}\n{}", failed.trace)).expect("clean")
}

#[test]
fn runs_of_two_to_four_shards_are_clean_and_reach_what_only_they_can() {
    let links = [(2, false), (3, false), (4, false), (2, true), (3, true), (4, true)];
    let batches = links.map(|(shards, are_slow)| batch(shards, are_slow, 30).coverage);
    let count = |goal: Goal| batches.iter().map(|coverage| coverage.count(goal)).sum::<u64>();
    for goal in OF_SHARDS {
        assert!(count(goal) > 0, "no run reached: {goal}");
    }
    assert!(count(Goal::ServedInTheEnd) * 4 >= 180 * 3, "most runs end with somebody to serve");
}

#[test]
fn a_third_of_the_runs_has_several_shards_and_slow_links() {
    let drawn: Vec<_> = (0..300).map(|seed| Options::draw(seed, 1).with_shards(None, None).setup).collect();
    let several = drawn.iter().filter(|setup| setup.shards > 1).count();
    let slow = drawn.iter().filter(|setup| setup.slow_links == 1).count();
    assert!(slow * 3 >= drawn.len() && several > slow, "{slow} of {several} of {}", drawn.len());
    for shards in 2..=4 {
        assert!(drawn.iter().any(|setup| setup.shards == shards), "{shards} shards");
    }
}

/// What happens on one shard is what happened before there were several.
#[test]
fn a_run_of_one_shard_is_the_run_of_the_machine_alone() {
    for seed in 0..20 {
        let options = Options::draw(seed, STEPS);
        let alone = run_twice::<parlor_core::Shard>(&options.setup, &options.actions());
        let options = options.with_shards(Some(1), None);
        let clustered = run_twice::<Cluster>(&options.setup, &options.actions());
        assert_eq!((alone.goals, alone.effective), (clustered.goals, clustered.effective), "seed {seed}");
    }
}
