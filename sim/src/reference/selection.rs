//! Selections of calls: some of a user's connections, or a part of a list.

use parlor_core::ClientId;

/// Which of the connections that a call could be about it means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ConnectionSelection {
    /// All of them.
    #[default]
    All,
    /// The one with this public id.
    One(ClientId),
    /// None: what it was told contradicts itself.
    Nobody,
    /// All but the one with this public id.
    AllBut(ClientId),
}

impl ConnectionSelection {
    /// Whether it means the connection with this public id.
    #[must_use]
    pub fn has(self, client_id: ClientId) -> bool {
        match self {
            Self::All => true,
            Self::One(meant) => meant == client_id,
            Self::Nobody => false,
            Self::AllBut(spared) => spared != client_id,
        }
    }
}

/// A part of a list of rooms or of connections, which are in the order of their names or public ids.
#[derive(Clone, Debug, Default)]
pub struct ListQuery<'a> {
    /// Rooms; else connections.
    pub of_rooms: bool,
    /// Only rooms that match: `*` stands for any characters, `?` for one.
    pub pattern: Option<&'a str>,
    /// Only this user's connections.
    pub user: Option<usize>,
    /// Only connections in this room.
    pub room: Option<usize>,
    /// Only so many.
    pub limit: Option<usize>,
    /// Only what comes after this one.
    pub after: Option<&'a str>,
}
