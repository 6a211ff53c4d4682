//! The bodies of the HTTP API, in the format of Centrifugo's server API, so that its client libraries work.

use crate::api::{Command, Connection, Expiry, Info, Message, Page, Position, PublicationView, Reply, Which};
use crate::close::{CloseCause, CloseReason};
use crate::error::{Error, ErrorCode};
use crate::ids::{ClientId, ClientInfo};
use crate::json::Json;
use crate::limits::{Limit, LimitRow, Limits};
use crate::names::{BadName, RoomName, UserId};
use crate::protocol::history::{HistoryFields, Since};
use crate::protocol::raw::{integer, number_bytes, object, or_default, push_number, push_string, string_bytes};
use crate::protocol::readable;
use crate::protocol::shapes::{push_members, push_publication_fields};
use alloc::borrow::Cow;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::marker::PhantomData;
use serde::de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use serde_json::{Value, json};

/// The methods of `POST /api/<method>`.
pub const METHODS: &[&str] = &[
    "publish",
    "broadcast",
    "batch",
    "send",
    "publish_user",
    "publish_all",
    "subscribe",
    "unsubscribe",
    "disconnect",
    "refresh",
    "presence",
    "presence_stats",
    "history",
    "history_remove",
    "channels",
    "connections",
    "limits",
    "info",
];

/// The greatest `limit` of a page of a list.
const PAGE_MOST: usize = 1000;

/// The field with the payload.
const DATA: &str = "data";

/// Reads the body of `POST /api/<method>`.
///
/// Returns 104 for a method that is not in [`METHODS`]; 107 for a body that is not a JSON object and for a field that
/// is missing, malformed or unknown; 106 for a payload over `publication_bytes` and for a list over its limit.
pub fn parse(method: &str, body: &[u8], limits: &Limits) -> Result<Command, Error> {
    // A method without parameters may be called without a body.
    let body = if body.is_empty() { b"{}" } else { body };
    let body = core::str::from_utf8(body).map_err(|_| bad("the body is not UTF-8"))?;
    parse_method(method, body, limits)
}

fn parse_method(method: &str, body: &str, limits: &Limits) -> Result<Command, Error> {
    let parse = match method {
        "publish" => publish,
        "broadcast" => broadcast,
        "batch" => batch,
        "send" => send,
        "publish_user" => publish_user,
        "publish_all" => publish_all,
        "subscribe" => subscribe,
        "unsubscribe" => unsubscribe,
        "disconnect" => disconnect,
        "refresh" => refresh,
        "presence" => presence,
        "presence_stats" => presence_stats,
        "history" => history,
        "history_remove" => history_remove,
        "channels" => channels,
        "connections" => connections,
        "limits" => |body: Body<'_>, _: &Limits| body.finish(Command::Limits),
        "info" => |body: Body<'_>, _: &Limits| body.finish(Command::Info),
        _ => {
            let known = METHODS.join(", ");
            return Err(Error::new(
                ErrorCode::MethodNotFound,
                format!("unknown method {method:?}; the methods are {known}"),
            ));
        }
    };
    parse(Body::read(body)?, limits)
}

/// Encodes the body of the answer: `{"result": …}` or `{"error": {"code", "message"}}`; for a batch `{"replies": […]}`.
#[must_use]
pub fn encode(result: &Result<Reply, Error>) -> String {
    match result {
        Ok(Reply::Batch(replies)) => {
            let mut out = String::from("{\"replies\":");
            push_list(&mut out, replies, |out, (method, reply)| push_outcome(out, method, reply));
            out.push('}');
            out
        }
        _ => {
            let mut out = String::new();
            push_outcome(&mut out, "result", result);
            out
        }
    }
}

/// Returns the bytes of a reply as [`encode`] writes it, without the object around it. O(n) in the reply.
pub(crate) fn reply_bytes(reply: &Reply) -> usize {
    let mut out = String::new();
    push_reply(&mut out, reply);
    out.len()
}

/// Returns the bytes of one room in the answer to `channels`, with the comma that follows.
pub(crate) fn room_bytes(name: &RoomName, members: usize) -> usize {
    ":{\"num_clients\":},".len() + string_bytes(name) + number_bytes(members as u64)
}

