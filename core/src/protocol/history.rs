//! How a part of a log is asked for: the same fields in the client protocol and in the HTTP API.

use crate::api::{HistoryQuery, Position};
use crate::error::{Error, ErrorCode};
use crate::protocol::raw::{optional_integer, or_default};
use alloc::string::String;
use serde::Deserialize;

/// The fields of a request for history.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub(crate) struct HistoryFields {
    #[serde(default, deserialize_with = "optional_integer")]
    pub limit: Option<i64>,
    #[serde(default)]
    pub since: Option<Since>,
    #[serde(default)]
    pub reverse: Option<bool>,
}

/// A position as it is given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub(crate) struct Since {
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
    /// The request.
    ///
    /// # Errors
    /// 107 in reverse from before the first message: nothing can be there.
    pub fn query(self) -> Result<HistoryQuery, Error> {
        let reverse = self.reverse.unwrap_or_default();
        if reverse && self.since.as_ref().is_some_and(|since| since.offset() == 0) {
            return Err(Error::new(ErrorCode::BadRequest, "since.offset must be above 0 in reverse"));
        }
        let since = self.since.map(Position::from);
        Ok(HistoryQuery { limit: self.limit.unwrap_or(0), since, reverse })
    }
}
