//! The messages of the server to clients, whatever their protocol.

use crate::close::CloseCause;
use crate::connection::pending::Subscribed;
use crate::error::{Error, UnsubscribeReason};
use crate::ids::{ClientId, ClientInfo};
use crate::names::{RoomName, UserId};
use crate::payload::Payload;
use crate::protocol::command_id::CommandId;
use crate::publication::{LogPage, LogPosition, Publication};
use crate::token::validate::TokenError;
use alloc::string::String;
use alloc::sync::Arc;
use core::time::Duration;

/// A message of the server. A protocol need not have all of them: a client is not told what its protocol has no message
/// for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ServerMessage<'a> {
    /// The connection begins, before its rooms are joined.
    Greeting { client: ClientId, is_authenticated: bool },
    /// The rooms that the connection starts in are joined: the answer to `Connect`.
    Connected(&'a Connected<'a>),
    /// The answer to a later connection token.
    Refreshed { id: &'a CommandId, client: ClientId, user: &'a UserId, ttl: Option<u64> },
    /// The answer to `Subscribe`, with what was missed.
    Subscribed { id: &'a CommandId, subscribed: &'a Subscribed },
    /// The answer to `SubRefresh`.
    RoomRefreshed { id: &'a CommandId, ttl: Option<u64> },
    /// The answer to `Unsubscribe`.
    Unsubscribed { id: &'a CommandId },
    /// The answer to `Publish`; without a position when the room has no log.
    Published { id: &'a CommandId, room: &'a RoomName, position: Option<LogPosition> },
    /// The answer to `History`, and to `Positions` for each room.
    History { id: &'a CommandId, room: &'a RoomName, page: &'a LogPage },
    /// The answer to `Presence`; there is none when the list has more than `most` bytes.
    Presence { id: &'a CommandId, members: &'a [Arc<ClientInfo>], most: usize },
    /// The answer to `PresenceStats`.
    PresenceStats { id: &'a CommandId, clients: usize, users: usize },
    /// The answer to `Filter`.
    Filtered { events: &'a [String] },
    /// The answer to `Ping`.
    Pong { id: &'a CommandId },
    /// The answer to a command that failed.
    Error { id: &'a CommandId, error: &'a Error },
    /// A mistake of the client.
    Mistake { id: &'a CommandId, mistake: Mistake<'a> },
    /// A publication in a room.
    Publication { room: &'a RoomName, publication: &'a Publication },
    /// A message to one connection or to all of them, outside of any room.
    Message { data: &'a Payload },
    /// The position of the connection in a room's log.
    Position { room: &'a RoomName, position: LogPosition },
    /// The server puts the connection into a room. The missed publications follow.
    Subscribe { room: &'a RoomName, subscribed: &'a Subscribed },
    /// The server takes the connection out of a room.
    Unsubscribe { room: &'a RoomName, reason: UnsubscribeReason },
    /// A presence event of a room.
    PresenceEvent { room: &'a RoomName, member: &'a ClientInfo, event: PresenceEvent },
    /// A backend changes the time at which the connection's token expires.
    Refresh { ttl: Option<u64> },
    /// The server ends the connection and asks the client to come back after so many milliseconds.
    Reconnect { after_ms: u32 },
    /// The client is to show that it is there. Every protocol has this message.
    Ping,
}

/// The contents of the answer to `Connect`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Connected<'a> {
    /// The id of the command.
    pub id: &'a CommandId,
    /// The user and the public id of the connection.
    pub info: &'a ClientInfo,
    /// The server's name and version.
    pub version: &'a str,
    /// The name of the node.
    pub node: &'a str,
    /// Seconds until the token expires; `None` when it does not expire.
    pub ttl: Option<u64>,
    /// The time between pings.
    pub ping_interval: Duration,
    /// The server-side subscriptions with their starts.
    pub subs: &'a [(RoomName, Subscribed)],
}

/// Something that a client must not do. The connection ends where its protocol has no message for it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Mistake<'a> {
    /// The command came before the client was ready.
    TooEarly,
    /// The text is no command.
    Unreadable,
    /// A token was to be presented, and is empty.
    TokenRequired,
    /// The token is never valid.
    InvalidToken(&'a TokenError),
}

/// A presence event of a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PresenceEvent {
    /// A connection became a member.
    Join,
    /// A member left.
    Leave,
}

impl Mistake<'_> {
    /// Returns the cause with which the connection ends where its protocol has no message for the mistake.
    pub fn cause(self) -> CloseCause {
        match self {
            Self::TooEarly | Self::Unreadable => CloseCause::BadRequest,
            Self::TokenRequired => CloseCause::TokenRequired,
            Self::InvalidToken(_) => CloseCause::InvalidToken,
        }
    }
}

impl<'a> ServerMessage<'a> {
    /// Returns the payload of a message that an event filter looks at.
    pub fn payload(&self) -> Option<&'a Payload> {
        match *self {
            Self::Publication { publication, .. } => Some(&publication.draft.data),
            Self::Message { data } => Some(data),
            _ => None,
        }
    }

    /// Returns the room and the position there of a publication that a log retains.
    pub fn place(&self) -> Option<(&'a RoomName, LogPosition)> {
        match *self {
            Self::Publication { room, publication: &Publication { epoch, offset: offset @ 1.., .. } } => {
                Some((room, LogPosition { epoch, offset }))
            }
            _ => None,
        }
    }
}
