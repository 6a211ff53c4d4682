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
//! messages of clients in it, and what its states retain, are as they came, but for tokens.
//!
//! # States
//!
//! Of the oldest steps whole segments are dropped. So that what is left can be run, the state of the shard is written whenever the
//! newer half of the log has none, and a segment begins with it: all that the shard goes on from, in the order in which it has it,
//! down to the vacant places of its tables (`stored`). What is shared is written once, and is shared again. A state is written
//! between two turns, and no turn may wait long: one of more than a bound is left out, and so is the attempt until half of the
//! log is new again. A log that has neither its first step nor a state is inputs only: it can be listed.
//!
//! # The form
//!
//! | part | content |
//! |---|---|
//! | [`MAGIC`] | The name of the form and its version, in one line. |
//! | `LogHead` | The server's version, the configuration, the seed of the shard. |
//! | segments | Each with its length, the number of the step that it begins with, the state of the shard before that step (its length, 0 for none, a sum of its bytes, and they), and its records. |
//!
//! Numbers are varints, and structures are written by `postcard`. A record is one byte that tells its kind (`records`), and what
//! belongs to it. Each segment can be read alone: times and flushes are relative to what comes before them in it.
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
pub use recorder::{InputRecorder, LARGEST_STATE, STEPS_PER_CHECK};
