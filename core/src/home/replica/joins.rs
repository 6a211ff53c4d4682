//! How connections become members of rooms that follow an engine.

use super::state::{FollowerOfRoom, OUT_OF_REACH};
use super::waiting::{JoinsOfRoom, WaitingJoin};
use crate::api::Position;
use crate::config::Config;
use crate::engine::EngineTicket;
use crate::engine::follow::{JoinStart, RoomFollower};
use crate::error::{Error, ErrorCode};
use crate::home::members::Joining;
use crate::home::{Home, Log};
use crate::ids::ClientInfo;
use crate::limits::Limit;
use crate::link::{HomeEvent, JoinId, Ticket};
use crate::names::RoomName;
use crate::node::ShardId;
use crate::publication::{EpochText, LogPosition, Replay, Replayed};
use crate::tallies::Recoveries;
use crate::time::Instant;
use alloc::format;
use alloc::sync::Arc;
use alloc::vec::Vec;

impl Home {
    /// Makes a connection a member once its position in the log is known.
    pub(in crate::home) fn join_followed(&mut self, now: Instant, joining: Joining, config: &Config) {
        let most = config.limits.logs;
        let replica = self.replica();
        if replica.joins.by_ticket.len() >= most {
            let words = format!("too many joins wait for the engine; at most {most} may");
            let error = Error::limit(ErrorCode::LimitExceeded, Limit::Logs, &words);
            let event = HomeEvent::JoinRefused { ticket: joining.ticket, error };
            return self.outgoing.tell(joining.member.hub, event);
        }
        let (room, since) = (joining.room.clone(), since(&joining.replay));
        let ticket = replica.issue();
        let (told, is_up) = (replica.changes, replica.is_up());
        let followed = replica.rooms.entry(room.clone()).or_insert_with(|| FollowerOfRoom {
            follower: Some(RoomFollower::new(room.clone(), is_up)),
            told,
            joins: JoinsOfRoom::default(),
        });
        followed.joins.waiting.insert(ticket);
        replica.joins.by_ticket.insert(ticket, WaitingJoin { joining, reads_newest: false });
        // The hub tells the client no later than this.
        replica.joins.deadlines.push_back((now.after(config.limits.ticket_timeout), ticket));
        self.with_follower(now, &room, config, |follower, copy| follower.join(ticket, since, copy));
        self.tidy(now, config);
    }

    /// Answers a hub behind the joins of the room so far.
    pub fn reach(&mut self, hub: ShardId, ticket: Ticket, room: &RoomName) {
        let replica = self.replica();
        let last = EngineTicket(replica.issued);
        match replica.rooms.get_mut(room).filter(|followed| !followed.joins.is_empty()) {
            Some(followed) => followed.joins.reaches.push((last, hub, ticket)),
            None => self.outgoing.tell(hub, HomeEvent::Reached { ticket }),
        }
    }

    /// Replaces the info of a connection that is not a member yet.
    pub fn rename_joining(&mut self, room: &RoomName, (hub, join): (ShardId, JoinId), info: &Arc<ClientInfo>) {
        let Some(replica) = &mut self.replica else { return };
        let Some(followed) = replica.rooms.get(room) else { return };
        for ticket in &followed.joins.waiting {
            let Some(WaitingJoin { joining, .. }) = replica.joins.by_ticket.get_mut(ticket) else { continue };
            if (joining.member.hub, joining.member.join) == (hub, join) {
                joining.member.info = Arc::clone(info);
            }
        }
    }

    /// Refuses a join that has waited for too long. Returns `false` when there is none.
    pub(super) fn refuse_overdue_join(&mut self, now: Instant, config: &Config) -> bool {
        let Some(ticket) = self.replica().joins.overdue() else { return false };
        let Some(Joining { member, ticket: of_hub, room, .. }) = self.replica().take_join(ticket) else { return true };
        let error = Error::limit(ErrorCode::Internal, Limit::TicketTimeout, OUT_OF_REACH);
        self.outgoing.tell(member.hub, HomeEvent::JoinRefused { ticket: of_hub, error });
        self.answer_reaches(&room);
        self.with_follower(now, &room, config, |follower, _| follower.abandon(ticket));
        true
    }

