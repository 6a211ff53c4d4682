//! The replay of a server's input log.

use super::output::wall_clock;
use parlor_core::input_log::MAGIC;
use parlor_core::input_log::replay::{InputReplay, LoggedStep, ReplayEvent, ReplayStop};
use parlor_core::{Input, Now};
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

/// The last steps, which are printed.
const SHOWN: usize = 32;
/// The exit code of a log that lacks its beginning: it is listed, and not run.
const INPUTS_ONLY: u8 = 6;

/// The last steps, as lines.
struct LastSteps(VecDeque<String>);

/// The way in which a replay ended.
enum ReplayEnd {
    /// At the end of the log.
    Clean,
    /// An invariant broke in the server, and none did here.
    OnlyThere,
    /// An invariant broke here.
    Panicked,
    /// The shard did something else.
    Stopped(ReplayStop),
}

/// Whether these bytes are an input log.
pub fn is_input_log(bytes: &[u8]) -> bool {
    bytes.starts_with(MAGIC)
}

/// Runs an input log, and prints its last steps and what came of them.
pub fn replay_log(bytes: &[u8]) -> Result<ExitCode, String> {
    let mut replay = InputReplay::open(bytes).map_err(|bad| bad.to_string())?;
    let payloads = if replay.has_payloads() { "with payloads" } else { "with filler for payloads" };
    say!("input log of {}, {payloads}", replay.version());
    if replay.step() > 0 {
        return list(replay);
    }
    let started = wall_clock();
    let mut last = LastSteps(VecDeque::new());
    let ended = run(&mut replay, &mut last);
    last.print();
    let (steps, checks) = (replay.step(), replay.checks());
    let totals =
        format!("{steps} steps, the counts compared {checks} times ({:.1} s)", started.elapsed().as_secs_f64());
    Ok(match ended {
        ReplayEnd::Clean => {
            say!("{:?}\nclean: {totals}", replay.shard().gauges());
            ExitCode::SUCCESS
        }
        ReplayEnd::OnlyThere => {
            say!("an invariant broke in the server at step {steps}, and none does here: {totals}");
            ExitCode::FAILURE
        }
        ReplayEnd::Panicked => {
            say!("an invariant breaks at step {steps}, as the panic above says");
            ExitCode::FAILURE
        }
        ReplayEnd::Stopped(ReplayStop::Diverged(how)) => {
            say!("diverged behind step {steps}: {how}");
            ExitCode::FAILURE
        }
        ReplayEnd::Stopped(ReplayStop::Bad(bad)) => return Err(bad.to_string()),
    })
}

fn run(replay: &mut InputReplay<'_>, last: &mut LastSteps) -> ReplayEnd {
    loop {
        // A step that panics is told as well as one that does not.
        match catch_unwind(AssertUnwindSafe(|| replay.run())) {
            Ok(Ok(Some(ReplayEvent::Step(now, step)))) => last.push(replay.step(), now, &step),
            Ok(Ok(Some(ReplayEvent::Checked))) => {}
            Ok(Ok(Some(ReplayEvent::Broken))) => return ReplayEnd::OnlyThere,
            Ok(Ok(None)) => return ReplayEnd::Clean,
            Ok(Err(stop)) => return ReplayEnd::Stopped(stop),
            Err(_) => return ReplayEnd::Panicked,
        }
    }
}

/// Prints the last steps of a log that cannot be run.
fn list(mut replay: InputReplay<'_>) -> Result<ExitCode, String> {
    let first = replay.step();
    let mut last = LastSteps(VecDeque::new());
    while let Some((now, step)) = replay.list().map_err(|bad| bad.to_string())? {
        last.push(replay.step(), now, &step);
    }
    last.print();
    let steps = replay.step() - first;
    say!(
        "inputs only: {steps} steps, of which the last are above; the {first} before them were dropped (input_log_bytes), so \
         they cannot be run"
    );
    Ok(ExitCode::from(INPUTS_ONLY))
}

impl LastSteps {
    fn push(&mut self, number: u64, now: Now, step: &LoggedStep) {
        if self.0.len() == SHOWN {
            self.0.pop_front();
        }
        let what = match step {
            LoggedStep::Input(Input::Flushed { conn, bytes }) => format!("{conn} flushed {bytes}"),
            LoggedStep::Input(input) => format!("{input:?}"),
            other => format!("{other:?}"),
        };
        self.0.push_back(format!("{number:>8} {:>14} ns  {what}", now.mono.0));
    }

    fn print(&self) {
        self.0.iter().for_each(|line| say!("{line}"));
    }
}
