//! How much one turn does, and what becomes of the rest: whoever reads gets all of it, in order.

use crate::world::{Rules, World, with, world};
use parlor_core::{CallId, ConnId, Input, Limits, Lost};
use serde_json::{Value, json};
use std::time::Duration;

/// Begins a call, which may be answered later.
fn begin(world: &mut World, method: &str, body: &Value) {
    let config = world.shard.config();
    let command = parlor_core::api::json::parse(method, body.to_string().as_bytes(), config).expect("a good call");
    world.begin(Input::Call { call: CallId(1), command });
}

/// Carries a call out as a host does: between two turns every socket takes what it is offered. Returns what each has read,
/// and the most frames that waited for one.
fn carry_out(world: &mut World, method: &str, body: &Value, members: &[ConnId]) -> (Vec<Vec<String>>, usize) {
    let mut read = vec![vec![]; members.len()];
    let mut most = 0;
    begin(world, method, body);
    loop {
        for (conn, texts) in members.iter().zip(&mut read) {
            most = most.max(world.shard.pending(*conn).map_or(0, |pending| pending.frames()));
            let bytes = world.flush_begun(*conn);
            let messages = crate::world::parse(bytes).into_iter();
            texts.extend(messages.filter_map(|message| Some(message.into_text().ok()?.to_string())));
        }
        if !world.shard.has_work() {
            return (read, most);
        }
        assert!(world.replies.is_empty(), "a call is answered once all of it is done");
        world.shard.all_offered();
        world.resume();
    }
}

/// The answer to a call, which must have come.
fn answer(world: &mut World) -> Value {
    let reply = world.replies.pop_front().expect("an answer");
    serde_json::from_str(&parlor_core::api::json::encode(&reply)).expect("JSON")
}

/// Goes on with all that was put off. Returns in how many turns.
fn go_on(world: &mut World) -> usize {
    let mut turns = 0;
    while world.shard.has_work() {
        world.resume();
        turns += 1;
    }
    turns
}

fn members(world: &mut World, url: &str) -> Vec<ConnId> {
    (0..5).map(|_| world.plain(url)).collect()
}

fn with_large_calls() -> World {
    with(Limits { batch_commands: 5000, ..Limits::default() }, Rules::open())
}

#[test]
fn a_batch_of_any_length_overflows_no_reading_client() {
    let mut world = with_large_calls();
    let members = members(&mut world, "/ws/a");
    let commands: Vec<Value> = (0..1025).map(|n| json!({"publish": {"channel": "a", "data": n}})).collect();
    let (read, most) = carry_out(&mut world, "batch", &json!({ "commands": commands }), &members);
    let all: Vec<String> = (0..1025).map(|n| n.to_string()).collect();
    assert!(read.iter().all(|texts| *texts == all), "all of it, in order");
    assert!(most <= 256, "a quarter of an outbox at a time: {most}");
    assert!(world.replies.pop_front().expect("an answer").is_ok() && world.ended.is_empty());
}

#[test]
fn a_broadcast_that_repeats_a_room_overflows_no_reading_client() {
    let mut world = world();
    let members: Vec<ConnId> = (0..5).map(|_| world.open("/ws/a?positions=on&greeting=off")).collect();
    members.iter().for_each(|conn| drop(world.flush(*conn)));
    let body = json!({"channels": vec!["a"; 513], "data": "x"});
    let (read, _) = carry_out(&mut world, "broadcast", &body, &members);
    assert!(read.iter().all(|texts| texts.len() == 2 * 513), "each message, and each position");
    assert!(world.ended.is_empty());
}

#[test]
fn a_large_broadcast_to_all_rooms_of_a_connection_overflows_no_reading_client() {
    let mut world = world();
    let rooms: Vec<String> = (0..17).map(|n| format!("r{n}")).collect();
    let members = members(&mut world, &format!("/ws?room={}", rooms.join("&room=")));
    let body = json!({"channels": rooms, "data": "x".repeat(64_000)});
    let (read, _) = carry_out(&mut world, "broadcast", &body, &members);
    assert!(read.iter().all(|texts| texts.len() == 17), "{:?}", read.iter().map(Vec::len).collect::<Vec<_>>());
    assert!(world.ended.is_empty());
}

