//! From a token to a session: who a connection is, and which rooms it is in from the start.

use super::{Hub, Text};
use crate::broker::keeps_history;
use crate::code::{CloseReason, Error, ErrorCode};
use crate::conn::{Entrance, PendingJoin, Renewal, Speaks, Stage, Timer, Why};
use crate::ids::{BadName, ClientId, ClientInfo, ConnId, Name, any_room, client_room};
use crate::link::{Position, Request};
use crate::registry::{JoinId, Left};
use crate::time::Instant;
use crate::turn::{BadToken, Change, Claims, Effect};
use crate::wire::json::{self, Subscribed};
use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

/// What a token proves at this moment.
pub(super) enum Proof {
    Good(Identity),
    Bad,
    Expired,
}

/// Who a token says that its bearer is.
pub(super) struct Identity {
    pub user: Name,
    pub info: Option<String>,
    pub channels: Vec<Name>,
    /// How long the token is still good.
    pub lifetime: Option<Duration>,
}

impl Identity {
    /// The same in whole seconds, as replies have it: at least 1, which SDKs take for "soon" where 0 is "never".
    pub fn ttl(&self) -> Option<u64> {
        self.lifetime.map(|lifetime| lifetime.as_secs().max(1))
    }
}

impl Hub {
    /// Has a token's signature checked.
    pub(super) fn authenticate(&mut self, slot: u32, token: String) {
        let conn = self.conns[slot as usize].id;
        self.effects.push(Effect::Authenticate { conn, token });
    }

    /// The signature has been checked.
    pub(super) fn authenticated(&mut self, slot: u32, verdict: Result<Claims, BadToken>) {
        let proof = self.prove(verdict);
        let conn = &mut self.conns[slot as usize];
        let plain = matches!(conn.speaks, Speaks::Plain(_));
        let Some(open) = conn.open_mut() else {
            self.totals.ignored_inputs += 1;
            return;
        };
        match (&open.stage, open.renewal.take()) {
            (Stage::Authenticating { .. }, _) if plain => self.plain_entrance(slot, proof),
            (Stage::Authenticating { id }, _) => {
                let id = *id;
                self.json_entrance(slot, id, proof);
            }
            (_, Some(Renewal::Plain)) => self.plain_renewed(slot, proof),
            (_, Some(Renewal::Json(id))) => self.json_refreshed(slot, id, proof),
            _ => self.totals.ignored_inputs += 1,
        }
    }

    /// Judges a token's times against the time of this turn, and its names against the rules.
    fn prove(&self, verdict: Result<Claims, BadToken>) -> Proof {
        let Ok(claims) = verdict else { return Proof::Bad };
        let now = i64::try_from(self.now.unix_ms / 1000).unwrap_or(i64::MAX);
        if claims.exp.is_some_and(|exp| exp <= now) {
            return Proof::Expired;
        }
        if claims.nbf.is_some_and(|nbf| nbf > now) {
            return Proof::Bad;
        }
        let max = self.config.limits.room_name_bytes;
        let user = Name::from(claims.sub.as_str());
        if !user.is_empty() && any_room(&user.personal_room(), max).is_err() {
            return Proof::Bad;
        }
        let mut channels: Vec<Name> = Vec::new();
        for channel in &claims.channels {
            match client_room(channel, max) {
                Ok(channel) if channels.contains(&channel) => {}
                Ok(channel) => channels.push(channel),
                Err(_) => return Proof::Bad,
            }
        }
        let lifetime = claims.exp.map(|exp| {
            let until = u64::try_from(exp).unwrap_or(0).saturating_mul(1000);
            Duration::from_millis(until.saturating_sub(self.now.unix_ms))
        });
        Proof::Good(Identity { user, info: claims.info, channels, lifetime })
    }

    /// Makes a connection the user's own. Returns the rooms that it is put into because of that.
    pub(super) fn identify(&mut self, slot: u32, identity: Identity) -> Vec<Name> {
        let Identity { user, info, channels, lifetime } = identity;
        let mut rooms = channels;
        self.arm_expiry(slot, lifetime);
        let conn = &mut self.conns[slot as usize];
        let client = conn.client;
        let Some(open) = conn.open_mut() else { return rooms };
        if !user.is_empty() || info.is_some() {
            open.info = Arc::new(ClientInfo { client, user: user.clone(), info });
        }
        if !user.is_empty() {
            rooms.push(user.personal_room());
            if self.registry.set_user(slot, &user) {
                self.event(Change::Online(user));
            }
        }
        rooms
    }

    /// Closes the connection some time after its token expires, unless it is renewed.
    pub(super) fn arm_expiry(&mut self, slot: u32, lifetime: Option<Duration>) {
        let grace = self.config.limits.expiry_grace;
        let expiry = lifetime.map_or(Instant::NEVER, |lifetime| self.now.mono.after(lifetime).after(grace));
        self.set(slot, Timer::Expiry, expiry);
    }

    /// Puts the connection into the rooms that it starts in. When the broker has confirmed them all, it is ready.
    pub(super) fn enter(&mut self, slot: u32, entrance: Entrance, rooms: &[Name]) {
        if rooms.len() > self.config.limits.rooms_per_connection {
            return self.close(slot, CloseReason::ROOMS);
        }
        self.disarm(slot, Timer::Phase);
        let Some(open) = self.conns[slot as usize].open_mut() else { return };
        open.stage = Stage::Joining(Box::new(entrance));
        for room in rooms {
            self.join(slot, room, Why::Placed);
        }
        self.ready_if_entered(slot);
    }

