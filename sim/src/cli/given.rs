//! What is not random: searches, traces, and hunts for what is known to be wrong.

use super::failure::{Named, command, fail, tell};
use super::{Flags, Pace, wall_clock};
use parlor_core::Shard;
use parlor_sim::canary::Canary;
use parlor_sim::explore::{Found, Profile, Scope, explore_watched};
use parlor_sim::fuzz;
use parlor_sim::hunt::{self, Defect};
use parlor_sim::naive::{V0, V1};
use parlor_sim::report;
use parlor_sim::run::run_twice;
use parlor_sim::seeded::{self, Broken, Seeded};
use parlor_sim::shrink::Proof;
use parlor_sim::subject::Subject;
use parlor_sim::trace::Trace;
use std::process::ExitCode;

pub fn fuzzed(target: &str, file: &str) -> Result<ExitCode, String> {
    let known = fuzz::TARGETS.iter().find(|(name, _)| *name == target);
    let (_, body) = known.ok_or_else(|| format!("{target:?} is no fuzz target"))?;
    body(&std::fs::read(file).map_err(|error| format!("{file}: {error}"))?);
    Ok(ExitCode::SUCCESS)
}

pub fn exhaustive(flags: &Flags<'_>) -> Result<ExitCode, String> {
    let scope = scope(flags)?;
    let started = wall_clock();
    let mut pace = Pace::new();
    let mut watch = |found: &Found, waiting| pace.tell(|elapsed| found.progress(waiting, elapsed));
    match explore_watched::<Shard>(&scope, &mut watch) {
        Ok(found) => {
            println!("{found}\nin {:.1} s", started.elapsed().as_secs_f64());
            Ok(ExitCode::SUCCESS)
        }
        Err(broken) => {
            let words: Vec<String> = std::env::args().skip(1).collect();
            let origin = format!("{} {}", command(), words.join(" "));
            let proof =
                if broken.unfinished { Proof::Open("the scope does not end") } else { Proof::Minimal(broken.states) };
            let subject = Named::new::<Shard>("parlor");
            Ok(tell::<Shard>(subject, &broken.failure, &broken.trace, proof, &origin))
        }
    }
}

fn scope(flags: &Flags<'_>) -> Result<Scope, String> {
    let profile = match flags.text("profile") {
        None | Some("plain") => Profile::Plain,
        Some("json") => Profile::Json,
        Some(other) => return Err(format!("{other:?} is no profile")),
    };
    let (conns, rooms) = (flags.small("conns", 2)?, flags.small("rooms", 2)?);
    let (queue, messages) = (flags.small("queue", 1)?.into(), flags.small("messages", 3)?.into());
    let scope = match flags.text("scope") {
        None | Some("rooms") => Scope::rooms(profile, conns, rooms, queue, messages),
        Some("ends") => Scope::ends(profile, conns, queue),
        Some("users") => Scope::users(profile, conns, queue),
        Some("pings") => Scope::pings(profile, conns, queue),
        Some("broker") => Scope::broker(profile, conns, queue, messages),
        Some("presence") => Scope::presence(conns, queue),
        Some(other) => return Err(format!("{other:?} is no scope")),
    };
    Ok(if flags.text("raw").is_some() { scope.raw() } else { scope })
}

pub fn replay(file: &str, flags: &Flags<'_>) -> Result<ExitCode, String> {
    let trace = read(file)?;
    match flags.text("subject") {
        None | Some("parlor") => Ok(replay_in::<Shard>(&trace)),
        Some("v0") => Ok(replay_in::<V0>(&trace)),
        Some("v1") => Ok(replay_in::<V1>(&trace)),
        Some("canary") => Ok(replay_in::<Canary>(&trace)),
        #[cfg(feature = "driver")]
        Some("driver") => Ok(replay_in::<parlor_sim::hosted::Hosted>(&trace)),
        Some(other) => match seeded(other) {
            Some(_) => Ok(replay_in::<Broken>(&trace)),
            None => Err(format!("{other:?} is no subject")),
        },
    }
}

