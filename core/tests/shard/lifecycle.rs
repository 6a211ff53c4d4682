//! The table of `LIFECYCLE.md`, cell by cell: what every event does in every phase.

use crate::world::{Rules, World, parse, raw, with};
use parlor_core::api::{Command, Selection};
use parlor_core::close::CloseCause;
use parlor_core::snapshot::PhaseView;
use parlor_core::{Claims, ClientId, ConnId, Input, Limit, Limits, Lost, Upgrade, UserId, Violation};
use std::time::Duration;
use tungstenite::Message;

const TABLE: &str = include_str!("../../LIFECYCLE.md");

#[test]
fn a_binary_message_closes_a_client_whose_protocol_is_text() {
    let commands = [r#"{"id":1,"connect":{"token":"t"}}"#, r#"{"type":"auth","token":"t"}"#];
    for (url, command) in ["/connection/websocket", "/ws/a?greeting=off"].into_iter().zip(commands) {
        for said in [&[][..], &[command]] {
            let mut world = with(Limits::default(), Rules { anonymous: false, ..Rules::open() });
            let conn = world.open(url);
            said.iter().for_each(|text| world.say(conn, text));
            world.input(Input::Message { conn, message: b"{}".to_vec().into() });
            let refused = Some((1003, "text messages only".into()));
            assert_eq!(world.read_close(conn), refused, "{url}: it does not wait for what was said before");
            assert_eq!(world.shard.stats().totals.messages_in, said.len() as u64);
        }
    }
}

#[test]
fn the_length_of_a_turn_is_its_number_of_effects() {
    let mut world = crate::world::world();
    world.open("/ws/a");
    world.open("/ws/b");
    let turn = world.shard.handle(world.now, Input::Shutdown);
    let count = turn.len();
    assert_eq!((count, turn.count()), (2, 2), "two have something to write");
}

#[test]
fn connections_opened_together_are_pinged_at_different_times() {
    let limits = Limits::default();
    let interval = limits.ping_interval;
    let mut world = with(limits, Rules::open());
    let config = world.shard.config().clone();
    let target = || config.resolve("/connection/websocket").expect("a route");
    let conns: Vec<ConnId> = (0..64u8)
        .map(|number| {
            let mut client = [number; 16];
            client[0] = number * 4;
            client[2] = 0;
            let upgrade = Upgrade { client, target: target(), token: None, address: None };
            let conn = world.shard.accept(world.now, upgrade).expect("there is room");
            world.input(Input::Upgraded { conn });
            world.say(conn, r#"{"id":1,"connect":{}}"#);
            world.read(conn);
            conn
        })
        .collect();
    let pinged = |world: &World| conns.iter().filter(|conn| world.shard.pending(**conn).is_some()).count();
    world.pass(interval * 3 / 4 - Duration::from_millis(1));
    assert_eq!(pinged(&world), 0, "nobody before three quarters of the interval");
    world.pass(interval / 8);
    assert!((24..=40).contains(&pinged(&world)), "half of them in the first half: {}", pinged(&world));
    world.pass(interval / 8 + Duration::from_millis(1));
    assert_eq!(pinged(&world), conns.len(), "everybody by then");
}

#[test]
fn every_event_in_every_phase_does_what_the_table_says() {
    let mut rows = TABLE.lines().map(|line| line.trim_matches('|').split('|').map(str::trim).collect::<Vec<_>>());
    let phases = rows.next().expect("a head");
    let mut wrong = vec![];
    let mut cells = 0;
    for row in rows.skip(1) {
        for (phase, expected) in phases.iter().zip(&row).skip(1) {
            let seen = play(phase, row[0]);
            cells += 1;
            if seen != *expected {
                wrong.push(format!("{} in {phase}: expected {expected:?}, saw {seen:?}", row[0]));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(cells, 18 * 9);
}

fn play(phase: &str, event: &str) -> String {
    let mut world = with(Limits { outbox_frames: 4, ..Limits::default() }, Rules::open());
    let conn = bring_to(&mut world, phase);
    world.finished.clear();
    let before = world.shard.stats().totals;
    raise(&mut world, conn, event);
    let after = world.shard.stats().totals;
    if after.stale_inputs > before.stale_inputs {
        return "stale".into();
    }
    if after.ignored_inputs > before.ignored_inputs && world.ended.is_empty() {
        return "ignored".into();
    }
    if phase == "vacant" || (event == "outbox full" && phase != "open, ready") {
        return "nothing".into();
    }
    describe(&mut world, conn, event)
}

fn bring_to(world: &mut World, phase: &str) -> ConnId {
    let path = "/connection/websocket";
    match phase {
        "handshaking" => world.accept(path),
        "open, unready" => world.open(path),
        "open, ready" => world.json(),
        "closing, unsent" => closing(world),
        "closing, sent" => {
            let conn = closing(world);
            world.flush(conn);
            conn
        }
        "answering" => {
            let conn = world.json();
            world.input(Input::PeerClosed { conn, code: Some(1000) });
            conn
        }
        "answered" => {
            let conn = bring_to(world, "answering");
            world.flush(conn);
            conn
        }
        "cut off" => {
            let conn = world.json();
            world.call(Command::PublishAll { data: raw("1").into() }).expect("done");
            world.input(Input::Flushed { conn, bytes: 1 });
            world.input(Input::Lost { conn, cause: Lost::Eof });
            conn
        }
        "vacant" => {
            let conn = world.json();
            world.input(Input::Lost { conn, cause: Lost::Eof });
            world.ended.clear();
            conn
        }
        other => panic!("no phase {other:?}"),
    }
}

fn closing(world: &mut World) -> ConnId {
    let conn = world.json();
    kick(world);
    conn
}

fn kick(world: &mut World) {
    let client = Selection::One(ClientId([1; 16]));
    let command = Command::Disconnect {
        user: UserId::anonymous(),
        client,
        whitelist: vec![],
        reason: CloseCause::Backend.reason(),
    };
    world.call(command).expect("done");
}

fn raise(world: &mut World, conn: ConnId, event: &str) {
    match event {
        "upgraded" => world.input(Input::Upgraded { conn }),
        "message" => world.say(conn, r#"{"id":1,"connect":{}}"#.replace("connect", method(world, conn)).as_str()),
        "ping" => world.input(Input::Ping { conn, payload: b"x".to_vec() }),
        "pong" => world.input(Input::Pong { conn }),
        "close 1000" => world.input(Input::PeerClosed { conn, code: Some(1000) }),
        "violation" => world.input(Input::Violation { conn, rule: Violation::Protocol }),
        "end of stream" => world.input(Input::Lost { conn, cause: Lost::Eof }),
        "read failed" => world.input(Input::Lost { conn, cause: Lost::Read }),
        "write failed" => world.input(Input::Lost { conn, cause: Lost::Write }),
        "all flushed" => {
            let bytes = world.shard.pending(conn).map_or(0, |pending| pending.len());
            world.input(Input::Flushed { conn, bytes });
        }
        "nothing flushed" => world.input(Input::Flushed { conn, bytes: 0 }),
        "next deadline" => next_deadline(world),
        "ping unanswered" => {
            next_deadline(world);
            next_deadline(world);
        }
        "write stalls" => {
            world.call(Command::PublishAll { data: raw("1").into() }).expect("done");
            world.input(Input::Flushed { conn, bytes: 0 });
            next_deadline(world);
        }
        "unasked verdict" => world.judge(conn, Ok(Claims::default())),
        "kick" => kick(world),
        "shutdown" => world.input(Input::Shutdown),
        "outbox full" => {
            let call = || Command::PublishAll { data: raw("1").into() };
            world.call(call()).expect("done");
            if method(world, conn) == "ping" {
                world.input(Input::Flushed { conn, bytes: 0 });
            }
            (0..4).for_each(|_| drop(world.call(call()).expect("done")));
        }
        other => panic!("no event {other:?}"),
    }
}

fn method(world: &World, conn: ConnId) -> &'static str {
    let snapshot = world.shard.snapshot();
    let ready = snapshot
        .conns
        .iter()
        .any(|view| view.id == conn && matches!(view.phase, PhaseView::Open { stage: "ready", .. }));
    if ready { "ping" } else { "connect" }
}

fn next_deadline(world: &mut World) {
    if let Some(at) = world.shard.poll_timeout() {
        world.pass(at.since(world.now.mono).max(Duration::from_nanos(1)));
    }
}

fn describe(world: &mut World, conn: ConnId, event: &str) -> String {
    if let Some((_, end)) = world.ended.iter().find(|(ended, _)| *ended == conn) {
        return format!("ended {} {}", end.cause.name(), if end.clean { "clean" } else { "aborted" });
    }
    let snapshot = world.shard.snapshot();
    let view = snapshot.conns.into_iter().find(|view| view.id == conn).expect("it has not ended");
    match view.phase {
        PhaseView::Handshaking => "handshaking".into(),
        PhaseView::Closing { cause, code } if code == cause.reason().code() || cause == CloseCause::PeerClose => {
            let finished = if world.finished.contains(&conn) { " + finish" } else { "" };
            format!("closing {}{finished}", cause.name())
        }
        PhaseView::Closing { cause, code } => panic!("{code} is not what {} says", cause.name()),
        PhaseView::Open { stage, .. } => {
            let phase = if stage == "ready" { "ready" } else { "open" };
            let last = parse(view.outbox.concat()).pop();
            match last {
                Some(Message::Pong(_)) => format!("{phase} + pong"),
                Some(Message::Text(text)) if text.as_str() == "{}" && event == "next deadline" => {
                    format!("{phase} + ping")
                }
                _ => phase.into(),
            }
        }
    }
}

#[test]
fn an_unfinished_message_closes_after_message_timeout() {
    type Act = fn(&mut World, ConnId);
    let fragment: Act = |world, conn| world.input(Input::Fragment { conn, bytes: 1 });
    let half: Act = |world, conn| world.input(Input::HalfFrame { conn, bytes: 10 });
    let pong: Act = |world, conn| world.input(Input::Pong { conn });
    let text: Act = |world, conn| world.say(conn, "{}");
    let second: Act = |world, _| world.pass(Duration::from_secs(1));
    let message_timeout = Duration::from_secs(3);
    for (acts, stays) in [
        (&[fragment, second, second, fragment, second][..], false),
        (&[fragment, second, pong, second, pong, half, second], false),
        (&[half, second, second, second], false),
        (&[text, half, second, second, second], false),
        (&[fragment, second, second, text, half, second, second], true),
        (&[half, second, second, pong, half, second, second], true),
        (&[half, second, second, fragment, second], false),
        (&[fragment, text, second, second, second], true),
        (&[half, text, second, second, second, second], true),
    ] {
        let mut world = with(Limits { message_timeout, ..Limits::default() }, Rules::open());
        let conn = world.json();
        acts.iter().for_each(|act| act(&mut world, conn));
        let expected = (!stays).then(|| (3012, "unfinished message (message_timeout)".into()));
        assert_eq!(world.read_close(conn), expected);
        assert_eq!(world.shard.stats().totals.limits.contains_key(&Limit::MessageTimeout), !stays);
    }
}
