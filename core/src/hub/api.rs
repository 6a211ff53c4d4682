//! The calls of backends: each is carried out, or handed to the home, and answered once.

use super::Hub;
use super::agenda::Work;
use super::gather::{Caller, Gather, ReplyBudget};
use super::tickets::Asker;
use super::walk::Walk;
use crate::api::json::no_connection;
use crate::api::{Command, Expiry, HistoryQuery, Info, Message, Position, Reply, Selection};
use crate::close::{CloseCause, CloseReason};
use crate::connection::Phase;
use crate::connection::deadlines::Timer;
use crate::connection::pending::JoinReason;
use crate::connection::pending::Reasons;
use crate::effect::Effect;
use crate::error::{Error, ErrorCode, UnsubscribeReason};
use crate::ids::{ClientId, Slot};
use crate::input::CallId;
use crate::json::Json;
use crate::limits::Limit;
use crate::link::{HomeRequest, PresenceQuery};
use crate::names::{RoomName, UserId};
use crate::policy::access::{self, Actor, Operation};
use crate::protocol::ServerMessage;
use crate::publication::{Draft, Replay};
use crate::time::Deadline;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use alloc::{format, vec};

impl Hub {
    /// Carries out a backend's call. It is answered once, in this turn or when the home has answered.
    pub(super) fn call(&mut self, caller: Caller, command: Command) {
        if let Err(error) = self.reserve(caller, &command) {
            return self.resolve(caller, Err(error));
        }
        let result = match command {
            Command::Publish { channel, message } => return self.call_publish(caller, channel, message),
            Command::PublishUser { user, message } => {
                return self.call_publish(caller, user.personal_room(), message);
            }
            Command::Broadcast { channels, message } => return self.broadcast(caller, channels, message),
            Command::Batch(commands) => return self.batch(caller, commands),
            Command::History { channel, query } => return self.call_history(caller, channel, query),
            Command::HistoryRemove { channel } => {
                let ticket = self.ticket(&channel, Asker::Call(caller));
                return self.requests.push_back(HomeRequest::RemoveHistory { ticket, room: channel });
            }
            Command::Presence { channel } => {
                let most_bytes = self.config.limits.api_reply_bytes;
                return self.call_presence(caller, channel, PresenceQuery::Members { most_bytes });
            }
            Command::PresenceStats { channel } => return self.call_presence(caller, channel, PresenceQuery::Counts),
            Command::Send { client, data } => self.send(client, &data),
            Command::PublishAll { data } => {
                self.deliver_to_all(&data);
                Ok(Reply::Done)
            }
            Command::Disconnect { user, client, whitelist, reason } => {
                self.disconnect(&user, client, &whitelist, &reason);
                Ok(Reply::Done)
            }
            Command::Subscribe { user, client, channel, since } => {
                self.server_subscribe(&user, client, &channel, since)
            }
            Command::Unsubscribe { user, client, channel } => {
                for slot in self.present_of(&user, client) {
                    self.server_unsubscribe(slot, &channel, UnsubscribeReason::SERVER);
                }
                Ok(Reply::Done)
            }
            Command::Refresh { user, client, expiry } => {
                self.refresh_user(&user, client, expiry);
                Ok(Reply::Done)
            }
            Command::Channels { pattern, page } => {
                return self.agenda.first(Work::Walk(Box::new(Walk::rooms(caller, pattern, page))));
            }
            Command::Connections { user, channel, page } => {
                return self.agenda.first(Work::Walk(Box::new(Walk::connections(caller, user, channel, page))));
            }
            Command::Limits => Ok(Reply::Limits(self.config.limits.rows())),
            Command::Info => Ok(Reply::Info(self.info())),
        };
        self.resolve(caller, result);
    }

    /// Takes the result of one part. With the last one, the whole is answered.
    pub(super) fn gather(&mut self, gather: u64, at: usize, result: Result<Reply, Error>) {
        let gathering = self.gathers.get_mut(&gather).expect("a call waits for all of its parts");
        gathering.missing -= usize::from(gathering.results[at].replace(result).is_none());
        if let Some((at, commands)) = gathering.rest.take() {
            self.agenda.then(Work::Batch { gather, at, commands });
        }
        self.finish_gather(gather);
    }

