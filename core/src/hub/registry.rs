//! The index of memberships: which connections are in which rooms. Both sides of the relation are kept here and nowhere else, each with
//! the index of the other, so that joining and leaving cost the same however large a room is (G2, G3).

use super::groups::{Entry, Groups, Link};
use crate::connection::pending::{JoinLeave, Reasons};
use crate::ids::{Slot, index};
use crate::link::JoinId;
use crate::link::follower::{Follower, Sequence};
use crate::map::{Keys, Map};
use crate::names::RoomName;
use crate::publication::{LogPosition, Publication, Replayed};
use alloc::vec::Vec;
use core::mem;

/// Rooms, by name, with their members, by slot.
#[derive(Clone, Debug, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub(crate) struct Registry {
    rooms: Groups,
    /// The members of personal rooms that join again, since they may have missed something.
    #[serde(with = "crate::map::in_order")]
    interrupted: Map<RoomName, Vec<Slot>>,
    /// The memberships of each slot; empty for a vacant one.
    slots: Vec<Vec<Membership>>,
    /// Confirmed memberships over all rooms.
    confirmed: usize,
}

/// The membership of one connection in one room, or its join.
#[derive(Clone, Debug, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
struct Membership {
    join: JoinId,
    watches: bool,
    wanted: Reasons,
    since: MemberSince,
    state: MembershipState,
}

/// The beginning of a membership.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub(super) struct MemberSince {
    /// The time, in milliseconds since 1970.
    pub unix_ms: u64,
    /// The epoch of the log.
    pub epoch: u64,
    /// The offset that the log had come to.
    pub offset: u64,
    /// The offset of the first publication that the member was sent as missed; 0 when it was sent none.
    pub replayed_from: u64,
    /// The offset that the log had come to when the member changed its filter for events; 0 when it never did.
    pub filter_changed_at: u64,
}

/// A room of a connection, with why it is in it, and where it is a member, since when, and the position up to which it has had
/// everything.
pub(super) type MembershipEntry<'a> = (&'a RoomName, Reasons, Option<(MemberSince, LogPosition)>);

#[derive(Clone, Debug, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
enum MembershipState {
    /// The home has not confirmed it: the connection is no member yet and receives nothing.
    Joining(RoomName),
    /// A member, found at this place of the room's list.
    Member(Link),
}

/// A membership that ended, or an attempt that was given up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Left {
    /// The room.
    pub room: RoomName,
    /// Which join it was.
    pub join: JoinId,
    /// Whether the home had confirmed it.
    pub was_member: bool,
}

impl Registry {
    pub fn new(keys: Keys) -> Self {
        Self { rooms: Groups::new(keys), interrupted: Map::with_hasher(keys), slots: Vec::new(), confirmed: 0 }
    }

    /// Puts the vacant places in the order in which a table that is read has them.
    pub fn settle_places(&mut self) {
        self.rooms.settle_places();
    }

    /// Starts to put a connection into a room. It must not be in it, nor be joining it.
    pub fn begin_join(&mut self, slot: Slot, room: &RoomName, join: JoinId, join_leave: JoinLeave, wanted: Reasons) {
        assert!(self.find_membership(slot, room).is_none(), "G2: a connection is in a room once");
        self.memberships_mut(slot).push(Membership {
            join,
            watches: join_leave == JoinLeave::Told,
            wanted,
            since: MemberSince::default(),
            state: MembershipState::Joining(room.clone()),
        });
    }

    /// Adds a reason for a connection to be in a room, or to go on joining it. False when it does neither.
    pub fn add_reason(&mut self, slot: Slot, room: &str, reason: Reasons) -> bool {
        let Some(at) = self.find_membership(slot, room) else { return false };
        let wanted = &mut self.slots[slot.index()][at].wanted;
        *wanted = wanted.union(reason);
        true
    }

