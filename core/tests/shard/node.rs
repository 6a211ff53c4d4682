//! Several shards of a node, and the links between them.

use crate::cluster::{Cluster, SHARDS};
use crate::world::claims;
use parlor_core::{Change, Claims, Config, ConnId, Input, Limits, Lost, Permissions, Who};
use serde_json::{Value, json};
use std::time::Duration;

/// A node in which everyone may do everything.
fn open_to_anyone(limits: Limits) -> Cluster {
    let anyone =
        Permissions { subscribe: Who::Anyone, publish: Who::Anyone, history: Who::Anyone, presence: Who::Anyone };
    Cluster::with(Config::uniform(limits, true, anyone))
}

#[test]
fn a_publication_reaches_the_members_of_all_shards_in_one_order() {
    let mut cluster = Cluster::new();
    for home in 0..SHARDS {
        let room = cluster.room(home);
        let [a, b] = [0, 1].map(|at| cluster.plain(at, &room));
        for data in 1..=4 {
            let answer = cluster.publish(data as usize % SHARDS, &room, data);
            assert_eq!(answer["result"]["offset"], data);
        }
        assert_eq!(cluster.shards[0].read(a), ["1", "2", "3", "4"]);
        assert_eq!(cluster.shards[1].read(b), ["1", "2", "3", "4"]);
    }
}

#[test]
fn a_hub_is_sent_only_what_happens_in_rooms_of_its_members() {
    let mut cluster = Cluster::new();
    let room = cluster.room(0);
    cluster.plain(0, &room);
    cluster.publish(0, &room, 1);
    cluster.collect();
    assert!(cluster.links[0][1].is_empty());
}

#[test]
fn the_home_tells_that_a_room_is_occupied_once() {
    let mut cluster = Cluster::new();
    let room = cluster.room(0);
    let [a, b] = [1, 0].map(|at| (at, cluster.plain(at, &room)));
    for (at, conn) in [a, b] {
        cluster.shards[at].input(Input::Lost { conn, cause: Lost::Read });
        cluster.settle();
    }
    let changes: Vec<&Change> = cluster.shards[0].events.iter().map(|event| &event.change).collect();
    assert!(matches!(changes[..], [Change::Occupied(_), Change::Vacated(_)]), "{changes:?}");
    assert!(cluster.shards[1].events.is_empty());
}

#[test]
fn a_json_client_is_told_that_the_home_of_its_room_was_lost() {
    let mut cluster = Cluster::new();
    let room = cluster.room(0);
    let conn = cluster.json(1, &room);
    cluster.publish(1, &room, 1);
    cluster.shards[1].read(conn);
    cluster.lose(0);
    let frames = cluster.shards[1].read_json(conn);
    assert_eq!(frames[0]["push"]["unsubscribe"]["code"], 2500);
    cluster.settle();
}

#[test]
fn a_plain_client_joins_the_new_home_and_is_told_of_the_gap() {
    let mut cluster = Cluster::new();
    let room = cluster.room(0);
    let conn = cluster.plain(1, &room);
    cluster.publish(1, &room, 1);
    cluster.shards[1].read(conn);
    cluster.lose(0);
    cluster.settle();
    cluster.publish(0, &room, 2);
    cluster.publish(0, &room, 3);
    let frames = cluster.shards[1].read(conn);
    assert!(frames[0].contains("\"type\":\"gap\"") && frames[1..] == ["2", "3"], "{frames:?}");
}

#[test]
fn what_a_lost_home_was_asked_is_answered_with_an_error() {
    let mut cluster = Cluster::new();
    let room = cluster.room(0);
    cluster.shards[1].ask("publish", &json!({"channel": room, "data": 1}).to_string());
    let conn = cluster.shards[1].json();
    cluster.shards[1].say(conn, &json!({"id": 2, "subscribe": {"channel": room}}).to_string());
    cluster.lose(0);
    assert_eq!(cluster.shards[1].answer()["error"]["code"], 100);
    cluster.settle();
    let frames = cluster.shards[1].read_json(conn);
    assert!(frames[0]["id"] == 2 && frames[0]["subscribe"].is_object(), "the join was asked for once more: {frames:?}");
}

