//! The engine of several nodes: the store that orders the rooms in place of a home's memory, and the contract with the link
//! to it.
//!
//! 1. A home has one link at a time. Requests and events are first in, first out, and each link begins with
//!    [`EngineEvent::Up`] and ends with [`EngineEvent::Down`]: nothing of it comes afterwards.
//! 2. A request that was sent and has no answer when the link ends may have been carried out or not. One that was not sent by
//!    then is dropped: an append is answered by [`EngineError::NotSent`] before [`EngineEvent::Down`], all others are not
//!    answered, and who still needs the answer asks again on the next link.
//! 3. What comes over a link is one sequence, in the order in which the engine has done it. The publications of a room that
//!    come before an answer to [`EngineRequest::Follow`] or [`EngineRequest::Read`] are up to the position of that answer, and
//!    those that come after it are behind it.
//! 4. [`EngineRequest::Follow`] may be asked again for a room that is followed: its answer is what there is after the position
//!    that it names. If it is refused, the room may be followed or not.
//! 5. What asks for a position, [`EngineRequest::Follow`] and [`EngineRequest::Read`], makes the log of a room that has none.
//! 6. A draft with [`Draft::skip_history`] gets no offset and no place in the log, and makes none. It comes to who follows the
//!    room at that time, in its place among the others, and is in no answer: it may be missed unnoticed, and a client that
//!    changes from one home to another may get it from both.
//!
//! A home asks for all its rooms at once when a link begins, a turn's worth in each turn: it is the link that asks the engine in
//! batches. [`follow`] is the machine that follows one room over such a link, and a shard that was made by
//! [`Shard::following_engine`](crate::Shard::following_engine) has one for each of its rooms. No server has an engine yet: the
//! simulator tries what becomes of both.

pub mod follow;

pub use crate::publication::{Draft, LogPosition, Publication};

use crate::api::HistoryQuery;
use crate::names::RoomName;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

/// A request of a home to the engine.
#[derive(Clone, Debug)]
pub enum EngineRequest {
    /// Sends all publications of a room from now on, and tells what there is after `since`. Answered by
    /// [`EngineEvent::Followed`].
    Follow {
        /// The room.
        room: RoomName,
        /// The position up to which the home has had everything; `None` where it has had nothing.
        since: Option<LogPosition>,
    },
    /// Ends [`EngineRequest::Follow`]. Not answered; publications that are on their way still come.
    Unfollow {
        /// The room.
        room: RoomName,
    },
    /// Appends a draft to the log of a room. Answered by [`EngineEvent::Appended`], before or after the publication itself
    /// comes to those who follow the room.
    Append {
        /// The number of the request.
        ticket: EngineTicket,
        /// The room.
        room: RoomName,
        /// The draft.
        draft: Arc<Draft>,
        /// The idempotency key. Where the room has a publication with it, nothing is appended, and the answer has the position
        /// of that one.
        key: Option<String>,
    },
    /// Removes what the log of a room retains. Its position stays. All who follow the room are told
    /// [`EngineEvent::Removed`], in one order with publications. Answered by [`EngineEvent::Forgotten`].
    Forget {
        /// The number of the request.
        ticket: EngineTicket,
        /// The room.
        room: RoomName,
    },
    /// Reads the log of a room. Answered by [`EngineEvent::Read`].
    Read {
        /// The number of the request.
        ticket: EngineTicket,
        /// The room.
        room: RoomName,
        /// The page to read. Where its position is of another epoch, the page has no publications; an empty epoch is that of
        /// any log.
        query: HistoryQuery,
    },
}

/// An event that the engine tells a home.
#[derive(Clone, Debug)]
pub enum EngineEvent {
    /// A link begins. No room is followed on it yet.
    Up,
    /// The link has ended.
    Down,
    /// The room is followed, or that is refused.
    Followed {
        /// The room.
        room: RoomName,
        /// The place where what comes next begins.
        result: Result<FollowStart, EngineError>,
    },
    /// A publication of a room that is followed.
    Entry {
        /// The room.
        room: RoomName,
        /// The publication.
        publication: Arc<Publication>,
    },
    /// A draft was appended, or that is refused.
    Appended {
        /// The number of the request.
        ticket: EngineTicket,
        /// The position of the publication. Without a place in the log its offset is 0, and its epoch means nothing.
        result: Result<LogPosition, EngineError>,
    },
    /// The retained publications of a room that is followed were removed.
    Removed {
        /// The room.
        room: RoomName,
    },
    /// The retained publications of a log were removed, or that is refused.
    Forgotten {
        /// The number of the request.
        ticket: EngineTicket,
        /// Nothing, or the refusal.
        result: Result<(), EngineError>,
    },
    /// A log was read, or that is refused.
    Read {
        /// The number of the request.
        ticket: EngineTicket,
        /// The room.
        room: RoomName,
        /// The page.
        result: Result<EnginePage, EngineError>,
    },
}

/// The reason for which a request was certainly not carried out. Of [`EngineRequest::Follow`] the subscription may have been.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EngineError {
    /// The engine has refused it, with this word: `OOM`, `NOPERM`.
    Refused(String),
    /// It was not sent, since too many others waited to be sent or the link was down.
    NotSent,
}

/// The place where what comes of a followed room begins.
#[derive(Clone, Debug)]
pub struct FollowStart {
    /// The position of the newest publication: what comes next of the room is behind it.
    pub position: LogPosition,
    /// The publications that the home has not had.
    pub missed: Missed,
}

/// A page of the log of a room, and where that is.
#[derive(Clone, Debug)]
pub struct EnginePage {
    /// The publications, in the requested order.
    pub publications: Vec<Arc<Publication>>,
    /// The position of the newest publication, whether the page has that or not.
    pub position: LogPosition,
}

/// Identifies a request among those whose answer has not come. It means something only to who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EngineTicket(pub u64);

/// The publications after the position that a home follows a room since, in ascending order: each names the one before it, and
/// the first names that position.
#[derive(Clone, Debug)]
pub enum Missed {
    /// Nothing was asked for.
    NotAsked,
    /// All of them: the last is at the position that is told with it.
    All(Vec<Arc<Publication>>),
    /// Those up to the bound of an answer: more are to be asked for. There are none where other rooms that were asked for
    /// before it have used up the bound; the first of them gets one at least, so that each answer brings one room nearer.
    Cut(Vec<Arc<Publication>>),
    /// Not all of them are retained, or the position names nothing that is known of the log.
    Unknown,
}
