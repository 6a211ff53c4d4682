//! The permissions of connections, as [`access`] decides them by the connection's standing in a room.

use super::Hub;
use super::agenda::Work;
use crate::connection::pending::{JoinLeave, PendingSubscribe, Reasons};
use crate::error::{Error, ErrorCode, UnsubscribeReason};
use crate::ids::Slot;
use crate::names::{RoomName, UserId};
use crate::policy::access::{self, Actor, Operation, Standing};
use crate::policy::capabilities::{Capabilities, Rights};
use crate::publication::Replay;
use alloc::vec::{self, Vec};
use core::cell::Cell;
use core::mem;

impl Hub {
    /// Decides whether a connection may do something in a room.
    ///
    /// # Errors
    /// Returns the refusal, with which the command is answered.
    pub(super) fn permit(&mut self, slot: Slot, room: &RoomName, operation: Operation) -> Result<(), Error> {
        let of_room = self.conns[slot].open().map_or(Rights::NONE, |open| open.granted_by_token_of(room));
        self.permit_with(slot, room, operation, of_room)
    }

    /// Decides whether a connection may join a room as its client asks. `of_room` are the rights of the room token that
    /// came along; an earlier one of the room is over.
    ///
    /// # Errors
    /// Returns the refusal, with which the command is answered.
    pub(super) fn permit_subscribe(
        &mut self,
        slot: Slot,
        asked: &PendingSubscribe,
        of_room: Rights,
    ) -> Result<(), Error> {
        self.permit_with(slot, &asked.room, Operation::Subscribe, of_room)?;
        match asked.join_leave {
            JoinLeave::Told => self.permit_with(slot, &asked.room, Operation::JoinLeave, of_room),
            JoinLeave::Untold => Ok(()),
        }
    }

    /// Decides as [`access`] does. What is compared with a token's patterns counts for the budget of the turn, so that other
    /// commands wait.
    // A decision is not interrupted. The default limits bound one to 700,000 comparisons, 1.5 ms as measured. A plain client
    // has several in one command, for the rooms of its URL: `header_bytes` bounds their names together.
    fn permit_with(&mut self, slot: Slot, room: &RoomName, operation: Operation, of_room: Rights) -> Result<(), Error> {
        self.charged(|hub, compared| {
            let Some(open) = hub.conns[slot].open() else { return Err(ErrorCode::PermissionDenied.into()) };
            let standing = Standing {
                is_member: &|| hub.registry.is_member(slot, room),
                is_user: &|| !open.info.user.is_anonymous(),
                granted: &|| of_room.union(granted(&open.capabilities, room, compared)),
            };
            access::decide(&hub.config, room, Actor::Client(standing), operation)
        })
    }

    /// Counts what a decision compares with a token's patterns for the budget of the turn.
    fn charged<T>(&mut self, decide: impl FnOnce(&Self, &Cell<usize>) -> T) -> T {
        let compared = Cell::new(0);
        let decision = decide(self, &compared);
        self.budget.compare(compared.get());
        decision
    }

    /// Returns the rooms of the URL that were refused so far and that a token of this user with these capabilities permits,
    /// in the order of the URL. O(rooms of the URL).
    pub(super) fn opened_by(
        &mut self,
        slot: Slot,
        user: &UserId,
        capabilities: &Capabilities,
    ) -> Vec<(RoomName, Replay)> {
        let Some(rooms) = self.conns[slot].protocol.url_rooms() else { return Vec::new() };
        let mut refused = rooms.refused.clone();
        refused.sort_by_key(|(room, _)| rooms.named.iter().position(|named| named == room));
        refused.retain(|(room, _)| self.is_opened_by(room, user, capabilities));
        refused
    }

    /// Returns the number of rooms that a new connection with such a token is in from the start.
    pub(super) fn count_first_rooms(
        &mut self,
        slot: Slot,
        user: &UserId,
        channels: &[RoomName],
        capabilities: &Capabilities,
    ) -> usize {
        let of_token = channels.len() + usize::from(!user.is_anonymous());
        let Some(rooms) = self.conns[slot].protocol.url_rooms() else { return of_token };
        let named = rooms.named.iter().filter(|room| !channels.contains(room));
        let named: Vec<RoomName> = named.cloned().collect();
        of_token + named.iter().filter(|room| self.is_opened_by(room, user, capabilities)).count()
    }

