//! The encoder of the Centrifuge client protocol: replies and pushes.

use crate::connection::pending::Subscribed;
use crate::error::{Error, UnsubscribeReason};
use crate::ids::ClientInfo;
use crate::names::RoomName;
use crate::protocol::raw::{push_number, push_string};
use crate::protocol::shapes::{push_info, push_members_within, push_position, push_publication, push_publications};
use crate::publication::{LogPage, Publication};
use alloc::string::String;
use alloc::sync::Arc;

/// The contents of the reply to `connect`.
pub(crate) struct Connected<'a> {
    /// The id of the command.
    pub id: u64,
    /// The user and the public id of the connection.
    pub info: &'a ClientInfo,
    /// The server's name and version.
    pub version: &'a str,
    /// The name of the node.
    pub node: &'a str,
    /// Seconds until the token expires; `None` when it does not expire.
    pub ttl: Option<u64>,
    /// Seconds between pings of the protocol; `None` when WebSocket Pings are sent instead.
    pub ping: Option<u64>,
    /// The server-side subscriptions with their starts.
    pub subs: &'a [(RoomName, Subscribed)],
}

impl Connected<'_> {
    /// Encodes the reply.
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

/// Encodes the reply to `subscribe`.
pub(crate) fn subscribed(id: u64, subscribed: &Subscribed) -> String {
    let mut out = open_reply(id, "subscribe");
    push_subscription(&mut out, subscribed);
    out.push('}');
    out
}

/// Encodes the reply to `refresh`.
pub(crate) fn refreshed(id: u64, info: &ClientInfo, ttl: Option<u64>) -> String {
    let mut out = open_reply(id, "refresh");
    out.push_str("{\"client\":");
    push_string(&mut out, &info.client_text());
    push_ttl(&mut out, ttl);
    out.push_str("}}");
    out
}

/// Encodes the reply to `sub_refresh`.
pub(crate) fn room_refreshed(id: u64, ttl: Option<u64>) -> String {
    let mut out = open_reply(id, "sub_refresh");
    push_ttl_object(&mut out, ttl);
    out.push('}');
    out
}

/// Encodes the reply to `history`.
pub(crate) fn history(id: u64, page: &LogPage) -> String {
    let mut out = open_reply(id, "history");
    out.push('{');
    push_publications(&mut out, &page.publications);
    if let Some(position) = page.position {
        out.push(',');
        push_position(&mut out, position);
    }
    out.push_str("}}");
    out
}

/// Encodes the reply to `presence`; `None` when the encoded list of members has more than `most` bytes. Encoding stops
/// at the first member beyond.
pub(crate) fn presence(id: u64, members: &[Arc<ClientInfo>], most: usize) -> Option<String> {
    let mut out = open_reply(id, "presence");
    out.push_str("{\"presence\":");
    let start = out.len();
    push_members_within(&mut out, members, start.saturating_add(most));
    let fits = out.len() - start <= most;
    out.push_str("}}");
    fits.then_some(out)
}

/// Encodes the reply to `presence_stats`.
pub(crate) fn presence_stats(id: u64, clients: usize, users: usize) -> String {
    let mut out = open_reply(id, "presence_stats");
    out.push_str("{\"num_clients\":");
    push_number(&mut out, clients);
    out.push_str(",\"num_users\":");
    push_number(&mut out, users);
    out.push_str("}}");
    out
}

/// Encodes a reply without content.
pub(crate) fn done(id: u64, method: &str) -> String {
    let mut out = open_reply(id, method);
    out.push_str("{}}");
    out
}

/// Encodes the reply to a command that failed.
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

/// Encodes the push of a publication in a room.
pub(crate) fn publication(room: &str, publication: &Publication) -> String {
    let mut out = open_push(room, "pub");
    push_publication(&mut out, publication);
    out.push_str("}}");
    out
}

/// A presence event of a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PresenceEvent {
    /// A connection became a member.
    Join,
    /// A member left.
    Leave,
}

/// Encodes the push of a presence event.
pub(crate) fn presence_push(room: &str, member: &ClientInfo, event: PresenceEvent) -> String {
    let key = match event {
        PresenceEvent::Join => "join",
        PresenceEvent::Leave => "leave",
    };
    let mut out = open_push(room, key);
    out.push_str("{\"info\":");
    push_info(&mut out, member);
    out.push_str("}}}");
    out
}

/// Encodes the push of a server-side subscription.
pub(crate) fn subscribe_push(room: &str, subscribed: &Subscribed) -> String {
    let mut out = open_push(room, "subscribe");
    push_subscription(&mut out, subscribed);
    out.push_str("}}");
    out
}

/// Encodes the push of a server-side unsubscription.
pub(crate) fn unsubscribe_push(room: &str, reason: UnsubscribeReason) -> String {
    let mut out = open_push(room, "unsubscribe");
    out.push_str("{\"code\":");
    push_number(&mut out, reason.code);
    out.push_str(",\"reason\":");
    push_string(&mut out, reason.reason);
    out.push_str("}}}");
    out
}

/// Encodes the push of a new expiry of the connection's token.
pub(crate) fn refresh_push(ttl: Option<u64>) -> String {
    let mut out = String::from("{\"push\":{\"refresh\":");
    push_ttl_object(&mut out, ttl);
    out.push_str("}}");
    out
}

/// Encodes the push of a message to one connection, outside of any room.
pub(crate) fn message(data: &str) -> String {
    let mut out = String::with_capacity(data.len() + 40);
    out.push_str("{\"push\":{\"message\":{\"data\":");
    out.push_str(data);
    out.push_str("}}}");
    out
}

/// The ping, which the client answers with the same text.
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
    // Every field is written with a comma before it; that of the first is replaced by the brace.
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
            push_publications(out, &replay.publications);
        }
    }
    if out.len() == start {
        out.push_str("{}");
    } else {
        out.replace_range(start..=start, "{");
        out.push('}');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::RoomName;
    use crate::protocol::centrifuge::{CONNECT_BYTES, ROOM_BYTES};
    use crate::publication::{LogPosition, Replayed};
    use alloc::vec::Vec;

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
            let (version, node) = (version.as_str(), node.as_str());
            let (ttl, ping) = (Some(most), Some(most));
            Connected { id: most, info: &info, version, node, ttl, ping, subs }.encode().len()
        };
        assert!(encode(&[]) <= CONNECT_BYTES);
        let name = RoomName::from("\\".repeat(200).as_str());
        let rooms: Vec<(RoomName, Subscribed)> = (0..10).map(|_| (name.clone(), longest.clone())).collect();
        assert!(encode(&rooms) <= CONNECT_BYTES + 10 * (2 * 200 + ROOM_BYTES));
    }
}
