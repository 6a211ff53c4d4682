//! The commands, and what they have in common.

/// Prints a line.
macro_rules! say {
    ($($words:tt)*) => { $crate::cli::print(format_args!("{}\n", format_args!($($words)*))) };
}

mod exhaustive;
mod failure;
mod flags;
mod fuzzed;
mod given;
mod random;

pub use exhaustive::exhaustive;
pub use flags::Flags;
pub use fuzzed::{fuzzed, targets};
pub use given::{PREY, hunt, replay, shorten};
pub use random::{canary, random};

use std::fmt::Arguments;
use std::io::{ErrorKind, Write, stderr, stdout};
use std::process::exit;
use std::time::{Duration, Instant};

/// Of a program that cannot say what it has found.
const NOT_SAID: i32 = 74;

/// Prints this. Where nobody reads on there is nothing left to do, and nobody to tell.
pub fn print(words: Arguments<'_>) {
    let Err(error) = stdout().write_fmt(words) else { return };
    if error.kind() != ErrorKind::BrokenPipe {
        complain(format_args!("standard output: {error}"));
    }
    exit(NOT_SAID)
}

/// Prints a line on standard error. What cannot be said there is said nowhere.
pub fn complain(words: Arguments<'_>) {
    let _ = writeln!(stderr(), "{words}");
}

/// The clock of whoever waits for the result; nothing in a simulated world ever sees it.
#[expect(clippy::disallowed_methods, reason = "how long a run takes is told, and decides nothing")]
fn wall_clock() -> Instant {
    Instant::now()
}

/// Says where a long run is, on standard error and not too often.
struct Pace {
    started: Instant,
    told: Instant,
}

impl Pace {
    const EVERY: Duration = Duration::from_secs(5);

    fn new() -> Self {
        let started = wall_clock();
        Self { started, told: started }
    }

    /// Tells this, if it is time to. The words are about the time since the beginning.
    fn tell(&mut self, words: impl FnOnce(Duration) -> String) {
        if self.told.elapsed() >= Self::EVERY {
            self.told = wall_clock();
            complain(format_args!("{}", words(self.started.elapsed())));
        }
    }
}
