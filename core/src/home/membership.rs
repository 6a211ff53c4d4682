//! The members of rooms: who joins, leaves, is absent for a while, and is listed.

use super::members::{Joining, LeftRoom, LostMember, Member, Members};
use super::{Home, Log};
use crate::config::Config;
use crate::error::{Error, ErrorCode};
use crate::ids::{ClientId, ClientInfo};
use crate::limits::Limit;
use crate::link::{HomeEvent, JoinId, LeaveReason, PresenceQuery, Ticket};
use crate::names::{RoomName, UserId};
use crate::node::ShardId;
use crate::publication::Replayed;
use crate::time::Instant;
use alloc::format;
use alloc::sync::Arc;
use alloc::vec::Vec;

impl Home {
    /// Begins to remove the members of a hub that was lost: their connections have ended. O(n) in the members of all rooms.
    pub fn lose_hub(&mut self, hub: ShardId) {
        let of_log = |log: &Log| {
            let members = log.members.of_hub(hub);
            members.map(|(client, join)| (log.name.clone(), client, join)).collect::<Vec<_>>()
        };
        let mut lost: Vec<_> = self.logs().flat_map(of_log).collect();
        // The order must not depend on that of slots in memory.
        lost.sort_unstable_by(|(room, client, _), (other, another, _)| (room, client).cmp(&(other, another)));
        self.forget_hub(hub);
        for (asker, answer) in self.errands.lose_hub(hub) {
            self.outgoing.tell(asker, answer);
        }
        self.lost.extend(lost.into_iter().map(|(room, client, join)| LostMember { room, hub, client, join }));
    }

    /// Removes one of the members of lost hubs. Returns `false` when there is none.
    pub fn remove_lost_member(&mut self, now: Instant, config: &Config) -> bool {
        let Some(LostMember { room, hub, client, join }) = self.lost.pop_front() else { return false };
        if let Some(left) = self.leave(now, &room, hub, client, join, config) {
            self.begin_absence_or_tell(now, &room, left, LeaveReason::Ended, config);
        }
        true
    }

    /// Returns `true` when there are members of lost hubs.
    pub fn has_lost_members(&self) -> bool {
        !self.lost.is_empty()
    }

    /// Makes a connection a member, if it may be one and can be given what it asks for.
    #[inline]
    pub(super) fn join(&mut self, now: Instant, joining: Joining, config: &Config) -> Result<(), Error> {
        let found = self.may_join(&joining, config)?;
        let (room, replay) = (&joining.room, &joining.replay);
        let (at, replay) = match found {
            Some(at) => (at, self.logs[at as usize].replay(replay, &config.limits, &mut self.recoveries)?),
            None => {
                let log = self.new_log(room);
                let replay = log.replay(replay, &config.limits, &mut self.recoveries)?;
                (self.insert(log), replay)
            }
        };
        self.enter(now, at, joining, replay, config);
        Ok(())
    }

    /// Returns the log of the room, if there is one.
    ///
    /// # Errors
    /// The limit for which the connection cannot be a member.
    // Called, this and `enter` would cost a join 0.2 % of its instructions.
    #[inline(always)]
    pub(super) fn may_join(&mut self, joining: &Joining, config: &Config) -> Result<Option<u32>, Error> {
        let room = &joining.room;
        let found = self.find(room);
        let is_empty = found.is_none_or(|at| self.logs[at as usize].members.is_empty());
        if is_empty && self.with_members >= config.limits.logs && !room.is_of_canary() {
            let words = format!("too many rooms on this node; at most {} may have members", config.limits.logs);
            return Err(Error::limit(ErrorCode::LimitExceeded, Limit::Logs, &words));
        }
        if room.is_reserved() {
            self.admit_to_user(found, room, &joining.member, config)?;
        }
        Ok(found)
    }

    /// Makes a connection that may join a member, at the position of the log, and tells of it.
    #[inline(always)]
    pub(super) fn enter(&mut self, now: Instant, at: u32, joining: Joining, replay: Replayed, config: &Config) {
        let Joining { conn, ticket, mut member, room, .. } = joining;
        let (hub, join, info) = (member.hub, member.join, Arc::clone(&member.info));
        // A newcomer is not told of what was before.
        let former = self.absences.end(&room, &info.user);
        let log = &mut self.logs[at as usize];
        let is_empty = log.members.is_empty();
        member.was_absent = former.is_some();
        let before = log.members.insert(member);
        let is_there = before.as_ref().is_some_and(|before| before.join == join);
        let position = log.position();
        if is_empty {
            self.with_members += usize::from(!room.is_of_canary());
            self.users += usize::from(room.is_reserved());
            self.arm(at, config);
            if former.is_none() && !self.absences.has_room(&room) && !room.is_of_canary() {
                self.outgoing.here.push_back(HomeEvent::Occupied(room.clone()));
            }
        }
        if let Some(former) = former {
            self.departed(&room, Some(at), former);
        }
        if let Some(before) = before.filter(|_| !is_there) {
            // It has left and asked again before its hub knew of the first join, and so before the home hears that it left.
            self.tell_members(at, |room| HomeEvent::MemberLeft { room, member: Arc::clone(&before.info) });
        }
        let (client, name) = (info.client, room.clone());
        self.outgoing.tell(hub, HomeEvent::Joined { ticket, conn, client, join, room: name, position, replay });
        if !is_there {
            self.tell_members(at, |room| HomeEvent::MemberJoined { room, member: Arc::clone(&info) });
        }
        if room.is_reserved() {
            self.displace_oldest(now, &room, config);
        }
    }

