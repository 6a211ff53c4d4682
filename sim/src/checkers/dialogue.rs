//! A client's reading of its own dialogue: which command a frame answers, and which rooms it is in. This is the
//! client protocol as an SDK knows it, and nothing about the server.

use crate::checkers::observation::{Observed, ObservedTurn};
use crate::checkers::sent_command::SentCommand;
use crate::checkers::want::RecoveryRequest;
use crate::guarantees::Failure;
use crate::world::frames::ReceivedFrame;
use parlor_core::Input;
use parlor_core::admission::route::Target;
use serde_json::Value;
use serde_json::value::RawValue;
use std::collections::{BTreeMap, VecDeque};

/// One client's side of one connection.
#[derive(Clone, Debug, Default)]
struct ClientDialogue {
    json: bool,
    /// How many commands it has said.
    said: u64,
    asked: VecDeque<SentCommand>,
    /// It is in: another `connect` is refused, and nothing comes of it.
    connected: bool,
    /// Its last `connect` was answered with an error: what follows is passed over up to the next one.
    turned_down: bool,
}

/// The dialogues of all clients.
#[derive(Clone, Debug, Default)]
pub(super) struct Dialogue(BTreeMap<usize, ClientDialogue>);

type Tell<'a> = &'a mut dyn FnMut(Observed<'_>) -> Result<(), Failure>;

impl Dialogue {
    /// Recoveries that a client has asked for without an answer yet, and those in the text that it is about to send.
    pub(super) fn wants(&self, client: usize, text: &str) -> Vec<RecoveryRequest> {
        let Some(side) = self.0.get(&client).filter(|side| side.json) else { return Vec::new() };
        let mut wants: Vec<RecoveryRequest> =
            side.asked.iter().flat_map(|command| RecoveryRequest::of(client, command)).collect();
        if text.contains("\"recover\":true") {
            wants.extend(values(text).filter_map(command).flat_map(|command| RecoveryRequest::of(client, &command)));
        }
        wants.sort_unstable();
        wants.dedup();
        wants
    }

    /// Tells what was seen, and what follows from it.
    pub(super) fn follow(&mut self, what: Observed<'_>, tell: Tell<'_>) -> Result<(), Failure> {
        match what {
            Observed::Came { client, upgrade, answer: Ok(_) } => {
                let json = matches!(upgrade.target, Target::Json { .. });
                self.0.insert(client, ClientDialogue { json, ..ClientDialogue::default() });
            }
            Observed::Turn(ObservedTurn { input: Input::Message { message, .. }, client: Some(client), .. }) => {
                self.0.entry(client).or_default().says(client, message.text().unwrap_or_default(), tell)?;
            }
            Observed::Read { client, frame: frame @ ReceivedFrame::Text(text), .. } => {
                let value = serde_json::from_str(text).unwrap_or_default();
                tell(Observed::Read { client, frame, text: &value })?;
                return self.0.entry(client).or_default().reads(client, &value, tell);
            }
            Observed::Healed { well: clients } | Observed::Settled { hearing: clients } => {
                let sides = clients.iter().filter_map(|client| Some((*client, self.0.get(client)?)));
                for (client, side) in sides {
                    side.asked.iter().try_for_each(|command| tell(Observed::Unanswered { client, command }))?;
                }
            }
            _ => {}
        }
        tell(what)
    }
}

impl ClientDialogue {
    fn says(&mut self, client: usize, text: &str, tell: Tell<'_>) -> Result<(), Failure> {
        for value in values(text) {
            let command = if self.json { command(value) } else { message(value) };
            let Some(mut command) = command else { continue };
            self.said += 1;
            command.number = self.said;
            tell(Observed::Asked { client, command: &command })?;
            self.turned_down &= command.method != "connect";
            if self.json && command.id > 0 && !self.turned_down {
                self.asked.push_back(command);
            }
        }
        Ok(())
    }

    fn reads(&mut self, client: usize, value: &Value, tell: Tell<'_>) -> Result<(), Failure> {
        match (self.json, &value["push"]) {
            (false, _) if value["n"].is_u64() => tell(Observed::Published { client, room: None, publication: value }),
            (false, _) => Ok(()),
            (true, Value::Null) => self.is_answered(client, value, tell),
            (true, push) => is_pushed(client, push, tell),
        }
    }

    fn is_answered(&mut self, client: usize, reply: &Value, tell: Tell<'_>) -> Result<(), Failure> {
        let id = reply["id"].as_u64();
        let waits_to_connect = |first: &&SentCommand| first.method == "connect" && Some(first.id) != id;
        if !self.connected && self.asked.front().filter(waits_to_connect).is_some() {
            // What was said behind a refused connect is passed over, unless it comes too fast.
            return Ok(());
        }
        let Some(at) = self.asked.iter().position(|command| Some(command.id) == id) else { return Ok(()) };
        let command = self.asked.remove(at).expect("it was found");
        let (method, error) = (command.method.as_str(), reply["error"]["code"].as_u64());
        let result = &reply[method];
        let answer = error.map_or(Ok(result), Err);
        self.connected |= method == "connect" && error.is_none();
        if method == "connect" && !self.connected {
            let next = self.asked.iter().position(|command| command.method == "connect");
            self.turned_down = next.is_none();
            self.asked.drain(..next.unwrap_or(self.asked.len()));
        }
        tell(Observed::Answered { client, command: &command, answer })?;
        match (method, error) {
            ("connect", None) => {
                tell(Observed::Entered { client, room: "", place: &Value::Null })?;
                let subs = result["subs"].as_object();
                let mut subs = subs.into_iter().flatten();
                subs.try_for_each(|(room, place)| tell(Observed::Entered { client, room, place }))
            }
            ("subscribe", None) => tell(Observed::Entered { client, room: command.text("channel"), place: result }),
            ("unsubscribe", None) => tell(Observed::Left { client, room: command.text("channel") }),
            _ => Ok(()),
        }
    }
}

fn is_pushed(client: usize, push: &Value, tell: Tell<'_>) -> Result<(), Failure> {
    let room = push["channel"].as_str().unwrap_or_default();
    for (kind, content) in push.as_object().into_iter().flatten() {
        match kind.as_str() {
            "pub" | "message" => tell(Observed::Published { client, room: Some(room), publication: content }),
            "subscribe" => tell(Observed::Entered { client, room, place: content }),
            "unsubscribe" => tell(Observed::Left { client, room }),
            _ => Ok(()),
        }?;
    }
    Ok(())
}

/// The values of a text, up to what is no JSON: nothing behind that is heard.
fn values(text: &str) -> impl Iterator<Item = Value> {
    let values = serde_json::Deserializer::from_str(text).into_iter::<&RawValue>();
    values.map_while(Result::ok).map(|raw| value(raw.get()))
}

/// A value. A client knows what it says where serde cannot read it, as a number of a thousand digits or half a character:
/// that stands here as text, and what is around it as it is.
fn value(text: &str) -> Value {
    if let Ok(value) = serde_json::from_str(text) {
        return value;
    }
    match serde_json::from_str::<BTreeMap<String, &RawValue>>(text) {
        Ok(fields) => fields.into_iter().map(|(name, raw)| (name, value(raw.get()))).collect(),
        Err(_) => Value::from(text),
    }
}

/// A command of a json client: its id, and its parameters under the name of its method.
fn command(mut value: Value) -> Option<SentCommand> {
    let fields = value.as_object_mut()?;
    let id = fields.remove("id").and_then(|id| id.as_u64()).unwrap_or_default();
    let (method, params) = std::mem::take(fields).into_iter().next()?;
    Some(SentCommand { number: 0, id, method, params })
}

/// A message of a plain client: its `type` is its method.
fn message(value: Value) -> Option<SentCommand> {
    let method = value["type"].as_str()?.to_owned();
    Some(SentCommand { number: 0, id: value["id"].as_u64().unwrap_or_default(), method, params: value })
}
