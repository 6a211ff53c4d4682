//! Expected frames: what a client must read next, and whether a frame is that.

use crate::guarantees::Guarantee;
use crate::world::frames::ReceivedFrame;
use serde_json::Value;
use std::fmt;
use std::sync::Arc;

/// One frame that must come out of a socket.
#[derive(Clone, Debug)]
pub enum ExpectedFrame {
    /// An object that fits this one, with these payloads in it byte by byte.
    Json(Arc<Value>, Arc<[Arc<str>]>),
    /// The answer to the command of this id, whatever it says.
    Answer(u64),
    /// A publication that is nothing but its payload.
    Bare(Arc<str>),
    /// A WebSocket Ping without payload.
    Ping,
    /// A WebSocket Pong.
    Pong(Arc<[u8]>),
    /// The Close frame, with this code.
    Close(Option<u16>),
}

/// The words of an error, which are for a person: a subject is free to choose them.
pub const WORDS: &str = "*words";
/// The epoch of a log that has come and gone within a turn, which no state tells.
pub const EPOCH: &str = "*epoch";
/// What checkers judge.
pub const ANYTHING: &str = "*anything";
/// The date before a time of the day, which is compared.
pub const DATE: &str = "*date ";

/// The length of an epoch, in bytes.
const EPOCH_BYTES: usize = 16;

/// Whether `got` is what a text stands for that may be one of those which a subject is free to choose.
fn fits_text(want: &str, got: &Value) -> bool {
    match want {
        WORDS => got.is_string(),
        ANYTHING => true,
        EPOCH => got.as_str().is_some_and(|epoch| epoch.len() == EPOCH_BYTES),
        text => match text.strip_prefix(DATE) {
            Some(time) => got.as_str().and_then(|got| got.get("2026-11-22".len()..)) == Some(time),
            None => got == text,
        },
    }
}

impl ExpectedFrame {
    /// A reply, or another frame of the protocol's own.
    #[must_use]
    pub fn json(value: Value) -> Self {
        Self::with_payloads(value, Vec::new())
    }

    /// An object in which these payloads must be as they were sent.
    #[must_use]
    pub fn with_payloads(value: Value, payloads: Vec<Arc<str>>) -> Self {
        Self::Json(Arc::new(value), payloads.into())
    }

    /// The guarantee that is broken when this frame is missing, or another comes in its place.
    #[must_use]
    pub fn guarantee(&self) -> Guarantee {
        match self {
            Self::Json(_, payloads) if payloads.is_empty() => Guarantee::P1,
            Self::Json(..) | Self::Bare(_) => Guarantee::G5,
            Self::Close(_) => Guarantee::G7,
            _ => Guarantee::P1,
        }
    }

    /// Whether the frame is the one expected.
    #[must_use]
    pub fn is_met_by(&self, frame: &ReceivedFrame) -> bool {
        match (self, frame) {
            (Self::Json(want, payloads), ReceivedFrame::Text(text)) => {
                let has_all = payloads.iter().all(|payload| text.contains(&**payload));
                has_all && serde_json::from_str(text).is_ok_and(|got| fits(want, &got))
            }
            (Self::Answer(id), ReceivedFrame::Text(text)) => {
                serde_json::from_str::<Value>(text).is_ok_and(|got| got["id"] == *id)
            }
            (Self::Bare(payload), ReceivedFrame::Text(text)) => **payload == **text,
            (Self::Ping, ReceivedFrame::Ping(payload)) => payload.is_empty(),
            (Self::Pong(want), ReceivedFrame::Pong(payload)) => **want == **payload,
            (Self::Close(want), ReceivedFrame::Close(code)) => want == code,
            _ => false,
        }
    }
}

impl fmt::Display for ExpectedFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Json(value, _) => write!(f, "{value}"),
            Self::Answer(id) => write!(f, "the answer to {id}"),
            Self::Bare(payload) => f.write_str(payload),
            Self::Ping => f.write_str("Ping"),
            Self::Pong(payload) => write!(f, "Pong {payload:?}"),
            Self::Close(Some(code)) => write!(f, "Close {code}"),
            Self::Close(None) => f.write_str("Close"),
        }
    }
}

/// Whether `got` is `want`, with the fields that are wanted and no others, but for what a subject is free to choose.
#[must_use]
pub fn fits(want: &Value, got: &Value) -> bool {
    match (want, got) {
        (Value::String(text), got) => fits_text(text, got),
        (Value::Object(want), Value::Object(got)) => {
            let is_met = |(key, want)| got.get(key).is_some_and(|got| fits(want, got));
            want.len() == got.len() && want.iter().all(is_met)
        }
        (Value::Array(want), Value::Array(got)) => {
            want.len() == got.len() && want.iter().zip(got).all(|(want, got)| fits(want, got))
        }
        (want, got) => want == got,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_object_matches_only_with_the_expected_fields_and_freedoms() {
        let want = json!({"id": 1, "message": WORDS, "of": [{"b": EPOCH}]});
        assert!(fits(&want, &json!({"id": 1, "message": "x", "of": [{"b": "0123456789abcdef"}]})));
        assert!(!fits(&want, &json!({"id": 2, "message": "x", "of": [{"b": "0123456789abcdef"}]})));
        assert!(!fits(&want, &json!({"id": 1, "message": {}, "of": [{"b": "0123456789abcdef"}]})));
        assert!(!fits(&want, &json!({"id": 1, "message": "x", "of": [{"b": ""}]})));
        assert!(!fits(&want, &json!({"id": 1, "message": "x", "of": []})));
        assert!(!fits(&want, &json!({"id": 1, "message": "x", "of": [{"b": "0123456789abcdef"}], "more": 1})));
    }

    #[test]
    fn a_payload_arrives_as_it_was_sent() {
        let payload: Arc<str> = r#"{"b":1,"a":2}"#.into();
        let expect = ExpectedFrame::with_payloads(json!({"push": {"data": {"b": 1, "a": 2}}}), vec![payload]);
        assert!(expect.is_met_by(&ReceivedFrame::Text(r#"{"push":{"data":{"b":1,"a":2}}}"#.into())));
        let other = ReceivedFrame::Text(r#"{"push":{"data":{"a":2,"b":1}}}"#.into());
        assert!(!expect.is_met_by(&other), "same value, other bytes");
    }
}