/// Returns the bytes of one connection in the answer to `connections`, with the comma that follows. O(n) in its rooms.
pub(crate) fn connection_bytes<'a>(user: &UserId, protocol: &str, rooms: impl Iterator<Item = &'a RoomName>) -> usize {
    let around =
        "\"\":{\"user\":,\"transport\":\"websocket\",\"protocol\":\"\",\"channels\":[]},".len() + CLIENT_DIGITS;
    around + string_bytes(user) + protocol.len() + rooms.map(|room| string_bytes(room) + 1).sum::<usize>()
}

/// The bytes of a public id: 32 digits and four hyphens.
const CLIENT_DIGITS: usize = 36;

/// The fields of a JSON object. A field that occurs twice is an error, since its meaning would be ambiguous.
#[derive(Default)]
struct Fields<V>(BTreeMap<String, V>);

impl<'de, V: Deserialize<'de>> Deserialize<'de> for Fields<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(FieldsVisitor(PhantomData))
    }
}

struct FieldsVisitor<V>(PhantomData<V>);

impl<'de, V: Deserialize<'de>> Visitor<'de> for FieldsVisitor<V> {
    type Value = Fields<V>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut fields = BTreeMap::new();
        while let Some(field) = map.next_key::<String>()? {
            if fields.contains_key(&field) {
                return Err(A::Error::custom(format_args!("the field {field:?} appears twice")));
            }
            fields.insert(field, map.next_value()?);
        }
        Ok(Fields(fields))
    }
}

/// A reader of a list, which returns `None` when the list has more than `most` items.
struct Items<T> {
    most: usize,
    item: PhantomData<T>,
}

impl<'de, T: Deserialize<'de>> DeserializeSeed<'de> for Items<T> {
    type Value = Option<Vec<T>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for Items<T> {
    type Value = Option<Vec<T>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut items = Vec::new();
        while items.len() < self.most {
            let Some(item) = list.next_element()? else { return Ok(Some(items)) };
            items.push(item);
        }
        let mut is_within = true;
        while list.next_element::<IgnoredAny>()?.is_some() {
            is_within = false;
        }
        Ok(is_within.then_some(items))
    }
}

/// The fields of a body that are not read yet. Those that remain in the end are unknown and refused.
struct Body<'a>(BTreeMap<String, &'a RawValue>);

impl<'a> Body<'a> {
    fn read(body: &'a str) -> Result<Self, Error> {
        let Fields::<&'a RawValue>(fields) =
            serde_json::from_str(body).map_err(|error| bad(format!("the body must be a JSON object: {error}")))?;
        // Typed clients send `null` for an absent field, but a payload is any JSON.
        let is_there = |field: &str, value: &RawValue| value.get() != "null" || field == DATA;
        Ok(Self(fields.into_iter().filter(|(field, value)| is_there(field, value)).collect()))
    }

