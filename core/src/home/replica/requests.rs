//! Requests of hubs about rooms that follow an engine, and the events of the engine.

use super::copy::CopiedRoom;
use super::state::{EngineAsker, OUT_OF_REACH, PAUSE, Replica, UNKNOWN, is_up_after};
use crate::api::HistoryQuery;
use crate::config::Config;
use crate::engine::follow::{JoinStart, RoomFollower};
use crate::engine::{EngineError, EngineEvent, EnginePage, EngineRequest, EngineTicket};
use crate::error::{Error, ErrorCode};
use crate::home::{Home, Log};
use crate::link::{HomeEvent, Ticket};
use crate::names::RoomName;
use crate::node::ShardId;
use crate::publication::{Draft, EpochText, LogPage};
use crate::time::{Deadline, Instant};
use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::mem;

impl Home {
    /// Whether the engine orders a room, and not this home.
    #[inline]
    pub(in crate::home) fn follows(&self, room: &RoomName) -> bool {
        self.replica.is_some() && !room.is_of_canary()
    }

    /// Has the rooms follow an engine from now on.
    pub fn follow_engine(&mut self) {
        self.replica = Some(Box::new(Replica::new(self.keys)));
    }

    /// Whether something that hubs have asked waits for the engine.
    pub fn awaits_engine(&self) -> bool {
        self.replica.as_ref().is_some_and(|replica| !replica.asked.is_empty() || !replica.joins.is_empty())
    }

    pub(super) fn replica(&mut self) -> &mut Replica {
        self.replica.as_mut().expect("an engine is asked by those who follow one")
    }

    /// Has the engine append a draft, unless it knows the idempotency key. The hub is answered when it has.
    pub(in crate::home) fn append(
        &mut self,
        hub: ShardId,
        ticket: Ticket,
        room: RoomName,
        draft: Draft,
        key: Option<String>,
    ) {
        let replica = self.replica();
        if replica.is_up() {
            let ticket = replica.wait(EngineAsker::Publish(hub, ticket));
            replica.requests.push_back(EngineRequest::Append { ticket, room, draft: Arc::new(draft), key });
        } else {
            self.fail(hub, ticket, "the engine cannot be reached: nothing was published");
        }
    }

    /// Reads a log at the engine. The hub is answered when that has.
    pub(in crate::home) fn read_engine(
        &mut self,
        hub: ShardId,
        ticket: Ticket,
        room: RoomName,
        query: HistoryQuery,
        config: &Config,
    ) {
        let is_position = query.limit.most() == 0 && query.since.is_none();
        if is_position && let Some(at) = self.find(&room) {
            // Its members have had everything up to there, which the engine's newest may not be yet.
            let result = self.logs[at as usize].page(&query, &config.limits);
            return self.outgoing.tell(hub, HomeEvent::History { ticket, result });
        }
        let replica = self.replica();
        if replica.is_up() {
            let ticket = replica.wait(EngineAsker::History(hub, ticket, query.clone()));
            replica.requests.push_back(EngineRequest::Read { ticket, room, query });
        } else {
            self.fail(hub, ticket, OUT_OF_REACH);
        }
    }

    /// Has the engine remove what a log retains. The hub is answered when it has.
    pub(in crate::home) fn remove_history(&mut self, hub: ShardId, ticket: Ticket, room: RoomName) {
        let replica = self.replica();
        if replica.is_up() {
            let ticket = replica.wait(EngineAsker::Removal(hub, ticket));
            replica.requests.push_back(EngineRequest::Forget { ticket, room });
        } else {
            self.fail(hub, ticket, OUT_OF_REACH);
        }
    }

    fn fail(&mut self, hub: ShardId, ticket: Ticket, words: impl Into<Cow<'static, str>>) {
        self.outgoing.tell(hub, HomeEvent::Failed { ticket, error: Error::new(ErrorCode::Internal, words) });
    }

