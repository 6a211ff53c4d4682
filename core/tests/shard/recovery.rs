//! What a client that was away gets back: recovery, history, positions.

use crate::world::{World, claims, with, world};
use parlor_core::{Claims, Input, Limits, Lost, Policy};
use serde_json::{Value, json};
use std::time::Duration;

fn publish(world: &mut World, room: &str, from: u64, to: u64) {
    for n in from..=to {
        world.api("publish", &json!({"channel": room, "data": n}).to_string());
    }
}

fn epoch(world: &World, room: &str) -> String {
    let log = world.shard.snapshot().logs.into_iter().find(|log| &*log.name == room).expect("a log");
    log.epoch
}

fn subscribe(world: &mut World, fields: Value) -> Value {
    let conn = world.json();
    let mut params = json!({"channel": "a", "recover": true});
    params.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    world.say(conn, &json!({"id": 2, "subscribe": params}).to_string());
    world.read_json(conn).remove(0)
}

fn offsets(publications: &Value) -> Vec<u64> {
    publications.as_array().unwrap().iter().map(|publication| publication["offset"].as_u64().unwrap()).collect()
}

#[test]
fn a_client_that_comes_back_gets_what_it_missed_and_then_the_rest() {
    let mut world = world();
    publish(&mut world, "a", 1, 5);
    let epoch = epoch(&world, "a");
    let conn = world.json();
    let command = json!({"id": 2, "subscribe": {"channel": "a", "recover": true, "epoch": epoch, "offset": 2}});
    world.say(conn, &command.to_string());
    let reply = world.read(conn).remove(0);
    let expected = format!(
        r#"{{"id":2,"subscribe":{{"recoverable":true,"positioned":true,"epoch":"{epoch}","offset":2,"was_recovering":true,"recovered":true,"publications":[{{"data":3,"offset":3}},{{"data":4,"offset":4}},{{"data":5,"offset":5}}]}}}}"#
    );
    assert_eq!(reply, expected);
    publish(&mut world, "a", 6, 6);
    assert_eq!(world.read_json(conn)[0]["push"]["pub"]["offset"], 6);
}

