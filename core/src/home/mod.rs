//! The home: the one place on a node that orders each room, with its log, its members and its presence. Where the node has an
//! engine, that orders them, and the home has copies ([`replica`]).

mod absences;
mod adjust;
mod audit;
mod authority;
mod charges;
mod epochs;
mod errands;
mod explain;
mod fullness;
mod hubs;
mod idempotency;
mod idle;
mod log;
mod members;
mod membership;
mod outgoing;
mod replica;
mod user_limit;

pub(crate) use log::{Log, LogMemory};
pub(crate) use outgoing::Outgoing;

use crate::config::Config;
use crate::ids::index;
use crate::limits::WidestBounds;
use crate::link::{HomeEvent, HomeRequest, Ticket, UserCommand};
use crate::map::{Keys, Map};
use crate::names::RoomName;
use crate::node::{Node, ShardId};
use crate::snapshot::KeyView;
use crate::stored::places;
use crate::tallies::{Evictions, Recoveries};
use crate::time::{Deadline, Instant};
use crate::timers::Timers;
use absences::Absences;
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use charges::Charges;
use core::ops::Range;
use epochs::Epochs;
use errands::Errands;
use fullness::Fullness;
use idempotency::Idempotency;
use idle::Idle;
use members::{Joining, LostMember, Member};
use replica::{LINGER, Replica};
use slab::Slab;

/// The logs and the members of all rooms.
///
/// The home holds a log while its room has a member, and after that for `log_memory` when it has numbered a
/// publication. `logs` bounds the occupied rooms and the numbered logs separately, so joining a room never evicts the
/// log of another.
#[derive(Clone, Debug, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub(crate) struct Home {
    #[serde(with = "crate::map::in_order")]
    by_name: Map<RoomName, u32>,
    #[serde(with = "crate::stored::places")]
    logs: Slab<Log>,
    timers: Timers<u32>,
    /// The logs without members, in the order in which they are evicted above `logs`.
    idle: Idle,
    /// The logs by retained bytes, to find the one to trim above `history_bytes`.
    fullness: Fullness,
    charges: Charges,
    /// The number of uses of all logs: publications and losses of the last member.
    touches: u64,
    /// The number of logs that have numbered a publication.
    numbered: usize,
    /// The number of rooms that have a member.
    with_members: usize,
    /// The number of users that have a connection: personal rooms that have a member.
    users: usize,
    absences: Absences,
    epochs: Epochs,
    idempotency: Idempotency,
    /// The number of publications.
    published: u64,
    recoveries: Recoveries,
    evictions: Evictions,
    keys: Keys,
    errands: Errands,
    /// Members of hubs that were lost, which have not left yet.
    lost: VecDeque<LostMember>,
    /// The first log that may not be within the configuration yet, and the end of those; `None` once all are.
    unadjusted: Option<Range<usize>>,
    bounds: WidestBounds,
    /// The engine that orders the rooms; `None` where this home does. Neither is in a written state.
    #[serde(skip)]
    pub replica: Option<Box<Replica>>,
    /// The node, whose hubs carry out commands for users.
    pub node: Node,
    pub outgoing: Outgoing,
}

/// Whether a room has members that count.
fn is_occupied(log: &Log) -> bool {
    !log.members.is_empty() && !log.name.is_of_canary()
}

impl Home {
    /// Creates a home without rooms. `keys` are for hash tables, `epoch_keys` for the epochs of logs.
    pub fn new(keys: Keys, epoch_keys: Keys) -> Self {
        Self {
            by_name: Map::with_hasher(keys),
            logs: Slab::new(),
            timers: Timers::default(),
            idle: Idle::default(),
            fullness: Fullness::default(),
            charges: Charges::new(keys),
            touches: 0,
            numbered: 0,
            with_members: 0,
            users: 0,
            absences: Absences::new(keys),
            epochs: Epochs::new(epoch_keys),
            idempotency: Idempotency::new(keys),
            published: 0,
            recoveries: Recoveries::default(),
            evictions: Evictions::default(),
            keys,
            errands: Errands::default(),
            lost: VecDeque::new(),
            unadjusted: None,
            bounds: WidestBounds::default(),
            replica: None,
            node: Node::SINGLE,
            outgoing: Outgoing::new(ShardId::FIRST),
        }
    }

    /// Puts the vacant places of all tables in the order in which tables that are read have them.
    pub fn settle_places(&mut self) {
        places::put_in_order(&mut self.logs);
        self.errands.settle_places();
    }