    /// Asks the broker to make the connection a member of a room.
    pub(super) fn join(&mut self, slot: u32, room: &Name, why: Why) {
        let join = self.next_join();
        let conn = &mut self.conns[slot as usize];
        let (id, client) = (conn.id, conn.client);
        let Some(open) = conn.open_mut() else { return };
        open.joins.push(PendingJoin { join, why });
        self.registry.begin_join(slot, room, join);
        self.requests.push_back(Request::Join { conn: id, client, join, room: room.clone() });
    }

    /// The broker has made the connection a member.
    pub(super) fn joined(&mut self, conn: ConnId, client: ClientId, join: JoinId, room: Name, position: Position) {
        let waits = self.conns.get(conn.slot as usize).is_some_and(|found| found.id == conn);
        if !waits || !self.registry.confirm(conn.slot, join) {
            self.totals.late_joins += 1;
            return self.requests.push_back(Request::Leave { room, client, join });
        }
        let slot = conn.slot;
        let Some(why) = self.take_pending(slot, join) else { return };
        let positioned = keeps_history(&self.config.limits);
        match why {
            Why::Asked { id, recover } => {
                let subscribed = Subscribed { position, positioned, was_recovering: recover && positioned };
                self.say(slot, &json::subscribed(id, subscribed));
            }
            Why::Placed => {
                let subscribed = Subscribed { position, positioned, was_recovering: false };
                if let Some(open) = self.conns[slot as usize].open_mut()
                    && let Stage::Joining(entrance) = &mut open.stage
                {
                    entrance.subs.push((room, subscribed));
                }
                self.ready_if_entered(slot);
            }
        }
    }

    /// The broker has no place for the room.
    pub(super) fn join_refused(&mut self, conn: ConnId, join: JoinId, error: Error) {
        self.with(conn, |hub, slot| {
            let Some(why) = hub.take_pending(slot, join) else { return };
            hub.registry.give_up(slot, join);
            match why {
                Why::Asked { id, .. } => hub.fail(slot, id, &error),
                Why::Placed => hub.close(slot, CloseReason::OVERLOADED),
            }
        });
    }

    /// A membership or a join is over: the broker has to know, unless it will ask when it confirms.
    pub(super) fn left(&mut self, slot: u32, left: Left) {
        let conn = &mut self.conns[slot as usize];
        let client = conn.client;
        if left.was_member {
            self.requests.push_back(Request::Leave { room: left.room, client, join: left.join });
        } else if let Some(open) = conn.open_mut() {
            open.joins.retain(|pending| pending.join != left.join);
        }
    }

    fn take_pending(&mut self, slot: u32, join: JoinId) -> Option<Why> {
        let joins = &mut self.conns[slot as usize].open_mut()?.joins;
        let at = joins.iter().position(|pending| pending.join == join)?;
        let why = joins.swap_remove(at).why;
        if joins.is_empty() {
            *joins = Vec::new();
        }
        Some(why)
    }

    fn ready_if_entered(&mut self, slot: u32) {
        let Some(open) = self.conns[slot as usize].open_mut() else { return };
        if open.joins.iter().any(|pending| pending.why == Why::Placed) {
            return;
        }
        match core::mem::replace(&mut open.stage, Stage::Ready) {
            Stage::Joining(entrance) => {
                if let Speaks::Json { .. } = self.conns[slot as usize].speaks {
                    self.json_ready(slot, &entrance);
                }
                self.resume(slot);
            }
            other => open.stage = other,
        }
    }

    /// Keeps a message until the connection is ready, as many bytes as one message may have.
    pub(super) fn keep_waiting(&mut self, slot: u32, text: String) {
        let max = self.config.limits.message_bytes;
        let Some(open) = self.conns[slot as usize].open_mut() else { return };
        let waiting: usize = open.waiting.iter().map(String::len).sum();
        if waiting + text.len() > max {
            return self.close(slot, CloseReason::BAD_REQUEST);
        }
        open.waiting.push(text);
    }

    /// Hears what a connection has said while it was not ready for it.
    fn resume(&mut self, slot: u32) {
        let conn = &mut self.conns[slot as usize];
        let id = conn.id;
        let Some(open) = conn.open_mut() else { return };
        let waiting = core::mem::take(&mut open.waiting);
        self.texts.extend(waiting.into_iter().map(|text| Text { conn: id, text, at: 0 }));
    }

    /// Whether a client may be a member of a room that it names, and may be put into one more.
    pub(super) fn may_join(&self, slot: u32, room: &str) -> Result<Name, Error> {
        let limits = &self.config.limits;
        let room = client_room(room, limits.room_name_bytes).map_err(|wrong| match wrong {
            BadName::Reserved => Error::from(ErrorCode::PermissionDenied),
            wrong => Error::new(ErrorCode::BadRequest, alloc::format!("{wrong}")),
        })?;
        if !self.config.policy.allow_subscribe {
            return Err(ErrorCode::PermissionDenied.into());
        }
        if self.registry.has_seat(slot, &room) {
            return Err(ErrorCode::AlreadySubscribed.into());
        }
        if self.registry.seat_count(slot) >= limits.rooms_per_connection {
            return Err(Error::new(ErrorCode::LimitExceeded, "too many rooms (rooms_per_connection)"));
        }
        Ok(room)
    }
}
