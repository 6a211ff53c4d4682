//! The oracle may be wrong, but not together with core: it shares nothing with it but the types of what goes in and out.

use std::fs;
use std::path::Path;

/// What the oracle may use of core.
const ALLOWED: [&str; 19] = [
    "Change",
    "ClientId",
    "Config",
    "ConnId",
    "ConnView",
    "Effect",
    "End",
    "EndedBy",
    "Input",
    "Instant",
    "Limits",
    "Now",
    "PhaseView",
    "Rate",
    "Refused",
    "Snapshot",
    "Stats",
    "limits",
    "snapshot",
];

#[test]
fn the_oracle_shares_no_code_with_core() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/oracle");
    let mut read = 0;
    for entry in fs::read_dir(folder).expect("the oracle is a folder") {
        let path = entry.expect("an entry").path();
        let text = fs::read_to_string(&path).expect("a source file");
        read += 1;
        let uses: Vec<&str> = text.match_indices("parlor_core").map(|(at, _)| rest_of_path(&text[at..])).collect();
        for word in uses.iter().flat_map(|path| path.split(|char: char| !char.is_alphanumeric())) {
            let known = word.is_empty() || word == "core" || word == "parlor" || ALLOWED.contains(&word);
            assert!(known, "{}: {word} is not for the oracle to use", path.display());
        }
    }
    assert!(read >= 4, "the oracle was found");
}

/// `parlor_core::…` up to the end of the path or of the list in braces.
fn rest_of_path(text: &str) -> &str {
    let end =
        match (text.find('{'), text.find(|char: char| char.is_whitespace() || matches!(char, ';' | ',' | ')' | '>'))) {
            (Some(brace), Some(other)) if brace < other => text.find('}').unwrap_or(text.len()),
            (_, other) => other.unwrap_or(text.len()),
        };
    &text[..end]
}
