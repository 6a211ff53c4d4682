//! The commands, and what they have in common.

/// Prints a line.
macro_rules! say {
    ($($words:tt)*) => { $crate::cli::output::print(format_args!("{}\n", format_args!($($words)*))) };
}

mod engine;
mod exhaustive;
mod failure;
mod flags;
mod fuzzed;
mod given;
mod logged;
mod output;
mod random;
#[cfg(feature = "redis")]
mod redis;
pub use exhaustive::exhaustive;
pub use flags::Flags;
pub use fuzzed::{fuzzed, targets};
pub use given::{PREY, hunt, replay, shorten};
pub use output::{complain, print};
pub use random::{canary, random};
#[cfg(feature = "redis")]
pub use redis::redis_compare;
