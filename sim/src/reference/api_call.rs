//! A call of a backend: its method and body, and what must come of it.

use super::answer::{ExpectedAnswer, result};
use super::model::ReferenceModel;
use super::selection::ConnectionSelection;
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
    /// A call that does in the model what `expectation` does, and is answered with what that returns. It is carried out again
    /// for each alternative of a turn.
    pub fn new(
        method: &str,
        body: impl fmt::Display,
        guarantee: Guarantee,
        expectation: impl Fn(&mut ReferenceModel) -> Value + 'a,
    ) -> Self {
        Self { method: method.into(), body: body.to_string(), guarantee, expectation: Box::new(expectation) }
    }

    /// A call that changes nothing and gets this result.
    pub fn asking(
        method: &str,
        body: impl fmt::Display,
        guarantee: Guarantee,
        answer: impl Fn(&mut ReferenceModel) -> Value + 'a,
    ) -> Self {
        Self::new(method, body, guarantee, move |model| result(answer(model)))
    }

    /// The same with another body, which means these connections alone.
    #[must_use]
    pub fn of(self, meant: ConnectionSelection, body: &Value) -> Self {
        let expectation = move |model: &mut ReferenceModel| {
            model.meant = meant;
            let answer = (self.expectation)(model);
            model.meant = ConnectionSelection::All;
            answer
        };
        Self {
            method: self.method,
            body: body.to_string(),
            guarantee: self.guarantee,
            expectation: Box::new(expectation),
        }
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
