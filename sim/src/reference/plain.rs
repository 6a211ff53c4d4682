//! The plain protocol: what a connection says and is told.

use super::arrival::TokenOutcome;
use super::connection::{ExpectedJoin, TokenPurpose};
use super::expect::{ExpectedFrame, WORDS};
use super::membership::{ExpectedMembership, MembershipReason};
use super::model::ReferenceModel;
use super::names::user_text;
use crate::goals::Goal;
use crate::world::client_message::ClientMessage;
use crate::world::history_request::RecoverFrom;
use parlor_core::{CloseCause, Limit};
use serde_json::json;

impl ReferenceModel {
    pub(super) fn opened_plain(&mut self, client: usize) {
        let token = self.conn(client).and_then(|conn| conn.entry.token.clone());
        match token {
            Some(token) => self.ask(client, &token, TokenPurpose::Identity),
            None if self.config.allow_anonymous => self.greet(client, None, None),
            None => {}
        }
    }

    /// Lets a plain client into its rooms; `token` is what its token says, if it has shown one that is good, and `flaw`
    /// what is wrong with one that is not.
    fn greet(&mut self, client: usize, token: Option<&TokenOutcome>, flaw: Option<u16>) {
        let entry = &self.conns[client].as_ref().expect("it is open").entry;
        let named = entry.rooms.clone();
        let anonymous = TokenOutcome::default();
        let (authenticated, token) = (token.is_some(), token.unwrap_or(&anonymous));
        let mut rooms = self.placed(token);
        let asked = named.iter().copied().filter(|room| !rooms.contains(room));
        let (allowed, refused): (Vec<usize>, Vec<usize>) = asked.partition(|room| self.lets_in(token, *room));
        rooms.extend(allowed);
        // What it wants of a room where its token puts it comes at once.
        let placed = named.iter().copied().filter(|room| self.placed(token).contains(room));
        let mut kept_out: Vec<(usize, RecoverFrom)> =
            placed.filter(|room| !self.lets_in(token, *room)).map(|room| (room, RecoverFrom::Nothing)).collect();
        kept_out.extend(refused.iter().map(|room| (*room, self.entering(client, token, *room).want)));
        if token.user.is_some() && self.is_crowded(token, &rooms) {
            return self.turn_away(client, token, CloseCause::Rooms);
        }
        if self.refuses_user(client, token) {
            return;
        }
        if self.is_crowded(token, &rooms) {
            // What it is told before that is dropped with the close; it does not have to fit for that.
            self.counted.errors += refused.len() as u64;
            let refusals = refused.iter().map(|_| self.plain_error(None, 103));
            let frames: Vec<ExpectedFrame> =
                self.greeting(client, &named, authenticated).into_iter().chain(refusals).collect();
            let _ = frames.into_iter().all(|expect| self.enqueue(client, expect));
            return self.turn_away(client, token, CloseCause::Rooms);
        }
        let displaced = self.displaced_by(token);
        let own = token.user.map(|user| self.own_room(user));
        let mut greeting = self.greeting(client, &named, authenticated);
        if let Some(own) = own {
            let ExpectedJoin { room, want, membership, .. } = self.entering(client, token, own);
            self.identify(client, token);
            let Ok(replay) = self.join(client, room, &want, membership) else { return self.overloaded(client) };
            greeting.take().into_iter().for_each(|greeting| self.tell(client, greeting));
            if self.is_open(client) {
                self.tell_put_in(client, room, replay);
            }
        }
        greeting.into_iter().for_each(|greeting| self.tell(client, greeting));
        for _ in refused {
            self.refuse_plain(client, None, 103);
        }
        if let Some(flaw) = flaw {
            self.complain_of_token(client, flaw);
        }
        let rooms = rooms.into_iter().filter(|room| Some(*room) != own);
        let rooms: Vec<ExpectedJoin> = rooms.map(|room| self.entering(client, token, room)).collect();
        if !self.is_open(client) {
            let info = self.info_of(client, token.user, token.info.as_deref());
            let at_once = rooms.iter().filter(|entering| entering.want == RecoverFrom::Nothing);
            let at_once: Vec<usize> = at_once.map(|entering| entering.room).collect();
            self.join_all_in_vain(&info, client, &at_once);
            // It has been in the room of its user.
            let rest = TokenOutcome { user: None, ..token.clone() };
            self.turn_away(client, &rest, CloseCause::Slow);
            return self.displace(displaced);
        }
        if own.is_none() {
            self.identify(client, token);
        }
        self.conn(client).expect("it is open").kept_out = kept_out;
        self.put_into_all(client, rooms, displaced);
    }

