//! Rooms, users, slow members and the end of things.

use crate::world::{Rules, claims, with, world};
use parlor_core::{
    BadToken, Change, Claims, CloseCause, Config, Input, Limit, Limits, Lost, Refused, RoomName, UserId,
};
use serde_json::json;
use std::time::Duration;

fn name(name: &str) -> RoomName {
    Config::default().room(name).expect("a name")
}

#[test]
fn pending_joins_of_a_closed_connection_are_undone() {
    let mut world = with(Limits { outbox_frames: 1, ..Limits::default() }, Rules::open());
    let conn = world.open("/ws?room=a&room=b&token=t&greeting=off");
    world.tokens.pop_front().expect("a token is being checked");
    for _ in 0..2 {
        world.shard.all_offered();
        world.input(Input::Ping { conn, payload: vec![] });
        world.input(Input::Flushed { conn, bytes: 0 });
    }
    world.judge(conn, Err(BadToken::Signature));
    assert_eq!(world.read_close(conn), Some((3008, "slow".into())), "its socket has not taken the pong");
    assert_eq!(world.shard.stats().totals.late_joins, 2);
    let changes: Vec<&Change> = world.events.iter().map(|event| &event.change).collect();
    let (a, b) = (name("a"), name("b"));
    assert_eq!(
        changes,
        [&Change::Occupied(a.clone()), &Change::Occupied(b.clone()), &Change::Vacated(a), &Change::Vacated(b)]
    );
}

