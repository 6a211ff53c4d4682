//! Users who are absent from rooms after the end of a connection, and so are online without one.

use super::Hub;
use super::registry::Left;
use crate::effect::Change;
use crate::ids::Slot;
use crate::names::{RoomName, UserId};

impl Hub {
    /// Tells the home of a membership that ended with its connection, which was of this user. The user stays listed where
    /// the room's policy says so.
    pub(super) fn left_at_end(&mut self, slot: Slot, left: Left, user: Option<&UserId>) {
        let user = user.filter(|_| left.was_member);
        let absent = user.and_then(|user| self.begin_absence(&left.room, user));
        self.left(slot, left, absent);
    }

    /// Counts an absence of a user from a room, if the room's policy has a grace. Returns who is absent then. Nobody is while
    /// the server shuts down, since nobody can come back.
    pub(super) fn begin_absence(&mut self, room: &RoomName, user: &UserId) -> Option<UserId> {
        if self.drain.is_some() || self.config.policy(room).presence_grace.is_zero() {
            return None;
        }
        *self.absent.entry(user.clone()).or_default() += 1;
        Some(user.clone())
    }

    /// The home has answered a request that asked for an absence: it is over, or has not begun.
    pub(super) fn absence_over(&mut self, user: UserId) {
        let rooms = self.absent.get_mut(&user).expect("G8: absences are counted");
        *rooms -= 1;
        if *rooms == 0 {
            self.absent.swap_remove(&user);
            self.offline_unless_there(user);
        }
    }

    /// Tells that a user is online, with the first connection. A user who was absent meanwhile has been online all the
    /// time.
    pub(super) fn online_unless_absent(&mut self, user: UserId) {
        if !self.absent.contains_key(&user) {
            self.event(Change::Online(user));
        }
    }

    /// Tells that a user is offline who has lost a connection or an absence, if that was the last of both.
    pub(super) fn offline_unless_there(&mut self, user: UserId) {
        if !self.is_online(&user) {
            self.event(Change::Offline(user));
        }
    }

    /// Returns `true` when a user has a connection or an absence.
    pub(super) fn is_online(&self, user: &UserId) -> bool {
        self.registry.connection_count(user) > 0 || self.absent.contains_key(user)
    }
}
