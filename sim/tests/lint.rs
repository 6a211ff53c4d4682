//! The reference model may be wrong, but not together with core: it shares nothing with it but the types of what goes in and out.

use std::fs;
use std::path::Path;

/// What the reference model may use of core.
const ALLOWED: &[&str] = &[
    "Change",
    "ClientId",
    "Config",
    "ConnId",
    "ConnView",
    "Effect",
    "End",
    "CloseCause",
    "Input",
    "Instant",
    "Limit",
    "Limits",
    "Now",
    "PhaseView",
    "Rate",
    "Refused",
    "RoomName",
    "Snapshot",
    "Stats",
    "UserId",
    "UserLimit",
    "Value",
    "limits",
    "snapshot",
];

#[test]
fn the_reference_model_shares_no_code_with_core() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/reference");
    let mut read = 0;
    for entry in fs::read_dir(folder).expect("the reference model is a folder") {
        let path = entry.expect("an entry").path();
        let text = fs::read_to_string(&path).expect("a source file");
        read += 1;
        for way_around in ["parlor_core::*", "parlor_core as", "extern crate"] {
            assert!(!text.contains(way_around), "{}: {way_around}", path.display());
        }
        let uses: Vec<&str> = text.match_indices("parlor_core").map(|(at, _)| rest_of_path(&text[at..])).collect();
        for word in uses.iter().flat_map(|path| path.split(|char: char| !char.is_alphanumeric())) {
            let known = word.is_empty() || word == "core" || word == "parlor" || ALLOWED.contains(&word);
            assert!(known, "{}: {word} is not for the reference model to use", path.display());
        }
    }
    assert!(read >= 4, "the reference model was found");
}

/// What a call does in the model is written in `calls.rs`: the rows of actions ask neither core nor a subject.
#[test]
fn the_rows_of_actions_share_no_code_with_core_and_see_no_subject() {
    let table = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/world/action/table.rs");
    let text = fs::read_to_string(table).expect("the table of actions is a file");
    assert!(text.contains("calls::"), "rows have calls");
    for word in ["parlor_core", "subject", "answered"] {
        assert!(!text.contains(word), "the table of actions: {word}");
    }
}

/// What clients are told over an engine is judged by what was executed there, and by nothing that the core has computed.
#[test]
fn the_tree_of_histories_shares_no_code_with_core_and_the_model_of_the_engine() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/engine/tree.rs");
    let text = fs::read_to_string(path).expect("the tree is a file");
    assert_eq!(
        text.lines().filter(|line| line.starts_with("use ")).collect::<Vec<_>>(),
        ["use crate::guarantees::{Failure, Guarantee};"]
    );
    assert!(!text.contains("parlor_core"));
}

/// What it expects it knows by itself: the state and the counts of a subject are there to be compared, in `compare.rs`. What a
/// subject makes up is read in `foresee.rs`: the epochs of its logs.
#[test]
fn the_reference_model_foresees_nothing_from_the_counts_or_phases_of_the_subject() {
    const OF_THE_SUBJECT: [&str; 5] = ["Snapshot", "Stats", "ConnView", "PhaseView", "outcome"];
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/reference");
    let source = |name: &str| fs::read_to_string(folder.join(name)).expect("a source file");
    for entry in fs::read_dir(&folder).expect("the reference model is a folder") {
        let name = entry.expect("an entry").file_name().into_string().expect("a name in ASCII");
        let may: &[&str] = match &*name {
            "compare.rs" | "outcome.rs" => &OF_THE_SUBJECT,
            "foresee.rs" | "mod.rs" => &["outcome"],
            _ => &[],
        };
        let text = source(&name);
        let is_named = |word: &str| text.split(|char: char| !char.is_alphanumeric()).any(|other| other == word);
        for word in OF_THE_SUBJECT.iter().filter(|word| !may.contains(word)) {
            assert!(!is_named(word), "{name}: {word}");
        }
    }
    let foresee = source("foresee.rs");
    let read: Vec<&str> = foresee.match_indices("outcome.").map(|(at, _)| rest_of_path(&foresee[at..])).collect();
    assert!(!read.is_empty() && read.iter().all(|path| path.starts_with("outcome.after.logs.")), "{read:?}");
}

/// `parlor_core::…` up to the end of the path, with all lists in braces that it has.
fn rest_of_path(text: &str) -> &str {
    let mut depth = 0;
    let is_end = |char: char| {
        depth += i32::from(char == '{') - i32::from(char == '}');
        depth < 1 && (char.is_whitespace() || matches!(char, ';' | ',' | ')' | '>'))
    };
    &text[..text.find(is_end).unwrap_or(text.len())]
}

#[test]
fn a_path_is_read_to_its_end() {
    assert_eq!(rest_of_path("parlor_core::ConnId, Shard"), "parlor_core::ConnId");
    assert_eq!(
        rest_of_path("parlor_core::{snapshot::{ConnView}, wire::json}; x"),
        "parlor_core::{snapshot::{ConnView}, wire::json}"
    );
}
