//! Actions: everything that can happen in a simulated world, as one total type with a text form that reads back.
//!
//! Actions name connections, rooms and users by their number in the scenario, never by an id of the subject. An action
//! that makes no sense where it stands does nothing and is counted, so every subsequence of a trace is a trace.

mod argument;
mod frequency;
mod numbers;
mod table;
mod words;
use crate::world::setup::Setup;
pub(in crate::world) use argument::Argument;
use argument::Others;
pub use argument::{Numbered, Renaming};
pub use frequency::Frequency;
use frequency::{Family, NEVER, OFTEN, OFTEN_OF_THOSE_WHO_STAY, TIME, always, fault, seldom};
pub use numbers::*;
use std::fmt;
use std::str::FromStr;
pub(super) use table::action_table;
pub use words::*;

impl Action {
    /// Whether it asks for a position in a log that a client or backend knows, or may.
    #[must_use]
    pub fn recalls(&self) -> bool {
        match self {
            Self::Accept(_, endpoint, _) => endpoint.has_places(),
            Self::AcceptSince(..) | Self::ApiSubscribeSome(..) => true,
            Self::Connect(_, credential) => matches!(credential, Credential::Return | Credential::ReturnOrNot),
            Self::Recover(..) | Self::RecoverAndWatch(..) | Self::RecoverByToken(..) | Self::ApiSubscribe(..) => true,
            Self::History(..) | Self::ApiHistory(..) | Self::Together(..) | Self::ApiBatch(..) => true,
            _ => false,
        }
    }
}

macro_rules! actions {
    ($($(#[$doc:meta])* $name:ident($($field:ident: $type:ty),*) = $word:literal, $frequency:expr,
        if |$judged:ident| $makes_sense:expr => |$changed:ident| $done:expr;)*) => {
        /// One thing that happens.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Action { $($(#[$doc])* $name($($type),*),)* }

        #[derive(Clone, Copy)]
        enum ActionKind { $($name,)* }

        impl Action {
            /// The first word of every kind of action, by its number.
            pub const WORDS: &[&str] = &[$($word),*];

            /// How often random runs have each kind, by its number.
            pub const FREQUENCIES: &[Frequency] = &[$($frequency),*];

            #[cfg(test)]
            const NAMES: &[&str] = &[$(stringify!($name)),*];

            /// The number of its kind.
            #[must_use]
            pub fn kind(&self) -> usize {
                match self { $(Self::$name(..) => ActionKind::$name as usize,)* }
            }

            /// Whether the scenario has everything that it names.
            #[must_use]
            pub fn fits(&self, setup: &Setup) -> bool {
                match *self { $(Self::$name($($field),*) => true $(&& $field.fits(setup))*,)* }
            }

            /// The same with the `choice`th other in the place of one argument; `None` where there are no more.
            fn with(&self, argument: usize, choice: usize, which: Others<'_>) -> Option<Self> {
                let mut at = 0;
                match *self {
                    $(Self::$name($(mut $field),*) => {
                        $(if at == argument {
                            $field = *$field.others(which).get(choice)?;
                        }
                        at += 1;)*
                        (argument < at).then_some(Self::$name($($field),*))
                    })*
                }
            }

            /// The action of this kind that these bytes stand for; `kind` is below the number of kinds.
            #[must_use]
            pub fn decode(kind: usize, bytes: [u8; 3], setup: &Setup) -> Self {
                let mut bytes = bytes.into_iter();
                $(if kind == ActionKind::$name as usize {
                    $(let $field = <$type>::draw(bytes.next().expect("at most three arguments"), setup);)*
                    return Self::$name($($field),*);
                })*
                panic!("there is no kind of action {kind}")
            }
        }

        impl fmt::Display for Action {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match *self {
                    $(Self::$name($($field),*) => {
                        f.write_str($word)?;
                        $(write!(f, " {}", $field.word())?;)*
                    })*
                }
                Ok(())
            }
        }

        impl FromStr for Action {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                let mut words = text.split_whitespace();
                let first = words.next().unwrap_or_default();
                let action = match first {
                    $($word => {
                        $(let word = words.next().ok_or_else(|| format!("{text:?} wants: {}", stringify!($field)))?;
                        let $field = <$type>::parse(word)
                            .ok_or_else(|| format!("{word:?} in {text:?} is no {}", stringify!($field)))?;)*
                        Self::$name($($field),*)
                    })*
                    _ => return Err(format!("{first:?} is no action")),
                };
                match words.next() {
                    None => Ok(action),
                    Some(word) => Err(format!("{word:?} in {text:?} is one word too many")),
                }
            }
        }
    };
}

