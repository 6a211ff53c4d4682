//! The ids by which clients find the answer to a command.

use crate::json::Json;

/// The id of a command, which its answer repeats.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub(crate) enum CommandId {
    /// A number; 0 stands for a command without an id.
    Number(u64),
    /// Any JSON text.
    Json(Json),
}

// Every connection has room for one. A third variant would make it longer.
const _: () = assert!(size_of::<CommandId>() == 16);

impl CommandId {
    /// The id of a command that has none.
    pub const NONE: Self = Self::Number(0);
}

impl Default for CommandId {
    fn default() -> Self {
        Self::NONE
    }
}
