//! Members of rooms: joining, leaving, and what a client may do in a room.

use super::log::ExpectedReplay;
use super::model::ReferenceModel;
use super::turn::RoomOrUser;
use crate::world::history_request::RecoverFrom;
use crate::world::rules::{Right, SUBSCRIBE};

impl ReferenceModel {
    /// Makes a connection a member and returns what it gets first, or nothing where what it wants cannot be had. `asked`: it
    /// wants to be there itself.
    pub(super) fn join(
        &mut self,
        client: usize,
        room: usize,
        want: &RecoverFrom,
        asked: bool,
    ) -> Option<ExpectedReplay> {
        self.begin_log(room);
        let Some(replay) = self.replay(room, want) else {
            if self.logs[room].as_ref().is_some_and(|log| log.top == 0) && !self.has_members(room) {
                self.drop_log(room);
            }
            return None;
        };
        if !self.has_members(room) {
            self.changes(room, true);
        }
        self.rooms[room].push((client, asked));
        Some(replay)
    }

    /// The client asks for a room that its token has put it into.
    pub(super) fn join_again(&mut self, client: usize, room: usize, want: &RecoverFrom) -> ExpectedReplay {
        self.rooms[room].iter_mut().filter(|(member, _)| *member == client).for_each(|(_, asked)| *asked = true);
        self.replay(room, &want.clone().or_without()).expect("it is no reason to refuse")
    }

    /// Takes a connection out of a room.
    pub(super) fn leave(&mut self, client: usize, room: usize) {
        if self.is_in(client, room) {
            self.rooms[room].retain(|(member, _)| *member != client);
            self.turn.left.push_back(room);
        }
    }

    /// The homes hear of those who have left.
    pub(super) fn settle(&mut self) {
        while let Some(room) = self.turn.left.pop_front() {
            if !self.has_members(room) {
                let clock = self.clock;
                self.logs[room].iter_mut().for_each(|log| log.touched = clock);
                self.end_log(room);
                self.changes(room, false);
            }
        }
    }

    /// A room is occupied or vacated, and with a personal one its user is online or offline.
    fn changes(&mut self, room: usize, began: bool) {
        let user = room.checked_sub(self.own_room(0)).map(RoomOrUser::User);
        self.turn.changes.extend([RoomOrUser::Room(room)].into_iter().chain(user).map(|subject| (subject, began)));
    }

    /// Whether the home knows of members: it hears of who has left after what was asked of it before.
    pub(super) fn has_members(&self, room: usize) -> bool {
        !self.rooms[room].is_empty() || self.turn.left.contains(&room)
    }

    /// Whether a connection has a right in a room, as the README has it where no token grants more.
    pub(super) fn may(&self, client: usize, room: usize, right: Right) -> bool {
        self.rules[room].may(right, false, self.is_in(client, room), false)
    }

    /// Whether a room lets everybody in.
    pub(super) fn lets_in(&self, room: usize) -> bool {
        self.rules[room].may(SUBSCRIBE, false, false, false)
    }
}
