//! JSON Schemas of requests and answers, as `/openapi.json` has them. A field of a request that is null counts as absent,
//! even one that is not known.

use super::body::PAGE_MOST;
use crate::limits::Limits;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use serde_json::{Map, Value, json};

/// Characters that no name has: control, line-separator, bidirectional and zero-width characters.
macro_rules! deceptive {
    () => {
        r"\u0000-\u001f\u007f-\u009f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060\u2066-\u2069\ufeff"
    };
}
const NAME: &str = concat!("^[^", deceptive!(), "]*$");
/// A name that is not reserved.
const OPEN_NAME: &str = concat!("^[^#", deceptive!(), "][^", deceptive!(), "]*$");
/// A connection's public id as the server writes it.
const UUID: &str = "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$";
/// JSON that is not nested.
const JSON: &str = concat!(
    r"^[ \t\r\n]*(true|false|null|-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?",
    r#"|"[^"\\\u0000-\u001f]*"|\[[ \t\r\n]*\]|\{[ \t\r\n]*\})[ \t\r\n]*$"#
);

/// Refers to a schema of [`components`].
#[must_use]
pub fn reference(schema: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{schema}")})
}

/// The fields of a request.
pub(super) fn request(required: &[&str], properties: Value) -> Value {
    let mut schema = fields(required, properties);
    schema["additionalProperties"] = json!({"type": "null"});
    schema
}

/// Describes an object of these fields and no others.
#[must_use]
pub fn fields(required: &[&str], properties: Value) -> Value {
    json!({"type": "object", "required": required, "properties": properties, "additionalProperties": false})
}

pub(super) fn map_of(field: &str, schema: Value) -> Value {
    let all = json!({"type": "object", "additionalProperties": schema});
    fields(&[field], Map::from_iter([(field.into(), all)]).into())
}

/// Describes an object of counts.
#[must_use]
pub fn count_fields(names: &[&str]) -> Value {
    fields(names, names.iter().map(|name| ((*name).into(), unsigned())).collect::<Map<_, _>>().into())
}

pub(super) fn text_fields(names: &[&str]) -> Value {
    fields(names, names.iter().map(|name| ((*name).into(), text())).collect::<Map<_, _>>().into())
}

pub(super) fn list(items: Value) -> Value {
    json!({"type": "array", "items": items})
}

pub(super) fn at_most(most: usize, items: Value) -> Value {
    json!({"type": "array", "items": items, "description": format!("At most {most}; more are refused whole: 413.")})
}

pub(super) fn or_null(schema: Value) -> Value {
    json!({"anyOf": [schema, {"type": "null"}]})
}

/// Describes a string.
#[must_use]
pub fn text() -> Value {
    json!({"type": "string"})
}

pub(super) fn optional_boolean() -> Value {
    json!({"type": ["boolean", "null"]})
}

pub(super) fn optional_integer() -> Value {
    json!({"type": ["integer", "null"], "minimum": i64::MIN, "maximum": i64::MAX})
}

/// Describes an integer that is not negative.
#[must_use]
pub fn unsigned() -> Value {
    json!({"type": "integer", "minimum": 0, "maximum": u64::MAX})
}

/// A client id, or nothing.
pub(super) fn optional_client() -> Value {
    json!({"anyOf": [reference("client"), {"const": ""}, {"type": "null"}]})
}

/// A publication, with the fields that address it.
pub(super) fn publication_request(required: &[&str], address: Value) -> Value {
    let required: Vec<&str> = required.iter().copied().chain(["data"]).collect();
    let mut schema = request(
        &required,
        json!({
            "data": reference("data"),
            "tags": {"type": ["object", "null"], "additionalProperties": text()},
            "skip_history": optional_boolean(),
            "idempotency_key": reference("idempotency_key"),
        }),
    );
    if let (Value::Object(properties), Value::Object(address)) = (&mut schema["properties"], address) {
        properties.extend(address);
    }
    schema
}

pub(super) fn publish() -> Value {
    publication_request(&["channel"], json!({"channel": reference("room")}))
}

pub(super) fn broadcast(limits: &Limits) -> Value {
    publication_request(&["channels"], json!({"channels": at_most(limits.broadcast_channels, text())}))
}

pub(super) fn publish_user() -> Value {
    publication_request(&["user"], json!({ "user": reference("user") }))
}

pub(super) fn send() -> Value {
    request(&["client", "data"], json!({"client": reference("client"), "data": reference("data")}))
}

/// A request to connections of a user, with these further fields.
pub(super) fn user_request(required: &[&str], more: Value) -> Value {
    let required: Vec<&str> = ["user"].into_iter().chain(required.iter().copied()).collect();
    let mut schema = request(
        &required,
        json!({"user": reference("user"), "client": optional_client(), "session": optional_client()}),
    );
    if let (Value::Object(properties), Value::Object(more)) = (&mut schema["properties"], more) {
        properties.extend(more);
    }
    schema
}

