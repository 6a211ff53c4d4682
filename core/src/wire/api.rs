//! The HTTP API's bodies, in the shapes of Centrifugo's server API so that its clients work.

use crate::api::{Command, Connection, Info, Message, Position, Reply};
use crate::code::{CloseReason, Error, ErrorCode};
use crate::ids::{ClientId, Name, any_room};
use crate::limits::Limits;
use crate::wire::raw::one_line;
use alloc::borrow::{Cow, ToOwned};
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

/// The methods of `POST /api/<method>`.
pub const METHODS: &[&str] =
    &["publish", "broadcast", "send", "publish_user", "publish_all", "disconnect", "channels", "connections", "info"];

/// Reads the body of `POST /api/<method>`.
///
/// # Errors
/// 104 for a method that is not one of [`METHODS`]; 107 for a body that is not a JSON object, for a field that is
/// missing, malformed or not known, and for a payload over `publication_bytes`.
pub fn parse(method: &str, body: &[u8], limits: &Limits) -> Result<Command, Error> {
    let parse = match method {
        "publish" => publish,
        "broadcast" => broadcast,
        "send" => send,
        "publish_user" => publish_user,
        "publish_all" => publish_all,
        "disconnect" => disconnect,
        "channels" => channels,
        "connections" => connections,
        "info" => info,
        _ => {
            let known = METHODS.join(", ");
            return Err(Error::new(ErrorCode::MethodNotFound, format!("no method {method:?}; there are {known}")));
        }
    };
    parse(Body::read(body)?, limits)
}

/// Writes the body of the answer: `{"result": …}` or `{"error": {"code", "message"}}`.
#[must_use]
pub fn encode(result: &Result<Reply, Error>) -> String {
    let value = match result {
        Ok(reply) => json!({ "result": reply_value(reply) }),
        Err(error) => json!({ "error": error_value(error) }),
    };
    value.to_string()
}

/// A body's fields, each taken once; what is left in the end is not known.
struct Body<'a>(BTreeMap<Cow<'a, str>, &'a RawValue>);

impl<'a> Body<'a> {
    fn read(body: &'a [u8]) -> Result<Self, Error> {
        // A method without parameters may come without a body.
        let body = if body.trim_ascii().is_empty() { b"{}" } else { body };
        let fields: BTreeMap<Cow<'a, str>, &'a RawValue> =
            serde_json::from_slice(body).map_err(|error| bad(format!("the body must be a JSON object: {error}")))?;
        Ok(Self(fields.into_iter().filter(|(_, value)| value.get() != "null").collect()))
    }

    fn optional<T: Deserialize<'a>>(&mut self, field: &str) -> Result<Option<T>, Error> {
        let Some(raw) = self.0.remove(field) else { return Ok(None) };
        serde_json::from_str(raw.get()).map(Some).map_err(|error| bad(format!("{field}: {error}")))
    }

    fn ignore_empty(&mut self, field: &str) {
        if self.0.get(field).is_some_and(|value| value.get() == "\"\"") {
            self.0.remove(field);
        }
    }

    fn required<T: Deserialize<'a>>(&mut self, field: &str) -> Result<T, Error> {
        self.optional(field)?.ok_or_else(|| bad(format!("{field} is missing")))
    }

    fn room(&mut self, limits: &Limits) -> Result<Name, Error> {
        let name: Cow<'a, str> = self.required("channel")?;
        room(&name, limits)
    }

    fn user(&mut self) -> Result<Name, Error> {
        let user: Name = self.required("user")?;
        if user.is_empty() {
            return Err(bad("user: the anonymous user cannot be addressed"));
        }
        Ok(user)
    }

    fn data(&mut self, limits: &Limits) -> Result<String, Error> {
        let raw = self.0.remove("data").ok_or_else(|| bad("data is missing"))?;
        within("data", one_line(raw), limits)
    }

    fn message(&mut self, limits: &Limits) -> Result<Message, Error> {
        Ok(Message {
            data: self.data(limits)?,
            tags: self.optional("tags")?.unwrap_or_default(),
            skip_history: self.optional("skip_history")?.unwrap_or_default(),
        })
    }

    fn finish(self, command: Command) -> Result<Command, Error> {
        match self.0.into_keys().next() {
            Some(field) => Err(bad(format!("{field} is not supported here"))),
            None => Ok(command),
        }
    }
}

fn publish(mut body: Body<'_>, limits: &Limits) -> Result<Command, Error> {
    let command = Command::Publish { channel: body.room(limits)?, message: body.message(limits)? };
    body.finish(command)
}

fn broadcast(mut body: Body<'_>, limits: &Limits) -> Result<Command, Error> {
    let command = Command::Broadcast { channels: body.required("channels")?, message: body.message(limits)? };
    body.finish(command)
}

fn send(mut body: Body<'_>, limits: &Limits) -> Result<Command, Error> {
    let client: String = body.required("client")?;
    let command = Command::Send { client: client_id("client", &client)?, data: body.data(limits)? };
    body.finish(command)
}

