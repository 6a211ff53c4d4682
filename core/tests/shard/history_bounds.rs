//! What rooms retain is bounded, and no bound on it holds up what is delivered.

use crate::world::{Rules, World, claims, raw, with};
use parlor_core::limits::Rate;
use parlor_core::snapshot::LogView;
use parlor_core::{Input, Limit, Limits, Lost};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// A payload of this many bytes, unlike those of other numbers.
fn payload(number: u64, bytes: usize) -> String {
    format!("\"{number:0width$}\"", width = bytes - 2)
}

fn publish(world: &mut World, room: &str, number: u64, bytes: usize) -> Value {
    let data: Value = serde_json::from_str(&payload(number, bytes)).expect("JSON");
    world.api("publish", &json!({"channel": room, "data": data}).to_string())["result"].clone()
}

fn broadcast(world: &mut World, rooms: &[&str], number: u64, bytes: usize) {
    let data: Value = serde_json::from_str(&payload(number, bytes)).expect("JSON");
    let answer = world.api("broadcast", &json!({"channels": rooms, "data": data}).to_string());
    for response in answer["result"]["responses"].as_array().expect("one for each room") {
        assert!(response["result"]["offset"].is_u64(), "{response}");
    }
}

fn log(world: &World, room: &str) -> Option<LogView> {
    world.shard.snapshot().logs.into_iter().find(|log| &*log.name == room)
}

fn offsets(world: &World, room: &str) -> Vec<u64> {
    log(world, room).map_or(vec![], |log| log.entries.iter().map(|(offset, _)| *offset).collect())
}

/// What a log holds, whoever shares it.
fn held(log: &LogView) -> usize {
    log.entries.iter().map(|(_, data)| data.len()).sum()
}

fn history_bytes(world: &World) -> usize {
    world.shard.stats().gauges.history_bytes
}

/// Whether a client that has seen everything up to `offset` gets the rest.
fn recovers(world: &mut World, room: &str, epoch: &Value, offset: u64) -> Value {
    let conn = world.json();
    let subscribe = json!({"channel": room, "recover": true, "epoch": epoch, "offset": offset});
    world.say(conn, &json!({"id": 2, "subscribe": subscribe}).to_string());
    let reply = world.read_json(conn).remove(0)["subscribe"].clone();
    world.input(Input::Lost { conn, cause: Lost::Eof });
    reply
}

fn bounded(history_bytes: usize) -> World {
    with(Limits { history_bytes, ..Limits::default() }, Rules::open())
}

