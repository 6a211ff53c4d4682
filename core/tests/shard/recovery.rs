//! What a client that was away gets back: recovery, history, positions.

use crate::world::{Rules, World, claims, with, world};
use parlor_core::{Claims, Input, Limits, Lost};
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
fn a_recovering_client_gets_missed_publications_then_new_ones() {
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
fn recovery_succeeds_exactly_if_all_missed_publications_are_retained() {
    let limits = Limits { history_messages: 3, reply_messages: 3, reply_bytes: 72, ..Limits::default() };
    let mut world = with(limits, Rules::open());
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
    world.api("publish", &json!({"channel": "a", "data": "x".repeat(60)}).to_string());
    let too_large = subscribe(&mut world, json!({"epoch": epoch, "offset": 5}));
    assert!(too_large["subscribe"].get("recovered").is_none(), "more than reply_bytes");
    let mut world = with(Limits { reply_messages: 2, ..Limits::default() }, Rules::open());
    publish(&mut world, "a", 1, 3);
    assert!(
        subscribe(&mut world, json!({"offset": 0}))["subscribe"].get("recovered").is_none(),
        "more than reply_messages"
    );
    assert_eq!(subscribe(&mut world, json!({"offset": 1}))["subscribe"]["recovered"], true);
}

#[test]
fn a_room_without_a_log_recovers_only_from_its_beginning() {
    let mut world = world();
    let reply = subscribe(&mut world, json!({"epoch": "", "offset": 0}));
    assert_eq!(reply["subscribe"]["recovered"], true);
    let refused = subscribe(&mut world, json!({"channel": "b", "epoch": "gone", "offset": 0, "flag": 2}));
    assert_eq!(refused["error"]["code"], 112);
    assert_eq!(world.shard.snapshot().logs.len(), 1, "a refused join leaves no log behind");
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
fn after_the_first_recovery_that_does_not_fit_a_reply_none_is_done() {
    let mut world = with(Limits { reply_bytes: 30, ..Limits::default() }, Rules::open());
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

/// Where a client is: the epoch and the offset that it goes on from.
fn at(subscription: &Value) -> (String, u64) {
    let epoch = subscription["epoch"].as_str().expect("a position").into();
    (epoch, subscription["offset"].as_u64().expect("a position"))
}

/// Six cases of a client that was the only member of its room, is cut, and comes back: how much was published and retained
/// before, how much of that has aged out when it is cut, and how much comes while it is away.
const ALONE: [(u64, bool, u64); 6] =
    [(1, false, 2), (0, false, 2), (0, false, 0), (1, true, 0), (1, true, 2), (2, false, 0)];

/// Passes `time` with a client that answers its pings.
fn stay(world: &mut World, conn: parlor_core::ConnId, seconds: u64) {
    for _ in 0..seconds.div_ceil(25) {
        world.pass(Duration::from_secs(25));
        world.messages(conn);
        world.input(Input::Pong { conn });
    }
}

#[test]
fn the_only_member_of_a_room_recovers() {
    for (before, aged, missed) in ALONE {
        for away in [1, 250] {
            let mut world = world();
            let conn = world.open("/connection/websocket?cf_ws_frame_ping_pong=true");
            world.say(conn, r#"{"id":1,"connect":{}}{"id":2,"subscribe":{"channel":"a"}}"#);
            let (epoch, _) = at(&world.read_json(conn)[1]["subscribe"]);
            publish(&mut world, "a", 1, before);
            stay(&mut world, conn, if aged { 300 } else { 0 });
            world.input(Input::Lost { conn, cause: Lost::Eof });
            publish(&mut world, "a", before + 1, before + missed);
            world.pass(Duration::from_secs(away));
            let reply = subscribe(&mut world, json!({"epoch": epoch, "offset": before}));
            let reply = &reply["subscribe"];
            let case = format!("{before} before, aged out: {aged}, {missed} missed, away for {away} s: {reply}");
            assert_eq!((&reply["recovered"], at(reply)), (&json!(true), (epoch.clone(), before)), "{case}");
            let expected: Vec<u64> = (before + 1..=before + missed).collect();
            assert_eq!(offsets(&reply["publications"]), expected, "{case}");
        }
    }
}

#[test]
fn a_user_recovers_the_publications_of_its_personal_room() {
    for (before, aged, missed) in ALONE {
        let mut world = world();
        let conn = world.open("/connection/websocket?cf_ws_frame_ping_pong=true");
        world.say(conn, r#"{"id":1,"connect":{"token":"t"}}"#);
        world.prove(claims("ada"));
        let (epoch, _) = at(&world.read_json(conn)[0]["connect"]["subs"]["#ada"]);
        publish(&mut world, "#ada", 1, before);
        stay(&mut world, conn, if aged { 300 } else { 0 });
        world.input(Input::Lost { conn, cause: Lost::Eof });
        publish(&mut world, "#ada", before + 1, before + missed);
        let conn = world.open("/connection/websocket");
        let subs = json!({"#ada": {"recover": true, "epoch": epoch, "offset": before}});
        world.say(conn, &json!({"id": 1, "connect": {"token": "t", "subs": subs}}).to_string());
        world.prove(claims("ada"));
        let reply = world.read_json(conn).remove(0);
        let own = &reply["connect"]["subs"]["#ada"];
        assert_eq!(own["recovered"], true, "{before} before, aged out: {aged}, {missed} missed: {own}");
        assert_eq!(offsets(&own["publications"]).len() as u64, missed, "{own}");
    }
}

#[test]
fn a_plain_client_that_was_the_only_member_recovers() {
    for (before, aged, missed) in ALONE {
        let mut world = world();
        let conn = world.open("/ws/a?greeting=off&positions=on");
        let (epoch, _) = at(&world.read_json(conn)[0]);
        publish(&mut world, "a", 1, before);
        stay(&mut world, conn, if aged { 300 } else { 0 });
        world.input(Input::Lost { conn, cause: Lost::Eof });
        publish(&mut world, "a", before + 1, before + missed);
        let back = world.open(&format!("/ws/a?greeting=off&since={epoch}:{before}"));
        let expected: Vec<String> = (before + 1..=before + missed).map(|n| n.to_string()).collect();
        assert_eq!(world.read(back), expected, "{before} before, aged out: {aged}, and no gap");
    }
}

/// A page keeps the place of each of its rooms, those that come with its token included.
#[test]
fn a_plain_client_recovers_in_each_of_its_rooms() {
    let mut world = world();
    for room in ["a:b", "c", "#ada"] {
        publish(&mut world, room, 1, 3);
    }
    let place = |world: &World, room: &str, offset: u64| format!("since={room}:{}:{offset}", epoch(world, room));
    let since = [place(&world, "a:b", 1), place(&world, "#ada", 2).replace('#', "%23")].join("&");
    let conn = world.open(&format!("/ws?room=a:b&room=c&greeting=off&positions=on&token=t&{since}"));
    world.prove(claims("ada"));
    let frames = world.read_json(conn);
    let of = |room: &str| -> Vec<u64> {
        frames.iter().filter(|frame| frame["room"] == room).map(|frame| frame["offset"].as_u64().unwrap()).collect()
    };
    assert_eq!((of("a:b"), of("#ada"), of("c")), (vec![2, 3], vec![3], vec![3]), "{frames:?}");
    assert!(frames.iter().all(|frame| frame["type"] != "gap"), "{frames:?}");
    let late = world.open(&format!("/ws/c?greeting=off&{}", place(&world, "#ada", 1).replace('#', "%23")));
    world.say(late, r#"{"type":"auth","token":"t"}"#);
    world.prove(claims("ada"));
    assert_eq!(world.read(late)[1..], ["2", "3"], "whoever says later who it is, too");
}

#[test]
fn log_memory_counts_from_the_last_use_of_a_log() {
    let limits =
        Limits { history_age: Duration::from_secs(10), log_memory: Duration::from_secs(60), ..Limits::default() };
    let mut world = with(limits, Rules::open());
    let conn = world.plain("/ws/a");
    publish(&mut world, "a", 1, 1);
    let epoch = epoch(&world, "a");
    let due = |world: &World| world.shard.poll_timeout().map(|at| at.since(world.now.mono).as_secs());
    world.pass(Duration::from_secs(10));
    world.input(Input::Lost { conn, cause: Lost::Eof });
    assert_eq!(due(&world), Some(60), "from the last member's leaving");
    world.pass(Duration::from_secs(20));
    publish(&mut world, "a", 2, 2);
    assert_eq!(due(&world), Some(10), "first it ages out");
    world.pass(Duration::from_secs(10));
    assert_eq!(due(&world), Some(50), "from the last publication");
    world.pass(Duration::from_secs(49));
    assert_eq!(world.shard.snapshot().logs[0].epoch, epoch);
    let conn = world.open(&format!("/ws/a?greeting=off&since={epoch}:2"));
    assert!(world.read(conn).is_empty(), "nothing was missed");
    world.input(Input::Lost { conn, cause: Lost::Eof });
    world.pass(Duration::from_secs(60));
    assert_eq!((world.shard.snapshot().logs, world.shard.stats().gauges.logs), (vec![], 0));
    let late = world.open(&format!("/ws/a?greeting=off&since={epoch}:2"));
    let gap = &world.read_json(late)[0];
    assert_eq!((&gap["type"], &gap["offset"]), (&json!("gap"), &json!(0)));
    assert_ne!(gap["epoch"], json!(epoch), "an epoch never comes back");
}

#[test]
fn retained_publications_keep_a_log_beyond_log_memory() {
    let mut world = with(Limits { log_memory: Duration::ZERO, ..Limits::default() }, Rules::open());
    let conn = world.plain("/ws/a");
    publish(&mut world, "a", 1, 1);
    world.input(Input::Lost { conn, cause: Lost::Eof });
    let since = epoch(&world, "a");
    let conn = world.open(&format!("/ws/a?greeting=off&since={since}:0"));
    assert_eq!(world.read(conn), ["1"]);
    world.api("history_remove", r#"{"channel":"a"}"#);
    world.input(Input::Lost { conn, cause: Lost::Eof });
    assert_eq!(world.shard.stats().gauges.logs, 0, "what has nothing left goes in the same turn");
}

#[test]
fn joining_and_leaving_rooms_keeps_every_log() {
    let mut world = with(Limits { logs: 40, connections: 20, ..Limits::default() }, Rules::open());
    (0..40).for_each(|n| publish(&mut world, &format!("kept-{n}"), 1, 1));
    let epochs = |world: &World| -> Vec<String> { (0..40).map(|n| epoch(world, &format!("kept-{n}"))).collect() };
    let before = epochs(&world);
    for n in 0..10 {
        let conn = world.plain(&format!("/ws/r{n}"));
        world.input(Input::Lost { conn, cause: Lost::Eof });
        let refused = subscribe(&mut world, json!({"channel": "c", "epoch": "gone", "offset": 0, "flag": 2}));
        assert_eq!(refused["error"]["code"], 112);
    }
    assert_eq!((epochs(&world), world.shard.stats().gauges.logs), (before, 40));
}

#[test]
fn a_publication_that_is_not_retained_makes_no_log() {
    let nowhere = json!({"result": {"offset": 0, "epoch": ""}});
    let mut world = with(Limits { logs: 2, connections: 1, ..Limits::default() }, Rules::open());
    publish(&mut world, "b", 1, 1);
    publish(&mut world, "c", 1, 1);
    let skipped = r#"{"channel":"a","data":1,"skip_history":true,"idempotency_key":"k"}"#;
    assert_eq!(world.api("publish", skipped), nowhere);
    assert_eq!(world.api("publish", skipped), nowhere, "the same answer again");
    assert_eq!(epoch(&world, "b").len(), 16, "b keeps its log");
    let mut world = with(Limits { history_messages: 0, ..Limits::default() }, Rules::open());
    let conn = world.open("/ws/a?greeting=off&positions=on");
    let (epoch, offset) = at(&world.read_json(conn)[0]);
    world.input(Input::Lost { conn, cause: Lost::Eof });
    assert_eq!(world.api("publish", r#"{"channel":"a","data":1}"#), nowhere);
    let back = world.open(&format!("/ws/a?greeting=off&since={epoch}:{offset}"));
    assert_eq!(world.read_json(back)[0]["type"], "gap", "what came was missed all the same");
}

#[test]
fn the_log_that_was_idle_longest_makes_place_for_a_new_one() {
    let mut world = with(Limits { logs: 2, connections: 1, ..Limits::default() }, Rules::open());
    publish(&mut world, "a", 1, 1);
    publish(&mut world, "b", 1, 1);
    publish(&mut world, "a", 2, 2);
    publish(&mut world, "c", 1, 1);
    let names: Vec<String> = world.shard.snapshot().logs.iter().map(|log| log.name.to_string()).collect();
    assert_eq!(names, ["a", "c"], "b was not published to for longer");
}

#[test]
fn history_since_the_epoch_of_a_room_without_publications_is_empty() {
    let mut world = world();
    let conn = world.json();
    world.say(conn, r#"{"id":2,"subscribe":{"channel":"a"}}{"id":3,"unsubscribe":{"channel":"a"}}"#);
    let (epoch, _) = at(&world.read_json(conn)[0]["subscribe"]);
    let ask = |epoch: &str| json!({"channel": "a", "limit": 5, "since": {"offset": 0, "epoch": epoch}}).to_string();
    assert_eq!(world.api("history", &ask(&epoch))["result"]["publications"], json!([]));
    assert_eq!(world.api("history", &ask("other"))["error"]["code"], 112);
}

#[test]
fn history_respects_limit_since_and_reverse() {
    let limits = Limits { history_messages: 5, reply_messages: 4, ..Limits::default() };
    let mut world = with(limits, Rules::open());
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
    // As encoded: `{"data":1234,"offset":1}` has 24 bytes, the next one 26, the last one 21; a comma is one more.
    for (reply_bytes, forwards, backwards) in [
        (23, vec![], vec![3]),
        (50, vec![1], vec![3, 2]),
        (51, vec![1, 2], vec![3, 2]),
        (73, vec![1, 2, 3], vec![3, 2, 1]),
    ] {
        let mut world = with(Limits { reply_bytes, ..Limits::default() }, Rules::open());
        for data in ["1234", "123456", "1"] {
            world.api("publish", &format!(r#"{{"channel":"a","data":{data}}}"#));
        }
        let answer = world.api("history", r#"{"channel":"a","limit":-1}"#);
        assert_eq!(offsets(&answer["result"]["publications"]), forwards, "of {reply_bytes} bytes");
        let answer = world.api("history", r#"{"channel":"a","limit":-1,"reverse":true}"#);
        assert_eq!(offsets(&answer["result"]["publications"]), backwards, "of {reply_bytes} bytes");
    }
}

#[test]
fn history_of_an_unknown_room_is_empty_and_without_history_unavailable() {
    let mut world = world();
    let empty = json!({"result": {"publications": [], "offset": 0, "epoch": ""}});
    assert_eq!(world.api("history", r#"{"channel":"a","limit":5}"#), empty);
    let foreign = r#"{"channel":"a","limit":5,"since":{"offset":1,"epoch":"x"}}"#;
    assert_eq!(world.api("history", foreign)["error"]["code"], 112);
    let mut world = with(Limits { history_messages: 0, ..Limits::default() }, Rules::open());
    assert_eq!(world.api("history", r#"{"channel":"a"}"#)["error"]["code"], 108);
    let reply = subscribe(&mut world, json!({"offset": 0}));
    assert_eq!(reply["subscribe"], json!({}), "there is nothing to be positioned in");
}

#[test]
fn removing_history_keeps_the_position() {
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
    assert_eq!((stats.gauges.logs, stats.gauges.history_bytes), (2, 0), "the log of b is remembered for a while");
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
fn a_plain_client_may_ask_for_the_last_messages() {
    let mut world = with(Limits { history_messages: 3, ..Limits::default() }, Rules::open());
    publish(&mut world, "a", 1, 5);
    publish(&mut world, "b", 8, 9);
    let conn = world.open("/ws?room=a&room=b&greeting=off&history=2");
    assert_eq!(world.read(conn), ["4", "5", "8", "9"]);
    let all = world.open("/ws/a?greeting=off&history=100");
    assert_eq!(world.read(all), ["3", "4", "5"]);
}

#[test]
fn a_filter_keeps_the_positions_of_passed_publications() {
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
    let mut world = with(Limits { idempotency_keys: 2, ..Limits::default() }, Rules::open());
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
        info_bytes: 2048,
        message_bytes: 4096,
        publication_bytes: 4096,
        reply_bytes: 8192,
        rooms_per_connection: 4,
        ..Limits::default()
    };
    with(limits, Rules::open())
}

/// All that there is for a client, read as it comes; at no time waits more than so many bytes.
fn read_all(world: &mut World, conn: parlor_core::ConnId, most: usize) -> Vec<Value> {
    let mut frames = vec![];
    while let Some(pending) = world.shard.pending(conn) {
        assert!(pending.len() <= most, "{} bytes wait", pending.len());
        frames.extend(world.read_json(conn));
    }
    frames
}

#[test]
fn history_of_several_rooms_is_sent_as_the_client_reads() {
    let mut world = narrow();
    let large = "x".repeat(3990);
    for room in ["a", "a", "b", "b", "c", "c"] {
        world.api("publish", &json!({"channel": room, "data": large}).to_string());
    }
    let conn = world.open("/ws?room=a&room=b&room=c&history=2&greeting=off");
    // A quarter of an outbox, and what one room has.
    let frames = read_all(&mut world, conn, 8192 + 8192);
    assert_eq!(frames.len(), 6, "two of each room, though that is more than half of an outbox");
    assert!(world.ended.is_empty());
}

#[test]
fn recoveries_of_many_rooms_in_one_message_all_succeed() {
    let mut world = world();
    let payload = "x".repeat(60_000);
    let rooms: Vec<String> = (0..32).map(|n| format!("r{n}")).collect();
    for room in &rooms {
        (0..4).for_each(|_| drop(world.api("publish", &json!({"channel": room, "data": payload}).to_string())));
    }
    let conn = world.json();
    let command = |room: &String| json!({"id": 2, "subscribe": {"channel": room, "recover": true}}).to_string();
    world.say(conn, &rooms.iter().map(command).collect::<Vec<_>>().join("\n"));
    let mut recovered = 0;
    while world.shard.pending(conn).is_some() {
        assert!(world.shard.pending(conn).unwrap().len() < 600_000, "one reply beside what may wait");
        let replies = world.read_json(conn);
        recovered += replies.iter().filter(|reply| reply["subscribe"]["recovered"] == true).count();
    }
    assert_eq!((recovered, world.ended.len()), (32, 0));
}

#[test]
fn a_plain_client_that_recovers_many_rooms_is_not_closed_as_slow() {
    let mut world = world();
    let rooms: Vec<String> = (0..20).map(|n| format!("r{n}")).collect();
    for room in &rooms {
        publish(&mut world, room, 1, 100);
    }
    let url = format!("/ws?room={}&greeting=off&history=100&positions=on", rooms.join("&room="));
    let conn = world.open(&url);
    assert!(world.shard.pending(conn).unwrap().frames() <= 256 + 200, "a quarter of an outbox, and one room");
    let frames = read_all(&mut world, conn, 1 << 20);
    assert_eq!((world.ended.len(), frames.len()), (0, 20 * 200), "each message of each room, and where it was");
    for (room, frames) in rooms.iter().zip(frames.chunks(200)) {
        let offsets = frames.iter().skip(1).step_by(2).map(|at| (at["room"].as_str(), at["offset"].as_u64()));
        assert!(offsets.eq((1..=100).map(|offset| (Some(room.as_str()), Some(offset)))), "{room} in order");
    }
}

/// Somebody who reads nothing, and comes back to two rooms of which the first fills a quarter of an outbox.
fn behind() -> (World, parlor_core::ConnId) {
    let mut world = with(Limits { outbox_frames: 200, ..Limits::default() }, Rules::open());
    for room in ["a", "b"] {
        publish(&mut world, room, 1, 100);
    }
    let conn = world.open("/ws?room=a&room=b&room=new&greeting=off&history=100&token=t");
    world.prove(claims("ada"));
    world.input(Input::Flushed { conn, bytes: 0 });
    (world, conn)
}

#[test]
fn publications_during_a_recovery_come_once_and_in_order() {
    let (mut world, conn) = behind();
    assert_eq!(world.api("presence_stats", r#"{"channel":"b"}"#)["result"]["num_clients"], 0, "it is not in b yet");
    publish(&mut world, "a", 101, 101);
    publish(&mut world, "b", 101, 101);
    let frames = read_all(&mut world, conn, 1 << 20);
    let expected = (1..=101).chain(2..=101);
    assert!(frames.iter().filter_map(Value::as_u64).eq(expected), "{frames:?}");
    assert_eq!(world.api("presence_stats", r#"{"channel":"b"}"#)["result"]["num_clients"], 1);
}

#[test]
fn commands_wait_until_all_joins_are_done() {
    let (mut world, conn) = behind();
    world.say(conn, r#"{"type":"position"}"#);
    // It reads a message now and then; meanwhile it cannot be heard answering a ping.
    for _ in 0..6 {
        world.pass(Limits::default().write_timeout - Duration::from_secs(1));
        let bytes = world.shard.pending(conn).unwrap().slices().next().unwrap().len();
        world.input(Input::Flushed { conn, bytes });
    }
    let frames = read_all(&mut world, conn, 1 << 20);
    assert!(world.ended.is_empty(), "{:?}", world.ended);
    let rooms: Vec<&str> = frames.iter().filter_map(|frame| frame["room"].as_str()).collect();
    assert_eq!(rooms.len(), 4, "{rooms:?}: it is answered once it is in all of them, its user's own among them");
    assert_eq!(world.listened, [conn]);
}

#[test]
fn a_waiting_join_can_be_cancelled_by_an_unsubscribe() {
    let (mut world, conn) = behind();
    world.say(conn, r#"{"type":"ping"}"#);
    world.api("unsubscribe", r#"{"user":"ada","channel":"b"}"#);
    let frames = read_all(&mut world, conn, 1 << 20);
    assert_eq!(frames.len(), 101, "the messages of a, and the answer to the ping");
    assert!(world.ended.is_empty());
}

#[test]
fn a_client_may_subscribe_to_a_room_that_a_backend_is_adding() {
    let mut world = world();
    let (conn, connected) = world.json_with(claims("ada"));
    publish(&mut world, "a", 1, 2);
    world.api("send", &json!({"client": connected["connect"]["client"], "data": "1"}).to_string());
    world.input(Input::Flushed { conn, bytes: 0 });
    world.say(conn, r#"{"id":2,"subscribe":{"channel":"a","token":"t","recover":true}}"#);
    let since = json!({"epoch": epoch(&world, "a"), "offset": 1});
    world.api("subscribe", &json!({"user": "ada", "channel": "a", "recover_since": since}).to_string());
    world.prove(Claims { channel: Some("a".into()), ..claims("ada") });
    let frames = world.read_json(conn);
    let replies: Vec<&Value> = frames.iter().filter(|frame| frame["id"] == 2).collect();
    assert_eq!(replies[0]["subscribe"]["publications"].as_array().map(Vec::len), Some(2), "{frames:?}");
    world.api("unsubscribe", r#"{"user":"ada","channel":"a"}"#);
    let after = world.read_json(conn);
    assert_eq!(after.len(), 1, "the end of the one subscription: {after:?}");
}

#[test]
fn recoveries_that_a_backend_starts_do_not_close_clients_as_slow() {
    let mut world = world();
    let (conn, _) = world.json_with(claims("ada"));
    for n in 0..12 {
        let room = format!("r{n}");
        publish(&mut world, &room, 1, 100);
        let since = json!({"epoch": epoch(&world, &room), "offset": 0});
        world.api("subscribe", &json!({"user": "ada", "channel": room, "recover_since": since}).to_string());
    }
    let frames = read_all(&mut world, conn, 1 << 20);
    let pushes = frames.iter().map(|frame| &frame["push"]["subscribe"]).filter(|push| push.is_object());
    let recovered = pushes.filter(|push| push["recovered"] == true).count();
    assert_eq!((recovered, frames.len()), (12, 12 * 101), "each with all that was missed in its room");
    assert!(world.ended.is_empty());
}

#[test]
fn a_server_side_subscription_succeeds_although_recovery_fails() {
    let mut world = world();
    let conn = world.open("/connection/websocket");
    let subs = json!({"#ada": {"recover": true, "epoch": "gone", "offset": 9, "flag": 2}});
    world.say(conn, &json!({"id": 1, "connect": {"token": "t", "subs": subs}}).to_string());
    world.prove(claims("ada"));
    let reply = world.read_json(conn).remove(0);
    assert_eq!(reply["connect"]["subs"]["#ada"]["was_recovering"], true);
}

/// A client that comes back with this token to these rooms, and its reply.
fn come_back(world: &mut World, rooms: &[String]) -> (parlor_core::ConnId, Value) {
    let conn = world.open("/connection/websocket");
    let subs: serde_json::Map<String, Value> =
        rooms.iter().map(|room| (room.clone(), json!({"recover": true, "epoch": "", "offset": 0}))).collect();
    world.say(conn, &json!({"id": 1, "connect": {"token": "t", "subs": subs}}).to_string());
    world.prove(Claims { channels: rooms.to_vec(), ..claims("ada") });
    let reply = world.read_json(conn).remove(0);
    (conn, reply)
}

/// The default limits, and a client may ask as fast as it likes.
fn unpaced() -> Limits {
    Limits { client_commands: parlor_core::limits::Rate::OFF, ..Limits::default() }
}

/// Many rooms with many messages each, from a client, or short ones from a backend.
#[test]
fn a_connect_reply_of_many_rooms_fits_its_frame() {
    let data = "1".repeat(40);
    for (rooms, by_client) in [(60, true), (127, false)] {
        let mut world = with(Limits { client_publishes: parlor_core::limits::Rate::OFF, ..unpaced() }, Rules::open());
        let names: Vec<String> = (0..rooms).map(|n| format!("room-{n}")).collect();
        if by_client {
            let conn = world.json();
            let each =
                |command: &dyn Fn(&String) -> Value| names.iter().map(|room| command(room).to_string()).collect();
            let joins: String = each(&|room| json!({"id": 2, "subscribe": {"channel": room}}));
            let publishes: String = each(&|room| json!({"id": 3, "publish": {"channel": room, "data": data}}));
            world.say(conn, &joins);
            for _ in 0..99 {
                world.flush(conn);
                world.say(conn, &publishes);
            }
        } else {
            for n in 0..99 {
                world.api("broadcast", &json!({"channels": names, "data": n}).to_string());
            }
        }
        let (back, reply) = come_back(&mut world, &names);
        assert!(world.ended.is_empty() && world.shard.pending(back).is_none());
        let subs = reply["connect"]["subs"].as_object().expect("rooms");
        assert_eq!(subs.len(), rooms + 1);
        let recovered =
            |room: &&Value| room["recovered"] == true && room["publications"].as_array().unwrap().len() == 99;
        assert_eq!(subs.values().filter(recovered).count(), 3, "300 messages in all");
        let others: Vec<&Value> = names.iter().map(|room| &subs[room]).filter(|room| !recovered(room)).collect();
        let goes_on = |room: &&Value| room["was_recovering"] == true && room["offset"] == 99;
        assert!(others.len() == rooms - 3 && others.iter().all(goes_on), "the others go on from the top");
        publish(&mut world, "room-0", 1, 1);
        assert_eq!(world.read_json(back)[0]["push"]["pub"]["offset"], 100, "and it stays");
    }
}

#[test]
fn a_long_log_of_short_messages_fits_its_frame() {
    let limits = Limits { history_messages: 10_000, reply_messages: 10_000, ..Limits::default() };
    let mut world = with(limits, Rules::open());
    for _ in 0..20 {
        let one = json!({"publish": {"channel": "a", "data": "1234567890"}});
        world.api("batch", &json!({"commands": vec![one; 500]}).to_string());
    }
    let reply = subscribe(&mut world, json!({"epoch": "", "offset": 0}));
    assert!(reply["subscribe"]["was_recovering"] == true && reply["subscribe"].get("recovered").is_none());
    let reply = subscribe(&mut world, json!({"epoch": "", "offset": 5_000}));
    assert_eq!(reply["subscribe"]["publications"].as_array().map(Vec::len), Some(5_000));
    let conn = world.json();
    world.say(conn, r#"{"id":2,"subscribe":{"channel":"a"}}{"id":3,"history":{"channel":"a","limit":-1}}"#);
    let reply = world.read(conn).pop().expect("history");
    let bytes = reply.find(r#"],"epoch""#).expect("a position") - r#"{"id":3,"history":{"publications":["#.len();
    assert!((262_100..=262_144).contains(&bytes), "{bytes} bytes of messages");
    assert!(world.ended.is_empty());
}

/// Numbers that look random and are the same in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

/// Sizes, numbers of rooms and bounds at random: the messages of a reply are within its bounds as they are encoded, and one
/// more would not be; and what comes of it is never a closed connection.
#[test]
fn replies_are_bounded_for_any_content() {
    let between = |text: &str, from: &str, to: &str| {
        let at = text.find(from).expect(from) + from.len();
        text[at..].find(to).expect(to)
    };
    for seed in 0..60 {
        let mut random = Random(seed);
        let limits = Limits {
            reply_bytes: [60, 400, 5_000][random.below(3) as usize] + random.below(200) as usize,
            reply_messages: [3, 20, 1000][random.below(3) as usize],
            ..Limits::default()
        };
        let mut world = with(limits.clone(), Rules::open());
        let names: Vec<String> = (0..=random.below(9)).map(|n| format!("\"{n}\\")).collect();
        for room in &names {
            for n in 0..random.below(40) {
                let data = "x".repeat(random.below(30) as usize);
                let tags = if random.below(2) == 0 { json!({}) } else { json!({"\"": "\n"}) };
                world.api("publish", &json!({"channel": room, "data": format!("{data}{n}"), "tags": tags}).to_string());
            }
        }
        let conn = world.open("/connection/websocket");
        let subs: serde_json::Map<String, Value> =
            names.iter().map(|room| (room.clone(), json!({"recover": true, "epoch": "", "offset": 0}))).collect();
        world.say(conn, &json!({"id": 1, "connect": {"token": "t", "subs": subs}}).to_string());
        world.prove(Claims { channels: names.clone(), ..claims("ada") });
        let text = world.read(conn).remove(0);
        let reply: Value = serde_json::from_str(&text).expect("JSON");
        let (mut messages, mut bytes) = (0, 0);
        for room in &names {
            let recovered =
                reply["connect"]["subs"][room].get("publications").map_or(0, |all| all.as_array().unwrap().len());
            messages += recovered;
        }
        for part in text.split(r#""publications":["#).skip(1) {
            bytes += part.find("]}").expect("an end");
        }
        assert!(messages <= limits.reply_messages && bytes <= limits.reply_bytes, "{messages}, {bytes} of {limits:?}");
        for room in &names {
            world.say(conn, &json!({"id": 2, "history": {"channel": room, "limit": -1}}).to_string());
            let text = world.read(conn).remove(0);
            let shown = between(&text, r#""publications":["#, r#"],"epoch""#);
            let all =
                world.shard.snapshot().logs.iter().find(|log| *log.name == **room).map_or(0, |log| log.entries.len());
            let got = text.matches(r#""offset":"#).count() - 1;
            assert!(shown <= limits.reply_bytes && got <= limits.reply_messages, "{text}");
            let is_cut = got < all.min(limits.reply_messages);
            assert!(!is_cut || shown + 130 > limits.reply_bytes, "{shown} of {}: {text}", limits.reply_bytes);
        }
        assert!(world.ended.is_empty());
    }
}
