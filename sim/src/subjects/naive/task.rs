//! The manager's coroutines, with each `await` a point where the world may act: what is not running is an enum of where
//! it stands.

use super::ids::{TaskId, name};
use super::manager::{Manager, Recipients, Version};
use super::python::{Exception, Iteration};
use super::websocket::WebSockets;
use parlor_core::{ConnId, RoomName};
use std::fmt;
use std::sync::Arc;

/// A coroutine that was started by `asyncio.create_task`, between two of its awaits.
#[derive(Clone, Debug)]
pub struct Task {
    id: TaskId,
    text: Arc<str>,
    state: TaskState,
}

#[derive(Clone, Debug)]
enum TaskState {
    /// `send_personal_message`, in its one `await`.
    Personal(ConnId),
    /// In the loop of `send_to_room` or `send_to_user`.
    Sending(Sending),
    /// In the loop of `broadcast` over the rooms, and there in the `send_to_room` that it awaits.
    Broadcasting(Iteration<RoomName>, Option<Sending>),
}

/// `for websocket in …: await websocket.send_text(text)`.
#[derive(Clone, Debug)]
struct Sending {
    to: Recipients,
    members: Iteration<ConnId>,
    /// The one that it waits for.
    at: Option<ConnId>,
    /// Those to whom a send has failed.
    dead: Vec<ConnId>,
}

/// Result of running a coroutine.
pub type CoroutineResult = Result<Ran, Exception>;

/// How a coroutine stopped running that no exception has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ran {
    /// It waits for a socket.
    Suspended,
    /// It is through.
    Returned,
}

/// Result of an `await`; nothing where the coroutine has not come to one.
type Awaited = Option<Result<(), Exception>>;

impl Task {
    /// `send_personal_message(text, websocket)`.
    pub fn personal(id: TaskId, text: Arc<str>, websocket: ConnId) -> Self {
        Self { id, text, state: TaskState::Personal(websocket) }
    }

    /// `send_to_room(room, text)` or `send_to_user(user, text)`; `None` where the first line returns already.
    pub fn send<V: Version>(id: TaskId, text: Arc<str>, to: Recipients, manager: &Manager) -> Option<Self> {
        let sending = Sending::begin::<V>(to, manager)?;
        Some(Self { id, text, state: TaskState::Sending(sending) })
    }

    /// `broadcast(text)`.
    pub fn broadcast(id: TaskId, text: Arc<str>, manager: &Manager) -> Self {
        let rooms = Iteration::over_dict(manager.rooms.keys().cloned());
        Self { id, text, state: TaskState::Broadcasting(rooms, None) }
    }

    /// Runs it from where it stands to its next `await` or its end.
    ///
    /// # Errors
    /// The exception that ends it.
    pub fn run<V: Version>(
        &mut self,
        manager: &mut Manager,
        sockets: &mut WebSockets,
        awaited: Awaited,
    ) -> CoroutineResult {
        let letter = Letter { text: &self.text, sender: self.id };
        match &mut self.state {
            TaskState::Personal(websocket) => match awaited {
                Some(sent) => sent.map(|()| Ran::Returned),
                None => sockets.send_text(*websocket, letter.text, letter.sender).map(|()| Ran::Suspended),
            },
            TaskState::Sending(sending) => sending.run::<V>(manager, sockets, letter, awaited),
            TaskState::Broadcasting(rooms, room) => broadcast::<V>(rooms, room, manager, sockets, letter, awaited),
        }
    }

    /// Whom it is going to send its text, if nothing comes between.
    pub fn plans(&self, manager: &Manager) -> Vec<ConnId> {
        match &self.state {
            TaskState::Personal(_) => vec![],
            TaskState::Sending(sending) => sending.members.rest().copied().collect(),
            TaskState::Broadcasting(rooms, room) => {
                let here = room.iter().flat_map(|sending| sending.members.rest());
                let later = rooms.rest().filter_map(|room| manager.rooms.get(room)).flatten();
                here.chain(later).copied().collect()
            }
        }
    }

    /// The text that it sends.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The call that it is.
    pub fn call(&self) -> String {
        match &self.state {
            TaskState::Personal(_) => "send_personal_message()".into(),
            TaskState::Sending(sending) => sending.to.call(),
            TaskState::Broadcasting(..) => "broadcast()".into(),
        }
    }
}

/// A text and the coroutine that sends it.
#[derive(Clone, Copy)]
struct Letter<'a> {
    text: &'a str,
    sender: TaskId,
}

fn broadcast<V: Version>(
    rooms: &mut Iteration<RoomName>,
    room: &mut Option<Sending>,
    manager: &mut Manager,
    sockets: &mut WebSockets,
    letter: Letter<'_>,
    mut awaited: Awaited,
) -> CoroutineResult {
    loop {
        if let Some(sending) = room
            && sending.run::<V>(manager, sockets, letter, awaited.take())? == Ran::Suspended
        {
            return Ok(Ran::Suspended);
        }
        let Some(next) = rooms.next(manager.rooms.len())? else { return Ok(Ran::Returned) };
        *room = Sending::begin::<V>(Recipients::Room(next), manager);
    }
}

impl Sending {
    /// `if room not in self.rooms: return`, then the head of the loop.
    fn begin<V: Version>(to: Recipients, manager: &Manager) -> Option<Self> {
        let members = V::iterate(manager.members(&to)?);
        Some(Self { to, members, at: None, dead: Vec::new() })
    }

    fn run<V: Version>(
        &mut self,
        manager: &mut Manager,
        sockets: &mut WebSockets,
        letter: Letter<'_>,
        awaited: Awaited,
    ) -> CoroutineResult {
        if let (Some(websocket), Some(Err(_))) = (self.at.take(), awaited) {
            self.dead.push(websocket);
        }
        while let Some(websocket) = self.members.next(manager.members(&self.to).map_or(0, |members| members.len()))? {
            if V::may_send(sockets.get(websocket)) && sockets.send_text(websocket, letter.text, letter.sender).is_ok() {
                self.at = Some(websocket);
                return Ok(Ran::Suspended);
            }
            self.dead.push(websocket);
        }
        V::bury(manager, &self.to, &self.dead)?;
        Ok(Ran::Returned)
    }
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.state {
            TaskState::Personal(websocket) => write!(f, "{} waits for {}", self.call(), name(*websocket)),
            TaskState::Sending(sending) => write!(f, "{sending}"),
            TaskState::Broadcasting(rooms, Some(sending)) => write!(f, "{} in room {rooms}: {sending}", self.call()),
            TaskState::Broadcasting(rooms, None) => write!(f, "{} in room {rooms}", self.call()),
        }
    }
}

impl fmt::Display for Sending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let websocket = self.at.map(name).unwrap_or_default();
        write!(f, "{} waits at member {}, for {websocket}", self.to.call(), self.members)?;
        let list = |ids: Vec<ConnId>| ids.into_iter().map(name).collect::<Vec<_>>().join(", ");
        let rest: Vec<ConnId> = self.members.rest().copied().collect();
        if !rest.is_empty() {
            write!(f, "; then comes {}", list(rest))?;
        }
        if !self.dead.is_empty() {
            write!(f, "; dead: {}", list(self.dead.clone()))?;
        }
        Ok(())
    }
}
