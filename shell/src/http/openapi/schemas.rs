//! JSON Schemas of requests and answers. A field that is null counts as absent, even one that is not known.

use parlor_core::Limits;
use serde_json::{Map, Value, json};

/// One method of the API.
pub(super) struct ApiMethod {
    pub(super) name: &'static str,
    pub(super) summary: &'static str,
    pub(super) request: Value,
    /// The whole answer of a call that succeeds.
    pub(super) answer: Value,
    /// Statuses that not all methods have, with their meaning.
    pub(super) failures: &'static [(u16, &'static str)],
}

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

/// Every method, in the order of the core's own list.
pub(super) fn methods(limits: &Limits) -> Vec<ApiMethod> {
    let method = |name, summary, request, result| {
        let answer = fields(&["result"], json!({ "result": result }));
        ApiMethod { name, summary, request, answer, failures: &[] }
    };
    let done = || reference("done");
    let nothing = || request(&[], json!({}));
    let room = || request(&["channel"], json!({"channel": reference("room")}));
    vec![
        method("publish", "To everyone in a room", publish(), reference("position")),
        method("broadcast", "To everyone in several rooms", broadcast(limits), broadcast_result()),
        ApiMethod {
            answer: fields(&["replies"], json!({"replies": list(json!({"type": "object"}))})),
            ..method("batch", "Several calls, one after the other, each answered in its place", batch(limits), done())
        },
        ApiMethod {
            failures: &[(404, "There is no such connection: 102.")],
            ..method("send", "To one connection", send(), done())
        },
        method("publish_user", "To everyone in a user's own room", publish_user(), reference("position")),
        method("publish_all", "To every connection", request(&["data"], json!({"data": reference("data")})), done()),
        ApiMethod {
            failures: &[(403, "The room is reserved: 103.")],
            ..method("subscribe", "Puts a user's connections into a room", subscribe(), done())
        },
        ApiMethod {
            failures: &[(403, "The room is reserved: 103.")],
            ..method("unsubscribe", "Takes a user's connections out of a room", unsubscribe(), done())
        },
        method("disconnect", "Closes connections", disconnect(), done()),
        method("refresh", "Changes when a user's connections expire", refresh(), done()),
        method("presence", "Who is in a room", room(), presence_result()),
        method("presence_stats", "How many are in a room", room(), count_fields(&["num_clients", "num_users"])),
        ApiMethod {
            failures: &[(416, "The position is in another log: 112.")],
            ..method("history", "A part of a room's log", history(), history_result())
        },
        method("history_remove", "Forgets what a room's log retains", room(), done()),
        method(
            "channels",
            "The rooms that have members",
            channels(limits),
            paged_result("channels", count_fields(&["num_clients"])),
        ),
        method(
            "connections",
            "The connections, by client id",
            connections(),
            paged_result("connections", connection()),
        ),
        method(
            "limits",
            "Every limit, by its configuration key",
            nothing(),
            map_of("limits", text_fields(&["value", "answer"])),
        ),
        method("info", "The node and its counts", nothing(), fields(&["nodes"], json!({"nodes": list(node())}))),
    ]
}

/// The schemas that the rest of the document refers to.
pub(super) fn components(methods: Vec<ApiMethod>, limits: &Limits) -> Map<String, Value> {
    let requests = methods.into_iter().map(|method| (format!("{}_request", method.name), method.request));
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
        ("refusal", refusal()),
        ("ok", fields(&["status"], json!({"status": {"const": "ok"}}))),
        ("health", health()),
    ];
    shared.into_iter().map(|(name, schema)| (name.into(), schema)).chain(requests).collect()
}

pub(super) fn reference(schema: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{schema}")})
}

/// The fields of a request.
fn request(required: &[&str], properties: Value) -> Value {
    let mut schema = fields(required, properties);
    schema["additionalProperties"] = json!({"type": "null"});
    schema
}

/// The fields of an answer.
fn fields(required: &[&str], properties: Value) -> Value {
    json!({"type": "object", "required": required, "properties": properties, "additionalProperties": false})
}

fn map_of(field: &str, schema: Value) -> Value {
    let all = json!({"type": "object", "additionalProperties": schema});
    fields(&[field], Map::from_iter([(field.into(), all)]).into())
}

fn count_fields(names: &[&str]) -> Value {
    fields(names, names.iter().map(|name| ((*name).into(), unsigned())).collect::<Map<_, _>>().into())
}

fn text_fields(names: &[&str]) -> Value {
    fields(names, names.iter().map(|name| ((*name).into(), text())).collect::<Map<_, _>>().into())
}

fn list(items: Value) -> Value {
    json!({"type": "array", "items": items})
}

fn at_most(most: usize, items: Value) -> Value {
    json!({"type": "array", "items": items, "description": format!("At most {most}; more are refused whole: 413.")})
}

fn or_null(schema: Value) -> Value {
    json!({"anyOf": [schema, {"type": "null"}]})
}

fn text() -> Value {
    json!({"type": "string"})
}

fn optional_boolean() -> Value {
    json!({"type": ["boolean", "null"]})
}

fn optional_integer() -> Value {
    json!({"type": ["integer", "null"], "minimum": i64::MIN, "maximum": i64::MAX})
}

fn unsigned() -> Value {
    json!({"type": "integer", "minimum": 0, "maximum": u64::MAX})
}

/// A client id, or nothing.
fn optional_client() -> Value {
    json!({"anyOf": [reference("client"), {"const": ""}, {"type": "null"}]})
}

