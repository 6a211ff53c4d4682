//! The fields of a request's body, read one by one. Those that remain in the end are unknown and refused.

use crate::api::{Command, Message, Selection};
use crate::config::Config;
use crate::error::{Error, ErrorCode};
use crate::ids::ClientId;
use crate::json::Json;
use crate::limits::{Limit, Limits};
use crate::names::{BadName, RoomName, UserId};
use crate::payload::Payload;
use crate::protocol::readable;
use crate::wire::raw::{integer, object, wrong};
use alloc::borrow::Cow;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::marker::PhantomData;
use serde::de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// The greatest `limit` of a page of a list.
pub(super) const PAGE_MOST: usize = 1000;

/// The field with the payload.
const DATA: &str = "data";

/// The fields of a JSON object. A field that occurs twice is an error, since its meaning would be ambiguous.
#[derive(Default)]
pub(super) struct Fields<V>(pub BTreeMap<String, V>);

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
pub(super) struct Body<'a>(BTreeMap<String, &'a RawValue>);

impl<'a> Body<'a> {
    pub fn read(body: &'a str) -> Result<Self, Error> {
        let Fields::<&'a RawValue>(fields) = serde_json::from_str(body)
            .map_err(|error| bad(format!("the body must be a JSON object: {}", wrong(&error))))?;
        // Typed clients send `null` for an absent field, but a payload is any JSON.
        let is_there = |field: &str, value: &RawValue| value.get() != "null" || field == DATA;
        Ok(Self(fields.into_iter().filter(|(field, value)| is_there(field, value)).collect()))
    }

