//! JSON that passes through as it was written: it is checked, cut to one line and never encoded again.

use alloc::borrow::Cow;
use alloc::string::{String, ToString};
use core::fmt;
use serde::de::{Error as _, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Number;
use serde_json::value::RawValue;

/// Reads any JSON that is there; `null` is JSON too.
///
/// # Errors
/// When it is not JSON.
pub(crate) fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

/// The text without its line breaks. Valid JSON has raw ones between tokens only, and clients split frames at them.
pub(crate) fn one_line(raw: &RawValue) -> String {
    raw.get().chars().filter(|c| !matches!(c, '\n' | '\r')).collect()
}

/// Reads a JSON object. A derived `Deserialize` alone would take an array too, for its fields in their order.
///
/// # Errors
/// The words for whoever sent it.
pub(crate) fn object<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, String> {
    if !text.trim_ascii_start().starts_with('{') {
        return Err("expected a JSON object".into());
    }
    serde_json::from_str(text).map_err(|error| {
        // It may repeat a string of what was sent, which as an answer can be longer than what was sent.
        let mut words = error.to_string();
        let end = (0..=WORDS_BYTES).rev().find(|at| words.is_char_boundary(*at));
        words.truncate(end.unwrap_or(0));
        words
    })
}

/// Bytes of the words that say what is wrong with an object.
const WORDS_BYTES: usize = 200;

/// Reads an integer, also one that is written with a fraction of zero: to JSON `1.0` is `1`.
///
/// # Errors
/// When it is none, or out of range.
pub(crate) fn integer<'de, D: Deserializer<'de>, T: TryFrom<i128>>(deserializer: D) -> Result<T, D::Error> {
    let number = Number::deserialize(deserializer)?;
    let whole = number.as_i128().or_else(|| {
        // What is beyond 64 bits is a float by now, and the nearest one may be within them.
        let float = number.as_f64().filter(|float| *float > i64::MIN as f64)?;
        let whole = float as i128;
        (whole as f64 == float).then_some(whole)
    });
    let fits = whole.and_then(|whole| T::try_from(whole).ok());
    fits.ok_or_else(|| D::Error::custom(format_args!("{number} is not an integer within range")))
}

/// The same, where it may be missing.
///
/// # Errors
/// As [`integer`].
pub(crate) fn optional_integer<'de, D: Deserializer<'de>, T: TryFrom<i128>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    #[derive(Deserialize)]
    #[serde(transparent)]
    struct Integer<T: TryFrom<i128>>(#[serde(deserialize_with = "integer")] T);
    Ok(Option::<Integer<T>>::deserialize(deserializer)?.map(|Integer(number)| number))
}

/// Reads what typed clients may send as `null` where they mean nothing.
///
/// # Errors
/// As those of what is read.
pub(crate) fn or_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

/// The string under the top-level key `type`, if the payload is an object that has one.
pub(crate) fn event_type(payload: &str) -> Option<Cow<'_, str>> {
    #[derive(Deserialize)]
    struct Typed<'a> {
        #[serde(borrow, rename = "type")]
        kind: Cow<'a, str>,
    }
    object::<Typed<'_>>(payload).ok().map(|typed| typed.kind)
}

/// Whether a payload is an object with a top-level `type` that is one of these strings, however it is escaped, and
/// whichever of several it is: parsers differ in which of them they take.
pub(crate) fn has_type(payload: &str, is_one: impl Fn(&str) -> bool) -> bool {
    struct Types<F>(F);

    impl<'de, F: Fn(&str) -> bool> Visitor<'de> for Types<F> {
        type Value = bool;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<bool, A::Error> {
            let mut found = false;
            while let Some(key) = map.next_key::<Cow<'de, str>>()? {
                if key == "type" {
                    let value = map.next_value::<&RawValue>()?;
                    found |= serde_json::from_str::<Cow<'_, str>>(value.get()).is_ok_and(|kind| (self.0)(&kind));
                } else {
                    map.next_value::<IgnoredAny>()?;
                }
            }
            Ok(found)
        }
    }

    serde_json::Deserializer::from_str(payload).deserialize_map(Types(is_one)).unwrap_or(false)
}

/// Appends `text` as a JSON string.
pub(crate) fn push_string(out: &mut String, text: &str) {
    let is_escaped = |byte: u8| matches!(byte, b'"' | b'\\' | 0..0x20);
    if text.bytes().any(is_escaped) {
        let quoted = serde_json::to_string(text).expect("a string is always JSON");
        return out.push_str(&quoted);
    }
    out.push('"');
    out.push_str(text);
    out.push('"');
}

/// How many bytes [`push_string`] appends.
pub(crate) fn string_bytes(text: &str) -> usize {
    let escaped = |byte: u8| match byte {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' | 0x08 | 0x0C => 1,
        0..0x20 => 5,
        _ => 0,
    };
    text.len() + text.bytes().map(escaped).sum::<usize>() + 2
}

/// How many bytes [`push_number`] appends.
pub(crate) fn number_bytes(number: u64) -> usize {
    number.checked_ilog10().map_or(1, |digits| digits as usize + 1)
}

/// Appends `number` in decimal.
pub(crate) fn push_number(out: &mut String, number: impl core::fmt::Display) {
    use core::fmt::Write;
    write!(out, "{number}").expect("a String takes any text");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_appended_has_the_length_that_was_said() {
        let all: String = (0..0x250).filter_map(char::from_u32).chain(['\u{2028}', '\u{1F600}']).collect();
        for text in ["", "a", "\"\\", "é", &all] {
            let mut out = String::new();
            push_string(&mut out, text);
            assert_eq!(string_bytes(text), out.len(), "{out}");
        }
        for number in [0, 1, 9, 10, 99, 100, u64::MAX] {
            assert_eq!(number_bytes(number), number.to_string().len());
        }
    }

    #[test]
    fn words_about_what_is_wrong_are_short_however_much_was_sent() {
        let text = alloc::format!(r#"{{"type":{{"{}":1}}}}"#, "é".repeat(50_000));
        #[derive(Debug, Deserialize)]
        #[allow(dead_code, reason = "only what is wrong with it counts")]
        struct Known {
            #[serde(rename = "type")]
            kind: u64,
        }
        let long = text.replace(r#"{"é"#, r#""é"#).replace(r#"":1}}"#, r#""}"#);
        for text in [text, long] {
            let wrong = object::<Known>(&text).expect_err("it is none");
            assert!(wrong.len() <= WORDS_BYTES && wrong.contains("invalid type"), "{wrong}");
        }
    }
}
