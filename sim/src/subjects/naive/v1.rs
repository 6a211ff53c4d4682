//! The manager after its fix.
//!
//! ```python
//!     def disconnect(self, websocket, room, user):
//!         if websocket not in self.rooms.get(room, ()):
//!             return  # a send has cleaned up already
//!         self.rooms[room].remove(websocket)
//!         if not self.rooms[room]:
//!             del self.rooms[room]
//!         ...  # the same for the user
//!
//!     async def send_to_room(self, room, text):  # send_to_user is the same over self.users
//!         if room not in self.rooms:
//!             return
//!         dead = []
//!         for websocket in list(self.rooms[room]):
//!             try:
//!                 if websocket.client_state != WebSocketState.CONNECTED:
//!                     raise RuntimeError("not connected")
//!                 await websocket.send_text(text)
//!             except Exception:
//!                 dead.append(websocket)
//!         for websocket in dead:
//!             self.rooms[room].discard(websocket)
//!             if not self.rooms[room]:
//!                 del self.rooms[room]
//!         logger.debug("%s has %d members", room, len(self.rooms[room]))
//! ```

use super::manager::{Manager, Recipients, Version, remove};
use super::python::{Exception, Iteration};
use super::websocket::{State, WebSocket};
use parlor_core::{ConnId, RoomName, UserId};
use std::collections::BTreeSet;

/// `naive/v1`.
#[derive(Clone, Debug, Default)]
pub struct AfterTheFix;

impl Version for AfterTheFix {
    fn iterate(members: &BTreeSet<ConnId>) -> Iteration<ConnId> {
        Iteration::over_copy(members.iter().copied())
    }

    fn may_send(websocket: &WebSocket) -> bool {
        websocket.client_state == State::Connected
    }

    fn bury(manager: &mut Manager, group: &Recipients, dead: &[ConnId]) -> Result<(), Exception> {
        for websocket in dead {
            let members = manager.members_mut(group)?;
            members.remove(websocket);
            if members.is_empty() {
                manager.delete(group);
            }
        }
        manager.members_mut(group).map(|_| ())
    }

    fn disconnect(manager: &mut Manager, websocket: ConnId, room: &RoomName, user: Option<&UserId>) {
        if !manager.rooms.get(room).is_some_and(|members| members.contains(&websocket)) {
            return;
        }
        remove(&mut manager.rooms, room, websocket);
        if let Some(user) = user {
            remove(&mut manager.users, user, websocket);
        }
    }
}
