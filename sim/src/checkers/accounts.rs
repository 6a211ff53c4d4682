//! What an operator is told became of a publication is what its clients have read: who is said to have it has it, who is said not
//! to have it has not, and nobody is left out who has.

use super::accepted::number;
use crate::checkers::checker::{Checked, Checker};
use crate::checkers::observation::{ExplainedPublication, Observation, Observed};
use crate::guarantees::{Failure, Guarantee};
use crate::world::setup::Setup;
use parlor_core::admission::route::Target;
use parlor_core::explain::{DeliveryAccount, DeliveryOutcome};
use parlor_core::{ClientId, Effect};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// The connections of all clients, and what was read by each.
#[derive(Clone, Debug, Default)]
pub(super) struct Accounts {
    /// The ids of connections come again, as they never do: what is told of one may be of one before.
    is_off: bool,
    readers: BTreeMap<ClientId, ConnectionReader>,
    /// The connection that each client has.
    current: BTreeMap<usize, ClientId>,
}

/// What was read by one connection.
#[derive(Clone, Debug, Default)]
struct ConnectionReader {
    is_json: bool,
    /// The rooms that it is in, as it has read, each with the epoch there.
    rooms: BTreeMap<String, String>,
    /// How often it has read that it is in a room.
    entered: BTreeMap<String, u32>,
    /// Publications by room, epoch and offset.
    places: BTreeSet<(String, String, u64)>,
    /// Publications by the numbers of their payloads.
    numbers: BTreeSet<u64>,
}

impl ConnectionReader {
    fn enters(&mut self, room: &str, place: &Value) {
        let epoch = place["epoch"].as_str().unwrap_or_default();
        self.rooms.insert(room.into(), epoch.into());
        *self.entered.entry(room.into()).or_default() += 1;
        place["publications"].as_array().into_iter().flatten().for_each(|missed| self.gets(room, missed));
    }

    fn gets(&mut self, room: &str, publication: &Value) {
        self.numbers.insert(number(&publication["data"]));
        if let Some((offset, epoch)) = publication["offset"].as_u64().zip(self.rooms.get(room)) {
            self.places.insert((room.into(), epoch.clone(), offset));
        }
    }

    fn has(&self, what: &ExplainedPublication) -> bool {
        match self.is_json {
            true => self.places.contains(&what.place()),
            false => self.numbers.contains(&number(&what.data)),
        }
    }

    /// Whether it can be sure of what it has not: it knows the places of what it reads, and was never in the room before.
    fn is_sure(&self, room: &str) -> bool {
        self.is_json && self.entered.get(room).is_none_or(|times| *times <= 1)
    }
}

impl Accounts {
    pub(super) fn new(setup: &Setup) -> Self {
        Self { is_off: setup.ids_repeat == 1, ..Self::default() }
    }

    fn reader(&mut self, client: usize) -> Option<&mut ConnectionReader> {
        self.readers.get_mut(self.current.get(&client)?)
    }

    fn is_there(&self, client: ClientId) -> bool {
        self.current.values().any(|current| *current == client)
    }

    fn judge(&self, what: &ExplainedPublication) -> Checked {
        let told: BTreeMap<ClientId, &DeliveryAccount> =
            what.deliveries.iter().map(|delivery| (delivery.client, delivery)).collect();
        if told.len() != what.deliveries.len() {
            return wrong(what, "each connection once", &what.deliveries);
        }
        for delivery in &what.deliveries {
            let Some(reader) = self.readers.get(&delivery.client) else {
                return wrong(what, "connections that there were", delivery);
            };
            let has = reader.has(what);
            let is_right = match delivery.outcome {
                DeliveryOutcome::FullyWritten => has,
                DeliveryOutcome::Sent { .. } | DeliveryOutcome::FilterChanged => true,
                // What it was told of its rooms at the end may have been dropped: that it left this one, and came back.
                DeliveryOutcome::JoinedLater { .. } if !self.is_there(delivery.client) => true,
                _ => !has || !reader.is_sure(&what.room) || !what.has_read_all(delivery.client),
            };
            if !is_right {
                return wrong(what, if has { "that it came" } else { "that it did not come" }, delivery);
            }
        }
        let has_it = |client: &&ClientId| {
            let reader = &self.readers[*client];
            reader.is_json && reader.rooms.contains_key(&what.room) && what.has_read_all(**client) && reader.has(what)
        };
        let left_out = self.current.values().filter(has_it).find(|client| {
            told.get(client).is_none_or(|delivery| !may_have_come(delivery.outcome))
                && self.readers[*client].is_sure(&what.room)
        });
        left_out.map_or(Ok(()), |client| wrong(what, format_args!("that {client} has it"), told.get(client)))
    }
}

/// Whether it came, or frames of which it may be one did not.
fn may_have_come(outcome: DeliveryOutcome) -> bool {
    match outcome {
        DeliveryOutcome::FullyWritten => true,
        DeliveryOutcome::Sent { unwritten } => unwritten > 0,
        _ => false,
    }
}

fn wrong(what: &ExplainedPublication, expected: impl std::fmt::Display, saw: impl std::fmt::Debug) -> Checked {
    let ExplainedPublication { room, offset, .. } = what;
    Err(Failure::new(
        Guarantee::G8,
        format_args!("of publication {offset} in {room:?} to be told {expected}"),
        format_args!("{saw:?}"),
    ))
}

impl Checker for Accounts {
    fn name(&self) -> &'static str {
        "accounts"
    }

    fn saw(&mut self, seen: &Observation<'_>) -> Checked {
        match seen.what {
            _ if self.is_off => {}
            Observed::Came { client, answer: Ok(_), upgrade } => {
                let id = ClientId(upgrade.client);
                let is_json = matches!(upgrade.target, Target::Json { .. });
                self.readers.insert(id, ConnectionReader { is_json, ..ConnectionReader::default() });
                self.current.insert(client, id);
            }
            Observed::Turn(turn) => {
                for (client, effect) in turn.client_effects {
                    if matches!(effect, Effect::Closed { .. }) {
                        self.current.remove(client);
                    }
                }
            }
            Observed::ShardLost { clients, .. } => self.current.retain(|client, _| !clients.contains(client)),
            Observed::Entered { client, room, place } => {
                self.reader(client).into_iter().for_each(|reader| reader.enters(room, place));
            }
            Observed::Left { client, room } => {
                self.reader(client).into_iter().for_each(|reader| drop(reader.rooms.remove(room)));
            }
            Observed::Published { client, room, publication } => {
                let Some(reader) = self.reader(client) else { return Ok(()) };
                match room {
                    Some(room) => reader.gets(room, publication),
                    None => drop(reader.numbers.insert(number(publication))),
                }
            }
            Observed::Explained(what) => return self.judge(what),
            _ => {}
        }
        Ok(())
    }
}
