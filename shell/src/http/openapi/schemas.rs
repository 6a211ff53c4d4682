//! JSON Schemas of what the server answers beside the API.

use crate::http::delivery_cursor::{NUMBER_DIGITS, SLOT_DIGITS};
use crate::http::question::PAGE_MOST;
use crate::http::server_methods::{SERVER_METHODS, ServerMethod, ServerMethodKind};
use parlor_core::Limits;
use parlor_core::api::json::METHODS;
use parlor_core::api::json::schema::{self, count_fields, fields, text, unsigned};
use parlor_core::explain::DeliveryOutcome;
use serde_json::{Map, Value, json};

/// The schemas that the rest of the document refers to.
pub(super) fn components(limits: &Limits) -> Map<String, Value> {
    let requests = METHODS.iter().map(|method| (format!("{}_request", method.name), method.request(limits)));
    let server =
        SERVER_METHODS.iter().map(|method| (format!("{}_request", method.name), server_request(method, limits)));
    let own = [("refusal", refusal()), ("health", health())];
    let own = own.into_iter().map(|(name, schema)| (String::from(name), schema));
    schema::components(limits).into_iter().chain(own).chain(requests).chain(server).collect()
}

/// An error of HTTP itself, without a code of the API.
fn refusal() -> Value {
    fields(&["error"], json!({"error": fields(&["message"], json!({"message": text(), "limit": schema::limit()}))}))
}

/// The schema of the body of a call about the server itself, or about a room.
fn server_request(method: &ServerMethod, limits: &Limits) -> Value {
    if method.kind == ServerMethodKind::Explain {
        return question();
    }
    let like = METHODS.iter().find(|known| known.name == method.kind.like());
    like.map_or_else(|| json!({"type": "object"}), |known| known.request(limits))
}

/// The schema of the answer to a method about the server itself.
pub(super) fn server_answer(kind: ServerMethodKind) -> Value {
    let names = json!({"type": "array", "items": text()});
    let result = match kind {
        ServerMethodKind::Drain => {
            fields(&["connections", "seconds"], json!({"connections": unsigned(), "seconds": {"type": "number"}}))
        }
        ServerMethodKind::Reload => {
            fields(&["changed", "needs_restart"], json!({"changed": names, "needs_restart": names}))
        }
        ServerMethodKind::Closes => all_fields(json!({"closes": list(close())})),
        ServerMethodKind::Outboxes => all_fields(json!({"connections": list(outbox())})),
        ServerMethodKind::ConsoleTicket => all_fields(json!({"ticket": text(), "seconds": unsigned()})),
        ServerMethodKind::Explain => explained(),
        ServerMethodKind::InputLog => all_fields(json!({
            "bytes": unsigned(), "file": text(), "from_start": {"type": "boolean"}, "run_steps": unsigned(),
            "steps": unsigned(),
        })),
    };
    fields(&["result"], json!({"result": result}))
}

/// The body of a call that asks about a connection, a room, or a publication.
fn question() -> Value {
    let room = |more: &[&str]| fields(&[&["channel"], more].concat(), json!({"channel": schema::reference("room")}));
    let mut publication = room(&["offset"]);
    for (name, schema) in [
        ("offset", unsigned()),
        ("epoch", text()),
        ("client", connection_id()),
        ("cursor", cursor()),
        ("limit", json!({"type": "integer", "minimum": 1, "maximum": PAGE_MOST})),
    ] {
        publication["properties"][name] = schema;
    }
    let connection = fields(&["client"], json!({"client": connection_id()}));
    json!({"oneOf": [connection, room(&[]), publication]})
}

/// The id of a connection, which has to have the form of one.
fn connection_id() -> Value {
    json!({
        "type": "string",
        "pattern": "^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$",
        "maxLength": 36,
    })
}

/// A cursor. In some libraries `$` is also before a newline at the end.
fn cursor() -> Value {
    let pattern = format!("^(m[0-9]{{1,{SLOT_DIGITS}}}|e[0-9]{{1,{NUMBER_DIGITS}}})$");
    json!({"type": "string", "pattern": pattern, "not": {"pattern": "\\n"}})
}

/// The answer to it.
fn explained() -> Value {
    let or_null = |schema: Value| json!({"anyOf": [schema, {"type": "null"}]});
    let delivery = all_fields(json!({
        "client": text(),
        "user": text(),
        "protocol": text(),
        "outcome": {"enum": DeliveryOutcome::NAMES},
        "ended": or_null(text()),
        "why": text(),
    }));
    let mut publication = all_fields(json!({
        "publication": or_null(json!({"type": "object"})),
        "deliveries": list(delivery),
        "why": text(),
    }));
    publication["properties"]["cursor"] = text();
    let about = |name: &str| all_fields(json!({name: or_null(json!({"type": "object"})), "why": text()}));
    json!({"oneOf": [about("connection"), about("room"), publication]})
}

/// A connection that has ended.
fn close() -> Value {
    all_fields(json!({
        "time_ms": unsigned(),
        "client": text(),
        "user": text(),
        "address": text(),
        "cause": text(),
        "code": unsigned(),
        "reason": text(),
        "seconds": {"type": "number"},
        "console": {"type": "boolean"},
    }))
}

/// A connection that bytes wait for.
fn outbox() -> Value {
    all_fields(json!({
        "client": text(),
        "user": text(),
        "protocol": text(),
        "bytes": unsigned(),
        "frames": unsigned(),
        "blocked": {"type": "boolean"},
    }))
}

fn list(item: Value) -> Value {
    json!({"type": "array", "items": item})
}

/// An object that has all of these fields.
fn all_fields(properties: Value) -> Value {
    let names: Vec<&str> = properties.as_object().into_iter().flatten().map(|(name, _)| name.as_str()).collect();
    fields(&names, properties.clone())
}

fn health() -> Value {
    let mut schema = count_fields(&[
        "connections",
        "users",
        "rooms",
        "memberships",
        "absences",
        "logs",
        "history_bytes",
        "outbox_bytes",
        "refused_bytes",
        "inbound_bytes",
        "http_connections",
        "log_lines_dropped",
        "restarts",
    ]);
    let count = json!({"anyOf": [unsigned(), {"type": "object", "additionalProperties": unsigned()}]});
    let rates = json!({"type": "object", "additionalProperties": {"type": "number"}});
    let more = [
        ("status", json!({"enum": ["ok", "degraded", "starting", "stalled", "stopping", "restarting"]})),
        ("checks", json!({"type": "object", "additionalProperties": text()})),
        ("version", text()),
        ("node", text()),
        ("uptime_seconds", json!({"type": "number"})),
        ("limits", json!({"type": "object", "additionalProperties": text()})),
        ("totals", json!({"type": "object", "additionalProperties": count})),
        ("rates", json!({"type": "object", "additionalProperties": rates})),
        ("last_reload_successful", json!({"type": "boolean"})),
    ];
    for (field, description) in more {
        schema["properties"][field] = description;
    }
    let names: Option<Vec<&String>> = schema["properties"].as_object().map(|fields| fields.keys().collect());
    schema["required"] = json!(names);
    schema
}
