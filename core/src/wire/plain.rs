//! The `plain` profile: bare payloads for `new WebSocket(url)`.

use crate::code::ErrorCode;
use crate::link::{Position, epoch_text};
use crate::wire::raw::{object, one_line, push_number, push_string};
use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;
use serde::Deserialize;
use serde_json::value::RawValue;

/// What a client of the `plain` profile says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Message {
    Auth {
        token: String,
    },
    Ping,
    Subscribe {
        events: Vec<String>,
    },
    Publish {
        room: Option<String>,
        data: String,
        id: Option<String>,
    },
    Position,
    /// An object whose `type` means nothing here, or that has none.
    Unknown,
}

#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(default, borrow, rename = "type")]
    kind: Option<Cow<'a, str>>,
    #[serde(default)]
    token: Option<String>,
    #[serde(default)]
    events: Option<Vec<String>>,
    #[serde(default)]
    room: Option<String>,
    #[serde(default, borrow)]
    data: Option<&'a RawValue>,
    #[serde(default, borrow)]
    id: Option<&'a RawValue>,
}

/// Only the type: what a message without a known one holds beside it is nobody's business.
#[derive(Deserialize)]
struct Kind<'a> {
    #[serde(default, borrow, rename = "type")]
    kind: Option<&'a RawValue>,
}

/// Reads a client's message.
///
/// # Errors
/// The words for an error frame: it is not a JSON object, or a field of a known type is not what it should be.
pub(crate) fn parse(text: &str) -> Result<Message, String> {
    let kind: Kind<'_> = object(text).map_err(|_| String::from("Invalid JSON format"))?;
    let known = ["\"auth\"", "\"ping\"", "\"subscribe\"", "\"publish\"", "\"position\""];
    if !kind.kind.is_some_and(|kind| known.contains(&kind.get())) {
        return Ok(Message::Unknown);
    }
    let fields: Fields<'_> = object(text)?;
    match fields.kind.as_deref() {
        Some("auth") => Ok(Message::Auth { token: fields.token.ok_or("auth needs a token")? }),
        Some("ping") => Ok(Message::Ping),
        Some("position") => Ok(Message::Position),
        Some("subscribe") => Ok(Message::Subscribe { events: fields.events.unwrap_or_default() }),
        Some("publish") => Ok(Message::Publish {
            room: fields.room,
            data: one_line(fields.data.ok_or("publish needs data")?),
            id: fields.id.map(one_line),
        }),
        _ => Ok(Message::Unknown),
    }
}

/// The first frame of a connection.
pub(crate) fn greeting(rooms: &str, authenticated: bool, client: &str, unix_ms: u64) -> String {
    let mut out = open("connection");
    out.push_str(",\"message\":");
    push_string(&mut out, &alloc::format!("Connected to {rooms}"));
    push_timestamp(&mut out, unix_ms);
    out.push_str(if authenticated { ",\"authenticated\":true" } else { ",\"authenticated\":false" });
    out.push_str(",\"client\":");
    push_string(&mut out, client);
    out.push('}');
    out
}

/// The answer to `ping`.
pub(crate) fn pong(unix_ms: u64) -> String {
    let mut out = open("pong");
    push_timestamp(&mut out, unix_ms);
    out.push('}');
    out
}

/// The answer to `subscribe`, under the name that the route gives it.
pub(crate) fn subscribed(word: &str, events: &[String], unix_ms: u64) -> String {
    let mut out = open(word);
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

/// The answer to a later `auth` that was accepted.
pub(crate) fn authenticated(user: &str, unix_ms: u64) -> String {
    let mut out = open("authenticated");
    out.push_str(",\"user\":");
    push_string(&mut out, user);
    push_timestamp(&mut out, unix_ms);
    out.push('}');
    out
}

/// The answer to a `publish` that carried an `id`.
pub(crate) fn published(id: &str, room: &str, position: Position) -> String {
    let mut out = open("published");
    out.push_str(",\"id\":");
    out.push_str(id);
    out.push_str(",\"room\":");
    push_string(&mut out, room);
    push_position(&mut out, position);
    out.push('}');
    out
}

/// Where in a room's log the connection is (`position`), or that something before it is missing (`gap`).
pub(crate) fn position(kind: &str, room: &str, position: Position) -> String {
    let mut out = open(kind);
    out.push_str(",\"room\":");
    push_string(&mut out, room);
    push_position(&mut out, position);
    out.push('}');
    out
}

/// Something was wrong with what the client said.
pub(crate) fn error(message: &str, code: Option<ErrorCode>, id: Option<&str>, unix_ms: u64) -> String {
    let mut out = open("error");
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

fn push_position(out: &mut String, position: Position) {
    out.push_str(",\"epoch\":\"");
    out.push_str(&epoch_text(position.epoch));
    out.push_str("\",\"offset\":");
    push_number(out, position.offset);
}

fn open(kind: &str) -> String {
    let mut out = String::from("{\"type\":");
    push_string(&mut out, kind);
    out
}

/// RFC 3339, in UTC, with milliseconds.
fn push_timestamp(out: &mut String, unix_ms: u64) {
    let millis = i64::try_from(unix_ms).unwrap_or(i64::MAX);
    let at = jiff::Timestamp::from_millisecond(millis).unwrap_or(jiff::Timestamp::MAX);
    out.push_str(",\"timestamp\":");
    push_string(out, &alloc::format!("{at:.3}"));
}
