//! The members of one room, the number of their users, and a lower bound of the encoded size of a list of them.

use super::hubs::Hubs;
use crate::ids::{ClientId, ClientInfo, ConnId};
use crate::link::{JoinId, Ticket};
use crate::map::{Keys, Map};
use crate::names::{RoomName, UserId};
use crate::node::ShardId;
use crate::publication::Replay;
use crate::wire::shapes::least_member_bytes;
use alloc::sync::Arc;

/// The members of a room, by client.
#[derive(Clone, Debug, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub(crate) struct Members {
    #[serde(with = "crate::map::in_order")]
    by_client: Map<ClientId, Member>,
    /// The connections of each user in the room; all anonymous connections count as one user.
    #[serde(with = "crate::map::in_order")]
    users: Map<UserId, OfUser>,
    hubs: Hubs,
    /// The lower bound in bytes that [`Members::least_bytes`] returns.
    bytes: usize,
    /// The number of members that there have been, modulo 2^32.
    arrivals: u32,
}

/// The connections of a user in a room.
#[derive(Clone, Copy, Debug, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
struct OfUser {
    count: u32,
    /// `true` when the last of them that left would have begun an absence, had it been alone.
    has_ended: bool,
}

/// A member of a room.
#[derive(Clone, Debug, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub(crate) struct Member {
    /// The user and the info that other members may see.
    pub info: Arc<ClientInfo>,
    /// The hub that has its connection.
    pub hub: ShardId,
    /// The number of the hub's attempt that made it a member.
    pub join: JoinId,
    /// `true` when its join has ended an absence of its user, or has kept one from beginning.
    pub was_absent: bool,
    /// `true` when it was a member before: it is older than all that have come for the first time.
    pub is_return: bool,
    /// Its number among all members that there have been, which [`Members::insert`] gives it.
    arrival: u32,
}

/// A member whose hub was lost.
#[derive(Clone, Debug, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub(crate) struct LostMember {
    pub room: RoomName,
    pub hub: ShardId,
    pub client: ClientId,
    pub join: JoinId,
}

/// A connection that is to become a member of a room, and what it asks for.
#[derive(Clone, Debug)]
pub(crate) struct Joining {
    pub conn: ConnId,
    pub ticket: Ticket,
    pub member: Member,
    pub room: RoomName,
    pub replay: Replay,
}

/// A member that was removed, and the log of its room while others are there.
pub(crate) struct LeftRoom {
    pub member: Member,
    pub at: Option<u32>,
}

impl Member {
    /// Creates a member that is in no list yet.
    pub fn new(info: Arc<ClientInfo>, hub: ShardId, join: JoinId, is_return: bool) -> Self {
        Self { info, hub, join, was_absent: false, is_return, arrival: 0 }
    }
}

impl Members {
    /// Creates an empty list whose hash function has these keys.
    pub fn new(keys: Keys) -> Self {
        Self {
            by_client: Map::with_hasher(keys),
            users: Map::with_hasher(keys),
            hubs: Hubs::default(),
            bytes: 0,
            arrivals: 0,
        }
    }

    /// Adds a member. Returns the member with the same client that it replaces.
    pub fn insert(&mut self, member: Member) -> Option<Member> {
        self.count(&member.info);
        self.hubs.count(member.hub);
        self.arrivals = self.arrivals.wrapping_add(1);
        let member = Member { arrival: self.arrivals, ..member };
        let before = self.by_client.insert(member.info.client, member);
        before.inspect(|before| {
            self.uncount(&before.info);
            self.hubs.uncount(before.hub);
        })
    }

    /// Removes the member of this join of a hub. Returns `None` when the client is not a member by this join.
    pub fn remove(&mut self, hub: ShardId, client: ClientId, join: JoinId) -> Option<Member> {
        self.of_join(hub, client, join)?;
        let mut member = self.by_client.swap_remove(&client)?;
        member.was_absent |= self.uncount(&member.info);
        self.hubs.uncount(hub);
        Some(member)
    }

