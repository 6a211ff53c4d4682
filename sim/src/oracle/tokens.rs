//! What later tokens change: how long a connection lasts, which rooms it may be in and for how long.

use super::calls::Denied;
use super::entering::Entering;
use super::expect::between;
use super::lists::Meant;
use super::presence::{Seat, Wish};
use super::recovery::{Replay, Want};
use super::rooms::PUBLICATION;
use super::{Expect, Oracle, Timer, TokenOutcome, nanos};
use crate::action::Renewal;
use crate::coverage::Goal;
use crate::speech::Asking;
use parlor_core::{CloseCause, Limit};
use serde_json::{Value, json};
use std::time::Duration;

/// What a token is looked at for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Ask {
    /// To come in, or a later `auth` in plain.
    #[default]
    Identity,
    /// To stay longer.
    Refresh(u64),
    /// To join a room.
    Subscribe(u64, usize, Asking),
    /// To stay longer in a room.
    SubRefresh(u64, usize),
}

impl Oracle {
    /// Which room the token is for that is being looked at, if it is for a room.
    #[must_use]
    pub fn asked_room(&self, peer: usize) -> Option<usize> {
        match self.conns[peer].as_ref()?.ask {
            Ask::Subscribe(_, room, _) | Ask::SubRefresh(_, room) => Some(room),
            Ask::Identity | Ask::Refresh(_) => None,
        }
    }

    pub(super) fn refreshed(&mut self, peer: usize, id: u64, token: &TokenOutcome) {
        if let Some(code) = self.flaw_of_connection(token) {
            return self.close(peer, if code == 109 { CloseCause::Expired } else { CloseCause::InvalidToken });
        }
        let conn = self.conns[peer].as_ref().expect("it has asked");
        if conn.user != token.user {
            return self.close(peer, CloseCause::BadRequest);
        }
        let mut reply = json!({ "client": conn.client.to_string() });
        self.add_ttl(&mut reply, token.exp);
        self.goals.reach(Goal::Refreshed);
        self.renew(peer, token, Expect::json(json!({ "id": id, "refresh": reply }), 6 << 56 | id << 32));
    }

    /// A later token counts whole. The client is told `answer` first, then what it leaves, then what it joins.
    pub(super) fn renew(&mut self, peer: usize, token: &TokenOutcome, answer: Expect) {
        let conn = self.conns[peer].as_ref().expect("it has asked");
        let is_new = conn.user != token.user;
        let granted = conn.granted.clone();
        let wanted = |room: &usize| self.seat(peer, *room).map(|seat| &seat.wanted);
        let is_in = |room: &usize| wanted(room).is_some();
        let of_token = |room: &usize| wanted(room).is_some_and(|wanted| wanted.contains(&Wish::Token));
        let only = |room: &&usize| wanted(room).is_some_and(|wanted| wanted.len() == 1);
        let taken: Vec<usize> =
            (0..self.rooms.len()).filter(of_token).filter(|room| !token.channels.contains(room)).collect();
        let gone: Vec<usize> = taken.iter().filter(only).copied().collect();
        let given: Vec<usize> =
            token.channels.iter().copied().filter(|room| !is_in(room) && !granted.contains(room)).collect();
        let own = token.user.filter(|_| is_new).map(|user| self.own_room(user));
        let count = self.seat_count(peer) - gone.len() + given.len() + usize::from(own.is_some());
        if token.crowded || count > self.config.limits.rooms_per_connection {
            self.hit(Limit::RoomsPerConnection);
            let of_token = token.channels.len() + usize::from(token.user.is_some());
            let is_final = token.crowded || of_token > self.config.limits.rooms_per_connection;
            return self.close(peer, if is_final { CloseCause::Rooms } else { CloseCause::Overloaded });
        }
        if is_new && self.refuses_user(peer, token) {
            return;
        }
        let displaced = if is_new { self.displaced_by(token) } else { None };
        let mut fits = self.enqueue(peer, answer);
        for room in taken {
            if !gone.contains(&room) {
                self.wishes(peer, room).expect("it is in it").remove(&Wish::Token);
                continue;
            }
            self.goals.reach(Goal::TokenTookAway);
            self.leave(peer, room);
            if self.is_json(peer) {
                let push = self.unsubscribe_push(room, 2000, "server unsubscribe");
                fits = fits && self.enqueue(peer, push);
            }
        }
        for room in &token.channels {
            if let Some(wishes) = self.wishes(peer, *room) {
                wishes.insert(Wish::Token);
            }
        }
        // A room that is empty now makes place for those that it is put into.
        for _ in 0..self.turn.news.len() {
            self.tell_next();
        }
        self.rename(peer, token);
        let info = self.info_of(peer, token.user, token.info.as_deref());
        if !fits {
            self.close(peer, CloseCause::Slow);
        }
        let new: Vec<(usize, Wish)> =
            given.iter().map(|room| (*room, Wish::Token)).chain(own.map(|room| (room, Wish::Own))).collect();
        for (room, wish) in new {
            let want = if wish == Wish::Own { self.wanted_of_own(peer, room) } else { Want::Nothing };
            if !self.is_open(peer) {
                // Who is too slow is not put into a room of which it wants more than what is new.
                if want == Want::Nothing {
                    self.join_in_vain(&info, peer, room);
                }
                continue;
            }
            if wish == Wish::Token {
                self.goals.reach(Goal::TokenGave);
            }
            self.goals.reach(Goal::PutIn);
            self.put_into(peer, Entering { room, want, seat: Seat::because(wish) });
        }
        self.displace(displaced);
    }

