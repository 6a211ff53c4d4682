//! The calls of a backend as it sees them: each part with what it was answered.

use crate::checkers::checker::Checked;
use crate::guarantees::{Failure, Guarantee};
use parlor_core::api::{Command, Message};
use serde_json::Value;
use std::borrow::Cow;
use std::fmt::Display;

/// One call, or one part of a batch.
pub(super) struct CallPart<'a> {
    /// The command.
    pub command: &'a Command,
    /// The answer: a result, or an error with its `code`.
    pub answer: Result<&'a Value, &'a Value>,
}

/// A message that a call has put into one room, and where it was placed there.
pub(super) struct Sent<'a> {
    /// The room; `None` for those that are told without one.
    pub room: Option<String>,
    /// The payload, as JSON.
    pub data: Cow<'a, str>,
    /// It may be told to be what an earlier call was told to be.
    pub keyed: bool,
    /// Its result, if it was accepted: `epoch` and `offset`.
    pub place: Option<&'a Value>,
    /// The number of the error, if it was not.
    pub code: Option<u64>,
}

/// Lists the parts of a call.
pub(super) fn commands(command: &Command) -> impl Iterator<Item = &Command> {
    let (alone, parts) = match command {
        Command::Batch(parts) => (None, parts.as_slice()),
        command => (Some(command), &[][..]),
    };
    alone.into_iter().chain(parts.iter().filter_map(|(_, part)| part.as_ref().ok()))
}

/// The parts of a call.
pub(super) fn parts<'a>(command: &'a Command, answer: &'a Value) -> Vec<CallPart<'a>> {
    let Command::Batch(commands) = command else { return vec![CallPart { command, answer: judged(answer, "result") }] };
    let replies = answer["replies"].as_array().map(Vec::as_slice).unwrap_or_default();
    let parts = commands.iter().zip(replies);
    parts
        .filter_map(|((method, command), reply)| {
            Some(CallPart { command: command.as_ref().ok()?, answer: judged(reply, method) })
        })
        .collect()
}

fn judged<'a>(answer: &'a Value, name: &str) -> Result<&'a Value, &'a Value> {
    match &answer["error"] {
        Value::Null => Ok(&answer[name]),
        error => Err(error),
    }
}

impl<'a> CallPart<'a> {
    /// Messages that it has published.
    pub(super) fn sent(&self) -> Vec<Sent<'a>> {
        let answer = self.answer;
        let message = |room: &str, message: &'a Message, answer: Result<&'a Value, &'a Value>| Sent {
            room: Some(room.into()),
            data: message.data.json(),
            keyed: message.idempotency_key.is_some(),
            place: answer.ok(),
            code: answer.err().and_then(|error| error["code"].as_u64()),
        };
        match self.command {
            Command::Publish { channel, message: sent } => vec![message(channel, sent, answer)],
            Command::PublishUser { user, message: sent } => vec![message(&format!("#{user}"), sent, answer)],
            Command::Broadcast { channels, message: sent } => {
                let responses = answer.ok().and_then(|place| place["responses"].as_array());
                let each = |at: usize| match responses.and_then(|all| all.get(at)) {
                    Some(response) => judged(response, "result"),
                    None => Err(answer.err().unwrap_or(&Value::Null)),
                };
                channels.iter().enumerate().map(|(at, room)| message(room, sent, each(at))).collect()
            }
            Command::PublishAll { data } | Command::Send { data, .. } => {
                let code = answer.err().and_then(|error| error["code"].as_u64());
                vec![Sent { room: None, data: data.json(), keyed: false, place: answer.ok(), code }]
            }
            _ => vec![],
        }
    }
}

/// An answer is not what it should be.
pub(super) fn broken(expected: impl Display, saw: impl Display) -> Checked {
    Err(Failure::new(Guarantee::P1, expected, saw))
}
