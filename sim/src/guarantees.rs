//! The guarantees by name, and what it means that one is broken.

use std::fmt;
use std::str::FromStr;

macro_rules! guarantees {
    ($($name:ident = $sentence:literal,)*) => {
        /// A guarantee: G1 to G10 are claimed by the server, the others follow from them.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[expect(missing_docs, reason = "each is documented by its sentence")]
        pub enum Guarantee { $($name,)* }

        impl Guarantee {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The guarantee as a sentence.
            #[must_use]
            pub fn sentence(self) -> &'static str {
                match self { $(Self::$name => $sentence,)* }
            }
        }
    };
}

guarantees! {
    G1 = "No frame is enqueued for, and no byte written to, a handle after its close; one Close at most, last",
    G2 = "A connection is in a room exactly when the room has it as a member, and every member is open; a user who is absent from a room is no member",
    G3 = "No empty room, no user without a connection, no entry of any index survives the turn that emptied it; a user who is absent keeps both for presence_grace",
    G4 = "occupied/vacated and online/offline alternate strictly, once per real change, numbered",
    G5 = "What a connection receives from a room is a run of the room's log without hole, repeat or swap",
    G6 = "Every queue is bounded; one slow or hostile connection costs the others nothing",
    G7 = "Every accepted connection ends, in bounded time, in exactly one terminal effect with the right reason",
    G8 = "Every number reported equals the size of what it counts",
    G9 = "Same inputs, same effects, byte for byte",
    G10 = "No input makes the core panic, loop or grow without bound",
    P1 = "Each turn does what the rules say it does: replies, wakes, refusals",
    L1 = "When the world is healed, everyone who stays gets everything",
    L2 = "When the world is healed, the dead are gone in bounded time",
    L3 = "When all have left and the longest retention has passed, nothing remains",
    C1 = "The goals that a batch of runs must reach are reached",
}

impl Guarantee {
    /// The exit code of a run that broke it: 1 safety, 2 liveness, 3 coverage, 4 nondeterminism.
    #[must_use]
    pub fn exit_code(self) -> u8 {
        match self {
            Self::L1 | Self::L2 | Self::L3 => 2,
            Self::C1 => 3,
            Self::G9 => 4,
            _ => 1,
        }
    }

    /// The guarantee that the words of a panic begin with, if they do: `audit` names what it finds broken.
    #[must_use]
    pub fn named_in(words: &str) -> Option<Self> {
        let name: String = words.chars().take_while(char::is_ascii_alphanumeric).collect();
        name.parse().ok()
    }
}

impl fmt::Display for Guarantee {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl FromStr for Guarantee {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let known = Self::ALL.iter().copied().find(|guarantee| guarantee.to_string() == name);
        known.ok_or_else(|| format!("{name:?} is no guarantee"))
    }
}

/// Some of the guarantees. As text, their names with a `+` between them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Guarantees(u16);

impl Guarantees {
    /// These.
    #[must_use]
    pub fn of(all: &[Guarantee]) -> Self {
        Self(all.iter().fold(0, |bits, guarantee| bits | 1 << *guarantee as u16))
    }

    /// Whether this is one of them.
    #[must_use]
    pub fn has(self, guarantee: Guarantee) -> bool {
        self.0 & (1 << guarantee as u16) != 0
    }
}

impl fmt::Display for Guarantees {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = Guarantee::ALL.iter().filter(|guarantee| self.has(**guarantee));
        let names: Vec<String> = names.map(ToString::to_string).collect();
        f.write_str(&names.join("+"))
    }
}

impl FromStr for Guarantees {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let all: Vec<Guarantee> = text.split('+').map(str::parse).collect::<Result<_, _>>()?;
        Ok(Self::of(&all))
    }
}

/// A guarantee that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Which.
    pub guarantee: Guarantee,
    /// The expectation.
    pub expected: String,
    /// The observation that differs from it.
    pub saw: String,
}

impl Failure {
    /// A guarantee broken this way.
    pub fn new(guarantee: Guarantee, expected: impl fmt::Display, saw: impl fmt::Display) -> Self {
        Self { guarantee, expected: expected.to_string(), saw: saw.to_string() }
    }

    /// The same, found by this checker.
    #[must_use]
    pub fn found_by(self, checker: &str) -> Self {
        Self { expected: format!("[{checker}] {}", self.expected), ..self }
    }

    /// The checker of a property that found it, if one did.
    #[must_use]
    pub fn checker(&self) -> Option<&str> {
        Some(self.expected.strip_prefix('[')?.split_once("] ")?.0)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {}", self.guarantee, self.guarantee.sentence())?;
        writeln!(f, "  expected: {}", self.expected)?;
        write!(f, "  saw:      {}", self.saw)
    }
}

/// Whether two things are equal, and the guarantee that it breaks when they are not.
///
/// # Errors
/// They are not.
pub fn equal<T: PartialEq + fmt::Debug>(
    guarantee: Guarantee,
    what: &str,
    expected: &T,
    saw: &T,
) -> Result<(), Failure> {
    if expected == saw {
        return Ok(());
    }
    Err(Failure::new(guarantee, format_args!("{what} {expected:?}"), format_args!("{saw:?}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_names_its_guarantee() {
        assert_eq!(Guarantee::named_in("G3: a room without members"), Some(Guarantee::G3));
        assert_eq!(Guarantee::named_in("G10 loop"), Some(Guarantee::G10));
        assert_eq!(Guarantee::named_in("index out of bounds"), None);
    }
}
