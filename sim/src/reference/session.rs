//! Who a connection is, and what it says and is told in the json protocol.

use super::expect::{EPOCH, WORDS};
use super::presence::{Seat, Wish};
use super::recovery::{Query, Replay, Want};
use super::rooms::{Origin, info_of};
use super::{Ask, Conn, Ending, Expect, Oracle, Phase, Subject, Timer, TokenOutcome, Waiting, nanos};
use crate::goals::Goal;
use crate::world::speech::{Asking, ClientMessage, Data, Named};
use parlor_core::{CloseCause, Limit, UserLimit};
use serde_json::{Value, json};
use std::sync::Arc;

impl Oracle {
    pub(super) fn text(&mut self, client: usize, text: &str, messages: &[ClientMessage]) {
        if self.conns[client].as_ref().is_some_and(|conn| conn.phase == Phase::Handshaking) {
            return self.end(client, Ending { cause: CloseCause::Protocol, code: 1006, clean: false });
        }
        if let Some(conn) = self.conn(client) {
            conn.fragments = None;
        }
        if self.heard(client) {
            self.counted.messages_in += 1;
            self.hear(client, Waiting::new(text, messages));
        }
    }

    /// Takes a text word for word. Whoever has a token looked at is heard when that is done, and whoever is to read first when
    /// it has.
    pub(super) fn hear(&mut self, client: usize, mut text: Waiting) {
        while !text.messages.is_empty() {
            let Some(conn) = self.conn(client).filter(|conn| conn.is_open()) else { return };
            if conn.is_busy() || self.is_high(client) {
                return self.keep_waiting(client, text);
            }
            let one = text.messages.pop_front().expect("there is one");
            text.heard += 1;
            self.client_message(client, &one);
            self.settle();
        }
    }

    /// As much waits as one message may have: of a text all that is behind the last command that was heard.
    fn keep_waiting(&mut self, client: usize, text: Waiting) {
        let limits = &self.config.limits;
        let (bytes, texts) = (limits.message_bytes, limits.waiting_messages);
        let conn = self.conns[client].as_mut().expect("it waits");
        conn.waiting.push_back(text);
        let limit = if conn.waiting.iter().map(Waiting::bytes).sum::<usize>() > bytes {
            Limit::MessageBytes
        } else if conn.waiting.len() > texts {
            Limit::WaitingMessages
        } else {
            return;
        };
        self.hit(limit);
        self.close(client, CloseCause::BadRequest);
    }

    fn client_message(&mut self, client: usize, message: &ClientMessage) {
        let conn = self.conns[client].as_ref().expect("it is open");
        let (json, ready) = (conn.entry.json, conn.ready);
        // What cannot be read is no command yet.
        let counts = !json || !matches!(message, ClientMessage::Nonsense);
        if counts && !self.may_ask(client) {
            if message.is_connect() {
                self.conns[client].as_mut().expect("it is there").turned_down = true;
            }
            match message.id() {
                _ if !self.is_open(client) => {}
                _ if !json => self.refuse_plain(client, message.plain_id(), 111),
                0 => {}
                id => self.refuse(client, id, 111),
            }
            return;
        }
        match (json, ready) {
            (true, false) => self.first_message(client, message),
            (true, true) => self.json_message(client, message),
            (false, _) => self.plain_message(client, message),
        }
    }

    /// The first command of json is `connect`.
    fn first_message(&mut self, client: usize, message: &ClientMessage) {
        if message.is_connect() {
            self.conn(client).expect("it is open").turned_down = false;
        }
        match message {
            ClientMessage::Connect(Some(token)) => {
                self.conn(client).expect("it is open").wants.clear();
                self.ask(client, token, Ask::Identity);
            }
            ClientMessage::Return(token, wants) => {
                self.conn(client).expect("it is open").wants.clone_from(wants);
                self.ask(client, token, Ask::Identity);
            }
            ClientMessage::Connect(None) if self.offered(client).is_some() => {
                let token = self.offered(client).expect("there is one");
                self.goals.reach(Goal::TokenInHeader);
                self.conn(client).expect("it is open").wants.clear();
                self.ask(client, &token, Ask::Identity);
            }
            ClientMessage::Connect(None) if self.config.policy.allow_anonymous => {
                self.welcome(client, &TokenOutcome::default())
            }
            ClientMessage::Connect(None) => self.close(client, CloseCause::TokenRequired),
            ClientMessage::Pong => {}
            ClientMessage::Nonsense | ClientMessage::NoId => self.close(client, CloseCause::BadRequest),
            _ if self.conn(client).is_some_and(|conn| conn.turned_down) => self.goals.reach(Goal::PassedOver),
            _ => self.close(client, CloseCause::BadRequest),
        }
    }

