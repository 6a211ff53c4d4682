//! The `json` protocol: version 2 of the Centrifuge client protocol in its JSON encoding, as its SDKs implement it.

mod commands;
mod decode;
mod encode;
mod parts;
mod pushes;
mod unsupported;

pub(crate) use decode::decode;
pub(crate) use encode::encode;

/// The bytes of one room in a connect reply beside its name and its replay, and of a subscribe reply, at most.
pub(crate) const ROOM_BYTES: usize = 256;
/// The bytes of a connect reply beside its rooms, at most. It contains the server's version and the node's name, which
/// has at most [`NODE_BYTES`](crate::config::NODE_BYTES).
pub(crate) const CONNECT_BYTES: usize = 1024;
