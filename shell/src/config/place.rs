//! Where a value was written.

use std::fmt;

/// The start of every environment variable that is a setting.
pub(super) const PREFIX: &str = "PARLOR_";

/// The flag for a setting, without its hyphens.
pub(super) fn flag(name: &str) -> String {
    name.replace('_', "-")
}

/// The environment variable for a setting.
pub(super) fn variable(name: &str) -> String {
    format!("{PREFIX}{}", name.to_ascii_uppercase())
}

/// The place that a value was written at. It is shown as the start of a sentence about the value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// The flag of this setting.
    Flag(&'static str),
    /// The environment variable of this setting.
    Variable(&'static str),
    /// A file that holds the value of this secret.
    Secret {
        /// The setting.
        name: &'static str,
        /// The file.
        file: String,
    },
    /// A line of the file of settings.
    Line {
        /// The file.
        file: String,
        /// The line's number, from 1.
        line: usize,
        /// The key, behind the table that it is in.
        key: String,
    },
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(name) => write!(f, "--{}", flag(name)),
            Self::Variable(name) => f.write_str(&variable(name)),
            Self::Secret { name, file } => write!(f, "{name}_file ({file})"),
            Self::Line { file, line, key } => write!(f, "{file}: line {line}: {key}"),
        }
    }
}
