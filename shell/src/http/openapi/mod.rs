//! `/openapi.json`: the HTTP side as OpenAPI 3.1, with the configured limits.

mod schemas;

use super::server_methods::{SERVER_METHODS, ServerMethod};
use crate::config::Settings;
use hyper::body::Bytes;
use parlor_core::Limits;
use parlor_core::api::json::schema::reference;
use parlor_core::api::json::{METHODS, Method};
use serde_json::{Map, Value, json};
use std::cell::OnceCell;
use std::collections::BTreeMap;

/// The path of the document.
pub(super) const PATH: &str = "/openapi.json";

/// The description of the whole. It explains the error mode, which makes every status 200; a parameter cannot say that.
const DESCRIPTION: &str = "The HTTP side of a room server for WebSockets: backends publish and ask, probes look at its health. \
    A call that failed has the status and the body that are described here. With the header \
    `X-Centrifugo-Error-Mode: body`, or where `api_error_mode` is configured so and the header does not say `transport`, \
    the status is 200 and the body is the same; only 401, 405, 408, 429 and 503 stay what they are.";

const WRONG_KEYS: &str = "Too many wrong API keys have come from this address: 111. A right one is always served.";

/// The served document, made at the first request.
#[derive(Debug, Default)]
pub(crate) struct Document(OnceCell<Bytes>);

impl Document {
    /// The document for these settings, which must be the same at each call.
    pub(super) fn bytes(&self, settings: &Settings) -> Bytes {
        self.0.get_or_init(|| document(settings).to_string().into()).clone()
    }
}

/// Makes the document.
fn document(settings: &Settings) -> Value {
    let call = |method: &Method| (format!("/api/{}", method.name), json!({"post": call(method, &settings.limits)}));
    let mut paths: Map<String, Value> = METHODS.iter().map(call).collect();
    paths.extend(
        SERVER_METHODS.iter().map(|method| (format!("/api/{}", method.name), json!({"post": server_call(method)}))),
    );
    paths.extend(status_paths());
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Parlor",
            "version": env!("CARGO_PKG_VERSION"),
            "description": DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {
            "schemas": schemas::components(&settings.limits),
            "securitySchemes": {
                "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
                "authorization": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "Authorization",
                    "description": "`apikey` and the key, with a space between them.",
                },
                "bearer": {"type": "http", "scheme": "bearer", "description": "An API key as a bearer token."},
            },
        },
    })
}

/// The operation of an API method.
fn call(method: &Method, limits: &Limits) -> Value {
    let request = method.request(limits);
    let is_required = request["required"] != json!([]) || request.get("anyOf").is_some();
    operation(method.name, method.summary, method.failures, &method.answer(), is_required)
}

/// The operation of a method that is about the server itself.
fn server_call(ServerMethod { name, summary, failures, kind }: &ServerMethod) -> Value {
    operation(name, summary, failures, &schemas::server_answer(*kind), kind.is_about_a_room())
}

/// The operation of a method with this answer, whose body may be required.
fn operation(name: &str, summary: &str, failures: &[(u16, &str)], answer: &Value, is_required: bool) -> Value {
    let answer = json!({"anyOf": [answer, reference("error")]});
    let mut responses = Map::from_iter([
        ("200".into(), response("The result; in body mode also an error.", &answer)),
        ("408".into(), response("The body did not come in time (`request_timeout`).", &reference("refusal"))),
        (
            "503".into(),
            response(
                "The server is stopping or restarting: `Retry-After` says when to try again.",
                &reference("refusal"),
            ),
        ),
    ]);
    let always = [
        (400, "The request makes no sense: 107, or 108 for what this server does not do."),
        (401, "No API key, or a wrong one: 101."),
        (403, "The API key may not call this method, or not for this room: 103."),
        (413, "A limit is reached, which the message names: 106."),
        (429, WRONG_KEYS),
    ];
    let mut refusals = BTreeMap::<u16, Vec<&str>>::new();
    for (status, words) in always.iter().chain(failures) {
        refusals.entry(*status).or_default().push(words);
    }
    for (status, words) in refusals {
        responses.insert(status.to_string(), response(&words.join(" "), &reference("error")));
    }
    json!({
        "operationId": name,
        "summary": summary,
        "tags": ["api"],
        "security": [{"key": []}, {"authorization": []}, {"bearer": []}],
        "requestBody": {
            "required": is_required,
            "content": {"application/json": {"schema": reference(&format!("{name}_request"))}},
        },
        "responses": responses,
    })
}

