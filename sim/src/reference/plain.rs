//! The plain protocol: what a connection says and is told.

use super::arrival::TokenOutcome;
use super::expect::{DATE, ExpectedFrame, WORDS};
use super::model::ReferenceModel;
use crate::world::client_message::ClientMessage;
use crate::world::history_request::RecoverFrom;
use parlor_core::CloseCause;
use serde_json::{Value, json};

impl ReferenceModel {
    pub(super) fn opened_plain(&mut self, client: usize) {
        let token = self.conn(client).and_then(|conn| conn.entry.token.clone());
        match token {
            Some(token) => self.ask(client, &token),
            None if self.config.allow_anonymous => self.greet(client, None, None),
            None => {}
        }
    }

    /// Lets a plain client into its rooms; `token` is what its token says, if it has shown one that is good, and `flaw`
    /// what is wrong with one that is not.
    fn greet(&mut self, client: usize, token: Option<&TokenOutcome>, flaw: Option<u16>) {
        let entry = self.conns[client].as_ref().expect("it is open").entry.clone();
        let anonymous = TokenOutcome::default();
        let (is_known, token) = (token.is_some(), token.unwrap_or(&anonymous));
        let placed = self.placed(token);
        let asked = entry.rooms.iter().copied().filter(|room| !placed.contains(room));
        let (allowed, refused): (Vec<usize>, Vec<usize>) = asked.partition(|room| self.lets_in(*room));
        self.identify(client, token);
        if entry.greeting {
            let greeting = self.greeting(client, &entry.rooms, is_known);
            self.tell(client, greeting);
        }
        for _ in refused {
            self.refuse_plain(client, None, 103);
        }
        flaw.into_iter().for_each(|flaw| self.complain_of_token(client, flaw));
        for room in placed.into_iter().chain(allowed) {
            if !self.is_open(client) {
                // What becomes of the rooms of one who is closed on its way in is left to the checkers.
                return self.give_up();
            }
            let asked = entry.rooms.contains(&room) && self.lets_in(room);
            self.join(client, room, &RecoverFrom::Nothing, asked).expect("it is no reason to refuse");
        }
    }

    fn greeting(&self, client: usize, rooms: &[usize], is_known: bool) -> ExpectedFrame {
        let rooms: Vec<&str> = rooms.iter().map(|room| &*self.names[*room]).collect();
        let client = self.conns[client].as_ref().expect("it is open").client_id.to_string();
        self.plain(json!({
            "type": "connection",
            "message": format!("Connected to {}", rooms.join(", ")),
            "authenticated": is_known,
            "client": client,
        }))
    }

    pub(super) fn decided_plain(&mut self, client: usize, token: &TokenOutcome) {
        let flaw = if token.forged { Some(103) } else { token.expired.then_some(109) };
        match flaw {
            _ if self.is_ready(client) => self.give_up(),
            None => self.greet(client, Some(token), None),
            Some(_) if self.config.allow_anonymous => self.greet(client, None, flaw),
            Some(_) => self.close(client, CloseCause::InvalidToken),
        }
    }

    pub(super) fn plain_message(&mut self, client: usize, message: &ClientMessage) {
        match message {
            ClientMessage::Connect(Some(token)) if !self.is_ready(client) => self.ask(client, token),
            ClientMessage::Connect(_) => self.give_up(),
            _ if !self.is_ready(client) => self.complain(client, message.plain_id()),
            ClientMessage::Ping => {
                let pong = self.plain(json!({ "type": "pong" }));
                self.tell(client, pong);
            }
            ClientMessage::Publish(id, room, data) => self.client_publish(client, *id, *room, data.as_deref()),
            ClientMessage::Unknown(_, 0) => {}
            ClientMessage::Unknown(_, code) => self.refuse_plain(client, None, *code),
            ClientMessage::Select(_) | ClientMessage::SelectTooMuch(_) | ClientMessage::Position => self.give_up(),
            _ => self.complain(client, None),
        }
    }

    /// Another token, or the same one later, may be good: that has a code.
    fn complain_of_token(&mut self, client: usize, flaw: u16) {
        if flaw == 109 { self.refuse_plain(client, None, 109) } else { self.complain(client, None) }
    }

    /// An error frame that says no more than that.
    fn complain(&mut self, client: usize, id: Option<u64>) {
        self.tell_error(client, id, json!({}));
    }

    pub(super) fn refuse_plain(&mut self, client: usize, id: Option<u64>, code: u16) {
        self.tell_error(client, id, json!({ "code": code }));
    }

    fn tell_error(&mut self, client: usize, id: Option<u64>, mut error: Value) {
        (error["type"], error["message"]) = ("error".into(), WORDS.into());
        if let Some(id) = id {
            error["id"] = id.into();
        }
        if self.is_open(client) {
            let error = self.plain(error);
            self.tell(client, error);
        }
    }

    /// A frame of plain, with its timestamp in milliseconds, in UTC.
    fn plain(&self, mut frame: Value) -> ExpectedFrame {
        let of_day = self.unix_ms % 86_400_000;
        let (seconds, millis) = (of_day / 1000, of_day % 1000);
        let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        frame["timestamp"] = format!("{DATE}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z").into();
        ExpectedFrame::json(frame)
    }
}
