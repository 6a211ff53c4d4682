//! The replay of a server's input log.

use super::output::wall_clock;
use parlor_core::input_log::MAGIC;
use parlor_core::input_log::replay::{BadInputLog, InputReplay, LoggedStep, ReplayEvent, ReplayStop};
use parlor_core::{Input, Now};
use std::borrow::Cow;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

/// The last steps, which are printed.
const SHOWN: usize = 32;
/// The bytes of each of them that are printed.
const SHOWN_BYTES: usize = 300;
/// The exit code of a log that has neither its beginning nor a state: it is listed, and not run.
const INPUTS_ONLY: u8 = 6;
/// The exit code of a log that cannot be read to its end.
const DAMAGED: u8 = 7;

/// The last steps, each with its number and its time.
struct LastSteps(VecDeque<(u64, Now, LoggedStep)>);

/// The way in which a replay ended.
enum ReplayEnd {
    /// At the end of the log.
    Clean,
    /// An invariant broke in the server, and none did here.
    OnlyThere,
    /// The state that it goes on from breaks an invariant.
    WrongStart,
    /// An invariant broke here, and at this step in the server as well or not.
    Panicked { step: u64, is_expected: bool },
    /// The shard did something else.
    Stopped(ReplayStop),
}

/// Whether these bytes are an input log.
pub fn is_input_log(bytes: &[u8]) -> bool {
    bytes.starts_with(MAGIC)
}

/// Runs an input log, and prints its last steps and what came of them.
pub fn replay_log(bytes: &[u8]) -> ExitCode {
    let mut replay = match InputReplay::open(bytes) {
        Ok(replay) => replay,
        Err(bad) => return tell_damage(0, &bad),
    };
    let payloads = if replay.has_payloads() { "with payloads" } else { "with filler for payloads" };
    say!("input log of {}, {payloads}", replay.version());
    if !replay.is_runnable() {
        return list(replay);
    }
    let first = replay.step();
    if first > 0 {
        say!("the first {first} steps are not run: it goes on from the state behind them");
    }
    let started = wall_clock();
    let mut last = LastSteps(VecDeque::new());
    let ended = run(&mut replay, &mut last);
    last.print();
    let (step, checks) = (replay.step(), replay.checks());
    let (steps, seconds) = (step - first, started.elapsed().as_secs_f64());
    let totals = format!("{steps} steps, the counts compared {checks} times ({seconds:.1} s)");
    match ended {
        ReplayEnd::Clean => {
            say!("{:?}\nclean: {totals}", replay.shard().gauges());
            ExitCode::SUCCESS
        }
        ReplayEnd::OnlyThere => {
            say!("an invariant broke in the server at step {step}, and none does here: {totals}");
            ExitCode::FAILURE
        }
        ReplayEnd::WrongStart => {
            say!("an invariant is broken in the state before step {first}; the panic tells which");
            ExitCode::FAILURE
        }
        ReplayEnd::Panicked { step, is_expected } => {
            let there = if is_expected { "as it did in the server" } else { "and did not in the server" };
            say!("an invariant breaks at step {step}, {there}; the panic tells which");
            ExitCode::FAILURE
        }
        ReplayEnd::Stopped(ReplayStop::Diverged(how)) => {
            say!("diverged behind step {step}: {how}");
            ExitCode::FAILURE
        }
        ReplayEnd::Stopped(ReplayStop::Bad(bad)) => tell_damage(step, &bad),
    }
}

fn tell_damage(step: u64, bad: &BadInputLog) -> ExitCode {
    say!("the log cannot be read behind step {step}: {bad}");
    ExitCode::from(DAMAGED)
}

fn run(replay: &mut InputReplay<'_>, last: &mut LastSteps) -> ReplayEnd {
    // The state that it goes on from may be wrong already.
    if catch_unwind(AssertUnwindSafe(|| replay.audit())).is_err() {
        return ReplayEnd::WrongStart;
    }
    loop {
        // A step that panics is told as well as one that does not.
        match catch_unwind(AssertUnwindSafe(|| replay.run())) {
            Ok(Ok(Some(ReplayEvent::Step(now, step)))) => last.push(replay.step(), now, step),
            Ok(Ok(Some(ReplayEvent::Checked))) => {}
            Ok(Ok(Some(ReplayEvent::Broken))) => return ReplayEnd::OnlyThere,
            Ok(Ok(None)) => return ReplayEnd::Clean,
            Ok(Err(stop)) => return ReplayEnd::Stopped(stop),
            Err(_) => {
                // The next record tells whether the server came to its end here, too. If not, the shard may panic once more.
                let step = replay.step();
                let next = catch_unwind(AssertUnwindSafe(|| replay.run()));
                let is_expected = matches!(next, Ok(Ok(Some(ReplayEvent::Broken))));
                return ReplayEnd::Panicked { step, is_expected };
            }
        }
    }
}

/// Prints the last steps of a log that cannot be run.
fn list(mut replay: InputReplay<'_>) -> ExitCode {
    let first = replay.step();
    let mut last = LastSteps(VecDeque::new());
    loop {
        match replay.list() {
            Ok(Some((now, step))) => last.push(replay.step(), now, step),
            Ok(None) => break,
            Err(bad) => {
                last.print();
                return tell_damage(replay.step(), &bad);
            }
        }
    }
    last.print();
    let steps = replay.step() - first;
    say!(
        "inputs only: {steps} steps, of which the last are above; the {first} before them were dropped (input_log_bytes), and \
         no state behind those was kept, as one that is too large is not, so that they cannot be run"
    );
    ExitCode::from(INPUTS_ONLY)
}

impl LastSteps {
    fn push(&mut self, number: u64, now: Now, step: LoggedStep) {
        if self.0.len() == SHOWN {
            self.0.pop_front();
        }
        self.0.push_back((number, now, step));
    }

    fn print(&self) {
        for (number, now, step) in &self.0 {
            let what = match step {
                LoggedStep::Input(Input::Flushed { conn, bytes }) => format!("{conn} flushed {bytes}"),
                LoggedStep::Input(input) => format!("{input:?}"),
                other => format!("{other:?}"),
            };
            say!("{number:>8} {:>14} ns  {}", now.mono.0, shortened(&what));
        }
    }
}

/// The beginning of a long text, and how long it is.
fn shortened(text: &str) -> Cow<'_, str> {
    let mut end = text.len().min(SHOWN_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    if end == text.len() {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(format!("{}… ({} bytes)", &text[..end], text.len()))
    }
}
