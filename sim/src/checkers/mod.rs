//! Property checkers: each checks one thing that a user could state, over what is seen from outside alone. They know none
//! of core's rules and constants, keep no state of the server, and never ask the reference model.
//!
//! They see [`Observation`]s: connections, inputs with their effects, bytes offered to and taken by sockets,
//! which frames a client read. `dialogue` adds what follows from the client protocol alone: which command a
//! frame answers, and which room a client takes itself to be in.

mod absences;
mod accepted;
mod access;
mod accounts;
mod answers;
mod bounds;
mod calls;
pub mod checker;
mod closes;
mod conduct;
mod counted_rate;
mod dialogue;
mod dismissals;
mod events;
mod figures;
mod identities;
mod liveness;
pub mod names;
pub mod observation;
mod placements;
mod rates;
mod receiver;
mod recovery;
mod replies;
mod retained;
mod revocations;
pub mod sent_command;
mod shown;
mod sights;
mod steps;
mod streams;
pub mod want;
use crate::checkers::checker::Checker;
use crate::checkers::names::NAMES;
use crate::checkers::observation::{Observation, Observed, ObservedTurn};
use crate::checkers::want::RecoveryRequest;
use crate::goals::Goals;
use crate::guarantees::{Failure, Guarantees};
use crate::subjects::subject::TurnReport;
use crate::world::setup::{CheckedBy, Setup};
use absences::EarlyLeaves;
use access::Access;
use accounts::Accounts;
use answers::Answers;
use bounds::Bounds;
use closes::Closes;
use dialogue::Dialogue;
use events::Events;
use liveness::Liveness;
use parlor_core::api::Command;
use parlor_core::{CallId, ConnId, Effect, Input, Instant, Now};
use recovery::Recovery;
use replies::Replies;
use revocations::RevokedTokens;
use serde_json::Value;
use sights::Sights;
use std::collections::BTreeMap;
use streams::Streams;

/// All checkers of one world.
#[derive(Clone, Debug)]
pub struct Checkers {
    checked_by: CheckedBy,
    overlooked: Guarantees,
    /// Those that have noticed something, where that ends nothing.
    noticed: Vec<&'static str>,
    /// The time of what comes next.
    now: Now,
    /// The latest time that something was seen at.
    clock: Instant,
    clients: BTreeMap<ConnId, usize>,
    /// Whether there are several shards, which answer later.
    has_shards: bool,
    /// Calls that are not answered, each with the shard that has it.
    calls: BTreeMap<u64, (usize, Command)>,
    dialogue: Dialogue,
    sights: Sights,
    streams: Streams,
    recovery: Recovery,
    closes: Closes,
    access: Access,
    answers: Answers,
    bounds: Bounds,
    events: Events,
    accounts: Accounts,
    absences: EarlyLeaves,
    replies: Replies,
    revocations: RevokedTokens,
    liveness: Liveness,
}

impl Checkers {
    /// Those of a world in which nothing has happened. `by_driver`: sockets are offered what waits without being seen to.
    #[must_use]
    pub fn new(setup: &Setup, by_driver: bool) -> Self {
        let config = setup.config();
        Self {
            checked_by: setup.checked_by,
            overlooked: setup.overlooked,
            noticed: Vec::new(),
            now: Now::default(),
            clock: Instant(0),
            clients: BTreeMap::new(),
            has_shards: setup.shards > 1,
            calls: BTreeMap::new(),
            dialogue: Dialogue::default(),
            sights: Sights::default(),
            streams: Streams::new(setup),
            recovery: Recovery::new(&config.limits, setup.shards > 1),
            closes: Closes::new(&config, setup.slow_links == 1, by_driver),
            access: Access::new(setup),
            answers: Answers::new(setup),
            bounds: Bounds::new(&config.limits, setup.shards),
            events: Events::default(),
            accounts: Accounts::new(setup),
            absences: EarlyLeaves::new(setup),
            replies: Replies::default(),
            revocations: RevokedTokens::new(&config.limits),
            liveness: Liveness::default(),
        }
    }

    /// Those that have noticed something, where that ends nothing.
    #[must_use]
    pub fn noticed(&self) -> &[&'static str] {
        &self.noticed
    }

    /// The goals that clients and backends have seen reached.
    #[must_use]
    pub fn goals(&self) -> Goals {
        self.sights.goals
    }

    /// Recoveries that the client of this input may get: those that it asks for now, and those that it waits for.
    #[must_use]
    pub fn wants(&self, input: &Input) -> Vec<RecoveryRequest> {
        let Some(client) = input.conn().and_then(|conn| self.clients.get(&conn).copied()) else { return Vec::new() };
        let text = if let Input::Message { message, .. } = input { message.text() } else { None };
        self.dialogue.wants(client, text.unwrap_or_default())
    }

