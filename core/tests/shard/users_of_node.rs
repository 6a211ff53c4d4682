//! Users with connections to several shards of a node, and calls that concern all of its connections.

use crate::cluster::{Cluster, SHARDS};
use crate::world::claims;
use parlor_core::{Config, ConnId, Input, Limit, Limits, ShardId, UserLimit};
use serde_json::{Value, json};
use std::num::NonZeroUsize;

fn limited(most: usize, user_limit: UserLimit) -> Cluster {
    let limits = Limits { connections_per_user: NonZeroUsize::new(most), ..Limits::default() };
    Cluster::with(Config { user_limit, ..Config::from(limits) })
}

#[test]
fn a_users_oldest_connection_makes_room_for_a_new_one_at_another_shard() {
    for home in 0..SHARDS {
        let mut cluster = limited(2, UserLimit::Replace);
        let user = cluster.user(home);
        let [first, second] = [0, 1].map(|at| cluster.connected(at, &user).0);
        let (third, reply) = cluster.connected(1, &user);
        assert!(reply["subs"].get(format!("#{user}")).is_some(), "{reply}");
        let words = Some((3504, String::from("connection limit (connections_per_user)")));
        assert_eq!(cluster.shards[0].read_close(first), words);
        cluster.ask(0, "publish_user", &json!({"user": user, "data": 7}));
        for conn in [second, third] {
            assert_eq!(cluster.shards[1].read_json(conn)[0]["push"]["pub"]["data"], 7);
        }
        assert_eq!(cluster.shards[0].shard.stats().totals.limits[&Limit::ConnectionsPerUser], 1);
    }
}

#[test]
fn a_refused_connection_has_the_others_of_its_user_pinged_at_all_shards() {
    let mut cluster = limited(1, UserLimit::Refuse);
    let user = cluster.user(0);
    let (conn, _) = cluster.connected(1, &user);
    let refused = cluster.connecting(0, claims(&user));
    cluster.settle();
    let words = Some((3014, String::from("connection limit (connections_per_user)")));
    assert_eq!(cluster.shards[0].read_close(refused), words);
    assert_eq!(cluster.shards[1].read(conn), ["{}"]);
}

#[test]
fn a_connection_becomes_its_users_although_the_home_is_lost_meanwhile() {
    let mut cluster = Cluster::new();
    let user = cluster.user(0);
    let conn = cluster.connecting(1, claims(&user));
    cluster.lose(0);
    cluster.settle();
    assert!(cluster.shards[1].read_json(conn)[0]["connect"]["subs"].get(format!("#{user}")).is_some());
}

#[test]
fn a_connection_that_gets_no_answer_for_its_user_ends_in_time() {
    let mut cluster = Cluster::new();
    let user = cluster.user(0);
    let conn = cluster.connecting(1, claims(&user));
    let timeout = cluster.shards[1].shard.config().limits.authenticate_timeout;
    cluster.shards[1].pass(timeout);
    assert_eq!(cluster.shards[1].read_close(conn).map(|(code, _)| code), Some(3004));
    cluster.settle();
}

#[test]
fn what_is_published_to_a_user_before_a_disconnect_comes_before_the_close() {
    let mut cluster = Cluster::new();
    let user = cluster.user(1);
    let [a, b] = [0, 1].map(|at| cluster.connected(at, &user).0);
    for data in [1, 2] {
        cluster.shards[0].ask("publish_user", &json!({"user": user, "data": data}).to_string());
    }
    cluster.shards[0].ask("disconnect", &json!({ "user": user }).to_string());
    cluster.settle();
    for (at, conn) in [a, b].into_iter().enumerate() {
        let frames = cluster.shards[at].read_json(conn);
        let data: Vec<&Value> = frames.iter().map(|frame| &frame["push"]["pub"]["data"]).collect();
        assert_eq!(data, [1, 2], "shard {at}");
    }
    let answers: Vec<Value> = (0..3).map(|_| cluster.shards[0].answer()).collect();
    assert_eq!(answers[2], json!({"result": {}}), "{answers:?}");
}

#[test]
fn a_command_for_a_user_is_answered_when_each_hub_has_carried_it_out() {
    let mut cluster = Cluster::new();
    let user = cluster.user(0);
    cluster.connected(1, &user);
    cluster.shards[0].ask("disconnect", &json!({ "user": user }).to_string());
    assert!(cluster.shards[0].replies.is_empty(), "the other shard has not heard of it");
    while cluster.carry(0, 1) {}
    assert!(cluster.shards[0].replies.is_empty());
    cluster.settle();
    assert_eq!(cluster.shards[0].answer(), json!({"result": {}}));
}

#[test]
fn what_is_published_after_a_subscribe_was_answered_reaches_the_user() {
    for (home, asked) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
        let mut cluster = Cluster::new();
        let (user, room) = (cluster.user(home), cluster.room(0));
        let (conn, _) = cluster.connected(1, &user);
        cluster.shards[asked].ask("subscribe", &json!({"user": user, "channel": room}).to_string());
        while cluster.shards[asked].replies.is_empty() {
            assert!(cluster.carry(0, 1) | cluster.carry(1, 0), "it is answered");
        }
        cluster.shards[asked].answer();
        cluster.publish(0, &room, 7);
        let frames = cluster.shards[1].read_json(conn);
        assert_eq!(frames.last().map(|frame| &frame["push"]["pub"]["data"]), Some(&json!(7)), "{frames:?}");
    }
}

