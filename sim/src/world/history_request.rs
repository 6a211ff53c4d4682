//! The part of a room's log that a new member wants, or that a client or backend reads.

use crate::world::action::{Part, RecoverySince};
use serde_json::{Value, json};
use std::sync::Arc;

/// The position that a new member wants to recover from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum RecoverFrom {
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

/// A query for a part of a log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogQuery {
    /// At most so many messages; `None` and 0 for the position alone, below 0 for as many as a reply may have.
    pub limit: Option<i64>,
    /// After this place, or before it in reverse.
    pub since: Option<(Arc<str>, u64)>,
    /// Newest first.
    pub reverse: bool,
}

impl RecoverFrom {
    /// The same, but never a reason not to join.
    #[must_use]
    pub fn or_without(self) -> Self {
        match self {
            Self::Since { epoch, offset, .. } => Self::Since { epoch, offset, refuse: false },
            other => other,
        }
    }
}

impl LogQuery {
    /// Whether nothing can be there.
    #[must_use]
    pub fn is_impossible(&self) -> bool {
        self.reverse && self.since.as_ref().is_some_and(|(_, offset)| *offset == 0)
    }
}

/// Where a room's log is: its epoch, if there is one, and its top.
pub type KnownPosition = (Option<Arc<str>>, u64);

/// The position that this means in a log that is there.
#[must_use]
pub fn want(since: RecoverySince, (epoch, top): &KnownPosition) -> RecoverFrom {
    let current: Arc<str> = epoch.clone().unwrap_or_else(|| "".into());
    let (epoch, offset) = match since {
        RecoverySince::Top => (current, *top),
        RecoverySince::One => (current, top.saturating_sub(1)),
        RecoverySince::Two => (current, top.saturating_sub(2)),
        RecoverySince::Zero | RecoverySince::AllOrNothing => (current, 0),
        RecoverySince::Beyond => (current, top + 1),
        RecoverySince::Else | RecoverySince::ElseOrNothing => (ELSE.into(), *top),
        RecoverySince::Any => ("".into(), top.saturating_sub(1)),
    };
    RecoverFrom::Since {
        epoch,
        offset,
        refuse: matches!(since, RecoverySince::AllOrNothing | RecoverySince::ElseOrNothing),
    }
}

/// An epoch that no log has.
pub const ELSE: &str = "elsewhere";

/// The query that this means in a log that is there.
#[must_use]
pub fn query(part: Part, (epoch, top): &KnownPosition) -> LogQuery {
    let current: Arc<str> = epoch.clone().unwrap_or_else(|| "".into());
    let since = |offset: u64| Some((Arc::clone(&current), offset));
    let query = LogQuery::default();
    match part {
        Part::Position => query,
        Part::All => LogQuery { limit: Some(-1), ..query },
        Part::One => LogQuery { limit: Some(1), ..query },
        Part::Many => LogQuery { limit: Some(100_000), ..query },
        Part::Since => LogQuery { limit: Some(-1), since: since(top.saturating_sub(1)), ..query },
        Part::First => LogQuery { limit: Some(1), since: since(0), ..query },
        Part::Reverse => LogQuery { limit: Some(-1), reverse: true, ..query },
        Part::Before => LogQuery { limit: Some(2), since: since(*top), reverse: true },
        Part::BeforeAll => LogQuery { limit: Some(-1), since: since(0), reverse: true },
        Part::Else => LogQuery { limit: Some(1), since: Some((ELSE.into(), *top)), ..query },
    }
}

pub(super) fn recovery_fields(want: &RecoverFrom) -> Value {
    match want {
        RecoverFrom::Since { epoch, offset, refuse } => {
            json!({ "recover": true, "epoch": **epoch, "offset": offset, "flag": if *refuse { 2 } else { 0 } })
        }
        RecoverFrom::Nothing | RecoverFrom::Last(_) => json!({}),
    }
}

/// The fields of a request for this.
pub(crate) fn query_fields(query: &LogQuery) -> Value {
    let mut fields = json!({});
    if let Some(limit) = query.limit {
        fields["limit"] = limit.into();
    }
    if let Some((epoch, offset)) = &query.since {
        fields["since"] = json!({ "epoch": **epoch, "offset": offset });
    }
    if query.reverse {
        fields["reverse"] = true.into();
    }
    fields
}
