//! Commands that are not random: `replay`, `shrink` and `hunt`.

use super::failure::{NamedSubject, fail};
use super::flags::Flags;
use super::logged::{is_input_log, replay_log};
use super::output::{print, wall_clock};
use super::random::checked_by;
use parlor_core::Shard;
use parlor_sim::checkers::names::NAMES;
use parlor_sim::search::hunt::{self, HistoricDefect};
use parlor_sim::search::report::{self, COMMAND};
use parlor_sim::search::run::run_twice;
use parlor_sim::subjects::canary::Canary;
use parlor_sim::subjects::cluster::Cluster;
use parlor_sim::subjects::naive::{V0, V1};
use parlor_sim::subjects::seeded::{self, DefectiveMachine, Find, Seeded};
use parlor_sim::subjects::subject::Subject;
use parlor_sim::world::setup::CheckedBy;
use parlor_sim::world::trace::Trace;
use std::io::Read;
use std::path::Path;
use std::process::ExitCode;

pub fn replay(file: &str, flags: &Flags<'_>) -> Result<ExitCode, String> {
    let bytes = bytes(file)?;
    if is_input_log(&bytes) {
        return match flags.text("subject") {
            None | Some("parlor") => Ok(replay_log(&bytes)),
            Some(_) => Err(format!("{file} is an input log, which is run in parlor alone")),
        };
    }
    let trace = trace(file, bytes)?;
    match flags.text("subject") {
        None | Some("parlor") => Ok(replay_in::<Cluster>(&trace)),
        Some("v0") => Ok(replay_in::<V0>(&trace)),
        Some("v1") => Ok(replay_in::<V1>(&trace)),
        Some("canary") => Ok(replay_in::<Canary>(&trace)),
        #[cfg(feature = "driver")]
        Some("driver") => Ok(replay_in::<parlor_sim::subjects::hosted::Hosted>(&trace)),
        Some(other) => match seeded(other) {
            Some(_) => Ok(replay_in::<DefectiveMachine>(&trace)),
            None => Err(format!("{other:?} is no subject")),
        },
    }
}

/// Makes a trace that breaks something as short as it gets.
pub fn shorten(file: &str, flags: &Flags<'_>) -> Result<ExitCode, String> {
    let trace = trace(file, bytes(file)?)?;
    match flags.text("subject") {
        None | Some("parlor") => Ok(shorten_in::<Cluster>(NamedSubject::new::<Cluster>("parlor"), file, &trace)),
        Some("v0") => Ok(shorten_in::<V0>(NamedSubject::new::<V0>("v0"), file, &trace)),
        Some("v1") => Ok(shorten_in::<V1>(NamedSubject::new::<V1>("v1"), file, &trace)),
        Some("canary") => Ok(shorten_in::<Canary>(NamedSubject::new::<Canary>("canary"), file, &trace)),
        Some(other) => match seeded(other) {
            Some(_) => Ok(shorten_in::<DefectiveMachine>(NamedSubject::new::<DefectiveMachine>(other), file, &trace)),
            None => Err(format!("{other:?} is no subject that can be searched")),
        },
    }
}

fn shorten_in<S: Subject>(subject: NamedSubject<'_>, file: &str, trace: &Trace) -> ExitCode {
    match run_twice::<S>(&trace.setup, &trace.actions).failure {
        None => {
            say!("clean: there is nothing to shrink");
            ExitCode::SUCCESS
        }
        Some((_, failure)) => {
            fail::<S>(subject, trace, &failure, &format!("{COMMAND} shrink {file} --subject {}", subject.name))
        }
    }
}

/// The bytes of a file, or of standard input where that is `-`.
fn bytes(file: &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let read = if file == "-" { std::io::stdin().read_to_end(&mut bytes).map(|_| bytes) } else { std::fs::read(file) };
    read.map_err(|error| format!("{file}: {error}"))
}

/// The trace that a file has. It may name only what its setup has.
fn trace(file: &str, bytes: Vec<u8>) -> Result<Trace, String> {
    let text = String::from_utf8(bytes).map_err(|_| format!("{file} is neither a trace nor an input log"))?;
    let trace: Trace = text.parse().map_err(|wrong| format!("{file}: {wrong}"))?;
    trace.check_names().map_err(|wrong| format!("{file}: {wrong}"))?;
    Ok(trace)
}

fn replay_in<S: Subject>(trace: &Trace) -> ExitCode {
    let steps = report::steps::<S>(trace);
    say!("{}\n\n{steps}{}", trace.setup, report::legend(&steps));
    match run_twice::<S>(&trace.setup, &trace.actions).failure {
        None => {
            say!("clean");
            ExitCode::SUCCESS
        }
        Some((_, failure)) => {
            say!("{failure}");
            ExitCode::from(failure.guarantee.exit_code())
        }
    }
}

/// The subjects of `hunt`, as an error lists them.
pub const PREY: &str = "it is v0, v1, parlor, seeded, or seeded: with a name that `hunt seeded` tells";

pub fn hunt(subject: &str, flags: &Flags<'_>) -> Result<ExitCode, String> {
    if flags.text("judge") == Some("each") {
        return table_of_witnesses(subject);
    }
    let checked_by = checked_by(flags)?;
    let foreseen = flags.text("unforeseen").is_none();
    if let Some(folder) = flags.text("keep") {
        return keep(subject, folder, checked_by);
    }
    match subject {
        "v0" => Ok(hunt_in::<V0>(subject, &hunt::v0())),
        "v1" => Ok(hunt_in::<V1>(subject, &hunt::v1())),
        "parlor" => Ok(hunt_in::<Shard>(subject, &hunt::all())),
        "seeded" => Ok(hunt_seeded(checked_by, foreseen)),
        other => match seeded(other) {
            Some(seeded) => Ok(hunt_one(seeded, other, checked_by, foreseen)),
            None => Err(format!("{other:?} is nothing to hunt in: {PREY}")),
        },
    }
}