#[test]
fn a_subscribe_that_one_shard_cannot_carry_out_is_refused() {
    let limits = Limits { rooms_per_connection: 1, ..Limits::default() };
    let mut cluster = Cluster::with(Config::from(limits));
    let (user, room) = (cluster.user(0), cluster.room(0));
    cluster.connected(1, &user);
    let answer = cluster.ask(0, "subscribe", &json!({"user": user, "channel": room}));
    assert_eq!(answer["error"]["code"], 106, "{answer}");
}

#[test]
fn a_command_for_a_user_is_answered_although_a_shard_with_its_connection_is_lost() {
    let mut cluster = Cluster::new();
    let user = cluster.user(0);
    cluster.connected(1, &user);
    cluster.shards[0].ask("disconnect", &json!({ "user": user }).to_string());
    cluster.lose(1);
    cluster.settle();
    assert_eq!(cluster.shards[0].answer(), json!({"result": {}}), "its connections have ended");
}

#[test]
fn it_is_not_known_whether_a_lost_home_has_carried_a_command_out() {
    let mut cluster = Cluster::new();
    let user = cluster.user(0);
    cluster.connected(1, &user);
    cluster.shards[1].ask("refresh", &json!({"user": user, "expired": true}).to_string());
    cluster.lose(0);
    cluster.settle();
    assert_eq!(cluster.shards[1].answer()["error"]["code"], 100);
}

#[test]
fn a_shard_that_was_lost_is_sent_no_answer_to_what_it_asked_before() {
    let mut cluster = Cluster::new();
    let (user, room) = (cluster.user(0), cluster.room(0));
    cluster.connected(1, &user);
    // The shard 1 waits for the home in shard 0 on behalf of the same shard, and is told meanwhile that it was lost.
    cluster.shards[0].ask("subscribe", &json!({"user": user, "channel": room}).to_string());
    while cluster.carry(0, 1) {}
    cluster.lose(0);
    cluster.settle();
    let other = cluster.user(1);
    let (conn, _) = cluster.connected(0, &other);
    cluster.shards[1].ask("disconnect", &json!({ "user": other }).to_string());
    cluster.lose(1);
    cluster.settle();
    cluster.shards[0].read(conn);
}

#[test]
fn a_shard_that_was_lost_is_sent_no_answer_that_takes_several_turns() {
    let mut cluster = Cluster::new();
    let name = "a".repeat(190);
    let rooms: Vec<String> = (0..100).map(|room| format!("room={name}{room}")).collect();
    cluster.shards[1].open(&format!("/ws?{}", rooms.join("&")));
    cluster.settle();
    // It is compared at each place of each name.
    let pattern = format!("*{}b", &name[..100]);
    cluster.shards[0].ask("channels", &json!({ "pattern": pattern }).to_string());
    cluster.collect();
    let message = cluster.links[0][1].pop_front().expect("the other shard is asked");
    cluster.shards[1].begin(Input::Link { from: ShardId::at(0), message });
    assert!(cluster.shards[1].shard.has_work(), "there is more to look at");
    cluster.lose(0);
    cluster.settle();
    assert!(!cluster.shards[1].shard.has_work());
}

#[test]
fn calls_for_all_connections_reach_all_shards() {
    let mut cluster = Cluster::new();
    let (near, far) = (cluster.room(0), cluster.room(1));
    let user = cluster.user(1);
    let conns = [cluster.json(0, &near), cluster.json(1, &near)];
    let (own, reply) = cluster.connected(1, &user);
    let plain = cluster.plain(0, &far);
    cluster.shards[0].read(plain);
    let rooms = cluster.ask(0, "channels", &json!({}));
    let members = |count: u32| json!({ "num_clients": count });
    let expected = json!({&near: members(2), &far: members(1), format!("#{user}"): members(1)});
    assert_eq!(rooms["result"]["channels"], expected);
    let listed = cluster.ask(1, "connections", &json!({}));
    assert_eq!(listed["result"]["connections"].as_object().map(|all| all.len()), Some(4), "{listed}");
    let info = cluster.ask(1, "info", &json!({}));
    let node = &info["result"]["nodes"][0];
    let counts = ["num_clients", "num_users", "num_channels"].map(|count| node[count].as_u64());
    assert_eq!(counts, [Some(4), Some(2), Some(3)], "{info}");
    assert_eq!(cluster.ask(0, "publish_all", &json!({"data": 5})), json!({"result": {}}));
    for (at, conn) in [(0, conns[0]), (1, conns[1]), (1, own), (0, plain)] {
        assert_eq!(cluster.shards[at].read(conn).len(), 1, "shard {at}");
    }
    let client = &reply["client"];
    assert_eq!(cluster.ask(0, "send", &json!({"client": client, "data": 6})), json!({"result": {}}));
    assert_eq!(cluster.shards[1].read(own).len(), 1);
    assert_eq!(cluster.ask(0, "disconnect", &json!({"user": "", "client": client})), json!({"result": {}}));
    assert!(cluster.shards[1].read_close(own).is_some());
    assert_eq!(cluster.ask(0, "send", &json!({"client": client, "data": 6}))["error"]["code"], 102);
}