/// A publication, with the fields that address it.
fn publication_request(required: &[&str], address: Value) -> Value {
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

fn publish() -> Value {
    publication_request(&["channel"], json!({"channel": reference("room")}))
}

fn broadcast(limits: &Limits) -> Value {
    publication_request(&["channels"], json!({"channels": at_most(limits.broadcast_channels, text())}))
}

fn broadcast_result() -> Value {
    let published = fields(&["result"], json!({"result": reference("position")}));
    let response = json!({"anyOf": [published, reference("error")]});
    fields(&["responses"], json!({"responses": list(response)}))
}

fn publish_user() -> Value {
    publication_request(&["user"], json!({ "user": reference("user") }))
}

fn batch(limits: &Limits) -> Value {
    let one = |method: &str| {
        let params = json!({
            "anyOf": [reference(&format!("{method}_request")), {}],
            "description": "What is wrong with it is answered in its place.",
        });
        let mut command = request(&[method], Map::from_iter([(method.into(), params)]).into());
        // The method's field is the only one, and may be null; or the only one that is not null.
        let is_meant = Map::from_iter([(method.into(), json!({"not": {"type": "null"}}))]);
        command["anyOf"] = json!([{"maxProperties": 1}, {"properties": is_meant}]);
        command
    };
    let methods = parlor_core::api::json::METHODS.iter().filter(|method| **method != "batch");
    let command = json!({"oneOf": methods.map(|method| one(method)).collect::<Vec<_>>()});
    request(&["commands"], json!({"commands": at_most(limits.batch_commands, command), "parallel": optional_boolean()}))
}

fn send() -> Value {
    request(&["client", "data"], json!({"client": reference("client"), "data": reference("data")}))
}

/// A request to connections of a user, with these further fields.
fn user_request(required: &[&str], more: Value) -> Value {
    let required: Vec<&str> = required.iter().copied().chain(["user"]).collect();
    let mut schema = request(
        &required,
        json!({"user": reference("user"), "client": optional_client(), "session": optional_client()}),
    );
    if let (Value::Object(properties), Value::Object(more)) = (&mut schema["properties"], more) {
        properties.extend(more);
    }
    schema
}

fn subscribe() -> Value {
    user_request(&["channel"], json!({"channel": reference("open_room"), "recover_since": or_null(reference("since"))}))
}

fn unsubscribe() -> Value {
    user_request(&["channel"], json!({"channel": reference("open_room")}))
}

fn refresh() -> Value {
    user_request(&[], json!({"expired": optional_boolean(), "expire_at": optional_integer()}))
}

fn disconnect() -> Value {
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

fn since() -> Value {
    json!({"type": "object", "properties": {"epoch": or_null(text()), "offset": or_null(unsigned())}})
}

fn history() -> Value {
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

fn channels(limits: &Limits) -> Value {
    let pattern = json!({
        "type": ["string", "null"],
        "maxLength": limits.room_name_bytes,
        "description": "`*` is any characters, `?` is one. The length counts in bytes of UTF-8.",
    });
    paged_request(request(&[], json!({ "pattern": pattern })), json!({"type": ["string", "null"]}))
}

/// A request for a list that is answered in pages.
fn paged_request(mut request: Value, mut cursor: Value) -> Value {
    request["properties"]["limit"] = json!({"type": ["integer", "null"], "minimum": 1, "maximum": 1000});
    cursor["description"] = "From the answer before: what comes after that.".into();
    request["properties"]["cursor"] = cursor;
    request
}

/// The answer with one page of a list.
fn paged_result(field: &str, schema: Value) -> Value {
    let mut answer = map_of(field, schema);
    answer["properties"]["cursor"] = json!({"type": "string", "description": "Where to go on: there is more."});
    answer
}

fn connections() -> Value {
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

fn connection() -> Value {
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

fn presence_result() -> Value {
    map_of("presence", reference("member"))
}

fn member() -> Value {
    fields(&["user", "client"], json!({"user": text(), "client": text(), "conn_info": {}, "chan_info": {}}))
}

fn history_result() -> Value {
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

fn node() -> Value {
    let (words, numbers) = (["uid", "name", "version"], ["num_clients", "num_users", "num_channels", "num_subs"]);
    let properties = words.map(|name| (name, text())).into_iter().chain(numbers.map(|name| (name, unsigned())));
    let properties: Map<String, Value> = properties.map(|(name, schema)| (name.into(), schema)).collect();
    fields(&[&words[..], &numbers[..]].concat(), properties.into())
}

fn error() -> Value {
    let inner = fields(&["code", "message"], json!({"code": {"type": "integer"}, "message": text(), "limit": limit()}));
    fields(&["error"], json!({ "error": inner }))
}

fn limit() -> Value {
    json!({"type": "string", "description": "The configuration key of the limit that is in the way."})
}

/// An error of HTTP itself, without a code of the API.
fn refusal() -> Value {
    fields(&["error"], json!({"error": fields(&["message"], json!({"message": text(), "limit": limit()}))}))
}

fn health() -> Value {
    let mut schema = count_fields(&[
        "connections",
        "users",
        "rooms",
        "memberships",
        "logs",
        "history_bytes",
        "outbox_bytes",
        "http_connections",
        "log_lines_dropped",
        "restarts",
    ]);
    let count = json!({"anyOf": [unsigned(), {"type": "object", "additionalProperties": unsigned()}]});
    let more = [
        ("status", json!({"enum": ["ok", "stopping", "restarting"]})),
        ("version", text()),
        ("node", text()),
        ("uptime_seconds", json!({"type": "number"})),
        ("limits", json!({"type": "object", "additionalProperties": text()})),
        ("totals", json!({"type": "object", "additionalProperties": count})),
        ("rates", json!({"type": "object", "additionalProperties": {"type": "number"}})),
    ];
    for (field, description) in more {
        schema["properties"][field] = description;
    }
    let names: Option<Vec<&String>> = schema["properties"].as_object().map(|fields| fields.keys().collect());
    schema["required"] = json!(names);
    schema
}
