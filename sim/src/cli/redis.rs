//! The model of a Redis server beside a real one.

use super::flags::Flags;
use super::output::ProgressLine;
use super::random::fresh_seed;
use parlor_core::redis::scripts::SCRIPTS;
use parlor_sim::redis::compare::real::RealServer;
use parlor_sim::redis::compare::runner::{Compared, Comparison, Stopped};
use parlor_sim::redis::mistakes::ModelMistake;
use std::process::ExitCode;

const SEQUENCES: u64 = 10_000;
/// In so many sequences each script has to succeed. Fewer tell what they missed, and that is all.
const DEMANDING: u64 = 1_000;
const NOT_REACHED: u8 = 3;

pub fn redis_compare(flags: &Flags<'_>) -> Result<ExitCode, String> {
    let url = flags.text("server").ok_or("redis-compare wants --server redis://host:port or unix:///path")?;
    let first = flags.number("seed")?.unwrap_or_else(fresh_seed);
    let sequences = flags.within("sequences", 1..=100_000_000, SEQUENCES)?;
    let mistake = flags.text("mistake").map(mistake_of).transpose()?;
    let mut server = RealServer::connect(url)?;
    let identity = server.identity().clone();
    let name = format!("{:?} {}", identity.flavor, identity.version);
    match compared(identity, &mut server, mistake, first, sequences) {
        Ok(compared) => Ok(agreement(&name, sequences, &compared)),
        Err(Stopped::Failed(error)) => Err(format!("{url}: {error}")),
        Err(Stopped::Different(found)) => {
            say!("the model and {name} differ in {found}");
            say!("repeat: parlor-sim redis-compare --server URL --sequences 1 --seed {}", found.seed);
            Ok(ExitCode::FAILURE)
        }
    }
}

fn mistake_of(name: &str) -> Result<ModelMistake, String> {
    let known = ModelMistake::ALL.iter().find(|(known, _)| *known == name).map(|(_, mistake)| *mistake);
    let names: Vec<&str> = ModelMistake::ALL.iter().map(|(name, _)| *name).collect();
    known.ok_or_else(|| format!("{name:?} is no mistake: there are {}", names.join(", ")))
}

fn compared(
    identity: parlor_sim::redis::identity::ServerIdentity,
    server: &mut RealServer,
    mistake: Option<ModelMistake>,
    first: u64,
    sequences: u64,
) -> Result<Compared, Stopped> {
    let mut comparison = Comparison::begin(identity, server, mistake)?;
    let mut progress = ProgressLine::new();
    for done in 0..sequences {
        comparison.sequence(first.wrapping_add(done))?;
        progress.tell(|_| format!("{done} of {sequences} sequences"));
    }
    Ok(comparison.compared)
}

fn agreement(name: &str, sequences: u64, compared: &Compared) -> ExitCode {
    let Compared { commands, pushes, calls } = compared;
    say!("the model and {name} did the same in {sequences} sequences, with {commands} commands and {pushes} pushes");
    for (script, (good, bad)) in calls {
        say!("{script}: {good} calls, and {bad} that were refused");
    }
    let missed = SCRIPTS.iter().find(|script| calls.get(script.name).is_none_or(|(good, _)| *good == 0));
    match missed {
        Some(script) if sequences >= DEMANDING => {
            say!("{} never succeeded", script.name);
            ExitCode::from(NOT_REACHED)
        }
        _ => ExitCode::SUCCESS,
    }
}