    /// Whether this reason is one of those for which a connection is in a room, or joining it.
    pub fn has_reason(&self, slot: Slot, room: &str, reason: Reasons) -> bool {
        self.find_membership(slot, room).is_some_and(|at| self.slots[slot.index()][at].wanted.intersects(reason))
    }

    /// Changes whether a connection that is in a room, or joining it, is told of its presence events. Returns its join.
    pub fn set_join_leave(&mut self, slot: Slot, room: &str, join_leave: JoinLeave) -> Option<JoinId> {
        let watches = join_leave == JoinLeave::Told;
        let at = self.find_membership(slot, room)?;
        let membership = &mut self.slots[slot.index()][at];
        membership.watches = watches;
        if let MembershipState::Member(link) = membership.state {
            self.rooms.set_watches(link, watches);
        }
        Some(membership.join)
    }

    /// Whether a connection that is in a room, or joining it, is told of its presence events.
    pub fn is_told(&self, slot: Slot, room: &str) -> bool {
        self.find_membership(slot, room).is_some_and(|at| self.slots[slot.index()][at].watches)
    }

    /// Takes a reason back. With the last one the connection is taken out of the room.
    pub fn withdraw_reason(&mut self, slot: Slot, room: &str, reason: Reasons) -> Option<Left> {
        let at = self.find_membership(slot, room)?;
        let wanted = &mut self.slots[slot.index()][at].wanted;
        match wanted.difference(reason) {
            Some(rest) => {
                *wanted = rest;
                None
            }
            None => Some(self.remove_membership(slot, at)),
        }
    }

    /// The reasons for which a connection is in a room, or joining it; none where it does neither.
    pub fn reasons(&self, slot: Slot, room: &str) -> Reasons {
        self.find_membership(slot, room).map_or(Reasons::NONE, |at| self.slots[slot.index()][at].wanted)
    }

    /// The rooms of a connection that have this reason, each with all of its reasons.
    pub fn with_reason(&self, slot: Slot, reason: Reasons) -> impl Iterator<Item = (&RoomName, Reasons)> {
        let wanted = self.memberships_of(slot).iter().filter(move |membership| membership.wanted.intersects(reason));
        wanted.map(|membership| (self.room(membership), membership.wanted))
    }

    /// Makes the connection a member, from this position in the room's log, or leaves it one by the same join. Returns the
    /// position up to which the members before it had everything; `None` when this join was given up.
    pub fn confirm(&mut self, slot: Slot, join: JoinId, position: LogPosition, unix_ms: u64) -> Option<LogPosition> {
        let entry = self.slots.get_mut(slot.index())?;
        let at = entry.iter().position(|membership| membership.join == join)?;
        let room = match &entry[at].state {
            MembershipState::Joining(room) => room,
            MembershipState::Member(link) => return Some(self.rooms.known_mut(*link).position()),
        };
        let member = Entry { slot, membership: index(at), watches: entry[at].watches };
        let link = self.rooms.add(room, member, Follower::at(position));
        Self::has_returned(&mut self.interrupted, room, slot);
        let LogPosition { epoch, offset } = position;
        entry[at].since = MemberSince { unix_ms, epoch, offset, ..MemberSince::default() };
        entry[at].state = MembershipState::Member(link);
        self.confirmed += 1;
        Some(self.rooms.known_mut(link).position())
    }

    /// Records what a member is sent of what it had missed.
    pub fn was_replayed(&mut self, slot: Slot, room: &str, replay: &Replayed) {
        let Some(from) = replay.publications.first().map(|first| first.offset) else { return };
        let Some(at) = self.find_membership(slot, room) else { return };
        let since = &mut self.slots[slot.index()][at].since;
        since.replayed_from = if since.replayed_from == 0 { from } else { since.replayed_from.min(from) };
    }

    /// Records that a connection changes its filter for events: what its rooms have sent it until now went by the one before.
    pub fn filter_changed(&mut self, slot: Slot) {
        let Some(memberships) = self.slots.get_mut(slot.index()) else { return };
        for Membership { since, state, .. } in memberships {
            if let MembershipState::Member(link) = state {
                since.filter_changed_at = self.rooms.known_mut(*link).position().offset;
            }
        }
    }

