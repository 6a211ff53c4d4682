//! A page reload is no leave: for the `presence_grace` of a room after a user's last connection there was lost, the members
//! are not told that the user has left, the room is not vacated and the user is not offline.
//!
//! It judges only where all is known from outside: the user of a connection that read that it is in the room, and that
//! nothing but the end can have taken it out.

use crate::checkers::calls::commands;
use crate::checkers::checker::{Checked, Checker};
use crate::checkers::observation::{Observation, Observed, ObservedTurn};
use crate::checkers::sent_command::SentCommand;
use crate::guarantees::{Failure, Guarantee};
use crate::world::names::prefix;
use crate::world::setup::Setup;
use parlor_core::api::Command;
use parlor_core::{Change, CloseCause, Effect, Input};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// A connection as it was seen.
#[derive(Clone, Debug, Default)]
struct SeenConnection {
    /// The users of the tokens that it has shown.
    users: BTreeSet<String>,
    /// Its public id, once its `connect` was answered.
    id: Option<String>,
    rooms: BTreeSet<String>,
    /// It may have been taken out of rooms without knowing it yet.
    is_doubtful: bool,
    /// The time at which the client ended it.
    ended: Option<u64>,
}

/// A user who was in a room a moment ago.
#[derive(Clone, Debug)]
struct Gone {
    room: String,
    user: String,
    /// The connection that the user stays listed as; `None` where it may be an earlier one.
    id: Option<String>,
    /// The end of the grace, in nanoseconds.
    until: u64,
}

/// Looks for users who leave before their grace is over.
#[derive(Clone, Debug)]
pub(super) struct EarlyLeaves {
    setup: Setup,
    clients: BTreeMap<usize, SeenConnection>,
    gone: Vec<Gone>,
    /// The users of connections that have ended, where there are several shards. Of two that end on different shards, the
    /// room may hear of the later end first: the user stays listed as the other one then.
    ended_before: BTreeSet<String>,
    /// Calls that may take connections out of rooms and are not answered.
    taking_out: usize,
    /// The server stops, on several shards.
    is_stopping: bool,
    clock: u64,
}

impl EarlyLeaves {
    pub(super) fn new(setup: &Setup) -> Self {
        Self {
            setup: setup.clone(),
            clients: BTreeMap::new(),
            gone: Vec::new(),
            ended_before: BTreeSet::new(),
            taking_out: 0,
            is_stopping: false,
            clock: 0,
        }
    }

    fn turned(&mut self, turn: &ObservedTurn<'_>) -> Checked {
        match turn.input {
            Input::Authenticated { verdict: Ok(verified), .. } => {
                let claims = verified.claims();
                self.gone.retain(|gone| gone.user != claims.sub);
                if let Some(client) = turn.client {
                    self.clients.entry(client).or_default().users.insert(claims.sub.clone());
                }
            }
            Input::Call { command, .. } if takes_out(command) => {
                self.taking_out += 1;
                self.doubt_all();
            }
            // A join that is under way at another shard may end behind this, as a leave: nobody can come back.
            Input::Shutdown if self.setup.shards > 1 => {
                self.is_stopping = true;
                self.gone.clear();
            }
            Input::PeerClosed { .. } | Input::Lost { .. } => {
                if let Some(seen) = turn.client.and_then(|client| self.clients.get_mut(&client)) {
                    seen.ended.get_or_insert(self.clock);
                }
            }
            _ => {}
        }
        turn.effects.iter().try_for_each(|effect| match effect {
            Effect::Event(event) => self.tells(&event.change),
            _ => Ok(()),
        })?;
        for (client, effect) in turn.client_effects {
            let Effect::Closed { end, .. } = effect else { continue };
            let was_lost = matches!(end.cause, CloseCause::PeerClose | CloseCause::PeerEof | CloseCause::PeerReset);
            let Some(seen) = self.clients.remove(client) else { continue };
            if was_lost {
                self.goes(&seen);
            }
            if self.setup.shards > 1 {
                self.ended_before.extend(seen.users);
            }
        }
        Ok(())
    }

