//! Calls that concern all connections of the node: each hub carries them out for its own.

use super::Hub;
use super::agenda::Work;
use super::gather::{Caller, Whole};
use super::merge::Merge;
use super::tickets::Asker;
use super::walk::Walk;
use crate::api::json::no_connection;
use crate::api::{Info, Reply};
use crate::close::{CloseCause, CloseReason};
use crate::connection::Phase;
use crate::effect::Effect;
use crate::error::Error;
use crate::ids::ClientId;
use crate::link::{HomeRequest, LinkContent, LinkMessage, NodeCall, Ticket};
use crate::node::ShardId;
use crate::payload::Payload;
use crate::protocol::ServerMessage;
use alloc::boxed::Box;
use alloc::format;

impl Hub {
    /// Has a call carried out by each hub of the node. The answer is made of theirs.
    pub(super) fn call_node(&mut self, caller: Caller, call: NodeCall) {
        let shards = self.node.shards();
        if shards.len() == 1 {
            return self.call_here(caller, call);
        }
        let gather = self.begin_gather(caller, Whole::Node(Merge::of(&call)), shards.len());
        self.call_all(gather, &call);
    }

    /// Has the parts of a call carried out, one by each hub of the node.
    pub(super) fn call_all(&mut self, gather: u64, call: &NodeCall) {
        for (at, shard) in self.node.shards().enumerate() {
            let part = Caller::Part { gather, at };
            if shard == self.shard {
                self.call_here(part, call.clone());
            } else {
                let ticket = self.ticket_of(shard, Asker::Call(part));
                self.send(shard, LinkContent::Call { ticket, call: call.clone() });
            }
        }
    }

    /// Carries out a call for the connections of this shard.
    pub(super) fn call_here(&mut self, caller: Caller, call: NodeCall) {
        let result = match call {
            NodeCall::Send { client, data } => self.send_to(client, &data),
            NodeCall::PublishAll { data } => {
                self.deliver_to_all(&data);
                Ok(Reply::Done)
            }
            NodeCall::Disconnect { client, reason } => {
                self.disconnect_client(client, &reason);
                Ok(Reply::Done)
            }
            NodeCall::Channels { pattern, page } => {
                return self.agenda.first(Work::Walk(Box::new(Walk::rooms(caller, pattern, page))));
            }
            NodeCall::Connections { user, channel, page } => {
                return self.agenda.first(Work::Walk(Box::new(Walk::connections(caller, user, channel, page))));
            }
            NodeCall::FindEnd { id } => return self.find_end(caller, id),
            NodeCall::Revoke(revocation) => return self.revoke(caller, revocation),
            NodeCall::Info => {
                let ticket = self.ticket_of(self.shard, Asker::Call(caller));
                return self.requests.push_back(HomeRequest::Count { ticket, home: self.shard });
            }
        };
        self.resolve(caller, result);
    }

    /// Answers the hub of another shard.
    pub(super) fn answer_hub(&mut self, shard: ShardId, ticket: Ticket, result: Result<Reply, Error>) {
        self.send(shard, LinkContent::Answer { ticket, result });
    }

    /// Returns the counts of this shard, whose home has counted rooms and users.
    pub(super) fn info(&self, rooms: usize, users: usize) -> Info {
        Info {
            node: self.config.node.clone(),
            version: self.config.version.clone(),
            clients: self.states.ready(),
            users,
            anonymous: self.ready_anonymous,
            channels: rooms,
            memberships: self.memberships(),
        }
    }

    #[cold]
    pub(super) fn send(&mut self, to: ShardId, content: LinkContent) {
        self.effects.push(Effect::Link { to, message: LinkMessage(Box::new(content)) });
    }

    fn send_to(&mut self, client: ClientId, data: &Payload) -> Result<Reply, Error> {
        let ready = self.clients.get(&client).filter(|slot| self.conns[**slot].ready().is_some());
        let Some(slot) = ready.copied() else {
            return Err(no_connection(&format!("{client}")));
        };
        self.deliver_to([slot], ServerMessage::Message { data });
        Ok(Reply::Done)
    }

    fn disconnect_client(&mut self, client: ClientId, reason: &CloseReason) {
        let Some(slot) = self.clients.get(&client).copied() else { return };
        if matches!(self.conns[slot].phase, Phase::Handshaking(_) | Phase::Open(_)) {
            self.close_with(slot, CloseCause::Backend, reason.clone());
        }
    }
}
