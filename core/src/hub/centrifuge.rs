//! Commands of connections of the `json` protocol.

use super::Hub;
use super::agenda::Work;
use super::tickets::Asker;
use crate::close::CloseCause;
use crate::connection::Stage;
use crate::connection::pending::{JoinLeave, PendingAuth, PendingConnect, PendingSubscribe};
use crate::error::{Error, ErrorCode};
use crate::ids::{ConnId, Slot};
use crate::json::Json;
use crate::limits::Limit;
use crate::link::{HomeRequest, LeaveReason, PresenceQuery, Ticket};
use crate::names::RoomName;
use crate::policy::access::{self, Operation};
use crate::policy::capabilities::Rights;
use crate::protocol::Protocol;
use crate::protocol::centrifuge::{self, ClientCommand, CommandName};
use crate::protocol::{raw, readable};
use crate::publication::Draft;
use crate::token::validate::TokenVerdict;
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use serde::Deserialize;
use serde_json::value::RawValue;

/// Why a command is not carried out.
enum Refusal {
    /// The command is answered with an error.
    Error(Error),
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

impl Hub {
    /// Carries out the next command of a text frame and puts the rest back: the home answers before it is looked at.
    pub(super) fn json_text(&mut self, conn: ConnId, text: String, at: usize) {
        match centrifuge::next_command(&text[at..]) {
            None => {}
            Some(Err(_)) => self.close(conn.slot, CloseCause::BadRequest),
            Some(Ok((command, used))) => {
                self.command(conn.slot, &command);
                let at = at + used;
                // What has nothing more to say has nothing to wait for.
                if !text[at..].trim_ascii().is_empty() {
                    self.agenda.first(Work::Text { conn, at, text });
                }
            }
        }
    }

    /// The token that came with `connect` was checked.
    pub(super) fn json_authenticated(&mut self, slot: Slot, mut connect: PendingConnect, verdict: TokenVerdict) {
        match verdict {
            TokenVerdict::Bad(error) => self.refuse_token(slot, &error),
            TokenVerdict::OutsideValidity(outside) => {
                self.connect_refused(slot);
                self.fail(slot, connect.id, &outside.error());
            }
            TokenVerdict::Good(identity) => {
                connect.ttl = identity.ttl();
                if let Some(rooms) = self.identify(slot, identity)
                    && self.admit_rooms(slot, &rooms)
                {
                    self.enter(slot, connect, &rooms);
                }
            }
        }
    }

    /// The token that came with `refresh` was checked.
    pub(super) fn json_refreshed(&mut self, slot: Slot, id: u64, verdict: TokenVerdict) {
        match verdict {
            TokenVerdict::Bad(error) => self.refuse_token(slot, &error),
            // SDKs take an error here for final; closed, they come back with a token that is new.
            TokenVerdict::OutsideValidity(outside) => self.close_outside_validity(slot, outside),
            TokenVerdict::Good(identity) => {
                let Some(open) = self.conns[slot].open() else { return };
                if open.info.user != identity.user {
                    return self.close_as_anothers(slot);
                }
                let reply = centrifuge::refreshed(id, &open.info, identity.ttl());
                self.renew(slot, identity, &reply);
            }
        }
    }

    /// The connection is in every room that it starts in.
    pub(super) fn json_ready(&mut self, slot: Slot, connect: &PendingConnect) {
        let conn = &self.conns[slot];
        let frame_pings = matches!(conn.protocol, Protocol::Json { frame_pings: true });
        let Some(open) = conn.open() else { return };
        let interval = self.config.limits.ping_interval;
        let reply = centrifuge::Connected {
            id: connect.id,
            info: &open.info,
            version: &self.config.version,
            node: &self.config.node,
            ttl: connect.ttl,
            ping: (!frame_pings).then(|| u64::try_from(interval.as_millis().div_ceil(1000)).unwrap_or(u64::MAX)),
            subs: &connect.subs,
        };
        let reply = reply.encode();
        self.enqueue_text(slot, &reply);
        self.arm_first_ping(slot);
    }

