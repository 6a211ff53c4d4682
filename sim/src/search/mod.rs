//! How runs are chosen and what is made of one that fails: every possibility in a small scope, random runs, shrinking,
//! and the hunts for defects that are known.

pub mod batch;
pub mod between;
pub(crate) mod canon;
pub mod congruence;
pub mod explore;
pub mod hunt;
pub mod interleave;
mod race;
pub mod report;
pub mod run;
pub mod shrink;
pub mod swarm;