#[test]
fn the_members_of_a_lost_hub_leave() {
    let mut cluster = Cluster::new();
    let room = cluster.room(0);
    let conn = cluster.json(0, &room);
    cluster.shards[0].say(conn, &json!({"id": 3, "unsubscribe": {"channel": room}}).to_string());
    cluster.shards[0].say(conn, &json!({"id": 4, "subscribe": {"channel": room, "join_leave": true}}).to_string());
    cluster.plain(1, &room);
    cluster.shards[0].read(conn);
    cluster.lose(1);
    let frames = cluster.shards[0].read_json(conn);
    assert!(frames[0]["push"]["leave"].is_object(), "{frames:?}");
    cluster.settle();
}

#[test]
fn the_parts_of_a_batch_are_carried_out_in_order_wherever_the_rooms_live() {
    let mut cluster = Cluster::new();
    let [near, far] = [0, 1].map(|at| cluster.room(at));
    let conn = cluster.plain(0, &near);
    let publish = |room: &str, data: u64| json!({"publish": {"channel": room, "data": data}});
    let commands = json!({"commands": [publish(&far, 1), publish(&near, 2), publish(&far, 3)]});
    cluster.shards[0].ask("batch", &commands.to_string());
    assert!(cluster.shards[0].read(conn).is_empty(), "the part before it is not answered");
    cluster.settle();
    assert_eq!(cluster.shards[0].read(conn), ["2"]);
    let answer = cluster.shards[0].answer();
    let offset = |at: usize| answer["replies"][at]["publish"]["offset"].clone();
    assert_eq!([0, 1, 2].map(offset), [1, 1, 2], "{answer}");
}

/// A json connection to the shard 1 whose token puts it into a room of the shard 0, before the home has heard of that, and
/// its user, whose home is in shard 1.
fn connecting(cluster: &mut Cluster, room: &str) -> (ConnId, String) {
    let user = cluster.user(1);
    let conn = cluster.connecting(1, Claims { channels: vec![room.into()], ..claims(&user) });
    (conn, user)
}

/// Lets `ticket_timeout` pass at a shard.
fn wait_in_vain(cluster: &mut Cluster, at: usize) {
    let timeout = cluster.shards[at].shard.config().limits.ticket_timeout;
    cluster.shards[at].pass(timeout);
}

#[test]
fn a_connect_that_no_home_answers_ends_in_time() {
    let mut cluster = Cluster::new();
    let room = cluster.room(0);
    let (conn, _) = connecting(&mut cluster, &room);
    wait_in_vain(&mut cluster, 1);
    assert_eq!(cluster.shards[1].read_close(conn).map(|(code, _)| code), Some(3004));
    cluster.settle();
}

#[test]
fn a_connection_to_the_rooms_of_its_url_that_no_home_answers_ends_in_time() {
    let mut cluster = Cluster::new();
    let room = cluster.room(0);
    let conn = cluster.shards[1].plain(&format!("/ws/{room}"));
    wait_in_vain(&mut cluster, 1);
    assert_eq!(cluster.shards[1].read_close(conn).map(|(code, _)| code), Some(3004));
    cluster.settle();
}

#[test]
fn what_no_home_answers_in_time_is_answered_once() {
    let mut cluster = Cluster::new();
    let room = cluster.room(0);
    let conn = cluster.json(1, &room);
    let publish = json!({"channel": room, "data": 1});
    cluster.shards[1].ask("publish", &publish.to_string());
    cluster.shards[1].say(conn, &json!({"id": 3, "publish": publish}).to_string());
    wait_in_vain(&mut cluster, 1);
    assert_eq!(cluster.shards[1].answer()["error"]["code"], 100);
    let frames = cluster.shards[1].read_json(conn);
    let error = &frames[0]["error"];
    assert_eq!((&frames[0]["id"], &error["code"], &error["temporary"]), (&json!(3), &json!(100), &json!(true)));
    cluster.settle();
    let frames = cluster.shards[1].read_json(conn);
    assert!(frames.len() == 2 && frames.iter().all(|frame| frame["push"]["pub"].is_object()), "{frames:?}");
    assert_eq!(cluster.shards[1].shard.stats().totals.late_answers, 2);
}

