//! The whole state of a shard as plain data, to be displayed or compared. What no view names of a connection is told as text by
//! [`Shard::details`](crate::Shard::details).

use crate::close::CloseCause;
use crate::ids::{ClientId, ConnId};
use crate::names::{RoomName, UserId};
use crate::time::Instant;
use alloc::string::String;
use alloc::vec::Vec;

/// The state that determines how a shard behaves, apart from its configuration.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Snapshot {
    /// The occupied slots, by slot.
    pub conns: Vec<ConnView>,
    /// The rooms with members, by name.
    pub rooms: Vec<RoomView>,
    /// The users with connections, by name.
    pub users: Vec<(UserId, Vec<ConnId>)>,
    /// The logs, by the name of their room: those of rooms with members and those that have numbered a publication.
    pub logs: Vec<LogView>,
    /// The absences, by room and user.
    pub absences: Vec<AbsenceView>,
    /// The idempotency keys that are remembered, oldest first.
    pub keys: Vec<KeyView>,
    /// The counters of evicted logs with offsets, on which the epochs of new logs depend.
    pub evicted: Vec<(u16, u64)>,
    /// The revocations, as text.
    pub revocations: Vec<String>,
    /// `true` after [`crate::Input::Shutdown`].
    pub shutting_down: bool,
}

/// A connection.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ConnView {
    /// The id within the shard.
    pub id: ConnId,
    /// The public id.
    pub client: ClientId,
    /// The phase.
    pub phase: PhaseView,
    /// The bytes that wait for the socket, by frame; of a half-written frame only the rest.
    pub outbox: Vec<Vec<u8>>,
    /// The bytes of the first frame that are already written.
    pub half_written: usize,
    /// The next bytes that the transport has and cannot give back.
    pub committed: usize,
    /// `true` when the socket has refused bytes that it was offered, and has not taken all of them since.
    pub refused: bool,
    /// The armed deadlines with the names of their timers, earliest first.
    pub deadlines: Vec<(&'static str, Instant)>,
}

/// The phase of a connection, with its state in that phase.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum PhaseView {
    /// The response 101 is being written.
    Handshaking,
    /// Messages are exchanged.
    Open {
        /// The progress of authentication: `unauthenticated`, `authenticating`, `joining` or `ready`.
        stage: &'static str,
        /// The user; empty for an anonymous connection and before authentication.
        user: UserId,
        /// The rooms in the order of the connection's own table, with `true` for a confirmed membership.
        rooms: Vec<(RoomName, bool)>,
        /// The event filter; empty for all events.
        events: Vec<String>,
    },
    /// Only frames that are already queued are written, with one Close frame as the last.
    Closing {
        /// The cause.
        cause: CloseCause,
        /// The code of the Close frame.
        code: u16,
    },
}

/// A connection that bytes wait for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboxView {
    /// The public id.
    pub client: ClientId,
    /// The user; empty for an anonymous connection, before authentication, and for a connection that is closing.
    pub user: UserId,
    /// The protocol: `json` or `plain`.
    pub protocol: &'static str,
    /// The bytes that wait for the socket.
    pub bytes: usize,
    /// The frames that they are in; of a half-written frame the rest counts as one.
    pub frames: usize,
    /// `true` when the socket has refused bytes that it was offered, and has not taken all of them since.
    pub refused: bool,
}

/// A room with members.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RoomView {
    /// The name.
    pub name: RoomName,
    /// The members, in the order in which publications are delivered.
    pub members: Vec<ConnId>,
}

/// A user who stays listed in a room after the end of a connection.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AbsenceView {
    /// The name of the room.
    pub room: RoomName,
    /// The user.
    pub user: UserId,
    /// The public id of the connection that has ended.
    pub client: ClientId,
    /// The time at which the user is no longer listed.
    pub until: Instant,
}

/// An idempotency key that is remembered.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct KeyView {
    /// The name of the room.
    pub room: RoomName,
    /// The key.
    pub key: String,
    /// The time at which it is forgotten.
    pub until: Instant,
}

/// The log of a room.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LogView {
    /// The name of the room.
    pub name: RoomName,
    /// The epoch.
    pub epoch: String,
    /// The offset of the newest publication; 0 before the first.
    pub top: u64,
    /// The offsets and payloads of the retained publications, oldest first.
    pub entries: Vec<(u64, String)>,
    /// The time at which the oldest of them is dropped.
    pub ages_out: Option<Instant>,
    /// The time of the last publication, or of the loss of the last member.
    pub touched: Instant,
    /// The time at which the log is evicted, if it has neither members nor retained publications.
    pub forgotten_at: Option<Instant>,
    /// The position in the order of eviction, less than those of logs that are evicted later; `None` while there are
    /// members.
    pub idle_order: Option<u64>,
    /// The members according to the home.
    pub members: Vec<ClientId>,
}
