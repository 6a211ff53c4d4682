//! From a token to a session: who a connection is, and which rooms it is in from the start.

use super::Hub;
use crate::close::CloseCause;
use crate::config::UserLimit;
use crate::connection::Stage;
use crate::connection::deadlines::Timer;
use crate::connection::pending::{JoinLeave, Reasons};
use crate::connection::pending::{JoinReason, PendingConnect};
use crate::ids::{ClientInfo, Slot};
use crate::limits::Limit;
use crate::names::{RoomName, UserId};
use crate::protocol::{Connected, ServerMessage, Start};
use crate::publication::Replay;
use crate::token::validate::{Identity, TokenVerdict};
use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::num::NonZeroUsize;

impl Hub {
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

    /// Whether a user may have this connection too; where not, it is closed.
    pub(super) fn admit_user(&mut self, slot: Slot, user: &UserId) -> bool {
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