    /// Sets the position up to which the members of a room have had everything.
    pub fn set_position(&mut self, room: &str, position: LogPosition) {
        if let Some(group) = self.rooms.find(room) {
            self.rooms.groups[group as usize].known = Follower::at(position);
        }
    }

    /// Makes a member one that joins, by another join. Returns the join before.
    pub fn interrupt(&mut self, slot: Slot, room: &str, join: JoinId) -> Option<JoinId> {
        let at = self.find_membership(slot, room)?;
        let MembershipState::Member(link) = self.slots[slot.index()][at].state else { return None };
        let name = self.leave_group(link);
        if name.is_reserved() {
            self.interrupted.entry(name.clone()).or_default().push(slot);
        }
        let state = MembershipState::Joining(name);
        let membership = &mut self.slots[slot.index()][at];
        membership.state = state;
        Some(mem::replace(&mut membership.join, join))
    }

    /// Takes a publication for the members of a room. Returns its relation to what they had, and their list; `None` when
    /// there are none.
    pub fn step(&mut self, room: &str, publication: &Publication) -> Option<(Sequence, u32)> {
        let list = self.rooms.find(room)?;
        Some((self.rooms.groups[list as usize].known.step(publication), list))
    }

    /// Returns the members in a list, in the order in which they are served.
    pub fn listed(&self, list: u32) -> impl ExactSizeIterator<Item = Slot> {
        self.rooms.groups[list as usize].entries.iter().map(|entry| entry.slot)
    }

    /// Returns the position up to which the members of a room have had everything; `None` when there are none.
    pub fn position(&self, room: &str) -> Option<LogPosition> {
        let group = self.rooms.find(room)?;
        Some(self.rooms.groups[group as usize].known.position())
    }

    /// Gives up a join that was refused. Returns who wanted it.
    pub fn give_up(&mut self, slot: Slot, join: JoinId) -> Option<Reasons> {
        let at = self.memberships_of(slot).iter().position(|membership| membership.join == join)?;
        let wanted = self.memberships_of(slot)[at].wanted;
        self.remove_membership(slot, at);
        Some(wanted)
    }

    /// Takes a connection out of a room, or gives up joining it.
    pub fn leave(&mut self, slot: Slot, room: &str) -> Option<Left> {
        let at = self.find_membership(slot, room)?;
        Some(self.remove_membership(slot, at))
    }

    /// Takes a connection out of the room that it joined last. Called until there is none, it empties the slot.
    pub fn leave_one(&mut self, slot: Slot) -> Option<Left> {
        let last = self.membership_count(slot).checked_sub(1)?;
        Some(self.remove_membership(slot, last))
    }

    /// The number of rooms that a connection is in or joining.
    pub fn membership_count(&self, slot: Slot) -> usize {
        self.memberships_of(slot).len()
    }

    /// Whether a connection is in a room or joining it.
    pub fn has_membership(&self, slot: Slot, room: &str) -> bool {
        self.find_membership(slot, room).is_some()
    }

    /// Whether a connection is a member of a room.
    pub fn is_member(&self, slot: Slot, room: &str) -> bool {
        let membership = self.find_membership(slot, room).map(|at| &self.slots[slot.index()][at]);
        membership.is_some_and(|membership| matches!(membership.state, MembershipState::Member(_)))
    }

    /// The rooms of a connection, with whether it is a member yet.
    pub fn membership_states(&self, slot: Slot) -> impl Iterator<Item = (&RoomName, bool)> {
        self.memberships_of(slot)
            .iter()
            .map(|membership| (self.room(membership), matches!(membership.state, MembershipState::Member(_))))
    }

