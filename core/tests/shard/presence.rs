//! Who is in a room, who comes and goes, and subscriptions that the server or a token decides on.

use crate::world::{Rules, World, claims, raw, with, world};
use parlor_core::{BadToken, Claims, ConnId, Input, Limit, Limits, Who};
use serde_json::{Value, json};
use std::time::Duration;

const A: &str = "01010101-0101-0101-0101-010101010101";
const B: &str = "02020202-0202-0202-0202-020202020202";

fn user(world: &mut World, name: &str) -> ConnId {
    world.json_with(Claims { info: Some(raw(r#"{"n":1}"#)), ..claims(name) }).0
}

fn ask(world: &mut World, conn: ConnId, command: Value) -> Value {
    world.say(conn, &command.to_string());
    world.read_json(conn).pop().expect("an answer")
}

#[test]
fn members_are_listed_and_counted() {
    let mut world = world();
    let (a, b) = (user(&mut world, "ada"), user(&mut world, "ada"));
    let plain = world.plain("/ws/x");
    for conn in [a, b] {
        ask(&mut world, conn, json!({"id": 2, "subscribe": {"channel": "x"}}));
    }
    let reply = ask(&mut world, a, json!({"id": 3, "presence": {"channel": "x"}}));
    let anonymous = "03030303-0303-0303-0303-030303030303";
    let expected = json!({
        A: {"client": A, "user": "ada", "conn_info": {"n": 1}},
        B: {"client": B, "user": "ada", "conn_info": {"n": 1}},
        anonymous: {"client": anonymous, "user": ""},
    });
    assert_eq!(reply["presence"]["presence"], expected);
    assert_eq!(world.api("presence", r#"{"channel":"x"}"#)["result"]["presence"], expected);
    let stats = json!({"num_clients": 3, "num_users": 2});
    assert_eq!(ask(&mut world, a, json!({"id": 4, "presence_stats": {"channel": "x"}}))["presence_stats"], stats);
    assert_eq!(world.api("presence_stats", r#"{"channel":"x"}"#)["result"], stats);
    world.input(Input::PeerClosed { conn: plain, code: None });
    assert_eq!(world.api("presence_stats", r#"{"channel":"x"}"#)["result"], json!({"num_clients": 2, "num_users": 1}));
    assert_eq!(world.api("presence", r#"{"channel":"nobody"}"#)["result"], json!({"presence": {}}));
}

#[test]
fn a_presence_reply_is_bounded_by_its_list_as_encoded() {
    let list_of = |reply_bytes| {
        let mut world = with(Limits { reply_bytes, ..Limits::default() }, Rules::open());
        let a = world.json();
        ask(&mut world, a, json!({"id": 2, "subscribe": {"channel": "x"}}));
        world.plain("/ws/x");
        let reply = ask(&mut world, a, json!({"id": 3, "presence": {"channel": "x"}}));
        (reply, world.shard.stats().totals.limits.get(&Limit::ReplyBytes).copied())
    };
    let (whole, hits) = list_of(1000);
    assert_eq!((whole["presence"]["presence"].as_object().map(serde_json::Map::len), hits), (Some(2), None));
    let bytes = whole["presence"]["presence"].to_string().len();
    assert_eq!(list_of(bytes), (whole, None), "exactly reply_bytes");
    for less in [bytes - 1, bytes / 2, 1] {
        let (refused, hits) = list_of(less);
        let words = format!("the list of members has more than {less} bytes (reply_bytes)");
        assert_eq!((&refused["error"], hits), (&json!({ "code": 106, "message": words }), Some(1)));
    }
}

#[test]
fn watchers_receive_joins_and_leaves() {
    let mut world = world();
    let a = user(&mut world, "ada");
    world.say(a, r#"{"id":2,"subscribe":{"channel":"x","join_leave":true}}"#);
    let frames = world.read_json(a);
    let who = |client: &str, user: &str| json!({"client": client, "user": user, "conn_info": {"n": 1}});
    assert_eq!(
        frames[1],
        json!({"push": {"channel": "x", "join": {"info": who(A, "ada")}}}),
        "its own, after the reply"
    );
    let b = user(&mut world, "bob");
    world.say(b, r#"{"id":2,"subscribe":{"channel":"x"}}{"id":3,"unsubscribe":{"channel":"x"}}"#);
    assert_eq!(world.read(b).len(), 2, "who does not watch is not told");
    let pushes = world.read_json(a);
    let expected = [
        json!({"push": {"channel": "x", "join": {"info": who(B, "bob")}}}),
        json!({"push": {"channel": "x", "leave": {"info": who(B, "bob")}}}),
    ];
    assert_eq!(pushes, expected);
    world.say(a, r#"{"id":3,"unsubscribe":{"channel":"x"}}{"id":4,"subscribe":{"channel":"x"}}"#);
    world.read(a);
    world.plain("/ws/x");
    assert!(world.read(a).is_empty(), "it no longer watches");
}

#[test]
fn authenticating_renames_a_plain_client_in_its_rooms() {
    let mut world = world();
    let a = world.json();
    world.say(a, r#"{"id":2,"subscribe":{"channel":"x","join_leave":true}}"#);
    world.read(a);
    let b = world.plain("/ws/x");
    world.read(a);
    world.say(b, r#"{"type":"auth","token":"t"}"#);
    world.prove(claims("bob"));
    let pushes = world.read_json(a);
    assert_eq!(
        (&pushes[0]["push"]["leave"]["info"]["user"], &pushes[1]["push"]["join"]["info"]["user"]),
        (&json!(""), &json!("bob"))
    );
    assert_eq!(world.api("presence", r#"{"channel":"x"}"#)["result"]["presence"][B]["user"], "bob");
}

#[test]
fn commands_that_a_policy_forbids_are_refused() {
    let policy = Rules { anonymous: true, ..Rules::closed() };
    let mut world = with(Limits::default(), policy);
    let a = world.json();
    world.say(a, r#"{"id":2,"subscribe":{"channel":"x","join_leave":true}}"#);
    assert_eq!(world.read(a).len(), 1, "no join push");
    for method in ["history", "presence", "presence_stats", "publish"] {
        let reply = ask(&mut world, a, json!({"id": 3, method: {"channel": "x", "data": 1}}));
        assert_eq!(reply["error"]["code"], 103, "{method}");
    }
    let mut world = crate::world::world();
    let a = world.json();
    for method in ["history", "presence", "presence_stats", "publish"] {
        let reply = ask(&mut world, a, json!({"id": 3, method: {"channel": "x", "data": 1}}));
        assert_eq!(reply["error"]["code"], 103, "{method} is for members");
    }
}

#[test]
fn a_room_token_allows_a_join_and_sets_the_channel_info() {
    let mut world = with(Limits::default(), Rules { subscribe: Who::Token, ..Rules::open() });
    let a = user(&mut world, "ada");
    assert_eq!(ask(&mut world, a, json!({"id": 2, "subscribe": {"channel": "x"}}))["error"]["code"], 103);
    let with_token = r#"{"id":3,"subscribe":{"channel":"x","token":"s"}}{"id":4,"publish":{"channel":"x","data":1}}"#;
    let good = Claims { channel: Some("x".into()), ..claims("ada") };
    let cases = [
        (Err(BadToken::Signature), 103),
        (Ok(Claims { channel: Some("y".into()), ..good.clone() }), 103),
        (Ok(Claims { channel: None, ..good.clone() }), 103),
        (Ok(Claims { channel: Some("x".into()), ..claims("eve") }), 103),
        (Ok(Claims { exp: Some(1_699_999_990), ..good.clone() }), 109),
    ];
    for (verdict, code) in cases {
        world.say(a, with_token);
        world.tokens.clear();
        world.judge(a, verdict.clone());
        let replies = world.read_json(a);
        assert_eq!(replies[0]["error"]["code"], code, "{verdict:?}");
        assert_eq!(replies[1]["error"]["code"], 103, "what followed is heard then");
    }
    world.say(a, with_token);
    world.prove(Claims { exp: Some(1_700_000_030), info: Some(raw("7")), ..good });
    let replies = world.read_json(a);
    assert_eq!((&replies[0]["subscribe"]["expires"], &replies[0]["subscribe"]["ttl"]), (&json!(true), &json!(30)));
    let info = json!({"client": A, "user": "ada", "conn_info": {"n": 1}, "chan_info": 7});
    assert_eq!(replies[1]["push"]["pub"]["info"], info);
    assert_eq!(world.api("presence", r#"{"channel":"x"}"#)["result"]["presence"][A], info);
}

#[test]
fn a_room_is_left_when_its_token_expires_unless_it_is_renewed() {
    let mut world = world();
    let a = user(&mut world, "ada");
    let token = |exp| Claims { channel: Some("x".into()), exp: Some(exp), ..claims("ada") };
    world.say(a, r#"{"id":2,"subscribe":{"channel":"x","token":"s"}}"#);
    world.prove(token(1_700_000_010));
    world.read(a);
    assert_eq!(
        ask(&mut world, a, json!({"id": 3, "sub_refresh": {"channel": "y", "token": "s"}}))["error"]["code"],
        103
    );
    world.say(a, r#"{"id":4,"sub_refresh":{"channel":"x","token":"s"}}"#);
    world.prove(token(1_700_000_020));
    assert_eq!(world.read_json(a), [json!({"id": 4, "sub_refresh": {"expires": true, "ttl": 20}})]);
    world.pass(Duration::from_secs(25));
    assert_eq!(world.read(a), ["{}"]);
    world.say(a, "{}");
    world.pass(Duration::from_secs(19));
    assert!(world.read(a).is_empty());
    world.pass(Duration::from_secs(1));
    let push = json!({"push": {"channel": "x", "unsubscribe": {"code": 2501, "reason": "subscription expired"}}});
    assert_eq!(world.read_json(a), [push]);
    assert_eq!(world.shard.snapshot().rooms.len(), 1, "only the personal one");
    assert!(world.ended.is_empty());
}

#[test]
fn a_membership_that_is_renewed_with_an_expired_token_ends_at_once() {
    let mut world = world();
    let a = user(&mut world, "ada");
    world.say(a, r#"{"id":2,"subscribe":{"channel":"x","token":"s"}}"#);
    world.prove(Claims { channel: Some("x".into()), exp: Some(1_700_000_001), ..claims("ada") });
    world.read(a);
    world.say(a, r#"{"id":3,"sub_refresh":{"channel":"x","token":"s"}}"#);
    world.prove(Claims { channel: Some("x".into()), exp: Some(1_600_000_000), ..claims("ada") });
    let [push, reply] = world.read_json(a).try_into().unwrap();
    let unsubscribe = json!({"code": 2501, "reason": "subscription expired"});
    assert_eq!(push, json!({"push": {"channel": "x", "unsubscribe": unsubscribe}}));
    assert_eq!((&reply["id"], &reply["error"]["code"]), (&json!(3), &json!(109)));
    assert_eq!(world.shard.snapshot().rooms.len(), 1, "only the personal one");
}

#[test]
fn a_renewed_room_token_replaces_the_whole_grant() {
    let mut world = world();
    let a = user(&mut world, "ada");
    let renewal = Claims { channel: Some("x".into()), info: Some(raw("7")), ..claims("ada") };
    ask(&mut world, a, json!({"id": 2, "subscribe": {"channel": "x"}}));
    world.say(a, r#"{"id":3,"sub_refresh":{"channel":"x","token":"s"}}"#);
    world.prove(renewal.clone());
    assert_eq!(world.read_json(a), [json!({"id": 3, "sub_refresh": {}})]);
    world.say(a, r#"{"id":4,"publish":{"channel":"x","data":1}}"#);
    let push = world.read_json(a).into_iter().find(|frame| frame.get("push").is_some()).expect("its own publication");
    let info = json!({"client": A, "user": "ada", "conn_info": {"n": 1}, "chan_info": 7});
    assert_eq!(push["push"]["pub"]["info"], info, "who it is in the room is said anew");
    world.say(a, r#"{"id":5,"sub_refresh":{"channel":"x","token":"s"}}"#);
    world.api("unsubscribe", r#"{"user":"ada","channel":"x"}"#);
    world.prove(renewal);
    let frames = world.read_json(a);
    let reply = frames.iter().find(|reply| reply["id"] == 5).expect("an answer");
    assert_eq!(reply["error"]["code"], 103, "it was taken out meanwhile: {frames:?}");
}

#[test]
fn leaving_a_room_disarms_its_expiry() {
    let mut world = world();
    let a = user(&mut world, "ada");
    world.say(a, r#"{"id":2,"subscribe":{"channel":"x","token":"s"}}"#);
    world.prove(Claims { channel: Some("x".into()), exp: Some(1_700_000_001), ..claims("ada") });
    ask(&mut world, a, json!({"id": 3, "unsubscribe": {"channel": "x"}}));
    let next = world.shard.poll_timeout().unwrap();
    assert_eq!(next.since(world.now.mono), Duration::from_secs(25), "the ping");
}

#[test]
fn a_backend_subscribes_and_unsubscribes_a_user() {
    let mut world = with(Limits { rooms_per_connection: 2, ..Limits::default() }, Rules::open());
    let (a, b) = (user(&mut world, "ada"), user(&mut world, "ada"));
    world.api("publish", r#"{"channel":"x","data":1}"#);
    let answer = world.api("subscribe", r#"{"user":"ada","channel":"x","recover_since":{"offset":0,"epoch":""}}"#);
    assert_eq!(answer, json!({"result": {}}));
    let [push, missed] = world.read_json(a).try_into().unwrap();
    assert_eq!((&push["push"]["channel"], &push["push"]["subscribe"]["offset"]), (&json!("x"), &json!(0)));
    assert_eq!(missed, json!({"push": {"channel": "x", "pub": {"data": 1, "offset": 1}}}), "as SDKs read it");
    assert_eq!(push["push"]["subscribe"]["recovered"], true);
    world.read(b);
    assert_eq!(
        world.api("subscribe", r#"{"user":"ada","channel":"x"}"#),
        json!({"result": {}}),
        "again changes nothing"
    );
    assert!(world.read(a).is_empty());
    assert_eq!(world.api("subscribe", r#"{"user":"ada","channel":"y"}"#)["error"]["code"], 106);
    assert_eq!(world.api("subscribe", r##"{"user":"ada","channel":"#eve"}"##)["error"]["code"], 103);
    let body = format!(r#"{{"user":"ada","channel":"x","client":"{A}"}}"#);
    world.api("unsubscribe", &body);
    let push = json!({"push": {"channel": "x", "unsubscribe": {"code": 2000, "reason": "server unsubscribe"}}});
    assert_eq!(world.read_json(a), [push]);
    assert!(world.read(b).is_empty());
    world.api("publish", r#"{"channel":"x","data":2}"#);
    assert_eq!((world.read(a).len(), world.read(b).len()), (0, 1));
}

#[test]
fn a_backend_changes_when_a_user_expires() {
    let mut world = world();
    let (a, b) = (user(&mut world, "ada"), user(&mut world, "bob"));
    world.api("refresh", r#"{"user":"ada","expire_at":1700000010}"#);
    assert_eq!(world.read_json(a), [json!({"push": {"refresh": {"expires": true, "ttl": 10}}})]);
    world.api("refresh", r#"{"user":"bob","expired":true}"#);
    assert_eq!(world.read_close(b), Some((3005, "connection expired".into())));
    world.pass(Duration::from_secs(25));
    world.say(a, "{}");
    world.read(a);
    world.pass(Duration::from_secs(10));
    assert_eq!(world.read_close(a).map(|(code, _)| code), Some(3005));
    let c = user(&mut world, "cy");
    world.api("refresh", r#"{"user":"cy","expire_at":1700000010}"#);
    world.api("refresh", r#"{"user":"cy"}"#);
    assert_eq!(world.read_json(c)[1], json!({"push": {"refresh": {}}}));
}

#[test]
fn a_batch_answers_each_call_under_its_name() {
    let mut world = world();
    let conn = world.plain("/ws/a");
    let body = r#"{"parallel":true,"commands":[
        {"publish":{"channel":"a","data":1}},
        {"broadcast":{"channels":["a",""],"data":2}},
        {"publish":{"channel":""}},
        {"history":{"channel":"a","limit":1}},
        {"presence_stats":{"channel":"a"}}]}"#;
    let answer = world.api("batch", body);
    let replies = answer["replies"].as_array().unwrap();
    assert_eq!(replies[0]["publish"]["offset"], 1);
    assert_eq!(replies[1]["broadcast"]["responses"][0]["result"]["offset"], 2);
    assert_eq!(replies[1]["broadcast"]["responses"][1]["error"]["code"], 107);
    assert_eq!(replies[2]["error"]["code"], 107);
    assert_eq!(replies[3]["history"]["publications"][0]["data"], 1);
    assert_eq!(replies[4]["presence_stats"]["num_clients"], 1);
    assert_eq!(world.read(conn), ["1", "2"]);
    assert_eq!(world.api("batch", r#"{"commands":[]}"#), json!({"replies": []}));
    for body in [r#"{"commands":[{"batch":{}}]}"#, r#"{"commands":[{}]}"#, r#"{"commands":[{"info":{},"publish":{}}]}"#]
    {
        assert_eq!(world.api("batch", body)["error"]["code"], 107, "{body}");
    }
}

#[test]
fn a_batch_runs_its_calls_in_order() {
    let mut world = world();
    let a = user(&mut world, "ada");
    ask(&mut world, a, json!({"id": 2, "subscribe": {"channel": "x"}}));
    let send = json!({"send": {"client": A, "data": 2}});
    let leave = json!({"unsubscribe": {"user": "ada", "channel": "x"}});
    let body = json!({"commands": [{"publish": {"channel": "x", "data": 1}}, send, leave]});
    world.api("batch", &body.to_string());
    let frames = world.read_json(a);
    assert_eq!((&frames[0]["push"]["pub"]["data"], &frames[1]["push"]["message"]["data"]), (&json!(1), &json!(2)));
    assert_eq!(frames[2]["push"]["unsubscribe"]["code"], 2000);
}

#[test]
fn changes_made_while_a_room_token_is_checked_are_respected() {
    let mut world = with(Limits { rooms_per_connection: 2, ..Limits::default() }, Rules::open());
    let a = user(&mut world, "ada");
    let good = || Claims { channel: Some("x".into()), ..claims("ada") };
    world.say(a, r#"{"id":2,"subscribe":{"channel":"x","token":"s"}}"#);
    world.api("subscribe", r#"{"user":"ada","channel":"x"}"#);
    world.prove(good());
    assert!(world.read_json(a)[1]["subscribe"].is_object(), "the client has it for its own as well");
    world.api("unsubscribe", r#"{"user":"ada","channel":"x"}"#);
    world.say(a, r#"{"id":3,"subscribe":{"channel":"x","token":"s"}}"#);
    world.api("subscribe", r#"{"user":"ada","channel":"y"}"#);
    world.prove(good());
    assert_eq!(world.read_json(a)[2]["error"]["code"], 106);
}
