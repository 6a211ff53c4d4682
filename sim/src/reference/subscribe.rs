//! `subscribe` of a json client, and how it is answered.

use super::expect::{ExpectedFrame, WORDS};
use super::log::lines;
use super::model::ReferenceModel;
use crate::world::client_message::SubscribeOptions;
use serde_json::{Value, json};
use std::sync::Arc;

impl ReferenceModel {
    pub(super) fn subscribe(&mut self, client: usize, id: u64, room: usize, asking: &SubscribeOptions) {
        if asking.watch || asking.token.is_some() {
            return self.give_up();
        }
        let asked = self.rooms[room].iter().find(|(member, _)| *member == client).map(|(_, asked)| *asked);
        let joined = match asked {
            Some(true) => return self.refuse(client, id, 105),
            _ if !self.lets_in(room) => return self.refuse(client, id, 103),
            Some(false) => Some(self.join_again(client, room, &asking.want)),
            None => self.join(client, room, &asking.want, true),
        };
        let Some(replay) = joined else { return self.refuse(client, id, 112) };
        let start = self.start(room, &replay);
        self.reply_with(client, id, "subscribe", start, lines(&replay.entries));
    }

    pub(super) fn reply(&mut self, client: usize, id: u64, method: &str, result: Value) {
        self.reply_with(client, id, method, result, Vec::new());
    }

    /// A reply with these payloads in it.
    fn reply_with(&mut self, client: usize, id: u64, method: &str, result: Value, payloads: Vec<Arc<str>>) {
        self.tell(client, ExpectedFrame::with_payloads(json!({ "id": id, method: result }), payloads));
    }

    pub(super) fn refuse(&mut self, client: usize, id: u64, code: u16) {
        if self.is_open(client) {
            let error = json!({ "code": code, "message": WORDS });
            self.tell(client, ExpectedFrame::json(json!({ "id": id, "error": error })));
        }
    }
}
