//! The program: what it prints, and what its exit codes tell apart.

use std::path::PathBuf;
use std::process::Command;

fn parlor_sim(words: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_parlor-sim")).args(words).output().expect("the program runs");
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).expect("text")).concat();
    (output.status.code(), text)
}

fn file(name: &str, text: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, text).expect("there is a place for it");
    path
}

/// Asserts this exit code, and that all of these are printed.
fn ends(words: &[&str], code: i32, parts: &[&str]) {
    let (status, text) = parlor_sim(words);
    assert_eq!(status, Some(code), "{words:?}\n{text}");
    parts.iter().for_each(|part| assert!(text.contains(part), "{part:?} is not in\n{text}"));
}

#[test]
fn a_clean_batch_ends_with_0() {
    let parts = ["clean: 20 seeds from 1, each run twice: ", " virtual seconds a second", "goals were missed, which"];
    ends(&["--seeds", "20", "--seed", "1"], 0, &parts);
    ends(&["--seed", "7", "--steps", "20"], 0, &["seed 7 steps 20", "clean: 1 seeds from 7"]);
}

#[test]
fn a_large_batch_that_misses_a_goal_ends_with_3() {
    ends(&["--seeds", "10000", "--seed", "1", "--steps", "0"], 3, &["C1: no run reached: "]);
}

#[test]
fn a_broken_guarantee_ends_with_1_and_its_steps_are_shown() {
    let ghost = file("ghost.trace", "setup conns=1 rooms=1 users=0\nenter 0 1\nviolate 0 binary # raises\n");
    let ghost = ghost.to_str().expect("a path of this crate");
    let parts = ["setup conns=1", "   2  violate 0 binary", "room r0 {0}", "^ G3", "G3: No empty room"];
    ends(&["replay", ghost, "--subject", "v0"], 1, &parts);
    ends(&["replay", ghost], 0, &["clean"]);
}

#[test]
fn what_never_comes_right_ends_with_2() {
    let text = "setup conns=1 rooms=1 users=0 overlooked=G2+G3+G4+G5+G6+G7+G8+P1\nenter 0 1\nvanish 0\nheal\n";
    let stays = file("stays.trace", text);
    let stays = stays.to_str().expect("a path");
    ends(&["replay", stays, "--subject", "seeded:dead_who_stay"], 2, &["^ L2", "L2: When the world is healed"]);
    ends(&["replay", stays], 0, &["clean"]);
}

#[test]
fn what_does_not_repeat_ends_with_4() {
    // This subject does every third turn of its process in another order, so two runs of five turns are never alike.
    let text = "setup conns=2 rooms=1 users=0\naccept 0 json 0\naccept 1 json 0\nupgrade 1\nupgrade 0\n\
                advance little\nadvance little\nadvance due\n";
    let chance = file("chance.trace", text);
    let chance = chance.to_str().expect("a path");
    ends(&["replay", chance, "--subject", "seeded:an_order_that_depends_on_chance"], 4, &["G9: Same inputs"]);
    ends(&["replay", chance], 0, &["clean"]);
}

#[test]
fn a_hunt_ends_with_0_when_it_has_found_everything() {
    ends(&["hunt", "v0"], 0, &["v0: 4 of 4 defects found"]);
    ends(&["hunt", "v1"], 0, &["v1: 5 of 5 defects found"]);
    ends(&["hunt", "parlor"], 1, &["parlor: none of the 7 defects found"]);
    ends(&["hunt", "seeded"], 0, &["a_gauge_that_drifts                              G8 by seed ", "59 of 59 defects"]);
}

#[test]
fn a_seeded_defect_is_told_by_a_short_trace() {
    let parts = ["found G8 by seed ", "^ G8", "repeat: ", "--subject seeded:a_gauge_that_drifts", "proved minimal"];
    ends(&["hunt", "seeded:a_gauge_that_drifts"], 0, &parts);
}

#[test]
fn a_trace_is_made_short_and_saved_with_the_command_that_repeats_it() {
    let text = "setup conns=3 rooms=2 users=0 seed=9\nenter 2 2\nflush\nadvance little\nenter 1 1\nviolate 2 binary\n";
    let long = file("long.trace", text);
    let words = ["shrink", long.to_str().expect("a path"), "--subject", "v0"];
    let parts = ["trace:  2 steps, proved minimal", "repeat: cargo run --release -p parlor-sim -- replay ", "saved:  "];
    ends(&words, 1, &parts);
    let (_, told) = parlor_sim(&words);
    let saved = told.lines().find_map(|line| line.strip_prefix("saved:  ")).expect("the file is named");
    ends(&["replay", saved, "--subject", "v0"], 1, &["G3: No empty room"]);
}

#[test]
fn a_driver_can_be_replayed_too() {
    let trace = file("driver.trace", "setup conns=1 rooms=1 users=0\naccept 0 plain 1\nupgrade 0\nflush\n");
    ends(&["replay", trace.to_str().expect("a path"), "--subject", "driver"], 0, &["room r0 {0}", "clean"]);
}

#[test]
fn a_canary_that_is_found_ends_with_0_and_one_that_is_not_with_1() {
    ends(&["canary", "--seeds", "6000", "--seed", "0", "--steps", "30"], 0, &["G7", "this batch can fail"]);
    ends(&["canary", "--seeds", "5", "--seed", "0", "--steps", "30"], 1, &["the canary lives: 5 seeds from 0"]);
}

#[test]
fn bad_usage_ends_with_64() {
    for words in [
        &["--colour"][..],
        &["replay", "no-such.trace"],
        &["hunt", "nobody"],
        &["hunt", "seeded:nothing"],
        &["--seeds", "many"],
        &["dance"],
    ] {
        ends(words, 64, &["Exit codes: "]);
    }
}
