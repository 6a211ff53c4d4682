//! From a token to a session: who a connection is, and which rooms it is in from the start.

use super::Hub;
use super::states::ConnectionState;
use crate::close::CloseCause;
use crate::connection::Stage;
use crate::connection::deadlines::Timer;
use crate::connection::pending::{JoinLeave, JoinReason, NextOfUser, PendingConnect, Reasons};
use crate::ids::{ClientInfo, Slot};
use crate::limits::Limit;
use crate::names::RoomName;
use crate::protocol::{Connected, ServerMessage, Start};
use crate::publication::Replay;
use crate::step::StepChange;
use crate::token::validate::{Identity, TokenVerdict};
use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

impl Hub {
    /// Begins the session of a connection with a token: first it becomes the connection of the user, if there is one.
    pub(super) fn ask_for_session(&mut self, slot: Slot, connect: PendingConnect, identity: Identity) {
        if identity.user.is_anonymous() {
            return self.begin_session(slot, connect, Some(identity), None);
        }
        // A connection that cannot begin takes no place of another one. What it may join of its URL is decided later, unless
        // all of it would be too much.
        let Identity { user, channels, capabilities, .. } = &identity;
        let named = self.conns[slot].protocol.url_rooms().map_or(0, |url| url.named.len());
        let mut count = channels.len() + 1 + named;
        if count > self.config.limits.rooms_per_connection {
            count = self.count_first_rooms(slot, user, channels, capabilities);
        }
        if self.admit_rooms(slot, count) {
            self.ask_for_place(slot, identity, NextOfUser::Session(Box::new(connect)));
        }
    }

    /// Begins the session of a connection, and puts it into the rooms of its token and of its URL. One that has a user is in
    /// the user's personal room already. `refused` is the verdict on a token without which the client is admitted.
    pub(super) fn begin_session(
        &mut self,
        slot: Slot,
        mut connect: PendingConnect,
        identity: Option<Identity>,
        refused: Option<&TokenVerdict>,
    ) {
        let is_authenticated = identity.is_some();
        let mut rooms = identity.map_or_else(Vec::new, |identity| self.identify(slot, identity));
        self.tell_user(slot);
        let client = self.conns[slot].client;
        self.tell(slot, &ServerMessage::Greeting { client, is_authenticated });
        if self.conns[slot].protocol.start() == Start::AtOnce {
            for (room, subscribed) in core::mem::take(&mut connect.subs) {
                self.push_subscribe(slot, &room, subscribed);
            }
        }
        self.add_url_rooms(slot, &mut connect, &mut rooms);
        let is_admitted = self.admit_rooms(slot, self.registry.membership_count(slot) + rooms.len());
        if let Some(verdict) = refused {
            self.tell_refused(slot, &connect.id, verdict);
        }
        // All else that the client is told at the start is in its outbox by now: how much that is decides whether a replay
        // waits until it has read.
        if is_admitted {
            self.enter(slot, connect, &rooms);
        }
    }

    /// Tells the user of a connection as a step, if the configuration asks for steps.
    pub(super) fn tell_user(&mut self, slot: Slot) {
        self.step(slot, |conn| Some(StepChange::Authenticated { user: conn.open()?.info.user.clone() }));
    }

    /// Lets a token count for a connection. Returns the rooms that it is put into because of that, each with the reasons
    /// there.
    fn identify(&mut self, slot: Slot, identity: Identity) -> Vec<(RoomName, Reasons)> {
        let Identity { user, info, channels, capabilities, until, .. } = identity;
        self.set(slot, Timer::Expiry, until);
        let rooms = channels.iter().map(|room| (room.clone(), Reasons::TOKEN)).collect();
        let conn = &mut self.conns[slot];
        let client = conn.client;
        if let Some(open) = conn.open_mut() {
            open.granted = channels.into_boxed_slice();
            open.capabilities = capabilities;
            if user.is_anonymous() && info.is_some() {
                open.info = Arc::new(ClientInfo { client, user, info, room_info: None });
            }
        }
        rooms
    }

    /// Puts the connection into the rooms that it starts in. One that began with `connect` is ready when the home has confirmed
    /// them all: the answer speaks of them. Another one is ready at once.
    fn enter(&mut self, slot: Slot, connect: PendingConnect, rooms: &[(RoomName, Reasons)]) {
        let with_replay = |(room, reasons): &(RoomName, Reasons)| (room.clone(), *reasons, connect.replay_of(room));
        let mut rooms: Vec<(RoomName, Reasons, Replay)> = rooms.iter().map(with_replay).collect();
        let is_answered = self.conns[slot].protocol.start() == Start::OnConnect;
        if is_answered {
            self.arm(slot, Timer::Phase, self.config.limits.authenticate_timeout);
        } else {
            self.disarm(slot, Timer::Phase);
        }
        let Some(open) = self.conns[slot].open_mut() else { return };
        open.stage = if is_answered { Stage::Joining(Box::new(connect)) } else { Stage::Ready };
        let is_anonymous = open.is_ready_anonymous();
        if !is_answered {
            self.count_ready(slot, is_anonymous);
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
        self.ready_if_entered(slot);
    }

    /// Closes a connection that is to start in more rooms than `rooms_per_connection`. Returns whether it may go on.
    fn admit_rooms(&mut self, slot: Slot, count: usize) -> bool {
        let is_admitted = count <= self.config.limits.rooms_per_connection;
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
        let is_anonymous = open.is_ready_anonymous();
        self.count_ready(slot, is_anonymous);
        self.disarm(slot, Timer::Phase);
        self.tell_connected(slot, &connect);
        for frame in connect.held {
            self.enqueue(slot, frame);
        }
    }

    /// Counts a connection that was opening and is ready.
    fn count_ready(&mut self, slot: Slot, is_anonymous: bool) {
        self.states.change(&self.conns[slot].protocol, ConnectionState::Opening, ConnectionState::Ready);
        self.ready_anonymous += usize::from(is_anonymous);
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
