//! The bodies of the HTTP API, in the format of Centrifugo's server API, so that its client libraries work.
//!
//! [`METHODS`] has a row for each method: the parser of its requests, what is documented of it, and the schemas of both
//! bodies. The README's table and `/openapi.json` follow from it. The JSON of each form of answer is in the same file.

mod answers;
mod body;
mod methods;
mod requests;
pub mod schema;

pub(crate) use answers::{connection_bytes, revocation_bytes, room_bytes};
pub(crate) use body::{bad_room, no_connection};
pub(crate) use methods::reply_bytes;
pub use methods::{METHODS, Method, encode, parse};
