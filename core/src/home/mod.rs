//! The home: the one place on a node that orders each room, with its log, its members and its presence.

mod absences;
mod adjust;
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
mod outgoing;
mod user_limit;

pub(crate) use log::Log;
pub(crate) use outgoing::Outgoing;

use crate::api::HistoryQuery;
use crate::config::Config;
use crate::error::{Error, ErrorCode};
use crate::ids::{ClientId, ClientInfo, ConnId, index};
use crate::limits::Limit;
use crate::limits::WidestBounds;
use crate::link::{HomeEvent, HomeRequest, JoinId, LeaveReason, PresenceQuery, Ticket, UserCommand};
use crate::map::{Keys, Map};
use crate::names::{RoomName, UserId};
use crate::node::{Node, ShardId};
use crate::publication::{Draft, LogPage, LogPosition, Publication, Replay};
use crate::snapshot::KeyView;
use crate::stored::places;
use crate::tallies::{Evictions, Recoveries};
use crate::time::{Deadline, Instant};
use crate::timers::Timers;
use absences::Absences;
use alloc::collections::VecDeque;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use charges::Charges;
use core::ops::Range;
use epochs::Epochs;
use errands::Errands;
use fullness::Fullness;
use idempotency::Idempotency;
use idle::Idle;
use members::{Member, Members};
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
    /// The node, whose hubs carry out commands for users.
    pub node: Node,
    pub outgoing: Outgoing,
}

/// Whether a room has members that count.
fn is_occupied(log: &Log) -> bool {
    !log.members.is_empty() && !log.name.is_of_canary()
}

/// A member whose hub was lost.
#[derive(Clone, Debug, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
struct LostMember {
    room: RoomName,
    hub: ShardId,
    client: ClientId,
    join: JoinId,
}

