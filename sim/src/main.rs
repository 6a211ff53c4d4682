//! Runs the simulator.

use parlor_core::Shard;
use parlor_sim::checks::{Failure, Guarantee};
use parlor_sim::coverage::{Coverage, Goal};
use parlor_sim::explore::{Profile, Scope, explore};
use parlor_sim::hunt::{self, Defect};
use parlor_sim::naive::{V0, V1};
use parlor_sim::report;
use parlor_sim::run::{Run, run, run_twice};
use parlor_sim::shrink::shrink;
use parlor_sim::subject::Subject;
use parlor_sim::swarm::Options;
use parlor_sim::trace::Trace;
use std::process::ExitCode;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

const USAGE: &str = "\
parlor-sim                                     one run of a new seed
parlor-sim --seed N [--steps M]                one run
parlor-sim --seeds N [--seed FIRST] [--steps M]  a batch of runs, and the goals that it reached
           --driver                            the same with the server's own driver over invented sockets
parlor-sim exhaustive [--scope rooms|ends|users|pings|broker|presence] [--profile json|plain]
           [--conns N] [--rooms N] [--queue N] [--messages N] [--raw]
parlor-sim replay FILE                         a trace, step by step
parlor-sim hunt v0|v1|parlor                   what is wrong with the historic connection manager, before and after its
                                               fix, by the shortest way to each defect; Parlor has none of them

Exit codes: 0 clean, 1 a guarantee was broken, 2 liveness, 3 a goal was missed, 4 nondeterminism, 64 bad usage.
Of a hunt: 0 every defect was found, 1 one was not, which for parlor is as it should be.";

const STEPS: u64 = 300;
const BAD_USAGE: u8 = 64;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let result = match words.as_slice() {
        ["-h" | "--help"] => {
            println!("{USAGE}");
            Ok(ExitCode::SUCCESS)
        }
        ["replay", file] => replay(file),
        ["hunt", subject] => hunt(subject),
        ["exhaustive", rest @ ..] => Flags::parse(rest).and_then(|flags| exhaustive(&flags)),
        rest => Flags::parse(rest).and_then(|flags| random(&flags)),
    };
    result.unwrap_or_else(|wrong| {
        eprintln!("{wrong}\n\n{USAGE}");
        ExitCode::from(BAD_USAGE)
    })
}

/// `--name value`, and `--raw`.
struct Flags<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Flags<'a> {
    fn parse(words: &[&'a str]) -> Result<Self, String> {
        const KNOWN: [&str; 9] = ["seed", "seeds", "steps", "scope", "profile", "conns", "rooms", "queue", "messages"];
        let mut flags = Vec::new();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let name = word.strip_prefix("--").ok_or_else(|| format!("{word:?} is not understood"))?;
            let value = match name {
                "raw" | "driver" => "",
                name if KNOWN.contains(&name) => words.next().ok_or_else(|| format!("{word} wants a value"))?,
                _ => return Err(format!("{word} is not known")),
            };
            flags.push((name, value));
        }
        Ok(Self(flags))
    }

    fn text(&self, name: &str) -> Option<&'a str> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }

    /// Decimal, or hexadecimal after `0x`; a longer one, such as a commit's, counts by its first 64 bits.
    fn number(&self, name: &str) -> Result<Option<u64>, String> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let hex = |digits: &str| u64::from_str_radix(digits.get(..16).unwrap_or(digits), 16).ok();
        let is_hash = text.len() == 40;
        let number = if is_hash { hex(text) } else { text.strip_prefix("0x").map_or_else(|| text.parse().ok(), hex) };
        number.map(Some).ok_or_else(|| format!("{text:?} is no number for --{name}"))
    }

    fn small(&self, name: &str, default: u8) -> Result<u8, String> {
        let number = self.number(name)?.unwrap_or(default.into());
        u8::try_from(number).ok().filter(|number| *number <= 8).ok_or_else(|| format!("--{name} is at most 8"))
    }
}

fn random(flags: &Flags<'_>) -> Result<ExitCode, String> {
    let steps = usize::try_from(flags.number("steps")?.unwrap_or(STEPS)).map_err(|_| "--steps is too large")?;
    let first = flags.number("seed")?.unwrap_or_else(fresh_seed);
    let count = flags.number("seeds")?;
    Ok(match flags.text("driver") {
        Some(_) => through_driver(first, count, steps)?,
        None => runs::<Shard>(first, count, steps, &[]),
    })
}

#[cfg(feature = "driver")]
fn through_driver(first: u64, count: Option<u64>, steps: usize) -> Result<ExitCode, String> {
    use parlor_sim::hosted::{Hosted, OUT_OF_REACH};
    Ok(runs::<Hosted>(first, count, steps, &OUT_OF_REACH))
}

#[cfg(not(feature = "driver"))]
fn through_driver(_: u64, _: Option<u64>, _: usize) -> Result<ExitCode, String> {
    Err("--driver is not built in: it is a feature of this package".into())
}

fn runs<S: Subject>(first: u64, count: Option<u64>, steps: usize, out_of_reach: &[Goal]) -> ExitCode {
    match count {
        None => one::<S>(&Options::draw(first, steps)),
        Some(count) => batch::<S>(first, count, steps, out_of_reach),
    }
}