    /// The rooms that it is in learn of a user who was nobody before, and not of what else is known of one.
    fn rename(&mut self, peer: usize, token: &TokenOutcome) {
        let conn = self.conns[peer].as_ref().expect("it is there");
        let rooms: Vec<usize> = (0..self.rooms.len()).filter(|room| self.rooms[*room].contains(&peer)).collect();
        if (conn.user, &conn.info) != (token.user, &token.info) {
            self.goals.reach(Goal::Renamed);
        }
        if conn.user == token.user {
            return self.identify(peer, token);
        }
        for room in &rooms {
            self.announce_member(*room, peer, false);
        }
        self.identify(peer, token);
        for room in &rooms {
            self.announce_member(*room, peer, true);
        }
    }

    /// What is wrong with a token wherever it is shown: 109 where another time is the cure, 103 where there is none.
    pub(super) fn untimely_or_bad(&mut self, token: &TokenOutcome) -> Option<u16> {
        if token.forged {
            return Some(103);
        }
        if self.is_expired(token) || self.is_early(token) {
            return Some(109);
        }
        if token.unreadable {
            self.goals.reach(Goal::UnreadableToken);
            self.hit(Limit::JsonDepth);
            return Some(103);
        }
        if token.wordy {
            self.goals.reach(Goal::TokenTooWordy);
            self.hit(Limit::InfoBytes);
            return Some(103);
        }
        if token.long {
            self.hit(Limit::RoomNameBytes);
            self.goals.reach(Goal::TokenTooLong);
            return Some(103);
        }
        None
    }

    /// What is wrong with a room's token: first what it is, then whose and what for.
    fn flaw(&mut self, peer: usize, room: usize, token: &TokenOutcome) -> Option<u16> {
        let user = self.conns[peer].as_ref().expect("it has asked").user;
        let is_another = token.user != user || token.channel != Some(room);
        self.untimely_or_bad(token).or_else(|| is_another.then_some(103))
    }