/// `seeded:NAME`, once it is chosen.
fn seeded(subject: &str) -> Option<&'static Seeded> {
    let seeded = seeded::named(subject.strip_prefix("seeded:")?)?;
    seeded.choose();
    Some(seeded)
}

/// Stores the trace of one seeded defect, or of each that has none in the folder.
fn keep(subject: &str, folder: &str, checked_by: CheckedBy) -> Result<ExitCode, String> {
    let folder = Path::new(folder);
    let missing = |seeded: &&Seeded| seeded.is_stored() && !seeded.file(folder, checked_by).exists();
    let meant: Vec<&Seeded> = match (subject, seeded(subject)) {
        ("seeded", _) => seeded::all().filter(missing).collect(),
        (_, Some(seeded)) => vec![seeded],
        (other, None) => return Err(format!("{other:?} has no traces to keep: {PREY}")),
    };
    // A subject that panics is a find, and told as one.
    std::panic::set_hook(Box::new(|_| {}));
    let mut stored = 0;
    for seeded in &meant {
        let result = match seeded.store(folder, checked_by) {
            Ok(file) => {
                stored += 1;
                file.display().to_string()
            }
            Err(instead) => format!("not stored: {instead}"),
        };
        say!("{:48} {result}", seeded.name);
    }
    say!("{stored} of {} traces stored", meant.len());
    Ok(ExitCode::from(u8::from(stored < meant.len())))
}

fn hunt_seeded(checked_by: CheckedBy, foreseen: bool) -> ExitCode {
    // A subject that panics is a find, and told as one.
    std::panic::set_hook(Box::new(|_| {}));
    let started = wall_clock();
    let (mut found, mut count) = (0, 0);
    for seeded in seeded::all() {
        let find = hunted(seeded, checked_by, foreseen);
        count += 1;
        found += usize::from(find.is_ok());
        let result = find.map_or_else(|instead| format!("not found: {instead}"), |find| find.to_string());
        say!("{:48} {result}", seeded.name);
    }
    say!("{} ({:.1} s)", hunt::count("seeded", found, count), started.elapsed().as_secs_f64());
    ExitCode::from(u8::from(found < count))
}

/// Which checker notices which defect, or this one, and by which seed, as a table.
fn table_of_witnesses(subject: &str) -> Result<ExitCode, String> {
    let name = subject.strip_prefix("seeded").ok_or_else(|| format!("no checker judges {subject}"))?;
    let is_meant = |seeded: &&Seeded| name.is_empty() || name.strip_prefix(':') == Some(seeded.name);
    // A subject that panics is a find.
    std::panic::set_hook(Box::new(|_| {}));
    let columns = || NAMES.iter().copied().chain([seeded::OTHERWISE]);
    say!("| defect | {} |", columns().collect::<Vec<_>>().join(" | "));
    say!("|---|{}", "---|".repeat(columns().count()));
    let (mut noticed, mut count) = (0, 0);
    for seeded in seeded::all().filter(is_meant) {
        let witnesses = seeded.witnesses();
        let cell = |name| witnesses.get(name).map(ToString::to_string).unwrap_or_default();
        say!("| `{}` | {} |", seeded.name, columns().map(cell).collect::<Vec<_>>().join(" | "));
        count += 1;
        noticed += usize::from(!witnesses.is_empty());
    }
    say!("\n{noticed} of {count} are noticed without the reference model");
    Ok(ExitCode::SUCCESS)
}

/// Looks for a defect. A checker may name another guarantee than the reference model does.
fn hunted(seeded: &Seeded, checked_by: CheckedBy, foreseen: bool) -> Result<Find, String> {
    match (checked_by, foreseen) {
        (CheckedBy::All, true) => seeded.hunt(),
        _ => seeded.hunt_with(checked_by, foreseen),
    }
}

fn hunt_one(seeded: &Seeded, subject: &str, checked_by: CheckedBy, foreseen: bool) -> ExitCode {
    // A subject that panics is a find, and told as one.
    std::panic::set_hook(Box::new(|_| {}));
    match hunted(seeded, checked_by, foreseen) {
        Ok(find) => {
            say!("found {find}");
            fail::<DefectiveMachine>(
                NamedSubject::new::<DefectiveMachine>(subject),
                &find.trace,
                &find.failure,
                &format!("{COMMAND} hunt {subject}"),
            );
            ExitCode::SUCCESS
        }
        Err(instead) => {
            say!("not found: {instead}");
            ExitCode::FAILURE
        }
    }
}

fn hunt_in<S: Subject + Clone>(subject: &str, defects: &[HistoricDefect]) -> ExitCode {
    // A subject that panics is a find, and told as one.
    std::panic::set_hook(Box::new(|_| {}));
    let started = wall_clock();
    let (text, found) = hunt::tell::<S>(subject, defects);
    print(format_args!("{text}"));
    say!("{} ({:.1} s)", hunt::count(subject, found, defects.len()), started.elapsed().as_secs_f64());
    ExitCode::from(u8::from(found < defects.len()))
}