    /// Handles one request of a hub and appends its answers to [`Home::outgoing`].
    pub fn handle(&mut self, now: Instant, hub: ShardId, request: HomeRequest, config: &Config) {
        match request {
            HomeRequest::Join { ticket, conn, join, room, member, replay, is_return } => {
                let member = Member::new(member, hub, join, is_return);
                let joining = Joining { conn, ticket, member, room, replay };
                if self.follows(&joining.room) {
                    self.join_followed(now, joining, config);
                } else if let Err(error) = self.join(now, joining, config) {
                    self.outgoing.tell(hub, HomeEvent::JoinRefused { ticket, error });
                }
            }
            HomeRequest::Leave { room, client, join, reason } => {
                if let Some(left) = self.leave(now, &room, hub, client, join, config) {
                    self.begin_absence_or_tell(now, &room, left, reason, config);
                }
            }
            HomeRequest::Rename { room, join, member } => self.rename(&room, (hub, join), member),
            HomeRequest::Publish { ticket, room, draft, idempotency_key } if self.follows(&room) => {
                self.append(hub, ticket, room, draft, idempotency_key);
            }
            HomeRequest::Publish { ticket, room, draft, idempotency_key } => {
                let position = self.publish_once(now, &room, draft, idempotency_key, config);
                self.outgoing.tell(hub, HomeEvent::Published { ticket, position });
            }
            HomeRequest::History { ticket, room, query } if self.follows(&room) => {
                self.read_engine(hub, ticket, room, query, config);
            }
            HomeRequest::History { ticket, room, query } => {
                let result = self.history(&room, &query, config);
                self.outgoing.tell(hub, HomeEvent::History { ticket, result });
            }
            HomeRequest::Presence { ticket, room, query } => {
                let event = self.presence(ticket, &room, query);
                self.outgoing.tell(hub, event);
            }
            HomeRequest::RemoveHistory { ticket, room } if self.follows(&room) => {
                self.remove_history(hub, ticket, room);
            }
            HomeRequest::RemoveHistory { ticket, room } => {
                if let Some(at) = self.find(&room) {
                    self.logs[at as usize].drop_all(&mut self.charges);
                    self.update_fullness(at);
                    self.evict_or_arm(now, at, config);
                }
                self.outgoing.tell(hub, HomeEvent::HistoryRemoved { ticket });
            }
            HomeRequest::UserCommand { ticket, room, command } => self.run_errand(hub, ticket, &room, &command),
            HomeRequest::UserCommandDone { errand, result, .. } => {
                if let Some((asker, answer)) = self.errands.done(hub, errand, result) {
                    self.outgoing.tell(asker, answer);
                }
            }
            HomeRequest::Reach { ticket, room } if self.follows(&room) => self.reach(hub, ticket, &room),
            HomeRequest::Reach { ticket, .. } => self.outgoing.tell(hub, HomeEvent::Reached { ticket }),
            HomeRequest::Count { ticket, .. } => {
                let (rooms, users) = (self.with_members, self.users);
                self.outgoing.tell(hub, HomeEvent::Counted { ticket, rooms, users });
            }
        }
    }

    /// Drops the publications that have reached `history_age`, and evicts the logs that have reached `log_memory`.
    pub fn tick(&mut self, now: Instant, config: &Config) {
        let mut lighter = Vec::new();
        while let Some(at) = self.timers.due(now) {
            let log = &mut self.logs[at as usize];
            log.drop_older(now, config.policy(&log.name).history_age, &mut self.charges);
            lighter.push(at);
            self.evict_or_arm(now, at, config);
        }
        // The result must not depend on the order of slots in memory.
        lighter.retain(|at| self.logs.contains(*at as usize));
        lighter.sort_unstable_by_key(|at| self.logs[*at as usize].last_used());
        lighter.into_iter().for_each(|at| self.update_fullness(at));
        self.idempotency.tick(now);
        if self.replica.is_some() {
            self.tick_replica(now, config);
        }
    }

    /// Returns the time at which [`Home::tick`] is due; `None` when nothing is timed.
    pub fn next_deadline(&self) -> Option<Instant> {
        let others = self.idempotency.next_deadline().into_iter().chain(self.absences.next_deadline());
        let of_replica = self.replica.as_ref().and_then(|replica| replica.next_deadline());
        self.timers.next().into_iter().chain(others).chain(of_replica).min()
    }

    /// Returns the logs, in no particular order.
    pub fn logs(&self) -> impl Iterator<Item = &Log> {
        self.logs.iter().map(|(_, log)| log)
    }

    /// Returns the number of logs that have numbered a publication.
    pub fn numbered(&self) -> usize {
        self.numbered
    }

    /// Returns the number of publications since the start.
    pub fn published(&self) -> u64 {
        self.published
    }

    /// Returns the number of joins that asked for what was missed, by what became of that.
    pub fn recoveries(&self) -> Recoveries {
        self.recoveries
    }

    /// Returns the losses because of limits.
    pub fn evictions(&self) -> Evictions {
        self.evictions
    }

    /// Returns the bytes that all logs retain; a payload in several logs counts once.
    pub fn bytes(&self) -> usize {
        self.charges.bytes()
    }

    /// Returns the rooms that have a member or an absence, without the canary's, in no particular order. O(n) in the logs.
    pub fn occupied(&self) -> impl Iterator<Item = &RoomName> {
        let with_members = self.logs().filter(|log| is_occupied(log)).map(|log| &log.name);
        with_members.chain(self.absences.rooms().filter(|room| self.member_count(room) == 0))
    }

