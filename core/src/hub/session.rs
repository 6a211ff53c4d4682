//! From a token to a session: who a connection is, and which rooms it is in from the start.

use super::Hub;
use crate::close::CloseCause;
use crate::conn::{Check, Entrance, Speaks, Stage, Timer, Why};
use crate::ids::{ClientInfo, Name};
use crate::limits::Limit;
use crate::link::{Replay, Request};
use crate::time::Instant;
use crate::turn::{BadToken, Change, Claims, Effect};
use crate::wire::readable;
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
    /// The room that it is for, in the token of a subscription.
    pub channel: Option<String>,
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
    /// Has a token's signature checked. What the client says meanwhile waits.
    pub(super) fn check(&mut self, slot: u32, token: String, check: Check) {
        let conn = &mut self.conns[slot as usize];
        let id = conn.id;
        let Some(open) = conn.open_mut() else { return };
        assert!(open.check.is_none(), "who has a token checked is not heard until that is done");
        open.check = Some(check);
        self.effects.push(Effect::Authenticate { conn: id, token });
    }

    /// The signature has been checked.
    pub(super) fn authenticated(&mut self, slot: u32, verdict: Result<Claims, BadToken>) {
        let Some(check) = self.conns[slot as usize].open_mut().and_then(|open| open.check.take()) else {
            self.totals.ignored_inputs += 1;
            return;
        };
        let proof = self.prove(verdict);
        let plain = matches!(self.conns[slot as usize].speaks, Speaks::Plain(_));
        match check {
            Check::Entrance(entrance) if plain => self.plain_entrance(slot, entrance.plain_id.as_deref(), proof),
            Check::Entrance(entrance) => self.json_entrance(slot, *entrance, proof),
            Check::Auth { id } => self.plain_renewed(slot, id.as_deref(), proof),
            Check::Refresh { id } => self.json_refreshed(slot, id, proof),
            Check::Subscribe(asked) => self.subscribe_with(slot, *asked, proof),
            Check::SubRefresh { id, room } => self.room_refreshed(slot, id, &room, proof),
        }
        self.resume(slot);
    }

    /// Judges a token's times against the time of this turn, and its names against the rules.
    fn prove(&mut self, verdict: Result<Claims, BadToken>) -> Proof {
        let Ok(claims) = verdict else { return Proof::Bad };
        let now = i64::try_from(self.now.unix_ms / 1000).unwrap_or(i64::MAX);
        if claims.exp.is_some_and(|exp| exp <= now) {
            return Proof::Expired;
        }
        if claims.nbf.is_some_and(|nbf| nbf > now) {
            return Proof::Bad;
        }
        let max = self.config.limits.room_name_bytes;
        let user = if claims.sub.is_empty() { Ok(Name::empty()) } else { Name::user(&claims.sub, max) };
        let Ok(user) = user else { return Proof::Bad };
        let mut channels: Vec<Name> = Vec::new();
        for channel in &claims.channels {
            match Name::client_room(channel, max) {
                Ok(channel) if channels.contains(&channel) => {}
                Ok(channel) => channels.push(channel),
                Err(_) => return Proof::Bad,
            }
        }
        let info = claims.info.as_deref().unwrap_or_default();
        if let Err(wrong) = readable::check(info, &self.config.limits) {
            self.count_error(&wrong.error("info"));
            return Proof::Bad;
        }
        let lifetime = claims.exp.map(|exp| self.until(exp));
        Proof::Good(Identity { user, info: claims.info, channels, channel: claims.channel, lifetime })
    }

    /// How long it is from this turn to a time in seconds since 1970.
    pub(super) fn until(&self, unix_seconds: i64) -> Duration {
        let until = u64::try_from(unix_seconds).unwrap_or(0).saturating_mul(1000);
        Duration::from_millis(until.saturating_sub(self.now.unix_ms))
    }

    /// Makes a connection the user's own. Returns the rooms that it is put into because of that; `None` when the user has
    /// too many connections, and this one is closed.
    pub(super) fn identify(&mut self, slot: u32, identity: Identity) -> Option<Vec<Name>> {
        let Identity { user, info, channels, lifetime, .. } = identity;
        let mut rooms = channels;
        let most = self.config.limits.connections_per_user;
        if !user.is_empty() && most > 0 && self.registry.connections_of(&user).count() >= most {
            self.close_over(slot, Limit::ConnectionsPerUser, CloseCause::UserConnections);
            return None;
        }
        self.arm_expiry(slot, lifetime);
        let conn = &mut self.conns[slot as usize];
        let client = conn.client;
        if let Some(open) = conn.open_mut()
            && (!user.is_empty() || info.is_some())
        {
            open.info = Arc::new(ClientInfo { client, user: user.clone(), info, room_info: None });
        }
        if !user.is_empty() {
            rooms.push(user.personal_room());
            if self.registry.set_user(slot, &user) {
                self.event(Change::Online(user));
            }
        }
        Some(rooms)
    }

    /// Tells the rooms that a connection is in who it is now.
    pub(super) fn rename(&mut self, slot: u32) {
        let Some(open) = self.conns[slot as usize].open() else { return };
        let renamed = self.registry.joins_of(slot).map(|(room, join)| {
            let member = Arc::clone(open.info_in(room));
            Request::Rename { room: room.clone(), join, member }
        });
        self.requests.extend(renamed);
    }

    /// Closes the connection some time after its token expires, unless it is renewed.
    pub(super) fn arm_expiry(&mut self, slot: u32, lifetime: Option<Duration>) {
        let at = self.expiry(lifetime);
        self.set(slot, Timer::Expiry, at);
    }

    /// When something ends whose token is good for this long.
    pub(super) fn expiry(&self, lifetime: Option<Duration>) -> Instant {
        let grace = self.config.limits.expiry_grace;
        lifetime.map_or(Instant::NEVER, |lifetime| self.now.mono.after(lifetime).after(grace))
    }

    /// Puts the connection into the rooms that it starts in. When the broker has confirmed them all, it is ready.
    pub(super) fn enter(&mut self, slot: u32, mut entrance: Entrance, rooms: &[Name]) {
        if rooms.len() > self.config.limits.rooms_per_connection {
            return self.close_over(slot, Limit::RoomsPerConnection, CloseCause::Rooms);
        }
        self.disarm(slot, Timer::Phase);
        let replays = core::mem::take(&mut entrance.replays);
        let Some(open) = self.conns[slot as usize].open_mut() else { return };
        open.stage = Stage::Joining(Box::new(entrance));
        for room in rooms {
            let wanted = replays.iter().find(|(name, _)| name == room);
            let replay = wanted.map_or(Replay::None, |(_, replay)| replay.clone());
            self.join(slot, room, Why::Entering, replay, false, None);
        }
        self.ready_if_entered(slot);
    }

    /// Makes the connection ready, if no room that it starts in is still to be confirmed.
    pub(super) fn ready_if_entered(&mut self, slot: u32) {
        let Some(open) = self.conns[slot as usize].open_mut() else { return };
        if open.joins.iter().any(|pending| pending.why == Why::Entering) {
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

    /// Keeps a message until the connection is ready for it, as many bytes as one message may have.
    pub(super) fn keep_waiting(&mut self, slot: u32, text: String) {
        let max = self.config.limits.message_bytes;
        let Some(open) = self.conns[slot as usize].open_mut() else { return };
        let waiting: usize = open.waiting.iter().map(String::len).sum();
        if waiting + text.len() > max {
            return self.close_for(slot, Limit::MessageBytes, CloseCause::BadRequest);
        }
        open.waiting.push(text);
    }

    /// Hears what a connection has said while it was not ready for it.
    fn resume(&mut self, slot: u32) {
        let conn = &mut self.conns[slot as usize];
        let id = conn.id;
        let Some(open) = conn.open_mut().filter(|open| !open.is_busy()) else { return };
        let waiting = core::mem::take(&mut open.waiting);
        self.texts.extend(waiting.into_iter().map(|text| super::Text { conn: id, text, at: 0 }));
    }
}
