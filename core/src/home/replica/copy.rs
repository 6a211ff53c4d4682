//! The copies of logs: what the follower of a room does to its home.

use crate::api::{HistoryLimit, HistoryQuery, Position};
use crate::config::Config;
use crate::engine::follow::{FollowerHome, JoinStart};
use crate::engine::{EngineRequest, EngineTicket};
use crate::home::Home;
use crate::link::HomeEvent;
use crate::names::RoomName;
use crate::publication::{LogPosition, Publication};
use crate::time::Instant;
use alloc::sync::Arc;

impl Home {
    /// Begins the copy of a log at a position of the engine's, with nothing retained.
    fn begin_copy(&mut self, now: Instant, room: &RoomName, position: LogPosition, config: &Config) -> u32 {
        let at = self.find(room).unwrap_or_else(|| self.insert(self.new_log(room)));
        let log = &mut self.logs[at as usize];
        self.numbered -= usize::from(log.is_numbered());
        log.begin_at(position, &mut self.charges);
        self.numbered += usize::from(log.is_numbered());
        if log.members.is_empty() {
            self.touch(now, at);
        }
        self.update_fullness(at);
        self.arm(at, config);
        at
    }

    /// Takes the next publication into the copy of a log.
    fn copy(&mut self, now: Instant, at: u32, publication: &Arc<Publication>, config: &Config) {
        let log = &mut self.logs[at as usize];
        self.numbered += usize::from(!log.is_numbered());
        log.go_on_to(publication);
        self.retain(now, at, publication, config);
        self.arm(at, config);
    }

    /// Drops what the copy of a log retains.
    pub(super) fn empty_copy(&mut self, room: &RoomName, config: &Config) {
        if let Some(at) = self.find(room) {
            self.logs[at as usize].drop_all(&mut self.charges);
            self.update_fullness(at);
            self.arm(at, config);
        }
    }

    /// The number of publications that the engine may have of so many newest ones.
    fn newest_there(room: &RoomName, most: usize, config: &Config) -> usize {
        let retained = if config.keeps_history(room) { config.policy(room).history_messages } else { 0 };
        most.min(retained).min(config.limits.reply_messages)
    }
}

/// The copy of a room's log and its members, for the room's follower.
pub(super) struct CopiedRoom<'a> {
    pub home: &'a mut Home,
    pub now: Instant,
    pub room: &'a RoomName,
    pub config: &'a Config,
}

impl FollowerHome for CopiedRoom<'_> {
    fn holds(&self, position: &Position) -> bool {
        self.home.find(self.room).is_some_and(|at| self.home.logs[at as usize].names(&position.epoch, position.offset))
    }

    fn ask(&mut self, request: EngineRequest) {
        self.home.replica().requests.push_back(request);
    }

    fn deliver(&mut self, publication: &Arc<Publication>) {
        // Without a copy there are no members.
        let Some(at) = self.home.find(self.room) else { return };
        if publication.offset != 0 {
            self.home.copy(self.now, at, publication, self.config);
        }
        self.home.tell_members(at, |room| HomeEvent::Publication { room, publication: Arc::clone(publication) });
    }

    fn restart(&mut self, position: LogPosition) {
        let at = self.home.begin_copy(self.now, self.room, position, self.config);
        self.home.tell_members(at, |room| HomeEvent::Restarted { room, position });
    }

    fn admit(&mut self, join: EngineTicket, position: LogPosition, start: JoinStart) {
        let at = self.home.find(self.room);
        let at = at.unwrap_or_else(|| self.home.begin_copy(self.now, self.room, position, self.config));
        let log = &self.home.logs[at as usize];
        let lacks = |most: usize| !log.has_newest(Home::newest_there(self.room, most, self.config));
        let replica = self.home.replica.as_mut().expect("a follower has an engine");
        if matches!(start, JoinStart::FromCopy)
            && replica.is_up()
            && let Some(most) = replica.joins.begin_to_read(join, lacks)
        {
            let limit = HistoryLimit::at_most(Home::newest_there(self.room, most, self.config));
            let query = HistoryQuery { limit, since: None, reverse: true };
            return self.ask(EngineRequest::Read { ticket: join, room: self.room.clone(), query });
        }
        self.home.admit(self.now, join, start, self.config);
    }
}
