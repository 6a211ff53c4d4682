//! The questions of `POST /api/explain`: the body of a call as what it asks about.

use super::delivery_cursor;
use parlor_core::api::{self, Command};
use parlor_core::error::{Error, ErrorCode};
use parlor_core::explain::DeliveryPlace;
use parlor_core::{ClientId, Config, RoomName};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::{Number, json};

/// The connections on a page, unless `limit` is given.
const PAGE: usize = 100;
/// The greatest `limit`.
pub(crate) const PAGE_MOST: usize = 1_000;

/// The least number that no `u64` holds: 2^64.
const TOO_LARGE: f64 = 18_446_744_073_709_551_616.0;

/// The subject of a question.
#[derive(Debug)]
pub(super) enum Question {
    Connection(ClientId),
    Room(RoomName),
    Publication {
        room: RoomName,
        /// Empty for that of the log that there is.
        epoch: String,
        offset: u64,
        /// The one connection that is asked about.
        client: Option<ClientId>,
        from: DeliveryPlace,
        limit: usize,
    },
}

/// The fields of the body.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct ExplainBody {
    #[serde(deserialize_with = "given")]
    client: Option<String>,
    #[serde(deserialize_with = "given")]
    channel: Option<String>,
    #[serde(deserialize_with = "given")]
    epoch: Option<String>,
    #[serde(deserialize_with = "given_integer")]
    offset: Option<u64>,
    #[serde(deserialize_with = "given")]
    cursor: Option<String>,
    #[serde(deserialize_with = "given_integer")]
    limit: Option<u64>,
}

/// Reads a field that may be left out, and may not be null: a question with null would be another one.
fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// The same of an integer, in whatever way it is written as JSON: `7`, `7.0` and `70e-1` are one number.
fn given_integer<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    let number = Number::deserialize(deserializer)?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is checked before")]
    let whole = |real: f64| (real.fract() == 0.0 && (0.0..TOO_LARGE).contains(&real)).then_some(real as u64);
    let integer = number.as_u64().or_else(|| number.as_f64().and_then(whole));
    integer.map(Some).ok_or_else(|| D::Error::custom(format_args!("{number} is no integer from 0 to {}", u64::MAX)))
}

impl Question {
    /// Reads the body of a call.
    ///
    /// # Errors
    /// 107 where it is not as it has to be, 102 where there is no such namespace.
    pub(super) fn parse(body: &[u8], config: &Config) -> Result<Self, Error> {
        if body.trim_ascii_start().first() != Some(&b'{') {
            return Err(bad("the body is no JSON object"));
        }
        let ExplainBody { client, channel, epoch, offset, cursor, limit } =
            serde_json::from_slice(body).map_err(|error| bad(&format!("the body: {error}")))?;
        let client = client.map(|client| parse_client(&client)).transpose()?;
        let Some(channel) = channel else {
            let client = client.ok_or_else(|| bad("expected client, or channel, or channel and offset"))?;
            return match (&epoch, offset, &cursor, limit) {
                (None, None, None, None) => Ok(Self::Connection(client)),
                _ => Err(bad("epoch, offset, cursor and limit are about a publication, whose channel is missing")),
            };
        };
        let room = parse_room(&channel, config)?;
        let Some(offset) = offset else {
            return match (&epoch, client, &cursor, limit) {
                (None, None, None, None) => Ok(Self::Room(room)),
                _ => Err(bad("epoch, client, cursor and limit are about a publication, whose offset is missing")),
            };
        };
        let from = match cursor {
            None => DeliveryPlace::Member(0),
            Some(text) => delivery_cursor::parse(&text).ok_or_else(|| bad("cursor is none of an earlier answer"))?,
        };
        let limit = limit.map_or(PAGE, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
        if !(1..=PAGE_MOST).contains(&limit) {
            return Err(bad(&format!("limit is {limit}; expected from 1 to {PAGE_MOST}")));
        }
        Ok(Self::Publication { room, epoch: epoch.unwrap_or_default(), offset, client, from, limit })
    }

    /// The one connection that it is about, if it is about one.
    pub(super) fn client(&self) -> Option<ClientId> {
        match self {
            Self::Connection(client) => Some(*client),
            Self::Room(_) => None,
            Self::Publication { client, .. } => *client,
        }
    }

    /// The room that it is about; None where it is about a connection, in whatever rooms that is.
    pub(super) fn room(&self) -> Option<&RoomName> {
        match self {
            Self::Connection(_) => None,
            Self::Room(room) | Self::Publication { room, .. } => Some(room),
        }
    }
}

fn parse_client(client: &str) -> Result<ClientId, Error> {
    ClientId::parse(client).ok_or_else(|| bad("client is not the id of a connection: expected a UUID with hyphens"))
}

fn parse_room(channel: &str, config: &Config) -> Result<RoomName, Error> {
    match api::json::parse("presence", json!({"channel": channel}).to_string().as_bytes(), config)? {
        Command::Presence { channel } => Ok(channel),
        _ => Err(bad("channel is no room")),
    }
}

fn bad(words: &str) -> Error {
    Error::new(ErrorCode::BadRequest, format!("bad request: {words}"))
}
