//! The pushes of the protocol: what the server sends without being asked.

use super::parts::{push_subscription, push_ttl_object};
use crate::connection::pending::Subscribed;
use crate::error::UnsubscribeReason;
use crate::ids::ClientInfo;
use crate::payload::Payload;
use crate::protocol::message::PresenceEvent;
use crate::publication::Publication;
use crate::wire::raw::{push_number, push_string, text_for};
use crate::wire::shapes::{publication_bytes, push_info, push_publication};
use alloc::string::String;

/// Encodes the push of a publication in a room.
pub(super) fn publication(room: &str, publication: &Publication) -> String {
    let mut out = open_push(room, "pub", publication_bytes(publication));
    push_publication(&mut out, publication);
    out.push_str("}}");
    out
}

/// Encodes the push of a presence event.
pub(super) fn presence_push(room: &str, member: &ClientInfo, event: PresenceEvent) -> String {
    let key = match event {
        PresenceEvent::Join => "join",
        PresenceEvent::Leave => "leave",
    };
    let mut out = open_push(room, key, member.bytes());
    out.push_str("{\"info\":");
    push_info(&mut out, member);
    out.push_str("}}}");
    out
}

/// Encodes the push of a server-side subscription.
pub(super) fn subscribe_push(room: &str, subscribed: &Subscribed) -> String {
    let mut out = open_push(room, "subscribe", 0);
    push_subscription(&mut out, subscribed);
    out.push_str("}}");
    out
}

/// Encodes the push of a server-side unsubscription.
pub(super) fn unsubscribe_push(room: &str, reason: UnsubscribeReason) -> String {
    let mut out = open_push(room, "unsubscribe", 0);
    out.push_str("{\"code\":");
    push_number(&mut out, reason.code);
    out.push_str(",\"reason\":");
    push_string(&mut out, reason.reason);
    out.push_str("}}}");
    out
}

/// Encodes the push of a new expiry of the connection's token.
pub(super) fn refresh_push(ttl: Option<u64>) -> String {
    let mut out = String::from("{\"push\":{\"refresh\":");
    push_ttl_object(&mut out, ttl);
    out.push_str("}}");
    out
}

/// Encodes the push of a message to one connection, outside of any room.
pub(super) fn message(data: &Payload) -> String {
    let mut out = text_for(data.json_bytes());
    out.push_str("{\"push\":{\"message\":{\"data\":");
    data.push_json(&mut out);
    out.push_str("}}}");
    out
}

/// The ping, which the client answers with the same text.
pub(super) const PING: &str = "{}";

fn open_push(room: &str, kind: &str, payload: usize) -> String {
    let mut out = text_for(payload + room.len());
    out.push_str("{\"push\":{\"channel\":");
    push_string(&mut out, room);
    out.push_str(",\"");
    out.push_str(kind);
    out.push_str("\":");
    out
}
