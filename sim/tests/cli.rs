//! The program: what it prints, and what its exit codes tell apart.

use parlor_sim::fuzz;
use parlor_sim::search::hunt;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};

fn program(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_parlor-sim"));
    command.args(words);
    command
}

fn parlor_sim(words: &[&str]) -> (Option<i32>, String) {
    read_from(words, "")
}

/// The exit code and all that is printed, where this is on standard input.
fn read_from(words: &[&str], input: &str) -> (Option<i32>, String) {
    let (stdin, stdout) = (Stdio::piped(), Stdio::piped());
    let mut child = program(words).stdin(stdin).stdout(stdout).stderr(Stdio::piped()).spawn().expect("it runs");
    // Whoever does not read it may be gone before it is written.
    let _ = child.stdin.take().expect("it has one").write_all(input.as_bytes());
    let output = child.wait_with_output().expect("the program ends");
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
    let parts = [
        "clean: 20 seeds from 1, each run twice: ",
        "of the 20 runs reached each goal",
        " virtual seconds a second",
        "goals were missed, which",
    ];
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
fn a_broken_liveness_guarantee_ends_with_2() {
    let text = "setup conns=1 rooms=1 users=0 overlooked=G2+G3+G4+G5+G6+G7+G8+P1\nenter 0 1\nvanish 0\nheal\n";
    let stays = file("stays.trace", text);
    let stays = stays.to_str().expect("a path");
    ends(&["replay", stays, "--subject", "seeded:dead_who_stay"], 2, &["^ L2", "L2: When the world is healed"]);
    ends(&["replay", stays], 0, &["clean"]);
}

#[test]
fn nondeterminism_ends_with_4() {
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
    for (subject, defects) in [("v0", hunt::v0()), ("v1", hunt::v1())] {
        let all = defects.len();
        ends(&["hunt", subject], 0, &[&hunt::count(subject, all, all)]);
    }
    ends(&["hunt", "parlor"], 1, &[&hunt::count("parlor", 0, hunt::all().len())]);
}

#[test]
fn a_seeded_defect_is_stored_as_a_trace_that_shows_it() {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("seeded");
    let words = ["hunt", "seeded:a_gauge_that_drifts", "--keep", folder.to_str().expect("a path")];
    ends(&words, 0, &["a_gauge_that_drifts.trace", "1 of 1 traces stored"]);
    let trace = folder.join("a_gauge_that_drifts.trace");
    let words = ["replay", trace.to_str().expect("a path"), "--subject", "seeded:a_gauge_that_drifts"];
    ends(&words, 1, &["^ G8"]);
}

#[test]
fn a_trace_that_is_stored_is_not_stored_again() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/seeded");
    ends(&["hunt", "seeded", "--keep", folder], 0, &["0 of 0 traces stored"]);
    ends(&["hunt", "v0", "--keep", folder], 64, &["hunt v0 does not take --keep"]);
    ends(&["hunt", "nobody", "--keep", folder], 64, &["\"nobody\" has no traces to keep"]);
}

#[test]
fn a_seeded_defect_is_shown_by_a_short_trace() {
    let world = "proved minimal in this world";
    let parts = ["found G4 by seed ", "^ G4", "repeat: ", "--subject seeded:an_event_that_is_told_twice", world];
    ends(&["hunt", "seeded:an_event_that_is_told_twice"], 0, &parts);
}

#[test]
fn a_trace_is_made_short_and_saved_with_the_command_that_repeats_it() {
    let text = "setup conns=3 rooms=2 users=0 seed=9\nenter 2 2\nflush\nadvance little\nenter 1 1\nviolate 2 binary\n";
    let long = file("long.trace", text);
    let words = ["shrink", long.to_str().expect("a path"), "--subject", "v0"];
    let parts = [
        "trace:  2 steps, proved minimal in this world: with this setup",
        "repeat: cargo run --release -p parlor-sim -- replay ",
        "saved:  ",
    ];
    ends(&words, 1, &parts);
    let (_, output) = parlor_sim(&words);
    let saved = output.lines().find_map(|line| line.strip_prefix("saved:  ")).expect("the file is named");
    ends(&["replay", saved, "--subject", "v0"], 1, &["G3: No empty room"]);
}

#[test]
fn sites_that_share_an_engine_are_searched_and_a_defect_is_told_by_its_trace() {
    let words = ["exhaustive", "--scope", "engine", "--messages", "1"];
    ends(&words, 0, &["clean: 4519 states, 14096 transitions, depth 17, the scope was searched to its end in "]);
    ends(&[&words[..], &["--states", "50"]].concat(), 5, &["not ended: the scope has more than 50 states"]);
    let more = ["--moves", "0", "--refusals", "1", "--unlogged", "1", "--answer", "1", "--spent", "1"];
    ends(&[&words[..], &more].concat(), 0, &["FollowRefused", "AnswerSpent", "GotUnlogged", "clean: "]);
    let parts = ["P1: Each turn", "trace:  9 steps, none is shorter: execute 1, ", ", leave, come 1"];
    ends(&[&words[..], &["--defect", "a_position_that_the_copy_judges_above_its_top"]].concat(), 1, &parts);
}

