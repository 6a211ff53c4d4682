//! Namespaces, permissions and capabilities: what holds in a room by the prefix of its name, and who may do what there.

use crate::world::{World, claims, with_config};
use parlor_core::admission::route::RouteError;
use parlor_core::api::json::METHODS;
use parlor_core::policy::Glob;
use parlor_core::{CapabilityClaim, Claims, Config, Input, Lost, Namespaces, Permissions, Policy, VerifiedClaims, Who};
use serde_json::{Value, json};
use std::time::Duration;

/// A policy in which only a token grants anything.
fn by_token() -> Permissions {
    Permissions { subscribe: Who::Token, publish: Who::Token, history: Who::Token, presence: Who::Token }
}

/// A shard whose namespace `open` permits everything to members, `token` only what a token grants, and `off` nothing.
fn namespaced() -> World {
    let config = Config::default();
    let open = Policy::new(Permissions::open(), &config.limits);
    let token = Policy { permissions: by_token(), ..open.clone() };
    let nobody =
        Permissions { subscribe: Who::Nobody, publish: Who::Nobody, history: Who::Nobody, presence: Who::Nobody };
    let off = Policy { permissions: nobody, history_messages: 0, presence_list: false, ..open.clone() };
    let named = [("open", open.clone()), ("token", token), ("off", off)];
    let named = named.map(|(prefix, policy)| (prefix.into(), policy));
    with_config(Config { namespaces: Namespaces::with(open.clone(), open, named), ..config })
}

fn capability(channels: &[&str], matching: Option<&str>, allow: &[&str]) -> CapabilityClaim {
    let owned = |words: &[&str]| words.iter().map(|word| String::from(*word)).collect();
    CapabilityClaim { channels: owned(channels), matching: matching.map(String::from), allow: owned(allow) }
}

/// The code of the error that a command is answered with; 0 for none.
fn code(world: &mut World, conn: parlor_core::ConnId, command: Value) -> u64 {
    world.say(conn, &command.to_string());
    let answers = world.read_json(conn);
    let answer = answers.iter().find(|answer| answer["id"] == command["id"]).expect("an answer");
    answer["error"]["code"].as_u64().unwrap_or_default()
}

fn subscribe(room: &str) -> Value {
    json!({ "id": 2, "subscribe": { "channel": room } })
}

fn publish(room: &str) -> Value {
    json!({ "id": 3, "publish": { "channel": room, "data": 1 } })
}