    fn optional<T: Deserialize<'a>>(&mut self, field: &str) -> Result<Option<T>, Error> {
        let Some(raw) = self.0.remove(field) else { return Ok(None) };
        serde_json::from_str(raw.get()).map(Some).map_err(|error| bad(format!("{field}: {error}")))
    }

    /// Reads a field that is an object; a derived `Deserialize` alone would accept an array too.
    fn object<T: Deserialize<'a>>(&mut self, field: &str) -> Result<Option<T>, Error> {
        let raw = self.0.remove(field);
        raw.map(|raw| object(raw.get())).transpose().map_err(|words| bad(format!("{field}: {words}")))
    }

    fn integer<T: TryFrom<i128>>(&mut self, field: &str) -> Result<Option<T>, Error> {
        let raw = self.0.remove(field);
        let read = |raw: &RawValue| integer(&mut serde_json::Deserializer::from_str(raw.get()));
        raw.map(read).transpose().map_err(|error: serde_json::Error| bad(format!("{field}: {error}")))
    }

    fn ignore_empty(&mut self, field: &str) {
        if self.0.get(field).is_some_and(|value| value.get() == "\"\"") {
            self.0.remove(field);
        }
    }

    fn required<T: Deserialize<'a>>(&mut self, field: &str) -> Result<T, Error> {
        self.optional(field)?.ok_or_else(|| bad(format!("{field} is missing")))
    }

    /// Reads a list. A list with more than `most` items is refused, and the items beyond are not kept in memory.
    fn list<T: Deserialize<'a>>(&mut self, field: &str, limit: Limit, most: usize) -> Result<Vec<T>, Error> {
        let raw = self.0.remove(field).ok_or_else(|| bad(format!("{field} is missing")))?;
        let read = Items { most, item: PhantomData }.deserialize(&mut serde_json::Deserializer::from_str(raw.get()));
        match read.map_err(|error| bad(format!("{field}: {error}")))? {
            Some(items) => Ok(items),
            None => {
                let words = format!("{field} has more than {most} items");
                Err(Error::limit(ErrorCode::LimitExceeded, limit, &words))
            }
        }
    }

    /// Reads `limit` and `cursor`: the size of the page and the end of the page before it.
    fn paging(&mut self) -> Result<(Option<usize>, Option<String>), Error> {
        let limit = self.integer("limit")?;
        if limit.is_some_and(|limit| !(1..=PAGE_MOST).contains(&limit)) {
            return Err(bad(format!("limit must be from 1 to {PAGE_MOST}")));
        }
        let cursor: Option<String> = self.optional("cursor")?;
        Ok((limit, cursor.filter(|cursor| !cursor.is_empty())))
    }

    fn room(&mut self, limits: &Limits) -> Result<RoomName, Error> {
        let name: Cow<'a, str> = self.required("channel")?;
        room(&name, limits)
    }

    /// Reads a room that connections may be subscribed to and unsubscribed from, which a personal room is not.
    fn client_room(&mut self, limits: &Limits) -> Result<RoomName, Error> {
        let name: Cow<'a, str> = self.required("channel")?;
        RoomName::parse_for_client(&name, limits.room_name_bytes).map_err(|wrong| bad_room(&name, wrong))
    }

    fn user(&mut self, limits: &Limits) -> Result<UserId, Error> {
        let user: Cow<'a, str> = self.required("user")?;
        if user.is_empty() {
            return Err(bad("user: the anonymous user cannot be addressed"));
        }
        self::user(&user, limits)
    }

    /// Reads the user of a filter; an empty name counts as absent.
    fn maybe_user(&mut self, limits: &Limits) -> Result<Option<UserId>, Error> {
        let user: Option<Cow<'a, str>> = self.optional("user")?;
        user.filter(|user| !user.is_empty()).map(|user| self::user(&user, limits)).transpose()
    }

    /// Reads the room of a filter; an empty name counts as absent.
    fn maybe_room(&mut self, limits: &Limits) -> Result<Option<RoomName>, Error> {
        let name: Option<Cow<'a, str>> = self.optional("channel")?;
        name.filter(|name| !name.is_empty()).map(|name| room(&name, limits)).transpose()
    }

    /// Reads the user and the selection of the user's connections.
    fn whose(&mut self, limits: &Limits) -> Result<(UserId, Which), Error> {
        let user = self.user(limits)?;
        Ok((user, self.which()?))
    }

    /// Reads the selection of connections: by `client`, by `session` as the reply to `connect` has it, or by both.
    fn which(&mut self) -> Result<Which, Error> {
        let mut which = Which::All;
        for field in ["client", "session"] {
            let text: Option<String> = self.optional(field)?;
            let Some(text) = text.filter(|text| !text.is_empty()) else { continue };
            which = match (which, ClientId::parse(&text)) {
                (Which::All, Some(client)) => Which::One(client),
                (Which::One(known), Some(client)) if known == client => which,
                _ => Which::Nobody,
            };
        }
        Ok(which)
    }

    fn data(&mut self, limits: &Limits) -> Result<Json, Error> {
        let raw = self.0.remove(DATA).ok_or_else(|| bad("data is missing"))?;
        let data = within(DATA, Json::from(raw), limits)?;
        readable::check(&data, limits).map_err(|wrong| wrong.error(DATA))?;
        Ok(data)
    }

    fn message(&mut self, limits: &Limits) -> Result<Message, Error> {
        let idempotency_key: Option<String> = self.optional("idempotency_key")?;
        let idempotency_key = idempotency_key.filter(|key| !key.is_empty());
        let most = limits.idempotency_key_bytes;
        if idempotency_key.as_ref().is_some_and(|key| key.len() > most) {
            let words = format!("idempotency_key has more than {most} bytes");
            return Err(Error::limit(ErrorCode::BadRequest, Limit::IdempotencyKeyBytes, &words));
        }
        Ok(Message {
            data: self.data(limits)?,
            tags: self.optional::<Fields<String>>("tags")?.unwrap_or_default().0,
            skip_history: self.optional("skip_history")?.unwrap_or_default(),
            idempotency_key,
        })
    }

    fn finish<T>(self, command: T) -> Result<T, Error> {
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
    let channels = body.list("channels", Limit::BroadcastChannels, limits.broadcast_channels)?;
    let command = Command::Broadcast { channels, message: body.message(limits)? };
    body.finish(command)
}

