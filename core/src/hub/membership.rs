//! Joining and leaving rooms: what a client may, what the home confirms, what the client is told.

use super::Hub;
use super::agenda::Work;
use super::answers::no_answer;
use super::registry::Left;
use super::tickets::Asker;
use crate::close::CloseCause;
use crate::connection::deadlines::Timer;
use crate::connection::pending::{Grant, JoinLeave, JoinReason, PendingJoin, PendingSubscribe, Reasons, Subscribed};
use crate::connection::{Open, Stage};
use crate::error::{Error, ErrorCode, UnsubscribeReason};
use crate::ids::{ClientId, ClientInfo, ConnId, Slot};
use crate::limits::Limit;
use crate::link::{HomeRequest, JoinId, LeaveReason, Ticket};
use crate::names::{BadName, RoomName};
use crate::protocol::{CommandId, PresenceEvent, ServerMessage};
use crate::publication::{LogPosition, Replay, Replayed};
use crate::step::{LeaveCause, StepChange};
use crate::time::Deadline;
use crate::token::validate::{TokenError, TokenVerdict, unknown_key_error};
use alloc::boxed::Box;
use alloc::format;
use alloc::sync::Arc;
use alloc::vec::Vec;

impl Hub {
    /// Whether a client may ask for this room: it has not done so, and may be put into one more or is there already.
    pub(super) fn may_name(&self, slot: Slot, room: &str) -> Result<RoomName, Error> {
        let room = self.room(room)?;
        if room.is_reserved() {
            return Err(ErrorCode::PermissionDenied.into());
        }
        if self.registry.has_reason(slot, &room, Reasons::CLIENT) {
            return Err(ErrorCode::AlreadySubscribed.into());
        }
        if !self.registry.has_membership(slot, &room) {
            self.check_room_count(slot)?;
        }
        Ok(room)
    }

    /// The room that a command names, whether the client is in it or not.
    ///
    /// # Errors
    /// 107 with the rule that the name breaks; a command that names none has an empty one.
    pub(super) fn room(&self, name: &str) -> Result<RoomName, Error> {
        self.config.room(name).map_err(|wrong| {
            let limit = matches!(wrong, BadName::TooLong(_)).then_some(Limit::RoomNameBytes);
            Error { limit, ..Error::new(wrong.code(), format!("channel: {wrong}")) }
        })
    }

    /// Whether a connection may be put into one more room.
    pub(super) fn check_room_count(&self, slot: Slot) -> Result<(), Error> {
        let most = self.config.limits.rooms_per_connection;
        if self.registry.membership_count(slot) >= most {
            let words = format!("too many rooms; a connection may be in at most {most}");
            return Err(Error::limit(ErrorCode::LimitExceeded, Limit::RoomsPerConnection, &words));
        }
        Ok(())
    }

    /// Asks the home to make the connection a member of a room.
    pub(super) fn join(
        &mut self,
        slot: Slot,
        room: &RoomName,
        reason: JoinReason,
        replay: Replay,
        join_leave: JoinLeave,
        grant: Option<Box<Grant>>,
    ) {
        if self.conns[slot].open().is_none() {
            return;
        }
        let join = self.next_join();
        self.registry.begin_join(slot, room, join, join_leave, reason.reasons());
        self.ask_home(slot, PendingJoin { join, room: room.clone(), reason, replay, grant, asked: None });
    }

    /// Puts the connection into a room that its client has not asked for in a command. What was missed there may fill an
    /// outbox: of several such rooms one comes after the other, each when the client has read.
    pub(super) fn server_join(&mut self, slot: Slot, room: &RoomName, reason: JoinReason, replay: Replay) {
        let Some(open) = self.conns[slot].open() else { return };
        if replay == Replay::None || open.joins.is_empty() && !open.outbox.is_behind(&self.config.limits) {
            return self.join(slot, room, reason, replay, JoinLeave::Untold, None);
        }
        let join = self.next_join();
        self.registry.begin_join(slot, room, join, JoinLeave::Untold, reason.reasons());
        let pending = PendingJoin { join, room: room.clone(), reason, replay, grant: None, asked: None };
        self.join_later(slot, pending);
    }