#[test]
fn many_messages_to_all_connections_overflow_no_reading_client() {
    let mut world = with_large_calls();
    let members = members(&mut world, "/ws/a");
    let commands: Vec<Value> = (0..1025).map(|n| json!({"publish_all": {"data": n}})).collect();
    let (read, _) = carry_out(&mut world, "batch", &json!({ "commands": commands }), &members);
    assert!(read.iter().all(|texts| texts.len() == 1025));
    assert!(world.ended.is_empty());
}

#[test]
fn new_input_is_handled_before_deferred_work() {
    let mut world = with_large_calls();
    let (a, b) = (world.plain("/ws/a"), world.plain("/ws/b"));
    let commands: Vec<Value> = (0..600).map(|n| json!({"publish": {"channel": "a", "data": n}})).collect();
    begin(&mut world, "batch", &json!({ "commands": commands }));
    assert!(world.shard.has_work() && world.shard.is_spent());
    world.shard.all_offered();
    begin(&mut world, "publish", &json!({"channel": "b", "data": "between"}));
    assert_eq!(world.replies.len(), 1, "the other call is not done");
    let bytes = world.flush_begun(b);
    assert_eq!(crate::world::parse(bytes).len(), 1);
    let before = world.flush_begun(a);
    assert_eq!(crate::world::parse(before).len(), 256, "the first part");
}

#[test]
fn two_deferred_calls_take_turns() {
    let mut world = with_large_calls();
    let (a, b) = (world.plain("/ws/a"), world.plain("/ws/b"));
    for room in ["a", "b"] {
        let commands: Vec<Value> = (0..600).map(|n| json!({"publish": {"channel": room, "data": n}})).collect();
        begin(&mut world, "batch", &json!({ "commands": commands }));
        world.shard.all_offered();
    }
    let read = |world: &mut World, conn| crate::world::parse(world.flush_begun(conn)).len();
    assert_eq!((read(&mut world, a), read(&mut world, b)), (256, 256));
    world.resume();
    assert_eq!((read(&mut world, a), read(&mut world, b)), (256, 0), "the first goes on");
    world.resume();
    assert_eq!((read(&mut world, a), read(&mut world, b)), (0, 256), "and then the other");
}

#[test]
fn a_socket_that_accepts_nothing_ends_only_its_own_connection() {
    let mut world = with_large_calls();
    let (reader, stalled) = (world.plain("/ws/a"), world.plain("/ws/a"));
    let commands: Vec<Value> = (0..2000).map(|n| json!({"publish": {"channel": "a", "data": n}})).collect();
    begin(&mut world, "batch", &json!({ "commands": commands }));
    let mut read = 0;
    loop {
        read += crate::world::parse(world.flush_begun(reader)).len();
        if world.shard.pending(stalled).is_some() {
            world.begin(Input::Flushed { conn: stalled, bytes: 0 });
        }
        if !world.shard.has_work() {
            break;
        }
        world.resume();
    }
    assert_eq!(read, 2000);
    assert_eq!(world.read_close(stalled).map(|(code, _)| code), Some(3008));
    assert_eq!(world.shard.snapshot().rooms[0].members, [reader], "nobody else was closed");
}

