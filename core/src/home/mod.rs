//! The authority for rooms: it gives every message its place, keeps what may be asked for again, and knows who is in.

mod charges;
mod epochs;
mod fullness;
mod idempotency;
mod idle;
mod log;
mod members;

pub(crate) use log::Log;

use crate::api::HistoryQuery;
use crate::error::{Error, ErrorCode};
use crate::hub::registry::index;
use crate::ids::{ClientId, ClientInfo, ConnId, Name};
use crate::limits::{Limit, Limits};
use crate::link::JoinId;
use crate::link::{HomeEvent, HomeRequest, Origin};
use crate::map::{Keys, Map};
use crate::publication::{Draft, LogPosition, Page, Publication, Replay};
use crate::time::Instant;
use crate::timers::Timers;
use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use charges::Charges;
use epochs::Epochs;
use fullness::Fullness;
use idempotency::Idempotency;
use idle::Idle;
use members::{Member, Members};
use slab::Slab;

/// The logs of all rooms, and the members of each.
///
/// A log has an publication while its room has a member, and as long as it is remembered when it has numbered anything. Each of
/// the two kinds is bounded by `logs`, so that joining a room never costs another one its log.
#[derive(Clone, Debug)]
pub(crate) struct Home {
    by_name: Map<Name, u32>,
    logs: Slab<Log>,
    timers: Timers<u32>,
    /// Logs without members: the first to go when there are too many.
    idle: Idle,
    /// Logs by the bytes they hold: the first to give something up when all hold too much.
    fullness: Fullness,
    charges: Charges,
    /// Counts the times that a log lost its last member or was published to.
    touches: u64,
    /// Logs that have numbered anything.
    numbered: usize,
    /// Logs whose room has a member.
    occupied: usize,
    epochs: Epochs,
    idempotency: Idempotency,
    keys: Keys,
    /// What waits to be taken by the hub.
    pub events: VecDeque<HomeEvent>,
}