    /// Why a plain client is put into a room that it starts in, and what it wants of that.
    pub(super) fn entering(&self, client: usize, token: &TokenOutcome, room: usize) -> ExpectedJoin {
        let entry = &self.conns[client].as_ref().expect("it is there").entry;
        let is_named = entry.rooms.contains(&room);
        let before = entry.since.iter().find(|(of, _)| *of == room).map(|(_, want)| want.clone());
        let in_url = if is_named { entry.want.clone() } else { RecoverFrom::Nothing };
        let mut membership = ExpectedMembership::default();
        membership.wanted.extend((is_named && self.lets_in(token, room)).then_some(MembershipReason::Client));
        membership.wanted.extend(self.placed(token).contains(&room).then(|| self.reason(token, room)));
        ExpectedJoin { room, want: before.unwrap_or(in_url), membership, renewal: None }
    }

    /// Position to recover from in the personal room that a later token puts a client into; its URL may name one.
    pub(super) fn wanted_of_own(&self, client: usize, room: usize) -> RecoverFrom {
        let since = &self.conns[client].as_ref().expect("it is open").entry.since;
        since.iter().find(|(of, _)| *of == room).map_or(RecoverFrom::Nothing, |(_, want)| want.clone())
    }

    /// The greeting of a plain client, if it gets one.
    fn greeting(&self, client: usize, rooms: &[usize], authenticated: bool) -> Option<ExpectedFrame> {
        let rooms: Vec<&str> = rooms.iter().map(|room| &*self.names[*room]).collect();
        let conn = self.conns[client].as_ref().filter(|conn| conn.entry.greeting)?;
        let greeting = json!({
            "type": "connection",
            "message": format!("Connected to {}", rooms.join(", ")),
            "timestamp": self.timestamp(),
            "authenticated": authenticated,
            "client": conn.client_id.to_string(),
        });
        Some(ExpectedFrame::json(greeting, 9 << 56))
    }

    pub(super) fn decided_plain(&mut self, client: usize, token: &TokenOutcome) {
        let conn = self.conns[client].as_ref().expect("it is open");
        let (ready, user) = (conn.ready, conn.user);
        match (self.flaw_of_connection(token), ready) {
            (Some(109), true) if user.is_some() => self.close(client, CloseCause::Expired),
            (Some(flaw), true) => self.complain_of_token(client, flaw),
            (Some(flaw), false) if self.config.allow_anonymous => {
                self.greet(client, None, Some(flaw));
            }
            (Some(109), false) if self.is_early(token) && !self.is_expired(token) => {
                self.close(client, CloseCause::Expired)
            }
            (Some(_), false) => self.close(client, CloseCause::InvalidToken),
            (None, false) => self.greet(client, Some(token), None),
            (None, true) if user.is_some() && user != token.user => self.close(client, CloseCause::BadRequest),
            (None, true) => {
                let user = user_text(token.user);
                let frame = json!({ "type": "authenticated", "user": user, "timestamp": self.timestamp() });
                self.renew(client, token, ExpectedFrame::json(frame, 10 << 56));
            }
        }
    }