#[test]
fn a_member_that_fills_the_history_evicts_only_its_own_room() {
    let limits = Limits {
        history_bytes: 64_000,
        history_bytes_per_room: 4_000,
        client_publishes: Rate::OFF,
        client_commands: Rate::OFF,
        ..Limits::default()
    };
    let mut world = with(limits, Rules::open());
    let listener = world.plain("/ws/live");
    for number in 1..=3 {
        publish(&mut world, "quiet", number, 100);
    }
    let hoarder = world.json();
    for room in 0..60 {
        world.say(hoarder, &json!({"id": 2, "subscribe": {"channel": format!("hoard-{room}")}}).to_string());
    }
    world.flush(hoarder);
    for round in 0..10 {
        for room in 0..60 {
            let data = "x".repeat(1000);
            let publish = json!({"id": 3, "publish": {"channel": format!("hoard-{room}"), "data": data}});
            world.say(hoarder, &publish.to_string());
            let answer = world.read(hoarder).pop().expect("an answer");
            assert!(!answer.contains("error"), "round {round}, room {room}: {answer}");
        }
    }
    assert!(history_bytes(&world) > 60_000, "it is used up: {}", history_bytes(&world));
    assert_eq!(offsets(&world, "quiet"), [1, 2, 3], "who holds little loses nothing");
    assert_eq!(publish(&mut world, "live", 1, 1000)["offset"], 1);
    assert_eq!(offsets(&world, "live"), [1], "and there is a place for more");
    let skipped = world.api("publish", r#"{"channel":"live","data":2,"skip_history":true}"#);
    assert_eq!(skipped["result"]["offset"], 0);
    assert_eq!(world.api("publish_all", r#"{"data":3}"#), json!({"result": {}}));
    assert_eq!(world.api("publish_user", r#"{"user":"ada","data":4}"#)["result"]["offset"], 1);
    assert_eq!(world.read(listener), [payload(1, 1000), "2".into(), "3".into()]);
    assert_eq!(world.shard.stats().totals.limits.get(&Limit::HistoryBytes), None, "nothing was refused");
    assert!(history_bytes(&world) <= 64_000);
}

#[test]
fn a_room_over_history_bytes_per_room_drops_its_oldest_publications() {
    let mut world = with(Limits { history_bytes_per_room: 100, ..Limits::default() }, Rules::open());
    publish(&mut world, "other", 1, 90);
    for number in 1..=4 {
        publish(&mut world, "a", number, 40);
    }
    assert_eq!((offsets(&world, "a"), offsets(&world, "other")), (vec![3, 4], vec![1]));
    publish(&mut world, "a", 5, 100);
    assert_eq!((offsets(&world, "a"), history_bytes(&world)), (vec![5], 190));
}

#[test]
fn a_payload_that_several_rooms_retain_counts_once() {
    let mut world = bounded(1000);
    broadcast(&mut world, &["a", "b", "c", "a"], 1, 400);
    assert_eq!(history_bytes(&world), 400);
    publish(&mut world, "a", 2, 100);
    assert_eq!(history_bytes(&world), 500);
    for (room, left) in [("a", 400), ("c", 400), ("c", 400), ("b", 0)] {
        world.api("history_remove", &json!({"channel": room}).to_string());
        assert_eq!(history_bytes(&world), left, "without {room}");
    }
    broadcast(&mut world, &["a", "b"], 3, 400);
    world.pass(Duration::from_secs(300));
    assert_eq!(history_bytes(&world), 0, "it is old everywhere");
}

#[test]
fn a_shared_payload_is_freed_when_the_last_room_drops_it() {
    let mut world = bounded(1000);
    broadcast(&mut world, &["a", "b"], 1, 600);
    publish(&mut world, "c", 2, 500);
    assert_eq!((offsets(&world, "a"), offsets(&world, "b"), offsets(&world, "c")), (vec![], vec![], vec![1]));
    assert_eq!(history_bytes(&world), 500);
}

#[test]
fn the_fullest_room_drops_its_oldest_publication_first() {
    let mut world = bounded(1000);
    for (room, number, bytes) in [("small", 1, 200), ("large", 2, 300), ("large", 3, 300), ("medium", 4, 200)] {
        publish(&mut world, room, number, bytes);
    }
    publish(&mut world, "new", 5, 100);
    assert_eq!(offsets(&world, "large"), [2], "it holds three times as much");
    publish(&mut world, "new", 6, 400);
    let rest = ["small", "large", "medium", "new"].map(|room| offsets(&world, room));
    assert_eq!(rest, [vec![1], vec![], vec![1], vec![1, 2]], "who came before and is as full within a factor of two");
}

#[test]
fn a_publication_too_large_to_retain_is_delivered_and_clears_the_log() {
    for limits in [
        Limits { history_bytes: 100, ..Limits::default() },
        Limits { history_bytes_per_room: 100, ..Limits::default() },
    ] {
        let mut world = with(limits, Rules::open());
        let member = world.plain("/ws/a");
        publish(&mut world, "other", 1, 50);
        let first = publish(&mut world, "a", 2, 40);
        let second = publish(&mut world, "a", 3, 101);
        assert_eq!((&second["offset"], &second["epoch"]), (&json!(2), &first["epoch"]));
        assert_eq!(world.read(member), [payload(2, 40), payload(3, 101)]);
        assert_eq!((offsets(&world, "a"), offsets(&world, "other")), (vec![], vec![1]));
        for offset in [0, 1] {
            let reply = recovers(&mut world, "a", &first["epoch"], offset);
            assert_eq!((&reply["was_recovering"], &reply["recovered"]), (&json!(true), &Value::Null), "{reply}");
        }
        assert_eq!(recovers(&mut world, "a", &first["epoch"], 2)["recovered"], true, "who got it has missed nothing");
        publish(&mut world, "a", 4, 40);
        assert_eq!(offsets(&world, "a"), [3]);
        assert_eq!(recovers(&mut world, "a", &first["epoch"], 1)["recovered"], Value::Null);
    }
}

#[test]
fn a_publication_too_large_to_retain_in_an_empty_room_makes_no_log() {
    let nowhere = json!({"offset": 0, "epoch": ""});
    let limits = Limits { history_bytes: 100, logs: 2, connections: 1, ..Limits::default() };
    let mut world = with(limits, Rules::open());
    for (number, room) in [(1, "kept"), (2, "other")] {
        publish(&mut world, room, number, 20);
    }
    let kept = |world: &World| (log(world, "kept"), log(world, "other"), world.shard.stats().gauges.logs);
    let before = kept(&world);
    assert_eq!(publish(&mut world, "a", 3, 101), nowhere, "it is larger than all there is");
    assert_eq!(publish(&mut world, "a", 4, 90), nowhere, "it alone makes its room the fullest");
    assert_eq!(kept(&world), before);
    let conn = world.json();
    world.say(conn, r#"{"id":2,"subscribe":{"channel":"kept"}}{"id":3,"subscribe":{"channel":"other"}}"#);
    let before = kept(&world);
    assert_eq!(publish(&mut world, "a", 5, 20), nowhere, "the logs that there may be are of rooms with a member");
    assert_eq!(world.api("publish_user", r#"{"user":"ada","data":1}"#)["result"], nowhere);
    assert_eq!(kept(&world), before);
}

#[test]
fn missing_a_publication_that_was_too_large_to_retain_is_a_gap() {
    let mut world = with(Limits { history_bytes: 100, ..Limits::default() }, Rules::open());
    let member = world.open("/ws/a?greeting=off&positions=on");
    let at = world.read_json(member).remove(0);
    world.input(Input::Lost { conn: member, cause: Lost::Eof });
    publish(&mut world, "a", 1, 101);
    let epoch = at["epoch"].as_str().expect("a position");
    let back = world.open(&format!("/ws/a?greeting=off&since={epoch}:0"));
    assert_eq!(world.read_json(back)[0]["type"], "gap");
}

#[test]
fn only_the_log_that_was_idle_longest_is_evicted() {
    let mut world = with(Limits { logs: 3, connections: 1, ..Limits::default() }, Rules::open());
    for (number, room) in [(1, "a"), (2, "b"), (3, "c"), (4, "a")] {
        publish(&mut world, room, number, 10);
    }
    let member = world.plain("/ws/b");
    publish(&mut world, "d", 5, 10);
    let names =
        |world: &World| -> Vec<String> { world.shard.snapshot().logs.iter().map(|log| log.name.to_string()).collect() };
    assert_eq!(names(&world), ["a", "b", "d"], "b has a member, and a was published to since");
    world.input(Input::Lost { conn: member, cause: Lost::Eof });
    publish(&mut world, "e", 6, 10);
    assert_eq!(names(&world), ["b", "d", "e"]);
}

#[test]
fn joining_and_leaving_rooms_evicts_no_log() {
    let mut world = with(Limits { logs: 2, connections: 1, ..Limits::default() }, Rules::open());
    publish(&mut world, "a", 1, 10);
    publish(&mut world, "b", 2, 10);
    let before = (log(&world, "a"), log(&world, "b"));
    let quiet = |world: &mut World| {
        let conn = world.open("/ws/quiet?greeting=off&positions=on");
        let at = world.read_json(conn).remove(0);
        world.input(Input::Lost { conn, cause: Lost::Eof });
        at
    };
    let at = quiet(&mut world);
    for n in 0..10 {
        let conn = world.plain(&format!("/ws/room-{n}"));
        world.input(Input::Lost { conn, cause: Lost::Eof });
    }
    assert_eq!((log(&world, "a"), log(&world, "b")), before);
    assert_eq!(quiet(&mut world), at, "a log that has numbered nothing is the same when the room comes again");
}

/// SplitMix64.
struct Draws(u64);

impl Draws {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % bound
    }
}

const ROOMS: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

/// Does something that changes what is retained. Returns the rooms that it was meant for.
fn step(world: &mut World, draws: &mut Draws, number: u64) -> Vec<&'static str> {
    let room = ROOMS[draws.below(6) as usize];
    let bytes = [25, 40, 80, 170, 400, 1100][draws.below(6) as usize];
    match draws.below(10) {
        0..6 => {
            publish(world, room, number, bytes);
            vec![room]
        }
        6..8 => {
            let rooms: Vec<&str> = (0..draws.below(6) + 1).map(|_| ROOMS[draws.below(6) as usize]).collect();
            broadcast(world, &rooms, number, bytes);
            rooms
        }
        8 => {
            world.api("history_remove", &json!({"channel": room}).to_string());
            vec![room]
        }
        _ => {
            if let Ok(conn) = world.try_accept(&format!("/ws/{room}")) {
                world.input(Input::Upgraded { conn });
                if draws.below(2) == 0 {
                    world.input(Input::Lost { conn, cause: Lost::Eof });
                }
            }
            vec![]
        }
    }
}

/// What the logs hold, by room.
fn all_held(world: &World) -> BTreeMap<String, usize> {
    let logs = world.shard.snapshot().logs;
    logs.iter().map(|log| (log.name.to_string(), held(log))).filter(|(_, held)| *held > 0).collect()
}

/// Every payload is another text, so that those that are retained more than once are seen in what is retained.
fn recount(world: &World) -> usize {
    let logs = world.shard.snapshot().logs;
    let distinct: BTreeSet<&str> = logs.iter().flat_map(|log| &log.entries).map(|(_, data)| &**data).collect();
    distinct.iter().map(|data| data.len()).sum()
}

#[test]
fn retained_bytes_are_bounded_counted_once_and_taken_from_the_fullest_room() {
    const MOST: usize = 1500;
    for seed in 0..60 {
        let mut draws = Draws(seed);
        let logs = [2, 4, 100][draws.below(3) as usize];
        let limits = Limits {
            history_bytes: MOST,
            history_bytes_per_room: [200, 900, 4000][draws.below(3) as usize],
            history_messages: [3, 100][draws.below(2) as usize],
            logs,
            connections: logs / 2,
            ..Limits::default()
        };
        let (per_room, all_logs) = (limits.history_bytes_per_room, limits.logs == 100);
        let mut world = with(limits, Rules::open());
        for number in 0..120 {
            let before = all_held(&world);
            let meant = step(&mut world, &mut draws, number);
            let after = all_held(&world);
            let what = format!("seed {seed}, step {number}: {before:?} to {after:?}");
            assert_eq!(history_bytes(&world), recount(&world), "{what}");
            assert!(history_bytes(&world) <= MOST, "{what}");
            assert!(after.values().all(|held| *held <= per_room), "{what}");
            let parts: BTreeSet<&str> = before.keys().map(String::as_str).chain(meant.iter().copied()).collect();
            for (room, held) in before.iter().filter(|(room, _)| all_logs && !meant.contains(&room.as_str())) {
                let is_small = held * 2 * parts.len() < MOST;
                assert!(!is_small || after.get(room) == Some(held), "{room} holds little: {what}");
            }
            if draws.below(20) == 0 {
                world.pass(Duration::from_secs(100));
                assert_eq!(history_bytes(&world), recount(&world), "{what}, and later");
            }
        }
    }
}

#[test]
fn retained_bytes_are_bounded_for_publications_with_info() {
    let mut world = bounded(1000);
    let conn = world.open("/connection/websocket");
    world.say(conn, r#"{"id":1,"connect":{"token":"t"}}{"id":2,"subscribe":{"channel":"a"}}"#);
    world.prove(parlor_core::Claims { info: Some(raw(r#"{"name":"Ada"}"#)), ..claims("ada") });
    for number in 0..30 {
        let data = "x".repeat(98);
        world.say(conn, &json!({"id": 3, "publish": {"channel": "a", "data": data}}).to_string());
        assert!(!world.read(conn).concat().contains("error"), "{number}");
        world.now.mono = world.now.mono.after(Duration::from_secs(1));
    }
    // The payload, `ada`, and what the token says of her.
    let each = 100 + 3 + 14;
    assert_eq!(history_bytes(&world), 1000 / each * each);
    assert_eq!(offsets(&world, "a").len(), 1000 / each);
}
