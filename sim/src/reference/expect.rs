//! Expected frames: what a client must read next, and whether a frame is that.

use crate::guarantees::Guarantee;
use crate::world::frames::ReceivedFrame;
use serde_json::Value;
use std::fmt;
use std::sync::Arc;

/// One frame that must come out of a socket.
#[derive(Clone, Debug)]
pub struct ExpectedFrame {
    pub(super) what: FrameContent,
    /// Tells it apart from every other frame that could stand in its place, for comparing states.
    pub tag: u64,
    /// The fewest and the most bytes that it takes, header included.
    pub size: (usize, usize),
    /// The turn that it comes from, and whom it is about, where what is about others may come before it.
    pub(super) among: Option<(u64, (usize, usize))>,
}

#[derive(Clone, Debug)]
pub(super) enum FrameContent {
    /// An object that fits this one.
    Json(Arc<Value>),
    /// A publication: the object, and in it the payload byte by byte.
    Publication(Arc<Value>, Arc<str>),
    /// An object with several payloads in it, each byte by byte.
    Replayed(Arc<Value>, Arc<[Arc<str>]>),
    /// A publication that is nothing but its payload.
    Bare(Arc<str>),
    Ping,
    Pong(Arc<[u8]>),
    Close(Option<u16>),
    /// One of these.
    OneOf(Arc<[ExpectedFrame]>),
}

/// Everything that a subject is free to choose; the rest of its output is compared to the byte or the value.
pub use freedoms::{CURSOR, EPOCH, WORDS, between};

/// Texts that stand for many.
mod freedoms {
    use serde_json::Value;

    /// The first character of such a text.
    pub(super) const MARK: &str = "*";
    /// The words of an error, which are for a person.
    pub const WORDS: &str = "*words";
    /// Where a list goes on.
    pub const CURSOR: &str = "*cursor";
    /// The epoch of a log that has come and gone within a turn.
    pub const EPOCH: &str = "*epoch";

    /// A time to live, which may be told a second earlier or later: a number between these two.
    #[must_use]
    pub fn between(low: u64, high: u64) -> Value {
        Value::from(format!("*{low}..{high}"))
    }
}

/// The most that the words of an error take in a frame.
const WORDS_BYTES: usize = 300;
/// The length of an epoch, in bytes.
const EPOCH_BYTES: usize = 16;

/// A text that stands for many: one of the [`freedoms`].
enum Pattern {
    Words,
    Cursor,
    Epoch,
    Between(u64, u64),
}

impl Pattern {
    /// `None` for a text that stands for itself.
    pub(super) fn of(text: &str) -> Option<Self> {
        let bound = |text: &str| text.parse().expect("a number");
        match text.strip_prefix(freedoms::MARK)?.split_once("..") {
            Some((low, high)) => Some(Self::Between(bound(low), bound(high))),
            None if text == EPOCH => Some(Self::Epoch),
            None if text == CURSOR => Some(Self::Cursor),
            None => (text == WORDS).then_some(Self::Words),
        }
    }

    pub(super) fn fits(&self, got: &Value) -> bool {
        match self {
            Self::Words => got.is_string(),
            Self::Cursor => got.as_str().is_some_and(|cursor| !cursor.is_empty()),
            Self::Epoch => got.as_str().is_some_and(|epoch| epoch.len() == EPOCH_BYTES),
            Self::Between(low, high) => got.as_u64().is_some_and(|number| (*low..=*high).contains(&number)),
        }
    }

    /// The fewest and the most bytes that it takes in a text.
    pub(super) fn bytes(&self) -> (usize, usize) {
        match self {
            Self::Words | Self::Cursor => (2, WORDS_BYTES),
            Self::Epoch => (EPOCH_BYTES + 2, EPOCH_BYTES + 2),
            Self::Between(low, high) => (low.to_string().len(), high.to_string().len()),
        }
    }
}

