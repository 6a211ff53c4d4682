//! The `plain` protocol: payloads without an envelope, for clients that only use `new WebSocket(url)`.

use crate::api::Position;
use crate::connection::frame::Frame;
use crate::error::{Error, ErrorCode};
use crate::json::Json;
use crate::limits::Limits;
use crate::protocol::command::{ClientCommand, Incoming, Rejected};
use crate::protocol::command_id::CommandId;
use crate::protocol::message::{Mistake, ServerMessage};
use crate::protocol::message_type::MessageType;
use crate::protocol::readable;
use crate::protocol::start::UrlRooms;
use crate::publication::{LogPage, LogPosition};
use crate::token::validate::TokenError;
use crate::wire::raw::{object, present, push_number, push_string, text_for};
use alloc::borrow::Cow;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use serde::Deserialize;
use serde_json::value::RawValue;

/// The options of a connection, from its URL and its route.
#[derive(Clone, Debug, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub(crate) struct PlainOptions {
    /// The rooms.
    pub rooms: UrlRooms,
    /// The `type` of the answer to `subscribe`.
    pub subscribed: Arc<str>,
    /// `true` when a greeting is sent.
    pub greeting: bool,
    /// `true` when messages are followed by their positions.
    pub positions: bool,
    /// `true` when the client is asked to come back where the server stops.
    pub reconnect: bool,
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

/// Decodes a client's message. An `id` that is no readable JSON (see [`readable`]) is an error like that of a field.
pub(crate) fn decode<'a>(text: &'a str, limits: &Limits) -> Incoming<'a> {
    let incoming = |id, command| Incoming { id, is_connect: false, command, used: text.len() };
    let Ok(Envelope { kind, id }) = object::<Envelope<'_>>(text) else {
        return incoming(CommandId::NONE, Err(Rejected::Unreadable));
    };
    let known = ["\"auth\"", "\"ping\"", "\"subscribe\"", "\"publish\"", "\"position\""];
    let Some(kind) = kind.map(RawValue::get).filter(|kind| known.contains(kind)) else {
        return incoming(CommandId::NONE, Ok(ClientCommand::Unknown));
    };
    match id.map(|id| readable::check(id.get(), limits)) {
        Some(Err(wrong)) => incoming(CommandId::NONE, Err(Rejected::Error(wrong.error("id")))),
        _ => {
            let id = id.map_or(CommandId::NONE, |id| CommandId::Json(id.into()));
            incoming(id, known_command(kind, text).map_err(Rejected::Error))
        }
    }
}

fn known_command<'a>(kind: &str, text: &'a str) -> Result<ClientCommand<'a>, Error> {
    let bad = |words: Cow<'static, str>| Error::new(ErrorCode::BadRequest, words);
    let fields: MessageFields<'_> = object(text).map_err(|words| bad(words.into()))?;
    Ok(match kind {
        "\"auth\"" => ClientCommand::Auth { token: fields.token.ok_or_else(|| bad("auth needs a token".into()))? },
        "\"ping\"" => ClientCommand::Ping,
        "\"position\"" => ClientCommand::Positions,
        "\"subscribe\"" => ClientCommand::Filter { events: fields.events.unwrap_or_default() },
        _ => {
            let data = fields.data.ok_or_else(|| bad("publish needs data".into()))?;
            ClientCommand::Publish { channel: fields.room.map(Cow::Owned), data: Json::from(data).into() }
        }
    })
}

/// Encodes a message; `None` when the protocol does not have it.
pub(crate) fn encode(options: &PlainOptions, message: &ServerMessage<'_>, unix_ms: u64) -> Option<Frame> {
    let text = match *message {
        ServerMessage::Greeting { client, is_authenticated } if options.greeting => {
            greeting(&options.rooms.named.join(", "), is_authenticated, &client.to_string(), unix_ms)
        }
        ServerMessage::Refreshed { user, .. } => authenticated(user, unix_ms),
        ServerMessage::Published { id: CommandId::Json(id), room, position } => {
            published(id, room, &Position::of(position))
        }
        // `position` asks for pages without publications.
        ServerMessage::History { room, page: LogPage { position: Some(at), .. }, .. } => {
            position(MessageType::Position, room, *at)
        }
        ServerMessage::Filtered { events } => subscribed(&options.subscribed, events, unix_ms),
        ServerMessage::Pong { .. } => pong(unix_ms),
        ServerMessage::Error { id, error: wrong } => error(&wrong.message, Some(wrong.code), id, unix_ms),
        ServerMessage::Mistake { id, mistake } => error(&words(mistake), None, id, unix_ms),
        ServerMessage::Publication { publication, .. } => return Some(Frame::text(&publication.draft.data.json())),
        ServerMessage::Message { data } => return Some(Frame::text(&data.json())),
        ServerMessage::Position { room, position: at } => position(MessageType::Position, room, at),
        ServerMessage::Subscribe { room, subscribed } if subscribed.replay.recovered == Some(false) => {
            position(MessageType::Gap, room, subscribed.position)
        }
        ServerMessage::Ping => return Some(Frame::ping()),
        ServerMessage::Reconnect { after_ms } if options.reconnect => reconnect(after_ms),
        ServerMessage::Greeting { .. }
        | ServerMessage::Connected(_)
        | ServerMessage::Subscribed { .. }
        | ServerMessage::RoomRefreshed { .. }
        | ServerMessage::Unsubscribed { .. }
        | ServerMessage::Published { .. }
        | ServerMessage::History { .. }
        | ServerMessage::Presence { .. }
        | ServerMessage::PresenceStats { .. }
        | ServerMessage::Subscribe { .. }
        | ServerMessage::Unsubscribe { .. }
        | ServerMessage::PresenceEvent { .. }
        | ServerMessage::Refresh { .. }
        | ServerMessage::Reconnect { .. } => return None,
    };
    Some(Frame::text(&text))
}