    pub(super) fn subscribed_with(&mut self, peer: usize, id: u64, room: usize, asking: &Asking, token: &TokenOutcome) {
        // A backend may have put it into rooms meanwhile.
        if let Some(code) = self.obstacle(peer, room).or_else(|| self.flaw(peer, room, token)) {
            return self.refuse(peer, id, code);
        }
        let until = self.expiry(token.exp);
        let info = token.info.clone();
        self.goals.reach(Goal::JoinedByToken);
        let seat = Seat { watches: asking.watch, info, until, ..Seat::because(Wish::Client) };
        if self.enter_asked((peer, id), room, &asking.want, seat, token.exp) {
            self.goals.reach(Goal::RecoveredByToken);
        }
    }

    pub(super) fn room_refreshed(&mut self, peer: usize, id: u64, room: usize, token: &TokenOutcome) {
        if let Some(code) = self.flaw(peer, room, token) {
            if code == 109 {
                self.room_token_ended(peer, room);
            }
            return self.refuse(peer, id, code);
        }
        if !self.rooms[room].contains(&peer) {
            return self.refuse(peer, id, 103);
        }
        let until = self.expiry(token.exp);
        let seat = self.seats.get_mut(&(room, peer)).expect("it is in it");
        (seat.until, seat.info) = (until, token.info.clone());
        self.arm_seats(peer);
        self.goals.reach(Goal::RoomRefreshed);
        let mut reply = json!({});
        self.add_ttl(&mut reply, token.exp);
        self.reply(peer, id, "sub_refresh", reply);
    }

    /// When something ends whose token ends then.
    pub(super) fn expiry(&self, exp: Option<u64>) -> Option<u64> {
        // Nobody is sent away with a token that would be taken again.
        let grace = Duration::from_millis(self.leeway()).max(self.config.limits.expiry_grace);
        let end = |exp: u64| Duration::from_secs(exp) + grace;
        exp.map(|exp| self.clock + nanos(end(exp).saturating_sub(Duration::from_millis(self.unix_ms))))
    }

    pub(super) fn add_ttl(&self, reply: &mut Value, exp: Option<u64>) {
        if let Some(exp) = exp {
            reply["expires"] = true.into();
            reply["ttl"] = between(
                exp.saturating_sub(self.unix_ms.div_ceil(1000)).max(1),
                exp.saturating_sub(self.unix_ms / 1000).max(1),
            );
        }
    }

    /// Arms the deadline of the first of a connection's rooms to expire.
    pub(super) fn arm_seats(&mut self, peer: usize) {
        let earliest = self.seats.iter().filter(|((_, of), _)| *of == peer).filter_map(|(_, seat)| seat.until).min();
        if let Some(conn) = self.conn(peer) {
            conn.timers[Timer::RoomExpiry as usize] = earliest;
        }
    }

    /// Takes a connection out of the rooms of which the tokens are no good any more.
    pub(super) fn seats_due(&mut self, peer: usize) {
        let clock = self.clock;
        let is_due = |seat: &Seat| seat.until.is_some_and(|until| until <= clock);
        let due: Vec<usize> = self
            .seats
            .iter()
            .filter(|((_, of), seat)| *of == peer && is_due(seat))
            .map(|((room, _), _)| *room)
            .collect();
        for room in due {
            self.goals.reach(Goal::RoomExpired);
            self.room_token_ended(peer, room);
        }
    }

    /// A room's token has ended: nothing is left of it. Whoever is wanted there by others stays.
    fn room_token_ended(&mut self, peer: usize, room: usize) {
        let Some(seat) = self.seats.get_mut(&(room, peer)) else { return };
        if seat.wanted.iter().all(|wish| *wish == Wish::Client) {
            return self.take_out(peer, room, 2501, "subscription expired");
        }
        seat.wanted.remove(&Wish::Client);
        (seat.until, seat.info) = (None, None);
        self.arm_seats(peer);
        self.goals.reach(Goal::StayedForOthers);
    }

    fn take_out(&mut self, peer: usize, room: usize, code: u16, reason: &str) {
        if self.seat(peer, room).is_none() {
            return;
        }
        self.leave(peer, room);
        if self.is_json(peer) {
            let push = self.unsubscribe_push(room, code, reason);
            self.tell(peer, push);
        }
    }

