//! Calls of a backend that put a user's connections into a room, take them out, or say how long they last: once one is
//! answered, that holds for each connection that had read before the call that it is the user's, until something later
//! changes it.

use super::calls::commands;
use super::checker::Checked;
use super::observation::{Observed, ObservedTurn};
use crate::checkers::sent_command::SentCommand;
use crate::guarantees::{Failure, Guarantee};
use parlor_core::admission::route::Target;
use parlor_core::api::{Command, Expiry, Selection};
use parlor_core::{ClientId, Effect, Input, Limit, Upgrade};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// A call that is not answered, or for ever if its shard was lost or it was given up.
#[derive(Clone, Debug)]
struct OpenCall {
    /// The room, and whether the clients are to be in it; `None` where it is about how long they last.
    room: Option<(String, bool)>,
    clients: BTreeSet<usize>,
}

/// One connection, as its client knows it.
#[derive(Clone, Debug)]
struct PlacedClient {
    id: ClientId,
    is_json: bool,
    /// The users of the tokens that it has shown, and the one that it has read that it is.
    shown: BTreeSet<String>,
    user: Option<String>,
    /// The rooms of its commands that wait for their answers and may put it elsewhere; empty for all rooms.
    asked: Vec<String>,
}

/// The rooms where connections are to be by what backends were answered, and those who are to read when they end.
#[derive(Clone, Debug, Default)]
pub(super) struct Placements {
    clients: BTreeMap<usize, PlacedClient>,
    calls: BTreeMap<u64, Vec<OpenCall>>,
    /// For each client and room whether it is to be there.
    due: BTreeMap<(usize, String), bool>,
    /// Those who are to read when they end.
    untold: BTreeSet<usize>,
    /// The rooms of each connection, by its public id, as a backend was told last.
    listed: Option<Value>,
}

/// The room of a command that puts its client elsewhere; empty where that may be any.
fn moves(command: &SentCommand) -> Option<&str> {
    match command.method.as_str() {
        "subscribe" | "unsubscribe" | "sub_refresh" => Some(command.text("channel")),
        "connect" | "refresh" | "auth" => Some(""),
        _ => None,
    }
}

impl Placements {
    pub(super) fn saw(&mut self, what: &Observed<'_>) -> Checked {
        match *what {
            Observed::Came { client, answer: Ok(_), upgrade } => self.comes(client, upgrade),
            Observed::Asked { client, command } => self.is_asked(client, command),
            Observed::Answered { client, command, .. } => self.is_answered(client, command),
            Observed::Entered { client, room, .. } => self.enters(client, room),
            Observed::Read { client, text, .. } => self.reads(client, text),
            Observed::Turn(turn) => self.turned(&turn),
            Observed::Returned { command, answer } => self.are_listed(command, answer),
            Observed::ShardLost { clients, .. } => clients.iter().for_each(|client| self.forget(*client)),
            Observed::Healed { well } => return self.are_carried_out(well),
            _ => {}
        }
        Ok(())
    }

    /// The connection of a client is another one, or there is none.
    fn forget(&mut self, client: usize) {
        self.clients.remove(&client);
        self.forget_moves(client, "");
        self.calls.values_mut().flatten().for_each(|call| call.clients.retain(|other| *other != client));
        self.untold.remove(&client);
    }

    /// A client comes in.
    fn comes(&mut self, client: usize, upgrade: &Upgrade) {
        self.forget(client);
        let (id, is_json) = (ClientId(upgrade.client), matches!(upgrade.target, Target::Json { .. }));
        self.clients
            .insert(client, PlacedClient { id, is_json, shown: BTreeSet::new(), user: None, asked: Vec::new() });
    }

    /// A client is put elsewhere by something else, in this room or, where it has no name, in any.
    fn forget_moves(&mut self, client: usize, room: &str) {
        let is_other = |known: &str| !room.is_empty() && known != room;
        self.due.retain(|(of, known), _| *of != client || is_other(known));
        for call in self.calls.values_mut().flatten() {
            if call.room.as_ref().is_some_and(|(known, _)| !is_other(known)) {
                call.clients.remove(&client);
            }
        }
    }

    /// A client reads that it is in a room.
    fn enters(&mut self, client: usize, room: &str) {
        if let (Some(user), Some(known)) = (room.strip_prefix('#'), self.clients.get_mut(&client)) {
            known.user = Some(user.into());
        }
    }

    /// A client reads a frame that is no answer.
    fn reads(&mut self, client: usize, text: &Value) {
        if let Some(known) = self.clients.get_mut(&client).filter(|known| !known.is_json && text["n"].is_null()) {
            // A plain client is greeted with its first token, if at all; what it shows later is answered. Where it has shown
            // those of several users before it reads the greeting, that may be of any.
            let is_greeted = text["type"] == "connection" && text["authenticated"] == true;
            let only = known.shown.first().filter(|_| is_greeted && known.shown.len() == 1);
            let user = if text["type"] == "authenticated" { text["user"].as_str() } else { None };
            let user = only.cloned().or_else(|| user.map(Into::into));
            if user.is_some() {
                known.asked.pop();
            }
            known.user = user.or(known.user.take());
        }
        if text["push"]["refresh"].is_object() {
            self.untold.remove(&client);
            let calls = self.calls.values_mut().flatten().filter(|call| call.room.is_none());
            calls.for_each(|call| call.clients.retain(|other| *other != client));
        }
    }

    fn is_asked(&mut self, client: usize, command: &SentCommand) {
        let Some(room) = moves(command) else { return };
        self.forget_moves(client, room);
        if let Some(known) = self.clients.get_mut(&client) {
            known.asked.push(room.into());
        }
    }

