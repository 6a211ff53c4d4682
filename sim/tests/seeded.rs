//! Every defect that was put in on purpose is found, by what it says finds it.

use parlor_sim::checkers::names::NAMES;
use parlor_sim::guarantees::Guarantee;
use parlor_sim::subjects::seeded::{Seeded, all, named};
use parlor_sim::world::setup::CheckedBy;

/// What each checker finds while the reference model, the machine's own audits and all other checkers look away.
const ALONE: [(&str, [&str; 2]); NAMES.len()] = [
    ("streams", ["a_publication_that_does_not_come", "two_publications_that_change_places"]),
    ("recovery", ["a_recovery_that_begins_one_late", "a_recovery_that_is_forgotten"]),
    ("closes", ["a_spared_connection_that_is_closed", "a_chosen_code_that_is_another"]),
    ("access", ["a_room_token_for_any_room", "a_clock_that_is_trusted_too_far"]),
    ("bounds", ["an_outbox_without_bounds", "history_without_bounds"]),
    ("events", ["an_event_that_is_not_told", "an_event_that_is_told_twice"]),
    ("liveness", ["a_second_end", "an_end_that_is_not_told"]),
];

/// Of every second defect, since there are as many cores.
fn are_found(half: usize) {
    let missed = |seeded: &Seeded| match seeded.hunt() {
        Ok(find) => {
            println!("{}: {find}", seeded.name);
            None
        }
        Err(instead) => Some(format!("{}: {instead}", seeded.name)),
    };
    let missed: Vec<String> = all().skip(half).step_by(2).filter_map(missed).collect();
    assert!(missed.is_empty(), "{missed:#?}");
}

#[test]
fn one_half_is_found() {
    are_found(0);
}

#[test]
fn the_other_half_is_found() {
    are_found(1);
}

#[test]
fn each_guarantee_is_broken_by_one() {
    // C1 is about a batch of runs, not about what the subject does.
    for guarantee in Guarantee::ALL.iter().filter(|guarantee| **guarantee != Guarantee::C1) {
        assert!(all().any(|seeded| seeded.breaks[0] == *guarantee), "{guarantee}");
    }
}

#[test]
fn each_checker_alone_finds_two_defects() {
    let missed =
        ALONE.iter().flat_map(|(checker, names)| names.map(|name| (*checker, name))).filter_map(|(checker, name)| {
            let seeded = named(name).expect("a defect");
            match seeded.hunt_with(CheckedBy::Checker(checker)) {
                Ok(find) if find.failure.checker() == Some(checker) => {
                    println!("{name}: {find}");
                    None
                }
                Ok(find) => Some(format!("{name}: {find}, and not {checker}")),
                Err(instead) => Some(format!("{name}, by {checker}: {instead}")),
            }
        });
    let missed: Vec<String> = missed.collect();
    assert!(missed.is_empty(), "{missed:#?}");
    assert!(ALONE.iter().map(|(checker, _)| *checker).eq(NAMES), "all of them");
}
