//! What tokens give and take: users, rooms and infos, for as long as they are valid.

use crate::world::{Rules, World, claims, raw, with, with_config, world};
use parlor_core::{BadToken, CapabilityClaim, Change, Claims, Config, ConnId, Limit, Limits, UserId, UserLimit, Who};
use serde_json::{Value, json};
use std::num::NonZeroUsize;
use std::time::Duration;

const NOW: i64 = 1_700_000_000;
const CONNECT: &str = r#"{"id":1,"connect":{"token":"t"}}"#;

/// What a token of Ann says that puts her connection into these rooms.
fn ann(channels: &[&str]) -> Claims {
    Claims { channels: channels.iter().map(|room| (*room).into()).collect(), ..claims("ann") }
}

/// A json connection that has shown this token; the reply was read.
fn connected(world: &mut World, claims: Claims) -> ConnId {
    world.json_with(claims).0
}

/// What a json client receives when it shows another token.
fn refresh(world: &mut World, conn: ConnId, claims: Claims) -> Vec<Value> {
    world.say(conn, r#"{"id":7,"refresh":{"token":"u"}}"#);
    world.prove(claims);
    world.read_json(conn)
}

fn rooms_of(world: &World, user: &str) -> Vec<String> {
    let snapshot = world.shard.snapshot();
    let (_, ids) = snapshot.users.iter().find(|(name, _)| name.as_str() == user).expect("the user is online");
    let mut rooms: Vec<String> = snapshot
        .rooms
        .iter()
        .filter(|room| ids.iter().any(|id| room.members.contains(id)))
        .map(|room| room.name.to_string())
        .collect();
    rooms.sort_unstable();
    rooms
}

fn publish(world: &mut World, room: &str) {
    world.api("publish", &json!({"channel": room, "data": room}).to_string());
}

#[test]
fn a_refreshed_token_replaces_the_whole_grant() {
    let mut world = world();
    let watcher = world.json();
    for room in ["old", "kept", "new"] {
        world.say(watcher, &json!({"id": 2, "subscribe": {"channel": room, "join_leave": true}}).to_string());
    }
    world.read(watcher);
    let conn = connected(&mut world, ann(&["old", "kept"]));
    world.say(conn, r#"{"id":2,"subscribe":{"channel":"mine"}}"#);
    world.api("subscribe", r#"{"user":"ann","channel":"placed"}"#);
    world.read(conn);
    world.read(watcher);
    publish(&mut world, "new");
    world.read(watcher);
    let frames = refresh(&mut world, conn, ann(&["kept", "new"]));
    assert_eq!(frames[0]["id"], 7);
    let unsubscribe = json!({"channel": "old", "unsubscribe": {"code": 2000, "reason": "server unsubscribe"}});
    assert_eq!(frames[1]["push"], unsubscribe);
    let subscribe = &frames[2]["push"];
    assert_eq!((&subscribe["channel"], &subscribe["subscribe"]["offset"]), (&json!("new"), &json!(1)));
    assert_eq!((&subscribe["subscribe"]["positioned"], frames.len()), (&json!(true), 3));
    assert_eq!(rooms_of(&world, "ann"), ["#ann", "kept", "mine", "new", "placed"]);
    let seen: Vec<(String, bool)> = world
        .read_json(watcher)
        .iter()
        .map(|frame| (frame["push"]["channel"].as_str().unwrap().into(), frame["push"].get("join").is_some()))
        .collect();
    assert_eq!(seen, [("old".into(), false), ("new".into(), true)], "those who stay do not come and go");
    for room in ["old", "kept", "new", "mine", "placed", "#ann"] {
        publish(&mut world, room);
    }
    let heard: Vec<Value> = world.read_json(conn).iter().map(|frame| frame["push"]["channel"].clone()).collect();
    assert_eq!(heard, ["kept", "new", "mine", "placed", "#ann"], "a room that the token does not name is silent");
}

#[test]
fn a_refreshed_token_without_channels_ends_the_old_tokens_memberships() {
    let mut world = world();
    let conn = connected(&mut world, ann(&["a", "b", "c"]));
    world.api("subscribe", r#"{"user":"ann","channel":"b"}"#);
    assert!(world.read(conn).is_empty(), "it is there already");
    let left: Vec<Value> =
        refresh(&mut world, conn, claims("ann"))[1..].iter().map(|frame| frame["push"]["channel"].clone()).collect();
    assert_eq!(left, ["a", "c"]);
    assert_eq!(rooms_of(&world, "ann"), ["#ann", "b"], "a backend wants it in b");
}

#[test]
fn a_room_that_was_left_is_joined_again_only_if_a_new_token_adds_it() {
    let mut world = world();
    let conn = connected(&mut world, ann(&["a", "b"]));
    world.say(conn, r#"{"id":2,"unsubscribe":{"channel":"a"}}"#);
    world.api("unsubscribe", r#"{"user":"ann","channel":"b"}"#);
    world.read(conn);
    assert_eq!(refresh(&mut world, conn, ann(&["a", "b"])).len(), 1, "the reply");
    assert_eq!(rooms_of(&world, "ann"), ["#ann"]);
    refresh(&mut world, conn, claims("ann"));
    refresh(&mut world, conn, ann(&["a", "b"]));
    assert_eq!(rooms_of(&world, "ann"), ["#ann", "a", "b"]);
}

#[test]
fn a_room_that_the_client_subscribed_to_outlives_the_token() {
    let mut world = world();
    let conn = connected(&mut world, ann(&[]));
    world.say(conn, r#"{"id":2,"subscribe":{"channel":"a"}}"#);
    world.read(conn);
    assert_eq!(refresh(&mut world, conn, ann(&["a"])).len(), 1, "it is in it already");
    assert_eq!(refresh(&mut world, conn, ann(&[])).len(), 1, "and stays");
    let plain = world.open("/ws/a?token=t");
    world.prove(Claims { channels: vec!["a".into(), "b".into()], ..claims("bob") });
    world.read(plain);
    world.say(plain, r#"{"type":"auth","token":"u"}"#);
    world.prove(claims("bob"));
    assert_eq!(world.read_json(plain)[0]["type"], "authenticated");
    assert_eq!(rooms_of(&world, "bob"), ["#bob", "a"], "plain counts whole too; a is in the URL");
}

#[test]
fn a_refreshed_token_with_too_many_rooms_closes_as_at_connect() {
    let mut world = with(Limits { rooms_per_connection: 3, ..Limits::default() }, Rules::open());
    let conn = connected(&mut world, ann(&["a", "b"]));
    assert_eq!(refresh(&mut world, conn, ann(&["b", "c"])).len(), 3, "what is left makes room");
    world.say(conn, r#"{"id":7,"refresh":{"token":"u"}}"#);
    world.prove(ann(&["a", "b", "c"]));
    assert_eq!(world.read_close(conn).map(|(code, _)| code), Some(3505));
    assert_eq!(world.shard.stats().totals.limits[&Limit::RoomsPerConnection], 1);
    let conn = connected(&mut world, ann(&[]));
    world.say(conn, r#"{"id":2,"subscribe":{"channel":"mine"}}"#);
    world.read(conn);
    world.say(conn, r#"{"id":7,"refresh":{"token":"u"}}"#);
    world.prove(ann(&["a", "b"]));
    assert_eq!(world.read_close(conn).map(|(code, _)| code), Some(3004), "a new connection has place for them");
}

#[test]
fn a_refreshed_tokens_info_is_seen_in_presence_and_in_what_is_published() {
    let mut world = world();
    let watcher = world.json();
    world.say(watcher, r#"{"id":2,"subscribe":{"channel":"a","join_leave":true}}"#);
    let info = |text: &str| Claims { info: Some(raw(text)), ..ann(&["a"]) };
    let conn = connected(&mut world, info("1"));
    world.say(conn, r#"{"id":2,"subscribe":{"channel":"own","token":"t"}}"#);
    world.prove(Claims { channel: Some("own".into()), info: Some(raw("5")), ..claims("ann") });
    world.read(conn);
    world.read(watcher);
    refresh(&mut world, conn, info("1"));
    assert!(world.read(watcher).is_empty(), "nothing is new");
    refresh(&mut world, conn, info("2"));
    assert!(world.read(watcher).is_empty(), "whoever stays neither leaves nor joins");
    world.say(conn, r#"{"id":8,"publish":{"channel":"own","data":0}}"#);
    let info_of = |value: &Value| (value["conn_info"].clone(), value["chan_info"].clone());
    assert_eq!(info_of(&world.read_json(conn)[0]["push"]["pub"]["info"]), (json!(2), json!(5)));
    for room in ["a", "own"] {
        let presence = world.api("presence", &json!({ "channel": room }).to_string());
        let infos = presence["result"]["presence"].as_object().unwrap().values();
        assert!(infos.into_iter().any(|info| info["conn_info"] == 2), "{room}: {presence}");
    }
    world.api("unsubscribe", r#"{"user":"ann","channel":"a"}"#);
    assert_eq!(world.read_json(watcher)[0]["push"]["leave"]["info"]["conn_info"], 2, "it leaves as what it is now");
}

#[test]
fn a_client_may_subscribe_to_a_room_that_it_was_subscribed_to() {
    let mut world = world();
    let watcher = world.json();
    world.say(watcher, r#"{"id":2,"subscribe":{"channel":"a","join_leave":true}}"#);
    publish(&mut world, "a");
    let conn = connected(&mut world, ann(&["a"]));
    world.read(watcher);
    let snapshot = world.shard.snapshot();
    let epoch = &snapshot.logs.iter().find(|log| log.name.as_str() == "a").expect("it has a log").epoch;
    let recover = json!({"channel": "a", "recover": true, "epoch": epoch, "offset": 0});
    world.say(conn, &json!({"id": 2, "subscribe": recover}).to_string());
    let reply = world.read_json(conn).remove(0);
    assert_eq!((&reply["id"], &reply["subscribe"]["recovered"]), (&json!(2), &json!(true)), "{reply}");
    assert_eq!(reply["subscribe"]["publications"].as_array().map(Vec::len), Some(1), "{reply}");
    assert!(world.read(watcher).is_empty(), "it was there all the time");
    world.say(conn, r#"{"id":3,"subscribe":{"channel":"a"}}"#);
    assert_eq!(world.read_json(conn)[0]["error"]["code"], 105, "it has asked for it already");
    assert_eq!(refresh(&mut world, conn, ann(&[])).len(), 1, "its client wants it there");
    publish(&mut world, "a");
    assert_eq!(world.read(conn).len(), 1, "once");
    world.say(conn, r#"{"id":4,"unsubscribe":{"channel":"a"}}"#);
    world.read(conn);
    publish(&mut world, "a");
    assert!(world.read(conn).is_empty());
}

#[test]
fn subscribing_again_may_turn_on_joins_and_leaves() {
    let mut world = world();
    let conn = connected(&mut world, ann(&["a"]));
    world.say(conn, r#"{"id":2,"subscribe":{"channel":"a","join_leave":true,"recover":true,"epoch":"x","flag":2}}"#);
    let reply = world.read_json(conn).remove(0);
    assert_eq!(reply["subscribe"]["was_recovering"], true, "it is in the room, and is not refused: {reply}");
    let other = world.json();
    world.say(other, r#"{"id":2,"subscribe":{"channel":"a"}}"#);
    assert!(world.read_json(conn)[0]["push"]["join"].is_object());
}

#[test]
fn an_expired_room_token_ends_only_its_own_grant() {
    let limits = Limits { expiry_grace: Duration::ZERO, token_leeway: Duration::ZERO, ..Limits::default() };
    let mut world = with(limits, Rules::open());
    let room_token = || Claims { channel: Some("a".into()), exp: Some(NOW + 5), info: Some(raw("5")), ..claims("ann") };
    let conn = connected(&mut world, ann(&[]));
    world.say(conn, r#"{"id":2,"subscribe":{"channel":"a","token":"t"}}"#);
    world.prove(room_token());
    world.api("subscribe", r#"{"user":"ann","channel":"a"}"#);
    world.read(conn);
    world.pass(Duration::from_secs(5));
    assert!(world.read(conn).is_empty(), "a backend wants it there");
    assert_eq!(rooms_of(&world, "ann"), ["#ann", "a"]);
    let presence = world.api("presence", r#"{"channel":"a"}"#);
    let members = presence["result"]["presence"].as_object().unwrap();
    assert!(members.values().all(|info| info.get("chan_info").is_none()), "what the token said is over: {presence}");
    world.say(conn, r#"{"id":3,"subscribe":{"channel":"b","token":"t"}}"#);
    world.prove(Claims { channel: Some("b".into()), exp: Some(NOW + 10), ..claims("ann") });
    world.read(conn);
    world.pass(Duration::from_secs(5));
    assert_eq!(world.read_json(conn)[0]["push"]["unsubscribe"]["code"], 2501, "nobody else wants it there");
}

#[test]
fn the_info_in_a_token_is_bounded_by_info_bytes() {
    let mut world = with(Limits { info_bytes: 20, ..Limits::default() }, Rules::open());
    let info = |bytes: usize| Claims { info: Some(raw(&format!("\"{}\"", "x".repeat(bytes - 2)))), ..ann(&[]) };
    let conn = connected(&mut world, info(20));
    world.say(conn, r#"{"id":2,"subscribe":{"channel":"a","token":"t"}}"#);
    world.prove(Claims { channel: Some("a".into()), ..info(21) });
    let error = &world.read_json(conn)[0]["error"];
    assert_eq!(error["code"], 103);
    assert!(error["message"].as_str().unwrap().contains("info_bytes"), "{error}");
    world.say(conn, r#"{"id":3,"refresh":{"token":"t"}}"#);
    world.prove(info(21));
    let (code, reason) = world.read_close(conn).expect("a Close");
    assert_eq!(code, 3500);
    assert!(reason.contains("info_bytes"), "{reason}");
}

#[test]
fn the_capabilities_in_a_token_are_bounded_by_caps_bytes() {
    let mut world = with(Limits { caps_bytes: 20, ..Limits::default() }, Rules::open());
    let caps = |bytes: usize| {
        let entry = |channels, matching: Option<&str>| CapabilityClaim {
            channels,
            matching: matching.map(String::from),
            allow: vec!["sub".into()],
        };
        let caps = vec![entry(vec!["x".repeat(8)], None), entry(vec!["*".repeat(bytes - 8)], Some("wildcard"))];
        Claims { caps, ..ann(&[]) }
    };
    let words = "caps has 21 bytes of names and patterns, at most 20 are allowed (caps_bytes)";
    let conn = connected(&mut world, caps(20));
    world.say(conn, r#"{"id":2,"subscribe":{"channel":"a","token":"t"}}"#);
    world.prove(Claims { channel: Some("a".into()), ..caps(21) });
    let error = json!({"code": 103, "message": format!("permission denied: {words}")});
    assert_eq!(world.read_json(conn)[0]["error"], error);
    world.say(conn, r#"{"id":3,"refresh":{"token":"t"}}"#);
    world.prove(caps(21));
    assert_eq!(world.read_close(conn), Some((3500, format!("invalid token: {words}"))));
    assert_eq!(world.shard.stats().totals.limits[&Limit::CapsBytes], 2);
}

#[test]
fn a_connection_is_not_closed_while_its_token_would_still_be_accepted() {
    let seconds = Duration::from_secs;
    for (grace, leeway, lives) in [(1, 10, 15), (25, 10, 30), (0, 0, 5)] {
        let limits = Limits { expiry_grace: seconds(grace), token_leeway: seconds(leeway), ..Limits::default() };
        let mut world = with(Limits { ping_interval: seconds(600), ..limits }, Rules::open());
        let conn = connected(&mut world, Claims { exp: Some(NOW + 5), ..claims("ann") });
        world.pass(seconds(lives) - Duration::from_millis(1));
        assert!(world.shard.pending(conn).is_none(), "grace {grace}, leeway {leeway}");
        world.pass(Duration::from_millis(1));
        assert_eq!(world.read_close(conn).map(|(code, _)| code), Some(3005), "grace {grace}, leeway {leeway}");
    }
}

#[test]
fn a_plain_refresh_with_an_invalid_token_closes_with_the_same_code_as_json() {
    for claims_now in [Claims { nbf: Some(NOW + 60), ..claims("ann") }, Claims { exp: Some(NOW - 60), ..claims("ann") }]
    {
        let mut world = world();
        let anonymous = world.plain("/ws/a");
        world.say(anonymous, r#"{"type":"auth","token":"t","id":4}"#);
        world.prove(claims_now.clone());
        let error = &world.read_json(anonymous)[0];
        assert_eq!((&error["code"], &error["id"]), (&json!(109), &json!(4)), "{error}");
        let conn = world.open("/ws/a?token=t");
        world.prove(claims("ann"));
        world.read(conn);
        world.say(conn, r#"{"type":"auth","token":"t"}"#);
        world.prove(claims_now);
        assert_eq!(world.read_close(conn).map(|(code, _)| code), Some(3005));
    }
}

#[test]
fn a_refreshed_room_token_replaces_the_whole_grant() {
    let mut world = world();
    let conn = connected(&mut world, claims("ann"));
    let token = |info: &str| Claims { channel: Some("a".into()), info: Some(raw(info)), ..claims("ann") };
    world.say(conn, r#"{"id":2,"subscribe":{"channel":"a","token":"t"}}"#);
    world.prove(token("1"));
    world.say(conn, r#"{"id":3,"sub_refresh":{"channel":"a","token":"t"}}"#);
    world.prove(token("2"));
    world.read(conn);
    world.say(conn, r#"{"id":4,"publish":{"channel":"a","data":0}}"#);
    assert_eq!(world.read_json(conn)[0]["push"]["pub"]["info"]["chan_info"], 2);
    let presence = world.api("presence", r#"{"channel":"a"}"#);
    assert_eq!(presence["result"]["presence"].as_object().unwrap().values().next().unwrap()["chan_info"], 2);
}

#[test]
fn a_token_whose_nbf_is_ahead_is_accepted_within_the_leeway() {
    for (nbf, exp, code) in [
        (Some(NOW + 10), None, None),
        (Some(NOW + 11), None, Some(109)),
        (None, Some(NOW - 9), None),
        (None, Some(NOW - 10), Some(109)),
        (Some(i64::MAX), None, Some(109)),
        (None, Some(i64::MIN), Some(109)),
        (Some(i64::MIN), Some(i64::MAX), None),
    ] {
        let mut world = world();
        let conn = world.open("/connection/websocket");
        world.say(conn, CONNECT);
        world.prove(Claims { nbf, exp, ..claims("ann") });
        let reply = &world.read_json(conn)[0];
        assert_eq!(reply["error"]["code"].as_u64(), code, "{nbf:?} {exp:?}: {reply}");
    }
}

#[test]
fn an_expired_token_is_accepted_until_the_leeway_ends() {
    let limits = Limits { expiry_grace: Duration::from_secs(1), ..Limits::default() };
    let mut world = with(limits, Rules::open());
    let conn = world.open("/connection/websocket");
    world.say(conn, CONNECT);
    world.prove(Claims { exp: Some(NOW - 4), ..claims("ann") });
    assert_eq!(world.read_json(conn)[0]["connect"]["ttl"], 1, "it is to be refreshed at once");
    world.pass(Duration::from_millis(5_999));
    assert!(world.shard.pending(conn).is_none(), "it would come back with the same token");
    world.pass(Duration::from_millis(1));
    assert_eq!(world.read_close(conn).map(|(code, _)| code), Some(3005));
}

#[test]
fn a_token_that_is_not_valid_yet_is_never_final() {
    let early =
        |channel: Option<&str>| Claims { nbf: Some(NOW + 60), channel: channel.map(Into::into), ..claims("ann") };
    let mut world = with(Limits::default(), Rules { subscribe: Who::Token, ..Rules::closed() });
    let conn = world.open("/connection/websocket");
    world.say(conn, CONNECT);
    world.prove(early(None));
    let error = json!({"code": 109, "message": "token is not valid yet"});
    assert_eq!(world.read_json(conn)[0]["error"], error);
    world.say(conn, CONNECT);
    world.prove(claims("ann"));
    world.say(conn, r#"{"id":2,"subscribe":{"channel":"a","token":"t"}}"#);
    world.prove(early(Some("a")));
    assert_eq!(world.read_json(conn)[1]["error"], error);
    world.say(conn, r#"{"id":3,"subscribe":{"channel":"a","token":"t"}}"#);
    world.prove(Claims { channel: Some("a".into()), ..claims("ann") });
    world.say(conn, r#"{"id":4,"sub_refresh":{"channel":"a","token":"t"}}"#);
    world.prove(early(Some("a")));
    let frames = world.read_json(conn);
    assert_eq!(frames[1]["push"]["unsubscribe"]["code"], 2501, "SDKs subscribe again, with a token that is new");
    assert_eq!(frames[2]["error"], error);
    world.say(conn, r#"{"id":5,"refresh":{"token":"t"}}"#);
    world.prove(early(None));
    assert_eq!(world.read_close(conn), Some((3005, "token is not valid yet".into())));
    let plain = world.open("/ws/a?token=t");
    world.prove(early(None));
    assert_eq!(world.read_close(plain), Some((3005, "token is not valid yet".into())));
}

#[test]
fn a_room_token_is_refused_as_a_connection_token() {
    let of_room = || Claims { channel: Some("a".into()), ..claims("ann") };
    let mut world = with(Limits::default(), Rules::closed());
    let words = "invalid token: it has the claim channel, so it is valid for a room and not for a connection";
    for target in ["/connection/websocket", "/ws/a?token=t"] {
        let conn = world.open(target);
        if target.starts_with("/c") {
            world.say(conn, CONNECT);
        }
        world.prove(of_room());
        assert_eq!(world.read_close(conn), Some((3500, words.into())), "{target}");
    }
    let conn = connected(&mut world, claims("ann"));
    world.say(conn, r#"{"id":7,"refresh":{"token":"u"}}"#);
    world.prove(of_room());
    assert_eq!(world.read_close(conn), Some((3500, words.into())));
    let conn = connected(&mut world, claims("ann"));
    world.say(conn, r#"{"id":2,"subscribe":{"channel":"a","token":"t"}}"#);
    world.prove(claims("ann"));
    let error = json!({"code": 103, "message": "permission denied: the token is not for this room"});
    assert_eq!(world.read_json(conn)[0]["error"], error);
}

#[test]
fn a_limit_that_a_token_breaks_is_named() {
    let long = "x".repeat(300);
    let in_channels = Claims { channels: vec![long.clone()], ..claims("ann") };
    for claims in [in_channels.clone(), claims(&long), Claims { channel: Some(long.clone()), ..claims("ann") }] {
        let mut world = with(Limits::default(), Rules::closed());
        let conn = world.open("/connection/websocket");
        world.say(conn, CONNECT);
        world.prove(claims);
        let (code, reason) = world.read_close(conn).expect("it is closed");
        assert_eq!(code, 3500);
        assert!(reason.starts_with("invalid token: ") && reason.ends_with("(room_name_bytes)"), "{reason}");
        assert_eq!(world.shard.stats().totals.limits[&Limit::RoomNameBytes], 1);
    }
    let mut world = world();
    let conn = connected(&mut world, claims("ann"));
    world.say(conn, r#"{"id":2,"subscribe":{"channel":"a","token":"t"}}"#);
    world.prove(Claims { channel: Some(long), ..claims("ann") });
    let error = &world.read_json(conn)[0]["error"];
    assert_eq!(error["code"], 103);
    assert!(error["message"].as_str().unwrap().contains("room_name_bytes"), "{error}");
    let plain = world.open("/ws/a?token=t&greeting=off");
    world.prove(in_channels);
    let message = world.read_json(plain)[0]["message"].to_string();
    assert!(message.contains("invalid token: ") && message.contains("room_name_bytes"), "{message}");
}

/// Why tokens were refused since this was last asked.
fn refused(world: &mut World) -> Vec<String> {
    std::mem::take(&mut world.refused_tokens)
}

#[test]
fn every_refused_token_is_reported_to_the_operator() {
    let late = || Claims { exp: Some(NOW - 60), ..claims("ann") };
    let of_room = |room: &str, user: &str| Claims { channel: Some(room.into()), ..claims(user) };
    let mut world = with(Limits::default(), Rules::closed());
    let conn = world.open("/connection/websocket");
    world.say(conn, CONNECT);
    world.prove(late());
    assert_eq!(refused(&mut world), ["its exp has passed"], "at connect");
    world.say(conn, CONNECT);
    world.prove(claims("ann"));
    for (claims, why) in [
        (Claims { exp: Some(NOW - 60), ..of_room("a", "ann") }, "its exp has passed"),
        (of_room("b", "ann"), "the token is not for this room"),
        (of_room("a", "eve"), "the token belongs to another user"),
    ] {
        world.say(conn, r#"{"id":2,"subscribe":{"channel":"a","token":"t"}}"#);
        world.prove(claims);
        assert_eq!(refused(&mut world), [why]);
    }
    world.say(conn, r#"{"id":3,"refresh":{"token":"t"}}"#);
    world.prove(claims("eve"));
    assert_eq!(refused(&mut world), ["the token belongs to another user"], "at a refresh");
    let without = world.open("/connection/websocket");
    world.say(without, r#"{"id":1,"connect":{}}"#);
    assert_eq!(refused(&mut world), ["a token is required, and none was sent"]);
    let _silent = world.open("/ws/a");
    world.pass(Limits::default().authenticate_timeout);
    assert_eq!(refused(&mut world), ["no token arrived within authenticate_timeout"]);
}

#[test]
fn a_missing_required_token_is_reported_to_the_client() {
    let required = Some((3500, String::from("a token is required")));
    let mut world = with(Limits::default(), Rules { subscribe: Who::Token, ..Rules::closed() });
    for text in [r#"{"id":1,"connect":{}}"#, r#"{"id":1,"connect":{"token":""}}"#] {
        let conn = world.open("/connection/websocket");
        world.say(conn, text);
        assert_eq!(world.read_close(conn), required, "{text}");
    }
    let plain = world.open("/ws/a");
    world.say(plain, r#"{"type":"ping"}"#);
    assert!(world.read_json(plain)[0]["message"].as_str().unwrap().starts_with("a token is required: "));
    world.say(plain, r#"{"type":"auth","token":""}"#);
    assert_eq!(world.read_close(plain), required);
    let conn = connected(&mut world, claims("ann"));
    let error = json!({"code": 103, "message": "permission denied: a token for this room is required"});
    world.say(conn, r#"{"id":2,"subscribe":{"channel":"a"}}"#);
    assert_eq!(world.read_json(conn)[0]["error"], error);
    world.say(conn, r#"{"id":3,"refresh":{}}"#);
    assert_eq!(world.read_close(conn), required);
}

#[test]
fn json_uses_the_token_of_the_request_if_connect_has_none() {
    let mut world = with(Limits::default(), Rules::closed());
    world.token = Some("in-header".into());
    let conn = world.open("/connection/websocket");
    assert!(world.tokens.is_empty(), "it says first what it wants");
    world.say(conn, r#"{"id":1,"connect":{}}"#);
    assert_eq!(world.tokens[0].1, "in-header");
    world.prove(Claims { exp: Some(1), ..claims("ann") });
    assert_eq!(world.read_json(conn)[0]["error"]["code"], 109);
    world.say(conn, r#"{"id":2,"connect":{"token":"own"}}"#);
    assert_eq!(world.tokens[0].1, "own", "what connect brings goes first");
    world.prove(claims("ann"));
    assert!(world.read_json(conn)[0].get("connect").is_some());
}

fn limited(most: usize, user_limit: UserLimit) -> World {
    let limits = Limits { connections_per_user: NonZeroUsize::new(most), ..Limits::default() };
    with_config(Config { user_limit, ..Config::from(limits) })
}

#[test]
fn a_users_oldest_connection_makes_room_for_a_new_one() {
    let mut world = limited(2, UserLimit::Replace);
    let late = world.plain("/ws/a");
    let [first, second] = [0; 2].map(|_| connected(&mut world, ann(&["a"])));
    world.say(late, r#"{"type":"auth","token":"t"}"#);
    world.prove(claims("ann"));
    let words = Some((3504, String::from("connection limit (connections_per_user)")));
    assert_eq!(world.read_close(first), words, "who came earlier but was nobody's until now is no older");
    let third = connected(&mut world, ann(&["a"]));
    assert_eq!(world.read_close(second), words);
    assert_eq!(world.read_json(late)[0]["user"], "ann");
    assert!(world.ended.is_empty() && world.shard.pending(third).is_none());
    assert_eq!(world.shard.stats().totals.limits[&Limit::ConnectionsPerUser], 2);
}

#[test]
fn replacing_a_users_connection_keeps_the_user_online() {
    let mut world = limited(1, UserLimit::Replace);
    connected(&mut world, ann(&["a"]));
    connected(&mut world, ann(&["a"]));
    let changes: Vec<&Change> = world.events.iter().map(|event| &event.change).collect();
    let [own, room] = ["#ann", "a"].map(|name| Config::default().room(name).expect("a name"));
    let user = UserId::parse("ann", 9).expect("an id");
    assert_eq!(changes, [&Change::Occupied(own), &Change::Online(user), &Change::Occupied(room)]);
}

#[test]
fn a_refused_connection_replaces_no_other() {
    let limits = Limits { connections_per_user: NonZeroUsize::new(1), rooms_per_connection: 2, ..Limits::default() };
    let mut world = with(limits, Rules::open());
    let first = connected(&mut world, claims("ann"));
    let conn = world.open("/connection/websocket");
    world.say(conn, CONNECT);
    world.prove(ann(&["a", "b"]));
    assert_eq!(world.read_close(conn).map(|(code, _)| code), Some(3505));
    world.say(first, r#"{"id":2,"ping":{}}"#);
    assert_eq!(world.read(first).len(), 1);
}

#[test]
fn refusing_a_connection_pings_the_users_other_connections() {
    let mut world = limited(2, UserLimit::Refuse);
    let [alive, dead] = [0; 2].map(|_| connected(&mut world, claims("ann")));
    let refused = world.open("/connection/websocket");
    world.say(refused, CONNECT);
    world.prove(claims("ann"));
    assert_eq!(world.read_close(refused), Some((3014, "connection limit (connections_per_user)".into())));
    assert_eq!((world.read(alive), world.read(dead)), (vec!["{}".into()], vec!["{}".into()]));
    world.say(alive, "{}");
    world.pass(Duration::from_secs(10));
    assert_eq!(world.read_close(dead).map(|(code, _)| code), Some(3012));
    connected(&mut world, claims("ann"));
    world.pass(Duration::from_secs(14));
    assert!(world.read(alive).is_empty());
    world.pass(Duration::from_secs(1));
    assert_eq!(world.read(alive), ["{}"], "the schedule is as it was");
}

#[test]
fn a_client_with_a_forged_token_does_not_learn_the_reason() {
    for why in [BadToken::Signature, BadToken::Audience, BadToken::Claim("exp"), BadToken::NoKey] {
        let mut world = world();
        let conn = world.open("/connection/websocket");
        world.say(conn, CONNECT);
        world.judge(conn, Err(why));
        assert_eq!(world.read_close(conn), Some((3500, "invalid token".into())), "{why}");
    }
}

/// Whether an answer tells of an error that an SDK takes for temporary.
fn is_temporary(answer: &Value) -> bool {
    answer["error"]["code"] == 100 && answer["error"]["temporary"] == true
}

#[test]
fn a_json_client_comes_back_with_a_token_whose_key_was_not_fetched() {
    let mut world = world();
    let conn = world.open("/connection/websocket");
    world.say(conn, CONNECT);
    world.judge(conn, Err(BadToken::KeyNotFetched));
    assert!(is_temporary(&world.read_json(conn)[0]));
    world.say(conn, CONNECT);
    world.prove(Claims { exp: Some(NOW + 60), ..claims("ann") });
    assert_eq!(world.read_json(conn)[0]["connect"]["ttl"], 60);
    world.say(conn, r#"{"id":2,"subscribe":{"channel":"y"}}"#);
    world.read(conn);
    for command in [
        r#"{"id":2,"refresh":{"token":"u"}}"#,
        r#"{"id":2,"subscribe":{"channel":"x","token":"s"}}"#,
        r#"{"id":2,"sub_refresh":{"channel":"y","token":"s"}}"#,
    ] {
        world.say(conn, command);
        world.tokens.clear();
        world.judge(conn, Err(BadToken::KeyNotFetched));
        let answer = world.read_json(conn).remove(0);
        assert!(is_temporary(&answer), "{command}: {answer}");
    }
}

#[test]
fn a_plain_client_comes_back_with_a_token_whose_key_was_not_fetched() {
    let mut strict = with(Limits::default(), Rules::closed());
    let conn = strict.open("/ws/a?token=t");
    strict.judge(conn, Err(BadToken::KeyNotFetched));
    assert_eq!(strict.read_close(conn).map(|(code, _)| code), Some(3004));
    let mut open = world();
    let conn = open.open("/ws/a?token=t");
    open.judge(conn, Err(BadToken::KeyNotFetched));
    let frames = open.read_json(conn);
    assert_eq!((&frames[0]["authenticated"], &frames[1]["code"]), (&json!(false), &json!(100)));
}
