//! Another configuration while connections are open: it holds for what comes next, and what is there stays.

use crate::world::{World, claims, with_config, world};
use parlor_core::{Config, Input, Limits, Namespaces, Permissions, Policy, Refused, Who};
use serde_json::{Value, json};
use std::time::Duration;

fn reconfigure(world: &mut World, change: impl FnOnce(&mut Config)) {
    let mut config = world.shard.config().clone();
    change(&mut config);
    world.input(Input::Configured { config: config.into() });
}

/// The same with other limits, which are those of all rooms.
fn limit(world: &mut World, limits: Limits) {
    let permissions = Permissions::open();
    reconfigure(world, |config| *config = Config::uniform(limits, true, permissions));
}

fn publish(world: &mut World, room: &str, data: &str) -> Value {
    world.api("publish", &json!({"channel": room, "data": data}).to_string())
}

fn retained(world: &World, room: &str) -> usize {
    let logs = world.shard.snapshot().logs;
    logs.iter().find(|log| &*log.name == room).map_or(0, |log| log.entries.len())
}

#[test]
fn a_connection_stays_where_fewer_are_allowed_and_no_other_comes() {
    let mut world = world();
    let conns = [world.plain("/ws/a"), world.plain("/ws/a")];
    limit(&mut world, Limits { connections: 1, ..Limits::default() });
    assert!(matches!(world.try_accept("/ws/a"), Err(Refused::Limit(parlor_core::Limit::Connections))));
    publish(&mut world, "a", "x");
    assert!(conns.into_iter().all(|conn| world.read(conn).len() == 1), "both are members");
    limit(&mut world, Limits { connections: 3, ..Limits::default() });
    world.plain("/ws/a");
}

#[test]
fn a_member_stays_in_more_rooms_than_are_allowed_now() {
    let mut world = world();
    let conn = world.plain("/ws?room=a&room=b");
    limit(&mut world, Limits { rooms_per_connection: 1, ..Limits::default() });
    publish(&mut world, "b", "x");
    assert_eq!(world.read(conn).len(), 1);
}

#[test]
fn logs_are_brought_within_what_they_may_retain() {
    let mut world = world();
    for room in ["a", "b"] {
        (0..10).for_each(|_| drop(publish(&mut world, room, "0123456789")));
    }
    limit(&mut world, Limits { history_messages: 4, ..Limits::default() });
    assert_eq!((retained(&world, "a"), retained(&world, "b")), (4, 4));
    // Two strings of 12 bytes each, of all eight.
    limit(&mut world, Limits { history_bytes: 24, ..Limits::default() });
    assert_eq!(retained(&world, "a") + retained(&world, "b"), 2);
    assert_eq!(world.shard.stats().gauges.history_bytes, 24);
    limit(&mut world, Limits::default());
    (0..10).for_each(|_| drop(publish(&mut world, "a", "0123456789")));
    assert!(retained(&world, "a") > 9, "what comes next is retained again");
}

#[test]
fn what_is_retained_ages_by_the_new_age() {
    let mut world = world();
    publish(&mut world, "a", "x");
    limit(&mut world, Limits { history_age: Duration::from_secs(10), ..Limits::default() });
    world.pass(Duration::from_secs(9));
    assert_eq!(retained(&world, "a"), 1);
    world.pass(Duration::from_secs(1));
    assert_eq!(retained(&world, "a"), 0);
    publish(&mut world, "a", "x");
    limit(&mut world, Limits { history_age: Duration::from_secs(20), ..Limits::default() });
    world.pass(Duration::from_secs(19));
    assert_eq!(retained(&world, "a"), 1, "the deadline of before is not the one that holds");
}

/// A world with so many logs, each with a string of 12 bytes.
fn with_logs(count: usize) -> World {
    let mut world = world();
    for first in (0..count).step_by(1000) {
        let publish = |room| json!({"publish": {"channel": format!("r{room}"), "data": format!("{room:010}")}});
        let commands: Vec<Value> = (first..count.min(first + 1000)).map(publish).collect();
        let answer = world.api("batch", &json!({"commands": commands}).to_string());
        assert!(answer["error"].is_null(), "{answer}");
    }
    world
}

