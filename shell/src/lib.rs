//! The Parlor server: sockets, HTTP, tokens, settings and signals around [`parlor_core`], which decides.
//!
//! [`server::Server`] is the whole of it. [`host::Host`] and [`driver::Driver`] are its inside without runtime and
//! clock, over any [`driver::Transport`].

pub mod auth;
mod backoff;
mod clock;
pub mod config;
mod decoder;
pub mod driver;
pub mod host;
mod http;
pub mod input_log;
pub mod log;
mod observe;
mod refusals;
mod rounds;
pub mod secret;
pub mod server;
mod shard;
mod sockets;
mod tcp;

/// Name and version of the server.
pub const VERSION: &str = concat!("parlor ", env!("CARGO_PKG_VERSION"));
