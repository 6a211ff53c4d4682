//! The calls of a backend as it sees them: each part with what it was answered.

use parlor_core::Input;
use parlor_core::api::{Command, Message};
use serde_json::Value;

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
    pub data: &'a str,
    /// It may be told to be what an earlier call was told to be.
    pub keyed: bool,
    /// Its result, if it was accepted: `epoch` and `offset`.
    pub place: Option<&'a Value>,
}

/// Whether this is a call that puts messages in, or one of several parts that may.
pub(super) fn puts_in(input: &Input) -> bool {
    let Input::Call { command, .. } = input else { return false };
    matches!(
        command,
        Command::Batch(_)
            | Command::Publish { .. }
            | Command::PublishUser { .. }
            | Command::Broadcast { .. }
            | Command::PublishAll { .. }
            | Command::Send { .. }
    )
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
        let place = self.answer.ok();
        let message = |room: &str, message: &'a Message, place| Sent {
            room: Some(room.into()),
            data: &message.data,
            keyed: message.idempotency_key.is_some(),
            place,
        };
        match self.command {
            Command::Publish { channel, message: sent } => vec![message(channel, sent, place)],
            Command::PublishUser { user, message: sent } => vec![message(&format!("#{user}"), sent, place)],
            Command::Broadcast { channels, message: sent } => {
                let responses = place.and_then(|place| place["responses"].as_array());
                let place = |at: usize| responses.and_then(|all| judged(all.get(at)?, "result").ok());
                channels.iter().enumerate().map(|(at, room)| message(room, sent, place(at))).collect()
            }
            Command::PublishAll { data } | Command::Send { data, .. } => {
                vec![Sent { room: None, data, keyed: false, place }]
            }
            _ => vec![],
        }
    }
}