/// Makes a trace that breaks something as short as it gets.
pub fn shorten(file: &str, flags: &Flags<'_>) -> Result<ExitCode, String> {
    let trace = read(file)?;
    match flags.text("subject") {
        None | Some("parlor") => Ok(shorten_in::<Shard>(Named::new::<Shard>("parlor"), file, &trace)),
        Some("v0") => Ok(shorten_in::<V0>(Named::new::<V0>("v0"), file, &trace)),
        Some("v1") => Ok(shorten_in::<V1>(Named::new::<V1>("v1"), file, &trace)),
        Some("canary") => Ok(shorten_in::<Canary>(Named::new::<Canary>("canary"), file, &trace)),
        Some(other) => match seeded(other) {
            Some(_) => Ok(shorten_in::<Broken>(Named::new::<Broken>(other), file, &trace)),
            None => Err(format!("{other:?} is no subject that can be searched")),
        },
    }
}

fn shorten_in<S: Subject>(subject: Named<'_>, file: &str, trace: &Trace) -> ExitCode {
    match run_twice::<S>(&trace.setup, &trace.actions).failure {
        None => {
            println!("clean: there is nothing to shrink");
            ExitCode::SUCCESS
        }
        Some((_, failure)) => {
            fail::<S>(subject, trace, &failure, &format!("{} shrink {file} --subject {}", command(), subject.name))
        }
    }
}

fn read(file: &str) -> Result<Trace, String> {
    let text = std::fs::read_to_string(file).map_err(|error| format!("{file}: {error}"))?;
    text.parse().map_err(|wrong| format!("{file}: {wrong}"))
}

fn replay_in<S: Subject>(trace: &Trace) -> ExitCode {
    println!("{}\n", trace.setup);
    print!("{}", report::steps::<S>(trace));
    match run_twice::<S>(&trace.setup, &trace.actions).failure {
        None => {
            println!("\nclean");
            ExitCode::SUCCESS
        }
        Some((_, failure)) => {
            println!("\n{failure}");
            ExitCode::from(failure.guarantee.exit_code())
        }
    }
}

pub fn hunt(subject: &str) -> Result<ExitCode, String> {
    match subject {
        "v0" => Ok(hunt_in::<V0>(subject, &hunt::v0())),
        "v1" => Ok(hunt_in::<V1>(subject, &hunt::v1())),
        "parlor" => Ok(hunt_in::<Shard>(subject, &hunt::all())),
        "seeded" => Ok(hunt_seeded()),
        other => match seeded(other) {
            Some(seeded) => Ok(hunt_one(seeded, other)),
            None => Err(format!("{other:?} is nothing to hunt in")),
        },
    }
}

/// `seeded:NAME`, once it is chosen.
fn seeded(subject: &str) -> Option<&'static Seeded> {
    let seeded = seeded::named(subject.strip_prefix("seeded:")?)?;
    seeded.choose();
    Some(seeded)
}

fn hunt_seeded() -> ExitCode {
    // A subject that panics is a find, and told as one.
    std::panic::set_hook(Box::new(|_| {}));
    let started = wall_clock();
    let (mut found, mut count) = (0, 0);
    for seeded in seeded::all() {
        let find = seeded.hunt();
        count += 1;
        found += usize::from(find.is_ok());
        let told = find.map_or_else(|instead| format!("not found: {instead}"), |find| find.to_string());
        println!("{:48} {told}", seeded.name);
    }
    println!("{} in {:.1} s", hunt::count("seeded", found, count), started.elapsed().as_secs_f64());
    ExitCode::from(u8::from(found < count))
}

fn hunt_one(seeded: &Seeded, subject: &str) -> ExitCode {
    match seeded.hunt() {
        Ok(find) => {
            println!("found {find}");
            fail::<Broken>(
                Named::new::<Broken>(subject),
                &find.trace,
                &find.failure,
                &format!("{} hunt {subject}", command()),
            );
            ExitCode::SUCCESS
        }
        Err(instead) => {
            println!("not found: {instead}");
            ExitCode::FAILURE
        }
    }
}

fn hunt_in<S: Subject + Clone>(subject: &str, defects: &[Defect]) -> ExitCode {
    // A subject that panics is a find, and told as one.
    std::panic::set_hook(Box::new(|_| {}));
    let started = wall_clock();
    let (text, found) = hunt::tell::<S>(defects);
    print!("{text}");
    println!("{} in {:.1} s", hunt::count(subject, found, defects.len()), started.elapsed().as_secs_f64());
    ExitCode::from(u8::from(found < defects.len()))
}
