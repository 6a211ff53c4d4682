//! Text from outside, as a line of the log may have it.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Text on one line without characters that control a terminal or the direction of text: control characters, line
/// separators, bidirectional controls and invisible characters are escaped as in JSON, so that a line in JSON stays valid.
pub(crate) fn escaped(text: &str) -> Cow<'_, str> {
    if !text.contains(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        match character {
            '\n' => safe.push_str("\\n"),
            '\r' => safe.push_str("\\r"),
            '\t' => safe.push_str("\\t"),
            // Each of them has at most four digits.
            _ if is_unsafe(character) => write!(safe, "\\u{:04x}", u32::from(character)).expect("memory takes it"),
            _ => safe.push(character),
        }
    }
    Cow::Owned(safe)
}

fn is_unsafe(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_outside_stays_on_its_line_and_steers_no_terminal() {
        for (text, safe) in [
            ("ends\n2026-01-01T00:00:00Z  INFO forged", "ends\\n2026-01-01T00:00:00Z  INFO forged"),
            ("\r\t\0\x1b[2J\x7f\u{85}\u{9b}31m", "\\r\\t\\u0000\\u001b[2J\\u007f\\u0085\\u009b31m"),
            ("\u{2028}\u{2029}", "\\u2028\\u2029"),
            (
                "\u{202a}\u{202e}\u{2066}\u{2069}\u{200e}\u{200f}\u{61c}",
                "\\u202a\\u202e\\u2066\\u2069\\u200e\\u200f\\u061c",
            ),
            ("\u{200b}\u{2060}\u{feff}", "\\u200b\\u2060\\ufeff"),
            ("plain, \"quoted\", \\n, عربى, 👩\u{200d}👧", "plain, \"quoted\", \\n, عربى, 👩\u{200d}👧"),
        ] {
            assert_eq!(escaped(text), safe, "{text:?}");
        }
    }

    #[test]
    fn an_escaped_line_of_json_says_the_same() {
        let text = "a\n\u{1b}\u{7f}\u{9b}\u{2028}\u{202e}\u{feff}b";
        let line = serde_json::to_string(text).unwrap();
        let safe = escaped(&line);
        assert!(!safe.contains(is_unsafe));
        assert_eq!(serde_json::from_str::<String>(&safe).unwrap(), text);
    }
}
