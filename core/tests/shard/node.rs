//! Several shards of a node, and the links between them.

use crate::cluster::{Cluster, SHARDS};
use crate::world::claims;
use parlor_core::{Change, Claims, ConnId, Input, Lost};
use serde_json::{Value, json};

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

#[test]
fn a_connect_that_no_home_answers_ends_in_time() {
    let mut cluster = Cluster::new();
    let room = cluster.room(0);
    let (conn, _) = connecting(&mut cluster, &room);
    let timeout = cluster.shards[1].shard.config().limits.authenticate_timeout;
    cluster.shards[1].pass(timeout);
    assert_eq!(cluster.shards[1].read_close(conn).map(|(code, _)| code), Some(3004));
    cluster.settle();
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
