//! The reference model: all that it holds to be so.

use super::connection::{ExpectedConnection, ExpectedPhase};
use super::keys::RememberedKeys;
use super::log::ExpectedLog;
use super::turn::ExpectedTurn;
use crate::guarantees::{Failure, Guarantees};
use crate::world::names::{prefix, room_name, user_name};
use crate::world::rules::Rules;
use crate::world::setup::Setup;
use parlor_core::Config;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// The judge.
#[derive(Clone, Debug)]
pub struct ReferenceModel {
    pub(super) config: Arc<Config>,
    /// The rules of each room.
    pub(super) rules: Arc<[Rules]>,
    /// Names of the rooms that clients may name, then of the users' personal ones.
    pub(super) names: Arc<[Arc<str>]>,
    pub(super) users: usize,
    /// Nanoseconds; it does not go back.
    pub(super) clock: u64,
    pub(super) unix_ms: u64,
    pub(super) conns: Vec<Option<ExpectedConnection>>,
    /// The members of each room, each with whether it has asked for the room itself.
    pub(super) rooms: Vec<Vec<(usize, bool)>>,
    pub(super) keys: RememberedKeys,
    pub(super) logs: Vec<Option<ExpectedLog>>,
    /// The epoch that each room's log had while nothing was numbered in it: it takes no memory, so the next one may have it.
    pub(super) quiet: Vec<Option<Arc<str>>>,
    /// The epoch of each room's log after this turn, which the subject chooses.
    pub(super) chosen: Vec<Option<Arc<str>>>,
    /// Every epoch there ever was.
    pub(super) epochs: Vec<Arc<str>>,
    /// Every slot's generations so far.
    pub(super) generations: BTreeMap<usize, u32>,
    pub(super) shutting_down: bool,
    pub(super) turn: ExpectedTurn,
    pub(super) overlooked: Guarantees,
    pub(super) has_given_up: bool,
}

impl ReferenceModel {
    /// A model of a world without connections.
    #[must_use]
    pub fn new(setup: &Setup) -> Self {
        let count = |number: u64| usize::try_from(number).expect("a small number");
        let (conns, rooms, users) = (count(setup.conns), count(setup.rooms), count(setup.users));
        let own = (0..users).map(|user| format!("#{}", user_name(user)));
        let names: Vec<Arc<str>> = (0..rooms).map(room_name).chain(own).map(Arc::from).collect();
        Self {
            config: Arc::new(setup.config()),
            rules: names.iter().map(|name| setup.rules(prefix(name))).collect(),
            rooms: vec![Vec::new(); names.len()],
            keys: RememberedKeys::default(),
            logs: vec![None; names.len()],
            quiet: vec![None; names.len()],
            chosen: vec![None; names.len()],
            names: names.into(),
            users,
            clock: 0,
            unix_ms: 0,
            conns: vec![None; conns],
            epochs: Vec::new(),
            generations: BTreeMap::new(),
            shutting_down: false,
            turn: ExpectedTurn::default(),
            overlooked: setup.overlooked,
            has_given_up: false,
        }
    }

    /// Whether something has come up that it does not foresee: it has nothing to say any more.
    #[must_use]
    pub fn has_given_up(&self) -> bool {
        self.has_given_up
    }

    pub(super) fn give_up(&mut self) {
        self.has_given_up = true;
    }

    /// Passes a failure on, unless its guarantee is to be overlooked.
    ///
    /// # Errors
    /// The failure, where it is none of them that it breaks.
    pub(super) fn heed(&self, result: Result<(), Failure>) -> Result<(), Failure> {
        result.or_else(|failure| if self.overlooked.has(failure.guarantee) { Ok(()) } else { Err(failure) })
    }

    /// Sets the time of the input that comes next.
    pub fn time(&mut self, mono: u64, unix_ms: u64) {
        self.clock = self.clock.max(mono);
        self.unix_ms = unix_ms;
    }

    /// Whether this client is not listened to: it is to read first.
    pub(super) fn is_paused(&self, client: usize) -> bool {
        let is_paused = |conn: &ExpectedConnection| conn.is_open() && !conn.waiting.is_empty() && !conn.asked;
        self.was_high(client) || self.conns[client].as_ref().is_some_and(is_paused)
    }

    /// Whether so much waited for this client after the last turn that nothing more was done for it.
    pub(super) fn was_high(&self, client: usize) -> bool {
        let most = (self.config.limits.outbox_frames / 4).max(1);
        self.conns[client].as_ref().is_some_and(|conn| conn.is_open() && conn.waited > most)
    }

    pub(super) fn is_open(&self, client: usize) -> bool {
        self.conns[client].as_ref().is_some_and(|conn| conn.phase == ExpectedPhase::Open)
    }

    pub(super) fn is_ready(&self, client: usize) -> bool {
        self.conns[client].as_ref().is_some_and(|conn| conn.ready)
    }

    pub(super) fn is_in(&self, client: usize, room: usize) -> bool {
        self.rooms[room].iter().any(|(member, _)| *member == client)
    }
}

/// Durations as the model counts them.
pub(super) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).expect("a duration of less than centuries")
}
