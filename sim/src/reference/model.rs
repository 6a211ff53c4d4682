//! The reference model: all that it holds to be so, and what others may ask of it.

use super::alternatives::Alternatives;
use super::bucket::{AddressRate, Bucket};
use super::connection::{ExpectedConnection, ExpectedPhase};
use super::keys::RememberedKeys;
use super::log::{EmptyLog, ExpectedLog, RoomPast};
use super::membership::{ExpectedAbsence, ExpectedMembership};
use super::selection::ConnectionSelection;
use super::turn::{ExpectedTotals, ExpectedTurn, SubjectChoices};
use crate::goals::Goals;
use crate::guarantees::{Failure, Guarantee, Guarantees};
use crate::world::names::{prefix, room_name, user_name};
use crate::world::rules::Rules;
use crate::world::setup::{CheckedBy, Setup};
use parlor_core::Config;
use std::collections::BTreeMap;
use std::sync::Arc;

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
    pub(crate) clock: u64,
    pub(super) unix_ms: u64,
    pub(crate) conns: Vec<Option<ExpectedConnection>>,
    /// The members of each room.
    pub(crate) rooms: Vec<Vec<usize>>,
    /// The membership of each client in each of its rooms.
    pub(crate) memberships: BTreeMap<(usize, usize), ExpectedMembership>,
    pub(crate) absences: Vec<ExpectedAbsence>,
    pub(super) keys: RememberedKeys,
    pub(super) arrivals: Bucket,
    /// The same for each address.
    pub(super) addresses: [AddressRate; 2],
    /// How many turns there were.
    pub(super) turns: u64,
    /// Counts the times at which logs began, lost their last member, or became fuller or emptier.
    pub(super) stamps: u64,
    pub(crate) logs: Vec<Option<ExpectedLog>>,
    pub(super) quiet: Vec<EmptyLog>,
    /// Every epoch there ever was.
    pub(super) epochs: Vec<Arc<str>>,
    /// Every slot's generations so far.
    pub(super) generations: BTreeMap<usize, u32>,
    pub(super) past: Vec<RoomPast>,
    pub(crate) shutting_down: bool,
    pub(super) counted: ExpectedTotals,
    pub(super) goals: Goals,
    pub(super) turn: ExpectedTurn,
    /// Which connections the call at hand means.
    pub(super) meant: ConnectionSelection,
    pub(super) choices: SubjectChoices,
    pub(super) alternatives: Alternatives,
    pub(super) overlooked: Guarantees,
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
            memberships: BTreeMap::new(),
            absences: Vec::new(),
            keys: RememberedKeys::default(),
            arrivals: Bucket::default(),
            addresses: Default::default(),
            turns: 0,
            stamps: 0,
            logs: vec![None; names.len()],
            quiet: vec![EmptyLog::default(); names.len()],
            past: vec![RoomPast::default(); names.len()],
            names: names.into(),
            users,
            clock: 0,
            unix_ms: 0,
            conns: vec![None; conns],
            epochs: Vec::new(),
            generations: BTreeMap::new(),
            shutting_down: false,
            counted: ExpectedTotals::default(),
            goals: Goals::default(),
            turn: ExpectedTurn::default(),
            meant: ConnectionSelection::All,
            choices: SubjectChoices::default(),
            alternatives: Alternatives::default(),
            overlooked: if setup.checked_by != CheckedBy::All {
                Guarantees::of(Guarantee::ALL)
            } else {
                setup.overlooked
            },
        }
    }

    /// Passes a failure on, unless its guarantee is to be overlooked.
    ///
    /// # Errors
    /// The failure, where it is none of them that it breaks.
    pub fn heed(&self, result: Result<(), Failure>) -> Result<(), Failure> {
        result.or_else(|failure| if self.overlooked.has(failure.guarantee) { Ok(()) } else { Err(failure) })
    }

    /// Sets the time of the input that comes next.
    pub fn time(&mut self, mono: u64, unix_ms: u64) {
        if mono < self.clock {
            self.counted.backsteps += 1;
        }
        self.clock = self.clock.max(mono);
        self.unix_ms = unix_ms;
    }

    /// Whether this client's connection is open and has not said who it is.
    #[must_use]
    pub fn is_waited_for(&self, client: usize) -> bool {
        self.conns[client].as_ref().is_some_and(|conn| conn.is_open() && !conn.ready && !conn.asked)
    }

    /// Whether this client's connection is closing, or has ended.
    #[must_use]
    pub fn is_closing(&self, client: usize) -> bool {
        self.conns[client].as_ref().is_none_or(|conn| matches!(conn.phase, ExpectedPhase::Closing { .. }))
    }

    /// Whether this client is not listened to: it is to read first.
    #[must_use]
    pub fn is_paused(&self, client: usize) -> bool {
        let is_paused = |conn: &ExpectedConnection| conn.is_open() && !conn.waiting.is_empty() && !conn.asked;
        self.was_high(client) || self.conns[client].as_ref().is_some_and(is_paused)
    }

    /// Whether so much waited for this client after the last turn that nothing more was done for it.
    pub(super) fn was_high(&self, client: usize) -> bool {
        let limits = &self.config.limits;
        let is_high = |conn: &ExpectedConnection| {
            conn.waited > (limits.outbox_frames / 4).max(1) || conn.bytes > limits.outbox_bytes / 4
        };
        self.conns[client].as_ref().is_some_and(|conn| conn.is_open() && is_high(conn))
    }

    /// Whether this client's socket has not been offered what waits, which is as much as one that refuses may be left with.
    #[must_use]
    pub fn is_to_be_offered(&self, client: usize) -> bool {
        let is_much = |conn: &ExpectedConnection| !conn.refused && conn.frames() >= self.config.limits.outbox_frames;
        self.conns[client].as_ref().is_some_and(is_much)
    }

    /// Whether the last `connect` of this client was answered with an error, and no other has come.
    #[must_use]
    pub fn was_turned_down(&self, client: usize) -> bool {
        self.conns[client].as_ref().is_some_and(|conn| conn.is_open() && conn.turned_down)
    }

    /// Whether there is a frame that this client must get next.
    #[must_use]
    pub fn waits(&self, client: usize) -> bool {
        self.conns[client].as_ref().is_some_and(|conn| !conn.is_idle())
    }

    /// Whether this client is sent whatever there is for it: it is open, and filters by no events.
    pub(crate) fn hears_all(&self, client: usize) -> bool {
        self.conns[client].as_ref().is_some_and(|conn| conn.is_open() && conn.filter.is_empty())
    }

    /// Whether this client's connection speaks json.
    pub(crate) fn is_json(&self, client: usize) -> bool {
        self.conns[client].as_ref().is_some_and(|conn| conn.entry.json)
    }

    /// Whether this client's connection has said who it is, or is about to.
    pub(crate) fn is_known(&self, client: usize) -> bool {
        self.conns[client].as_ref().is_some_and(|conn| conn.user.is_some() || conn.asked)
    }

    /// Where a room's log is: its epoch, if that is known, and its top.
    #[must_use]
    pub fn place_of(&self, room: usize) -> (Option<Arc<str>>, u64) {
        self.logs[room].as_ref().map_or_else(|| (self.quiet_epoch(room), 0), |log| (log.epoch.clone(), log.top))
    }

    /// The rooms that have no log, where it is known which epoch it would have.
    pub(crate) fn quiet_rooms(&self) -> impl Iterator<Item = u8> {
        let is_known = |room: &usize| self.logs[*room].is_none() && self.quiet_epoch(*room).is_some();
        (0..self.logs.len()).filter(is_known).map(|room| u8::try_from(room).expect("a few rooms"))
    }

    /// The name of the room that has no log, and would have one of this epoch.
    pub(crate) fn quiet_room(&self, epoch: &str) -> Option<&str> {
        let is_it = |room: &usize| self.logs[*room].is_none() && self.quiet_epoch(*room).as_deref() == Some(epoch);
        (0..self.logs.len()).find(is_it).map(|room| &*self.names[room])
    }

    /// The idempotency keys that are remembered, each with its room and its end.
    pub(crate) fn known_keys(&self) -> impl Iterator<Item = (u8, u8, u64)> {
        self.keys.known()
    }

    /// The goals reached so far.
    #[must_use]
    pub fn goals(&self) -> Goals {
        self.goals
    }

    /// One word for where a client's connection is, with what matters there.
    #[must_use]
    pub fn describe(&self, client: usize) -> String {
        let Some(conn) = &self.conns[client] else { return "-".into() };
        let phase = match &conn.phase {
            ExpectedPhase::Handshaking => "handshaking".into(),
            ExpectedPhase::Open if conn.asked => "asked".into(),
            ExpectedPhase::Open if conn.ready => "ready".into(),
            ExpectedPhase::Open => "open".into(),
            ExpectedPhase::Closing { cause, code, .. } => format!("closing {code} for {cause:?}"),
        };
        let rooms: Vec<&str> = (0..self.rooms.len())
            .filter(|room| self.rooms[*room].contains(&client))
            .map(|room| &*self.names[room])
            .collect();
        let half = if conn.half { "½" } else { "" };
        format!("{phase} [{}] out {}{half}", rooms.join(" "), conn.frames())
    }
}