    /// Answers a call.
    pub(super) fn reply(&mut self, call: CallId, result: Result<Reply, Error>) {
        self.effects.push(Effect::Reply { call, result: Box::new(result) });
    }

    /// The counts that a backend asks for.
    pub(super) fn info(&self) -> Info {
        Info {
            node: self.config.node.clone(),
            version: self.config.version.clone(),
            clients: self.ready,
            users: self.registry.user_count() + usize::from(self.ready_anonymous > 0),
            channels: self.registry.room_count(),
            memberships: self.registry.memberships(),
        }
    }

    fn call_publish(&mut self, caller: Caller, room: RoomName, message: Message) {
        let (draft, idempotency_key) = draft(message);
        self.publish_for(caller, room, draft, idempotency_key);
    }

    /// Asks the home to publish for a backend, within `publication_bytes` of the room.
    pub(super) fn publish_for(
        &mut self,
        caller: Caller,
        room: RoomName,
        draft: Draft,
        idempotency_key: Option<String>,
    ) {
        let (bytes, most) = (draft.payload_bytes(), self.config.policy(&room).publication_bytes);
        if bytes > most {
            let words = format!("data and tags together have {bytes} bytes, at most {most} are allowed");
            let error = Error::limit(ErrorCode::LimitExceeded, Limit::PublicationBytes, &words);
            return self.resolve(caller, Err(error));
        }
        let ticket = self.ticket(&room, Asker::Call(caller));
        self.requests.push_back(HomeRequest::Publish { ticket, room, draft, idempotency_key });
    }

    fn call_presence(&mut self, caller: Caller, room: RoomName, query: PresenceQuery) {
        if let Err(error) = access::decide(&self.config, &room, Actor::Backend, Operation::Presence) {
            return self.resolve(caller, Err(error));
        }
        let ticket = self.ticket(&room, Asker::Call(caller));
        self.requests.push_back(HomeRequest::Presence { ticket, room, query });
    }

    fn call_history(&mut self, caller: Caller, room: RoomName, query: HistoryQuery) {
        if let Err(error) = access::decide(&self.config, &room, Actor::Backend, Operation::History) {
            return self.resolve(caller, Err(error));
        }
        let ticket = self.ticket(&room, Asker::Call(caller));
        self.requests.push_back(HomeRequest::History { ticket, room, query });
    }

    /// Publishes to several rooms, which share one payload.
    fn broadcast(&mut self, caller: Caller, channels: Vec<String>, message: Message) {
        let gather = self.begin_gather(caller, None, channels.len());
        let mut message = draft(message);
        message.0.shared = channels.len() > 1;
        self.agenda.first(Work::Broadcast { gather, at: 0, rooms: channels.into_iter(), message });
    }

