//! The decoder of the Centrifuge client protocol: text frames to commands.

use crate::json::Json;
use crate::protocol::history::HistoryFields;
use crate::protocol::raw::{or_default, present};
use crate::publication::Replay;
use alloc::borrow::Cow;
use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use core::fmt;
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

/// One object of a client's text frame.
#[derive(Debug)]
pub(crate) enum ClientCommand<'a> {
    /// The answer to a ping: `{}`.
    Pong,
    /// A command; `id` is 0 when the object has none.
    Known { id: u64, name: CommandName, params: &'a RawValue },
    /// An object without a known command.
    Unknown { id: u64 },
}

/// The commands of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CommandName {
    Connect,
    Subscribe,
    Unsubscribe,
    Publish,
    Ping,
    Send,
    Rpc,
    Presence,
    PresenceStats,
    History,
    Refresh,
    SubRefresh,
}

impl CommandName {
    fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "connect" => Self::Connect,
            "subscribe" => Self::Subscribe,
            "unsubscribe" => Self::Unsubscribe,
            "publish" => Self::Publish,
            "ping" => Self::Ping,
            "send" => Self::Send,
            "rpc" => Self::Rpc,
            "presence" => Self::Presence,
            "presence_stats" => Self::PresenceStats,
            "history" => Self::History,
            "refresh" => Self::Refresh,
            "sub_refresh" => Self::SubRefresh,
            _ => return None,
        })
    }
}

/// Decodes the first object of `text`. Returns it with the number of bytes read; `None` at the end of the text.
///
/// Objects are separated by white space or by nothing; a line break inside an object separates nothing.
pub(crate) fn next_command(text: &str) -> Option<Result<(ClientCommand<'_>, usize), serde_json::Error>> {
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<ClientCommand<'_>>();
    let command = values.next()?;
    Some(command.map(|command| (command, values.byte_offset())))
}

impl<'de> Deserialize<'de> for ClientCommand<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(CommandVisitor)
    }
}

struct CommandVisitor;

impl<'de> Visitor<'de> for CommandVisitor {
    type Value = ClientCommand<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a command object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut id = 0;
        let mut known = None;
        let mut empty = true;
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            empty = false;
            if key == "id" {
                id = map.next_value::<Option<u64>>()?.unwrap_or_default();
            } else if let Some(named) = CommandName::parse(&key) {
                let params = map.next_value::<&RawValue>()?;
                // Typed clients send `null` for the commands that are not meant.
                if known.is_none_or(|(_, meant): (_, &RawValue)| meant.get() == "null") {
                    known = Some((named, params));
                }
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(match known {
            Some((name, params)) => ClientCommand::Known { id, name, params },
            None if empty => ClientCommand::Pong,
            None => ClientCommand::Unknown { id },
        })
    }
}

/// The parameters of `connect`.
#[derive(Deserialize)]
pub(crate) struct Connect<'a> {
    /// The connection token; empty when there is none.
    #[serde(default, deserialize_with = "or_default")]
    pub token: String,
    /// The data for a connect handler, which the server does not have; it is only checked.
    #[serde(default, borrow)]
    pub data: Option<&'a RawValue>,
    /// The positions to recover from in rooms that the server subscribes the client to.
    #[serde(default, borrow, deserialize_with = "or_default")]
    pub subs: BTreeMap<Cow<'a, str>, Subscribe<'a>>,
}

/// The parameters of `subscribe`.
#[derive(Deserialize)]
pub(crate) struct Subscribe<'a> {
    /// The room.
    #[serde(default, borrow, deserialize_with = "or_default")]
    pub channel: Cow<'a, str>,
    /// The room token; empty when there is none.
    #[serde(default, deserialize_with = "or_default")]
    pub token: String,
    /// The data for a subscribe handler, which the server does not have; it is only checked.
    #[serde(default, borrow)]
    pub data: Option<&'a RawValue>,
    /// `true` to recover from `epoch` and `offset`.
    #[serde(default, deserialize_with = "or_default")]
    pub recover: bool,
    /// The epoch of the position to recover from; empty for any epoch.
    #[serde(default, borrow, deserialize_with = "or_default")]
    pub epoch: Cow<'a, str>,
    /// The offset of the position to recover from.
    #[serde(default, deserialize_with = "or_default")]
    pub offset: u64,
    /// `true` to receive the presence events of the room.
    #[serde(default, deserialize_with = "or_default")]
    pub join_leave: bool,
    /// A set of flags; see [`REFUSE_UNRECOVERED`].
    #[serde(default, deserialize_with = "or_default")]
    pub flag: u64,
    #[serde(default)]
    tf: UnsupportedField,
    #[serde(default, rename = "type")]
    kind: UnsupportedField,
    #[serde(default)]
    phase: UnsupportedField,
    #[serde(default)]
    cursor: UnsupportedField,
    #[serde(default)]
    limit: UnsupportedField,
}

