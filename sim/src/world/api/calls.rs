//! Calls of a backend, through the bodies of the HTTP API, as the rows of its actions need them.

use crate::guarantees::{Failure, Guarantee, equal};
use crate::reference::api_call::ApiCall;
use crate::reference::calls;
use crate::subjects::subject::Subject;
use crate::world::action::{BadCall, Client, Dismissal, Key, Part, Payload, Renewal};
use crate::world::api::unforeseen;
use crate::world::history_request;
use crate::world::payload::Data;
use crate::world::state::World;
use crate::world::stimulus::Stimulus;
use parlor_core::api::json;
use parlor_core::{CallId, ClientId, Input};

impl<S: Subject> World<S> {
    /// The public id of the connection that this client has, or had.
    pub(in crate::world) fn known_id(&self, client: Client) -> ClientId {
        self.public_id(client).expect("it makes sense")
    }

    pub(in crate::world) fn misuse(&mut self, call: BadCall) -> Result<(), Failure> {
        let (method, body, code) = misuse(call);
        if code == 0 {
            return self.call(&calls::without_effect(method, body));
        }
        self.refused_call(method, body, code)
    }

    /// Publishes to every room of the scenario in one call.
    pub(in crate::world) fn broadcast(&mut self, payload: Payload) -> Result<(), Failure> {
        let data = self.data(payload);
        let rooms: Vec<usize> = (0..usize::from(self.room_count())).collect();
        let call = if let [room] = rooms[..] { calls::publish(room, &data) } else { calls::broadcast(&rooms, &data) };
        if rooms.len() > 1 && rooms.len() > self.setup.config().limits.broadcast_channels {
            return self.refused_call(&call.method, &call.body, 106);
        }
        self.publish_call(&call, &data)
    }

    pub(in crate::world) fn read_history(&mut self, room: usize, part: Part) -> Result<(), Failure> {
        let query = history_request::query(part, &self.place(room));
        let call = calls::history(room, &query);
        if query.is_impossible() {
            return self.refused_call(&call.method, &call.body, 107);
        }
        self.call(&call)
    }

    /// When a connection is to expire from now on.
    pub(in crate::world) fn expiry_of(&mut self, renewal: Renewal) -> Option<u64> {
        (renewal == Renewal::Soon).then(|| self.now().unix_ms / 1000 + 20)
    }

    pub(in crate::world) fn publish_once(&mut self, room: usize, key: Key) -> Result<(), Failure> {
        let data = self.data(Payload::Small);
        let call = calls::publish_once(room, key, &data, self.setup.limits.idempotency_key_bytes);
        if key == Key::TooLong {
            return self.refused_call(&call.method, &call.body, 107);
        }
        self.call(&call)
    }

    /// A message for the connection that this client has, or had.
    pub(in crate::world) fn send_to(&self, client: Client, data: &Data) -> ApiCall<'static> {
        unforeseen::send(self.known_id(client), data)
    }

    pub(in crate::world) fn publish_call(&mut self, call: &ApiCall<'_>, data: &Data) -> Result<(), Failure> {
        if data.too_large {
            return self.refused_call(&call.method, &call.body, 106);
        }
        if data.unreadable.is_some() {
            return self.refused_call(&call.method, &call.body, 107);
        }
        self.call(call)
    }

    /// A call that may be refused by the reader of bodies, or by the machine.
    pub(in crate::world) fn refused_call(&mut self, method: &str, body: &str, code: u16) -> Result<(), Failure> {
        match json::parse(method, body.as_bytes(), &self.setup.config()) {
            Err(error) => {
                equal(Guarantee::P1, &format!("{method} {body} to be refused with"), &code, &error.code.number())
            }
            Ok(_) if code == 102 => self.call(&calls::refused(method, body, code)),
            Ok(command) => Err(Failure::new(
                Guarantee::P1,
                format_args!("{method} to be refused with {code}"),
                format_args!("{command:?}"),
            )),
        }
    }

    pub(in crate::world) fn call(&mut self, call: &ApiCall<'_>) -> Result<(), Failure> {
        let command = json::parse(&call.method, call.body.as_bytes(), &self.setup.config())
            .map_err(|error| Failure::new(Guarantee::P1, format_args!("{call:?} to be understood"), error))?;
        self.calls += 1;
        self.turn(Input::Call { call: CallId(self.calls), command }, &Stimulus::Call(call))
    }
}

/// The method and body of a call that cannot be, and the error that it is answered: 0 where it is accepted and changes nothing.
fn misuse(call: BadCall) -> (&'static str, &'static str, u16) {
    match call {
        BadCall::Unknown => ("dance", "{}", 104),
        BadCall::Malformed => ("publish", "{", 107),
        BadCall::NoChannel => ("publish", r#"{"data":{}}"#, 107),
        BadCall::NoData => ("publish", r#"{"channel":"r0"}"#, 107),
        BadCall::NoUser => ("publish_user", r#"{"user":"","data":{}}"#, 107),
        BadCall::OddPart => ("batch", r#"{"commands":[{"dance":{}}]}"#, 107),
        BadCall::LeaveReserved => ("unsubscribe", r##"{"user":"u0","channel":"#u0"}"##, 103),
        BadCall::OddClient => ("send", r#"{"client":"nobody","data":{}}"#, 102),
        BadCall::CloseNobody => ("disconnect", r#"{"client":"nobody"}"#, 0),
        BadCall::TwiceField => ("publish", r#"{"channel":"r0","data":1,"data":2}"#, 107),
        BadCall::BidiUser => ("publish_user", r#"{"user":"a\u202eb","data":{}}"#, 107),
        BadCall::NoClient => ("send", r#"{"client":"ffffffff-ffff-ffff-ffff-ffffffffffff","data":{}}"#, 102),
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
