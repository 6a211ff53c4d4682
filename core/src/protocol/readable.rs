//! The rules for JSON that is passed on as it was written, so that every client can parse it.
//!
//! Parsers differ in what they accept. Python's fails on a thousand brackets and on an integer of 4,301 digits, others
//! fail on 64 brackets or on an unpaired surrogate. A payload that they cannot parse would end all such clients in the
//! room.

use crate::error::{Error, ErrorCode};
use crate::limits::{Limit, Limits};
use alloc::format;

/// The rule that JSON breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// The nesting is deeper than this.
    Depth(usize),
    /// A number has more digits than this.
    Digits(usize),
    /// An escaped surrogate has no other half (RFC 8259 section 8.2).
    Surrogate,
}

impl Unreadable {
    /// Converts to an error that names the field.
    pub fn error(self, field: &str) -> Error {
        match self {
            Self::Depth(most) => {
                Error::limit(ErrorCode::BadRequest, Limit::JsonDepth, &format!("{field} is nested deeper than {most}"))
            }
            Self::Digits(most) => {
                let words = format!("{field} has a number of more than {most} digits");
                Error::limit(ErrorCode::BadRequest, Limit::JsonNumberDigits, &words)
            }
            Self::Surrogate => Error::new(
                ErrorCode::BadRequest,
                format!("{field} contains half of a surrogate pair, which is not valid text"),
            ),
        }
    }
}

/// Checks JSON against the rules in one pass. O(n) in the bytes.
///
/// # Errors
/// Returns the first rule that is broken. For text that is not JSON the result has no meaning.
pub(crate) fn check(json: &str, limits: &Limits) -> Result<(), Unreadable> {
    let bytes = json.as_bytes();
    let (mut at, mut depth) = (0, 0usize);
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => {
                at = string_end(bytes, at + 1)?;
                continue;
            }
            b'[' | b'{' if depth == limits.json_depth => return Err(Unreadable::Depth(limits.json_depth)),
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            b'-' | b'0'..=b'9' => {
                let length = bytes[at..].iter().take_while(|byte| is_of_number(**byte)).count();
                let digits = bytes[at..at + length].iter().filter(|byte| byte.is_ascii_digit()).count();
                if digits > limits.json_number_digits {
                    return Err(Unreadable::Digits(limits.json_number_digits));
                }
                at += length;
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    Ok(())
}

fn is_of_number(byte: u8) -> bool {
    byte.is_ascii_digit() || matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E')
}

/// Returns the end of the string that begins at `at`, after its closing quote.
fn string_end(bytes: &[u8], mut at: usize) -> Result<usize, Unreadable> {
    loop {
        match bytes.get(at) {
            None => return Ok(at),
            Some(b'"') => return Ok(at + 1),
            Some(b'\\') => match escaped_unit(bytes, at) {
                Some(0xD800..=0xDBFF) => match escaped_unit(bytes, at + 6) {
                    Some(0xDC00..=0xDFFF) => at += 12,
                    _ => return Err(Unreadable::Surrogate),
                },
                Some(0xDC00..=0xDFFF) => return Err(Unreadable::Surrogate),
                Some(_) => at += 6,
                None => at += 2,
            },
            Some(_) => at += 1,
        }
    }
}

/// Returns the UTF-16 code unit of the escape at `at`: `\u` and four hexadecimal digits (RFC 8259 section 7).
fn escaped_unit(bytes: &[u8], at: usize) -> Option<u32> {
    let digits = bytes.get(at..at + 6)?.strip_prefix(b"\\u")?;
    digits.iter().try_fold(0, |unit, digit| Some(unit << 4 | char::from(*digit).to_digit(16)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;

    fn checked(json: &str) -> Result<(), Unreadable> {
        assert!(serde_json::from_str::<&serde_json::value::RawValue>(json).is_ok(), "{json} is JSON");
        check(json, &Limits { json_depth: 3, json_number_digits: 5, ..Limits::default() })
    }

    #[test]
    fn json_nested_deeper_than_json_depth_is_refused() {
        for fits in
            ["[[[]]]", r#"{"a":{"b":[1]},"c":[[],[]]}"#, r#"["[[[[{{{{"]"#, r#"["\"[[[[",[[]]]"#, "[[[]],[[]],[[]]]"]
        {
            assert_eq!(checked(fits), Ok(()), "{fits}");
        }
        for deep in ["[[[[]]]]", r#"{"a":{"b":{"c":{}}}}"#, r#"[[],[[[]]],"",[[[1,[]]]]]"#, r#"["\\",[[[[]]]]]"#] {
            assert_eq!(checked(deep), Err(Unreadable::Depth(3)), "{deep}");
        }
        assert_eq!(check(&"[".repeat(1_000_000), &Limits::default()), Err(Unreadable::Depth(64)));
    }

    #[test]
    fn a_number_of_more_than_json_number_digits_is_refused() {
        for fits in
            ["12345", "-12345", "[12345,67890]", "1.2e345", r#""123456""#, r#"{"123456":1}"#, r#""\u00e9123456""#]
        {
            assert_eq!(checked(fits), Ok(()), "{fits}");
        }
        for long in ["123456", "-123456", "[1,123456]", "123.456", "1e-23456", r#"{"a":123456}"#] {
            assert_eq!(checked(long), Err(Unreadable::Digits(5)), "{long}");
        }
    }

    #[test]
    fn an_unpaired_escaped_surrogate_is_refused() {
        for fits in [
            r#""\ud83d\ude00""#,
            r#""\uD83D\uDE00\u0000""#,
            r#""\\ud800""#,
            r#"{"\ud83d\ude00":"\ue000"}"#,
            r#""\"\\""#,
        ] {
            assert_eq!(checked(fits), Ok(()), "{fits}");
        }
        let halves = [r#""\ud800""#, r#""\udc00""#, r#""\ude00\ud83d""#, r#""\ud83d\ud83d\ude00""#, r#""\ud83dx""#];
        let more = [r#"{"\udfff":1}"#, r#"[1,{"a":["\uDBFF\\udc00"]}]"#, r#""\\\ud800""#, r#""\ud83d\u0041""#];
        for half in halves.into_iter().chain(more) {
            assert_eq!(checked(half), Err(Unreadable::Surrogate), "{half}");
        }
    }

    #[test]
    fn checking_text_that_is_not_json_does_not_panic() {
        for text in ["\"", "\"\\", "\"\\u", "\"\\ud83d\\u", "]]]", "-", "\u{e9}\"\u{e9}\\\u{e9}"] {
            let _ = check(text, &Limits::default());
            let _ = check(&String::from(text).repeat(3), &Limits::default());
        }
    }
}
