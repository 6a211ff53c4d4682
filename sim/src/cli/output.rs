//! Output of the program: results on standard output, progress and errors on standard error.

use std::fmt::Arguments;
use std::io::{ErrorKind, Write, stderr, stdout};
use std::process::exit;
use std::time::{Duration, Instant};

/// Of a program that cannot say what it has found.
const NOT_SAID: i32 = 74;

/// Prints this. Ends the program where the reader has closed the pipe.
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

/// Wall-clock time, for figures of speed; nothing in a simulated world ever sees it.
#[expect(clippy::disallowed_methods, reason = "how long a run takes is told, and decides nothing")]
pub fn wall_clock() -> Instant {
    Instant::now()
}

/// Says where a long run is, on standard error and not too often.
pub struct ProgressLine {
    started: Instant,
    last_line: Instant,
}

impl ProgressLine {
    const EVERY: Duration = Duration::from_secs(5);

    pub fn new() -> Self {
        let started = wall_clock();
        Self { started, last_line: started }
    }

    /// Tells this, if it is time to. The words are about the time since the beginning.
    pub fn tell(&mut self, words: impl FnOnce(Duration) -> String) {
        if self.last_line.elapsed() >= Self::EVERY {
            self.last_line = wall_clock();
            complain(format_args!("{}", words(self.started.elapsed())));
        }
    }
}
