//! Tokens that a backend takes back: what was opened with them ends, and what comes is refused.

use crate::cluster::Cluster;
use crate::world::{Rules, World, claims, with, world};
use parlor_core::{Claims, ConnId, Limit, Limits};
use serde_json::{Value, json};
use std::time::Duration;

const NOW: i64 = 1_700_000_000;
const DAYS_30: i64 = 30 * 86_400;
const REVOKED: (u16, &str) = (3500, "token revoked");
const REFUSED: (u16, &str) = (3500, "invalid token: the token was revoked");

/// A token of a user with an id.
fn token(user: &str, id: &str) -> Claims {
    Claims { jti: Some(id.into()), ..claims(user) }
}

/// A token of a user that was issued then.
fn issued(user: &str, at: i64) -> Claims {
    Claims { iat: Some(at), ..claims(user) }
}

/// A token for a room.
fn of_room(user: &str, id: &str, room: &str) -> Claims {
    Claims { channel: Some(room.into()), ..token(user, id) }
}

fn revoke(world: &mut World, id: &str) -> Value {
    world.api("revoke_token", &json!({ "uid": id }).to_string())
}

/// A call whose first turn revokes a token in the shard that it comes to: no end is asked for.
fn until(expire_at: i64, id: &str) -> String {
    json!({"uid": id, "expire_at": expire_at}).to_string()
}

fn close_of(world: &mut World, conn: ConnId) -> Option<(u16, String)> {
    world.read_close(conn)
}

fn is(close: Option<(u16, String)>, expected: (u16, &str)) -> bool {
    close == Some((expected.0, expected.1.into()))
}

