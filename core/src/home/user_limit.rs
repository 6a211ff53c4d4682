//! The bound of a user's connections, which are the members of the user's personal room.

use super::Home;
use super::members::{LeftRoom, Member};
use crate::config::{Config, UserLimit};
use crate::error::{Error, ErrorCode};
use crate::limits::{Limit, Limits};
use crate::link::HomeEvent;
use crate::names::RoomName;
use crate::time::Instant;
use alloc::format;

impl Home {
    /// Returns the number of members that a room may have: `connections_per_user` in a personal room.
    pub(super) fn most_members(room: &RoomName, limits: &Limits) -> usize {
        let most = limits.connections_per_user.filter(|_| room.is_reserved());
        most.map_or(usize::MAX, core::num::NonZero::get)
    }

    /// Decides whether a user may have one more connection. Where not, the others are probed. One that was a member before
    /// takes the place of none that has come meanwhile: it has to come anew for that, as only a client that is there does.
    pub(super) fn admit_to_user(
        &mut self,
        found: Option<u32>,
        room: &RoomName,
        member: &Member,
        config: &Config,
    ) -> Result<(), Error> {
        let Some(at) = found else { return Ok(()) };
        let most = Self::most_members(room, &config.limits);
        let members = &self.logs[at as usize].members;
        let takes_place = config.user_limit == UserLimit::Replace && !member.is_return;
        if takes_place || members.len() < most || members.has(member.info.client) {
            return Ok(());
        }
        self.tell_members(at, HomeEvent::UserFull);
        let words = format!("too many connections; a user may have at most {most}");
        Err(Error::limit(ErrorCode::LimitExceeded, Limit::ConnectionsPerUser, &words))
    }

    /// Takes the connections of a user that are too many out of its personal room, the oldest first, and has them closed.
    pub(super) fn displace_oldest(&mut self, now: Instant, room: &RoomName, config: &Config) {
        let most = Self::most_members(room, &config.limits);
        while self.member_count(room) > most
            && let Some(at) = self.find(room)
            && let Some((client, hub, join)) = self.logs[at as usize].members.oldest()
        {
            self.outgoing.tell(hub, HomeEvent::Displaced { room: room.clone(), client, join });
            if let Some(LeftRoom { member, at }) = self.leave(now, room, hub, client, join, config) {
                self.departed(room, at, member.info);
            }
        }
    }
}
