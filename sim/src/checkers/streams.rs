//! G5, as a receiver can state it: in each room, from its join to its leave, it receives what was accepted meanwhile, as
//! it was put in, once, in one order for all, and without a hole; only a close ends that early.

use super::accepted::{AcceptedMessages, number};
use super::calls::{CallPart, commands, parts};
use super::receiver::Receiver;
use crate::checkers::checker::{Checked, Checker};
use crate::checkers::observation::{Observation, Observed, ObservedTurn};
use crate::checkers::sent_command::SentCommand;
use crate::world::frames::ReceivedFrame;
use crate::world::setup::Setup;
use parlor_core::admission::route::Target;
use parlor_core::{Input, WebSocketMessage, api};
use serde_json::Value;
use std::collections::BTreeMap;

/// The error of what may have been done and may not.
const UNCERTAIN: u64 = 100;

/// The streams of all clients.
#[derive(Clone, Debug)]
pub(super) struct Streams {
    accepted: AcceptedMessages,
    receivers: BTreeMap<usize, Receiver>,
    /// How many calls that are not answered put clients into each room, or take them out.
    moving: BTreeMap<String, usize>,
    /// There are several shards: one of them may be lost with what it has done and not told.
    has_shards: bool,
    /// `true` where messages that one shard has accepted reach the clients of another later.
    is_late: bool,
}

impl Checker for Streams {
    fn name(&self) -> &'static str {
        "streams"
    }

    fn saw(&mut self, seen: &Observation<'_>) -> Checked {
        match seen.what {
            Observed::Came { client, answer: Ok(_), upgrade } => {
                let in_url = if let Target::Plain(plain) = &upgrade.target { plain.token.as_ref() } else { None };
                let has_token = upgrade.token.as_ref().or(in_url).is_some();
                self.receivers.insert(client, Receiver::among(self.moving.keys().cloned().collect(), has_token));
            }
            Observed::Asked { client, command } => self.is_asked(client, command),
            Observed::Answered { client, command, answer } => self.is_answered(client, command, answer.err()),
            Observed::Turn(turn) => return self.turned(&turn),
            Observed::Returned { command, answer } => return self.called(command, answer),
            Observed::ShardLost { clients, .. } => {
                self.receivers.values_mut().for_each(Receiver::is_unsure);
                clients.iter().for_each(|client| self.receiver(*client).ended = true);
            }
            Observed::Offered { client, waiting, .. } if !self.is_late => {
                let Self { accepted, receivers, .. } = self;
                receivers.entry(client).or_default().is_offered(waiting, accepted);
            }
            Observed::Read { client, frame: ReceivedFrame::Close(_), .. } => self.receiver(client).ended = true,
            // A payload has a number.
            Observed::Read { client, text, .. } if text["type"] == "gap" && text["n"].is_null() => {
                self.receiver(client).is_told_of_gap(text["room"].as_str().unwrap_or_default(), text);
            }
            Observed::Entered { client, room, place } => {
                let Self { accepted, receivers, .. } = self;
                return receivers.entry(client).or_default().enters(room, place, accepted);
            }
            Observed::Left { client, room } => drop(self.receiver(client).runs.remove(room)),
            Observed::Published { client, room, publication } => {
                let Self { accepted, receivers, .. } = self;
                let receiver = receivers.entry(client).or_default();
                return match room {
                    Some(room) => receiver.gets(room, publication, accepted),
                    None => receiver.gets_plain(publication, accepted),
                };
            }
            Observed::Healed { well } => {
                let mut receivers = well.iter().filter_map(|client| Some((*client, self.receivers.get(client)?)));
                return receivers.try_for_each(|(client, receiver)| receiver.lacks_nothing(client, &self.accepted));
            }
            _ => {}
        }
        Ok(())
    }
}

impl Streams {
    pub(super) fn new(setup: &Setup) -> Self {
        Self {
            accepted: AcceptedMessages::default(),
            receivers: BTreeMap::new(),
            moving: BTreeMap::new(),
            has_shards: setup.shards > 1,
            is_late: setup.shards > 1 && setup.slow_links == 1,
        }
    }

