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
        let got: Value = serde_json::from_str(body).unwrap_or(Value::Null);
        if fits(&self.want, &got) {
            return Ok(());
        }
        Err(Failure::new(self.guarantee, format_args!("the answer {}", self.want), body))
    }
}

pub(super) fn result(value: Value) -> Value {
    json!({ "result": value })
}

pub(super) fn error(code: u16) -> Value {
    json!({ "error": { "code": code, "message": WORDS } })
}
