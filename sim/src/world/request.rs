//! What clients and backends ask for in a session: the text of each request, and what it means.

use crate::world::action::{Key, Part, Renewal, Since};
use crate::world::history_request::Query;
use crate::world::history_request::Want;
use crate::world::speech::{Asking, ClientMessage, Data, Named, Speech, room_name, user_name};
use serde_json::{Value, json};
use std::sync::Arc;

/// Where a room's log is: its epoch, if there is one, and its top.
pub type Place = (Option<Arc<str>>, u64);

const SUBSCRIBE: u64 = 10;
const HISTORY: u64 = 40;
const PRESENCE: u64 = 50;
const REFRESH: u64 = 60;
const SUB_REFRESH: u64 = 70;

/// What this asks for, of a log that is there.
#[must_use]
pub fn want(since: Since, (epoch, top): &Place) -> Want {
    let current: Arc<str> = epoch.clone().unwrap_or_else(|| "".into());
    let (epoch, offset) = match since {
        Since::Top => (current, *top),
        Since::One => (current, top.saturating_sub(1)),
        Since::Two => (current, top.saturating_sub(2)),
        Since::Zero | Since::AllOrNothing => (current, 0),
        Since::Beyond => (current, top + 1),
        Since::Else | Since::ElseOrNothing => (ELSE.into(), *top),
        Since::Any => ("".into(), top.saturating_sub(1)),
    };
    Want::Since { epoch, offset, refuse: matches!(since, Since::AllOrNothing | Since::ElseOrNothing) }
}

/// An epoch that no log has.
pub const ELSE: &str = "elsewhere";

/// What this reads of a log that is there.
#[must_use]
pub fn query(part: Part, (epoch, top): &Place) -> Query {
    let current: Arc<str> = epoch.clone().unwrap_or_else(|| "".into());
    let since = |offset: u64| Some((Arc::clone(&current), offset));
    let query = Query::default();
    match part {
        Part::Position => query,
        Part::All => Query { limit: Some(-1), ..query },
        Part::One => Query { limit: Some(1), ..query },
        Part::Many => Query { limit: Some(100_000), ..query },
        Part::Since => Query { limit: Some(-1), since: since(top.saturating_sub(1)), ..query },
        Part::First => Query { limit: Some(1), since: since(0), ..query },
        Part::Reverse => Query { limit: Some(-1), reverse: true, ..query },
        Part::Before => Query { limit: Some(2), since: since(*top), reverse: true },
        Part::BeforeAll => Query { limit: Some(-1), since: since(0), reverse: true },
        Part::Else => Query { limit: Some(1), since: Some((ELSE.into(), *top)), ..query },
    }
}

fn fields_of(want: &Want) -> Value {
    match want {
        Want::Since { epoch, offset, refuse } => {
            json!({ "recover": true, "epoch": **epoch, "offset": offset, "flag": if *refuse { 2 } else { 0 } })
        }
        Want::Nothing | Want::Last(_) => json!({}),
    }
}

fn fields_of_query(query: &Query) -> Value {
    let mut fields = json!({});
    if let Some(limit) = query.limit {
        fields["limit"] = limit.into();
    }
    if let Some((epoch, offset)) = &query.since {
        fields["since"] = json!({ "epoch": **epoch, "offset": offset });
    }
    if query.reverse {
        fields["reverse"] = true.into();
    }
    fields
}

fn command(id: u64, method: &str, params: &Value, message: ClientMessage) -> Speech {
    (json!({ "id": id, method: params }).to_string(), vec![message])
}

/// `subscribe` with all that it may ask for.
#[must_use]
pub fn subscribe(room: usize, asking: Asking) -> Speech {
    let mut fields = fields_of(&asking.want);
    fields["channel"] = room_name(room).into();
    if asking.watch {
        fields["join_leave"] = true.into();
    }
    if let Some(token) = &asking.token {
        fields["token"] = token.as_str().into();
    }
    let id = SUBSCRIBE + room as u64;
    command(id, "subscribe", &fields, ClientMessage::Subscribe(id, Named::Room(room), asking))
}

