//! Who a connection is, and what it says and is told in the json profile.

use super::expect::{ANY, between};
use super::rooms::{Origin, info_of};
use super::{Ending, Expect, Oracle, Phase, Ruling, Subject, Timer, nanos};
use crate::coverage::Goal;
use crate::speech::{Data, Named, Said};
use serde_json::{Value, json};
use std::time::Duration;

impl Oracle {
    pub(super) fn text(&mut self, peer: usize, bytes: usize, said: &[Said]) {
        if self.conns[peer].as_ref().is_some_and(|conn| conn.phase == Phase::Handshaking) {
            return self.end(peer, Ending { code: None, by: None, clean: false });
        }
        self.counted.messages_in += u64::from(self.is_open(peer));
        self.heard(peer);
        let waited = self.keeps_waiting(peer);
        for one in said {
            self.said(peer, one);
        }
        if self.keeps_waiting(peer) {
            self.add_waiting(peer, if waited { (bytes, bytes) } else { (0, bytes) });
        }
    }

    /// Whether what this client says waits until its token has been looked at.
    fn keeps_waiting(&self, peer: usize) -> bool {
        self.conns[peer].as_ref().is_some_and(|conn| conn.is_open() && conn.asked && !conn.ready)
    }

    /// As much waits as one message may have; where that cannot be told to the byte, the subject says what it did.
    fn add_waiting(&mut self, peer: usize, (least, most): (usize, usize)) {
        let limit = self.config.limits.message_bytes;
        let conn = self.conns[peer].as_mut().expect("it waits");
        conn.waiting_bytes = (conn.waiting_bytes.0 + least, conn.waiting_bytes.1 + most);
        let (least, most) = conn.waiting_bytes;
        if least > limit || (most > limit && self.chosen.closing.contains(&(conn.id, 3501))) {
            self.close(peer, 3501);
        }
    }

    fn said(&mut self, peer: usize, said: &Said) {
        let Some(conn) = self.conn(peer).filter(|conn| conn.is_open()) else { return };
        match (conn.entry.json, conn.ready) {
            // Whoever has shown a token is heard when it has been looked at.
            (_, false) if conn.asked => conn.waiting.push_back(said.clone()),
            (true, false) => self.said_first(peer, said),
            (true, true) => self.said_json(peer, said),
            (false, _) => self.said_plain(peer, said),
        }
    }

    /// The first command of json is `connect`.
    fn said_first(&mut self, peer: usize, said: &Said) {
        match said {
            Said::Connect(Some(token)) => self.ask(peer, token),
            Said::Connect(None) if self.config.policy.allow_anonymous => self.welcome(peer, &Ruling::default()),
            Said::Connect(None) => self.close(peer, 3500),
            Said::Pong => {}
            _ => self.close(peer, 3501),
        }
    }

    pub(super) fn ask(&mut self, peer: usize, token: &str) {
        self.conn(peer).expect("it is open").asked = true;
        self.turn.asks.push((peer, token.into()));
    }

    fn said_json(&mut self, peer: usize, said: &Said) {
        match said {
            Said::Subscribe(id, Named::Refused(code)) | Said::Unknown(id, code) => self.refuse(peer, *id, *code),
            Said::Subscribe(id, Named::Room(room)) => self.subscribe(peer, *id, *room),
            Said::Unsubscribe(id, room) => {
                self.leave(peer, *room);
                self.reply(peer, *id, "unsubscribe", json!({}));
            }
            Said::Publish(id, room, data) => self.client_publish(peer, *id, *room, data.as_deref()),
            Said::Ping => self.reply(peer, 2, "ping", json!({})),
            Said::Pong | Said::Send => {}
            Said::Connect(_) | Said::Nonsense | Said::Select(_) => self.close(peer, 3501),
        }
    }

    fn reply(&mut self, peer: usize, id: u64, method: &str, result: Value) {
        let tag = 6 << 56 | id << 32 | result["offset"].as_u64().unwrap_or_default();
        self.tell(peer, Expect::json(json!({ "id": id, method: result }), tag));
    }

