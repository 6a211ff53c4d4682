//! The commands, and what they have in common.

mod failure;
mod flags;
mod given;
mod random;

pub use flags::Flags;
pub use given::{exhaustive, fuzzed, hunt, replay, shorten};
pub use random::{canary, random};

use std::time::{Duration, Instant};

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
            eprintln!("{}", words(self.started.elapsed()));
        }
    }
}