    /// Keeps a join until the client has read.
    pub(super) fn join_later(&mut self, slot: Slot, pending: PendingJoin) {
        let conn = &mut self.conns[slot];
        let id = conn.id;
        let Some(open) = conn.open_mut() else { return };
        if !open.has_unasked() {
            self.agenda.first(Work::Enter(id));
        }
        open.joins.push(PendingJoin { asked: None, ..pending });
    }

    /// Asks the home for the next join that waits for the client to read, if it has; if not, it is asked when nothing waits
    /// in the outbox.
    pub(super) fn enter_next(&mut self, slot: Slot) {
        let conn = &mut self.conns[slot];
        let id = conn.id;
        let Some(open) = conn.open_mut() else { return };
        if open.outbox.is_behind(&self.config.limits) {
            return;
        }
        let Some(pending) = open.take_unasked() else { return };
        if open.has_unasked() {
            self.agenda.first(Work::Enter(id));
        }
        match pending.reason {
            JoinReason::Gap(reasons) => self.enter_after_gap(slot, pending, reasons),
            _ => self.ask_home(slot, pending),
        }
    }

    pub(super) fn ask_home(&mut self, slot: Slot, pending: PendingJoin) {
        let conn = &self.conns[slot];
        let id = conn.id;
        let Some(open) = conn.open() else { return };
        let own = match &pending.reason {
            JoinReason::User(of_user) => Some(&of_user.info),
            _ => pending.grant.as_ref().and_then(|grant| grant.info.as_ref()),
        };
        let member = Arc::clone(own.unwrap_or_else(|| open.info_in(&pending.room)));
        let (join, room, replay) = (pending.join, pending.room.clone(), pending.replay.clone());
        let is_return = matches!(pending.reason, JoinReason::Gap(_));
        let ticket = self.ticket(&room, Asker::Join(id));
        if let Some(open) = self.conns[slot].open_mut() {
            open.joins.push(PendingJoin { asked: Some(ticket), ..pending });
        }
        self.requests.push_back(HomeRequest::Join { ticket, conn: id, join, room, member, replay, is_return });
    }

    /// Begins the join of a room that a client asks for. One that its token or a backend has put there
    /// stays as it is, and the client has it for its own as well: it is told what any other would be.
    pub(super) fn join_requested(&mut self, slot: Slot, asked: PendingSubscribe, grant: Option<Box<Grant>>) {
        let PendingSubscribe { id, room, replay, join_leave } = asked;
        let Some(join) = self.registry.set_join_leave(slot, &room, join_leave) else {
            return self.join(slot, &room, JoinReason::ClientRequest { id }, replay, join_leave, grant);
        };
        self.registry.add_reason(slot, &room, Reasons::CLIENT);
        if let Some(open) = self.conns[slot].open_mut() {
            // What an earlier token of the room said is over.
            open.grants.retain(|grant| grant.room != room);
            // What is to be replayed of a room that it waits to be put into is what its client says now.
            open.joins.retain(|pending| pending.join != join);
        }
        self.arm_room_expiry(slot);
        let (reason, replay) = (JoinReason::ClientRequest { id }, replay.or_without());
        self.ask_home(slot, PendingJoin { join, room, reason, replay, grant, asked: None });
    }

    /// The token that came with a `subscribe` was checked.
    pub(super) fn subscribe_with(&mut self, slot: Slot, asked: PendingSubscribe, verdict: TokenVerdict) {
        // The backend may have put it into rooms meanwhile.
        let may_join = self.may_name(slot, &asked.room).map(|_| ());
        let grant = may_join.and_then(|()| self.grant_for(slot, &asked.room, verdict));
        match grant.and_then(|grant| self.permit_subscribe(slot, &asked, grant.rights).map(|()| grant)) {
            Ok(grant) => self.join_requested(slot, asked, Some(Box::new(grant))),
            Err(error) => self.fail(slot, &asked.id, &error),
        }
    }

