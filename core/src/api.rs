//! What a backend can ask for, and what it is answered. [`crate::wire::api`] reads and writes both as JSON.

use crate::code::CloseReason;
use crate::ids::{ClientId, Name};
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

/// A payload with what goes beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// JSON of one line, as it was given.
    pub data: String,
    /// Sent along with the publication in `json`.
    pub tags: BTreeMap<String, String>,
    /// Deliver it, but keep it out of the log: it has no offset and cannot be recovered.
    pub skip_history: bool,
}

/// One call of a backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// To everyone in one room.
    Publish {
        /// The room.
        channel: Name,
        /// What.
        message: Message,
    },
    /// To everyone in several rooms.
    Broadcast {
        /// The names of the rooms, in the order of the responses. A bad one fails alone.
        channels: Vec<String>,
        /// What.
        message: Message,
    },
    /// To one connection.
    Send {
        /// Its public id.
        client: ClientId,
        /// JSON of one line.
        data: String,
    },
    /// To the personal room of one user.
    PublishUser {
        /// Whose.
        user: Name,
        /// What.
        message: Message,
    },
    /// To every connection that has said who it is.
    PublishAll {
        /// JSON of one line.
        data: String,
    },
    /// Close connections of one user.
    Disconnect {
        /// Whose connections; empty when `client` alone decides.
        user: Name,
        /// Only this one.
        client: Option<ClientId>,
        /// All but these.
        whitelist: Vec<ClientId>,
        /// With what.
        reason: CloseReason,
    },
    /// The rooms that have members.
    Channels {
        /// Only those that match: `*` stands for any characters, `?` for one.
        pattern: Option<String>,
    },
    /// The connections that have said who they are.
    Connections {
        /// Only those of this user.
        user: Option<Name>,
        /// Only those in this room.
        channel: Option<Name>,
    },
    /// The node and its counts.
    Info,
}

/// Where in a room's log something is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Position {
    /// The log's identity.
    pub epoch: String,
    /// The number of a message; 0 before the first.
    pub offset: u64,
}

/// What a call is answered when it did not fail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// Where in the log the message is. Offset 0 when it was kept out of it.
    Published(Position),
    /// The same for each room, or why not.
    Broadcast(Vec<Result<Position, crate::code::Error>>),
    /// It was done.
    Done,
    /// Rooms with the number of their members, by name.
    Channels(Vec<(Name, usize)>),
    /// Connections by public id.
    Connections(Vec<Connection>),
    /// This node.
    Info(Info),
}

/// One connection as a backend sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    /// Its public id.
    pub client: ClientId,
    /// Whose; empty for anonymous.
    pub user: Name,
    /// `json` or `plain`.
    pub profile: &'static str,
    /// The rooms it is in.
    pub channels: Vec<Name>,
}

/// One node as a backend sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Info {
    /// What it calls itself.
    pub node: String,
    /// Name and version of the server.
    pub version: String,
    /// Connections that have said who they are.
    pub clients: usize,
    /// Users among them; all the anonymous ones count as one.
    pub users: usize,
    /// Rooms with members.
    pub channels: usize,
}
