//! The simulated world: what can happen in it, and everything around a subject: clients, sockets, backends and the clock.
//!
//! - [`setup`] says what a world is like, [`action`] what can happen, and a [`trace`] has both: all that repeats a run.
//! - The table in [`action`] has a row for each action: its word, how often it comes, when it makes sense and what it does.
//!   `preconditions` has what rows ask before, `perform` carries them out, and `turn` hands inputs in and has what comes of
//!   them checked. `state` is what all of that works on.
//! - `clients` is what clients and the driver do with connections and [sockets](socket); `commands` and [`client_texts`] are
//!   what clients say, [`client_message`] what it means, `tokens` what their tokens say.
//! - `api` has what the calls of backends are made of: their bodies, and those calls that are more than a body.
//! - `knowledge` is what a world knows of its subject, to choose what makes sense.
//! - `links` is what happens between the shards of a node.
//! - `heal` ends the faults of a random run and checks that everything comes right.
//! - What a client receives is read by [`frames`], and written down in a [`transcript`]; `second_reader` reads it again.

pub mod action;
pub mod api;
mod canary;
pub mod client_message;
pub mod client_texts;
mod clients;
mod commands;
mod connection;
mod describe;
mod explained;
mod foreseen;
pub mod frames;
mod heal;
pub mod history_request;
mod knowledge;
pub(crate) mod limit_text;
mod links;
pub mod names;
pub mod payload;
mod perform;
mod preconditions;
mod reload;
pub mod rules;
pub(crate) mod second_reader;
pub mod setup;
mod sights;
pub mod socket;
pub(crate) mod state;
mod states;
pub mod stimulus;
mod tokens;
pub mod trace;
pub mod transcript;
mod turn;

pub use state::World;
