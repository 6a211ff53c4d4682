//! The `plain` protocol: payloads without an envelope, for clients that only use `new WebSocket(url)`.

use crate::api;
use crate::error::{Error, ErrorCode};
use crate::json::Json;
use crate::limits::Limits;
use crate::protocol::raw::{object, present, push_number, push_string};
use crate::protocol::readable;
use crate::protocol::start::UrlRooms;
use crate::publication::LogPosition;
use alloc::borrow::Cow;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use serde::Deserialize;
use serde_json::value::RawValue;

macro_rules! message_types {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// The `type` of a frame of the server's own. Publications are sent between such frames as they were published,
        /// so a client's publication must not have one of these types.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum MessageType { $($(#[$doc])* $name,)* }

        impl MessageType {
            /// All types. A route may replace [`MessageType::Subscribed`] by one of its own.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// Returns the type as it is sent.
            #[must_use]
            pub const fn text(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

message_types! {
    /// The first frame of a connection.
    Connection = "connection",
    /// The answer to `ping`.
    Pong = "pong",
    /// The answer to `subscribe`.
    Subscribed = "subscribed",
    /// The answer to a later `auth` that was accepted.
    Authenticated = "authenticated",
    /// The answer to a `publish` that carried an `id`.
    Published = "published",
    /// A position of the connection in a room's log.
    Position = "position",
    /// The position after publications that the connection has missed.
    Gap = "gap",
    /// The report of an error in a client's message.
    Error = "error",
}

/// The options of a connection, from its URL and its route.
#[derive(Clone, Debug)]
pub(crate) struct PlainOptions {
    /// The rooms.
    pub rooms: UrlRooms,
    /// The `type` of the answer to `subscribe`.
    pub subscribed: Arc<str>,
    /// `true` when a greeting is sent.
    pub greeting: bool,
    /// `true` when messages are followed by their positions.
    pub positions: bool,
}

/// A message of a client.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum PlainMessage {
    /// Presents a token.
    Auth { token: String },
    /// Asks for a [`MessageType::Pong`].
    Ping,
    /// Sets the event filter; an empty list lets all events pass.
    Subscribe { events: Vec<String> },
    /// Publishes to a room, which may be omitted when the URL names one room only.
    Publish { room: Option<String>, data: Json },
    /// Asks for the positions in all rooms.
    Position,
    /// An object without a known `type`.
    Unknown,
}

#[derive(Deserialize)]
struct MessageFields<'a> {
    #[serde(default)]
    token: Option<String>,
    #[serde(default)]
    events: Option<Vec<String>>,
    #[serde(default)]
    room: Option<String>,
    #[serde(default, borrow, deserialize_with = "present")]
    data: Option<&'a RawValue>,
}

/// The fields of every message. Other fields of a message without a known `type` are not looked at.
#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(default, borrow, rename = "type")]
    kind: Option<&'a RawValue>,
    #[serde(default, borrow)]
    id: Option<&'a RawValue>,
}

/// A decoded message.
pub(crate) struct Incoming {
    /// The `id` that the answer repeats: any JSON text.
    pub id: Option<Json>,
    /// The message, or the error in it.
    pub message: Result<PlainMessage, BadMessage>,
}

/// The error in a message.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum BadMessage {
    /// The text is not a JSON object.
    NotJson,
    /// A field of a message of a known type is malformed or missing; the error names it.
    Field(Error),
}

/// Decodes a client's message. An `id` that is no readable JSON (see [`readable`]) is an error like that of a field.
pub(crate) fn parse(text: &str, limits: &Limits) -> Incoming {
    let Ok(Envelope { kind, id }) = object::<Envelope<'_>>(text) else {
        return Incoming { id: None, message: Err(BadMessage::NotJson) };
    };
    let known = ["\"auth\"", "\"ping\"", "\"subscribe\"", "\"publish\"", "\"position\""];
    let Some(kind) = kind.map(RawValue::get).filter(|kind| known.contains(kind)) else {
        return Incoming { id: None, message: Ok(PlainMessage::Unknown) };
    };
    match id.map(|id| readable::check(id.get(), limits)) {
        Some(Err(wrong)) => Incoming { id: None, message: Err(BadMessage::Field(wrong.error("id"))) },
        _ => Incoming { id: id.map(Json::from), message: known_message(kind, text).map_err(BadMessage::Field) },
    }
}

fn known_message(kind: &str, text: &str) -> Result<PlainMessage, Error> {
    let bad = |words: Cow<'static, str>| Error::new(ErrorCode::BadRequest, words);
    let fields: MessageFields<'_> = object(text).map_err(|words| bad(words.into()))?;
    Ok(match kind {
        "\"auth\"" => PlainMessage::Auth { token: fields.token.ok_or_else(|| bad("auth needs a token".into()))? },
        "\"ping\"" => PlainMessage::Ping,
        "\"position\"" => PlainMessage::Position,
        "\"subscribe\"" => PlainMessage::Subscribe { events: fields.events.unwrap_or_default() },
        _ => {
            let data = fields.data.ok_or_else(|| bad("publish needs data".into()))?;
            PlainMessage::Publish { room: fields.room, data: Json::from(data) }
        }
    })
}

