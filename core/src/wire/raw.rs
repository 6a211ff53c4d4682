//! JSON that is passed on as it was written: checked, reduced to one line and never encoded again.

use alloc::borrow::Cow;
use alloc::string::{String, ToString};
use core::fmt;
use serde::de::{Error as _, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Number;
use serde_json::value::RawValue;

/// Reads a JSON value that is present, `null` included.
///
/// # Errors
/// Returns the parser's error when the text is not JSON.
pub(crate) fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

/// Reads a JSON object. A derived `Deserialize` alone would accept an array too, as the fields in their order.
///
/// # Errors
/// Returns a text of at most 200 bytes that says what is wrong.
pub(crate) fn object<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, String> {
    if !text.trim_ascii_start().starts_with('{') {
        return Err("expected a JSON object".into());
    }
    serde_json::from_str(text).map_err(|error| wrong(&error))
}

/// Returns what is wrong, without the value that is of another type than expected: it may be a secret, and is said in other
/// words than the input's. What else of the input is quoted must not make the answer longer than the input.
pub(crate) fn wrong(error: &serde_json::Error) -> String {
    let mut words = error.to_string();
    let is_of_value = words.starts_with("invalid type: ") || words.starts_with("invalid value: ");
    let (start, end) = (words.find(['`', '"']), words.rfind(", expected "));
    if let (Some(start), Some(end)) = (start, end)
        && is_of_value
        && start < end
    {
        words.replace_range(start - 1..end, "");
    }
    let end = (0..=WORDS_BYTES).rev().find(|at| words.is_char_boundary(*at));
    words.truncate(end.unwrap_or(0));
    words
}

/// The bytes of the text about a malformed object, at most.
const WORDS_BYTES: usize = 200;

/// Reads an integer, also one with a fraction of zero: in JSON `1.0` equals `1`.
///
/// # Errors
/// Returns an error when the number is not an integer or out of range.
pub(crate) fn integer<'de, D: Deserializer<'de>, T: TryFrom<i128>>(deserializer: D) -> Result<T, D::Error> {
    let number = Number::deserialize(deserializer)?;
    let whole = number.as_i128().or_else(|| {
        // The parser has turned an integer of more than 64 bits into a float, and the nearest float may be within
        // range.
        let float = number.as_f64().filter(|float| *float > i64::MIN as f64)?;
        let whole = float as i128;
        (whole as f64 == float).then_some(whole)
    });
    let fits = whole.and_then(|whole| T::try_from(whole).ok());
    fits.ok_or_else(|| D::Error::custom(format_args!("{number} is not an integer within range")))
}

/// Reads an integer that may be absent.
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

/// Reads a value; `null`, which typed clients send for an absent field, is the default value.
///
/// # Errors
/// Returns the error of the value.
pub(crate) fn or_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

/// Returns the string under the top-level key `type`; `None` when the payload is not an object with such a key.
pub(crate) fn event_type(payload: &str) -> Option<Cow<'_, str>> {
    #[derive(Deserialize)]
    struct Typed<'a> {
        #[serde(borrow, rename = "type")]
        kind: Cow<'a, str>,
    }
    object::<Typed<'_>>(payload).ok().map(|typed| typed.kind)
}

/// Returns `true` when the payload is an object with a top-level `type` for which `is_one` is `true`. Escapes are
/// decoded, and each of several `type` keys counts, since parsers differ in the one they use. O(n) in the payload.
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

/// Returns the bytes that [`push_string`] appends.
pub(crate) fn string_bytes(text: &str) -> usize {
    let escaped = |byte: u8| match byte {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' | 0x08 | 0x0C => 1,
        0..0x20 => 5,
        _ => 0,
    };
    text.len() + text.bytes().map(escaped).sum::<usize>() + 2
}

/// Returns the bytes that [`push_number`] appends.
pub(crate) fn number_bytes(number: u64) -> usize {
    number.checked_ilog10().map_or(1, |digits| digits as usize + 1)
}

/// Appends `number` in decimal.
pub(crate) fn push_number(out: &mut String, number: impl itoa::Integer) {
    out.push_str(itoa::Buffer::new().format(number));
}

/// Returns an empty text with room for a message whose payload has so many bytes. One that grows step by step is allocated
/// again at each step, which costs more than all that is written into it.
pub(crate) fn text_for(payload: usize) -> String {
    String::with_capacity(payload + MESSAGE_BYTES)
}

/// The bytes of most messages beside their payload, at most.
const MESSAGE_BYTES: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn appended_text_has_the_length_computed_beforehand() {
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
    fn a_number_with_a_fraction_of_zero_is_the_integer_that_is_written() {
        for text in ["-4104128521873578.0", "1.0", "9007199254740991.0", "-0.0"] {
            let read =
                integer::<_, i64>(&mut serde_json::Deserializer::from_str(text)).map_err(|error| error.to_string());
            let whole = text.strip_suffix(".0").and_then(|digits| digits.parse().ok()).expect("a whole number");
            assert_eq!(read, Ok::<i64, _>(whole), "{text}");
        }
        assert!(integer::<_, i64>(&mut serde_json::Deserializer::from_str("1.5")).is_err());
    }

    #[test]
    fn the_text_of_a_parse_error_is_bounded_for_any_input() {
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

    #[test]
    fn a_value_of_another_type_is_not_quoted() {
        for (text, expected) in [
            ("1.5e9", "invalid type: floating point, expected a string at line 1 column 5"),
            ("-4", "invalid type: integer, expected a string at line 1 column 2"),
            ("true", "invalid type: boolean, expected a string at line 1 column 4"),
            ("[1]", "invalid type: sequence, expected a string at line 1 column 0"),
            ("tru", "EOF while parsing a value at line 1 column 3"),
        ] {
            let error = serde_json::from_str::<String>(text).expect_err("it is none");
            assert_eq!(wrong(&error), expected);
        }
        let error = serde_json::from_str::<u8>(r#""a `b`, expected \"c\", and more""#).expect_err("it is none");
        assert_eq!(wrong(&error), "invalid type: string, expected u8 at line 1 column 33");
    }
}
