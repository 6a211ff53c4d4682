//! Looking for what is known to be wrong: each defect of the historic subjects is a small scope and a sign to know it
//! by, and the search that checks the real machine finds the shortest way to it.

mod defects;
mod historic_defect;
mod tell;
pub use defects::{all, v0, v1};
pub use historic_defect::HistoricDefect;
pub use tell::{count, tell};
