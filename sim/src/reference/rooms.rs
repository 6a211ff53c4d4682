//! Members of rooms: joining, leaving, and whether a room may have any.

use super::answer::ApiRefusal;
use super::log::ExpectedReplay;
use super::membership::{Departure, ExpectedMembership};
use super::model::ReferenceModel;
use super::turn::RoomOrUser;
use crate::goals::Goal;
use crate::world::history_request::RecoverFrom;
use parlor_core::Limit;
use serde_json::Value;

impl ReferenceModel {
    /// Makes a connection a member and returns what it gets first, or the error where there is no place for the log or
    /// what it wants cannot be had.
    pub(super) fn join(
        &mut self,
        client: usize,
        room: usize,
        want: &RecoverFrom,
        membership: ExpectedMembership,
    ) -> Result<ExpectedReplay, ApiRefusal> {
        if !self.may_occupy(room) {
            self.hit(Limit::Logs);
            return Err(ApiRefusal::by("logs"));
        }
        self.begin_log(room);
        let Some(replay) = self.replay(room, want) else {
            self.goals.reach(Goal::Unrecoverable);
            if self.logs[room].as_ref().is_some_and(|log| log.top == 0) && !self.has_members(room) {
                self.drop_log(room);
            }
            return Err(ApiRefusal::from(112));
        };
        if self.rooms[room].is_empty() && !self.is_being_left(room) && !self.has_absences(room) {
            self.changes(room, true);
            self.past[room].occupied += 1;
            if self.past[room].occupied > 1 {
                self.goals.reach(Goal::RoomReoccupied);
            }
        }
        self.rooms[room].push(client);
        self.memberships.insert((room, client), membership);
        self.arm_memberships(client);
        let user = self.conns[client].as_ref().and_then(|conn| conn.user);
        self.is_back(room, user, Some(client));
        self.announce_member(room, client, None);
        Ok(replay)
    }

    /// The client asks for a room that its token or a backend has put it into.
    pub(super) fn join_again(
        &mut self,
        client: usize,
        room: usize,
        want: &RecoverFrom,
        membership: ExpectedMembership,
    ) -> ExpectedReplay {
        self.goals.reach(Goal::JoinedAgain);
        let before = self.memberships.remove(&(room, client)).expect("it is there");
        let wanted = &before.wanted | &membership.wanted;
        self.memberships.insert((room, client), ExpectedMembership { wanted, ..membership });
        self.arm_memberships(client);
        self.replay(room, &want.clone().or_without()).expect("it is no reason to refuse")
    }

    /// A connection was closed on its way into a room: the home counts it until it is told.
    pub(super) fn join_in_vain(&mut self, info: &Value, client: usize, room: usize) {
        if !self.may_occupy(room) {
            return;
        }
        self.counted.late_joins += 1;
        if let Some(user) = self.absent_in_vain(info, room) {
            return self.join_to_be_absent(info, client, room, user);
        }
        // A member that leaves it in this turn is there until the home has heard of that.
        if self.rooms[room].is_empty() && !self.is_being_left(room) {
            let user = self.owner_of(room).map(RoomOrUser::User);
            self.turn.flashes.extend([RoomOrUser::Room(room)].into_iter().chain(user));
            // It leaves with those who are settled next.
            self.stamp_vacated(room, self.stamps + 1);
        } else {
            self.announce_in_vain(room, client, info);
        }
    }

    pub(super) fn leave(&mut self, client: usize, room: usize) {
        self.depart(client, room, Departure::Left);
    }

    /// Takes a connection that ends out of a room, from which its user may be absent then.
    pub(super) fn leave_at_end(&mut self, client: usize, room: usize) {
        let user = self.absent_after(client, room);
        self.depart(client, room, user.map_or(Departure::Left, |user| Departure::Ended { user }));
    }

    fn depart(&mut self, client: usize, room: usize, how: Departure) {
        if !self.rooms[room].contains(&client) {
            self.stop_entering(client, room);
            return;
        }
        self.announce_member(room, client, Some(how));
        self.rooms[room].retain(|member| *member != client);
        self.memberships.remove(&(room, client));
        self.arm_memberships(client);
    }

    /// The home has heard that the last member of a room is gone.
    pub(super) fn emptied(&mut self, room: usize) {
        self.stamp_vacated(room, self.stamps);
        self.end_log(room);
    }

    /// Vacates a room without members, unless a user is absent from it.
    pub(super) fn vacate_unless_absent(&mut self, room: usize) {
        if !self.has_absences(room) {
            self.changes(room, false);
        }
    }

    /// A room is occupied or vacated, and with a personal one its user is online or offline.
    fn changes(&mut self, room: usize, began: bool) {
        let user = self.owner_of(room).map(RoomOrUser::User);
        self.turn.changes.extend([RoomOrUser::Room(room)].into_iter().chain(user).map(|subject| (subject, began)));
    }

    /// The user whose personal room this is.
    fn owner_of(&self, room: usize) -> Option<usize> {
        (0..self.users).find(|user| self.own_room(*user) == room)
    }

    /// Whether this room may have a member: so many rooms may.
    fn may_occupy(&self, room: usize) -> bool {
        let others = (0..self.logs.len()).filter(|other| *other != room && self.has_members(*other)).count();
        self.has_members(room) || others < self.config.limits.logs
    }

    /// Whether the home knows of members: it hears of who has left after what was asked of it before.
    pub(super) fn has_members(&self, room: usize) -> bool {
        !self.rooms[room].is_empty() || self.is_being_left(room) || self.turn.flashes.contains(&RoomOrUser::Room(room))
    }
}
