//! Counts of what happened, for operators.

use crate::world::{Rules, World, claims, with, with_config, world};
use parlor_core::stats::{ConnectionStates, Evictions, PeerCloses, Recoveries, TokenVerdicts};
use parlor_core::{BadToken, Claims, Config, Input, Limits, Lost, Stats};
use serde_json::json;
use std::time::Duration;

const NOW: i64 = 1_700_000_000;

fn stats(world: &World) -> Stats {
    world.shard.stats()
}

#[test]
fn connections_are_counted_by_protocol_and_state() {
    let mut world = world();
    let opening = world.open("/connection/websocket");
    let json = world.json();
    let plain = world.plain("/ws/a");
    let of = |world: &World| (stats(world).gauges.json, stats(world).gauges.plain);
    let states = |opening, ready, closing| ConnectionStates { opening, ready, closing };
    assert_eq!(of(&world), (states(1, 1, 0), states(0, 1, 0)));
    world.api(
        "disconnect",
        &json!({"user": "", "client": world.shard.snapshot().conns[2].client.to_string()}).to_string(),
    );
    assert_eq!(of(&world), (states(1, 1, 0), states(0, 0, 1)));
    for conn in [opening, json, plain] {
        world.input(Input::Lost { conn, cause: Lost::Read });
    }
    assert_eq!(of(&world), (states(0, 0, 0), states(0, 0, 0)));
}

#[test]
fn the_largest_outbox_is_the_one_that_most_waits_for() {
    let mut world = world();
    assert_eq!(world.shard.largest_outbox(), 0);
    let [few, many] = ["/ws/a", "/ws?room=a&room=b"].map(|target| world.plain(target));
    for room in ["a", "b", "b"] {
        world.api("publish", &json!({"channel": room, "data": "0123456789"}).to_string());
    }
    let total = stats(&world).gauges.outbox_bytes;
    let largest = world.shard.largest_outbox();
    assert_eq!(largest, world.shard.pending(many).expect("it waits").len());
    assert_eq!(total - largest, world.shard.pending(few).expect("it waits").len());
    assert!(largest > total - largest);
}

#[test]
fn the_fullest_outboxes_are_listed_first_and_empty_ones_not_at_all() {
    let mut world = world();
    let [one, two, three, none] = ["/ws/a", "/ws/b", "/ws/c", "/ws/d"].map(|target| world.plain(target));
    for (room, count) in [("a", 1), ("b", 3), ("c", 2)] {
        for _ in 0..count {
            world.api("publish", &json!({"channel": room, "data": "0123456789"}).to_string());
        }
    }
    world.flush(none);
    let waiting = |conn| world.shard.pending(conn).map_or(0, |pending| pending.len());
    let listed = |most| -> Vec<(usize, bool)> {
        world.shard.fullest_outboxes(most).iter().map(|view| (view.bytes, view.refused)).collect()
    };
    let all = [two, three, one].map(|conn| (waiting(conn), false));
    assert_eq!(listed(10), all);
    assert_eq!((listed(2), listed(0)), (all[..2].to_vec(), vec![]));
    let first = &world.shard.fullest_outboxes(1)[0];
    assert_eq!((first.protocol, first.user.as_str(), first.frames), ("plain", "", 3), "three messages");
}

#[test]
fn clients_that_close_are_counted_by_code() {
    let mut world = world();
    for code in [Some(1000), Some(1001), None, Some(1011), Some(4000), Some(1001)] {
        let conn = world.plain("/ws/a");
        world.input(Input::PeerClosed { conn, code });
        world.flush(conn);
        world.input(Input::Lost { conn, cause: Lost::Eof });
    }
    let expected = PeerCloses { normal: 1, going_away: 2, none: 1, other: 2 };
    assert_eq!(stats(&world).totals.peer_closes, expected);
}