    /// Handles what the engine has to say.
    pub fn on_engine_event(&mut self, now: Instant, event: EngineEvent, config: &Config) {
        match event {
            EngineEvent::Up | EngineEvent::Down => self.link_changed(now, matches!(event, EngineEvent::Up), config),
            EngineEvent::Followed { ref room, .. } | EngineEvent::Entry { ref room, .. } => {
                let room = room.clone();
                self.with_follower(now, &room, config, |follower, copy| follower.on_event(event, copy));
            }
            EngineEvent::Appended { ticket, result } => {
                let Some(EngineAsker::Publish(hub, ticket)) = self.replica().take_asked(ticket) else { return };
                match result {
                    Ok(position) => {
                        self.published += 1;
                        self.outgoing.tell(hub, HomeEvent::Published { ticket, position: Some(position) });
                    }
                    Err(error) => self.fail(hub, ticket, refusal(&error)),
                }
            }
            EngineEvent::Removed { room } => self.empty_copy(&room, config),
            EngineEvent::Forgotten { ticket, result } => {
                let Some(EngineAsker::Removal(hub, ticket)) = self.replica().take_asked(ticket) else { return };
                match result {
                    Ok(()) => self.outgoing.tell(hub, HomeEvent::HistoryRemoved { ticket }),
                    Err(error) => self.fail(hub, ticket, refusal(&error)),
                }
            }
            EngineEvent::Read { ticket, room, result } => self.page_read(now, ticket, room, result, config),
        }
        self.tidy(now, config);
    }

    fn page_read(
        &mut self,
        now: Instant,
        ticket: EngineTicket,
        room: RoomName,
        result: Result<EnginePage, EngineError>,
        config: &Config,
    ) {
        if let Some(EngineAsker::History(hub, ticket, query)) = self.replica().take_asked(ticket) {
            match result {
                Ok(page) => {
                    let result = page_since(page, &query).map(|page| Log::cut(page, &query, &config.limits));
                    self.outgoing.tell(hub, HomeEvent::History { ticket, result });
                }
                Err(error) => self.fail(hub, ticket, refusal(&error)),
            }
        } else if self.replica().joins.reads_newest(ticket) {
            let position = self.find(&room).map(|at| self.logs[at as usize].position());
            let newest = result.ok().filter(|page| Some(page.position) == position).map(|page| page.publications);
            self.admit(now, ticket, newest.map_or(JoinStart::FromCopy, JoinStart::Recovered), config);
        } else {
            let event = EngineEvent::Read { ticket, room: room.clone(), result };
            self.with_follower(now, &room, config, |follower, copy| follower.on_event(event, copy));
        }
    }

    /// A link begins or ends. The followers are told one after the other by [`Home::do_replica_work`], or before the next that
    /// happens to their room.
    fn link_changed(&mut self, now: Instant, is_up: bool, config: &Config) {
        let replica = self.replica();
        if replica.is_up() == is_up {
            return;
        }
        replica.changes += 1;
        replica.behind = replica.rooms.len();
        if is_up {
            return;
        }
        // What was asked is not answered any more, but for the joins: their followers ask again.
        let mut unanswered: Vec<(EngineTicket, EngineAsker)> = replica.asked.drain(..).collect();
        unanswered.sort_unstable_by_key(|(ticket, _)| *ticket);
        for (_, asked) in unanswered {
            match asked {
                EngineAsker::Publish(hub, ticket) | EngineAsker::Removal(hub, ticket) => {
                    self.fail(hub, ticket, UNKNOWN)
                }
                EngineAsker::History(hub, ticket, _) => self.fail(hub, ticket, OUT_OF_REACH),
            }
        }
        for ticket in self.replica().joins.that_read() {
            self.admit(now, ticket, JoinStart::FromCopy, config);
        }
    }

    /// Whether there are followers that are behind the link, or joins that have waited for too long.
    pub fn has_replica_work(&self) -> bool {
        self.replica
            .as_ref()
            .is_some_and(|replica| replica.behind > 0 || replica.joins.is_any_overdue() || !replica.retrying.is_empty())
    }

    /// Tells a follower of the last change of the link, or refuses a join that has waited for too long. Returns `false` when
    /// there is nothing to do.
    pub fn do_replica_work(&mut self, now: Instant, config: &Config) -> bool {
        if self.replica.is_none() {
            return false;
        }
        if self.refuse_overdue_join(now, config) {
            return true;
        }
        let replica = self.replica();
        if let Some(room) = replica.retrying.pop() {
            self.with_follower(now, &room, config, |follower, copy| follower.retry(copy));
            return true;
        }
        // From the last to the first: where one is removed, one that was told takes its place.
        let Some(at) = replica.behind.checked_sub(1) else { return false };
        replica.behind = at;
        if let Some((room, _)) = replica.rooms.get_index(at) {
            let room = room.clone();
            self.with_follower(now, &room, config, |_, _| {});
        }
        true
    }