    /// The token that came with the request for the connection.
    fn offered(&self, client: usize) -> Option<String> {
        self.conns[client].as_ref()?.entry.token.clone()
    }

    pub(super) fn ask(&mut self, client: usize, token: &str, ask: Ask) {
        let conn = self.conn(client).expect("it is open");
        (conn.asked, conn.ask) = (true, ask);
        self.turn.asks.push((client, token.into()));
    }

    fn json_message(&mut self, client: usize, message: &ClientMessage) {
        match message {
            ClientMessage::Subscribe(id, Named::Refused(code, limit), _) => {
                limit.iter().for_each(|limit| self.hit(*limit));
                self.refuse(client, *id, *code);
            }
            ClientMessage::Unknown(id, code) => self.refuse(client, *id, *code),
            ClientMessage::Subscribe(id, Named::Room(room), asking) => self.subscribe(client, *id, *room, asking),
            ClientMessage::History(id, room, query) => self.ask_history(client, *id, *room, query),
            ClientMessage::Presence(id, room, only_counts) => self.ask_presence(client, *id, *room, *only_counts),
            ClientMessage::Refresh(id, token) => self.ask(client, token, Ask::Refresh(*id)),
            ClientMessage::SubRefresh(id, room, _) if !self.rooms[*room].contains(&client) => {
                self.refuse(client, *id, 103)
            }
            ClientMessage::SubRefresh(id, room, token) => self.ask(client, token, Ask::SubRefresh(*id, *room)),
            ClientMessage::Unsubscribe(id, room) => {
                self.leave(client, *room);
                self.reply(client, *id, "unsubscribe", json!({}));
            }
            ClientMessage::Publish(id, room, data) => self.client_publish(client, *id, *room, data.as_deref()),
            ClientMessage::Ping => self.reply(client, 2, "ping", json!({})),
            ClientMessage::Pong | ClientMessage::Send => {}
            ClientMessage::Connect(_)
            | ClientMessage::Return(..)
            | ClientMessage::Nonsense
            | ClientMessage::NoId
            | ClientMessage::Select(_)
            | ClientMessage::SelectTooMuch(_)
            | ClientMessage::Position => self.close(client, CloseCause::BadRequest),
        }
    }

    pub(super) fn reply(&mut self, client: usize, id: u64, method: &str, result: Value) {
        self.reply_with(client, id, method, result, Vec::new());
    }

    /// A reply with these payloads in it.
    fn reply_with(&mut self, client: usize, id: u64, method: &str, result: Value, payloads: Vec<Arc<str>>) {
        let tag = 6 << 56 | id << 32 | result["offset"].as_u64().unwrap_or_default();
        self.tell(client, Expect::replayed(json!({ "id": id, method: result }), payloads, tag));
    }

    /// An error counts when there is somebody to tell it. An outbox that has overflowed ends the connection when all of the turn
    /// is said, and not before.
    pub(super) fn count_error(&mut self, client: usize) {
        let phase = self.conns[client].as_ref().map(|conn| &conn.phase);
        self.counted.errors +=
            u64::from(matches!(phase, Some(Phase::Open | Phase::Closing { cause: CloseCause::Slow, .. })));
    }

    pub(super) fn refuse(&mut self, client: usize, id: u64, code: u16) {
        self.count_error(client);
        if !self.is_open(client) {
            return;
        }
        let mut error = json!({ "code": code, "message": WORDS });
        if matches!(code, 100 | 111) {
            error["temporary"] = true.into();
        }
        self.tell(client, Expect::json(json!({ "id": id, "error": error }), 7 << 56 | id << 32 | u64::from(code)));
    }

