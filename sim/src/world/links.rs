//! Actions on the links between shards, and the goals that only several shards reach.

use super::state::World;
use crate::goals::Goal;
use crate::guarantees::{Failure, Guarantee};
use crate::subjects::subject::{LinkView, LinkWork, Subject};
use crate::world::action::{Client, ShardNumber};
use parlor_core::snapshot::PhaseView;
use parlor_core::{ClientId, Input};

/// Messages that are delivered at once, at most: more of them never end.
const DELIVERIES: usize = 100_000;

impl<S: Subject> World<S> {
    pub(super) fn link(&self, from: ShardNumber, to: ShardNumber) -> LinkView {
        self.subject.link(from.index(), to.index())
    }

    pub(super) fn may_deliver(&self) -> bool {
        let count = usize::try_from(self.setup.shards).expect("a few shards");
        let mut links = (0..count * count).map(|at| self.subject.link(at / count, at % count));
        links.any(|link| link.waiting > 0 && !link.is_held)
    }

    pub(super) fn may_hold(&self, from: ShardNumber, to: ShardNumber) -> bool {
        self.setup.slow_links == 1 && from != to && !self.link(from, to).is_held
    }

    pub(super) fn deliver(&mut self, from: ShardNumber, to: ShardNumber) -> Result<(), Failure> {
        if self.link(from, to).is_old {
            self.reach(Goal::LinkLate);
        }
        self.on_links(LinkWork::Deliver(from.index(), to.index()))
    }

    /// Delivers all that is not held, and what is sent meanwhile: one after the other, since what a room retains is looked at
    /// after each.
    pub(super) fn deliver_all(&mut self) -> Result<(), Failure> {
        for _ in 0..DELIVERIES {
            if !self.may_deliver() {
                return Ok(());
            }
            self.on_links(LinkWork::DeliverNext)?;
        }
        let expected = format_args!("links to be empty after {DELIVERIES} messages");
        Err(Failure::new(Guarantee::G10, expected, "shards send to each other without end"))
    }

    pub(super) fn lose_one(&mut self, shard: ShardNumber) -> Result<(), Failure> {
        let is_here = |world: &Self, client: &Client| {
            world.conn(*client).is_some_and(|conn| world.subject.shard_of(conn) == shard.index())
        };
        let own: Vec<Client> = self.clients().filter(|client| is_here(self, client)).collect();
        let others: Vec<Client> = self.clients().filter(|client| !is_here(self, client)).collect();
        if own.iter().any(|client| self.has_room(*client, true)) {
            self.reach(Goal::ShardLostWithMembers);
        }
        if others.iter().any(|client| self.has_room(*client, false)) {
            self.reach(Goal::ShardLostWhileJoining);
        }
        if self.open_calls.values().any(|of| *of == shard.index()) {
            self.reach(Goal::ShardLostWithCalls);
        }
        let others: Vec<ClientId> = others.iter().filter_map(|client| self.public_id(*client)).collect();
        let members = |world: &Self| {
            let all = world.seen.logs.iter().flat_map(|log| &log.members);
            all.filter(|member| others.contains(member)).count()
        };
        let before = members(self);
        self.on_links(LinkWork::Lose(shard.index()))?;
        if members(self) < before {
            self.reach(Goal::HomeLost);
        }
        Ok(())
    }

    /// Whether this client's connection has a room in which it is a member, or is about to become one.
    fn has_room(&self, client: Client, is_member: bool) -> bool {
        self.view(client).is_some_and(|view| match &view.phase {
            PhaseView::Open { rooms, .. } => rooms.iter().any(|(_, is_confirmed)| *is_confirmed == is_member),
            _ => false,
        })
    }

    /// Marks the goals of an input that comes while something is on its way.
    pub(super) fn note_meanwhile(&mut self, input: &Input) {
        if self.setup.shards == 1 || !self.clients().any(|client| self.has_room(client, false)) {
            return;
        }
        let own = self.clients().find(|client| self.conn(*client).is_some() && self.conn(*client) == input.conn());
        match input {
            Input::Call { .. } => self.reach(Goal::CalledWhileJoining),
            Input::Authenticated { .. } => self.reach(Goal::DecidedWhileJoining),
            Input::PeerClosed { .. } | Input::Lost { .. } if own.is_some_and(|own| self.has_room(own, false)) => {
                self.reach(Goal::LeftWhileJoining);
            }
            Input::Message { message, .. } if message.text().is_some_and(|text| text.contains("unsubscribe")) => {
                self.reach(Goal::LeftWhileJoining)
            }
            _ => {}
        }
    }
}
