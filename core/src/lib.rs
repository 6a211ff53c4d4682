//! The state machine of Parlor, a room server for WebSockets: [`Input`] → [`Shard`] → [`Effect`]. It has no clock, no
//! I/O and no threads, and its only random bytes are given to it when it is created, so a run is fully determined by its
//! inputs: it can be recorded, replayed and searched.
//!
//! # The turn contract
//!
//! 1. An upgrade request becomes a connection by [`Shard::accept`], which returns its id or the reason for refusing it.
//! 2. Whatever happens to a connection, a call or the clock is an [`Input`] for [`Shard::handle`]. One input is handled to
//!    its end, unless it queues so much or looks at so much that the rest is put off: that is a turn.
//! 3. The turn returns its effects. The caller carries them out in order, all of them, before the next input.
//! 4. [`Effect::Wake`] names a connection that has something to write. The caller writes what [`Shard::pending`] shows, as
//!    much as the socket takes, and reports how much with [`Pending::consumed`]. A connection that must not be written to has
//!    nothing pending. What is pending for [`Shard::canary`] is for no socket: [`Input::CanaryHeard`] takes it.
//! 5. Where [`Shard::is_spent`] or [`Shard::has_work`] says so, the caller first offers everything that is pending to the
//!    sockets, says so with [`Shard::all_offered`], and calls [`Shard::resume`], which is a turn as well.
//! 6. Where [`Shard::is_paused`] says so, the caller does not read from the connection, until [`Effect::ResumeReading`].
//! 7. At the time of [`Shard::poll_timeout`] an [`Input::Tick`] is due. Every call carries the time; a clock that goes back
//!    is held where it was.
//! 8. [`Effect::Closed`] is the last effect of a connection, and there is exactly one. The socket is closed then, and the id
//!    never names another connection.
//!
//! A client that breaks a rule is an input, and never an error that a caller could forget to handle. A caller that breaks one,
//! such as by naming a connection that has ended, is ignored and counted. A broken guarantee is a panic with the name of the
//! guarantee; the caller drops the shard.
//!
//! # Example
//!
//! ```
//! use parlor_core::{Config, Effect, Input, Instant, Now, Shard, Upgrade};
//!
//! let mut shard = Shard::new(Config::default(), [0; 32]); // in a server: 32 random bytes, for hashes and epochs
//! let now = Now { mono: Instant(0), unix_ms: 1_767_225_600_000 };
//!
//! // A complete upgrade request came: it leads somewhere, so it becomes a connection.
//! let config = shard.config();
//! let target = config.resolve("/ws/lobby").expect("a path of a room");
//! let conn = shard.accept(now, Upgrade { client: [0; 16], target, token: None, address: None }).expect("within the limits");
//!
//! // The 101 is written. Every input is handled to the end, and its effects are carried out before the next.
//! let mut dirty = Vec::new();
//! for effect in shard.handle(now, Input::Upgraded { conn }) {
//!     match effect {
//!         Effect::Wake(conn) => dirty.push(conn), // it has something to write
//!         Effect::ResumeReading(_) => {}          // read from it again: `is_paused` is over
//!         Effect::Authenticate { .. } => {}       // check a signature, answer with Input::Authenticated
//!         Effect::TokenRefused { .. } => {}       // a line in a log: the token was refused
//!         Effect::Finish(_) => {}                 // the Close is written: end our side of the stream
//!         Effect::Closed { .. } => {}             // close the socket
//!         Effect::Reply { .. } => {}              // the answer to an Input::Call
//!         Effect::Event(_) => {}                  // a room was occupied, a user came online, ...
//!         Effect::Step(_) => {}                   // a line in a log, where the configuration asks for it
//!         Effect::Link { .. } => {}               // hand it to another shard of the node, if there is one
//!         Effect::Engine(_) => {}                 // ask the engine that the rooms follow, if they follow one
//!     }
//! }
//!
//! // Bytes are pulled at the moment of the write. What may not be written to has nothing pending.
//! for conn in dirty {
//!     let Some(pending) = shard.pending(conn) else { continue };
//!     let written = pending.slices().map(<[u8]>::len).sum(); // what the socket took
//!     assert_eq!(shard.handle(now, pending.consumed(written)).count(), 0);
//! }
//!
//! // A large call is done in several turns. Before each, the sockets are offered what waits, as above.
//! while shard.has_work() {
//!     shard.all_offered();
//!     for effect in shard.resume(now) { /* as above */ }
//! }
//!
//! // Time comes in with every input. A Tick is useful from here on:
//! assert!(shard.poll_timeout().is_some());
//! ```
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
//! # The map
//!
//! A shard is one hub and one home. They talk by typed messages only, first in, first out, and [`Shard`] carries those until
//! neither has anything left to do. A node may have several shards ([`Shard::of_node`]): each room has its home in one of them,
//! and what is for another shard leaves as [`Effect::Link`] and comes in there as [`Input::Link`].
//!
//! | folder or file | content |
//! |---|---|
//! | `shard`, `input`, `effect`, `step` | The machine, what goes in and what comes out. |
//! | `connection` | One connection: its phases, its outbox of frames, its deadlines, its unfinished input. |
//! | `hub` | The connections of a shard: who is admitted, who is in which room and belongs to which user, fan-out, slow consumers, commands, calls, turns. |
//! | `home` | The rooms: the log that orders a room's publications, its members, the users who are absent, idempotency keys; or in `home/replica` the copies of logs that an engine orders. |
//! | `link`, `node` | The messages between hubs and homes, and the shards of a node: which of them has the home of a room. |
//! | `publication` | Drafts, publications, positions, and what is read of a log. |
//! | `protocol` | The client protocols, from text to commands and from results to text. |
//! | `wire` | JSON that protocols and API have in common: publications, positions, members, and values that are passed on as they came. |
//! | [`api`] | The commands of the HTTP API and their replies, and both as JSON. |
//! | [`admission`] | Addresses as they are counted, and the routes of upgrade requests. The limits are applied in `hub/accept.rs`. |
//! | `token` | The claims of a token, and their validation. |
//! | [`limits`] | The one table of limits, and the algorithm for rates. |
//! | [`names`], [`ids`], `json` | What text from outside becomes where it comes in: names of rooms, ids of users and connections, JSON in one line. |
//! | `payload` | The payload of a message, JSON or bytes, and the form in which each protocol has it. |
//! | [`policy`] | The policy of a room, by the prefix of its name; `policy/access.rs` decides who may do what. |
//! | [`input_log`] | Records of what goes into a shard, with filler for payloads, and their replay. |
//! | `timers`, `map`, `glob` | A queue of deadlines, hash maps with a fixed order, and patterns of names. |
//! | [`engine`] | The contract with a store that several nodes share, and the follower of one of its rooms. No server has one yet. |
//! | [`redis`] | The protocol that is spoken with a Redis server, and the scripts that it is to run. Nothing uses them yet but the simulator. |
//! | [`explain`] | Accounts of connections, publications and rooms, for an operator's *why*. |
//! | [`config`], [`close`], [`error`], [`time`], [`stats`], `tallies`, [`snapshot`] | Settings, close causes, error codes, time, counts, and the state as plain data. |
//!
//! For example: a publication gets its offset in `home/authority.rs` (`publish`), a slow connection is closed in
//! `hub/slow_consumers.rs`, and a token is validated in `token/validate.rs`.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(any(test, feature = "replay"))]
extern crate std;

