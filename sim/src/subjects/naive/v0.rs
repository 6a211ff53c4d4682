//! The manager before its fix.
//!
//! ```python
//!     def disconnect(self, websocket, room, user):
//!         if websocket in self.rooms.get(room, ()):
//!             self.rooms[room].remove(websocket)
//!             if not self.rooms[room]:
//!                 del self.rooms[room]
//!         ...  # the same for the user
//!
//!     async def send_to_room(self, room, text):  # send_to_user is the same over self.users
//!         if room not in self.rooms:
//!             return
//!         dead = set()
//!         for websocket in self.rooms[room]:
//!             try:
//!                 await websocket.send_text(text)
//!             except Exception:
//!                 dead.add(websocket)
//!         self.rooms[room] -= dead
//! ```

use super::manager::{Manager, Recipients, Version, remove};
use super::python::{Exception, Iteration};
use super::websocket::WebSocket;
use parlor_core::{ConnId, RoomName, UserId};
use std::collections::BTreeSet;

/// `naive/v0`.
#[derive(Clone, Debug, Default)]
pub struct BeforeTheFix;

impl Version for BeforeTheFix {
    fn iterate(members: &BTreeSet<ConnId>) -> Iteration<ConnId> {
        Iteration::over_set(members.iter().copied())
    }

    fn may_send(_: &WebSocket) -> bool {
        true
    }

    fn bury(manager: &mut Manager, group: &Recipients, dead: &[ConnId]) -> Result<(), Exception> {
        manager.members_mut(group)?.retain(|websocket| !dead.contains(websocket));
        Ok(())
    }

    fn disconnect(manager: &mut Manager, websocket: ConnId, room: &RoomName, user: Option<&UserId>) {
        remove(&mut manager.rooms, room, websocket);
        if let Some(user) = user {
            remove(&mut manager.users, user, websocket);
        }
    }
}