    /// Replaces the info of the member of this join of a hub. Returns the former info, or `None` when the client is not a
    /// member by this join.
    pub fn rename(&mut self, hub: ShardId, join: JoinId, info: &Arc<ClientInfo>) -> Option<Arc<ClientInfo>> {
        self.of_join(hub, info.client, join)?;
        let member = self.by_client.get_mut(&info.client)?;
        let before = core::mem::replace(&mut member.info, Arc::clone(info));
        self.count(info);
        self.uncount(&before);
        Some(before)
    }

    /// Returns `true` when this client is a member.
    pub fn has(&self, client: ClientId) -> bool {
        self.by_client.contains_key(&client)
    }

    /// Returns `true` when the client of this member is one by a later join of the same hub.
    pub fn has_later(&self, member: &Member) -> bool {
        let known = self.by_client.get(&member.info.client);
        known.is_some_and(|known| known.hub == member.hub && known.join.0 > member.join.0)
    }

    /// Returns the member that has been in the list for the longest, with its hub and its join. O(n) in the members.
    pub fn oldest(&self) -> Option<(ClientId, ShardId, JoinId)> {
        // Since the oldest came, fewer than 2^32 others did.
        let age = |(_, member): &(&ClientId, &Member)| (member.is_return, self.arrivals.wrapping_sub(member.arrival));
        self.by_client.iter().max_by_key(age).map(|(client, member)| (*client, member.hub, member.join))
    }

