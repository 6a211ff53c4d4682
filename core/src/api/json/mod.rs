//! The bodies of the HTTP API, in the format of Centrifugo's server API, so that its client libraries work.
//!
//! [`METHODS`] has a row for each method: the parser of its requests, what is documented of it, and the schemas of both
//! bodies. The README's table and `/openapi.json` follow from it.

mod answers;
mod body;
mod methods;
mod requests;
pub mod schema;

pub use answers::encode;
pub(crate) use answers::{connection_bytes, reply_bytes, room_bytes};
pub(crate) use body::{bad_room, no_connection};
pub use methods::{METHODS, Method, parse};
