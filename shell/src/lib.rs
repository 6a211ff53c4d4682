//! The Parlor server: sockets, HTTP, tokens, settings and signals around [`parlor_core`], which decides.
//!
//! [`server::Server`] is the whole of it. [`runtime::host::Host`] and [`net::driver::Driver`] are its inside without
//! runtime and clock, over any [`net::driver::Transport`].

pub mod auth;
pub mod config;
mod http;
pub mod net;
pub mod observe;
pub mod runtime;
pub mod server;

/// Name and version of the server.
pub const VERSION: &str = concat!("parlor ", env!("CARGO_PKG_VERSION"));
