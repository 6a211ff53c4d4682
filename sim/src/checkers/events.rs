//! What begins ends, and nothing begins twice: rooms are occupied and vacated, users online and offline, members come and
//! go in turns, numbered without a hole. And everything that is asked is answered: a call in its turn, a command when the
//! world is well again.

use super::{Checker, Observation, Turn, What};
use crate::checks::{Failure, Guarantee};
use crate::client::Frame;
use parlor_core::{Change, Effect, Event, Input};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// What one client waits for, and whom it knows to be where.
#[derive(Clone, Debug, Default)]
struct Side {
    /// Tokens of it that nobody has looked at.
    tokens: usize,
    /// Of each member of a room whether it came last, or went.
    seen: BTreeMap<(String, String), bool>,
    /// Its stream is over: nothing more is answered.
    ended: bool,
}

/// What was told so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Events {
    /// The number of the last event.
    told: u64,
    /// Which rooms and users are there.
    there: BTreeSet<String>,
    sides: BTreeMap<usize, Side>,
}

type Verdict = Result<(), Failure>;

impl Events {
    fn tells(&mut self, event: &Event) -> Verdict {
        let (began, name) = match &event.change {
            Change::Occupied(room) => (true, format!("room {room}")),
            Change::Vacated(room) => (false, format!("room {room}")),
            Change::Online(user) => (true, format!("user {user}")),
            Change::Offline(user) => (false, format!("user {user}")),
        };
        self.told += 1;
        if event.seq != self.told {
            return Err(Failure::new(Guarantee::G4, format_args!("event {}", self.told), event.seq));
        }
        let is_new = if began { self.there.insert(name.clone()) } else { self.there.remove(&name) };
        if is_new { Ok(()) } else { twice(&name, began) }
    }

    fn turned(&mut self, turn: &Turn<'_>) -> Verdict {
        for effect in turn.effects {
            if let Effect::Event(event) = effect {
                self.tells(event)?;
            }
        }
        for (peer, effect) in turn.told {
            let side = self.sides.entry(*peer).or_default();
            side.tokens += usize::from(matches!(effect, Effect::Authenticate { .. }));
        }
        let side = turn.peer.map(|peer| self.sides.entry(peer).or_default());
        match (turn.input, side) {
            (Input::Authenticated { .. }, Some(side)) => side.tokens = side.tokens.saturating_sub(1),
            (Input::PeerClosed { .. } | Input::Violation { .. } | Input::Lost { .. }, Some(side)) => side.ended = true,
            (Input::Call { command, .. }, _) if turn.answer.is_none() => {
                return Err(Failure::new(Guarantee::L1, format_args!("{command:?} to be answered"), "nothing"));
            }
            _ => {}
        }
        Ok(())
    }

    /// A watcher reads who came or went.
    fn reads(&mut self, peer: usize, push: &Value) -> Verdict {
        let Some(room) = push["channel"].as_str() else { return Ok(()) };
        for (word, came) in [("join", true), ("leave", false)] {
            let Some(client) = push[word]["info"]["client"].as_str() else { continue };
            let side = self.sides.entry(peer).or_default();
            if side.seen.insert((room.into(), client.into()), came) == Some(came) {
                return twice(&format!("{client} in {room}, as client {peer} sees it"), came);
            }
        }
        Ok(())
    }
}

fn twice(name: &str, began: bool) -> Verdict {
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

    fn saw(&mut self, seen: &Observation<'_>) -> Verdict {
        match seen.what {
            What::Came { peer, answer: Ok(_), .. } => drop(self.sides.insert(peer, Side::default())),
            What::Turn(turn) => return self.turned(&turn),
            What::Entered { peer, room, .. } | What::Left { peer, room } => {
                self.sides.entry(peer).or_default().seen.retain(|(known, _), _| known != room);
            }
            What::Read { peer, frame: Frame::Close(_), .. } => self.sides.entry(peer).or_default().ended = true,
            What::Read { peer, text, .. } => return self.reads(peer, &text["push"]),
            What::Unanswered { peer, command } => {
                let side = self.sides.entry(peer).or_default();
                if side.tokens == 0 && !side.ended {
                    let expected = format_args!("client {peer} to be answered {command:?}");
                    return Err(Failure::new(Guarantee::L1, expected, "nothing"));
                }
            }
            _ => {}
        }
        Ok(())
    }
}