    pub(super) fn plain_message(&mut self, client: usize, message: &ClientMessage) {
        let conn = self.conns[client].as_ref().expect("it is open");
        match message {
            ClientMessage::Connect(Some(token)) => self.ask(client, token, TokenPurpose::Identity),
            _ if !conn.ready => self.complain(client, message.plain_id()),
            ClientMessage::Ping => {
                let pong = json!({ "type": "pong", "timestamp": self.timestamp() });
                self.tell(client, ExpectedFrame::json(pong, 11 << 56));
            }
            ClientMessage::Select(events) => {
                let frame = json!({ "type": "subscribed", "events": events, "timestamp": self.timestamp() });
                self.conn(client).expect("it is open").filter.clone_from(events);
                self.tell(client, ExpectedFrame::json(frame, 12 << 56));
            }
            ClientMessage::Publish(id, room, data) => self.client_publish(client, *id, *room, data.as_deref()),
            ClientMessage::Unknown(_, 0) => self.counted.unknown_types += 1,
            ClientMessage::Position => self.tell_places(client),
            ClientMessage::Unknown(_, code) => self.refuse_plain(client, None, *code),
            ClientMessage::SelectTooMuch(limit) => {
                self.hit(*limit);
                let by_count = *limit == Limit::FilterEvents;
                self.goals.reach(if by_count { Goal::FilterOfTooMany } else { Goal::FilterTooLong });
                self.refuse_plain(client, None, 107);
            }
            _ => self.complain(client, None),
        }
    }

    /// One `position` frame for each of its rooms, in any order.
    fn tell_places(&mut self, client: usize) {
        for room in (0..self.rooms.len()).filter(|room| self.rooms[*room].contains(&client)).collect::<Vec<_>>() {
            let top = self.logs[room].as_ref().map_or(0, |log| log.top);
            let frame = self.place_frame("position", room, top).among(self.turns, (room, client));
            if self.is_open(client) {
                self.goals.reach(Goal::PositionTold);
                self.tell(client, frame);
            }
        }
    }

    /// Another token, or the same one later, may be good: that has a code.
    fn complain_of_token(&mut self, client: usize, flaw: u16) {
        if flaw == 109 { self.refuse_plain(client, None, 109) } else { self.complain(client, None) }
    }

    /// An error frame that says no more than that.
    pub(super) fn complain(&mut self, client: usize, id: Option<u64>) {
        self.count_error(client);
        if self.is_open(client) {
            let mut error = json!({ "type": "error", "message": WORDS, "timestamp": self.timestamp() });
            if let Some(id) = id {
                error["id"] = id.into();
            }
            self.tell(client, ExpectedFrame::json(error, 13 << 56));
        }
    }

    pub(super) fn refuse_plain(&mut self, client: usize, id: Option<u64>, code: u16) {
        self.count_error(client);
        if self.is_open(client) {
            let error = self.plain_error(id, code);
            self.tell(client, error);
        }
    }

    pub(super) fn plain_error(&self, id: Option<u64>, code: u16) -> ExpectedFrame {
        let mut error = json!({ "type": "error", "message": WORDS, "timestamp": self.timestamp(), "code": code });
        if let Some(id) = id {
            error["id"] = id.into();
        }
        ExpectedFrame::json(error, 14 << 56 | u64::from(code))
    }

    /// RFC 3339 with milliseconds, in UTC.
    fn timestamp(&self) -> String {
        let (days, of_day) = (self.unix_ms / 86_400_000, self.unix_ms % 86_400_000);
        let (year, month, day) = civil(days);
        let (seconds, millis) = (of_day / 1000, of_day % 1000);
        let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
    }
}

/// The date of a day after 1970-01-01, counted through the years.
fn civil(mut days: u64) -> (u64, u64, u64) {
    let is_leap = |year: u64| year.is_multiple_of(if year.is_multiple_of(100) { 400 } else { 4 });
    let mut year = 1970;
    while days >= 365 + u64::from(is_leap(year)) {
        days -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let lengths = [31, 28 + u64::from(is_leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 0;
    while days >= lengths[month] {
        days -= lengths[month];
        month += 1;
    }
    (year, month as u64 + 1, days + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_of_days_is_converted_to_its_date() {
        assert_eq!(civil(0), (1970, 1, 1));
        assert_eq!(civil(58), (1970, 2, 28));
        assert_eq!(civil(20_779), (2026, 11, 22));
        assert_eq!(civil(11_016), (2000, 2, 29));
    }
}
