//! Later tokens: how long a connection lasts, who it is, and which rooms it is in from then on.

use super::Hub;
use super::registry::Registry;
use crate::close::CloseCause;
use crate::connection::Open;
use crate::connection::deadlines::Timer;
use crate::connection::pending::{JoinReason, NextOfUser, Reasons, Subscribed};
use crate::error::UnsubscribeReason;
use crate::ids::{ClientInfo, Slot};
use crate::json::Json;
use crate::limits::Limit;
use crate::link::HomeRequest;
use crate::names::{RoomName, UserId};
use crate::protocol::{CommandId, ServerMessage};
use crate::publication::Replay;
use crate::token::validate::Identity;
use alloc::sync::Arc;
use alloc::vec::Vec;

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
    /// After a token with these `channels`. `opened` are the rooms of its URL that it may join only now.
    fn after(
        open: &Open,
        registry: &Registry,
        slot: Slot,
        channels: &[RoomName],
        opened: &[(RoomName, Replay)],
    ) -> Self {
        let named = registry.with_reason(slot, Reasons::TOKEN).filter(|(room, _)| !channels.contains(room));
        let withdrawn: Vec<(RoomName, Reasons)> = named.map(|(room, wanted)| (room.clone(), wanted)).collect();
        // Its client has asked for those that are opened, and stays in them.
        let is_left = |(room, wanted): &&(RoomName, Reasons)| {
            wanted.difference(Reasons::TOKEN).is_none() && opened.iter().all(|(opened, _)| opened != room)
        };
        let left = withdrawn.iter().filter(is_left).count();
        let is_new = |room: &&RoomName| !open.granted.contains(room) && !registry.has_membership(slot, room);
        let granted = channels.iter().filter(is_new).map(|room| (room.clone(), Reasons::TOKEN));
        let mut new: Vec<(RoomName, Reasons)> = granted.collect();
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
    /// A later token of the same user counts.
    pub(super) fn renew(&mut self, slot: Slot, identity: Identity, id: &CommandId) {
        let opened = self.opened_by(slot, &identity.user, &identity.capabilities);
        self.renew_with(slot, identity, id, opened, None);
    }

    /// A later token counts whole: for how long, who the connection is, and which rooms it is put into. The client is told
    /// first. A membership that others want as well stays, and one that was left meanwhile stays left. `opened` are the rooms of
    /// its URL that it may join only now.
    ///
    /// The user must be the one that the connection has, or it has none and has just joined the personal room of this one.
    pub(super) fn renew_with(
        &mut self,
        slot: Slot,
        identity: Identity,
        id: &CommandId,
        opened: Vec<(RoomName, Replay)>,
        personal: Option<(RoomName, Subscribed)>,
    ) {
        let Some(changes) = self.admit_renewal(slot, &identity, &opened, 0) else { return };
        let ttl = identity.ttl();
        let Identity { user, info, channels, capabilities, until, .. } = identity;
        if let Some(rooms) = self.conns[slot].protocol.url_rooms_mut() {
            rooms.refused.retain(|(room, _)| opened.iter().all(|(opened, _)| opened != room));
        }
        for (room, _) in &opened {
            self.registry.add_reason(slot, room, Reasons::CLIENT);
        }
        self.set(slot, Timer::Expiry, until);
        let client = self.conns[slot].client;
        self.tell(slot, &ServerMessage::Refreshed { id, client, user: &user, ttl });
        if let Some((room, subscribed)) = personal {
            self.push_subscribe(slot, &room, subscribed);
        }
        for room in &changes.withdrawn {
            self.withdraw_reason(slot, room, Reasons::TOKEN, UnsubscribeReason::SERVER);
        }
        for room in &channels {
            self.registry.add_reason(slot, room, Reasons::TOKEN);
        }
        if let Some(open) = self.conns[slot].open_mut() {
            open.granted = channels.into_boxed_slice();
            open.capabilities = capabilities;
        }
        self.end_forbidden_subscriptions(slot);
        self.rename(slot, user, info);
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
    }

    /// Gives a connection that has no user yet to the user of a later token, if it may be in one more room then.
    pub(super) fn ask_for_renewal(&mut self, slot: Slot, identity: Identity, id: &CommandId) {
        let opened = self.opened_by(slot, &identity.user, &identity.capabilities);
        if self.admit_renewal(slot, &identity, &opened, 1).is_some() {
            // The connection lasts as long as the token says, also while the home takes its time.
            self.set(slot, Timer::Expiry, identity.until);
            self.ask_for_place(slot, identity, NextOfUser::Renewal { id: id.clone(), opened });
        }
    }

    /// Returns the change that a later token makes to the rooms of a connection. `None` when it would be in more than
    /// `rooms_per_connection`, with so many `more`: it is closed.
    fn admit_renewal(
        &mut self,
        slot: Slot,
        identity: &Identity,
        opened: &[(RoomName, Replay)],
        more: usize,
    ) -> Option<RoomChanges> {
        let Identity { user, channels, capabilities, .. } = identity;
        let changes = RoomChanges::after(self.conns[slot].open()?, &self.registry, slot, channels, opened);
        let most = self.config.limits.rooms_per_connection;
        if changes.count + more <= most {
            return Some(changes);
        }
        // Where it is what the client has joined that is too much, a new connection has place for what it begins with.
        let first = self.count_first_rooms(slot, user, channels, capabilities);
        let cause = if first > most { CloseCause::Rooms } else { CloseCause::Overloaded };
        self.close_over(slot, Limit::RoomsPerConnection, cause);
        None
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
        let is_another = open.info.user != info.user;
        open.info = Arc::new(info);
        let renamed = self.registry.membership_joins(slot).map(|(room, join)| {
            let member = Arc::clone(open.info_in(room));
            HomeRequest::Rename { room: room.clone(), join, member }
        });
        self.requests.extend(renamed);
        if is_another {
            self.tell_user(slot);
        }
    }
}