#[test]
fn a_driver_can_be_replayed_too() {
    let trace = file("driver.trace", "setup conns=1 rooms=1 users=0\naccept 0 plain 1\nupgrade 0\nflush\n");
    ends(&["replay", trace.to_str().expect("a path"), "--subject", "driver"], 0, &["room r0 {0}", "clean"]);
}

#[test]
fn a_canary_that_is_found_ends_with_0_and_one_that_is_not_with_1() {
    ends(&["canary", "--seeds", "6000", "--seed", "0", "--steps", "30"], 0, &["G8", "this batch can fail"]);
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

#[test]
fn a_command_refuses_flags_that_it_does_not_read() {
    for (words, refusal) in [
        (&["--seeds", "20", "--subject", "v0"][..], "a random run does not take --subject; it takes --seed, --seeds, "),
        (&["canary", "--driver"], "canary does not take --driver; it takes --seeds, --seed, --steps"),
        (&["replay", "FILE", "--driver"], "replay does not take --driver; it takes --subject"),
        (&["shrink", "FILE", "--steps", "2"], "shrink does not take --steps; it takes --subject"),
        (&["hunt", "v0", "--driver"], "hunt v0 does not take --driver, nor any other flag"),
        (&["fuzz", "actions", "FILE", "--raw"], "fuzz does not take --raw, nor any other flag"),
        (&["exhaustive", "--seed", "1"], "exhaustive --scope rooms does not take --seed; it takes --scope, --states, "),
        (&["exhaustive", "--scope", "presence", "--rooms", "3"], "exhaustive --scope presence does not take --rooms"),
        (&["exhaustive", "--scope", "presence", "--protocol", "plain"], "presence does not take --protocol"),
        (&["exhaustive", "--scope", "ends", "--messages", "1"], "exhaustive --scope ends does not take --messages"),
        (&["exhaustive", "--scope", "home", "--queue", "2"], "home does not take --queue"),
        (&["exhaustive", "--history", "2"], "exhaustive --scope rooms does not take --history"),
        (&["--seed", "1", "--seed", "2"], "--seed is given twice"),
    ] {
        ends(words, 64, &[refusal]);
    }
}

#[test]
fn a_value_out_of_bounds_is_an_error_that_names_the_bounds() {
    for (words, refusal) in [
        (&["--seeds", "0"][..], "--seeds is 0, but must be at least 1 and at most "),
        (&["--steps", "99999999999"], "--steps is 99999999999, but must be at least 0 and at most 1000000"),
        (&["exhaustive", "--conns", "0"], "--conns is 0, but must be at least 1 and at most 8"),
        (&["exhaustive", "--rooms", "8"], "--rooms is 8, but must be at least 1 and at most 7"),
        (&["exhaustive", "--queue", "0"], "--queue is 0, but must be at least 1 and at most 8"),
        (&["exhaustive", "--scope", "none"], "there are rooms, ends, users, pings, home, presence, engine"),
        (&["exhaustive", "--scope", "engine", "--conns", "3"], "exhaustive --scope engine does not take --conns"),
        (&["exhaustive", "--scope", "engine", "--cuts", "9"], "--cuts is 9, but must be at least 0 and at most 8"),
        (&["exhaustive", "--scope", "engine", "--defect", "none"], "\"none\" is no defect: there are a_read_before_"),
    ] {
        ends(words, 64, &[refusal]);
    }
}

#[test]
fn a_missing_argument_is_an_error_that_names_it() {
    for (words, missing) in [
        (&["hunt"][..], "hunt wants to know in what: it is v0, v1, parlor, seeded, or seeded: with a name"),
        (&["replay"], "replay wants the file of a trace first, or - for standard input"),
        (&["replay", "--subject", "v0"], "replay wants the file of a trace first"),
        (&["shrink"], "shrink wants the file of a trace first"),
        (&["fuzz", "actions"], "fuzz wants a target and a file. Targets are actions, "),
    ] {
        ends(words, 64, &[missing]);
    }
}

#[test]
fn a_trace_that_cannot_be_meant_ends_with_64() {
    for (trace, wrong) in [
        ("setup new_connections=5000000000; enter 0 1", "new_connections=5000000000 must be at most 1000000"),
        ("setup history_age=99999999999999; heal", "history_age=99999999999999 must be at most 100000000"),
        ("setup conns=1 rooms=1; flush; enter 1 1", "action 2, \"enter 1 1\", names what this world does not have"),
    ] {
        for command in ["replay", "shrink"] {
            let (status, text) = read_from(&[command, "-"], trace);
            assert_eq!(status, Some(64), "{text}");
            assert!(text.contains(wrong), "{wrong:?} is not in\n{text}");
        }
    }
}

#[test]
fn a_search_says_what_it_searches_and_that_it_came_to_the_end() {
    let words = ["exhaustive", "--conns", "1", "--messages", "1"];
    let parts =
        ["scope rooms: every order", "setup conns=1 rooms=2 ", "actions: accept upgrade close lose write api-publish"];
    ends(&words, 0, &parts);
    ends(&words, 0, &["clean: ", " states, ", ", the scope was searched to its end in "]);
}

#[test]
fn a_search_that_does_not_end_is_not_a_broken_guarantee() {
    let words = ["exhaustive", "--states", "50"];
    ends(&words, 5, &["not ended: the scope has more than 50 states."]);
    assert!(!parlor_sim(&words).1.contains("G10"));
}

#[test]
fn every_find_of_a_hunt_is_repeated_by_the_command_it_prints() {
    let mut repeated = 0;
    for subject in ["v0", "v1"] {
        let (_, output) = parlor_sim(&["hunt", subject]);
        let guarantees =
            output.lines().filter_map(|line| line.strip_prefix("   ")?.split_once(": ")).map(|(name, _)| name);
        let repeats = output.lines().filter_map(|line| line.trim().strip_prefix("repeat    echo \""));
        for (guarantee, repeat) in guarantees.filter(|name| name.starts_with('G')).zip(repeats) {
            let (trace, command) = repeat.split_once("\" | cargo run --release -p parlor-sim -- ").expect("a pipe");
            let (status, text) = read_from(&command.split(' ').collect::<Vec<_>>(), trace);
            assert_eq!(status, Some(1), "{text}");
            assert!(text.contains(&format!("\n{guarantee}: ")), "{guarantee} is not in\n{text}");
            repeated += 1;
        }
    }
    assert_eq!(repeated, hunt::v0().len() + hunt::v1().len());
}

#[test]
fn a_closed_standard_output_ends_the_program_silently() {
    let mut child = program(&["--seeds", "20", "--seed", "1", "--steps", "20"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program runs");
    drop(child.stdout.take());
    let mut text = String::new();
    child.stderr.take().expect("it has one").read_to_string(&mut text).expect("text");
    assert_eq!((child.wait().expect("it ends").code(), text.as_str()), (Some(74), ""));
}

#[test]
fn an_input_of_a_fuzzer_is_printed_in_full() {
    for (target, parts) in [
        ("transitions", &["setup conns=", "at 1000000000 ns: accept "][..]),
        ("wire_decode", &["a body of the API's publish: \"{}\""]),
        (
            "codec_bytes",
            &[
                "/ws/a?greeting=off: 6 bytes in pieces of 2 2 2",
                "the socket takes 3 bytes at most",
                "must be noticed: [Protocol",
            ],
        ),
        ("resp_decode", &["10 bytes in pieces of 3", "[null]", "begins with 'O'"]),
    ] {
        let bytes: &[u8] = match target {
            "transitions" => &[[0; 28], [0; 28]].concat(),
            "wire_decode" => &[2, 0, b'{', b'}'],
            "resp_decode" => b"\x02*1\r\n_\r\nO\r\n",
            _ => &[1, 4, 3, 0xFF, 0x80, 0, 0, 0, 0],
        };
        let path = file(target, "");
        std::fs::write(&path, bytes).expect("there is a place for it");
        ends(&["fuzz", target, path.to_str().expect("a path")], 0, parts);
        ends(&["fuzz", target, path.to_str().expect("a path")], 0, &["\nclean\n"]);
    }
}

#[test]
fn a_fuzz_input_of_actions_is_printed_as_a_trace() {
    let bytes: Vec<u8> = (0..28).map(|_| 0).chain((0..80_u8).map(|byte| byte.wrapping_mul(7))).collect();
    let path = file("trace-of-bytes", "");
    std::fs::write(&path, &bytes).expect("there is a place for it");
    for target in ["actions", "driver"] {
        let (status, output) = parlor_sim(&["fuzz", target, path.to_str().expect("a path")]);
        assert_eq!(status, Some(0), "{output}");
        assert_eq!(output.strip_suffix("clean\n"), Some(fuzz::trace(&bytes).to_string().as_str()));
        let trace = output.strip_suffix("clean\n").expect("it is clean");
        assert_eq!(read_from(&["replay", "-"], trace).0, Some(0), "{trace}");
    }
}

#[test]
fn a_proved_trace_was_searched_to_its_length() {
    let twice = "accept 0 json 0; lose 0 eof; ".repeat(6);
    let trace = format!("setup conns=1 rooms=1; {twice}");
    let subject = "seeded:a_user_who_outlives_the_connections";
    let (status, text) = read_from(&["shrink", "-", "--subject", subject], &trace);
    assert_eq!(status, Some(1), "{text}");
    let states = text.split_once("trace:  12 steps, proved minimal in this world").expect("it is proved").1;
    let states = states.split_once('(').and_then(|(_, rest)| rest.split_once(" states searched)")).expect("how").0;
    assert!(states.parse::<u64>().expect("a number") >= 12, "a way of twelve steps is not searched in {states} states");
}
