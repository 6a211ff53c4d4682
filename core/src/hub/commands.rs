//! The commands of clients, whatever their protocol: each is carried out, or handed to a home, and answered.

use super::Hub;
use super::agenda::Work;
use super::tickets::Asker;
use crate::api::HistoryQuery;
use crate::close::CloseCause;
use crate::connection::pending::{JoinLeave, PendingAuth, PendingConnect, PendingSubscribe};
use crate::connection::{Open, Stage};
use crate::error::{Error, ErrorCode};
use crate::ids::{ConnId, Slot};
use crate::input::WebSocketMessage;
use crate::json::Json;
use crate::limits::Limit;
use crate::link::{HomeRequest, LeaveReason, PresenceQuery, Ticket};
use crate::names::RoomName;
use crate::payload::Payload;
use crate::policy::access::{self, Operation};
use crate::policy::capabilities::Rights;
use crate::protocol::{ClientCommand, CommandId, Incoming, Mistake, Rejected, ServerMessage, Start, readable};
use crate::publication::{Draft, Replay};
use crate::step::LeaveCause;
use crate::wire::raw;
use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::mem;

/// Why a command is not carried out.
enum Refusal {
    /// The command is answered with an error.
    Error(Error),
    /// The client is told what it has done wrong; where its protocol has no message for that, the connection ends.
    Mistake(Mistake<'static>),
    /// The command came behind a `connect` that was refused, and is ignored: SDKs send it again behind the next one.
    Behind,
    /// The connection ends.
    Close(CloseCause),
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

impl From<Rejected> for Refusal {
    fn from(rejected: Rejected) -> Self {
        match rejected {
            Rejected::Error(error) => Self::Error(error),
            Rejected::Unreadable => Self::Mistake(Mistake::Unreadable),
            Rejected::Close(cause) => Self::Close(cause),
        }
    }
}

impl Hub {
    /// Carries out the next command of a message and puts the rest back: the home answers before it is looked at.
    pub(super) fn commands_of_message(&mut self, conn: ConnId, message: WebSocketMessage, at: usize) {
        // A command is large, so it stays where it was decoded.
        let mut decoded = self.conns[conn.slot].protocol.decode(message.rest(at), &self.config.limits);
        if self.conns[conn.slot].open().is_some_and(|open| open.awaits_home() && !self.may_overtake(open, &decoded)) {
            return self.defer_message(conn.slot, message.rest(at).into());
        }
        match &mut decoded {
            Err(cause) => self.close(conn.slot, *cause),
            Ok(None) => {}
            Ok(Some(incoming)) => {
                let at = at + incoming.used;
                self.carry_out(conn.slot, incoming);
                if !message.rest(at).is_blank() {
                    self.agenda.first(Work::Message { conn, at, message });
                }
            }
        }
    }

    /// Whether the next command of a client may be carried out before homes have answered those before it: they are about other
    /// rooms. One that is in error, ends the connection or is about no room waits for all, so that nothing else becomes of the
    /// others than if their homes had answered at once. Of long answers one is on its way at a time: several might not fit into
    /// the outbox of a client that reads slowly.
    #[cold]
    fn may_overtake(&self, open: &Open, decoded: &Result<Option<Incoming<'_>>, CloseCause>) -> bool {
        let Ok(Some(Incoming { command: Ok(command), .. })) = decoded else { return matches!(decoded, Ok(None)) };
        let is_free = |room: &str| {
            !self.tickets.is_any_about(&open.asked, room)
                && open.joins.iter().all(|pending| pending.room.as_str() != room)
        };
        let has_place = || {
            !self.tickets.is_any_long(&open.asked) && open.joins.iter().all(|pending| pending.replay == Replay::None)
        };
        let may_go = |room: &str| is_free(room) && (!command.has_long_answer() || has_place());
        command.is_void() || command.only_room().is_some_and(may_go)
    }

    /// Answers a command with an error, if its protocol answers it.
    pub(super) fn fail(&mut self, slot: Slot, id: &CommandId, error: &Error) {
        self.count_limit_of(slot, error.limit);
        self.tell_error(slot, &ServerMessage::Error { id, error });
    }

    fn carry_out(&mut self, slot: Slot, incoming: &mut Incoming<'_>) {
        let outcome = match self.check_command_rate(slot) {
            Ok(()) => self.command(slot, incoming),
            Err(error) => Err(error.into()),
        };
        let id = &incoming.id;
        match outcome {
            Ok(()) | Err(Refusal::Behind) => {}
            Err(Refusal::Error(error)) => {
                if incoming.is_connect {
                    self.connect_refused(slot);
                }
                self.fail(slot, id, &error);
            }
            Err(Refusal::Mistake(mistake)) => {
                if !self.tell_error(slot, &ServerMessage::Mistake { id, mistake }) {
                    self.close(slot, mistake.cause());
                }
            }
            Err(Refusal::Close(cause)) => self.close(slot, cause),
        }
    }

    /// An SDK has sent its subscriptions behind this `connect`, gets a new token and sends all of it again: up to the next
    /// `connect` they are passed over, whether they wait here or are still to come.
    pub(super) fn connect_refused(&mut self, slot: Slot) {
        if let Some(open) = self.conns[slot].open_mut()
            && let Stage::Unauthenticated { refused, .. } = &mut open.stage
        {
            *refused = true;
        }
    }

    fn command(&mut self, slot: Slot, incoming: &mut Incoming<'_>) -> Result<(), Refusal> {
        if incoming.is_connect || self.conns[slot].ready().is_none() {
            self.check_stage(slot, incoming)?;
        }
        let Incoming { id, command, .. } = incoming;
        let id = &*id;
        let command = match command {
            Ok(command) => command,
            Err(rejected) => return Err(mem::replace(rejected, Rejected::Unreadable).into()),
        };
        match command {
            ClientCommand::Pong | ClientCommand::Send => Ok(()),
            ClientCommand::Connect { token, replays } => self.connect(slot, id, mem::take(token), mem::take(replays)),
            ClientCommand::Auth { token } if self.conns[slot].ready().is_none() => {
                self.connect(slot, id, mem::take(token), Vec::new())
            }
            ClientCommand::Auth { token } | ClientCommand::Refresh { token } => {
                self.refresh(slot, id, mem::take(token))
            }
            ClientCommand::Subscribe { channel, token, replay, join_leave } => {
                self.subscribe(slot, id, channel, mem::take(token), (mem::take(replay), *join_leave))
            }
            ClientCommand::SubRefresh { channel, token } => self.sub_refresh(slot, id, channel, mem::take(token)),
            ClientCommand::Unsubscribe { channel } => self.unsubscribe(slot, id, channel),
            ClientCommand::Publish { channel, data } => self.publish(slot, id, channel.as_deref(), data.clone()),
            ClientCommand::History { channel, query } => {
                let room = self.room(channel)?;
                self.permit(slot, &room, Operation::History)?;
                let query = mem::take(query).query()?;
                self.ask_history(slot, id, room, query);
                Ok(())
            }
            ClientCommand::Positions => {
                self.ask_positions(slot, id);
                Ok(())
            }
            ClientCommand::Presence { channel } => {
                let most_bytes = self.config.limits.reply_bytes;
                self.ask_presence(slot, id, channel, PresenceQuery::Members { most_bytes })
            }
            ClientCommand::PresenceStats { channel } => self.ask_presence(slot, id, channel, PresenceQuery::Counts),
            ClientCommand::Filter { events } => self.filter(slot, mem::take(events)),
            ClientCommand::Ping => {
                self.tell(slot, &ServerMessage::Pong { id });
                Ok(())
            }
            ClientCommand::Rpc => Err(ErrorCode::NotAvailable.into()),
            ClientCommand::Unknown => {
                self.totals.unknown_types += 1;
                Ok(())
            }
        }
    }

    /// Checks that a command may come now.
    fn check_stage(&self, slot: Slot, incoming: &Incoming<'_>) -> Result<(), Refusal> {
        let conn = &self.conns[slot];
        let is_first = match &incoming.command {
            Ok(ClientCommand::Pong) | Err(Rejected::Close(_)) => return Ok(()),
            // Where no `connect` has to come first, what is wrong with a command does not depend on when it comes.
            Err(_) if conn.protocol.start() == Start::AtOnce => return Ok(()),
            Ok(ClientCommand::Auth { .. }) => true,
            _ => incoming.is_connect,
        };
        match conn.open().map(|open| &open.stage) {
            Some(Stage::Unauthenticated { .. }) if is_first => Ok(()),
            Some(Stage::Unauthenticated { refused: true, .. }) => Err(Refusal::Behind),
            _ => Err(Refusal::Mistake(Mistake::TooEarly)),
        }
    }

    fn connect(
        &mut self,
        slot: Slot,
        id: &CommandId,
        token: String,
        replays: Vec<(Cow<'_, str>, Replay)>,
    ) -> Result<(), Refusal> {
        let offered = match self.conns[slot].open().map(|open| &open.stage) {
            Some(Stage::Unauthenticated { token, .. }) => token.as_deref(),
            _ => None,
        };
        let token = Some(token).filter(|token| !token.is_empty()).or_else(|| offered.map(String::from));
        let mut connect = PendingConnect::new(id.clone());
        if !replays.is_empty() {
            // What no room can be called is none that it is put into.
            let named = replays.into_iter().filter_map(|(room, replay)| Some((self.room(&room).ok()?, replay)));
            connect.replays = named.collect();
        }
        match token {
            Some(token) => self.authenticate(slot, token, PendingAuth::Connect(Box::new(connect))),
            None if access::admits_anonymous(&self.config) => self.begin_session(slot, connect, None, None),
            None => return Err(Refusal::Close(CloseCause::TokenRequired)),
        }
        Ok(())
    }

    fn refresh(&mut self, slot: Slot, id: &CommandId, token: String) -> Result<(), Refusal> {
        if token.is_empty() {
            return Err(Refusal::Mistake(Mistake::TokenRequired));
        }
        self.authenticate(slot, token, PendingAuth::Refresh { id: id.clone() });
        Ok(())
    }

    fn subscribe(
        &mut self,
        slot: Slot,
        id: &CommandId,
        channel: &str,
        token: String,
        (replay, join_leave): (Replay, JoinLeave),
    ) -> Result<(), Refusal> {
        let room = self.may_name(slot, channel)?;
        self.check_join_rate(slot)?;
        let asked = PendingSubscribe { id: id.clone(), room, replay, join_leave };
        if token.is_empty() {
            self.permit_subscribe(slot, &asked, Rights::NONE)?;
            self.join_requested(slot, asked, None);
        } else {
            self.authenticate(slot, token, PendingAuth::Subscribe(Box::new(asked)));
        }
        Ok(())
    }

    fn sub_refresh(&mut self, slot: Slot, id: &CommandId, channel: &str, token: String) -> Result<(), Refusal> {
        let room = self.room(channel)?;
        self.permit(slot, &room, Operation::Unsubscribe)?;
        if !self.registry.is_member(slot, &room) {
            return Err(ErrorCode::PermissionDenied.into());
        }
        if token.is_empty() {
            return Err(token_required());
        }
        self.authenticate(slot, token, PendingAuth::SubRefresh { id: id.clone(), room: Box::new(room) });
        Ok(())
    }

    fn unsubscribe(&mut self, slot: Slot, id: &CommandId, channel: &str) -> Result<(), Refusal> {
        let room = self.room(channel)?;
        self.permit(slot, &room, Operation::Unsubscribe)?;
        if let Some(left) = self.registry.leave(slot, &room) {
            self.left(slot, left, LeaveReason::Left, LeaveCause::Client);
        }
        self.tell(slot, &ServerMessage::Unsubscribed { id });
        Ok(())
    }

    fn publish(&mut self, slot: Slot, id: &CommandId, channel: Option<&str>, data: Payload) -> Result<(), Refusal> {
        let room = match channel {
            Some(channel) => self.room(channel)?,
            None => self.only_url_room(slot)?,
        };
        self.permit(slot, &room, Operation::Publish)?;
        let max = self.config.policy(&room).publication_bytes;
        if data.json_bytes() > max {
            let words = format!("data has more than {max} bytes");
            return Err(Error::limit(ErrorCode::BadRequest, Limit::PublicationBytes, &words).into());
        }
        // Bytes are a string in JSON, which every client can read and none takes for a frame of the server.
        if let Payload::Json(json) = &data {
            self.check_published(json)?;
        }
        self.check_publish_rate(slot)?;
        let info = self.conns[slot].open().map(|open| Arc::clone(open.info_in(&room)));
        let draft = Draft { data, tags: None, info, skip_history: false, shared: false };
        let ticket = self.ticket_for(slot, id, &room, false);
        self.requests.push_back(HomeRequest::Publish { ticket, room, draft, idempotency_key: None });
        Ok(())
    }

    /// Checks JSON that a client publishes: each client of the room can read it, and takes it for what it is.
    fn check_published(&self, json: &Json) -> Result<(), Error> {
        readable::check(json, &self.config.limits).map_err(|wrong| wrong.error("data"))?;
        if raw::has_type(json, |kind| self.config.routes.sends_type(kind)) {
            let words =
                "data: this type is reserved for frames of the server, and plain clients could not tell the two apart";
            return Err(Error::new(ErrorCode::BadRequest, words));
        }
        Ok(())
    }

    fn ask_history(&mut self, slot: Slot, id: &CommandId, room: RoomName, query: HistoryQuery) {
        let ticket = self.ticket_for(slot, id, &room, true);
        self.requests.push_back(HomeRequest::History { ticket, room, query });
    }

    /// Asks the home where the connection's rooms are: its answers come after all that was said before.
    fn ask_positions(&mut self, slot: Slot, id: &CommandId) {
        let (conn, due) = (self.conns[slot].id, self.ticket_due());
        let Some(open) = self.conns[slot].open_mut() else { return };
        for (room, _) in self.registry.membership_states(slot).filter(|(_, is_member)| *is_member) {
            let asker = Asker::Command { conn, id: id.clone(), room: room.clone(), is_long: false };
            let ticket = self.tickets.issue_for(&mut open.asked, self.node.home_of(room), asker, due);
            let query = HistoryQuery::default();
            self.requests.push_back(HomeRequest::History { ticket, room: room.clone(), query });
        }
    }

    fn ask_presence(&mut self, slot: Slot, id: &CommandId, channel: &str, query: PresenceQuery) -> Result<(), Refusal> {
        let room = self.room(channel)?;
        self.permit(slot, &room, Operation::Presence)?;
        let is_long = matches!(query, PresenceQuery::Members { .. });
        let ticket = self.ticket_for(slot, id, &room, is_long);
        self.requests.push_back(HomeRequest::Presence { ticket, room, query });
        Ok(())
    }

    fn filter(&mut self, slot: Slot, events: Vec<String>) -> Result<(), Refusal> {
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
            return Err(Error::limit(ErrorCode::BadRequest, limit, &words).into());
        }
        self.tell(slot, &ServerMessage::Filtered { events: &events });
        if let Some(open) = self.conns[slot].open_mut() {
            let is_another = *open.events != *events;
            open.events = events.into_boxed_slice();
            if is_another {
                self.registry.filter_changed(slot);
            }
        }
        Ok(())
    }

    fn ticket_for(&mut self, slot: Slot, id: &CommandId, room: &RoomName, is_long: bool) -> Ticket {
        let due = self.ticket_due();
        let conn = &mut self.conns[slot];
        let asker = Asker::Command { conn: conn.id, id: id.clone(), room: room.clone(), is_long };
        let open = conn.open_mut().expect("who says something is open");
        self.tickets.issue_for(&mut open.asked, self.node.home_of(room), asker, due)
    }
}

fn token_required() -> Refusal {
    Error::new(ErrorCode::PermissionDenied, "permission denied: a token for this room is required").into()
}