fn send(mut body: Body<'_>, limits: &Limits) -> Result<Command, Error> {
    let id: String = body.required("client")?;
    let data = body.data(limits)?;
    if id.is_empty() {
        return Err(bad("client must not be empty"));
    }
    body.finish(())?;
    ClientId::parse(&id).map(|client| Command::Send { client, data }).ok_or_else(|| no_connection(&id))
}

fn publish_user(mut body: Body<'_>, limits: &Limits) -> Result<Command, Error> {
    let user = body.user(limits)?;
    let command = Command::PublishUser { user, message: body.message(limits)? };
    body.finish(command)
}

fn publish_all(mut body: Body<'_>, limits: &Limits) -> Result<Command, Error> {
    let command = Command::PublishAll { data: body.data(limits)? };
    body.finish(command)
}

fn disconnect(mut body: Body<'_>, limits: &Limits) -> Result<Command, Error> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct With {
        #[serde(deserialize_with = "integer")]
        code: u16,
        #[serde(default, deserialize_with = "or_default")]
        reason: String,
    }
    let user = body.maybe_user(limits)?.unwrap_or_else(UserId::anonymous);
    let client = body.which()?;
    if user.is_anonymous() && client == Which::All {
        return Err(bad("user is missing; the anonymous user can only be addressed by client"));
    }
    let whitelist: Vec<Option<String>> = body.optional("whitelist")?.unwrap_or_default();
    let whitelist = whitelist.iter().flatten().filter_map(|client| ClientId::parse(client)).collect();
    let reason = match body.object::<With>("disconnect")? {
        None => CloseCause::Backend.reason(),
        // SDKs interpret a reason that is JSON as their own and ignore the code: they would never reconnect.
        Some(With { reason, .. }) if serde_json::from_str::<Value>(&reason).is_ok() => {
            return Err(bad("disconnect.reason must be plain text, not JSON"));
        }
        Some(With { code, reason }) => CloseReason::new(code, &reason)
            .ok_or_else(|| bad(format!("disconnect.code is {code}; it must be from 3000 to 4999")))?,
    };
    body.finish(Command::Disconnect { user, client, whitelist, reason })
}

fn channels(mut body: Body<'_>, limits: &Limits) -> Result<Command, Error> {
    let pattern: Option<String> = body.optional("pattern")?;
    let pattern = pattern.filter(|pattern| !pattern.is_empty());
    let most = limits.room_name_bytes;
    if pattern.as_ref().is_some_and(|pattern| pattern.len() > most) {
        let words = format!("pattern has more than {most} bytes");
        return Err(Error::limit(ErrorCode::BadRequest, Limit::RoomNameBytes, &words));
    }
    let (limit, cursor) = body.paging()?;
    body.finish(Command::Channels { pattern, page: Page { limit, after: cursor } })
}

fn connections(mut body: Body<'_>, limits: &Limits) -> Result<Command, Error> {
    // `cent` always sends this field, empty when it is not used.
    body.ignore_empty("expression");
    let (user, channel) = (body.maybe_user(limits)?, body.maybe_room(limits)?);
    let (limit, cursor) = body.paging()?;
    let after = cursor.map(|cursor| ClientId::parse(&cursor).ok_or_else(bad_cursor)).transpose()?;
    body.finish(Command::Connections { user, channel, page: Page { limit, after } })
}

fn batch(mut body: Body<'_>, limits: &Limits) -> Result<Command, Error> {
    let commands: Vec<Fields<&RawValue>> = body.list("commands", Limit::BatchCommands, limits.batch_commands)?;
    // The calls run one after the other, which is a valid order for `parallel` too.
    body.optional::<bool>("parallel")?;
    let commands = commands.iter().map(|command| batched(command, limits)).collect::<Result<_, _>>()?;
    body.finish(Command::Batch(commands))
}

fn bad_cursor() -> Error {
    bad("cursor must be one that this method has returned")
}

