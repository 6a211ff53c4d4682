//! Drafts, publications, positions in a log, and the results of reading a log.

use crate::ids::ClientInfo;
use crate::json::Json;
use crate::payload::Payload;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::Deref;

/// A message that has no position in a log yet.
#[derive(Clone, Debug, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub struct Draft {
    /// The payload; the drafts of a broadcast share it.
    #[serde(serialize_with = "crate::stored::payload")]
    #[cfg_attr(feature = "replay", serde(deserialize_with = "crate::stored::shared"))]
    pub data: Payload,
    /// The tags: a JSON object of strings.
    #[serde(serialize_with = "crate::stored::content")]
    pub tags: Option<Json>,
    /// The publisher, when it is a client.
    pub info: Option<Arc<ClientInfo>>,
    /// `true` to deliver the message without retaining it.
    pub skip_history: bool,
    /// `true` when other drafts share the payload, as those of a broadcast do.
    pub shared: bool,
}

impl Draft {
    /// Returns the bytes that count against `publication_bytes`.
    pub(crate) fn payload_bytes(&self) -> usize {
        self.data.json_bytes() + self.tags.as_ref().map_or(0, |tags| tags.len())
    }

    /// Returns the bytes that count against `history_bytes`, once for all drafts that share them, and against
    /// `history_bytes_per_room`.
    pub(crate) fn bytes(&self) -> usize {
        self.payload_bytes() + self.info.as_ref().map_or(0, |info| info.bytes())
    }
}

/// A message with its position in a log; the offset is 0 when no log numbers it.
#[derive(Clone, Debug, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub struct Publication {
    /// The epoch of the log.
    pub epoch: u64,
    /// The name of the publication in its epoch, greater than those before it and not always the next number.
    pub offset: u64,
    /// The offset of the publication before it in the log; 0 for the first. No client sees it.
    pub prev: u64,
    /// The message.
    pub draft: Draft,
}

/// A position in a log, with the epoch as a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub struct LogPosition {
    /// The epoch of the log.
    pub epoch: u64,
    /// The offset of a publication; 0 before the first.
    pub offset: u64,
}

impl From<LogPosition> for crate::api::Position {
    fn from(position: LogPosition) -> Self {
        Self { epoch: EpochText::of(position.epoch).into(), offset: position.offset }
    }
}

impl crate::api::Position {
    /// Converts a position to the form of the API: offset 0 and an empty epoch for `None`.
    pub(crate) fn of(position: Option<LogPosition>) -> Self {
        position.map_or_else(|| Self { epoch: String::new(), offset: 0 }, Self::from)
    }
}

/// An epoch as clients see it: 16 hexadecimal digits. Every answer about a room has one, so it is not allocated.
pub(crate) struct EpochText([u8; 16]);

impl EpochText {
    /// Returns the text of an epoch.
    pub fn of(epoch: u64) -> Self {
        Self(core::array::from_fn(|at| b"0123456789abcdef"[(epoch >> (60 - 4 * at) & 0xF) as usize]))
    }
}

impl Deref for EpochText {
    type Target = str;
    fn deref(&self) -> &str {
        core::str::from_utf8(&self.0).expect("digits are ASCII")
    }
}

impl From<EpochText> for String {
    fn from(text: EpochText) -> Self {
        (*text).into()
    }
}

/// A page of a log.
#[derive(Clone, Debug)]
pub struct LogPage {
    /// The publications, in the requested order.
    pub publications: Vec<Arc<Publication>>,
    /// The position of the newest publication; `None` when there is no log.
    pub position: Option<LogPosition>,
}

/// The publications that a new member asks for before all others.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub(crate) enum Replay {
    /// None.
    #[default]
    None,
    /// All publications after this position. When some are not available, the join is refused if `or_refuse` is set,
    /// otherwise made without a replay.
    Since { epoch: String, offset: u64, or_refuse: bool },
    /// At most this many of the newest publications.
    Last(usize),
}

impl Replay {
    /// Returns the same request without the demand to refuse the join.
    pub fn or_without(self) -> Self {
        match self {
            Self::Since { epoch, offset, .. } => Self::Since { epoch, offset, or_refuse: false },
            other => other,
        }
    }
}

/// The publications that a new member is sent before all others.
#[derive(Clone, Debug, Default, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub(crate) struct Replayed {
    /// `true` when all missed publications are included, `false` when they are not available, `None` when they were not
    /// asked for.
    pub recovered: Option<bool>,
    /// The publications in ascending order, up to the position of the join.
    pub publications: Vec<Arc<Publication>>,
}