    pub(super) fn refuse(&mut self, peer: usize, id: u64, code: u16) {
        let error = json!({ "code": code, "message": ANY });
        self.tell(peer, Expect::json(json!({ "id": id, "error": error }), 7 << 56 | id << 32 | u64::from(code)));
    }

    fn subscribe(&mut self, peer: usize, id: u64, room: usize) {
        let count = self.rooms.iter().filter(|members| members.contains(&peer)).count();
        if !self.config.policy.allow_subscribe {
            self.refuse(peer, id, 103);
        } else if self.rooms[room].contains(&peer) {
            self.refuse(peer, id, 105);
        } else if count >= self.config.limits.rooms_per_connection {
            self.refuse(peer, id, 106);
        } else {
            self.join(peer, room);
            let position = self.position(room);
            self.reply(peer, id, "subscribe", position);
        }
    }

    /// What a subscription is answered.
    fn position(&self, room: usize) -> Value {
        if !self.keeps_history() {
            return json!({});
        }
        let log = self.logs[room].as_ref().expect("a joined room has a log");
        json!({ "recoverable": true, "positioned": true, "epoch": self.epoch(room), "offset": log.top })
    }

    /// The epoch of a room's log, as a client must see it.
    pub(super) fn epoch(&self, room: usize) -> Value {
        let epoch = self.logs[room].as_ref().and_then(|log| log.epoch.as_deref());
        epoch.unwrap_or(ANY).into()
    }

    pub(super) fn client_publish(&mut self, peer: usize, id: Option<u64>, room: usize, data: Option<&Data>) {
        let conn = self.conns[peer].as_ref().expect("it is open");
        let json = conn.entry.json;
        let origin = Origin { client: conn.client.to_string(), user: conn.user };
        let refused = if data.is_none() {
            Some(107)
        } else if !self.rooms[room].contains(&peer) || !self.config.policy.allow_publish {
            Some(103)
        } else if data.is_none_or(|data| data.too_large) {
            Some(107)
        } else {
            None
        };
        let (Some(data), None) = (data, refused) else {
            let code = refused.unwrap_or(107);
            self.goals.reach(Goal::Refused);
            match id {
                Some(id) if json => self.refuse(peer, id, code),
                id => self.refuse_plain(peer, id, code),
            }
            return;
        };
        // Tags and keeping out of the log are for backends alone.
        let data = Data { unlogged: false, tagged: false, ..data.clone() };
        let Some((offset, epoch)) = self.publish(&[room], &data, Some(&origin)).remove(0) else { return };
        let Some((id, _)) = id.zip(self.conns[peer].as_ref().filter(|conn| conn.is_open())) else { return };
        if json {
            self.reply(peer, id, "publish", json!({}));
        } else {
            let room = &*self.names[room];
            let published = json!({ "type": "published", "id": id, "room": room, "epoch": epoch, "offset": offset });
            self.tell(peer, Expect::json(published, 8 << 56 | id << 32));
        }
    }

    /// Lets a json client in.
    fn welcome(&mut self, peer: usize, ruling: &Ruling) {
        let rooms = self.placed(ruling);
        if self.is_crowded(ruling, &rooms) {
            return self.turn_away(peer, ruling, 3505);
        }
        self.identify(peer, ruling);
        let mut subs = json!({});
        for room in rooms {
            self.join(peer, room);
            subs[&*self.names[room]] = self.position(room);
        }
        let interval = self.config.limits.ping_interval;
        let ping_at = self.clock + nanos(interval);
        let unix_ms = self.unix_ms;
        let (node, version) = (self.config.node.clone(), self.config.version.clone());
        let conn = self.conn(peer).expect("it is open");
        conn.arm(Timer::Ping, ping_at);
        let mut result = json!({ "client": conn.client.to_string(), "version": version, "session": ANY, "node": node });
        if !conn.entry.frame_pings {
            result["ping"] = interval.as_secs().into();
            result["pong"] = true.into();
        }
        if let Some(exp) = ruling.exp {
            result["expires"] = true.into();
            result["ttl"] = between(exp - unix_ms.div_ceil(1000), exp - unix_ms / 1000);
        }
        if subs != json!({}) {
            result["subs"] = subs;
        }
        self.reply(peer, 1, "connect", result);
    }

