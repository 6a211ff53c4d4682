//! Traces that once broke something, kept as text: what they broke stays whole.

use parlor_sim::search::report;
use parlor_sim::search::run::run_twice;
use parlor_sim::subjects::cluster::Cluster;
use parlor_sim::subjects::subject::Subject;
use parlor_sim::world::trace::Trace;
use std::fs;
use std::path::Path;

/// Replays every trace of a folder.
fn stay_whole<S: Subject>(folder: &str, subject: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let paths = fs::read_dir(folder).expect("there are traces").map(|entry| entry.expect("an entry").path());
    let mut replayed = 0;
    for path in paths.filter(|path| path.extension().is_some_and(|extension| extension == "trace")) {
        let text = fs::read_to_string(&path).expect("a trace is text");
        let trace: Trace = text.parse().unwrap_or_else(|wrong| panic!("{}: {wrong}", path.display()));
        let run = run_twice::<S>(&trace.setup, &trace.actions);
        if let Some((_, failure)) = run.failure {
            let repeat = format!("cargo run --release -p parlor-sim -- replay {} --subject {subject}", path.display());
            panic!("{}", report::failure::<S>(&failure, &trace, &repeat));
        }
        let made_sense: u64 = run.effective.iter().sum();
        assert_eq!(made_sense, trace.actions.len() as u64, "{}: every step still means something", path.display());
        replayed += 1;
    }
    assert!(replayed > 0);
}

#[test]
fn stored_traces_of_fixed_defects_pass() {
    stay_whole::<Cluster>("tests/regressions", "parlor");
}

/// Each shows a defect of `shell/tests/defects.toml` to one checker, which looks alone.
#[test]
fn stored_traces_of_defects_between_shards_pass() {
    stay_whole::<Cluster>("tests/regressions/shards", "parlor");
}

#[cfg(feature = "driver")]
#[test]
fn stored_traces_of_fixed_driver_defects_pass() {
    stay_whole::<parlor_sim::subjects::hosted::Hosted>("tests/regressions/driver", "driver");
}
