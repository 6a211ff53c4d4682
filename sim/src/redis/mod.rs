//! A Redis server as the simulator imagines it.
//!
//! - [`wire`]: the bytes of replies and pushes, written without the decoder of the core in mind.

pub mod wire;