    /// From now on the connection has said who it is.
    pub(super) fn identify(&mut self, peer: usize, ruling: &Ruling) {
        let is_first = ruling.user.is_some_and(|user| !self.conns.iter().flatten().any(|conn| conn.user == Some(user)));
        let expiry = ruling.exp.map(|exp| {
            let left = Duration::from_millis(exp * 1000 - self.unix_ms);
            self.clock + nanos(left) + nanos(self.config.limits.expiry_grace)
        });
        if ruling.user.is_some() && !is_first && self.conns[peer].as_ref().is_some_and(|conn| conn.user.is_none()) {
            self.goals.reach(Goal::UserTwice);
        }
        let conn = self.conns[peer].as_mut().expect("it is open");
        conn.disarm(Timer::Authenticate);
        (conn.ready, conn.asked) = (true, false);
        conn.timers[Timer::Expiry as usize] = expiry;
        if ruling.user.is_some() {
            conn.user = ruling.user;
        }
        if let Some(user) = ruling.user.filter(|_| is_first) {
            self.turn.changes.push((Subject::User(user), true));
        }
    }

    pub(super) fn own_room(&self, user: usize) -> usize {
        self.names.len() - self.users + user
    }

    pub(super) fn decided(&mut self, peer: usize, ruling: &Ruling) {
        let Some(conn) = self.conn(peer).filter(|conn| conn.is_open() && conn.asked) else { return };
        conn.asked = false;
        let json = conn.entry.json;
        let waiting = std::mem::take(&mut conn.waiting);
        conn.waiting_bytes = (0, 0);
        if !json {
            self.decided_plain(peer, ruling);
        } else if ruling.forged || ruling.early {
            self.close(peer, 3500);
        } else if self.is_expired(ruling) {
            // What was sent behind this `connect` will be sent again behind the next.
            self.goals.reach(Goal::TokenExpired);
            return self.refuse(peer, 1, 109);
        } else {
            self.welcome(peer, ruling);
        }
        for said in waiting {
            self.said(peer, &said);
        }
    }

    pub(super) fn is_expired(&self, ruling: &Ruling) -> bool {
        ruling.exp.is_some_and(|exp| exp * 1000 <= self.unix_ms)
    }

    /// The rooms that come with a token: those that it names, and the user's own.
    pub(super) fn placed(&self, ruling: &Ruling) -> Vec<usize> {
        ruling.channels.iter().copied().chain(ruling.user.map(|user| self.own_room(user))).collect()
    }

    pub(super) fn is_crowded(&self, ruling: &Ruling, rooms: &[usize]) -> bool {
        ruling.crowded || rooms.len() > self.config.limits.rooms_per_connection
    }

    /// Closes a connection on its way in. Its user and rooms may come to life with it, and must cease to be with it.
    pub(super) fn turn_away(&mut self, peer: usize, ruling: &Ruling, code: u16) {
        let user = ruling.user.filter(|user| !self.conns.iter().flatten().any(|conn| conn.user == Some(*user)));
        let rooms = (0..self.rooms.len()).filter(|room| self.rooms[*room].is_empty()).map(Subject::Room);
        self.turn.flashes.extend(rooms.chain(user.map(Subject::User)));
        if self.is_open(peer) {
            self.close(peer, code);
        }
    }

    pub(super) fn is_open(&self, peer: usize) -> bool {
        self.conns[peer].as_ref().is_some_and(|conn| conn.is_open())
    }

    /// What a token says about this user, as its holder gets it from whoever signs tokens.
    #[must_use]
    pub fn token_info(user: usize) -> Option<String> {
        info_of(user)
    }
}