pub(super) fn subscribe() -> Value {
    user_request(&["channel"], json!({"channel": reference("open_room"), "recover_since": or_null(reference("since"))}))
}

pub(super) fn unsubscribe() -> Value {
    user_request(&["channel"], json!({"channel": reference("open_room")}))
}

pub(super) fn refresh() -> Value {
    user_request(&[], json!({"expired": optional_boolean(), "expire_at": optional_integer()}))
}

pub(super) fn revoke_token(limits: &Limits) -> Value {
    let uid = json!({
        "type": "string",
        "minLength": 1,
        "maxLength": limits.token_id_bytes,
        "description": "The claim jti. The length counts in bytes of UTF-8.",
    });
    request(&["uid"], json!({"uid": uid, "expire_at": end()}))
}

pub(super) fn invalidate_user_tokens() -> Value {
    let words = "Seconds since 1970, which are compared with the claim iat; by default the next whole second.";
    let issued_before = described(optional_integer(), words);
    request(&["user"], json!({"user": reference("user"), "issued_before": issued_before, "expire_at": end()}))
}

fn described(mut schema: Value, words: &str) -> Value {
    schema["description"] = words.into();
    schema
}

/// The end of a revocation.
fn end() -> Value {
    described(optional_integer(), "Seconds since 1970. What is not in the future is refused: 400.")
}

/// A request for a page of a list that has no filter.
pub(super) fn page() -> Value {
    paged_request(request(&[], json!({})), json!({"type": ["string", "null"]}))
}

/// The answer of a call that has revoked tokens.
pub(super) fn revoked() -> Value {
    fields(&["expire_at"], json!({"expire_at": integer()}))
}

pub(super) fn invalidated_user() -> Value {
    fields(&["issued_before", "expire_at"], json!({"issued_before": integer(), "expire_at": integer()}))
}

fn integer() -> Value {
    json!({"type": "integer", "minimum": i64::MIN, "maximum": i64::MAX})
}

pub(super) fn disconnect() -> Value {
    let with = fields(
        &["code"],
        json!({
            "code": {"type": "integer", "minimum": 3000, "maximum": 4999},
            "reason": {
                "type": ["string", "null"],
                "not": {"type": "string", "pattern": JSON},
                "description": "Words; JSON is refused, which SDKs would take for something else.",
            },
        }),
    );
    let mut schema = request(
        &[],
        json!({
            "user": reference("user_filter"),
            "client": optional_client(),
            "session": optional_client(),
            "whitelist": or_null(list(or_null(text()))),
            "disconnect": or_null(with),
        }),
    );
    let names = |field: &str, schema: &str| json!({"required": [field], "properties": {field: reference(schema)}});
    schema["anyOf"] = json!([names("user", "user"), names("client", "client"), names("session", "client")]);
    schema
}

pub(super) fn since() -> Value {
    json!({"type": "object", "properties": {"epoch": or_null(text()), "offset": or_null(unsigned())}})
}

pub(super) fn history() -> Value {
    let mut schema = request(
        &["channel"],
        json!({
            "channel": reference("room"),
            "limit": optional_integer(),
            "since": or_null(reference("since")),
            "reverse": optional_boolean(),
        }),
    );
    let nothing_before = json!({"not": {"type": "object", "properties": {"offset": {"enum": [0, null]}}}});
    schema["if"] = json!({"required": ["reverse"], "properties": {"reverse": {"const": true}}});
    schema["then"] = json!({"properties": {"since": nothing_before}});
    schema
}

pub(super) fn channels(limits: &Limits) -> Value {
    let pattern = json!({
        "type": ["string", "null"],
        "maxLength": limits.room_name_bytes,
        "description": "`*` is any characters, `?` is one. The length counts in bytes of UTF-8.",
    });
    paged_request(request(&[], json!({ "pattern": pattern })), json!({"type": ["string", "null"]}))
}

/// A request for a list that is answered in pages.
pub(super) fn paged_request(mut request: Value, mut cursor: Value) -> Value {
    request["properties"]["limit"] = json!({"type": ["integer", "null"], "minimum": 1, "maximum": PAGE_MOST});
    cursor["description"] = "From the answer before: what comes after that.".into();
    request["properties"]["cursor"] = cursor;
    request
}

pub(super) fn connections() -> Value {
    let request = request(
        &[],
        json!({
            "user": reference("user_filter"),
            "channel": reference("room_filter"),
            "expression": {"enum": ["", null], "description": "Not supported; some clients send an empty one."},
        }),
    );
    let client = json!({"type": "string", "pattern": UUID, "maxLength": 36});
    paged_request(request, json!({"anyOf": [client, {"const": ""}, {"type": "null"}]}))
}

