//! The calls of a backend and their answers. [`crate::api::json`] decodes and encodes both as JSON.

pub mod json;

use crate::close::CloseReason;
use crate::error::Error;
use crate::ids::{ClientId, ClientInfo};
use crate::json::Json;
use crate::limits::LimitRow;
use crate::names::{RoomName, UserId};
use crate::payload::Payload;
use crate::stored::StaticText;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::num::NonZeroUsize;

/// The message of a publishing call.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub struct Message {
    /// The payload.
    pub data: Payload,
    /// The tags, sent with the publication to `json` clients.
    #[serde(serialize_with = "crate::stored::tags")]
    pub tags: BTreeMap<String, String>,
    /// `true` to deliver the message without retaining it: it gets no offset and cannot be recovered.
    pub skip_history: bool,
    /// The idempotency key. Within `idempotency_window`, a call with the same key for the same room publishes nothing
    /// and gets the first call's answer.
    pub idempotency_key: Option<String>,
}

/// The selection of connections among those that a call applies to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub enum Selection {
    /// All connections.
    #[default]
    All,
    /// The connection with this public id, if it is among them.
    One(ClientId),
    /// No connection, because an id was malformed or two different ids were given.
    NoMatch,
}

/// The time at which connections expire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub enum Expiry {
    /// At once.
    Now,
    /// At this time, in seconds since 1970.
    At(i64),
    /// Not at all.
    Never,
}

/// A call of a backend.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub enum Command {
    /// Publishes to a room.
    Publish {
        /// The room.
        channel: RoomName,
        /// The message.
        message: Message,
    },
    /// Publishes to several rooms.
    Broadcast {
        /// The names of the rooms, in the order of the responses. An invalid name fails alone.
        channels: Vec<String>,
        /// The message.
        message: Message,
    },
    /// Sends a payload to one connection.
    Send {
        /// The public id of the connection.
        client: ClientId,
        /// The payload.
        data: Payload,
    },
    /// Publishes to the personal room of a user.
    PublishUser {
        /// The user.
        user: UserId,
        /// The message.
        message: Message,
    },
    /// Sends a payload to every authenticated connection.
    PublishAll {
        /// The payload.
        data: Payload,
    },
    /// Closes connections of a user.
    Disconnect {
        /// The user; empty when `client` alone selects, which is then not [`Selection::All`].
        user: UserId,
        /// The selection of the user's connections.
        client: Selection,
        /// The connections that stay open.
        whitelist: Vec<ClientId>,
        /// The code and the text of the Close frame.
        reason: CloseReason,
    },
    /// Subscribes connections of a user to a room.
    Subscribe {
        /// The user.
        user: UserId,
        /// The selection of the user's connections.
        client: Selection,
        /// The room.
        channel: RoomName,
        /// The position after which publications are replayed, if the log still retains them.
        since: Option<Position>,
    },
    /// Unsubscribes connections of a user from a room.
    Unsubscribe {
        /// The user.
        user: UserId,
        /// The selection of the user's connections.
        client: Selection,
        /// The room.
        channel: RoomName,
    },
    /// Changes the expiry of connections of a user.
    Refresh {
        /// The user.
        user: UserId,
        /// The selection of the user's connections.
        client: Selection,
        /// The time at which they expire.
        expiry: Expiry,
    },
    /// Lists the members of a room.
    Presence {
        /// The room.
        channel: RoomName,
    },
    /// Counts the members of a room.
    PresenceStats {
        /// The room.
        channel: RoomName,
    },
    /// Reads a page of a room's log.
    History {
        /// The room.
        channel: RoomName,
        /// The page to read.
        query: HistoryQuery,
    },
    /// Drops the retained publications of a room. The log's epoch and top offset stay while the room has members.
    HistoryRemove {
        /// The room.
        channel: RoomName,
    },
    /// Makes several calls in order, each answered under the name of its method.
    Batch(
        #[cfg_attr(feature = "replay", serde(deserialize_with = "crate::replayed::named"))]
        Vec<(&'static str, Result<Self, Error>)>,
    ),
    /// Lists all limits with their values.
    Limits,
    /// Lists the rooms that have members.
    Channels {
        /// The pattern that the names match: `*` stands for any characters, `?` for one. At most `room_name_bytes`
        /// long.
        pattern: Option<String>,
        /// The page, in the order of the names.
        page: Page<String>,
    },
    /// Lists the authenticated connections.
    Connections {
        /// The user whose connections are listed.
        user: Option<UserId>,
        /// The room whose members are listed.
        channel: Option<RoomName>,
        /// The page, in the order of the public ids.
        page: Page<ClientId>,
    },
    /// Revokes the tokens with an id: closes the connections and ends the subscriptions that they have opened, and refuses
    /// them from then on.
    RevokeToken {
        /// The id (`jti`), from 1 byte to `token_id_bytes`.
        uid: String,
        /// The end of the revocation, in seconds since 1970. Where absent it is the end of the tokens with the id that connections
        /// have shown, or else 30 days from now.
        expire_at: Option<i64>,
    },
    /// Revokes tokens of a user.
    InvalidateUserTokens {
        /// The user.
        user: UserId,
        /// The time before which revoked tokens were issued (`iat`), in seconds since 1970; the next whole second where absent.
        /// Tokens that do not say when they were issued are revoked whatever it is.
        issued_before: Option<i64>,
        /// The end of the revocation, in seconds since 1970; 30 days from now where absent.
        expire_at: Option<i64>,
    },
    /// Lists the revoked tokens.
    RevokedTokens {
        /// The page, in the order of the ids.
        page: Page<String>,
    },
    /// Lists the users of whom tokens were revoked.
    InvalidatedUsers {
        /// The page, in the order of the users.
        page: Page<String>,
    },
    /// Returns the counts of the node.
    Info,
}

