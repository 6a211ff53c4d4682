//! Connections of users. A user is a room: a connection becomes a user's when the home of the user's personal room has
//! made it a member, that home decides how many connections a user may have, and commands for the user come from there.

use super::Hub;
use super::gather::Caller;
use super::tickets::Asker;
use crate::api::{Expiry, Position, Reply, Selection};
use crate::close::{CloseCause, CloseReason};
use crate::connection::deadlines::Timer;
use crate::connection::pending::{JoinLeave, JoinReason, NextOfUser, PendingUser, Reasons, Subscribed};
use crate::error::{Error, UnsubscribeReason};
use crate::ids::{ClientId, ClientInfo, Slot};
use crate::limits::Limit;
use crate::link::{HomeRequest, JoinId, Ticket, UserCommand};
use crate::names::{RoomName, UserId};
use crate::protocol::{ServerMessage, Start};
use crate::publication::Replay;
use crate::time::Deadline;
use crate::token::validate::Identity;
use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

impl Hub {
    /// Asks for a place among the connections of the user of a token. What the client says meanwhile waits.
    pub(super) fn ask_for_place(&mut self, slot: Slot, identity: Identity, next: NextOfUser) {
        let (user, info) = (identity.user.clone(), identity.info.clone());
        let room = user.personal_room();
        let info = Arc::new(ClientInfo { client: self.conns[slot].client, user, info, room_info: None });
        let replay = match (self.wanted_of(slot, &room), &next) {
            (Replay::None, NextOfUser::Session(connect)) => connect.replay_of(&room),
            (of_url, _) => of_url,
        };
        let reason = JoinReason::User(Box::new(PendingUser { identity, info, next }));
        match self.conns[slot].protocol.start() {
            Start::OnConnect => self.join(slot, &room, reason, replay, JoinLeave::Untold, None),
            Start::AtOnce => self.server_join(slot, &room, reason, replay),
        }
    }

    /// The connection is the user's from now on.
    pub(super) fn became_users(&mut self, slot: Slot, pending: PendingUser, room: RoomName, subscribed: Subscribed) {
        let PendingUser { identity, info, next } = pending;
        match next {
            NextOfUser::Session(mut connect) => {
                let Some(open) = self.conns[slot].open_mut() else { return };
                open.info = info;
                let (room, subscribed) = connect.add(room, subscribed, &self.config.limits);
                self.registry.was_replayed(slot, room, &subscribed.replay);
                self.begin_session(slot, *connect, Some(identity), None);
            }
            NextOfUser::Renewal { id, opened } => {
                self.renew_with(slot, identity, &id, opened, Some((room, subscribed)));
            }
        }
    }

    /// A connection of the same user was refused, since there are as many as there may be. Who does not answer a ping makes
    /// room before it would without being asked.
    pub(super) fn probe_members(&mut self, room: &RoomName) {
        let members: Vec<Slot> = self.registry.members(room).collect();
        for slot in members {
            if self.conns[slot].ready().is_some() {
                self.send_ping(slot);
            }
        }
    }

    /// A newer connection of the same user has taken the place of the one that was a member of the personal room by this join.
    pub(super) fn displaced(&mut self, room: &RoomName, client: ClientId, join: JoinId) {
        let Some(slot) = self.clients.get(&client).copied() else { return };
        let is_meant = self.registry.membership_joins(slot).any(|(name, own)| name == room && own == join);
        if is_meant {
            self.close_over(slot, Limit::ConnectionsPerUser, CloseCause::UserConnections);
        }
    }

    /// Has a command carried out for the connections of a user, wherever they are.
    pub(super) fn call_user(&mut self, caller: Caller, user: &UserId, command: UserCommand) {
        let room = user.personal_room();
        let ticket = self.ticket(&room, Asker::Call(caller));
        self.requests.push_back(HomeRequest::UserCommand { ticket, room, command: Arc::new(command) });
    }

