//! What connections of the `json` profile ask for.

use super::session::Proof;
use super::{Hub, Text};
use crate::code::{CloseReason, Error, ErrorCode};
use crate::conn::{Entrance, Renewal, Speaks, Stage, Timer, Why};
use crate::link::{Draft, Origin, Request};
use crate::wire::json::{self, Command, Method};
use crate::wire::raw;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use serde::Deserialize;
use serde_json::value::RawValue;

/// Why a command is not carried out.
enum Refusal {
    /// It is answered with an error.
    Error(Error),
    /// The connection ends.
    Close(CloseReason),
}

impl From<ErrorCode> for Refusal {
    fn from(code: ErrorCode) -> Self {
        Self::Error(code.into())
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

impl Hub {
    /// Carries out the next command of a text frame and puts the rest back: the broker answers before it is looked at.
    pub(super) fn work(&mut self, text: Text) {
        let Text { conn, text, at } = text;
        match json::next_command(&text[at..]) {
            None => {}
            Some(Err(_)) => self.close(conn.slot, CloseReason::BAD_REQUEST),
            Some(Ok((command, used))) => {
                self.command(conn.slot, &command);
                self.texts.push_front(Text { conn, at: at + used, text });
            }
        }
    }

    /// The token that came with `connect` was checked.
    pub(super) fn json_entrance(&mut self, slot: u32, id: u64, proof: Proof) {
        match proof {
            Proof::Bad => self.close(slot, CloseReason::INVALID_TOKEN),
            Proof::Expired => {
                if let Some(open) = self.conns[slot as usize].open_mut() {
                    open.stage = Stage::Unauthenticated;
                    // An SDK has sent its subscriptions behind this `connect`, gets a new token and sends all of it again.
                    open.waiting = Vec::new();
                }
                self.fail(slot, id, &ErrorCode::TokenExpired.into());
            }
            Proof::Good(identity) => {
                let entrance = Entrance { id, ttl: identity.ttl(), subs: Vec::new() };
                let rooms = self.identify(slot, identity);
                self.enter(slot, entrance, &rooms);
            }
        }
    }

    /// The token that came with `refresh` was checked.
    pub(super) fn json_refreshed(&mut self, slot: u32, id: u64, proof: Proof) {
        match proof {
            Proof::Bad => self.close(slot, CloseReason::INVALID_TOKEN),
            Proof::Expired => self.fail(slot, id, &ErrorCode::TokenExpired.into()),
            Proof::Good(identity) => {
                let Some(open) = self.conns[slot as usize].open() else { return };
                if open.info.user != identity.user {
                    return self.close(slot, CloseReason::BAD_REQUEST);
                }
                let reply = json::refreshed(id, &open.info, identity.ttl());
                self.arm_expiry(slot, identity.lifetime);
                self.say(slot, &reply);
            }
        }
    }

    /// The connection is in every room that it starts in.
    pub(super) fn json_ready(&mut self, slot: u32, entrance: &Entrance) {
        let conn = &self.conns[slot as usize];
        let frame_pings = matches!(conn.speaks, Speaks::Json { frame_pings: true });
        let Some(open) = conn.open() else { return };
        let interval = self.config.limits.ping_interval;
        let reply = json::Connected {
            id: entrance.id,
            info: &open.info,
            version: &self.config.version,
            node: &self.config.node,
            ttl: entrance.ttl,
            ping: (!frame_pings).then(|| interval.as_millis().div_ceil(1000) as u64),
            subs: &entrance.subs,
        };
        let reply = reply.encode();
        self.say(slot, &reply);
        self.arm(slot, Timer::Ping, interval);
    }

    /// Answers a command with an error.
    pub(super) fn fail(&mut self, slot: u32, id: u64, error: &Error) {
        self.totals.errors += 1;
        self.say(slot, &json::failed(id, error));
    }

    fn command(&mut self, slot: u32, command: &Command<'_>) {
        let (id, outcome) = match command {
            Command::Pong => return,
            Command::Unknown { id } => (*id, self.admit(slot, *id).and(Err(ErrorCode::MethodNotFound.into()))),
            Command::Method { id, method: Method::Connect, params } => (*id, self.connect(slot, *id, params)),
            Command::Method { id: 0, method: Method::Send, .. } => (0, self.admit(slot, 1)),
            Command::Method { id, method, params } => {
                let outcome = self.admit(slot, *id).and_then(|()| self.method(slot, *id, *method, params));
                (*id, outcome)
            }
        };
        match outcome {
            Ok(()) => {}
            Err(Refusal::Error(error)) => self.fail(slot, id, &error),
            Err(Refusal::Close(reason)) => self.close(slot, reason),
        }
    }

    /// Whether a command may come now: it has an id to answer to, and `connect` went before it.
    fn admit(&self, slot: u32, id: u64) -> Result<(), Refusal> {
        let ready = self.conns[slot as usize].ready().is_some();
        if id == 0 || !ready { Err(Refusal::Close(CloseReason::BAD_REQUEST)) } else { Ok(()) }
    }

    fn method(&mut self, slot: u32, id: u64, method: Method, params: &RawValue) -> Result<(), Refusal> {
        match method {
            Method::Subscribe => self.subscribe(slot, id, params),
            Method::Unsubscribe => self.unsubscribe(slot, id, params),
            Method::Publish => self.publish(slot, id, params),
            Method::Refresh => self.refresh(slot, id, params),
            Method::Ping => {
                self.say(slot, &json::done(id, "ping"));
                Ok(())
            }
            Method::Send => Ok(()),
            Method::Connect => Err(Refusal::Close(CloseReason::BAD_REQUEST)),
            Method::Rpc | Method::Presence | Method::PresenceStats | Method::History | Method::SubRefresh => {
                Err(ErrorCode::NotAvailable.into())
            }
        }
    }

    fn connect(&mut self, slot: u32, id: u64, params: &RawValue) -> Result<(), Refusal> {
        let Some(open) = self.conns[slot as usize].open_mut() else { return Ok(()) };
        if id == 0 || !matches!(open.stage, Stage::Unauthenticated) {
            return Err(Refusal::Close(CloseReason::BAD_REQUEST));
        }
        let json::Connect { token } = read(params)?;
        if !token.is_empty() {
            open.stage = Stage::Authenticating { id };
            self.authenticate(slot, token);
        } else if self.config.policy.allow_anonymous {
            self.enter(slot, Entrance { id, ttl: None, subs: Vec::new() }, &[]);
        } else {
            return Err(Refusal::Close(CloseReason::INVALID_TOKEN));
        }
        Ok(())
    }

    fn subscribe(&mut self, slot: u32, id: u64, params: &RawValue) -> Result<(), Refusal> {
        let json::Subscribe { channel, recover } = read(params)?;
        let room = self.may_join(slot, &channel)?;
        self.join(slot, &room, Why::Asked { id, recover });
        Ok(())
    }

    fn unsubscribe(&mut self, slot: u32, id: u64, params: &RawValue) -> Result<(), Refusal> {
        let json::Unsubscribe { channel } = read(params)?;
        if let Some(left) = self.registry.leave(slot, &channel) {
            self.left(slot, left);
        }
        self.say(slot, &json::done(id, "unsubscribe"));
        Ok(())
    }

    fn publish(&mut self, slot: u32, id: u64, params: &RawValue) -> Result<(), Refusal> {
        let publish: json::Publish<'_> = read(params)?;
        let data = publish.payload().ok_or_else(|| Error::new(ErrorCode::BadRequest, "data is missing"))?;
        let conn = self.conns[slot as usize].id;
        self.publish_from(slot, &publish.channel, data, Origin::Json { conn, id })?;
        Ok(())
    }

    /// Publishes for a client, if it may.
    pub(super) fn publish_from(&mut self, slot: u32, room: &str, data: String, from: Origin) -> Result<(), Error> {
        if !self.config.policy.allow_publish || !self.registry.is_member(slot, room) {
            return Err(ErrorCode::PermissionDenied.into());
        }
        let max = self.config.limits.publication_bytes;
        if data.len() > max {
            let message = format!("data has more than {max} bytes (publication_bytes)");
            return Err(Error::new(ErrorCode::BadRequest, message));
        }
        let info = self.conns[slot as usize].open().map(|open| Arc::clone(&open.info));
        let draft = Draft { data, tags: None, info, skip_history: false };
        self.requests.push_back(Request::Publish { from, room: room.into(), draft });
        Ok(())
    }

    fn refresh(&mut self, slot: u32, id: u64, params: &RawValue) -> Result<(), Refusal> {
        let json::Refresh { token } = read(params)?;
        if let Some(open) = self.conns[slot as usize].open_mut() {
            if open.renewal.is_some() {
                return Err(Error::new(ErrorCode::Internal, "another token is being checked").into());
            }
            open.renewal = Some(Renewal::Json(id));
            self.authenticate(slot, token);
        }
        Ok(())
    }
}

fn read<'a, T: Deserialize<'a>>(params: &'a RawValue) -> Result<T, Error> {
    raw::object(params.get()).map_err(|wrong| Error::new(ErrorCode::BadRequest, wrong))
}
