//! The absences: users whose connection ended lately, and who stay listed in its rooms until `presence_grace` is over or
//! they are back.
//!
//! An absence holds presence and occupancy, and nothing else: it is no member, keeps no log, and no other limit counts it,
//! but for the bytes of a list of members. A user has at most one absence in a room, and none where it has a member.

use crate::ids::ClientInfo;
use crate::map::{Keys, Map};
use crate::names::{RoomName, UserId};
use crate::time::Instant;
use crate::wire::shapes::least_member_bytes;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;

/// The absences of all rooms of a home.
#[derive(Clone, Debug, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub(crate) struct Absences {
    #[serde(with = "crate::map::in_order")]
    rooms: Map<RoomName, RoomAbsences>,
    /// The absences by their end, and those with the same end by their beginning.
    ends: BTreeMap<End, (RoomName, UserId)>,
    /// The number of absences that ever began.
    begun: u64,
    keys: Keys,
}

/// The time at which an absence ends, and its number among all that began.
type End = (Instant, u64);

/// The absences in one room, at least one.
#[derive(Clone, Debug, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
struct RoomAbsences {
    #[serde(with = "crate::map::in_order")]
    users: Map<UserId, Absence>,
    /// A lower bound of the bytes of the encoded list.
    bytes: usize,
}

#[derive(Clone, Debug, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
struct Absence {
    member: Arc<ClientInfo>,
    end: End,
}

impl Absences {
    /// Creates an empty set whose hash function has these keys.
    pub fn new(keys: Keys) -> Self {
        Self { rooms: Map::with_hasher(keys), ends: BTreeMap::new(), begun: 0, keys }
    }

    /// Adds the absence of the user of a former member. The user has none in the room.
    pub fn begin(&mut self, room: &RoomName, member: Arc<ClientInfo>, until: Instant) {
        self.begun += 1;
        let (end, user) = ((until, self.begun), member.user.clone());
        let keys = self.keys;
        let of_room = || RoomAbsences { users: Map::with_hasher(keys), bytes: 0 };
        let of_room = self.rooms.entry(room.clone()).or_insert_with(of_room);
        of_room.bytes += least_member_bytes(&member);
        let before = of_room.users.insert(user.clone(), Absence { member, end });
        assert!(before.is_none(), "G2: a user is absent from a room once");
        self.ends.insert(end, (room.clone(), user));
    }

    /// Ends the absence of a user in a room. Returns the former member, or `None` when there is no such absence.
    pub fn end(&mut self, room: &str, user: &UserId) -> Option<Arc<ClientInfo>> {
        let of_room = self.rooms.get_mut(room)?;
        let Absence { member, end } = of_room.users.swap_remove(user)?;
        of_room.bytes -= least_member_bytes(&member);
        if of_room.users.is_empty() {
            self.rooms.swap_remove(room);
        }
        self.ends.remove(&end);
        Some(member)
    }

    /// Returns the room and the user of the first absence that ends at or before `now`.
    pub fn due(&self, now: Instant) -> Option<(RoomName, UserId)> {
        self.ends.first_key_value().filter(|((until, _), _)| *until <= now).map(|(_, whose)| whose.clone())
    }

