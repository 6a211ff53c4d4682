//! Everything that two sites can do that share an engine. The counts are pinned: a change of them is a change of what can
//! happen, or of what tells states apart.

use parlor_sim::engine::defects::EngineDefect;
use parlor_sim::engine::nodes::{NodeCounts, run_nodes};
use parlor_sim::engine::scope::{EngineBroken, EngineFound, replay_engine, search_engine};
use parlor_sim::engine::world::{EngineAction, EngineGoal, EngineSetup};
use parlor_sim::guarantees::{Failure, Guarantee};
use std::collections::BTreeSet;

const CAP: usize = 1_000_000;

fn search(setup: &EngineSetup) -> Result<EngineFound, Box<EngineBroken>> {
    search_engine(setup, CAP, &mut |_| {})
}

/// Searches a scope that is clean. Returns the goals that it has reached.
fn clean(setup: &EngineSetup, states: usize, transitions: usize, depth: usize) -> BTreeSet<EngineGoal> {
    let found = search(setup).unwrap_or_else(|broken| panic!("{}\n{}", broken.failure, broken.steps()));
    assert_eq!((found.states, found.transitions, found.depth), (states, transitions, depth), "{setup:?}");
    found.goals
}

#[test]
fn two_publications_a_cut_and_a_move() {
    let goals = clean(&EngineSetup::s1(), 44_038, 145_409, 23);
    use EngineGoal::*;
    assert_eq!(goals, [JoinedWhileDown, RecoveredFromCopy, RecoveredFromEngine, Refilled, CameTwice, Rested].into());
}

#[test]
fn one_publication_a_cut_and_a_move() {
    clean(&EngineSetup::small(), 4519, 14_096, 17);
}

#[test]
fn an_engine_that_retains_one_entry() {
    let goals = clean(&EngineSetup::trimmed(), 7434, 18_642, 20);
    assert!(goals.contains(&EngineGoal::GapByTruncation));
}

#[test]
fn a_client_that_comes_back_too_late() {
    let goals = clean(&EngineSetup::too_late(), 5459, 16_504, 18);
    assert!(goals.contains(&EngineGoal::Unrecovered));
}

#[test]
fn sites_that_nobody_stays_at() {
    clean(&EngineSetup::unattended(), 3735, 14_649, 19);
}

#[test]
fn an_engine_that_loses_the_log() {
    let goals = clean(&EngineSetup::losing(), 19_640, 62_454, 25);
    assert!(goals.contains(&EngineGoal::GapByEpoch));
}

#[test]
fn an_engine_that_retains_nothing() {
    let goals = clean(&EngineSetup::unretained(), 4572, 14_203, 17);
    assert!(goals.contains(&EngineGoal::GapByTruncation) && goals.contains(&EngineGoal::Unrecovered));
}

#[test]
fn answers_that_are_cut_at_their_bound() {
    let goals = clean(&EngineSetup::bounded(), 12_952, 31_912, 26);
    assert!(goals.contains(&EngineGoal::AnswerCut) && goals.contains(&EngineGoal::AnswerSpent));
}

#[test]
fn an_engine_that_refuses_a_request() {
    let goals = clean(&EngineSetup::refusing(), 28_007, 98_877, 20);
    assert!(goals.contains(&EngineGoal::FollowRefused) && goals.contains(&EngineGoal::ReadRefused));
}

#[test]
fn a_publication_that_no_log_numbers() {
    let goals = clean(&EngineSetup::unlogged(), 59_508, 199_237, 22);
    assert!(goals.contains(&EngineGoal::GotUnlogged));
}