    /// Returns the absences.
    pub fn absences(&self) -> &Absences {
        &self.absences
    }

    /// Returns the idempotency keys that are remembered, oldest first.
    pub fn keys(&self) -> impl Iterator<Item = KeyView> {
        self.idempotency.views()
    }

    /// Returns the counters of evicted logs, on which the epochs of new ones depend.
    pub fn evicted(&self) -> Vec<(u16, u64)> {
        self.epochs.counters()
    }

    /// Returns the number of members of a room.
    pub fn member_count(&self, room: &str) -> usize {
        self.find(room).map_or(0, |at| self.logs[at as usize].members.len())
    }

    /// Returns the number of members of a room in one hub. O(n) in the members.
    pub fn members_of(&self, room: &str, hub: ShardId) -> usize {
        self.find(room).map_or(0, |at| self.logs[at as usize].members.of_hub(hub).count())
    }

    /// Makes again what the written state of a home lacks.
    #[cfg(feature = "replay")]
    pub fn restore(&mut self) {
        let logs = self.logs.iter().map(|(_, log)| log);
        self.charges.recount(logs.flat_map(Log::publications).map(|publication| &publication.draft));
    }

    /// Returns the number of members of all rooms. O(n) in the logs.
    pub fn members(&self) -> usize {
        self.logs().map(|log| log.members.len()).sum()
    }

    /// Hands a command for a user to each hub.
    fn run_errand(&mut self, asker: ShardId, ticket: Ticket, room: &RoomName, command: &Arc<UserCommand>) {
        let errand = self.errands.begin(asker, ticket, self.node.shards().collect());
        for hub in self.node.shards() {
            let (room, command) = (room.clone(), Arc::clone(command));
            self.outgoing.tell(hub, HomeEvent::UserCommand { room, command, errand });
        }
    }

    /// Tells each hub that has a member of the room of an event, once.
    fn tell_members(&mut self, at: u32, event: impl Fn(RoomName) -> HomeEvent) {
        let log = &self.logs[at as usize];
        for hub in log.members.hubs() {
            self.outgoing.tell(hub, event(log.name.clone()));
        }
    }

    /// Updates the bytes of a log in the index.
    fn update_fullness(&mut self, at: u32) {
        self.fullness.set(at, self.logs[at as usize].bytes());
    }

    /// Creates the log of a room that has none.
    fn new_log(&self, room: &RoomName) -> Log {
        Log::new(room.clone(), self.epochs.of(room), self.keys)
    }

    fn insert(&mut self, log: Log) -> u32 {
        let name = log.name.clone();
        let at = index(self.logs.insert(log));
        self.by_name.insert(name, at);
        at
    }

    fn touch(&mut self, now: Instant, at: u32) {
        self.touches += 1;
        self.logs[at as usize].touch(now, self.touches);
    }

    /// Evicts a log that has reached `log_memory`, otherwise arms its next deadline.
    fn evict_or_arm(&mut self, now: Instant, at: u32, config: &Config) {
        let log = &self.logs[at as usize];
        if log.forgotten_at(self.memory(&log.name, config)).is_due(now) {
            self.evict_log(at);
        } else {
            self.arm(at, config);
        }
    }

    /// Arms the next deadline of a log and updates its position in the order of eviction.
    fn arm(&mut self, at: u32, config: &Config) {
        let log = &self.logs[at as usize];
        let (deadline, place) = (self.deadline(log, config), log.eviction_order());
        let log = &mut self.logs[at as usize];
        self.timers.rearm(at, &mut log.armed, deadline);
        self.idle.set(at, &mut log.idle_order, place);
    }

    fn deadline(&self, log: &Log, config: &Config) -> Deadline {
        log.ages_out(config.policy(&log.name).history_age).min(log.forgotten_at(self.memory(&log.name, config)))
    }

    /// Returns the time for which the log of a room is kept without members.
    pub fn memory(&self, room: &RoomName, config: &Config) -> LogMemory {
        if self.follows(room) { LogMemory::OfCopy(LINGER) } else { LogMemory::Own(config.limits.log_memory) }
    }

    fn evict_log(&mut self, at: u32) {
        let mut log = self.logs.remove(at as usize);
        assert!(log.members.is_empty(), "G2: a log with members stays");
        self.timers.rearm(at, &mut log.armed, Deadline::NONE);
        self.idle.set(at, &mut log.idle_order, None);
        self.by_name.swap_remove(&log.name);
        log.drop_all(&mut self.charges);
        self.fullness.set(at, 0);
        self.numbered -= usize::from(log.is_numbered());
        if self.follows(&log.name) {
            self.copy_dropped(&log.name);
        } else if log.is_numbered() {
            self.epochs.forget(&log.name);
        }
    }

    fn find(&self, room: &str) -> Option<u32> {
        self.by_name.get(room).copied()
    }
}
