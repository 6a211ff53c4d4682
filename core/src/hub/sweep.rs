//! A search for what was opened with revoked tokens, as it stands between two turns.

use super::gather::Caller;
use crate::token::revocation::Revocation;
use alloc::sync::Arc;

/// A search through the connections. Those that come meanwhile may be looked at, too.
#[derive(Clone, Debug)]
pub(super) struct Sweep {
    pub caller: Caller,
    pub task: SweepTask,
    /// The place that is looked at next.
    pub at: usize,
}

/// What a search is for.
#[derive(Clone, Debug)]
pub(super) enum SweepTask {
    /// The latest end of the tokens with an id.
    FindEnd { id: Arc<str>, latest: Option<i64> },
    /// What was opened with the tokens of one revocation, which holds until this time.
    End { of: Revocation, until: i64 },
    /// What was opened with any revoked token.
    EndAll,
}
