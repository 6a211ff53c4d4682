//! `subscribe`, and `history` of a client: whether it may, and what it is answered.

use super::connection::TokenPurpose;
use super::expect::EPOCH;
use super::membership::{ExpectedMembership, MembershipReason};
use super::model::ReferenceModel;
use crate::goals::Goal;
use crate::world::client_message::SubscribeOptions;
use crate::world::history_request::{LogQuery, RecoverFrom};
use crate::world::rules;
use parlor_core::Limit;
use serde_json::{Value, json};
use std::sync::Arc;

impl ReferenceModel {
    pub(super) fn subscribe(&mut self, client: usize, id: u64, room: usize, asking: &SubscribeOptions) {
        if let Some(code) = self.obstacle(client, room) {
            return self.refuse(client, id, code);
        }
        if !self.may_join(client) {
            return self.refuse(client, id, 111);
        }
        match &asking.token {
            Some(token) => self.ask(client, token, TokenPurpose::Subscribe(id, room, asking.clone())),
            None => {
                if let Some(code) = self.forbidden(client, room, asking.watch, None) {
                    return self.refuse(client, id, code);
                }
                let membership = ExpectedMembership {
                    watches: asking.watch,
                    ..ExpectedMembership::because(MembershipReason::Client)
                };
                self.enter_asked((client, id), room, &asking.want, membership, None);
            }
        }
    }

    /// Why a connection cannot be put into a room.
    pub(super) fn obstacle(&mut self, client: usize, room: usize) -> Option<u16> {
        if let Some(membership) = self.membership(client, room) {
            return membership.wanted.contains(&MembershipReason::Client).then_some(105);
        }
        let is_full = self.is_full(client);
        if is_full {
            self.hit(Limit::RoomsPerConnection);
        }
        is_full.then_some(106)
    }

    /// Whether it is in as many rooms as it may be.
    pub(super) fn is_full(&self, client: usize) -> bool {
        self.membership_count(client) >= self.config.limits.rooms_per_connection
    }

    /// Joins a room that was asked for, and answers. True where something was missed and is there.
    pub(super) fn enter_asked(
        &mut self,
        (client, id): (usize, u64),
        room: usize,
        want: &RecoverFrom,
        membership: ExpectedMembership,
        exp: Option<u64>,
    ) -> bool {
        let watches = membership.watches;
        let mut for_others = false;
        let joined = if self.rooms[room].contains(&client) {
            Ok(self.join_again(client, room, want, membership))
        } else if let Some(before) = self.stop_entering(client, room) {
            for_others = true;
            let membership = ExpectedMembership { wanted: &before.wanted | &membership.wanted, ..membership };
            self.join(client, room, &want.clone().or_without(), membership)
        } else {
            self.join(client, room, want, membership)
        };
        match joined {
            Err(_) if for_others => {
                self.overloaded(client);
                false
            }
            Err(denied) => {
                self.refuse(client, id, denied.code);
                false
            }
            Ok(replay) => {
                let is_back = replay.recovered == Some(true) && !replay.entries.is_empty();
                if is_back && watches {
                    self.goals.reach(Goal::RecoveredWatching);
                }
                let mut start = self.start(room, &replay);
                self.add_ttl(&mut start, exp);
                self.reply_with(client, id, "subscribe", start, replay.lines());
                is_back
            }
        }
    }

    pub(super) fn ask_history(&mut self, client: usize, id: u64, room: usize, query: &LogQuery) {
        let refused = if !self.may(client, room, rules::HISTORY) {
            Some(103)
        } else if !self.keeps_history(room) {
            Some(108)
        } else {
            None
        };
        match refused.map_or_else(|| self.read(room, query), Err) {
            Err(code) => self.refuse(client, id, code),
            Ok(entries) => {
                let lines = entries.iter().map(|entry| Arc::clone(&entry.line)).collect();
                // One who is not in the room may ask for the history of a room that has no log.
                let is_somewhere = self.logs[room].is_some();
                let page = if is_somewhere { self.page(room, &entries) } else { json!({ "publications": [] }) };
                self.reply_with(client, id, "history", page, lines);
            }
        }
    }

    /// The position in the answer to a subscription.
    pub(super) fn position(&self, room: usize) -> Value {
        if !self.keeps_history(room) {
            return json!({});
        }
        let log = self.logs[room].as_ref().expect("a joined room has a log");
        json!({ "recoverable": true, "positioned": true, "epoch": self.epoch(room), "offset": log.top })
    }

    /// The epoch of a room's log, as a client must see it.
    pub(super) fn epoch(&self, room: usize) -> Value {
        let epoch = self.logs[room].as_ref().and_then(|log| log.epoch.as_deref());
        epoch.unwrap_or(EPOCH).into()
    }
}
