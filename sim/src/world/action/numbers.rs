//! Arguments that are numbers: clients, rooms, sets of rooms and users of the scenario.

use super::argument::{Argument, Numbered, Others};
use crate::world::setup::Setup;

macro_rules! numbers {
    ($($(#[$doc:meta])* $name:ident below $bound:expr, renamed by $rename:ident $what:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub struct $name(pub u8);

        impl $name {
            /// Where it is in a table of its kind.
            #[must_use]
            pub fn index(self) -> usize {
                usize::from(self.0)
            }
        }

        impl Argument for $name {
            fn word(self) -> String {
                self.0.to_string()
            }
            fn parse(word: &str) -> Option<Self> {
                word.parse().ok().map(Self)
            }
            fn draw(byte: u8, setup: &Setup) -> Self {
                let bound: fn(&Setup) -> u64 = $bound;
                Self(u8::try_from(u64::from(byte) % bound(setup).clamp(1, 256)).expect("the rest of a byte"))
            }
            fn fits(self, setup: &Setup) -> bool {
                let bound: fn(&Setup) -> u64 = $bound;
                u64::from(self.0) < bound(setup)
            }
            fn others(self, which: Others<'_>) -> Vec<Self> {
                match which {
                    Others::Simpler => (0..self.0).map(Self).collect(),
                    Others::Elsewhere(setup) => (0..=u8::MAX).map(Self).filter(|other| other.fits(setup)).collect(),
                    Others::Renamed(renaming) => vec![Self(renaming.$rename(Numbered::$what, self.0))],
                }
            }
        }
    )*};
}

numbers! {
    /// A simulated client. It has one connection at a time.
    Client below |setup| setup.conns, renamed by of Client;
    /// A room that clients may name.
    Room below |setup| setup.rooms, renamed by of Room;
    /// A set of rooms, a bit for each.
    Rooms below |setup| 1 << setup.rooms, renamed by of_set Room;
    /// A shard of the node.
    ShardNumber below |setup| setup.shards, renamed by of Shard;
    /// A user who has a name.
    User below |setup| setup.users, renamed by of User;
}
