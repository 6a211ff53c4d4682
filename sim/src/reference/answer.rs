//! The answer that a call must get: a result, or an error with its code.

use super::expect::{WORDS, fits};
use crate::guarantees::{Failure, Guarantee};
use serde_json::{Value, json};

/// The answer that a call must get, and the guarantee that is broken when it gets another.
#[derive(Clone, Debug)]
pub(super) struct ExpectedAnswer {
    pub(super) want: Value,
    pub(super) guarantee: Guarantee,
}

impl ExpectedAnswer {
    pub(super) fn compare(&self, body: &str) -> Result<(), Failure> {
        let mut got: Value = serde_json::from_str(body).unwrap_or(Value::Null);
        got.get_mut("result").into_iter().for_each(sort_rooms);
        if fits(&self.want, &got) {
            return Ok(());
        }
        Err(Failure::new(self.guarantee, format_args!("the answer {}", self.want), body))
    }
}

/// Sorts the rooms of each of `connections`, which have no order.
fn sort_rooms(result: &mut Value) {
    let connections = result.get_mut("connections").and_then(Value::as_object_mut);
    let lists = connections.into_iter().flat_map(|all| all.values_mut()).filter_map(|one| one.get_mut("channels"));
    lists.filter_map(Value::as_array_mut).for_each(|rooms| rooms.sort_by_key(ToString::to_string));
}

/// Why something is not done: the code of the error, and the limit that is in the way.
#[derive(Clone, Copy, Debug)]
pub(super) struct ApiRefusal {
    pub code: u16,
    pub(super) limit: Option<&'static str>,
}

impl ApiRefusal {
    pub fn by(limit: &'static str) -> Self {
        Self { code: 106, limit: Some(limit) }
    }
}

impl From<u16> for ApiRefusal {
    fn from(code: u16) -> Self {
        Self { code, limit: None }
    }
}

pub(super) fn result(value: Value) -> Value {
    json!({ "result": value })
}

pub(super) fn error(denied: impl Into<ApiRefusal>) -> Value {
    let ApiRefusal { code, limit } = denied.into();
    let mut error = json!({ "code": code, "message": WORDS });
    limit.into_iter().for_each(|limit| error["limit"] = limit.into());
    json!({ "error": error })
}
