//! JSON that passes through as it was written: it is checked, cut to one line and never encoded again.

use alloc::borrow::Cow;
use alloc::string::{String, ToString};
use core::fmt;
use serde::de::{Error as _, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Number;
use serde_json::value::RawValue;

/// Reads any JSON but `null` as its own text, on one line.
///
/// # Errors
/// When it is not JSON.
pub(crate) fn optional_json<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let raw = Option::<&RawValue>::deserialize(deserializer)?;
    Ok(raw.map(one_line))
}

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
    serde_json::from_str(text).map_err(|error| error.to_string())
}

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
    let quoted = serde_json::to_string(text).expect("a string is always JSON");
    out.push_str(&quoted);
}

/// Appends `number` in decimal.
pub(crate) fn push_number(out: &mut String, number: impl core::fmt::Display) {
    use core::fmt::Write;
    write!(out, "{number}").expect("a String takes any text");
}