#[test]
fn a_client_whose_subscribe_was_not_answered_in_time_is_not_in_the_room() {
    let mut cluster = Cluster::new();
    let room = cluster.room(0);
    let conn = cluster.shards[1].json();
    let subscribe = |id: u64| json!({"id": id, "subscribe": {"channel": room}}).to_string();
    cluster.shards[1].say(conn, &subscribe(2));
    wait_in_vain(&mut cluster, 1);
    assert_eq!(cluster.shards[1].read_json(conn)[0]["error"]["code"], 100);
    cluster.settle();
    cluster.publish(1, &room, 1);
    assert!(cluster.shards[1].read(conn).is_empty());
    cluster.shards[1].say(conn, &subscribe(3));
    cluster.settle();
    assert!(cluster.shards[1].read_json(conn)[0]["subscribe"].is_object());
}

#[test]
fn a_member_that_asks_for_its_room_once_more_in_vain_stays_one() {
    let mut cluster = Cluster::new();
    let room = cluster.room(0);
    let (conn, _) = connecting(&mut cluster, &room);
    cluster.settle();
    cluster.shards[1].read(conn);
    let subscribe = |id: u64| json!({"id": id, "subscribe": {"channel": room}}).to_string();
    cluster.shards[1].say(conn, &subscribe(2));
    wait_in_vain(&mut cluster, 1);
    assert_eq!(cluster.shards[1].read_json(conn)[0]["error"]["code"], 100);
    // The late answer to the one is not the answer to the other.
    cluster.shards[1].say(conn, &subscribe(3));
    cluster.carry(1, 0);
    cluster.carry(0, 1);
    assert!(cluster.shards[1].read(conn).is_empty());
    cluster.settle();
    assert!(cluster.shards[1].read_json(conn)[0]["subscribe"].is_object());
    cluster.publish(1, &room, 1);
    assert_eq!(cluster.shards[1].read_json(conn)[0]["push"]["pub"]["data"], 1);
}

#[test]
fn a_late_answer_to_a_backend_tells_a_client_that_has_asked_meanwhile() {
    let mut cluster = open_to_anyone(Limits::default());
    let (own, room) = (cluster.room(1), cluster.room(0));
    let (conn, user) = connecting(&mut cluster, &own);
    cluster.settle();
    cluster.shards[1].read(conn);
    let subscribe = json!({"id": 2, "subscribe": {"channel": room, "token": "t"}});
    cluster.shards[1].say(conn, &subscribe.to_string());
    let half = cluster.shards[1].shard.config().limits.ticket_timeout / 2;
    cluster.shards[1].ask("subscribe", &json!({"user": user, "channel": room}).to_string());
    while cluster.carry(1, 0) {}
    cluster.shards[1].pass(half);
    cluster.shards[1].prove(Claims { channel: Some(room.clone()), ..claims(&user) });
    cluster.shards[1].pass(half);
    cluster.shards[0].api("publish", &json!({"channel": room, "data": 7}).to_string());
    while cluster.carry(0, 1) {}
    let frames = cluster.shards[1].read_json(conn);
    assert!(frames[0]["subscribe"].is_object(), "{frames:?}");
    assert_eq!(frames[1]["push"]["pub"]["data"], 7, "{frames:?}");
}

#[test]
fn publications_wait_behind_the_reply_that_names_their_room() {
    let mut cluster = Cluster::new();
    let (near, far) = (cluster.room(1), cluster.room(0));
    let conn = cluster.connecting(1, Claims { channels: vec![near.clone(), far], ..claims("") });
    cluster.shards[1].api("publish", &json!({"channel": near, "data": 7}).to_string());
    assert!(cluster.shards[1].read(conn).is_empty());
    cluster.settle();
    let frames = cluster.shards[1].read_json(conn);
    assert_eq!(frames[0]["connect"]["subs"].as_object().map(|subs| subs.len()), Some(2), "{frames:?}");
    assert_eq!(frames[1]["push"]["pub"]["data"], 7);
}

