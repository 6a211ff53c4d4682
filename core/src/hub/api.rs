//! The calls of backends: each is handed to the home of its room or user, or to all hubs of the node, and answered once.

use super::Hub;
use super::agenda::Work;
use super::gather::{Caller, Gather, ReplyBudget, Whole};
use super::merge::Merge;
use super::tickets::Asker;
use crate::api::{Command, HistoryQuery, Message, Reply, Selection};
use crate::effect::Effect;
use crate::error::{Error, ErrorCode};
use crate::input::CallId;
use crate::json::Json;
use crate::limits::Limit;
use crate::link::{HomeRequest, NodeCall, PresenceQuery, UserCommand};
use crate::names::RoomName;
use crate::policy::access::{self, Actor, Operation};
use crate::publication::Draft;
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
        match command {
            Command::Publish { channel, message } => self.call_publish(caller, channel, message),
            Command::PublishUser { user, message } => self.call_publish(caller, user.personal_room(), message),
            Command::Broadcast { channels, message } => self.broadcast(caller, channels, message),
            Command::Batch(commands) => self.batch(caller, commands),
            Command::History { channel, query } => self.call_history(caller, channel, query),
            Command::HistoryRemove { channel } => {
                let ticket = self.ticket(&channel, Asker::Call(caller));
                self.requests.push_back(HomeRequest::RemoveHistory { ticket, room: channel });
            }
            Command::Presence { channel } => {
                let most_bytes = self.config.limits.api_reply_bytes;
                self.call_presence(caller, channel, PresenceQuery::Members { most_bytes });
            }
            Command::PresenceStats { channel } => self.call_presence(caller, channel, PresenceQuery::Counts),
            Command::Disconnect { user, client, whitelist, reason } if user.is_anonymous() => match client {
                Selection::One(client) if !whitelist.contains(&client) => {
                    self.call_node(caller, NodeCall::Disconnect { client, reason });
                }
                _ => self.resolve(caller, Ok(Reply::Done)),
            },
            Command::Disconnect { user, client, whitelist, reason } => {
                self.call_user(caller, &user, UserCommand::Disconnect { client, whitelist, reason });
            }
            Command::Subscribe { user, client, channel, since } => {
                self.call_user(caller, &user, UserCommand::Subscribe { client, room: channel, since });
            }
            Command::Unsubscribe { user, client, channel } => {
                self.call_user(caller, &user, UserCommand::Unsubscribe { client, room: channel });
            }
            Command::Refresh { user, client, expiry } => {
                self.call_user(caller, &user, UserCommand::Refresh { client, expiry });
            }
            Command::Send { client, data } => self.call_node(caller, NodeCall::Send { client, data }),
            Command::PublishAll { data } => self.call_node(caller, NodeCall::PublishAll { data }),
            Command::Channels { pattern, page } => self.call_node(caller, NodeCall::Channels { pattern, page }),
            Command::Connections { user, channel, page } => {
                self.call_node(caller, NodeCall::Connections { user, channel, page });
            }
            Command::RevokeToken { uid, expire_at } => self.call_revoke_token(caller, uid.into(), expire_at),
            Command::InvalidateUserTokens { user, issued_before, expire_at } => {
                self.call_invalidate(caller, user, issued_before, expire_at);
            }
            Command::RevokedTokens { page } => self.list_revoked_tokens(caller, &page),
            Command::InvalidatedUsers { page } => self.list_invalidated_users(caller, &page),
            Command::Info => self.call_node(caller, NodeCall::Info),
            Command::Limits => self.resolve(caller, Ok(Reply::Limits(self.config.limits.rows()))),
        }
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
        let gather = self.begin_gather(caller, Whole::Broadcast, channels.len());
        let mut message = draft(message);
        message.0.shared = channels.len() > 1;
        self.agenda.first(Work::Broadcast { gather, at: 0, rooms: channels.into_iter(), message });
    }

    fn batch(&mut self, caller: Caller, commands: Vec<(&'static str, Result<Command, Error>)>) {
        let (methods, commands): (_, Vec<_>) = commands.into_iter().unzip();
        let gather = self.begin_gather(caller, Whole::Batch(methods), commands.len());
        self.agenda.first(Work::Batch { gather, at: 0, commands: commands.into_iter() });
    }

    /// Begins to wait for the parts of an answer.
    pub(super) fn begin_gather(&mut self, caller: Caller, whole: Whole, parts: usize) -> u64 {
        self.gathered += 1;
        let budget = ReplyBudget::new(self.config.limits.api_reply_bytes);
        let gathering = Gather { caller, whole, results: vec![None; parts], rest: None, missing: parts, budget };
        self.gathers.insert(self.gathered, gathering);
        self.finish_gather(self.gathered);
        self.gathered
    }

    fn finish_gather(&mut self, gather: u64) {
        if self.gathers.get(&gather).is_none_or(|gathering| gathering.missing > 0) {
            return;
        }
        let Some(Gather { caller, whole, results, .. }) = self.gathers.swap_remove(&gather) else { return };
        let results = results.into_iter().flatten();
        let result = match whole {
            Whole::Batch(methods) => Ok(Reply::Batch(methods.into_iter().zip(results).collect())),
            Whole::Broadcast => Ok(Reply::Broadcast(results.collect())),
            Whole::Node(merge) => merge.merge(results),
            Whole::EndOf(id) => return self.revoke_until_end(caller, id, Merge::End.merge(results)),
        };
        self.resolve(caller, result);
    }
}

/// Returns a message as it is published, and its idempotency key.
fn draft(message: Message) -> (Draft, Option<String>) {
    let Message { data, tags, skip_history, idempotency_key } = message;
    let tags = (!tags.is_empty()).then(|| Json::encode(&tags));
    (Draft { data, tags, info: None, skip_history, shared: false }, idempotency_key)
}
