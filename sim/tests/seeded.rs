//! Every defect that was put in on purpose is noticed in its stored trace, which the machine itself passes. Random runs look
//! for each of them too (`parlor-sim hunt seeded`): that takes longer, and depends on what a seed draws.

use parlor_core::Shard;
use parlor_sim::checkers::names::NAMES;
use parlor_sim::guarantees::Guarantee;
use parlor_sim::search::run::run_twice;
use parlor_sim::subjects::seeded::{all, named};
use parlor_sim::world::setup::CheckedBy;
use parlor_sim::world::trace::Trace;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// What each checker finds while the reference model, the machine's own audits and all other checkers look away.
const ALONE: [(&str, [&str; 2]); NAMES.len()] = [
    ("streams", ["a_publication_that_does_not_come", "two_publications_that_change_places"]),
    ("recovery", ["a_recovery_that_begins_one_late", "a_recovery_that_is_forgotten"]),
    ("closes", ["a_spared_connection_that_is_closed", "a_chosen_code_that_is_another"]),
    ("access", ["a_room_token_for_any_room", "a_clock_that_is_trusted_too_far"]),
    ("answers", ["a_log_read_backwards", "a_key_that_does_not_count"]),
    ("bounds", ["an_outbox_without_bounds", "history_without_bounds"]),
    ("events", ["an_event_that_is_not_told", "an_event_that_is_told_twice"]),
    ("accounts", ["a_frame_that_waits_told_as_written", "a_member_that_nothing_is_told_of"]),
    ("absences", ["a_grace_that_is_not_kept", "a_grace_that_is_too_short"]),
    ("replies", ["an_answer_that_comes_twice", "two_replies_that_change_places"]),
    ("revocations", ["a_revocation_of_another_token", "an_invalidation_that_is_too_early"]),
    ("liveness", ["a_second_end", "an_end_that_is_not_told"]),
];

/// The folder of the stored traces.
fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/seeded")
}

/// The traces in a folder, and in the folders of its checkers.
fn stored(folder: &Path) -> BTreeSet<PathBuf> {
    let entries = fs::read_dir(folder).expect("there are traces").map(|entry| entry.expect("an entry").path());
    entries.flat_map(|path| if path.is_dir() { stored(&path) } else { [path].into() }).collect()
}

#[test]
fn every_seeded_defect_is_noticed_in_its_stored_trace() {
    let command = "parlor-sim hunt seeded --keep sim/tests/seeded";
    let missed: Vec<String> = all()
        .filter(|seeded| seeded.is_stored())
        .filter_map(|seeded| {
            let instead = seeded.show_stored(&folder(), CheckedBy::All).err()?;
            Some(format!("{}: {instead}", seeded.name))
        })
        .collect();
    assert!(missed.is_empty(), "{command} stores a trace that is missing: {missed:#?}");
}

/// Lists the defects that random runs do not draw, that only the healing of a world notices, or that one checker is to
/// notice alone.
#[test]
fn some_defects_have_their_trace_beside_them_in_the_source() {
    let others = all().filter(|seeded| !seeded.is_stored());
    let names: Vec<&str> =
        others.map(|seeded| seeded.hunt().map(|_| seeded.name).expect("its trace shows it")).collect();
    assert_eq!(
        names,
        [
            "a_place_that_counts_in_one_room_alone",
            "a_refresh_that_keeps_old_rooms",
            "frames_that_are_not_counted",
            "a_hoarder_who_keeps_what_others_lose",
            "a_filter_that_is_passed_over",
            "a_publication_that_never_comes",
            "dead_who_stay",
            "a_room_that_is_kept_for_ever",
            "a_watch_that_outlives_its_right",
            "a_pattern_that_names_personal_rooms",
            "a_room_token_that_grants_nothing",
            "a_revocation_that_spares_rooms"
        ]
    );
}

#[test]
fn the_machine_itself_passes_the_traces_of_the_defects() {
    for path in stored(&folder()) {
        let text = fs::read_to_string(&path).expect("a trace is text");
        let trace: Trace = text.parse().unwrap_or_else(|wrong| panic!("{}: {wrong}", path.display()));
        assert_eq!(trace.check_names(), Ok(()), "{}", path.display());
        let failure = run_twice::<Shard>(&trace.setup, &trace.actions).failure;
        assert_eq!(failure, None, "{}", path.display());
    }
}

#[test]
fn every_stored_trace_is_of_a_seeded_defect() {
    let stores = all().filter(|seeded| seeded.is_stored());
    let mut files: BTreeSet<PathBuf> = stores.map(|seeded| seeded.file(&folder(), CheckedBy::All)).collect();
    for (checker, names) in ALONE {
        let file = |name| named(name).expect("a defect").file(&folder(), CheckedBy::Checker(checker));
        files.extend(names.map(file));
    }
    assert_eq!(stored(&folder()), files);
}

#[test]
fn each_guarantee_is_broken_by_a_seeded_defect() {
    // C1 is about a batch of runs, not about what the subject does.
    for guarantee in Guarantee::ALL.iter().filter(|guarantee| **guarantee != Guarantee::C1) {
        assert!(all().any(|seeded| seeded.breaks[0] == *guarantee), "{guarantee}");
    }
}

#[test]
fn each_checker_alone_notices_two_defects() {
    let mut missed = Vec::new();
    for (checker, name) in ALONE.iter().flat_map(|(checker, names)| names.map(|name| (*checker, name))) {
        let seeded = named(name).expect("a defect");
        if let Err(instead) = seeded.show_stored(&folder(), CheckedBy::Checker(checker)) {
            missed.push(format!("{name}, by {checker}: {instead}"));
        }
    }
    assert!(missed.is_empty(), "{missed:#?}");
    assert!(ALONE.iter().map(|(checker, _)| *checker).eq(NAMES), "all of them");
}