/// Difference in bytes between a pattern's own text and the shortest and the longest text that fits.
fn spread(want: &Value) -> (isize, isize) {
    let sum = |(least, most): (isize, isize), (fewer, more)| (least + fewer, most + more);
    match want {
        Value::String(text) => Pattern::of(text).map_or((0, 0), |pattern| {
            let own = text.len().cast_signed() + 2;
            let (least, most) = pattern.bytes();
            (least.cast_signed() - own, most.cast_signed() - own)
        }),
        Value::Array(all) => all.iter().map(spread).fold((0, 0), sum),
        Value::Object(fields) => fields.values().map(spread).fold((0, 0), sum),
        _ => (0, 0),
    }
}

impl ExpectedFrame {
    /// A reply, or another frame of the protocol's own.
    #[must_use]
    pub fn json(value: Value, tag: u64) -> Self {
        let size = sizes(&value, 0);
        Self { what: FrameContent::Json(Arc::new(value)), tag, size, among: None }
    }

    /// A publication in an envelope; `value` has `null` where the payload goes, at `/push/<kind>/data` or deeper.
    #[must_use]
    pub fn publication(mut value: Value, pointer: &str, payload: &Arc<str>, tag: u64) -> Self {
        let size = exactly(value.to_string().len() - "null".len() + payload.len());
        let hole = value.pointer_mut(pointer).expect("a place for the payload");
        *hole = serde_json::from_str(payload).expect("payloads are JSON");
        Self { what: FrameContent::Publication(Arc::new(value), Arc::clone(payload)), tag, size, among: None }
    }

    /// An object in which these payloads must be as they were sent.
    #[must_use]
    pub fn replayed(value: Value, payloads: Vec<Arc<str>>, tag: u64) -> Self {
        if payloads.is_empty() {
            return Self::json(value, tag);
        }
        let parsed = |payload: &Arc<str>| parsed(payload).expect("payloads are JSON").to_string().len();
        let saved = payloads.iter().map(|payload| payload.len().cast_signed() - parsed(payload).cast_signed()).sum();
        let size = sizes(&value, saved);
        Self { what: FrameContent::Replayed(Arc::new(value), payloads.into()), tag, size, among: None }
    }

    /// The same, where others of this turn that are about another member may come before it.
    #[must_use]
    pub fn among(self, turn: u64, about: (usize, usize)) -> Self {
        Self { among: Some((turn, about)), ..self }
    }

    /// Whether the two may change places.
    #[must_use]
    pub fn may_follow(&self, other: &Self) -> bool {
        match (self.among, other.among) {
            (Some((turn, about)), Some((same, other))) => turn == same && about != other,
            _ => false,
        }
    }

    /// A publication as it is.
    #[must_use]
    pub fn bare(payload: &Arc<str>, tag: u64) -> Self {
        Self { what: FrameContent::Bare(Arc::clone(payload)), tag, size: exactly(payload.len()), among: None }
    }

    /// A WebSocket Ping without payload.
    #[must_use]
    pub fn ping() -> Self {
        Self { what: FrameContent::Ping, tag: 1, size: exactly(0), among: None }
    }

    /// A WebSocket Pong.
    #[must_use]
    pub fn pong(payload: &[u8]) -> Self {
        let tag = payload.iter().fold(2, |tag, byte| tag << 8 | u64::from(*byte));
        Self { what: FrameContent::Pong(payload.into()), tag, size: exactly(payload.len()), among: None }
    }

    /// One of these, where it is not known yet which. There is one at least.
    #[must_use]
    pub fn one_of(mut all: Vec<Self>) -> Self {
        if all.len() == 1 {
            return all.remove(0);
        }
        let size = all.iter().map(|one| one.size);
        let size = size.reduce(|(least, most), size| (least.min(size.0), most.max(size.1))).expect("there is one");
        Self { tag: all[0].tag, size, what: FrameContent::OneOf(all.into()), among: None }
    }