    /// Notes that joins which came early enough have waited for too long.
    pub(in crate::home) fn tick_replica(&mut self, now: Instant, config: &Config) {
        let replica = self.replica();
        replica.joins.tick(now);
        if replica.retry_at.is_due(now) {
            replica.retrying.extend(mem::take(&mut replica.refused));
            replica.retry_at = Deadline::NONE;
        }
        self.tidy(now, config);
    }

    /// A copy was dropped: its room is not to be followed once nothing waits for it.
    pub(in crate::home) fn copy_dropped(&mut self, room: &RoomName) {
        self.replica().vacant.push(room.clone());
    }

    /// Keeps the copies within the limit, and follows no room that has lost its copy.
    pub fn tidy(&mut self, now: Instant, config: &Config) {
        // One more than what can have come by one event, so that a lowered limit is reached.
        for _ in 0..2 {
            if let Some(oldest) = self.idle.oldest().filter(|_| self.logs.len() > config.limits.logs) {
                self.evict_log(oldest);
                self.evictions.logs += 1;
            }
        }
        while let Some(room) = self.replica().vacant.pop() {
            self.with_follower(now, &room, config, |_, _| {});
        }
    }

    /// Lets the follower of a room act, if there is one, once it has been told of the link. A room that has no copy afterwards
    /// is not followed any longer, unless its follower waits for something.
    pub(super) fn with_follower(
        &mut self,
        now: Instant,
        room: &RoomName,
        config: &Config,
        act: impl FnOnce(&mut RoomFollower, &mut CopiedRoom<'_>),
    ) {
        let replica = self.replica();
        let changes = replica.changes;
        let Some(followed) = replica.rooms.get_mut(room) else { return };
        let told = mem::replace(&mut followed.told, changes);
        let mut follower = followed.follower.take().expect("a follower does one thing at a time");
        let mut copy = CopiedRoom { home: self, now, room, config };
        if told != changes && is_up_after(told) {
            follower.on_event(EngineEvent::Down, &mut copy);
        }
        if told != changes && is_up_after(changes) {
            follower.on_event(EngineEvent::Up, &mut copy);
        }
        act(&mut follower, &mut copy);
        let is_over = copy.home.find(room).is_none() && follower.end(&mut copy);
        let rooms = &mut self.replica().rooms;
        if is_over && rooms[room].joins.is_empty() {
            rooms.swap_remove(room);
            return;
        }
        let is_refused = follower.is_refused();
        rooms[room].follower = Some(follower);
        if is_refused {
            let replica = self.replica();
            replica.refused.insert(room.clone());
            replica.retry_at = replica.retry_at.min(now.after(PAUSE).into());
        }
    }
}

impl Home {
    /// Asserts that exactly those rooms are followed whose copy is here, or whose followers wait. O(n) in the logs and rooms.
    pub(in crate::home) fn audit_replica(&self) {
        let Some(replica) = &self.replica else { return };
        assert!(replica.requests.is_empty() && replica.vacant.is_empty(), "a turn ends with nothing undone");
        for log in self.logs().filter(|log| self.follows(&log.name)) {
            assert!(replica.rooms.contains_key(&log.name), "G2: a copy has a follower");
        }
        for (room, followed) in &replica.rooms {
            let follower = followed.follower.as_ref().expect("a turn ends with nothing undone");
            let is_kept = self.find(room).is_some() || follower.is_reading() || !followed.joins.is_empty();
            assert!(is_kept, "G3: {room:?} is followed without a copy or a join");
        }
    }
}

/// Returns a page for who has asked this.
///
/// # Errors
/// Returns 112 when the position that was named is of another epoch.
fn page_since(EnginePage { publications, position }: EnginePage, query: &HistoryQuery) -> Result<LogPage, Error> {
    let is_of = |epoch: &str| epoch.is_empty() || *epoch == *EpochText::of(position.epoch);
    match &query.since {
        Some(since) if !is_of(&since.epoch) => Err(ErrorCode::Unrecoverable.into()),
        _ => Ok(LogPage { publications, position: Some(position) }),
    }
}

/// Returns the words for what was certainly not done.
fn refusal(error: &EngineError) -> String {
    match error {
        EngineError::Refused(word) => format!("the engine has refused this: {word}"),
        EngineError::NotSent => OUT_OF_REACH.into(),
    }
}
