//! The `json` protocol: version 2 of the Centrifuge client protocol, in JSON, as its SDKs speak it.

use crate::error::{Error, UnsubscribeReason};
use crate::ids::{ClientInfo, Name};
use crate::link::{Entry, Page, Position, Replay, Replayed, epoch_text};
use crate::protocol::history::HistoryFields;
use crate::protocol::raw::{number_bytes, one_line, or_default, present, push_number, push_string, string_bytes};
use alloc::borrow::Cow;
use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
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

/// What the reply to `connect` says.
pub(crate) struct Connected<'a> {
    pub id: u64,
    pub info: &'a ClientInfo,
    pub version: &'a str,
    pub node: &'a str,
    /// Seconds until the token expires.
    pub ttl: Option<u64>,
    /// Seconds between pings, where they are `{}`.
    pub ping: Option<u64>,
    /// Server-side subscriptions, with where they start.
    pub subs: &'a [(Name, Subscribed)],
}

/// Where a subscription starts.
#[derive(Clone, Debug)]
pub(crate) struct Subscribed {
    /// Where the client is before it has read what was missed. Each message moves it on, and SDKs that lose the connection
    /// half-way through ask again from where they are.
    pub position: Position,
    /// Whether the room's log retains anything, so that a position means something later.
    pub positioned: bool,
    /// What was missed.
    pub replay: Replayed,
    /// Seconds until the room's token expires.
    pub ttl: Option<u64>,
}

impl Subscribed {
    /// Where somebody is who joins at this position, with what it has missed.
    pub fn new(top: Position, positioned: bool, replay: Replayed, ttl: Option<u64>) -> Self {
        let position = Position { offset: top.offset - replay.entries.len() as u64, ..top };
        Self { position, positioned, replay, ttl }
    }

    /// Leaves out what was missed: the client is told that it was not recovered, and goes on from the top.
    pub fn without_replay(self) -> Self {
        let offset = self.position.offset + self.replay.entries.len() as u64;
        let replay = Replayed { recovered: Some(false), entries: Vec::new() };
        Self { position: Position { offset, ..self.position }, replay, ..self }
    }
}

/// The most that a room takes in a connect reply beside its name and what was missed, and what a subscribe reply takes.
pub(crate) const ROOM_BYTES: usize = 256;
/// The most that a connect reply takes beside its rooms, with the server's version and the node's name in it, which has at
/// most [`NODE_BYTES`](crate::config::NODE_BYTES).
pub(crate) const CONNECT_BYTES: usize = 1024;

impl Connected<'_> {
    /// The reply as text.
    pub fn encode(&self) -> String {
        let client = self.info.client_text();
        let mut out = open_reply(self.id, "connect");
        out.push_str("{\"client\":");
        push_string(&mut out, &client);
        out.push_str(",\"version\":");
        push_string(&mut out, self.version);
        push_ttl(&mut out, self.ttl);
        if !self.subs.is_empty() {
            out.push_str(",\"subs\":");
            for (at, (room, subscribed)) in self.subs.iter().enumerate() {
                out.push(if at == 0 { '{' } else { ',' });
                push_string(&mut out, room);
                out.push(':');
                push_subscription(&mut out, subscribed);
            }
            out.push('}');
        }
        if let Some(ping) = self.ping {
            out.push_str(",\"ping\":");
            push_number(&mut out, ping);
            out.push_str(",\"pong\":true");
        }
        out.push_str(",\"session\":");
        push_string(&mut out, &client);
        out.push_str(",\"node\":");
        push_string(&mut out, self.node);
        out.push_str("}}");
        out
    }
}

/// The reply to `subscribe`.
pub(crate) fn subscribed(id: u64, subscribed: &Subscribed) -> String {
    let mut out = open_reply(id, "subscribe");
    push_subscription(&mut out, subscribed);
    out.push('}');
    out
}

/// The reply to `refresh`.
pub(crate) fn refreshed(id: u64, info: &ClientInfo, ttl: Option<u64>) -> String {
    let mut out = open_reply(id, "refresh");
    out.push_str("{\"client\":");
    push_string(&mut out, &info.client_text());
    push_ttl(&mut out, ttl);
    out.push_str("}}");
    out
}