#[test]
fn recovery_succeeds_exactly_when_all_of_it_is_there() {
    let limits = Limits { history_messages: 3, reply_messages: 3, reply_bytes: 8, ..Limits::default() };
    let mut world = with(limits, Policy::open());
    publish(&mut world, "a", 1, 5);
    let epoch = epoch(&world, "a");
    let cases = [
        (json!({"epoch": epoch, "offset": 5}), Some(vec![])),
        (json!({"epoch": epoch, "offset": 2}), Some(vec![3, 4, 5])),
        (json!({"epoch": "", "offset": 4}), Some(vec![5])),
        (json!({"epoch": epoch, "offset": 1}), None),
        (json!({"epoch": epoch, "offset": 6}), None),
        (json!({"epoch": "other", "offset": 5}), None),
        (json!({}), None),
    ];
    for (fields, expected) in cases {
        let reply = subscribe(&mut world, fields.clone());
        let reply = &reply["subscribe"];
        // Each publication moves an SDK on from there: one that is cut off half-way through asks for the rest.
        let begins_at = 5 - expected.as_ref().map_or(0, Vec::len);
        assert_eq!((&reply["was_recovering"], &reply["offset"]), (&json!(true), &json!(begins_at)), "{fields}");
        assert_eq!(reply.get("recovered").is_some(), expected.is_some(), "{fields}");
        assert_eq!(reply.get("publications").map(offsets), expected, "{fields}");
    }
    let refused = subscribe(&mut world, json!({"epoch": "other", "offset": 5, "flag": 3}));
    assert_eq!(refused["error"]["code"], 112);
    assert_eq!(world.shard.snapshot().rooms[0].members.len(), 7, "who is refused is no member");
    let kept = subscribe(&mut world, json!({"epoch": epoch, "offset": 5, "flag": 3}));
    assert_eq!(kept["subscribe"]["recovered"], true);
    world.api("publish", r#"{"channel":"a","data":123456789}"#);
    let too_large = subscribe(&mut world, json!({"epoch": epoch, "offset": 5}));
    assert!(too_large["subscribe"].get("recovered").is_none(), "more than reply_bytes");
    let mut world = with(Limits { reply_messages: 2, ..Limits::default() }, Policy::open());
    publish(&mut world, "a", 1, 3);
    assert!(
        subscribe(&mut world, json!({"offset": 0}))["subscribe"].get("recovered").is_none(),
        "more than reply_messages"
    );
    assert_eq!(subscribe(&mut world, json!({"offset": 1}))["subscribe"]["recovered"], true);
}

#[test]
fn a_room_that_never_was_has_nothing_to_recover_but_is_at_its_beginning() {
    let mut world = world();
    let reply = subscribe(&mut world, json!({"epoch": "", "offset": 0}));
    assert_eq!(reply["subscribe"]["recovered"], true);
    let refused = subscribe(&mut world, json!({"channel": "b", "epoch": "gone", "offset": 0, "flag": 2}));
    assert_eq!(refused["error"]["code"], 112);
    assert_eq!(world.shard.stats().gauges.logs, 1, "a refused join leaves no log behind");
}

#[test]
fn server_side_subscriptions_recover_in_the_connect_reply() {
    let mut world = world();
    let first = world.open("/ws/x?token=t");
    world.prove(claims("ada"));
    world.api("publish_user", r#"{"user":"ada","data":1}"#);
    let epoch = epoch(&world, "#ada");
    world.input(Input::Lost { conn: first, cause: Lost::Eof });
    world.api("publish_user", r#"{"user":"ada","data":2}"#);
    let conn = world.open("/connection/websocket");
    let subs = json!({"#ada": {"recover": true, "epoch": epoch, "offset": 1}, "elsewhere": {"recover": true}});
    world.say(conn, &json!({"id": 1, "connect": {"token": "t", "subs": subs}}).to_string());
    world.prove(Claims { channels: vec!["news".into()], ..claims("ada") });
    let reply = world.read_json(conn).remove(0);
    let subs = &reply["connect"]["subs"];
    assert_eq!(subs["#ada"]["recovered"], true);
    assert_eq!((&subs["#ada"]["offset"], offsets(&subs["#ada"]["publications"])), (&json!(1), vec![2]));
    assert_eq!(subs.as_object().unwrap().len(), 2);
    assert!(subs["news"].get("was_recovering").is_none());
}

#[test]
fn recoveries_that_are_too_much_together_are_left_out_from_the_first_that_does_not_fit() {
    let mut world = with(Limits { reply_bytes: 4, ..Limits::default() }, Policy::open());
    for room in ["a", "b", "c"] {
        world.api("publish", &json!({"channel": room, "data": 123}).to_string());
    }
    let conn = world.open("/connection/websocket");
    let subs = json!({"a": {"recover": true}, "b": {"recover": true}, "c": {}});
    world.say(conn, &json!({"id": 1, "connect": {"token": "t", "subs": subs}}).to_string());
    world.prove(Claims { channels: vec!["a".into(), "b".into(), "c".into()], ..claims("ada") });
    let reply = world.read_json(conn).remove(0);
    let subs = &reply["connect"]["subs"];
    assert_eq!((&subs["a"]["recovered"], subs["b"].get("recovered")), (&json!(true), None));
    assert_eq!((&subs["a"]["offset"], &subs["b"]["offset"]), (&json!(0), &json!(1)), "b goes on from the top");
    assert_eq!((&subs["b"]["was_recovering"], subs["c"].get("was_recovering")), (&json!(true), None));
}

#[test]
fn history_is_read_as_it_is_asked_for() {
    let limits = Limits { history_messages: 5, reply_messages: 4, ..Limits::default() };
    let mut world = with(limits, Policy::open());
    publish(&mut world, "a", 1, 7);
    let epoch = epoch(&world, "a");
    let conn = world.json();
    world.say(conn, r#"{"id":2,"subscribe":{"channel":"a"}}"#);
    world.read(conn);
    let cases: [(Value, &[u64]); 12] = [
        (json!({}), &[]),
        (json!({"limit": 0}), &[]),
        (json!({"limit": 2}), &[3, 4]),
        (json!({"limit": -1}), &[3, 4, 5, 6]),
        (json!({"limit": 100}), &[3, 4, 5, 6]),
        (json!({"limit": 100, "since": {"offset": 5, "epoch": epoch}}), &[6, 7]),
        (json!({"limit": 1, "since": {"offset": 0}}), &[3]),
        (json!({"limit": 9, "since": {"offset": 7}}), &[]),
        (json!({"limit": 9, "since": {"offset": 99}}), &[]),
        (json!({"limit": 2, "reverse": true}), &[7, 6]),
        (json!({"limit": 9, "reverse": true, "since": {"offset": 5}}), &[4, 3]),
        (json!({"limit": 9, "reverse": true, "since": {"offset": 3}}), &[]),
    ];
    for (fields, expected) in cases {
        let mut params = json!({"channel": "a"});
        params.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        world.say(conn, &json!({"id": 3, "history": params}).to_string());
        let reply = world.read_json(conn).remove(0);
        let history = &reply["history"];
        assert_eq!(offsets(&history["publications"]), expected, "{fields}");
        assert_eq!((&history["offset"], &history["epoch"]), (&json!(7), &json!(epoch)), "{fields}");
        let answer = world.api("history", &params.to_string());
        assert_eq!(&answer["result"], history, "the API says the same: {fields}");
    }
    for (fields, code) in [
        (json!({"since": {"offset": 3, "epoch": "other"}}), 112),
        (json!({"reverse": true, "since": {"offset": 0}}), 107),
    ] {
        let mut params = json!({"channel": "a", "limit": 9});
        params.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        world.say(conn, &json!({"id": 3, "history": params}).to_string());
        assert_eq!(world.read_json(conn)[0]["error"]["code"], code, "{fields}");
        assert_eq!(world.api("history", &params.to_string())["error"]["code"], code, "{fields}");
    }
}

#[test]
fn a_history_reply_is_cut_at_the_last_message_that_fits() {
    let mut world = with(Limits { reply_bytes: 10, ..Limits::default() }, Policy::open());
    for data in ["1234", "123456", "1"] {
        world.api("publish", &format!(r#"{{"channel":"a","data":{data}}}"#));
    }
    let answer = world.api("history", r#"{"channel":"a","limit":-1}"#);
    assert_eq!(offsets(&answer["result"]["publications"]), [1, 2]);
    let answer = world.api("history", r#"{"channel":"a","limit":-1,"reverse":true}"#);
    assert_eq!(offsets(&answer["result"]["publications"]), [3, 2]);
}

#[test]
fn history_of_nothing_is_empty_and_without_history_not_available() {
    let mut world = world();
    let empty = json!({"result": {"publications": [], "offset": 0, "epoch": ""}});
    assert_eq!(world.api("history", r#"{"channel":"a","limit":5}"#), empty);
    let foreign = r#"{"channel":"a","limit":5,"since":{"offset":1,"epoch":"x"}}"#;
    assert_eq!(world.api("history", foreign)["error"]["code"], 112);
    let mut world = with(Limits { history_messages: 0, ..Limits::default() }, Policy::open());
    assert_eq!(world.api("history", r#"{"channel":"a"}"#)["error"]["code"], 108);
    let reply = subscribe(&mut world, json!({"offset": 0}));
    assert_eq!(reply["subscribe"], json!({}), "there is nothing to be positioned in");
}

#[test]
fn removing_history_keeps_the_position_while_somebody_is_there() {
    let mut world = world();
    world.plain("/ws/a");
    publish(&mut world, "a", 1, 3);
    publish(&mut world, "b", 1, 3);
    let before = epoch(&world, "a");
    assert_eq!(world.api("history_remove", r#"{"channel":"a"}"#), json!({"result": {}}));
    assert_eq!(world.api("history_remove", r#"{"channel":"b"}"#), json!({"result": {}}));
    assert_eq!(world.api("history_remove", r#"{"channel":"c"}"#), json!({"result": {}}));
    let answer = world.api("history", r#"{"channel":"a","limit":5}"#);
    assert_eq!(answer["result"], json!({"publications": [], "offset": 3, "epoch": before}));
    let stats = world.shard.stats();
    assert_eq!(
        (stats.gauges.logs, stats.gauges.history_bytes),
        (1, 0),
        "a log with nothing to say and nobody there goes"
    );
    assert!(subscribe(&mut world, json!({"epoch": before, "offset": 2}))["subscribe"].get("recovered").is_none());
    assert_eq!(subscribe(&mut world, json!({"epoch": before, "offset": 3}))["subscribe"]["recovered"], true);
}

#[test]
fn a_plain_client_recovers_by_its_url() {
    let mut world = world();
    publish(&mut world, "a", 1, 3);
    let epoch = epoch(&world, "a");
    let conn = world.open(&format!("/ws/a?greeting=off&since={epoch}:1"));
    assert_eq!(world.read(conn), ["2", "3"]);
    let lost = world.open("/ws/a?since=other:1&positions=on");
    let frames = world.read_json(lost);
    let at = |kind: &str, offset: u64| json!({"type": kind, "room": "a", "epoch": epoch, "offset": offset});
    assert_eq!(frames[1..], [at("gap", 3), at("position", 3)]);
    world.api("publish", r#"{"channel":"a","data":4}"#);
    world.api("publish", r#"{"channel":"a","data":"x","skip_history":true}"#);
    assert_eq!(world.read_json(lost), [json!(4), at("position", 4), json!("x")]);
    assert_eq!(world.read(conn), ["4", "\"x\""]);
    let fresh = world.open(&format!("/ws/a?greeting=off&positions=on&since={epoch}:2"));
    assert_eq!(world.read_json(fresh), [json!(3), at("position", 3), json!(4), at("position", 4)]);
    world.say(fresh, r#"{"type":"position"}"#);
    assert_eq!(world.read_json(fresh), [at("position", 4)]);
}

#[test]
fn a_plain_client_may_have_the_last_messages_first() {
    let mut world = with(Limits { history_messages: 3, ..Limits::default() }, Policy::open());
    publish(&mut world, "a", 1, 5);
    publish(&mut world, "b", 8, 9);
    let conn = world.open("/ws?room=a&room=b&greeting=off&history=2");
    assert_eq!(world.read(conn), ["4", "5", "8", "9"]);
    let all = world.open("/ws/a?greeting=off&history=100");
    assert_eq!(world.read(all), ["3", "4", "5"]);
}

#[test]
fn a_filter_does_not_hide_positions_of_what_it_lets_through() {
    let mut world = world();
    let conn = world.plain("/ws/a?greeting=on&positions=off");
    world.say(conn, r#"{"type":"subscribe","events":["e"]}"#);
    world.say(conn, r#"{"type":"position"}"#);
    let frames = world.read_json(conn);
    assert_eq!(
        (&frames[0]["type"], &frames[1]["type"], &frames[1]["offset"]),
        (&json!("subscribed"), &json!("position"), &json!(0))
    );
}

#[test]
fn the_same_idempotency_key_is_published_once() {
    let mut world = with(Limits { idempotency_keys: 2, ..Limits::default() }, Policy::open());
    let conn = world.plain("/ws/a");
    let body = |key: &str, room: &str| json!({"channel": room, "data": 1, "idempotency_key": key}).to_string();
    let first = world.api("publish", &body("k", "a"));
    assert_eq!(world.api("publish", &body("k", "a")), first);
    assert_eq!(world.read(conn), ["1"]);
    assert_eq!(world.api("publish", &body("k", "b"))["result"]["offset"], 1, "a key is a room's own");
    world.api("publish", &body("l", "a"));
    assert_eq!(world.api("publish", &body("k", "a"))["result"]["offset"], 3, "the oldest was forgotten");
    world.pass(Duration::from_secs(300));
    assert_eq!(world.api("publish", &body("k", "a"))["result"]["offset"], 4, "its time is over");
    world.input(Input::Lost { conn, cause: Lost::Eof });
    world.pass(Duration::from_secs(300));
    assert_eq!(world.shard.poll_timeout(), None);
}

/// An outbox for eight large messages, of which a reply holds two.
fn narrow() -> World {
    let limits = Limits {
        outbox_bytes: 32768,
        frame_bytes: 16384,
        message_bytes: 4096,
        publication_bytes: 4096,
        reply_bytes: 8192,
        rooms_per_connection: 4,
        ..Limits::default()
    };
    with(limits, Policy::open())
}

#[test]
fn history_of_several_rooms_takes_half_of_an_outbox() {
    let mut world = narrow();
    let large = "x".repeat(3990);
    for room in ["a", "a", "b", "b", "c", "c"] {
        world.api("publish", &json!({"channel": room, "data": large}).to_string());
    }
    let conn = world.open("/ws?room=a&room=b&room=c&history=2&greeting=off");
    let large = world.read(conn).into_iter().filter(|text| text.len() > 3990).count();
    assert_eq!(large, 4, "two of the first room, two of the second, and then half of it is full");
}

#[test]
fn what_is_missed_takes_half_of_what_an_outbox_has_left() {
    let mut world = narrow();
    let large = "x".repeat(3990);
    (0..2).for_each(|_| drop(world.api("publish", &json!({"channel": "a", "data": large}).to_string())));
    for (waiting, is_recovered) in [(3, true), (5, false)] {
        let conn = world.json();
        (0..waiting).for_each(|_| drop(world.api("publish_all", &json!({"data": large}).to_string())));
        world.say(conn, r#"{"id":2,"subscribe":{"channel":"a","recover":true}}"#);
        let reply = world.read_json(conn).pop().expect("an answer");
        assert_eq!(reply["subscribe"]["recovered"] == true, is_recovered, "behind {waiting} frames: {reply}");
        world.input(Input::Lost { conn, cause: Lost::Eof });
    }
}

#[test]
fn several_rooms_that_recover_at_once_do_not_fill_the_outbox() {
    let mut world = world();
    let payload = "x".repeat(60_000);
    let rooms: Vec<String> = (0..8).map(|n| format!("r{n}")).collect();
    for room in &rooms {
        for _ in 0..4 {
            world.api("publish", &json!({"channel": room, "data": payload}).to_string());
        }
    }
    let conn = world.json();
    let command = |room: &String| json!({"id": 2, "subscribe": {"channel": room, "recover": true}}).to_string();
    world.say(conn, &rooms.iter().map(command).collect::<Vec<_>>().join("\n"));
    let replies = world.read_json(conn);
    assert_eq!(replies.len(), 8);
    let recovered = replies.iter().filter(|reply| reply["subscribe"]["recovered"] == true).count();
    assert_eq!(recovered, 3, "the others are told that they are not");
    assert!(world.ended.is_empty());
}

#[test]
fn what_a_plain_client_has_missed_in_many_rooms_does_not_close_it_as_slow() {
    let mut world = world();
    let rooms: Vec<String> = (0..20).map(|n| format!("r{n}")).collect();
    for room in &rooms {
        publish(&mut world, room, 1, 100);
    }
    let url = format!("/ws?room={}&greeting=off&history=100&positions=on", rooms.join("&room="));
    let conn = world.open(&url);
    let frames = world.read_json(conn);
    assert!(world.ended.is_empty() && frames.len() <= 512 + rooms.len(), "{} frames", frames.len());
    assert_eq!((&frames[0], &frames[199]["offset"]), (&json!(1), &json!(100)), "the first room has all of it");
    let last = &frames[frames.len() - 1];
    assert_eq!((&last["type"], &last["room"], &last["offset"]), (&json!("position"), &json!("r19"), &json!(100)));
}

#[test]
fn what_a_backend_makes_clients_miss_in_many_rooms_does_not_close_them_as_slow() {
    let mut world = world();
    let conn = world.open("/connection/websocket");
    world.say(conn, r#"{"id":1,"connect":{"token":"t"}}"#);
    world.prove(claims("ada"));
    world.read(conn);
    for n in 0..12 {
        let room = format!("r{n}");
        publish(&mut world, &room, 1, 100);
        let since = json!({"epoch": epoch(&world, &room), "offset": 0});
        world.api("subscribe", &json!({"user": "ada", "channel": room, "recover_since": since}).to_string());
    }
    let frames = world.read_json(conn);
    let pushes: Vec<&Value> =
        frames.iter().map(|frame| &frame["push"]["subscribe"]).filter(|push| push.is_object()).collect();
    let recovered = pushes.iter().filter(|push| push["recovered"] == true).count();
    assert_eq!((pushes.len(), recovered), (12, 5), "the others are told that they are not");
    assert!(world.ended.is_empty());
}

#[test]
fn a_server_side_subscription_is_never_refused_for_what_it_missed() {
    let mut world = world();
    let conn = world.open("/connection/websocket");
    let subs = json!({"#ada": {"recover": true, "epoch": "gone", "offset": 9, "flag": 2}});
    world.say(conn, &json!({"id": 1, "connect": {"token": "t", "subs": subs}}).to_string());
    world.prove(claims("ada"));
    let reply = world.read_json(conn).remove(0);
    assert_eq!(reply["connect"]["subs"]["#ada"]["was_recovering"], true);
}