    /// Recoveries that any client may get: those that all wait for, and those that this input asks for.
    #[must_use]
    pub fn all_wants(&self, input: Option<&Input>) -> Vec<RecoveryRequest> {
        let mut wants: Vec<RecoveryRequest> =
            self.clients.values().flat_map(|client| self.dialogue.wants(*client, "")).collect();
        wants.extend(input.map(|input| self.wants(input)).unwrap_or_default());
        wants.sort_unstable();
        wants.dedup();
        wants
    }

    /// Takes in the time of what comes next.
    pub fn time(&mut self, now: Now) {
        self.now = now;
    }

    /// Takes in that something has happened now, whatever else is seen of it.
    pub fn happened(&mut self) {
        self.clock = self.clock.max(self.now.mono);
    }

    /// Takes in that a shard was lost.
    ///
    /// # Errors
    /// As [`Self::saw`].
    pub fn shard_lost(&mut self, shard: usize, clients: &[usize]) -> Result<(), Failure> {
        self.clients.retain(|_, client| !clients.contains(client));
        self.calls.retain(|_, (of, _)| *of != shard);
        self.saw(Observed::ShardLost { shard, clients })
    }

    /// Takes in a turn.
    ///
    /// # Errors
    /// As [`Self::saw`].
    pub fn turned(&mut self, input: &Input, turn: &TurnReport, answers: &[(CallId, String)]) -> Result<(), Failure> {
        let TurnReport { shard, effects, stats, timeout, .. } = turn;
        if let Input::Call { call, command } = input {
            self.calls.insert(call.0, (*shard, command.clone()));
        }
        let client_of = |effect: &Effect| match effect {
            Effect::Closed { conn, .. } | Effect::Authenticate { conn, .. } => self.clients.get(conn).copied(),
            _ => None,
        };
        let client_effects: Vec<(usize, &Effect)> =
            effects.iter().filter_map(|effect| Some((client_of(effect)?, effect))).collect();
        let client = input.conn().and_then(|conn| self.clients.get(&conn).copied());
        let judged = self.saw(Observed::Turn(ObservedTurn {
            input,
            client,
            client_effects: &client_effects,
            effects,
            shard: *shard,
            stats,
            timeout: *timeout,
        }));
        let judged = judged.and_then(|()| self.returned(answers));
        for effect in effects {
            if let Effect::Closed { conn, .. } = effect {
                self.clients.remove(conn);
            }
        }
        judged
    }

    /// Takes in answers to calls.
    fn returned(&mut self, answers: &[(CallId, String)]) -> Result<(), Failure> {
        for (call, body) in answers {
            // A driver gives calls numbers of its own.
            let known = self.calls.remove(&call.0).or_else(|| self.calls.pop_first().map(|(_, command)| command));
            let Some((_, command)) = known else { continue };
            let answer: Value = serde_json::from_str(body).unwrap_or_default();
            self.saw(Observed::Returned { command: &command, answer: &answer })?;
        }
        if self.has_shards { Ok(()) } else { self.demand_answers() }
    }

    fn demand_answers(&mut self) -> Result<(), Failure> {
        std::mem::take(&mut self.calls).values().try_for_each(|(_, command)| self.saw(Observed::Unreturned { command }))
    }

    /// Takes in what was seen.
    ///
    /// # Errors
    /// A property that does not hold, with the name of its checker.
    pub fn saw(&mut self, what: Observed<'_>) -> Result<(), Failure> {
        self.happened();
        if let Observed::Came { client, answer: Ok(conn), .. } = what {
            self.clients.insert(conn, client);
        }
        if let Observed::Healed { .. } = what {
            self.demand_answers()?;
        }
        let Self {
            checked_by,
            overlooked,
            noticed,
            now,
            clock,
            dialogue,
            sights,
            streams,
            recovery,
            closes,
            access,
            answers,
            bounds,
            events,
            accounts,
            absences,
            replies,
            revocations,
            liveness,
            ..
        } = self;
        let mut tell = |what: Observed<'_>| {
            let seen = Observation { now: *now, clock: Now { mono: *clock, ..*now }, what };
            sights.saw(&seen);
            let all: [&mut dyn Checker; NAMES.len()] = [
                streams,
                recovery,
                closes,
                access,
                answers,
                bounds,
                events,
                accounts,
                absences,
                replies,
                revocations,
                liveness,
            ];
            for checker in all {
                let name = checker.name();
                if !checked_by.has(name) || noticed.contains(&name) {
                    continue;
                }
                match checker.saw(&seen) {
                    Err(failure) if overlooked.has(failure.guarantee) => {}
                    Err(_) if *checked_by == CheckedBy::Each => noticed.push(name),
                    judged => judged.map_err(|failure| failure.found_by(name))?,
                }
            }
            Ok(())
        };
        dialogue.follow(what, &mut tell)
    }
}
