//! The `plain` protocol: bare payloads for `new WebSocket(url)`.

use crate::api;
use crate::error::{Error, ErrorCode};
use crate::limits::Limits;
use crate::protocol::raw::{object, one_line, present, push_number, push_string};
use crate::protocol::readable;
use crate::publication::LogPosition;
use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;
use serde::Deserialize;
use serde_json::value::RawValue;

macro_rules! words {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// The `type` of a frame that the server says something of its own with. What is published goes beside such frames,
        /// as it was published, so a client's publication may not have one of these types.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Word { $($(#[$doc])* $name,)* }

        impl Word {
            /// All of them. A route may have another word in the place of [`Word::Subscribed`].
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The word as it is sent.
            #[must_use]
            pub const fn text(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

words! {
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
    /// Where in a room's log the connection is.
    Position = "position",
    /// The connection has missed something, and where it is now.
    Gap = "gap",
    /// Something was wrong with what the client said.
    Error = "error",
}

/// What a client of the `plain` protocol says.
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
    },
    Position,
    /// An object whose `type` means nothing here, or that has none.
    Unknown,
}

#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(default)]
    token: Option<String>,
    #[serde(default)]
    events: Option<Vec<String>>,
    #[serde(default)]
    room: Option<String>,
    #[serde(default, borrow, deserialize_with = "present")]
    data: Option<&'a RawValue>,
}

/// What every message may have: what a message without a known type holds beside it is nobody's business.
#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(default, borrow, rename = "type")]
    kind: Option<&'a RawValue>,
    #[serde(default, borrow)]
    id: Option<&'a RawValue>,
}

/// A message with the `id` that it is answered with: any JSON.
pub(crate) struct Incoming {
    pub id: Option<String>,
    /// What it asks for.
    pub message: Result<Message, Wrong>,
}

/// What is wrong with a message.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Wrong {
    /// It is not a JSON object.
    NotJson,
    /// A field of a known type is not what it should be; the words say which.
    Field(Error),
}

/// Reads a client's message. An `id` that could not be sent back is refused like a field.
pub(crate) fn parse(text: &str, limits: &Limits) -> Incoming {
    let Ok(Envelope { kind, id }) = object::<Envelope<'_>>(text) else {
        return Incoming { id: None, message: Err(Wrong::NotJson) };
    };
    let known = ["\"auth\"", "\"ping\"", "\"subscribe\"", "\"publish\"", "\"position\""];
    let Some(kind) = kind.map(RawValue::get).filter(|kind| known.contains(kind)) else {
        return Incoming { id: None, message: Ok(Message::Unknown) };
    };
    match id.map(|id| readable::check(id.get(), limits)) {
        Some(Err(wrong)) => Incoming { id: None, message: Err(Wrong::Field(wrong.error("id"))) },
        _ => Incoming { id: id.map(one_line), message: known_message(kind, text).map_err(Wrong::Field) },
    }
}

fn known_message(kind: &str, text: &str) -> Result<Message, Error> {
    let bad = |words: Cow<'static, str>| Error::new(ErrorCode::BadRequest, words);
    let fields: Fields<'_> = object(text).map_err(|words| bad(words.into()))?;
    Ok(match kind {
        "\"auth\"" => Message::Auth { token: fields.token.ok_or_else(|| bad("auth needs a token".into()))? },
        "\"ping\"" => Message::Ping,
        "\"position\"" => Message::Position,
        "\"subscribe\"" => Message::Subscribe { events: fields.events.unwrap_or_default() },
        _ => {
            let data = fields.data.ok_or_else(|| bad("publish needs data".into()))?;
            Message::Publish { room: fields.room, data: one_line(data) }
        }
    })
}

/// The first frame of a connection.
pub(crate) fn greeting(rooms: &str, authenticated: bool, client: &str, unix_ms: u64) -> String {
    let mut out = open(Word::Connection);
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
    let mut out = open(Word::Pong);
    push_timestamp(&mut out, unix_ms);
    out.push('}');
    out
}

/// The answer to `subscribe`, under the name that the route gives it.
pub(crate) fn subscribed(word: &str, events: &[String], unix_ms: u64) -> String {
    let mut out = open_as(word);
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
    let mut out = open(Word::Authenticated);
    out.push_str(",\"user\":");
    push_string(&mut out, user);
    push_timestamp(&mut out, unix_ms);
    out.push('}');
    out
}

/// The answer to a `publish` that carried an `id`.
pub(crate) fn published(id: &str, room: &str, position: &api::Position) -> String {
    let mut out = open(Word::Published);
    out.push_str(",\"id\":");
    out.push_str(id);
    out.push_str(",\"room\":");
    push_string(&mut out, room);
    push_position(&mut out, position);
    out.push('}');
    out
}

/// Where in a room's log the connection is ([`Word::Position`]), or that something before it is missing ([`Word::Gap`]).
pub(crate) fn position(word: Word, room: &str, position: LogPosition) -> String {
    let mut out = open(word);
    out.push_str(",\"room\":");
    push_string(&mut out, room);
    push_position(&mut out, &position.into());
    out.push('}');
    out
}

/// Something was wrong with what the client said.
pub(crate) fn error(message: &str, code: Option<ErrorCode>, id: Option<&str>, unix_ms: u64) -> String {
    let mut out = open(Word::Error);
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

fn open(word: Word) -> String {
    open_as(word.text())
}

/// For the one answer that a route may have its own word for.
fn open_as(word: &str) -> String {
    let mut out = String::from("{\"type\":");
    push_string(&mut out, word);
    out
}

/// RFC 3339, in UTC, with milliseconds.
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
    fn the_words_are_those_of_all_frames_that_there_are() {
        let at = LogPosition { epoch: 1, offset: 1 };
        let frames = [
            greeting("a", false, "c", 0),
            pong(0),
            subscribed(Word::Subscribed.text(), &[], 0),
            authenticated("ann", 0),
            published("1", "a", &at.into()),
            position(Word::Position, "a", at),
            position(Word::Gap, "a", at),
            error("no", None, None, 0),
        ];
        let types: Vec<String> =
            frames.iter().filter_map(|frame| Some(crate::protocol::raw::event_type(frame)?.into_owned())).collect();
        assert_eq!(types, Word::ALL.iter().map(|word| word.text()).collect::<Vec<_>>());
    }
}
