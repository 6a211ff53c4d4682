//! The defects, and the scope in which each is looked for.
//!
//! All of a service's day is in the scope wherever it can be: clients come, read, die, leave and send what they should
//! not while a backend sends. What is left out of one, or overlooked, is so because another defect would be in the way.

use crate::guarantees::{Guarantee, Guarantees};
use crate::search::hunt::historic_defect::HistoricDefect;
use crate::world::action::{Action, Cause, Client, Farewell, Payload, Room, Rooms, Rule, WriteBudget};
use crate::world::setup::Setup;
use parlor_core::Limit;

const CLIENTS: u8 = 3;

/// Defects of the manager before its fix.
#[must_use]
pub fn v0() -> Vec<HistoricDefect> {
    vec![ghost(), closed_handle(), empty_room(), changed_set()]
}

/// Defects of the manager after its fix.
#[must_use]
pub fn v1() -> Vec<HistoricDefect> {
    vec![ghost(), closed_handle(), stale_user(), changed_dict(), key_error()]
}

/// Every one of them.
#[must_use]
pub fn all() -> Vec<HistoricDefect> {
    vec![ghost(), closed_handle(), empty_room(), changed_set(), stale_user(), changed_dict(), key_error()]
}

/// Text that is not JSON ends an endpoint too, but Parlor answers that and stays open, so that the reference model would speak
/// of the close. Behind a binary message both close, and what is left is the ghost.
fn ghost() -> HistoricDefect {
    HistoricDefect {
        name: "a ghost stays in room and user index when the endpoint raises",
        guarantee: Guarantee::G3,
        sign: "was ended by KeyError: 'text'",
        steps: 2,
        python: "except WebSocketDisconnect: manager.disconnect(…)  # and after any other exception nobody does",
        ..one_room(1)
    }
}

/// The handle that is closed and still sent to is a ghost's, so the hunt overlooks all that a ghost is counted in:
/// memberships, entries, the events that do not come, gauges.
fn closed_handle() -> HistoricDefect {
    let scope = one_room(0);
    let ghostly = Guarantees::of(&[Guarantee::G2, Guarantee::G3, Guarantee::G4, Guarantee::G8]);
    HistoricDefect {
        name: "a send on a closed handle",
        guarantee: Guarantee::G1,
        sign: "after its close",
        steps: 3,
        python: "await websocket.send_text(text)  # v0 looks at no state before it, v1 at client_state alone",
        setup: Setup { overlooked: ghostly, ..scope.setup.clone() },
        ..scope
    }
}

fn empty_room() -> HistoricDefect {
    HistoricDefect {
        name: "an empty room survives",
        guarantee: Guarantee::G3,
        sign: "\"r0\" is empty",
        steps: 3,
        python: "self.rooms[room] -= dead  # and an empty set stays in the dict",
        ..one_room(0)
    }
}

fn changed_set() -> HistoricDefect {
    HistoricDefect {
        name: "a set is changed while it is iterated over, and whoever comes later gets nothing",
        guarantee: Guarantee::G5,
        sign: "Set changed size during iteration",
        steps: 5,
        python: "for websocket in self.rooms[room]: … await websocket.send_text(text)  # others run meanwhile",
        ..one_room(0)
    }
}

/// Endpoints that raise are left out: a ghost is a stale entry of its user too.
fn stale_user() -> HistoricDefect {
    let scope = one_room(1);
    HistoricDefect {
        name: "a user stays whose connection a send has cleaned up",
        guarantee: Guarantee::G3,
        sign: "socket gone; its endpoint has returned",
        steps: 3,
        python: "if websocket not in self.rooms.get(room, ()): return  # and the user's entry is below it",
        actions: scope.actions.into_iter().filter(|action| !matches!(action, Action::Violate(..))).collect(),
        ..scope
    }
}

fn key_error() -> HistoricDefect {
    HistoricDefect {
        name: "a KeyError when the last member dies during a send",
        guarantee: Guarantee::G10,
        sign: "KeyError: 'r0'",
        steps: 3,
        python: "len(self.rooms[room])  # after the loop above it has deleted the room with its last member",
        ..one_room(0)
    }
}

fn changed_dict() -> HistoricDefect {
    HistoricDefect {
        name: "the dict of rooms is changed while it is iterated over, and whole rooms get nothing",
        guarantee: Guarantee::G5,
        sign: "dictionary changed size during iteration",
        steps: 5,
        python: "for room in self.rooms: await self.send_to_room(room, text)  # in broadcast, which was not fixed",
        ..everyone_alone()
    }
}

/// Clients of one room, to which one message is sent.
fn one_room(users: u64) -> HistoricDefect {
    let mut actions = vec![Action::ApiPublish(Room(0), Payload::Small)];
    for client in (0..CLIENTS).map(Client) {
        actions.extend([Action::Enter(client, Rooms(1)), Action::Write(client, WriteBudget::All)]);
        actions.extend([Action::Lose(client, Cause::Eof), Action::Close(client, Farewell::Normal)]);
        actions.push(Action::Violate(client, Rule::Binary));
    }
    scope(1, users, actions)
}

/// Clients in a room each, and one message to all. No client dies: the KeyError ends a `broadcast` too.
fn everyone_alone() -> HistoricDefect {
    let mut actions = vec![Action::ApiPublishAll(Payload::Small)];
    for client in (0..CLIENTS).map(Client) {
        actions.extend([Action::Enter(client, Rooms(1 << client.0)), Action::Write(client, WriteBudget::All)]);
    }
    scope(u64::from(CLIENTS), 0, actions)
}

/// Nothing is retained, since a manager has no history.
fn scope(rooms: u64, users: u64, actions: Vec<Action>) -> HistoricDefect {
    let conns = u64::from(CLIENTS);
    let setup = Setup { conns, rooms, users, messages: 1, ids_repeat: 1, ..Setup::default() };
    let setup = setup.with(Limit::HistoryMessages, 0).with(Limit::LogMemory, 0);
    HistoricDefect { name: "", guarantee: Guarantee::G10, sign: "", steps: 0, python: "", setup, actions }
}
