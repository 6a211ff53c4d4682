//! What a backend can ask for, and what it is answered. [`crate::api::json`] reads and writes both as JSON.

pub mod json;

use crate::close::CloseReason;
use crate::error::Error;
use crate::ids::{ClientId, ClientInfo, Name};
use crate::limits::LimitRow;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::sync::Arc;
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
    /// The same key in the same room is published once within `idempotency_window`; later calls get the first answer.
    pub idempotency_key: Option<String>,
}

/// Which connections a call is about, of those that it could be about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Which {
    /// All of them.
    #[default]
    All,
    /// The one with this public id, if it is among them.
    One(ClientId),
    /// None: what it was told is no public id, or it was told two.
    Nobody,
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
        /// Whose connections; empty when `client` alone decides, which is not [`Which::All`] then.
        user: Name,
        /// Which of them.
        client: Which,
        /// All but these.
        whitelist: Vec<ClientId>,
        /// With what.
        reason: CloseReason,
    },
    /// Put connections of one user into a room.
    Subscribe {
        /// Whose connections.
        user: Name,
        /// Which of them.
        client: Which,
        /// The room.
        channel: Name,
        /// What is replayed to them first, if it can be.
        since: Option<Position>,
    },
    /// Take connections of one user out of a room.
    Unsubscribe {
        /// Whose connections.
        user: Name,
        /// Which of them.
        client: Which,
        /// The room.
        channel: Name,
    },
    /// Change when connections of one user expire.
    Refresh {
        /// Whose connections.
        user: Name,
        /// Which of them.
        client: Which,
        /// When, in seconds since 1970; never when absent.
        expire_at: Option<i64>,
        /// At once.
        expired: bool,
    },
    /// Who is in a room.
    Presence {
        /// The room.
        channel: Name,
    },
    /// How many are in a room.
    PresenceStats {
        /// The room.
        channel: Name,
    },
    /// A part of a room's log.
    History {
        /// The room.
        channel: Name,
        /// Which.
        query: HistoryQuery,
    },
    /// Forget what a room's log retains. Its epoch and top offset stay while it has members.
    HistoryRemove {
        /// The room.
        channel: Name,
    },
    /// Several calls, one after the other, each answered under its method's name.
    Batch(Vec<(&'static str, Result<Self, Error>)>),
    /// Every limit, with its value.
    Limits,
    /// The rooms that have members.
    Channels {
        /// Only those that match: `*` stands for any characters, `?` for one. At most `room_name_bytes` long.
        pattern: Option<String>,
        /// Which part of them, by name.
        page: Page<String>,
    },
    /// The connections that have said who they are.
    Connections {
        /// Only those of this user.
        user: Option<Name>,
        /// Only those in this room.
        channel: Option<Name>,
        /// Which part of them, by public id.
        page: Page<ClientId>,
    },
    /// The node and its counts.
    Info,
}

/// A part of a list that is in order: what is there throughout is in exactly one of the parts that follow each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// At most this many, from 1 on; all where nothing is said.
    pub limit: Option<usize>,
    /// Only what comes after this one, with which the part before ended.
    pub after: Option<T>,
}

impl<T> Page<T> {
    /// Everything.
    pub const ALL: Self = Self { limit: None, after: None };
}

/// Where in a room's log something is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Position {
    /// The log's identity.
    pub epoch: String,
    /// The number of a message; 0 before the first.
    pub offset: u64,
}

/// What somebody wants to read of a log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HistoryQuery {
    /// At most this many messages: 0 for the position alone, below 0 for as many as a reply may have.
    pub limit: i64,
    /// After this position, or before it in reverse.
    pub since: Option<Position>,
    /// Newest first.
    pub reverse: bool,
}

/// One message of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicationView {
    /// Its number.
    pub offset: u64,
    /// JSON of one line.
    pub data: Arc<str>,
    /// A JSON object of strings.
    pub tags: Option<Arc<str>>,
    /// Who published it, when a client did.
    pub info: Option<Arc<ClientInfo>>,
}

/// What a call is answered when it did not fail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// Where in the log the message is. Offset 0 when it was kept out of it.
    Published(Position),
    /// The same for each room, or why not.
    Broadcast(Vec<Result<Self, Error>>),
    /// It was done.
    Done,
    /// Those who are in a room.
    Presence(Vec<Arc<ClientInfo>>),
    /// How many are in a room.
    PresenceStats {
        /// Connections.
        clients: usize,
        /// Users among them; all the anonymous ones count as one.
        users: usize,
    },
    /// A part of a log, and its top.
    History {
        /// In the order that was asked for.
        publications: Vec<PublicationView>,
        /// Of the newest message; offset 0 and no epoch where there is no log.
        position: Position,
    },
    /// The answers of several calls, each with its method.
    Batch(Vec<(&'static str, Result<Self, Error>)>),
    /// Every limit.
    Limits(Vec<LimitRow>),
    /// Rooms.
    Channels {
        /// With the number of their members, by name.
        rooms: Vec<(Name, usize)>,
        /// The last of them, where there are more.
        next: Option<String>,
    },
    /// Connections.
    Connections {
        /// By public id.
        connections: Vec<Connection>,
        /// The last of them, where there are more.
        next: Option<ClientId>,
    },
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
    pub protocol: &'static str,
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
    /// Members of all rooms.
    pub memberships: usize,
}
