//! The kinds of limits and their values.

use core::fmt;
use core::num::NonZeroUsize;
use core::time::Duration;

/// A rate limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub struct Rate {
    /// Events per second in the long run; 0 for no bound.
    pub per_second: u32,
    /// Events that may come at once.
    pub burst: u32,
}

impl Rate {
    /// The rate without a bound.
    pub const OFF: Self = Self { per_second: 0, burst: 0 };
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident($type:ty),)+) => {
        /// The value of a limit, by its kind. It is displayed as in the table of limits: `25s`, `65536`, `off`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Value { $($(#[$doc])* $kind($type),)+ }

        /// A mutable reference to the value of a limit, by its kind.
        #[derive(Debug)]
        pub enum ValueMut<'a> { $($(#[$doc])* $kind(&'a mut $type),)+ }
    };
}

kinds! {
    /// A duration.
    Duration(Duration),
    /// A number of bytes.
    Bytes(usize),
    /// A number of items.
    Count(usize),
    /// A number of items, at least 1, or `None` for no bound.
    OptionalCount(Option<NonZeroUsize>),
    /// A rate, or [`Rate::OFF`] for no bound.
    Rate(Rate),
}

/// A duration or a number that is displayed as in a setting.
pub(super) struct Written<T>(pub(super) T);

impl fmt::Display for Written<usize> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Displays a duration such as `90s` or `1s 500ms`.
impl fmt::Display for Written<Duration> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.0.subsec_nanos();
        let parts = [
            (self.0.as_secs(), "s"),
            (u64::from(nanos / 1_000_000), "ms"),
            (u64::from(nanos / 1000 % 1000), "us"),
            (u64::from(nanos % 1000), "ns"),
        ];
        let mut space = "";
        for (number, unit) in parts.into_iter().filter(|(number, _)| *number > 0) {
            write!(f, "{space}{number}{unit}")?;
            space = " ";
        }
        if self.0.is_zero() { f.write_str("0s") } else { Ok(()) }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Duration(time) => write!(f, "{}", Written(*time)),
            Self::OptionalCount(None) | Self::Rate(Rate { per_second: 0, .. }) => f.write_str("off"),
            Self::OptionalCount(Some(number)) => write!(f, "{number}"),
            Self::Bytes(number) | Self::Count(number) => write!(f, "{number}"),
            Self::Rate(Rate { per_second, burst }) => write!(f, "{per_second}/s, burst {burst}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn a_duration_is_displayed_in_the_form_that_settings_accept() {
        for (nanos, text) in [
            (0, "0s"),
            (25_000_000_000, "25s"),
            (90_000_000_000, "90s"),
            (500_000_000, "500ms"),
            (1_500_000_000, "1s 500ms"),
            (1_000_001, "1ms 1ns"),
            (2_000, "2us"),
        ] {
            assert_eq!(Value::Duration(Duration::from_nanos(nanos)).to_string(), text);
        }
    }
}