    /// The token that came with a `sub_refresh` was checked.
    pub(super) fn room_refreshed(&mut self, slot: Slot, id: &CommandId, room: &RoomName, verdict: TokenVerdict) {
        if matches!(verdict, TokenVerdict::OutsideValidity(_)) {
            // SDKs take the error alone for final; taken out, they subscribe again with a token that is new.
            self.room_token_ended(slot, room, UnsubscribeReason::EXPIRED);
        }
        let grant = match self.grant_for(slot, room, verdict) {
            Ok(grant) if self.registry.is_member(slot, room) => grant,
            Ok(_) => return self.fail(slot, id, &ErrorCode::PermissionDenied.into()),
            Err(error) => return self.fail(slot, id, &error),
        };
        let ttl = grant.ttl;
        self.replace_grant(slot, grant);
        self.arm_room_expiry(slot);
        self.tell(slot, &ServerMessage::RoomRefreshed { id, ttl });
    }

    /// A later token of a room counts whole too.
    fn replace_grant(&mut self, slot: Slot, grant: Grant) {
        let Some(open) = self.conns[slot].open_mut() else { return };
        let room = grant.room.clone();
        open.grants.retain(|old| old.room != room);
        open.grants.push(grant);
        self.end_forbidden_watch(slot, &room);
        self.rename_in(slot, &room);
    }

    /// Returns what a room's token allows, if it is for this connection's user and this room.
    fn grant_for(&mut self, slot: Slot, room: &RoomName, verdict: TokenVerdict) -> Result<Grant, Error> {
        let identity = match verdict {
            TokenVerdict::Good(identity) => identity,
            TokenVerdict::OutsideValidity(outside) => return Err(outside.error()),
            TokenVerdict::Unknown => return Err(unknown_key_error()),
            TokenVerdict::Bad(error) => return Err(error.error()),
        };
        let Some(open) = self.conns[slot].open() else { return Err(ErrorCode::PermissionDenied.into()) };
        let wrong = if identity.user != open.info.user {
            Some("the token belongs to another user")
        } else if identity.channel.as_deref() != Some(room) {
            Some("the token is not for this room")
        } else {
            None
        };
        if let Some(wrong) = wrong {
            self.token_refused(slot, wrong, |tokens| &mut tokens.foreign);
            return Err(TokenError::content(wrong).error());
        }
        let (until, ttl) = (identity.until, identity.ttl());
        let token = identity.token;
        let info = identity.info.map(|info| Arc::new(ClientInfo { room_info: Some(info), ..(*open.info).clone() }));
        self.totals.tokens.accepted += 1;
        Ok(Grant { room: room.clone(), info, until, ttl, rights: identity.allow, token })
    }

