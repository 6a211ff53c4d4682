//! The part of a room's log that a new member wants, or that a client or backend reads.

use std::sync::Arc;

/// What a new member wants to have before anything else.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Want {
    /// Nothing.
    #[default]
    Nothing,
    /// All that came after this place in the log of this epoch, or of any if it is empty. `refuse`: that or no membership.
    Since {
        /// Which log.
        epoch: Arc<str>,
        /// After which message.
        offset: u64,
        /// Whether it is this or nothing.
        refuse: bool,
    },
    /// So many of the newest.
    Last(usize),
}

/// What somebody wants to read of a log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    /// At most so many messages; `None` and 0 for the position alone, below 0 for as many as a reply may have.
    pub limit: Option<i64>,
    /// After this place, or before it in reverse.
    pub since: Option<(Arc<str>, u64)>,
    /// Newest first.
    pub reverse: bool,
}

impl Want {
    /// The same, but never a reason not to join.
    #[must_use]
    pub fn or_without(self) -> Self {
        match self {
            Self::Since { epoch, offset, .. } => Self::Since { epoch, offset, refuse: false },
            other => other,
        }
    }
}

impl Query {
    /// Whether nothing can be there.
    #[must_use]
    pub fn is_impossible(&self) -> bool {
        self.reverse && self.since.as_ref().is_some_and(|(_, offset)| *offset == 0)
    }
}
