//! The search of two sites that share an engine.

use super::flags::Flags;
use super::output::{ProgressLine, wall_clock};
use parlor_sim::engine::defects::EngineDefect;
use parlor_sim::engine::scope::{EngineFound, search_engine};
use parlor_sim::engine::world::{EngineSetup, EngineTimes};
use std::process::ExitCode;

/// What can be said about it.
pub const ENGINE_FLAGS: &[&str] = &[
    "scope",
    "states",
    "messages",
    "unlogged",
    "cuts",
    "moves",
    "losses",
    "refusals",
    "spent",
    "unattended",
    "history",
    "answer",
    "copy",
    "defect",
];

pub fn exhaustive_engine(flags: &Flags<'_>, cap: usize, unfinished: u8) -> Result<ExitCode, String> {
    let setup = setup(flags)?;
    say!("scope engine: every order in which two sites and their engine can act, {cap} states at most\n{setup:?}");
    let started = wall_clock();
    let mut pace = ProgressLine::new();
    let mut tell = |found: &EngineFound| {
        pace.tell(|_| format!("{} states, {} transitions, depth {}", found.states, found.transitions, found.depth));
    };
    match search_engine(&setup, cap, &mut tell) {
        Ok(found) => {
            let EngineFound { states, transitions, depth, goals } = found;
            let seconds = started.elapsed().as_secs_f64();
            say!("reached: {goals:?}");
            say!(
                "clean: {states} states, {transitions} transitions, depth {depth}, the scope was searched to its end in {seconds:.1} s"
            );
            Ok(ExitCode::SUCCESS)
        }
        Err(broken) if broken.is_unfinished => {
            say!(
                "not ended: the scope has more than {cap} states. In those nothing is wrong, beyond them nobody knows"
            );
            Ok(ExitCode::from(unfinished))
        }
        Err(broken) => {
            say!("{}\ntrace:  {} steps, none is shorter: {}", broken.failure, broken.trace.len(), broken.steps());
            Ok(ExitCode::from(broken.failure.guarantee.exit_code()))
        }
    }
}

fn setup(flags: &Flags<'_>) -> Result<EngineSetup, String> {
    let s1 = EngineSetup::s1();
    let few = |name, default: u8| {
        flags.within(name, 0..=8, default.into()).map(|number| u8::try_from(number).expect("8 at most"))
    };
    let size = |name, least, default| {
        flags.within(name, least..=8, default as u64).map(|number| usize::try_from(number).expect("8 at most"))
    };
    let times = EngineTimes {
        publishes: few("messages", s1.times.publishes)?,
        unlogged: few("unlogged", s1.times.unlogged)?,
        cuts: few("cuts", s1.times.cuts)?,
        moves: few("moves", s1.times.moves)?,
        losses: few("losses", s1.times.losses)?,
        refusals: few("refusals", s1.times.refusals)?,
        spent: few("spent", s1.times.spent)?,
    };
    Ok(EngineSetup {
        times,
        attended: flags.text("unattended").is_none(),
        history: size("history", 0, s1.history)?,
        answer: size("answer", 1, s1.answer)?,
        copy: size("copy", 0, s1.copy)?,
        defect: flags.text("defect").map(defect_of).transpose()?,
    })
}

fn defect_of(name: &str) -> Result<EngineDefect, String> {
    let known = EngineDefect::ALL.iter().find(|(known, _)| *known == name).map(|(_, defect)| *defect);
    let names: Vec<&str> = EngineDefect::ALL.iter().map(|(name, _)| *name).collect();
    known.ok_or_else(|| format!("{name:?} is no defect: there are {}", names.join(", ")))
}