#[test]
fn tokens_are_counted_by_how_they_are_judged() {
    let mut world = world();
    world.api("revoke_token", &json!({"uid": "gone", "expire_at": NOW + 60}).to_string());
    let old = Claims { exp: Some(NOW - 60), ..claims("ada") };
    let early = Claims { nbf: Some(NOW + 60), ..claims("ada") };
    let revoked = Claims { jti: Some("gone".into()), ..claims("ada") };
    let content = Claims { allow: vec!["fly".into()], ..claims("ada") };
    let verdicts = [
        Ok(claims("ada")),
        Ok(old),
        Ok(early),
        Ok(revoked),
        Ok(content),
        Err(BadToken::Signature),
        Err(BadToken::NoKey),
        Err(BadToken::UnknownKey),
        Err(BadToken::Algorithm),
        Err(BadToken::KeyNotFetched),
        Err(BadToken::Malformed),
        Err(BadToken::Claim("exp")),
        Err(BadToken::Audience),
        Err(BadToken::Issuer),
    ];
    for verdict in verdicts {
        let conn = world.open("/connection/websocket");
        world.say(conn, r#"{"id":1,"connect":{"token":"t"}}"#);
        let (shown, _) = world.tokens.pop_front().expect("a token is being checked");
        world.judge(shown, verdict);
    }
    let ada = world.json_with(claims("ada")).0;
    world.say(ada, r#"{"id":2,"subscribe":{"channel":"a","token":"t"}}"#);
    world.prove(Claims { channel: Some("a".into()), ..claims("ada") });
    world.say(ada, r#"{"id":3,"refresh":{"token":"t"}}"#);
    world.prove(claims("bob"));
    let expected = TokenVerdicts {
        accepted: 3,
        expired: 1,
        not_yet_valid: 1,
        revoked: 1,
        signature: 1,
        key: 3,
        key_not_fetched: 1,
        malformed: 2,
        audience: 2,
        content: 1,
        foreign: 1,
        missing: 0,
    };
    assert_eq!(stats(&world).totals.tokens, expected);
}

#[test]
fn a_token_that_is_required_and_not_sent_is_counted() {
    let mut world = with(Limits::default(), Rules::closed());
    let conn = world.open("/connection/websocket");
    world.say(conn, r#"{"id":1,"connect":{}}"#);
    assert_eq!(stats(&world).totals.tokens, TokenVerdicts { missing: 1, ..TokenVerdicts::default() });
}

#[test]
fn recoveries_are_counted_by_their_result() {
    let mut world = with(Limits { history_messages: 3, reply_messages: 2, ..Limits::default() }, Rules::open());
    let epoch = world.api("publish", r#"{"channel":"a","data":1}"#)["result"]["epoch"].clone();
    for data in 2..=5 {
        world.api("publish", &json!({"channel": "a", "data": data}).to_string());
    }
    for (epoch, offset) in [(&epoch, 4), (&epoch, 0), (&epoch, 2), (&json!("0123456789abcdef"), 4)] {
        let conn = world.json();
        let subscribe = json!({"channel": "a", "recover": true, "epoch": epoch, "offset": offset});
        world.say(conn, &json!({"id": 2, "subscribe": subscribe}).to_string());
    }
    let conn = world.json();
    world.say(conn, r#"{"id":2,"subscribe":{"channel":"a"}}"#);
    let expected = Recoveries { recovered: 1, other_epoch: 1, not_retained: 1, too_much: 1 };
    assert_eq!(stats(&world).totals.recoveries, expected);
}

#[test]
fn what_a_limit_leaves_no_place_for_is_counted() {
    let (connections, logs, history_bytes) = (1, 2, 100);
    let of_rooms = Limits { connections, logs, history_bytes, ..Limits::default() };
    let limits = Limits { absences: 1, idempotency_keys: 2, ..of_rooms };
    let mut config = Config::from(limits);
    config.namespaces.policies_mut().for_each(|policy| policy.presence_grace = Duration::from_secs(15));
    let mut world = with_config(config);
    let evictions = |world: &World| stats(world).totals.evictions;
    for room in ["a", "b", "c"] {
        world.api("publish", &json!({"channel": room, "data": 1, "idempotency_key": "k"}).to_string());
    }
    assert_eq!(evictions(&world), Evictions { logs: 1, idempotency_keys: 1, ..Evictions::default() });
    world.api("publish", &json!({"channel": "c", "data": "x".repeat(97)}).to_string());
    assert_eq!(evictions(&world).history_bytes, 1, "c's older one");
    for user in ["ada", "bob"] {
        let conn = world.json_with(claims(user)).0;
        world.input(Input::Lost { conn, cause: Lost::Read });
    }
    // Ada is absent from her personal room; there is no place for Bob.
    assert_eq!((stats(&world).gauges.absences, evictions(&world).absences), (1, 1));
}