impl Command {
    /// Returns `true` when the call only reads. The length of its answer is known no sooner than the answer.
    #[must_use]
    pub fn only_reads(&self) -> bool {
        matches!(
            self,
            Self::Presence { .. }
                | Self::PresenceStats { .. }
                | Self::History { .. }
                | Self::Limits
                | Self::Channels { .. }
                | Self::Connections { .. }
                | Self::RevokedTokens { .. }
                | Self::InvalidatedUsers { .. }
                | Self::Info
        )
    }
}

/// A page of an ordered list. An item that exists throughout is in exactly one of consecutive pages.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub struct Page<T> {
    /// The greatest number of items, from 1; all items when absent.
    pub limit: Option<usize>,
    /// The last item of the page before; this page begins after it.
    pub after: Option<T>,
}

impl<T> Page<T> {
    /// The page with all items.
    pub const ALL: Self = Self { limit: None, after: None };
}

/// A position in a room's log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub struct Position {
    /// The epoch: the identity of the log.
    pub epoch: String,
    /// The offset of a publication; 0 before the first.
    pub offset: u64,
}

/// A request to read a room's log.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub struct HistoryQuery {
    /// The greatest number of publications.
    pub limit: HistoryLimit,
    /// The position after which, or in reverse before which, publications are read.
    pub since: Option<Position>,
    /// `true` to read the newest publications first.
    pub reverse: bool,
}

/// The greatest number of publications that a request for history wants. A reply has at most `reply_messages` in any
/// case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub enum HistoryLimit {
    /// None: the position of the newest alone.
    #[default]
    PositionOnly,
    /// So many.
    AtMost(NonZeroUsize),
    /// As many as a reply may have.
    Unlimited,
}

impl HistoryLimit {
    /// Returns the limit that wants so many publications.
    #[must_use]
    pub fn at_most(publications: usize) -> Self {
        NonZeroUsize::new(publications).map_or(Self::PositionOnly, Self::AtMost)
    }

    /// Returns the greatest number of publications.
    #[must_use]
    pub fn most(self) -> usize {
        match self {
            Self::PositionOnly => 0,
            Self::AtMost(most) => most.get(),
            Self::Unlimited => usize::MAX,
        }
    }
}

