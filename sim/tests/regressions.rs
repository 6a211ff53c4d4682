//! Traces that once broke something, kept as text: what they broke stays whole.

use parlor_core::Shard;
use parlor_sim::report;
use parlor_sim::run::run_twice;
use parlor_sim::trace::Trace;
use std::fs;
use std::path::Path;

#[test]
fn what_was_broken_once_stays_whole() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/regressions");
    let mut replayed = 0;
    for entry in fs::read_dir(folder).expect("there are traces") {
        let path = entry.expect("an entry").path();
        let text = fs::read_to_string(&path).expect("a trace is text");
        let trace: Trace = text.parse().unwrap_or_else(|wrong| panic!("{}: {wrong}", path.display()));
        let run = run_twice::<Shard>(&trace.setup, &trace.actions);
        if let Some((_, failure)) = run.failure {
            let repeat = format!("cargo run --release -p parlor-sim -- replay {}", path.display());
            panic!("{}", report::failure::<Shard>(&failure, &trace, &repeat));
        }
        let made_sense: u64 = run.effective.iter().sum();
        assert_eq!(made_sense, trace.actions.len() as u64, "{}: every step still means something", path.display());
        replayed += 1;
    }
    assert!(replayed > 0);
}
