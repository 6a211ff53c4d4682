//! Nothing begins twice or ends twice: rooms are occupied and vacated, users online and offline, members come and
//! go in turns, numbered without a hole; and so do the steps of each connection.

use crate::checkers::checker::{Checked, Checker};
use crate::checkers::observation::{Observation, Observed};
use crate::checkers::steps::Steps;
use crate::guarantees::{Failure, Guarantee};
use parlor_core::{Change, Effect, Event};
use serde_json::Value;
use std::collections::BTreeMap;

/// Of each member of a room, as a client knows them, whether it came last, or went.
type KnownMembers = BTreeMap<(String, String), bool>;

/// Events that were told so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Events {
    /// The number of the last event of each shard.
    last_seq: BTreeMap<usize, u64>,
    /// Which rooms and users are there, and which shard has told it.
    there: BTreeMap<String, usize>,
    /// Whom each client knows to be where.
    seen: BTreeMap<usize, KnownMembers>,
    /// The steps of connections.
    steps: Steps,
}

impl Events {
    fn tells(&mut self, shard: usize, event: &Event) -> Checked {
        let (began, name) = match &event.change {
            Change::Occupied(room) => (true, format!("room {room}")),
            Change::Vacated(room) => (false, format!("room {room}")),
            Change::Online(user) => (true, format!("user {user}")),
            Change::Offline(user) => (false, format!("user {user}")),
        };
        let last_seq = self.last_seq.entry(shard).or_default();
        *last_seq += 1;
        if event.seq != *last_seq {
            return Err(Failure::new(Guarantee::G4, format_args!("event {last_seq}"), event.seq));
        }
        let is_new = match began {
            true => self.there.insert(name.clone(), shard).is_none(),
            false => self.there.remove(&name).is_some(),
        };
        if is_new { Ok(()) } else { twice(&name, began) }
    }

    /// A watcher reads who came or went.
    fn reads(&mut self, client: usize, push: &Value) -> Checked {
        let Some(room) = push["channel"].as_str() else { return Ok(()) };
        for (word, came) in [("join", true), ("leave", false)] {
            let Some(member) = push[word]["info"]["client"].as_str() else { continue };
            if self.seen.entry(client).or_default().insert((room.into(), member.into()), came) == Some(came) {
                return twice(&format!("{member} in {room}, as client {client} sees it"), came);
            }
        }
        Ok(())
    }
}

fn twice(name: &str, began: bool) -> Checked {
    let words = if began {
        ("to end before it begins again", "a beginning")
    } else {
        ("to begin before it ends again", "an end")
    };
    Err(Failure::new(Guarantee::G4, format_args!("{name} {}", words.0), words.1))
}

impl Checker for Events {
    fn name(&self) -> &'static str {
        "events"
    }

    fn saw(&mut self, seen: &Observation<'_>) -> Checked {
        match seen.what {
            Observed::Came { client, answer: Ok(_), .. } => drop(self.seen.insert(client, KnownMembers::default())),
            Observed::Turn(ref turn) => {
                let mut events = turn.effects.iter().filter_map(|effect| match effect {
                    Effect::Event(event) => Some(event),
                    _ => None,
                });
                events.try_for_each(|event| self.tells(turn.shard, event))?;
                return self.steps.turned(turn);
            }
            Observed::ShardLost { shard, .. } => {
                self.steps.shard_lost(shard);
                self.last_seq.remove(&shard);
                self.there.retain(|_, of| *of != shard);
            }
            Observed::Entered { client, room, .. } | Observed::Left { client, room } => {
                self.seen.entry(client).or_default().retain(|(known, _), _| known != room);
            }
            Observed::Read { client, text, .. } => return self.reads(client, &text["push"]),
            _ => {}
        }
        Ok(())
    }
}