fn publish_user(mut body: Body<'_>, limits: &Limits) -> Result<Command, Error> {
    let user = body.user()?;
    room(&user.personal_room(), limits)?;
    let command = Command::PublishUser { user, message: body.message(limits)? };
    body.finish(command)
}

fn publish_all(mut body: Body<'_>, limits: &Limits) -> Result<Command, Error> {
    let command = Command::PublishAll { data: body.data(limits)? };
    body.finish(command)
}

fn disconnect(mut body: Body<'_>, _: &Limits) -> Result<Command, Error> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct With {
        code: u16,
        #[serde(default)]
        reason: String,
    }
    let user: Option<Name> = body.optional("user")?;
    let client: Option<String> = body.optional("client")?;
    let client = client.map(|client| client_id("client", &client)).transpose()?;
    let user = user.unwrap_or_else(Name::empty);
    if user.is_empty() && client.is_none() {
        return Err(bad("user is missing; the anonymous user can only be addressed by client"));
    }
    let whitelist: Vec<String> = body.optional("whitelist")?.unwrap_or_default();
    let whitelist = whitelist.iter().map(|client| client_id("whitelist", client)).collect::<Result<_, _>>()?;
    let reason = match body.optional::<With>("disconnect")? {
        None => CloseReason::FORCE,
        // SDKs take a reason that is JSON for their own and look no further: they would never reconnect.
        Some(With { reason, .. }) if serde_json::from_str::<Value>(&reason).is_ok() => {
            return Err(bad("disconnect.reason: must be words, not JSON"));
        }
        Some(With { code, reason }) if (3000..=4999).contains(&code) => CloseReason::custom(code, &reason),
        Some(With { code, .. }) => return Err(bad(format!("disconnect.code: {code} is not within 3000 and 4999"))),
    };
    body.finish(Command::Disconnect { user, client, whitelist, reason })
}

fn channels(mut body: Body<'_>, _: &Limits) -> Result<Command, Error> {
    let command = Command::Channels { pattern: body.optional("pattern")? };
    body.finish(command)
}

fn connections(mut body: Body<'_>, _: &Limits) -> Result<Command, Error> {
    let user: Option<Name> = body.optional("user")?;
    // `cent` always sends these two, empty where nothing was asked.
    body.ignore_empty("expression");
    let user = user.filter(|user| !user.is_empty());
    let command = Command::Connections { user, channel: body.optional("channel")? };
    body.finish(command)
}

fn info(body: Body<'_>, _: &Limits) -> Result<Command, Error> {
    body.finish(Command::Info)
}

fn room(name: &str, limits: &Limits) -> Result<Name, Error> {
    any_room(name, limits.room_name_bytes).map_err(|wrong| bad(format!("channel {name:?}: {wrong}")))
}

fn client_id(field: &str, text: &str) -> Result<ClientId, Error> {
    ClientId::parse(text).ok_or_else(|| bad(format!("{field}: {text:?} is not a client id")))
}

fn within(field: &str, payload: String, limits: &Limits) -> Result<String, Error> {
    let (bytes, max) = (payload.len(), limits.publication_bytes);
    if bytes > max {
        let message = format!("{field} has {bytes} bytes, at most {max} are allowed (publication_bytes)");
        return Err(Error::new(ErrorCode::LimitExceeded, message));
    }
    Ok(payload)
}

fn bad(message: impl Into<Cow<'static, str>>) -> Error {
    Error::new(ErrorCode::BadRequest, message)
}

fn reply_value(reply: &Reply) -> Value {
    match reply {
        Reply::Published(position) => position_value(position),
        Reply::Broadcast(responses) => {
            let one = |response: &Result<Position, Error>| match response {
                Ok(position) => json!({ "result": position_value(position) }),
                Err(error) => json!({ "error": error_value(error) }),
            };
            json!({ "responses": responses.iter().map(one).collect::<Vec<_>>() })
        }
        Reply::Done => json!({}),
        Reply::Channels(rooms) => {
            let one = |(name, clients): &(Name, usize)| (name.as_str().to_owned(), json!({ "num_clients": clients }));
            json!({ "channels": rooms.iter().map(one).collect::<Map<_, _>>() })
        }
        Reply::Connections(connections) => {
            let one = |connection: &Connection| (connection.client.to_string(), connection_value(connection));
            json!({ "connections": connections.iter().map(one).collect::<Map<_, _>>() })
        }
        Reply::Info(info) => json!({ "nodes": [info_value(info)] }),
    }
}

fn position_value(position: &Position) -> Value {
    #[derive(Serialize)]
    struct Fields<'a> {
        offset: u64,
        epoch: &'a str,
    }
    json!(Fields { offset: position.offset, epoch: &position.epoch })
}

fn connection_value(connection: &Connection) -> Value {
    json!({
        "user": connection.user,
        "transport": "websocket",
        "protocol": connection.profile,
        "channels": connection.channels,
    })
}

fn info_value(info: &Info) -> Value {
    json!({
        "uid": info.node,
        "name": info.node,
        "version": info.version,
        "num_clients": info.clients,
        "num_users": info.users,
        "num_channels": info.channels,
    })
}

fn error_value(error: &Error) -> Value {
    json!({ "code": error.code.number(), "message": error.message })
}