/// Encodes the first frame of a connection.
pub(crate) fn greeting(rooms: &str, authenticated: bool, client: &str, unix_ms: u64) -> String {
    let mut out = open(MessageType::Connection);
    out.push_str(",\"message\":");
    push_string(&mut out, &alloc::format!("Connected to {rooms}"));
    push_timestamp(&mut out, unix_ms);
    out.push_str(if authenticated { ",\"authenticated\":true" } else { ",\"authenticated\":false" });
    out.push_str(",\"client\":");
    push_string(&mut out, client);
    out.push('}');
    out
}

/// Encodes the answer to `ping`.
pub(crate) fn pong(unix_ms: u64) -> String {
    let mut out = open(MessageType::Pong);
    push_timestamp(&mut out, unix_ms);
    out.push('}');
    out
}

/// Encodes the answer to `subscribe`, whose `type` the route may choose.
pub(crate) fn subscribed(kind: &str, events: &[String], unix_ms: u64) -> String {
    let mut out = open_as(kind);
    out.push_str(",\"events\":[");
    for (at, event) in events.iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        push_string(&mut out, event);
    }
    out.push(']');
    push_timestamp(&mut out, unix_ms);
    out.push('}');
    out
}

/// Encodes the answer to a later `auth` that was accepted.
pub(crate) fn authenticated(user: &str, unix_ms: u64) -> String {
    let mut out = open(MessageType::Authenticated);
    out.push_str(",\"user\":");
    push_string(&mut out, user);
    push_timestamp(&mut out, unix_ms);
    out.push('}');
    out
}

/// Encodes the answer to a `publish` that had an `id`.
pub(crate) fn published(id: &str, room: &str, position: &api::Position) -> String {
    let mut out = open(MessageType::Published);
    out.push_str(",\"id\":");
    out.push_str(id);
    out.push_str(",\"room\":");
    push_string(&mut out, room);
    push_position(&mut out, position);
    out.push('}');
    out
}

/// Encodes the position of the connection in a room's log ([`MessageType::Position`]), or that after missed publications
/// ([`MessageType::Gap`]).
pub(crate) fn position(kind: MessageType, room: &str, position: LogPosition) -> String {
    let mut out = open(kind);
    out.push_str(",\"room\":");
    push_string(&mut out, room);
    push_position(&mut out, &position.into());
    out.push('}');
    out
}

/// Encodes the report of an error in a client's message.
pub(crate) fn error(message: &str, code: Option<ErrorCode>, id: Option<&str>, unix_ms: u64) -> String {
    let mut out = open(MessageType::Error);
    if let Some(code) = code {
        out.push_str(",\"code\":");
        push_number(&mut out, code.number());
    }
    out.push_str(",\"message\":");
    push_string(&mut out, message);
    if let Some(id) = id {
        out.push_str(",\"id\":");
        out.push_str(id);
    }
    push_timestamp(&mut out, unix_ms);
    out.push('}');
    out
}

fn push_position(out: &mut String, position: &api::Position) {
    out.push_str(",\"epoch\":\"");
    out.push_str(&position.epoch);
    out.push_str("\",\"offset\":");
    push_number(out, position.offset);
}

fn open(kind: MessageType) -> String {
    open_as(kind.text())
}

/// Begins a frame with a `type` that a route may have chosen.
fn open_as(kind: &str) -> String {
    let mut out = String::from("{\"type\":");
    push_string(&mut out, kind);
    out
}

/// Appends the time in the format of RFC 3339, in UTC with milliseconds.
fn push_timestamp(out: &mut String, unix_ms: u64) {
    let millis = i64::try_from(unix_ms).unwrap_or(i64::MAX);
    let at = jiff::Timestamp::from_millisecond(millis).unwrap_or(jiff::Timestamp::MAX);
    out.push_str(",\"timestamp\":");
    push_string(out, &alloc::format!("{at:.3}"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message_types_list_those_of_all_frames_of_the_server() {
        let at = LogPosition { epoch: 1, offset: 1 };
        let frames = [
            greeting("a", false, "c", 0),
            pong(0),
            subscribed(MessageType::Subscribed.text(), &[], 0),
            authenticated("ann", 0),
            published("1", "a", &at.into()),
            position(MessageType::Position, "a", at),
            position(MessageType::Gap, "a", at),
            error("no", None, None, 0),
        ];
        let types: Vec<String> =
            frames.iter().filter_map(|frame| Some(crate::protocol::raw::event_type(frame)?.into_owned())).collect();
        assert_eq!(types, MessageType::ALL.iter().map(|kind| kind.text()).collect::<Vec<_>>());
    }
}
