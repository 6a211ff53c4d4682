//! Who a connection is: its user, its user's other connections, and the rooms that it begins in.

use super::arrival::TokenOutcome;
use super::connection::{ExpectedConnection, ExpectedTimer};
use super::log::ExpectedReplay;
use super::membership::{ExpectedMembership, MembershipReason};
use super::model::ReferenceModel;
use super::time::nanos;
use super::turn::RoomOrUser;
use crate::goals::Goal;
use crate::world::history_request::RecoverFrom;
use parlor_core::{CloseCause, Limit, UserLimit};
use serde_json::json;

impl ReferenceModel {
    /// Lets a json client in.
    pub(super) fn welcome(&mut self, client: usize, token: &TokenOutcome) {
        let rooms = self.placed(token);
        if self.is_crowded(token, &rooms) {
            return self.turn_away(client, token, CloseCause::Rooms);
        }
        if self.refuses_user(client, token) {
            return;
        }
        let displaced = self.displaced_by(token);
        self.identify(client, token);
        self.let_in(client, token, &rooms, displaced);
    }

    /// Puts a json client into the rooms that it starts in, and answers its `connect`.
    fn let_in(&mut self, client: usize, token: &TokenOutcome, rooms: &[usize], displaced: Option<usize>) {
        let wants = std::mem::take(&mut self.conn(client).expect("it is open").wants);
        let (mut subs, mut lines, mut bytes, mut recovered) = (json!({}), Vec::new(), 0, 0);
        let limits = self.config.limits.clone();
        for (at, room) in rooms.iter().copied().enumerate() {
            let want = wants.iter().find(|(of, _)| *of == room).map_or(RecoverFrom::Nothing, |(_, want)| want.clone());
            let is_strict = matches!(want, RecoverFrom::Since { refuse: true, .. });
            let info = self.info(client, room);
            let membership = ExpectedMembership::because(self.reason(token, room));
            let Ok(mut replay) = self.join(client, room, &want.or_without(), membership) else {
                self.overloaded(client);
                // The others are asked for once the connection is in the room of its user.
                if at > 0 || token.user.is_none() {
                    self.displace(displaced);
                    rooms[at + 1..].iter().for_each(|room| self.join_in_vain(&info, client, *room));
                }
                return;
            };
            if is_strict && replay.recovered == Some(false) {
                self.goals.reach(Goal::ReturnedOrNot);
            }
            // All rooms together fit one reply.
            let messages = lines.len() + replay.entries.len();
            if bytes + replay.encoded() > limits.reply_bytes || messages > limits.reply_messages {
                self.goals.reach(Goal::ConnectTooLarge);
                replay = ExpectedReplay::FAILED;
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
        conn.arm(ExpectedTimer::Ping, ping_at);
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
        self.displace(displaced);
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
        conn.disarm(ExpectedTimer::Authenticate);
        (conn.ready, conn.asked) = (true, false);
        conn.timers[ExpectedTimer::Expiry as usize] = expiry;
        conn.granted.clone_from(&token.channels);
        conn.caps.clone_from(&token.caps);
        conn.info.clone_from(&token.info);
        if token.user.is_some() && is_new {
            (conn.user, conn.known) = (token.user, turn);
        }
    }

    /// Turns a connection away whose user has too many, where newer ones are refused. One that has not answered a ping of
    /// now is gone soon.
    pub(super) fn refuses_user(&mut self, client: usize, token: &TokenOutcome) -> bool {
        if self.config.user_limit == UserLimit::Replace || !self.is_user_full(token) {
            return false;
        }
        let is_asked = |conn: &ExpectedConnection| {
            conn.user == token.user && conn.ready && conn.timer(ExpectedTimer::Pong).is_none()
        };
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
        if self.config.limits.connections_per_user.is_none() || conn.user.is_none() {
            return 0;
        }
        let is_older = |other: &&ExpectedConnection| other.user == conn.user && other.known < conn.known;
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
    pub(super) fn reason(&self, token: &TokenOutcome, room: usize) -> MembershipReason {
        if token.channels.contains(&room) { MembershipReason::Token } else { MembershipReason::Own }
    }

    /// There is no place for a room that it is put into.
    pub(super) fn overloaded(&mut self, client: usize) {
        self.goals.reach(Goal::Overloaded);
        self.close(client, CloseCause::Overloaded);
    }

    pub(crate) fn own_room(&self, user: usize) -> usize {
        self.names.len() - self.users + user
    }

    /// The rooms that come with a token: the user's own, and those that it names.
    pub(super) fn placed(&self, token: &TokenOutcome) -> Vec<usize> {
        token.user.map(|user| self.own_room(user)).into_iter().chain(token.channels.iter().copied()).collect()
    }

    pub(super) fn is_crowded(&self, token: &TokenOutcome, rooms: &[usize]) -> bool {
        token.crowded || rooms.len() > self.config.limits.rooms_per_connection
    }

    /// Closes a connection on its way in. Its user and rooms may come to life with it, and must cease to be with it.
    pub(super) fn turn_away(&mut self, client: usize, token: &TokenOutcome, cause: CloseCause) {
        let user = token.user.filter(|user| !self.is_online(*user));
        let in_url = self.conns[client].as_ref().map(|conn| conn.entry.rooms.clone()).unwrap_or_default();
        let mut rooms: Vec<usize> = self.placed(token).into_iter().chain(in_url).collect();
        rooms.sort_unstable();
        rooms.dedup();
        let empty = rooms.into_iter().filter(|room| self.rooms[*room].is_empty()).map(RoomOrUser::Room);
        self.turn.flashes.extend(empty.chain(user.map(RoomOrUser::User)));
        if cause == CloseCause::Rooms {
            self.hit(Limit::RoomsPerConnection);
        }
        if self.is_open(client) {
            self.close(client, cause);
        }
    }

    pub(super) fn is_user_full(&self, token: &TokenOutcome) -> bool {
        let most = self.config.limits.connections_per_user;
        token.user.is_some_and(|user| most.is_some_and(|most| self.connections_of(user) >= most.get()))
    }

    fn connections_of(&self, user: usize) -> usize {
        self.conns.iter().flatten().filter(|conn| conn.user == Some(user)).count()
    }

    pub(super) fn is_open(&self, client: usize) -> bool {
        self.conns[client].as_ref().is_some_and(|conn| conn.is_open())
    }
}
