//! The simulator that checks Parlor's state machine: invented clients, sockets and time around it, an independent oracle
//! beside it, and three ways to choose what happens: every possibility in a small scope, random runs, and given traces.
//!
//! - [`action`] is what can happen, [`setup`] what the world is like; a [`trace`] of both is all that repeats a run.
//! - [`world`] turns an action into inputs of a [`subject`], and judges what comes of each: clients read frames out of
//!   the [`socket`] with a parser of their own ([`client`]), the [`oracle`] says which frame is due, and which effects,
//!   state and counts. [`checks`] names what is broken.
//! - [`explore`] searches a scope to its end ([`congruence`]: without taking two states for one), [`swarm`] draws random
//!   runs and [`run`] runs each twice, a [`batch`] of them after each other; [`shrink`] makes a failing trace short and
//!   [`report`] tells it. [`coverage`] counts what has happened at all.
//! - [`checkers`] judge properties, each alone, and know no rule of the oracle's; `--judge checkers` asks them only.
//! - `hosted` is the server's own driver as the subject: inputs are bytes there, on invented sockets.
//! - [`naive`] has the historic subjects, and [`hunt`] finds what is wrong with them. The [`canary`] is wrong so seldom
//!   that only a batch that works notices.
//!
//! A new rule of the server is a new action (or argument of one), its text in [`speech`] or [`request`], what it means in
//! the oracle, and a goal; then the searches and the random runs have it without further ado.

pub mod action;
pub mod batch;
pub mod between;
pub mod canary;
mod canon;
pub mod checkers;
pub mod checks;
pub mod client;
pub mod congruence;
pub mod coverage;
pub mod explore;
pub mod fuzz;
mod heal;
#[cfg(feature = "driver")]
pub mod hosted;
pub mod hunt;
pub mod naive;
pub mod oracle;
pub mod report;
pub mod request;
pub mod rng;
pub mod run;
pub mod seeded;
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
