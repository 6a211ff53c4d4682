//! Payloads of publications: as they are sent, and as they must arrive.

use crate::world::action::Payload;
use crate::world::setup::Setup;
use parlor_core::Limit;
use std::sync::Arc;

/// A payload and what must become of it.
#[derive(Clone, Debug)]
pub struct Data {
    /// No other payload of the run has it.
    pub number: u64,
    /// As it is sent.
    pub sent: String,
    /// As it must arrive: without newlines.
    pub line: Arc<str>,
    /// Its `type`.
    pub event: Option<&'static str>,
    /// It has a tag beside it when a backend publishes it.
    pub tagged: bool,
    /// It stays out of the log when a backend publishes it.
    pub unlogged: bool,
    /// It is larger than a publication may be.
    pub too_large: bool,
    /// It is not passed on: some clients could not read it. The limit that is in the way, if it is one.
    pub unreadable: Option<Option<Limit>>,
    /// Its `type` is one that only the server uses.
    pub is_servers: bool,
}

impl Data {
    /// The payload of this kind with this number.
    #[must_use]
    pub fn new(payload: Payload, number: u64, setup: &Setup) -> Self {
        let (sent, event) = match payload {
            Payload::TypeA => (format!(r#"{{"type":"a","n":{number}}}"#), Some("a")),
            Payload::TypeB => (format!(r#"{{"type":"b","n":{number}}}"#), Some("b")),
            Payload::Multiline => (format!("{{\n\"n\":\r\n{number}\n}}"), None),
            Payload::Large => (padded(number, setup.limits.publication_bytes), None),
            Payload::TooLarge => (padded(number, setup.limits.publication_bytes + 1), None),
            Payload::Deep => (nested(number, setup.limits.json_depth), None),
            Payload::TooDeep => (nested(number, setup.limits.json_depth + 1), None),
            Payload::LongNumber => {
                (format!(r#"{{"n":{number},"x":{}}}"#, digits(setup.limits.json_number_digits + 1)), None)
            }
            Payload::Surrogate => (format!(r#"{{"n":{number},"\ud800":0}}"#), None),
            Payload::ServersType => (format!(r#"{{"type":"gap","n":{number}}}"#), Some("gap")),
            Payload::EscapedType => (format!(r#"{{"\u0074ype":"g\u0061p","n":{number}}}"#), Some("gap")),
            Payload::SecondType => (format!(r#"{{"type":"a","type":"gap","n":{number}}}"#), None),
            Payload::Small | Payload::Tagged | Payload::Unlogged => (format!(r#"{{"n":{number}}}"#), None),
        };
        let line: String = sent.chars().filter(|char| !matches!(char, '\n' | '\r')).collect();
        let unreadable = match payload {
            _ if number.to_string().len() > setup.limits.json_number_digits => Some(Some(Limit::JsonNumberDigits)),
            Payload::TooDeep => Some(Some(Limit::JsonDepth)),
            Payload::LongNumber => Some(Some(Limit::JsonNumberDigits)),
            Payload::Surrogate => Some(None),
            _ => None,
        };
        Self {
            number,
            too_large: line.len() > setup.limits.publication_bytes,
            unreadable,
            is_servers: matches!(payload, Payload::ServersType | Payload::EscapedType | Payload::SecondType),
            line: line.into(),
            sent,
            event,
            tagged: payload == Payload::Tagged,
            unlogged: payload == Payload::Unlogged,
        }
    }
}

/// The number of the last payload in a text.
#[must_use]
pub fn newest_in(text: &str) -> Option<u64> {
    let (_, rest) = text.rsplit_once(r#""n":"#)?;
    let end = rest.find(|char: char| !char.is_ascii_digit()).unwrap_or(rest.len());
    rest[..end].parse().ok()
}

/// An object that is nested so deep, counting itself.
fn nested(number: u64, depth: usize) -> String {
    let arrays = depth.saturating_sub(1);
    let inner = if arrays == 0 { "0" } else { "" };
    format!(r#"{{"n":{number},"x":{}{inner}{}}}"#, "[".repeat(arrays), "]".repeat(arrays))
}

fn digits(count: usize) -> String {
    "9".repeat(count)
}

fn padded(number: u64, bytes: usize) -> String {
    let bare = format!(r#"{{"n":{number},"x":""}}"#).len();
    let padding = bytes.saturating_sub(bare);
    format!(r#"{{"n":{number},"x":"{}"}}"#, "x".repeat(padding))
}
