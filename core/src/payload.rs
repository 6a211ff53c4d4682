//! The payload of a message, in the forms in which clients send and get it.

use crate::json::Json;
use crate::wire::raw;
use alloc::borrow::Cow;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use core::ops::Deref;

/// The payload of a message: JSON, or bytes of any kind. The clients of a room may speak different protocols, and each
/// gets a payload in the form that its protocol has:
///
/// | payload | in a protocol of JSON, and in the HTTP API | in a protocol of bytes |
/// |---|---|---|
/// | `Json` | as it is | the UTF-8 of its text |
/// | `Bytes` | a JSON string: their base64 (RFC 4648 section 4), with padding | as they are |
///
/// Limits count the bytes of the JSON, which is the longer form: what they let through fits into the frame of every client.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub enum Payload {
    /// JSON.
    Json(Json),
    /// Bytes.
    Bytes(Bytes),
}

// Every message has one. So the bytes are behind a thin pointer, and the null of the text's pointer tells the two apart.
const _: () = assert!(size_of::<Payload>() == size_of::<Json>());

/// Bytes, shared by all clones.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub struct Bytes(Arc<Vec<u8>>);

impl serde::Serialize for Bytes {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self)
    }
}

impl Payload {
    /// Returns the payload as JSON. O(n) in bytes.
    #[must_use]
    pub fn json(&self) -> Cow<'_, str> {
        match self {
            Self::Json(json) => Cow::Borrowed(json),
            Self::Bytes(bytes) => {
                let mut out = String::with_capacity(self.json_bytes());
                push_quoted(&mut out, bytes);
                Cow::Owned(out)
            }
        }
    }

    /// Returns the event that filters know the payload by: the string under its top-level key `type`. O(n) in bytes.
    pub(crate) fn event_type(&self) -> Option<String> {
        match self {
            Self::Json(json) => raw::event_type(json).map(Cow::into_owned),
            // As JSON they are a string, which has no type.
            Self::Bytes(_) => None,
        }
    }

    /// Appends the payload as JSON. JSON costs no more than its text.
    #[inline]
    pub(crate) fn push_json(&self, out: &mut String) {
        match self {
            Self::Json(json) => out.push_str(json),
            Self::Bytes(bytes) => push_quoted(out, bytes),
        }
    }

    /// Returns the payload as bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Json(json) => json.as_bytes(),
            Self::Bytes(bytes) => bytes,
        }
    }

    /// Returns the number of bytes as JSON. O(1).
    #[must_use]
    pub fn json_bytes(&self) -> usize {
        match self {
            Self::Json(json) => json.len(),
            Self::Bytes(bytes) => bytes.len().div_ceil(3) * 4 + "\"\"".len(),
        }
    }

    /// Returns the address in memory: equal for clones, and for no other payload while one of them exists.
    pub(crate) fn address(&self) -> usize {
        match self {
            Self::Json(json) => json.as_str().as_ptr().addr(),
            // All empty vectors are at one place.
            Self::Bytes(Bytes(bytes)) => Arc::as_ptr(bytes).addr(),
        }
    }

    /// Returns `true` when there are clones.
    pub(crate) fn is_shared(&self) -> bool {
        match self {
            Self::Json(json) => json.is_shared(),
            Self::Bytes(Bytes(bytes)) => Arc::strong_count(bytes) > 1,
        }
    }
}

/// Appends the JSON of bytes: a string of their base64, in which nothing has to be escaped.
#[cold]
fn push_quoted(out: &mut String, bytes: &[u8]) {
    out.push('"');
    STANDARD.encode_string(bytes, out);
    out.push('"');
}

impl From<Json> for Payload {
    fn from(json: Json) -> Self {
        Self::Json(json)
    }
}

impl From<Vec<u8>> for Payload {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(Bytes(Arc::new(bytes)))
    }
}

impl Deref for Bytes {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    #[test]
    fn bytes_are_a_string_of_base64_in_json() {
        // The vectors of RFC 4648 section 10.
        let vectors = ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"];
        for (length, base64) in vectors.into_iter().enumerate() {
            let payload = Payload::from(b"foobar"[..length].to_vec());
            assert_eq!((&*payload.json(), payload.bytes()), (&*format!("\"{base64}\""), &b"foobar"[..length]));
        }
        let payload = Payload::from(Vec::from([0xFB, 0xFF]));
        assert_eq!(payload.json(), "\"+/8=\"", "it is not the alphabet of URLs");
    }

    #[test]
    fn json_is_its_text_in_bytes() {
        let payload = Payload::from(Json::parse("{\"é\":\n1}").expect("JSON"));
        assert_eq!((&*payload.json(), payload.bytes()), ("{\"é\":1}", "{\"é\":1}".as_bytes()));
    }

    #[test]
    fn the_bytes_of_the_json_are_known_beforehand() {
        for length in 0..100 {
            let payload = Payload::from(Vec::from([0xA5; 100].split_at(length).0));
            assert_eq!(payload.json_bytes(), payload.json().len());
            assert!(payload.json_bytes() > payload.bytes().len(), "what fits as JSON fits as bytes");
        }
        assert_eq!(Payload::from(Json::parse("\"é\"").expect("JSON")).json_bytes(), 4);
    }
}