#[test]
fn an_unknown_namespace_is_refused_by_name() {
    let mut world = namespaced();
    let conn = world.json_with(claims("ada")).0;
    world.say(conn, &subscribe("chat:1").to_string());
    let error = &world.read_json(conn)[0]["error"];
    assert_eq!(error["code"], 102);
    assert!(error["message"].as_str().is_some_and(|words| words.contains("no namespace \"chat\"")), "{error}");
    let answer = world.api("publish", r#"{"channel":"chat:1","data":1}"#);
    assert_eq!(answer["error"]["code"], 102, "{answer}");
    let answer = world.api("publish", r#"{"channel":":1","data":1}"#);
    let words =
        "channel \":1\": the name begins with a colon, so its prefix is empty, and no namespace has an empty prefix";
    assert_eq!(answer["error"], json!({ "code": 102, "message": words }));
    assert_eq!(code(&mut world, conn, subscribe("plain")), 0, "a name without a prefix belongs to no namespace");
    assert_eq!(code(&mut world, conn, subscribe("open:chat:1")), 0, "the prefix ends at the first colon");
}

#[test]
fn a_prefix_means_nothing_without_namespaces() {
    let mut world = crate::world::world();
    let conn = world.json_with(claims("ada")).0;
    assert_eq!(code(&mut world, conn, subscribe("chat:1")), 0);
}

#[test]
fn what_holds_in_one_namespace_does_not_hold_in_another() {
    let mut world = namespaced();
    let conn = world.json_with(claims("ada")).0;
    assert_eq!(code(&mut world, conn, subscribe("open:a")), 0);
    assert_eq!(code(&mut world, conn, publish("open:a")), 0);
    assert_eq!(code(&mut world, conn, subscribe("token:a")), 103);
    assert_eq!(code(&mut world, conn, publish("token:a")), 103);
    assert_eq!(code(&mut world, conn, subscribe("off:a")), 103);
    for (room, history) in [("open:a", Value::Null), ("off:a", json!(108))] {
        let body = json!({ "channel": room }).to_string();
        assert_eq!(world.api("history", &body)["error"]["code"], history, "{room}");
        assert_eq!(world.api("presence", &body)["error"]["code"], history, "{room}");
        assert_eq!(world.api("presence_stats", &body)["error"]["code"], history, "{room}");
    }
}

#[test]
fn capabilities_permit_what_a_token_has_to_grant() {
    let mut world = namespaced();
    let caps = vec![
        capability(&["token:*"], Some("wildcard"), &["sub"]),
        capability(&["token:a"], None, &["pub", "prs", "hst"]),
        capability(&["off:a"], None, &["sub"]),
    ];
    let conn = world.json_with(Claims { caps, ..claims("ada") }).0;
    for room in ["token:a", "token:b"] {
        let may = room == "token:a";
        let expected = if may { 0 } else { 103 };
        assert_eq!(code(&mut world, conn, subscribe(room)), 0, "{room}");
        assert_eq!(code(&mut world, conn, publish(room)), expected, "{room}");
        assert_eq!(code(&mut world, conn, json!({ "id": 4, "history": { "channel": room } })), expected, "{room}");
        assert_eq!(code(&mut world, conn, json!({ "id": 5, "presence": { "channel": room } })), expected, "{room}");
    }
    assert_eq!(code(&mut world, conn, subscribe("off:a")), 103, "nobody means that no token grants it");
}

/// The rooms that a connection is in.
fn rooms(world: &mut World, conn: parlor_core::ConnId) -> Vec<String> {
    let list = world.api("channels", "{}")["result"]["channels"].as_object().cloned().unwrap_or_default();
    let client = world.shard.snapshot().conns.iter().find(|view| view.id == conn).expect("it is there").client;
    let is_in = |world: &mut World, room: &String| {
        let present = world.api("presence", &json!({ "channel": room }).to_string());
        present["result"]["presence"].get(client.to_string()).is_some()
    };
    list.into_iter().map(|(room, _)| room).filter(|room| is_in(world, room)).collect()
}

/// Shows a later token of a plain client that proves this. Returns the frames that follow.
fn auth(world: &mut World, conn: parlor_core::ConnId, claims: Claims) -> Vec<Value> {
    world.say(conn, r#"{"type":"auth","token":"t"}"#);
    world.prove(claims);
    world.read_json(conn)
}

#[test]
fn a_plain_connection_joins_the_rooms_of_its_url_when_a_token_permits_it() {
    let mut world = namespaced();
    world.api("publish", r#"{"channel":"token:a","data":"before"}"#);
    let conn = world.open("/ws?room=token:a&room=open:a&room=token:b&history=5");
    let refused = world.read_json(conn);
    let codes: Vec<&Value> =
        refused.iter().filter(|frame| frame["type"] == "error").map(|frame| &frame["code"]).collect();
    assert_eq!(codes, [103, 103], "{refused:?}");
    assert_eq!(rooms(&mut world, conn), ["open:a"]);
    let caps = vec![capability(&["token:a"], None, &["sub"])];
    let frames = auth(&mut world, conn, Claims { caps, ..claims("ada") });
    assert_eq!(rooms(&mut world, conn), ["#ada", "open:a", "token:a"]);
    assert_eq!(frames.last(), Some(&json!("before")), "the history that its URL wants");
    let frames = auth(&mut world, conn, claims("ada"));
    assert_eq!(rooms(&mut world, conn), ["#ada", "open:a"]);
    let error = &frames[1];
    assert_eq!((frames.len(), &error["type"], &error["code"]), (2, &json!("error"), &json!(103)), "{frames:?}");
    assert!(error["message"].as_str().is_some_and(|words| words.ends_with("(token:a)")), "{error}");
    let caps = vec![capability(&["token:*"], Some("wildcard"), &["sub"])];
    let frames = auth(&mut world, conn, Claims { caps: caps.clone(), ..claims("ada") });
    assert_eq!(rooms(&mut world, conn), ["#ada", "open:a", "token:a", "token:b"]);
    assert_eq!(frames.len(), 1, "nothing is replayed twice: {frames:?}");
    world.api("unsubscribe", r#"{"channel":"token:b","user":"ada"}"#);
    auth(&mut world, conn, Claims { caps, ..claims("ada") });
    assert_eq!(rooms(&mut world, conn), ["#ada", "open:a", "token:a"], "a backend has taken it out");
}

#[test]
fn a_room_of_a_url_stays_when_a_capability_replaces_the_token_that_put_it_there() {
    let mut world = namespaced();
    let conn = world.open("/ws/token:a");
    world.read(conn);
    auth(&mut world, conn, Claims { channels: vec!["token:a".into()], ..claims("ada") });
    let events = world.events.len();
    auth(&mut world, conn, Claims { caps: vec![capability(&["token:a"], None, &["sub"])], ..claims("ada") });
    assert_eq!(rooms(&mut world, conn), ["#ada", "token:a"]);
    assert_eq!(world.events.len(), events, "it has not left meanwhile");
}

#[test]
fn a_plain_connection_is_closed_for_good_when_a_token_opens_too_many_rooms_of_its_url() {
    let mut world = namespaced();
    let most = world.shard.config().limits.rooms_per_connection;
    let named: Vec<String> = (0..most).map(|number| format!("room=token:{number}")).collect();
    let conn = world.open(&format!("/ws?{}", named.join("&")));
    world.read(conn);
    let caps = vec![capability(&["token:*"], Some("wildcard"), &["sub"])];
    world.say(conn, r#"{"type":"auth","token":"t"}"#);
    world.prove(Claims { caps, ..claims("ada") });
    let code = world.read_close(conn).map(|(code, _)| code);
    assert_eq!(code, Some(3505), "a new connection would have no place either");
}

#[test]
fn a_room_token_grants_what_it_allows() {
    let mut world = namespaced();
    let conn = world.json_with(claims("ada")).0;
    for (room, allow, expected) in [("token:a", vec!["pub".into()], 0), ("token:b", vec![], 103)] {
        let command = json!({ "id": 2, "subscribe": { "channel": room, "token": "t" } });
        world.say(conn, &command.to_string());
        world.prove(Claims { channel: Some(room.into()), allow, ..claims("ada") });
        assert_eq!(world.read_json(conn)[0]["error"], Value::Null, "{room}");
        assert_eq!(code(&mut world, conn, publish(room)), expected, "{room}");
    }
}

#[test]
fn a_refreshed_token_ends_the_subscriptions_that_only_its_capability_allowed() {
    let mut world = namespaced();
    let caps = vec![capability(&["token:*"], Some("wildcard"), &["sub", "pub"])];
    let conn = world.json_with(Claims { caps, channels: vec!["token:c".into()], ..claims("ada") }).0;
    for room in ["token:a", "token:c", "open:a"] {
        assert!([0, 105].contains(&code(&mut world, conn, subscribe(room))), "{room}");
    }
    world.say(conn, r#"{"id":9,"refresh":{"token":"t"}}"#);
    world.prove(Claims { channels: vec!["token:c".into()], ..claims("ada") });
    let frames = world.read_json(conn);
    let ended: Vec<&Value> = frames.iter().filter(|frame| frame["push"]["unsubscribe"].is_object()).collect();
    assert_eq!(ended.len(), 1, "{frames:?}");
    assert_eq!(ended[0]["push"]["channel"], "token:a");
    assert_eq!(ended[0]["push"]["unsubscribe"]["code"], 2000);
    assert_eq!(code(&mut world, conn, publish("token:c")), 103, "the right to publish is over, the membership is not");
    assert_eq!(code(&mut world, conn, publish("open:a")), 0);
}

#[test]
fn the_subscribe_reply_tells_per_room_whether_it_can_be_recovered() {
    let config = Config::default();
    let open = Policy::new(Permissions::open(), &config.limits);
    let off = Policy { history_messages: 0, ..open.clone() };
    let namespaces = Namespaces::with(open.clone(), open, [("off".into(), off)]);
    let mut world = with_config(Config { namespaces, ..config });
    let conn = world.json_with(claims("ada")).0;
    for (room, positioned) in [("a", json!(true)), ("off:a", Value::Null)] {
        world.say(conn, &subscribe(room).to_string());
        let reply = world.read_json(conn).remove(0);
        assert_eq!(reply["subscribe"]["positioned"], positioned, "{room}");
        assert_eq!(reply["subscribe"]["recoverable"], positioned, "{room}");
    }
}

#[test]
fn who_may_publish_is_a_scale() {
    let config = Config::default();
    let policy = |publish| {
        let permissions = Permissions { publish, ..Permissions::open() };
        Policy::new(permissions, &config.limits)
    };
    for who in Who::ALL {
        let namespaces = Namespaces::none(policy(*who), policy(Who::Nobody));
        let mut world = with_config(Config { namespaces, ..config.clone() });
        let granted = Claims { caps: vec![capability(&["a"], None, &["pub"])], ..claims("ada") };
        let mut outcomes = vec![];
        for (claims, is_member) in
            [(Some(granted), false), (Some(claims("ada")), true), (Some(claims("ada")), false), (None, false)]
        {
            let conn = match claims {
                Some(claims) => world.json_with(claims).0,
                None => world.json(),
            };
            if is_member {
                assert_eq!(code(&mut world, conn, subscribe("a")), 0);
            }
            outcomes.push(code(&mut world, conn, publish("a")) == 0);
        }
        let includes = |at: Who| *who >= at;
        let expected = [Who::Token, Who::Members, Who::Users, Who::Anyone].map(includes);
        assert_eq!(outcomes, expected, "publish = {}", who.word());
    }
}

#[test]
fn the_size_of_a_publication_is_bounded_by_its_room() {
    let config = Config::default();
    let open = Policy::new(Permissions::open(), &config.limits);
    let small = Policy { publication_bytes: 4, ..open.clone() };
    let namespaces = Namespaces::with(open.clone(), open, [("small".into(), small)]);
    let mut world = with_config(Config { namespaces, ..config });
    let conn = world.json();
    for (room, expected, of_api) in [("a", 0, Value::Null), ("small:a", 107, json!(106))] {
        assert_eq!(code(&mut world, conn, subscribe(room)), 0);
        let command = json!({ "id": 3, "publish": { "channel": room, "data": 12345 } });
        assert_eq!(code(&mut world, conn, command), expected, "{room}");
        let body = json!({ "channel": room, "data": 12345 });
        assert_eq!(world.api("publish", &body.to_string())["error"]["code"], of_api, "{room}");
        let body = json!({ "channels": [room], "data": 12345 });
        let answer = world.api("broadcast", &body.to_string());
        assert_eq!(answer["result"]["responses"][0]["error"]["code"], of_api, "{room}");
    }
}

#[test]
fn a_name_has_to_match_the_pattern_of_its_namespace() {
    let config = Config::default();
    let open = Policy::new(Permissions::open(), &config.limits);
    let numbered = Policy { name_pattern: Some(Glob::new("n:?".into())), ..open.clone() };
    let namespaces = Namespaces::with(open.clone(), open, [("n".into(), numbered)]);
    let mut world = with_config(Config { namespaces, ..config });
    let conn = world.json();
    assert_eq!(code(&mut world, conn, subscribe("n:1")), 0);
    assert_eq!(code(&mut world, conn, subscribe("n:12")), 107);
    assert_eq!(world.api("publish", r#"{"channel":"n:12","data":1}"#)["error"]["code"], 107);
}

#[test]
fn history_is_retained_as_the_namespace_has_it() {
    let config = Config::default();
    let open = Policy::new(Permissions::open(), &config.limits);
    let short = Policy { history_messages: 2, history_age: Duration::from_secs(10), ..open.clone() };
    let namespaces = Namespaces::with(open.clone(), open, [("short".into(), short)]);
    let mut world = with_config(Config { namespaces, ..config });
    let retained = |world: &mut World, room| {
        let answer = world.api("history", &json!({ "channel": room, "limit": -1 }).to_string());
        answer["result"]["publications"].as_array().map(Vec::len)
    };
    for room in ["a", "short:a"] {
        for _ in 0..3 {
            world.api("publish", &json!({ "channel": room, "data": 1 }).to_string());
        }
    }
    assert_eq!((retained(&mut world, "a"), retained(&mut world, "short:a")), (Some(3), Some(2)));
    world.pass(Duration::from_secs(10));
    assert_eq!((retained(&mut world, "a"), retained(&mut world, "short:a")), (Some(3), Some(0)));
}

#[test]
fn a_subscription_without_a_token_needs_more_than_an_earlier_token_of_the_room() {
    let mut world = namespaced();
    let (conn, _) = world.json_with(Claims { channels: vec!["token:a".into()], ..claims("ada") });
    world.say(conn, r#"{"id":4,"sub_refresh":{"channel":"token:a","token":"t"}}"#);
    world.prove(Claims { channel: Some("token:a".into()), ..claims("ada") });
    assert_eq!(world.read_json(conn)[0]["error"], Value::Null);
    assert_eq!(code(&mut world, conn, subscribe("token:a")), 103);
}

#[test]
fn a_connection_without_the_right_any_more_is_not_told_who_joins_and_leaves() {
    let config = Config::default();
    let permissions = Permissions { presence: Who::Token, ..Permissions::open() };
    let mut world = with_config(Config::uniform(config.limits, true, permissions));
    let caps = vec![capability(&["a"], None, &["prs"])];
    let (by_caps, _) = world.json_with(Claims { caps, ..claims("ada") });
    world.say(by_caps, r#"{"id":2,"subscribe":{"channel":"a","join_leave":true}}"#);
    let (by_room, _) = world.json_with(claims("bob"));
    world.say(by_room, r#"{"id":2,"subscribe":{"channel":"a","join_leave":true,"token":"t"}}"#);
    world.prove(Claims { channel: Some("a".into()), allow: vec!["prs".into()], ..claims("bob") });
    let is_told = |world: &mut World| {
        let (other, _) = world.json_with(claims("eve"));
        assert_eq!(code(world, other, subscribe("a")), 0);
        [by_caps, by_room].map(|conn| world.read_json(conn).iter().any(|frame| frame["push"]["join"].is_object()))
    };
    assert_eq!(is_told(&mut world), [true, true]);
    world.say(by_caps, r#"{"id":3,"refresh":{"token":"t"}}"#);
    world.prove(claims("ada"));
    assert_eq!(is_told(&mut world), [false, true]);
    world.say(by_room, r#"{"id":3,"sub_refresh":{"channel":"a","token":"t"}}"#);
    world.prove(Claims { channel: Some("a".into()), ..claims("bob") });
    assert_eq!(is_told(&mut world), [false, false]);
}

#[test]
fn an_anonymous_member_by_a_capability_stays_where_users_may_be() {
    let permissions = Permissions { subscribe: Who::Users, ..Permissions::open() };
    let mut world = with_config(Config::uniform(Config::default().limits, true, permissions));
    let conn = world.open("/ws/a?token=t&greeting=off");
    world.prove(Claims { caps: vec![capability(&["a"], None, &["sub"])], ..Claims::default() });
    world.say(conn, r#"{"type":"auth","token":"t"}"#);
    world.prove(claims("ann"));
    world.read(conn);
    world.api("publish", r#"{"channel":"a","data":1}"#);
    assert_eq!(world.read(conn), ["1"]);
}

#[test]
fn every_call_about_a_room_documents_that_its_namespace_may_be_unknown() {
    let mut world = namespaced();
    for method in METHODS.iter().filter(|method| !["broadcast", "batch"].contains(&method.name)) {
        let bodies = [json!({}), json!({ "data": 1 }), json!({ "user": "ada" })].map(|mut body| {
            body["channel"] = "x:1".into();
            world.api(method.name, &body.to_string())["error"]["code"] == 102
        });
        let is_documented = method.failures.iter().any(|(status, words)| *status == 404 && words.contains("namespace"));
        assert_eq!(bodies.contains(&true), is_documented, "{}", method.name);
    }
}

#[test]
fn every_entry_refuses_an_unknown_namespace() {
    let mut world = namespaced();
    let (unknown, empty) = ("there is no namespace \"x\"", "the name begins with a colon, so its prefix is empty");
    for (target, words) in [("/ws/x:1", unknown), ("/ws?room=x:1", unknown), ("/ws/:x", empty)] {
        let refused = world.shard.config().resolve(target);
        assert!(matches!(&refused, Err(RouteError::Bad(why)) if why.contains(words)), "{target}: {refused:?}");
    }
    let (conn, _) = world.json_with(claims("ada"));
    world.say(conn, r#"{"id":2,"subscribe":{"channel":"token:a","token":"t"}}"#);
    world.prove(Claims { channel: Some("x:1".into()), ..claims("ada") });
    assert_eq!(world.read_json(conn)[0]["error"]["code"], 103, "a room token is of no use");
    let conn = world.open("/connection/websocket");
    world.say(conn, r#"{"id":1,"connect":{"token":"t"}}"#);
    world.prove(Claims { channels: vec!["x:1".into()], ..claims("ada") });
    assert_eq!(world.read_close(conn).map(|(code, _)| code), Some(3500));
}

/// Patterns that take long to compare with a name of many `a`, and match none, and what they are compared with.
fn long_capabilities() -> (CapabilityClaim, impl Fn(usize) -> String) {
    let pattern = format!("*{}b", "a".repeat(20));
    let patterns = vec![pattern.as_str(); 4096 / pattern.len()];
    let room = |n: usize| format!("token:{}{n:03}", "a".repeat(190));
    (capability(&patterns, Some("wildcard"), &["sub", "pub"]), room)
}

/// Refreshes the token of a connection to one with this capability, and takes one turn for it.
fn begin_refresh(world: &mut World, conn: parlor_core::ConnId, capability: CapabilityClaim) {
    world.say(conn, r#"{"id":8,"refresh":{"token":"t"}}"#);
    world.tokens.clear();
    #[expect(clippy::disallowed_methods, reason = "the test is the verifier")]
    let verdict = Ok(VerifiedClaims::vouched_for_by_verifier(Claims { caps: vec![capability], ..claims("ada") }));
    world.begin(Input::Authenticated { conn, verdict });
}

#[test]
fn commands_that_compare_many_patterns_are_spread_over_turns() {
    let mut world = namespaced();
    let (slow, room) = long_capabilities();
    let conn = world.json_with(Claims { caps: vec![slow], ..claims("ada") }).0;
    let commands: Vec<String> =
        (2..7).map(|id| json!({ "id": id, "publish": { "channel": room(0), "data": 1 } }).to_string()).collect();
    world.begin(Input::Message { conn, message: commands.join("\n").into() });
    let mut turns = 1;
    while world.shard.has_work() {
        world.resume();
        turns += 1;
    }
    assert_eq!(turns, commands.len(), "each of them compares as much as a turn may");
    let answers = world.read_json(conn);
    assert_eq!(answers.iter().map(|answer| &answer["id"]).collect::<Vec<_>>(), [2, 3, 4, 5, 6]);
    assert!(answers.iter().all(|answer| answer["error"]["code"] == 103), "{answers:?}");
}

#[test]
fn a_refreshed_token_with_many_patterns_is_judged_room_by_room_over_turns() {
    let mut world = namespaced();
    let (slow, room) = long_capabilities();
    let all = capability(&["token:*"], Some("wildcard"), &["sub", "pub"]);
    let conn = world.json_with(Claims { caps: vec![all], ..claims("ada") }).0;
    let rooms = 10;
    for n in 0..rooms {
        assert_eq!(code(&mut world, conn, subscribe(&room(n))), 0);
    }
    begin_refresh(&mut world, conn, slow);
    let is_in = |world: &World| world.shard.snapshot().logs.iter().filter(|log| !log.members.is_empty()).count();
    assert_eq!(is_in(&world), rooms, "the personal room and all but one");
    world.begin(Input::Message { conn, message: publish(&room(rooms - 1)).to_string().into() });
    let mut turns = 1;
    while world.shard.has_work() {
        world.resume();
        turns += 1;
    }
    assert!((rooms..=rooms + 1).contains(&turns), "{turns}: each room compares as much as a turn may");
    assert_eq!(is_in(&world), 1, "the personal room");
    let frames = world.read_json(conn);
    let ended = frames.iter().filter(|frame| frame["push"]["unsubscribe"]["code"] == 2000).count();
    assert_eq!(ended, rooms, "{frames:?}");
    let last = frames.last().expect("an answer");
    assert_eq!(
        (&last["id"], &last["error"]["code"]),
        (&json!(3), &json!(103)),
        "it waited until the room was looked at"
    );
}

#[test]
fn the_connection_whose_rooms_are_looked_at_may_end() {
    let mut world = namespaced();
    let (slow, room) = long_capabilities();
    let all = capability(&["token:*"], Some("wildcard"), &["sub"]);
    let conn = world.json_with(Claims { caps: vec![all], ..claims("ada") }).0;
    for n in 0..3 {
        assert_eq!(code(&mut world, conn, subscribe(&room(n))), 0);
    }
    begin_refresh(&mut world, conn, slow);
    assert!(world.shard.has_work());
    world.begin(Input::Lost { conn, cause: Lost::Eof });
    while world.shard.has_work() {
        world.resume();
    }
    assert_eq!(world.shard.stats().gauges.connections, 0);
}