type Batched = (&'static str, Result<Command, Error>);

fn batched(command: &Fields<&RawValue>, limits: &Limits) -> Result<Batched, Error> {
    // Typed clients send `null` for the methods that are not called; a single method is called even with `null`
    // parameters.
    let is_null = |params: &RawValue| params.get() == "null";
    let mut named = command.0.iter().filter(|(_, params)| command.0.len() == 1 || !is_null(params));
    let (Some((method, params)), None) = (named.next(), named.next()) else {
        return Err(bad("commands: each entry must be an object with exactly one method"));
    };
    let params = if is_null(params) { "{}" } else { params.get() };
    let known = METHODS.iter().find(|known| *known == method && **known != "batch");
    let known = known.ok_or_else(|| bad(format!("commands: {method:?} cannot be part of a batch")))?;
    Ok((known, parse_method(method, params, limits)))
}

fn subscribe(mut body: Body<'_>, limits: &Limits) -> Result<Command, Error> {
    let (user, client) = body.whose(limits)?;
    let channel = body.client_room(limits)?;
    let since: Option<Since> = body.object("recover_since")?;
    let since = since.map(Position::from);
    body.finish(Command::Subscribe { user, client, channel, since })
}

fn unsubscribe(mut body: Body<'_>, limits: &Limits) -> Result<Command, Error> {
    let (user, client) = body.whose(limits)?;
    let command = Command::Unsubscribe { user, client, channel: body.client_room(limits)? };
    body.finish(command)
}

fn refresh(mut body: Body<'_>, limits: &Limits) -> Result<Command, Error> {
    let (user, client) = body.whose(limits)?;
    let expired: bool = body.optional("expired")?.unwrap_or_default();
    let expiry = match body.integer("expire_at")? {
        _ if expired => Expiry::Now,
        Some(at) => Expiry::At(at),
        None => Expiry::Never,
    };
    body.finish(Command::Refresh { user, client, expiry })
}

fn presence(mut body: Body<'_>, limits: &Limits) -> Result<Command, Error> {
    let command = Command::Presence { channel: body.room(limits)? };
    body.finish(command)
}

fn presence_stats(mut body: Body<'_>, limits: &Limits) -> Result<Command, Error> {
    let command = Command::PresenceStats { channel: body.room(limits)? };
    body.finish(command)
}

fn history(mut body: Body<'_>, limits: &Limits) -> Result<Command, Error> {
    let channel = body.room(limits)?;
    let limit = body.integer("limit")?;
    let fields = HistoryFields { limit, since: body.object("since")?, reverse: body.optional("reverse")? };
    body.finish(Command::History { channel, query: fields.query()? })
}

fn history_remove(mut body: Body<'_>, limits: &Limits) -> Result<Command, Error> {
    let command = Command::HistoryRemove { channel: body.room(limits)? };
    body.finish(command)
}

fn room(name: &str, limits: &Limits) -> Result<RoomName, Error> {
    RoomName::parse(name, limits.room_name_bytes).map_err(|wrong| bad_room(name, wrong))
}

fn user(id: &str, limits: &Limits) -> Result<UserId, Error> {
    UserId::parse(id, limits.room_name_bytes).map_err(|wrong| bad_name("user", id, wrong))
}

/// Returns the error of a backend's call with an invalid room name.
pub(crate) fn bad_room(name: &str, wrong: BadName) -> Error {
    bad_name("channel", name, wrong)
}

fn bad_name(field: &str, name: &str, wrong: BadName) -> Error {
    let code = if wrong == BadName::Reserved { ErrorCode::PermissionDenied } else { ErrorCode::BadRequest };
    let limit = matches!(wrong, BadName::TooLong(_)).then_some(Limit::RoomNameBytes);
    Error { limit, ..Error::new(code, format!("{field} {name:?}: {wrong}")) }
}

/// Returns the error of `send` to a connection that does not exist.
pub(crate) fn no_connection(id: &str) -> Error {
    Error::new(ErrorCode::UnknownRoom, format!("client: no connection has the id {id:?}"))
}

fn within(field: &str, payload: Json, limits: &Limits) -> Result<Json, Error> {
    let (bytes, max) = (payload.len(), limits.publication_bytes);
    if bytes > max {
        let words = format!("{field} has {bytes} bytes, at most {max} are allowed");
        return Err(Error::limit(ErrorCode::LimitExceeded, Limit::PublicationBytes, &words));
    }
    Ok(payload)
}

fn bad(message: impl Into<Cow<'static, str>>) -> Error {
    Error::new(ErrorCode::BadRequest, message)
}

fn push_outcome(out: &mut String, key: &str, outcome: &Result<Reply, Error>) {
    match outcome {
        Ok(reply) => {
            out.push_str("{\"");
            out.push_str(key);
            out.push_str("\":");
            push_reply(out, reply);
            out.push('}');
        }
        Err(error) => {
            let mut fields = json!({ "code": error.code.number(), "message": error.message });
            if let Some(limit) = error.limit {
                fields["limit"] = limit.name().into();
            }
            out.push_str(&json!({ "error": fields }).to_string());
        }
    }
}

fn push_reply(out: &mut String, reply: &Reply) {
    let value = match reply {
        Reply::Published(Position { epoch, offset }) => json!({ "offset": offset, "epoch": epoch }),
        Reply::Done => json!({}),
        Reply::PresenceStats { clients, users } => json!({ "num_clients": clients, "num_users": users }),
        Reply::Channels { rooms, next } => return push_rooms(out, rooms, next.as_deref()),
        Reply::Connections { connections, next } => return push_connections(out, connections, *next),
        Reply::Limits(rows) => return push_limits(out, rows),
        Reply::Info(info) => json!({ "nodes": [info_value(info)] }),
        Reply::Presence(members) => return push_presence(out, members),
        Reply::History { publications, position } => return push_history(out, publications, position),
        Reply::Broadcast(responses) => {
            out.push_str("{\"responses\":");
            push_list(out, responses, |out, response| push_outcome(out, "result", response));
            return out.push('}');
        }
        Reply::Batch(replies) => {
            out.push_str("{\"replies\":");
            push_list(out, replies, |out, (method, reply)| push_outcome(out, method, reply));
            return out.push('}');
        }
    };
    out.push_str(&value.to_string());
}

fn push_list<T>(out: &mut String, items: &[T], push: impl Fn(&mut String, &T)) {
    out.push('[');
    push_items(out, items, push);
    out.push(']');
}

/// Appends an object; `push` appends one key with its value.
fn push_map<T>(out: &mut String, items: &[T], push: impl Fn(&mut String, &T)) {
    out.push('{');
    push_items(out, items, push);
    out.push('}');
}

fn push_items<T>(out: &mut String, items: &[T], push: impl Fn(&mut String, &T)) {
    for (at, item) in items.iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        push(out, item);
    }
}

