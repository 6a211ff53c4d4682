//! The order of rooms whose home follows an engine: what the home asks there for its hubs, and the copies of the logs.
//!
//! A room is followed while its copy is here, or a join waits for it. The copy stays for [`LINGER`] after the last member has
//! left, so that a reload of a page costs the engine nothing. The room of the canary follows nothing: it is this node's own.

mod copy;
mod joins;
mod requests;
mod state;
mod waiting;

pub(super) use state::{LINGER, Replica};