action_table!(actions);

/// No action has more arguments.
const ARGUMENTS: usize = 3;

impl Action {
    /// The same with one argument simpler, in every way there is.
    #[must_use]
    pub fn simpler(&self) -> Vec<Self> {
        (0..ARGUMENTS).flat_map(|argument| self.others(argument, Others::Simpler)).collect()
    }

    /// The same done by and to every client, room and user that there is.
    #[must_use]
    pub fn everywhere(&self, setup: &Setup) -> Vec<Self> {
        let mut all = vec![*self];
        for argument in 0..ARGUMENTS {
            let varied = |action: &Self| action.others(argument, Others::Elsewhere(setup));
            let more: Vec<Self> = all.iter().flat_map(varied).collect();
            all = if more.is_empty() { all } else { more };
        }
        all
    }

    /// The same where something has another number.
    #[must_use]
    pub fn renamed(&self, renaming: Renaming) -> Self {
        let rename = |action: Self, argument| action.with(argument, 0, Others::Renamed(renaming)).unwrap_or(action);
        (0..ARGUMENTS).fold(*self, rename)
    }

    fn others(&self, argument: usize, which: Others<'_>) -> Vec<Self> {
        (0..).map_while(|choice| self.with(argument, choice, which)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_reads_back_from_its_text() {
        let setup = Setup::default();
        for kind in 0..Action::WORDS.len() {
            for byte in 0..=255 {
                let action = Action::decode(kind, [byte, byte.rotate_left(3), byte.rotate_left(5)], &setup);
                assert_eq!(action.to_string().parse(), Ok(action));
                assert_eq!(action.kind(), kind);
            }
        }
    }

    #[test]
    fn every_kind_is_named_after_its_word() {
        for (name, word) in Action::NAMES.iter().zip(Action::WORDS) {
            let capitalized = |part: &str| part[..1].to_uppercase() + &part[1..];
            assert_eq!(word.split('-').map(capitalized).collect::<String>(), **name);
        }
    }

    fn texts(actions: Vec<Action>) -> Vec<String> {
        actions.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn an_action_has_simpler_ones_and_the_same_ones_elsewhere() {
        let action: Action = "decide 1 expired 1".parse().unwrap();
        let simpler = ["decide 0 expired 1", "decide 1 good 1", "decide 1 expiring 1", "decide 1 expired 0"];
        assert_eq!(texts(action.simpler()), simpler);
        let setup = Setup { conns: 1, users: 2, ..Setup::default() };
        assert_eq!(texts(action.everywhere(&setup)), ["decide 0 expired 0", "decide 0 expired 1"]);
        assert_eq!(texts(Action::Flush().everywhere(&setup)), ["flush"]);
        assert_eq!(Action::Flush().simpler(), []);
    }

    #[test]
    fn a_renaming_changes_what_it_is_about_and_nothing_else() {
        let renamed = |text: &str, what, from, to| {
            text.parse::<Action>().unwrap().renamed(Renaming { what, from, to }).to_string()
        };
        assert_eq!(renamed("decide 2 good 2", Numbered::Client, 2, 0), "decide 0 good 2");
        assert_eq!(renamed("decide 2 good 2", Numbered::User, 2, 1), "decide 2 good 1");
        assert_eq!(renamed("join 2 2", Numbered::Room, 2, 0), "join 2 0");
        assert_eq!(renamed("accept 2 plain 6", Numbered::Room, 2, 0), "accept 2 plain 3");
        assert_eq!(renamed("join 2 2", Numbered::Room, 1, 0), "join 2 2");
    }

    #[test]
    fn what_is_no_action_is_named() {
        assert_eq!("dance 1".parse::<Action>(), Err("\"dance\" is no action".into()));
        assert_eq!("join 1".parse::<Action>(), Err("\"join 1\" wants: room".into()));
        assert_eq!("join 1 x".parse::<Action>(), Err("\"x\" in \"join 1 x\" is no room".into()));
        assert_eq!("flush 1".parse::<Action>(), Err("\"1\" in \"flush 1\" is one word too many".into()));
    }
}
