//! The whole state as plain data: for a person to read, for a simulator to compare.

use crate::close::CloseCause;
use crate::ids::{ClientId, ConnId, Name};
use crate::time::Instant;
use alloc::string::String;
use alloc::vec::Vec;

/// Everything that decides how a shard will behave, except its configuration.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Snapshot {
    /// Occupied slots, by slot.
    pub conns: Vec<ConnView>,
    /// Rooms with members, by name.
    pub rooms: Vec<RoomView>,
    /// Users with connections, by name.
    pub users: Vec<(Name, Vec<ConnId>)>,
    /// Logs, by name of their room: those whose room has a member, and those that have numbered anything.
    pub logs: Vec<LogView>,
    /// Whether [`crate::Input::Shutdown`] came.
    pub shutting_down: bool,
}

/// One connection.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ConnView {
    /// Its id.
    pub id: ConnId,
    /// Its public id.
    pub client: ClientId,
    /// Where in its life it is.
    pub phase: PhaseView,
    /// The bytes that wait for its socket, frame by frame; of a half-written frame only what is left.
    pub outbox: Vec<Vec<u8>>,
    /// How many bytes of the first of them are already written.
    pub half_written: usize,
    /// Armed deadlines by the name of their timer, earliest first.
    pub deadlines: Vec<(&'static str, Instant)>,
}

/// Where in its life a connection is, with what matters there.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum PhaseView {
    /// The 101 is being written.
    Handshaking,
    /// Messages go both ways.
    Open {
        /// `unauthenticated`, `authenticating`, `joining` or `ready`.
        stage: &'static str,
        /// Whose; empty for anonymous and for those who have not said yet.
        user: Name,
        /// The rooms it is in, in the order of its own table, with whether the membership is confirmed.
        rooms: Vec<(Name, bool)>,
        /// The events that it filters by; empty for all.
        events: Vec<String>,
    },
    /// Only what is queued goes out, with one Close frame as the last.
    Closing {
        /// Why.
        cause: CloseCause,
        /// What the Close frame says.
        code: u16,
    },
}

/// One room.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RoomView {
    /// Its name.
    pub name: Name,
    /// Its members, in the order in which they are served.
    pub members: Vec<ConnId>,
}

/// One room's log.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LogView {
    /// The room's name.
    pub name: Name,
    /// Its identity.
    pub epoch: String,
    /// The offset of the newest message; 0 before the first.
    pub top: u64,
    /// Offset and payload of what is retained, oldest first.
    pub entries: Vec<(u64, String)>,
    /// When the oldest of them is dropped.
    pub ages_out: Option<Instant>,
    /// When the log is forgotten, if nothing more happens to it: it retains nothing, and nobody is in the room.
    pub forgotten_at: Option<Instant>,
    /// Who the home holds to be in the room.
    pub members: Vec<ClientId>,
}