/// Shows a token in a new connection.
fn show(world: &mut World, claims: Claims) -> ConnId {
    let conn = world.open("/connection/websocket");
    world.say(conn, r#"{"id":1,"connect":{"token":"t"}}"#);
    world.prove(claims);
    conn
}

/// Subscribes with a token of the room. Returns what the client receives.
fn subscribe(world: &mut World, conn: ConnId, claims: Claims) -> Vec<Value> {
    let room = claims.channel.clone().expect("a token of a room");
    world.say(conn, &json!({"id": 2, "subscribe": {"channel": room, "token": "t"}}).to_string());
    world.prove(claims);
    world.read_json(conn)
}

#[test]
fn a_revoked_token_closes_its_connections_and_no_others_and_is_refused_from_then_on() {
    let mut world = world();
    let [first, second, other, without] = [token("ann", "t"), token("bob", "t"), token("ann", "u"), claims("ann")]
        .map(|claims| world.json_with(claims).0);
    assert_eq!(revoke(&mut world, "t"), json!({"result": {"expire_at": NOW + DAYS_30}}));
    for conn in [first, second] {
        assert!(is(close_of(&mut world, conn), REVOKED));
    }
    assert!([other, without].into_iter().all(|conn| world.read_close(conn).is_none()));
    let conn = show(&mut world, token("ann", "t"));
    assert!(is(close_of(&mut world, conn), REFUSED));
    world.say(other, r#"{"id":7,"refresh":{"token":"u"}}"#);
    world.prove(token("ann", "t"));
    assert!(is(close_of(&mut world, other), REFUSED), "nor does it renew another");
    world.pass(Duration::from_secs(DAYS_30 as u64));
    let conn = show(&mut world, token("ann", "t"));
    assert!(world.read_close(conn).is_none(), "the revocation is over");
}

#[test]
fn a_connection_counts_with_the_token_that_it_was_last_refreshed_with() {
    let mut world = world();
    let conn = world.json_with(token("ann", "old")).0;
    world.say(conn, r#"{"id":7,"refresh":{"token":"u"}}"#);
    world.prove(token("ann", "new"));
    world.read(conn);
    revoke(&mut world, "old");
    assert!(world.read_close(conn).is_none());
    revoke(&mut world, "new");
    assert!(is(close_of(&mut world, conn), REVOKED));
}

#[test]
fn a_revocation_ends_when_was_said_or_with_the_token_or_after_30_days() {
    let mut world = world();
    let leeway = world.shard.config().limits.token_leeway.as_secs() as i64;
    let end_of =
        |world: &mut World, body: Value| world.api("revoke_token", &body.to_string())["result"]["expire_at"].clone();
    assert_eq!(end_of(&mut world, json!({"uid": "t", "expire_at": NOW + 5})), NOW + 5);
    assert_eq!(end_of(&mut world, json!({"uid": "t", "expire_at": NOW + 3})), NOW + 5, "no sooner than was said");
    for (exp, claims) in [(60, token("ann", "short")), (90, token("bob", "short"))] {
        world.json_with(Claims { exp: Some(NOW + exp), ..claims });
    }
    assert_eq!(end_of(&mut world, json!({"uid": "short"})), NOW + 90 + leeway, "the last of them");
    world.json_with(Claims { exp: Some(NOW + 60), ..token("ann", "both") });
    world.json_with(token("ann", "both"));
    assert_eq!(end_of(&mut world, json!({"uid": "both"})), NOW + DAYS_30, "one of them has no end");
    let conn = world.json_with(token("ann", "conn")).0;
    subscribe(&mut world, conn, Claims { exp: Some(NOW + 70), ..of_room("ann", "room", "a") });
    assert_eq!(end_of(&mut world, json!({"uid": "room"})), NOW + 70 + leeway, "a room's token, too");
    let error = world.api("revoke_token", &json!({"uid": "t", "expire_at": NOW}).to_string());
    let words = format!("expire_at is {NOW}; it must be in the future, which begins after {NOW}");
    assert_eq!(error["error"], json!({"code": 107, "message": words}));
}

#[test]
fn invalidated_tokens_are_those_issued_before_and_those_that_do_not_say() {
    let mut world = world();
    let body = json!({"user": "ann", "issued_before": NOW - 10});
    let older = [issued("ann", NOW - 11), claims("ann")].map(|claims| world.json_with(claims).0);
    let newer = [issued("ann", NOW - 10), claims("bob")].map(|claims| world.json_with(claims).0);
    let answer = world.api("invalidate_user_tokens", &body.to_string());
    assert_eq!(answer, json!({"result": {"expire_at": NOW + DAYS_30}}));
    assert!(older.into_iter().all(|conn| is(close_of(&mut world, conn), REVOKED)));
    assert!(newer.into_iter().all(|conn| world.read_close(conn).is_none()));
    for claims in [issued("ann", NOW - 11), claims("ann")] {
        let conn = show(&mut world, claims);
        assert!(is(close_of(&mut world, conn), REFUSED));
    }
    let [same_second, next] = [NOW, NOW + 1].map(|at| show(&mut world, issued("ann", at)));
    world.api("invalidate_user_tokens", r#"{"user":"ann"}"#);
    assert!(is(close_of(&mut world, same_second), REVOKED), "it may be older than the call");
    assert!(world.read_close(next).is_none());
}

#[test]
fn a_subscription_by_a_revoked_token_ends_with_a_code_for_which_sdks_get_a_new_token() {
    let mut world = world();
    let (conn, _) = world.json_with(claims("ann"));
    for (room, id) in [("a", "t"), ("b", "u")] {
        assert!(subscribe(&mut world, conn, of_room("ann", id, room))[0]["subscribe"].is_object());
    }
    revoke(&mut world, "t");
    let push = json!({"channel": "a", "unsubscribe": {"code": 2502, "reason": "token revoked"}});
    assert_eq!(world.read_json(conn), [json!({ "push": push })]);
    world.api("publish", r#"{"channel":"a","data":1}"#);
    assert!(world.read(conn).is_empty(), "it is out of the room");
    let error = &subscribe(&mut world, conn, of_room("ann", "t", "a"))[0]["error"];
    assert_eq!(*error, json!({"code": 103, "message": "permission denied: the token was revoked"}));
    assert!(subscribe(&mut world, conn, of_room("ann", "v", "a"))[0]["subscribe"].is_object());
    let body = json!({"user": "ann", "issued_before": NOW});
    world.say(conn, r#"{"id":7,"refresh":{"token":"u"}}"#);
    world.prove(issued("ann", NOW));
    world.read(conn);
    world.api("invalidate_user_tokens", &body.to_string());
    let mut ended: Vec<Value> = world.read_json(conn).iter().map(|frame| frame["push"]["channel"].clone()).collect();
    ended.sort_unstable_by_key(Value::to_string);
    assert_eq!(ended, ["a", "b"], "its own token is newer, those of the rooms do not say");
}

#[test]
fn a_membership_that_others_want_as_well_outlives_the_token_of_the_room() {
    let mut world = world();
    let (conn, _) = world.json_with(claims("ann"));
    subscribe(&mut world, conn, Claims { info: parlor_core::Json::parse("7").ok(), ..of_room("ann", "t", "a") });
    world.api("subscribe", r#"{"user":"ann","channel":"a"}"#);
    let info = |world: &mut World| world.api("presence", r#"{"channel":"a"}"#).to_string().contains("chan_info");
    assert!(info(&mut world));
    revoke(&mut world, "t");
    assert!(world.read(conn).is_empty() && !info(&mut world), "but what the token said of it is over");
    world.api("publish", r#"{"channel":"a","data":1}"#);
    assert_eq!(world.read(conn).len(), 1);
}

#[test]
fn a_plain_client_without_its_token_is_anonymous_where_that_is_allowed() {
    let mut world = world();
    revoke(&mut world, "t");
    let conn = world.open("/ws/a?token=t");
    world.prove(token("ann", "t"));
    let frames = world.read_json(conn);
    assert_eq!((&frames[0]["authenticated"], &frames[1]["type"]), (&json!(false), &json!("error")));
}

#[test]
fn an_id_of_a_token_is_bounded() {
    let mut world = with(Limits { token_id_bytes: 3, ..Limits::default() }, Rules::open());
    let conn = show(&mut world, token("ann", "abc"));
    assert!(world.read_close(conn).is_none());
    let conn = show(&mut world, token("ann", "abcd"));
    assert!(is(close_of(&mut world, conn), (3500, "invalid token: jti has more than 3 bytes (token_id_bytes)")));
    assert_eq!(world.shard.stats().totals.limits[&Limit::TokenIdBytes], 1);
    for (uid, words) in [
        ("abcd", "uid has more than 3 bytes (token_id_bytes)"),
        ("", "uid must not be empty; it is the claim jti of a token"),
    ] {
        assert_eq!(revoke(&mut world, uid)["error"]["message"], words);
    }
}

#[test]
fn full_lists_refuse_more_and_forget_nothing_that_holds() {
    let mut world = with(Limits { revoked_tokens: 1, invalidated_users: 1, ..Limits::default() }, Rules::open());
    let body = |id: &str| json!({"uid": id, "expire_at": NOW + 5}).to_string();
    world.api("revoke_token", &body("t"));
    world.api("invalidate_user_tokens", r#"{"user":"ann"}"#);
    let conn = world.json_with(token("bob", "u")).0;
    let error = json!({
        "code": 106,
        "message": "1 revocations hold already, and none ends for another (revoked_tokens)",
        "limit": "revoked_tokens"
    });
    assert_eq!(world.api("revoke_token", &body("u"))["error"], error);
    assert_eq!(world.api("invalidate_user_tokens", r#"{"user":"bob"}"#)["error"]["limit"], "invalidated_users");
    assert!(world.read_close(conn).is_none(), "it is not closed either");
    assert_eq!(world.api("revoked_tokens", "{}"), json!({"result": {"tokens": {"t": {"expire_at": NOW + 5}}}}));
    world.pass(Duration::from_secs(5));
    assert_eq!(world.api("revoked_tokens", "{}"), json!({"result": {"tokens": {}}}));
    assert_eq!(revoke(&mut world, "u"), json!({"result": {"expire_at": NOW + 5 + DAYS_30}}));
    assert!(is(close_of(&mut world, conn), REVOKED));
}

#[test]
fn what_is_revoked_is_listed_in_pages() {
    let mut world = world();
    for name in ["c", "a", "b"] {
        world.api("revoke_token", &json!({"uid": name, "expire_at": NOW + 5}).to_string());
        let body = json!({"user": name, "issued_before": NOW, "expire_at": NOW + 5});
        world.api("invalidate_user_tokens", &body.to_string());
    }
    let (until, of_user) = (json!({"expire_at": NOW + 5}), json!({"issued_before": NOW, "expire_at": NOW + 5}));
    for (method, field, entry) in [("revoked_tokens", "tokens", until), ("invalidated_users", "users", of_user)] {
        let first = json!({"result": {field: {"a": entry, "b": entry}, "cursor": "b"}});
        assert_eq!(world.api(method, r#"{"limit":2}"#), first);
        assert_eq!(world.api(method, r#"{"limit":2,"cursor":"b"}"#), json!({"result": {field: {"c": entry}}}));
        assert_eq!(world.api(method, r#"{"limit":3}"#), world.api(method, "{}"), "exactly as many");
    }
    let mut world = with(Limits { api_reply_bytes: 1000, ..Limits::default() }, Rules::open());
    (0..20).for_each(|at| drop(revoke(&mut world, &format!("t{at}"))));
    assert_eq!(world.api("revoked_tokens", "{}")["error"]["limit"], "api_reply_bytes");
    assert!(world.api("revoked_tokens", r#"{"limit":2}"#)["result"].is_object());
}

#[test]
fn a_revocation_reaches_every_shard_of_a_node() {
    for (at, caller) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
        let mut cluster = Cluster::new();
        let conn = cluster.connecting(at, Claims { exp: Some(NOW + 60), ..token("ann", "t") });
        cluster.settle();
        cluster.shards[at].read(conn);
        let answer = cluster.ask(caller, "revoke_token", &json!({"uid": "t"}));
        assert_eq!(answer, json!({"result": {"expire_at": NOW + 70}}), "any shard knows the token's end");
        assert!(is(cluster.shards[at].read_close(conn), REVOKED));
        for shard in [0, 1] {
            let conn = show(&mut cluster.shards[shard], token("ann", "t"));
            assert!(is(cluster.shards[shard].read_close(conn), REFUSED));
            let list = cluster.ask(shard, "revoked_tokens", &json!({}));
            assert_eq!(list, json!({"result": {"tokens": {"t": {"expire_at": NOW + 70}}}}));
        }
    }
}

#[test]
fn a_token_is_found_while_its_connection_waits_for_homes() {
    let mut cluster = Cluster::new();
    let user = cluster.user(0);
    let conn = cluster.connecting(1, token(&user, "t"));
    let room = cluster.room(0);
    cluster.shards[1].ask("revoke_token", &until(NOW + 5, "t"));
    cluster.settle();
    assert!(is(cluster.shards[1].read_close(conn), REVOKED), "its connect is not answered");
    let anonymous = cluster.shards[1].open(&format!("/ws/{room}"));
    cluster.settle();
    cluster.shards[1].read(anonymous);
    cluster.shards[1].say(anonymous, r#"{"type":"auth","token":"u"}"#);
    cluster.shards[1].prove(token(&user, "u"));
    cluster.shards[1].ask("revoke_token", &until(NOW + 5, "u"));
    cluster.settle();
    assert!(is(cluster.shards[1].read_close(anonymous), REVOKED), "it is not the user's yet");
    assert_eq!(cluster.ask(0, "presence_stats", &json!({"channel": format!("#{user}")}))["result"]["num_clients"], 0);
}

#[test]
fn a_join_by_the_token_of_a_room_is_found_while_the_home_is_asked() {
    for (before, after, pushed) in [(false, false, None), (false, true, Some("subscribe")), (true, false, None)] {
        let mut cluster = Cluster::new();
        let (user, room) = (cluster.user(1), cluster.room(0));
        let (conn, _) = cluster.connected(1, &user);
        let put = json!({"user": user, "channel": room}).to_string();
        if before {
            cluster.shards[1].ask("subscribe", &put);
            cluster.settle();
            cluster.shards[1].read(conn);
        }
        let say = json!({"id": 2, "subscribe": {"channel": room, "token": "t"}});
        cluster.shards[1].say(conn, &say.to_string());
        cluster.shards[1].prove(of_room(&user, "t", &room));
        if after {
            cluster.shards[1].ask("subscribe", &put);
        }
        cluster.shards[1].ask("revoke_token", &until(NOW + 5, "t"));
        cluster.settle();
        let frames = cluster.shards[1].read_json(conn);
        assert_eq!(frames[0]["error"]["code"], 103, "{frames:?}");
        let is_pushed = |kind: &str| frames.iter().any(|frame| frame["push"].get(kind).is_some());
        assert_eq!(is_pushed("subscribe"), pushed.is_some(), "{frames:?}");
        let is_there = before || after;
        assert_eq!(is_pushed("unsubscribe"), !is_there, "{frames:?}");
        cluster.publish(0, &room, 7);
        assert_eq!(cluster.shards[1].read(conn).len(), usize::from(is_there), "it stays where a backend wants it");
    }
}

#[test]
fn a_shard_that_is_started_anew_gets_the_revocations_of_the_others() {
    let mut cluster = Cluster::new();
    cluster.ask(1, "revoke_token", &json!({"uid": "t"}));
    cluster.ask(1, "invalidate_user_tokens", &json!({"user": "bob"}));
    cluster.lose(1);
    let early = cluster.connecting(1, token("ann", "t"));
    cluster.settle();
    assert!(is(cluster.shards[1].read_close(early), REVOKED), "it came before the lists");
    for claims in [token("ann", "t"), claims("bob")] {
        let conn = show(&mut cluster.shards[1], claims);
        assert!(is(cluster.shards[1].read_close(conn), REFUSED));
    }
}
