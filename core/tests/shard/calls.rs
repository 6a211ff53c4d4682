//! What one call of a backend may be and may be answered.

use crate::world::{Rules, World, with, world};
use parlor_core::api::{Command, HistoryLimit, HistoryQuery, Reply};
use parlor_core::{Config, Limits, Payload};
use serde_json::{Value, json};

/// Asserts that a call is refused because of this limit.
fn refused(answer: &Value, limit: &str) {
    assert_eq!((&answer["error"]["code"], &answer["error"]["limit"]), (&json!(106), &json!(limit)), "{answer}");
}

/// The parts of the answer to a batch.
fn batch(world: &mut World, commands: &Value) -> Vec<Value> {
    let answer = world.api("batch", &json!({ "commands": commands }).to_string());
    answer["replies"].as_array().unwrap_or_else(|| panic!("{answer}")).clone()
}

fn top(world: &mut World, room: &str) -> Value {
    world.api("history", &json!({"channel": room, "limit": 0}).to_string())["result"]["offset"].clone()
}

#[test]
fn a_call_of_too_many_parts_is_refused_whole() {
    let mut world = with(Limits { broadcast_channels: 2, batch_commands: 2, ..Limits::default() }, Rules::open());
    let broadcast = |rooms: &[&str]| json!({"channels": rooms, "data": 1}).to_string();
    refused(&world.api("broadcast", &broadcast(&["a", "b", "c"])), "broadcast_channels");
    let publish = json!({"publish": {"channel": "a", "data": 1}});
    refused(&world.api("batch", &json!({"commands": vec![&publish; 3]}).to_string()), "batch_commands");
    assert_eq!(top(&mut world, "a"), 0, "nothing of either was done");
    let within = world.api("broadcast", &broadcast(&["a", "b"]));
    assert_eq!(within["result"]["responses"].as_array().map(Vec::len), Some(2));
    let parts = batch(&mut world, &json!([publish, {"broadcast": {"channels": ["a", "b", "c"], "data": 1}}]));
    assert_eq!(parts[0]["publish"]["offset"], 2);
    refused(&parts[1], "broadcast_channels");
    for broken in [r#"{"channels":[1],"data":1}"#, r#"{"channels":["a","b",],"data":1}"#, r#"{"data":1}"#] {
        assert_eq!(world.api("broadcast", broken)["error"]["code"], 107, "{broken}");
    }
}

#[test]
fn a_pattern_is_no_longer_than_a_name() {
    let mut world = world();
    world.plain("/ws/lobby");
    let ask = |world: &mut World, pattern: String| world.api("channels", &json!({ "pattern": pattern }).to_string());
    assert_eq!(ask(&mut world, "*".repeat(200))["result"]["channels"]["lobby"]["num_clients"], 1);
    let answer = ask(&mut world, "*".repeat(201));
    assert_eq!((&answer["error"]["code"], &answer["error"]["limit"]), (&json!(107), &json!("room_name_bytes")));
}

