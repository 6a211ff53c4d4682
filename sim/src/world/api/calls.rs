//! The actions that are calls of a backend, through the bodies of the HTTP API.

use crate::guarantees::{Failure, Guarantee, equal};
use crate::reference::api_call::ApiCall;
use crate::reference::stimulus::Stimulus;
use crate::subjects::subject::Subject;
use crate::world::action::{Action, Client, Dismissal, Key, Look, Part, Payload, RecoverySince, Renewal};
use crate::world::api::bodies;
use crate::world::history_request;
use crate::world::payload::Data;
use crate::world::state::World;
use parlor_core::api::json;
use parlor_core::{CallId, Input};

impl<S: Subject> World<S> {
    /// Carries out an action that is a call of a backend.
    pub(in crate::world) fn api_call(&mut self, action: &Action) -> Result<(), Failure> {
        match *action {
            Action::ApiPublish(room, payload) => {
                let data = self.data(payload);
                self.publish_call(bodies::publish(&[room.index()], &data), ApiCall::Publish(room.index(), &data), &data)
            }
            Action::ApiPublishOnce(room, key) => self.publish_once(room.index(), key),
            Action::ApiBroadcast(payload) => self.broadcast(payload),
            Action::ApiPublishUser(user, payload) => {
                let data = self.data(payload);
                self.publish_call(
                    bodies::publish_user(user.index(), &data),
                    ApiCall::PublishUser(user.index(), &data),
                    &data,
                )
            }
            Action::ApiPublishAll(payload) => {
                let data = self.data(payload);
                self.publish_call(bodies::publish_all(&data), ApiCall::PublishAll(&data), &data)
            }
            Action::ApiSend(client, payload) => {
                let data = self.data(payload);
                let (method, body, call) = self.send_to(client, &data);
                self.publish_call((method, body), call, &data)
            }
            Action::ApiDisconnectUser(user) => {
                self.call("disconnect", &bodies::disconnect(user.index()), ApiCall::DisconnectUser(user.index()))
            }
            Action::ApiDisconnectClient(client) => {
                let client_id = self.public_id(client).expect("it makes sense");
                let body = format!(r#"{{"user":"","client":"{client_id}"}}"#);
                self.call("disconnect", &body, ApiCall::DisconnectClient(client.index(), 3503))
            }
            Action::ApiDisconnectWith(client, dismissal) => {
                let client_id = self.public_id(client).expect("it makes sense");
                let code = code_of(dismissal);
                let body = format!(r#"{{"client":"{client_id}","disconnect":{{"code":{code},"reason":"so"}}}}"#);
                self.call("disconnect", &body, ApiCall::DisconnectClient(client.index(), code))
            }
            Action::ApiDisconnectSome(client, selector, code) => self.disconnect_some(client, selector, code),
            Action::ApiBatch(bundle, user, room) => self.bundle(bundle, user, room.index()),
            Action::ApiMuch(many, user, room) => self.much(many, user.index(), room.index()),
            Action::ApiLook(look) => self.call(method_of(look), "{}", ApiCall::Look(look)),
            Action::ApiList(listing, user, room) => self.list(listing, user.index(), room.index()),
            Action::ApiMisuse(call) => {
                let (method, body, code) = bodies::misuse(call);
                if code == 0 {
                    return self.call(method, &body, ApiCall::WithoutEffect);
                }
                self.refused_call(method, &body, code)
            }
            _ => self.room_call(action),
        }
    }

    /// A call about one room's log or members, or about when connections expire.
    fn room_call(&mut self, action: &Action) -> Result<(), Failure> {
        match *action {
            Action::ApiHistory(room, part) => self.read_history(room.index(), part),
            Action::ApiHistoryRemove(room) => {
                self.call("history_remove", &bodies::channel(room.index()), ApiCall::HistoryRemove(room.index()))
            }
            Action::ApiPresence(room) => {
                self.call("presence", &bodies::channel(room.index()), ApiCall::Presence(room.index()))
            }
            Action::ApiPresenceStats(room) => {
                self.call("presence_stats", &bodies::channel(room.index()), ApiCall::PresenceStats(room.index()))
            }
            Action::ApiSubscribe(user, room, since) => {
                let want = history_request::want(since, &self.place(room.index())).or_without();
                let body = bodies::subscribe(user.index(), room.index(), &want);
                self.call("subscribe", &body, ApiCall::Subscribe(user.index(), room.index(), &want))
            }
            Action::ApiSubscribeSome(client, selector, room) => {
                let want = history_request::want(RecoverySince::One, &self.place(room.index())).or_without();
                self.call_for(client, selector, "subscribe", |user| {
                    (bodies::subscribe(user, room.index(), &want), ApiCall::Subscribe(user, room.index(), &want))
                })
            }
            Action::ApiUnsubscribe(user, room) => {
                let body = bodies::unsubscribe(user.index(), room.index());
                self.call("unsubscribe", &body, ApiCall::Unsubscribe(user.index(), room.index()))
            }
            Action::ApiUnsubscribeSome(client, selector, room) => {
                self.call_for(client, selector, "unsubscribe", |user| {
                    (bodies::unsubscribe(user, room.index()), ApiCall::Unsubscribe(user, room.index()))
                })
            }
            Action::ApiRefresh(user, renewal) => {
                let exp = self.expiry_of(renewal);
                let body = bodies::refresh(user.index(), renewal, exp);
                self.call("refresh", &body, ApiCall::Refresh(user.index(), renewal, exp))
            }
            Action::ApiRefreshSome(client, selector, renewal) => {
                let exp = self.expiry_of(renewal);
                self.call_for(client, selector, "refresh", |user| {
                    (bodies::refresh(user, renewal, exp), ApiCall::Refresh(user, renewal, exp))
                })
            }
            _ => unreachable!("every other action is carried out before"),
        }
    }

    /// Publishes to every room of the scenario in one call.
    fn broadcast(&mut self, payload: Payload) -> Result<(), Failure> {
        let data = self.data(payload);
        let rooms: Vec<usize> = (0..usize::from(self.room_count())).collect();
        if rooms.len() > 1 && rooms.len() > self.setup.config().limits.broadcast_channels {
            let (method, body) = bodies::publish(&rooms, &data);
            return self.refused_call(method, &body, 106);
        }
        let call =
            if let [room] = rooms[..] { ApiCall::Publish(room, &data) } else { ApiCall::Broadcast(&rooms, &data) };
        self.publish_call(bodies::publish(&rooms, &data), call, &data)
    }

    fn read_history(&mut self, room: usize, part: Part) -> Result<(), Failure> {
        let query = history_request::query(part, &self.place(room));
        let body = bodies::history(room, &query);
        if query.is_impossible() {
            return self.refused_call("history", &body, 107);
        }
        self.call("history", &body, ApiCall::History(room, &query))
    }

    /// When a connection is to expire from now on.
    pub(in crate::world) fn expiry_of(&mut self, renewal: Renewal) -> Option<u64> {
        (renewal == Renewal::Soon).then(|| self.now().unix_ms / 1000 + 20)
    }

    pub(in crate::world) fn publish_once(&mut self, room: usize, key: Key) -> Result<(), Failure> {
        let data = self.data(Payload::Small);
        match bodies::publish_once(room, key, &data, self.setup.limits.idempotency_key_bytes) {
            (body, Some(number)) => self.call("publish", &body, ApiCall::PublishOnce(room, number, &data)),
            (body, None) => self.refused_call("publish", &body, 107),
        }
    }

    /// A message for the connection that this client has, or had.
    pub(in crate::world) fn send_to<'a>(&self, client: Client, data: &'a Data) -> (&'static str, String, ApiCall<'a>) {
        let client_id = self.public_id(client).expect("it makes sense");
        let call =
            if self.connection(client).is_some() { ApiCall::Send(client.index(), data) } else { ApiCall::Refused(102) };
        ("send", format!(r#"{{"client":"{client_id}","data":{}}}"#, data.sent), call)
    }

    pub(in crate::world) fn publish_call(
        &mut self,
        (method, body): (&str, String),
        call: ApiCall<'_>,
        data: &Data,
    ) -> Result<(), Failure> {
        if data.too_large {
            return self.refused_call(method, &body, 106);
        }
        if data.unreadable.is_some() {
            return self.refused_call(method, &body, 107);
        }
        self.call(method, &body, call)
    }

    /// A call that may be refused by the reader of bodies, or by the machine.
    pub(in crate::world) fn refused_call(&mut self, method: &str, body: &str, code: u16) -> Result<(), Failure> {
        match json::parse(method, body.as_bytes(), &self.setup.config().limits) {
            Err(error) => {
                equal(Guarantee::P1, &format!("{method} {body} to be refused with"), &code, &error.code.number())
            }
            Ok(_) if code == 102 => self.call(method, body, ApiCall::Refused(code)),
            Ok(command) => Err(Failure::new(
                Guarantee::P1,
                format_args!("{method} to be refused with {code}"),
                format_args!("{command:?}"),
            )),
        }
    }

    pub(in crate::world) fn call(&mut self, method: &str, body: &str, call: ApiCall<'_>) -> Result<(), Failure> {
        let command = json::parse(method, body.as_bytes(), &self.setup.config().limits)
            .map_err(|error| Failure::new(Guarantee::P1, format_args!("{method} {body} to be understood"), error))?;
        self.calls += 1;
        self.turn(Input::Call { call: CallId(self.calls), command }, &Stimulus::Call(call))
    }
}

fn method_of(look: Look) -> &'static str {
    match look {
        Look::Channels => "channels",
        Look::Connections => "connections",
        Look::Info => "info",
        Look::Limits => "limits",
    }
}

fn code_of(dismissal: Dismissal) -> u16 {
    match dismissal {
        Dismissal::Temporary => 3100,
        Dismissal::Final => 3500,
        Dismissal::Last => 3999,
        Dismissal::Custom => 4000,
    }
}
