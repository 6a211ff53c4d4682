//! Calls of a backend, through the bodies of the HTTP API, as the rows of its actions need them.

use crate::guarantees::{Failure, Guarantee, equal};
use crate::reference::api_call::ApiCall;
use crate::reference::stimulus::Stimulus;
use crate::subjects::subject::Subject;
use crate::world::action::{BadCall, Client, Dismissal, Key, Part, Payload, Renewal};
use crate::world::api::bodies;
use crate::world::history_request;
use crate::world::payload::Data;
use crate::world::state::World;
use parlor_core::api::json;
use parlor_core::{CallId, ClientId, Input};

impl<S: Subject> World<S> {
    /// The public id of the connection that this client has, or had.
    pub(in crate::world) fn known_id(&self, client: Client) -> ClientId {
        self.public_id(client).expect("it makes sense")
    }

    pub(in crate::world) fn misuse(&mut self, call: BadCall) -> Result<(), Failure> {
        let (method, body, code) = bodies::misuse(call);
        if code == 0 {
            return self.call(method, &body, ApiCall::WithoutEffect);
        }
        self.refused_call(method, &body, code)
    }

    /// Publishes to every room of the scenario in one call.
    pub(in crate::world) fn broadcast(&mut self, payload: Payload) -> Result<(), Failure> {
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

    pub(in crate::world) fn read_history(&mut self, room: usize, part: Part) -> Result<(), Failure> {
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
        let client_id = self.known_id(client);
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

impl Dismissal {
    pub(in crate::world) fn code(self) -> u16 {
        match self {
            Self::Temporary => 3100,
            Self::Final => 3500,
            Self::Last => 3999,
            Self::Custom => 4000,
        }
    }
}
