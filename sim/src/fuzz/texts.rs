//! Texts of clients and backends with placeholders, for runs in which only the effects matter.

use parlor_core::api::json::METHODS;
use parlor_core::{ClientId, Limits, Snapshot};
use serde_json::{Value, json};
use std::sync::LazyLock;

/// Values for the placeholders of a text.
pub(super) struct Places {
    room: String,
    epoch: String,
    offset: u64,
    user: &'static str,
    client: ClientId,
}

impl Places {
    /// A room and a user by the bits of a byte, with a position in the room's log, and the client that another one says.
    pub fn new(which: u8, client: u8, snapshot: &Snapshot) -> Self {
        let room = format!("r{}", which & 3);
        let log = snapshot.logs.iter().find(|log| *log.name == *room);
        let client = snapshot.conns.get(usize::from(client) % snapshot.conns.len().max(1));
        Self {
            epoch: log.map_or_else(String::new, |log| log.epoch.clone()),
            offset: log.map_or(0, |log| log.top.saturating_sub(u64::from(which >> 2 & 3))),
            user: ["u0", "u1", "u2", ""][usize::from(which >> 4 & 3)],
            client: client.map_or(ClientId([0xFF; 16]), |view| view.client),
            room,
        }
    }

    fn fill(&self, text: &str) -> String {
        let offset = self.offset.to_string();
        let client = self.client.to_string();
        let filled = [("ROOM", &self.room), ("EPOCH", &self.epoch), ("OFFSET", &offset), ("CLIENT", &client)];
        let text = filled.iter().fold(text.to_owned(), |text, (place, value)| text.replace(place, value));
        text.replace("USER", self.user)
    }
}

/// A text message of either protocol.
pub(super) fn message(what: u8, places: &Places) -> String {
    places.fill(MESSAGES[usize::from(what) % MESSAGES.len()])
}

/// A method of the API, with its body.
pub(super) fn call(what: u8, places: &Places) -> (&'static str, String) {
    let (method, body) = &ALL_CALLS[usize::from(what) % ALL_CALLS.len()];
    (method, places.fill(body))
}

/// Those below, and each other method with no more than it requires.
static ALL_CALLS: LazyLock<Vec<(&str, String)>> = LazyLock::new(|| {
    let others = METHODS.iter().filter(|method| !has_text(method.name));
    let others = others.filter_map(|method| Some((method.name, least_body(&method.request(&Limits::default()))?)));
    CALLS.iter().map(|(method, body)| (*method, (*body).to_owned())).chain(others).collect()
});

/// A body with a placeholder for each field that a schema requires; `None` where one of them has none.
fn least_body(schema: &Value) -> Option<String> {
    let fields = schema["required"].as_array()?.iter().filter_map(Value::as_str);
    let filled = fields.map(|field| {
        let reference = schema["properties"][field]["$ref"].as_str()?;
        let value = match reference.rsplit_once('/')?.1 {
            "room" | "open_room" => json!("ROOM"),
            "user" => json!("USER"),
            "client" => json!("CLIENT"),
            "data" => json!(6),
            _ => return None,
        };
        Some((field.to_owned(), value))
    });
    Some(Value::Object(filled.collect::<Option<_>>()?).to_string())
}

/// Whether a method is called below, by itself or in a batch.
fn has_text(method: &str) -> bool {
    let part = format!("{{\"{method}\":");
    CALLS.iter().any(|(called, body)| *called == method || body.contains(&part))
}

