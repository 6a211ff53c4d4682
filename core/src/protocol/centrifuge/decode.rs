//! What a client sends: text frames become commands.

use crate::protocol::history::HistoryFields;
use crate::protocol::raw::{one_line, or_default, present};
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
pub(crate) enum Command<'a> {
    /// `{}`: the answer to a ping.
    Pong,
    /// Something that was asked; `id` is 0 where there was none.
    Method { id: u64, method: Method, params: &'a RawValue },
    /// An object whose method is not known.
    Unknown { id: u64 },
}

/// The commands of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
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

impl Method {
    fn named(name: &str) -> Option<Self> {
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

/// Takes the first object from `text`. Returns it with the number of bytes it took; `None` at the end of the text.
///
/// Objects are separated by white space or by nothing: a raw line break inside of one is no separator.
pub(crate) fn next_command(text: &str) -> Option<Result<(Command<'_>, usize), serde_json::Error>> {
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<Command<'_>>();
    let command = values.next()?;
    Some(command.map(|command| (command, values.byte_offset())))
}

impl<'de> Deserialize<'de> for Command<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(CommandVisitor)
    }
}

struct CommandVisitor;

impl<'de> Visitor<'de> for CommandVisitor {
    type Value = Command<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a command object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut id = 0;
        let mut method = None;
        let mut empty = true;
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            empty = false;
            if key == "id" {
                id = map.next_value::<Option<u64>>()?.unwrap_or_default();
            } else if let Some(named) = Method::named(&key) {
                let params = map.next_value::<&RawValue>()?;
                // Typed clients send the methods that they do not mean as null.
                if method.is_none_or(|(_, meant): (_, &RawValue)| meant.get() == "null") {
                    method = Some((named, params));
                }
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(match method {
            Some((method, params)) => Command::Method { id, method, params },
            None if empty => Command::Pong,
            None => Command::Unknown { id },
        })
    }
}

/// Parameters of `connect`.
#[derive(Deserialize)]
pub(crate) struct Connect<'a> {
    #[serde(default, deserialize_with = "or_default")]
    pub token: String,
    /// Kept for nobody yet; what it must not be is refused all the same.
    #[serde(default, borrow)]
    pub data: Option<&'a RawValue>,
    /// What is to be replayed of the rooms that the server puts it into.
    #[serde(default, borrow, deserialize_with = "or_default")]
    pub subs: BTreeMap<Cow<'a, str>, Subscribe<'a>>,
}

/// Parameters of `subscribe`.
#[derive(Deserialize)]
pub(crate) struct Subscribe<'a> {
    #[serde(default, borrow, deserialize_with = "or_default")]
    pub channel: Cow<'a, str>,
    #[serde(default, deserialize_with = "or_default")]
    pub token: String,
    /// As that of `connect`.
    #[serde(default, borrow)]
    pub data: Option<&'a RawValue>,
    #[serde(default, deserialize_with = "or_default")]
    pub recover: bool,
    #[serde(default, borrow, deserialize_with = "or_default")]
    pub epoch: Cow<'a, str>,
    #[serde(default, deserialize_with = "or_default")]
    pub offset: u64,
    #[serde(default, deserialize_with = "or_default")]
    pub join_leave: bool,
    #[serde(default, deserialize_with = "or_default")]
    pub flag: u64,
    #[serde(default)]
    tf: Wish,
    #[serde(default, rename = "type")]
    kind: Wish,
    #[serde(default)]
    phase: Wish,
    #[serde(default)]
    cursor: Wish,
    #[serde(default)]
    limit: Wish,
}

/// Whether a field asks for something: it is there, and not the zero value that typed clients send for nothing.
#[derive(Clone, Copy, Default)]
pub(crate) struct Wish(bool);