    /// Answers a command with an error.
    pub(super) fn fail(&mut self, slot: Slot, id: u64, error: &Error) {
        self.count_error(error);
        self.enqueue_error(slot, &centrifuge::failed(id, error));
    }

    /// An SDK has sent its subscriptions behind this `connect`, gets a new token and sends all of it again: what is here of
    /// them is passed over, and so is what is still to come.
    fn connect_refused(&mut self, slot: Slot) {
        if let Some(open) = self.conns[slot].open_mut()
            && let Stage::Unauthenticated { refused, .. } = &mut open.stage
        {
            *refused = true;
            self.change_inbound(slot, |inbound| drop(inbound.take_waiting()));
        }
    }

    fn command(&mut self, slot: Slot, command: &ClientCommand<'_>) {
        let id = match command {
            ClientCommand::Pong => 0,
            ClientCommand::Unknown { id } | ClientCommand::Known { id, .. } => *id,
        };
        let outcome = self.check_command_rate(slot).map_err(Refusal::from).and_then(|()| match command {
            ClientCommand::Pong => Ok(()),
            ClientCommand::Unknown { id } => self.admit(slot, *id).and(Err(ErrorCode::MethodNotFound.into())),
            ClientCommand::Known { id, name: CommandName::Connect, params } => self.connect(slot, *id, params),
            ClientCommand::Known { id: 0, name: CommandName::Send, .. } => self.admit(slot, 1),
            ClientCommand::Known { id, name, params } => {
                self.admit(slot, *id).and_then(|()| self.ready_command(slot, *id, *name, params))
            }
        });
        if let (Err(Refusal::Error(_)), ClientCommand::Known { name: CommandName::Connect, .. }) = (&outcome, command) {
            self.connect_refused(slot);
        }
        match outcome {
            Ok(()) | Err(Refusal::Behind) => {}
            Err(Refusal::Error(error)) if id > 0 => self.fail(slot, id, &error),
            Err(Refusal::Error(error)) => self.count_error(&error),
            Err(Refusal::Close(reason)) => self.close(slot, reason),
        }
    }

    /// Whether a command may come now: it has an id to answer to, and `connect` went before it.
    fn admit(&self, slot: Slot, id: u64) -> Result<(), Refusal> {
        match self.conns[slot].open().map(|open| &open.stage) {
            Some(Stage::Ready) if id > 0 => Ok(()),
            Some(Stage::Unauthenticated { refused: true, .. }) if id > 0 => Err(Refusal::Behind),
            _ => Err(Refusal::Close(CloseCause::BadRequest)),
        }
    }

    /// Carries out a command of a connection that is ready.
    fn ready_command(&mut self, slot: Slot, id: u64, name: CommandName, params: &RawValue) -> Result<(), Refusal> {
        match name {
            CommandName::Subscribe => self.subscribe(slot, id, params),
            CommandName::Unsubscribe => self.unsubscribe(slot, id, params),
            CommandName::Publish => self.publish(slot, id, params),
            CommandName::Refresh => {
                let centrifuge::Refresh { token, .. } = read(params)?;
                if token.is_empty() {
                    return Err(Refusal::Close(CloseCause::TokenRequired));
                }
                self.authenticate(slot, token, PendingAuth::Refresh { id });
                Ok(())
            }
            CommandName::SubRefresh => self.sub_refresh(slot, id, params),
            CommandName::History => self.history(slot, id, params),
            CommandName::Presence => {
                self.presence(slot, id, PresenceQuery::Members { most_bytes: self.config.limits.reply_bytes }, params)
            }
            CommandName::PresenceStats => self.presence(slot, id, PresenceQuery::Counts, params),
            CommandName::Ping => {
                self.enqueue_text(slot, &centrifuge::done(id, CommandName::Ping));
                Ok(())
            }
            CommandName::Send => Ok(()),
            CommandName::Connect => Err(Refusal::Close(CloseCause::BadRequest)),
            CommandName::Rpc => Err(ErrorCode::NotAvailable.into()),
        }
    }