/// The reply to `sub_refresh`.
pub(crate) fn room_refreshed(id: u64, ttl: Option<u64>) -> String {
    let mut out = open_reply(id, "sub_refresh");
    push_ttl_object(&mut out, ttl);
    out.push('}');
    out
}

/// The reply to `history`.
pub(crate) fn history(id: u64, page: &Page) -> String {
    let mut out = open_reply(id, "history");
    out.push('{');
    push_publications(&mut out, &page.entries);
    if let Some(position) = page.position {
        out.push(',');
        push_position(&mut out, position);
    }
    out.push_str("}}");
    out
}

/// The reply to `presence`; `None` where the list of members, as encoded, has more than `most` bytes. Of a list that is
/// too long no more is encoded than shows it.
pub(crate) fn presence(id: u64, members: &[Arc<ClientInfo>], most: usize) -> Option<String> {
    let mut out = open_reply(id, "presence");
    out.push_str("{\"presence\":");
    let start = out.len();
    push_members_within(&mut out, members, start.saturating_add(most));
    let fits = out.len() - start <= most;
    out.push_str("}}");
    fits.then_some(out)
}

/// The reply to `presence_stats`.
pub(crate) fn presence_stats(id: u64, clients: usize, users: usize) -> String {
    let mut out = open_reply(id, "presence_stats");
    out.push_str("{\"num_clients\":");
    push_number(&mut out, clients);
    out.push_str(",\"num_users\":");
    push_number(&mut out, users);
    out.push_str("}}");
    out
}

/// A reply without content.
pub(crate) fn done(id: u64, method: &str) -> String {
    let mut out = open_reply(id, method);
    out.push_str("{}}");
    out
}

/// The reply to a command that failed.
pub(crate) fn failed(id: u64, error: &Error) -> String {
    let mut out = open_reply(id, "error");
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

/// A publication in a room.
pub(crate) fn publication(room: &str, entry: &Entry) -> String {
    let mut out = open_push(room, "pub");
    push_entry(&mut out, entry);
    out.push_str("}}");
    out
}

/// A member came, or went.
pub(crate) fn presence_push(room: &str, member: &ClientInfo, came: bool) -> String {
    let mut out = open_push(room, if came { "join" } else { "leave" });
    out.push_str("{\"info\":");
    push_info(&mut out, member);
    out.push_str("}}}");
    out
}

/// The server has put the connection into a room.
pub(crate) fn subscribe_push(room: &str, subscribed: &Subscribed) -> String {
    let mut out = open_push(room, "subscribe");
    push_subscription(&mut out, subscribed);
    out.push_str("}}");
    out
}

/// The server has taken the connection out of a room.
pub(crate) fn unsubscribe_push(room: &str, reason: UnsubscribeReason) -> String {
    let mut out = open_push(room, "unsubscribe");
    out.push_str("{\"code\":");
    push_number(&mut out, reason.code);
    out.push_str(",\"reason\":");
    push_string(&mut out, reason.reason);
    out.push_str("}}}");
    out
}

/// The connection's token is good for longer than it said.
pub(crate) fn refresh_push(ttl: Option<u64>) -> String {
    let mut out = String::from("{\"push\":{\"refresh\":");
    push_ttl_object(&mut out, ttl);
    out.push_str("}}");
    out
}

/// A message to one connection, outside of any room.
pub(crate) fn message(data: &str) -> String {
    let mut out = String::with_capacity(data.len() + 40);
    out.push_str("{\"push\":{\"message\":{\"data\":");
    out.push_str(data);
    out.push_str("}}}");
    out
}

/// A ping, to be answered with the same.
pub(crate) const PING: &str = "{}";

fn open_reply(id: u64, key: &str) -> String {
    let mut out = String::from("{\"id\":");
    push_number(&mut out, id);
    out.push_str(",\"");
    out.push_str(key);
    out.push_str("\":");
    out
}

fn open_push(room: &str, kind: &str) -> String {
    let mut out = String::from("{\"push\":{\"channel\":");
    push_string(&mut out, room);
    out.push_str(",\"");
    out.push_str(kind);
    out.push_str("\":");
    out
}

fn push_ttl(out: &mut String, ttl: Option<u64>) {
    if let Some(ttl) = ttl {
        out.push_str(",\"expires\":true,\"ttl\":");
        push_number(out, ttl);
    }
}

fn push_ttl_object(out: &mut String, ttl: Option<u64>) {
    match ttl {
        Some(ttl) => {
            out.push_str("{\"expires\":true,\"ttl\":");
            push_number(out, ttl);
            out.push('}');
        }
        None => out.push_str("{}"),
    }
}

fn push_subscription(out: &mut String, subscribed: &Subscribed) {
    let Subscribed { position, positioned, replay, ttl } = subscribed;
    // Every field brings a comma along; that of the first is made the brace.
    let start = out.len();
    push_ttl(out, *ttl);
    if *positioned {
        out.push_str(",\"recoverable\":true,\"positioned\":true,");
        push_position(out, *position);
    }
    if let Some(recovered) = replay.recovered.filter(|_| *positioned) {
        out.push_str(",\"was_recovering\":true");
        if recovered {
            out.push_str(",\"recovered\":true,");
            push_publications(out, &replay.entries);
        }
    }
    if out.len() == start {
        out.push_str("{}");
    } else {
        out.replace_range(start..=start, "{");
        out.push('}');
    }
}

fn push_position(out: &mut String, position: Position) {
    out.push_str("\"epoch\":\"");
    out.push_str(&epoch_text(position.epoch));
    out.push_str("\",\"offset\":");
    push_number(out, position.offset);
}

fn push_publications(out: &mut String, entries: &[Arc<Entry>]) {
    out.push_str("\"publications\":[");
    for (at, entry) in entries.iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        push_entry(out, entry);
    }
    out.push(']');
}