    /// The home has made the connection a member.
    pub(super) fn joined(
        &mut self,
        (conn, ticket): (ConnId, Ticket),
        (client, join): (ClientId, JoinId),
        room: RoomName,
        position: LogPosition,
        replay: Replayed,
    ) {
        let is_late = self.complete(ticket).is_none();
        let is_repeat = is_late && self.registry.is_member(conn.slot, &room);
        let is_open = self.find(conn).is_some_and(|conn| conn.open().is_some());
        let is_new = self.config.tells_steps && !self.registry.is_member(conn.slot, &room);
        let confirmed = if is_open { self.registry.confirm(conn.slot, join, position, self.now.unix_ms) } else { None };
        let Some(known) = confirmed else {
            self.totals.late_joins += 1;
            let reason = if is_open { LeaveReason::Left } else { self.at_end(LeaveReason::EndedUnconfirmed) };
            return self.requests.push_back(HomeRequest::Leave { room, client, join, reason });
        };
        let slot = conn.slot;
        if is_new {
            self.step(slot, |_| Some(StepChange::Joined { room: room.clone() }));
        }
        if known != position {
            self.notice_gap_before(&room, slot, position);
        }
        let was_spent = self.has_spent_credit_for(slot, ticket);
        let Some(open) = self.conns[slot].open_mut() else { return };
        // One that has asked once more meanwhile is told now that it is a member: what is published comes next. To a member
        // a late answer tells nothing new, and its own will come.
        let of_join = |open: &mut Open| if is_repeat { None } else { open.take_join(join) };
        let Some(pending) = open.take_asked(ticket).or_else(|| of_join(open)) else { return };
        let ttl = pending.grant.as_ref().and_then(|grant| grant.ttl);
        self.accept_grant(slot, pending.grant);
        let positioned = self.config.keeps_history(&room);
        let subscribed = Subscribed::new(position, positioned, replay, ttl);
        match pending.reason {
            JoinReason::User(of_user) => self.became_users(slot, *of_user, room, subscribed),
            JoinReason::ClientRequest { id } => {
                self.registry.was_replayed(slot, &room, &subscribed.replay);
                self.tell(slot, &ServerMessage::Subscribed { id: &id, subscribed: &subscribed });
            }
            // A client that is told of a gap is not put into the room again: it asks.
            JoinReason::ServerSide(_) | JoinReason::Gap(_) => self.push_subscribe(slot, &room, subscribed),
            JoinReason::OnConnect(_) => {
                let Some(open) = self.conns[slot].open_mut() else { return };
                if let Stage::Joining(connect) = &mut open.stage {
                    let (room, subscribed) = connect.add(room, subscribed, &self.config.limits);
                    self.registry.was_replayed(slot, room, &subscribed.replay);
                }
            }
        }
        self.ready_if_entered(slot);
        self.go_on_after_answer(slot, was_spent);
    }

    /// The home has no place for the room, or cannot give what was asked for.
    pub(super) fn join_refused(&mut self, ticket: Ticket, error: Error) {
        let Some(Asker::Join(conn)) = self.complete(ticket) else { return };
        self.with(conn, |hub, slot| {
            let was_spent = hub.has_spent_credit_for(slot, ticket);
            let Some(pending) = hub.conns[slot].open_mut().and_then(|open| open.take_asked(ticket)) else { return };
            let wanted = hub.registry.give_up(slot, pending.join);
            match pending.reason {
                JoinReason::ClientRequest { id } if wanted == Some(Reasons::CLIENT) => {
                    hub.fail(slot, &id, &error);
                    hub.go_on_after_answer(slot, was_spent);
                }
                _ if error.limit == Some(Limit::ConnectionsPerUser) => {
                    hub.close_over(slot, Limit::ConnectionsPerUser, CloseCause::UserFull);
                }
                _ => {
                    hub.count_limit_of(slot, error.limit);
                    let reason = CloseCause::Overloaded.reason();
                    let reason = error.limit.map_or(reason.clone(), |limit| reason.naming(limit));
                    hub.close_with(slot, CloseCause::Overloaded, reason);
                }
            }
        });
    }

    /// The home has not answered a join within `ticket_timeout`. The client is told so, and is not in the room: if the
    /// home makes it a member yet, it leaves again. Where not the client alone wants it there, the connection ends.
    pub(super) fn join_overdue(&mut self, conn: ConnId, ticket: Ticket) {
        if self.find(conn).is_none() {
            return;
        }
        let slot = conn.slot;
        let was_spent = self.has_spent_credit_for(slot, ticket);
        let Some(pending) = self.conns[slot].open_mut().and_then(|open| open.take_asked(ticket)) else { return };
        let PendingJoin { join, room, reason, .. } = pending;
        let JoinReason::ClientRequest { id } = reason else {
            return self.close_for(slot, Limit::TicketTimeout, CloseCause::Unanswered);
        };
        self.fail(slot, &id, &no_answer());
        if self.registry.is_member(slot, &room) {
            // It stays what it was before it asked for the room as well.
            self.registry.set_join_leave(slot, &room, JoinLeave::Untold);
            self.withdraw_reason(slot, &room, Reasons::CLIENT, UnsubscribeReason::SERVER);
        } else if self.registry.give_up(slot, join) != Some(Reasons::CLIENT) {
            return self.close_for(slot, Limit::TicketTimeout, CloseCause::Unanswered);
        }
        self.go_on_after_answer(slot, was_spent);
    }

