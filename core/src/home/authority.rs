//! The order of rooms whose home is their authority: it numbers their publications, and retains them.

use super::Home;
use crate::api::HistoryQuery;
use crate::config::Config;
use crate::error::Error;
use crate::link::HomeEvent;
use crate::names::RoomName;
use crate::publication::{Draft, LogPage, LogPosition, Publication};
use crate::time::Instant;
use alloc::string::String;
use alloc::sync::Arc;

impl Home {
    pub(super) fn history(&self, room: &RoomName, query: &HistoryQuery, config: &Config) -> Result<LogPage, Error> {
        match self.find(room) {
            Some(at) => self.logs[at as usize].page(query, &config.limits),
            None => Ok(LogPage { position: None, ..self.new_log(room).page(query, &config.limits)? }),
        }
    }

    /// Publishes a draft unless its idempotency key is known. Returns the position of the publication with this key.
    pub(super) fn publish_once(
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
    pub(super) fn publish(
        &mut self,
        now: Instant,
        room: &RoomName,
        draft: Draft,
        config: &Config,
    ) -> Option<LogPosition> {
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
        self.retain(now, at, &publication, config);
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

    /// Has the log retain its newest publication, as the policy of the room says.
    #[inline]
    pub(super) fn retain(&mut self, now: Instant, at: u32, publication: &Arc<Publication>, config: &Config) {
        let log = &mut self.logs[at as usize];
        if config.keeps_history(&log.name) {
            // The excess that a lowered limit leaves is dropped over several turns, not by whoever publishes next.
            let most = config.limits.history_bytes.max(self.charges.bytes());
            log.retain(now, Arc::clone(publication), config, &mut self.charges);
            self.update_fullness(at);
            self.enforce_history_bytes(now, at, most, config);
        } else if log.retains() {
            // A reload has ended the history of the room, and has not come to its log yet: what is retained has no hole.
            log.drop_all(&mut self.charges);
            self.update_fullness(at);
        }
    }

    /// Returns `true` when a log may begin with this draft in a room without members: it will be retained, and the
    /// number of logs is below `logs` or an idle log can be evicted. Counts one that has no place.
    pub(super) fn admit_log(&mut self, room: &RoomName, draft: &Draft, config: &Config) -> bool {
        let fits = config.keeps_history(room) && draft.bytes() <= config.policy(room).largest_log(&config.limits);
        let has_place = self.numbered < config.limits.logs || self.idle.oldest().is_some();
        self.evictions.logs += u64::from(fits && !has_place);
        fits && has_place
    }

    /// Delivers a draft that gets no offset. When no log exists for it to be numbered in, although the draft asks for
    /// history, the epoch changes as if a log with it had been evicted: a client that returns to the room then learns
    /// that it has missed a publication.
    pub(super) fn deliver_unlogged(
        &mut self,
        room: &RoomName,
        found: Option<u32>,
        draft: Draft,
    ) -> Option<LogPosition> {
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

    /// Drops the oldest publications of the fullest logs until all have at most so many bytes. The deadline of `at`, which has
    /// just been published to, is armed by the caller.
    pub(super) fn enforce_history_bytes(&mut self, now: Instant, at: u32, most: usize, config: &Config) {
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
}
