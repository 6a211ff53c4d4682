//! The `json` protocol as an SDK sees it.

use crate::world::{Rules, World, claims, raw, with, world};
use parlor_core::limits::Rate;
use parlor_core::snapshot::PhaseView;
use parlor_core::{Claims, Input, Instant, Limit, Limits};
use serde_json::{Value, json};
use std::time::Duration;

fn stage(world: &World) -> &'static str {
    match world.shard.snapshot().conns[0].phase {
        PhaseView::Open { stage, .. } => stage,
        _ => "not open",
    }
}

fn text(reply: &Value, path: &str) -> String {
    reply.pointer(path).and_then(Value::as_str).unwrap_or_default().into()
}

#[test]
fn commands_in_one_frame_are_answered_in_order() {
    let mut world = world();
    let conn = world.open("/connection/websocket");
    world.say(
        conn,
        "{\"id\":1,\"connect\":{\"name\":\"js\"}}\n{\"id\":2,\"subscribe\":{\"channel\":\"a\",\"flag\":1}}{\"id\":3,\n\"ping\":{}}",
    );
    let replies = world.read_json(conn);
    assert_eq!(replies.iter().map(|reply| reply["id"].as_u64().unwrap()).collect::<Vec<_>>(), [1, 2, 3]);
    let connect = &replies[0]["connect"];
    assert_eq!(connect["ping"], 25);
    assert_eq!(connect["pong"], true);
    assert_eq!(connect["client"], "01010101-0101-0101-0101-010101010101");
    assert!(connect.get("expires").is_none() && connect.get("subs").is_none());
    let subscribe = &replies[1]["subscribe"];
    assert_eq!(
        (&subscribe["recoverable"], &subscribe["positioned"], &subscribe["offset"]),
        (&json!(true), &json!(true), &json!(0))
    );
    assert_eq!(text(&replies[1], "/subscribe/epoch").len(), 16);
    assert_eq!(replies[2], json!({"id": 3, "ping": {}}));
}

#[test]
fn a_publication_reaches_every_member_once_and_the_publisher_before_its_reply() {
    let mut world = world();
    let (a, b, other) = (world.json(), world.json(), world.json());
    for (conn, room) in [(a, "x"), (b, "x"), (other, "y")] {
        world.say(conn, &json!({"id": 2, "subscribe": {"channel": room}}).to_string());
        world.read(conn);
    }
    world.say(a, "{\"id\":3,\"publish\":{\"channel\":\"x\",\"data\":{\"n\":\n 1}}}");
    let seen = world.read(a);
    let push = "{\"push\":{\"channel\":\"x\",\"pub\":{\"data\":{\"n\": 1},\"info\":{\"user\":\"\",\"client\":\"01010101-0101-0101-0101-010101010101\"},\"offset\":1}}}";
    assert_eq!(seen, [push, "{\"id\":3,\"publish\":{}}"]);
    assert_eq!(world.read(b), [push]);
    assert!(world.read(other).is_empty());
}