/// The one place where the simulator does not repeat itself, and it prints what it got.
#[expect(clippy::disallowed_methods, reason = "a new seed has to come from somewhere")]
fn fresh_seed() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_secs().wrapping_mul(1_000_000_000).wrapping_add(since.subsec_nanos().into())
}

/// The clock of whoever waits for the result; nothing in a simulated world ever sees it.
#[expect(clippy::disallowed_methods, reason = "how long a run takes is told, and decides nothing")]
fn wall_clock() -> Instant {
    Instant::now()
}

fn one<S: Subject>(options: &Options) -> ExitCode {
    println!("{options}");
    let actions = options.actions();
    let run = run_twice::<S>(&options.setup, &actions);
    match &run.failure {
        Some((at, failure)) => fail::<S>(options, &actions[..=*at], failure),
        None => {
            let made_sense: u64 = run.effective.iter().sum();
            println!(
                "clean: {} actions, of which {made_sense} made sense, {} s of virtual time",
                actions.len(),
                run.clock / 1_000_000_000
            );
            ExitCode::SUCCESS
        }
    }
}

fn batch<S: Subject>(first: u64, count: u64, steps: usize, out_of_reach: &[Goal]) -> ExitCode {
    let (started, mut shown) = (wall_clock(), wall_clock());
    let (mut coverage, mut actions_done, mut virtual_seconds) = (Coverage::default(), 0, 0);
    for done in 0..count {
        let options = Options::draw(first.wrapping_add(done), steps);
        let actions = options.actions();
        let Run { goals, failure, clock, .. } = run_twice::<S>(&options.setup, &actions);
        if let Some((at, failure)) = failure {
            println!("{options}");
            return fail::<S>(&options, &actions[..=at], &failure);
        }
        coverage.add(goals);
        actions_done += 2 * actions.len() as u64;
        virtual_seconds += 2 * clock / 1_000_000_000;
        if shown.elapsed().as_secs() >= 5 {
            shown = wall_clock();
            let left = started.elapsed().as_secs_f64() / (done + 1) as f64 * (count - done - 1) as f64;
            eprintln!("{} of {count} seeds, {left:.0} s left", done + 1);
        }
    }
    let elapsed = started.elapsed().as_secs_f64();
    print!("{coverage}");
    println!(
        "{count} seeds from {first}, each run twice: {actions_done} actions and {virtual_seconds} virtual seconds in {elapsed:.1} s, {:.0} actions a second",
        actions_done as f64 / elapsed
    );
    let missed: Vec<Goal> = coverage.missed().into_iter().filter(|goal| !out_of_reach.contains(goal)).collect();
    missed.iter().for_each(|goal| println!("{}: no run reached: {goal}", Guarantee::C1));
    ExitCode::from(if missed.is_empty() { 0 } else { Guarantee::C1.exit_code() })
}

fn fail<S: Subject>(options: &Options, actions: &[parlor_sim::action::Action], failure: &Failure) -> ExitCode {
    let shortest = shrink::<S>(&options.setup, actions, failure.guarantee);
    let trace = Trace { setup: options.setup.clone(), actions: shortest };
    // The shrunk trace breaks the same guarantee, perhaps in another way: what is told is what it does.
    let failure =
        run::<S>(&trace.setup, &trace.actions).failure.map_or_else(|| failure.clone(), |(_, failure)| failure);
    let driver = if S::HAS_DRIVER { " --driver" } else { "" };
    let (seed, steps) = (options.seed, options.steps);
    tell::<S>(&failure, &trace, &format!("cargo run --release -p parlor-sim -- --seed {seed} --steps {steps}{driver}"))
}

fn tell<S: Subject>(failure: &Failure, trace: &Trace, repeat: &str) -> ExitCode {
    println!("\n{}", report::failure::<S>(failure, trace, repeat));
    println!("as a file for replay:\n{trace}");
    ExitCode::from(failure.guarantee.exit_code())
}

fn exhaustive(flags: &Flags<'_>) -> Result<ExitCode, String> {
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
    let scope = if flags.text("raw").is_some() { scope.raw() } else { scope };
    let started = wall_clock();
    match explore::<Shard>(&scope) {
        Ok(found) => {
            println!("{found}\nin {:.1} s", started.elapsed().as_secs_f64());
            Ok(ExitCode::SUCCESS)
        }
        Err(broken) => Ok(tell::<Shard>(&broken.failure, &broken.trace, "parlor-sim replay FILE")),
    }
}

fn replay(file: &str) -> Result<ExitCode, String> {
    let text = std::fs::read_to_string(file).map_err(|error| format!("{file}: {error}"))?;
    let trace: Trace = text.parse()?;
    print!("{}", report::steps::<Shard>(&trace));
    match run_twice::<Shard>(&trace.setup, &trace.actions).failure {
        None => Ok(ExitCode::SUCCESS),
        Some((_, failure)) => {
            println!("\n{failure}");
            Ok(ExitCode::from(failure.guarantee.exit_code()))
        }
    }
}

fn hunt(subject: &str) -> Result<ExitCode, String> {
    match subject {
        "v0" => Ok(hunt_in::<V0>(subject, &hunt::v0())),
        "v1" => Ok(hunt_in::<V1>(subject, &hunt::v1())),
        "parlor" => Ok(hunt_in::<Shard>(subject, &hunt::all())),
        other => Err(format!("{other:?} is nothing to hunt in")),
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
