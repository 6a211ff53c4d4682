//! The Parlor server: sockets, HTTP, tokens, settings and signals around [`parlor_core`], which makes every decision.
//!
//! [`server::Server`] starts one. It binds the listening sockets and runs one shard on a thread of its own. Without runtime
//! and clock, the inside of that thread is a [`runtime::host::Host`] with a [`net::driver::Driver`] for each connection; the
//! simulator drives these two over invented sockets.
//!
//! # The way of a byte
//!
//! 1. `net/listener` accepts a socket. `http/connection` serves HTTP on it, and `http/router` answers each request by its
//!    path: an API call, a probe, or an upgrade.
//! 2. An API call is parsed by the core and handed to the host; the core's reply becomes the HTTP response.
//! 3. An upgrade is checked by `http/upgrade` (path, headers, origin) and admitted by the core. The host gets the socket, and
//!    the connection a task.
//! 4. The task polls the host: the driver writes the 101, reads bytes into the shared buffer, and its decoder makes messages
//!    of them. Each message is one [`parlor_core::Input`].
//! 5. The host hands the input to the core's [`parlor_core::Shard`] and carries out the effects: connections to be written
//!    to, tokens to be verified, calls to be answered, sockets to be closed.
//! 6. Once every task that is ready has run, the flush task takes from the core what is pending for each connection and
//!    writes it with one call to the socket. What the socket took is an input again.
//!
//! Only a socket that is full is waited for, by its own task. Nothing is spawned outside the shard's thread, and only
//! `runtime/clock` reads the time.
//!
//! # The folders
//!
//! | folder | content |
//! |---|---|
//! | [`cli`] | Does what a command line says: runs the server, or speaks with one. |
//! | `server` | Starts and stops a server. |
//! | `service_manager` | Tells systemd when the server is ready, lives and stops. |
//! | [`config`] | Reads settings from flags, the environment and a file, and checks them. |
//! | [`net`] | Handles sockets and bytes: listening, TCP, WebSocket frames, the driver, and counts of sockets and refusals. |
//! | `http` | Answers HTTP requests: the API, health, upgrades, origins, forwarding headers, OpenAPI. |
//! | [`runtime`] | Runs the thread of a shard: its host, its tasks, its clock, and the restart after a broken invariant. |
//! | [`auth`] | Verifies tokens and API keys. |
//! | [`observe`] | Shows what happens: the log, the figures of `/health`, and the last inputs of a shard. |
//!
//! No two files import each other, directly or through others; `tests/layout.rs` checks it.

pub mod auth;
pub mod cli;
pub mod config;
mod http;
pub mod net;
pub mod observe;
pub mod runtime;
pub mod server;
pub mod service_manager;

/// Name and version of the server.
pub const VERSION: &str = concat!("parlor ", env!("CARGO_PKG_VERSION"));