fn push_presence(out: &mut String, members: &[Arc<ClientInfo>]) {
    out.push_str("{\"presence\":");
    push_members(out, members);
    out.push('}');
}

fn push_history(out: &mut String, publications: &[PublicationView], Position { epoch, offset }: &Position) {
    out.push_str("{\"publications\":");
    push_list(out, publications, |out, publication| {
        let PublicationView { offset, data, tags, info } = publication;
        push_publication_fields(out, *offset, data, tags.as_deref(), info.as_deref());
    });
    let top = json!({ "epoch": epoch, "offset": offset }).to_string();
    out.push(',');
    out.push_str(&top[1..]);
}

fn push_rooms(out: &mut String, rooms: &[(RoomName, usize)], next: Option<&str>) {
    out.push_str("{\"channels\":");
    push_map(out, rooms, |out, (name, members)| {
        push_string(out, name);
        out.push_str(":{\"num_clients\":");
        push_number(out, members);
        out.push('}');
    });
    push_cursor(out, next);
}

fn push_connections(out: &mut String, connections: &[Connection], next: Option<ClientId>) {
    out.push_str("{\"connections\":");
    push_map(out, connections, |out, Connection { client, user, protocol, channels }| {
        out.push('"');
        push_number(out, client);
        out.push_str("\":{\"user\":");
        push_string(out, user);
        out.push_str(",\"transport\":\"websocket\",\"protocol\":\"");
        out.push_str(protocol);
        out.push_str("\",\"channels\":");
        push_list(out, channels, |out, room| push_string(out, room));
        out.push('}');
    });
    push_cursor(out, next.map(|client| client.to_string()).as_deref());
}

fn push_limits(out: &mut String, rows: &[LimitRow]) {
    out.push_str("{\"limits\":");
    push_map(out, rows, |out, LimitRow { key, value, answer }| {
        push_string(out, key);
        out.push_str(":{\"value\":");
        push_string(out, value);
        out.push_str(",\"answer\":");
        push_string(out, answer);
        out.push('}');
    });
    out.push('}');
}

/// Ends a page of a list, with the cursor of the next page if there is one.
fn push_cursor(out: &mut String, cursor: Option<&str>) {
    if let Some(cursor) = cursor {
        out.push_str(",\"cursor\":");
        push_string(out, cursor);
    }
    out.push('}');
}

fn info_value(info: &Info) -> Value {
    json!({
        "uid": info.node,
        "name": info.node,
        "version": info.version,
        "num_clients": info.clients,
        "num_users": info.users,
        "num_channels": info.channels,
        "num_subs": info.memberships,
    })
}
