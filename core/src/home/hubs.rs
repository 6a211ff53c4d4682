//! The hubs that have members in a room: each is sent what happens there, once.

use crate::node::ShardId;
use alloc::vec::Vec;

/// The number of members in each hub, for the hubs that have any. On a node with one shard it allocates nothing.
#[derive(Clone, Debug, Default, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub(crate) struct Hubs {
    first: Option<(ShardId, u32)>,
    others: Vec<(ShardId, u32)>,
}

impl Hubs {
    /// Counts a member in a hub.
    pub fn count(&mut self, hub: ShardId) {
        if let Some((_, members)) = self.iter_mut().find(|(known, _)| *known == hub) {
            *members += 1;
        } else if self.first.is_none() {
            self.first = Some((hub, 1));
        } else {
            self.others.push((hub, 1));
        }
    }

    /// Takes back the count of a member in a hub.
    pub fn uncount(&mut self, hub: ShardId) {
        let Some((_, members)) = self.iter_mut().find(|(known, _)| *known == hub) else { return };
        *members -= 1;
        if *members == 0 {
            if self.first.is_some_and(|(known, _)| known == hub) {
                self.first = self.others.pop();
            } else {
                self.others.retain(|(known, _)| *known != hub);
            }
        }
    }

    /// Returns the hubs that have a member, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = ShardId> + use<'_> {
        self.counts().map(|(hub, _)| hub)
    }

    /// Returns the hubs with the numbers of their members, in no particular order.
    pub fn counts(&self) -> impl Iterator<Item = (ShardId, u32)> + use<'_> {
        self.first.iter().chain(&self.others).copied()
    }

    fn iter_mut(&mut self) -> impl Iterator<Item = &mut (ShardId, u32)> {
        self.first.iter_mut().chain(&mut self.others)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hub_is_known_from_its_first_member_to_its_last() {
        let mut hubs = Hubs::default();
        let [a, b, c] = [0, 1, 2].map(ShardId::at);
        [a, b, a, c].into_iter().for_each(|hub| hubs.count(hub));
        hubs.uncount(a);
        assert_eq!(hubs.counts().collect::<Vec<_>>(), [(a, 1), (b, 1), (c, 1)]);
        hubs.uncount(a);
        hubs.uncount(b);
        assert_eq!(hubs.iter().collect::<Vec<_>>(), [c]);
        hubs.uncount(c);
        hubs.uncount(c);
        assert_eq!(hubs.iter().count(), 0);
    }
}
