//! Texts of clients: which commands are heard at once, which wait, and what each json command does.

use super::arrival::TokenOutcome;
use super::connection::{ExpectedEnd, ExpectedPhase, WaitingText};
use super::expect::ExpectedFrame;
use super::model::ReferenceModel;
use crate::world::client_message::{ClientMessage, NamedRoom};
use parlor_core::CloseCause;
use serde_json::{Value, json};

impl ReferenceModel {
    pub(super) fn text(&mut self, client: usize, text: &str, messages: &[ClientMessage]) {
        if self.conns[client].as_ref().is_some_and(|conn| conn.phase == ExpectedPhase::Handshaking) {
            return self.end(client, ExpectedEnd { cause: CloseCause::Protocol, code: 1006, clean: false });
        }
        if let Some(conn) = self.conn(client) {
            conn.has_fragments = false;
        }
        if self.heard(client) {
            self.hear(client, WaitingText { messages: messages.iter().cloned().collect(), bytes: text.len() });
        }
    }

    /// Takes a text command by command. A client whose token is being checked is heard when that is done, one that has to read first when
    /// it has.
    pub(super) fn hear(&mut self, client: usize, mut text: WaitingText) {
        while !text.messages.is_empty() {
            let Some(conn) = self.conn(client).filter(|conn| conn.is_open()) else { return };
            if conn.asked || self.is_high(client) {
                return self.keep_waiting(client, text);
            }
            let one = text.messages.pop_front().expect("there is one");
            self.client_message(client, &one);
            self.settle();
        }
    }

    /// As much may wait as checkers know: what comes of more is left to them.
    fn keep_waiting(&mut self, client: usize, text: WaitingText) {
        let limits = &self.config.limits;
        let (bytes, texts) = (limits.message_bytes, limits.waiting_messages);
        let conn = self.conns[client].as_mut().expect("it waits");
        conn.waiting.push_back(text);
        if conn.waiting.iter().map(|text| text.bytes).sum::<usize>() > bytes || conn.waiting.len() > texts {
            self.give_up();
        }
    }

    /// Hears what a client has said while a token was looked at, or while it was to read.
    pub(super) fn hear_waiting(&mut self, client: usize) {
        let is_high = self.is_high(client);
        let Some(conn) = self.conn(client).filter(|conn| conn.is_open() && !conn.asked && !is_high) else { return };
        if conn.waiting.is_empty() {
            return;
        }
        let waiting = std::mem::take(&mut conn.waiting);
        self.stand_still_for(client);
        waiting.into_iter().for_each(|text| self.hear(client, text));
    }

    fn client_message(&mut self, client: usize, message: &ClientMessage) {
        let conn = self.conns[client].as_ref().expect("it is open");
        let (json, ready) = (conn.entry.json, conn.ready);
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
                self.ask(client, token);
            }
            ClientMessage::Connect(None) if self.config.allow_anonymous => {
                self.welcome(client, &TokenOutcome::default())
            }
            ClientMessage::Connect(None) => self.close(client, CloseCause::TokenRequired),
            ClientMessage::Return(..) => self.give_up(),
            ClientMessage::Pong => {}
            ClientMessage::Nonsense | ClientMessage::NoId => self.close(client, CloseCause::BadRequest),
            _ if self.conn(client).is_some_and(|conn| conn.turned_down) => {}
            _ => self.close(client, CloseCause::BadRequest),
        }
    }

    pub(super) fn ask(&mut self, client: usize, token: &str) {
        self.conn(client).expect("it is open").asked = true;
        self.turn.asks.push((client, token.into()));
    }

    fn json_message(&mut self, client: usize, message: &ClientMessage) {
        match message {
            ClientMessage::Subscribe(id, NamedRoom::Refused(code, _), _) | ClientMessage::Unknown(id, code) => {
                self.refuse(client, *id, *code);
            }
            ClientMessage::Subscribe(id, NamedRoom::Room(room), asking) => self.subscribe(client, *id, *room, asking),
            // It changes nothing, and checkers judge what is read.
            ClientMessage::History(id, ..) => self.tell(client, ExpectedFrame::Answer(*id)),
            ClientMessage::Command(id, "unsubscribe", params) => self.unsubscribe(client, *id, params),
            ClientMessage::Publish(id, room, data) => self.client_publish(client, *id, *room, data.as_deref()),
            ClientMessage::Ping => self.reply(client, 2, "ping", json!({})),
            ClientMessage::Pong | ClientMessage::Send => {}
            ClientMessage::Connect(_) | ClientMessage::Nonsense | ClientMessage::NoId => {
                self.close(client, CloseCause::BadRequest);
            }
            _ => self.give_up(),
        }
    }

    fn unsubscribe(&mut self, client: usize, id: u64, params: &Value) {
        match self.names.iter().position(|name| params["channel"] == **name) {
            Some(room) => {
                self.leave(client, room);
                self.reply(client, id, "unsubscribe", json!({}));
            }
            None => self.give_up(),
        }
    }
}
