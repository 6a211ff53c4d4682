//! State is bounded by limits and connections, the work of one input by its size and by what comes out of it, and
//! who stays under half of a rate is never refused for it. Who is above a rate is refused, and so is who would be one
//! connection too many, but nobody else.

use super::rates::RequestRates;
use crate::checkers::checker::{Checked, Checker};
use crate::checkers::observation::{Observation, Observed, ObservedTurn};
use crate::guarantees::{Failure, Guarantee};
use crate::world::frames::ReceivedFrame;
use parlor_core::api::Command;
use parlor_core::{Address, ConnId, Effect, Input, Limit, Limits, Refused, Upgrade, WebSocketMessage};
use std::collections::BTreeMap;
use std::fmt::Display;

/// Too many requests.
const TOO_MANY: u64 = 111;
/// The Close code for the same.
const RATE: u16 = 3013;
/// Frames that may wait behind a full outbox: a Close, and what a client's own Close or Ping is answered with.
const LAST: u64 = 2;
/// And the bytes of those.
const LAST_BYTES: u64 = LAST * 127;
/// Effects and frames of an input that come of nothing but that there is a connection.
const EACH: u64 = 8;

/// Loads that were seen: state, queues and rates.
#[derive(Clone, Debug)]
pub(super) struct Bounds {
    limits: Limits,
    rates: RequestRates,
    /// Each shard has the limits for itself.
    shards: u64,
    /// The parts of the largest input so far: what another shard answers may let all of them go on.
    most_parts: u64,
    /// Calls that are not answered: a shard that is lost answers none of its own.
    calls: u64,
    /// Connections and rooms before this turn, and the number of frames queued until then.
    conns: u64,
    queued: u64,
    /// The node keeps too much of what is unfinished, or did.
    is_full: bool,
    /// The addresses of the clients that are there.
    addresses: BTreeMap<usize, Option<Address>>,
    /// Frames and bytes that each socket was offered last and did not take.
    left: BTreeMap<usize, (u64, u64)>,
}

fn broken(expected: impl Display, saw: impl Display) -> Checked {
    Err(Failure::new(Guarantee::G6, expected, saw))
}

fn at_most(most: u64, what: &str, saw: u64) -> Checked {
    if saw <= most { Ok(()) } else { broken(format_args!("at most {most} {what}"), saw) }
}

impl Bounds {
    pub(super) fn new(limits: &Limits, shards: u64) -> Self {
        let (limits, rates) = (limits.clone(), RequestRates::new(limits, shards == 1));
        Self {
            shards,
            most_parts: 1,
            calls: 0,
            limits,
            rates,
            conns: 0,
            queued: 0,
            is_full: false,
            addresses: BTreeMap::new(),
            left: BTreeMap::new(),
        }
    }

    /// For a socket that did not take all that it was offered no more is kept than fits, or than what it has left.
    fn offered(&mut self, client: usize, waiting: usize, frames: usize, taken: usize) -> Checked {
        let before = self.left.remove(&client);
        if taken < waiting {
            self.left.insert(client, (frames as u64, (waiting - taken) as u64));
        }
        let Some((left, left_bytes)) = before else { return Ok(()) };
        let (most, bytes) =
            (self.limits.outbox_frames as u64, (self.limits.outbox_bytes + self.limits.frame_bytes) as u64);
        at_most(most.max(left) + LAST, "frames to wait for a socket that refuses", frames as u64)?;
        at_most(bytes.max(left_bytes + LAST_BYTES), "bytes to wait for a socket that refuses", waiting as u64)
    }

    /// A connection that is one too many is refused, and no other for that.
    fn came(&mut self, client: usize, upgrade: &Upgrade, answer: Result<ConnId, Refused>) -> Checked {
        let address = upgrade.address.map(Address::from);
        let all = self.addresses.len();
        let near = self.addresses.values().filter(|other| **other == address).count();
        let each = self.limits.connections_per_ip.filter(|_| address.is_some() && self.shards == 1);
        match answer {
            Ok(_) => {
                self.addresses.insert(client, address);
                let each = each.map_or(u64::MAX, |each| each.get() as u64);
                at_most(each, "connections of an address", near as u64 + 1)
            }
            Err(Refused::Limit(Limit::Connections)) if self.shards == 1 && all < self.limits.connections => {
                broken("one connection more, since there are fewer than may be", format_args!("{answer:?} of {all}"))
            }
            Err(Refused::Limit(Limit::ConnectionsPerIp)) if each.is_some_and(|each| near < each.get()) => {
                broken("one connection more of an address", format_args!("{answer:?} of {near}"))
            }
            _ => Ok(()),
        }
    }

