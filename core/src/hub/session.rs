//! From a token to a session: who a connection is, and which rooms it is in from the start.

use super::Hub;
use super::registry::Registry;
use crate::close::CloseCause;
use crate::config::UserLimit;
use crate::connection::deadlines::Timer;
use crate::connection::pending::{JoinLeave, Reasons};
use crate::connection::pending::{JoinReason, PendingAuth, PendingConnect};
use crate::connection::{Open, Stage};
use crate::effect::Effect;
use crate::error::UnsubscribeReason;
use crate::ids::{ClientInfo, Slot};
use crate::json::Json;
use crate::limits::Limit;
use crate::link::HomeRequest;
use crate::names::{RoomName, UserId};
use crate::policy::access;
use crate::protocol::{CommandId, Connected, Mistake, ServerMessage, Start};
use crate::publication::Replay;
use crate::token::validate::{Identity, OutsideValidity, TokenError, TokenVerdict, Validator};
use crate::token::{BadToken, VerifiedClaims};
use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::num::NonZeroUsize;

/// The change that a later token makes to the rooms of a connection.
struct RoomChanges {
    /// Rooms that only the token before this one named.
    withdrawn: Vec<RoomName>,
    /// Rooms to be joined, with the reasons.
    new: Vec<(RoomName, Reasons)>,
    /// The number of rooms that it will be in.
    count: usize,
}

impl RoomChanges {
    /// After a token with these `channels`, for a user that the connection does not have yet if there is one. `opened` are
    /// the rooms of its URL that it may join only now.
    fn after(
        open: &Open,
        registry: &Registry,
        slot: Slot,
        channels: &[RoomName],
        user: Option<&UserId>,
        opened: &[(RoomName, Replay)],
    ) -> Self {
        let named = registry.with_reason(slot, Reasons::TOKEN).filter(|(room, _)| !channels.contains(room));
        let withdrawn: Vec<(RoomName, Reasons)> = named.map(|(room, wanted)| (room.clone(), wanted)).collect();
        let left = withdrawn.iter().filter(|(_, wanted)| wanted.difference(Reasons::TOKEN).is_none()).count();
        let is_new = |room: &&RoomName| !open.granted.contains(room) && !registry.has_membership(slot, room);
        let granted = channels.iter().filter(is_new).map(|room| (room.clone(), Reasons::TOKEN));
        let personal = user.map(|user| (user.personal_room(), Reasons::PERSONAL));
        let mut new: Vec<(RoomName, Reasons)> = granted.chain(personal).collect();
        for (room, _) in opened.iter().filter(|(room, _)| !registry.has_membership(slot, room)) {
            match new.iter_mut().find(|(name, _)| name == room) {
                Some((_, wanted)) => *wanted = wanted.union(Reasons::CLIENT),
                None => new.push((room.clone(), Reasons::CLIENT)),
            }
        }
        let count = registry.membership_count(slot) - left + new.len();
        Self { withdrawn: withdrawn.into_iter().map(|(room, _)| room).collect(), new, count }
    }
}

