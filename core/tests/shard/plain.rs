//! The `plain` protocol as a page with `new WebSocket(url)` sees it.

use crate::world::{Rules, World, claims, routes, with, with_config, world};
use parlor_core::{Claims, Config, ConnId, Limits, Who};
use serde_json::{Value, json};

fn one(world: &mut World, conn: ConnId) -> Value {
    let mut frames = world.read_json(conn);
    assert_eq!(frames.len(), 1, "{frames:?}");
    frames.remove(0)
}

#[test]
fn a_plain_client_gets_a_greeting_and_unchanged_payloads() {
    let mut world = world();
    let conn = world.open("/ws?room=a&room=b&room=a");
    let greeting = one(&mut world, conn);
    let expected = json!({
        "type": "connection", "message": "Connected to a, b", "timestamp": "2023-11-14T22:13:20.000Z",
        "authenticated": false, "client": "01010101-0101-0101-0101-010101010101",
    });
    assert_eq!(greeting, expected);
    world.api("publish", r#"{"channel":"a","data":{"x": [1,  2.50]}}"#);
    world.api("publish", r#"{"channel":"c","data":1}"#);
    assert_eq!(world.read(conn), [r#"{"x": [1,  2.50]}"#]);
}

#[test]
fn every_plain_command_is_answered() {
    let mut world = with(Limits { publication_bytes: 8, ..Limits::default() }, Rules::open());
    let conn = world.plain("/ws/a");
    let at = "2023-11-14T22:13:20.000Z";
    let epoch = world.shard.snapshot().logs[0].epoch.clone();
    let cases = [
        (r#"{"type":"ping","extra":1}"#, json!({"type": "pong", "timestamp": at})),
        (
            r#"{"type":"subscribe","events":["e","f"]}"#,
            json!({"type": "subscribed", "events": ["e", "f"], "timestamp": at}),
        ),
        (r#"{"type":"subscribe"}"#, json!({"type": "subscribed", "events": [], "timestamp": at})),
        ("nonsense", json!({"type": "error", "message": "Invalid JSON format", "timestamp": at})),
        ("[1]", json!({"type": "error", "message": "Invalid JSON format", "timestamp": at})),
        (
            r#"{"type":"publish","room":"b","data":1,"id":[7]}"#,
            json!({"type": "error", "code": 103, "message": "permission denied: only members of the room, and those whose token grants it, may publish", "id": [7], "timestamp": at}),
        ),
        (
            r#"{"type":"publish","data":123456789}"#,
            json!({"type": "error", "code": 107, "message": "data has more than 8 bytes (publication_bytes)", "timestamp": at}),
        ),
        (
            r#"{"type":"publish"}"#,
            json!({"type": "error", "code": 107, "message": "publish needs data", "timestamp": at}),
        ),
        (r#"{"type":"auth"}"#, json!({"type": "error", "code": 107, "message": "auth needs a token", "timestamp": at})),
    ];
    for (said, answer) in cases {
        world.say(conn, said);
        assert_eq!(one(&mut world, conn), answer, "{said}");
    }
    world.say(conn, r#"{"type":"publish","data":"x","id":"n1"}"#);
    let published = json!({"type": "published", "id": "n1", "room": "a", "epoch": epoch, "offset": 1});
    assert_eq!(world.read_json(conn), [json!("x"), published]);
    world.say(conn, r#"{"type":"publish","room":"a","data":2}"#);
    assert_eq!(world.read(conn), ["2"]);
}

#[test]
fn unknown_types_are_ignored_and_counted() {
    let mut world = world();
    let conn = world.plain("/ws/a");
    for said in [r#"{"type":"dance"}"#, r#"{"type":1}"#, r#"{"type":null}"#, "{}"] {
        world.say(conn, said);
    }
    assert!(world.read(conn).is_empty());
    assert_eq!(world.shard.stats().totals.unknown_types, 4);
}

#[test]
fn with_several_rooms_a_publication_names_one() {
    let mut world = world();
    let conn = world.plain("/ws?room=a&room=b");
    world.say(conn, r#"{"type":"publish","data":1}"#);
    assert_eq!(one(&mut world, conn)["code"], 107);
    world.say(conn, r#"{"type":"publish","room":"b","data":1}"#);
    assert_eq!(world.read(conn), ["1"]);
}

#[test]
fn an_event_filter_passes_only_the_types_that_it_lists() {
    let mut world = world();
    let (filtering, all) = (world.plain("/ws/a"), world.plain("/ws/a"));
    world.say(filtering, r#"{"type":"subscribe","events":["up"]}"#);
    world.read(filtering);
    let payloads =
        [r#"{"type":"up","n":1}"#, r#"{"type":"down"}"#, r#"{"type":7}"#, "[\"up\"]", r#"{"n":1,"type":"\u0075p"}"#];
    for payload in payloads {
        world.api("publish", &format!(r#"{{"channel":"a","data":{payload}}}"#));
    }
    world.api("publish_all", r#"{"data":{"type":"down"}}"#);
    assert_eq!(world.read(filtering), [payloads[0], payloads[4]]);
    assert_eq!(world.read(all).len(), 6);
    world.say(filtering, r#"{"type":"subscribe","events":[]}"#);
    world.api("publish", r#"{"channel":"a","data":1}"#);
    assert_eq!(world.read(filtering).len(), 2);
}

#[test]
fn a_filter_is_bounded() {
    let mut world = world();
    let conn = world.plain("/ws/a");
    for events in [vec!["x".to_owned(); 33], vec!["x".repeat(65)]] {
        world.say(conn, &json!({"type": "subscribe", "events": events}).to_string());
        assert_eq!(one(&mut world, conn)["type"], "error");
    }
    for events in [vec!["x".to_owned(); 32], vec!["x".repeat(64)]] {
        world.say(conn, &json!({"type": "subscribe", "events": events}).to_string());
        assert_eq!(one(&mut world, conn)["type"], "subscribed");
    }
}

#[test]
fn a_route_may_replace_the_type_of_the_subscribe_reply() {
    let routes = routes(&[("/ws/pipeline/{id}", "pipeline_{id}", Some("subscription_confirmed"))]);
    let mut world = with_config(Config { routes, ..Config::default() });
    let conn = world.plain("/ws/pipeline/7?greeting=on");
    world.say(conn, r#"{"type":"subscribe","events":[]}"#);
    assert_eq!(one(&mut world, conn)["type"], "subscription_confirmed");
    world.api("publish", r#"{"channel":"pipeline_7","data":true}"#);
    assert_eq!(world.read(conn), ["true"]);
    let silent = world.open("/ws/pipeline/7?greeting=off");
    assert!(world.read(silent).is_empty());
}

#[test]
fn a_token_in_the_url_is_checked_before_the_greeting() {
    let mut world = world();
    let conn = world.open("/ws/a?token=t");
    world.say(conn, r#"{"type":"ping"}"#);
    assert!(world.read(conn).is_empty());
    world.prove(Claims { channels: vec!["b".into()], ..claims("ada") });
    let frames = world.read_json(conn);
    assert_eq!((&frames[0]["authenticated"], &frames[1]["type"]), (&json!(true), &json!("pong")));
    world.api("publish", r#"{"channel":"b","data":1}"#);
    world.api("publish_user", r#"{"user":"ada","data":2}"#);
    world.api("publish", r#"{"channel":"a","data":3}"#);
    assert_eq!(world.read(conn), ["1", "2", "3"]);
}

#[test]
fn messages_that_waited_for_the_token_are_handled_one_by_one_in_order() {
    let mut world = world();
    let conn = world.open("/ws/a?greeting=off&token=t");
    world.say(conn, r#"{"type":"publish","data":1}"#);
    world.say(conn, r#"{"type":"publish","room":"b","data":2}"#);
    world.prove(claims("ada"));
    let frames = world.read_json(conn);
    assert_eq!((&frames[0], &frames[1]["code"]), (&json!(1), &json!(103)), "the answer to the second is the second");
    let mut world = with(Limits { outbox_frames: 4, ..Limits::default() }, Rules::open());
    let conn = world.open("/ws/a?token=t");
    for said in ["nonsense", "nonsense", r#"{"type":"auth","token":"u"}"#] {
        world.say(conn, said);
    }
    world.prove(claims("ada"));
    assert!(world.tokens.is_empty() && world.shard.is_paused(conn), "two frames wait: it is to read first");
    assert_eq!(world.read(conn).len(), 2, "the greeting and one complaint");
    assert_eq!(world.tokens.len(), 1, "a complaint, and the token behind it");
}

#[test]
fn a_bad_token_leaves_the_client_anonymous_if_that_is_allowed() {
    let mut world = world();
    let conn = world.open("/ws/a?token=t");
    world.judge(conn, Err(parlor_core::BadToken::Signature));
    let frames = world.read_json(conn);
    assert_eq!((&frames[0]["authenticated"], &frames[1]["message"]), (&json!(false), &json!("invalid token")));
    world.api("publish", r#"{"channel":"a","data":1}"#);
    assert_eq!(world.read(conn), ["1"]);
}

#[test]
fn a_required_token_comes_before_everything_else() {
    let mut world = with(Limits::default(), Rules::closed());
    let conn = world.open("/ws/a");
    assert!(world.read(conn).is_empty());
    world.api("publish", r#"{"channel":"a","data":1}"#);
    world.say(conn, r#"{"type":"ping"}"#);
    assert_eq!(one(&mut world, conn)["type"], "error");
    world.say(conn, r#"{"type":"auth","token":"t"}"#);
    world.prove(claims("ada"));
    assert_eq!(one(&mut world, conn)["type"], "connection");
    let bad = world.open("/ws/a?token=t");
    world.tokens.clear();
    world.judge(bad, Ok(Claims { exp: Some(1), ..claims("ada") }));
    assert_eq!(world.read_close(bad), Some((3500, "invalid token".into())));
}

#[test]
fn a_later_token_sets_the_user_once() {
    let mut world = world();
    let conn = world.plain("/ws/a");
    world.say(conn, r#"{"type":"auth","token":"t"}"#);
    world.prove(claims("ada"));
    assert_eq!(
        one(&mut world, conn),
        json!({"type": "authenticated", "user": "ada", "timestamp": "2023-11-14T22:13:20.000Z"})
    );
    world.api("publish_user", r#"{"user":"ada","data":1}"#);
    assert_eq!(world.read(conn), ["1"]);
    world.tokens.clear();
    world.say(conn, r#"{"type":"auth","token":"t"}"#);
    world.prove(Claims { channel: Some("a".into()), ..claims("ada") });
    assert!(one(&mut world, conn)["message"].as_str().unwrap().starts_with("invalid token"));
    world.say(conn, r#"{"type":"auth","token":"t"}"#);
    world.prove(claims("ada"));
    assert_eq!(one(&mut world, conn)["user"], "ada");
    world.say(conn, r#"{"type":"auth","token":"t"}"#);
    world.prove(claims("eve"));
    assert_eq!(world.read_close(conn).map(|(code, _)| code), Some(3501));
}

#[test]
fn a_token_grants_rooms_that_the_client_may_not_name() {
    let mut world = with(Limits::default(), Rules { subscribe: Who::Token, ..Rules::open() });
    let conn = world.open("/ws?room=a&room=b&token=t");
    world.prove(Claims { channels: vec!["a".into()], ..claims("ada") });
    let frames = world.read_json(conn);
    assert_eq!(frames[1]["message"], "permission denied: a token for this room is required (b)");
    world.api("broadcast", r#"{"channels":["a","b"],"data":1}"#);
    assert_eq!(world.read(conn), ["1"]);
}