/// A publication of a log, as the API returns it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub struct PublicationView {
    /// The offset.
    pub offset: u64,
    /// The payload.
    pub data: Payload,
    /// The tags: a JSON object of strings.
    #[serde(serialize_with = "crate::stored::content")]
    pub tags: Option<Json>,
    /// The publisher, when it is a client.
    pub info: Option<Arc<ClientInfo>>,
}

/// The answer to a call that succeeded.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub enum Reply {
    /// The position of the publication; offset 0 when the log does not retain it.
    Published(Position),
    /// The answer for each room, in the order of the call.
    Broadcast(Vec<Result<Self, Error>>),
    /// The answer without data.
    Done,
    /// The members of a room.
    Presence(Vec<Arc<ClientInfo>>),
    /// The counts of a room's members.
    PresenceStats {
        /// The number of connections.
        clients: usize,
        /// The number of their users; all anonymous connections count as one.
        users: usize,
    },
    /// A page of a log.
    History {
        /// The publications, in the requested order.
        publications: Vec<PublicationView>,
        /// The position of the newest publication; offset 0 and an empty epoch when there is no log.
        position: Position,
    },
    /// The answers of several calls, each with its method.
    Batch(
        #[cfg_attr(feature = "replay", serde(deserialize_with = "crate::replayed::named"))]
        Vec<(&'static str, Result<Self, Error>)>,
    ),
    /// All limits.
    Limits(Vec<LimitRow>),
    /// A page of the rooms.
    Channels {
        /// The rooms with the number of their members, in the order of the names.
        rooms: Vec<(RoomName, usize)>,
        /// The last room of the page, when more follow.
        next: Option<String>,
    },
    /// A page of the connections.
    Connections {
        /// The connections, in the order of the public ids.
        connections: Vec<ConnectionInfo>,
        /// The last connection of the page, when more follow.
        next: Option<ClientId>,
    },
    /// The tokens are revoked.
    Revoked {
        /// The end of the revocation, in seconds since 1970. Between shards it is absent where none is known.
        until: Option<i64>,
    },
    /// A page of the revoked tokens.
    RevokedTokens {
        /// The ids, in their order, with the ends in seconds since 1970.
        tokens: Vec<(Arc<str>, i64)>,
        /// The last id of the page, when more follow.
        next: Option<String>,
    },
    /// A page of the users of whom tokens were revoked.
    InvalidatedUsers {
        /// The users, in their order.
        users: Vec<InvalidatedUser>,
        /// The last user of the page, when more follow.
        next: Option<String>,
    },
    /// The counts of the node.
    Info(Info),
}

/// A user of whom tokens were revoked, as the API returns it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub struct InvalidatedUser {
    /// The user.
    pub user: UserId,
    /// The time before which the revoked tokens were issued, in seconds since 1970.
    pub issued_before: i64,
    /// The end of the revocation, in seconds since 1970.
    pub until: i64,
}

/// A connection, as the API returns it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub struct ConnectionInfo {
    /// The public id.
    pub client: ClientId,
    /// The user; empty for an anonymous connection.
    pub user: UserId,
    /// The protocol: `json` or `plain`.
    #[cfg_attr(feature = "replay", serde(deserialize_with = "crate::replayed::text"))]
    pub protocol: StaticText,
    /// The rooms that it is a member of.
    pub channels: Vec<RoomName>,
}

/// The counts of a node, as the API returns them.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub struct Info {
    /// The name of the node.
    pub node: String,
    /// The name and version of the server.
    pub version: String,
    /// The number of authenticated connections.
    pub clients: usize,
    /// The number of their users.
    pub users: usize,
    /// The number of connections without a user, which all count as one more user in the answer.
    pub anonymous: usize,
    /// The number of rooms with members.
    pub channels: usize,
    /// The number of memberships in all rooms.
    pub memberships: usize,
}
