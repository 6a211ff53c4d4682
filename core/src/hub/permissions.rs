//! The permissions of connections, as [`access`] decides them by the connection's standing in a room.

use super::Hub;
use crate::connection::pending::{JoinLeave, PendingSubscribe, Reasons};
use crate::error::{Error, ErrorCode, UnsubscribeReason};
use crate::ids::Slot;
use crate::names::RoomName;
use crate::policy::access::{self, Actor, Operation, Standing};
use crate::policy::capabilities::Rights;
use alloc::vec::Vec;

impl Hub {
    /// Decides whether a connection may do something in a room.
    ///
    /// # Errors
    /// Returns the refusal, with which the command is answered.
    pub(super) fn permit(&self, slot: Slot, room: &RoomName, operation: Operation) -> Result<(), Error> {
        let of_room = || self.conns[slot].open().map_or(Rights::NONE, |open| open.granted_by_token_of(room));
        self.permit_with(slot, room, operation, &of_room)
    }

    /// Decides whether a connection may join a room as its client asks. `of_room` are the rights of the room token that
    /// came along; an earlier one of the room is over.
    ///
    /// # Errors
    /// Returns the refusal, with which the command is answered.
    pub(super) fn permit_subscribe(&self, slot: Slot, asked: &PendingSubscribe, of_room: Rights) -> Result<(), Error> {
        self.permit_with(slot, &asked.room, Operation::Subscribe, &|| of_room)?;
        match asked.join_leave {
            JoinLeave::Told => self.permit_with(slot, &asked.room, Operation::JoinLeave, &|| of_room),
            JoinLeave::Untold => Ok(()),
        }
    }

    fn permit_with(
        &self,
        slot: Slot,
        room: &RoomName,
        operation: Operation,
        of_room: &dyn Fn() -> Rights,
    ) -> Result<(), Error> {
        let Some(open) = self.conns[slot].open() else { return Err(ErrorCode::PermissionDenied.into()) };
        let standing = Standing {
            is_member: &|| self.registry.is_member(slot, room),
            is_user: &|| self.registry.has_user(slot),
            granted: &|| of_room().union(open.capabilities.granted(room)),
        };
        access::decide(&self.config, room, Actor::Client(standing), operation)
    }

    /// Ends the subscriptions and the presence events of a connection that a later token does not allow any more, because
    /// it lacks the capability that did. A membership that a backend or the token itself wants as well stays. O(rooms of
    /// the connection).
    pub(super) fn end_forbidden_subscriptions(&mut self, slot: Slot) {
        let of_client = self.registry.with_reason(slot, Reasons::CLIENT);
        let is_forbidden = |room: &&RoomName| self.permit(slot, room, Operation::Subscribe).is_err();
        let forbidden: Vec<RoomName> = of_client.map(|(room, _)| room).filter(is_forbidden).cloned().collect();
        for room in &forbidden {
            self.withdraw_reason(slot, room, Reasons::CLIENT, UnsubscribeReason::SERVER);
        }
        let rooms: Vec<RoomName> = self.registry.membership_states(slot).map(|(room, _)| room.clone()).collect();
        rooms.iter().for_each(|room| self.end_forbidden_watch(slot, room));
    }

    /// Ends the presence events of a connection in a room where its tokens do not grant them any more.
    pub(super) fn end_forbidden_watch(&mut self, slot: Slot, room: &RoomName) {
        if self.registry.is_told(slot, room) && self.permit(slot, room, Operation::JoinLeave).is_err() {
            self.registry.set_join_leave(slot, room, JoinLeave::Untold);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::input::Input;
    use crate::link::{HomeEvent, HomeRequest};
    use crate::map::Keys;
    use crate::publication::{LogPosition, Replayed};
    use crate::testing::accept_from_loopback;
    use alloc::rc::Rc;

    /// A home on another node would leave a join under way for longer than a turn.
    #[test]
    fn a_connection_has_the_rights_of_members_once_its_join_is_confirmed() {
        let config = Rc::new(Config::default());
        let mut hub = Hub::new(Rc::clone(&config), Keys(1, 2));
        let conn = accept_from_loopback(&mut hub, &config, 1, "/ws?room=a");
        hub.handle(Input::Upgraded { conn });
        let Some(HomeRequest::Join { join, room, member, .. }) = hub.requests.pop_front() else { panic!("it joins") };
        let may = |hub: &Hub| {
            [Operation::Publish, Operation::History, Operation::Presence]
                .map(|operation| hub.permit(conn.slot, &room, operation).is_ok())
        };
        assert_eq!(may(&hub), [false; 3], "its join is under way");
        let (position, replay) = (LogPosition { epoch: 7, offset: 0 }, Replayed::default());
        hub.on_home_event(HomeEvent::Joined { conn, member, join, room: room.clone(), position, replay });
        assert_eq!(may(&hub), [true; 3]);
    }
}