    /// The Close frame.
    #[must_use]
    pub fn close(code: Option<u16>) -> Self {
        Self {
            what: FrameContent::Close(code),
            tag: 1 << 32 | u64::from(code.unwrap_or_default()),
            size: (2, 127),
            among: None,
        }
    }

    /// Lets any epoch stand where this one is.
    pub fn forget(&mut self, text: &str) {
        match &mut self.what {
            FrameContent::Json(value) | FrameContent::Replayed(value, _) => forget(Arc::make_mut(value), text),
            FrameContent::OneOf(all) => {
                *all = all
                    .iter()
                    .cloned()
                    .map(|mut one| {
                        one.forget(text);
                        one
                    })
                    .collect()
            }
            _ => {}
        }
    }

    /// Whether a publication is expected.
    #[must_use]
    pub fn is_publication(&self) -> bool {
        matches!(self.what, FrameContent::Publication(..) | FrameContent::Replayed(..) | FrameContent::Bare(_))
    }

    /// The guarantee that is broken when this frame is missing, or another comes in its place.
    #[must_use]
    pub fn guarantee(&self) -> Guarantee {
        match self.what {
            FrameContent::Publication(..) | FrameContent::Replayed(..) | FrameContent::Bare(_) => Guarantee::G5,
            FrameContent::Close(_) => Guarantee::G7,
            FrameContent::OneOf(ref all) => all[0].guarantee(),
            _ => Guarantee::P1,
        }
    }

    /// Whether the frame is the one expected.
    #[must_use]
    pub fn is_met_by(&self, frame: &ReceivedFrame) -> bool {
        match (&self.what, frame) {
            (FrameContent::Json(want), ReceivedFrame::Text(text)) => parsed(text).is_some_and(|got| fits(want, &got)),
            (FrameContent::Publication(want, payload), ReceivedFrame::Text(text)) => {
                text.contains(&**payload) && parsed(text).is_some_and(|got| fits(want, &got))
            }
            (FrameContent::Replayed(want, payloads), ReceivedFrame::Text(text)) => {
                let has_all = payloads.iter().all(|payload| text.contains(&**payload));
                has_all && parsed(text).is_some_and(|got| fits(want, &got))
            }
            (FrameContent::Bare(payload), ReceivedFrame::Text(text)) => **payload == **text,
            (FrameContent::Ping, ReceivedFrame::Ping(payload)) => payload.is_empty(),
            (FrameContent::Pong(want), ReceivedFrame::Pong(payload)) => **want == **payload,
            (FrameContent::Close(want), ReceivedFrame::Close(code)) => want == code,
            (FrameContent::OneOf(all), frame) => all.iter().any(|one| one.is_met_by(frame)),
            _ => false,
        }
    }
}

impl fmt::Display for ExpectedFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.what {
            FrameContent::Json(value) | FrameContent::Publication(value, _) | FrameContent::Replayed(value, _) => {
                write!(f, "{value}")
            }
            FrameContent::Bare(payload) => f.write_str(payload),
            FrameContent::Ping => f.write_str("Ping"),
            FrameContent::Pong(payload) => write!(f, "Pong {payload:?}"),
            FrameContent::Close(Some(code)) => write!(f, "Close {code}"),
            FrameContent::Close(None) => f.write_str("Close"),
            FrameContent::OneOf(all) => {
                let all: Vec<String> = all.iter().map(ToString::to_string).collect();
                write!(f, "one of {}", all.join(" and "))
            }
        }
    }
}

/// Lets any epoch stand where this one is.
pub(super) fn forget(value: &mut Value, text: &str) {
    match value {
        Value::String(string) if string == text => *string = EPOCH.into(),
        Value::Array(values) => values.iter_mut().for_each(|value| forget(value, text)),
        Value::Object(fields) => fields.values_mut().for_each(|value| forget(value, text)),
        _ => {}
    }
}

pub(super) fn parsed(text: &str) -> Option<Value> {
    serde_json::from_str(text).ok()
}