    /// Returns `true` when a token of this user with these capabilities permits to join a room.
    fn is_opened_by(&mut self, room: &RoomName, user: &UserId, capabilities: &Capabilities) -> bool {
        self.charged(|hub, compared| {
            let standing = Standing {
                is_member: &|| false,
                is_user: &|| !user.is_anonymous(),
                granted: &|| granted(capabilities, room, compared),
            };
            access::decide(&hub.config, room, Actor::Client(standing), Operation::Subscribe).is_ok()
        })
    }

    /// Begins to end the subscriptions and the presence events of a connection that a later token does not allow any more,
    /// because it lacks the capability that did. A membership that a backend or the token itself wants as well stays.
    pub(super) fn end_forbidden_subscriptions(&mut self, slot: Slot) {
        let rooms: Vec<RoomName> = self.registry.membership_states(slot).map(|(room, _)| room.clone()).collect();
        self.end_forbidden(slot, rooms.into_iter());
    }

    /// Looks at rooms of a connection until the turn has looked at enough, and leaves the others to a later turn: all
    /// patterns of a token may have to be compared with each of them. Until that is done, the connection's messages wait.
    pub(super) fn end_forbidden(&mut self, slot: Slot, mut rooms: vec::IntoIter<RoomName>) {
        while let Some(room) = rooms.next() {
            if self.registry.has_reason(slot, &room, Reasons::CLIENT)
                && let Err(error) = self.permit(slot, &room, Operation::Subscribe)
            {
                self.withdraw_reason(slot, &room, Reasons::CLIENT, UnsubscribeReason::SERVER);
                self.forbid_url_room(slot, &room, &error);
            }
            self.end_forbidden_watch(slot, &room);
            if rooms.len() > 0 && self.has_looked_enough() {
                break;
            }
        }
        let conn = &mut self.conns[slot];
        let id = conn.id;
        let Some(open) = conn.open_mut() else { return };
        let was_unchecked = mem::replace(&mut open.is_unchecked, rooms.len() > 0);
        if open.is_unchecked {
            self.agenda.first(Work::Check { conn: id, rooms });
        } else if was_unchecked {
            self.schedule_waiting(slot);
        }
    }

    /// Ends the presence events of a connection in a room where its tokens do not grant them any more.
    pub(super) fn end_forbidden_watch(&mut self, slot: Slot, room: &RoomName) {
        if self.registry.is_told(slot, room) && self.permit(slot, room, Operation::JoinLeave).is_err() {
            self.registry.set_join_leave(slot, room, JoinLeave::Untold);
        }
    }
}

/// Returns the rights that capabilities grant in a room, and counts what was compared for that.
fn granted(capabilities: &Capabilities, room: &RoomName, compared: &Cell<usize>) -> Rights {
    let (rights, steps) = capabilities.granted(room);
    compared.set(compared.get() + steps);
    rights
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::input::Input;
    use crate::link::HomeRequest;
    use crate::map::Keys;
    use crate::testing::{accept_from_loopback, confirm_join};
    use alloc::rc::Rc;

    /// A home on another node would leave a join under way for longer than a turn.
    #[test]
    fn a_connection_has_the_rights_of_members_once_its_join_is_confirmed() {
        let config = Rc::new(Config::default());
        let mut hub = Hub::new(Rc::clone(&config), Keys(1, 2));
        let conn = accept_from_loopback(&mut hub, &config, 1, "/ws?room=a");
        hub.handle(Input::Upgraded { conn });
        let Some(HomeRequest::Join { room, .. }) = hub.requests.front().cloned() else { panic!("it joins") };
        let may = |hub: &mut Hub| {
            [Operation::Publish, Operation::History, Operation::Presence]
                .map(|operation| hub.permit(conn.slot, &room, operation).is_ok())
        };
        assert_eq!(may(&mut hub), [false; 3], "its join is under way");
        confirm_join(&mut hub);
        assert_eq!(may(&mut hub), [true; 3]);
    }
}
