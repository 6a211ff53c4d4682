//! The fields of a request for history, which are the same in the client protocol and in the HTTP API.

use crate::api::{HistoryLimit, HistoryQuery, Position};
use crate::error::{Error, ErrorCode};
use crate::wire::raw::{optional_integer, or_default};
use alloc::string::String;
use serde::Deserialize;

/// The fields of a request for history.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub(crate) struct HistoryFields {
    /// The greatest number of publications; absent for 0, below 0 for as many as a reply may have.
    #[serde(default, deserialize_with = "optional_integer")]
    pub limit: Option<i64>,
    /// The position after which, or in reverse before which, publications are read.
    #[serde(default)]
    pub since: Option<Since>,
    /// `true` to read the newest publications first.
    #[serde(default)]
    pub reverse: Option<bool>,
}

/// A position as clients and backends write it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub(crate) struct Since {
    /// The epoch; empty for any epoch.
    #[serde(default, deserialize_with = "or_default")]
    pub epoch: String,
    #[serde(default, deserialize_with = "optional_integer")]
    offset: Option<u64>,
}

impl Since {
    fn offset(&self) -> u64 {
        self.offset.unwrap_or_default()
    }
}

impl From<Since> for Position {
    fn from(since: Since) -> Self {
        Self { offset: since.offset(), epoch: since.epoch }
    }
}

impl HistoryFields {
    /// Converts the fields to a query.
    ///
    /// # Errors
    /// Returns 107 for a reverse query that starts at offset 0, before which there is no publication.
    pub fn query(self) -> Result<HistoryQuery, Error> {
        let reverse = self.reverse.unwrap_or_default();
        if reverse && self.since.as_ref().is_some_and(|since| since.offset() == 0) {
            return Err(Error::new(ErrorCode::BadRequest, "since.offset must be above 0 in reverse"));
        }
        let since = self.since.map(Position::from);
        let limit = match usize::try_from(self.limit.unwrap_or(0)) {
            Ok(most) => HistoryLimit::at_most(most),
            Err(_) => HistoryLimit::Unlimited,
        };
        Ok(HistoryQuery { limit, since, reverse })
    }
}