/// A member that was removed, and the log of its room while others are there.
struct LeftRoom {
    member: Member,
    at: Option<u32>,
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
                if let Err(error) = self.join(now, (conn, ticket), member, room, &replay, config) {
                    self.outgoing.tell(hub, HomeEvent::JoinRefused { ticket, error });
                }
            }
            HomeRequest::Leave { room, client, join, reason } => {
                if let Some(left) = self.leave(now, &room, hub, client, join, config) {
                    self.begin_absence_or_tell(now, &room, left, reason, config);
                }
            }
            HomeRequest::Rename { room, join, member } => self.rename(&room, (hub, join), member),
            HomeRequest::Publish { ticket, room, draft, idempotency_key } => {
                let position = self.publish_once(now, &room, draft, idempotency_key, config);
                self.outgoing.tell(hub, HomeEvent::Published { ticket, position });
            }
            HomeRequest::History { ticket, room, query } => {
                let result = self.history(&room, &query, config);
                self.outgoing.tell(hub, HomeEvent::History { ticket, result });
            }
            HomeRequest::Presence { ticket, room, query } => {
                let event = self.presence(ticket, &room, query);
                self.outgoing.tell(hub, event);
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
    }

    /// Begins to remove the members of a hub that was lost: their connections have ended. O(n) in the members of all rooms.
    pub fn lose_hub(&mut self, hub: ShardId) {
        let of_log = |log: &Log| {
            let members = log.members.of_hub(hub);
            members.map(|(client, join)| (log.name.clone(), client, join)).collect::<Vec<_>>()
        };
        let mut lost: Vec<_> = self.logs().flat_map(of_log).collect();
        // The order must not depend on that of slots in memory.
        lost.sort_unstable_by(|(room, client, _), (other, another, _)| (room, client).cmp(&(other, another)));
        for (asker, answer) in self.errands.lose_hub(hub) {
            self.outgoing.tell(asker, answer);
        }
        self.lost.extend(lost.into_iter().map(|(room, client, join)| LostMember { room, hub, client, join }));
    }

    /// Removes one of the members of lost hubs. Returns `false` when there is none.
    pub fn remove_lost_member(&mut self, now: Instant, config: &Config) -> bool {
        let Some(LostMember { room, hub, client, join }) = self.lost.pop_front() else { return false };
        if let Some(left) = self.leave(now, &room, hub, client, join, config) {
            self.begin_absence_or_tell(now, &room, left, LeaveReason::Ended, config);
        }
        true
    }

    /// Asserts what holds when nothing is on its way to or from a hub.
    pub fn audit_settled(&self) {
        assert!(self.errands.is_empty(), "G7: every command for a user is answered");
    }

    /// Returns `true` when there are members of lost hubs.
    pub fn has_lost_members(&self) -> bool {
        !self.lost.is_empty()
    }

    /// Ends one of the absences that are due. Returns `false` when none is.
    pub fn end_due_absence(&mut self, now: Instant) -> bool {
        let Some((room, user)) = self.absences.due(now) else { return false };
        self.end_absence(&room, &user);
        true
    }

    /// Returns the time at which [`Home::tick`] is due; `None` when nothing is timed.
    pub fn next_deadline(&self) -> Option<Instant> {
        let others = self.idempotency.next_deadline().into_iter().chain(self.absences.next_deadline());
        self.timers.next().into_iter().chain(others).min()
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

    /// Asserts that nothing empty is kept (G3), that every bound holds (G6) and that counts are right (G8). O(n) in the
    /// logs, members and publications.
    pub fn audit(&self, config: &Config) {
        let limits = self.bounds.of(&config.limits);
        self.idempotency.audit(limits);
        assert_eq!(self.by_name.len(), self.logs.len(), "G3: every log has one name");
        assert!(self.numbered <= limits.logs, "G6: logs are bounded");
        assert!(self.with_members <= limits.logs, "G6: rooms are bounded");
        assert!(self.absences.len() <= limits.absences, "G6: absences are bounded");
        self.absences.audit();
        let is_adjusted = self.unadjusted.is_none();
        let most_bytes = if is_adjusted { config.limits.history_bytes } else { limits.history_bytes };
        assert!(self.bytes() <= most_bytes, "G6: history is bounded");
        let mut armed = 0;
        for (at, log) in &self.logs {
            assert_eq!(self.find(&log.name), Some(index(at)), "G3: a log is found by its name");
            let is_kept = log.is_numbered() || !log.members.is_empty();
            assert!(is_kept, "G3: the log of {:?} is kept without members and offsets", log.name);
            let idle = log.idle_order.is_some_and(|place| self.idle.holds(index(at), place));
            assert_eq!(idle, log.members.is_empty(), "G3: exactly the logs without members are idle");
            assert_eq!(
                log.idle_order,
                log.eviction_order(),
                "G3: an idle log is at its position in the order of eviction"
            );
            if is_adjusted {
                assert_eq!(log.armed.deadline(), Self::deadline(log, config), "G6: the deadline of a log is armed");
                log.audit_bounds(config);
            }
            if log.armed.deadline().is_set() {
                armed += 1;
                assert!(self.timers.holds(index(at), log.armed), "G7: a deadline is in the queue");
            }
            let most = Self::most_members(&log.name, limits);
            assert!(log.members.len() <= most, "G6: connections of a user are bounded");
            log.audit();
        }
        let count = |which: fn(&Log) -> bool| self.logs.iter().filter(|(_, log)| which(log)).count();
        assert_eq!(self.idle.len(), count(|log| log.members.is_empty()), "G3: no evicted log is idle");
        assert_eq!(self.timers.len(), armed, "G3: no evicted log has a deadline");
        assert_eq!(self.numbered, count(Log::is_numbered), "G8: logs are counted");
        assert_eq!(self.with_members, count(is_occupied), "G8: rooms are counted");
        let users = count(|log| log.name.is_reserved() && !log.members.is_empty());
        assert_eq!(self.users, users, "G8: users are counted");
        for (room, former, _) in self.absences.iter() {
            let is_back = self.find(room).is_some_and(|at| self.logs[at as usize].members.has_user(&former.user));
            assert!(!is_back, "G2: a user who is in a room is not absent from it");
        }
        self.charges.audit(self.logs().flat_map(Log::publications).map(|publication| &publication.draft));
        self.fullness.audit(self.logs.iter().map(|(at, log)| (index(at), log.bytes())));
    }

    fn join(
        &mut self,
        now: Instant,
        (conn, ticket): (ConnId, Ticket),
        mut member: Member,
        room: RoomName,
        replay: &Replay,
        config: &Config,
    ) -> Result<(), Error> {
        let (hub, join, info) = (member.hub, member.join, Arc::clone(&member.info));
        let found = self.find(&room);
        let is_empty = found.is_none_or(|at| self.logs[at as usize].members.is_empty());
        if is_empty && self.with_members >= config.limits.logs && !room.is_of_canary() {
            let words = format!("too many rooms on this node; at most {} may have members", config.limits.logs);
            return Err(Error::limit(ErrorCode::LimitExceeded, Limit::Logs, &words));
        }
        if room.is_reserved() {
            self.admit_to_user(found, &room, &member, config)?;
        }
        let (at, replay) = match found {
            Some(at) => (at, self.logs[at as usize].replay(replay, &config.limits, &mut self.recoveries)?),
            None => {
                let log = self.new_log(&room);
                let replay = log.replay(replay, &config.limits, &mut self.recoveries)?;
                (self.insert(log), replay)
            }
        };
        // A newcomer is not told of what was before.
        let former = self.absences.end(&room, &info.user);
        let log = &mut self.logs[at as usize];
        member.was_absent = former.is_some();
        let before = log.members.insert(member);
        let is_there = before.as_ref().is_some_and(|before| before.join == join);
        let position = log.position();
        if is_empty {
            self.with_members += usize::from(!room.is_of_canary());
            self.users += usize::from(room.is_reserved());
            self.arm(at, config);
            if former.is_none() && !self.absences.has_room(&room) && !room.is_of_canary() {
                self.outgoing.here.push_back(HomeEvent::Occupied(room.clone()));
            }
        }
        if let Some(former) = former {
            self.departed(&room, Some(at), former);
        }
        if let Some(before) = before.filter(|_| !is_there) {
            // It has left and asked again before its hub knew of the first join, and so before the home hears that it left.
            self.tell_members(at, |room| HomeEvent::MemberLeft { room, member: Arc::clone(&before.info) });
        }
        let (client, name) = (info.client, room.clone());
        self.outgoing.tell(hub, HomeEvent::Joined { ticket, conn, client, join, room: name, position, replay });
        if !is_there {
            self.tell_members(at, |room| HomeEvent::MemberJoined { room, member: Arc::clone(&info) });
        }
        if room.is_reserved() {
            self.displace_oldest(now, &room, config);
        }
        Ok(())
    }

    /// Removes the member of this join. Returns it, or `None` when there is no such member.
    fn leave(
        &mut self,
        now: Instant,
        room: &RoomName,
        hub: ShardId,
        client: ClientId,
        join: JoinId,
        config: &Config,
    ) -> Option<LeftRoom> {
        let at = self.find(room)?;
        let log = &mut self.logs[at as usize];
        let member = log.members.remove(hub, client, join)?;
        if !log.members.is_empty() {
            return Some(LeftRoom { member, at: Some(at) });
        }
        self.with_members -= usize::from(!room.is_of_canary());
        self.users -= usize::from(room.is_reserved());
        self.touch(now, at);
        self.evict_or_arm(now, at, config);
        Some(LeftRoom { member, at: None })
    }

    /// Tells that a member has left, unless its user is absent from now on. A user who has another member in the room is
    /// there and not absent. Where there is no place for an absence, the user has left: no leave is the reason for another
    /// one.
    fn begin_absence_or_tell(
        &mut self,
        now: Instant,
        room: &RoomName,
        LeftRoom { member: Member { info, was_absent, .. }, at }: LeftRoom,
        reason: LeaveReason,
        config: &Config,
    ) {
        let grace = config.policy(room).presence_grace;
        let has_grace = !grace.is_zero() && !info.user.is_anonymous();
        let may_be_absent = has_grace
            && match reason {
                LeaveReason::Left => false,
                LeaveReason::Ended => true,
                LeaveReason::EndedUnconfirmed => was_absent,
            };
        let users_room = at.filter(|_| has_grace);
        let has_other =
            users_room.is_some_and(|at| self.logs[at as usize].members.note_leave(&info.user, may_be_absent));
        let is_to_be_absent = may_be_absent && !has_other;
        if is_to_be_absent && self.absences.len() < config.limits.absences {
            self.absences.begin(room, info, now.after(grace));
        } else {
            self.evictions.absences += u64::from(is_to_be_absent);
            self.departed(room, at, info);
        }
    }

    /// Tells that nobody is listed for this former member any more: the members, or where there are none at `at` and nobody is
    /// absent, that the room is vacated.
    fn departed(&mut self, room: &RoomName, at: Option<u32>, member: Arc<ClientInfo>) {
        match at {
            Some(at) => self.tell_members(at, |room| HomeEvent::MemberLeft { room, member: Arc::clone(&member) }),
            None if !self.absences.has_room(room) && !room.is_of_canary() => {
                self.outgoing.here.push_back(HomeEvent::Vacated(room.clone()));
            }
            None => {}
        }
    }

    /// Ends the absence of a user in a room, if there is one, and tells of it.
    fn end_absence(&mut self, room: &RoomName, user: &UserId) {
        if let Some(member) = self.absences.end(room, user) {
            let at = self.find(room).filter(|at| !self.logs[*at as usize].members.is_empty());
            self.departed(room, at, member);
        }
    }

    /// Replaces a member's info. Other members are notified only when the user changes: with the same user the room has
    /// the same members as before.
    fn rename(&mut self, room: &RoomName, (hub, join): (ShardId, JoinId), info: Arc<ClientInfo>) {
        let Some(at) = self.find(room) else { return };
        let Some(before) = self.logs[at as usize].members.rename(hub, join, &info) else { return };
        if before.user != info.user {
            self.end_absence(room, &info.user);
            self.tell_members(at, |room| HomeEvent::MemberLeft { room, member: Arc::clone(&before) });
            self.tell_members(at, |room| HomeEvent::MemberJoined { room, member: Arc::clone(&info) });
        }
    }

    /// Answers a question about the members of a room and the users who are absent from it.
    fn presence(&self, ticket: Ticket, room: &RoomName, query: PresenceQuery) -> HomeEvent {
        let members = self.find(room).map(|at| &self.logs[at as usize].members);
        let PresenceQuery::Members { most_bytes } = query else {
            // No user is both absent and a member, so nobody counts twice.
            let absent = self.absences.count(room);
            let (clients, users) = members.map_or((0, 0), |members| (members.len(), members.users()));
            return HomeEvent::PresenceStats { ticket, clients: clients + absent, users: users + absent };
        };
        let least_bytes = members.map_or(0, Members::least_bytes) + self.absences.least_bytes(room);
        let infos = || members.into_iter().flat_map(Members::infos).chain(self.absences.infos(room));
        let fits = least_bytes <= most_bytes;
        HomeEvent::Presence { ticket, members: fits.then(|| infos().map(Arc::clone).collect()) }
    }

    fn history(&self, room: &RoomName, query: &HistoryQuery, config: &Config) -> Result<LogPage, Error> {
        match self.find(room) {
            Some(at) => self.logs[at as usize].page(query, &config.limits),
            None => Ok(LogPage { position: None, ..self.new_log(room).page(query, &config.limits)? }),
        }
    }

    /// Publishes a draft unless its idempotency key is known. Returns the position of the publication with this key.
    fn publish_once(
        &mut self,
        now: Instant,
        room: &RoomName,
        draft: Draft,
        key: Option<String>,
        config: &Config,
    ) -> Option<LogPosition> {
        let Some(key) = key else { return self.publish(now, room, draft, config) };
        if let Some(position) = self.idempotency.find(room, &key) {
            return position;
        }
        let position = self.publish(now, room, draft, config);
        self.evictions.idempotency_keys += self.idempotency.remember(now, room, key, position, &config.limits);
        position
    }

    /// Publishes a draft: gives it a position and has it delivered, which never fails. Returns `None` when the room has
    /// neither a member nor a log that retains it, so that it gets no position.
    fn publish(&mut self, now: Instant, room: &RoomName, draft: Draft, config: &Config) -> Option<LogPosition> {
        self.published += u64::from(!room.is_of_canary());
        let found = self.find(room);
        if draft.skip_history || (found.is_none() && !self.admit_log(room, &draft, config)) {
            return self.deliver_unlogged(room, found, draft);
        }
        let at = found.unwrap_or_else(|| self.insert(self.new_log(room)));
        let log = &mut self.logs[at as usize];
        self.numbered += usize::from(!log.is_numbered());
        let prev = log.position().offset;
        let offset = log.next_offset();
        let position = log.position();
        let publication = Arc::new(Publication { epoch: position.epoch, offset, prev, draft });
        if config.keeps_history(room) {
            // What a lowered limit leaves above it is dropped over several turns, not by whoever publishes next.
            let most = config.limits.history_bytes.max(self.charges.bytes());
            log.retain(now, Arc::clone(&publication), config, &mut self.charges);
            self.update_fullness(at);
            self.enforce_history_bytes(now, at, most, config);
        } else if log.retains() {
            // A reload has ended the history of the room, and has not come to its log yet: what is retained has no hole.
            log.drop_all(&mut self.charges);
            self.update_fullness(at);
        }
        if found.is_none() && !self.logs[at as usize].retains() {
            self.evict_log(at);
            return self.deliver_unlogged(room, None, Draft { skip_history: true, ..publication.draft.clone() });
        }
        if let Some(oldest) = self.idle.oldest().filter(|_| self.numbered > config.limits.logs) {
            self.evict_log(oldest);
            self.evictions.logs += 1;
        }
        self.tell_members(at, |room| HomeEvent::Publication { room, publication: Arc::clone(&publication) });
        self.touch(now, at);
        self.evict_or_arm(now, at, config);
        Some(position)
    }

    /// Returns `true` when a log may begin with this draft in a room without members: it will be retained, and the
    /// number of logs is below `logs` or an idle log can be evicted. Counts one that has no place.
    fn admit_log(&mut self, room: &RoomName, draft: &Draft, config: &Config) -> bool {
        let fits = config.keeps_history(room) && draft.bytes() <= config.policy(room).largest_log(&config.limits);
        let has_place = self.numbered < config.limits.logs || self.idle.oldest().is_some();
        self.evictions.logs += u64::from(fits && !has_place);
        fits && has_place
    }

    /// Delivers a draft that gets no offset. When no log exists for it to be numbered in, although the draft asks for
    /// history, the epoch changes as if a log with it had been evicted: a client that returns to the room then learns
    /// that it has missed a publication.
    fn deliver_unlogged(&mut self, room: &RoomName, found: Option<u32>, draft: Draft) -> Option<LogPosition> {
        if !draft.skip_history {
            self.epochs.forget(room);
        }
        let position = found.map(|at| LogPosition { offset: 0, ..self.logs[at as usize].position() });
        let epoch = position.map_or(0, |position| position.epoch);
        let publication = Arc::new(Publication { epoch, offset: 0, prev: 0, draft });
        if let Some(at) = found {
            self.tell_members(at, |room| HomeEvent::Publication { room, publication: Arc::clone(&publication) });
        }
        position
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

    /// Drops the oldest publications of the fullest logs until all have at most so many bytes. The deadline of `at`, which has
    /// just been published to, is armed by the caller.
    fn enforce_history_bytes(&mut self, now: Instant, at: u32, most: usize, config: &Config) {
        while self.bytes() > most {
            let fullest = self.fullness.fullest().expect("retained bytes belong to a log");
            while self.bytes() > most && self.fullness.fullest() == Some(fullest) {
                self.logs[fullest as usize].drop_oldest(&mut self.charges);
                self.evictions.history_bytes += 1;
                self.update_fullness(fullest);
            }
            if fullest != at {
                self.evict_or_arm(now, fullest, config);
            }
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
        if self.logs[at as usize].forgotten_at(config.limits.log_memory).is_due(now) {
            self.evict_log(at);
        } else {
            self.arm(at, config);
        }
    }

    /// Arms the next deadline of a log and updates its position in the order of eviction.
    fn arm(&mut self, at: u32, config: &Config) {
        let log = &mut self.logs[at as usize];
        let (deadline, place) = (Self::deadline(log, config), log.eviction_order());
        self.timers.rearm(at, &mut log.armed, deadline);
        self.idle.set(at, &mut log.idle_order, place);
    }

    fn deadline(log: &Log, config: &Config) -> Deadline {
        log.ages_out(config.policy(&log.name).history_age).min(log.forgotten_at(config.limits.log_memory))
    }

    fn evict_log(&mut self, at: u32) {
        let mut log = self.logs.remove(at as usize);
        assert!(log.members.is_empty(), "G2: a log with members stays");
        self.timers.rearm(at, &mut log.armed, Deadline::NONE);
        self.idle.set(at, &mut log.idle_order, None);
        self.by_name.swap_remove(&log.name);
        log.drop_all(&mut self.charges);
        self.fullness.set(at, 0);
        if log.is_numbered() {
            self.numbered -= 1;
            self.epochs.forget(&log.name);
        }
    }

    fn find(&self, room: &str) -> Option<u32> {
        self.by_name.get(room).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{Expiry, Selection};
    use crate::testing::{audit_finds, client_info, draft};
    use crate::timers::Armed;

    /// Returns the info of a connection of a user.
    fn ada() -> Arc<ClientInfo> {
        Arc::new(ClientInfo { user: UserId::from("ada"), ..(*client_info(2)).clone() })
    }

    /// Creates a home with a room that has a member, a room that only its log keeps, and an idempotency key.
    fn busy() -> (Home, Config) {
        let config = Config::default();
        let mut home = Home::new(Keys(1, 2), Keys(3, 4));
        let (conn, join) = (ConnId::from_parts(0, 0), JoinId(1));
        let joins = HomeRequest::Join {
            ticket: Ticket { at: 0, serial: 1 },
            conn,
            join,
            room: RoomName::from("a"),
            member: client_info(1),
            replay: Replay::None,
            is_return: false,
        };
        home.handle(Instant(1), ShardId::FIRST, joins, &config);
        for room in ["a", "b"].map(RoomName::from) {
            home.publish_once(Instant(1), &room, draft("1"), Some("key".into()), &config);
        }
        (home, config)
    }

    #[test]
    fn the_audit_reports_each_broken_invariant() {
        audit_finds(
            busy,
            |(home, config)| home.audit(config),
            &[
                ("G6: idempotency keys are bounded", |(_, config)| config.limits.idempotency_keys = 1),
                ("G3: every log has one name", |(home, _)| drop(home.by_name.pop())),
                ("G6: logs are bounded", |(_, config)| config.limits.logs = 1),
                ("G6: history is bounded", |(_, config)| config.limits.history_bytes = 1),
                ("G3: a log is found by its name", |(home, _)| home.logs[0].name = RoomName::from("c")),
                ("G6: rooms are bounded", |(home, config)| home.with_members = config.limits.logs + 1),
                ("is kept without members and offsets", |(home, _)| {
                    home.logs[1] = home.new_log(&RoomName::from("b"));
                }),
                ("G3: exactly the logs without members are idle", |(home, _)| home.idle = Idle::default()),
                ("G3: an idle log is at its position in the order of eviction", |(home, _)| {
                    home.logs[1].touch(Instant(1), 9)
                }),
                ("G6: the deadline of a log is armed", |(home, _)| home.logs[0].armed = Armed::NO),
                ("G7: a deadline is in the queue", |(home, _)| home.timers = Timers::default()),
                ("G3: no evicted log is idle", |(home, _)| {
                    home.idle.set(9, &mut None, home.logs[1].idle_order);
                }),
                ("G3: no evicted log has a deadline", |(home, _)| {
                    home.timers.rearm(9, &mut { Armed::NO }, Instant(9).into());
                }),
                ("G8: logs are counted", |(home, _)| home.numbered -= 1),
                ("G8: rooms are counted", |(home, _)| home.with_members += 1),
                ("G8: users are counted", |(home, _)| home.users += 1),
                ("G6: connections of a user are bounded", |(home, config)| {
                    let log = &mut home.logs[0];
                    home.by_name.swap_remove(&log.name);
                    log.name = RoomName::from("#ada");
                    log.members.insert(Member::new(ada(), ShardId::FIRST, JoinId(2), false));
                    home.by_name.insert(log.name.clone(), 0);
                    config.limits.connections_per_user = core::num::NonZero::new(1);
                }),
                ("G6: absences are bounded", |(home, config)| {
                    config.limits.absences = 0;
                    home.absences.begin(&RoomName::from("b"), ada(), Instant(9));
                }),
                ("G2: a user who is in a room is not absent from it", |(home, _)| {
                    home.logs[0].members.insert(Member::new(ada(), ShardId::FIRST, JoinId(2), false));
                    home.absences.begin(&RoomName::from("a"), ada(), Instant(9));
                }),
                ("G8: history counts its bytes", |(home, _)| home.charges.charge(&draft("1"))),
                ("G8: a log is in the bucket of its bytes", |(home, _)| home.fullness.set(0, 9)),
            ],
        );
    }

    #[test]
    fn the_audit_of_a_settled_home_reports_a_command_that_nobody_answers() {
        audit_finds(
            || {
                let (mut home, config) = busy();
                let room = RoomName::from("#ada");
                let join = HomeRequest::Join {
                    ticket: Ticket { at: 1, serial: 2 },
                    conn: ConnId::from_parts(1, 0),
                    join: JoinId(2),
                    room,
                    member: ada(),
                    replay: Replay::None,
                    is_return: false,
                };
                home.handle(Instant(1), ShardId::FIRST, join, &config);
                home
            },
            Home::audit_settled,
            &[("G7: every command for a user is answered", |home| {
                let command = UserCommand::Refresh { client: Selection::All, expiry: Expiry::Never };
                let ticket = Ticket { at: 0, serial: 1 };
                home.run_errand(ShardId::FIRST, ticket, &RoomName::from("#ada"), &Arc::new(command));
            })],
        );
    }
}
