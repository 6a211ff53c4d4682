//! The table of connections: each in a slot, under an id that never names another one.

use crate::connection::Conn;
use crate::ids::{ConnId, Slot};
use crate::stored::places;
use alloc::vec::Vec;
use core::ops::{Index, IndexMut};
use slab::Slab;

/// The connections of a shard, by slot.
#[derive(Clone, Debug, Default, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub(super) struct Connections {
    #[serde(with = "crate::stored::places")]
    slots: Slab<Conn>,
    /// The canary, which is no connection of a client: only its id and its slot lead to it.
    canary: Option<ConnId>,
    /// The generation that the next connection of each slot has.
    generations: Vec<u32>,
}

impl Connections {
    /// The number of connections.
    pub fn len(&self) -> usize {
        self.slots.len() - usize::from(self.canary.is_some())
    }

    /// The canary, once there is one.
    pub fn canary(&self) -> Option<ConnId> {
        self.canary
    }

    /// Puts the canary into a vacant slot, for good.
    pub fn insert_canary(&mut self, make: impl FnOnce(ConnId) -> Conn) -> ConnId {
        assert!(self.canary.is_none(), "there is one canary");
        let id = self.insert_with(make);
        self.canary = Some(id);
        id
    }

    /// The index behind that of the last slot that may be occupied.
    pub fn capacity(&self) -> usize {
        self.generations.len()
    }

    /// The connection of this id, unless it has ended.
    #[inline]
    pub fn get(&self, id: ConnId) -> Option<&Conn> {
        self.slots.get(id.slot.index()).filter(|found| found.id == id)
    }

    /// The connection in the slot at this index, if it is occupied.
    pub fn at(&self, index: usize) -> Option<&Conn> {
        self.slots.get(index).filter(|conn| Some(conn.id) != self.canary)
    }

    /// Puts a connection into a vacant slot, made with the id that it gets.
    pub fn insert_with(&mut self, make: impl FnOnce(ConnId) -> Conn) -> ConnId {
        let index = self.slots.vacant_key();
        if self.generations.len() <= index {
            self.generations.push(0);
        }
        let id = ConnId { slot: Slot::at(index), generation: self.generations[index] };
        self.slots.insert(make(id));
        id
    }

    /// Puts the vacant slots in the order in which a table that is read has them.
    pub fn settle_places(&mut self) {
        places::put_in_order(&mut self.slots);
    }

    /// Drops a connection: its slot is vacant, and its id names nothing any more.
    #[inline]
    pub fn remove(&mut self, slot: Slot) {
        let generation = &mut self.generations[slot.index()];
        *generation = generation.wrapping_add(1);
        self.slots.remove(slot.index());
    }

    /// The connections with their slots, in the order of those.
    pub fn iter(&self) -> impl Iterator<Item = (Slot, &Conn)> {
        let conns = self.slots.iter().filter(|(_, conn)| Some(conn.id) != self.canary);
        conns.map(|(index, conn)| (Slot::at(index), conn))
    }

    /// Changes the generation of a slot, which an audit has to find.
    #[cfg(test)]
    pub fn spoil_generation(&mut self, slot: Slot) {
        self.generations[slot.index()] += 1;
    }

    /// Checks that each id is that of its slot's present connection.
    pub fn audit(&self) {
        for (index, conn) in &self.slots {
            let slot = Slot::at(index);
            assert_eq!(conn.id.slot, slot, "G7: an id names its slot");
            assert_eq!(conn.id.generation, self.generations[slot.index()], "G7: an id names the slot's present life");
        }
    }

    /// The connections, in the order of their slots.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Conn> {
        let canary = self.canary;
        self.slots.iter_mut().map(|(_, conn)| conn).filter(move |conn| Some(conn.id) != canary)
    }
}

impl Index<Slot> for Connections {
    type Output = Conn;

    #[inline]
    fn index(&self, slot: Slot) -> &Conn {
        &self.slots[slot.index()]
    }
}

impl IndexMut<Slot> for Connections {
    #[inline]
    fn index_mut(&mut self, slot: Slot) -> &mut Conn {
        &mut self.slots[slot.index()]
    }
}
