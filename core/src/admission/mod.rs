//! What is known of a connection before it is one: its address, and where its upgrade request leads.

pub mod address;
pub mod route;
