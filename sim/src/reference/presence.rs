//! Who is in a room, as those who ask are answered and those who watch are told.

use super::expect::ExpectedFrame;
use super::membership::{Departure, MembershipEvent};
use super::model::ReferenceModel;
use super::names::user_text;
use crate::goals::Goal;
use crate::world::rules;
use parlor_core::{CloseCause, Limit};
use serde_json::{Map, Value, json};

impl ReferenceModel {
    /// Who a connection is in a room.
    pub(super) fn info(&self, client: usize, room: usize) -> Value {
        let conn = self.conns[client].as_ref().expect("members exist");
        let mut info = self.info_of(client, conn.user, conn.info.as_deref());
        if let Some(text) = self.memberships.get(&(room, client)).and_then(|membership| membership.info.as_ref()) {
            info["chan_info"] = parsed(text);
        }
        info
    }

    /// Who a connection of this user is, of whom a token says this.
    pub(super) fn info_of(&self, client: usize, user: Option<usize>, token_info: Option<&str>) -> Value {
        let conn = self.conns[client].as_ref().expect("members exist");
        let mut info = json!({ "client": conn.client_id.to_string(), "user": user_text(user) });
        if let Some(text) = token_info {
            info["conn_info"] = parsed(text);
        }
        info
    }

    /// Records that a member has joined or left, for those that watch the room.
    pub(super) fn announce_member(&mut self, room: usize, client: usize, left: Option<Departure>) {
        let info = self.info(client, room);
        self.turn.events.push_back(MembershipEvent { room, client, info, left });
    }

    /// The same for a connection that was closed before it had joined.
    pub(super) fn announce_in_vain(&mut self, room: usize, client: usize, info: &Value) {
        for left in [None, Some(Departure::Left)] {
            self.turn.events.push_back(MembershipEvent { room, client, info: info.clone(), left });
        }
    }

    /// Whether a member has left a room and no watcher was told yet.
    pub(super) fn is_being_left(&self, room: usize) -> bool {
        self.turn.events.iter().any(|event| event.is_leave(room))
    }

    /// Sends the watchers all new events, in order. A watcher whose outbox is full is closed, which is an event too.
    pub(super) fn settle(&mut self) {
        self.stamps += 1;
        while self.tell_next() {}
    }

    /// Tells them the first thing that is new. False where there is nothing.
    pub(super) fn tell_next(&mut self) -> bool {
        let Some(event) = self.next_event() else { return false };
        let room = event.room;
        let is_empty = self.rooms[room].is_empty() && !self.is_being_left(room);
        if is_empty && matches!(event.left, Some(Departure::Left | Departure::Ended { .. })) {
            self.emptied(room);
        }
        let is_absent = match event.left {
            Some(Departure::Ended { user }) => self.begin_absence(&event, user),
            _ => false,
        };
        if is_absent {
            return true;
        }
        if event.left.is_some() && is_empty {
            self.vacate_unless_absent(room);
        } else {
            self.tell_watchers(&event);
        }
        true
    }

    fn tell_watchers(&mut self, event: &MembershipEvent) {
        let MembershipEvent { room, client, ref info, left } = *event;
        let came = left.is_none();
        let untold = match left {
            Some(Departure::AbsenceOver { newcomer }) => newcomer,
            _ => None,
        };
        let watches = |member: &usize| {
            let membership = self.memberships.get(&(room, *member));
            untold != Some(*member) && membership.is_some_and(|membership| membership.watches)
        };
        let watchers: Vec<usize> = self.rooms[room].iter().copied().filter(watches).collect();
        let kind = if came { "join" } else { "leave" };
        let push = json!({ "push": { "channel": *self.names[room], kind: { "info": info } } });
        let tag = 16 << 56 | (room as u64) << 48 | (client as u64) << 1 | u64::from(came);
        let expect = ExpectedFrame::json(push, tag).among(self.turns, (room, client));
        let mut slow = Vec::new();
        for watcher in watchers {
            if watcher != client {
                self.goals.reach(if came { Goal::SawJoin } else { Goal::SawLeave });
            }
            if !self.enqueue(watcher, expect.clone()) {
                slow.push(watcher);
            }
        }
        slow.into_iter().for_each(|watcher| self.close(watcher, CloseCause::Slow));
    }

    /// Who is in a room, by client id.
    pub(super) fn presence(&self, room: usize) -> Value {
        let members = self.rooms[room].iter().map(|client| {
            let client_id = self.conns[*client].as_ref().expect("members exist").client_id;
            (client_id.to_string(), self.info(*client, room))
        });
        let absent = self.absences_of(room).map(|absence| {
            let client_id = absence.info["client"].as_str().expect("an id");
            (String::from(client_id), absence.info.clone())
        });
        Value::Object(members.chain(absent).collect::<Map<String, Value>>())
    }

    /// How many connections and users are in a room.
    pub(super) fn presence_stats(&self, room: usize) -> Value {
        let mut users: Vec<_> =
            self.rooms[room].iter().filter_map(|client| Some(self.conns[*client].as_ref()?.user)).collect();
        users.sort_unstable();
        users.dedup();
        // Who is absent has no connection there.
        let absent = self.absences_of(room).count();
        json!({ "num_clients": self.rooms[room].len() + absent, "num_users": users.len() + absent })
    }

    /// Answers `presence` and `presence_stats` of a client.
    pub(super) fn ask_presence(&mut self, client: usize, id: u64, room: usize, only_counts: bool) {
        if !self.may(client, room, rules::PRESENCE) {
            return self.refuse(client, id, 103);
        }
        if !self.rules[room].presence_list {
            return self.refuse(client, id, 108);
        }
        if only_counts {
            let stats = self.presence_stats(room);
            return self.reply(client, id, "presence_stats", stats);
        }
        let presence = self.presence(room);
        self.goals.reach(Goal::PresenceRead);
        // The list as encoded: its fields are in another order here, which takes as much.
        let size = presence.to_string().len();
        if size > self.config.limits.reply_bytes {
            self.hit(Limit::ReplyBytes);
            self.goals.reach(Goal::PresenceTooLarge);
            self.refuse(client, id, 106);
        } else {
            self.reply(client, id, "presence", json!({ "presence": presence }));
        }
    }
}

pub(super) fn parsed(text: &str) -> Value {
    serde_json::from_str(text).expect("it is JSON")
}
