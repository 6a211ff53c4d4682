//! Arguments of actions: their text, how they are drawn, and what may stand in their place.

use crate::world::setup::Setup;

/// One argument of an action, which is one word of its text.
pub trait Argument: Sized + Copy {
    fn word(self) -> String;
    fn parse(word: &str) -> Option<Self>;
    /// Made of one random byte, within what the scenario has.
    fn draw(byte: u8, setup: &Setup) -> Self;
    /// Whether the scenario has it.
    fn fits(self, setup: &Setup) -> bool;
    /// The arguments that may stand in its place.
    fn others(self, which: Others<'_>) -> Vec<Self>;
}

/// The set of arguments that may stand in the place of one.
#[derive(Clone, Copy)]
pub enum Others<'a> {
    /// Those before it in the list of its kind: the first is the simplest.
    Simpler,
    /// Every client, room, set of rooms or user of the scenario in the place of another.
    Elsewhere(&'a Setup),
    /// Its name after a renaming.
    Renamed(Renaming),
}

/// Something that has a number in the scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Numbered {
    /// A client.
    Client,
    /// A room.
    Room,
    /// A user.
    User,
    /// A shard.
    Shard,
}

/// Another number for all that had one.
#[derive(Clone, Copy, Debug)]
pub struct Renaming {
    /// The kind of argument.
    pub what: Numbered,
    /// The number that it had.
    pub from: u8,
    /// The number that it has now.
    pub to: u8,
}

impl Renaming {
    pub(super) fn of(self, what: Numbered, number: u8) -> u8 {
        if self.what == what && self.from == number { self.to } else { number }
    }

    pub(super) fn of_set(self, _: Numbered, rooms: u8) -> u8 {
        let bit = 1 << self.from;
        if self.what == Numbered::Room && rooms & bit != 0 { rooms & !bit | 1 << self.to } else { rooms }
    }
}
