//! Tokens: what is wrong with one, how long a connection lasts, which rooms it may be in and for how long.

use super::answer::ApiRefusal;
use super::arrival::{TokenCapability, TokenOutcome};
use super::connection::{ExpectedJoin, ExpectedTimer, TokenPurpose};
use super::expect::{ExpectedFrame, between};
use super::log::{ExpectedReplay, PUBLICATION};
use super::membership::{Departure, ExpectedMembership, MembershipReason};
use super::model::ReferenceModel;
use super::names::info_of;
use super::selection::ConnectionSelection;
use super::time::nanos;
use crate::goals::Goal;
use crate::world::action::Renewal;
use crate::world::client_message::SubscribeOptions;
use crate::world::history_request::RecoverFrom;
use parlor_core::{CloseCause, Limit};
use serde_json::{Value, json};
use std::time::Duration;

impl ReferenceModel {
    pub(super) fn decided(&mut self, client: usize, token: &TokenOutcome) {
        let Some(conn) = self.conn(client).filter(|conn| conn.is_open() && conn.asked) else { return };
        conn.asked = false;
        let json = conn.entry.json;
        let ask = std::mem::take(&mut conn.ask);
        let waited = conn.ready && !conn.waiting.is_empty();
        match ask {
            TokenPurpose::Refresh(id) => self.refreshed(client, id, token),
            TokenPurpose::Subscribe(id, room, asking) => self.subscribed_with(client, id, room, &asking, token),
            TokenPurpose::SubRefresh(id, room) => self.room_refreshed(client, id, room, token),
            TokenPurpose::Identity if !json => self.decided_plain(client, token),
            TokenPurpose::Identity => match self.flaw_of_connection(token) {
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

    /// The error of a connection's token, 109 or 103, as if it had come with a command; `None` for a good one.
    pub(super) fn flaw_of_connection(&mut self, token: &TokenOutcome) -> Option<u16> {
        self.untimely_or_bad(token).or_else(|| token.channel.map(|_| 103))
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

    /// Information about this user in the tokens of the scenario.
    #[must_use]
    pub fn token_info(user: usize) -> Option<String> {
        info_of(user)
    }

    /// Which room the token is for that is being looked at, if it is for a room.
    #[must_use]
    pub fn asked_room(&self, client: usize) -> Option<usize> {
        match self.conns[client].as_ref()?.ask {
            TokenPurpose::Subscribe(_, room, _) | TokenPurpose::SubRefresh(_, room) => Some(room),
            TokenPurpose::Identity | TokenPurpose::Refresh(_) => None,
        }
    }

    pub(super) fn refreshed(&mut self, client: usize, id: u64, token: &TokenOutcome) {
        if let Some(code) = self.flaw_of_connection(token) {
            return self.close(client, if code == 109 { CloseCause::Expired } else { CloseCause::InvalidToken });
        }
        let conn = self.conns[client].as_ref().expect("it has asked");
        if conn.user != token.user {
            return self.close(client, CloseCause::BadRequest);
        }
        let mut reply = json!({ "client": conn.client_id.to_string() });
        self.add_ttl(&mut reply, token.exp);
        self.goals.reach(Goal::Refreshed);
        self.renew(client, token, ExpectedFrame::json(json!({ "id": id, "refresh": reply }), 6 << 56 | id << 32));
    }

    /// A later token counts whole. The client is told `answer` first, then what it leaves, then what it joins.
    pub(super) fn renew(&mut self, client: usize, token: &TokenOutcome, answer: ExpectedFrame) {
        let is_new = self.conns[client].as_ref().is_some_and(|conn| conn.user != token.user);
        let Some(own) = token.user.filter(|_| is_new).map(|user| self.own_room(user)) else {
            return self.go_on_renewing(client, token, answer, None);
        };
        let opened = self.opened_by(client, token);
        if self.new_rooms_or_close(client, token, &opened, 1).is_none() || self.refuses_user(client, token) {
            return;
        }
        let want = self.wanted_of_own(client, own);
        let membership = ExpectedMembership::because(MembershipReason::Own);
        let renewal = Some(Box::new((token.clone(), answer)));
        self.put_into(client, ExpectedJoin { room: own, want, membership, renewal });
    }

    /// Puts a connection into the room of the user that a later token gives it, and lets the token count.
    pub(super) fn enter_as_user(
        &mut self,
        client: usize,
        (room, want, membership): (usize, RecoverFrom, ExpectedMembership),
        (token, answer): (TokenOutcome, ExpectedFrame),
    ) {
        let displaced = self.displaced_by(&token);
        let conn = self.conn(client).expect("it is open");
        let before = (conn.user, conn.info.clone());
        (conn.user, conn.info) = (token.user, token.info.clone());
        let joined = self.join(client, room, &want, membership);
        let conn = self.conn(client).expect("it is open");
        (conn.user, conn.info) = before;
        match joined {
            Ok(replay) => self.go_on_renewing(client, &token, answer, Some((room, replay, displaced))),
            Err(_) => self.overloaded(client),
        }
    }

    /// The rooms that a later token takes from a connection, those where only a token wanted it, and those that it gives. None
    /// where it would be in too many, with so many more: it is closed.
    fn new_rooms_or_close(
        &mut self,
        client: usize,
        token: &TokenOutcome,
        opened: &[(usize, RecoverFrom)],
        more: usize,
    ) -> Option<(Vec<usize>, Vec<usize>, Vec<usize>)> {
        let conn = self.conns[client].as_ref().expect("it has asked");
        let granted = conn.granted.clone();
        let wanted = |room: &usize| self.membership(client, *room).map(|membership| &membership.wanted);
        let is_in = |room: &usize| wanted(room).is_some();
        let of_token = |room: &usize| wanted(room).is_some_and(|wanted| wanted.contains(&MembershipReason::Token));
        let is_opened = |room: usize| opened.iter().any(|(opened, _)| *opened == room);
        let only = |room: &&usize| wanted(room).is_some_and(|wanted| wanted.len() == 1) && !is_opened(**room);
        let taken: Vec<usize> =
            (0..self.rooms.len()).filter(of_token).filter(|room| !token.channels.contains(room)).collect();
        let gone: Vec<usize> = taken.iter().filter(only).copied().collect();
        let given: Vec<usize> =
            token.channels.iter().copied().filter(|room| !is_in(room) && !granted.contains(room)).collect();
        let is_only_opened = |room: &usize| !is_in(room) && !given.contains(room);
        let only_opened = opened.iter().filter(|(room, _)| is_only_opened(room)).count();
        let count = self.membership_count(client) - gone.len() + given.len() + more + only_opened;
        if !token.crowded && count <= self.config.limits.rooms_per_connection {
            return Some((taken, gone, given));
        }
        let of_url = conn.entry.rooms.iter().filter(|room| !token.channels.contains(room));
        let of_url = of_url.filter(|room| self.lets_in(token, **room)).count();
        let first = token.channels.len() + usize::from(token.user.is_some()) + of_url;
        let is_final = token.crowded || first > self.config.limits.rooms_per_connection;
        self.hit(Limit::RoomsPerConnection);
        self.close(client, if is_final { CloseCause::Rooms } else { CloseCause::Overloaded });
        None
    }

    /// A later token counts, for a connection that is in the room of its user. `own` is what it has missed there, if it has just
    /// come, and who made room for it.
    fn go_on_renewing(
        &mut self,
        client: usize,
        token: &TokenOutcome,
        answer: ExpectedFrame,
        own: Option<(usize, ExpectedReplay, Option<usize>)>,
    ) {
        let opened = self.opened_by(client, token);
        let Some((taken, gone, given)) = self.new_rooms_or_close(client, token, &opened, 0) else { return };
        self.take_opened(client, &opened);
        for (room, _) in &opened {
            if let Some(reasons) = self.reasons_mut(client, *room) {
                reasons.insert(MembershipReason::Client);
            }
        }
        let displaced = own.as_ref().and_then(|(.., displaced)| *displaced);
        let mut fits = self.enqueue(client, answer);
        if let Some((room, replay, _)) = own {
            let frames = self.plain_start(client, room, replay);
            fits = fits && frames.into_iter().all(|frame| self.enqueue(client, frame));
        }
        let fits = self.leave_taken_rooms(client, &taken, &gone, fits);
        for room in &token.channels {
            if let Some(reasons) = self.reasons_mut(client, *room) {
                reasons.insert(MembershipReason::Token);
            }
        }
        let fits = self.end_what_capabilities_allowed(client, token, fits);
        // A room that is empty now makes place for those that it is put into.
        for _ in 0..self.turn.events.len() {
            self.tell_next();
        }
        self.rename(client, token);
        let info = self.info_of(client, token.user, token.info.as_deref());
        if !fits {
            self.close(client, CloseCause::Slow);
        }
        let new = self.new_rooms(client, &given, &opened);
        if self.is_open(client) {
            self.put_into_all(client, new, displaced);
        } else {
            // A slow consumer is not put into a room of which it wants more than what is new.
            let at_once = new.iter().filter(|joined| joined.want == RecoverFrom::Nothing);
            let at_once: Vec<usize> = at_once.map(|joined| joined.room).collect();
            self.join_all_in_vain(&info, client, &at_once);
            self.displace(displaced);
        }
    }

    /// Takes a connection out of the rooms that a later token names no more, but for those where it is for another reason too.
    /// Returns whether its outbox had room for what it is told; `fits` is whether it had for what came before.
    fn leave_taken_rooms(&mut self, client: usize, taken: &[usize], gone: &[usize], mut fits: bool) -> bool {
        for &room in taken {
            if !gone.contains(&room) {
                self.reasons_mut(client, room).expect("it is in it").remove(&MembershipReason::Token);
                continue;
            }
            self.goals.reach(Goal::TokenTookAway);
            self.leave(client, room);
            if self.is_json(client) {
                let push = self.unsubscribe_push(room, 2000, "server unsubscribe");
                fits = fits && self.enqueue(client, push);
            }
        }
        fits
    }

    /// The rooms that a later token adds, and those of the client's URL into which only this token lets it.
    fn new_rooms(&mut self, client: usize, given: &[usize], opened: &[(usize, RecoverFrom)]) -> Vec<ExpectedJoin> {
        let mut new: Vec<ExpectedJoin> = Vec::new();
        for room in given.iter().copied() {
            self.goals.reach(Goal::TokenGave);
            let membership = ExpectedMembership::because(MembershipReason::Token);
            new.push(ExpectedJoin { room, want: RecoverFrom::Nothing, membership, renewal: None });
        }
        for (room, want) in opened {
            if self.membership(client, *room).is_some() {
                continue;
            }
            self.goals.reach(Goal::RoomOpenedByToken);
            if let Some(joined) = new.iter_mut().find(|joined| joined.room == *room) {
                joined.want = want.clone();
                joined.membership.wanted.insert(MembershipReason::Client);
                continue;
            }
            let membership = ExpectedMembership::because(MembershipReason::Client);
            new.push(ExpectedJoin { room: *room, want: want.clone(), membership, renewal: None });
        }
        if !new.is_empty() {
            self.goals.reach(Goal::PutIn);
        }
        new
    }

    /// Announces the user of a connection that had none before to its rooms; other changes are not announced.
    fn rename(&mut self, client: usize, token: &TokenOutcome) {
        let conn = self.conns[client].as_ref().expect("it is there");
        let rooms: Vec<usize> = (0..self.rooms.len()).filter(|room| self.rooms[*room].contains(&client)).collect();
        if (conn.user, &conn.info) != (token.user, &token.info) {
            self.goals.reach(Goal::Renamed);
        }
        if conn.user == token.user {
            return self.identify(client, token);
        }
        let own = token.user.map(|user| self.own_room(user));
        let rooms: Vec<usize> = rooms.into_iter().filter(|room| Some(*room) != own).collect();
        for room in &rooms {
            self.is_back(*room, token.user, None);
            self.announce_member(*room, client, Some(Departure::Left));
        }
        self.identify(client, token);
        for room in &rooms {
            self.announce_member(*room, client, None);
        }
    }

    /// The error of a token wherever it is shown: 109 where it is good at another time, 103 where it is never.
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
        if token.caps.iter().map(TokenCapability::bytes).sum::<usize>() > self.config.limits.caps_bytes {
            self.hit(Limit::CapsBytes);
            self.goals.reach(Goal::TokenTooCapable);
            return Some(103);
        }
        None
    }

    /// The error of a room's token: first its own, then that of another user or room.
    fn flaw(&mut self, client: usize, room: usize, token: &TokenOutcome) -> Option<u16> {
        let user = self.conns[client].as_ref().expect("it has asked").user;
        let is_another = token.user != user || token.channel != Some(room);
        self.untimely_or_bad(token).or_else(|| is_another.then_some(103))
    }

    pub(super) fn subscribed_with(
        &mut self,
        client: usize,
        id: u64,
        room: usize,
        asking: &SubscribeOptions,
        token: &TokenOutcome,
    ) {
        // A backend may have put it into rooms meanwhile.
        if let Some(code) = self.obstacle(client, room).or_else(|| self.flaw(client, room, token)) {
            return self.refuse(client, id, code);
        }
        if let Some(code) = self.forbidden(client, room, asking.watch, Some(&token.allow)) {
            return self.refuse(client, id, code);
        }
        let until = self.expiry(token.exp);
        let info = token.info.clone();
        self.goals.reach(Goal::JoinedByToken);
        let membership = ExpectedMembership {
            watches: asking.watch,
            info,
            until,
            granted: Some(token.allow.clone()),
            ..ExpectedMembership::because(MembershipReason::Client)
        };
        if self.enter_asked((client, id), room, &asking.want, membership, token.exp) {
            self.goals.reach(Goal::RecoveredByToken);
        }
    }

    pub(super) fn room_refreshed(&mut self, client: usize, id: u64, room: usize, token: &TokenOutcome) {
        if let Some(code) = self.flaw(client, room, token) {
            if code == 109 {
                self.room_token_ended(client, room);
            }
            return self.refuse(client, id, code);
        }
        if !self.rooms[room].contains(&client) {
            return self.refuse(client, id, 103);
        }
        let until = self.expiry(token.exp);
        let membership = self.memberships.get_mut(&(room, client)).expect("it is in it");
        (membership.until, membership.info) = (until, token.info.clone());
        membership.granted = Some(token.allow.clone());
        self.arm_memberships(client);
        self.end_forbidden_watch(client, room);
        self.goals.reach(Goal::RoomRefreshed);
        let mut reply = json!({});
        self.add_ttl(&mut reply, token.exp);
        self.reply(client, id, "sub_refresh", reply);
    }

    /// When something ends whose token ends then.
    pub(super) fn expiry(&self, exp: Option<u64>) -> Option<u64> {
        // A connection does not expire while its token would still be accepted.
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
    pub(super) fn arm_memberships(&mut self, client: usize) {
        let earliest = self
            .memberships
            .iter()
            .filter(|((_, of), _)| *of == client)
            .filter_map(|(_, membership)| membership.until)
            .min();
        if let Some(conn) = self.conn(client) {
            conn.timers[ExpectedTimer::RoomExpiry as usize] = earliest;
        }
    }

    /// Takes a connection out of the rooms of which the tokens are no good any more.
    pub(super) fn memberships_due(&mut self, client: usize) {
        let clock = self.clock;
        let is_due = |membership: &ExpectedMembership| membership.until.is_some_and(|until| until <= clock);
        let due: Vec<usize> = self
            .memberships
            .iter()
            .filter(|((_, of), membership)| *of == client && is_due(membership))
            .map(|((room, _), _)| *room)
            .collect();
        for room in due {
            self.goals.reach(Goal::RoomExpired);
            self.room_token_ended(client, room);
        }
    }

    /// Ends what a room's token has given. A connection that is there for another reason stays.
    fn room_token_ended(&mut self, client: usize, room: usize) {
        let Some(membership) = self.memberships.get_mut(&(room, client)) else { return };
        if membership.wanted.iter().all(|reason| *reason == MembershipReason::Client) {
            return self.take_out(client, room, 2501, "subscription expired");
        }
        membership.wanted.remove(&MembershipReason::Client);
        (membership.until, membership.info, membership.granted) = (None, None, None);
        self.arm_memberships(client);
        self.end_forbidden_watch(client, room);
        self.goals.reach(Goal::StayedForOthers);
    }

    fn take_out(&mut self, client: usize, room: usize, code: u16, reason: &str) {
        if self.membership(client, room).is_none() {
            return;
        }
        self.leave(client, room);
        if self.is_json(client) {
            let push = self.unsubscribe_push(room, code, reason);
            self.tell(client, push);
        }
    }

    pub(super) fn unsubscribe_push(&self, room: usize, code: u16, reason: &str) -> ExpectedFrame {
        let push =
            json!({ "push": { "channel": *self.names[room], "unsubscribe": { "code": code, "reason": reason } } });
        let tag = 17 << 56 | (room as u64) << 48 | u64::from(code);
        ExpectedFrame::json(push, tag).among(self.turns, (room, usize::MAX))
    }

    fn ready_of(&self, user: usize) -> Vec<usize> {
        let is_meant = |client: &usize| {
            self.conns[*client]
                .as_ref()
                .is_some_and(|conn| conn.ready && conn.user == Some(user) && self.meant.has(conn.client_id))
        };
        (0..self.conns.len()).filter(is_meant).collect()
    }

    /// A backend puts a user's connections into a room.
    pub(super) fn put_in(&mut self, user: usize, room: usize, want: &RecoverFrom) -> Result<(), ApiRefusal> {
        let (there, new): (Vec<usize>, Vec<usize>) =
            self.ready_of(user).into_iter().partition(|client| self.membership(*client, room).is_some());
        if new.iter().any(|client| self.is_full(*client)) {
            self.hit(Limit::RoomsPerConnection);
            return Err(ApiRefusal::by("rooms_per_connection"));
        }
        for client in there {
            self.reasons_mut(client, room).expect("it is in it").insert(MembershipReason::Backend);
        }
        for client in new {
            if !self.is_open(client) {
                continue;
            }
            self.goals.reach(Goal::PutIn);
            self.put_into(
                client,
                ExpectedJoin {
                    room,
                    want: want.clone(),
                    membership: ExpectedMembership::because(MembershipReason::Backend),
                    renewal: None,
                },
            );
            if matches!(self.meant, ConnectionSelection::One(_)) {
                self.goals.reach(Goal::PutInOne);
            }
        }
        Ok(())
    }

    pub(super) fn tell_put_in(&mut self, client: usize, room: usize, replay: ExpectedReplay) {
        if !self.conns[client].as_ref().expect("it is open").entry.json {
            return self.start_plain(client, room, replay);
        }
        let mut start = self.start(room, &replay);
        if start.get("publications").is_some() {
            start["publications"] = json!([]);
        }
        let push = json!({ "push": { "channel": *self.names[room], "subscribe": start } });
        self.tell(client, ExpectedFrame::json(push, 18 << 56 | (room as u64) << 48));
        // What it has missed comes like everything else in the room.
        for entry in &replay.entries {
            if self.is_open(client) {
                let mut push = json!({ "push": { "channel": *self.names[room], "pub": entry.body } });
                push["push"]["pub"]["data"] = Value::Null;
                let tag = PUBLICATION << 56 | (room as u64) << 48 | entry.number;
                self.tell(client, ExpectedFrame::publication(push, "/push/pub/data", &entry.line, tag));
            }
        }
    }

    /// A backend takes a user's connections out of a room.
    pub(super) fn take_user_out(&mut self, user: usize, room: usize) {
        for client in self.ready_of(user) {
            if matches!(self.meant, ConnectionSelection::One(_)) && self.membership(client, room).is_some() {
                self.goals.reach(Goal::TookOutOne);
            }
            self.take_out(client, room, 2000, "server unsubscribe");
        }
    }

    /// A backend changes when a user's connections expire.
    pub(super) fn renew_user(&mut self, user: usize, renewal: Renewal, exp: Option<u64>) {
        for client in self.ready_of(user) {
            if renewal == Renewal::Expired {
                self.close(client, CloseCause::Expired);
                continue;
            }
            let expiry = self.expiry(exp);
            let conn = self.conn(client).expect("it is ready");
            conn.timers[ExpectedTimer::Expiry as usize] = expiry;
            if conn.entry.json {
                let mut refresh = json!({});
                self.add_ttl(&mut refresh, exp);
                self.tell(client, ExpectedFrame::json(json!({ "push": { "refresh": refresh } }), 19 << 56));
            }
        }
    }
}
