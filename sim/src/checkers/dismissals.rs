//! Disconnects of users: once one is answered, each connection ends that had read before it that it is the user's.

use super::checker::Checked;
use super::observation::ObservedTurn;
use crate::guarantees::{Failure, Guarantee};
use parlor_core::api::{Command, Selection};
use parlor_core::{Effect, Input};
use std::collections::{BTreeMap, BTreeSet};

/// The clients that disconnects mean, by what these had read before.
#[derive(Clone, Debug, Default)]
pub(super) struct Dismissals {
    /// The user's room that each has read that it is in.
    rooms: BTreeMap<usize, String>,
    /// For each call that is not answered those whom it means.
    called: BTreeMap<u64, BTreeSet<usize>>,
    /// Those who are to go.
    dismissed: BTreeSet<usize>,
}

impl Dismissals {
    /// The connection of a client is another one, or there is none.
    pub(super) fn forget(&mut self, client: usize) {
        self.rooms.remove(&client);
        self.called.values_mut().for_each(|clients| clients.retain(|other| *other != client));
        self.dismissed.remove(&client);
    }

    /// A client reads that it is in a room.
    pub(super) fn enters(&mut self, client: usize, room: &str) {
        if room.starts_with('#') {
            self.rooms.insert(client, room.into());
        }
    }

    pub(super) fn turned(&mut self, turn: &ObservedTurn<'_>) {
        if let Input::Call { call, command: Command::Disconnect { user, client: Selection::All, whitelist, .. } } =
            turn.input
            && whitelist.is_empty()
        {
            let of_user = self.rooms.iter().filter(|(_, room)| room.strip_prefix('#') == Some(&**user));
            self.called.insert(call.0, of_user.map(|(client, _)| *client).collect());
        }
        for effect in turn.effects {
            if let Effect::Reply { call, result } = effect
                && let Some(clients) = self.called.remove(&call.0)
                && result.is_ok()
            {
                self.dismissed.extend(clients);
            }
        }
        let ended = turn.client_effects.iter().filter(|(_, effect)| matches!(effect, Effect::Closed { .. }));
        ended.for_each(|(client, _)| self.forget(*client));
    }

    /// The faults have stopped: none of those who are well is one that was to go.
    pub(super) fn are_carried_out(&self, well: &[usize]) -> Checked {
        match well.iter().find(|client| self.dismissed.contains(client)) {
            Some(client) => {
                let expected = format_args!("client {client} to go, as its user was disconnected");
                Err(Failure::new(Guarantee::G7, expected, "it is well"))
            }
            None => Ok(()),
        }
    }
}