/// `connect` with a token, and where the client was in the rooms of these names.
#[must_use]
pub fn come_back(token: String, subs: Vec<(usize, String, Want)>) -> Speech {
    let named: serde_json::Map<String, Value> =
        subs.iter().map(|(_, name, want)| (name.clone(), fields_of(want))).collect();
    let params = json!({ "token": token, "subs": named });
    let wants = subs.into_iter().map(|(room, _, want)| (room, want)).collect();
    command(1, "connect", &params, ClientMessage::Return(token, wants))
}

/// `history`.
#[must_use]
pub fn history(room: usize, query: Query) -> Speech {
    let mut fields = fields_of_query(&query);
    fields["channel"] = room_name(room).into();
    let id = HISTORY + room as u64;
    command(id, "history", &fields, ClientMessage::History(id, room, query))
}

/// `presence`, or `presence_stats`.
#[must_use]
pub fn presence(room: usize, only_counts: bool) -> Speech {
    let id = PRESENCE + room as u64;
    let method = if only_counts { "presence_stats" } else { "presence" };
    command(id, method, &json!({ "channel": room_name(room) }), ClientMessage::Presence(id, room, only_counts))
}

/// `refresh`.
#[must_use]
pub fn refresh(token: String) -> Speech {
    command(REFRESH, "refresh", &json!({ "token": token }), ClientMessage::Refresh(REFRESH, token))
}

/// `sub_refresh`.
#[must_use]
pub fn sub_refresh(room: usize, token: String) -> Speech {
    let id = SUB_REFRESH + room as u64;
    let params = json!({ "channel": room_name(room), "token": token });
    command(id, "sub_refresh", &params, ClientMessage::SubRefresh(id, room, token))
}

/// The body of a publication with an idempotency key, and the key's number; `None` for one that is too long.
#[must_use]
pub fn once(room: usize, key: Key, data: &Data, longest: usize) -> (String, Option<u8>) {
    let (text, number) = match key {
        Key::A => ("a".to_owned(), Some(0)),
        Key::B => ("b".to_owned(), Some(1)),
        Key::TooLong => ("k".repeat(longest + 1), None),
        Key::Longest => ("k".repeat(longest), Some(2)),
    };
    (format!(r#"{{"channel":"{}","data":{},"idempotency_key":"{text}"}}"#, room_name(room), data.sent), number)
}

/// The body of `history`.
#[must_use]
pub fn read_log(room: usize, query: &Query) -> String {
    let mut fields = fields_of_query(query);
    fields["channel"] = room_name(room).into();
    fields.to_string()
}

/// The body of `history` for all that is behind a position; an empty epoch is any.
#[must_use]
pub fn history_since(room: &str, epoch: &str, offset: u64) -> String {
    json!({ "channel": room, "limit": -1, "since": { "epoch": epoch, "offset": offset } }).to_string()
}

/// The body of the calls that only name a room.
#[must_use]
pub fn in_room(room: usize) -> String {
    json!({ "channel": room_name(room) }).to_string()
}

/// The body of `subscribe`.
#[must_use]
pub fn put_in(user: usize, room: usize, want: &Want) -> String {
    let mut fields = json!({ "user": user_name(user), "channel": room_name(room) });
    if let Want::Since { epoch, offset, .. } = want {
        fields["recover_since"] = json!({ "epoch": **epoch, "offset": offset });
    }
    fields.to_string()
}

/// The body of `unsubscribe`.
#[must_use]
pub fn take_out(user: usize, room: usize) -> String {
    json!({ "user": user_name(user), "channel": room_name(room) }).to_string()
}

/// The body of `refresh`.
#[must_use]
pub fn renew(user: usize, renewal: Renewal, exp: Option<u64>) -> String {
    let mut fields = json!({ "user": user_name(user) });
    if let Some(exp) = exp {
        fields["expire_at"] = exp.into();
    }
    if renewal == Renewal::Expired {
        fields["expired"] = true.into();
    }
    fields.to_string()
}
