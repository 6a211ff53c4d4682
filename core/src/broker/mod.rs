//! The authority for rooms: it gives every message its place, keeps what may be asked for again, and knows who is in.

mod idempotency;
mod log;

pub(crate) use log::Log;

use crate::api::HistoryQuery;
use crate::code::{Error, ErrorCode};
use crate::ids::{ClientId, ClientInfo, ConnId, Name};
use crate::limits::{Limit, Limits};
use crate::link::{Draft, Entry, News, Page, Position, Replay, Request};
use crate::map::{Keys, Map};
use crate::registry::{JoinId, index};
use crate::time::Instant;
use crate::timers::Timers;
use alloc::collections::{BTreeSet, VecDeque};
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use idempotency::Idempotency;
use log::Member;
use slab::Slab;

/// The logs of all rooms, and the members of each.
#[derive(Clone, Debug)]
pub(crate) struct Broker {
    by_name: Map<Name, u32>,
    logs: Slab<Log>,
    timers: Timers<u32>,
    /// Logs without members by when they lost the last one: the first to go when room is needed.
    idle: BTreeSet<(u64, u32)>,
    /// Counts the times that a log lost its last member.
    idle_count: u64,
    /// Bytes that all logs retain.
    bytes: usize,
    epochs: Epochs,
    idempotency: Idempotency,
    keys: Keys,
    /// What waits to be taken by the hub.
    pub news: VecDeque<News>,
}

impl Broker {
    pub fn new(keys: Keys, epoch_seed: u64) -> Self {
        Self {
            by_name: Map::with_hasher(keys),
            logs: Slab::new(),
            timers: Timers::default(),
            idle: BTreeSet::new(),
            idle_count: 0,
            bytes: 0,
            epochs: Epochs(epoch_seed),
            idempotency: Idempotency::new(keys),
            keys,
            news: VecDeque::new(),
        }
    }

    /// Handles one request; the answers are in [`Broker::news`].
    pub fn handle(&mut self, now: Instant, request: Request, limits: &Limits) {
        match request {
            Request::Join { conn, join, room, member, replay } => {
                if let Err(error) = self.join(conn, Member { info: member, join }, room, &replay, limits) {
                    self.news.push_back(News::JoinRefused { conn, join, error });
                }
            }
            Request::Leave { room, client, join } => self.leave(&room, client, join),
            Request::Rename { room, join, member } => self.rename(&room, join, member),
            Request::Publish { from, room, draft, idempotency_key } => {
                let result = self.publish_once(now, &room, draft, idempotency_key, limits);
                self.news.push_back(News::Published { from, room, result });
            }
            Request::History { from, room, query } => {
                let result = self.history(&room, &query, limits);
                self.news.push_back(News::History { from, room, result });
            }
            Request::Presence { from, room, only_counts } => {
                let members = self.find(&room).map(|at| &self.logs[at as usize].members);
                let members = members.into_iter().flat_map(|members| members.values());
                let members = members.map(|member| Arc::clone(&member.info)).collect();
                self.news.push_back(News::Presence { from, members, only_counts });
            }
            Request::RemoveHistory { from, room } => {
                if let Some(at) = self.find(&room) {
                    self.bytes -= self.logs[at as usize].drop_all();
                    self.settle(at, limits);
                }
                self.news.push_back(News::HistoryRemoved { from });
            }
        }
    }

    /// Drops what has been retained for long enough.
    pub fn tick(&mut self, now: Instant, limits: &Limits) {
        while let Some(at) = self.timers.due(now) {
            let log = &mut self.logs[at as usize];
            self.bytes -= log.drop_older(now, limits.history_age);
            self.settle(at, limits);
        }
        self.idempotency.tick(now);
    }

