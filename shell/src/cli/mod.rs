//! The commands of the program.

mod serve;
mod signals;

pub use serve::serve;