    fn connect(&mut self, slot: Slot, id: u64, params: &RawValue) -> Result<(), Refusal> {
        let stage = self.conns[slot].open().map(|open| &open.stage);
        let Some(Stage::Unauthenticated { token: offered, .. }) = stage.filter(|_| id != 0) else {
            return Err(Refusal::Close(CloseCause::BadRequest));
        };
        let centrifuge::Connect { token, data, subs } = read(params)?;
        let token = Some(token).filter(|token| !token.is_empty()).or_else(|| offered.as_deref().map(String::from));
        self.readable(data)?;
        subs.values().try_for_each(|wanted| {
            refuse_unsupported(wanted.unsupported_at_connect())?;
            self.readable(wanted.data)
        })?;
        // More than a connection may be in means nothing: it cannot be put into them.
        let subs = subs.iter().take(self.config.limits.rooms_per_connection);
        // What no room can be called is none that it is put into.
        let named = subs.filter_map(|(room, wanted)| Some((self.room(room).ok()?, wanted)));
        let replays = named.map(|(room, wanted)| (room, wanted.replay().or_without())).collect();
        let connect = PendingConnect { id, replays, ..PendingConnect::default() };
        match token {
            Some(token) => self.authenticate(slot, token, PendingAuth::Connect(Box::new(connect))),
            None if access::admits_anonymous(&self.config) => self.enter(slot, connect, &[]),
            None => return Err(Refusal::Close(CloseCause::TokenRequired)),
        }
        Ok(())
    }

    fn subscribe(&mut self, slot: Slot, id: u64, params: &RawValue) -> Result<(), Refusal> {
        let wanted: centrifuge::Subscribe<'_> = read(params)?;
        refuse_unsupported(wanted.unsupported())?;
        self.readable(wanted.data)?;
        let room = self.may_name(slot, &wanted.channel)?;
        self.check_join_rate(slot)?;
        let join_leave = if wanted.join_leave { JoinLeave::Told } else { JoinLeave::Untold };
        let asked = PendingSubscribe { id, room, replay: wanted.replay(), join_leave };
        if wanted.token.is_empty() {
            self.permit_subscribe(slot, &asked, Rights::NONE)?;
            self.join_requested(slot, asked, None);
        } else {
            self.authenticate(slot, wanted.token, PendingAuth::Subscribe(Box::new(asked)));
        }
        Ok(())
    }

    fn sub_refresh(&mut self, slot: Slot, id: u64, params: &RawValue) -> Result<(), Refusal> {
        let refresh: centrifuge::Refresh<'_> = read(params)?;
        refuse_unsupported(refresh.unsupported())?;
        let centrifuge::Refresh { channel, token, .. } = refresh;
        let room = self.room(&channel)?;
        self.permit(slot, &room, Operation::Unsubscribe)?;
        if !self.registry.is_member(slot, &room) {
            return Err(ErrorCode::PermissionDenied.into());
        }
        if token.is_empty() {
            return Err(token_required());
        }
        self.authenticate(slot, token, PendingAuth::SubRefresh { id, room });
        Ok(())
    }

    fn unsubscribe(&mut self, slot: Slot, id: u64, params: &RawValue) -> Result<(), Refusal> {
        let centrifuge::InRoom { channel } = read(params)?;
        let room = self.room(&channel)?;
        self.permit(slot, &room, Operation::Unsubscribe)?;
        if let Some(left) = self.registry.leave(slot, &room) {
            self.left(slot, left, LeaveReason::Left);
        }
        self.enqueue_text(slot, &centrifuge::done(id, CommandName::Unsubscribe));
        Ok(())
    }

