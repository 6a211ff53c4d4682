//! Messages of connections of the `plain` protocol.

use super::Hub;
use super::tickets::Asker;
use crate::api::HistoryQuery;
use crate::close::CloseCause;
use crate::connection::Stage;
use crate::connection::pending::Reasons;
use crate::connection::pending::{PendingAuth, PendingConnect};
use crate::error::{Error, ErrorCode};
use crate::ids::Slot;
use crate::json::Json;
use crate::limits::Limit;
use crate::link::HomeRequest;
use crate::names::RoomName;
use crate::policy::access::{self, Operation};
use crate::protocol::Protocol;
use crate::protocol::plain::{self, BadMessage, PlainMessage};
use crate::publication::Replay;
use crate::token::validate::{Identity, OutsideValidity, TokenError, TokenVerdict};
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// The words of the error frame for a token that proves nothing, or no longer.
const INVALID_TOKEN: &str = "invalid token";
/// The error for a first message that is not `auth`.
const TOKEN_REQUIRED: &str = "a token is required: {\"type\":\"auth\",\"token\":…}";

/// The replays that a plain connection wants in its first rooms, and the rooms with the reasons for each.
type FirstRooms = (PendingConnect, Vec<(RoomName, Reasons)>);

impl Hub {
    /// Handles the opening of a connection: without a token it is ready at once, where none is required.
    pub(super) fn plain_opened(&mut self, slot: Slot, token: Option<String>) {
        match token {
            Some(token) => self.authenticate(slot, token, PendingAuth::Connect(Box::default())),
            None if access::admits_anonymous(&self.config) => self.admit_plain(slot, None),
            None => {}
        }
    }

    /// A message came, or its time.
    pub(super) fn plain_message(&mut self, slot: Slot, text: &str) {
        let plain::Incoming { id, message } = plain::parse(text, &self.config.limits);
        if let Err(error) = self.check_command_rate(slot) {
            return self.answer_plain(slot, id.as_deref(), &error);
        }
        let Some(open) = self.conns[slot].open() else { return };
        match (message, &open.stage) {
            (Ok(message), Stage::Ready) => self.plain_command(slot, id, message),
            (Ok(PlainMessage::Auth { token }), _) if token.is_empty() => self.close(slot, CloseCause::TokenRequired),
            (Ok(PlainMessage::Auth { token }), _) => {
                let connect = PendingConnect { plain_id: id, ..PendingConnect::default() };
                self.authenticate(slot, token, PendingAuth::Connect(Box::new(connect)));
            }
            (Ok(_), _) => self.enqueue_plain_error(slot, id.as_deref(), TOKEN_REQUIRED),
            (Err(BadMessage::NotJson), _) => self.enqueue_plain_error(slot, None, "Invalid JSON format"),
            (Err(BadMessage::Field(error)), _) => self.answer_plain(slot, id.as_deref(), &error),
        }
    }

    /// The first token was checked.
    pub(super) fn plain_authenticated(&mut self, slot: Slot, id: Option<&str>, verdict: TokenVerdict) {
        match verdict {
            TokenVerdict::Good(identity) => self.admit_plain(slot, Some(identity)),
            verdict if access::admits_anonymous(&self.config) => {
                let rooms = self.greet_plain(slot, None);
                self.enqueue_token_error(slot, id, &verdict);
                self.enter_plain(slot, rooms);
            }
            TokenVerdict::Bad(error) => self.refuse_token(slot, &error),
            TokenVerdict::OutsideValidity(OutsideValidity::NotYetValid) => {
                self.close_outside_validity(slot, OutsideValidity::NotYetValid)
            }
            TokenVerdict::OutsideValidity(OutsideValidity::Expired) => self.close(slot, CloseCause::InvalidToken),
        }
    }