    /// A connection was lost, and with it its user, unless the user may have another.
    fn goes(&mut self, SeenConnection { users, id, rooms, is_doubtful, ended }: &SeenConnection) {
        let (Some(user), Some(id)) = (users.first().filter(|user| users.len() == 1 && !user.is_empty()), id.as_ref())
        else {
            return;
        };
        if *is_doubtful
            || self.is_stopping
            || self.taking_out > 0
            || self.clients.values().any(|other| other.users.contains(user))
        {
            return;
        }
        let id = Some(id).filter(|_| !self.ended_before.contains(user)).cloned();
        for room in rooms {
            let grace = self.setup.rules(prefix(room)).presence_grace;
            let until = ended.unwrap_or(self.clock) + u64::try_from(grace.as_nanos()).expect("a few seconds");
            self.gone.push(Gone { room: room.clone(), user: user.clone(), id: id.clone(), until });
        }
    }

    fn doubt_all(&mut self) {
        self.clients.values_mut().for_each(|seen| seen.is_doubtful = true);
    }

    fn tells(&self, change: &Change) -> Checked {
        let is_early = |gone: &&Gone| match change {
            Change::Vacated(room) => **room == *gone.room,
            Change::Offline(user) => **user == *gone.user,
            _ => false,
        };
        self.gone.iter().find(is_early).map_or(Ok(()), |gone| Err(early(gone, format_args!("{change:?}"))))
    }

    fn reads(&self, push: &Value) -> Checked {
        let (room, member) = (&push["channel"], &push["leave"]["info"]);
        let is_it = |gone: &&Gone| *room == *gone.room && gone.id.as_deref().is_some_and(|id| member["client"] == id);
        self.gone.iter().find(is_it).map_or(Ok(()), |gone| Err(early(gone, push)))
    }

    fn asks(&mut self, client: usize, command: &SentCommand) {
        let leaves = matches!(command.method.as_str(), "unsubscribe" | "refresh" | "sub_refresh");
        if leaves || command.params["token"].is_string() && command.method == "subscribe" {
            self.clients.entry(client).or_default().is_doubtful = true;
        }
    }
}

/// Whether a call may take connections out of rooms that they are not told of at once.
fn takes_out(command: &Command) -> bool {
    commands(command).any(|part| matches!(part, Command::Unsubscribe { .. }))
}

fn early(gone: &Gone, saw: impl std::fmt::Display) -> Failure {
    let Gone { room, user, until, .. } = gone;
    Failure::new(Guarantee::G2, format_args!("{user} to stay listed in {room} until {until}"), saw)
}

impl Checker for EarlyLeaves {
    fn name(&self) -> &'static str {
        "absences"
    }

    fn saw(&mut self, seen: &Observation<'_>) -> Checked {
        self.clock = seen.clock.mono.0;
        let clock = self.clock;
        self.gone.retain(|gone| gone.until > clock);
        // Where there may be no place for all, nobody is sure to stay listed.
        let most = self.setup.users * (self.setup.rooms + 1);
        if (self.setup.limits.absences as u64) < most {
            return Ok(());
        }
        match seen.what {
            Observed::Came { client, answer: Ok(_), .. } => {
                drop(self.clients.insert(client, SeenConnection::default()));
            }
            Observed::Turn(turn) => return self.turned(&turn),
            Observed::Returned { command, .. } if takes_out(command) => {
                self.taking_out = self.taking_out.saturating_sub(1);
                self.doubt_all();
            }
            // Whom the lost shard has listed it lists no more.
            Observed::ShardLost { clients, .. } => {
                clients.iter().for_each(|client| drop(self.clients.remove(client)));
                self.gone.clear();
                self.doubt_all();
            }
            Observed::Asked { client, command } => self.asks(client, command),
            // A token that was good, and was refused for its time, has not made it that user's.
            Observed::Answered { client, command, answer: Err(_) } if command.method == "connect" => {
                self.clients.entry(client).or_default().is_doubtful = true;
            }
            Observed::Answered { client, command, answer: Ok(result) } if command.method == "connect" => {
                self.clients.entry(client).or_default().id = result["client"].as_str().map(String::from);
            }
            Observed::Entered { client, room, .. } => {
                self.clients.entry(client).or_default().rooms.insert(room.into());
            }
            Observed::Left { client, room } => drop(self.clients.entry(client).or_default().rooms.remove(room)),
            Observed::Read { text, .. } => return self.reads(&text["push"]),
            _ => {}
        }
        Ok(())
    }
}