#[test]
fn errors_have_their_codes() {
    let limits = Limits { rooms_per_connection: 2, room_name_bytes: 8, publication_bytes: 4, ..Limits::default() };
    let mut world = with(limits, Rules::open());
    let conn = world.json();
    world.say(conn, r#"{"id":2,"subscribe":{"channel":"a"}}"#);
    world.read(conn);
    let cases = [
        (r#"{"id":9,"subscribe":{"channel":"a"}}"#, 105),
        (r#"{"id":9,"subscribe":{"channel":""}}"#, 107),
        (r#"{"id":9,"subscribe":{}}"#, 107),
        (r#"{"id":9,"subscribe":["b"]}"#, 107),
        (r#"{"id":9,"subscribe":null}"#, 107),
        (r#"{"id":9,"subscribe":{"channel":7}}"#, 107),
        (r#"{"id":9,"subscribe":{"channel":"a\u0000"}}"#, 107),
        (r#"{"id":9,"subscribe":{"channel":"123456789"}}"#, 107),
        (r##"{"id":9,"subscribe":{"channel":"#ada"}}"##, 103),
        (r#"{"id":9,"publish":{"channel":"b","data":1}}"#, 103),
        (r#"{"id":9,"publish":{"channel":"a"}}"#, 107),
        (r#"{"id":9,"publish":{"channel":"a","data":12345}}"#, 107),
        (r#"{"id":9,"fly":{}}"#, 104),
        (r#"{"id":9}"#, 104),
        (r#"{"id":9,"rpc":{"method":"m"}}"#, 108),
    ];
    for (command, code) in cases {
        world.say(conn, command);
        let replies = world.read_json(conn);
        assert_eq!(replies.len(), 1, "{command}");
        assert_eq!((&replies[0]["id"], &replies[0]["error"]["code"]), (&json!(9), &json!(code)), "{command}");
        assert!(!text(&replies[0], "/error/message").is_empty(), "{command}");
    }
    let mut refused = |command: &str| {
        world.say(conn, command);
        let error = world.read_json(conn).pop().expect("a reply")["error"].take();
        (error["code"].as_u64().unwrap(), String::from(error["message"].as_str().unwrap()))
    };
    let words = "too many rooms; a connection may be in at most 2 (rooms_per_connection)";
    let join = r#"{"id":3,"subscribe":{"channel":"b"}}{"id":9,"subscribe":{"channel":"c"}}"#;
    assert_eq!(refused(join), (106, words.into()));
    let words = "channel: a room's name has at most 8 bytes (room_name_bytes)";
    assert_eq!(refused(r#"{"id":9,"subscribe":{"channel":"123456789"}}"#), (107, words.into()));
    assert_eq!(world.shard.stats().totals.limits[&Limit::RoomNameBytes], 2);
    assert_eq!(world.shard.stats().totals.errors, cases.len() as u64 + 2);
}

#[test]
fn a_message_that_is_not_of_the_protocol_closes() {
    let not_ready = [
        "{",
        "5",
        "[]",
        "{}{",
        r#"{"id":1,"subscribe":{"channel":"a"}}"#,
        r#"{"send":{}}"#,
        r#"{"connect":{}}"#,
        r#"{"id":"1","connect":{}}"#,
    ];
    for text in not_ready {
        let mut world = world();
        let conn = world.open("/connection/websocket");
        world.say(conn, text);
        assert_eq!(world.read_close(conn), Some((3501, "bad request".into())), "{text}");
    }
    for text in [r#"{"id":2,"connect":{}}"#, r#"{"subscribe":{"channel":"a"}}"#, "nonsense", r#"{"fly":{}}"#] {
        let mut world = world();
        let conn = world.json();
        world.say(conn, text);
        assert_eq!(world.read_close(conn), Some((3501, "bad request".into())), "{text}");
    }
}

#[test]
fn a_message_that_needs_no_reply_gets_none() {
    let mut world = world();
    let conn = world.json();
    world.say(conn, "{}\n{} {\"send\":{\"data\":1}}");
    assert!(world.read(conn).is_empty());
}

#[test]
fn unsubscribing_ends_a_membership_and_is_answered_either_way() {
    let mut world = world();
    let conn = world.json();
    world.say(conn, r#"{"id":2,"subscribe":{"channel":"a"}}{"id":3,"unsubscribe":{"channel":"a"}}{"id":4,"unsubscribe":{"channel":"a"}}"#);
    assert_eq!(world.read_json(conn)[1..], [json!({"id": 3, "unsubscribe": {}}), json!({"id": 4, "unsubscribe": {}})]);
    assert_eq!(world.shard.stats().gauges.rooms, 0);
}

#[test]
fn a_token_proves_a_user() {
    let mut world = with(Limits::default(), Rules::closed());
    let conn = world.open("/connection/websocket");
    world.say(conn, r#"{"id":1,"connect":{"token":"t"}}{"id":2,"ping":{}}"#);
    world.say(conn, r#"{"id":3,"ping":{}}"#);
    assert!(world.read(conn).is_empty(), "what follows waits");
    assert_eq!(world.tokens[0].1, "t");
    let exp = Some(1_700_000_060);
    let info = Some(raw(r#"{"name":"Ada"}"#));
    world.prove(Claims { exp, info, channels: vec!["news".into(), "news".into()], ..claims("ada") });
    let replies = world.read_json(conn);
    assert_eq!(replies.iter().map(|reply| reply["id"].as_u64().unwrap()).collect::<Vec<_>>(), [1, 2, 3]);
    let connect = &replies[0]["connect"];
    assert_eq!((&connect["expires"], &connect["ttl"]), (&json!(true), &json!(60)));
    let subs: Vec<&String> = connect["subs"].as_object().unwrap().keys().collect();
    assert_eq!(subs, ["#ada", "news"]);
    let api = world.api("publish_user", r#"{"user":"ada","data":"hi"}"#);
    assert_eq!(api["result"]["offset"], 1);
    assert_eq!(world.read_json(conn)[0]["push"]["channel"], "#ada");
}

#[test]
fn a_token_that_proves_nothing_closes_and_one_that_expired_is_an_error() {
    let tokens = [
        (Err(parlor_core::BadToken::Signature), 3500),
        (Ok(claims(&"x".repeat(200))), 3500),
        (Ok(claims("a\nb")), 3500),
        (Ok(Claims { channels: vec!["#bob".into()], ..claims("ada") }), 3500),
        (Ok(Claims { channels: (0..128).map(|n| format!("r{n}")).collect(), ..claims("ada") }), 3505),
    ];
    for (verdict, code) in tokens {
        let mut world = world();
        let conn = world.open("/connection/websocket");
        world.say(conn, r#"{"id":1,"connect":{"token":"t"}}"#);
        world.judge(conn, verdict.clone());
        assert_eq!(world.read_close(conn).map(|(code, _)| code), Some(code), "{verdict:?}");
    }
    let mut world = world();
    let conn = world.open("/connection/websocket");
    assert_eq!(stage(&world), "unauthenticated");
    world.say(conn, r#"{"id":1,"connect":{"token":"t"}}{"id":2,"subscribe":{"channel":"a"}}"#);
    assert_eq!(stage(&world), "authenticating");
    world.prove(Claims { exp: Some(1_699_999_990), ..claims("ada") });
    let replies = world.read_json(conn);
    assert_eq!(replies, [json!({"id": 1, "error": {"code": 109, "message": "token expired"}})]);
    world.say(conn, r#"{"id":3,"connect":{"token":"new"}}"#);
    world.prove(Claims { nbf: Some(1_700_000_000), ..claims("ada") });
    assert_eq!(world.read_json(conn)[0]["id"], 3, "a new token may be tried, from its first second on");
    assert_eq!(stage(&world), "ready");
}

/// What an SDK has sent behind a `connect` that is refused comes in the same frame, in one of its own before the answer is
/// written, or after that, as the network will.
#[test]
fn commands_behind_a_refused_connect_are_ignored() {
    let subscribe = r#"{"id":2,"subscribe":{"channel":"a"}}"#;
    let behind = [subscribe, r#"{"id":3,"fly":{}}"#, "{}", r#"{"send":{"data":1}}"#];
    let expired = |world: &mut World| world.prove(Claims { exp: Some(1_699_999_990), ..claims("ada") });
    for (first, code) in [
        (r#"{"id":1,"connect":{"token":"old"}}"#, 109),
        (r#"{"id":1,"connect":{"token":"old","data":"\ud800"}}"#, 107),
        (r#"{"id":1,"connect":{"token":7}}"#, 107),
    ] {
        for answered_after in 0..=behind.len() {
            let mut world = world();
            let conn = world.open("/connection/websocket");
            let (before, after) = behind.split_at(answered_after);
            world.say(conn, &format!("{first}{}", before.concat()));
            if code == 109 {
                before.iter().for_each(|text| world.say(conn, text));
                expired(&mut world);
            }
            after.iter().for_each(|text| world.say(conn, text));
            let replies = world.read_json(conn);
            assert_eq!((replies.len(), &replies[0]["error"]["code"]), (1, &json!(code)), "{first}: {replies:?}");
            world.say(conn, &format!(r#"{{"id":4,"connect":{{"token":"new"}}}}{subscribe}"#));
            world.prove(claims("ada"));
            let replies = world.read_json(conn);
            assert!(replies[0]["connect"].is_object() && replies[1]["subscribe"].is_object(), "{replies:?}");
        }
    }
}

/// The second one is heard, whether it comes before the first is answered or after.
#[test]
fn a_second_connect_behind_a_refused_one_is_heard() {
    let said =
        [r#"{"id":2,"subscribe":{"channel":"a"}}"#, r#"{"id":3,"connect":{"token":"new"}}"#, r#"{"id":4,"ping":{}}"#];
    for answered_after in 0..=said.len() {
        let mut world = world();
        let conn = world.open("/connection/websocket");
        let (before, after) = said.split_at(answered_after);
        world.say(conn, r#"{"id":1,"connect":{"token":"old"}}"#);
        before.iter().for_each(|text| world.say(conn, text));
        world.prove(Claims { exp: Some(1_699_999_990), ..claims("ada") });
        after.iter().for_each(|text| world.say(conn, text));
        world.prove(claims("ada"));
        let replies = world.read_json(conn);
        let ids: Vec<&Value> = replies.iter().map(|reply| &reply["id"]).collect();
        assert_eq!(ids, [&json!(1), &json!(3), &json!(4)], "answered after {answered_after}: {replies:?}");
    }
}

#[test]
fn an_invalid_message_behind_a_refused_connect_closes() {
    for text in ["{", r#"{"subscribe":{"channel":"a"}}"#, r#"{"connect":{}}"#] {
        let mut world = world();
        let conn = world.open("/connection/websocket");
        world.say(conn, r#"{"id":1,"connect":{"token":"old"}}"#);
        world.prove(Claims { exp: Some(1_699_999_990), ..claims("ada") });
        world.read(conn);
        world.say(conn, text);
        assert_eq!(world.read_close(conn), Some((3501, "bad request".into())), "{text}");
    }
}

#[test]
fn a_rate_limited_connect_may_be_repeated() {
    let client_commands = Rate { per_second: 1, burst: 2 };
    let mut world = with(Limits { client_commands, rooms_per_connection: 1, ..Limits::default() }, Rules::open());
    let conn = world.open("/connection/websocket");
    world.say(conn, "{}{}");
    world.say(conn, r#"{"id":1,"connect":{}}"#);
    world.pass(Duration::from_secs(1));
    world.say(conn, r#"{"id":2,"subscribe":{"channel":"a"}}"#);
    world.pass(Duration::from_secs(1));
    world.say(conn, r#"{"id":3,"connect":{}}"#);
    let replies = world.read_json(conn);
    assert_eq!((replies.len(), &replies[0]["error"]["code"], &replies[1]["id"]), (2, &json!(111), &json!(3)));
}

#[test]
fn a_client_that_sends_too_much_before_it_is_ready_is_closed() {
    let mut world = with(Limits { message_bytes: 1024, rooms_per_connection: 1, ..Limits::default() }, Rules::open());
    let conn = world.open("/connection/websocket");
    world.say(conn, r#"{"id":1,"connect":{"token":"t"}}"#);
    world.say(conn, &" ".repeat(1000));
    world.say(conn, &" ".repeat(24));
    assert!(world.read(conn).is_empty() && world.ended.is_empty());
    world.say(conn, " ");
    assert_eq!(world.read_close(conn), Some((3501, "bad request".into())));
}

#[test]
fn a_refresh_moves_the_expiry() {
    let mut world = world();
    let conn = world.open("/connection/websocket");
    world.say(conn, r#"{"id":1,"connect":{"token":"t"}}"#);
    world.prove(Claims { exp: Some(1_700_000_010), ..claims("ada") });
    world.read(conn);
    world.pass(Duration::from_secs(5));
    world.say(conn, r#"{"id":2,"refresh":{"token":"u"}}{"id":3,"ping":{}}"#);
    assert!(world.read(conn).is_empty(), "what follows waits");
    world.prove(Claims { exp: Some(1_700_000_020), ..claims("ada") });
    let client = "01010101-0101-0101-0101-010101010101";
    let refreshed = json!({"id": 2, "refresh": {"client": client, "expires": true, "ttl": 15}});
    assert_eq!(world.read_json(conn), [refreshed, json!({"id": 3, "ping": {}})]);
    world.pass(Duration::from_secs(15 + 25) - Duration::from_nanos(1));
    world.read(conn);
    assert!(world.shard.pending(conn).is_none());
    world.pass(Duration::from_nanos(1));
    assert_eq!(world.read_close(conn), Some((3005, "connection expired".into())));
}

#[test]
fn a_token_expires_to_the_millisecond() {
    let mut world = world();
    world.now.unix_ms += 400;
    let conn = world.open("/connection/websocket");
    world.say(conn, r#"{"id":1,"connect":{"token":"t"}}"#);
    world.prove(Claims { exp: Some(1_700_000_002), ..claims("ada") });
    assert_eq!(world.read_json(conn)[0]["connect"]["ttl"], 1);
    world.pass(Duration::from_millis(1_599) + Duration::from_secs(25));
    world.read(conn);
    assert!(world.shard.pending(conn).is_none());
    world.pass(Duration::from_millis(1));
    assert_eq!(world.read_close(conn).map(|(code, _)| code), Some(3005));
}

#[test]
fn a_refresh_with_the_token_of_another_user_closes() {
    let mut world = world();
    let conn = world.json();
    world.say(conn, r#"{"id":2,"refresh":{"token":"u"}}"#);
    world.prove(claims("eve"));
    assert_eq!(world.read_close(conn).map(|(code, _)| code), Some(3501));
}

#[test]
fn pings_are_periodic_and_any_frame_answers_them() {
    let mut world = world();
    let conn = world.json();
    world.pass(Duration::from_secs(24));
    world.say(conn, r#"{"id":2,"ping":{}}"#);
    assert_eq!(world.read(conn).len(), 1);
    world.pass(Duration::from_secs(1));
    assert_eq!(world.read(conn), ["{}"], "traffic does not put it off");
    world.pass(Duration::from_secs(9));
    world.input(Input::Ping { conn, payload: vec![] });
    world.flush(conn);
    world.pass(Duration::from_secs(15));
    assert!(world.read(conn).is_empty(), "not while the last is unsettled is there another before its time");
    world.pass(Duration::from_secs(1));
    assert_eq!(world.read(conn), ["{}"]);
    world.pass(Duration::from_secs(10));
    assert_eq!(world.read_close(conn), Some((3012, "no pong".into())));
}

#[test]
fn the_next_ping_waits_for_the_answer_to_a_late_one() {
    let limits = Limits { ping_interval: Duration::from_secs(11), ..Limits::default() };
    let mut world = with(limits, Rules::open());
    let conn = world.json();
    world.pass(Duration::from_secs(12));
    assert_eq!(world.read(conn), ["{}"]);
    world.pass(Duration::from_secs(10));
    assert_eq!(
        world.read_close(conn),
        Some((3012, "no pong".into())),
        "22 s: the next ping is due, the last is not answered"
    );
}

/// Were each ping that nobody was there to send gone through, this would take minutes.
#[test]
fn a_long_pause_of_the_server_leads_to_one_ping() {
    let mut world = with(Limits { ping_interval: Duration::from_secs(11), ..Limits::default() }, Rules::open());
    let conn = world.json();
    let intervals = 286_908_509;
    world.pass(Duration::from_secs(11 * intervals + 3));
    assert_eq!(world.read(conn), ["{}"]);
    let next = world.shard.snapshot().conns[0].deadlines.iter().find(|(name, _)| *name == "ping").map(|(_, at)| *at);
    assert_eq!(next, Some(Instant(11_000_000_000 * (intervals + 1))), "on the old schedule");
}

#[test]
fn websocket_pings_are_sent_if_the_url_asks_for_them() {
    let mut world = world();
    let conn = world.open("/connection/websocket?cf_ws_frame_ping_pong=true");
    world.say(conn, r#"{"id":1,"connect":{}}"#);
    let reply = world.read_json(conn).remove(0);
    assert!(reply["connect"].get("ping").is_none() && reply["connect"].get("pong").is_none());
    world.pass(Duration::from_secs(25));
    assert_eq!(world.messages(conn), [tungstenite::Message::Ping(Default::default())]);
}
