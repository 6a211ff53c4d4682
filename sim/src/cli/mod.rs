//! The commands, and what they have in common.

mod failure;
mod flags;
mod given;
mod random;

pub use flags::Flags;
pub use given::{exhaustive, fuzzed, hunt, replay, shorten};
pub use random::{canary, random};

use std::time::Instant;

/// The clock of whoever waits for the result; nothing in a simulated world ever sees it.
#[expect(clippy::disallowed_methods, reason = "how long a run takes is told, and decides nothing")]
fn wall_clock() -> Instant {
    Instant::now()
}
