//! The members of each room, as a list of connections, with what the hub knows of the room.

use crate::ids::{Slot, index};
use crate::link::follower::Follower;
use crate::map::{Keys, Map};
use crate::names::RoomName;
use crate::stored::places;
use alloc::vec::Vec;
use slab::Slab;

/// Lists that exist while they have an entry, by room.
#[derive(Clone, Debug, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub(super) struct Groups {
    #[serde(with = "crate::map::in_order")]
    pub by_name: Map<RoomName, u32>,
    #[serde(with = "crate::stored::places")]
    pub groups: Slab<Group>,
    /// The number of places that were ever taken: all groups are at places below it.
    pub places: usize,
}

#[derive(Clone, Debug, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub(super) struct Group {
    pub name: RoomName,
    pub entries: Vec<Entry>,
    /// The number of entries that watch.
    pub watchers: u32,
    /// The position up to which the members have had everything of the room's log.
    pub known: Follower,
}

/// The member's side of a relation: which slot, and which of its memberships.
#[derive(Clone, Copy, Debug, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub(super) struct Entry {
    pub slot: Slot,
    pub membership: u32,
    pub watches: bool,
}

/// The connection's side of a relation: which group, and where in its list.
#[derive(Clone, Copy, Debug, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub(super) struct Link {
    pub group: u32,
    pub at: u32,
}

impl Groups {
    pub fn new(keys: Keys) -> Self {
        Self { by_name: Map::with_hasher(keys), groups: Slab::new(), places: 0 }
    }

    /// Puts the vacant places in the order in which a table that is read has them.
    pub fn settle_places(&mut self) {
        places::put_in_order(&mut self.groups);
    }

    /// Adds an entry. `known` is what is known of a list that begins with it.
    pub fn add(&mut self, name: &RoomName, entry: Entry, known: Follower) -> Link {
        let group = self.find(name).unwrap_or_else(|| {
            let group = Group { name: name.clone(), entries: Vec::new(), watchers: 0, known };
            let group = index(self.groups.insert(group));
            self.by_name.insert(name.clone(), group);
            self.places = self.places.max(group as usize + 1);
            group
        });
        let Group { entries, watchers, .. } = &mut self.groups[group as usize];
        *watchers += u32::from(entry.watches);
        entries.push(entry);
        Link { group, at: index(entries.len() - 1) }
    }

    pub fn set_watches(&mut self, link: Link, watches: bool) {
        let group = &mut self.groups[link.group as usize];
        let entry = &mut group.entries[link.at as usize];
        group.watchers = group.watchers - u32::from(entry.watches) + u32::from(watches);
        entry.watches = watches;
    }

    /// Removes an entry, and the group with its last one. Returns the entry that now stands in its place.
    pub fn remove(&mut self, link: Link) -> Option<Entry> {
        let group = &mut self.groups[link.group as usize];
        let removed = group.entries.swap_remove(link.at as usize);
        group.watchers -= u32::from(removed.watches);
        if group.entries.is_empty() {
            self.by_name.swap_remove(&group.name);
            self.groups.remove(link.group as usize);
            return None;
        }
        group.entries.get(link.at as usize).copied()
    }

    pub fn find(&self, name: &str) -> Option<u32> {
        self.by_name.get(name).copied()
    }

    pub fn of(&self, name: &str) -> &[Entry] {
        self.find(name).map_or(&[], |group| &self.groups[group as usize].entries)
    }

    pub fn name(&self, link: Link) -> &RoomName {
        &self.groups[link.group as usize].name
    }

    pub fn known_mut(&mut self, link: Link) -> &mut Follower {
        &mut self.groups[link.group as usize].known
    }

    pub fn entry(&self, link: Link) -> Entry {
        self.groups[link.group as usize].entries[link.at as usize]
    }

    pub fn entry_mut(&mut self, link: Link) -> &mut Entry {
        &mut self.groups[link.group as usize].entries[link.at as usize]
    }

    pub fn iter(&self) -> impl Iterator<Item = (&RoomName, usize)> {
        self.groups.iter().map(|(_, group)| (&group.name, group.entries.len()))
    }

    pub fn audit(&self) {
        assert_eq!(self.by_name.len(), self.groups.len(), "G3: names and lists are the same ones");
        for (at, group) in &self.groups {
            assert_eq!(self.find(&group.name), Some(index(at)), "G3: a list is found by its name");
            let watchers = group.entries.iter().filter(|entry| entry.watches).count();
            assert_eq!(index(watchers), group.watchers, "G8: those who watch {:?} are counted", group.name);
            assert!(!group.entries.is_empty(), "G3: {:?} is kept though nobody is in it", group.name);
        }
    }
}