    /// Carries out a command for the connections of a user in this shard.
    pub(super) fn user_command(&mut self, room: &RoomName, command: &UserCommand, errand: Ticket) {
        let caller = Caller::Home { shard: self.node.home_of(room), errand };
        let result = match command {
            UserCommand::Disconnect { client, whitelist, reason } => {
                let slots = self.selected(room, *client);
                self.disconnect(&slots, whitelist, reason);
                Ok(())
            }
            UserCommand::Subscribe { client, room: to, since } => {
                let slots = self.selected(room, *client);
                match self.subscribe_all(&slots, to, since.as_ref()) {
                    Ok(()) => return self.answer_when_joined(caller, to.clone()),
                    Err(error) => Err(error),
                }
            }
            UserCommand::Unsubscribe { client, room: from } => {
                for slot in self.selected(room, *client) {
                    self.server_unsubscribe(slot, from, UnsubscribeReason::SERVER);
                }
                Ok(())
            }
            UserCommand::Refresh { client, expiry } => {
                self.selected(room, *client).into_iter().for_each(|slot| self.expire(slot, *expiry));
                Ok(())
            }
        };
        self.resolve(caller, result.map(|()| Reply::Done));
    }

    /// Returns the connections of a user that a command names, also those whose `connect` is not answered yet, and those that
    /// join again since their home was lost. O(connections of the user).
    fn selected(&mut self, room: &RoomName, selection: Selection) -> Vec<Slot> {
        self.budget.visit(self.registry.member_count(room));
        let is_named = |slot: &Slot| match selection {
            Selection::All => true,
            Selection::One(client) => self.conns[*slot].client == client,
            Selection::NoMatch => false,
        };
        self.registry.members(room).chain(self.registry.interrupted(room)).filter(is_named).collect()
    }

    fn disconnect(&mut self, slots: &[Slot], whitelist: &[ClientId], reason: &CloseReason) {
        for slot in slots {
            if !whitelist.contains(&self.conns[*slot].client) {
                self.close_with(*slot, CloseCause::Backend, reason.clone());
            }
        }
    }

    /// Puts all of these connections into a room, or none of them. Those in other shards do not count.
    fn subscribe_all(&mut self, slots: &[Slot], room: &RoomName, since: Option<&Position>) -> Result<(), Error> {
        let (there, new): (Vec<Slot>, Vec<Slot>) =
            slots.iter().partition(|slot| self.registry.has_membership(**slot, room));
        new.iter().try_for_each(|slot| self.check_room_count(*slot))?;
        for slot in there {
            self.registry.add_reason(slot, room, Reasons::API);
        }
        for slot in new {
            let replay = since.cloned().map_or(Replay::None, |Position { epoch, offset }| Replay::Since {
                epoch,
                offset,
                or_refuse: false,
            });
            self.server_join(slot, room, JoinReason::ServerSide(Reasons::API), replay);
        }
        Ok(())
    }

    /// Answers once the home of a room has answered all joins that it was asked for: what is published from then on reaches
    /// the new members. A join with a replay that waits for its client to read is not waited for: it misses nothing.
    fn answer_when_joined(&mut self, caller: Caller, room: RoomName) {
        let ticket = self.ticket(&room, Asker::Call(caller));
        self.requests.push_back(HomeRequest::Reach { ticket, room });
    }

    /// Sets the time at which a connection expires, and tells it.
    fn expire(&mut self, slot: Slot, expiry: Expiry) {
        let expire_at = match expiry {
            Expiry::Now => return self.close(slot, CloseCause::Expired),
            Expiry::At(at) => Some(at),
            Expiry::Never => None,
        };
        let until = Deadline::from_option(expire_at.map(|at| self.validator().end_of(at)));
        self.set(slot, Timer::Expiry, until);
        let ttl = expire_at.map(|at| self.validator().time_to(at).as_secs().max(1));
        self.tell(slot, &ServerMessage::Refresh { ttl });
    }
}