#[test]
fn a_connect_whose_last_room_is_taken_away_is_answered() {
    let mut cluster = Cluster::new();
    let room = cluster.room(0);
    let (conn, user) = connecting(&mut cluster, &room);
    cluster.shards[1].ask("unsubscribe", &json!({"user": user, "channel": room}).to_string());
    cluster.settle();
    let frames = cluster.shards[1].read_json(conn);
    assert!(frames[0]["connect"].is_object() && frames[0]["connect"]["subs"].get(&room).is_none(), "{frames:?}");
}

#[test]
fn a_call_of_the_backend_reaches_a_connection_that_is_still_joining() {
    let mut cluster = Cluster::new();
    let (room, other) = (cluster.room(0), format!("{}-other", cluster.room(1)));
    let (conn, user) = connecting(&mut cluster, &room);
    cluster.shards[1].ask("subscribe", &json!({"user": user, "channel": other}).to_string());
    cluster.shards[1].ask("refresh", &json!({"user": user, "expire_at": 1_800_000_000}).to_string());
    cluster.settle();
    let frames = cluster.shards[1].read_json(conn);
    assert!(frames[0]["connect"]["subs"].get(&room).is_some(), "{frames:?}");
    let pushes: Vec<&Value> = frames[1..].iter().map(|frame| &frame["push"]).collect();
    assert!(pushes.iter().any(|push| push["channel"] == *other && push["subscribe"].is_object()), "{frames:?}");
    assert!(pushes.iter().any(|push| push["refresh"].is_object()), "{frames:?}");
}

#[test]
fn a_subscribe_is_answered_although_the_room_is_taken_away_meanwhile() {
    let mut cluster = Cluster::new();
    let room = cluster.room(0);
    let user = cluster.user(1);
    let (conn, _) = cluster.connected(1, &user);
    cluster.shards[1].say(conn, &json!({"id": 2, "subscribe": {"channel": room}}).to_string());
    cluster.shards[1].ask("unsubscribe", &json!({"user": user, "channel": room}).to_string());
    cluster.settle();
    let frames = cluster.shards[1].read_json(conn);
    assert_eq!((&frames[0]["id"], &frames[0]["error"]["code"]), (&json!(2), &json!(103)), "{frames:?}");
}

#[test]
fn the_replies_of_a_connection_keep_the_order_of_its_commands() {
    let mut cluster = Cluster::new();
    let room = cluster.room(0);
    let conn = cluster.json(1, &room);
    let publish = |id: u64| json!({"id": id, "publish": {"channel": room, "data": id}});
    let ping = json!({"id": 5, "ping": {}});
    cluster.shards[1].say(conn, &format!("{}\n{ping}\n{}", publish(4), publish(6)));
    cluster.settle();
    let frames = cluster.shards[1].read_json(conn);
    let ids: Vec<u64> = frames.iter().filter_map(|frame| frame["id"].as_u64()).collect();
    assert_eq!(ids, [4, 5, 6]);
}

#[test]
fn a_member_that_asks_for_its_room_once_more_waits_for_its_home() {
    let mut cluster = Cluster::new();
    let room = cluster.room(0);
    let (conn, _) = connecting(&mut cluster, &room);
    cluster.settle();
    cluster.shards[1].read(conn);
    cluster.shards[1].say(conn, &json!({"id": 2, "subscribe": {"channel": room}}).to_string());
    assert!(cluster.shards[1].read(conn).is_empty());
    cluster.settle();
    assert!(cluster.shards[1].read_json(conn)[0]["subscribe"].is_object());
}