    fn subscribe(&mut self, client: usize, id: u64, room: usize, asking: &Asking) {
        if let Some(code) = self.obstacle(client, room) {
            return self.refuse(client, id, code);
        }
        if asking.watch && !self.config.policy.allow_presence {
            return self.refuse(client, id, 103);
        }
        if !self.may_join(client) {
            return self.refuse(client, id, 111);
        }
        match &asking.token {
            Some(token) => self.ask(client, token, Ask::Subscribe(id, room, asking.clone())),
            None if !self.config.policy.allow_subscribe => self.refuse(client, id, 103),
            None => {
                let seat = Seat { watches: asking.watch, ..Seat::because(Wish::Client) };
                self.enter_asked((client, id), room, &asking.want, seat, None);
            }
        }
    }

    /// Why a connection cannot be put into a room.
    pub(super) fn obstacle(&mut self, client: usize, room: usize) -> Option<u16> {
        if let Some(seat) = self.seat(client, room) {
            return seat.wanted.contains(&Wish::Client).then_some(105);
        }
        let is_full = self.is_full(client);
        if is_full {
            self.hit(Limit::RoomsPerConnection);
        }
        is_full.then_some(106)
    }

    /// Whether it is in as many rooms as it may be.
    pub(super) fn is_full(&self, client: usize) -> bool {
        self.seat_count(client) >= self.config.limits.rooms_per_connection
    }