    fn turned(&mut self, turn: &ObservedTurn<'_>) -> Checked {
        for (client, effect) in turn.client_effects {
            if let Effect::Closed { .. } = effect {
                self.addresses.remove(client);
            }
        }
        let (limits, gauges, totals) = (&self.limits, &turn.stats.gauges, &turn.stats.totals);
        let (now, parts) = (gauges.connections as u64, parts_of(turn.input));
        self.most_parts = self.most_parts.max(parts);
        let answers = turn.effects.iter().filter(|effect| matches!(effect, Effect::Reply { .. })).count() as u64;
        self.calls = (self.calls + u64::from(matches!(turn.input, Input::Call { .. }))).saturating_sub(answers);
        let parts = match turn.input {
            Input::ShardLost { .. } | Input::Tick => self.most_parts.max(self.calls + answers),
            _ if self.shards > 1 => self.most_parts,
            _ => parts,
        };
        let conns = now.max(std::mem::replace(&mut self.conns, now));
        self.is_full |= totals.limits.contains_key(&Limit::InboundBytesTotal);
        // One who comes to a room, or goes, is told to each of its members, and may do so in every room; and it gets what a
        // room retains, each message as a frame of its own in plain.
        let rooms = 1 + limits.rooms_per_connection as u64;
        let queued = totals.frames_queued.saturating_sub(std::mem::replace(&mut self.queued, totals.frames_queued));
        let most = ((EACH + 2 * parts) * (1 + conns)).saturating_add(limits.history_messages as u64);
        at_most(most.saturating_mul(rooms), "frames queued for one input", queued)?;
        at_most(EACH * (1 + conns) + 2 * queued + 2 * parts, "effects of one input", turn.effects.len() as u64)?;
        at_most(self.shards * limits.history_bytes as u64, "bytes of history", gauges.history_bytes as u64)?;
        at_most(self.shards * limits.logs as u64, "logs", gauges.logs as u64)?;
        at_most(self.shards * limits.connections as u64, "connections", gauges.connections as u64)?;
        // One that takes what it is offered is given all that an input brings it; every other is given no more than fits.
        let brought = parts * rooms * limits.frame_bytes as u64;
        at_most(conns * (limits.outbox_bytes as u64 + brought), "bytes to wait", gauges.outbox_bytes as u64)
    }
}

/// How many things an input asks for.
pub(super) fn parts_of(input: &Input) -> u64 {
    match input {
        Input::Message { message: WebSocketMessage::Text(text), .. } => text.lines().count() as u64,
        Input::Call { command, .. } => parts_of_call(command),
        _ => 1,
    }
}

fn parts_of_call(command: &Command) -> u64 {
    match command {
        Command::Batch(parts) => parts.iter().map(|(_, part)| part.as_ref().map_or(1, parts_of_call)).sum::<u64>() + 1,
        Command::Broadcast { channels, .. } => channels.len() as u64,
        _ => 1,
    }
}

impl Checker for Bounds {
    fn name(&self) -> &'static str {
        "bounds"
    }

    fn saw(&mut self, Observation { clock: now, what, .. }: &Observation<'_>) -> Checked {
        match *what {
            Observed::Came { client, upgrade, answer } => {
                if answer.is_ok() {
                    self.left.remove(&client);
                }
                if !self.rates.came(*now, client, upgrade, answer) {
                    let expected = "who stays under half of a rate not to be refused for it, and who is above it to be";
                    return broken(expected, format_args!("{answer:?}"));
                }
                return self.came(client, upgrade, answer);
            }
            Observed::Answered { client, answer: Ok(_), .. } if !self.rates.answered(*now, client) => {
                return broken(
                    "who asks for more than its rate to be refused some of it",
                    format_args!("client {client}"),
                );
            }
            Observed::Healed { well } => {
                if let Some(client) = well.iter().find(|client| self.rates.is_over(**client)) {
                    let expected = "who sends more frames than it may to be closed";
                    return broken(expected, format_args!("client {client} is there"));
                }
            }
            Observed::Asked { client, command } => self.rates.asked(client, command),
            Observed::Offered { client, waiting, frames, taken } => {
                return self.offered(client, waiting, frames, taken);
            }
            Observed::Answered { client, answer: Err(TOO_MANY), command } if self.rates.is_modest(client) => {
                return broken("who asks for half of a burst not to be refused for it", format_args!("{command:?}"));
            }
            // The code says as well that the node keeps too much of what is unfinished, which has no rate.
            Observed::Read { client, frame: ReceivedFrame::Close(Some(RATE)), .. }
                if self.rates.is_modest(client) && !self.is_full =>
            {
                return broken("who asks for half of a burst not to be closed for it", RATE);
            }
            Observed::ShardLost { clients, .. } => {
                self.left.retain(|client, _| !clients.contains(client));
                self.addresses.retain(|client, _| !clients.contains(client));
            }
            Observed::Turn(turn) => {
                if let (Some(client), true) = (turn.client, is_frame(turn.input)) {
                    self.rates.framed(*now, client);
                } else if let (Some(client), Input::Upgraded { .. }) = (turn.client, turn.input) {
                    self.rates.upgraded(client);
                }
                return self.turned(&turn);
            }
            _ => {}
        }
        Ok(())
    }
}

fn is_frame(input: &Input) -> bool {
    matches!(input, Input::Message { .. } | Input::Ping { .. } | Input::Pong { .. } | Input::Fragment { .. })
}
