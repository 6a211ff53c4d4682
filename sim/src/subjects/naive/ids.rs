//! Ids of coroutines, and names of connections.

use parlor_core::ConnId;

/// Which coroutine.
pub type TaskId = u64;

/// How a connection is called where a person reads it.
pub(crate) fn name(id: ConnId) -> String {
    format!("ws{id}")
}
