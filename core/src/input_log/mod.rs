//! The input log: everything that goes into a shard, in few bytes, so that any moment can be run again.
//!
//! An [`InputRecorder`] is told what a shard is called with, and keeps the last so many bytes of it. [`InputRecorder::log`]
//! gives an [`InputLog`], which is written to a file elsewhere. With the feature `replay` it is read again and run
//! ([`replay`]): what the shard does then is compared with what it did.
//!
//! # What it holds
//!
//! Names of rooms, ids of users and of connections, addresses, and the claims of tokens that were verified. It holds no token.
//! Filler of the same length and `type` is in place of payloads, unless they are asked for; while a log is in memory, the
//! messages of clients in it are as they came, but for tokens.
//!
//! # The form
//!
//! | part | content |
//! |---|---|
//! | [`MAGIC`] | The name of the form and its version, in one line. |
//! | `LogHead` | The server's version, the configuration, the seed of the shard. |
//! | segments | Each with its length, the number of the step that it begins with, and its records. |
//!
//! Numbers are varints, and structures are written by `postcard`. A record is one byte that tells its kind (`records`), and what
//! belongs to it. Each segment can be read alone: times and flushes are relative to what comes before them in it. Of the oldest
//! steps whole segments are dropped.
//!
//! Beside the steps, there are records of what they led to: the effects but for wakes, and [`Stats`](crate::Stats) every
//! [`STEPS_PER_CHECK`] steps and at the end. By these a replay finds out where it goes another way.

mod filler;
mod log;
#[cfg(feature = "replay")]
mod reader;
mod recorder;
mod records;
#[cfg(feature = "replay")]
pub mod replay;
mod ring;
#[cfg(all(test, feature = "replay"))]
mod tests;

pub use log::{InputLog, MAGIC};
pub use recorder::{InputRecorder, STEPS_PER_CHECK};
