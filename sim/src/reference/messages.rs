//! Texts of clients: which commands are heard at once, which wait, and what each json command does.

use super::arrival::TokenOutcome;
use super::connection::{ExpectedEnd, ExpectedPhase, TokenPurpose, WaitingText};
use super::model::ReferenceModel;
use crate::goals::Goal;
use crate::world::client_message::{ClientMessage, NamedRoom};
use parlor_core::{CloseCause, Limit};
use serde_json::{Value, json};

impl ReferenceModel {
    pub(super) fn text(&mut self, client: usize, text: &str, messages: &[ClientMessage]) {
        if self.conns[client].as_ref().is_some_and(|conn| conn.phase == ExpectedPhase::Handshaking) {
            return self.end(client, ExpectedEnd { cause: CloseCause::Protocol, code: 1006, clean: false });
        }
        if let Some(conn) = self.conn(client) {
            conn.fragments = None;
        }
        if self.heard(client) {
            self.counted.messages_in += 1;
            self.hear(client, WaitingText::new(text, messages));
        }
    }

    /// Takes a text command by command. A client whose token is being checked is heard when that is done, one that has to read first when
    /// it has.
    pub(super) fn hear(&mut self, client: usize, mut text: WaitingText) {
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
    fn keep_waiting(&mut self, client: usize, text: WaitingText) {
        let limits = &self.config.limits;
        let (bytes, texts) = (limits.message_bytes, limits.waiting_messages);
        let conn = self.conns[client].as_mut().expect("it waits");
        conn.waiting.push_back(text);
        let limit = if conn.waiting.iter().map(WaitingText::bytes).sum::<usize>() > bytes {
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
                self.ask(client, token, TokenPurpose::Identity);
            }
            ClientMessage::Return(token, wants) => {
                self.conn(client).expect("it is open").wants.clone_from(wants);
                self.ask(client, token, TokenPurpose::Identity);
            }
            ClientMessage::Connect(None) if self.offered(client).is_some() => {
                let token = self.offered(client).expect("there is one");
                self.goals.reach(Goal::TokenInHeader);
                self.conn(client).expect("it is open").wants.clear();
                self.ask(client, &token, TokenPurpose::Identity);
            }
            ClientMessage::Connect(None) if self.config.allow_anonymous => {
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

    pub(super) fn ask(&mut self, client: usize, token: &str, ask: TokenPurpose) {
        let conn = self.conn(client).expect("it is open");
        (conn.asked, conn.ask) = (true, ask);
        self.turn.asks.push((client, token.into()));
    }

    fn json_message(&mut self, client: usize, message: &ClientMessage) {
        match message {
            ClientMessage::Subscribe(id, NamedRoom::Refused(code, limit), _) => {
                limit.iter().for_each(|limit| self.hit(*limit));
                self.refuse(client, *id, *code);
            }
            ClientMessage::Unknown(id, code) => self.refuse(client, *id, *code),
            ClientMessage::Subscribe(id, NamedRoom::Room(room), asking) => self.subscribe(client, *id, *room, asking),
            ClientMessage::History(id, room, query) => self.ask_history(client, *id, *room, query),
            ClientMessage::Command(id, name, params) => self.command(client, *id, name, params),
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

    /// Carries out a command whose name and parameters say it all.
    fn command(&mut self, client: usize, id: u64, name: &str, params: &Value) {
        let named = self.names.iter().position(|name| params["channel"] == **name);
        let room = || named.expect("it names a room of the scenario");
        let token = || params["token"].as_str().expect("it has a token");
        match name {
            "unsubscribe" => {
                self.leave(client, room());
                self.reply(client, id, name, json!({}));
            }
            "presence" => self.ask_presence(client, id, room(), false),
            "presence_stats" => self.ask_presence(client, id, room(), true),
            "refresh" => self.ask(client, token(), TokenPurpose::Refresh(id)),
            "sub_refresh" if !self.rooms[room()].contains(&client) => self.refuse(client, id, 103),
            "sub_refresh" => self.ask(client, token(), TokenPurpose::SubRefresh(id, room())),
            _ => panic!("no client sends {name}"),
        }
    }
}
