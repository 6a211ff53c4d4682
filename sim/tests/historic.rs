//! The simulator finds what is known to be wrong: every defect of the historic connection manager, before its fix and
//! after, by a trace than which there is no shorter. And in Parlor none of them.

use parlor_core::Shard;
use parlor_sim::guarantees::{Guarantee, Guarantees};
use parlor_sim::search::explore::{Scope, explore};
use parlor_sim::search::hunt::{self, HistoricDefect};
use parlor_sim::search::run::{RunReport, run_twice};
use parlor_sim::subjects::naive::{V0, V1};
use parlor_sim::subjects::subject::Subject;
use parlor_sim::world::setup::Setup;
use parlor_sim::world::trace::Trace;

/// What is broken, and the trace that breaks it.
type Find = (Guarantee, &'static str);

const GHOST: Find = (Guarantee::G3, "enter 0 1; violate 0 binary");
const CLOSED_HANDLE: Find = (Guarantee::G1, "enter 0 1; violate 0 binary; api-publish 0 small");
const EMPTY_ROOM: Find = (Guarantee::G3, "enter 0 1; api-publish 0 small; lose 0 eof");
const CHANGED_SET: Find = (Guarantee::G5, "enter 0 1; enter 1 1; api-publish 0 small; enter 2 1; write 0 all");
const STALE_USER: Find = (Guarantee::G3, "enter 0 1; api-publish 0 small; lose 0 eof");
const CHANGED_DICT: Find = (Guarantee::G5, "enter 0 1; enter 1 2; api-publish-all small; enter 2 4; write 0 all");
const KEY_ERROR: Find = (Guarantee::G10, "enter 0 1; api-publish 0 small; lose 0 eof");

/// Asserts that each defect is found by its trace, in as many steps as that has.
fn are_found<S: Subject + Clone>(defects: &[HistoricDefect], finds: &[Find]) {
    assert_eq!(defects.len(), finds.len());
    for (defect, (guarantee, trace)) in defects.iter().zip(finds) {
        let Err(broken) = defect.hunt::<S>() else { panic!("nobody finds: {}", defect.name) };
        let actions: Vec<String> = broken.trace.actions.iter().map(ToString::to_string).collect();
        assert_eq!((broken.failure.guarantee, actions.join("; ").as_str()), (*guarantee, *trace), "{}", defect.name);
        assert_eq!(actions.len(), defect.steps, "{}", defect.name);
        assert!(defect.is_found_by(&broken));
    }
}

#[test]
fn the_known_defects_are_found_before_the_fix() {
    are_found::<V0>(&hunt::v0(), &[GHOST, CLOSED_HANDLE, EMPTY_ROOM, CHANGED_SET]);
}

#[test]
fn the_known_defects_are_found_after_the_fix() {
    are_found::<V1>(&hunt::v1(), &[GHOST, CLOSED_HANDLE, STALE_USER, CHANGED_DICT, KEY_ERROR]);
}

/// What each must take at most, so that a slower way is not pinned by mistake.
#[test]
fn no_trace_is_longer_than_it_may_be() {
    let steps = |defects: Vec<HistoricDefect>| defects.iter().map(|defect| defect.steps).collect::<Vec<_>>();
    assert_eq!(steps(hunt::v0()), [2, 3, 3, 5]);
    assert_eq!(steps(hunt::v1()), [2, 3, 3, 5, 3]);
}

/// The same searches of the real machine come to their end: not because nothing happens in them, and not because what
/// they do not look for was in the way, for where nothing is overlooked nothing is found either.
#[test]
fn parlor_has_none_of_them() {
    for defect in hunt::all() {
        let found = defect.hunt::<Shard>().unwrap_or_else(|broken| {
            panic!("{}: {}\n{}", defect.name, broken.failure, broken.trace);
        });
        assert!(defect.actions.iter().all(|action| found.effective[action.kind()] > 0), "{found}");
        let setup = Setup { overlooked: Guarantees::default(), ..defect.setup.clone() };
        let strict = Scope::of_everything(setup, defect.actions.clone());
        assert_eq!(explore::<Shard>(&strict).ok(), Some(found), "{}", defect.name);
    }
}

fn replay<S: Subject + Clone>(setup: &str, actions: &str) -> RunReport {
    let trace: Trace = format!("{setup}\n{}", actions.replace("; ", "\n")).parse().expect("a trace");
    run_twice::<S>(&trace.setup, &trace.actions)
}

/// Two of the four went: the room that stayed empty is gone, though its own line ends in a `KeyError`, and a set that
/// changes during a send is no matter any more.
#[test]
fn fixed_defects_are_not_found_after_the_fix() {
    let setup = "setup conns=3 rooms=1 users=0 history_messages=0 log_memory=0";
    let (_, failure) = replay::<V1>(setup, EMPTY_ROOM.1).failure.expect("the KeyError");
    assert_eq!(failure.guarantee, Guarantee::G10);
    assert_eq!(replay::<V1>(setup, CHANGED_SET.1).failure, None);
    assert!(replay::<V0>(setup, CHANGED_SET.1).failure.is_some());
}

/// Where nothing goes wrong they do all that the reference model wants of them, so that what it finds is theirs and not the
/// harness's.
#[test]
fn without_faults_the_historic_subjects_match_the_reference_model() {
    // They write to one after the other: what is for the second of two comes after a flush of the first.
    let setup = "setup conns=3 rooms=2 users=2 history_messages=0 log_memory=0";
    let day = "enter 0 1; enter 1 1; api-publish 0 small; write 0 all; write 1 all; api-publish-user 1 small; \
               write 1 half; write 1 all; api-send 0 small; write 0 all; enter 2 2; api-publish-all small; \
               write 0 all; write 1 all; write 2 all; close 1 1000; write 1 all; api-publish 0 small; flush; \
               lose 2 reset; enter 2 1; api-publish 1 small; api-publish-user 0 small; flush; flush; \
               violate 0 utf8; flush; lose 0 eof; close 2 empty; flush; enter 0 1; stale 0 message";
    for run in [replay::<V0>(setup, day), replay::<V1>(setup, day)] {
        assert_eq!(run.failure, None);
        assert_eq!(run.effective.iter().sum::<u64>(), day.split("; ").count() as u64, "every step means something");
    }
}

/// What is printed is enough to understand a defect by.
#[test]
fn a_found_defect_is_printed_step_by_step() {
    let defects = hunt::v0();
    let (text, found) = hunt::tell::<V0>("v0", &defects);
    assert_eq!(found, defects.len(), "{text}");
    for line in [
        "4. a set is changed while it is iterated over, and whoever comes later gets nothing",
        "   G5: What a connection receives from a room is a run of the room's log without hole, repeat or swap",
        "   4  client 2 connects to /ws/r0",
        "        rooms {r0: {ws0.0, ws1.0, ws2.0}}  users {}",
        "        send_to_room(\"r0\") waits at member 1 of 2, for ws0.0; then comes ws1.0",
        "   5  the socket of client 0 takes what waits for it",
        "        send_to_room(\"r0\") ended by RuntimeError: Set changed size during iteration",
        "   expected  1 frames to wait for ws1.0: [\"{\\\"n\\\":1}\"]",
        "   saw       []",
        "   repeat    echo \"setup conns=3 rooms=1 users=0 ids_repeat=1 messages=1 history_messages=0 log_memory=0; enter 0 1; enter 1 1; \
         api-publish 0 small; enter 2 1; write 0 all\" | cargo run --release -p parlor-sim -- replay - --subject v0",
    ] {
        assert!(text.lines().any(|seen| seen == line), "{line:?} is not in\n{text}");
    }
    let (_, none) = hunt::tell::<Shard>("parlor", &defects[..1]);
    assert_eq!(hunt::count("parlor", none, 1), "parlor: none of the 1 defects found, as it should be");
}

/// An entrance is an action like every other, with a text and without a user where there are none.
#[test]
fn enter_is_one_action_with_and_without_users() {
    for (setup, users) in [("setup users=0", 0), ("setup users=1", 1)] {
        let setup: Setup = setup.parse().expect("a setup");
        let actions = ["enter 0 1", "enter 3 2", "enter 0 1"].map(|text| text.parse().expect("an action"));
        let run = run_twice::<Shard>(&setup, &actions);
        assert_eq!(run.failure, None, "{users} users");
        assert_eq!(run.effective.iter().sum::<u64>(), 2, "the third is in already");
    }
}