    /// When [`Broker::tick`] is next useful.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.timers.next().into_iter().chain(self.idempotency.next_deadline()).min()
    }

    /// The logs, in no order that means anything.
    pub fn logs(&self) -> impl Iterator<Item = &Log> {
        self.logs.iter().map(|(_, log)| log)
    }

    /// Bytes that all logs retain.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many members the broker holds a room to have.
    pub fn member_count(&self, room: &str) -> usize {
        self.find(room).map_or(0, |at| self.logs[at as usize].members.len())
    }

    /// Checks that nothing empty is kept (G3), that every bound holds (G6) and that counts are right (G8).
    pub fn audit(&self, limits: &Limits) {
        self.idempotency.audit(limits);
        assert_eq!(self.by_name.len(), self.logs.len(), "G3: names and logs are the same ones");
        assert!(self.logs.len() <= limits.logs, "G6: logs are bounded");
        assert!(self.bytes <= limits.history_bytes, "G6: history is bounded");
        let mut bytes = 0;
        let mut armed = 0;
        for (at, log) in &self.logs {
            assert_eq!(self.find(&log.name), Some(index(at)), "G3: a log is found by its name");
            assert!(!log.is_void(), "G3: the log of {:?} is kept though it holds nothing", log.name);
            let idle = log.idle_since.is_some_and(|since| self.idle.contains(&(since, index(at))));
            assert_eq!(idle, log.members.is_empty(), "G3: logs without members are known as such");
            assert_eq!(log.armed, log.ages_out(limits.history_age), "G6: what is retained has a deadline");
            if log.armed != Instant::NEVER {
                armed += 1;
                assert!(self.timers.holds(index(at), log.armed), "G7: a deadline is in the queue");
            }
            bytes += log.audit(limits);
        }
        let idle = self.logs.iter().filter(|(_, log)| log.members.is_empty()).count();
        assert_eq!(self.idle.len(), idle, "G3: no log that is gone waits for eviction");
        assert_eq!(self.timers.len(), armed, "G3: no log that is gone has a deadline");
        assert_eq!(self.bytes, bytes, "G8: history counts its bytes");
    }

    fn join(
        &mut self,
        conn: ConnId,
        member: Member,
        room: Name,
        replay: &Replay,
        limits: &Limits,
    ) -> Result<(), Error> {
        let at = self.find_or_make(&room, limits)?;
        let log = &mut self.logs[at as usize];
        let replay = match log.replay(replay, limits) {
            Ok(replay) => replay,
            Err(error) => {
                self.drop_if_void(at);
                return Err(error);
            }
        };
        if log.members.is_empty() {
            self.news.push_back(News::Occupied(room.clone()));
        }
        if let Some(since) = log.idle_since.take() {
            self.idle.remove(&(since, at));
        }
        let (info, join) = (Arc::clone(&member.info), member.join);
        log.members.insert(info.client, member);
        let position = log.position();
        self.news.push_back(News::Joined { conn, client: info.client, join, room: room.clone(), position, replay });
        self.news.push_back(News::Came { room, member: info });
        Ok(())
    }

    fn leave(&mut self, room: &Name, client: ClientId, join: JoinId) {
        let Some(at) = self.find(room) else { return };
        let log = &mut self.logs[at as usize];
        if log.members.get(&client).is_none_or(|member| member.join != join) {
            return;
        }
        let Some(member) = log.members.swap_remove(&client) else { return };
        if log.members.is_empty() {
            self.idle_count += 1;
            log.idle_since = Some(self.idle_count);
            self.idle.insert((self.idle_count, at));
            self.news.push_back(News::Vacated(room.clone()));
            self.drop_if_void(at);
        } else {
            self.news.push_back(News::Went { room: room.clone(), member: member.info });
        }
    }

    fn rename(&mut self, room: &Name, join: JoinId, info: Arc<ClientInfo>) {
        let Some(at) = self.find(room) else { return };
        let member = self.logs[at as usize].members.get_mut(&info.client).filter(|member| member.join == join);
        if let Some(member) = member {
            let before = core::mem::replace(&mut member.info, Arc::clone(&info));
            self.news.push_back(News::Went { room: room.clone(), member: before });
            self.news.push_back(News::Came { room: room.clone(), member: info });
        }
    }

    fn history(&self, room: &Name, query: &HistoryQuery, limits: &Limits) -> Result<Page, Error> {
        match self.find(room) {
            Some(at) => self.logs[at as usize].page(query, limits),
            None if query.since.as_ref().is_some_and(|since| !since.epoch.is_empty()) => {
                Err(ErrorCode::Unrecoverable.into())
            }
            None => Ok(Page { entries: Vec::new(), position: None }),
        }
    }

    fn publish_once(
        &mut self,
        now: Instant,
        room: &Name,
        draft: Draft,
        key: Option<String>,
        limits: &Limits,
    ) -> Result<Position, Error> {
        let Some(key) = key else { return self.publish(now, room, draft, limits) };
        if let Some(position) = self.idempotency.find(room, &key) {
            return Ok(position);
        }
        let position = self.publish(now, room, draft, limits)?;
        self.idempotency.remember(now, room, key, position, limits);
        Ok(position)
    }

    fn publish(&mut self, now: Instant, room: &Name, draft: Draft, limits: &Limits) -> Result<Position, Error> {
        let retained = !draft.skip_history && keeps_history(limits);
        let at = self.find_or_make(room, limits)?;
        if retained && let Err(error) = self.make_room_for(at, draft.bytes(), limits) {
            self.drop_if_void(at);
            return Err(error);
        }
        let log = &mut self.logs[at as usize];
        let offset = if draft.skip_history { 0 } else { log.next_offset() };
        let entry = Arc::new(Entry { epoch: log.position().epoch, offset, draft });
        if retained {
            self.bytes += entry.draft.bytes();
            self.bytes -= log.retain(now, Arc::clone(&entry), limits.history_messages);
        }
        let position = Position { offset, ..log.position() };
        self.news.push_back(News::Entry { room: room.clone(), entry });
        self.settle(at, limits);
        Ok(position)
    }

    /// Sees to it that one more message of this size is within `history_bytes`, by dropping logs without members.
    fn make_room_for(&mut self, at: u32, bytes: usize, limits: &Limits) -> Result<(), Error> {
        let freed = self.logs[at as usize].bytes_of_oldest_if_full(limits.history_messages);
        while self.bytes + bytes - freed > limits.history_bytes {
            let Some(victim) = self.idle.iter().map(|(_, log)| *log).find(|log| *log != at) else {
                return Err(Error::limit(ErrorCode::LimitExceeded, Limit::HistoryBytes, "history is full"));
            };
            self.discard(victim);
        }
        Ok(())
    }

    fn find_or_make(&mut self, room: &Name, limits: &Limits) -> Result<u32, Error> {
        if let Some(at) = self.find(room) {
            return Ok(at);
        }
        if self.logs.len() >= limits.logs {
            let Some((_, oldest)) = self.idle.first().copied() else {
                return Err(Error::limit(ErrorCode::LimitExceeded, Limit::Logs, "too many rooms on this node"));
            };
            self.discard(oldest);
        }
        self.idle_count += 1;
        let log = Log::new(room.clone(), self.epochs.next(), self.idle_count, self.keys);
        let at = index(self.logs.insert(log));
        self.idle.insert((self.idle_count, at));
        self.by_name.insert(room.clone(), at);
        Ok(at)
    }

    /// Arms the deadline of what a log retains, or drops the log when it has no reason to be.
    fn settle(&mut self, at: u32, limits: &Limits) {
        let log = &mut self.logs[at as usize];
        let ages_out = log.ages_out(limits.history_age);
        self.timers.rearm(at, &mut log.armed, ages_out);
        self.drop_if_void(at);
    }

    fn drop_if_void(&mut self, at: u32) {
        if self.logs[at as usize].is_void() {
            self.discard(at);
        }
    }

    fn discard(&mut self, at: u32) {
        let mut log = self.logs.remove(at as usize);
        assert!(log.members.is_empty(), "G2: a log with members stays");
        self.timers.rearm(at, &mut log.armed, Instant::NEVER);
        self.by_name.swap_remove(&log.name);
        self.bytes -= log.bytes();
        if let Some(since) = log.idle_since {
            self.idle.remove(&(since, at));
        }
    }

    fn find(&self, room: &str) -> Option<u32> {
        self.by_name.get(room).copied()
    }
}