#[test]
fn a_user_whose_connect_is_under_way_is_not_taken_for_anonymous() {
    let mut cluster = Cluster::new();
    let room = cluster.room(0);
    cluster.shards[1].json();
    connecting(&mut cluster, &room);
    let info = cluster.ask(1, "info", &json!({}));
    assert_eq!(
        (&info["result"]["nodes"][0]["num_clients"], &info["result"]["nodes"][0]["num_users"]),
        (&json!(1), &json!(2))
    );
}

/// The ids of the commands whose answers a json connection of the shard 1 reads.
fn answered(cluster: &mut Cluster, conn: ConnId) -> Vec<u64> {
    cluster.shards[1].read_json(conn).iter().filter_map(|frame| frame["id"].as_u64()).collect()
}

fn publish(id: u64, room: &str) -> String {
    json!({"id": id, "publish": {"channel": room, "data": id}}).to_string()
}

#[test]
fn commands_about_different_rooms_do_not_wait_for_each_other() {
    let mut cluster = open_to_anyone(Limits::default());
    let (far, near) = (cluster.room(0), cluster.room(1));
    let conn = cluster.shards[1].json();
    let history = json!({"id": 6, "history": {"channel": near}});
    cluster.shards[1].say(conn, &format!("{}\n{}", publish(4, &far), publish(5, &near)));
    cluster.shards[1].say(conn, &history.to_string());
    assert_eq!(answered(&mut cluster, conn), [5, 6]);
    cluster.settle();
    assert_eq!(answered(&mut cluster, conn), [4]);
}

#[test]
fn commands_about_one_room_are_answered_in_their_order() {
    let mut cluster = open_to_anyone(Limits::default());
    let (far, near) = (cluster.room(0), cluster.room(1));
    let conn = cluster.shards[1].json();
    cluster.shards[1].say(conn, &publish(4, &far));
    // This is known to be wrong at once.
    let wrong = json!({"id": 5, "history": {"channel": far, "reverse": true, "since": {"offset": 0, "epoch": "a"}}});
    cluster.shards[1].say(conn, &format!("{wrong}\n{}", publish(6, &near)));
    let leave = json!({"id": 7, "unsubscribe": {"channel": far}});
    assert!(answered(&mut cluster, conn).is_empty());
    assert!(cluster.shards[1].shard.is_paused(conn));
    cluster.settle();
    cluster.shards[1].say(conn, &leave.to_string());
    assert_eq!(answered(&mut cluster, conn), [4, 5, 6, 7]);
}

#[test]
fn one_long_answer_is_on_its_way_at_a_time() {
    let mut cluster = open_to_anyone(Limits::default());
    let (far, near) = (cluster.room(0), cluster.room(1));
    let conn = cluster.shards[1].json();
    let history = |id: u64, room: &str| json!({"id": id, "history": {"channel": room, "limit": 9}}).to_string();
    cluster.shards[1].say(conn, &format!("{}\n{}", history(4, &far), publish(5, &near)));
    cluster.shards[1].say(conn, &history(6, &near));
    assert_eq!(answered(&mut cluster, conn), [5]);
    cluster.settle();
    assert_eq!(answered(&mut cluster, conn), [4, 6]);
}

#[test]
fn a_subscribe_is_answered_before_what_is_said_about_its_room() {
    let mut cluster = open_to_anyone(Limits::default());
    let (far, near) = (cluster.room(0), cluster.room(1));
    let conn = cluster.shards[1].json();
    let subscribe = json!({"id": 4, "subscribe": {"channel": far}});
    cluster.shards[1].say(conn, &format!("{subscribe}\n{}\n{}", publish(5, &near), publish(6, &far)));
    assert_eq!(answered(&mut cluster, conn), [5]);
    cluster.settle();
    assert_eq!(answered(&mut cluster, conn), [4, 6]);
}

