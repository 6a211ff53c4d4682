//! The thread of a shard: its clock, its tasks, and the host that carries out what the shard decides.

pub(crate) mod alert_sender;
pub(crate) mod backoff;
mod canary;
pub(crate) mod clock;
pub mod connections;
pub mod host;
pub(crate) mod in_force;
pub mod key_fetcher;
pub(crate) mod latch;
pub mod observer;
pub mod pulse;
pub(crate) mod rounds;
pub mod server_requests;
pub(crate) mod shard;
pub(crate) mod thread;
mod waiting_tokens;