pub mod admission;
pub mod api;
pub mod close;
pub mod config;
mod connection;
mod effect;
pub mod engine;
pub mod error;
pub mod explain;
mod glob;
mod home;
mod hub;
pub mod ids;
mod input;
pub mod input_log;
mod json;
pub mod limits;
mod link;
mod map;
pub mod names;
mod node;
mod payload;
pub mod policy;
pub mod protocol;
mod publication;
pub mod redis;
#[cfg(feature = "replay")]
mod replayed;
mod shard;
pub mod snapshot;
pub mod stats;
mod step;
mod stored;
mod tallies;
#[cfg(feature = "test-support")]
pub mod test_support;
#[cfg(test)]
mod testing;
pub mod time;
mod timers;
mod token;
mod wire;

pub use admission::address::Address;
pub use close::{CloseCause, EndedBy};
pub use config::{Config, UserLimit};
pub use effect::{Change, Effect, End, Event, Turn};
pub use ids::{ClientId, ConnId};
pub use input::{CallId, Input, Lost, Refused, Upgrade, Violation, WebSocketMessage};
pub use json::Json;
pub use limits::{Limit, Limits};
pub use link::LinkMessage;
pub use names::{RoomName, UserId};
pub use node::{Node, ShardId};
pub use payload::{Bytes, Payload};
pub use policy::{CapabilityClaim, Namespaces, Permissions, Policy, Who};
pub use shard::{Pending, Shard};
pub use snapshot::Snapshot;
pub use stats::Stats;
pub use step::{ConnectionStep, LeaveCause, StepChange};
pub use time::{Instant, Now};
pub use token::{BadToken, Claims, VerifiedClaims};
