//! Messages on their way into a log and out of it: drafts, publications, positions, and what is read of a log.

use crate::ids::ClientInfo;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

/// A message that has no place in a log yet.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    /// JSON of one line; the publications of a broadcast share it.
    pub data: Arc<str>,
    /// A JSON object of strings.
    pub tags: Option<Arc<str>>,
    /// Who published it, when a client did.
    pub info: Option<Arc<ClientInfo>>,
    /// Deliver it, but keep it out of the log.
    pub skip_history: bool,
    /// Whether other drafts have the very same payload, as those of one broadcast do.
    pub shared: bool,
}

impl Draft {
    /// What counts against `publication_bytes`.
    pub fn payload_bytes(&self) -> usize {
        self.data.len() + self.tags.as_ref().map_or(0, |tags| tags.len())
    }

    /// What counts against `history_bytes`, once for all who share it, and against `history_bytes_per_room`.
    pub fn bytes(&self) -> usize {
        self.payload_bytes() + self.info.as_ref().map_or(0, |info| info.bytes())
    }
}

/// A message with its place in the log; without one, the offset is 0.
#[derive(Clone, Debug)]
pub(crate) struct Publication {
    pub epoch: u64,
    pub offset: u64,
    pub draft: Draft,
}

/// A position in a log, with the epoch as the number that it is inside the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LogPosition {
    pub epoch: u64,
    pub offset: u64,
}

impl From<LogPosition> for crate::api::Position {
    fn from(position: LogPosition) -> Self {
        Self { epoch: epoch_text(position.epoch), offset: position.offset }
    }
}

impl crate::api::Position {
    /// A position where there may be no log: offset 0 and an empty epoch.
    pub(crate) fn of(position: Option<LogPosition>) -> Self {
        position.map_or_else(|| Self { epoch: String::new(), offset: 0 }, Self::from)
    }
}

/// An epoch as it goes over the wire.
pub(crate) fn epoch_text(epoch: u64) -> String {
    alloc::format!("{epoch:016x}")
}

/// What is read of a log.
#[derive(Clone, Debug)]
pub(crate) struct Page {
    /// In the order that was asked for.
    pub publications: Vec<Arc<Publication>>,
    /// The log's top; `None` where there is no log.
    pub position: Option<LogPosition>,
}

/// What of the log a new member wants to have before anything else.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Replay {
    /// Nothing.
    #[default]
    None,
    /// All that came after this position. Where that cannot be had: to join without it, or not at all.
    Since { epoch: String, offset: u64, or_refuse: bool },
    /// At most this many of the newest.
    Last(usize),
}

impl Replay {
    /// The same, but never a reason not to join.
    pub fn or_without(self) -> Self {
        match self {
            Self::Since { epoch, offset, .. } => Self::Since { epoch, offset, or_refuse: false },
            other => other,
        }
    }
}

/// What of the log a new member gets.
#[derive(Clone, Debug, Default)]
pub(crate) struct Replayed {
    /// Whether all was there that was asked for; `None` where nothing was.
    pub recovered: Option<bool>,
    /// Ascending, up to the position of the join.
    pub publications: Vec<Arc<Publication>>,
}
