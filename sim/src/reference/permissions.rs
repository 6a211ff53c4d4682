//! Who may do what in a room, as the README has it: by the rules of the room, and by what tokens grant.

use super::arrival::TokenOutcome;
use super::membership::MembershipReason;
use super::model::ReferenceModel;
use crate::goals::Goal;
use crate::world::history_request::RecoverFrom;
use crate::world::rules::{self, Right};

impl ReferenceModel {
    /// Whether a connection has a right in a room.
    pub(super) fn may(&mut self, client: usize, room: usize, right: Right) -> bool {
        let by_room = self.membership(client, room).and_then(|membership| membership.granted.as_ref());
        let by_room = by_room.is_some_and(|granted| right == rules::SUBSCRIBE || granted.contains(&right));
        self.has_right(client, room, right, by_room)
    }

    fn has_right(&mut self, client: usize, room: usize, right: Right, by_room: bool) -> bool {
        let is_user = self.conns[client].as_ref().expect("it is there").user.is_some();
        self.has_right_as(client, room, right, by_room, is_user)
    }

    fn has_right_as(&mut self, client: usize, room: usize, right: Right, by_room: bool, is_user: bool) -> bool {
        let conn = self.conns[client].as_ref().expect("it is there");
        let by_caps = conn.caps.iter().any(|capability| capability.grants(right, &self.names[room]));
        let is_member = self.rooms[room].contains(&client);
        let may = self.rules[room].may(right, by_room || by_caps, is_member, is_user);
        if may && by_caps && !self.rules[room].may(right, by_room, is_member, is_user) {
            self.goals.reach(Goal::CapabilityUsed);
        }
        may
    }

    /// Why a connection may not join a room as it asks; `by_room` is what the token for the room grants that it has shown.
    pub(super) fn forbidden(
        &mut self,
        client: usize,
        room: usize,
        watches: bool,
        by_room: Option<&[Right]>,
    ) -> Option<u16> {
        if !self.has_right(client, room, rules::SUBSCRIBE, by_room.is_some()) {
            return Some(103);
        }
        if watches && !self.may_watch(client, room, by_room) {
            return Some(103);
        }
        (watches && !self.rules[room].join_leave).then_some(108)
    }

    /// Whether a connection may be told who comes and goes. Only members are, so that it counts as one; `by_room` is what its
    /// token for the room grants.
    fn may_watch(&mut self, client: usize, room: usize, by_room: Option<&[Right]>) -> bool {
        let is_granted = by_room.is_some_and(|granted| granted.contains(&rules::PRESENCE));
        let as_member = self.rules[room].may(rules::PRESENCE, false, true, false);
        as_member || self.has_right(client, room, rules::PRESENCE, is_granted)
    }

    /// Whether a room lets a connection in that shows this token with its request.
    pub(super) fn lets_in(&self, token: &TokenOutcome, room: usize) -> bool {
        let by_caps = token.caps.iter().any(|capability| capability.grants(rules::SUBSCRIBE, &self.names[room]));
        self.rules[room].may(rules::SUBSCRIBE, by_caps, false, token.user.is_some())
    }

    /// The rooms of a client's URL that were refused so far and into which this token lets it, in the order of the URL.
    pub(super) fn opened_by(&self, client: usize, token: &TokenOutcome) -> Vec<(usize, RecoverFrom)> {
        let conn = self.conns[client].as_ref().expect("it is there");
        let mut opened = conn.kept_out.clone();
        opened.retain(|(room, _)| self.lets_in(token, *room));
        opened.sort_by_key(|(room, _)| conn.entry.rooms.iter().position(|of_url| of_url == room));
        opened
    }

    /// Keeps a connection out of these rooms no more.
    pub(super) fn take_opened(&mut self, client: usize, opened: &[(usize, RecoverFrom)]) {
        let conn = self.conns[client].as_mut().expect("it is there");
        conn.kept_out.retain(|(room, _)| opened.iter().all(|(opened, _)| opened != room));
    }

    /// Tells a connection no more who comes and goes, where its tokens do not grant it any more.
    pub(super) fn end_forbidden_watch(&mut self, client: usize, room: usize) {
        let Some(membership) = self.memberships.get(&(room, client)).filter(|membership| membership.watches) else {
            return;
        };
        let by_room = membership.granted.clone();
        let may_watch = self.may_watch(client, room, by_room.as_deref());
        self.memberships.get_mut(&(room, client)).expect("it is there").watches = may_watch;
    }

    /// Takes a connection out of rooms that it has joined by a capability which a later token lacks. Returns whether its outbox
    /// had room for what it is told; `fits` is whether it had for what came before.
    pub(super) fn end_what_capabilities_allowed(
        &mut self,
        client: usize,
        token: &TokenOutcome,
        mut fits: bool,
    ) -> bool {
        self.conns[client].as_mut().expect("it is there").caps.clone_from(&token.caps);
        for room in 0..self.rooms.len() {
            let wanted = self.membership(client, room).map(|membership| membership.wanted.clone()).unwrap_or_default();
            let has_token = self.membership(client, room).is_some_and(|membership| membership.granted.is_some());
            let may_stay = self.has_right_as(client, room, rules::SUBSCRIBE, has_token, token.user.is_some());
            let loses = wanted.contains(&MembershipReason::Client) && !may_stay;
            let is_json = self.is_json(client);
            if loses && !is_json {
                // It is let in again by a token that allows it.
                self.conns[client].as_mut().expect("it is there").kept_out.push((room, RecoverFrom::Nothing));
            }
            if loses && wanted.len() > 1 {
                self.reasons_mut(client, room).expect("it is in it").remove(&MembershipReason::Client);
            }
            if !loses || wanted.len() > 1 {
                self.end_forbidden_watch(client, room);
                continue;
            }
            self.goals.reach(Goal::CapabilityLost);
            self.leave(client, room);
            let told = if is_json {
                self.unsubscribe_push(room, 2000, "server unsubscribe")
            } else {
                self.count_error(client);
                self.plain_error(None, 103)
            };
            fits = fits && self.enqueue(client, told);
        }
        fits
    }
}
