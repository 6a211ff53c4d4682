//! How a connection begins, and in which rooms.

use crate::api::Position;
use crate::names::RoomName;
use crate::publication::Replay;
use alloc::vec::Vec;
use smallvec::SmallVec;

/// The event with which the connection of a client begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// The client says `connect`, and again when it is refused. It is ready when the rooms that it starts in are joined.
    OnConnect,
    /// The connection is open: its token and its rooms are in the URL. The client is ready at once, and may say later who
    /// it is.
    AtOnce,
}

/// The rooms that a URL names.
#[derive(Clone, Debug, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub(crate) struct UrlRooms {
    /// The rooms, each once, in the order of the URL. Most name one: it takes no memory of its own.
    pub named: SmallVec<[RoomName; 1]>,
    /// The positions to recover from; of a room that the URL does not name too, when a token may put the client there.
    since: Vec<(RoomName, Position)>,
    /// The number of newest publications to replay in each room.
    history: usize,
    /// The rooms that the client may not join, each with what is to be replayed when a later token permits it.
    pub refused: Vec<(RoomName, Replay)>,
}

impl UrlRooms {
    /// Creates the list of rooms of a URL, none of which was refused yet.
    pub fn new(named: Vec<RoomName>, since: Vec<(RoomName, Position)>, history: usize) -> Self {
        Self { named: named.into_iter().collect(), since, history, refused: Vec::new() }
    }

    /// Returns what is to be replayed on joining.
    pub fn replays(&self) -> impl Iterator<Item = (RoomName, Replay)> {
        let newest = self.named.iter().filter(|_| self.history > 0);
        let newest = newest.map(|room| (room.clone(), Replay::Last(self.history)));
        self.since.iter().map(|(room, since)| (room.clone(), after(since.clone()))).chain(newest)
    }

    /// Returns what is to be replayed in a room that a later token puts the client into.
    pub fn replay_of_later(&self, room: &RoomName) -> Replay {
        let since = self.since.iter().find(|(name, _)| name == room && name.is_reserved());
        since.map_or(Replay::None, |(_, since)| after(since.clone()))
    }
}

fn after(Position { epoch, offset }: Position) -> Replay {
    Replay::Since { epoch, offset, or_refuse: false }
}