/// The fewest and the most bytes of a frame with this object, of which so many more are written than were parsed.
pub(super) fn sizes(value: &Value, more: isize) -> (usize, usize) {
    let text = value.to_string().len().saturating_add_signed(more);
    let (least, most) = spread(value);
    (frame_bytes(text.saturating_add_signed(least)), frame_bytes(text.saturating_add_signed(most)))
}

fn exactly(payload: usize) -> (usize, usize) {
    (frame_bytes(payload), frame_bytes(payload))
}

/// How long a frame with this payload is.
pub(super) fn frame_bytes(payload: usize) -> usize {
    match payload {
        0..=125 => 2 + payload,
        126..=0xFFFF => 4 + payload,
        _ => 10 + payload,
    }
}

/// Whether `got` is `want`, with the fields that are wanted and no others, but for what is one of the `freedoms`.
#[must_use]
pub fn fits(want: &Value, got: &Value) -> bool {
    match (want, got) {
        (Value::String(text), got) => {
            Pattern::of(text).map_or_else(|| got == text.as_str(), |pattern| pattern.fits(got))
        }
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
    fn a_pattern_matches_only_equal_values_and_its_freedoms() {
        let want = json!({"id": 1, "message": WORDS, "ttl": between(19, 20)});
        assert!(fits(&want, &json!({"id": 1, "message": "x", "ttl": 20})));
        assert!(!fits(&want, &json!({"id": 2, "message": "x", "ttl": 20})));
        assert!(!fits(&want, &json!({"id": 1, "message": {}, "ttl": 20})));
        assert!(!fits(&want, &json!({"id": 1, "message": "x", "ttl": 21})));
        assert!(!fits(&want, &json!({"id": 1, "message": "x"})));
        assert!(!fits(&want, &json!({"id": 1, "message": "x", "ttl": 20, "more": 1})));
        assert!(fits(&json!({"epoch": EPOCH}), &json!({"epoch": "0123456789abcdef"})));
        assert!(!fits(&json!({"epoch": EPOCH}), &json!({"epoch": ""})));
    }

    #[test]
    fn an_object_matches_only_with_the_expected_fields() {
        let want = json!({"a": {"b": 1}});
        assert!(fits(&want, &json!({"a": {"b": 1}})));
        assert!(!fits(&want, &json!({"a": {"b": 1}, "d": 2})));
        assert!(!fits(&want, &json!({"a": {"b": 1, "c": 7}})));
        assert!(!fits(&want, &json!({"d": {"b": 1}})));
        assert!(!fits(&want, &json!({})));
        assert!(!fits(&json!([{"b": 1}]), &json!([{"b": 1, "c": 2}])));
    }

    #[test]
    fn the_size_of_a_pattern_is_that_of_a_matching_value() {
        let size = |want| ExpectedFrame::json(want, 0).size;
        assert_eq!(size(json!({"a": "xy"})), (12, 12));
        assert_eq!(size(json!({"a": EPOCH})), (26, 26));
        assert_eq!(size(json!({"ttl": between(9, 10)})), (11, 12));
        assert_eq!(size(json!({"a": [WORDS]})), (2 + 8 + 2, 4 + 8 + WORDS_BYTES));
    }

    #[test]
    fn a_payload_arrives_as_it_was_sent() {
        let payload: Arc<str> = r#"{"b":1,"a":2}"#.into();
        let expect =
            ExpectedFrame::publication(json!({"push": {"pub": {"data": null}}}), "/push/pub/data", &payload, 0);
        let sent = ReceivedFrame::Text(r#"{"push":{"pub":{"data":{"b":1,"a":2}}}}"#.into());
        assert!(expect.is_met_by(&sent));
        assert_eq!(expect.size.0, sent.to_string().len() + 2);
        assert!(
            !expect.is_met_by(&ReceivedFrame::Text(r#"{"push":{"pub":{"data":{"a":2,"b":1}}}}"#.into())),
            "same value, other bytes"
        );
    }
}
