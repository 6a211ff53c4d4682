//! Patterns of room names.

use alloc::string::String;

/// A pattern in which `*` stands for any characters and `?` for one character.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub struct Glob(String);

impl Glob {
    /// Creates a pattern.
    #[must_use]
    pub fn new(pattern: String) -> Self {
        Self(pattern)
    }

    /// Returns the pattern as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns whether a name matches, and the number of characters compared: at most the product of both lengths.
    #[must_use]
    pub fn matches(&self, name: &str) -> (bool, usize) {
        matches(&self.0, name)
    }
}

/// Returns whether a name matches a pattern, as [`Glob::matches`].
pub(crate) fn matches(pattern: &str, name: &str) -> (bool, usize) {
    let (mut p, mut n) = (0, 0);
    // The positions to continue from when the last `*` has to stand for one more character.
    let mut retry = None;
    let mut compared = 0;
    while let Some(c) = name[n..].chars().next() {
        compared += 1;
        match pattern[p..].chars().next() {
            Some('*') => {
                p += 1;
                retry = Some((p, n));
            }
            Some(wanted) if wanted == '?' || wanted == c => {
                p += wanted.len_utf8();
                n += c.len_utf8();
            }
            _ => {
                let Some((after, from)) = retry else { return (false, compared) };
                let next = from + name[from..].chars().next().map_or(0, char::len_utf8);
                (p, n) = (after, next);
                retry = Some((after, next));
            }
        }
    }
    (pattern[p..].chars().all(|c| c == '*'), compared)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    #[test]
    fn a_star_stands_for_any_characters_and_a_question_mark_for_one() {
        let cases = [
            ("*", "", true),
            ("a*", "abc", true),
            ("a*c", "abcbc", true),
            ("a*c", "abcb", false),
            ("?", "ä", true),
            ("ä?*", "äöü", true),
            ("?", "", false),
            ("*b*", "abc", true),
            ("*ö", "öäö", true),
            ("a", "ab", false),
            ("ab", "a", false),
            ("**x", "yx", true),
            ("", "", true),
        ];
        for (pattern, name, expected) in cases {
            assert_eq!(Glob::new(pattern.into()).matches(name).0, expected, "{pattern} ~ {name}");
        }
    }

    #[test]
    fn matching_compares_at_most_the_product_of_both_lengths() {
        let name = "a".repeat(200);
        for pattern in
            ["a*".repeat(100) + "b", format!("*{}b", "a".repeat(100)), "*".repeat(200) + "b", "?".repeat(200)]
        {
            let (_, compared) = Glob::new(pattern.clone()).matches(&name);
            assert!(compared <= (pattern.len() + 1) * name.len(), "{compared} for {pattern}");
        }
    }
}
