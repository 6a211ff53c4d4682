//! Calls of a backend that the reference model does not foresee, or that only read: of each its body.

use crate::reference::api_call::ApiCall;
use crate::world::action::Renewal;
use crate::world::history_request::RecoverFrom;
use crate::world::names::{room_name, user_name};
use crate::world::payload::Data;
use parlor_core::ClientId;
use serde_json::{Value, json};

/// Sends to the connection of this id, which is that of a client or has ended.
#[must_use]
pub fn send(id: ClientId, data: &Data) -> ApiCall<'static> {
    ApiCall::unforeseen("send", format!(r#"{{"client":"{id}","data":{}}}"#, data.sent))
}

/// Asks who is in a room.
#[must_use]
pub fn presence(room: usize) -> ApiCall<'static> {
    ApiCall::reading("presence", in_room(room))
}

/// Asks how many are in a room.
#[must_use]
pub fn presence_stats(room: usize) -> ApiCall<'static> {
    ApiCall::reading("presence_stats", in_room(room))
}

/// Puts a user's connections into a room, with what they have missed.
#[must_use]
pub fn subscribe(user: usize, room: usize, want: &RecoverFrom) -> ApiCall<'static> {
    let mut body = json!({ "user": user_name(user), "channel": room_name(room) });
    if let RecoverFrom::Since { epoch, offset, .. } = want {
        body["recover_since"] = json!({ "epoch": **epoch, "offset": offset });
    }
    ApiCall::unforeseen("subscribe", body)
}

/// Takes a user's connections out of a room.
#[must_use]
pub fn unsubscribe(user: usize, room: usize) -> ApiCall<'static> {
    ApiCall::unforeseen("unsubscribe", json!({ "user": user_name(user), "channel": room_name(room) }))
}

/// Changes when a user's connections expire, to this many seconds since 1970.
#[must_use]
pub fn refresh(user: usize, renewal: Renewal, exp: Option<u64>) -> ApiCall<'static> {
    let mut body = json!({ "user": user_name(user) });
    if let Some(exp) = exp {
        body["expire_at"] = exp.into();
    }
    if renewal == Renewal::Expired {
        body["expired"] = true.into();
    }
    ApiCall::unforeseen("refresh", body)
}

/// Makes several calls, one after the other.
#[must_use]
pub fn batch(parts: &[ApiCall<'_>]) -> ApiCall<'static> {
    let command = |part: &ApiCall<'_>| format!(r#"{{"{}":{}}}"#, part.method, part.body);
    let commands: Vec<String> = parts.iter().map(command).collect();
    ApiCall::unforeseen("batch", format!(r#"{{"commands":[{}]}}"#, commands.join(",")))
}

/// The body of the calls that only name a room.
fn in_room(room: usize) -> Value {
    json!({ "channel": room_name(room) })
}
