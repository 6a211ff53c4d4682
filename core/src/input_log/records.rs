//! The records of an input log: their kinds, and those that are structures.

use crate::admission::route::Target;
use crate::close::CloseCause;
use crate::config::Config;
use crate::effect::Effect;
use crate::error::ErrorCode;
use crate::ids::ConnId;
use alloc::string::String;
use core::net::IpAddr;

/// The time has changed: the differences of both clocks to the time before, in zigzag.
pub(super) const TIME: u8 = 0;
/// An upgrade request: an `UpgradeRecord`.
pub(super) const ACCEPT: u8 = 1;
/// The result of the upgrade request.
pub(super) const ACCEPTED: u8 = 2;
/// An input that has no kind of its own.
pub(super) const INPUT: u8 = 3;
/// A text message: slot, generation, length, bytes.
pub(super) const TEXT: u8 = 4;
/// A flush: slot, generation, bytes.
pub(super) const FLUSHED: u8 = 5;
/// So many more flushes: each of the same bytes, and of a slot that is as far from the one before as that was.
pub(super) const FLUSHES: u8 = 6;
/// Work is resumed.
pub(super) const RESUME: u8 = 7;
/// Everything was offered to the sockets.
pub(super) const OFFERED: u8 = 8;
/// An effect: a `SeenEffect`.
pub(super) const EFFECT: u8 = 9;
/// The counts at this moment.
pub(super) const CHECK: u8 = 10;
/// An invariant broke at the step before.
pub(super) const BROKEN: u8 = 11;
/// The vacant places of all tables were put in order, since the state was written.
pub(super) const SETTLED: u8 = 12;

/// The beginning of a log.
#[derive(Clone, Debug, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub(super) struct LogHead {
    /// The name and the version of the server.
    pub version: String,
    pub config: Config,
    pub seed: [u8; 32],
    /// Whether payloads are as they came.
    pub has_payloads: bool,
}

/// An upgrade request whose tokens are filler.
#[derive(Clone, Debug, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub(super) struct UpgradeRecord {
    pub client: [u8; 16],
    pub target: Target,
    pub token: Option<String>,
    pub address: Option<IpAddr>,
}

/// An effect without its content, by which a replay is compared.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub enum SeenEffect {
    /// As [`Effect::ResumeReading`].
    ResumeReading(ConnId),
    /// As [`Effect::Authenticate`].
    Authenticate(ConnId),
    /// As [`Effect::TokenRefused`].
    TokenRefused(ConnId),
    /// As [`Effect::Finish`].
    Finish(ConnId),
    /// As [`Effect::Closed`].
    Closed {
        /// The connection.
        conn: ConnId,
        /// The cause.
        cause: CloseCause,
        /// Whether everything was written.
        clean: bool,
    },
    /// As [`Effect::Reply`], with the code of an error.
    Reply(u64, Result<(), ErrorCode>),
    /// As [`Effect::Event`], with its number.
    Event(u64),
}

impl SeenEffect {
    /// Returns what a log tells of an effect; `None` for a wake, which the flush behind it tells, and for what is no effect on
    /// this shard.
    pub(super) fn of(effect: &Effect) -> Option<Self> {
        Some(match effect {
            Effect::Wake(_) | Effect::Step(_) | Effect::Link { .. } | Effect::Engine(_) => return None,
            Effect::ResumeReading(conn) => Self::ResumeReading(*conn),
            Effect::Authenticate { conn, .. } => Self::Authenticate(*conn),
            Effect::TokenRefused { conn, .. } => Self::TokenRefused(*conn),
            Effect::Finish(conn) => Self::Finish(*conn),
            Effect::Closed { conn, end } => Self::Closed { conn: *conn, cause: end.cause, clean: end.clean },
            Effect::Reply { call, result } => {
                Self::Reply(call.0, result.as_ref().as_ref().map(drop).map_err(|error| error.code))
            }
            Effect::Event(event) => Self::Event(event.seq),
        })
    }
}