/// The operations that tell how the server is, and what it is.
fn status_paths() -> [(String, Value); 5] {
    let details = |name, summary, ok| {
        let unauthorized =
            "No API key, or a wrong one: 101. None is needed at `internal_listen` and in development mode.";
        let responses = json!({
            "200": ok,
            "401": response(unauthorized, &reference("error")),
            "429": response(WRONG_KEYS, &reference("error")),
        });
        // The empty one: at some addresses no key is needed.
        status(name, summary, &json!([{"key": []}, {"authorization": []}, {"bearer": []}, {}]), &responses)
    };
    let live = json!({"200": word("It does.", &["ok"])});
    [
        (
            "/health".into(),
            details("health", "What there is, and what has happened", response("It is.", &reference("health"))),
        ),
        ("/metrics".into(), details("metrics", "The same for Prometheus", metrics())),
        (PATH.into(), details("openapi", "This document", response("It is.", &json!({"type": "object"})))),
        ("/health/live".into(), status("live", "Whether the server runs", &json!([]), &live)),
        ("/health/ready".into(), ready()),
    ]
}

/// The operation that tells whether the server takes connections. Its words have reasons behind them for who may know.
fn ready() -> Value {
    let text = |description: &str| json!({"description": description, "content": {"text/plain": {"schema": {"type": "string"}}}});
    let responses = json!({
        "200": text("It does: `ok`, or `degraded` where a limit of the whole server is reached."),
        "503": text("It does not: `starting`, `stalled`, `stopping` or `restarting`, and with `ready_strict` also `degraded`."),
    });
    let parameter = |name: &str, description: &str, schema: &Value| json!({"name": name, "in": "query", "description": description, "schema": schema});
    let key = json!([{}, {"key": []}, {"authorization": []}, {"bearer": []}]);
    let mut operation = status("ready", "Whether the server takes connections", &key, &responses);
    operation["get"]["parameters"] = json!([
        parameter("verbose", "Lists the checks, for who may read `/health`.", &json!({"type": "string"})),
        parameter(
            "exclude",
            "A check that does not count; may come several times.",
            &json!({"type": "array", "items": {"type": "string"}}),
        ),
    ]);
    operation
}

fn status(name: &str, summary: &str, security: &Value, responses: &Value) -> Value {
    json!({"get": {
        "operationId": name, "summary": summary, "tags": ["health"], "security": security, "responses": responses,
    }})
}

/// The page of metrics, in the form that `Accept` names.
fn metrics() -> Value {
    let text = json!({"schema": {"type": "string"}});
    json!({"description": "They are.", "content": {"text/plain": text, "application/openmetrics-text": text}})
}

/// A response of one of these words.
fn word(description: &str, words: &[&str]) -> Value {
    json!({"description": description, "content": {"text/plain": {"schema": {"enum": words}}}})
}

/// A JSON response.
fn response(description: &str, schema: &Value) -> Value {
    json!({"description": description, "content": {"application/json": {"schema": schema}}})
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_document_has_every_method_and_health_path_and_no_other() {
        let document = document(&Settings::default());
        assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
        let paths: BTreeSet<&str> = document["paths"].as_object().unwrap().keys().map(String::as_str).collect();
        let calls: BTreeSet<&str> = paths.iter().filter_map(|path| path.strip_prefix("/api/")).collect();
        let own = SERVER_METHODS.iter().map(|method| method.name);
        assert_eq!(calls, METHODS.iter().map(|method| method.name).chain(own).collect());
        let paths: Vec<&str> = paths.into_iter().filter(|path| !path.starts_with("/api/")).collect();
        assert_eq!(paths, ["/health", "/health/live", "/health/ready", "/metrics", PATH]);
    }

    #[test]
    fn the_document_is_built_once() {
        let (served, settings) = (Document::default(), Settings::default());
        let (first, second) = (served.bytes(&settings), served.bytes(&settings));
        assert_eq!(first, document(&settings).to_string());
        assert_eq!(first.as_ptr(), second.as_ptr(), "the same bytes, not their like");
    }

    #[test]
    fn every_reference_has_a_target() {
        let document = document(&Settings::default());
        let mut places = vec![&document];
        let mut references = 0;
        while let Some(place) = places.pop() {
            match place {
                Value::Object(fields) => places.extend(fields.values()),
                Value::Array(items) => places.extend(items),
                _ => {}
            }
            if let Some(Value::String(reference)) = place.get("$ref") {
                references += 1;
                let target = document.pointer(reference.strip_prefix('#').unwrap());
                assert!(target.is_some(), "{reference}");
            }
        }
        assert!(references > METHODS.len());
    }

    #[test]
    fn bounds_in_the_document_are_the_configured_ones() {
        let mut settings = Settings::default();
        settings.limits.room_name_bytes = 77;
        let document = document(&settings);
        assert_eq!(document["components"]["schemas"]["room"]["maxLength"], 77);
    }
}