    fn batch(&mut self, caller: Caller, commands: Vec<(&'static str, Result<Command, Error>)>) {
        let (methods, commands): (_, Vec<_>) = commands.into_iter().unzip();
        let gather = self.begin_gather(caller, Some(methods), commands.len());
        self.agenda.first(Work::Batch { gather, at: 0, commands: commands.into_iter() });
    }

    fn begin_gather(&mut self, caller: Caller, methods: Option<Vec<&'static str>>, parts: usize) -> u64 {
        self.gathered += 1;
        let budget = ReplyBudget::new(self.config.limits.api_reply_bytes);
        let gathering = Gather { caller, methods, results: vec![None; parts], rest: None, missing: parts, budget };
        self.gathers.insert(self.gathered, gathering);
        self.finish_gather(self.gathered);
        self.gathered
    }

    fn finish_gather(&mut self, gather: u64) {
        if self.gathers.get(&gather).is_none_or(|gathering| gathering.missing > 0) {
            return;
        }
        let Some(Gather { caller, methods, results, .. }) = self.gathers.swap_remove(&gather) else { return };
        let results = results.into_iter().flatten();
        let reply = match methods {
            Some(methods) => Reply::Batch(methods.into_iter().zip(results).collect()),
            None => Reply::Broadcast(results.collect()),
        };
        self.resolve(caller, Ok(reply));
    }

    fn server_subscribe(
        &mut self,
        user: &UserId,
        client: Selection,
        room: &RoomName,
        since: Option<Position>,
    ) -> Result<Reply, Error> {
        let (there, slots): (Vec<Slot>, Vec<Slot>) =
            self.present_of(user, client).into_iter().partition(|slot| self.registry.has_membership(*slot, room));
        for slot in &slots {
            self.check_room_count(*slot)?;
        }
        for slot in there {
            self.registry.add_reason(slot, room, Reasons::API);
        }
        for slot in slots {
            let since = since.clone();
            let replay = since.map_or(Replay::None, |Position { epoch, offset }| Replay::Since {
                epoch,
                offset,
                or_refuse: false,
            });
            self.server_join(slot, room, JoinReason::ServerSide(Reasons::API), replay);
        }
        Ok(Reply::Done)
    }

    fn refresh_user(&mut self, user: &UserId, client: Selection, expiry: Expiry) {
        for slot in self.present_of(user, client) {
            let expire_at = match expiry {
                Expiry::Now => {
                    self.close(slot, CloseCause::Expired);
                    continue;
                }
                Expiry::At(at) => Some(at),
                Expiry::Never => None,
            };
            let until = Deadline::from_option(expire_at.map(|at| self.validator().end_of(at)));
            self.set(slot, Timer::Expiry, until);
            let ttl = expire_at.map(|at| self.validator().time_to(at).as_secs().max(1));
            self.tell(slot, &ServerMessage::Refresh { ttl });
        }
    }

    /// The connections of a user that a call names, also those whose `connect` is not answered yet. O(connections of the user).
    fn present_of(&mut self, user: &UserId, selection: Selection) -> Vec<Slot> {
        self.budget.visit(self.registry.connection_count(user));
        let is_open = |slot: &Slot| self.conns[*slot].open().is_some();
        let named = |slot: &Slot| match selection {
            Selection::All => true,
            Selection::One(client) => self.conns[*slot].client == client,
            Selection::NoMatch => false,
        };
        self.registry.connections_of(user).filter(is_open).filter(named).collect()
    }

    fn send(&mut self, client: ClientId, data: &str) -> Result<Reply, Error> {
        let ready = self.clients.get(&client).filter(|slot| self.conns[**slot].ready().is_some());
        let Some(slot) = ready.copied() else {
            return Err(no_connection(&format!("{client}")));
        };
        self.deliver_to([slot], ServerMessage::Message { data });
        Ok(Reply::Done)
    }

    fn disconnect(&mut self, user: &UserId, selection: Selection, whitelist: &[ClientId], reason: &CloseReason) {
        let slots: Vec<Slot> = match selection {
            Selection::One(client) => self.clients.get(&client).copied().into_iter().collect(),
            Selection::All => self.registry.connections_of(user).collect(),
            Selection::NoMatch => Vec::new(),
        };
        for slot in slots {
            let conn = &self.conns[slot];
            let meant = match &conn.phase {
                Phase::Handshaking(_) => user.is_anonymous(),
                Phase::Open(open) => user.is_anonymous() || open.info.user == *user,
                _ => false,
            };
            if meant && !whitelist.contains(&conn.client) {
                self.close_with(slot, CloseCause::Backend, reason.clone());
            }
        }
    }
}

/// Returns a message as it is published, and its idempotency key.
fn draft(message: Message) -> (Draft, Option<String>) {
    let Message { data, tags, skip_history, idempotency_key } = message;
    let tags = (!tags.is_empty()).then(|| Json::encode(&tags));
    (Draft { data, tags, info: None, skip_history, shared: false }, idempotency_key)
}