pub(super) fn broadcast_result() -> Value {
    let published = fields(&["result"], json!({"result": reference("position")}));
    let response = json!({"anyOf": [published, reference("error")]});
    fields(&["responses"], json!({"responses": list(response)}))
}

/// The answer with one page of a list.
pub(super) fn paged_result(field: &str, schema: Value) -> Value {
    let mut answer = map_of(field, schema);
    answer["properties"]["cursor"] = json!({"type": "string", "description": "Where to go on: there is more."});
    answer
}

pub(super) fn connection() -> Value {
    fields(
        &["user", "transport", "protocol", "channels"],
        json!({
            "user": text(),
            "transport": {"const": "websocket"},
            "protocol": {"enum": ["json", "plain"]},
            "channels": list(text()),
        }),
    )
}

pub(super) fn presence_result() -> Value {
    map_of("presence", reference("member"))
}

pub(super) fn member() -> Value {
    fields(&["user", "client"], json!({"user": text(), "client": text(), "conn_info": {}, "chan_info": {}}))
}

pub(super) fn history_result() -> Value {
    let publication = fields(
        &["data", "offset"],
        json!({
            "data": {},
            "offset": unsigned(),
            "tags": {"type": "object", "additionalProperties": text()},
            "info": reference("member"),
        }),
    );
    fields(
        &["publications", "epoch", "offset"],
        json!({"publications": list(publication), "epoch": text(), "offset": unsigned()}),
    )
}

pub(super) fn node() -> Value {
    let (words, numbers) = (["uid", "name", "version"], ["num_clients", "num_users", "num_channels", "num_subs"]);
    let properties = words.map(|name| (name, text())).into_iter().chain(numbers.map(|name| (name, unsigned())));
    let properties: Map<String, Value> = properties.map(|(name, schema)| (name.into(), schema)).collect();
    fields(&[&words[..], &numbers[..]].concat(), properties.into())
}

pub(super) fn error() -> Value {
    let inner = fields(&["code", "message"], json!({"code": {"type": "integer"}, "message": text(), "limit": limit()}));
    fields(&["error"], json!({ "error": inner }))
}

/// Describes the name of a limit in an error.
#[must_use]
pub fn limit() -> Value {
    json!({"type": "string", "description": "The configuration key of the limit that is in the way."})
}

/// Returns the schemas that those of the methods refer to, by name.
#[must_use]
pub fn components(limits: &Limits) -> Map<String, Value> {
    let name = |most: usize, pattern| {
        json!({
            "type": "string",
            "minLength": 1,
            "maxLength": most,
            "pattern": pattern,
            "description": "The length counts in bytes of UTF-8.",
        })
    };
    let filter = |most: usize| {
        json!({
            "type": ["string", "null"],
            "maxLength": most,
            "pattern": NAME,
            "description": "Empty and null name none. The length counts in bytes of UTF-8.",
        })
    };
    // A personal room's name is a `#` and its user's.
    let (room, user) = (limits.room_name_bytes, limits.room_name_bytes.saturating_sub(1));
    let key = limits.idempotency_key_bytes;
    let shared = [
        ("room", name(room, NAME)),
        ("open_room", name(room, OPEN_NAME)),
        ("user", name(user, NAME)),
        ("room_filter", filter(room)),
        ("user_filter", filter(user)),
        (
            "client",
            json!({
                "type": "string",
                "minLength": 1,
                "description": "A connection's public id, a UUID; anything else names no connection.",
            }),
        ),
        (
            "data",
            json!({
                "description": format!(
                    "Any JSON that is nested at most {} deep, with numbers of at most {} digits and no half of a surrogate pair.",
                    limits.json_depth, limits.json_number_digits
                ),
            }),
        ),
        ("idempotency_key", json!({"type": ["string", "null"], "maxLength": key})),
        ("since", since()),
        ("position", fields(&["epoch", "offset"], json!({"epoch": text(), "offset": unsigned()}))),
        ("done", fields(&[], json!({}))),
        ("member", member()),
        ("error", error()),
    ];
    shared.into_iter().map(|(name, schema)| (name.into(), schema)).collect()
}

/// The whole answer of a call with this result.
pub(super) fn result(schema: Value) -> Value {
    fields(&["result"], json!({ "result": schema }))
}

/// The whole answer of a call that has nothing to tell.
pub(super) fn done() -> Value {
    result(reference("done"))
}

/// The whole answer of a batch.
pub(super) fn replies() -> Value {
    fields(&["replies"], json!({"replies": list(json!({"type": "object"}))}))
}

pub(super) fn nothing() -> Value {
    request(&[], json!({}))
}

pub(super) fn in_room() -> Value {
    request(&["channel"], json!({"channel": reference("room")}))
}

pub(super) fn publish_all() -> Value {
    request(&["data"], json!({"data": reference("data")}))
}

pub(super) fn nodes() -> Value {
    fields(&["nodes"], json!({"nodes": list(node())}))
}