const MESSAGES: &[&str] = &[
    r#"{"id":1,"connect":{}}"#,
    r#"{"id":1,"connect":{"token":"t"}}"#,
    r#"{"id":1,"connect":{"token":"t","subs":{"ROOM":{"recover":true,"epoch":"EPOCH","offset":OFFSET}}}}"#,
    r#"{"id":2,"subscribe":{"channel":"ROOM"}}"#,
    r#"{"id":2,"subscribe":{"channel":"ROOM","recover":true,"epoch":"EPOCH","offset":OFFSET}}"#,
    r#"{"id":2,"subscribe":{"channel":"ROOM","recover":true,"epoch":"x","offset":OFFSET,"flag":2}}"#,
    r#"{"id":2,"subscribe":{"channel":"ROOM","join_leave":true}}"#,
    r#"{"id":2,"subscribe":{"channel":"ROOM","token":"t","join_leave":true}}"#,
    r#"{"id":3,"unsubscribe":{"channel":"ROOM"}}"#,
    r#"{"id":4,"publish":{"channel":"ROOM","data":{"type":"a"}}}"#,
    r#"{"id":5,"history":{"channel":"ROOM","limit":-1}}"#,
    r#"{"id":5,"history":{"channel":"ROOM","limit":2,"since":{"epoch":"EPOCH","offset":OFFSET},"reverse":true}}"#,
    r#"{"id":6,"presence":{"channel":"ROOM"}}"#,
    r#"{"id":6,"presence_stats":{"channel":"ROOM"}}"#,
    r#"{"id":7,"refresh":{"token":"t"}}"#,
    r#"{"id":7,"sub_refresh":{"channel":"ROOM","token":"t"}}"#,
    r#"{"id":8,"ping":{}}"#,
    r#"{"send":{}}"#,
    "{}",
    r#"{"id":8,"rpc":{}}"#,
    r#"{"id":9,"subscribe":{"channel":"ROOM"}}{"id":10,"publish":{"channel":"ROOM","data":1}}{"id":11,"unsubscribe":{"channel":"ROOM"}}"#,
    r#"{"id":9,"subscribe":{"channel":"ROOM","token":"t"}}{"id":10,"publish":{"channel":"ROOM","data":1}}{"#,
    "{}{}{}{}{}{}{}{}{}{}{}{}{}{}{}{}{}{}{}{}{}{}{}{}{}{}{}{}{}{}{}{}{}{}{}{}{}{}{}{}{}{}{}{}{}{}{}{}{}{}{}{}{}{}{}{}",
    "nonsense",
    r#"{"type":"auth","token":"t"}"#,
    r#"{"type":"ping"}"#,
    r#"{"type":"subscribe","events":["a"]}"#,
    r#"{"type":"publish","data":{"type":"a"}}"#,
    r#"{"type":"publish","room":"ROOM","data":2,"id":1}"#,
    r#"{"type":"position"}"#,
    r#"{"type":"nothing"}"#,
    "",
];

const CALLS: &[(&str, &str)] = &[
    ("publish", r#"{"channel":"ROOM","data":{"type":"b"}}"#),
    ("publish", r#"{"channel":"ROOM","data":1,"idempotency_key":"k"}"#),
    ("publish", r#"{"channel":"ROOM","data":1,"skip_history":true,"tags":{"a":"b"}}"#),
    ("broadcast", r##"{"channels":["r0","r1","ROOM","#u0"],"data":{"type":"a"}}"##),
    (
        "batch",
        r#"{"commands":[{"publish":{"channel":"ROOM","data":1}},{"disconnect":{"user":"USER"}},{"info":{}},{"limits":{}}]}"#,
    ),
    (
        "batch",
        r#"{"commands":[{"subscribe":{"user":"USER","channel":"ROOM"}},{"presence":{"channel":"ROOM"}},{"unsubscribe":{"user":"USER","channel":"ROOM"}}]}"#,
    ),
    ("send", r#"{"client":"CLIENT","data":3}"#),
    ("publish_user", r#"{"user":"USER","data":4}"#),
    ("publish_all", r#"{"data":5}"#),
    ("subscribe", r#"{"user":"USER","channel":"ROOM"}"#),
    (
        "subscribe",
        r#"{"user":"USER","channel":"ROOM","client":"CLIENT","recover_since":{"epoch":"EPOCH","offset":OFFSET}}"#,
    ),
    ("unsubscribe", r#"{"user":"USER","channel":"ROOM"}"#),
    ("disconnect", r#"{"user":"USER"}"#),
    ("disconnect", r#"{"client":"CLIENT","disconnect":{"code":4000,"reason":"so"}}"#),
    ("refresh", r#"{"user":"USER","expire_at":1795352420}"#),
    ("refresh", r#"{"user":"USER","expired":true}"#),
    ("revoke_token", r#"{"uid":"t"}"#),
    ("invalidate_user_tokens", r#"{"user":"USER","issued_before":1795352420}"#),
    ("presence", r#"{"channel":"ROOM"}"#),
    ("presence_stats", r#"{"channel":"ROOM"}"#),
    ("history", r#"{"channel":"ROOM","limit":-1}"#),
    ("history_remove", r#"{"channel":"ROOM"}"#),
    ("channels", r#"{"pattern":"r*"}"#),
    ("connections", r#"{"channel":"ROOM"}"#),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_has_what_its_schema_requires() {
        let body = |method: &str| {
            let known = METHODS.iter().find(|known| known.name == method).expect("a method");
            least_body(&known.request(&Limits::default()))
        };
        assert_eq!(body("info").as_deref(), Some("{}"));
        assert_eq!(body("unsubscribe").as_deref(), Some(r#"{"channel":"ROOM","user":"USER"}"#));
        assert_eq!(body("send").as_deref(), Some(r#"{"client":"CLIENT","data":6}"#));
        assert_eq!(body("broadcast"), None, "a list of rooms");
    }

    #[test]
    fn every_method_of_the_api_has_a_text() {
        let is_called = |method: &str| has_text(method) || ALL_CALLS.iter().any(|(called, _)| *called == method);
        let without: Vec<&str> = METHODS.iter().map(|method| method.name).filter(|name| !is_called(name)).collect();
        assert!(without.is_empty(), "{without:?} are never called");
    }
}
