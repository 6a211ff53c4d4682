//! The rooms that the URL of a connection names: those it joins at the start, and those that a later token opens.

use super::Hub;
use crate::connection::pending::{PendingConnect, Reasons};
use crate::error::{Error, ErrorCode};
use crate::ids::Slot;
use crate::names::RoomName;
use crate::policy::access::Operation;
use crate::protocol::CommandId;
use crate::publication::Replay;
use alloc::format;
use alloc::vec::Vec;

impl Hub {
    /// Adds the rooms of the URL to those that a connection starts in, and refuses those that it may not join, until a
    /// later token permits it.
    pub(super) fn add_url_rooms(
        &mut self,
        slot: Slot,
        connect: &mut PendingConnect,
        rooms: &mut Vec<(RoomName, Reasons)>,
    ) {
        let Some(url) = self.conns[slot].protocol.url_rooms() else { return };
        let named = url.named.clone();
        connect.replays.extend(url.replays());
        let mut refused = Vec::new();
        for room in named {
            let placed = rooms.iter_mut().find(|(name, _)| *name == room);
            match (self.permit(slot, &room, Operation::Subscribe), placed) {
                (Ok(()), Some((_, wanted))) => *wanted = wanted.union(Reasons::CLIENT),
                (Ok(()), None) => rooms.push((room, Reasons::CLIENT)),
                // What is to be replayed there is replayed now.
                (Err(_), Some(_)) => refused.push((room, Replay::None)),
                (Err(error), None) => {
                    self.refuse_url_room(slot, &room, &error);
                    let wanted = connect.replays.iter().find(|(name, _)| *name == room);
                    let replay = wanted.map_or(Replay::None, |(_, replay)| replay.clone());
                    refused.push((room, replay));
                }
            }
        }
        if let Some(url) = self.conns[slot].protocol.url_rooms_mut() {
            url.refused = refused;
        }
    }

    /// Keeps a room of the URL for a later token, and tells the client if it has left the room: no other message would.
    pub(super) fn forbid_url_room(&mut self, slot: Slot, room: &RoomName, error: &Error) {
        if self.conns[slot].protocol.url_rooms().is_none() {
            return;
        }
        if !self.registry.has_membership(slot, room) {
            self.refuse_url_room(slot, room, error);
        }
        if let Some(rooms) = self.conns[slot].protocol.url_rooms_mut() {
            rooms.refused.push((room.clone(), Replay::None));
        }
    }

    /// Returns the replay that a client wants of a room that a later token puts it into.
    pub(super) fn wanted_of(&self, slot: Slot, room: &RoomName) -> Replay {
        self.conns[slot].protocol.url_rooms().map_or(Replay::None, |rooms| rooms.replay_of_later(room))
    }

    /// Returns the room that is meant where a client names none.
    pub(super) fn only_url_room(&self, slot: Slot) -> Result<RoomName, Error> {
        match self.conns[slot].protocol.url_rooms().map(|rooms| rooms.named.as_slice()) {
            Some([only]) => Ok(only.clone()),
            _ => Err(Error::new(ErrorCode::BadRequest, "publish must name its room, since the connection has several")),
        }
    }

    /// Tells a client that it is not in a room of its URL, and why.
    fn refuse_url_room(&mut self, slot: Slot, room: &RoomName, error: &Error) {
        let message = format!("{} ({room})", error.message);
        self.fail(slot, &CommandId::NONE, &Error::new(error.code, message));
    }
}