/// Each defect, the scope that shows it, what it breaks, and how, once all that is on its way has arrived: no trace is shorter.
fn defects() -> Vec<(EngineDefect, EngineSetup, Guarantee, &'static str)> {
    vec![
        (EngineDefect::ReadBeforeSubscribe, EngineSetup::s1(), Guarantee::L1, "execute 1, publish 0"),
        (EngineDefect::BetweenAppliedTwice, EngineSetup::s1(), Guarantee::G5, "execute 1, publish 0"),
        (EngineDefect::EndedLinkHeard, EngineSetup::s1(), Guarantee::L1, "execute 1, execute 1, cut 1, publish 0"),
        (
            EngineDefect::UnfollowOvertakes,
            EngineSetup::unattended(),
            Guarantee::L1,
            "execute 0, execute 0, read 0, publish 1, leave, end 0, come 0",
        ),
        (
            EngineDefect::EpochAdoptedSilently,
            EngineSetup::losing(),
            Guarantee::G5,
            "execute 0, execute 0, publish 0, lose",
        ),
        (
            EngineDefect::JudgedAboveTop,
            EngineSetup::s1(),
            Guarantee::P1,
            "execute 1, execute 1, publish 1, execute 1, execute 0, execute 0, read 0, leave, come 1",
        ),
        (
            EngineDefect::TrimmedPageTakenAsWhole,
            EngineSetup::too_late(),
            Guarantee::G5,
            "execute 0, execute 0, read 0, publish 0, publish 0, leave, come 1",
        ),
        (
            EngineDefect::CutTakenAsWhole,
            EngineSetup::bounded(),
            Guarantee::P1,
            "execute 1, execute 1, read 1, cut 1, publish 0, publish 0",
        ),
        (
            EngineDefect::UnretainedTakenAsCut,
            EngineSetup::unretained(),
            Guarantee::L1,
            "execute 1, execute 1, read 1, cut 1, publish 0",
        ),
        (EngineDefect::RefusalTakenAsEmptyAnswer, EngineSetup::refusing(), Guarantee::L1, "refuse 0, publish 0"),
        (EngineDefect::RefusalForgotten, EngineSetup::refusing(), Guarantee::L1, "refuse 0"),
        (
            EngineDefect::UnloggedKept,
            EngineSetup::unlogged(),
            Guarantee::G5,
            "execute 1, publish-unlogged 0, publish 0",
        ),
        (EngineDefect::GapWithoutLoss, EngineSetup::s1(), Guarantee::P1, "execute 0, execute 0, read 0, cut 0"),
    ]
}

#[test]
fn each_defect_is_found_by_the_shortest_trace_that_there_is() {
    let mut wrong = Vec::new();
    for (defect, setup, guarantee, steps) in defects() {
        let broken = search(&EngineSetup { defect: Some(defect), ..setup }).expect_err("it is found");
        if (broken.failure.guarantee, &*broken.steps()) != (guarantee, steps) {
            wrong.push(format!("{defect:?}: {} by {}", broken.failure, broken.steps()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let all: Vec<EngineDefect> = EngineDefect::ALL.iter().map(|(_, defect)| *defect).collect();
    assert_eq!(defects().iter().map(|(defect, ..)| *defect).collect::<Vec<_>>(), all);
}

#[test]
fn the_traces_of_the_defects_are_of_them_alone() {
    for (defect, setup, guarantee, steps) in defects() {
        let trace: Vec<EngineAction> =
            steps.split(", ").map(|step| EngineAction::parse(step).unwrap_or_else(|| panic!("{step:?}"))).collect();
        let failure = replay_engine(&EngineSetup { defect: Some(defect), ..setup }, &trace).expect_err("it is shown");
        assert_eq!(failure.guarantee, guarantee);
        assert_eq!(replay_engine(&setup, &trace), Ok(()), "{defect:?}: the follower itself passes it");
    }
}

#[test]
fn a_search_that_does_not_end_is_no_result() {
    assert!(search_engine(&EngineSetup::small(), 50, &mut |_| {}).is_err_and(|broken| broken.is_unfinished));
}

/// The steps of a random run, and the seeds.
const STEPS: usize = 400;
const SEEDS: u64 = 2000;

/// Runs all seeds, or up to the first that finds something.
fn nodes(defect: Option<EngineDefect>) -> Result<NodeCounts, (u64, Failure)> {
    let mut all = NodeCounts::default();
    for seed in 0..SEEDS {
        all += run_nodes(seed, STEPS, defect).map_err(|failure| (seed, failure))?;
    }
    Ok(all)
}

#[test]
fn nodes_that_follow_an_engine() {
    let all = nodes(None).unwrap_or_else(|(seed, failure)| panic!("seed {seed}: {failure}"));
    assert!(all.least() >= 500, "everything happens often enough: {all:?}");
}

#[test]
fn nodes_show_the_defects_of_an_engine() {
    use EngineDefect::*;
    let found = [ReadBeforeSubscribe, TrimmedPageTakenAsWhole, GapWithoutLoss].map(|defect| {
        let (_, failure) = nodes(Some(defect)).err()?;
        Some(failure.guarantee)
    });
    assert_eq!(found, [Some(Guarantee::L1), Some(Guarantee::G5), Some(Guarantee::P1)]);
}
