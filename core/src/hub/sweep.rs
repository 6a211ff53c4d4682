//! A search for what was opened with revoked tokens, as it stands between two turns.

use super::gather::Caller;
use crate::token::revocation::Revocation;
use alloc::sync::Arc;

/// A search through the connections. Those that come meanwhile may be looked at, too.
#[derive(Clone, Debug, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub(super) struct Sweep {
    pub caller: Caller,
    pub task: SweepTask,
    /// The place that is looked at next.
    pub at: usize,
}

/// The aim of a search.
#[derive(Clone, Debug, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub(super) enum SweepTask {
    /// The latest end of the tokens with an id.
    FindEnd { id: Arc<str>, latest: Option<i64> },
    /// The connections and subscriptions of the tokens of one revocation, which holds until this time.
    End { of: Revocation, until: i64 },
    /// Those of any revoked token.
    EndAll,
}
