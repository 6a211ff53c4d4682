//! The engine of several nodes: the store that orders the rooms in place of a home's memory, and the contract with the link
//! to it.
//!
//! 1. A home has one link at a time. Requests and events are first in, first out, and each link begins with
//!    [`EngineEvent::Up`] and ends with [`EngineEvent::Down`]: nothing of it comes afterwards, neither answers nor entries,
//!    and a request without an answer may have been carried out or not.
//! 2. Answers and entries of a link are one sequence: after [`EngineEvent::Followed`] at a position come the publications
//!    behind it, and after [`EngineEvent::Read`] those behind the position of the page.
//! 3. [`EngineRequest::Follow`] may be asked again for a room that is followed. Its answer is what was missed since then.
//!
//! [`follow`] is the machine that follows one room over such a link. No server uses it yet: the simulator searches what becomes
//! of it.

pub mod follow;

pub use crate::publication::{Draft, LogPage, LogPosition, Publication};

use crate::api::HistoryQuery;
use crate::names::RoomName;
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
    },
    /// Reads the log of a room, which is made where there is none. Answered by [`EngineEvent::Read`].
    Read {
        /// The number of the request.
        ticket: EngineTicket,
        /// The room.
        room: RoomName,
        /// The page to read. Where its position is of another epoch, the page has no publications.
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
    /// The room is followed: what comes next of it is behind this position.
    Followed {
        /// The room.
        room: RoomName,
        /// The position of its newest publication.
        position: LogPosition,
        /// The publications that the home has not had.
        missed: Missed,
    },
    /// A publication of a room that is followed.
    Entry {
        /// The room.
        room: RoomName,
        /// The publication.
        publication: Arc<Publication>,
    },
    /// A draft was appended.
    Appended {
        /// The number of the request.
        ticket: EngineTicket,
        /// The position of the publication.
        position: LogPosition,
    },
    /// A page of a log.
    Read {
        /// The number of the request.
        ticket: EngineTicket,
        /// The room.
        room: RoomName,
        /// The page. Its position is that of the newest publication, whether the page has that or not.
        page: LogPage,
    },
}

/// Identifies a request among those whose answer has not come. It means something only to who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EngineTicket(pub u64);

/// The publications after the position that a home follows a room since.
#[derive(Clone, Debug)]
pub enum Missed {
    /// Nothing was asked for.
    NotAsked,
    /// All of them, in ascending order. Where they exceed the bound of an answer, those up to it, at least one: the last of
    /// them is before the position that is told with it then.
    All(Vec<Arc<Publication>>),
    /// They are not available: the position names nothing that the log still knows.
    Unknown,
}
