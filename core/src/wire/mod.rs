//! JSON that the client protocols, the HTTP API and tokens have in common.

pub(crate) mod raw;
pub(crate) mod shapes;