impl Hub {
    /// Validates tokens at the time of this turn.
    pub(super) fn validator(&self) -> Validator<'_> {
        Validator { now: self.now, config: &self.config }
    }

    /// Has a token's signature checked. What the client says meanwhile waits.
    pub(super) fn authenticate(&mut self, slot: Slot, token: String, pending: PendingAuth) {
        let conn = &mut self.conns[slot];
        let id = conn.id;
        let Some(open) = conn.open_mut() else { return };
        assert!(open.pending_auth.is_none(), "who has a token checked is not heard until that is done");
        open.pending_auth = Some(pending);
        self.effects.push(Effect::Authenticate { conn: id, token });
    }

    /// The signature has been checked.
    pub(super) fn authenticated(&mut self, slot: Slot, verified: Result<VerifiedClaims, BadToken>) {
        let Some(pending) = self.conns[slot].open_mut().and_then(|open| open.pending_auth.take()) else {
            self.totals.ignored_inputs += 1;
            return;
        };
        let verdict = self.validator().evaluate(verified);
        let verdict = if pending.is_for_room() { verdict } else { verdict.of_connection() };
        if let Some(why) = verdict.failure() {
            let why = why.to_string();
            self.token_refused(slot, &why);
        }
        match pending {
            PendingAuth::Connect(connect) => self.connect_authenticated(slot, *connect, verdict),
            PendingAuth::Refresh { id } => self.refreshed(slot, &id, verdict),
            PendingAuth::Subscribe(asked) => self.subscribe_with(slot, *asked, verdict),
            PendingAuth::SubRefresh { id, room } => self.room_refreshed(slot, &id, &room, verdict),
        }
        self.schedule_waiting(slot);
    }

    /// The first token was checked.
    fn connect_authenticated(&mut self, slot: Slot, mut connect: PendingConnect, verdict: TokenVerdict) {
        let is_told = self.conns[slot].protocol.start() == Start::OnConnect;
        match verdict {
            TokenVerdict::Good(identity) => {
                connect.ttl = identity.ttl();
                self.begin_session(slot, connect, Some(identity), None);
            }
            verdict if !is_told && access::admits_anonymous(&self.config) => {
                self.begin_session(slot, connect, None, Some(&verdict));
            }
            TokenVerdict::Bad(error) => self.refuse_token(slot, &error),
            TokenVerdict::OutsideValidity(outside) if is_told => {
                self.connect_refused(slot);
                self.fail(slot, &connect.id, &outside.error());
            }
            TokenVerdict::OutsideValidity(OutsideValidity::NotYetValid) => {
                self.close_outside_validity(slot, OutsideValidity::NotYetValid)
            }
            TokenVerdict::OutsideValidity(OutsideValidity::Expired) => self.close(slot, CloseCause::InvalidToken),
        }
    }

    /// Begins the session of a connection, and puts it into the rooms of its token and of its URL. `refused` is the verdict on
    /// a token without which the client is admitted.
    pub(super) fn begin_session(
        &mut self,
        slot: Slot,
        mut connect: PendingConnect,
        identity: Option<Identity>,
        refused: Option<&TokenVerdict>,
    ) {
        let is_authenticated = identity.is_some();
        let mut rooms = Vec::new();
        if let Some(identity) = identity {
            let Some(of_token) = self.identify(slot, identity) else { return };
            rooms = of_token;
        }
        let client = self.conns[slot].client;
        self.tell(slot, &ServerMessage::Greeting { client, is_authenticated });
        self.add_url_rooms(slot, &mut connect, &mut rooms);
        let is_admitted = self.admit_rooms(slot, &rooms);
        if let Some(verdict) = refused {
            self.tell_refused(slot, &connect.id, verdict);
        }
        // All else that the client is told at the start is in its outbox by now: how much that is decides whether a replay
        // waits until it has read.
        if is_admitted {
            self.enter(slot, connect, &rooms);
        }
    }

    /// A later token was checked.
    fn refreshed(&mut self, slot: Slot, id: &CommandId, verdict: TokenVerdict) {
        let conn = &self.conns[slot];
        let Some(open) = conn.open() else { return };
        let may_tell_user = conn.protocol.start() == Start::AtOnce && open.info.user.is_anonymous();
        match verdict {
            TokenVerdict::Good(identity) if open.info.user != identity.user && !may_tell_user => {
                self.close_as_anothers(slot)
            }
            TokenVerdict::Good(identity) => self.renew(slot, identity, id),
            // SDKs take an error here for final; closed, they come back with a token that is new.
            TokenVerdict::OutsideValidity(outside) if !may_tell_user => self.close_outside_validity(slot, outside),
            verdict => self.tell_refused(slot, id, &verdict),
        }
    }

    /// Tells a client that its token was refused, with the limit that it exceeds. The connection ends where the protocol has
    /// no message for that.
    fn tell_refused(&mut self, slot: Slot, id: &CommandId, verdict: &TokenVerdict) {
        match verdict {
            TokenVerdict::Good(_) => {}
            TokenVerdict::OutsideValidity(outside) => self.fail(slot, id, &outside.error()),
            TokenVerdict::Bad(error) => {
                let mistake = Mistake::InvalidToken(error);
                if self.tell_error(slot, &ServerMessage::Mistake { id, mistake }) {
                    error.limit().into_iter().for_each(|limit| self.count_limit(limit));
                } else {
                    self.refuse_token(slot, error);
                }
            }
        }
    }

    /// Reports the reason for which a token was refused.
    pub(super) fn token_refused(&mut self, slot: Slot, why: &str) {
        let conn = self.conns[slot].id;
        self.effects.push(Effect::TokenRefused { conn, why: why.into() });
    }

    /// Ends a connection whose token is of another user than it has.
    pub(super) fn close_as_anothers(&mut self, slot: Slot) {
        const WHY: &str = "the token belongs to another user";
        self.token_refused(slot, WHY);
        self.close_because(slot, CloseCause::BadRequest, WHY);
    }

    /// Ends a connection that has shown a token which proves nothing.
    pub(super) fn refuse_token(&mut self, slot: Slot, error: &TokenError) {
        error.limit().into_iter().for_each(|limit| self.count_limit(limit));
        self.close_with(slot, CloseCause::InvalidToken, error.close_reason());
    }

    /// Ends a connection whose token is not valid at this moment.
    pub(super) fn close_outside_validity(&mut self, slot: Slot, outside: OutsideValidity) {
        self.close_with(slot, CloseCause::Expired, outside.close_reason());
    }

    /// Gives a connection to its user. Returns the rooms that it is put into because of that, each with the reasons
    /// there; `None` when the user has too many connections, and this one is closed.
    pub(super) fn identify(&mut self, slot: Slot, identity: Identity) -> Option<Vec<(RoomName, Reasons)>> {
        let Identity { user, info, channels, capabilities, until, .. } = identity;
        if !self.admit_user(slot, &user) {
            return None;
        }
        self.set(slot, Timer::Expiry, until);
        let mut rooms: Vec<_> = channels.iter().map(|room| (room.clone(), Reasons::TOKEN)).collect();
        let conn = &mut self.conns[slot];
        let client = conn.client;
        if let Some(open) = conn.open_mut() {
            open.granted = channels;
            open.capabilities = capabilities;
            if !user.is_anonymous() || info.is_some() {
                open.info = Arc::new(ClientInfo { client, user: user.clone(), info, room_info: None });
            }
        }
        if !user.is_anonymous() {
            rooms.push((user.personal_room(), Reasons::PERSONAL));
            self.registry.set_user(slot, &user);
        }
        Some(rooms)
    }

    /// A later token counts whole: for how long, who the connection is, and which rooms it is put into. The client is told
    /// first. A membership that others want as well stays, and one that was left meanwhile stays left.
    ///
    /// The user must be the one that the connection has, or it must have none.
    fn renew(&mut self, slot: Slot, identity: Identity, id: &CommandId) {
        let ttl = identity.ttl();
        let Identity { user, info, channels, capabilities, until, .. } = identity;
        let opened = self.take_opened(slot, &user, &capabilities);
        for (room, _) in &opened {
            self.registry.add_reason(slot, room, Reasons::CLIENT);
        }
        let Some(open) = self.conns[slot].open() else { return };
        let is_new = open.info.user != user;
        let changes = RoomChanges::after(open, &self.registry, slot, &channels, is_new.then_some(&user), &opened);
        let most = self.config.limits.rooms_per_connection;
        if changes.count > most {
            // Where it is what the client has joined that is too much, a new connection has place for what it begins with.
            let first = self.count_first_rooms(slot, &user, &channels, &capabilities);
            let cause = if first > most { CloseCause::Rooms } else { CloseCause::Overloaded };
            return self.close_over(slot, Limit::RoomsPerConnection, cause);
        }
        if is_new && !self.admit_user(slot, &user) {
            return;
        }
        self.set(slot, Timer::Expiry, until);
        let client = self.conns[slot].client;
        self.tell(slot, &ServerMessage::Refreshed { id, client, user: &user, ttl });
        for room in &changes.withdrawn {
            self.withdraw_reason(slot, room, Reasons::TOKEN, UnsubscribeReason::SERVER);
        }
        for room in &channels {
            self.registry.add_reason(slot, room, Reasons::TOKEN);
        }
        if is_new {
            self.registry.set_user(slot, &user);
        }
        if let Some(open) = self.conns[slot].open_mut() {
            open.granted = channels;
            open.capabilities = capabilities;
        }
        self.end_forbidden_subscriptions(slot);
        self.rename(slot, user.clone(), info);
        let with_replay = |(room, reasons): (RoomName, Reasons)| {
            let of_url = opened.iter().find(|(name, _)| *name == room).map(|(_, replay)| replay.clone());
            let replay = of_url.unwrap_or_else(|| self.wanted_of(slot, &room));
            (room, reasons, replay)
        };
        let mut new: Vec<(RoomName, Reasons, Replay)> = changes.new.into_iter().map(with_replay).collect();
        // Those of which nothing is to be replayed wait for nothing.
        new.sort_by_key(|(.., replay)| *replay != Replay::None);
        for (room, reasons, replay) in new {
            self.server_join(slot, &room, JoinReason::ServerSide(reasons), replay);
        }
        self.close_oldest_of(&user);
    }

    /// Whether a user may have this connection too; where not, it is closed.
    fn admit_user(&mut self, slot: Slot, user: &UserId) -> bool {
        if self.config.user_limit == UserLimit::Replace || !self.is_user_full(user, 0) {
            return true;
        }
        let others: Vec<Slot> = self.registry.connections_of(user).collect();
        for other in others {
            // Who does not answer makes room before it would without being asked.
            if self.conns[other].ready().is_some() {
                self.send_ping(other);
            }
        }
        self.close_over(slot, Limit::ConnectionsPerUser, CloseCause::UserFull);
        false
    }

    /// Closes the connections of a user that are too many, the oldest first.
    pub(super) fn close_oldest_of(&mut self, user: &UserId) {
        while self.is_user_full(user, 1)
            && let Some(oldest) = self.registry.oldest_of(user)
        {
            self.close_over(oldest, Limit::ConnectionsPerUser, CloseCause::UserConnections);
        }
    }

    /// Whether a user has as many connections as it may have, and so many more.
    fn is_user_full(&self, user: &UserId, more: usize) -> bool {
        let is_full = |most: NonZeroUsize| self.registry.connection_count(user) >= most.get().saturating_add(more);
        !user.is_anonymous() && self.config.limits.connections_per_user.is_some_and(is_full)
    }

    /// A connection is known as this from now on. The rooms that it is in learn of it if that is anything new.
    fn rename(&mut self, slot: Slot, user: UserId, info: Option<Json>) {
        let conn = &mut self.conns[slot];
        let client = conn.client;
        let Some(open) = conn.open_mut() else { return };
        let info = ClientInfo { client, user, info, room_info: None };
        if *open.info == info {
            return;
        }
        for grant in &mut open.grants {
            if let Some(own) = &mut grant.info {
                *own = Arc::new(ClientInfo { room_info: own.room_info.clone(), ..info.clone() });
            }
        }
        self.ready_anonymous -= usize::from(open.is_ready_anonymous() && !info.user.is_anonymous());
        open.info = Arc::new(info);
        let renamed = self.registry.membership_joins(slot).map(|(room, join)| {
            let member = Arc::clone(open.info_in(room));
            HomeRequest::Rename { room: room.clone(), join, member }
        });
        self.requests.extend(renamed);
    }

    /// Puts the connection into the rooms that it starts in. One that began with `connect` is ready when the home has confirmed
    /// them all: the answer speaks of them. Another one is ready at once.
    fn enter(&mut self, slot: Slot, mut connect: PendingConnect, rooms: &[(RoomName, Reasons)]) {
        let replays = core::mem::take(&mut connect.replays);
        let is_answered = self.conns[slot].protocol.start() == Start::OnConnect;
        if is_answered {
            self.arm(slot, Timer::Phase, self.config.limits.authenticate_timeout);
        } else {
            self.disarm(slot, Timer::Phase);
        }
        let Some(open) = self.conns[slot].open_mut() else { return };
        open.stage = if is_answered { Stage::Joining(Box::new(connect)) } else { Stage::Ready };
        self.ready += usize::from(!is_answered);
        self.ready_anonymous += usize::from(open.is_ready_anonymous());
        let user = open.info.user.clone();
        let with_replay = |(room, reasons): &(RoomName, Reasons)| {
            let wanted = replays.iter().find(|(name, _)| name == room);
            (room.clone(), *reasons, wanted.map_or(Replay::None, |(_, replay)| replay.clone()))
        };
        let mut rooms: Vec<(RoomName, Reasons, Replay)> = rooms.iter().map(with_replay).collect();
        if !is_answered {
            // Those of which nothing is to be replayed wait for nothing.
            rooms.sort_by_key(|(.., replay)| *replay != Replay::None);
        }
        for (room, reasons, replay) in rooms {
            if is_answered {
                self.join(slot, &room, JoinReason::OnConnect(reasons), replay, JoinLeave::Untold, None);
            } else {
                self.server_join(slot, &room, JoinReason::ServerSide(reasons), replay);
            }
        }
        self.close_oldest_of(&user);
        self.ready_if_entered(slot);
    }

    /// Closes a connection that is to start in more rooms than `rooms_per_connection`. Returns whether it may go on.
    fn admit_rooms(&mut self, slot: Slot, rooms: &[(RoomName, Reasons)]) -> bool {
        let is_admitted = rooms.len() <= self.config.limits.rooms_per_connection;
        if !is_admitted {
            self.close_over(slot, Limit::RoomsPerConnection, CloseCause::Rooms);
        }
        is_admitted
    }

    /// Makes a connection ready that began with `connect`, if no room that it starts in is still to be confirmed.
    pub(super) fn ready_if_entered(&mut self, slot: Slot) {
        let Some(open) = self.conns[slot].open_mut() else { return };
        if !open.joins.is_empty() || !matches!(open.stage, Stage::Joining(_)) {
            return;
        }
        let Stage::Joining(connect) = core::mem::replace(&mut open.stage, Stage::Ready) else { return };
        self.ready += 1;
        self.ready_anonymous += usize::from(open.is_ready_anonymous());
        self.disarm(slot, Timer::Phase);
        self.tell_connected(slot, &connect);
        for frame in connect.held {
            self.enqueue(slot, frame);
        }
    }

    /// The connection is in every room that it starts in.
    fn tell_connected(&mut self, slot: Slot, connect: &PendingConnect) {
        let Some(open) = self.conns[slot].open() else { return };
        let reply = Connected {
            id: &connect.id,
            info: &open.info,
            version: &self.config.version,
            node: &self.config.node,
            ttl: connect.ttl,
            ping_interval: self.config.limits.ping_interval,
            subs: &connect.subs,
        };
        if let Some(frame) = self.encode(slot, &ServerMessage::Connected(&reply)) {
            self.enqueue(slot, frame);
        }
        self.arm_first_ping(slot);
    }
}
