//! Output for operators: the log, the figures of `/health` and `/metrics`, and the last inputs of a shard.

pub(crate) mod alerts;
pub(crate) mod calls;
pub mod closes;
pub mod connection_log;
pub(crate) mod descriptors;
pub(crate) mod health;
pub mod host_log;
pub(crate) mod input_log;
pub mod last_inputs;
pub mod log;
pub(crate) mod metrics;
pub(crate) mod rates;
pub(crate) mod readiness;
pub(crate) mod reloads;
