//! Users whose connection has ended, and who stay listed for the `presence_grace` of a room.

use crate::world::{World, claims, with_config};
use parlor_core::{Change, Config, ConnId, Input, Limits, Lost, Permissions, Policy};
use serde_json::{Value, json};
use std::time::Duration;

const GRACE: Duration = Duration::from_secs(5);

/// A shard whose rooms have a grace, with these limits.
fn gracious(limits: Limits) -> World {
    let mut config = Config::uniform(limits, true, Permissions::open());
    config.namespaces.policies_mut().for_each(|policy| policy.presence_grace = GRACE);
    with_config(config)
}

/// A connection of a user in the room `x`.
fn member(world: &mut World, user: &str) -> ConnId {
    let conn = world.json_with(claims(user)).0;
    world.say(conn, r#"{"id":2,"subscribe":{"channel":"x"}}"#);
    world.read(conn);
    conn
}

/// A member that is told who comes and goes.
fn watcher(world: &mut World) -> ConnId {
    let conn = world.json();
    world.say(conn, r#"{"id":2,"subscribe":{"channel":"x","join_leave":true}}"#);
    world.read(conn);
    conn
}

fn lose(world: &mut World, conn: ConnId) {
    world.input(Input::Lost { conn, cause: Lost::Read });
}

/// Returns the presence events that a watcher has read: `true` for a join, and the user.
fn told(world: &mut World, watcher: ConnId) -> Vec<(bool, String)> {
    let pushes = world.read_json(watcher);
    let of = |push: &Value| {
        let joined = push["push"]["join"].is_object();
        let user = push["push"][if joined { "join" } else { "leave" }]["info"]["user"].as_str().map(String::from);
        Some((joined, user?))
    };
    pushes.iter().filter_map(of).collect()
}

fn stats(world: &mut World) -> (u64, u64) {
    let stats = world.api("presence_stats", r#"{"channel":"x"}"#);
    let number = |key: &str| stats["result"][key].as_u64().expect("a number");
    (number("num_clients"), number("num_users"))
}

/// The changes since the last time, in words.
fn changes(world: &mut World) -> Vec<String> {
    let words = |change| match change {
        Change::Occupied(room) => format!("occupied {room}"),
        Change::Vacated(room) => format!("vacated {room}"),
        Change::Online(user) => format!("online {user}"),
        Change::Offline(user) => format!("offline {user}"),
    };
    std::mem::take(&mut world.events).into_iter().map(|event| words(event.change)).collect()
}

fn left(user: &str) -> (bool, String) {
    (false, user.into())
}

fn joined(user: &str) -> (bool, String) {
    (true, user.into())
}

#[test]
fn a_user_who_comes_back_in_time_is_told_to_leave_and_join_together() {
    let mut world = gracious(Limits::default());
    let watcher = watcher(&mut world);
    let ada = member(&mut world, "ada");
    assert_eq!(told(&mut world, watcher), [joined("ada")]);
    lose(&mut world, ada);
    world.pass(Duration::from_secs(4));
    assert_eq!(told(&mut world, watcher), [], "a page reload is no leave");
    assert_eq!(stats(&mut world), (2, 2), "she stays listed");
    member(&mut world, "ada");
    assert_eq!(told(&mut world, watcher), [left("ada"), joined("ada")]);
    assert_eq!(stats(&mut world), (2, 2));
    world.pass(Duration::from_secs(30));
    assert_eq!(told(&mut world, watcher), [], "she has left once");
}

#[test]
fn a_user_who_does_not_come_back_leaves_when_the_grace_is_over() {
    let mut world = gracious(Limits::default());
    let watcher = watcher(&mut world);
    let ada = member(&mut world, "ada");
    told(&mut world, watcher);
    changes(&mut world);
    lose(&mut world, ada);
    world.pass(GRACE - Duration::from_nanos(1));
    assert_eq!(told(&mut world, watcher), []);
    assert!(changes(&mut world).is_empty());
    world.pass(Duration::from_nanos(1));
    assert_eq!(told(&mut world, watcher), [left("ada")]);
    assert_eq!(changes(&mut world), ["vacated #ada", "offline ada"]);
    assert_eq!(stats(&mut world), (1, 1));
}

#[test]
fn a_room_stays_occupied_and_its_user_online_until_the_grace_is_over() {
    let mut world = gracious(Limits::default());
    let ada = member(&mut world, "ada");
    changes(&mut world);
    lose(&mut world, ada);
    let gauges = world.shard.stats().gauges;
    assert_eq!((gauges.connections, gauges.memberships, gauges.rooms, gauges.users, gauges.absences), (0, 0, 2, 1, 2));
    world.pass(Duration::from_secs(4));
    let ada = member(&mut world, "ada");
    assert!(changes(&mut world).is_empty(), "nothing was vacated, nobody offline");
    lose(&mut world, ada);
    world.pass(GRACE);
    let mut changes = changes(&mut world);
    changes.sort();
    assert_eq!(changes, ["offline ada", "vacated #ada", "vacated x"]);
    assert_eq!(world.shard.stats().gauges.rooms, 0);
}

#[test]
fn a_user_is_offline_when_the_longest_grace_of_all_rooms_is_over() {
    let policy = |seconds| {
        let grace = Duration::from_secs(seconds);
        Policy { presence_grace: grace, ..Policy::new(Permissions::open(), &Limits::default()) }
    };
    let named = [("short", 1), ("long", 9), ("none", 0)].map(|(prefix, grace)| (prefix.into(), policy(grace)));
    let namespaces = parlor_core::Namespaces::with(policy(0), policy(0), named);
    let mut world = with_config(Config { namespaces, ..Config::default() });
    let ada = world.json_with(claims("ada")).0;
    for room in ["short:1", "long:1", "none:1"] {
        world.say(ada, &json!({"id": 2, "subscribe": {"channel": room}}).to_string());
    }
    changes(&mut world);
    lose(&mut world, ada);
    assert!(changes(&mut world).contains(&String::from("vacated none:1")), "who left no trace has left");
    world.pass(Duration::from_secs(1));
    assert_eq!(changes(&mut world), ["vacated short:1"]);
    world.pass(Duration::from_secs(8));
    let mut changes = changes(&mut world);
    changes.sort();
    assert_eq!(changes, ["offline ada", "vacated #ada", "vacated long:1"]);
}

#[test]
fn only_an_ended_connection_leaves_an_absence() {
    let mut world = gracious(Limits::default());
    let watcher = watcher(&mut world);
    let ada = member(&mut world, "ada");
    world.say(ada, r#"{"id":3,"unsubscribe":{"channel":"x"}}"#);
    assert_eq!(told(&mut world, watcher), [joined("ada"), left("ada")], "to leave a room is to leave it");
    member(&mut world, "ada");
    world.api("unsubscribe", r#"{"channel":"x","user":"ada"}"#);
    assert_eq!(told(&mut world, watcher), [joined("ada"), left("ada")], "so is to be taken out of it");
    let plain = world.plain("/ws/x");
    lose(&mut world, plain);
    assert_eq!(told(&mut world, watcher), [joined(""), left("")], "anonymous connections have no grace");
}

#[test]
fn a_call_of_the_backend_ends_no_absence() {
    let mut world = gracious(Limits::default());
    let ada = member(&mut world, "ada");
    world.api("disconnect", r#"{"user":"ada"}"#);
    assert_eq!(world.read_close(ada).map(|(code, _)| code), Some(3503));
    world.api("unsubscribe", r#"{"user":"ada","channel":"x"}"#);
    let listed = world.api("presence", r#"{"channel":"x"}"#);
    let users: Vec<&str> =
        listed["result"]["presence"].as_object().unwrap().values().filter_map(|info| info["user"].as_str()).collect();
    assert_eq!(users, ["ada"]);
}

#[test]
fn nobody_is_absent_while_the_server_shuts_down() {
    let mut world = gracious(Limits::default());
    member(&mut world, "ada");
    changes(&mut world);
    world.input(Input::Shutdown);
    let mut changes = changes(&mut world);
    changes.sort();
    assert_eq!(changes, ["offline ada", "vacated #ada", "vacated x"]);
}

#[test]
fn the_last_of_a_users_connections_in_a_room_leaves_the_absence() {
    let mut world = gracious(Limits::default());
    let watcher = watcher(&mut world);
    let (one, other) = (member(&mut world, "ada"), member(&mut world, "ada"));
    told(&mut world, watcher);
    lose(&mut world, one);
    assert_eq!(told(&mut world, watcher), [left("ada")], "the user is there by the other");
    lose(&mut world, other);
    assert_eq!(told(&mut world, watcher), []);
    world.pass(GRACE);
    assert_eq!(told(&mut world, watcher), [left("ada")]);
}

#[test]
fn a_connection_that_becomes_the_users_ends_the_absence() {
    let mut world = gracious(Limits::default());
    let watcher = watcher(&mut world);
    let ada = member(&mut world, "ada");
    lose(&mut world, ada);
    let plain = world.plain("/ws/x");
    told(&mut world, watcher);
    world.say(plain, r#"{"type":"auth","token":"t"}"#);
    world.prove(claims("ada"));
    assert_eq!(told(&mut world, watcher), [left("ada"), left(""), joined("ada")]);
}

#[test]
fn no_limit_counts_an_absence() {
    let one = std::num::NonZeroUsize::new(1);
    let limits = Limits { connections: 1, connections_per_user: one, logs: 2, ..Limits::default() };
    let mut world = gracious(limits);
    let ada = member(&mut world, "ada");
    lose(&mut world, ada);
    let bob = member(&mut world, "bob");
    assert_eq!(world.shard.stats().gauges.rooms, 3, "#ada, #bob and x");
    lose(&mut world, bob);
    let ada = member(&mut world, "ada");
    assert!(world.shard.snapshot().conns.iter().any(|conn| conn.id == ada), "she has one connection");
}

#[test]
fn nothing_is_delivered_to_who_is_absent() {
    let mut world = gracious(Limits::default());
    let ada = member(&mut world, "ada");
    lose(&mut world, ada);
    let queued = world.shard.stats().totals.frames_queued;
    world.api("publish", r#"{"channel":"x","data":1}"#);
    assert_eq!(world.shard.stats().totals.frames_queued, queued);
    let listed = world.api("channels", "{}");
    assert_eq!(listed["result"]["channels"], json!({}), "a room without members is not listed");
}

#[test]
fn absences_are_bounded_and_nobody_leaves_for_another() {
    let mut world = gracious(Limits { absences: 4, ..Limits::default() });
    let watcher = watcher(&mut world);
    for user in ["ada", "bob", "cid"] {
        let conn = member(&mut world, user);
        lose(&mut world, conn);
        world.pass(Duration::from_secs(1));
    }
    // Each is absent from x and from a personal room.
    assert_eq!(world.shard.stats().gauges.absences, 4);
    let leaves: Vec<_> = told(&mut world, watcher).into_iter().filter(|(joined, _)| !joined).collect();
    assert_eq!(leaves, [left("cid")], "the others are absent already");
}

#[test]
fn many_absences_that_end_at_once_do_not_fill_the_outbox_of_a_watcher() {
    let mut world = gracious(Limits { outbox_frames: 128, ..Limits::default() });
    let watcher = watcher(&mut world);
    for user in 0..200 {
        let conn = member(&mut world, &format!("u{user}"));
        told(&mut world, watcher);
        lose(&mut world, conn);
    }
    world.pass(GRACE - Duration::from_secs(1));
    // Its socket does not take anything at the moment.
    world.api("publish", r#"{"channel":"x","data":1}"#);
    world.input(Input::Flushed { conn: watcher, bytes: 0 });
    world.now.mono = world.now.mono.after(Duration::from_secs(1));
    world.begin(Input::Tick);
    let mut leaves = crate::world::parse(world.flush_begun(watcher)).len() - 1;
    while world.shard.has_work() {
        world.resume();
        leaves += crate::world::parse(world.flush_begun(watcher)).len();
    }
    assert_eq!(leaves, 200);
    assert!(world.ended.iter().all(|(conn, _)| *conn != watcher));
}
