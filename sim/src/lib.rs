//! The simulator that checks Parlor's state machine: invented clients, sockets and time around it, an independent oracle
//! beside it, and three ways to choose what happens: every possibility in a small scope, random runs, and given traces.

pub mod action;
mod canon;
pub mod checks;
pub mod client;
pub mod coverage;
pub mod explore;
mod heal;
pub mod oracle;
pub mod report;
pub mod request;
pub mod rng;
pub mod run;
mod session;
pub mod setup;
pub mod shrink;
pub mod socket;
pub mod speech;
pub mod subject;
pub mod swarm;
mod third_party;
pub mod trace;
pub mod transcript;
pub mod world;