#[test]
fn a_room_ends_when_its_last_member_is_closed_by_a_send() {
    let limits = Limits { outbox_frames: 1, ..Limits::default() };
    let mut world = with(limits, Rules::open());
    let conn = world.plain("/ws/a");
    world.api("publish", r#"{"channel":"a","data":1}"#);
    world.input(Input::Flushed { conn, bytes: 0 });
    world.api("publish", r#"{"channel":"a","data":2}"#);
    assert_eq!(world.shard.stats().gauges.rooms, 0);
    assert_eq!(world.read_close(conn), Some((3008, "slow".into())));
    world.api("publish", r#"{"channel":"a","data":3}"#);
    assert!(world.shard.pending(conn).is_none(), "nothing is queued for who is closing");
}

#[test]
fn a_slow_member_is_closed_and_the_others_miss_nothing() {
    let limits = Limits { outbox_frames: 2, ..Limits::default() };
    let mut world = with(limits, Rules::open());
    let members: Vec<_> = (0..5).map(|_| world.plain("/ws/a")).collect();
    for n in 1..=3 {
        world.api("publish", &format!(r#"{{"channel":"a","data":{n}}}"#));
        for (at, member) in members.iter().enumerate() {
            if at == 2 {
                world.input(Input::Flushed { conn: *member, bytes: 0 });
            } else {
                assert_eq!(world.read(*member), [n.to_string()]);
            }
        }
    }
    assert_eq!(world.read_close(members[2]), Some((3008, "slow".into())));
    assert_eq!(world.shard.snapshot().rooms[0].members.len(), 4);
}

#[test]
fn a_half_written_frame_is_finished_before_the_close_of_a_slow_member() {
    let limits = Limits { outbox_frames: 2, ..Limits::default() };
    let mut world = with(limits, Rules::open());
    let conn = world.plain("/ws/a");
    world.api("publish", r#"{"channel":"a","data":"first"}"#);
    let head: Vec<u8> = world.shard.pending(conn).unwrap().slices().flatten().copied().take(3).collect();
    world.input(Input::Flushed { conn, bytes: 3 });
    for _ in 0..2 {
        world.api("publish", r#"{"channel":"a","data":"second"}"#);
    }
    let rest = world.flush(conn);
    let seen = crate::world::parse([head, rest].concat());
    assert_eq!(seen[0].to_text().unwrap(), "\"first\"");
    assert!(seen[1].is_close() && seen.len() == 2);
}

#[test]
fn events_of_rooms_and_users_come_in_numbered_pairs() {
    let mut world = world();
    let a = world.open("/ws/x?token=t");
    world.prove(claims("ada"));
    let b = world.open("/ws/x?token=t");
    world.prove(claims("ada"));
    world.input(Input::Lost { conn: a, cause: Lost::Eof });
    world.input(Input::Lost { conn: b, cause: Lost::Read });
    let (x, personal, ada) = (name("x"), name("#ada"), UserId::parse("ada", 9).expect("an id"));
    let seen: Vec<_> = world.events.iter().map(|event| (event.seq, event.change.clone())).collect();
    let expected = [
        (1, Change::Occupied(personal.clone())),
        (2, Change::Online(ada.clone())),
        (3, Change::Occupied(x.clone())),
        (4, Change::Vacated(x)),
        (5, Change::Vacated(personal)),
        (6, Change::Offline(ada)),
    ];
    assert_eq!(seen, expected);
}

#[test]
fn a_log_outlives_its_room_while_it_retains_something() {
    let mut world = with(Limits { history_messages: 2, ..Limits::default() }, Rules::open());
    let conn = world.plain("/ws/a");
    for n in 1..=3 {
        world.api("publish", &format!(r#"{{"channel":"a","data":{n}}}"#));
    }
    world.api("publish", r#"{"channel":"a","data":4,"skip_history":true}"#);
    assert_eq!(world.read(conn), ["1", "2", "3", "4"]);
    world.input(Input::Lost { conn, cause: Lost::Eof });
    let log = &world.shard.snapshot().logs[0];
    assert_eq!((log.top, &log.entries), (3, &vec![(2, "2".into()), (3, "3".into())]));
    let epoch = log.epoch.clone();
    world.pass(Duration::from_secs(300));
    assert!(world.shard.snapshot().logs.is_empty());
    assert_eq!((world.shard.poll_timeout(), world.shard.stats().gauges.history_bytes), (None, 0));
    let answer = world.api("publish", r#"{"channel":"a","data":5}"#);
    assert_eq!(answer["result"]["offset"], 1);
    assert_ne!(answer["result"]["epoch"], json!(epoch), "a new log is not the old one");
}

#[test]
fn ageing_out_keeps_the_position_of_an_occupied_room() {
    let mut world = world();
    let conn = world.plain("/ws/a");
    world.api("publish", r#"{"channel":"a","data":1}"#);
    let epoch = world.shard.snapshot().logs[0].epoch.clone();
    for _ in 0..13 {
        world.pass(Duration::from_secs(25));
        world.messages(conn);
        world.input(Input::Pong { conn });
    }
    assert!(world.shard.snapshot().logs[0].entries.is_empty());
    let answer = world.api("publish", r#"{"channel":"a","data":2}"#);
    assert_eq!(answer, json!({"result": {"offset": 2, "epoch": epoch}}));
}

#[test]
fn logs_without_members_are_evicted_for_new_ones() {
    let mut world = with(Limits { logs: 4, connections: 2, ..Limits::default() }, Rules::open());
    let conn = world.json();
    let subscribe = |room: &str| json!({"id": 2, "subscribe": {"channel": room}}).to_string();
    world.say(conn, &subscribe("kept"));
    for room in ["old", "a", "b", "new"] {
        world.api("publish", &json!({"channel": room, "data": 1}).to_string());
    }
    for room in ["a", "b", "new"] {
        world.say(conn, &subscribe(room));
    }
    world.read(conn);
    world.api("publish", r#"{"channel":"kept","data":1}"#);
    let names: Vec<_> = world.shard.snapshot().logs.into_iter().map(|log| log.name).collect();
    assert_eq!(names, ["a", "b", "kept", "new"].map(name));
    let answer = world.api("publish", r#"{"channel":"third","data":1}"#);
    assert_eq!(answer, json!({"result": {"offset": 0, "epoch": ""}}), "nobody is there, and nothing retains it");
    let refused = world.open("/ws/third");
    assert_eq!(world.read_close(refused), Some((3004, "limit exceeded (logs)".into())));
    world.input(Input::Lost { conn: refused, cause: Lost::Eof });
    let client = world.json();
    world.say(client, &subscribe("third"));
    let words = "too many rooms on this node; at most 4 may have members (logs)";
    assert_eq!(world.read_json(client)[0]["error"], json!({"code": 106, "message": words}));
    assert_eq!(world.read_json(conn)[0]["push"]["pub"]["data"], 1);
}

#[test]
fn write_timeout_runs_until_the_socket_accepts_bytes() {
    let mut world = world();
    let conn = world.plain("/ws/a");
    world.api("publish", r#"{"channel":"a","data":12345}"#);
    world.input(Input::Flushed { conn, bytes: 0 });
    world.pass(Duration::from_secs(4));
    world.input(Input::Flushed { conn, bytes: 0 });
    world.input(Input::Flushed { conn, bytes: 1 });
    world.pass(Duration::from_secs(4));
    assert!(world.ended.is_empty());
    world.pass(Duration::from_secs(1));
    let closing = world.shard.snapshot();
    assert!(matches!(
        closing.conns[0].phase,
        parlor_core::snapshot::PhaseView::Closing { cause: CloseCause::WriteTimeout, code: 3009 }
    ));
    world.pass(Duration::from_secs(5));
    assert_eq!((world.ended[0].1.cause, world.ended[0].1.clean), (CloseCause::WriteTimeout, false));
}

#[test]
fn at_most_one_pong_waits() {
    let mut world = world();
    let conn = world.plain("/ws/a");
    for n in 0..1000u32 {
        world.input(Input::Ping { conn, payload: n.to_be_bytes().to_vec() });
    }
    assert_eq!(world.messages(conn), [tungstenite::Message::Pong(999u32.to_be_bytes().to_vec().into())]);
    assert_eq!(world.wakes.iter().filter(|woken| **woken == conn).count(), 2, "for the greeting and for the Pong");
}

#[test]
fn a_full_outbox_still_takes_a_half_written_and_a_waiting_pong() {
    let mut world = with(Limits { outbox_frames: 1, ..Limits::default() }, Rules::open());
    let conn = world.plain("/ws/a");
    world.api("publish", r#"{"channel":"a","data":1}"#);
    world.input(Input::Ping { conn, payload: vec![1] });
    let begun = world.shard.pending(conn).unwrap().slices().next().unwrap()[0];
    world.input(Input::Flushed { conn, bytes: 1 });
    world.input(Input::Ping { conn, payload: vec![2] });
    let rest = world.flush(conn);
    assert_eq!(crate::world::parse([vec![begun], rest].concat()).len(), 3);
}

#[test]
fn a_reused_slot_has_another_id() {
    let mut world = world();
    let first = world.plain("/ws/a");
    world.input(Input::Lost { conn: first, cause: Lost::Eof });
    let second = world.plain("/ws/a");
    assert_eq!((first.slot(), first.generation() + 1), (second.slot(), second.generation()));
    world.input(Input::PeerClosed { conn: first, code: None });
    world.input(Input::Flushed { conn: first, bytes: 5 });
    assert_eq!(world.shard.stats().totals.stale_inputs, 2);
    world.api("publish", r#"{"channel":"a","data":1}"#);
    assert!(world.shard.pending(first).is_none());
    assert_eq!(world.read(second), ["1"]);
}

#[test]
fn connections_are_bounded() {
    let mut world = with(Limits { connections: 1, ..Limits::default() }, Rules::open());
    let conn = world.plain("/ws/a");
    assert_eq!(world.try_accept("/ws/a"), Err(Refused::Limit(Limit::Connections)));
    world.input(Input::Lost { conn, cause: Lost::Eof });
    assert!(world.try_accept("/ws/a").is_ok());
    assert_eq!(world.shard.stats().totals.refused, 1);
}

#[test]
fn a_shutdown_is_neither_faster_nor_slower_than_clients_can_move() {
    for (connections, drain_timeout, pause) in [(20, 120_000, 250), (250, 2000, 40), (100, 400, 20), (200, 400, 10)] {
        let limits = Limits {
            drain_timeout: Duration::from_millis(drain_timeout),
            close_timeout: Duration::from_millis(drain_timeout / 2),
            ..Limits::default()
        };
        let mut world = with(limits, Rules::open());
        let members: Vec<_> = (0..connections).map(|_| world.plain("/ws/a")).collect();
        world.input(Input::Shutdown);
        let mut closed = vec![];
        for after in [pause - 1, 1] {
            world.pass(Duration::from_millis(after));
            closed.push(members.iter().filter(|conn| world.shard.pending(**conn).is_some()).count());
        }
        assert_eq!(closed, [10, 20], "{connections} connections");
    }
}

#[test]
fn who_asks_for_it_is_told_when_to_come_back() {
    let mut world = world();
    let told: Vec<_> = (0..5).map(|_| world.plain("/ws/a?reconnect=on")).collect();
    let (untold, json) = (world.plain("/ws/a"), world.json());
    world.input(Input::Shutdown);
    let mut times: Vec<u64> = vec![];
    for conn in told {
        let frames = world.read_json(conn);
        assert_eq!((&frames[0]["type"], frames.len()), (&json!("reconnect"), 1), "and nothing else before the Close");
        times.push(frames[0]["after_ms"].as_u64().unwrap());
    }
    times.sort_unstable();
    times.dedup();
    assert!(times.len() == 5 && times.iter().all(|time| *time <= 5000), "{times:?}");
    for conn in [untold, json] {
        assert_eq!(world.read_close(conn), Some((3001, "shutdown".into())));
    }
}

#[test]
fn a_shutdown_closes_connections_in_steps() {
    let mut world = with(Limits { drain_timeout: Duration::from_secs(10), ..Limits::default() }, Rules::open());
    let members: Vec<_> = (0..250).map(|n| world.plain(&format!("/ws/r{n}"))).collect();
    world.input(Input::Shutdown);
    world.input(Input::Shutdown);
    let closed =
        |world: &crate::world::World| members.iter().filter(|conn| world.shard.pending(**conn).is_some()).count();
    assert_eq!(closed(&world), 10, "25 steps in the first half of drain_timeout");
    assert_eq!(world.try_accept("/ws/a"), Err(Refused::ShuttingDown));
    world.pass(Duration::from_millis(199));
    assert_eq!(closed(&world), 10);
    world.pass(Duration::from_millis(1));
    assert_eq!(closed(&world), 20);
    (2..25).for_each(|_| world.pass(Duration::from_millis(200)));
    assert_eq!(closed(&world), 250);
    assert_eq!(world.read_close(members[0]), Some((3001, "shutdown".into())));
    for conn in members {
        world.flush(conn);
        world.input(Input::PeerClosed { conn, code: Some(3001) });
        world.input(Input::Lost { conn, cause: Lost::Eof });
    }
    assert!(world.ended.iter().all(|(_, end)| end.clean && end.cause == CloseCause::Shutdown));
    assert_eq!((world.shard.poll_timeout(), world.shard.stats().gauges.connections), (None, 0));
}

#[test]
fn a_clock_that_goes_back_stands_still() {
    let mut world = world();
    world.plain("/ws/a");
    world.pass(Duration::from_secs(25));
    world.now.mono = parlor_core::Instant(5);
    world.input(Input::Tick);
    assert_eq!(world.shard.stats().totals.clock_backsteps, 1);
    assert!(world.shard.poll_timeout().unwrap() >= parlor_core::Instant(25_000_000_000));
}

#[test]
fn an_expired_connection_of_a_token_without_exp_stays() {
    let mut world = world();
    let conn = world.open("/ws/a?token=t");
    world.prove(Claims { exp: Some(1_700_000_005), ..claims("ada") });
    world.say(conn, r#"{"type":"auth","token":"t"}"#);
    world.prove(claims("ada"));
    world.messages(conn);
    for _ in 0..4 {
        world.pass(Duration::from_secs(24));
        world.input(Input::Pong { conn });
        assert!(world.messages(conn).iter().all(tungstenite::Message::is_ping));
    }
    assert!(world.ended.is_empty());
}
