//! Encoders of answers that are too long for the file with the table of methods.

use crate::api::{ConnectionInfo, Info, InvalidatedUser, Position, PublicationView};
use crate::ids::{ClientId, ClientInfo};
use crate::limits::LimitRow;
use crate::names::{RoomName, UserId};
use crate::wire::raw::{number_bytes, push_number, push_string, string_bytes};
use crate::wire::shapes::{push_members, push_publication_fields};
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use serde_json::{Value, json};

/// Returns the bytes of one room in the answer to `channels`, with the comma that follows.
pub(crate) fn room_bytes(name: &RoomName, members: usize) -> usize {
    ":{\"num_clients\":},".len() + string_bytes(name) + number_bytes(members as u64)
}

/// Returns the bytes of one connection in the answer to `connections`, with the comma that follows. O(n) in its rooms.
pub(crate) fn connection_bytes<'a>(user: &UserId, protocol: &str, rooms: impl Iterator<Item = &'a RoomName>) -> usize {
    let around =
        "\"\":{\"user\":,\"transport\":\"websocket\",\"protocol\":\"\",\"channels\":[]},".len() + CLIENT_DIGITS;
    around + string_bytes(user) + protocol.len() + rooms.map(|room| string_bytes(room) + 1).sum::<usize>()
}

/// Returns the most bytes of one entry in a list of revocations, with the comma that follows.
pub(crate) fn revocation_bytes(key: &str) -> usize {
    ":{\"issued_before\":,\"expire_at\":},".len() + string_bytes(key) + 2 * I64_DIGITS
}

/// The most bytes of a signed number.
const I64_DIGITS: usize = 20;

/// The bytes of a public id: 32 digits and four hyphens.
const CLIENT_DIGITS: usize = 36;

/// Appends a list; `push` appends one item.
pub(super) fn push_list<T>(out: &mut String, items: &[T], push: impl Fn(&mut String, &T)) {
    out.push('[');
    push_items(out, items, push);
    out.push(']');
}

/// Appends an object; `push` appends one key with its value.
fn push_map<T>(out: &mut String, items: &[T], push: impl Fn(&mut String, &T)) {
    out.push('{');
    push_items(out, items, push);
    out.push('}');
}

fn push_items<T>(out: &mut String, items: &[T], push: impl Fn(&mut String, &T)) {
    for (at, item) in items.iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        push(out, item);
    }
}

pub(super) fn push_presence(out: &mut String, members: &[Arc<ClientInfo>]) {
    out.push_str("{\"presence\":");
    push_members(out, members);
    out.push('}');
}

pub(super) fn push_history(out: &mut String, publications: &[PublicationView], Position { epoch, offset }: &Position) {
    out.push_str("{\"publications\":");
    push_list(out, publications, |out, publication| {
        let PublicationView { offset, data, tags, info } = publication;
        push_publication_fields(out, *offset, data, tags.as_deref(), info.as_deref());
    });
    let top = json!({ "epoch": epoch, "offset": offset }).to_string();
    out.push(',');
    out.push_str(&top[1..]);
}

pub(super) fn push_rooms(out: &mut String, rooms: &[(RoomName, usize)], next: Option<&str>) {
    out.push_str("{\"channels\":");
    push_map(out, rooms, |out, (name, members)| {
        push_string(out, name);
        out.push_str(":{\"num_clients\":");
        push_number(out, *members);
        out.push('}');
    });
    push_cursor(out, next);
}

pub(super) fn push_connections(out: &mut String, connections: &[ConnectionInfo], next: Option<ClientId>) {
    out.push_str("{\"connections\":");
    push_map(out, connections, |out, ConnectionInfo { client, user, protocol, channels }| {
        push_string(out, &client.to_string());
        out.push_str(":{\"user\":");
        push_string(out, user);
        out.push_str(",\"transport\":\"websocket\",\"protocol\":\"");
        out.push_str(protocol);
        out.push_str("\",\"channels\":");
        push_list(out, channels, |out, room| push_string(out, room));
        out.push('}');
    });
    push_cursor(out, next.map(|client| client.to_string()).as_deref());
}

pub(super) fn push_revoked_tokens(out: &mut String, tokens: &[(Arc<str>, i64)], next: Option<&str>) {
    out.push_str("{\"tokens\":");
    push_map(out, tokens, |out, (id, until)| {
        push_string(out, id);
        out.push(':');
        out.push_str(&json!({ "expire_at": until }).to_string());
    });
    push_cursor(out, next);
}

pub(super) fn push_invalidated_users(out: &mut String, users: &[InvalidatedUser], next: Option<&str>) {
    out.push_str("{\"users\":");
    push_map(out, users, |out, InvalidatedUser { user, issued_before, until }| {
        push_string(out, user);
        out.push(':');
        out.push_str(&json!({ "issued_before": issued_before, "expire_at": until }).to_string());
    });
    push_cursor(out, next);
}

pub(super) fn push_limits(out: &mut String, rows: &[LimitRow]) {
    out.push_str("{\"limits\":");
    push_map(out, rows, |out, LimitRow { key, value, answer }| {
        push_string(out, key);
        out.push_str(":{\"value\":");
        push_string(out, value);
        out.push_str(",\"answer\":");
        push_string(out, answer);
        out.push('}');
    });
    out.push('}');
}

/// Ends a page of a list, with the cursor of the next page if there is one.
fn push_cursor(out: &mut String, cursor: Option<&str>) {
    if let Some(cursor) = cursor {
        out.push_str(",\"cursor\":");
        push_string(out, cursor);
    }
    out.push('}');
}

pub(super) fn info_value(info: &Info) -> Value {
    json!({
        "uid": info.node,
        "name": info.node,
        "version": info.version,
        "num_clients": info.clients,
        "num_users": info.users + usize::from(info.anonymous > 0),
        "num_channels": info.channels,
        "num_subs": info.memberships,
    })
}