    fn is_answered(&mut self, client: usize, command: &SentCommand) {
        let (Some(room), Some(known)) = (moves(command), self.clients.get_mut(&client)) else { return };
        let at = known.asked.iter().position(|asked| asked == room);
        at.map(|at| known.asked.swap_remove(at));
    }

    fn turned(&mut self, turn: &ObservedTurn<'_>) {
        match (turn.input, turn.client) {
            (Input::Call { call, command }, _) => self.is_called(call.0, command),
            (Input::Authenticated { verdict, .. }, Some(client)) => {
                self.forget_moves(client, "");
                let shown = verdict.as_ref().ok().map(|verified| verified.claims().sub.clone());
                if let Some(known) = self.clients.get_mut(&client) {
                    known.shown.extend(shown);
                }
            }
            _ => {}
        }
        for effect in turn.effects {
            let Effect::Reply { call, result } = effect else { continue };
            // What was given up may be carried out yet, at any time.
            if matches!(&**result, Err(error) if error.limit == Some(Limit::TicketTimeout)) {
                continue;
            }
            let parts = self.calls.remove(&call.0).filter(|_| result.is_ok());
            parts.into_iter().flatten().for_each(|part| self.is_done(part));
        }
        let ended = turn.client_effects.iter().filter(|(_, effect)| matches!(effect, Effect::Closed { .. }));
        ended.for_each(|(client, _)| self.forget(*client));
    }

    fn is_done(&mut self, OpenCall { room, clients }: OpenCall) {
        match room {
            Some((room, is_in)) => {
                self.due.extend(clients.into_iter().map(|client| ((client, room.clone()), is_in)));
            }
            None => self.untold.extend(clients),
        }
    }

    fn is_called(&mut self, number: u64, command: &Command) {
        for part in commands(command) {
            if let Command::Connections { .. } = part {
                self.listed = None;
            }
            if let Command::Subscribe { channel, .. } | Command::Unsubscribe { channel, .. } = part {
                let is_in = matches!(part, Command::Subscribe { .. });
                self.due.retain(|(_, room), to_be_in| **room != **channel || *to_be_in == is_in);
            }
        }
        let is_alone = !matches!(command, Command::Batch(_));
        let parts: Vec<OpenCall> = commands(command).filter_map(|part| self.meant(part, is_alone)).collect();
        for part in parts {
            self.opens(number, part);
        }
    }

    /// The clients that a call means, by what these have read. Of several parts of one call the later ones may undo what those
    /// before them do: they mean nobody.
    fn meant(&self, part: &Command, is_alone: bool) -> Option<OpenCall> {
        let (user, client, room) = match part {
            Command::Subscribe { user, client, channel, .. } => (user, client, Some((channel.to_string(), true))),
            Command::Unsubscribe { user, client, channel } => (user, client, Some((channel.to_string(), false))),
            Command::Refresh { user, client, .. } => (user, client, None),
            _ => return None,
        };
        // A plain client is not told when it ends, but ends.
        let is_end = matches!(part, Command::Refresh { expiry: Expiry::Now, .. });
        let is_meant = |known: &PlacedClient| {
            let is_selected = match client {
                Selection::All => true,
                Selection::One(id) => *id == known.id,
                Selection::NoMatch => false,
            };
            let is_free = |room: &str| known.asked.iter().all(|asked| !asked.is_empty() && asked != room);
            let is_free = room.as_ref().is_none_or(|(room, _)| is_free(room));
            is_alone && is_selected && is_free && known.user.as_deref() == Some(&**user)
        };
        let is_reader = |known: &PlacedClient| room.is_some() || known.is_json || is_end;
        let clients = self.clients.iter().filter(|(_, known)| is_meant(known) && is_reader(known));
        let clients = clients.map(|(client, _)| *client).collect();
        Some(OpenCall { room, clients })
    }

    /// Of two calls under way that say different things about a room either may come last.
    fn opens(&mut self, number: u64, mut call: OpenCall) {
        if let Some((room, is_in)) = &call.room {
            let others = self.calls.values_mut().flatten();
            let others = others.filter(|other| other.room.as_ref() == Some(&(room.clone(), !is_in)));
            for other in others {
                other.clients.clear();
                call.clients.clear();
            }
        }
        self.calls.entry(number).or_default().push(call);
    }

    /// A backend is told which connections there are.
    fn are_listed(&mut self, command: &Command, answer: &Value) {
        if let Command::Connections { user: None, channel: None, page } = command
            && page.after.is_none()
            && page.limit.is_none()
        {
            self.listed = Some(answer["result"]["connections"].clone()).filter(Value::is_object);
        }
    }

    /// The faults have stopped: everybody who is well is where the calls say.
    fn are_carried_out(&self, well: &[usize]) -> Checked {
        if let Some(client) = well.iter().find(|client| self.untold.contains(client)) {
            let expected = format_args!("client {client} to end, or to be told when it will, as a call has set that");
            return Err(Failure::new(Guarantee::P1, expected, "it has not read so"));
        }
        let Some(listed) = &self.listed else { return Ok(()) };
        for ((client, room), is_in) in self.due.iter().filter(|((client, _), _)| well.contains(client)) {
            let id = self.clients.get(client).map(|known| known.id.to_string()).unwrap_or_default();
            let Some(rooms) = listed[&id]["channels"].as_array() else { continue };
            if rooms.iter().any(|known| known == room) != *is_in {
                let there = if *is_in { "in" } else { "out of" };
                let expected = format_args!("client {client} to be {there} {room:?}, as a call has put it");
                return Err(Failure::new(Guarantee::G2, expected, format_args!("{rooms:?}")));
            }
        }
        Ok(())
    }
}