    fn unsubscribe_push(&self, room: usize, code: u16, reason: &str) -> Expect {
        let push =
            json!({ "push": { "channel": *self.names[room], "unsubscribe": { "code": code, "reason": reason } } });
        let tag = 17 << 56 | (room as u64) << 48 | u64::from(code);
        Expect::json(push, tag).among(self.turns, (room, usize::MAX))
    }

    fn ready_of(&self, user: usize) -> Vec<usize> {
        let is_meant = |peer: &usize| {
            self.conns[*peer]
                .as_ref()
                .is_some_and(|conn| conn.ready && conn.user == Some(user) && self.meant.has(conn.client))
        };
        (0..self.conns.len()).filter(is_meant).collect()
    }

    /// A backend puts a user's connections into a room.
    pub(super) fn put_in(&mut self, user: usize, room: usize, want: &Want) -> Result<(), Denied> {
        let (there, new): (Vec<usize>, Vec<usize>) =
            self.ready_of(user).into_iter().partition(|peer| self.seat(*peer, room).is_some());
        if new.iter().any(|peer| self.is_full(*peer)) {
            self.hit(Limit::RoomsPerConnection);
            return Err(Denied::by("rooms_per_connection"));
        }
        for peer in there {
            self.wishes(peer, room).expect("it is in it").insert(Wish::Backend);
        }
        for peer in new {
            if !self.is_open(peer) {
                continue;
            }
            self.goals.reach(Goal::PutIn);
            self.put_into(peer, Entering { room, want: want.clone(), seat: Seat::because(Wish::Backend) });
            if matches!(self.meant, Meant::One(_)) {
                self.goals.reach(Goal::PutInOne);
            }
        }
        Ok(())
    }

    pub(super) fn tell_put_in(&mut self, peer: usize, room: usize, replay: Replay) {
        if !self.conns[peer].as_ref().expect("it is open").entry.json {
            return self.start_plain(peer, room, replay);
        }
        let mut start = self.start(room, &replay);
        if start.get("publications").is_some() {
            start["publications"] = json!([]);
        }
        let push = json!({ "push": { "channel": *self.names[room], "subscribe": start } });
        self.tell(peer, Expect::json(push, 18 << 56 | (room as u64) << 48));
        // What it has missed comes like everything else in the room.
        for entry in &replay.entries {
            if self.is_open(peer) {
                let mut push = json!({ "push": { "channel": *self.names[room], "pub": entry.body } });
                push["push"]["pub"]["data"] = Value::Null;
                let tag = PUBLICATION << 56 | (room as u64) << 48 | entry.number;
                self.tell(peer, Expect::publication(push, "/push/pub/data", &entry.line, tag));
            }
        }
    }

    /// A backend takes a user's connections out of a room.
    pub(super) fn take_user_out(&mut self, user: usize, room: usize) {
        for peer in self.ready_of(user) {
            if matches!(self.meant, Meant::One(_)) && self.seat(peer, room).is_some() {
                self.goals.reach(Goal::TookOutOne);
            }
            self.take_out(peer, room, 2000, "server unsubscribe");
        }
    }

    /// A backend changes when a user's connections expire.
    pub(super) fn renew_user(&mut self, user: usize, renewal: Renewal, exp: Option<u64>) {
        for peer in self.ready_of(user) {
            if renewal == Renewal::Expired {
                self.close(peer, CloseCause::Expired);
                continue;
            }
            let expiry = self.expiry(exp);
            let conn = self.conn(peer).expect("it is ready");
            conn.timers[Timer::Expiry as usize] = expiry;
            if conn.entry.json {
                let mut refresh = json!({});
                self.add_ttl(&mut refresh, exp);
                self.tell(peer, Expect::json(json!({ "push": { "refresh": refresh } }), 19 << 56));
            }
        }
    }
}
