//! G5, as a receiver can state it: in each room, from its join to its leave, it receives what was accepted meanwhile, as
//! it was put in, once, in one order for all, and without a hole; only a close ends that early.

use super::accepted::{AcceptedMessages, number};
use super::calls::parts;
use super::receiver::Receiver;
use crate::checkers::checker::{Checked, Checker};
use crate::checkers::observation::{Observation, Observed, ObservedTurn};
use crate::checkers::sent_command::SentCommand;
use crate::world::frames::ReceivedFrame;
use parlor_core::{Input, api};
use serde_json::Value;
use std::collections::BTreeMap;

/// The streams of all clients.
#[derive(Clone, Debug, Default)]
pub(super) struct Streams {
    accepted: AcceptedMessages,
    receivers: BTreeMap<usize, Receiver>,
}

impl Checker for Streams {
    fn name(&self) -> &'static str {
        "streams"
    }

    fn saw(&mut self, seen: &Observation<'_>) -> Checked {
        match seen.what {
            Observed::Came { client, answer: Ok(_), .. } => drop(self.receivers.insert(client, Receiver::default())),
            Observed::Asked { client, command } => self.is_asked(client, command),
            Observed::Answered { command, answer: Err(_), .. } if command.method == "publish" => {
                self.accepted.refused(command.text("channel"), number(&command.params["data"]));
            }
            Observed::Turn(turn) => return self.turned(&turn),
            Observed::Offered { client, waiting, .. } => {
                let Self { accepted, receivers } = self;
                receivers.entry(client).or_default().is_offered(waiting, accepted);
            }
            Observed::Read { client, frame: ReceivedFrame::Close(_), .. } => self.receiver(client).ended = true,
            Observed::Entered { client, room, place } => {
                let Self { accepted, receivers } = self;
                return receivers.entry(client).or_default().enters(room, place, accepted);
            }
            Observed::Left { client, room } => drop(self.receiver(client).runs.remove(room)),
            Observed::Published { client, room, publication } => {
                let Self { accepted, receivers } = self;
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
    fn receiver(&mut self, client: usize) -> &mut Receiver {
        self.receivers.entry(client).or_default()
    }

    fn is_asked(&mut self, client: usize, command: &SentCommand) {
        let is_plain = command.params["type"].is_string();
        match command.method.as_str() {
            "publish" if is_plain => self.accepted.put_in(command.text("room"), &command.params["data"]),
            "publish" => self.accepted.put_in(command.text("channel"), &command.params["data"]),
            // A filter, or a token that may put it elsewhere.
            "subscribe" | "auth" if is_plain => self.receiver(client).blurred = true,
            _ => {}
        }
    }

    fn turned(&mut self, turn: &ObservedTurn<'_>) -> Checked {
        let Self { accepted, receivers } = self;
        let mut receiver = turn.client.map(|client| receivers.entry(client).or_default());
        match (turn.input, &mut receiver) {
            (Input::PeerClosed { .. } | Input::Violation { .. } | Input::Lost { .. }, Some(receiver)) => {
                receiver.ended = true;
            }
            (Input::Authenticated { .. }, Some(receiver)) => receiver.blurred |= !receiver.times.is_empty(),
            (Input::Flushed { bytes, .. }, Some(receiver)) => {
                return receiver.took(turn.client.unwrap_or_default(), *bytes, accepted);
            }
            (Input::Call { command, .. }, _) => return self.called(command, turn.answer.unwrap_or(&Value::Null)),
            _ => {}
        }
        Ok(())
    }

    fn called(&mut self, command: &api::Command, answer: &Value) -> Checked {
        for part in parts(command, answer) {
            // A plain client is not told that it is put into a room or taken out of it.
            if let api::Command::Subscribe { .. } | api::Command::Unsubscribe { .. } = part.command {
                self.receivers.values_mut().for_each(|receiver| receiver.blurred = true);
            }
            let is_for_one = matches!(part.command, api::Command::Send { .. });
            for sent in part.sent() {
                let Some(place) = sent.place else { continue };
                let Some(number) = self.accepted.called(&sent, place)?.filter(|_| !is_for_one) else { continue };
                let room = sent.room.as_deref().unwrap_or_default();
                let runs = self.receivers.values_mut().filter_map(|receiver| receiver.runs.get_mut(room));
                runs.for_each(|run| run.owed.push(number));
            }
        }
        Ok(())
    }
}