#[test]
fn a_call_for_all_connections_says_so_when_a_shard_was_lost_meanwhile() {
    let mut cluster = Cluster::new();
    for (method, body) in [("info", json!({})), ("channels", json!({})), ("publish_all", json!({"data": 1}))] {
        cluster.shards[0].ask(method, &body.to_string());
        cluster.lose(1);
        cluster.settle();
        assert_eq!(cluster.shards[0].answer()["error"]["code"], 100, "{method}");
    }
}

/// A plain connection to the shard 1 that joins the room of its user again, since the home in the shard 0 was lost, and that
/// the new home has not heard of.
fn returning(cluster: &mut Cluster, user: &str) -> ConnId {
    let url = format!("/ws/{}?token=t", cluster.room(1));
    let conn = cluster.shards[1].open(&url);
    cluster.shards[1].prove(claims(user));
    cluster.settle();
    cluster.shards[1].read(conn);
    cluster.lose(0);
    conn
}

#[test]
fn a_disconnect_reaches_a_connection_that_a_new_home_does_not_know_yet() {
    let mut cluster = Cluster::new();
    let user = cluster.user(0);
    let conn = returning(&mut cluster, &user);
    cluster.shards[0].ask("disconnect", &json!({ "user": user }).to_string());
    while cluster.carry(0, 1) {}
    assert!(cluster.shards[1].read_close(conn).is_some());
    cluster.settle();
    assert_eq!(cluster.shards[0].answer(), json!({"result": {}}));
}

#[test]
fn a_connection_that_returns_takes_the_place_of_none_that_has_come_meanwhile() {
    for user_limit in [UserLimit::Replace, UserLimit::Refuse] {
        let mut cluster = limited(1, user_limit);
        let user = cluster.user(0);
        let before = returning(&mut cluster, &user);
        let new = cluster.connecting(0, claims(&user));
        assert!(cluster.shards[0].read_json(new)[0]["connect"].is_object());
        cluster.settle();
        let words = Some((3014, String::from("connection limit (connections_per_user)")));
        assert_eq!(cluster.shards[1].read_close(before), words, "a client that is there comes back");
        cluster.ask(0, "publish_user", &json!({"user": user, "data": 7}));
        let frames = cluster.shards[0].read_json(new);
        assert!(frames.iter().any(|frame| frame["push"]["pub"]["data"] == 7), "{frames:?}");
    }
}

#[test]
fn a_connection_that_has_returned_makes_room_before_one_that_came_later() {
    let mut cluster = limited(2, UserLimit::Replace);
    let user = cluster.user(0);
    let before = returning(&mut cluster, &user);
    let second = cluster.connecting(0, claims(&user));
    cluster.settle();
    cluster.connected(0, &user);
    assert!(cluster.shards[1].read_close(before).is_some());
    assert!(cluster.shards[0].read_close(second).is_none());
}

/// Shards that each have more rooms than a list of them may have bytes.
fn with_short_replies() -> Cluster {
    let mut cluster = Cluster::with(Config::from(Limits { api_reply_bytes: 1000, ..Limits::default() }));
    for at in 0..SHARDS {
        for room in 10..40 {
            cluster.shards[at].open(&format!("/ws/{at}-a-room-with-a-long-name-{room}"));
        }
    }
    cluster.settle();
    cluster
}

#[test]
fn an_answer_that_is_too_long_is_counted_once_and_ends_its_batch() {
    let mut cluster = with_short_replies();
    let commands = json!([{"channels": {}}, {"presence": {"channel": "a"}}]);
    let answer = cluster.ask(0, "batch", &json!({ "commands": commands }));
    let codes: Vec<&Value> =
        answer["replies"].as_array().expect("a list").iter().map(|one| &one["error"]["code"]).collect();
    assert_eq!(codes, [106, 106], "{answer}");
    let counted = |at: usize| cluster.shards[at].shard.stats().totals.limits.get(&Limit::ApiReplyBytes).copied();
    assert_eq!((counted(0), counted(1)), (Some(2), None));
}

#[test]
fn pages_of_all_shards_have_each_room_once() {
    let mut cluster = with_short_replies();
    let (mut rooms, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = cluster.ask(1, "channels", &json!({"limit": 9, "cursor": cursor}));
        let listed = page["result"]["channels"].as_object().unwrap_or_else(|| panic!("it fits: {page}"));
        rooms.extend(listed.keys().cloned());
        let Some(next) = page["result"]["cursor"].as_str().filter(|next| !next.is_empty()) else { break };
        cursor = next.into();
    }
    let expected: Vec<String> =
        (0..SHARDS).flat_map(|at| (10..40).map(move |room| format!("{at}-a-room-with-a-long-name-{room}"))).collect();
    assert_eq!(rooms, expected);
}
