//! The common part of both versions of the manager: two dicts, and how a connection gets into them.
//!
//! ```python
//! class ConnectionManager:
//!     def __init__(self):
//!         self.rooms = {}  # the name of a room: a set of websockets
//!         self.users = {}  # the name of a user: a set of websockets
//!
//!     async def connect(self, websocket, room, user):
//!         await websocket.accept()
//!         self.rooms.setdefault(room, set()).add(websocket)
//!         self.users.setdefault(user, set()).add(websocket)
//!
//!     async def send_personal_message(self, text, websocket):
//!         await websocket.send_text(text)
//!
//!     async def broadcast(self, text):
//!         for room in self.rooms:
//!             await self.send_to_room(room, text)
//! ```

use super::python::{Exception, Iteration};
use super::websocket::WebSocket;
use parlor_core::{ConnId, RoomName, UserId};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// A dict of sets.
pub type Dict<Name> = BTreeMap<Name, BTreeSet<ConnId>>;

/// The two dicts.
#[derive(Clone, Debug, Default)]
pub struct Manager {
    /// Who is in a room.
    pub rooms: Dict<RoomName>,
    /// The connections of a user.
    pub users: Dict<UserId>,
}

/// Of whom a text is for everyone.
#[derive(Clone, Debug)]
pub enum Recipients {
    /// A room.
    Room(RoomName),
    /// A user.
    User(UserId),
}

/// The lines in which the two versions differ.
pub trait Version: Clone + Default {
    /// The head of the loop over a set: `for websocket in …`.
    fn iterate(members: &BTreeSet<ConnId>) -> Iteration<ConnId>;
    /// The condition before a send.
    fn may_send(websocket: &WebSocket) -> bool;
    /// The lines after the loop: what becomes of those to whom a send has failed.
    ///
    /// # Errors
    /// The exception that these lines end by.
    fn bury(manager: &mut Manager, group: &Recipients, dead: &[ConnId]) -> Result<(), Exception>;
    /// `disconnect(websocket, room, user)`; without a user only the room counts.
    fn disconnect(manager: &mut Manager, websocket: ConnId, room: &RoomName, user: Option<&UserId>);
}

impl Manager {
    /// The rest of `connect`, once the handshake is through.
    pub fn connect(&mut self, websocket: ConnId, room: &RoomName, user: Option<&UserId>) {
        self.rooms.entry(room.clone()).or_default().insert(websocket);
        if let Some(user) = user {
            self.users.entry(user.clone()).or_default().insert(websocket);
        }
    }

    /// The set that a group is, if it is there.
    #[must_use]
    pub fn members(&self, group: &Recipients) -> Option<&BTreeSet<ConnId>> {
        match group {
            Recipients::Room(room) => self.rooms.get(room),
            Recipients::User(user) => self.users.get(user),
        }
    }

    /// `items[key]`, where `items` is the dict that a group is in.
    ///
    /// # Errors
    /// The `KeyError` where it is not there.
    pub fn members_mut(&mut self, group: &Recipients) -> Result<&mut BTreeSet<ConnId>, Exception> {
        let (members, key) = match group {
            Recipients::Room(room) => (self.rooms.get_mut(room), room.as_str()),
            Recipients::User(user) => (self.users.get_mut(user), user.as_str()),
        };
        members.ok_or_else(|| Exception::KeyError(key.to_owned()))
    }

    /// `del items[key]`.
    pub fn delete(&mut self, group: &Recipients) {
        match group {
            Recipients::Room(room) => drop(self.rooms.remove(room)),
            Recipients::User(user) => drop(self.users.remove(user)),
        }
    }

    /// Whether a connection is in either dict.
    #[must_use]
    pub fn knows(&self, websocket: ConnId) -> bool {
        self.rooms.values().chain(self.users.values()).any(|members| members.contains(&websocket))
    }
}

/// `items[key].remove(websocket)`, and the entry goes with the last one.
pub fn remove<Name: Ord>(dict: &mut Dict<Name>, key: &Name, websocket: ConnId) {
    let Some(members) = dict.get_mut(key) else { return };
    if members.remove(&websocket) && members.is_empty() {
        dict.remove(key);
    }
}

impl Recipients {
    /// The call that sends to it.
    #[must_use]
    pub fn call(&self) -> String {
        match self {
            Self::Room(room) => format!("send_to_room(\"{room}\")"),
            Self::User(user) => format!("send_to_user(\"{user}\")"),
        }
    }
}

impl fmt::Display for Manager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rooms {}  users {}", dict(&self.rooms), dict(&self.users))
    }
}

fn dict<Name: fmt::Display>(dict: &Dict<Name>) -> String {
    let entries = dict.iter().map(|(key, members)| format!("{key}: {}", set(members)));
    format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
}

fn set(members: &BTreeSet<ConnId>) -> String {
    if members.is_empty() {
        return "set()".into();
    }
    let names = members.iter().map(|id| super::ids::name(*id));
    format!("{{{}}}", names.collect::<Vec<_>>().join(", "))
}
