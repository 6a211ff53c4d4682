//! A call of a backend: its method and body, and what must come of it.

use super::answer::ExpectedAnswer;
use super::expect::ANYTHING;
use super::model::ReferenceModel;
use crate::guarantees::Guarantee;
use serde_json::Value;
use std::fmt;

/// Carries a call out in the model, and returns the answer that it must get.
type Expectation<'a> = Box<dyn Fn(&mut ReferenceModel) -> Value + 'a>;

/// One call.
pub struct ApiCall<'a> {
    /// The method.
    pub method: String,
    /// The body, as JSON.
    pub body: String,
    /// The guarantee that an answer breaks which is not the expected one.
    guarantee: Guarantee,
    expectation: Expectation<'a>,
}

impl<'a> ApiCall<'a> {
    /// A call that does in the model what `expectation` does, and is answered with what that returns.
    pub fn new(
        method: &str,
        body: impl fmt::Display,
        guarantee: Guarantee,
        expectation: impl Fn(&mut ReferenceModel) -> Value + 'a,
    ) -> Self {
        Self { method: method.into(), body: body.to_string(), guarantee, expectation: Box::new(expectation) }
    }

    /// A call that is left to the checkers.
    pub fn unforeseen(method: &str, body: impl fmt::Display) -> Self {
        Self::new(method, body, Guarantee::P1, |model| {
            model.give_up();
            Value::Null
        })
    }

    /// A call that only reads: what it is answered is left to the checkers.
    pub fn reading(method: &str, body: impl fmt::Display) -> Self {
        Self::new(method, body, Guarantee::P1, |_| ANYTHING.into())
    }

    /// The same with another body.
    #[must_use]
    pub fn with_body(self, body: &Value) -> Self {
        Self { body: body.to_string(), ..self }
    }

    pub(super) fn carry_out(&self, model: &mut ReferenceModel) -> ExpectedAnswer {
        ExpectedAnswer { want: (self.expectation)(model), guarantee: self.guarantee }
    }
}

impl fmt::Debug for ApiCall<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.body)
    }
}
