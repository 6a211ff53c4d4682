//! The `json` protocol: version 2 of the Centrifuge client protocol, in JSON, as its SDKs speak it.

mod decode;
mod encode;

pub(crate) use decode::*;
pub(crate) use encode::*;

/// The most that a room takes in a connect reply beside its name and what was missed, and what a subscribe reply takes.
pub(crate) const ROOM_BYTES: usize = 256;
/// The most that a connect reply takes beside its rooms, with the server's version and the node's name in it, which has at
/// most [`NODE_BYTES`](crate::config::NODE_BYTES).
pub(crate) const CONNECT_BYTES: usize = 1024;
