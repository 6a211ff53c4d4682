//! What backends ask of the subject, through the bodies of the HTTP API.

use super::World;
use crate::guarantees::{Failure, Guarantee, equal};
use crate::reference::api_call::Call;
use crate::reference::stimulus::Stimulus;
use crate::subjects::subject::Subject;
use crate::world::action::{Action, Client, Dismissal, Look};
use crate::world::speech::{self, Data};
use parlor_core::api::json;
use parlor_core::{CallId, Input};

impl<S: Subject> World<S> {
    pub(super) fn backend(&mut self, action: &Action) -> Result<(), Failure> {
        match *action {
            Action::ApiPublish(room, payload) => {
                let data = self.data(payload);
                self.publish_call(speech::announce(&[room.index()], &data), Call::Publish(room.index(), &data), &data)
            }
            Action::ApiBroadcast(payload) => {
                let data = self.data(payload);
                let rooms: Vec<usize> = (0..usize::try_from(self.setup.rooms).expect("a few")).collect();
                if rooms.len() > 1 && rooms.len() > self.setup.config().limits.broadcast_channels {
                    let (method, body) = speech::announce(&rooms, &data);
                    return self.refused_call(method, &body, 106);
                }
                let call =
                    if let [room] = rooms[..] { Call::Publish(room, &data) } else { Call::Broadcast(&rooms, &data) };
                self.publish_call(speech::announce(&rooms, &data), call, &data)
            }
            Action::ApiPublishUser(user, payload) => {
                let data = self.data(payload);
                self.publish_call(speech::tell(user.index(), &data), Call::Tell(user.index(), &data), &data)
            }
            Action::ApiSend(client, payload) => {
                let data = self.data(payload);
                let (method, body, call) = self.send_to(client, &data);
                self.publish_call((method, body), call, &data)
            }
            Action::ApiPublishAll(payload) => {
                let data = self.data(payload);
                self.publish_call(("publish_all", format!(r#"{{"data":{}}}"#, data.sent)), Call::TellAll(&data), &data)
            }
            Action::ApiDisconnectUser(user) => {
                self.call("disconnect", &speech::expel(user.index()), Call::Expel(user.index()))
            }
            Action::ApiDisconnectClient(client) => {
                let client_id = self.public_id(client).expect("it makes sense");
                let body = format!(r#"{{"user":"","client":"{client_id}"}}"#);
                self.call("disconnect", &body, Call::Kick(client.index(), 3503))
            }
            Action::ApiDisconnectWith(client, dismissal) => {
                let client_id = self.public_id(client).expect("it makes sense");
                let code = code_of(dismissal);
                let body = format!(r#"{{"client":"{client_id}","disconnect":{{"code":{code},"reason":"so"}}}}"#);
                self.call("disconnect", &body, Call::Kick(client.index(), code))
            }
            Action::ApiBatch(bundle, user, room) => self.several(bundle, user, room.index()),
            Action::ApiLook(look) => self.call(method_of(look), "{}", Call::Look(look)),
            Action::ApiMisuse(call) => {
                let (method, body, code) = speech::misuse(call);
                if code == 0 {
                    return self.call(method, &body, Call::Nobody);
                }
                self.refused_call(method, &body, code)
            }
            _ => unreachable!("every other action is handled before"),
        }
    }

    /// A message for the connection that this client has, or had.
    pub(super) fn send_to<'a>(&self, client: Client, data: &'a Data) -> (&'static str, String, Call<'a>) {
        let client_id = self.public_id(client).expect("it makes sense");
        let call = if self.connection(client).is_some() { Call::Send(client.index(), data) } else { Call::Wrong(102) };
        ("send", format!(r#"{{"client":"{client_id}","data":{}}}"#, data.sent), call)
    }

    pub(super) fn publish_call(
        &mut self,
        (method, body): (&str, String),
        call: Call<'_>,
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
    pub(super) fn refused_call(&mut self, method: &str, body: &str, code: u16) -> Result<(), Failure> {
        match json::parse(method, body.as_bytes(), &self.setup.config().limits) {
            Err(error) => {
                equal(Guarantee::P1, &format!("{method} {body} to be refused with"), &code, &error.code.number())
            }
            Ok(_) if code == 102 => self.call(method, body, Call::Wrong(code)),
            Ok(command) => Err(Failure::new(
                Guarantee::P1,
                format_args!("{method} to be refused with {code}"),
                format_args!("{command:?}"),
            )),
        }
    }

    pub(super) fn call(&mut self, method: &str, body: &str, call: Call<'_>) -> Result<(), Failure> {
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