    fn publish(&mut self, slot: Slot, id: u64, params: &RawValue) -> Result<(), Refusal> {
        let publish: centrifuge::Publish<'_> = read(params)?;
        refuse_unsupported(publish.unsupported())?;
        let data = publish.payload().ok_or_else(|| Error::new(ErrorCode::BadRequest, "data is missing"))?;
        let conn = self.conns[slot].id;
        self.publish_from(slot, &publish.channel, data, |_| Asker::Command { conn, id })?;
        Ok(())
    }

    /// Publishes for a client, if it may. `asker` is who is answered.
    pub(super) fn publish_from(
        &mut self,
        slot: Slot,
        room: &str,
        data: Json,
        asker: impl FnOnce(&RoomName) -> Asker,
    ) -> Result<(), Error> {
        let room = self.room(room)?;
        self.permit(slot, &room, Operation::Publish)?;
        let max = self.config.policy(&room).publication_bytes;
        if data.len() > max {
            let words = format!("data has more than {max} bytes");
            return Err(Error::limit(ErrorCode::BadRequest, Limit::PublicationBytes, &words));
        }
        readable::check(&data, &self.config.limits).map_err(|wrong| wrong.error("data"))?;
        if raw::has_type(&data, |kind| self.config.routes.sends_type(kind)) {
            let words =
                "data: this type is reserved for frames of the server, and plain clients could not tell the two apart";
            return Err(Error::new(ErrorCode::BadRequest, words));
        }
        self.check_publish_rate(slot)?;
        let info = self.conns[slot].open().map(|open| Arc::clone(open.info_in(&room)));
        let draft = Draft { data, tags: None, info, skip_history: false, shared: false };
        let ticket = self.tickets.issue(asker(&room));
        self.requests.push_back(HomeRequest::Publish { ticket, room, draft, idempotency_key: None });
        Ok(())
    }

    fn history(&mut self, slot: Slot, id: u64, params: &RawValue) -> Result<(), Refusal> {
        let centrifuge::History { channel, query } = read(params)?;
        let room = self.room(&channel)?;
        self.permit(slot, &room, Operation::History)?;
        let query = query.query()?;
        let ticket = self.asking(slot, id);
        self.requests.push_back(HomeRequest::History { ticket, room, query });
        Ok(())
    }

    fn presence(&mut self, slot: Slot, id: u64, query: PresenceQuery, params: &RawValue) -> Result<(), Refusal> {
        let centrifuge::InRoom { channel } = read(params)?;
        let room = self.room(&channel)?;
        self.permit(slot, &room, Operation::Presence)?;
        let ticket = self.asking(slot, id);
        self.requests.push_back(HomeRequest::Presence { ticket, room, query });
        Ok(())
    }

    /// Whether what comes along with a command is such as could be passed on.
    fn readable(&self, data: Option<&RawValue>) -> Result<(), Error> {
        let checked = data.map_or(Ok(()), |data| readable::check(data.get(), &self.config.limits));
        checked.map_err(|wrong| wrong.error("data"))
    }

    fn asking(&mut self, slot: Slot, id: u64) -> Ticket {
        let conn = self.conns[slot].id;
        self.tickets.issue(Asker::Command { conn, id })
    }
}

fn token_required() -> Refusal {
    Error::new(ErrorCode::PermissionDenied, "permission denied: a token for this room is required").into()
}

/// Refuses a request for something that the server does not do, since a client would take the answer for what it has
/// asked for.
fn refuse_unsupported(field: Option<&'static str>) -> Result<(), Error> {
    field.map_or(Ok(()), |field| {
        Err(Error::new(ErrorCode::NotAvailable, format!("{field} is not available on this server")))
    })
}

fn read<'a, T: Deserialize<'a>>(params: &'a RawValue) -> Result<T, Error> {
    raw::object(params.get()).map_err(|wrong| Error::new(ErrorCode::BadRequest, wrong))
}