impl Home {
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
            occupied: 0,
            epochs: Epochs::new(epoch_keys),
            idempotency: Idempotency::new(keys),
            keys,
            events: VecDeque::new(),
        }
    }

    /// Handles one request; the answers are in [`Home::events`].
    pub fn handle(&mut self, now: Instant, request: HomeRequest, limits: &Limits) {
        match request {
            HomeRequest::Join { conn, join, room, member, replay } => {
                if let Err(error) = self.join(conn, Member { info: member, join }, room, &replay, limits) {
                    self.events.push_back(HomeEvent::JoinRefused { conn, join, error });
                }
            }
            HomeRequest::Leave { room, client, join } => self.leave(now, &room, client, join, limits),
            HomeRequest::Rename { room, join, member } => self.rename(&room, join, member),
            HomeRequest::Publish { from, room, draft, idempotency_key } => {
                let position = self.publish_once(now, &room, draft, idempotency_key, limits);
                self.events.push_back(HomeEvent::Published { from, room, position });
            }
            HomeRequest::History { from, room, query } => {
                let result = self.history(&room, &query, limits);
                self.events.push_back(HomeEvent::History { from, room, result });
            }
            HomeRequest::Presence { from, room, only_counts } => {
                let members = self.find(&room).map(|at| &self.logs[at as usize].members);
                self.events.push_back(match members {
                    _ if only_counts => HomeEvent::PresenceStats {
                        from,
                        clients: members.map_or(0, Members::len),
                        users: members.map_or(0, Members::users),
                    },
                    None => HomeEvent::Presence { from, members: Some(Vec::new()) },
                    Some(members) => {
                        let fits = members.least_bytes() <= presence_bytes(&from, limits);
                        let members = fits.then(|| members.infos().map(Arc::clone).collect());
                        HomeEvent::Presence { from, members }
                    }
                });
            }
            HomeRequest::RemoveHistory { from, room } => {
                if let Some(at) = self.find(&room) {
                    self.logs[at as usize].drop_all(&mut self.charges);
                    self.update_fullness(at);
                    self.evict_or_arm(now, at, limits);
                }
                self.events.push_back(HomeEvent::HistoryRemoved { from });
            }
        }
    }

    /// Drops what has been retained for long enough, and logs that there is no reason left to remember.
    pub fn tick(&mut self, now: Instant, limits: &Limits) {
        let mut lighter = Vec::new();
        while let Some(at) = self.timers.due(now) {
            self.logs[at as usize].drop_older(now, limits.history_age, &mut self.charges);
            lighter.push(at);
            self.evict_or_arm(now, at, limits);
        }
        // In an order that does not depend on where the logs are kept.
        lighter.retain(|at| self.logs.contains(*at as usize));
        lighter.sort_unstable_by_key(|at| self.logs[*at as usize].last_used());
        lighter.into_iter().for_each(|at| self.update_fullness(at));
        self.idempotency.tick(now);
    }

    /// When [`Home::tick`] is next useful.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.timers.next().into_iter().chain(self.idempotency.next_deadline()).min()
    }

    /// The logs, in no order that means anything.
    pub fn logs(&self) -> impl Iterator<Item = &Log> {
        self.logs.iter().map(|(_, log)| log)
    }

    /// How many logs have numbered anything.
    pub fn numbered(&self) -> usize {
        self.numbered
    }

    /// Bytes that all logs retain; what several of them share counts once.
    pub fn bytes(&self) -> usize {
        self.charges.bytes()
    }

    /// How many members the home holds a room to have.
    pub fn member_count(&self, room: &str) -> usize {
        self.find(room).map_or(0, |at| self.logs[at as usize].members.len())
    }

    /// Checks that nothing empty is kept (G3), that every bound holds (G6) and that counts are right (G8).
    pub fn audit(&self, limits: &Limits) {
        self.idempotency.audit(limits);
        assert_eq!(self.by_name.len(), self.logs.len(), "G3: names and logs are the same ones");
        assert!(self.numbered <= limits.logs, "G6: logs are bounded");
        assert!(self.occupied <= limits.logs, "G6: rooms are bounded");
        assert!(self.bytes() <= limits.history_bytes, "G6: history is bounded");
        let mut armed = 0;
        for (at, log) in &self.logs {
            assert_eq!(self.find(&log.name), Some(index(at)), "G3: a log is found by its name");
            let is_kept = log.is_numbered() || !log.members.is_empty();
            assert!(is_kept, "G3: the log of {:?} is kept though it holds nothing", log.name);
            let idle = log.place.is_some_and(|place| self.idle.holds(index(at), place));
            assert_eq!(idle, log.members.is_empty(), "G3: logs without members are known as such");
            assert_eq!(log.place, log.eviction_order(), "G3: what makes room for others is in its place");
            assert_eq!(log.armed, Self::deadline(log, limits), "G6: what is retained has a deadline");
            if log.armed != Instant::NEVER {
                armed += 1;
                assert!(self.timers.holds(index(at), log.armed), "G7: a deadline is in the queue");
            }
            log.audit(limits);
        }
        let count = |which: fn(&Log) -> bool| self.logs.iter().filter(|(_, log)| which(log)).count();
        assert_eq!(self.idle.len(), count(|log| log.members.is_empty()), "G3: no log that is gone waits for eviction");
        assert_eq!(self.timers.len(), armed, "G3: no log that is gone has a deadline");
        assert_eq!(self.numbered, count(Log::is_numbered), "G8: logs are counted");
        assert_eq!(self.occupied, count(|log| !log.members.is_empty()), "G8: rooms are counted");
        self.charges.audit(self.logs().flat_map(Log::publications).map(|publication| &publication.draft));
        self.fullness.audit(self.logs.iter().map(|(at, log)| (index(at), log.bytes())));
    }

    fn join(
        &mut self,
        conn: ConnId,
        member: Member,
        room: Name,
        replay: &Replay,
        limits: &Limits,
    ) -> Result<(), Error> {
        let found = self.find(&room);
        let is_empty = found.is_none_or(|at| self.logs[at as usize].members.is_empty());
        if is_empty && self.occupied >= limits.logs {
            return Err(Error::limit(ErrorCode::LimitExceeded, Limit::Logs, "too many rooms on this node"));
        }
        let (at, replay) = match found {
            Some(at) => (at, self.logs[at as usize].replay(replay, limits)?),
            None => {
                let log = self.new_log(&room);
                let replay = log.replay(replay, limits)?;
                (self.insert(log), replay)
            }
        };
        let log = &mut self.logs[at as usize];
        let (info, join) = (Arc::clone(&member.info), member.join);
        let is_there = log.members.insert(member).is_some_and(|before| before.join == join);
        let position = log.position();
        if is_empty {
            self.occupied += 1;
            self.arm(at, limits);
            self.events.push_back(HomeEvent::Occupied(room.clone()));
        }
        self.events.push_back(HomeEvent::Joined {
            conn,
            client: info.client,
            join,
            room: room.clone(),
            position,
            replay,
        });
        if !is_there {
            self.events.push_back(HomeEvent::MemberJoined { room, member: info });
        }
        Ok(())
    }

    fn leave(&mut self, now: Instant, room: &Name, client: ClientId, join: JoinId, limits: &Limits) {
        let Some(at) = self.find(room) else { return };
        let log = &mut self.logs[at as usize];
        let Some(member) = log.members.remove(client, join) else { return };
        if log.members.is_empty() {
            self.occupied -= 1;
            self.events.push_back(HomeEvent::Vacated(room.clone()));
            self.touch(now, at);
            self.evict_or_arm(now, at, limits);
        } else {
            self.events.push_back(HomeEvent::MemberLeft { room: room.clone(), member: member.info });
        }
    }

    /// Who watches is told of another user. Of one about whom more is known now the room has the same members as before.
    fn rename(&mut self, room: &Name, join: JoinId, info: Arc<ClientInfo>) {
        let Some(at) = self.find(room) else { return };
        let Some(before) = self.logs[at as usize].members.rename(join, &info) else { return };
        if before.user != info.user {
            self.events.push_back(HomeEvent::MemberLeft { room: room.clone(), member: before });
            self.events.push_back(HomeEvent::MemberJoined { room: room.clone(), member: info });
        }
    }

    fn history(&self, room: &Name, query: &HistoryQuery, limits: &Limits) -> Result<Page, Error> {
        match self.find(room) {
            Some(at) => self.logs[at as usize].page(query, limits),
            None => Ok(Page { position: None, ..self.new_log(room).page(query, limits)? }),
        }
    }

    /// Publishes what has not been published under this key before. Returns its place.
    fn publish_once(
        &mut self,
        now: Instant,
        room: &Name,
        draft: Draft,
        key: Option<String>,
        limits: &Limits,
    ) -> Option<LogPosition> {
        let Some(key) = key else { return self.publish(now, room, draft, limits) };
        if let Some(position) = self.idempotency.find(room, &key) {
            return position;
        }
        let position = self.publish(now, room, draft, limits);
        self.idempotency.remember(now, room, key, position, limits);
        position
    }

    /// Has a message delivered, which nothing can prevent, and gives it its place. There is none for one that nobody is there
    /// for and nothing retains.
    fn publish(&mut self, now: Instant, room: &Name, draft: Draft, limits: &Limits) -> Option<LogPosition> {
        let found = self.find(room);
        if draft.skip_history || (found.is_none() && !self.may_begin_log(&draft, limits)) {
            return self.deliver_unlogged(room, found, draft);
        }
        let at = found.unwrap_or_else(|| self.insert(self.new_log(room)));
        let log = &mut self.logs[at as usize];
        self.numbered += usize::from(!log.is_numbered());
        let offset = log.next_offset();
        let position = log.position();
        let publication = Arc::new(Publication { epoch: position.epoch, offset, draft });
        if keeps_history(limits) {
            log.retain(now, Arc::clone(&publication), limits, &mut self.charges);
            self.update_fullness(at);
            self.enforce_history_bytes(now, at, limits);
        }
        if found.is_none() && !self.logs[at as usize].retains() {
            self.evict_log(at);
            return self.deliver_unlogged(room, None, Draft { skip_history: true, ..publication.draft.clone() });
        }
        if let Some(oldest) = self.idle.oldest().filter(|_| self.numbered > limits.logs) {
            self.evict_log(oldest);
        }
        self.events.push_back(HomeEvent::Publication { room: room.clone(), publication });
        self.touch(now, at);
        self.evict_or_arm(now, at, limits);
        Some(position)
    }

    /// Whether a log may begin with this in a room where nobody is: it is retained, and there is a log that goes for it where
    /// there are too many.
    fn may_begin_log(&self, draft: &Draft, limits: &Limits) -> bool {
        let fits = keeps_history(limits) && draft.bytes() <= limits.largest_log();
        fits && (self.numbered < limits.logs || self.idle.oldest().is_some())
    }

    /// Has a message delivered that gets no place. When no log is there that could have numbered it, and that is not what
    /// was asked for, one begins with it and is forgotten: who comes back to the room has missed something.
    fn deliver_unlogged(&mut self, room: &Name, found: Option<u32>, draft: Draft) -> Option<LogPosition> {
        if !draft.skip_history {
            self.epochs.forget(room);
        }
        let position = found.map(|at| LogPosition { offset: 0, ..self.logs[at as usize].position() });
        let epoch = position.map_or(0, |position| position.epoch);
        let publication = Arc::new(Publication { epoch, offset: 0, draft });
        self.events.push_back(HomeEvent::Publication { room: room.clone(), publication });
        position
    }

    /// Sees to it that all logs are within `history_bytes`: the fullest gives up its oldest. `at` has just been published to,
    /// and has its deadline armed later.
    fn enforce_history_bytes(&mut self, now: Instant, at: u32, limits: &Limits) {
        while self.bytes() > limits.history_bytes {
            let fullest = self.fullness.fullest().expect("what is retained is in a log");
            while self.bytes() > limits.history_bytes && self.fullness.fullest() == Some(fullest) {
                self.logs[fullest as usize].drop_oldest(&mut self.charges);
                self.update_fullness(fullest);
            }
            if fullest != at {
                self.evict_or_arm(now, fullest, limits);
            }
        }
    }

    /// Puts a log where it belongs by the bytes that it holds.
    fn update_fullness(&mut self, at: u32) {
        self.fullness.set(at, self.logs[at as usize].bytes());
    }

    /// The log of a room of which none is remembered.
    fn new_log(&self, room: &Name) -> Log {
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

    /// Forgets a log when there is no reason left to remember it, and else arms its next deadline.
    fn evict_or_arm(&mut self, now: Instant, at: u32, limits: &Limits) {
        if self.logs[at as usize].forgotten_at(limits.log_memory) <= now {
            self.evict_log(at);
        } else {
            self.arm(at, limits);
        }
    }

    /// Arms a log's next deadline, and puts it into its place in the order of eviction.
    fn arm(&mut self, at: u32, limits: &Limits) {
        let log = &mut self.logs[at as usize];
        let (deadline, place) = (Self::deadline(log, limits), log.eviction_order());
        self.timers.rearm(at, &mut log.armed, deadline);
        self.idle.set(at, &mut log.place, place);
    }

    fn deadline(log: &Log, limits: &Limits) -> Instant {
        log.ages_out(limits.history_age).min(log.forgotten_at(limits.log_memory))
    }

    fn evict_log(&mut self, at: u32) {
        let mut log = self.logs.remove(at as usize);
        assert!(log.members.is_empty(), "G2: a log with members stays");
        self.timers.rearm(at, &mut log.armed, Instant::NEVER);
        self.idle.set(at, &mut log.place, None);
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

/// The bytes that a list of members may have, for whom it is.
fn presence_bytes(from: &Origin, limits: &Limits) -> usize {
    match from {
        Origin::Call(_) => limits.api_reply_bytes,
        Origin::Json { .. } | Origin::Plain { .. } => limits.reply_bytes,
    }
}

/// Whether logs retain anything at all.
pub(crate) fn keeps_history(limits: &Limits) -> bool {
    limits.history_messages > 0 && !limits.history_age.is_zero() && limits.largest_log() > 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{audit_finds, client_info, draft};

    /// A room with somebody in it, another that only its log keeps, and a key that is remembered.
    fn busy() -> (Home, Limits) {
        let limits = Limits::default();
        let mut home = Home::new(Keys(1, 2), Keys(3, 4));
        let (conn, join) = (ConnId::from_parts(0, 0), JoinId(1));
        let joins =
            HomeRequest::Join { conn, join, room: Name::from("a"), member: client_info(1), replay: Replay::None };
        home.handle(Instant(1), joins, &limits);
        for room in ["a", "b"].map(Name::from) {
            home.publish_once(Instant(1), &room, draft("1"), Some("key".into()), &limits);
        }
        (home, limits)
    }

    #[test]
    fn its_audit_finds_what_is_wrong() {
        audit_finds(
            busy,
            |(home, limits)| home.audit(limits),
            &[
                ("G6: idempotency keys are bounded", |(_, limits)| limits.idempotency_keys = 1),
                ("G3: names and logs are the same ones", |(home, _)| drop(home.by_name.pop())),
                ("G6: logs are bounded", |(_, limits)| limits.logs = 1),
                ("G6: history is bounded", |(_, limits)| limits.history_bytes = 1),
                ("G3: a log is found by its name", |(home, _)| home.logs[0].name = Name::from("c")),
                ("G6: rooms are bounded", |(home, limits)| home.occupied = limits.logs + 1),
                ("is kept though it holds nothing", |(home, _)| {
                    home.logs[1] = home.new_log(&Name::from("b"));
                }),
                ("G3: logs without members are known", |(home, _)| home.idle = Idle::default()),
                ("G3: what makes room for others is in its place", |(home, _)| home.logs[1].touch(Instant(1), 9)),
                ("G6: what is retained has a deadline", |(home, _)| home.logs[0].armed = Instant::NEVER),
                ("G7: a deadline is in the queue", |(home, _)| home.timers = Timers::default()),
                ("G3: no log that is gone waits", |(home, _)| {
                    home.idle.set(9, &mut None, home.logs[1].place);
                }),
                ("G3: no log that is gone has a deadline", |(home, _)| {
                    home.timers.rearm(9, &mut Instant::NEVER.clone(), Instant(9));
                }),
                ("G8: logs are counted", |(home, _)| home.numbered -= 1),
                ("G8: rooms are counted", |(home, _)| home.occupied += 1),
                ("G8: history counts its bytes", |(home, _)| home.charges.charge(&draft("1"))),
                ("G8: a log is in the bucket of its bytes", |(home, _)| home.fullness.set(0, 9)),
            ],
        );
    }
}