    fn is_uncertain(&self, code: Option<u64>) -> bool {
        self.has_shards && code == Some(UNCERTAIN)
    }

    fn receiver(&mut self, client: usize) -> &mut Receiver {
        self.receivers.entry(client).or_default()
    }

    fn is_asked(&mut self, client: usize, command: &SentCommand) {
        self.receiver(client).asked = command.number;
        let is_plain = command.params["type"].is_string();
        match command.method.as_str() {
            "publish" if is_plain => self.accepted.put_in(command.text("room"), &command.params["data"]),
            "publish" => self.accepted.put_in(command.text("channel"), &command.params["data"]),
            "subscribe" if is_plain => self.receiver(client).filters = true,
            "auth" if is_plain => self.receiver(client).shows_token(),
            _ => {}
        }
    }

    fn is_answered(&mut self, client: usize, command: &SentCommand, code: Option<u64>) {
        self.receiver(client).is_answered(command.number);
        if command.method == "publish" && code.is_some() && !self.is_uncertain(code) {
            self.accepted.refused(command.text("channel"), number(&command.params["data"]));
        }
    }

    fn turned(&mut self, turn: &ObservedTurn<'_>) -> Checked {
        let Self { accepted, receivers, .. } = self;
        let mut receiver = turn.client.map(|client| receivers.entry(client).or_default());
        match (turn.input, &mut receiver) {
            (
                Input::PeerClosed { .. }
                | Input::Violation { .. }
                | Input::Message { message: WebSocketMessage::Binary(_), .. }
                | Input::Lost { .. },
                Some(receiver),
            ) => {
                receiver.ended = true;
            }
            (Input::Flushed { bytes, .. }, Some(receiver)) => {
                return receiver.took(turn.client.unwrap_or_default(), *bytes, accepted);
            }
            (Input::Call { command, .. }, _) => self.is_called(command),
            _ => {}
        }
        Ok(())
    }

    fn is_called(&mut self, command: &api::Command) {
        for command in commands(command) {
            if let Some(room) = self.move_in(command) {
                *self.moving.entry(room).or_default() += 1;
            }
            for sent in (CallPart { command, answer: Err(&Value::Null) }).sent() {
                let data: Value = serde_json::from_str(&sent.data).unwrap_or_default();
                self.accepted.put_in(sent.room.as_deref().unwrap_or_default(), &data);
            }
        }
    }

    /// A plain client is not told that it is put into a room or taken out of it. Returns the room.
    fn move_in(&mut self, command: &api::Command) -> Option<String> {
        let (api::Command::Subscribe { channel, .. } | api::Command::Unsubscribe { channel, .. }) = command else {
            return None;
        };
        for receiver in self.receivers.values_mut() {
            receiver.moved_rooms.insert(channel.to_string());
        }
        Some(channel.to_string())
    }

    fn called(&mut self, command: &api::Command, answer: &Value) -> Checked {
        for part in parts(command, answer) {
            if let Some(room) = self.move_in(part.command)
                && let Some(calls) = self.moving.get_mut(&room)
            {
                *calls -= 1;
                self.moving.retain(|_, calls| *calls > 0);
            }
            let is_for_one = matches!(part.command, api::Command::Send { .. });
            for sent in part.sent() {
                let room = sent.room.as_deref().unwrap_or_default();
                let Some(place) = sent.place else {
                    if !self.is_uncertain(sent.code) {
                        let data: Value = serde_json::from_str(&sent.data).unwrap_or_default();
                        self.accepted.withdraw(room, number(&data));
                    }
                    continue;
                };
                // Of two calls with one key the later one may be answered first.
                if self.is_late && sent.keyed {
                    continue;
                }
                let Some(number) = self.accepted.called(&sent, place)?.filter(|_| !is_for_one) else { continue };
                if self.is_late {
                    continue;
                }
                let runs = self.receivers.values_mut().filter_map(|receiver| receiver.runs.get_mut(room));
                runs.filter(|run| !run.is_unsure).for_each(|run| run.owed.push(number));
            }
        }
        Ok(())
    }
}
