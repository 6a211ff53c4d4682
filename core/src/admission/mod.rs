//! The properties of an upgrade request before its connection is accepted: the client's address and the route.

pub mod address;
pub mod route;