    /// The rooms of a connection, with why it is in each, and whether it is told of presence events there.
    pub fn membership_reasons(&self, slot: Slot) -> impl Iterator<Item = (&RoomName, Reasons, bool)> {
        self.memberships_of(slot)
            .iter()
            .map(|membership| (self.room(membership), membership.wanted, membership.watches))
    }

    /// The rooms that a connection has begun to join last, at most so many, and how many that leaves out.
    pub fn latest_accounts(&self, slot: Slot, most: usize) -> (impl Iterator<Item = MembershipEntry<'_>>, usize) {
        let mut memberships: Vec<&Membership> = self.memberships_of(slot).iter().collect();
        let left_out = memberships.len().saturating_sub(most);
        if left_out > 0 {
            memberships.sort_unstable_by_key(|membership| membership.join.0);
            memberships.drain(..left_out);
        }
        let account = |membership| (self.room(membership), membership.wanted, self.account(membership));
        (memberships.into_iter().map(account), left_out)
    }

    /// Since when a connection is a member of a room, and the position up to which it has had everything; `None` within where it
    /// joins the room, and without where it does neither.
    pub fn account_in(&self, slot: Slot, room: &str) -> Option<Option<(MemberSince, LogPosition)>> {
        self.find_membership(slot, room).map(|at| self.account(&self.slots[slot.index()][at]))
    }

    fn account(&self, membership: &Membership) -> Option<(MemberSince, LogPosition)> {
        match &membership.state {
            MembershipState::Joining(_) => None,
            MembershipState::Member(link) => {
                Some((membership.since, self.rooms.groups[link.group as usize].known.position()))
            }
        }
    }

    /// The members of a room, in the order in which they are served.
    pub fn members(&self, room: &str) -> impl Iterator<Item = Slot> {
        self.rooms.of(room).iter().map(|entry| entry.slot)
    }

    /// The connections that were members of a personal room, and join again since they may have missed something.
    pub fn interrupted(&self, room: &str) -> impl Iterator<Item = Slot> {
        self.interrupted.get(room).into_iter().flatten().copied()
    }

    /// The members of a room that are told who comes and goes.
    pub fn watchers(&self, room: &str) -> impl Iterator<Item = Slot> {
        let watched = self.rooms.find(room).is_some_and(|group| self.rooms.groups[group as usize].watchers > 0);
        let entries = if watched { self.rooms.of(room) } else { &[] };
        entries.iter().filter(|entry| entry.watches).map(|entry| entry.slot)
    }

    /// The rooms that a connection is a member of or joins, each with its join.
    pub fn membership_joins(&self, slot: Slot) -> impl Iterator<Item = (&RoomName, JoinId)> {
        self.memberships_of(slot).iter().map(|membership| (self.room(membership), membership.join))
    }

    /// Rooms with a member, in no order that means anything.
    pub fn rooms(&self) -> impl Iterator<Item = (&RoomName, usize)> {
        self.rooms.iter()
    }

    /// Places in which rooms may be. A room that has members stays in its own.
    pub fn room_slots(&self) -> usize {
        self.rooms.places
    }

    /// The room at an index below [`Registry::room_slots`], and how many members it has.
    pub fn room_at(&self, index: usize) -> Option<(&RoomName, usize)> {
        self.rooms.groups.get(index).map(|group| (&group.name, group.entries.len()))
    }

    /// The number of a room's members.
    pub fn member_count(&self, room: &str) -> usize {
        self.rooms.of(room).len()
    }

    /// Memberships over all rooms.
    pub fn memberships(&self) -> usize {
        self.confirmed
    }

