//! Every connection that came in ends once, and nothing is said of it afterwards; the figures equal what was told; time
//! goes on; and when the faults have stopped the dead go, what is asked is answered, and of those who have left nothing
//! remains.

use crate::checkers::bounds::parts_of;
use crate::checkers::checker::{Checked, Checker};
use crate::checkers::observation::{Observation, Observed, ObservedTurn};
use crate::guarantees::{Failure, Guarantee, equal};
use crate::world::frames::ReceivedFrame;
use parlor_core::admission::route::Target;
use parlor_core::stats::Gauges;
use parlor_core::{Change, ConnId, Effect, Input, Instant, Now, WebSocketMessage};
use std::collections::{BTreeMap, BTreeSet};

/// Answers that one client waits for.
#[derive(Clone, Copy, Debug, Default)]
struct PendingAnswers {
    /// Tokens of it that were not checked yet.
    tokens: usize,
    /// Its stream is over: nothing more is answered.
    ended: bool,
    /// It has read a Close frame, and its stream was not ended yet.
    read_close: bool,
    /// It is plain, has upgraded and shown a token, and has not read its greeting nor anything else.
    is_ungreeted: bool,
    has_upgraded: bool,
    has_token: bool,
}

impl PendingAnswers {
    /// Whether it is to be greeted, and was not.
    fn awaits_greeting(&self) -> bool {
        self.is_ungreeted && self.has_upgraded && self.has_token && self.tokens == 0 && !self.ended
    }
}

/// The connections, rooms and users that effects have reported.
#[derive(Clone, Debug, Default)]
pub(super) struct Liveness {
    conns: BTreeMap<ConnId, usize>,
    /// Rooms and users, as each shard has told them.
    told: BTreeMap<usize, (usize, usize)>,
    sides: BTreeMap<usize, PendingAnswers>,
    /// What was asked in all, and how many ticks in a row each shard had at which moment.
    asked: u64,
    ticks: BTreeMap<usize, (Instant, u64)>,
}

/// What one tick sees to at least, before it says that it is to be called again at once.
const SEEN_TO: u64 = 100;

fn broken(guarantee: Guarantee, expected: impl std::fmt::Display, saw: impl std::fmt::Display) -> Checked {
    Err(Failure::new(guarantee, expected, saw))
}

/// The connection that an effect is about.
fn conn_of(effect: &Effect) -> Option<ConnId> {
    match effect {
        Effect::Wake(conn) | Effect::ResumeReading(conn) | Effect::Finish(conn) => Some(*conn),
        Effect::Authenticate { conn, .. } | Effect::TokenRefused { conn, .. } | Effect::Closed { conn, .. } => {
            Some(*conn)
        }
        Effect::Reply { .. } | Effect::Event(_) | Effect::Step(_) | Effect::Link { .. } | Effect::Engine(_) => None,
    }
}

impl Liveness {
    fn side(&mut self, client: usize) -> &mut PendingAnswers {
        self.sides.entry(client).or_default()
    }

    fn turned(&mut self, now: Now, turn: &ObservedTurn<'_>) -> Checked {
        turn.effects.iter().try_for_each(|effect| self.note_effect(turn.shard, effect))?;
        self.asked += parts_of(turn.input);
        let side = turn.client.map(|client| self.sides.entry(client).or_default());
        match (turn.input, side) {
            (Input::Upgraded { .. }, Some(side)) => side.has_upgraded = true,
            (Input::Authenticated { .. }, Some(side)) => side.tokens = side.tokens.saturating_sub(1),
            (Input::PeerClosed { .. } | Input::Violation { .. } | Input::Lost { .. }, Some(side)) => side.ended = true,
            (Input::Message { message: WebSocketMessage::Binary(_), .. }, Some(side)) => side.ended = true,
            (Input::Flushed { .. }, Some(side)) if side.read_close => {
                let client = turn.client.unwrap_or_default();
                let expected = format_args!("the stream to client {client} to end with its Close frame");
                return broken(Guarantee::G1, expected, "it goes on");
            }
            (Input::Tick, _) => self.ticked(now.mono, turn)?,
            _ => {}
        }
        let Gauges { connections, rooms, users, .. } = turn.stats.gauges;
        let told = self.told.values().fold((0, 0), |sum, told| (sum.0 + told.0, sum.1 + told.1));
        let counted = (self.conns.len(), told.0, told.1);
        equal(Guarantee::G8, "connections, rooms and users as they were told:", &counted, &(connections, rooms, users))
    }

