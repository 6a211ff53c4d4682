//! JSON values that are passed on without being encoded again.

use alloc::string::String;
use alloc::sync::Arc;
use core::fmt;
use core::ops::Deref;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

/// A JSON value as it was written but for its line breaks; clones share the text.
///
/// Clients split a frame into messages at its line breaks, and a value is copied into frames without being encoded again:
/// text that were not JSON, or had a line break, would make frames unreadable for every member of a room. So a
/// value is only created by parsing or encoding it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Json(Arc<str>);

impl Json {
    /// Parses a value. O(n) in the text.
    ///
    /// # Errors
    /// Returns the parser's error when the text is not one JSON value.
    pub fn parse(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str::<&RawValue>(text).map(Self::from)
    }

    /// Encodes a value.
    pub(crate) fn encode(value: &impl Serialize) -> Self {
        Self(serde_json::to_string(value).expect("maps with text for keys can be encoded").into())
    }

    /// Creates a value of text that may not be JSON, for an example that echoes what it is sent.
    #[cfg(feature = "test-support")]
    #[must_use]
    pub fn unchecked(text: &str) -> Self {
        Self(Arc::from(text))
    }

    /// Returns the value as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns `true` when there are clones.
    pub(crate) fn is_shared(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }

    /// Returns `true` when both values share their text.
    #[must_use]
    pub fn is_shared_with(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl From<&RawValue> for Json {
    /// Drops the line breaks, which valid JSON has only between tokens.
    fn from(raw: &RawValue) -> Self {
        let text = raw.get();
        if !text.bytes().any(|byte| matches!(byte, b'\n' | b'\r')) {
            return Self(Arc::from(text));
        }
        Self(text.chars().filter(|char| !matches!(char, '\n' | '\r')).collect::<String>().into())
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self)
    }
}

#[cfg(feature = "replay")]
impl<'de> serde::Deserialize<'de> for Json {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

impl Deref for Json {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_one_line_of_json() {
        assert_eq!(&*Json::parse("{ \"a\":\r\n [1,\n2]}").unwrap(), "{ \"a\": [1,2]}");
        assert_eq!(&*Json::parse("\"a\\nb\"").unwrap(), "\"a\\nb\"", "an escape is no line break");
        for text in ["", "not json", "1 2", "{\"a\":1", "\"a\nb\""] {
            assert!(Json::parse(text).is_err(), "{text:?}");
        }
    }
}