    /// Removes the member of this join. Returns it, or `None` when there is no such member.
    pub(super) fn leave(
        &mut self,
        now: Instant,
        room: &RoomName,
        hub: ShardId,
        client: ClientId,
        join: JoinId,
        config: &Config,
    ) -> Option<LeftRoom> {
        let at = self.find(room)?;
        let log = &mut self.logs[at as usize];
        let member = log.members.remove(hub, client, join)?;
        if !log.members.is_empty() {
            return Some(LeftRoom { member, at: Some(at) });
        }
        self.with_members -= usize::from(!room.is_of_canary());
        self.users -= usize::from(room.is_reserved());
        self.touch(now, at);
        self.evict_or_arm(now, at, config);
        Some(LeftRoom { member, at: None })
    }

    /// Tells that a member has left, unless its user is absent from now on. A user who has another member in the room is
    /// there and not absent. Where there is no place for an absence, the user has left: no leave is the reason for another
    /// one.
    pub(super) fn begin_absence_or_tell(
        &mut self,
        now: Instant,
        room: &RoomName,
        LeftRoom { member: Member { info, was_absent, .. }, at }: LeftRoom,
        reason: LeaveReason,
        config: &Config,
    ) {
        let grace = config.policy(room).presence_grace;
        let has_grace = !grace.is_zero() && !info.user.is_anonymous();
        let may_be_absent = has_grace
            && match reason {
                LeaveReason::Left => false,
                LeaveReason::Ended => true,
                LeaveReason::EndedUnconfirmed => was_absent,
            };
        let users_room = at.filter(|_| has_grace);
        let has_other =
            users_room.is_some_and(|at| self.logs[at as usize].members.note_leave(&info.user, may_be_absent));
        let is_to_be_absent = may_be_absent && !has_other;
        if is_to_be_absent && self.absences.len() < config.limits.absences {
            self.absences.begin(room, info, now.after(grace));
        } else {
            self.evictions.absences += u64::from(is_to_be_absent);
            self.departed(room, at, info);
        }
    }

    /// Tells that nobody is listed for this former member any more: the members, or where there are none at `at` and nobody is
    /// absent, that the room is vacated.
    pub(super) fn departed(&mut self, room: &RoomName, at: Option<u32>, member: Arc<ClientInfo>) {
        match at {
            Some(at) => self.tell_members(at, |room| HomeEvent::MemberLeft { room, member: Arc::clone(&member) }),
            None if !self.absences.has_room(room) && !room.is_of_canary() => {
                self.outgoing.here.push_back(HomeEvent::Vacated(room.clone()));
            }
            None => {}
        }
    }

    /// Ends the absence of a user in a room, if there is one, and tells of it.
    pub(super) fn end_absence(&mut self, room: &RoomName, user: &UserId) {
        if let Some(member) = self.absences.end(room, user) {
            let at = self.find(room).filter(|at| !self.logs[*at as usize].members.is_empty());
            self.departed(room, at, member);
        }
    }

    /// Ends one of the absences that are due. Returns `false` when none is.
    pub fn end_due_absence(&mut self, now: Instant) -> bool {
        let Some((room, user)) = self.absences.due(now) else { return false };
        self.end_absence(&room, &user);
        true
    }

    /// Replaces a member's info. Other members are notified only when the user changes: with the same user the room has
    /// the same members as before.
    pub(super) fn rename(&mut self, room: &RoomName, (hub, join): (ShardId, JoinId), info: Arc<ClientInfo>) {
        let found = self.find(room);
        let before = found.and_then(|at| self.logs[at as usize].members.rename(hub, join, &info));
        let Some((at, before)) = found.zip(before) else { return self.rename_joining(room, (hub, join), &info) };
        if before.user != info.user {
            self.end_absence(room, &info.user);
            self.tell_members(at, |room| HomeEvent::MemberLeft { room, member: Arc::clone(&before) });
            self.tell_members(at, |room| HomeEvent::MemberJoined { room, member: Arc::clone(&info) });
        }
    }

    /// Answers a question about the members of a room and the users who are absent from it.
    pub(super) fn presence(&self, ticket: Ticket, room: &RoomName, query: PresenceQuery) -> HomeEvent {
        let members = self.find(room).map(|at| &self.logs[at as usize].members);
        let PresenceQuery::Members { most_bytes } = query else {
            // No user is both absent and a member, so nobody counts twice.
            let absent = self.absences.count(room);
            let (clients, users) = members.map_or((0, 0), |members| (members.len(), members.users()));
            return HomeEvent::PresenceStats { ticket, clients: clients + absent, users: users + absent };
        };
        let least_bytes = members.map_or(0, Members::least_bytes) + self.absences.least_bytes(room);
        let infos = || members.into_iter().flat_map(Members::infos).chain(self.absences.infos(room));
        let fits = least_bytes <= most_bytes;
        HomeEvent::Presence { ticket, members: fits.then(|| infos().map(Arc::clone).collect()) }
    }
}