#[test]
fn commands_wait_until_their_client_has_read() {
    let mut world = world();
    for n in 0..10 {
        world.api("publish", &json!({"channel": "a", "data": format!("{n}{}", "x".repeat(20_000))}).to_string());
    }
    let conn = world.json();
    let mut said = vec![r#"{"id":2,"subscribe":{"channel":"a"}}"#.to_owned()];
    said.extend((3..23).map(|id| json!({"id": id, "history": {"channel": "a", "limit": 10}}).to_string()));
    world.say(conn, &said.join("\n"));
    assert!(world.shard.is_paused(conn));
    world.say(conn, r#"{"id":23,"ping":{}}"#);
    let mut ids = vec![];
    while world.shard.pending(conn).is_some() {
        assert!(world.shard.pending(conn).unwrap().len() <= (1 << 20) / 4 + 220_000);
        ids.extend(world.read_json(conn).iter().map(|reply| reply["id"].as_u64().unwrap()));
    }
    assert_eq!(ids, (2..=23).collect::<Vec<u64>>(), "each is answered, in order: what is said later waits behind");
    assert!(!world.shard.is_paused(conn) && world.listened.contains(&conn) && world.ended.is_empty());
}

#[test]
fn a_paused_connection_is_not_closed_for_a_missing_pong() {
    let limits = Limits { write_timeout: Duration::from_secs(60), ..Limits::default() };
    let (interval, timeout) = (limits.ping_interval, limits.pong_timeout);
    let mut world = with(limits, Rules::open());
    let conn = world.json();
    for _ in 0..300 {
        world.api("publish_all", r#"{"data":1}"#);
    }
    world.input(Input::Flushed { conn, bytes: 0 });
    world.pass(interval);
    world.pass(timeout * 2);
    assert!(world.shard.is_paused(conn) && world.ended.is_empty(), "it had no chance to answer");
    world.read(conn);
    world.pass(timeout - Duration::from_millis(1));
    world.input(Input::Pong { conn });
    world.pass(Duration::from_secs(2));
    assert!(world.shard.pending(conn).is_none(), "it has had all the time there is, and is not closed");
    for _ in 0..300 {
        world.api("publish_all", r#"{"data":1}"#);
    }
    world.input(Input::Flushed { conn, bytes: 0 });
    world.pass(Duration::from_secs(60));
    assert_eq!(world.read_close(conn).map(|(code, _)| code), Some(3009), "write_timeout judges it");
}

#[test]
fn a_paused_connection_is_read_again_when_it_closes() {
    let mut world = world();
    let conn = world.json();
    (0..300).for_each(|_| drop(world.api("publish_all", r#"{"data":1}"#)));
    assert!(world.shard.is_paused(conn));
    world.listened.clear();
    world.input(Input::Shutdown);
    assert_eq!(world.listened, [conn], "its Close is to be read");
}

#[test]
fn a_turn_handles_a_bounded_number_of_deadlines() {
    let limits = Limits { authenticate_timeout: Duration::from_secs(5), ..Limits::default() };
    let mut world = with(limits, Rules::open());
    let conns: Vec<ConnId> = (0..250).map(|_| world.open("/connection/websocket")).collect();
    let ended = |world: &World| conns.iter().filter(|conn| world.shard.pending(**conn).is_some()).count();
    world.pass(Duration::from_secs(5));
    assert_eq!(ended(&world), 100);
    assert_eq!(world.shard.poll_timeout(), Some(world.now.mono), "the rest is due at once");
    world.pass(Duration::ZERO);
    world.pass(Duration::ZERO);
    assert_eq!(ended(&world), 250);
}

#[test]
fn a_message_of_many_commands_is_handled_over_several_turns() {
    let limits = Limits { outbox_frames: 8, ..Limits::default() };
    let mut world = with(limits, Rules::open());
    let (speaker, hearer) = (world.json(), world.plain("/ws/a"));
    world.say(speaker, r#"{"id":2,"subscribe":{"channel":"a"}}"#);
    world.read(speaker);
    let publish = |n: u32| json!({"id": n, "publish": {"channel": "a", "data": n}}).to_string();
    world.begin(Input::Message { conn: speaker, message: (10..16).map(publish).collect::<Vec<_>>().join("\n").into() });
    assert!(world.shard.has_work());
    world.begin(Input::Message { conn: speaker, message: publish(16).into() });
    let mut heard = vec![];
    for _ in 0..20 {
        heard.extend(
            crate::world::parse(world.flush_begun(hearer)).iter().map(|text| text.to_text().unwrap().to_owned()),
        );
        world.flush_begun(speaker);
        world.shard.all_offered();
        if world.shard.has_work() {
            world.resume();
        }
    }
    assert_eq!(heard, ["10", "11", "12", "13", "14", "15", "16"]);
    assert!(world.ended.is_empty() && !world.shard.is_paused(speaker));
}

#[test]
fn the_deferred_work_of_an_ended_connection_is_dropped() {
    let limits = Limits { outbox_frames: 8, ..Limits::default() };
    let mut world = with(limits, Rules::open());
    let speaker = world.json();
    world.say(speaker, r#"{"id":2,"subscribe":{"channel":"a"}}"#);
    world.read(speaker);
    let publish = |n: u32| json!({"id": n, "publish": {"channel": "a", "data": n}}).to_string();
    world.begin(Input::Message { conn: speaker, message: (10..16).map(publish).collect::<Vec<_>>().join("\n").into() });
    assert!(world.shard.has_work());
    world.begin(Input::Lost { conn: speaker, cause: Lost::Read });
    while world.shard.has_work() {
        world.resume();
    }
    assert_eq!(world.shard.stats().gauges.connections, 0);
}

#[test]
fn calls_that_visit_many_connections_are_spread_over_turns() {
    let mut world = world();
    for _ in 0..100 {
        world.open("/ws/a?token=t");
        world.prove(crate::world::claims("ada"));
    }
    let commands: Vec<Value> = (0..250).map(|_| json!({"subscribe": {"user": "ada", "channel": "a"}})).collect();
    begin(&mut world, "batch", &json!({ "commands": commands }));
    let turns = 1 + go_on(&mut world);
    assert_eq!((turns, world.replies.len()), (3, 1), "10,000 connections are looked at by 100 of the calls");
}

/// A plain connection in so many rooms of its own.
fn with_rooms(world: &mut World, name: &str, count: usize) -> ConnId {
    let rooms: Vec<String> = (0..count).map(|n| format!("room={name}-{n}")).collect();
    world.open(&format!("/ws?greeting=off&{}", rooms.join("&")))
}

/// The keys of what a call is answered that is put off again and again, with how many turns that took; `between` comes between
/// the first two.
fn looked_through(
    world: &mut World,
    method: &str,
    body: &Value,
    between: impl FnOnce(&mut World),
) -> (Vec<String>, usize) {
    begin(world, method, body);
    let mut turns = 1;
    let mut between = Some(between);
    while world.shard.has_work() {
        assert!(world.replies.is_empty(), "a call is answered once");
        between.take().into_iter().for_each(|between| between(world));
        world.resume();
        turns += 1;
    }
    let answer = answer(world);
    let found = answer["result"][method].as_object().expect("a map");
    (found.keys().cloned().collect(), turns)
}

#[test]
fn a_list_of_all_rooms_is_spread_over_turns_and_misses_no_lasting_room() {
    let mut world = world();
    let conns: Vec<ConnId> = (0..90).map(|n| with_rooms(&mut world, &format!("r{n}"), 120)).collect();
    let (all, turns) = looked_through(&mut world, "channels", &json!({}), |_| ());
    assert_eq!((all.len(), turns > 1), (90 * 120, true));
    let (found, _) = looked_through(&mut world, "channels", &json!({}), |world| {
        for conn in &conns[..10] {
            world.begin(Input::Lost { conn: *conn, cause: Lost::Read });
        }
        for n in 0..10 {
            with_rooms(world, &format!("new{n}"), 120);
        }
    });
    let stays = |name: &&String| !(0..10).any(|n| name.starts_with(&format!("r{n}-")));
    assert_eq!(found.iter().filter(|name| name.starts_with('r')).filter(stays).count(), 80 * 120);
    let (part, _) = looked_through(&mut world, "channels", &json!({"limit": 3, "cursor": "r10-"}), |_| ());
    assert_eq!(part, ["r10-0", "r10-1", "r10-10"]);
}

#[test]
fn a_pattern_costs_as_many_turns_as_it_takes_comparisons() {
    let mut world = world();
    for n in 0..3 {
        with_rooms(&mut world, &format!("{}{n}", "a".repeat(150)), 100);
    }
    let (found, turns) = looked_through(&mut world, "channels", &json!({"pattern": "a*b"}), |_| ());
    assert_eq!((found.len(), turns), (0, 1), "150 comparisons a room");
    let body = json!({"pattern": format!("*{}b", "a".repeat(100))});
    let (found, turns) = looked_through(&mut world, "channels", &body, |world| {
        begin(world, "publish", &json!({"channel": "other", "data": 1}));
        world.replies.pop_front().expect("others are answered between the turns").expect("published");
    });
    assert!(found.is_empty() && turns > 2, "{turns} turns");
}

#[test]
fn a_list_of_all_connections_is_spread_over_turns() {
    let mut world = world();
    let conns: Vec<ConnId> = (0..30).map(|_| world.open("/ws/a")).collect();
    let commands: Vec<Value> = (0..30).map(|_| json!({"connections": {}})).collect();
    begin(&mut world, "batch", &json!({ "commands": commands }));
    let turns = 1 + go_on(&mut world);
    assert!(turns > 2, "{turns} turns of 10,000 places");
    let answer = answer(&mut world);
    for part in answer["replies"].as_array().expect("a list") {
        assert_eq!(part["connections"]["connections"].as_object().expect("a map").len(), conns.len());
    }
}

#[test]
fn the_reads_of_a_batch_are_spread_over_turns() {
    let mut world = world();
    let commands: Vec<Value> = (0..300).map(|_| json!({"limits": {}})).collect();
    begin(&mut world, "batch", &json!({ "commands": commands }));
    let turns = 1 + go_on(&mut world);
    assert!((4..20).contains(&turns), "{turns} turns of 256 KiB for 1.5 MB");
}