    /// The way in which a membership ends with its connection. While the server shuts down, nobody can come back, and so
    /// nobody is absent.
    pub(super) fn at_end(&self, reason: LeaveReason) -> LeaveReason {
        if self.drain.is_some() { LeaveReason::Left } else { reason }
    }

    /// A membership or a join is over: the home has to know, unless it will ask when it confirms.
    pub(super) fn left(&mut self, slot: Slot, left: Left, reason: LeaveReason, cause: LeaveCause) {
        let conn = &mut self.conns[slot];
        let client = conn.client;
        if let Some(open) = conn.open_mut() {
            let was_spent = open.has_spent_credit();
            let pending = open.take_join(left.join);
            open.grants.retain(|grant| grant.room != left.room);
            self.arm_room_expiry(slot);
            if let Some(JoinReason::ClientRequest { id }) = pending.map(|pending| pending.reason) {
                let words = "permission denied: the server has unsubscribed the client meanwhile";
                self.fail(slot, &id, &Error::new(ErrorCode::PermissionDenied, words));
            }
            self.ready_if_entered(slot);
            self.go_on_after_answer(slot, was_spent);
        }
        if left.was_member {
            self.step(slot, |_| Some(StepChange::Left { room: left.room.clone(), cause }));
            self.requests.push_back(HomeRequest::Leave { room: left.room, client, join: left.join, reason });
        }
    }

    /// Takes a connection out of a room, for all reasons, and tells it why.
    pub(super) fn server_unsubscribe(&mut self, slot: Slot, room: &RoomName, reason: UnsubscribeReason) {
        if let Some(left) = self.registry.leave(slot, room) {
            self.push_unsubscribe(slot, room, left, reason);
        }
    }

    /// Takes back a reason for a connection to be in a room. With the last one it is taken out and told why.
    pub(super) fn withdraw_reason(&mut self, slot: Slot, room: &RoomName, wanted: Reasons, reason: UnsubscribeReason) {
        if let Some(left) = self.registry.withdraw_reason(slot, room, wanted) {
            self.push_unsubscribe(slot, room, left, reason);
        }
    }

    fn push_unsubscribe(&mut self, slot: Slot, room: &RoomName, left: Left, reason: UnsubscribeReason) {
        self.left(slot, left, LeaveReason::Left, LeaveCause::Server(reason));
        self.tell(slot, &ServerMessage::Unsubscribe { room, reason });
    }

    /// Takes a connection out of the rooms whose tokens have expired.
    pub(super) fn rooms_expired(&mut self, slot: Slot) {
        let now = self.now.mono;
        let Some(open) = self.conns[slot].open() else { return };
        let expired = open.grants.iter().filter(|grant| grant.until.is_due(now));
        let rooms: Vec<RoomName> = expired.map(|grant| grant.room.clone()).collect();
        for room in rooms {
            self.room_token_ended(slot, &room, UnsubscribeReason::EXPIRED);
        }
    }

    /// Ends what a room's token allowed. The connection stays where its own token or a backend wants it as well.
    pub(super) fn room_token_ended(&mut self, slot: Slot, room: &RoomName, reason: UnsubscribeReason) {
        self.withdraw_reason(slot, room, Reasons::CLIENT, reason);
        let Some(open) = self.conns[slot].open_mut() else { return };
        let Some(at) = open.grants.iter().position(|grant| grant.room == *room) else { return };
        open.grants.swap_remove(at);
        self.end_forbidden_watch(slot, room);
        self.rename_in(slot, room);
        self.arm_room_expiry(slot);
    }

