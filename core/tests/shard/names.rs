//! Names of rooms and users: what they may be, wherever they come from.

use crate::world::{Rules, World, claims, raw, with, world};
use parlor_core::admission::route::{RouteError, Routes};
use parlor_core::{Claims, Config, ConnId, Limits};
use serde_json::{Value, json};

/// One of each kind of character that no name has.
const BAD: [char; 8] = ['\u{7}', '\u{7F}', '\u{9B}', '\u{2028}', '\u{202E}', '\u{2066}', '\u{200B}', '\u{FEFF}'];

fn bad_names() -> impl Iterator<Item = String> {
    BAD.into_iter().map(|char| format!("a{char}b"))
}

fn code(world: &mut World, conn: ConnId, command: &Value) -> Value {
    world.say(conn, &command.to_string());
    let replies = world.read_json(conn);
    assert_eq!(replies.len(), 1, "{command}: {replies:?}");
    replies[0]["error"]["code"].clone()
}

#[test]
fn a_url_cannot_name_a_room_with_a_confusable_name() {
    let config = Config::default();
    for char in BAD {
        let coded: String = char.to_string().bytes().map(|byte| format!("%{byte:02X}")).collect();
        for target in [format!("/ws/a{coded}b"), format!("/ws?room=a{coded}b")] {
            let refused = config.resolve(&target);
            assert!(matches!(&refused, Err(RouteError::Bad(why)) if why.contains("U+")), "{target}: {refused:?}");
        }
    }
    assert!(config.resolve("/ws/%F0%9F%91%A9%E2%80%8D%F0%9F%92%BB").is_ok(), "an emoji is a name");
}

#[test]
fn a_route_cannot_lead_to_a_room_with_a_confusable_name() {
    for name in bad_names().chain([String::new(), "#a".into()]) {
        let refused = Routes::default().add("/ws/x", &name, None);
        assert!(refused.as_ref().is_err_and(|why| why.contains("name")), "{name:?}: {refused:?}");
    }
}

#[test]
fn a_command_cannot_name_a_room_with_a_confusable_name() {
    let mut world = world();
    let conn = world.json();
    for (id, name) in (2..).zip(bad_names().chain([String::new()])) {
        for (method, more) in COMMANDS {
            let mut params: Value = serde_json::from_str(more).expect("an object");
            params["channel"] = name.as_str().into();
            assert_eq!(code(&mut world, conn, &json!({ "id": id, method: params })), 107, "{method} {name:?}");
        }
    }
}

/// The commands that name a room, with what they need besides.
const COMMANDS: [(&str, &str); 7] = [
    ("subscribe", "{}"),
    ("unsubscribe", "{}"),
    ("publish", r#"{"data":1}"#),
    ("history", "{}"),
    ("presence", "{}"),
    ("presence_stats", "{}"),
    ("sub_refresh", r#"{"token":"t"}"#),
];

#[test]
fn a_command_without_a_room_is_malformed() {
    let mut world = with(Limits::default(), Rules { anonymous: true, ..Rules::closed() });
    let conn = world.json();
    for (method, more) in COMMANDS {
        let params: Value = serde_json::from_str(more).expect("an object");
        assert_eq!(code(&mut world, conn, &json!({ "id": 2, method: params })), 107, "{method}");
    }
    let long = "x".repeat(201);
    assert_eq!(code(&mut world, conn, &json!({"id": 2, "history": {"channel": long}})), 107);
}

#[test]
fn a_token_cannot_name_a_user_with_a_confusable_name() {
    for name in bad_names() {
        for bad in [claims(&name), Claims { channels: vec![name.clone()], ..claims("ann") }] {
            let mut world = world();
            let conn = world.open("/connection/websocket");
            world.say(conn, r#"{"id":1,"connect":{"token":"t"}}"#);
            world.prove(bad);
            assert_eq!(world.read_close(conn).map(|(code, _)| code), Some(3500), "{name:?}");
        }
    }
}

#[test]
fn a_backend_cannot_use_a_confusable_name() {
    let mut world = world();
    for name in bad_names() {
        for (method, field, more) in [
            ("publish", "channel", json!({"data": 1})),
            ("history", "channel", json!({})),
            ("presence", "channel", json!({})),
            ("connections", "channel", json!({})),
            ("connections", "user", json!({})),
            ("publish_user", "user", json!({"data": 1})),
            ("disconnect", "user", json!({})),
            ("refresh", "user", json!({})),
            ("subscribe", "user", json!({"channel": "a"})),
            ("subscribe", "channel", json!({"user": "ann"})),
            ("unsubscribe", "user", json!({"channel": "a"})),
            ("unsubscribe", "channel", json!({"user": "ann"})),
        ] {
            let mut body = more;
            body[field] = name.as_str().into();
            let answer = world.api(method, &body.to_string());
            assert_eq!(answer["error"]["code"], 107, "{method} {body}: {answer}");
            assert!(answer["error"]["message"].as_str().is_some_and(|words| words.starts_with(field)), "{answer}");
        }
        let answer = world.api("broadcast", &json!({"channels": ["a", name], "data": 1}).to_string());
        assert_eq!(answer["result"]["responses"][1]["error"]["code"], 107, "{answer}");
    }
}

#[test]
fn a_client_cannot_leave_its_personal_room() {
    let mut world = world();
    let (conn, _) = world.json_with(claims("ann"));
    for (method, more) in [("unsubscribe", json!({})), ("sub_refresh", json!({"token": "t"})), ("subscribe", json!({}))]
    {
        let mut params = more;
        params["channel"] = "#ann".into();
        assert_eq!(code(&mut world, conn, &json!({ "id": 2, method: params })), 103, "{method}");
    }
    let answer = world.api("unsubscribe", r##"{"user":"ann","channel":"#ann"}"##);
    assert_eq!(answer["error"]["code"], 103, "{answer}");
    world.api("publish_user", r#"{"user":"ann","data":7}"#);
    assert_eq!(world.read_json(conn)[0]["push"]["pub"]["data"], 7);
}

#[test]
fn an_info_may_contain_joiners_and_direction_marks() {
    let mut world = world();
    let conn = world.open("/connection/websocket");
    world.say(conn, r#"{"id":1,"connect":{"token":"t"}}"#);
    world.prove(Claims { info: Some(raw("\"\u{202E}\u{200D}\"")), ..claims("ann") });
    assert_eq!(world.read_json(conn)[0]["connect"]["client"].as_str().map(str::len), Some(36));
}
