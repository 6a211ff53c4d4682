//! What all connections of a node together may keep waiting.

use crate::world::{Rules, World, claims, with};
use parlor_core::close::CloseCause;
use parlor_core::snapshot::PhaseView;
use parlor_core::{ConnId, Input, Limit, Limits};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

fn publish(world: &mut World, room: &str, letter: char) {
    let data = letter.to_string().repeat(10_000);
    world.api("publish", &format!(r#"{{"channel":"{room}","data":"{data}","skip_history":true}}"#));
}

/// Its socket is offered what waits, and takes one byte of it.
fn refuse(world: &mut World, conn: ConnId) {
    world.input(Input::Flushed { conn, bytes: 1 });
}

fn closed(world: &World, cause: CloseCause) -> u64 {
    world.shard.stats().totals.closed.get(&cause).copied().unwrap_or(0)
}

/// One that has taken nothing for longer goes before one that has taken something since; who reads is asked for nothing.
#[test]
fn bytes_that_sockets_refuse_are_bounded_by_outbox_bytes_total() {
    let limits = Limits {
        outbox_bytes: 1 << 20,
        outbox_bytes_total: 1 << 20,
        write_timeout: Duration::from_secs(100),
        ..Limits::default()
    };
    let mut world = with(limits, Rules::open());
    let deaf: Vec<ConnId> = (0..4).map(|n| world.plain(&format!("/ws/own-{n}"))).collect();
    let reader = world.plain("/ws?room=own-0&room=own-1&room=own-2&room=own-3");
    for round in 0..25 {
        for (n, conn) in deaf.iter().enumerate() {
            publish(&mut world, &format!("own-{n}"), 'x');
            world.flush(reader);
            if round == 0 {
                refuse(&mut world, *conn);
                world.pass(SECOND / 10);
            }
        }
    }
    assert!(!world.shard.stats().totals.limits.contains_key(&Limit::OutboxBytesTotal), "4 times 250,000 bytes");
    refuse(&mut world, deaf[0]);
    for _ in 0..6 {
        (0..4).for_each(|n| publish(&mut world, &format!("own-{n}"), 'x'));
        world.flush(reader);
    }
    let conns = world.shard.snapshot().conns;
    let closing: Vec<ConnId> =
        conns.iter().filter(|view| matches!(view.phase, PhaseView::Closing { .. })).map(|view| view.id).collect();
    assert_eq!(closing, [deaf[1]], "it has gone longest without taking a byte");
    let rest = world.flush(deaf[1]);
    assert!(rest.ends_with(b"slow (outbox_bytes_total)"), "what had begun, and the Close frame");
    assert_eq!(world.shard.stats().totals.limits[&Limit::OutboxBytesTotal], 1);
}

#[test]
fn a_frame_in_many_outboxes_counts_once() {
    let limits = Limits { outbox_bytes_total: 1 << 20, ..Limits::default() };
    let mut world = with(limits, Rules::open());
    let deaf: Vec<ConnId> = (0..50).map(|_| world.plain("/ws/a")).collect();
    for _ in 0..50 {
        publish(&mut world, "a", 'x');
        deaf.iter().for_each(|conn| refuse(&mut world, *conn));
    }
    let gauges = world.shard.stats().gauges;
    assert!(gauges.outbox_bytes > 20 << 20, "{gauges:?}");
    assert!((500_000..501_000).contains(&gauges.refused_bytes), "{gauges:?}");
    assert_eq!(closed(&world, CloseCause::Slow), 0);
    assert!(!world.shard.stats().totals.limits.contains_key(&Limit::OutboxBytesTotal));
}

/// A socket that was not asked yet has refused nothing, whatever waits for it.
#[test]
fn frames_that_no_socket_was_offered_close_no_connection() {
    let limits = Limits { outbox_bytes_total: 1 << 20, ..Limits::default() };
    let mut world = with(limits, Rules::open());
    let conns: Vec<ConnId> = (0..200).map(|n| world.plain(&format!("/ws/own-{n}"))).collect();
    (0..200).for_each(|n| publish(&mut world, &format!("own-{n}"), 'x'));
    let gauges = world.shard.stats().gauges;
    assert!(gauges.outbox_bytes > 1 << 20 && gauges.refused_bytes == 0, "{gauges:?}");
    for conn in conns {
        assert_eq!(world.read_close(conn), None);
    }
}

#[test]
fn unfinished_input_is_bounded_by_inbound_bytes_total() {
    let limits = Limits {
        inbound_bytes_total: 200_000,
        api_body_bytes: 100_000,
        message_timeout: Duration::from_secs(100),
        ..Limits::default()
    };
    let mut world = with(limits, Rules::open());
    let conns: Vec<ConnId> = (0..4).map(|_| world.plain("/ws/a")).collect();
    let [first, second, third, fourth] = conns[..] else { panic!("four") };
    world.input(Input::HalfFrame { conn: first, bytes: 60_000 });
    world.input(Input::Fragment { conn: second, bytes: 40_000 });
    world.input(Input::HalfFrame { conn: second, bytes: 30_000 });
    world.input(Input::Unread { conn: third, bytes: 16_000 });
    for conn in [first, second, third] {
        assert_eq!(world.read_close(conn), None);
    }
    assert!(world.shard.can_take_body(100_000));
    world.input(Input::BodyBegun { bytes: 100_000 });
    assert_eq!(world.read_close(second), Some((3013, "too much unfinished input (inbound_bytes_total)".into())));
    assert!(!world.shard.can_take_body(100_001), "what clients have sent gives way, other bodies do not");
    world.input(Input::HalfFrame { conn: fourth, bytes: 60_001 });
    assert_eq!(world.read_close(fourth), Some((3013, "too much unfinished input (inbound_bytes_total)".into())));
    world.input(Input::BodyEnded { bytes: 100_000 });
    // What has ended is not kept.
    world.say(first, "{}");
    world.input(Input::Unread { conn: third, bytes: 0 });
    world.input(Input::HalfFrame { conn: third, bytes: 130_000 });
    world.input(Input::HalfFrame { conn: first, bytes: 70_000 });
    for conn in [first, third] {
        assert_eq!(world.read_close(conn), None);
    }
    world.input(Input::Pong { conn: third });
    world.input(Input::HalfFrame { conn: first, bytes: 120_000 });
    assert_eq!(world.read_close(first), None);
    assert_eq!(world.shard.stats().totals.limits[&Limit::InboundBytesTotal], 2);
}

#[test]
fn messages_that_wait_for_a_token_are_limited_by_waiting_messages() {
    let limits = Limits { waiting_messages: 3, ..Limits::default() };
    let mut world = with(limits, Rules::open());
    let conn = world.plain("/ws/a");
    world.begin(Input::Message { conn, message: r#"{"type":"auth","token":"t"}"#.into() });
    (0..3).for_each(|_| world.begin(Input::Message { conn, message: "{}".into() }));
    world.judge(conn, Ok(claims("ada")));
    assert_eq!(world.read_close(conn), None);
    world.begin(Input::Message { conn, message: r#"{"type":"auth","token":"t"}"#.into() });
    (0..4).for_each(|_| world.begin(Input::Message { conn, message: "".into() }));
    assert_eq!(world.read_close(conn), Some((3501, "bad request".into())));
    assert_eq!(world.shard.stats().totals.limits[&Limit::WaitingMessages], 1);
}
