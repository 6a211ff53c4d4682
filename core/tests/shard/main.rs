//! What a shard does, as its clients and its backend see it.

mod cluster;
mod world;

mod api;
mod calls;
mod canary;
mod engine;
mod explain;
mod figures;
mod history_bounds;
mod json;
mod lifecycle;
mod limits;
mod names;
mod node;
mod node_bounds;
mod payloads;
mod plain;
mod policies;
mod presence;
mod presence_grace;
mod reconfigure;
mod recovery;
mod revocation;
mod rooms;
mod routes;
mod steps;
mod tokens;
mod turns;
mod users_of_node;