    /// Forgets what a lost hub has asked. The rooms that it waited for are looked at again by [`Home::tidy`].
    pub fn forget_hub(&mut self, hub: ShardId) {
        let Some(replica) = &mut self.replica else { return };
        replica.asked.retain(|_, asked| asked.hub() != hub);
        for followed in replica.rooms.values_mut() {
            followed.joins.reaches.retain(|(_, asker, _)| *asker != hub);
        }
        let of_hub = replica.joins.by_ticket.iter().filter(|(_, join)| join.joining.member.hub == hub);
        let lost: Vec<EngineTicket> = of_hub.map(|(ticket, _)| *ticket).collect();
        for ticket in lost {
            let Some(joining) = self.replica().take_join(ticket) else { continue };
            let replica = self.replica();
            if let Some(FollowerOfRoom { follower: Some(follower), .. }) = replica.rooms.get_mut(&joining.room) {
                follower.abandon(ticket);
            }
            self.answer_reaches(&joining.room);
            self.replica().vacant.push(joining.room);
        }
    }

    /// Makes a connection a member at the position of the copy.
    pub(super) fn admit(&mut self, now: Instant, ticket: EngineTicket, start: JoinStart, config: &Config) {
        let Some(joining) = self.replica().take_join(ticket) else { return };
        let (hub, of_hub, room) = (joining.member.hub, joining.ticket, joining.room.clone());
        if let Err(error) = self.try_admit(now, ticket, joining, start, config) {
            self.outgoing.tell(hub, HomeEvent::JoinRefused { ticket: of_hub, error });
        }
        self.answer_reaches(&room);
    }

    fn try_admit(
        &mut self,
        now: Instant,
        ticket: EngineTicket,
        mut joining: Joining,
        start: JoinStart,
        config: &Config,
    ) -> Result<(), Error> {
        if self.is_overtaken(ticket, &joining) {
            // It takes the place of nobody, as who has come later would not have taken its own.
            joining.member.is_return = true;
        }
        let Some(at) = self.may_join(&joining, config)? else {
            // Its copy was dropped for another one while the newest publications were read.
            self.join_followed(now, joining, config);
            return Ok(());
        };
        let log = &self.logs[at as usize];
        if log.members.has_later(&joining.member) {
            // Its hub has given it up, and has asked once more.
            return Err(ErrorCode::Internal.into());
        }
        let counts = &mut self.recoveries;
        let replay = match (&joining.replay, start) {
            (Replay::Since { or_refuse, .. }, JoinStart::Recovered(publications)) => {
                Log::recover(Log::within_reply(publications, &config.limits), *or_refuse, counts)?
            }
            (Replay::Since { epoch, or_refuse, .. }, JoinStart::Unrecovered) => {
                Log::recover(Err(why_unrecovered(epoch, log.position())), *or_refuse, counts)?
            }
            (Replay::Last(most), JoinStart::Recovered(newest)) => {
                Replayed { recovered: None, publications: Log::newest_of(newest, *most, &config.limits) }
            }
            (replay, _) => log.replay(replay, &config.limits, counts)?,
        };
        if let Some(followed) = self.replica().rooms.get_mut(&joining.room) {
            followed.joins.made = followed.joins.made.max(Some(ticket));
        }
        self.enter(now, at, joining, replay, config);
        Ok(())
    }

    /// Whether a connection that has asked later to be a user's has become it.
    fn is_overtaken(&self, ticket: EngineTicket, joining: &Joining) -> bool {
        let followed = self.replica.as_ref().and_then(|replica| replica.rooms.get(&joining.room));
        joining.room.is_reserved() && followed.is_some_and(|followed| followed.joins.made > Some(ticket))
    }

    /// Answers those who wait for no join any longer.
    fn answer_reaches(&mut self, room: &RoomName) {
        let Some(replica) = &mut self.replica else { return };
        let Some(JoinsOfRoom { waiting, reaches, .. }) = replica.rooms.get_mut(room).map(|room| &mut room.joins) else {
            return;
        };
        let first = waiting.first().copied();
        let is_reached = |(last, ..): &mut (EngineTicket, ShardId, Ticket)| first.is_none_or(|first| *last < first);
        let reached: Vec<_> = reaches.extract_if(.., is_reached).collect();
        for (_, hub, ticket) in reached {
            self.outgoing.tell(hub, HomeEvent::Reached { ticket });
        }
    }
}

/// Returns the position that a join names, after which its client wants to go on.
fn since(replay: &Replay) -> Option<Position> {
    match replay {
        Replay::Since { epoch, offset, .. } => Some(Position { epoch: epoch.clone(), offset: *offset }),
        Replay::None | Replay::Last(_) => None,
    }
}

/// Returns the count of the reason for which what follows a position in this epoch is not sent.
fn why_unrecovered(epoch: &str, log: LogPosition) -> fn(&mut Recoveries) -> &mut u64 {
    if epoch.is_empty() || *epoch == *EpochText::of(log.epoch) {
        |counts| &mut counts.not_retained
    } else {
        |counts| &mut counts.other_epoch
    }
}
