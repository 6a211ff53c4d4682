//! Accounts of rooms and publications, derived from the logs: nothing is changed.

use super::{Home, Log};
use crate::config::Config;
use crate::explain::{PublicationAccount, RoomAccount, UnknownPublication};
use crate::names::RoomName;
use crate::time::Instant;

impl Home {
    /// The account of a room whose home this is.
    pub fn room_account(&self, room: &RoomName, config: &Config, now: Instant) -> RoomAccount {
        let log = self.find(room).map(|at| &self.logs[at as usize]);
        RoomAccount {
            room: room.clone(),
            policy: config.policy(room).clone(),
            members: log.map_or(0, |log| log.members.len()),
            users: log.map_or(0, |log| log.members.users()),
            absent: self.absences.count(room),
            followed_to: None,
            log: log.map(|log| log.account(self.memory(room, config), now)),
        }
    }

    /// The account of a publication. O(log n) in what the log retains.
    ///
    /// # Errors
    /// The reason for which it is not known.
    pub fn publication_account(
        &self,
        room: &RoomName,
        epoch: &str,
        offset: u64,
        now: Instant,
    ) -> Result<PublicationAccount, UnknownPublication> {
        let log: &Log = self.find(room).map(|at| &self.logs[at as usize]).ok_or(UnknownPublication::NoLog)?;
        log.publication_account(epoch, offset, now)
    }
}
