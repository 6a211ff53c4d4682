//! The state machine of Parlor, a room server for WebSockets: which connections there are, who is in which room, what
//! waits to be written to whom. It has no clock, no randomness, no I/O and no threads, so one run is fully determined by
//! its inputs: it can be recorded, replayed, and searched for every way in which it could go wrong.
//!
//! # Driving it
//!
//! ```
//! use parlor_core::{Config, Effect, Input, Instant, Now, Shard, Upgrade};
//!
//! let mut shard = Shard::new(Config::default(), [0; 32]); // 32 random bytes
//! let now = Now { mono: Instant(0), unix_ms: 1_767_225_600_000 };
//!
//! // A complete upgrade request came: it leads somewhere, so it becomes a connection.
//! let config = shard.config();
//! let target = config.routes.resolve("/ws/lobby", &config.limits).expect("a path of a room");
//! let conn = shard.accept(now, Upgrade { client: [0; 16], target, token: None, address: None }).expect("within the limits");
//!
//! // The 101 is written. Every input is handled to the end, and its effects are carried out before the next.
//! let mut dirty = Vec::new();
//! for effect in shard.handle(now, Input::Upgraded { conn }) {
//!     match effect {
//!         Effect::Wake(conn) => dirty.push(conn), // it has something to write
//!         Effect::ResumeReading(_) => {}                 // read from it again: `is_paused` is over
//!         Effect::Authenticate { .. } => {}       // check a signature, answer with Input::Authenticated
//!         Effect::TokenRefused { .. } => {}       // a line in a log: this token was good for nothing
//!         Effect::Finish(_) => {}                 // the Close is written: end our side of the stream
//!         Effect::Closed { .. } => {}             // hang up on the socket
//!         Effect::Reply { .. } => {}              // the answer to an Input::Call
//!         Effect::Event(_) => {}                  // a room or a user came or went
//!     }
//! }
//!
//! // Bytes are pulled at the moment of the write. What may not be written to has nothing pending.
//! for conn in dirty {
//!     let Some(pending) = shard.pending(conn) else { continue };
//!     let written = pending.slices().map(<[u8]>::len).sum(); // what the socket took
//!     assert_eq!(shard.handle(now, Input::Flushed { conn, bytes: written }).count(), 0);
//! }
//!
//! // A large call is done in several turns, between which the sockets are written to.
//! shard.all_offered();
//! while shard.has_work() {
//!     for effect in shard.resume(now) { /* as above */ }
//! }
//!
//! // Time comes in with every input. A Tick is useful from here on:
//! assert!(shard.poll_timeout().is_some());
//! ```
//!
//! What a peer does wrong is an input, never an error to forget a handler for. What the caller does wrong, such as naming
//! a connection that has ended, is ignored and counted. A broken guarantee is a panic with the guarantee's name.
//!
//! # The life of a connection
//!
//! ```text
//! (vacant) ─accept→ handshaking ─upgraded→ open ─close, ours or theirs→ closing ─end of stream→ (vacant, generation + 1)
//!                        └──────── lost, timeout, violation, in any phase ─────────┘
//! ```
//!
//! Every event in every phase; `tests/shard/lifecycle.rs` plays each cell. *Closing* is ours; *answering* the peer's
//! Close, whose answer is out once it is *answered*; *cut off* is one whose peer has ended its stream in the middle of a
//! frame; *finish* is the end of our stream. *aborted* means that the socket is reset: something was left to be said.
//!
#![doc = include_str!("../LIFECYCLE.md")]
//!
//! # The parts
//!
//! The **hub** knows connections and who is in which room here; the **home** gives every message its place in its
//! room's log. They talk by typed messages only, first in, first out, and [`Shard`] carries those until neither has
//! anything left to do: that is one turn.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod admission;
pub mod api;
pub mod close;
pub mod config;
mod connection;
mod effect;
pub mod error;
mod glob;
mod home;
mod hub;
pub mod ids;
mod input;
pub mod limits;
mod link;
mod map;
pub mod protocol;
mod publication;
mod shard;
pub mod snapshot;
pub mod stats;
#[cfg(test)]
mod testing;
pub mod time;
mod timers;
mod token;

pub use admission::address::Address;
pub use close::{CloseCause, EndedBy};
pub use config::{Config, Policy, UserLimit};
pub use effect::{Change, Effect, End, Event, Turn};
pub use ids::{ClientId, ConnId, Name};
pub use input::{CallId, Input, Lost, Refused, Upgrade, Violation};
pub use limits::{Limit, Limits};
pub use shard::{Pending, Shard};
pub use snapshot::Snapshot;
pub use stats::Stats;
pub use time::{Instant, Now};
pub use token::{BadToken, Claims, VerifiedClaims};
