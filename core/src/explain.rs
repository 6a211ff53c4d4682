//! Answers to an operator's *why*: a connection, a publication and whom it reached, a room. They are read from the state as it is;
//! nothing is recorded for them but a few numbers of each connection and membership.
//!
//! A connection is known while it exists, and as one of the last [`ENDED_CONNECTIONS`] of its shard that ended. A publication is
//! known while its log retains it. Of who is not connected any more, and not among those, nothing is known.

use crate::close::CloseCause;
use crate::connection::pending::Reasons;
use crate::ids::{ClientId, ConnId};
use crate::limits::Limit;
use crate::names::{RoomName, UserId};
use crate::policy::Policy;
use crate::publication::{EpochText, Publication};
use crate::stored::StaticText;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

/// The connections that ended and are remembered, at most.
pub const ENDED_CONNECTIONS: usize = 1_000;
/// The rooms of an ended connection that are remembered, at most: those that it began to join last.
pub const ENDED_ROOMS: usize = 16;

/// The account of a connection.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub struct ConnectionAccount {
    /// The id within the shard, which it may have given back.
    pub conn: ConnId,
    /// The public id.
    pub client: ClientId,
    /// The user; empty for an anonymous connection and before authentication.
    pub user: UserId,
    /// The protocol: `json` or `plain`.
    #[cfg_attr(feature = "replay", serde(deserialize_with = "crate::replayed::text"))]
    pub protocol: StaticText,
    /// The state: `handshaking`, `unauthenticated`, `authenticating`, `joining`, `ready`, `closing` or `ended`.
    #[cfg_attr(feature = "replay", serde(deserialize_with = "crate::replayed::text"))]
    pub state: StaticText,
    /// The time of its upgrade request, in milliseconds since 1970.
    pub since_ms: u64,
    /// Its rooms; for one that closes or has ended, those that it was in then.
    pub rooms: Vec<MembershipAccount>,
    /// The number of rooms that are left out, of one that has ended.
    pub more_rooms: usize,
    /// The events that it receives; empty for all.
    pub events: Vec<String>,
    /// The bytes that wait for its socket; for one that closes or has ended, those that waited when it began to close.
    pub queued_bytes: usize,
    /// The frames that they are in.
    pub queued_frames: usize,
    /// `true` when its socket has refused bytes, and has not taken all of them since.
    pub blocked: bool,
    /// The frames that its outbox did not take, for which it closed, and those that were dropped since: they were not written, or not
    /// whole.
    pub dropped_frames: u64,
    /// Its pings.
    pub pings: PingAccount,
    /// The limits that it has exceeded, each with how often, in the order of the first time.
    pub limits: Vec<(Limit, u32)>,
    /// The deadlines that are armed, each with the name of its timer and the time until then.
    #[cfg_attr(feature = "replay", serde(deserialize_with = "crate::replayed::named"))]
    pub deadlines: Vec<(&'static str, Duration)>,
    /// The end, of one that has ended.
    pub end: Option<EndAccount>,
}

/// The account of a connection's pings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub struct PingAccount {
    /// The pings that it was sent.
    pub sent: u32,
    /// Those that it answered, by a pong or by anything else that it sent.
    pub answered: u32,
    /// The time of the last answered one until its answer, in whole milliseconds.
    pub last_round_trip: Duration,
}

/// The account of how a connection ended.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub struct EndAccount {
    /// The time, in milliseconds since 1970.
    pub at_ms: u64,
    /// The cause.
    pub cause: CloseCause,
    /// The code of the Close frame; 1006 when there was none.
    pub code: u16,
    /// The text of the Close frame.
    pub reason: String,
    /// `true` when everything was written and the client has closed or ended its stream.
    pub clean: bool,
}

/// The account of a connection in a room.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub struct MembershipAccount {
    /// The room.
    pub room: RoomName,
    /// The beginning of the membership; `None` while it is being joined.
    pub joined: Option<JoinedAccount>,
    pub(crate) reasons: Reasons,
}

impl MembershipAccount {
    /// Returns why it is in the room: `client`, `token`, `api`, `personal`.
    pub fn reasons(&self) -> impl Iterator<Item = &'static str> {
        self.reasons.names()
    }
}

/// The account of a membership.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub struct JoinedAccount {
    /// The time, in milliseconds since 1970.
    pub at_ms: u64,
    pub(crate) epoch: u64,
    /// The offset up to which the log was before it.
    pub joined_at: u64,
    /// The first offset that it was sent at its join, as missed; `None` when it was sent nothing.
    pub replayed_from: Option<u64>,
    /// The offset up to which an earlier filter for events held; `None` when it has not changed since the join.
    pub filter_changed_at: Option<u64>,
    /// The offset up to which everything behind `joined_at` was put into its outbox, but for what its filter leaves out.
    pub sent_through: u64,
}

impl JoinedAccount {
    /// Returns the epoch of the room's log.
    #[must_use]
    pub fn epoch(&self) -> String {
        EpochText::of(self.epoch).into()
    }
}

/// The account of a room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoomAccount {
    /// The name.
    pub room: RoomName,
    /// The policy of its namespace.
    pub policy: Policy,
    /// The members.
    pub members: usize,
    /// Their users; all anonymous members count as one.
    pub users: usize,
    /// The users who are listed though they are not there, within `presence_grace`.
    pub absent: usize,
    /// The position that the connections of this shard in the room have come to; `None` when there are none.
    pub followed_to: Option<u64>,
    /// The log; `None` when the room has none.
    pub log: Option<LogAccount>,
}

