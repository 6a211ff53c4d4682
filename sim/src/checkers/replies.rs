//! What a client asks is answered once, and what it asks about one room in the order in which it has asked.

use crate::checkers::checker::{Checked, Checker};
use crate::checkers::observation::{Observation, Observed};
use crate::guarantees::{Failure, Guarantee};
use parlor_core::admission::route::Target;
use serde_json::Value;
use std::collections::{BTreeMap, VecDeque};

/// What one client has asked on its connection.
#[derive(Clone, Debug, Default)]
struct PendingCommands {
    /// The ids of what is not answered, each with the room that it is about; empty for none.
    asked: VecDeque<(u64, String)>,
    is_json: bool,
    /// Its session has begun.
    is_connected: bool,
    /// Its `connect` was refused: what it said behind it is passed over, and ids may be used again.
    is_vague: bool,
}

/// What all clients have asked.
#[derive(Clone, Debug, Default)]
pub(super) struct Replies(BTreeMap<usize, PendingCommands>);

impl PendingCommands {
    fn reads(&mut self, client: usize, reply: &Value) -> Checked {
        let Some(id) = reply["id"].as_u64().filter(|_| self.is_json && !self.is_vague) else { return Ok(()) };
        let broken =
            |expected: &str| Err(Failure::new(Guarantee::P1, format_args!("client {client} {expected}"), reply));
        let at = self.asked.iter().position(|(asked, _)| *asked == id);
        if !self.is_connected {
            (self.is_connected, self.is_vague) = (reply["connect"].is_object(), reply["error"].is_object());
            self.asked.drain(..at.map_or(0, |at| at + 1));
            return Ok(());
        }
        let Some((_, room)) = at.and_then(|at| self.asked.remove(at)) else {
            return broken("to be answered what it has asked, once");
        };
        let before = self.asked.iter().take(at.unwrap_or_default());
        if before.into_iter().any(|(_, other)| !room.is_empty() && *other == room) {
            return broken("to be answered in the order in which it asked about a room");
        }
        Ok(())
    }
}

impl Checker for Replies {
    fn name(&self) -> &'static str {
        "replies"
    }

    fn saw(&mut self, Observation { what, .. }: &Observation<'_>) -> Checked {
        match *what {
            Observed::Came { client, upgrade, answer: Ok(_) } => {
                let is_json = matches!(upgrade.target, Target::Json { .. });
                self.0.insert(client, PendingCommands { is_json, ..PendingCommands::default() });
            }
            Observed::Asked { client, command } if command.id > 0 && command.method != "send" => {
                let asked = (command.id, command.text("channel").to_owned());
                self.0.entry(client).or_default().asked.push_back(asked);
            }
            Observed::Read { client, text, .. } if text["push"].is_null() => {
                return self.0.entry(client).or_default().reads(client, text);
            }
            _ => {}
        }
        Ok(())
    }
}
