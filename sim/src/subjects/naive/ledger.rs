//! Figures that Parlor reports and the historic managers never had: logs, events and totals, counted in the simplest way, so
//! that the reference model has nothing to say about them.

use super::manager::Manager;
use parlor_core::api::Position;
use parlor_core::stats::{Gauges, Totals};
use parlor_core::{Change, Effect, Event, RoomName, Stats, UserId};
use std::collections::BTreeMap;

/// A room's log, of which nothing is retained.
#[derive(Clone, Debug)]
pub struct NaiveLog {
    /// Its identity.
    pub epoch: String,
    /// The offset of the newest message.
    pub top: u64,
}

/// Logs and counts.
#[derive(Clone, Debug, Default)]
pub struct NaiveLedger {
    /// One for every entry of the dicts. The personal room of a user is the user's entry.
    pub logs: BTreeMap<RoomName, NaiveLog>,
    /// Everything that only grows.
    pub totals: Totals,
    epochs: u64,
    /// The epochs of logs that are gone and have numbered nothing: it is as if they had stayed.
    quiet: BTreeMap<RoomName, String>,
    events: u64,
    /// The entries of the two dicts after the last turn.
    rooms: Vec<RoomName>,
    users: Vec<UserId>,
}

impl NaiveLedger {
    /// Gives the next message of a room its place; there is none where the room has no member.
    pub fn publish(&mut self, room: &RoomName, is_heard: bool) -> Position {
        self.totals.published += 1;
        let Some(log) = self.logs.get_mut(room).filter(|_| is_heard) else {
            self.quiet.remove(room);
            return Position { epoch: String::new(), offset: 0 };
        };
        log.top += 1;
        self.quiet.remove(room);
        Position { epoch: log.epoch.clone(), offset: log.top }
    }

    /// Reads off the dicts what has come and gone in this turn.
    pub fn keep_up(&mut self, manager: &Manager) -> Vec<Effect> {
        let users: Vec<UserId> = manager.users.keys().cloned().collect();
        let rooms: Vec<RoomName> =
            manager.rooms.keys().cloned().chain(users.iter().map(UserId::personal_room)).collect();
        let mut changes: Vec<Change> = new(&self.rooms, &rooms).map(Change::Occupied).collect();
        changes.extend(new(&rooms, &self.rooms).map(Change::Vacated));
        changes.extend(new(&self.users, &users).map(Change::Online));
        changes.extend(new(&users, &self.users).map(Change::Offline));
        self.logs.retain(|room, _| rooms.contains(room));
        for room in &rooms {
            if !self.logs.contains_key(room) {
                let epoch = self.quiet.get(room).cloned().unwrap_or_else(|| self.new_epoch());
                self.quiet.insert(room.clone(), epoch.clone());
                self.logs.insert(room.clone(), NaiveLog { epoch, top: 0 });
            }
        }
        (self.rooms, self.users) = (rooms, users);
        changes.into_iter().map(|change| self.event(change)).collect()
    }

    /// The gauges that are in the dicts, and all totals.
    pub fn stats(&self, manager: &Manager) -> Stats {
        let members = manager.rooms.values().chain(manager.users.values());
        let gauges = Gauges {
            users: manager.users.len(),
            rooms: self.rooms.len(),
            memberships: members.map(|members| members.len()).sum(),
            logs: self.logs.values().filter(|log| log.top > 0).count(),
            ..Gauges::default()
        };
        Stats { gauges, totals: self.totals.clone() }
    }

    fn event(&mut self, change: Change) -> Effect {
        self.events += 1;
        Effect::Event(Box::new(Event { seq: self.events, change }))
    }

    fn new_epoch(&mut self) -> String {
        self.epochs += 1;
        format!("epoch-{:010}", self.epochs)
    }
}

/// The names that were not there before.
fn new<'a, Name: PartialEq + Clone>(
    before: &'a [Name],
    after: &'a [Name],
) -> impl Iterator<Item = Name> + use<'a, Name> {
    after.iter().filter(|name| !before.contains(name)).cloned()
}