/// The account of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogAccount {
    /// The epoch.
    pub epoch: String,
    /// The offset of the newest publication; 0 before the first.
    pub top: u64,
    /// The offset of the oldest retained publication.
    pub oldest: Option<u64>,
    /// The time since the oldest retained publication.
    pub oldest_age: Option<Duration>,
    /// The retained publications.
    pub retained: usize,
    /// Their bytes.
    pub bytes: usize,
    /// The time until the log is forgotten, of one whose room has neither members nor retained publications.
    pub forgotten_in: Option<Duration>,
}

/// The account of a publication that its log retains.
#[derive(Clone, Debug)]
pub struct PublicationAccount {
    /// The room.
    pub room: RoomName,
    /// The time since it was published.
    pub age: Duration,
    /// The publications of the log that are newer.
    pub newer: usize,
    /// The event that filters know it by: the `type` of its payload.
    pub event: Option<String>,
    pub(crate) publication: Arc<Publication>,
}

impl PublicationAccount {
    /// Returns the epoch of its log.
    #[must_use]
    pub fn epoch(&self) -> String {
        EpochText::of(self.publication.epoch).into()
    }

    /// Returns its offset.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.publication.offset
    }

    /// Returns the bytes of its payload and tags.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.publication.draft.payload_bytes()
    }

    /// Returns the connection and the user that published it; `None` for a backend.
    #[must_use]
    pub fn publisher(&self) -> Option<(ClientId, &UserId)> {
        self.publication.draft.info.as_deref().map(|info| (info.client, &info.user))
    }
}

/// The reason for which nothing is known of a publication.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UnknownPublication {
    /// The room has no log, or none any more.
    NoLog,
    /// The log has another epoch: what was published before it began is not known.
    OtherEpoch(String),
    /// The newest publication of the log has this offset.
    NotYet(u64),
    /// The log does not retain it, and the oldest that it retains has this offset.
    NotRetained(Option<u64>),
}

/// The account of one connection and one publication.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryAccount {
    /// The public id of the connection.
    pub client: ClientId,
    /// Its user; empty where it has none, and for one that is not in the room.
    pub user: UserId,
    /// Its protocol: `json` or `plain`; empty for one that is not in the room.
    pub protocol: &'static str,
    /// The outcome of the publication for it.
    pub outcome: DeliveryOutcome,
    /// The cause of its end, of one that has ended.
    pub ended: Option<CloseCause>,
}

/// The outcome of a publication for one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryOutcome {
    /// The socket has taken all of it.
    FullyWritten,
    /// It waits for the socket.
    Queued,
    /// It waits behind the reply to `connect`, which waits for rooms that are joined.
    AwaitsReply,
    /// It was put into the outbox, of which this many frames, the newest, are not written, or never were: it is among them, or
    /// was written before them.
    Sent {
        /// The frames.
        unwritten: u64,
    },
    /// The connection has a filter for events, which leaves it out.
    Filtered,
    /// The connection has changed its filter for events since: whether it left it out is not known any more.
    FilterChanged,
    /// The connection joined after it, at this offset, and was not sent it as missed. An earlier membership is not remembered.
    JoinedLater {
        /// The offset.
        at: u64,
    },
    /// The connection is joining the room.
    Joining,
    /// It is on its way to the shard of the connection, which has come to this offset.
    OnItsWay {
        /// The offset; `None` of another log.
        at: Option<u64>,
    },
    /// The connection ended before it came: it had come to this offset.
    EndedBefore {
        /// The offset; `None` of another log.
        at: Option<u64>,
    },
    /// The connection is no member of the room.
    NoMember,
    /// The connection has ended in more rooms than are remembered, and it is not known whether this is one of them.
    NotRemembered,
}

impl DeliveryOutcome {
    /// The names of all outcomes.
    pub const NAMES: [&'static str; 12] = [
        "written",
        "queued",
        "held",
        "sent",
        "filtered",
        "filter_changed",
        "joined_later",
        "joining",
        "on_its_way",
        "ended_before",
        "no_member",
        "not_remembered",
    ];

    /// Returns its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::FullyWritten => "written",
            Self::Queued => "queued",
            Self::AwaitsReply => "held",
            Self::Sent { .. } => "sent",
            Self::Filtered => "filtered",
            Self::FilterChanged => "filter_changed",
            Self::JoinedLater { .. } => "joined_later",
            Self::Joining => "joining",
            Self::OnItsWay { .. } => "on_its_way",
            Self::EndedBefore { .. } => "ended_before",
            Self::NoMember => "no_member",
            Self::NotRemembered => "not_remembered",
        }
    }
}

/// A page of the connections that a publication was for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryPage {
    /// The connections: first those that are members, then those that ended as members, the latest first.
    pub deliveries: Vec<DeliveryAccount>,
    /// The place to go on from; `None` when these were the last.
    pub next: Option<DeliveryPlace>,
}

/// A place in the list of the connections that a publication was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryPlace {
    /// The first member whose slot is this one or a later one.
    Member(u32),
    /// The ended connection of this number or an earlier one, of all that have ended.
    Ended(u64),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_outcome_is_listed_by_its_name() {
        let all = [
            DeliveryOutcome::FullyWritten,
            DeliveryOutcome::Queued,
            DeliveryOutcome::AwaitsReply,
            DeliveryOutcome::Sent { unwritten: 1 },
            DeliveryOutcome::Filtered,
            DeliveryOutcome::FilterChanged,
            DeliveryOutcome::JoinedLater { at: 1 },
            DeliveryOutcome::Joining,
            DeliveryOutcome::OnItsWay { at: None },
            DeliveryOutcome::EndedBefore { at: None },
            DeliveryOutcome::NoMember,
            DeliveryOutcome::NotRemembered,
        ];
        assert_eq!(all.map(DeliveryOutcome::name), DeliveryOutcome::NAMES);
    }
}
