//! What kinds of bounds there are.

use core::fmt;
use core::time::Duration;

/// How often something may happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rate {
    /// Times a second in the long run; 0 for no bound.
    pub per_second: u32,
    /// Times at once.
    pub burst: u32,
}

impl Rate {
    /// No bound.
    pub const OFF: Self = Self { per_second: 0, burst: 0 };
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident($type:ty),)+) => {
        /// The value of a limit, by its kind. It is written as in the table of limits: `25s`, `65536`, `off`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Value { $($(#[$doc])* $kind($type),)+ }

        /// Where the value of a limit is, by its kind.
        #[derive(Debug)]
        pub enum Place<'a> { $($(#[$doc])* $kind(&'a mut $type),)+ }
    };
}

kinds! {
    /// A time.
    Duration(Duration),
    /// A number of bytes.
    Bytes(usize),
    /// A number.
    Count(usize),
    /// A number, or 0 for no bound.
    CountOrOff(usize),
    /// A rate, or [`Rate::OFF`] for no bound.
    Rate(Rate),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Duration(time) => write!(f, "{time:?}"),
            Self::CountOrOff(0) | Self::Rate(Rate { per_second: 0, .. }) => f.write_str("off"),
            Self::Bytes(number) | Self::Count(number) | Self::CountOrOff(number) => write!(f, "{number}"),
            Self::Rate(Rate { per_second, burst }) => write!(f, "{per_second}/s, burst {burst}"),
        }
    }
}
