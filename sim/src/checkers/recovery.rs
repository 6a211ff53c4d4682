//! A client that comes back gets what the room's history has for it, and is told that it has missed something only where
//! the history has not all of it, or where that is more than half of what one reply may hold. A plain client that names its
//! places hears in each of those rooms where it goes on from there, or of the gap.

use super::calls::commands;
use super::want::RecoveryRequest;
use crate::checkers::checker::Checker;
use crate::checkers::observation::{Observation, Observed, ObservedTurn};
use crate::checkers::sent_command::SentCommand;
use crate::guarantees::{Failure, Guarantee};
use parlor_core::admission::route::Target;
use parlor_core::api::Command;
use parlor_core::{Input, Limits, Upgrade};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// The answer to a client that would have an error in place of an unsuccessful recovery.
const UNRECOVERABLE: u64 = 112;

/// Bytes of a publication that tell of its publisher, at most: what is retained on a node of several shards is seen without.
const PUBLISHER: usize = 256;

/// Publications after a position, before and after each of the turns in which a client could have got them.
type Histories = Vec<[Value; 2]>;

/// Position that the history was read from.
#[derive(Clone, Debug)]
pub(super) struct Recovery {
    limits: Limits,
    has_shards: bool,
    /// Of each thing that is wanted, with how many commands that are not answered want it.
    histories: BTreeMap<RecoveryRequest, (usize, Histories)>,
    /// Rooms that a backend has put connections into, where there are several shards. A client that asks for its own place
    /// meanwhile is answered about the place that the backend has named, and starts anew.
    placed: BTreeSet<String>,
    /// Where plain clients have been in rooms of which they have heard nothing yet.
    places: BTreeMap<(usize, String), u64>,
}

/// Publications that are wanted, if the history has all of them.
fn all_of<'a>(history: &'a Value, want: &RecoveryRequest) -> Option<&'a [Value]> {
    let result = &history["result"];
    let (publications, top) = (result["publications"].as_array()?, result["offset"].as_u64()?);
    let is_its = want.epoch.is_empty() || result["epoch"] == want.epoch;
    let offsets = publications.iter().map(|publication| publication["offset"].as_u64());
    let is_whole = offsets.eq((want.offset.saturating_add(1)..=top).map(Some));
    (is_its && want.offset <= top && is_whole).then_some(publications)
}

impl Recovery {
    pub(super) fn new(limits: &Limits, has_shards: bool) -> Self {
        let (histories, places) = (BTreeMap::new(), BTreeMap::new());
        Self { limits: limits.clone(), has_shards, histories, placed: BTreeSet::new(), places }
    }

    /// The histories of what one command wanted, which is answered.
    fn taken(&mut self, want: &RecoveryRequest) -> Option<Histories> {
        let (waiting, histories) = self.histories.get_mut(want)?;
        *waiting = waiting.saturating_sub(1);
        let histories = histories.clone();
        if *waiting == 0 {
            self.histories.remove(want);
        }
        Some(histories)
    }

    /// The places that a plain client comes with, where it is told of its positions.
    fn comes_with(&mut self, client: usize, upgrade: &Upgrade) {
        self.histories.retain(|want, _| want.client != client);
        self.places.retain(|(of, _), _| *of != client);
        if let Target::Plain(plain) = &upgrade.target
            && plain.positions
        {
            let places = plain.since.iter().map(|(room, place)| ((client, room.to_string()), place.offset));
            self.places.extend(places);
        }
    }

    /// The first word of a room in which a plain client was is where it goes on, or that there is a gap.
    fn told(&mut self, client: usize, text: &Value) -> Result<(), Failure> {
        let (Some("gap" | "position"), Some(room)) = (text["type"].as_str(), text["room"].as_str()) else {
            return Ok(());
        };
        let Some(offset) = self.places.remove(&(client, room.into())) else { return Ok(()) };
        let goes_on = text["offset"] == offset || text["offset"] == offset + 1;
        if text["type"] == "gap" || goes_on {
            return Ok(());
        }
        Err(Failure::new(
            Guarantee::G5,
            format_args!("client {client} to go on after {offset}, or to hear of a gap"),
            text,
        ))
    }

    /// What is not said of the places that a client came with: a later token, a filter, or a call puts it in as who is new.
    fn turned(&mut self, turn: &ObservedTurn<'_>) {
        match (turn.input, turn.client) {
            (Input::Message { .. }, Some(client)) => self.places.retain(|(of, _), _| *of != client),
            (Input::Call { command, .. }, _) => {
                for part in commands(command) {
                    let Command::Subscribe { channel, .. } = part else { continue };
                    self.places.retain(|(_, room), _| *room != **channel);
                    if self.has_shards {
                        self.placed.insert(channel.to_string());
                    }
                }
            }
            _ => {}
        }
    }