    /// A later token was checked.
    pub(super) fn plain_renewed(&mut self, slot: Slot, id: Option<&str>, verdict: TokenVerdict) {
        let Some(open) = self.conns[slot].open() else { return };
        let identity = match verdict {
            TokenVerdict::Good(identity) => identity,
            // As in json: closed, it comes back with a token that is new.
            TokenVerdict::OutsideValidity(outside) if !open.info.user.is_anonymous() => {
                return self.close_outside_validity(slot, outside);
            }
            verdict => return self.enqueue_token_error(slot, id, &verdict),
        };
        if open.info.user != identity.user && !open.info.user.is_anonymous() {
            return self.close_as_anothers(slot);
        }
        let answer = plain::authenticated(&identity.user, self.now.unix_ms);
        self.renew(slot, identity, &answer);
    }

    /// Enqueues the error of a token that is not valid, with the limit that it exceeds.
    fn enqueue_token_error(&mut self, slot: Slot, id: Option<&str>, verdict: &TokenVerdict) {
        match verdict {
            TokenVerdict::Bad(error @ TokenError::Content { .. }) => {
                error.limit().into_iter().for_each(|limit| self.count_limit(limit));
                self.enqueue_plain_error(slot, id, &format!("{INVALID_TOKEN}: {error}"));
            }
            TokenVerdict::OutsideValidity(outside) => self.answer_plain(slot, id, &outside.error()),
            _ => self.enqueue_plain_error(slot, id, INVALID_TOKEN),
        }
    }

    /// Enqueues an error, with the id of the message that it answers.
    pub(super) fn answer_plain(&mut self, slot: Slot, id: Option<&str>, error: &Error) {
        self.count_error(error);
        let frame = plain::error(&error.message, Some(error.code), id, self.now.unix_ms);
        self.enqueue_error(slot, &frame);
    }

    /// Greets a client, and enters the rooms of its URL and those that come with the user.
    fn admit_plain(&mut self, slot: Slot, identity: Option<Identity>) {
        let rooms = self.greet_plain(slot, identity);
        self.enter_plain(slot, rooms);
    }

    /// Greets a client, and refuses the rooms of its URL that it may not join, until a later token permits it. Returns those
    /// that it is to enter, with those that come with the user; `None` for a connection that was closed.
    fn greet_plain(&mut self, slot: Slot, identity: Option<Identity>) -> Option<FirstRooms> {
        let Protocol::Plain(options) = self.conns[slot].protocol.clone() else { return None };
        let plain::PlainOptions { rooms: url, greeting, .. } = *options;
        let authenticated = identity.is_some();
        let mut rooms = Vec::new();
        if let Some(identity) = identity {
            rooms = self.identify(slot, identity)?;
        }
        if greeting {
            let client = self.conns[slot].client;
            let frame = plain::greeting(&url.named.join(", "), authenticated, &format!("{client}"), self.now.unix_ms);
            self.enqueue_text(slot, &frame);
        }
        let replays: Vec<(RoomName, Replay)> = url.replays().collect();
        let mut refused = Vec::new();
        for room in url.named {
            let placed = rooms.iter_mut().find(|(name, _)| *name == room);
            match (self.permit(slot, &room, Operation::Subscribe), placed) {
                (Ok(()), Some((_, wanted))) => *wanted = wanted.union(Reasons::CLIENT),
                (Ok(()), None) => rooms.push((room, Reasons::CLIENT)),
                // What is to be replayed there is replayed now.
                (Err(_), Some(_)) => refused.push((room, Replay::None)),
                (Err(error), None) => {
                    self.refuse_url_room(slot, &room, &error);
                    let wanted = replays.iter().find(|(name, _)| *name == room);
                    let replay = wanted.map_or(Replay::None, |(_, replay)| replay.clone());
                    refused.push((room, replay));
                }
            }
        }
        if let Some(rooms) = self.conns[slot].protocol.url_rooms_mut() {
            rooms.refused = refused;
        }
        let connect = PendingConnect { replays, ..PendingConnect::default() };
        self.admit_rooms(slot, &rooms).then_some((connect, rooms))
    }

    /// Tells a client that it is not in a room of its URL, and why.
    pub(super) fn refuse_url_room(&mut self, slot: Slot, room: &RoomName, error: &Error) {
        let message = format!("{} ({room})", error.message);
        self.answer_plain(slot, None, &Error::new(error.code, message));
    }

