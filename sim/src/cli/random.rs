//! Random runs.

use super::failure::{NamedSubject, fail};
use super::flags::Flags;
use super::output::{ProgressLine, wall_clock};
use parlor_sim::goals::{Goal, OF_SHARDS};
use parlor_sim::guarantees::Guarantee;
use parlor_sim::search::batch::{BatchReport, FailedRun, RunBatch};
use parlor_sim::search::report::COMMAND;
use parlor_sim::subjects::canary::{Canary, ONE_IN};
use parlor_sim::subjects::cluster::Cluster;
use parlor_sim::subjects::subject::Subject;
use parlor_sim::world::setup::CheckedBy;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

const STEPS: u64 = 300;
/// The actions of a run are all in memory.
const MOST_STEPS: u64 = 1_000_000;
/// So many runs must have reached every goal. A smaller batch tells what it missed, and that is all.
const DEMANDING: u64 = 10_000;

pub fn random(flags: &Flags<'_>) -> Result<ExitCode, String> {
    let batch = batch_of(flags, 1)?;
    match flags.text("driver") {
        Some(_) => through_driver(flags, batch),
        None => Ok(runs::<Cluster>(NamedSubject::new::<Cluster>("parlor"), flags, batch, &[])),
    }
}

/// A batch that must find something.
pub fn canary(flags: &Flags<'_>) -> Result<ExitCode, String> {
    let batch = batch_of(flags, 10 * ONE_IN)?;
    Ok(match watched::<Canary>(batch) {
        Ok(done) => {
            say!("the canary lives: {} seeds from {} have noticed nothing", done.seeds, batch.first);
            ExitCode::FAILURE
        }
        Err(found) => {
            say!("{found}\nfound, as it must be: this batch can fail");
            ExitCode::SUCCESS
        }
    })
}

fn batch_of(flags: &Flags<'_>, count: u64) -> Result<RunBatch, String> {
    Ok(RunBatch {
        first: flags.number("seed")?.unwrap_or_else(fresh_seed),
        count: flags.within("seeds", 1..=u64::MAX, count)?,
        steps: usize::try_from(flags.within("steps", 0..=MOST_STEPS, STEPS)?).expect("a million"),
        checked_by: checked_by(flags)?,
        foreseen: flags.text("unforeseen").is_none(),
        slow_links: slow_links(flags)?,
        shards: flags.number("shards")?.map(|_| flags.within("shards", 1..=8, 1)).transpose()?,
    })
}

/// How fast the links between shards are.
fn slow_links(flags: &Flags<'_>) -> Result<Option<bool>, String> {
    match flags.text("links") {
        Some("prompt") => Ok(Some(false)),
        Some("slow") => Ok(Some(true)),
        None | Some("drawn") => Ok(None),
        Some(other) => Err(format!("links are prompt, slow or drawn by each seed: not {other:?}")),
    }
}

/// Who checked_by: `--judge checkers` leaves it to the checkers of properties, and a name to one of them.
pub fn checked_by(flags: &Flags<'_>) -> Result<CheckedBy, String> {
    flags.text("judge").map_or(Ok(CheckedBy::All), str::parse)
}

#[cfg(feature = "driver")]
fn through_driver(flags: &Flags<'_>, batch: RunBatch) -> Result<ExitCode, String> {
    use parlor_sim::subjects::hosted::{Hosted, OUT_OF_REACH};
    Ok(runs::<Hosted>(
        NamedSubject::unsearched::<Hosted>("driver"),
        flags,
        batch,
        &[&OUT_OF_REACH[..], &OF_SHARDS].concat(),
    ))
}

#[cfg(not(feature = "driver"))]
fn through_driver(_: &Flags<'_>, _: RunBatch) -> Result<ExitCode, String> {
    Err("--driver is not built in: it is a feature of this package".into())
}

/// The one place where the simulator does not repeat itself, and it prints what it got.
#[expect(clippy::disallowed_methods, reason = "a new seed has to come from somewhere")]
pub fn fresh_seed() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_secs().wrapping_mul(1_000_000_000).wrapping_add(since.subsec_nanos().into())
}

fn runs<S: Subject>(subject: NamedSubject<'_>, flags: &Flags<'_>, batch: RunBatch, out_of_reach: &[Goal]) -> ExitCode {
    let alone = flags.text("seeds").is_none();
    if alone {
        say!("{}", batch.options::<S>(batch.first));
    }
    let started = wall_clock();
    match watched::<S>(batch) {
        Err(found) => {
            if !alone {
                say!("{}", found.options);
            }
            let FailedRun { options, trace, failure } = *found;
            let driver = if S::HAS_DRIVER { " --driver" } else { "" };
            let unforeseen = if batch.foreseen { "" } else { " --unforeseen" };
            let shards = batch.shards.map(|shards| format!(" --shards {shards}")).unwrap_or_default();
            let links = flags.text("links").map(|links| format!(" --links {links}")).unwrap_or_default();
            let origin = format!(
                "{} --seed {} --steps {}{driver}{unforeseen}{shards}{links}",
                COMMAND, options.seed, options.steps
            );
            fail::<S>(subject, &trace, &failure, &origin)
        }
        Ok(done) => {
            if !alone {
                say!("how many of the {} runs reached each goal, the rarest first:\n{}", done.seeds, done.coverage);
            }
            say!("clean: {}", done.summary(started.elapsed()));
            demand(&done, out_of_reach)
        }
    }
}

fn watched<S: Subject>(batch: RunBatch) -> Result<BatchReport, Box<FailedRun>> {
    let mut pace = ProgressLine::new();
    batch.run::<S>(|done| pace.tell(|elapsed| done.progress(elapsed)))
}

/// C1, where the batch is large enough for it. Most goals are seen by the reference model alone.
fn demand(done: &BatchReport, out_of_reach: &[Goal]) -> ExitCode {
    let RunBatch { foreseen, shards, slow_links, .. } = done.batch;
    let is_reachable = |goal: &Goal| {
        let is_of_batch = match OF_SHARDS.contains(goal) {
            true => shards != Some(1) && slow_links != Some(false),
            false => foreseen && shards.is_none_or(|shards| shards == 1),
        };
        is_of_batch && !out_of_reach.contains(goal)
    };
    let missed: Vec<Goal> = done.coverage.missed().into_iter().filter(is_reachable).collect();
    if done.seeds < DEMANDING {
        if done.seeds > 1 && !missed.is_empty() {
            say!("{} goals were missed, which a batch of fewer than {DEMANDING} seeds may", missed.len());
        }
        return ExitCode::SUCCESS;
    }
    missed.iter().for_each(|goal| say!("{}: no run reached: {goal}", Guarantee::C1));
    ExitCode::from(if missed.is_empty() { 0 } else { Guarantee::C1.exit_code() })
}