/// Returns what a client is told that it has done wrong.
fn words(mistake: Mistake<'_>) -> Cow<'static, str> {
    match mistake {
        Mistake::TooEarly | Mistake::TokenRequired => "a token is required: {\"type\":\"auth\",\"token\":…}".into(),
        Mistake::Unreadable => "Invalid JSON format".into(),
        Mistake::InvalidToken(TokenError::Unverified(_)) => INVALID_TOKEN.into(),
        Mistake::InvalidToken(error @ (TokenError::Content { .. } | TokenError::Revoked)) => {
            format!("{INVALID_TOKEN}: {error}").into()
        }
    }
}

/// The words for a token that proves nothing.
const INVALID_TOKEN: &str = "invalid token";

/// Encodes the first frame of a connection.
fn greeting(rooms: &str, authenticated: bool, client: &str, unix_ms: u64) -> String {
    let mut out = open(MessageType::Connection);
    out.push_str(",\"message\":");
    push_string(&mut out, &format!("Connected to {rooms}"));
    push_timestamp(&mut out, unix_ms);
    out.push_str(if authenticated { ",\"authenticated\":true" } else { ",\"authenticated\":false" });
    out.push_str(",\"client\":");
    push_string(&mut out, client);
    out.push('}');
    out
}

/// Encodes the answer to `ping`.
fn pong(unix_ms: u64) -> String {
    let mut out = open(MessageType::Pong);
    push_timestamp(&mut out, unix_ms);
    out.push('}');
    out
}

/// Encodes the request to come back.
fn reconnect(after_ms: u32) -> String {
    let mut out = open(MessageType::Reconnect);
    out.push_str(",\"after_ms\":");
    push_number(&mut out, after_ms);
    out.push('}');
    out
}

/// Encodes the answer to `subscribe`, whose `type` the route may choose.
fn subscribed(kind: &str, events: &[String], unix_ms: u64) -> String {
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
fn authenticated(user: &str, unix_ms: u64) -> String {
    let mut out = open(MessageType::Authenticated);
    out.push_str(",\"user\":");
    push_string(&mut out, user);
    push_timestamp(&mut out, unix_ms);
    out.push('}');
    out
}

/// Encodes the answer to a `publish` that had an `id`.
fn published(id: &str, room: &str, position: &Position) -> String {
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
fn position(kind: MessageType, room: &str, position: LogPosition) -> String {
    let mut out = open(kind);
    out.push_str(",\"room\":");
    push_string(&mut out, room);
    push_position(&mut out, &position.into());
    out.push('}');
    out
}

/// Encodes the report of an error in a client's message.
fn error(message: &str, code: Option<ErrorCode>, id: &CommandId, unix_ms: u64) -> String {
    let mut out = open(MessageType::Error);
    if let Some(code) = code {
        out.push_str(",\"code\":");
        push_number(&mut out, code.number());
    }
    out.push_str(",\"message\":");
    push_string(&mut out, message);
    if let CommandId::Json(id) = id {
        out.push_str(",\"id\":");
        out.push_str(id);
    }
    push_timestamp(&mut out, unix_ms);
    out.push('}');
    out
}

fn push_position(out: &mut String, position: &Position) {
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
    let mut out = text_for(0);
    out.push_str("{\"type\":");
    push_string(&mut out, kind);
    out
}

/// Appends the time in the format of RFC 3339, in UTC with milliseconds.
fn push_timestamp(out: &mut String, unix_ms: u64) {
    let millis = i64::try_from(unix_ms).unwrap_or(i64::MAX);
    let at = jiff::Timestamp::from_millisecond(millis).unwrap_or(jiff::Timestamp::MAX);
    out.push_str(",\"timestamp\":");
    push_string(out, &format!("{at:.3}"));
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
            reconnect(5000),
            error("no", None, &CommandId::NONE, 0),
        ];
        let types: Vec<String> =
            frames.iter().filter_map(|frame| Some(crate::wire::raw::event_type(frame)?.into_owned())).collect();
        assert_eq!(types, MessageType::ALL.iter().map(|kind| kind.text()).collect::<Vec<_>>());
    }
}