    /// Enters the rooms of a client that was greeted. All else that it is told on connecting is in its outbox by now: how
    /// much that is decides whether a replay waits until it has read.
    fn enter_plain(&mut self, slot: Slot, entry: Option<FirstRooms>) {
        if let Some((connect, rooms)) = entry {
            self.enter(slot, connect, &rooms);
        }
    }

    fn plain_command(&mut self, slot: Slot, id: Option<Json>, message: PlainMessage) {
        match message {
            PlainMessage::Auth { token } if token.is_empty() => {
                self.enqueue_plain_error(slot, id.as_deref(), TOKEN_REQUIRED)
            }
            PlainMessage::Auth { token } => self.authenticate(slot, token, PendingAuth::Auth { id }),
            PlainMessage::Ping => self.enqueue_text(slot, &plain::pong(self.now.unix_ms)),
            PlainMessage::Subscribe { events } => self.filter(slot, id.as_deref(), events),
            PlainMessage::Publish { room, data } => self.plain_publish(slot, room, data, id),
            PlainMessage::Position => self.send_positions(slot),
            PlainMessage::Unknown => self.totals.unknown_types += 1,
        }
    }

    /// Asks the home where the connection's rooms are: its answers come after all that was said before.
    fn send_positions(&mut self, slot: Slot) {
        let conn = self.conns[slot].id;
        for (room, _) in self.registry.membership_states(slot).filter(|(_, is_member)| *is_member) {
            let room = room.clone();
            let ticket = self.tickets.issue(Asker::PlainPosition { conn, room: room.clone() });
            self.requests.push_back(HomeRequest::History { ticket, room, query: HistoryQuery::default() });
        }
    }

    fn filter(&mut self, slot: Slot, id: Option<&str>, events: Vec<String>) {
        let limits = &self.config.limits;
        let (most, longest) = (limits.filter_events, limits.filter_event_bytes);
        let refused = if events.len() > most {
            Some((Limit::FilterEvents, format!("too many events; at most {most} are allowed")))
        } else if events.iter().any(|event| event.len() > longest) {
            Some((Limit::FilterEventBytes, format!("an event must have at most {longest} bytes")))
        } else {
            None
        };
        if let Some((limit, words)) = refused {
            return self.answer_plain(slot, id, &Error::limit(ErrorCode::BadRequest, limit, &words));
        }
        let conn = &mut self.conns[slot];
        let Protocol::Plain(options) = &conn.protocol else { return };
        let answer = plain::subscribed(&options.subscribed, &events, self.now.unix_ms);
        if let Some(open) = conn.open_mut() {
            open.events = events;
        }
        self.enqueue_text(slot, &answer);
    }

    fn plain_publish(&mut self, slot: Slot, room: Option<String>, data: Json, id: Option<Json>) {
        let conn = &self.conns[slot];
        let Protocol::Plain(options) = &conn.protocol else { return };
        let room = match (room, options.rooms.named.as_slice()) {
            (Some(room), _) => room,
            (None, [only]) => String::from(only.as_str()),
            (None, _) => {
                let error =
                    Error::new(ErrorCode::BadRequest, "publish must name its room, since the connection has several");
                return self.answer_plain(slot, id.as_deref(), &error);
            }
        };
        let (conn, asked) = (conn.id, id.clone());
        let asker = |room: &RoomName| Asker::PlainPublish { conn, id: asked, room: room.clone() };
        if let Err(error) = self.publish_from(slot, &room, data, asker) {
            self.answer_plain(slot, id.as_deref(), &error);
        }
    }

    /// The replay that a plain connection wants of a room that a later token puts it into.
    pub(super) fn wanted_of(&self, slot: Slot, room: &RoomName) -> Replay {
        self.conns[slot].protocol.url_rooms().map_or(Replay::None, |rooms| rooms.replay_of_later(room))
    }

    fn enqueue_plain_error(&mut self, slot: Slot, id: Option<&str>, message: &str) {
        let frame = plain::error(message, None, id, self.now.unix_ms);
        self.enqueue_error(slot, &frame);
    }
}
