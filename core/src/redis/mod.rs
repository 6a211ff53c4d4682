//! Redis as the store that several nodes share: the protocol that is spoken with it, and the scripts that it runs.
//!
//! The codec is written here because replies and pushes of one connection are one sequence, which the libraries take apart
//! into two: a position that was replied is exact only relative to the pushes before and behind it. Nothing here reads a
//! socket or a clock.

mod decoder;
pub mod scripts;
mod value;

pub use decoder::{RespDecoder, RespError, RespLimits};
pub use value::{RespValue, encode_command};