    pub fn optional<T: Deserialize<'a>>(&mut self, field: &str) -> Result<Option<T>, Error> {
        let Some(raw) = self.0.remove(field) else { return Ok(None) };
        serde_json::from_str(raw.get()).map(Some).map_err(|error| bad(format!("{field}: {}", wrong(&error))))
    }

    /// Reads a field that is an object; a derived `Deserialize` alone would accept an array too.
    pub fn object<T: Deserialize<'a>>(&mut self, field: &str) -> Result<Option<T>, Error> {
        let raw = self.0.remove(field);
        raw.map(|raw| object(raw.get())).transpose().map_err(|words| bad(format!("{field}: {words}")))
    }

    pub fn integer<T: TryFrom<i128>>(&mut self, field: &str) -> Result<Option<T>, Error> {
        let raw = self.0.remove(field);
        let read = |raw: &RawValue| integer(&mut serde_json::Deserializer::from_str(raw.get()));
        raw.map(read).transpose().map_err(|error: serde_json::Error| bad(format!("{field}: {}", wrong(&error))))
    }

    pub fn ignore_empty(&mut self, field: &str) {
        if self.0.get(field).is_some_and(|value| value.get() == "\"\"") {
            self.0.remove(field);
        }
    }

    pub fn required<T: Deserialize<'a>>(&mut self, field: &str) -> Result<T, Error> {
        self.optional(field)?.ok_or_else(|| bad(format!("{field} is missing")))
    }

    /// Reads a list. A list with more than `most` items is refused, and the items beyond are not kept in memory.
    pub fn list<T: Deserialize<'a>>(&mut self, field: &str, limit: Limit, most: usize) -> Result<Vec<T>, Error> {
        let raw = self.0.remove(field).ok_or_else(|| bad(format!("{field} is missing")))?;
        let read = Items { most, item: PhantomData }.deserialize(&mut serde_json::Deserializer::from_str(raw.get()));
        match read.map_err(|error| bad(format!("{field}: {}", wrong(&error))))? {
            Some(items) => Ok(items),
            None => {
                let words = format!("{field} has more than {most} items");
                Err(Error::limit(ErrorCode::LimitExceeded, limit, &words))
            }
        }
    }

    /// Reads `limit` and `cursor`: the size of the page and the end of the page before it.
    pub fn paging(&mut self) -> Result<(Option<usize>, Option<String>), Error> {
        let limit = self.integer("limit")?;
        if limit.is_some_and(|limit| !(1..=PAGE_MOST).contains(&limit)) {
            return Err(bad(format!("limit must be from 1 to {PAGE_MOST}")));
        }
        let cursor: Option<String> = self.optional("cursor")?;
        Ok((limit, cursor.filter(|cursor| !cursor.is_empty())))
    }

    pub fn room(&mut self, config: &Config) -> Result<RoomName, Error> {
        let name: Cow<'a, str> = self.required("channel")?;
        room(&name, config)
    }

    /// Reads the whole body of a command that takes nothing but a room.
    pub fn only_room(mut self, config: &Config, command: fn(RoomName) -> Command) -> Result<Command, Error> {
        let room = self.room(config)?;
        self.finish(command(room))
    }

    /// Reads a room that connections may be subscribed to and unsubscribed from, which a personal room is not.
    pub fn client_room(&mut self, config: &Config) -> Result<RoomName, Error> {
        let name: Cow<'a, str> = self.required("channel")?;
        config.client_room(&name).map_err(|wrong| bad_room(&name, &wrong))
    }

    pub fn user(&mut self, config: &Config) -> Result<UserId, Error> {
        let user: Cow<'a, str> = self.required("user")?;
        if user.is_empty() {
            return Err(bad("user: the anonymous user cannot be addressed"));
        }
        self::user(&user, config)
    }

    /// Reads the user of a filter; an empty name counts as absent.
    pub fn maybe_user(&mut self, config: &Config) -> Result<Option<UserId>, Error> {
        let user: Option<Cow<'a, str>> = self.optional("user")?;
        user.filter(|user| !user.is_empty()).map(|user| self::user(&user, config)).transpose()
    }

    /// Reads the room of a filter; an empty name counts as absent.
    pub fn maybe_room(&mut self, config: &Config) -> Result<Option<RoomName>, Error> {
        let name: Option<Cow<'a, str>> = self.optional("channel")?;
        name.filter(|name| !name.is_empty()).map(|name| room(&name, config)).transpose()
    }

    /// Reads the user and the selection of the user's connections.
    pub fn user_and_selection(&mut self, config: &Config) -> Result<(UserId, Selection), Error> {
        let user = self.user(config)?;
        Ok((user, self.selection()?))
    }

    /// Reads the selection of connections: by `client`, by `session` as the reply to `connect` has it, or by both.
    pub fn selection(&mut self) -> Result<Selection, Error> {
        let mut selection = Selection::All;
        for field in ["client", "session"] {
            let text: Option<String> = self.optional(field)?;
            let Some(text) = text.filter(|text| !text.is_empty()) else { continue };
            selection = match (selection, ClientId::parse(&text)) {
                (Selection::All, Some(client)) => Selection::One(client),
                (Selection::One(known), Some(client)) if known == client => selection,
                _ => Selection::NoMatch,
            };
        }
        Ok(selection)
    }

    pub fn data(&mut self, config: &Config) -> Result<Payload, Error> {
        let raw = self.0.remove(DATA).ok_or_else(|| bad("data is missing"))?;
        let data = within(DATA, Json::from(raw), &config.limits)?;
        readable::check(&data, &config.limits).map_err(|wrong| wrong.error(DATA))?;
        Ok(data.into())
    }

    pub fn message(&mut self, config: &Config) -> Result<Message, Error> {
        let idempotency_key: Option<String> = self.optional("idempotency_key")?;
        let idempotency_key = idempotency_key.filter(|key| !key.is_empty());
        let most = config.limits.idempotency_key_bytes;
        if idempotency_key.as_ref().is_some_and(|key| key.len() > most) {
            let words = format!("idempotency_key has more than {most} bytes");
            return Err(Error::limit(ErrorCode::BadRequest, Limit::IdempotencyKeyBytes, &words));
        }
        Ok(Message {
            data: self.data(config)?,
            tags: self.optional::<Fields<String>>("tags")?.unwrap_or_default().0,
            skip_history: self.optional("skip_history")?.unwrap_or_default(),
            idempotency_key,
        })
    }

    pub fn finish<T>(self, command: T) -> Result<T, Error> {
        match self.0.into_keys().next() {
            Some(field) => Err(bad(format!("{field} is not supported here"))),
            None => Ok(command),
        }
    }
}

fn room(name: &str, config: &Config) -> Result<RoomName, Error> {
    config.room(name).map_err(|wrong| bad_room(name, &wrong))
}

fn user(id: &str, config: &Config) -> Result<UserId, Error> {
    UserId::parse(id, config.limits.room_name_bytes).map_err(|wrong| bad_name("user", id, &wrong))
}

/// Returns the error of a backend's call with an invalid room name.
pub(crate) fn bad_room(name: &str, wrong: &BadName) -> Error {
    bad_name("channel", name, wrong)
}

fn bad_name(field: &str, name: &str, wrong: &BadName) -> Error {
    let limit = matches!(wrong, BadName::TooLong(_)).then_some(Limit::RoomNameBytes);
    Error { limit, ..Error::new(wrong.code(), format!("{field} {name:?}: {wrong}")) }
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

pub(super) fn bad(message: impl Into<Cow<'static, str>>) -> Error {
    Error::new(ErrorCode::BadRequest, message)
}
