//! Presence: once all is answered, it says of a client what the latest token of it says that was accepted.

use super::calls::parts;
use super::checker::Checked;
use super::observation::{Observed, ObservedTurn};
use crate::checkers::sent_command::SentCommand;
use crate::guarantees::{Failure, Guarantee};
use parlor_core::api::Command;
use parlor_core::{Claims, ClientId, Input, Upgrade};
use serde_json::Value;
use std::collections::BTreeMap;

/// One connection, and what its tokens say of it.
#[derive(Clone, Debug, Default)]
struct Bearer {
    id: String,
    in_header: bool,
    /// The last token of it for no room that was found to be signed, how many there were, and how many were accepted: where
    /// that are all of them, the last one counts.
    last: Option<Claims>,
    shown: usize,
    accepted: usize,
}

/// All connections, and what was said of them last.
#[derive(Clone, Debug, Default)]
pub(super) struct Identities {
    bearers: BTreeMap<usize, Bearer>,
    /// The members of each room, as a backend was told them last.
    listed: BTreeMap<String, Value>,
}

impl Identities {
    pub(super) fn saw(&mut self, what: &Observed<'_>) -> Checked {
        match *what {
            Observed::Came { client, answer: Ok(_), upgrade } => self.comes(client, upgrade),
            Observed::Turn(turn) => self.turned(&turn),
            Observed::Answered { client, command, answer: Ok(_) } => self.is_done(client, command),
            Observed::Read { client, text, .. } => self.reads(client, text),
            Observed::Returned { command, answer } => self.are_listed(command, answer),
            Observed::Healed { well } => return self.are_told(well),
            _ => {}
        }
        Ok(())
    }

    fn comes(&mut self, client: usize, upgrade: &Upgrade) {
        let id = ClientId(upgrade.client).to_string();
        self.bearers.insert(client, Bearer { id, in_header: upgrade.token.is_some(), ..Bearer::default() });
    }

    fn turned(&mut self, turn: &ObservedTurn<'_>) {
        match (turn.input, turn.client) {
            (Input::Call { command: Command::Presence { channel }, .. }, _) => {
                self.listed.remove(&**channel);
            }
            (Input::Authenticated { verdict: Ok(verified), .. }, Some(client)) => {
                let bearer = self.bearers.entry(client).or_default();
                if verified.claims().channel.is_none() {
                    (bearer.last, bearer.shown) = (Some(verified.claims().clone()), bearer.shown + 1);
                }
            }
            _ => {}
        }
    }

    /// A json client is answered with a result.
    fn is_done(&mut self, client: usize, command: &SentCommand) {
        let bearer = self.bearers.entry(client).or_default();
        let has_token = command.params["token"].is_string();
        let is_one = matches!(command.method.as_str(), "connect" | "refresh") && has_token;
        bearer.accepted += usize::from(is_one || command.method == "connect" && bearer.in_header);
    }

    /// A plain client reads that it is known.
    fn reads(&mut self, client: usize, text: &Value) {
        let is_greeted = text["type"] == "connection" && text["authenticated"] == true;
        if (is_greeted || text["type"] == "authenticated") && text["n"].is_null() {
            self.bearers.entry(client).or_default().accepted += 1;
        }
    }

    fn are_listed(&mut self, command: &Command, answer: &Value) {
        for part in parts(command, answer) {
            if let (Command::Presence { channel }, Ok(list)) = (part.command, part.answer) {
                self.listed.insert(channel.to_string(), list["presence"].clone());
            }
        }
    }

    /// The faults have stopped.
    fn are_told(&self, well: &[usize]) -> Checked {
        let known = self
            .bearers
            .iter()
            .filter(|(client, bearer)| well.contains(client) && bearer.shown > 0 && bearer.shown == bearer.accepted);
        for (client, Bearer { id, last, .. }) in known {
            let Some(claims) = last else { continue };
            let info: Value =
                claims.info.as_deref().map_or(Value::Null, |info| serde_json::from_str(info).unwrap_or_default());
            for (room, list) in &self.listed {
                let member = &list[id];
                if member.is_object() && (member["user"] != *claims.sub || member["conn_info"] != info) {
                    let expected =
                        format_args!("client {client} in {room:?} as its last token has it: {}, {info}", claims.sub);
                    return Err(Failure::new(Guarantee::P1, expected, member));
                }
            }
        }
        Ok(())
    }
}
