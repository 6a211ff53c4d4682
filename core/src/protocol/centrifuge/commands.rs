//! The commands of the protocol: of each its name, its parameters and its reply.

use super::parts::{push_subscription, push_ttl, push_ttl_object};
use super::unsupported::{UnsupportedField, unsupported};
use crate::connection::pending::Subscribed;
use crate::error::Error;
use crate::ids::{ClientId, ClientInfo};
use crate::json::Json;
use crate::protocol::history::HistoryFields;
use crate::protocol::message::Connected;
use crate::publication::{LogPage, Replay};
use crate::wire::raw::{or_default, present, push_number, push_string, text_for};
use crate::wire::shapes::{push_members_within, push_position, push_publications};
use alloc::borrow::Cow;
use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use serde::Deserialize;
use serde_json::value::RawValue;

/// Makes the type of the names, and both directions between a name and its text, of one table.
macro_rules! command_names {
    ($($name:ident = $text:literal,)*) => {
        /// The commands of the protocol.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum CommandName { $($name,)* }

        impl CommandName {
            /// Returns the command of this name.
            pub fn parse(text: &str) -> Option<Self> {
                match text { $($text => Some(Self::$name),)* _ => None }
            }

            /// Returns the name as it is on the wire, in a command and in its reply.
            pub fn text(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

command_names! {
    Connect = "connect",
    Subscribe = "subscribe",
    Unsubscribe = "unsubscribe",
    Publish = "publish",
    Ping = "ping",
    Send = "send",
    Rpc = "rpc",
    Presence = "presence",
    PresenceStats = "presence_stats",
    History = "history",
    Refresh = "refresh",
    SubRefresh = "sub_refresh",
}

/// The parameters of `connect`.
#[derive(Deserialize)]
pub(super) struct Connect<'a> {
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

/// Encodes the reply to `connect`. `ping` are the seconds between pings of the protocol; `None` when WebSocket Pings are
/// sent instead.
pub(super) fn connected(id: u64, connected: &Connected<'_>, ping: Option<u64>) -> String {
    let client = connected.info.client_text();
    let mut out = open_reply(id, CommandName::Connect);
    out.push_str("{\"client\":");
    push_string(&mut out, &client);
    out.push_str(",\"version\":");
    push_string(&mut out, connected.version);
    push_ttl(&mut out, connected.ttl);
    if !connected.subs.is_empty() {
        out.push_str(",\"subs\":");
        for (at, (room, subscribed)) in connected.subs.iter().enumerate() {
            out.push(if at == 0 { '{' } else { ',' });
            push_string(&mut out, room);
            out.push(':');
            push_subscription(&mut out, subscribed);
        }
        out.push('}');
    }
    if let Some(ping) = ping {
        out.push_str(",\"ping\":");
        push_number(&mut out, ping);
        out.push_str(",\"pong\":true");
    }
    out.push_str(",\"session\":");
    push_string(&mut out, &client);
    out.push_str(",\"node\":");
    push_string(&mut out, connected.node);
    out.push_str("}}");
    out
}

/// The parameters of `subscribe`.
#[derive(Deserialize)]
pub(super) struct Subscribe<'a> {
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

/// Encodes the reply to `subscribe`.
pub(super) fn subscribed(id: u64, subscribed: &Subscribed) -> String {
    let mut out = open_reply(id, CommandName::Subscribe);
    push_subscription(&mut out, subscribed);
    out.push('}');
    out
}

/// The parameters of the commands that only name a room.
#[derive(Deserialize)]
pub(super) struct InRoom<'a> {
    /// The room.
    #[serde(default, borrow, deserialize_with = "or_default")]
    pub channel: Cow<'a, str>,
}

/// Encodes the reply to `presence`; `None` when the encoded list of members has more than `most` bytes. Encoding stops
/// at the first member beyond.
pub(super) fn presence(id: u64, members: &[Arc<ClientInfo>], most: usize) -> Option<String> {
    let mut out = open_reply(id, CommandName::Presence);
    out.push_str("{\"presence\":");
    let start = out.len();
    push_members_within(&mut out, members, start.saturating_add(most));
    let fits = out.len() - start <= most;
    out.push_str("}}");
    fits.then_some(out)
}

/// Encodes the reply to `presence_stats`.
pub(super) fn presence_stats(id: u64, clients: usize, users: usize) -> String {
    let mut out = open_reply(id, CommandName::PresenceStats);
    out.push_str("{\"num_clients\":");
    push_number(&mut out, clients);
    out.push_str(",\"num_users\":");
    push_number(&mut out, users);
    out.push_str("}}");
    out
}

/// The parameters of `refresh` and `sub_refresh`.
#[derive(Deserialize)]
pub(super) struct Refresh<'a> {
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

/// Encodes the reply to `refresh`.
pub(super) fn refreshed(id: u64, client: ClientId, ttl: Option<u64>) -> String {
    let mut out = open_reply(id, CommandName::Refresh);
    out.push_str("{\"client\":");
    push_string(&mut out, &client.to_string());
    push_ttl(&mut out, ttl);
    out.push_str("}}");
    out
}

/// Encodes the reply to `sub_refresh`.
pub(super) fn room_refreshed(id: u64, ttl: Option<u64>) -> String {
    let mut out = open_reply(id, CommandName::SubRefresh);
    push_ttl_object(&mut out, ttl);
    out.push('}');
    out
}

/// The parameters of `history`.
#[derive(Deserialize)]
pub(super) struct History<'a> {
    /// The room.
    #[serde(default, borrow, deserialize_with = "or_default")]
    pub channel: Cow<'a, str>,
    /// The page to read.
    #[serde(flatten)]
    pub query: HistoryFields,
}

/// Encodes the reply to `history`.
pub(super) fn history(id: u64, page: &LogPage) -> String {
    let mut out = open_reply(id, CommandName::History);
    out.push('{');
    push_publications(&mut out, &page.publications);
    if let Some(position) = page.position {
        out.push(',');
        push_position(&mut out, position);
    }
    out.push_str("}}");
    out
}

/// The parameters of `publish`.
#[derive(Deserialize)]
pub(super) struct Publish<'a> {
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

/// Encodes a reply without content.
pub(super) fn done(id: u64, command: CommandName) -> String {
    let mut out = open_reply(id, command);
    out.push_str("{}}");
    out
}

/// Encodes the reply to a command that failed.
pub(super) fn failed(id: u64, error: &Error) -> String {
    let mut out = open_answer(id, "error");
    out.push_str("{\"code\":");
    push_number(&mut out, error.code.number());
    out.push_str(",\"message\":");
    push_string(&mut out, &error.message);
    if error.code.is_temporary() {
        out.push_str(",\"temporary\":true");
    }
    out.push_str("}}");
    out
}

fn open_reply(id: u64, command: CommandName) -> String {
    open_answer(id, command.text())
}

fn open_answer(id: u64, key: &str) -> String {
    let mut out = text_for(0);
    out.push_str("{\"id\":");
    push_number(&mut out, id);
    out.push_str(",\"");
    out.push_str(key);
    out.push_str("\":");
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::RoomName;
    use crate::protocol::centrifuge::{CONNECT_BYTES, ROOM_BYTES};
    use crate::protocol::command_id::CommandId;
    use crate::publication::{LogPosition, Replayed};
    use alloc::vec::Vec;
    use core::time::Duration;

    #[test]
    fn the_data_of_a_room_and_of_a_connection_in_a_reply_is_bounded() {
        let most = u64::MAX;
        let position = LogPosition { epoch: most, offset: most };
        let replay = Replayed { recovered: Some(true), publications: Vec::new() };
        let longest = Subscribed { position, positioned: true, replay, ttl: Some(most) };
        assert!(subscribed(most, &longest).len() <= ROOM_BYTES);
        let info = crate::testing::client_info(1);
        let node = "\"".repeat(crate::config::NODE_BYTES);
        let version = "v".repeat(64);
        let encode = |subs: &[(RoomName, Subscribed)]| {
            let (version, node, ping_interval) = (version.as_str(), node.as_str(), Duration::MAX);
            let of_command = &CommandId::Number(most);
            let reply = Connected { id: of_command, info: &info, version, node, ttl: Some(most), ping_interval, subs };
            connected(most, &reply, Some(most)).len()
        };
        assert!(encode(&[]) <= CONNECT_BYTES);
        let name = RoomName::from("\\".repeat(200).as_str());
        let rooms: Vec<(RoomName, Subscribed)> = (0..10).map(|_| (name.clone(), longest.clone())).collect();
        assert!(encode(&rooms) <= CONNECT_BYTES + 10 * (2 * 200 + ROOM_BYTES));
    }
}
