//! Payloads that could end a client, or fool it: who may publish what.

use crate::world::{Rules, World, claims, raw, routes, with, with_config, world};
use parlor_core::api::json::encode;
use parlor_core::api::{Command, HistoryLimit, HistoryQuery, Message, Reply};
use parlor_core::limits::Rate;
use parlor_core::protocol::MessageType;
use parlor_core::{Claims, Config, ConnId, Limits, Payload, Who};
use serde_json::{Value, json};
use std::collections::BTreeMap;

const LIMITS: (usize, usize) = (5, 20);

fn small() -> World {
    let (json_depth, json_number_digits) = LIMITS;
    with(Limits { json_depth, json_number_digits, ..Limits::default() }, Rules::open())
}

fn nested(depth: usize) -> String {
    format!("{}{}", "[".repeat(depth), "]".repeat(depth))
}

/// Payloads that are just good, and ones that are just too much, with the words that say so.
fn payloads() -> (Vec<String>, Vec<(String, &'static str)>) {
    let (depth, digits) = LIMITS;
    let good = vec![nested(depth), "9".repeat(digits), r#""\ud83d\ude00""#.into(), "null".into()];
    let bad = vec![
        (nested(depth + 1), "json_depth"),
        (format!(r#"{{"a":{}}}"#, nested(depth)), "json_depth"),
        ("9".repeat(digits + 1), "json_number_digits"),
        (format!(r#"{{"a":[-1.{}e5]}}"#, "9".repeat(digits - 1)), "json_number_digits"),
        (r#""\ud800""#.into(), "surrogate"),
        (r#"{"\udc00":1}"#.into(), "surrogate"),
    ];
    (good, bad)
}

#[test]
fn a_payload_that_some_clients_cannot_read_is_refused() {
    let mut world = small();
    let (json, plain) = (world.json(), world.plain("/ws/r"));
    world.say(json, r#"{"id":2,"subscribe":{"channel":"r"}}"#);
    world.read(json);
    let (good, bad) = payloads();
    for (data, words) in &bad {
        world.say(json, &format!(r#"{{"id":3,"publish":{{"channel":"r","data":{data}}}}}"#));
        let reply = &world.read_json(json)[0]["error"];
        assert!(reply["code"] == 107 && reply["message"].as_str().is_some_and(|text| text.contains(words)), "{reply}");
        world.say(plain, &format!(r#"{{"type":"publish","data":{data},"id":4}}"#));
        let frame = &world.read_json(plain)[0];
        assert_eq!((&frame["type"], &frame["code"], &frame["id"]), (&json!("error"), &json!(107), &json!(4)), "{data}");
        for (method, to) in CALLS {
            let answer = world.api(method, &format!(r#"{{{to}"data":{data}}}"#));
            assert_eq!(answer["error"]["code"], 107, "{method} {data}: {answer}");
            assert!(answer["error"]["message"].as_str().is_some_and(|text| text.contains(words)), "{answer}");
        }
    }
    let answer = world.api("history", r#"{"channel":"r","limit":-1}"#);
    assert_eq!(answer["result"]["publications"], json!([]), "nothing of it is retained");
    for data in good {
        world.say(json, &format!(r#"{{"id":3,"publish":{{"channel":"r","data":{data}}}}}"#));
        assert_eq!(world.read(plain), [data.as_str()]);
        assert_eq!(world.read(json).len(), 2, "the publication and the reply");
    }
}

#[test]
fn every_payload_is_read_from_the_log_as_it_was_published() {
    let mut world = world();
    let room = world.shard.config().room("r").expect("a name");
    let bytes = (0..=255_u8).flat_map(|byte| (0..4).map(move |length| Payload::from(vec![byte; length])));
    let all = Payload::from((0..=255).collect::<Vec<u8>>());
    let json = payloads().0.into_iter().chain(["\"AA==\"".into(), "{\"a\": [1]}".into()]);
    for payload in json.map(|text| Payload::from(raw(&text))).chain(bytes).chain([all]) {
        let message =
            Message { data: payload.clone(), tags: BTreeMap::new(), skip_history: false, idempotency_key: None };
        let published = world.call(Command::Publish { channel: room.clone(), message });
        assert!(matches!(published, Ok(Reply::Published(_))), "{published:?}");
        let query = HistoryQuery { limit: HistoryLimit::at_most(1), reverse: true, since: None };
        let read = world.call(Command::History { channel: room.clone(), query });
        let Ok(Reply::History { publications, .. }) = &read else { panic!("{read:?}") };
        assert_eq!(publications[0].data, payload);
        let body: Value = serde_json::from_str(&encode(&read)).expect("JSON");
        let as_json: Value = serde_json::from_str(&payload.json()).expect("JSON");
        assert_eq!(body["result"]["publications"][0]["data"], as_json, "over HTTP");
    }
}

/// The calls that publish or send, with whom they do it to.
const CALLS: [(&str, &str); 5] = [
    ("publish", r#""channel":"r","#),
    ("broadcast", r#""channels":["r"],"#),
    ("publish_user", r#""user":"ann","#),
    ("publish_all", ""),
    ("send", r#""client":"01010101-0101-0101-0101-010101010101","#),
];

#[test]
fn unreadable_json_beside_a_command_is_refused() {
    for (data, words) in payloads().1 {
        let mut world = small();
        let conn = world.open("/connection/websocket");
        for command in ["connect", "subscribe"] {
            world.say(conn, &format!(r#"{{"id":1,"{command}":{{"channel":"r","data":{data}}}}}"#));
            let reply = &world.read_json(conn)[0]["error"];
            assert!(reply["code"] == 107, "{command}: {reply}");
            assert!(reply["message"].as_str().is_some_and(|text| text.contains(words)), "{command}: {reply}");
            world.say(conn, r#"{"id":2,"connect":{"data":[]}}"#);
            world.read(conn);
        }
        let plain = world.plain("/ws/r");
        world.say(plain, &format!(r#"{{"type":"publish","data":1,"id":{data}}}"#));
        let frame = &world.read_json(plain)[0];
        assert!(frame["code"] == 107 && frame["id"].is_null(), "{frame}");
    }
}

#[test]
fn a_token_with_an_info_that_some_clients_cannot_read_is_invalid() {
    for (info, _) in payloads().1 {
        let bad = |claims: Claims| Claims { info: Some(raw(&info)), ..claims };
        let mut world = small();
        let conn = world.open("/connection/websocket");
        world.say(conn, r#"{"id":1,"connect":{"token":"t"}}"#);
        world.prove(bad(claims("ann")));
        assert_eq!(world.read_close(conn).map(|(code, _)| code), Some(3500), "{info}");
        let conn = world.json();
        world.say(conn, r#"{"id":2,"subscribe":{"channel":"r","token":"t"}}"#);
        world.prove(bad(Claims { channel: Some("r".into()), ..Claims::default() }));
        assert_eq!(world.read_json(conn)[0]["error"]["code"], 103, "{info}");
        let plain = world.open("/ws/r?token=t");
        world.prove(bad(claims("ann")));
        let message = world.read_json(plain)[1]["message"].to_string();
        assert!(message.starts_with("\"invalid token: info "), "{info}: {message}");
        assert_eq!(world.read_close(plain), None);
    }
}

/// Publishes as a client of either protocol; what the other members of the room are shown.
fn published(world: &mut World, [json, plain]: [ConnId; 2], member: ConnId, data: &str) -> Vec<String> {
    world.say(json, &format!(r#"{{"id":3,"publish":{{"channel":"r","data":{data}}}}}"#));
    world.say(plain, &format!(r#"{{"type":"publish","room":"r","data":{data},"id":4}}"#));
    for (conn, refused) in [(json, "/error/code"), (plain, "/code")] {
        let frames = world.read_json(conn);
        let last = frames.last().and_then(|frame| frame.pointer(refused)).unwrap_or(&Value::Null);
        assert!([json!(107), Value::Null].contains(last), "{frames:?}");
    }
    world.read(member)
}

#[test]
fn a_client_publishes_no_frame_that_only_the_server_sends() {
    let types: Vec<&str> = MessageType::ALL.iter().map(|word| word.text()).chain(["seen"]).collect();
    let routes = routes(&[("/ws/other", "other", Some("seen"))]);
    let limits = Limits { client_publishes: Rate::OFF, client_commands: Rate::OFF, ..Limits::default() };
    let mut world = with_config(Config { routes, ..Config::from(limits) });
    let json = world.json();
    world.say(json, r#"{"id":2,"subscribe":{"channel":"r"}}"#);
    world.read(json);
    let (plain, member) = (world.plain("/ws/r"), world.plain("/ws/r"));
    for word in types {
        let first = format!("\\u{:04x}{}", u32::from(word.chars().next().expect("a letter")), &word[1..]);
        for data in [
            format!(r#"{{"type":"{word}"}}"#),
            format!(r#"{{"n":{{"type":1}},"type" : "{word}"}}"#),
            format!(r#"{{"\u0074ype":"{word}"}}"#),
            format!(r#"{{"type":"{first}","room":"r"}}"#),
            format!(r#"{{"type":"a","type":"{word}"}}"#),
            format!(r#"{{"type":"{word}","type":"a"}}"#),
            format!(r#"{{"type":7,"t\u0079pe":"{word}","type":null}}"#),
        ] {
            assert_eq!(published(&mut world, [json, plain], member, &data), Vec::<String>::new(), "{data}");
        }
        for data in [
            format!(r#"{{"kind":"{word}"}}"#),
            format!(r#"{{"a":{{"type":"{word}"}}}}"#),
            format!(r#"{{"type":"{word}s"}}"#),
            format!(r#"{{"type":"{}"}}"#, word.to_uppercase()),
            format!(r#"[{{"type":"{word}"}}]"#),
            format!(r#""{word}""#),
        ] {
            assert_eq!(published(&mut world, [json, plain], member, &data), [data.as_str(); 2], "{data}");
        }
        world.api("publish", &format!(r#"{{"channel":"r","data":{{"type":"{word}"}}}}"#));
        assert_eq!(world.read(member).len(), 1, "a backend may");
        world.read(plain);
        world.read(json);
    }
}

#[test]
fn null_is_a_payload_like_any_other() {
    let mut world = world();
    let (json, plain) = (world.json(), world.plain("/ws/r"));
    world.say(json, r#"{"id":2,"subscribe":{"channel":"r"}}"#);
    world.read(json);
    for (method, to) in CALLS {
        let answer = world.api(method, &format!(r#"{{{to}"data":null}}"#));
        assert!(answer["error"].is_null(), "{method}: {answer}");
    }
    world.say(json, r#"{"id":3,"publish":{"channel":"r","data":null}}"#);
    world.say(plain, r#"{"type":"publish","data":null}"#);
    assert_eq!(world.read(plain), ["null"; 5]);
    let history = world.api("history", r#"{"channel":"r","limit":-1}"#);
    let data: Vec<&Value> =
        history["result"]["publications"].as_array().unwrap().iter().map(|one| &one["data"]).collect();
    assert_eq!(data, [&Value::Null; 4], "{history}");
    for (method, to) in CALLS {
        let answer = world.api(method, &format!("{{{}}}", to.trim_end_matches(',')));
        assert_eq!(answer["error"]["message"], "data is missing", "{method}");
    }
}

#[test]
fn an_unsupported_option_is_refused_by_its_name() {
    let mut world = with(Limits::default(), Rules { presence: Who::Token, ..Rules::open() });
    let conn = world.json();
    let filter = json!({"op": "", "key": "a", "cmp": "eq", "val": "b"});
    let cases = [
        ("subscribe", "tf", filter.clone(), 108),
        ("subscribe", "tf", json!({"op": "and", "nodes": [filter]}), 108),
        ("subscribe", "type", json!(1), 108),
        ("subscribe", "phase", json!(2), 108),
        ("subscribe", "cursor", json!("c"), 108),
        ("subscribe", "limit", json!(3), 108),
        ("subscribe", "join_leave", json!(true), 103),
        ("publish", "type", json!(1), 108),
        ("publish", "key", json!("k"), 108),
        ("publish", "removed", json!(true), 108),
        ("sub_refresh", "type", json!(1), 108),
        ("sub_refresh", "track", json!([{"signature": "s"}]), 108),
        ("sub_refresh", "untrack", json!(["k"]), 108),
    ];
    for (method, field, value, code) in cases {
        world.say(conn, &json!({"id": 2, method: {"channel": "r", "data": 1, field: value}}).to_string());
        let error = &world.read_json(conn)[0]["error"];
        assert_eq!(error["code"], code, "{method} {field}: {error}");
        assert!(error["message"].as_str().is_some_and(|words| words.contains(field)), "{method} {field}: {error}");
    }
    assert!(world.shard.snapshot().rooms.is_empty());
    let unready = world.open("/connection/websocket");
    world.say(unready, r#"{"id":1,"connect":{"subs":{"r":{"tf":{"key":"a"}}}}}"#);
    assert_eq!(world.read_json(unready)[0]["error"]["code"], 108);
}

#[test]
fn zero_values_of_typed_clients_ask_for_nothing() {
    let mut world = world();
    let conn = world.open("/connection/websocket");
    world.say(conn, r#"{"id":1,"connect":{"token":null,"data":null,"subs":null,"name":null}}"#);
    assert!(world.read_json(conn)[0]["connect"]["client"].is_string());
    for (at, tf) in ["null", "{}", r#"{"op":"","key":"","cmp":"","val":"","vals":[],"nodes":[]}"#].iter().enumerate() {
        world.say(
            conn,
            &format!(
                r#"{{"id":2,"subscribe":{{"channel":"r{at}","token":null,"recover":null,"epoch":null,"offset":null,
                "join_leave":null,"positioned":null,"data":null,"flag":null,"tf":{tf},"type":0,"phase":0,"cursor":"","limit":0}}}}"#
            ),
        );
        assert_eq!(world.read_json(conn)[0]["subscribe"]["recoverable"], true, "{tf}");
    }
    world.say(conn, r#"{"id":3,"publish":{"channel":"r0","data":1,"type":0,"key":"","removed":false}}"#);
    world.say(conn, r#"{"id":4,"history":{"channel":"r0","limit":null,"since":null,"reverse":null}}"#);
    let replies = world.read_json(conn);
    assert_eq!((&replies[1]["publish"], &replies[2]["history"]["offset"]), (&json!({}), &json!(1)), "{replies:?}");
    world.say(conn, r#"{"id":5,"subscribe":{"channel":"r9","delta":"fossil"}}"#);
    assert!(world.read_json(conn)[0]["subscribe"].is_object(), "what is negotiated may be left out");
}

#[test]
fn every_refusal_of_a_plain_command_with_an_id_carries_it() {
    let limits = Limits { filter_events: 1, filter_event_bytes: 2, publication_bytes: 20, ..Limits::default() };
    let mut world = with(limits, Rules { history: Who::Token, ..Rules::open() });
    let conn = world.plain("/ws?room=a&room=b");
    let ids = [json!(7), json!("x"), json!({"a": [1]})];
    let refused = [
        r#""type":"publish""#,
        r#""type":"publish","data":1"#,
        r#""type":"publish","data":1,"room":"c""#,
        r#""type":"publish","data":1,"room":7"#,
        r#""type":"publish","data":1,"room":"""#,
        r#""type":"publish","data":"a payload that is too long","room":"a""#,
        r#""type":"publish","data":{"type":"gap"},"room":"a""#,
        r#""type":"subscribe","events":["a","b"]"#,
        r#""type":"subscribe","events":["abc"]"#,
        r#""type":"subscribe","events":7"#,
        r#""type":"auth""#,
        r#""type":"auth","token":7"#,
    ];
    for id in &ids {
        for fields in refused {
            world.say(conn, &format!(r#"{{{fields},"id":{id}}}"#));
            let frames = world.read_json(conn);
            assert_eq!((frames.len(), &frames[0]["type"], &frames[0]["id"]), (1, &json!("error"), id), "{fields}");
            assert!(frames[0]["code"].is_u64(), "{fields}: {frames:?}");
        }
        world.say(conn, &format!(r#"{{"type":"auth","token":"t","id":{id}}}"#));
        let (conn, _) = world.tokens.pop_front().expect("a token is being checked");
        world.judge(conn, Err(parlor_core::BadToken::Signature));
        assert_eq!(&world.read_json(conn)[0]["id"], id);
    }
    let client_commands = Rate { per_second: 1, burst: 2 };
    let mut world = with(Limits { client_commands, rooms_per_connection: 1, ..Limits::default() }, Rules::closed());
    let conn = world.open("/ws/a");
    for expected in [Value::Null, Value::Null, json!(111)] {
        world.say(conn, r#"{"type":"ping","id":9}"#);
        let frame = &world.read_json(conn)[0];
        assert_eq!((&frame["id"], &frame["code"]), (&json!(9), &expected), "not authenticated, then too many");
    }
}