#[test]
fn what_is_about_no_room_waits_for_all_and_all_for_a_token() {
    let mut cluster = open_to_anyone(Limits::default());
    let (far, near) = (cluster.room(0), cluster.room(1));
    let (conn, user) = connecting(&mut cluster, &far);
    cluster.settle();
    cluster.shards[1].read(conn);
    let refresh = json!({"id": 5, "refresh": {"token": "t"}});
    cluster.shards[1].say(conn, &format!("{}\n{refresh}\n{}", publish(4, &far), publish(6, &near)));
    assert!(cluster.shards[1].tokens.is_empty() && cluster.shards[1].read(conn).is_empty());
    cluster.settle();
    assert_eq!(answered(&mut cluster, conn), [4]);
    cluster.shards[1].prove(claims(&user));
    assert_eq!(answered(&mut cluster, conn), [5, 6]);
}

#[test]
fn who_has_spent_its_credit_is_not_read_from_until_a_home_answers() {
    let mut cluster = open_to_anyone(Limits { commands_in_flight: 2, ..Limits::default() });
    let first = cluster.room(0);
    let names = (0..).map(|name| format!("{first}-{name}"));
    let second = names
        .into_iter()
        .find(|name| cluster.home_of("publish", &json!({"channel": name, "data": 0})) == 0)
        .expect("there are enough names");
    let conn = cluster.shards[1].json();
    cluster.shards[1].say(conn, &publish(4, &first));
    assert!(!cluster.shards[1].shard.is_paused(conn));
    cluster.shards[1].say(conn, &publish(5, &second));
    assert!(cluster.shards[1].shard.is_paused(conn));
    cluster.shards[1].listened.clear();
    while cluster.carry(1, 0) {}
    cluster.carry(0, 1);
    assert_eq!((cluster.shards[1].listened.as_slice(), cluster.shards[1].shard.is_paused(conn)), (&[conn][..], false));
    cluster.settle();
    assert_eq!((answered(&mut cluster, conn), cluster.shards[1].listened.len()), (vec![4, 5], 1));
}

#[test]
fn silence_does_not_count_while_a_home_is_waited_for() {
    let limits = Limits { ticket_timeout: Duration::from_millis(9_900), ..Limits::default() };
    let mut cluster = open_to_anyone(Limits { commands_in_flight: 1, ..limits });
    let far = cluster.room(0);
    let limits = cluster.shards[1].shard.config().limits.clone();
    let conn = cluster.shards[1].json();
    let ping = cluster.shards[1].shard.poll_timeout().expect("a ping is due").since(cluster.shards[1].now.mono);
    // The ping comes when the client is not read from any more, and so does its answer, which nobody hears.
    cluster.shards[1].pass(ping - Duration::from_millis(100));
    cluster.shards[1].say(conn, &publish(4, &far));
    cluster.shards[1].pass(Duration::from_millis(100));
    assert_eq!(cluster.shards[1].read(conn), ["{}"]);
    cluster.shards[1].pass(limits.ticket_timeout - Duration::from_millis(200));
    cluster.settle();
    assert_eq!(answered(&mut cluster, conn), [4]);
    cluster.shards[1].pass(limits.pong_timeout - Duration::from_millis(1));
    assert!(cluster.shards[1].ended.is_empty(), "it has all the time from now on");
    cluster.shards[1].pass(Duration::from_millis(1));
    assert_eq!(cluster.shards[1].read_close(conn).map(|(code, _)| code), Some(3012));
}

#[test]
fn a_plain_client_waits_for_each_answer() {
    let mut cluster = open_to_anyone(Limits::default());
    let (far, near) = (cluster.room(0), cluster.room(1));
    let conn = cluster.shards[1].plain(&format!("/ws?room={far}&room={near}"));
    cluster.settle();
    cluster.shards[1].read(conn);
    let publish = |room: &str| json!({"type": "publish", "room": room, "data": room}).to_string();
    cluster.shards[1].say(conn, &publish(&far));
    assert!(cluster.shards[1].shard.is_paused(conn));
    cluster.shards[1].say(conn, &publish(&near));
    assert!(cluster.shards[1].read(conn).is_empty());
    cluster.settle();
    let frames = cluster.shards[1].read(conn).join(" ");
    assert!(frames.find(&*far) < frames.find(&*near) && !cluster.shards[1].shard.is_paused(conn), "{frames}");
}