    /// What is due is seen to, in as many ticks as it may take.
    fn ticked(&mut self, now: Instant, turn: &ObservedTurn<'_>) -> Checked {
        let (at, ticks) = self.ticks.entry(turn.shard).or_insert((now, 0));
        *ticks = if *at == now { *ticks + 1 } else { 1 };
        *at = now;
        match turn.timeout {
            Some(at) if at <= now && *ticks > self.asked / SEEN_TO => {
                broken(Guarantee::G10, format_args!("a deadline after {}", now.0), at.0)
            }
            _ => Ok(()),
        }
    }

    /// Records what is told of a connection, a room or a user.
    fn note_effect(&mut self, shard: usize, effect: &Effect) -> Checked {
        if let Some(conn) = conn_of(effect)
            && !self.conns.contains_key(&conn)
        {
            let is_end = matches!(effect, Effect::Closed { .. });
            let guarantee = if is_end { Guarantee::G7 } else { Guarantee::G1 };
            return broken(guarantee, "nothing of a connection behind its end", format_args!("{effect:?}"));
        }
        let client = conn_of(effect).map(|conn| self.conns[&conn]).unwrap_or_default();
        match effect {
            Effect::Closed { conn, .. } => {
                self.conns.remove(conn);
                self.side(client).read_close = false;
            }
            Effect::Finish(_) => self.side(client).read_close = false,
            Effect::Authenticate { .. } => self.side(client).tokens += 1,
            Effect::Event(event) => {
                let (rooms, users) = self.told.entry(shard).or_default();
                match event.change {
                    Change::Occupied(_) => *rooms += 1,
                    Change::Vacated(_) => *rooms = rooms.saturating_sub(1),
                    Change::Online(_) => *users += 1,
                    Change::Offline(_) => *users = users.saturating_sub(1),
                }
            }
            _ => {}
        }
        Ok(())
    }
}

impl Checker for Liveness {
    fn name(&self) -> &'static str {
        "liveness"
    }

    fn saw(&mut self, Observation { now, what, .. }: &Observation<'_>) -> Checked {
        match *what {
            Observed::Came { client, answer: Ok(conn), upgrade } => {
                self.conns.insert(conn, client);
                let side = match &upgrade.target {
                    Target::Plain(plain) => PendingAnswers {
                        is_ungreeted: plain.greeting,
                        has_token: plain.token.is_some() || upgrade.token.is_some(),
                        ..PendingAnswers::default()
                    },
                    Target::Json { .. } => PendingAnswers::default(),
                };
                self.sides.insert(client, side);
            }
            Observed::Asked { client, command } if command.method == "auth" => self.side(client).has_token = true,
            Observed::Read { client, frame: ReceivedFrame::Text(_), .. } => self.side(client).is_ungreeted = false,
            Observed::Settled { hearing } => {
                let waits = |client: &&usize| self.sides.get(client).is_some_and(PendingAnswers::awaits_greeting);
                if let Some(client) = hearing.iter().find(waits) {
                    return broken(Guarantee::L1, format_args!("client {client} to be greeted"), "nothing");
                }
            }
            Observed::Turn(turn) => return self.turned(*now, &turn),
            Observed::Read { client, frame: ReceivedFrame::Close(_), .. } => {
                let side = self.side(client);
                (side.ended, side.read_close) = (true, true);
            }
            Observed::Unanswered { client, command } if self.side(client).tokens == 0 && !self.side(client).ended => {
                return broken(Guarantee::L1, format_args!("client {client} to be answered {command:?}"), "nothing");
            }
            Observed::Unreturned { command } => {
                return broken(Guarantee::L1, format_args!("{command:?} to be answered"), "nothing");
            }
            Observed::ShardLost { shard, clients } => {
                self.told.remove(&shard);
                self.conns.retain(|_, client| !clients.contains(client));
                clients.iter().for_each(|client| self.side(*client).read_close = false);
            }
            Observed::Outlived { well } => {
                let stay: BTreeSet<usize> =
                    self.conns.values().filter(|client| !well.contains(client)).copied().collect();
                if !stay.is_empty() {
                    let expected = "the dead to be gone in bounded time";
                    return broken(Guarantee::L2, expected, format_args!("clients {stay:?}"));
                }
            }
            Observed::Emptied { gauges, timeout } => {
                equal(Guarantee::L3, "all figures at zero:", &Gauges::default(), gauges)?;
                equal(Guarantee::L3, "nothing to wait for:", &None, &timeout)?;
            }
            _ => {}
        }
        Ok(())
    }
}