    /// Returns the time at which the first absence ends.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.ends.first_key_value().map(|((until, _), _)| *until)
    }

    /// Returns the number of absences in all rooms.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Returns `true` when a user is absent from the room.
    pub fn has_room(&self, room: &str) -> bool {
        self.rooms.contains_key(room)
    }

    /// Returns the number of users who are absent from a room.
    pub fn count(&self, room: &str) -> usize {
        self.rooms.get(room).map_or(0, |of_room| of_room.users.len())
    }

    /// Returns the former members of a room whose users are absent, in no particular order.
    pub fn infos(&self, room: &str) -> impl Iterator<Item = &Arc<ClientInfo>> {
        self.rooms.get(room).into_iter().flat_map(|of_room| of_room.users.values()).map(|absence| &absence.member)
    }

    /// Returns a lower bound of the bytes of the encoded list of a room's former members.
    pub fn least_bytes(&self, room: &str) -> usize {
        self.rooms.get(room).map_or(0, |of_room| of_room.bytes)
    }

    /// Returns the rooms from which users are absent, in no particular order.
    pub fn rooms(&self) -> impl Iterator<Item = &RoomName> {
        self.rooms.keys()
    }

    /// Returns each absence with its room, its former member and its end, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = (&RoomName, &ClientInfo, Instant)> {
        self.rooms.iter().flat_map(|(room, of_room)| {
            of_room.users.values().map(move |absence| (room, &*absence.member, absence.end.0))
        })
    }

    /// Asserts that both sides agree, that counts are right and that nothing empty is kept. O(n) in the absences.
    pub fn audit(&self) {
        let mut count = 0;
        for (room, of_room) in &self.rooms {
            assert!(!of_room.users.is_empty(), "G3: no room is kept without an absence");
            let bytes: usize = of_room.users.values().map(|absence| least_member_bytes(&absence.member)).sum();
            assert_eq!(of_room.bytes, bytes, "G8: a list of absences counts its bytes");
            for (user, absence) in &of_room.users {
                count += 1;
                assert!(!user.is_anonymous(), "G2: only users are absent");
                let whose = self.ends.get(&absence.end);
                assert!(
                    whose.is_some_and(|(of, who)| of == room && who == user && *who == absence.member.user),
                    "G7: an absence ends"
                );
            }
        }
        assert_eq!(self.ends.len(), count, "G3: what ends is an absence");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{audit_finds, client_info};
    use alloc::vec::Vec;

    fn member(client: u8, user: &str) -> Arc<ClientInfo> {
        Arc::new(ClientInfo { user: UserId::from(user), ..(*client_info(client)).clone() })
    }

    fn absences() -> Absences {
        let mut absences = Absences::new(Keys(1, 2));
        for (room, client, user, until) in [("a", 1, "ada", 5), ("a", 2, "bob", 3), ("b", 1, "ada", 3)] {
            absences.begin(&RoomName::from(room), member(client, user), Instant(until));
        }
        absences
    }

    #[test]
    fn the_absence_that_ends_first_comes_first_and_of_two_the_older() {
        let mut absences = absences();
        let mut order = Vec::new();
        assert!(absences.due(Instant(2)).is_none());
        while let Some((room, user)) = absences.due(Instant(5)) {
            assert!(absences.end(&room, &user).is_some());
            absences.audit();
            order.push((room, user));
        }
        let expected = [("a", "bob"), ("b", "ada"), ("a", "ada")];
        assert_eq!(order, expected.map(|(room, user)| (RoomName::from(room), UserId::from(user))));
        assert!(absences.rooms.is_empty() && absences.next_deadline().is_none());
    }

    #[test]
    fn a_room_lists_its_own_absences() {
        let mut absences = absences();
        assert_eq!((absences.count("a"), absences.count("b"), absences.count("c")), (2, 1, 0));
        assert_eq!(absences.infos("b").map(|info| &*info.user).collect::<Vec<_>>(), ["ada"]);
        assert!(absences.end("b", &UserId::from("bob")).is_none(), "it is another room's");
        assert!(absences.end("b", &UserId::from("ada")).is_some());
        assert!(!absences.has_room("b") && absences.has_room("a"));
        assert_eq!(absences.len(), 2);
    }

    #[test]
    fn the_audit_reports_each_broken_invariant() {
        audit_finds(
            absences,
            Absences::audit,
            &[
                ("G3: no room is kept without an absence", |absences| absences.rooms[1].users.clear()),
                ("G8: a list of absences counts its bytes", |absences| absences.rooms[0].bytes += 1),
                ("G2: only users are absent", |absences| {
                    let absence = absences.rooms[1].users[0].clone();
                    absences.rooms[1].users.clear();
                    absences.rooms[1].users.insert(UserId::anonymous(), absence);
                }),
                ("G7: an absence ends", |absences| drop(absences.ends.pop_first())),
                ("G3: what ends is an absence", |absences| {
                    absences.ends.insert((Instant(9), 9), (RoomName::from("a"), UserId::from("ada")));
                }),
            ],
        );
    }
}