#[test]
fn many_logs_are_brought_within_a_configuration_over_several_turns() {
    let mut world = with_logs(25_000);
    let config = Config::from(Limits { history_messages: 0, ..Limits::default() });
    let mut turns = 1;
    drop(world.shard.handle(world.now, Input::Configured { config: config.into() }));
    while world.shard.has_work() {
        let before = world.shard.snapshot().logs.iter().filter(|log| !log.entries.is_empty()).count();
        drop(world.shard.resume(world.now));
        let after = world.shard.snapshot().logs.iter().filter(|log| !log.entries.is_empty()).count();
        assert!(before - after <= 10_000, "{before} to {after} in one turn");
        turns += 1;
    }
    assert!(turns > 2, "{turns} turns");
    world.shard.audit();
    assert_eq!(world.shard.stats().gauges.history_bytes, 0);
}

#[test]
fn what_a_publisher_finds_above_a_lowered_limit_is_not_the_publishers_work() {
    let mut world = with_logs(12_000);
    let bytes = world.shard.stats().gauges.history_bytes;
    let config = Config::from(Limits { history_bytes: 12, ..Limits::default() });
    drop(world.shard.handle(world.now, Input::Configured { config: config.into() }));
    let left = world.shard.stats().gauges.history_bytes;
    assert_eq!(left, bytes, "the first turn has looked at logs, which are small enough each");
    publish_alone(&mut world);
    let dropped = left.saturating_sub(world.shard.stats().gauges.history_bytes);
    assert!(dropped <= 12, "a publication has {dropped} bytes dropped, one where it brings one");
    while world.shard.has_work() {
        drop(world.shard.resume(world.now));
    }
    assert!(world.shard.stats().gauges.history_bytes <= 12);
}

#[test]
fn a_log_that_retains_nothing_any_more_has_no_hole() {
    let mut world = with_logs(12_000);
    let config = Config::from(Limits { history_messages: 0, ..Limits::default() });
    drop(world.shard.handle(world.now, Input::Configured { config: config.into() }));
    let room = "r11999";
    assert_eq!(retained(&world, room), 1, "the turn has not come to this log");
    let body = json!({"channel": room, "data": 1}).to_string();
    let command = parlor_core::api::json::parse("publish", body.as_bytes(), world.shard.config()).expect("a call");
    drop(world.shard.handle(world.now, Input::Call { call: parlor_core::CallId(7), command }));
    world.shard.audit();
    assert_eq!(retained(&world, room), 0, "who has seen the first one may not think that it has all");
}

#[test]
fn who_watches_a_room_is_told_no_more_where_it_is_not_allowed_any_more() {
    let mut world = world();
    let conn = world.json_with(claims("ada")).0;
    world.say(conn, &json!({"id": 2, "subscribe": {"channel": "a", "join_leave": true}}).to_string());
    world.read(conn);
    world.plain("/ws/a");
    assert_eq!(world.read_json(conn)[0]["push"]["channel"], "a");
    reconfigure(&mut world, |config| config.namespaces.policies_mut().for_each(|policy| policy.join_leave = false));
    world.plain("/ws/a");
    assert_eq!(world.read(conn).len(), 0);
}