    /// Checks that both sides of every relation agree (G2) and that nothing empty is kept (G3).
    pub fn audit(&self) {
        self.rooms.audit();
        let mut memberships = 0;
        for (slot, entry) in self.slots.iter().enumerate() {
            for (at, membership) in entry.iter().enumerate() {
                assert!(!membership.wanted.is_none(), "G2: a membership has a reason");
                if let MembershipState::Member(link) = membership.state {
                    memberships += 1;
                    let entry = self.rooms.entry(link);
                    assert_eq!(
                        (entry.slot, entry.membership),
                        (Slot::at(slot), index(at)),
                        "G2: a room knows its member"
                    );
                }
            }
        }
        for (room, slots) in &self.interrupted {
            let joins = |slot: &Slot| self.find_membership(*slot, room).is_some() && !self.is_member(*slot, room);
            assert!(
                !slots.is_empty() && slots.iter().all(joins),
                "G3: who joins {room:?} again is known, and nobody else"
            );
        }
        assert_eq!(memberships, self.confirmed, "G8: memberships are counted");
        assert_eq!(
            memberships,
            self.rooms.iter().map(|(_, members)| members).sum::<usize>(),
            "G2: every member knows its room"
        );
    }

    fn memberships_of(&self, slot: Slot) -> &[Membership] {
        self.slots.get(slot.index()).map_or(&[], Vec::as_slice)
    }

    fn room<'a>(&'a self, membership: &'a Membership) -> &'a RoomName {
        match &membership.state {
            MembershipState::Joining(room) => room,
            MembershipState::Member(link) => self.rooms.name(*link),
        }
    }

    fn memberships_mut(&mut self, slot: Slot) -> &mut Vec<Membership> {
        let at = slot.index();
        if self.slots.len() <= at {
            self.slots.resize_with(at + 1, Vec::new);
        }
        let memberships = &mut self.slots[at];
        if memberships.capacity() == 0 {
            // Many connections are in one room for as long as they are there, and room for four would be most of its memory.
            memberships.reserve_exact(1);
        }
        memberships
    }

    fn find_membership(&self, slot: Slot, room: &str) -> Option<usize> {
        let memberships = self.slots.get(slot.index())?;
        let known = self.rooms.find(room);
        memberships.iter().position(|membership| match &membership.state {
            MembershipState::Joining(name) => name.as_str() == room,
            MembershipState::Member(link) => Some(link.group) == known,
        })
    }

    fn remove_membership(&mut self, slot: Slot, at: usize) -> Left {
        let memberships = &mut self.slots[slot.index()];
        let membership = memberships.swap_remove(at);
        if let Some(Membership { state: MembershipState::Member(moved), .. }) = memberships.get(at) {
            self.rooms.entry_mut(*moved).membership = index(at);
        }
        if memberships.is_empty() {
            // A connection that left every room, or ended, gives its memory back.
            *memberships = Vec::new();
        }
        match membership.state {
            MembershipState::Joining(room) => {
                Self::has_returned(&mut self.interrupted, &room, slot);
                Left { room, join: membership.join, was_member: false }
            }
            MembershipState::Member(link) => {
                let room = self.leave_group(link);
                Left { room, join: membership.join, was_member: true }
            }
        }
    }

    /// A connection is a member again, or will never be.
    fn has_returned(interrupted: &mut Map<RoomName, Vec<Slot>>, room: &RoomName, slot: Slot) {
        let Some(slots) = interrupted.get_mut(room) else { return };
        slots.retain(|known| *known != slot);
        if slots.is_empty() {
            interrupted.swap_remove(room);
        }
    }

