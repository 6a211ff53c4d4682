//! What the fuzzers found worth keeping, once more: every input that is committed, on any toolchain.

use parlor_sim::fuzz::{FuzzTarget, TARGETS};
use std::fs;
use std::panic::catch_unwind;
use std::path::Path;

#[test]
fn every_input_that_was_kept_is_clean() {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    for FuzzTarget { name: target, run, .. } in TARGETS {
        assert!(fuzz.join("fuzz_targets").join(target).with_extension("rs").exists(), "a fuzzer can run {target}");
        let folder = fuzz.join("corpus").join(target);
        let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        let mut replayed = 0;
        for entry in entries {
            let path = entry.expect("an entry").path();
            let bytes = fs::read(&path).expect("an input");
            let outcome = catch_unwind(|| run(&bytes));
            assert!(outcome.is_ok(), "repeat: cargo run --release -p parlor-sim -- fuzz {target} {}", path.display());
            replayed += 1;
        }
        assert!(replayed > 0, "{} is empty", folder.display());
    }
}