    /// The home learns who a connection is in a room now.
    pub(super) fn rename_in(&mut self, slot: Slot, room: &RoomName) {
        let Some(open) = self.conns[slot].open() else { return };
        let Some((room, join)) = self.registry.membership_joins(slot).find(|(name, _)| *name == room) else { return };
        let member = Arc::clone(open.info_in(room));
        self.requests.push_back(HomeRequest::Rename { room: room.clone(), join, member });
    }

    /// Tells the members who asked for presence events of one. O(n) in the members.
    pub(super) fn notify_watchers(&mut self, room: &RoomName, member: &ClientInfo, event: PresenceEvent) {
        // Who asked to be told while it was allowed is told no more once it is not.
        if self.registry.watchers(room).next().is_none() || !self.config.policy(room).join_leave {
            return;
        }
        let watchers: Vec<Slot> = self.registry.watchers(room).collect();
        self.deliver_to(watchers, ServerMessage::PresenceEvent { room, member, event });
    }

    /// Tells a client that the server has put it into a room, and then what it has missed there, which SDKs do not read in
    /// the message itself. A client that is told positions learns where it is, also when it has missed nothing.
    pub(super) fn push_subscribe(&mut self, slot: Slot, room: &RoomName, mut subscribed: Subscribed) {
        self.registry.was_replayed(slot, room, &subscribed.replay);
        let missed = core::mem::take(&mut subscribed.replay.publications);
        self.tell(slot, &ServerMessage::Subscribe { room, subscribed: &subscribed });
        let tells_positions = self.conns[slot].protocol.tells_positions();
        for publication in &missed {
            self.tell(slot, &ServerMessage::Publication { room, publication });
            if tells_positions {
                let position = LogPosition { offset: publication.offset, ..subscribed.position };
                self.tell(slot, &ServerMessage::Position { room, position });
            }
        }
        if tells_positions && missed.is_empty() {
            self.tell(slot, &ServerMessage::Position { room, position: subscribed.position });
        }
    }

    fn accept_grant(&mut self, slot: Slot, grant: Option<Box<Grant>>) {
        let Some(grant) = grant else { return };
        if let Some(open) = self.conns[slot].open_mut() {
            open.grants.push(*grant);
        }
        self.arm_room_expiry(slot);
    }

    fn arm_room_expiry(&mut self, slot: Slot) {
        let Some(open) = self.conns[slot].open() else { return };
        let earliest = open.grants.iter().map(|grant| grant.until).min().unwrap_or(Deadline::NONE);
        self.set(slot, Timer::RoomExpiry, earliest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::input::Input;
    use crate::map::Keys;
    use crate::testing::accept_from_loopback;
    use alloc::rc::Rc;

    /// A home on another node would leave joins under way for longer than a turn.
    #[test]
    fn leaving_one_room_keeps_the_pending_join_of_another() {
        let config = Rc::new(Config::default());
        let mut hub = Hub::new(Rc::clone(&config), Keys(1, 2));
        let conn = accept_from_loopback(&mut hub, &config, 1, "/ws?room=a&room=b");
        hub.handle(Input::Upgraded { conn });
        let requests: Vec<HomeRequest> = hub.requests.drain(..).collect();
        let [HomeRequest::Join { room: a, .. }, HomeRequest::Join { join: of_b, .. }] = &requests[..] else {
            panic!("two rooms are joined: {requests:?}")
        };
        hub.server_unsubscribe(conn.slot, a, UnsubscribeReason::SERVER);
        let open = hub.conns[conn.slot].open().expect("it is open");
        assert_eq!(open.joins.iter().map(|pending| pending.join).collect::<Vec<_>>(), [*of_b]);
        assert!(hub.requests.is_empty(), "the home asks about the other when it confirms");
    }
}
