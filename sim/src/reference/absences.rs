//! Absences: a user whose connection has ended stays listed where the rules of the room say so.

use super::membership::{Departure, ExpectedAbsence, MembershipEvent};
use super::model::ReferenceModel;
use super::names::user_text;
use super::time::nanos;
use crate::goals::Goal;
use serde_json::Value;

impl ReferenceModel {
    /// The user who is absent from a room when this connection ends, if anybody is.
    pub(super) fn absent_after(&self, client: usize, room: usize) -> Option<usize> {
        let user = self.conns[client].as_ref()?.user?;
        (!self.shutting_down && !self.rules[room].presence_grace.is_zero()).then_some(user)
    }

    /// The user who is absent from a room once more when a connection has ended on its way into it.
    pub(super) fn absent_in_vain(&self, info: &Value, room: usize) -> Option<usize> {
        let is_it = |absence: &&ExpectedAbsence| info["user"] == absence.info["user"];
        self.absences_of(room).find(is_it).map(|absence| absence.user).filter(|_| !self.shutting_down)
    }

    /// A connection of this user has ended on its way into a room: the home has it join and leave.
    pub(super) fn join_to_be_absent(&mut self, info: &Value, client: usize, room: usize, user: usize) {
        self.is_back(room, Some(user), None);
        for left in [None, Some(Departure::Ended { user })] {
            self.turn.events.push_back(MembershipEvent { room, client, info: info.clone(), left });
        }
    }

    /// The next of those who came and went. Of several connections of a user that end together, the state after the turn
    /// tells which was the last.
    pub(super) fn next_event(&mut self) -> Option<MembershipEvent> {
        let mut event = self.turn.events.pop_front()?;
        let Some(Departure::Ended { user }) = event.left else { return Some(event) };
        let is_last = |(room, whose, client): &(usize, usize, String)| {
            (*room, *whose) == (event.room, user) && event.info["client"] == **client
        };
        if self.choices.absent.iter().any(is_last) {
            let name = user_text(Some(user));
            let others = &mut self.turn.events;
            if let Some(other) = others.iter_mut().rfind(|other| other.is_leave_of(event.room, &name)) {
                std::mem::swap(&mut event, other);
            }
        }
        Some(event)
    }

    /// A connection has ended, and the home has heard that it is no member any more. Returns whether its user is absent
    /// from now on, as who has no other connection there is.
    pub(super) fn begin_absence(&mut self, event: &MembershipEvent, user: usize) -> bool {
        let MembershipEvent { room, client, ref info, .. } = *event;
        let is_his = |other: &usize| self.conns[*other].as_ref().is_some_and(|conn| conn.user == Some(user));
        let is_leaving = self.turn.events.iter().any(|event| event.is_leave_of(room, &user_text(Some(user))));
        if self.rooms[room].iter().any(is_his) || is_leaving {
            self.goals.reach(Goal::LeftByOneOfSeveral);
            return false;
        }
        // Of those that end together, the state after the turn tells who got the last places.
        let most = self.config.limits.absences;
        let is_its =
            |(of, whose, who): &(usize, usize, String)| (*of, *whose) == (room, user) && info["client"] == **who;
        let is_anothers = self.choices.absent.len() >= most && !self.choices.absent.iter().any(is_its);
        if self.absences.len() >= most || is_anothers {
            self.goals.reach(Goal::AbsenceRefused);
            return false;
        }
        self.goals.reach(Goal::Absent);
        let until = self.clock + nanos(self.rules[room].presence_grace);
        self.absences.push(ExpectedAbsence { room, user, client, info: info.clone(), until });
        true
    }

    /// A user is in a room, and so is not absent from it. `newcomer` is the client that has joined, if it was not there.
    pub(super) fn is_back(&mut self, room: usize, user: Option<usize>, newcomer: Option<usize>) {
        let is_it = |absence: &ExpectedAbsence| absence.room == room && Some(absence.user) == user;
        let Some(at) = self.absences.iter().position(is_it) else { return };
        self.goals.reach(Goal::BackInTime);
        let absence = self.absences.remove(at);
        self.turn.events.push_back(absence.over(newcomer));
    }

    /// Ends the absences that are over.
    pub(super) fn end_absences(&mut self) {
        let clock = self.clock;
        let (over, rest) = std::mem::take(&mut self.absences).into_iter().partition(|absence| absence.until <= clock);
        self.absences = rest;
        let over: Vec<ExpectedAbsence> = over;
        for absence in over {
            self.goals.reach(Goal::AbsenceOver);
            self.turn.events.push_back(absence.over(None));
        }
    }

    /// Whether a user's personal room is occupied.
    pub(super) fn is_online(&self, user: usize) -> bool {
        let room = self.own_room(user);
        !self.rooms[room].is_empty() || self.has_absences(room)
    }

    /// The absences from a room.
    pub(super) fn absences_of(&self, room: usize) -> impl Iterator<Item = &ExpectedAbsence> {
        self.absences.iter().filter(move |absence| absence.room == room)
    }

    /// Whether anybody is absent from a room, of those who have not yet been told to have left.
    pub(super) fn has_absences(&self, room: usize) -> bool {
        let is_over =
            |event: &MembershipEvent| event.room == room && matches!(event.left, Some(Departure::AbsenceOver { .. }));
        self.absences_of(room).next().is_some() || self.turn.events.iter().any(is_over)
    }
}
