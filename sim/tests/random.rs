//! Random runs of the real machine: every seed twice, and as a batch they must have seen something.

use parlor_core::Shard;
use parlor_sim::goals::{Coverage, Goal, OF_SHARDS};
use parlor_sim::guarantees::Guarantee;
use parlor_sim::search::batch::RunBatch;
use parlor_sim::search::report;
use parlor_sim::search::run::run_twice;
use parlor_sim::search::swarm::Options;
use parlor_sim::subjects::canary::Canary;
use parlor_sim::world::setup::CheckedBy;
use parlor_sim::world::trace::Trace;

const SEEDS: u64 = 200;
const STEPS: usize = 300;

/// Goals that fewer than one run in thirty reaches: too rare for a batch of this size. The long batch of `.ci/run` must
/// reach them too.
const RARE: [Goal; 33] = [
    Goal::AbsenceRefused,
    Goal::BatchedMuch,
    Goal::BroadcastMuch,
    Goal::CommandRate,
    Goal::EndedHalfWritten,
    Goal::FilterOfTooMany,
    Goal::JoinRate,
    Goal::ListedInParts,
    Goal::ListedOn,
    Goal::ListedSome,
    Goal::LogsFull,
    Goal::Overloaded,
    Goal::PeerClosedHalfWritten,
    Goal::PositionTold,
    Goal::PresenceTooLarge,
    Goal::PublishRate,
    Goal::RecoveredByToken,
    Goal::RecoveredInThree,
    Goal::RecoveredWatching,
    Goal::RoomExpired,
    Goal::RoomRefreshed,
    Goal::ShutDownWithPeersInEveryPhase,
    Goal::TextTooLarge,
    Goal::TokenExpired,
    Goal::TokenInHeader,
    Goal::TokenTooCapable,
    Goal::TokenTooLong,
    Goal::TokenTooWordy,
    Goal::TooManyRefusals,
    Goal::Unfinished,
    Goal::Unrecoverable,
    Goal::UserRefused,
    Goal::WriteLapsed,
];

#[test]
fn two_hundred_seeds_are_clean_and_reach_what_they_must() {
    let (mut coverage, mut foreseen) = (Coverage::default(), 0);
    for seed in 0..SEEDS {
        let options = Options::draw(seed, STEPS);
        let actions = options.actions();
        let run = run_twice::<Shard>(&options.setup, &actions);
        if let Some((at, failure)) = run.failure {
            let trace = Trace { setup: options.setup.clone(), actions: actions[..=at].to_vec() };
            let repeat = format!("cargo run --release -p parlor-sim -- --seed {seed} --steps {STEPS}");
            panic!("{options}\n\n{}", report::failure::<Shard>(&failure, &trace, &repeat));
        }
        coverage.add(run.goals);
        foreseen += u64::from(run.is_foreseen);
    }
    assert!(foreseen * 2 >= SEEDS, "the reference model foresaw {foreseen} of {SEEDS} runs to their end");
    let is_due = |goal: &Goal| !RARE.contains(goal) && !OF_SHARDS.contains(goal);
    let missed: Vec<Goal> = coverage.missed().into_iter().filter(is_due).collect();
    assert!(missed.is_empty(), "no run reached {missed:?}\n{coverage}");
    assert!(coverage.count(Goal::DeliveredAfterFault) * 5 >= SEEDS * 2, "many runs go on after a fault\n{coverage}");
    assert!(coverage.count(Goal::ServedInTheEnd) * 4 >= SEEDS * 3, "most runs end with somebody to serve\n{coverage}");
}

/// Were this batch clean, no batch that is clean would mean anything.
#[test]
fn a_batch_finds_what_one_run_of_a_thousand_shows() {
    let batch = RunBatch {
        first: 0,
        count: 6_000,
        steps: 30,
        checked_by: CheckedBy::All,
        foreseen: true,
        shards: None,
        slow_links: None,
    };
    let mut clean = 0;
    let found = batch.run::<Canary>(|done| clean = done.seeds).expect_err("the canary lives");
    // That it ends no connection shows in the figures, too.
    assert!([Guarantee::G7, Guarantee::G8].contains(&found.failure.guarantee), "{found}");
    assert!(clean >= 20, "it is ill too often: {clean} runs before the first");
}