/// Whether logs retain anything at all.
pub(crate) fn keeps_history(limits: &Limits) -> bool {
    limits.history_messages > 0 && !limits.history_age.is_zero()
}

/// Names for logs that do not come twice: a counter, scattered by a permutation of all 64-bit numbers.
#[derive(Clone, Debug)]
struct Epochs(u64);

impl Epochs {
    /// The finalizer of SplitMix64 over a Weyl sequence, both of them one-to-one.
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{audit_finds, draft, somebody};

    /// A room with somebody in it, another that only its log keeps, and a key that is remembered.
    fn busy() -> (Broker, Limits) {
        let limits = Limits::default();
        let mut broker = Broker::new(Keys(1, 2), 0);
        let (conn, join) = (ConnId { slot: 0, generation: 0 }, JoinId(1));
        let joins = Request::Join { conn, join, room: Name::from("a"), member: somebody(1), replay: Replay::None };
        broker.handle(Instant(1), joins, &limits);
        for room in ["a", "b"].map(Name::from) {
            broker.publish_once(Instant(1), &room, draft("1"), Some("key".into()), &limits).expect("it is");
        }
        (broker, limits)
    }

    #[test]
    fn its_audit_finds_what_is_wrong() {
        audit_finds(
            busy,
            |(broker, limits)| broker.audit(limits),
            &[
                ("G6: idempotency keys are bounded", |(_, limits)| limits.idempotency_keys = 1),
                ("G3: names and logs are the same ones", |(broker, _)| drop(broker.by_name.pop())),
                ("G6: logs are bounded", |(_, limits)| limits.logs = 1),
                ("G6: history is bounded", |(_, limits)| limits.history_bytes = 1),
                ("G3: a log is found by its name", |(broker, _)| broker.logs[0].name = Name::from("c")),
                ("is kept though it holds nothing", |(broker, _)| {
                    broker.logs[1].drop_all();
                }),
                ("G3: logs without members are known", |(broker, _)| broker.idle.clear()),
                ("G6: what is retained has a deadline", |(broker, _)| broker.logs[0].armed = Instant::NEVER),
                ("G7: a deadline is in the queue", |(broker, _)| broker.timers = Timers::default()),
                ("G3: no log that is gone waits", |(broker, _)| {
                    broker.idle.insert((9, 9));
                }),
                ("G3: no log that is gone has a deadline", |(broker, _)| {
                    broker.timers.rearm(9, &mut Instant::NEVER.clone(), Instant(9));
                }),
                ("G8: history counts its bytes", |(broker, _)| broker.bytes += 1),
            ],
        );
    }

    /// The first numbers of SplitMix64 from the seed 1234567, as its reference implementation gives them.
    #[test]
    fn epochs_are_scattered_one_to_one() {
        let mut epochs = Epochs(1_234_567);
        let first = [epochs.next(), epochs.next(), epochs.next()];
        assert_eq!(first, [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]);
    }
}