    /// Returns the hubs that have a member, in no particular order.
    pub fn hubs(&self) -> impl Iterator<Item = ShardId> + use<'_> {
        self.hubs.iter()
    }

    /// Returns the members in a hub, in no particular order.
    pub fn of_hub(&self, hub: ShardId) -> impl Iterator<Item = (ClientId, JoinId)> {
        let of_hub = self.by_client.iter().filter(move |(_, member)| member.hub == hub);
        of_hub.map(|(client, member)| (*client, member.join))
    }

    /// Returns the number of members.
    pub fn len(&self) -> usize {
        self.by_client.len()
    }

    /// Returns `true` when there is no member.
    pub fn is_empty(&self) -> bool {
        self.by_client.is_empty()
    }

    /// Returns the number of users; all anonymous members count as one.
    pub fn users(&self) -> usize {
        self.users.len()
    }

    /// Returns `true` when a connection of this user is a member.
    pub fn has_user(&self, user: &UserId) -> bool {
        self.users.contains_key(user)
    }

    /// Notes that a connection of a user has left, and whether it would have begun an absence, had no other been there. Returns
    /// `false` when no other is there.
    pub fn note_leave(&mut self, user: &UserId, has_ended: bool) -> bool {
        let others = self.users.get_mut(user);
        others.map(|others| others.has_ended = has_ended).is_some()
    }

    /// Returns a lower bound of the bytes of the encoded list of members.
    pub fn least_bytes(&self) -> usize {
        self.bytes
    }

    /// Returns the clients of all members, in no particular order.
    pub fn clients(&self) -> impl Iterator<Item = ClientId> {
        self.by_client.keys().copied()
    }

    /// Returns the infos of all members, in no particular order.
    pub fn infos(&self) -> impl Iterator<Item = &Arc<ClientInfo>> {
        self.by_client.values().map(|member| &member.info)
    }

    /// Asserts that the counts are right. O(n) in the members.
    pub fn audit(&self) {
        let bytes: usize = self.infos().map(|info| least_member_bytes(info)).sum();
        assert_eq!(self.bytes, bytes, "G8: a list of members counts its bytes");
        let connections: usize = self.users.values().map(|of| of.count as usize).sum();
        assert_eq!(connections, self.len(), "G8: connections of a room are counted by user");
        let is_known = |info: &Arc<ClientInfo>| self.users.get(&info.user).is_some_and(|of| of.count > 0);
        assert!(self.infos().all(is_known), "G8: users of a room are counted");
        let is_counted = |(hub, members): (ShardId, u32)| self.of_hub(hub).count() == members as usize;
        let members: usize = self.hubs.counts().map(|(_, members)| members as usize).sum();
        assert!(members == self.len() && self.hubs.counts().all(is_counted), "G8: members are counted by hub");
    }

    fn of_join(&self, hub: ShardId, client: ClientId, join: JoinId) -> Option<&Member> {
        self.by_client.get(&client).filter(|member| (member.hub, member.join) == (hub, join))
    }

    fn count(&mut self, info: &ClientInfo) {
        self.bytes += least_member_bytes(info);
        match self.users.get_mut(&info.user) {
            Some(of) => of.count += 1,
            None => drop(self.users.insert(info.user.clone(), OfUser { count: 1, has_ended: false })),
        }
    }

    /// Takes back the count of a connection. Returns whether its user would have been absent without it.
    fn uncount(&mut self, info: &ClientInfo) -> bool {
        self.bytes -= least_member_bytes(info);
        let Some(of) = self.users.get_mut(&info.user) else { return false };
        of.count -= 1;
        let OfUser { count, has_ended } = *of;
        if count == 0 {
            self.users.swap_remove(&info.user);
        }
        has_ended
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{audit_finds, client_info};

    const HUB: ShardId = ShardId::FIRST;

    fn member(client: u8, user: &str, join: u64) -> Member {
        let user = if user.is_empty() { UserId::anonymous() } else { UserId::from(user) };
        let info = ClientInfo { user, ..(*client_info(client)).clone() };
        Member::new(Arc::new(info), HUB, JoinId(join), false)
    }

    fn members() -> Members {
        let mut members = Members::new(Keys(1, 2));
        for (client, user) in [(1, "ada"), (2, "ada"), (3, "")] {
            assert!(members.insert(member(client, user, client.into())).is_none());
        }
        members
    }

    #[test]
    fn users_are_counted_from_their_first_connection_to_their_last() {
        let mut members = members();
        assert_eq!((members.len(), members.users()), (3, 2));
        assert!(members.remove(HUB, ClientId([1; 16]), JoinId(9)).is_none(), "another join is not over");
        assert!(members.remove(ShardId::at(1), ClientId([1; 16]), JoinId(1)).is_none(), "it is another hub's join");
        assert!(members.remove(HUB, ClientId([1; 16]), JoinId(1)).is_some());
        members.audit();
        assert_eq!((members.len(), members.users()), (2, 2));
        assert_eq!(
            members.rename(HUB, JoinId(2), &member(2, "", 2).info).expect("it is there").user,
            UserId::from("ada")
        );
        members.audit();
        assert_eq!((members.len(), members.users()), (2, 1), "all the anonymous ones are one");
        assert!(members.insert(member(3, "bob", 4)).is_some(), "it replaces the one that was there");
        members.audit();
        assert_eq!((members.len(), members.users()), (2, 2));
        members.remove(HUB, ClientId([2; 16]), JoinId(2));
        members.remove(HUB, ClientId([3; 16]), JoinId(4));
        members.audit();
        assert!(members.is_empty() && members.users() == 0 && members.least_bytes() == 0);
    }

    #[test]
    fn the_audit_reports_each_broken_invariant() {
        audit_finds(
            members,
            Members::audit,
            &[
                ("G8: a list of members counts its bytes", |members| members.bytes += 1),
                ("G8: connections of a room are counted by user", |members| members.users[0].count += 1),
                ("G8: members are counted by hub", |members| members.hubs.count(ShardId::at(1))),
                ("G8: members are counted by hub", |members| {
                    members.hubs.uncount(HUB);
                    members.hubs.count(ShardId::at(1));
                }),
                ("G8: users of a room are counted", |members| {
                    members.users.swap_remove(&UserId::anonymous());
                    members.users[0].count += 1;
                }),
            ],
        );
    }
}