/// How many bytes a message takes in a reply, without the comma before the next.
pub(crate) fn entry_bytes(Entry { offset, draft, .. }: &Entry) -> usize {
    let info = draft.info.as_ref().map_or(0, |info| ",\"info\":".len() + info_bytes(info));
    let offset = if *offset > 0 { ",\"offset\":".len() + number_bytes(*offset) } else { 0 };
    let tags = draft.tags.as_ref().map_or(0, |tags| ",\"tags\":".len() + tags.len());
    "{\"data\":}".len() + draft.data.len() + info + offset + tags
}

fn info_bytes(info: &ClientInfo) -> usize {
    string_bytes(&info.user) + bytes_beside_user(info)
}

fn bytes_beside_user(info: &ClientInfo) -> usize {
    let raw = |key: &str, value: &Option<String>| value.as_ref().map_or(0, |value| key.len() + value.len());
    "{\"user\":,\"client\":}".len()
        + CLIENT_BYTES
        + raw(",\"conn_info\":", &info.info)
        + raw(",\"chan_info\":", &info.room_info)
}

/// How many bytes a member takes in a list of members at least: all but what escapes its user's name, and the comma.
pub(crate) fn least_member_bytes(info: &ClientInfo) -> usize {
    CLIENT_BYTES + ":\"\"".len() + info.user.len() + bytes_beside_user(info)
}

/// A public id as a string: 32 digits, four hyphens and two quotes.
const CLIENT_BYTES: usize = 38;

fn push_entry(out: &mut String, Entry { offset, draft, .. }: &Entry) {
    push_publication(out, *offset, &draft.data, draft.tags.as_deref(), draft.info.as_deref());
}

/// Members of a room, by client id.
pub(crate) fn push_members(out: &mut String, members: &[Arc<ClientInfo>]) {
    push_members_within(out, members, usize::MAX);
}

/// The same up to the first member that makes the text longer than `most`.
fn push_members_within(out: &mut String, members: &[Arc<ClientInfo>], most: usize) {
    out.push('{');
    for (at, member) in members.iter().enumerate() {
        if out.len() > most {
            break;
        }
        if at > 0 {
            out.push(',');
        }
        push_string(out, &member.client_text());
        out.push(':');
        push_info(out, member);
    }
    out.push('}');
}