    /// Checks what a client was answered of each room.
    fn answered(&mut self, client: usize, command: &SentCommand, answer: Result<&Value, u64>) -> Result<(), Failure> {
        let wants = RecoveryRequest::of(client, command);
        let seen: Vec<(RecoveryRequest, Histories)> =
            wants.into_iter().filter_map(|want| Some((want.clone(), self.taken(&want)?))).collect();
        let all = || seen.iter().flat_map(|(_, histories)| histories.iter().flatten());
        // An answer of the history that is no answer tells nothing.
        if all().any(|history| !history["error"].is_null() && history["error"]["code"] != UNRECOVERABLE) {
            return Ok(());
        }
        let most = |(_, histories): &(RecoveryRequest, Histories), size: fn(&Value) -> usize| {
            histories.iter().flatten().map(|history| size(&history["result"]["publications"])).max().unwrap_or_default()
        };
        let count = seen.iter().map(|one| most(one, |all| all.as_array().map_or(0, Vec::len))).sum::<usize>();
        let bytes = seen.iter().map(|one| most(one, |all| all.to_string().len())).sum::<usize>();
        let unseen = if self.has_shards { PUBLISHER } else { 0 };
        let is_small = count <= self.limits.reply_messages / 2 && bytes + count * unseen <= self.limits.reply_bytes / 2;
        for (want, histories) in &seen {
            let is_small = is_small && !self.placed.contains(&want.room);
            match answer {
                Err(UNRECOVERABLE) if is_small && seen.len() == 1 => is_due(want, histories)?,
                Ok(result) => {
                    let place = if command.method == "connect" { &result["subs"][&want.room] } else { result };
                    let is_recoverable = place["recoverable"] == true;
                    match place["recovered"].as_bool().unwrap_or_default() {
                        true => is_right(want, histories, place)?,
                        false if is_recoverable && is_small => is_due(want, histories)?,
                        false => {}
                    }
                }
                Err(_) => {}
            }
        }
        Ok(())
    }
}

/// That nothing was recovered is right where the history did not have all of it at any one time.
fn is_due(want: &RecoveryRequest, histories: &Histories) -> Result<(), Failure> {
    if histories.is_empty() || histories.iter().flatten().any(|history| all_of(history, want).is_none()) {
        return Ok(());
    }
    let expected = format_args!("{want:?} to be recovered");
    Err(Failure::new(Guarantee::G5, expected, format_args!("nothing, of {}", histories[0][0]["result"])))
}

/// Checks that the recovered publications are those of the history, or the first of them.
fn is_right(want: &RecoveryRequest, histories: &Histories, place: &Value) -> Result<(), Failure> {
    let got = place["publications"].as_array().map(Vec::as_slice).unwrap_or_default();
    let agrees = |history: &Value| {
        let had = all_of(history, want).filter(|_| history["result"]["epoch"] == place["epoch"]);
        // A room that has no log is told without an epoch: it may come and go within the turn, with nothing in it.
        let is_nothing = got.is_empty() && history["result"]["epoch"] == "" && want.offset == 0;
        is_nothing || had.is_some_and(|had| got.iter().zip(had).all(|(got, had)| got["data"] == had["data"]))
    };
    let least = |[before, _]: &[Value; 2]| all_of(before, want).map_or(0, <[Value]>::len);
    let least = histories.iter().map(least).min().unwrap_or_default();
    if histories.is_empty() || (histories.iter().flatten().any(agrees) && got.len() >= least) {
        return Ok(());
    }
    let expected = format_args!("for {want:?} what the history had: {}", histories[0][0]["result"]);
    Err(Failure::new(Guarantee::G5, expected, place))
}

impl Checker for Recovery {
    fn name(&self) -> &'static str {
        "recovery"
    }

    fn saw(&mut self, seen: &Observation<'_>) -> Result<(), Failure> {
        match seen.what {
            Observed::Came { client, answer: Ok(_), upgrade } => self.comes_with(client, upgrade),
            Observed::Turn(turn) => self.turned(&turn),
            Observed::Read { client, text, .. } => return self.told(client, text),
            Observed::Asked { client, command } => {
                RecoveryRequest::of(client, command)
                    .into_iter()
                    .for_each(|want| self.histories.entry(want).or_default().0 += 1);
            }
            Observed::Histories { want, before, after } => {
                self.histories.entry(want.clone()).or_default().1.push([before.clone(), after.clone()]);
            }
            Observed::Answered { client, command, answer }
                if ["connect", "subscribe"].contains(&command.method.as_str()) =>
            {
                return self.answered(client, command, answer);
            }
            _ => {}
        }
        Ok(())
    }
}