/// A publication whose turn does nothing else.
fn publish_alone(world: &mut World) {
    let command = parlor_core::api::json::parse("publish", br#"{"channel":"new","data":"x"}"#, world.shard.config());
    let command = command.expect("a call");
    drop(world.shard.handle(world.now, Input::Call { call: parlor_core::CallId(7), command }));
}

#[test]
fn keys_of_publications_are_forgotten_in_their_order_where_the_window_is_shortened() {
    let mut world = world();
    let once = |world: &mut World, key: &str| {
        let call = json!({"channel": "a", "data": 1, "idempotency_key": key});
        world.api("publish", &call.to_string())["result"]["offset"].clone()
    };
    let first = once(&mut world, "k");
    limit(&mut world, Limits { idempotency_window: Duration::from_secs(1), ..Limits::default() });
    let second = once(&mut world, "l");
    world.pass(Duration::from_secs(2));
    assert_eq!((once(&mut world, "k"), once(&mut world, "l")), (first, second), "not one out of its turn");
    let keys = |world: &World| world.shard.snapshot().keys.len();
    ["m", "n", "o"].into_iter().for_each(|key| drop(once(&mut world, key)));
    assert_eq!(keys(&world), 5);
    limit(&mut world, Limits { idempotency_keys: 1, ..Limits::default() });
    let left = ["p", "q", "r", "s", "t"].map(|key| {
        once(&mut world, key);
        keys(&world)
    });
    assert_eq!(left, [4, 3, 2, 1, 1], "two go for each that comes");
}

/// Namespaces of these prefixes, in which members may publish, or may not and two messages are retained.
fn namespaces(prefixes: &[(&str, bool)]) -> Namespaces {
    let limits = Limits::default();
    let open = Policy::new(Permissions::open(), &limits);
    let silent = Policy::new(Permissions { publish: Who::Nobody, ..Permissions::open() }, &limits);
    let silent = Policy { history_messages: 2, ..silent };
    let policy = |may_publish| if may_publish { open.clone() } else { silent.clone() };
    let named = prefixes.iter().map(|(prefix, may_publish)| (String::from(*prefix), policy(*may_publish)));
    Namespaces::with(open.clone(), open.clone(), named)
}

#[test]
fn members_stay_in_namespaces_whose_policy_changes_and_others_can_be_added() {
    let mut world = with_config(Config { namespaces: namespaces(&[("b", true), ("c", false)]), ..Config::default() });
    let conn = world.json_with(claims("ada")).0;
    let answer = |world: &mut World, command: Value| {
        world.say(conn, &command.to_string());
        let answers = world.read_json(conn);
        answers.iter().find(|answer| answer["id"] == command["id"]).expect("an answer")["error"]["code"].clone()
    };
    let code = |world: &mut World, room: &str, method: &str| {
        answer(world, json!({"id": 5, method: {"channel": room, "data": 1}}))
    };
    for room in ["b:1", "c:1"] {
        assert_eq!(code(&mut world, room, "subscribe"), Value::Null);
    }
    assert_eq!(code(&mut world, "a:1", "subscribe"), 102);
    // Another order, as a file has them by name: each prefix keeps what is its own.
    let others = namespaces(&[("a", true), ("c", true), ("b", false)]);
    reconfigure(&mut world, |config| config.namespaces = others);
    assert_eq!(code(&mut world, "a:1", "subscribe"), Value::Null);
    assert_eq!(code(&mut world, "a:1", "publish"), Value::Null);
    assert_eq!(code(&mut world, "c:1", "publish"), Value::Null, "a member of before, by the policy of now");
    assert_eq!(code(&mut world, "b:1", "publish"), 103);
    publish(&mut world, "b:1", "x");
    assert_eq!(world.read(conn).len(), 1, "members receive as before");
    (0..4).for_each(|_| drop(publish(&mut world, "b:1", "x")));
    assert_eq!(retained(&world, "b:1"), 2, "the log of before has the policy of its own namespace");
}

#[test]
#[should_panic(expected = "every namespace is there as before")]
fn a_namespace_cannot_be_taken_away() {
    let mut world = with_config(Config { namespaces: namespaces(&[("b", true)]), ..Config::default() });
    reconfigure(&mut world, |config| config.namespaces = namespaces(&[("c", true)]));
}

#[test]
#[should_panic(expected = "pong_timeout")]
fn a_configuration_that_contradicts_itself_is_refused() {
    let mut world = world();
    reconfigure(&mut world, |config| config.limits.pong_timeout = config.limits.ping_interval);
}
