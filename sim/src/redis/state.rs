//! What commands see of a server: its data, its channels, itself. The commands that a script may call are here.

use super::answers::{Answer, count, wrong_number};
use super::channels::{ChannelKind, Subscriptions};
use super::commands;
use super::dataset::Dataset;
use super::identity::ServerIdentity;
use super::mistakes::ModelMistake;
use super::wire;
use parlor_core::redis::RespValue;

/// A server without its scripts.
#[derive(Clone, Debug)]
pub struct ServerState {
    /// What it says of itself.
    pub identity: ServerIdentity,
    /// What it holds.
    pub data: Dataset,
    /// Who hears what.
    pub channels: Subscriptions,
    /// What waits to be sent to each connection.
    pub outputs: Vec<Vec<u8>>,
    /// Whose command is being carried out, if its own messages wait for its reply, as in Valkey.
    pub own_messages_wait: Option<usize>,
    /// Messages that wait for the reply.
    pub waiting: Vec<u8>,
    /// A mistake that was put in.
    pub mistake: Option<ModelMistake>,
}

impl ServerState {
    /// Carries out a command that scripts may call, too. None if there is no such command.
    pub fn run(&mut self, words: &[&[u8]]) -> Option<Answer> {
        let (name, arguments) = words.split_first()?;
        let answer = match name.to_ascii_uppercase().as_slice() {
            b"PUBLISH" => self.publish(ChannelKind::Plain, arguments),
            b"SPUBLISH" => self.publish(ChannelKind::Sharded, arguments),
            b"INFO" => {
                let text = self.identity.info(arguments, self.data.now_ms * 1000);
                Ok(RespValue::Verbatim(format!("txt:{text}").into_bytes()))
            }
            _ => commands::run(&mut self.data, words)?,
        };
        Some(match self.mistake {
            Some(mistake) => answer.map(|value| mistake.in_answer(name, value)),
            None => answer,
        })
    }

    fn publish(&mut self, kind: ChannelKind, words: &[&[u8]]) -> Answer {
        let [channel, message] = words else {
            return Err(wrong_number(if kind == ChannelKind::Plain { "publish" } else { "spublish" }));
        };
        let (hearers, push) = self.channels.published(kind, channel, message);
        for hearer in &hearers {
            let is_own = self.own_messages_wait == Some(*hearer);
            wire::encode(&push, if is_own { &mut self.waiting } else { &mut self.outputs[*hearer] });
        }
        Ok(count(hearers.len()))
    }
}