/// One message of a log; with offset 0, one that is in none.
pub(crate) fn push_publication(
    out: &mut String,
    offset: u64,
    data: &str,
    tags: Option<&str>,
    info: Option<&ClientInfo>,
) {
    out.push_str("{\"data\":");
    out.push_str(data);
    if let Some(info) = info {
        out.push_str(",\"info\":");
        push_info(out, info);
    }
    if offset > 0 {
        out.push_str(",\"offset\":");
        push_number(out, offset);
    }
    if let Some(tags) = tags {
        out.push_str(",\"tags\":");
        out.push_str(tags);
    }
    out.push('}');
}

fn push_info(out: &mut String, info: &ClientInfo) {
    out.push_str("{\"user\":");
    push_string(out, &info.user);
    out.push_str(",\"client\":");
    push_string(out, &info.client_text());
    for (key, value) in [(",\"conn_info\":", &info.info), (",\"chan_info\":", &info.room_info)] {
        if let Some(value) = value {
            out.push_str(key);
            out.push_str(value);
        }
    }
    out.push('}');
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    /// Infos, tags and offsets in all combinations, with what has to be escaped in them.
    fn entries() -> Vec<Entry> {
        let texts = ["", "u", "\"\\é", &"x".repeat(1000)];
        let mut all = Vec::new();
        for (at, user) in texts.into_iter().enumerate() {
            for bits in 0..16_u64 {
                let has = |bit: u64, text: &str| (bits & 1 << bit != 0).then(|| String::from(text));
                let info = ClientInfo {
                    client: crate::ids::ClientId([at as u8; 16]),
                    user: if user.is_empty() { Name::empty() } else { Name::from(user) },
                    info: has(0, r#"{"a":1}"#),
                    room_info: has(1, "[1,2]"),
                };
                let draft = crate::link::Draft {
                    data: alloc::format!("{:?}", "d".repeat(at)).into(),
                    tags: has(2, r#"{"k":"v"}"#).map(Arc::from),
                    info: has(3, "").map(|_| Arc::new(info)),
                    skip_history: false,
                    shared: false,
                };
                let offset = [0, 1, 10, u64::MAX][at];
                all.push(Entry { epoch: 7, offset, draft });
            }
        }
        all
    }

    #[test]
    fn a_message_takes_as_many_bytes_as_was_said() {
        for entry in entries() {
            let mut out = String::new();
            push_entry(&mut out, &entry);
            assert_eq!(entry_bytes(&entry), out.len(), "{out}");
        }
    }

    #[test]
    fn what_is_said_of_a_room_and_of_a_connection_is_bounded() {
        let most = u64::MAX;
        let position = Position { epoch: most, offset: most };
        let replay = Replayed { recovered: Some(true), entries: Vec::new() };
        let longest = Subscribed { position, positioned: true, replay, ttl: Some(most) };
        assert!(subscribed(most, &longest).len() <= ROOM_BYTES);
        let info = crate::testing::somebody(1);
        let node = "\"".repeat(crate::config::NODE_BYTES);
        let version = "v".repeat(64);
        let encode = |subs: &[(Name, Subscribed)]| {
            let (version, node) = (version.as_str(), node.as_str());
            let (ttl, ping) = (Some(most), Some(most));
            Connected { id: most, info: &info, version, node, ttl, ping, subs }.encode().len()
        };
        assert!(encode(&[]) <= CONNECT_BYTES);
        let name = Name::from("\\".repeat(200).as_str());
        let rooms: Vec<(Name, Subscribed)> = (0..10).map(|_| (name.clone(), longest.clone())).collect();
        assert!(encode(&rooms) <= CONNECT_BYTES + 10 * (2 * 200 + ROOM_BYTES));
    }

    #[test]
    fn what_is_no_command_is_told_what_one_is() {
        for text in ["7", "[]", "\"connect\"", "null"] {
            let wrong = next_command(text).expect("there is something").expect_err(text);
            assert!(wrong.to_string().contains("expected a command object"), "{text}: {wrong}");
        }
    }
}
