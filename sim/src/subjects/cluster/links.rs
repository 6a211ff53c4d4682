//! The links between shards: first in, first out for each pair, and each as slow as the world will have it.

use crate::subjects::subject::LinkView;
use parlor_core::LinkMessage;
use std::collections::VecDeque;

/// Something on a link.
#[derive(Clone, Debug)]
pub(super) enum Parcel {
    /// A message of the sender.
    Message(LinkMessage),
    /// The sender was lost, with all that it had sent and that had not come.
    Loss,
}

/// The messages from one shard to another.
#[derive(Clone, Debug, Default)]
struct OneWayLink {
    /// Each with the number of ticks before it.
    parcels: VecDeque<(Parcel, u64)>,
    /// It waits until it is let go.
    is_held: bool,
}

/// All links of a node.
#[derive(Clone, Debug)]
pub(super) struct NodeLinks {
    shards: usize,
    links: Vec<OneWayLink>,
    are_slow: bool,
    ticks: u64,
    /// The link that is looked at next.
    next: usize,
}

impl NodeLinks {
    pub(super) fn new(shards: usize, are_slow: bool) -> Self {
        Self { shards, links: vec![OneWayLink::default(); shards * shards], are_slow, ticks: 0, next: 0 }
    }

    fn link(&mut self, from: usize, to: usize) -> &mut OneWayLink {
        &mut self.links[from * self.shards + to]
    }

    /// Sends a message. It is lost where the sender does not know yet that the shard that it knew was lost.
    pub(super) fn send(&mut self, from: usize, to: usize, message: LinkMessage) {
        assert_ne!(from, to, "P1: no link leads from a shard to itself");
        let is_loss = |(parcel, _): &(Parcel, u64)| matches!(parcel, Parcel::Loss);
        if !self.link(to, from).parcels.iter().any(is_loss) {
            let ticks = self.ticks;
            self.link(from, to).parcels.push_back((Parcel::Message(message), ticks));
        }
    }

    /// The next parcel of a link, held or not.
    pub(super) fn take(&mut self, from: usize, to: usize) -> Option<Parcel> {
        self.link(from, to).parcels.pop_front().map(|(parcel, _)| parcel)
    }

    /// The next parcel of any link that is not held, the links one after the other.
    pub(super) fn any(&mut self) -> Option<(usize, usize, Parcel)> {
        let count = self.links.len();
        let order = (0..count).map(|step| (self.next + step) % count);
        let at = order.into_iter().find(|at| !self.links[*at].is_held && !self.links[*at].parcels.is_empty())?;
        self.next = (at + 1) % count;
        let (parcel, _) = self.links[at].parcels.pop_front()?;
        Some((at / self.shards, at % self.shards, parcel))
    }

    /// A shard is lost: what it sent and what was sent to it is dropped, and each other one is to be told.
    pub(super) fn lose(&mut self, shard: usize) {
        let ticks = self.ticks;
        for other in (0..self.shards).filter(|other| *other != shard) {
            self.link(other, shard).parcels.clear();
            let link = self.link(shard, other);
            link.parcels.clear();
            link.parcels.push_back((Parcel::Loss, ticks));
        }
    }

    pub(super) fn hold(&mut self, from: usize, to: usize, is_held: bool) {
        self.link(from, to).is_held = is_held;
    }

    pub(super) fn let_all_go(&mut self) {
        self.links.iter_mut().for_each(|link| link.is_held = false);
    }

    /// From now on all is delivered within the turn.
    pub(super) fn heal(&mut self) {
        self.are_slow = false;
    }

    pub(super) fn tick(&mut self) {
        self.ticks += 1;
    }

    pub(super) fn are_slow(&self) -> bool {
        self.are_slow
    }

    pub(super) fn view(&self, from: usize, to: usize) -> LinkView {
        let OneWayLink { parcels, is_held } = &self.links[from * self.shards + to];
        let is_old = parcels.front().is_some_and(|(_, ticks)| *ticks < self.ticks);
        LinkView { waiting: parcels.len(), is_old, is_held: *is_held }
    }

    pub(super) fn are_empty(&self) -> bool {
        self.links.iter().all(|link| link.parcels.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(links: &NodeLinks, from: usize, to: usize) -> usize {
        links.view(from, to).waiting
    }

    #[test]
    fn a_lost_shard_is_told_to_each_other_and_what_was_on_its_links_is_dropped() {
        let mut links = NodeLinks::new(3, true);
        links.lose(0);
        assert!(matches!(links.take(0, 1), Some(Parcel::Loss)), "in place of what it had sent");
        assert_eq!([waiting(&links, 0, 1), waiting(&links, 0, 2), waiting(&links, 1, 2)], [0, 1, 0]);
        links.lose(0);
        assert_eq!(waiting(&links, 0, 2), 1, "one notice tells of both");
        links.lose(2);
        assert_eq!([waiting(&links, 0, 2), waiting(&links, 2, 0)], [0, 1], "the new one knows nobody");
    }

    #[test]
    fn what_is_held_is_not_delivered_with_the_rest() {
        let mut links = NodeLinks::new(2, true);
        links.lose(0);
        links.hold(0, 1, true);
        assert!(links.any().is_none());
        assert!(!links.view(0, 1).is_old);
        links.tick();
        assert!(links.view(0, 1).is_old && links.view(0, 1).is_held);
        links.let_all_go();
        links.heal();
        assert!(matches!(links.any(), Some((0, 1, Parcel::Loss))));
        assert!(links.are_empty() && !links.are_slow());
    }
}