impl<'de> Deserialize<'de> for Wish {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&RawValue>::deserialize(deserializer)?;
        let zero = |text: &str| matches!(text, "null" | "false" | "0" | "0.0" | "\"\"" | "[]" | "{}");
        let fields = serde_json::from_str::<BTreeMap<Cow<'_, str>, &RawValue>>(raw.get());
        let is_zero = zero(raw.get()) || fields.is_ok_and(|fields| fields.values().all(|field| zero(field.get())));
        Ok(Self(!is_zero))
    }
}

/// The first of these wishes that there is.
fn undone(wishes: &[(Wish, &'static str)]) -> Option<&'static str> {
    wishes.iter().find(|(wish, _)| wish.0).map(|(_, field)| *field)
}

/// The bit of a subscription's `flag` that wants an error in place of an unsuccessful recovery.
const REFUSE_UNRECOVERED: u64 = 2;

impl Subscribe<'_> {
    /// What it wants to have before anything else.
    pub fn replay(&self) -> Replay {
        if !self.recover {
            return Replay::None;
        }
        let or_refuse = self.flag & REFUSE_UNRECOVERED != 0;
        Replay::Since { epoch: self.epoch.to_string(), offset: self.offset, or_refuse }
    }

    /// The same of one that comes with `connect`, for a room that the server puts the client into.
    pub fn undone_at_connect(&self) -> Option<&'static str> {
        self.join_leave.then_some("subs.join_leave").or_else(|| self.undone())
    }

    /// The field that asks for what no subscription here does: a filter by tags, or a room that is a map or is polled.
    pub fn undone(&self) -> Option<&'static str> {
        undone(&[
            (self.tf, "tf"),
            (self.kind, "type"),
            (self.phase, "phase"),
            (self.cursor, "cursor"),
            (self.limit, "limit"),
        ])
    }
}

/// Parameters of the commands that only name a room.
#[derive(Deserialize)]
pub(crate) struct InRoom<'a> {
    #[serde(default, borrow, deserialize_with = "or_default")]
    pub channel: Cow<'a, str>,
}

/// Parameters of `refresh` and `sub_refresh`.
#[derive(Deserialize)]
pub(crate) struct Refresh<'a> {
    #[serde(default, borrow, deserialize_with = "or_default")]
    pub channel: Cow<'a, str>,
    #[serde(default, deserialize_with = "or_default")]
    pub token: String,
    #[serde(default, rename = "type")]
    kind: Wish,
    #[serde(default)]
    track: Wish,
    #[serde(default)]
    untrack: Wish,
}

impl Refresh<'_> {
    /// The field that asks for what no room here does: to be polled for keys.
    pub fn undone(&self) -> Option<&'static str> {
        undone(&[(self.kind, "type"), (self.track, "track"), (self.untrack, "untrack")])
    }
}

/// Parameters of `history`.
#[derive(Deserialize)]
pub(crate) struct History<'a> {
    #[serde(default, borrow, deserialize_with = "or_default")]
    pub channel: Cow<'a, str>,
    #[serde(flatten)]
    pub query: HistoryFields,
}

/// Parameters of `publish`.
#[derive(Deserialize)]
pub(crate) struct Publish<'a> {
    #[serde(default, borrow, deserialize_with = "or_default")]
    pub channel: Cow<'a, str>,
    /// Any JSON, `null` too.
    #[serde(default, borrow, deserialize_with = "present")]
    pub data: Option<&'a RawValue>,
    #[serde(default, rename = "type")]
    kind: Wish,
    #[serde(default)]
    key: Wish,
    #[serde(default)]
    removed: Wish,
}

impl Publish<'_> {
    /// The payload on one line.
    pub fn payload(&self) -> Option<String> {
        self.data.map(one_line)
    }

    /// The field that asks for what no room here does: to be a map of keys.
    pub fn undone(&self) -> Option<&'static str> {
        undone(&[(self.kind, "type"), (self.key, "key"), (self.removed, "removed")])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn what_is_no_command_is_told_what_one_is() {
        for text in ["7", "[]", "\"connect\"", "null"] {
            let wrong = next_command(text).expect("there is something").expect_err(text);
            assert!(wrong.to_string().contains("expected a command object"), "{text}: {wrong}");
        }
    }
}