    /// Joins a room that was asked for, and answers. True where something was missed and is there.
    pub(super) fn enter_asked(
        &mut self,
        (client, id): (usize, u64),
        room: usize,
        want: &Want,
        seat: Seat,
        exp: Option<u64>,
    ) -> bool {
        let watches = seat.watches;
        let mut for_others = false;
        let joined = if self.rooms[room].contains(&client) {
            Ok(self.join_again(client, room, want, seat))
        } else if let Some(before) = self.stop_entering(client, room) {
            for_others = true;
            let seat = Seat { wanted: &before.wanted | &seat.wanted, ..seat };
            self.join(client, room, &want.clone().or_without(), seat)
        } else {
            self.join(client, room, want, seat)
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

    fn ask_history(&mut self, client: usize, id: u64, room: usize, query: &Query) {
        let refused = if !self.config.policy.allow_history || !self.rooms[room].contains(&client) {
            Some(103)
        } else if !self.keeps_history() {
            Some(108)
        } else {
            None
        };
        match refused.map_or_else(|| self.read(room, query), Err) {
            Err(code) => self.refuse(client, id, code),
            Ok(entries) => {
                let (page, lines) =
                    (self.page(room, &entries), entries.iter().map(|entry| Arc::clone(&entry.line)).collect());
                self.reply_with(client, id, "history", page, lines);
            }
        }
    }

    /// What a subscription is answered.
    pub(super) fn position(&self, room: usize) -> Value {
        if !self.keeps_history() {
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

    pub(super) fn client_publish(&mut self, client: usize, id: Option<u64>, room: usize, data: Option<&Data>) {
        let conn = self.conns[client].as_ref().expect("it is open");
        let json = conn.entry.json;
        let too_large = data.is_some_and(|data| data.too_large);
        let refused = if data.is_none() {
            Some(107)
        } else if !self.rooms[room].contains(&client) || !self.config.policy.allow_publish {
            Some(103)
        } else if too_large {
            self.hit(Limit::PublicationBytes);
            Some(107)
        } else if let Some(limit) = data.and_then(|data| data.unreadable) {
            limit.into_iter().for_each(|limit| self.hit(limit));
            self.goals.reach(Goal::Unreadable);
            Some(107)
        } else if data.is_some_and(|data| data.is_servers) {
            self.goals.reach(Goal::ServersType);
            Some(107)
        } else if !self.may_publish(client) {
            Some(111)
        } else {
            None
        };
        let (Some(data), None) = (data, refused) else {
            let code = refused.unwrap_or(107);
            self.goals.reach(Goal::Refused);
            return self.refuse_publish(client, id, code);
        };
        // Tags and keeping out of the log are for backends alone.
        let data = Data { unlogged: false, tagged: false, ..data.clone() };
        let origin = Origin { info: self.info(client, room) };
        let (offset, epoch) = self.publish(room, &data, Some(&origin));
        let Some((id, _)) = id.zip(self.conns[client].as_ref().filter(|conn| conn.is_open())) else { return };
        if json {
            self.reply(client, id, "publish", json!({}));
        } else {
            let room = &*self.names[room];
            let published = json!({ "type": "published", "id": id, "room": room, "epoch": epoch, "offset": offset });
            self.tell(client, Expect::json(published, 8 << 56 | id << 32));
        }
    }

    fn refuse_publish(&mut self, client: usize, id: Option<u64>, code: u16) {
        let conn = self.conns[client].as_ref().expect("it is there");
        match id {
            _ if !conn.is_open() => {}
            Some(id) if conn.entry.json => self.refuse(client, id, code),
            id => self.refuse_plain(client, id, code),
        }
    }

    /// Lets a json client in.
    fn welcome(&mut self, client: usize, token: &TokenOutcome) {
        let rooms = self.placed(token);
        if self.refuses_user(client, token) {
            return;
        }
        if self.is_crowded(token, &rooms) {
            return self.turn_away(client, token, CloseCause::Rooms);
        }
        let displaced = self.displaced_by(token);
        self.identify(client, token);
        self.let_in(client, token, &rooms);
        self.displace(displaced);
    }

    /// Puts a json client into the rooms that it starts in, and answers its `connect`.
    fn let_in(&mut self, client: usize, token: &TokenOutcome, rooms: &[usize]) {
        let wants = std::mem::take(&mut self.conn(client).expect("it is open").wants);
        let (mut subs, mut lines, mut bytes, mut recovered) = (json!({}), Vec::new(), 0, 0);
        let limits = self.config.limits.clone();
        for (at, room) in rooms.iter().copied().enumerate() {
            let want = wants.iter().find(|(of, _)| *of == room).map_or(Want::Nothing, |(_, want)| want.clone());
            let is_strict = matches!(want, Want::Since { refuse: true, .. });
            let info = self.info(client, room);
            let seat = Seat::because(self.wish(token, room));
            let Ok(mut replay) = self.join(client, room, &want.or_without(), seat) else {
                self.overloaded(client);
                rooms[at + 1..].iter().for_each(|room| self.join_in_vain(&info, client, *room));
                return;
            };
            if is_strict && replay.recovered == Some(false) {
                self.goals.reach(Goal::ReturnedOrNot);
            }
            // All rooms together fit one reply.
            let messages = lines.len() + replay.entries.len();
            if bytes + replay.encoded() > limits.reply_bytes || messages > limits.reply_messages {
                self.goals.reach(Goal::ConnectTooLarge);
                replay = Replay::FAILED;
            } else if !replay.entries.is_empty() {
                recovered += 1;
                self.goals.reach(Goal::RecoveredAtConnect);
            }
            bytes += replay.encoded();
            lines.extend(replay.lines());
            subs[&*self.names[room]] = self.start(room, &replay);
        }
        if recovered > 2 {
            self.goals.reach(Goal::RecoveredInThree);
        }
        let interval = self.config.limits.ping_interval;
        let ping_at = self.clock + nanos(interval);
        let (node, version) = (self.config.node.clone(), self.config.version.clone());
        let conn = self.conn(client).expect("it is open");
        conn.arm(Timer::Ping, ping_at);
        let client_id = conn.client_id.to_string();
        let mut result = json!({ "client": client_id, "version": version, "session": client_id, "node": node });
        if !conn.entry.frame_pings {
            result["ping"] = interval.as_secs().into();
            result["pong"] = true.into();
        }
        self.add_ttl(&mut result, token.exp);
        if subs != json!({}) {
            result["subs"] = subs;
        }
        self.reply_with(client, 1, "connect", result, lines);
    }

    /// From now on the connection has said who it is.
    pub(super) fn identify(&mut self, client: usize, token: &TokenOutcome) {
        let others = token.user.map_or(0, |user| self.connections_of(user));
        let is_new = self.conns[client].as_ref().is_some_and(|conn| conn.user.is_none());
        let expiry = self.expiry(token.exp);
        if token.user.is_some() && others > 0 && is_new {
            self.goals.reach(Goal::UserTwice);
        }
        let turn = self.turns;
        let conn = self.conns[client].as_mut().expect("it is open");
        conn.disarm(Timer::Authenticate);
        (conn.ready, conn.asked) = (true, false);
        conn.timers[Timer::Expiry as usize] = expiry;
        conn.granted.clone_from(&token.channels);
        conn.info.clone_from(&token.info);
        if token.user.is_some() && is_new {
            (conn.user, conn.known) = (token.user, turn);
        }
        if let Some(user) = token.user.filter(|_| others == 0) {
            self.turn.changes.push((Subject::User(user), true));
        }
    }

    /// Turns a connection away whose user has too many, where newer ones are refused. Whoever has not answered a ping of
    /// now is gone soon.
    pub(super) fn refuses_user(&mut self, client: usize, token: &TokenOutcome) -> bool {
        if self.config.user_limit == UserLimit::Replace || !self.is_user_full(token) {
            return false;
        }
        let is_asked = |conn: &Conn| conn.user == token.user && conn.ready && conn.timer(Timer::Pong).is_none();
        let asked = |other: &usize| self.conns[*other].as_ref().is_some_and(is_asked);
        for other in (0..self.conns.len()).filter(asked).collect::<Vec<_>>() {
            self.send_ping(other);
        }
        self.hit(Limit::ConnectionsPerUser);
        self.close(client, CloseCause::UserFull);
        true
    }

    /// Who makes room for one more connection of this user: the one that has been the user's for the longest.
    pub(super) fn displaced_by(&self, token: &TokenOutcome) -> Option<usize> {
        let since = |client: &usize| self.conns[*client].as_ref().map(|conn| conn.known);
        let is_one = |client: &usize| self.conns[*client].as_ref().is_some_and(|conn| conn.user == token.user);
        self.is_user_full(token).then(|| (0..self.conns.len()).filter(is_one).min_by_key(since))?
    }

    /// How many connections of the same user have been that for longer, where it matters who was first.
    pub(crate) fn age_among_equals(&self, client: usize) -> u8 {
        let Some(conn) = &self.conns[client] else { return 0 };
        if self.config.limits.connections_per_user == 0 || conn.user.is_none() {
            return 0;
        }
        let is_older = |other: &&Conn| other.user == conn.user && other.known < conn.known;
        u8::try_from(self.conns.iter().flatten().filter(is_older).count()).expect("a few connections")
    }

    /// It goes once the new one is in: the user is there all the time, and so is the personal room.
    pub(super) fn displace(&mut self, oldest: Option<usize>) {
        if let Some(oldest) = oldest {
            self.hit(Limit::ConnectionsPerUser);
            if self.is_open(oldest) {
                self.close(oldest, CloseCause::UserConnections);
            }
        }
    }

    /// Why a connection is put into this room that comes with its token.
    pub(super) fn wish(&self, token: &TokenOutcome, room: usize) -> Wish {
        if token.channels.contains(&room) { Wish::Token } else { Wish::Own }
    }

    /// What is wrong with a connection's token: 109 or 103, as if it had come with a command.
    pub(super) fn flaw_of_connection(&mut self, token: &TokenOutcome) -> Option<u16> {
        self.untimely_or_bad(token).or_else(|| token.channel.map(|_| 103))
    }

    /// There is no place for a room that it is put into.
    pub(super) fn overloaded(&mut self, client: usize) {
        self.goals.reach(Goal::Overloaded);
        self.close(client, CloseCause::Overloaded);
    }

    pub(crate) fn own_room(&self, user: usize) -> usize {
        self.names.len() - self.users + user
    }

    pub(super) fn decided(&mut self, client: usize, token: &TokenOutcome) {
        let Some(conn) = self.conn(client).filter(|conn| conn.is_open() && conn.asked) else { return };
        conn.asked = false;
        let json = conn.entry.json;
        let ask = std::mem::take(&mut conn.ask);
        let waited = conn.ready && !conn.waiting.is_empty();
        match ask {
            Ask::Refresh(id) => self.refreshed(client, id, token),
            Ask::Subscribe(id, room, asking) => self.subscribed_with(client, id, room, &asking, token),
            Ask::SubRefresh(id, room) => self.room_refreshed(client, id, room, token),
            Ask::Identity if !json => self.decided_plain(client, token),
            Ask::Identity => match self.flaw_of_connection(token) {
                Some(109) => {
                    // What was sent behind this `connect` will be sent again behind the next.
                    self.goals.reach(Goal::TokenExpired);
                    let conn = self.conn(client).expect("it is open");
                    conn.turned_down = true;
                    conn.waiting.clear();
                    return self.refuse(client, 1, 109);
                }
                Some(_) => self.close(client, CloseCause::InvalidToken),
                None => self.welcome(client, token),
            },
        }
        if waited {
            self.goals.reach(Goal::WaitedForToken);
        }
        self.settle();
        self.hear_waiting(client);
    }

    /// Whether a token is not good yet, by more than clocks may differ.
    pub(super) fn is_early(&self, token: &TokenOutcome) -> bool {
        token.nbf.is_some_and(|nbf| nbf * 1000 > self.unix_ms + self.leeway())
    }

    /// By how many milliseconds clocks may differ.
    pub(super) fn leeway(&self) -> u64 {
        u64::try_from(self.config.limits.token_leeway.as_millis()).expect("a duration of less than centuries")
    }

    pub(super) fn is_expired(&self, token: &TokenOutcome) -> bool {
        token.exp.is_some_and(|exp| exp * 1000 + self.leeway() <= self.unix_ms)
    }

    /// The rooms that come with a token: those that it names, and the user's own.
    pub(super) fn placed(&self, token: &TokenOutcome) -> Vec<usize> {
        token.channels.iter().copied().chain(token.user.map(|user| self.own_room(user))).collect()
    }

    pub(super) fn is_crowded(&self, token: &TokenOutcome, rooms: &[usize]) -> bool {
        token.crowded || rooms.len() > self.config.limits.rooms_per_connection
    }

    /// Closes a connection on its way in. Its user and rooms may come to life with it, and must cease to be with it.
    pub(super) fn turn_away(&mut self, client: usize, token: &TokenOutcome, cause: CloseCause) {
        let user = token.user.filter(|user| !self.conns.iter().flatten().any(|conn| conn.user == Some(*user)));
        let in_url = self.conns[client].as_ref().map(|conn| conn.entry.rooms.clone()).unwrap_or_default();
        let mut rooms: Vec<usize> = self.placed(token).into_iter().chain(in_url).collect();
        rooms.sort_unstable();
        rooms.dedup();
        let empty = rooms.into_iter().filter(|room| self.rooms[*room].is_empty()).map(Subject::Room);
        self.turn.flashes.extend(empty.chain(user.map(Subject::User)));
        if cause == CloseCause::Rooms {
            self.hit(Limit::RoomsPerConnection);
        }
        if self.is_open(client) {
            self.close(client, cause);
        }
    }

    pub(super) fn is_user_full(&self, token: &TokenOutcome) -> bool {
        let most = self.config.limits.connections_per_user;
        most > 0 && token.user.is_some_and(|user| self.connections_of(user) >= most)
    }

    fn connections_of(&self, user: usize) -> usize {
        self.conns.iter().flatten().filter(|conn| conn.user == Some(user)).count()
    }

    pub(super) fn is_open(&self, client: usize) -> bool {
        self.conns[client].as_ref().is_some_and(|conn| conn.is_open())
    }

    /// What a token says about this user, as its holder gets it from whoever signs tokens.
    #[must_use]
    pub fn token_info(user: usize) -> Option<String> {
        info_of(user)
    }
}