    /// Takes a member out of the list of its room. Returns the room.
    fn leave_group(&mut self, link: Link) -> RoomName {
        let room = self.rooms.name(link).clone();
        if let Some(moved) = self.rooms.remove(link) {
            self.slots[moved.slot.index()][moved.membership as usize].state = MembershipState::Member(link);
        }
        self.confirmed -= 1;
        room
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::audit_finds;
    use alloc::vec;

    const START: LogPosition = LogPosition { epoch: 7, offset: 0 };

    fn registry() -> Registry {
        Registry::new(Keys(1, 2))
    }

    fn join(registry: &mut Registry, slot: usize, room: &str, number: u64) {
        let slot = Slot::at(slot);
        registry.begin_join(
            slot,
            &RoomName::from(room),
            JoinId(number),
            if number % 2 == 1 { JoinLeave::Told } else { JoinLeave::Untold },
            Reasons::CLIENT,
        );
        assert!(registry.confirm(slot, JoinId(number), START, 0).is_some());
        registry.audit();
    }

    fn members(registry: &Registry, room: &str) -> Vec<usize> {
        registry.members(room).map(Slot::index).collect()
    }

    #[test]
    fn a_room_exists_from_its_first_member_to_its_last() {
        let mut registry = registry();
        registry.begin_join(Slot::at(0), &RoomName::from("a"), JoinId(1), JoinLeave::Told, Reasons::CLIENT);
        assert_eq!(registry.rooms().count(), 0, "who is joining is no member");
        assert!(registry.confirm(Slot::at(0), JoinId(1), START, 0).is_some());
        assert!(registry.confirm(Slot::at(0), JoinId(1), START, 0).is_some(), "it stays a member");
        join(&mut registry, 1, "a", 2);
        assert_eq!(members(&registry, "a"), [0, 1]);
        assert_eq!(registry.memberships(), 2);
        assert!(registry.leave(Slot::at(0), "a").unwrap().was_member);
        assert_eq!(members(&registry, "a"), [1]);
        registry.audit();
        registry.leave(Slot::at(1), "a").unwrap();
        registry.audit();
        assert_eq!(registry.rooms().count(), 0);
    }

    #[test]
    fn an_interrupted_member_joins_again_by_another_join() {
        let mut registry = registry();
        join(&mut registry, 0, "a", 1);
        join(&mut registry, 1, "a", 2);
        assert_eq!(registry.interrupt(Slot::at(0), "a", JoinId(3)), Some(JoinId(1)));
        registry.audit();
        assert_eq!((members(&registry, "a"), registry.has_membership(Slot::at(0), "a")), (vec![1], true));
        assert_eq!(registry.interrupt(Slot::at(0), "a", JoinId(4)), None, "it is no member");
        assert_eq!(registry.confirm(Slot::at(0), JoinId(1), START, 0), None);
        assert!(registry.confirm(Slot::at(0), JoinId(3), START, 0).is_some());
        registry.audit();
        assert_eq!(members(&registry, "a"), [1, 0]);
    }

    #[test]
    fn a_cancelled_join_is_not_confirmed() {
        let mut registry = registry();
        registry.begin_join(Slot::at(0), &RoomName::from("a"), JoinId(1), JoinLeave::Told, Reasons::CLIENT);
        let left = registry.leave(Slot::at(0), "a").unwrap();
        assert_eq!(left, Left { room: RoomName::from("a"), join: JoinId(1), was_member: false });
        assert!(registry.confirm(Slot::at(0), JoinId(1), START, 0).is_none());
        registry.begin_join(Slot::at(0), &RoomName::from("a"), JoinId(2), JoinLeave::Untold, Reasons::CLIENT);
        registry.give_up(Slot::at(0), JoinId(1));
        assert!(registry.has_membership(Slot::at(0), "a"), "another join is not given up");
        registry.give_up(Slot::at(0), JoinId(2));
        assert!(!registry.has_membership(Slot::at(0), "a"));
        assert!(registry.confirm(Slot::at(7), JoinId(1), START, 0).is_none(), "nor for a slot that never was");
        registry.audit();
    }

    #[test]
    fn a_membership_ends_with_the_last_reason_for_it() {
        let mut registry = registry();
        join(&mut registry, 0, "a", 1);
        assert!(
            registry.add_reason(Slot::at(0), "a", Reasons::TOKEN)
                && !registry.add_reason(Slot::at(0), "b", Reasons::TOKEN)
        );
        let wanted = |registry: &Registry, by| {
            registry.with_reason(Slot::at(0), by).map(|(room, all)| (room.clone(), all)).collect::<Vec<_>>()
        };
        let both = Reasons::CLIENT.union(Reasons::TOKEN);
        assert_eq!(wanted(&registry, Reasons::TOKEN), [(RoomName::from("a"), both)]);
        assert_eq!(wanted(&registry, Reasons::API), []);
        assert_eq!(registry.withdraw_reason(Slot::at(0), "a", Reasons::TOKEN), None);
        assert_eq!(registry.withdraw_reason(Slot::at(0), "a", Reasons::TOKEN), None, "it is taken back once");
        assert_eq!(wanted(&registry, Reasons::CLIENT), [(RoomName::from("a"), Reasons::CLIENT)]);
        assert!(
            registry.withdraw_reason(Slot::at(0), "a", Reasons::CLIENT).expect("nobody wants it any more").was_member
        );
        assert_eq!(registry.withdraw_reason(Slot::at(0), "a", Reasons::CLIENT), None);
        registry.begin_join(Slot::at(0), &RoomName::from("b"), JoinId(2), JoinLeave::Untold, Reasons::TOKEN);
        assert!(!registry.withdraw_reason(Slot::at(0), "b", both).expect("nor that it joins").was_member);
        registry.audit();
    }

    #[test]
    fn leaving_keeps_every_index_of_the_remaining_members() {
        let mut registry = registry();
        for (number, (slot, room)) in
            [(0, "a"), (0, "b"), (0, "c"), (1, "a"), (1, "b"), (2, "a")].into_iter().enumerate()
        {
            join(&mut registry, slot, room, number as u64);
        }
        assert_eq!(registry.watchers("a").map(Slot::index).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(registry.membership_joins(Slot::at(1)).map(|(_, join)| join.0).collect::<Vec<_>>(), [3, 4]);
        registry.leave(Slot::at(0), "a").unwrap();
        registry.audit();
        assert_eq!(members(&registry, "a"), [2, 1]);
        assert_eq!(
            registry.membership_states(Slot::at(0)).map(|(room, _)| room.as_str()).collect::<Vec<_>>(),
            ["c", "b"]
        );
        let mut left = vec![];
        while let Some(one) = registry.leave_one(Slot::at(0)) {
            left.push(one.room);
            registry.audit();
        }
        assert_eq!(left, [RoomName::from("b"), RoomName::from("c")]);
        assert_eq!(registry.membership_count(Slot::at(0)), 0);
        assert!(
            registry.is_member(Slot::at(1), "b")
                && !registry.is_member(Slot::at(1), "c")
                && !registry.has_membership(Slot::at(9), "a")
        );
    }

    #[test]
    fn the_audit_reports_each_broken_invariant() {
        let make = || {
            let mut registry = registry();
            join(&mut registry, 0, "a", 1);
            join(&mut registry, 1, "a", 2);
            registry
        };
        audit_finds(
            make,
            Registry::audit,
            &[
                ("G3: names and lists are the same ones", |registry| registry.rooms.by_name.clear()),
                ("G3: a list is found by its name", |registry| registry.rooms.groups[0].name = RoomName::from("b")),
                ("G8: those who watch \"a\" are counted", |registry| registry.rooms.groups[0].watchers += 1),
                ("G3: \"a\" is kept though nobody is in it", |registry| {
                    registry.rooms.groups[0].entries.clear();
                    registry.rooms.groups[0].watchers = 0;
                }),
                ("G2: a room knows its member", |registry| registry.rooms.groups[0].entries.swap(0, 1)),
                ("G2: a room knows its member", |registry| registry.rooms.groups[0].entries[0].membership = 1),
                ("G2: a membership has a reason", |registry| {
                    registry.slots[0][0].wanted = Reasons::NONE;
                }),
                ("G3: who joins \"a\" again is known, and nobody else", |registry| {
                    registry.interrupted.insert(RoomName::from("a"), vec![Slot::at(0)]);
                }),
                ("G8: memberships are counted", |registry| registry.confirmed += 1),
                ("G2: every member knows its room", |registry| {
                    registry.slots[1].clear();
                    registry.confirmed -= 1;
                }),
            ],
        );
    }
}
