//! The calls of a backend, as the reference model is told of them.

use crate::world::action::{Look, Renewal};
use crate::world::history_request::{LogQuery, RecoverFrom};
use crate::world::payload::Data;
use parlor_core::ClientId;

/// One call.
#[derive(Clone, Debug)]
pub enum ApiCall<'a> {
    /// Publish to one room.
    Publish(usize, &'a Data),
    /// Publish to all of these rooms.
    Broadcast(&'a [usize], &'a Data),
    /// Send to the connection of one client.
    Send(usize, &'a Data),
    /// Publish to the personal room of a user.
    PublishUser(usize, &'a Data),
    /// Send to everybody.
    PublishAll(&'a Data),
    /// Close all connections of a user.
    DisconnectUser(usize),
    /// Close the connection of one client with this code.
    DisconnectClient(usize, u16),
    /// Look.
    Look(Look),
    /// Publish to one room with an idempotency key.
    PublishOnce(usize, u8, &'a Data),
    /// Read a log.
    History(usize, &'a LogQuery),
    /// Forget what a log retains.
    HistoryRemove(usize),
    /// Who is in a room.
    Presence(usize),
    /// How many are in a room.
    PresenceStats(usize),
    /// Put a user's connections into a room.
    Subscribe(usize, usize, &'a RecoverFrom),
    /// Take a user's connections out of a room.
    Unsubscribe(usize, usize),
    /// Change when a user's connections expire, to this many seconds since 1970.
    Refresh(usize, Renewal, Option<u64>),
    /// One of these that is about users, of whose connections these are meant.
    Selected(ConnectionSelection, &'a ApiCall<'a>),
    /// Close connections with this code: the user's, or those of all users, but for those that are spared.
    DisconnectSelected(Option<usize>, ConnectionSelection, u16),
    /// List rooms or connections.
    ListQuery(ListQuery<'a>),
    /// Several of these, each with its method, one after the other.
    Batch(&'a [(&'static str, ApiCall<'a>)]),
    /// A call that is refused with this error.
    Refused(u16),
    /// A call that is accepted and changes nothing.
    WithoutEffect,
}

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