#[test]
fn a_read_that_does_not_fit_the_answer_is_refused() {
    let mut world = with(Limits { api_reply_bytes: 1000, ..Limits::default() }, Rules::open());
    for number in 0..4 {
        world.plain(&format!("/ws?room=a&room={number}{}", "x".repeat(100)));
        world.api("publish", &json!({"channel": "a", "data": "y".repeat(220)}).to_string());
    }
    // Not yet a thousand bytes.
    assert_eq!(world.api("channels", "{}")["result"]["channels"].as_object().map(|all| all.len()), Some(5));
    assert_eq!(
        world.api("presence", r#"{"channel":"a"}"#)["result"]["presence"].as_object().map(|all| all.len()),
        Some(4)
    );
    let history = |limit: u8| json!({"channel": "a", "limit": limit}).to_string();
    assert_eq!(world.api("history", &history(3))["result"]["publications"].as_array().map(Vec::len), Some(3));
    refused(&world.api("history", &history(4)), "api_reply_bytes");
    refused(&world.api("limits", "{}"), "api_reply_bytes");
    for _ in 0..8 {
        world.plain(&format!("/ws?room=a&room={}", "z".repeat(150)));
    }
    refused(&world.api("connections", "{}"), "api_reply_bytes");
    refused(&world.api("presence", r#"{"channel":"a"}"#), "api_reply_bytes");
    assert_eq!(world.api("presence_stats", r#"{"channel":"a"}"#)["result"], json!({"num_clients": 12, "num_users": 1}));
    assert!(world.api("info", "{}")["error"].is_null());
    for number in 0..4 {
        world.plain(&format!("/ws/{number}{}", "v".repeat(150)));
    }
    refused(&world.api("channels", "{}"), "api_reply_bytes");
    assert_eq!(world.shard.stats().totals.limits.values().sum::<u64>(), 5);
}

#[test]
fn an_answer_may_have_exactly_api_reply_bytes() {
    // Found by what is said of it: a byte less, and the same call is refused.
    let ask = |most: usize, method: &str| {
        let mut world = with(Limits { api_reply_bytes: most, ..Limits::default() }, Rules::open());
        for number in 0..9 {
            world.plain(&format!("/ws?room=a&room={number}%22%C3%A4{}", "x".repeat(100)));
        }
        world.api(method, r#"{}"#)
    };
    for method in ["channels", "connections"] {
        let bytes = ask(100_000, method)["result"].to_string().len();
        // What is around it is counted as if it were in a batch.
        let most = bytes + 40;
        assert!(ask(most, method)["error"].is_null(), "{method}");
        refused(&ask(most - 1, method), "api_reply_bytes");
    }
}

#[test]
fn a_write_is_done_only_if_its_answer_fits() {
    let mut world = with(Limits { api_reply_bytes: 1000, ..Limits::default() }, Rules::open());
    let rooms = |count: usize| json!({"channels": vec!["a"; count], "data": 1}).to_string();
    refused(&world.api("broadcast", &rooms(10)), "api_reply_bytes");
    assert_eq!(top(&mut world, "a"), 0);
    assert!(world.api("broadcast", &rooms(9))["error"].is_null());
    assert_eq!(top(&mut world, "a"), 9);
}

#[test]
fn the_answer_to_a_batch_is_bounded_for_any_number_of_refusals() {
    let mut world = with(Limits { api_reply_bytes: 1000, ..Limits::default() }, Rules::open());
    let publish = json!({"publish_user": {"user": "u", "data": 1}});
    let parts = batch(&mut world, &json!(vec![publish; 1000]));
    let bytes = Value::from(parts).to_string().len();
    assert!((100_000..1000 + 1000 * 200).contains(&bytes), "{bytes} bytes");
}

#[test]
fn after_the_first_part_that_does_not_fit_no_part_is_done() {
    let mut world = with(Limits { api_reply_bytes: 1000, ..Limits::default() }, Rules::open());
    world.api("publish", &json!({"channel": "long", "data": "y".repeat(900)}).to_string());
    let publish = json!({"publish": {"channel": "a", "data": 1}});
    let history = json!({"history": {"channel": "long", "limit": 1}});
    let parts = batch(&mut world, &json!([publish, history, publish, {"publish": {}}, {"info": {}}]));
    assert_eq!(parts[0]["publish"]["offset"], 1);
    parts[1..3].iter().for_each(|part| refused(part, "api_reply_bytes"));
    assert_eq!(parts[3]["error"]["code"], 107, "what could not be read was nothing to do");
    refused(&parts[4], "api_reply_bytes");
    assert_eq!(top(&mut world, "a"), 1);
    let parts = batch(&mut world, &json!(vec![&publish; 20]));
    let done = parts.iter().filter(|part| part["error"].is_null()).count();
    assert_eq!(done, 8, "a hundred bytes each, and what is around them");
    assert!(parts[done..].iter().all(|part| part["error"]["limit"] == "api_reply_bytes"));
    assert_eq!(top(&mut world, "a"), 9);
}

#[test]
fn the_publications_of_a_broadcast_share_their_payload() {
    let mut world = world();
    world.api("broadcast", r#"{"channels":["a","b"],"data":{"n":1},"tags":{"k":"v"}}"#);
    let mut read = |room: &str| {
        let query = HistoryQuery { limit: HistoryLimit::Unlimited, ..HistoryQuery::default() };
        match world.call(Command::History { channel: Config::default().room(room).expect("a name"), query }) {
            Ok(Reply::History { publications, .. }) => publications[0].clone(),
            other => panic!("{other:?}"),
        }
    };
    let (a, b) = (read("a"), read("b"));
    let (Payload::Json(one), Payload::Json(other)) = (&a.data, &b.data) else { panic!("JSON stays JSON") };
    assert!(one.is_shared_with(other) && a.tags.is_some());
    assert!(a.tags.zip(b.tags).is_some_and(|(a, b)| a.is_shared_with(&b)));
}

/// All that a method lists, part by part, with what is done between two parts.
fn pages(world: &mut World, method: &str, field: &str, mut between: impl FnMut(&mut World)) -> Vec<String> {
    let (mut found, mut cursor) = (vec![], Value::Null);
    loop {
        let answer = world.api(method, &json!({"limit": 2, "cursor": cursor}).to_string());
        let part = answer["result"][field].as_object().unwrap_or_else(|| panic!("{answer}"));
        assert!(part.len() <= 2);
        found.extend(part.keys().cloned());
        cursor = answer["result"]["cursor"].clone();
        if cursor.is_null() {
            return found;
        }
        between(world);
    }
}

#[test]
fn a_list_in_parts_has_each_lasting_item_exactly_once() {
    let mut world = world();
    let rooms = ["b", "d", "f", "h", "ä"];
    for room in rooms {
        world.plain(&format!("/ws/{room}"));
    }
    assert_eq!(pages(&mut world, "channels", "channels", |_| ()), rooms);
    let clients = pages(&mut world, "connections", "connections", |_| ());
    assert_eq!(clients.len(), rooms.len());
    // Rooms come and go meanwhile, before and behind where the list has got to.
    let mut names = ["a", "c", "e", "g", "i"].into_iter();
    let found = pages(&mut world, "channels", "channels", |world| {
        if let Some(name) = names.next() {
            world.plain(&format!("/ws/{name}"));
        }
    });
    for room in rooms {
        assert_eq!(found.iter().filter(|name| *name == room).count(), 1, "{room} in {found:?}");
    }
    let all = world.api("channels", "{}");
    assert!(all["result"].get("cursor").is_none(), "{all}");
}

#[test]
fn an_impossible_part_of_a_list_is_refused() {
    let mut world = world();
    assert_eq!(world.api("connections", r#"{"cursor":"x"}"#)["error"]["code"], 107);
    for body in [r#"{"limit":0}"#, r#"{"limit":1001}"#, r#"{"limit":-1}"#, r#"{"cursor":7}"#] {
        for method in ["channels", "connections"] {
            assert_eq!(world.api(method, body)["error"]["code"], 107, "{method} {body}");
        }
    }
    for body in [r#"{"limit":1000}"#, r#"{"limit":null,"cursor":null}"#, r#"{"cursor":""}"#] {
        for method in ["channels", "connections"] {
            assert!(world.api(method, body)["error"].is_null(), "{method} {body}");
        }
    }
}