/// `true` when a field is present and not the zero value that typed clients send for an absent field.
#[derive(Clone, Copy, Default)]
pub(crate) struct UnsupportedField(bool);

impl<'de> Deserialize<'de> for UnsupportedField {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&RawValue>::deserialize(deserializer)?;
        let zero = |text: &str| matches!(text, "null" | "false" | "0" | "0.0" | "\"\"" | "[]" | "{}");
        let fields = serde_json::from_str::<BTreeMap<Cow<'_, str>, &RawValue>>(raw.get());
        let is_zero = zero(raw.get()) || fields.is_ok_and(|fields| fields.values().all(|field| zero(field.get())));
        Ok(Self(!is_zero))
    }
}

/// Returns the name of the first field that is present.
fn unsupported(fields: &[(UnsupportedField, &'static str)]) -> Option<&'static str> {
    fields.iter().find(|(field, _)| field.0).map(|(_, name)| *name)
}

/// The bit of a subscription's `flag` for an error instead of a subscription when the recovery fails.
const REFUSE_UNRECOVERED: u64 = 2;

impl Subscribe<'_> {
    /// Returns the replay that the subscription asks for.
    pub fn replay(&self) -> Replay {
        if !self.recover {
            return Replay::None;
        }
        let or_refuse = self.flag & REFUSE_UNRECOVERED != 0;
        Replay::Since { epoch: self.epoch.to_string(), offset: self.offset, or_refuse }
    }

    /// Returns the first field with an unsupported request in a subscription that is part of a `connect`.
    pub fn unsupported_at_connect(&self) -> Option<&'static str> {
        self.join_leave.then_some("subs.join_leave").or_else(|| self.unsupported())
    }

    /// Returns the first field with an unsupported request: a filter by tags, a map, or a polled subscription.
    pub fn unsupported(&self) -> Option<&'static str> {
        unsupported(&[
            (self.tf, "tf"),
            (self.kind, "type"),
            (self.phase, "phase"),
            (self.cursor, "cursor"),
            (self.limit, "limit"),
        ])
    }
}

/// The parameters of the commands that only name a room.
#[derive(Deserialize)]
pub(crate) struct InRoom<'a> {
    /// The room.
    #[serde(default, borrow, deserialize_with = "or_default")]
    pub channel: Cow<'a, str>,
}

/// The parameters of `refresh` and `sub_refresh`.
#[derive(Deserialize)]
pub(crate) struct Refresh<'a> {
    /// The room, in a `sub_refresh`.
    #[serde(default, borrow, deserialize_with = "or_default")]
    pub channel: Cow<'a, str>,
    /// The new token.
    #[serde(default, deserialize_with = "or_default")]
    pub token: String,
    #[serde(default, rename = "type")]
    kind: UnsupportedField,
    #[serde(default)]
    track: UnsupportedField,
    #[serde(default)]
    untrack: UnsupportedField,
}

impl Refresh<'_> {
    /// Returns the first field with an unsupported request: to track keys.
    pub fn unsupported(&self) -> Option<&'static str> {
        unsupported(&[(self.kind, "type"), (self.track, "track"), (self.untrack, "untrack")])
    }
}

/// The parameters of `history`.
#[derive(Deserialize)]
pub(crate) struct History<'a> {
    /// The room.
    #[serde(default, borrow, deserialize_with = "or_default")]
    pub channel: Cow<'a, str>,
    /// The page to read.
    #[serde(flatten)]
    pub query: HistoryFields,
}

/// The parameters of `publish`.
#[derive(Deserialize)]
pub(crate) struct Publish<'a> {
    /// The room.
    #[serde(default, borrow, deserialize_with = "or_default")]
    pub channel: Cow<'a, str>,
    /// The payload: any JSON, `null` included.
    #[serde(default, borrow, deserialize_with = "present")]
    pub data: Option<&'a RawValue>,
    #[serde(default, rename = "type")]
    kind: UnsupportedField,
    #[serde(default)]
    key: UnsupportedField,
    #[serde(default)]
    removed: UnsupportedField,
}

impl Publish<'_> {
    /// Returns the payload in one line; `None` when there is none.
    pub fn payload(&self) -> Option<Json> {
        self.data.map(Json::from)
    }

    /// Returns the first field with an unsupported request: a map of keys.
    pub fn unsupported(&self) -> Option<&'static str> {
        unsupported(&[(self.kind, "type"), (self.key, "key"), (self.removed, "removed")])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn text_that_is_no_command_is_answered_with_what_is_expected() {
        for text in ["7", "[]", "\"connect\"", "null"] {
            let wrong = next_command(text).expect("there is something").expect_err(text);
            assert!(wrong.to_string().contains("expected a command object"), "{text}: {wrong}");
        }
    }
}
