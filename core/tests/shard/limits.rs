//! Rates, bounds by user and by address, and the table of all limits.

use crate::world::{Rules, World, claims, with, with_config, world};
use parlor_core::limits::{Rate, ValueMut};
use parlor_core::{Config, ConnId, Input, Limit, Limits, Lost, Refused, UserLimit};
use serde_json::json;
use std::num::NonZeroUsize;
use std::time::Duration;

fn hits(world: &World, limit: Limit) -> u64 {
    world.shard.stats().totals.limits.get(&limit).copied().unwrap_or(0)
}

#[test]
fn a_rate_limited_join_is_an_error_and_does_not_close() {
    let client_joins = Rate { per_second: 1, burst: 2 };
    let limits =
        Limits { client_joins, rooms_per_connection: 1, client_refusals: NonZeroUsize::new(1), ..Limits::default() };
    let mut world = with(limits, Rules::open());
    let conn = world.json();
    let come_and_go = |world: &mut World| {
        world.say(conn, "{\"id\":2,\"subscribe\":{\"channel\":\"a\"}}\n{\"id\":3,\"unsubscribe\":{\"channel\":\"a\"}}");
        world.read_json(conn).remove(0)
    };
    let refused = json!({"code": 111, "message": "too many requests (client_joins)", "temporary": true});
    assert!((0..2).all(|_| come_and_go(&mut world)["subscribe"].is_object()));
    assert!((0..5).all(|_| come_and_go(&mut world)["error"] == refused), "and it is not closed for that");
    world.pass(Duration::from_secs(1));
    assert!(come_and_go(&mut world)["subscribe"].is_object());
    assert_eq!(world.shard.stats().totals.limits[&Limit::ClientJoins], 5);
}

/// Everything that a client can send without asking for anything.
const IDLE_FRAMES: [fn(&mut World, ConnId); 5] = [
    |world, conn| world.input(Input::Ping { conn, payload: vec![] }),
    |world, conn| world.input(Input::Pong { conn }),
    |world, conn| world.input(Input::Fragment { conn, bytes: 1 }),
    |world, conn| world.say(conn, " \n"),
    |world, conn| world.say(conn, ""),
];

#[test]
fn frames_of_every_kind_count_for_client_frames() {
    let client_frames = Rate { per_second: 2, burst: 6 };
    let limits = Limits { client_frames, rooms_per_connection: 5, ..Limits::default() };
    for frame in IDLE_FRAMES {
        let mut world = with(limits.clone(), Rules::open());
        let conn = world.json();
        (0..5).for_each(|_| frame(&mut world, conn));
        world.pass(Duration::from_secs(1));
        (0..2).for_each(|_| frame(&mut world, conn));
        assert!(world.read_close(conn).is_none(), "as many as may come");
        frame(&mut world, conn);
        assert_eq!(world.read_close(conn), Some((3013, "too many requests (client_frames)".into())));
        assert_eq!((hits(&world, Limit::ClientFrames), hits(&world, Limit::ClientRefusals)), (1, 0));
    }
}

#[test]
fn a_client_that_sends_frames_at_the_rate_stays() {
    let mut world = world();
    let conn = world.json();
    for _ in 0..10 {
        (0..1000).for_each(|at| IDLE_FRAMES[at % IDLE_FRAMES.len()](&mut world, conn));
        world.read(conn);
        world.pass(Duration::from_secs(1));
    }
    world.say(conn, r#"{"id":2,"ping":{}}"#);
    assert_eq!(world.read_json(conn), [json!({"id": 2, "ping": {}})]);
}

#[test]
fn frames_that_wait_for_a_token_count_when_they_arrive() {
    let client_frames = Rate { per_second: 1, burst: 3 };
    let mut world = with(Limits { client_frames, rooms_per_connection: 2, ..Limits::default() }, Rules::open());
    let conn = world.open("/connection/websocket");
    world.say(conn, r#"{"id":1,"connect":{"token":"t"}}"#);
    (0..2).for_each(|_| world.say(conn, " "));
    assert!(world.ended.is_empty() && world.read_close(conn).is_none());
    world.say(conn, " ");
    assert_eq!(world.read_close(conn).map(|(code, _)| code), Some(3013));
}

#[test]
fn a_fragment_is_a_sign_of_life() {
    let limits = Limits { message_timeout: Duration::from_secs(1000), ..Limits::default() };
    let mut world = with(limits, Rules::open());
    let conn = world.plain("/ws/a");
    for _ in 0..4 {
        world.pass(Limits::default().ping_interval);
        world.flush(conn);
        world.input(Input::Fragment { conn, bytes: 1 });
    }
    assert!(world.ended.is_empty() && world.read_close(conn).is_none());
}

/// One command a second after so many at once, and as many rooms as may be asked for with these.
fn few_commands(burst: u32) -> Limits {
    let client_commands = Rate { per_second: 1, burst };
    Limits { client_commands, rooms_per_connection: burst as usize - 1, ..Limits::default() }
}

#[test]
fn commands_are_limited_by_client_commands() {
    let mut world = with(few_commands(3), Rules::open());
    let conn = world.json();
    for _ in 0..2 {
        world.say(conn, r#"{"id":2,"ping":{}}"#);
    }
    world.say(conn, r#"{"id":3,"ping":{}}{"send":{"data":1}}"#);
    let replies = world.read_json(conn);
    let refusal =
        json!({"id": 3, "error": {"code": 111, "message": "too many requests (client_commands)", "temporary": true}});
    assert_eq!(replies[2..], [refusal]);
    assert_eq!(hits(&world, Limit::ClientCommands), 2, "one of them had no id to answer to");
    world.pass(Duration::from_secs(1));
    world.say(conn, r#"{"id":4,"ping":{}}"#);
    assert_eq!(world.read_json(conn), [json!({"id": 4, "ping": {}})]);
    let plain = world.plain("/ws/a");
    for _ in 0..4 {
        world.say(plain, r#"{"type":"ping"}"#);
    }
    let frames = world.read_json(plain);
    assert_eq!((frames.len(), &frames[3]["type"], &frames[3]["code"]), (4, &json!("error"), &json!(111)));
}

#[test]
fn publications_are_limited_by_client_publishes() {
    let mut world =
        with(Limits { client_publishes: Rate { per_second: 1, burst: 1 }, ..Limits::default() }, Rules::open());
    let conn = world.plain("/ws/a");
    world.say(conn, r#"{"type":"publish","data":1}"#);
    world.say(conn, r#"{"type":"publish","data":2,"id":"x"}"#);
    let frames = world.read_json(conn);
    assert_eq!((&frames[0], &frames[1]["code"], &frames[1]["id"]), (&json!(1), &json!(111), &json!("x")));
    assert_eq!(hits(&world, Limit::ClientPublishes), 1);
}

#[test]
fn a_client_over_client_refusals_is_closed() {
    let mut world = with(few_commands(2), Rules::open());
    let conn = world.json();
    for _ in 0..100 {
        world.say(conn, "{}");
    }
    world.pass(Duration::from_secs(10));
    for _ in 0..101 {
        world.say(conn, "{}");
    }
    assert!(world.read(conn).is_empty() && world.ended.is_empty(), "the count begins anew every 10 s");
    world.say(conn, "{}");
    assert_eq!(world.read_close(conn), Some((3013, "too many requests (client_commands)".into())));
    assert_eq!(hits(&world, Limit::ClientRefusals), 1);
    for (client_refusals, refused) in [(1, 1), (3, 3), (0, 1000)] {
        let mut world =
            with(Limits { client_refusals: NonZeroUsize::new(client_refusals), ..few_commands(2) }, Rules::open());
        let conn = world.json();
        (0..refused).for_each(|_| world.say(conn, "{}"));
        assert!(world.read_close(conn).is_none(), "{client_refusals}");
        world.say(conn, "{}");
        assert_eq!(world.read_close(conn).is_some(), client_refusals > 0, "{client_refusals}");
    }
}

#[test]
fn the_close_reason_names_the_exceeded_limit() {
    let client_publishes = Rate { per_second: 1, burst: 1 };
    let limits = Limits { client_publishes, client_commands: Rate::OFF, ..Limits::default() };
    let mut world = with(limits, Rules::open());
    let conn = world.json();
    let publish = r#"{"id":3,"publish":{"channel":"a","data":1}}"#;
    world.say(conn, r#"{"id":2,"subscribe":{"channel":"a"}}"#);
    (0..100).for_each(|_| world.say(conn, publish));
    world.read(conn);
    world.say(conn, publish);
    assert_eq!(world.read_close(conn), Some((3013, "too many requests (client_publishes)".into())));
}

#[test]
fn connections_of_a_user_are_limited_by_connections_per_user() {
    let limits = Limits { connections_per_user: NonZeroUsize::new(1), ..Limits::default() };
    let mut world = with_config(Config { user_limit: UserLimit::Refuse, ..Config::from(limits) });
    let first = world.open("/ws/a?token=t");
    world.prove(claims("ada"));
    let second = world.open("/ws/a?token=t");
    world.prove(claims("ada"));
    assert_eq!(world.read_close(second), Some((3014, "connection limit (connections_per_user)".into())));
    let json = world.open("/connection/websocket");
    world.say(json, r#"{"id":1,"connect":{"token":"t"}}"#);
    world.prove(claims("ada"));
    assert_eq!(world.read_close(json).map(|(code, _)| code), Some(3014));
    world.plain("/ws/a");
    world.plain("/ws/a");
    assert_eq!(hits(&world, Limit::ConnectionsPerUser), 2, "the anonymous user is not one");
    world.input(Input::Lost { conn: first, cause: Lost::Eof });
    let third = world.open("/ws/a?token=t");
    world.prove(claims("ada"));
    assert_eq!(world.read_json(third)[0]["authenticated"], true);
}

#[test]
fn connections_of_an_address_are_limited_by_connections_per_ip() {
    let mut world = with(Limits { connections_per_ip: NonZeroUsize::new(1), ..Limits::default() }, Rules::open());
    world.address = Some([10, 0, 0, 1].into());
    let first = world.plain("/ws/a");
    assert_eq!(world.try_accept("/ws/a"), Err(Refused::Limit(Limit::ConnectionsPerIp)));
    world.address = Some([10, 0, 0, 2].into());
    world.plain("/ws/a");
    world.address = None;
    world.plain("/ws/a");
    world.plain("/ws/a");
    world.input(Input::Lost { conn: first, cause: Lost::Eof });
    world.address = Some([10, 0, 0, 1].into());
    assert!(world.try_accept("/ws/a").is_ok());
    assert_eq!(hits(&world, Limit::ConnectionsPerIp), 1);
}

#[test]
fn an_ipv6_address_counts_as_its_64_network() {
    let rate = Rate { per_second: 1, burst: 2 };
    let mut world = with(Limits { new_connections_per_ip: rate, ..Limits::default() }, Rules::open());
    let mut come = |address: &str| {
        world.address = Some(address.parse().unwrap());
        world.try_accept("/ws/a").map(drop)
    };
    let refused = Err(Refused::Limit(Limit::NewConnectionsPerIp));
    assert_eq!([come("2001:db8::1"), come("2001:db8::2"), come("2001:db8:0:0:f::3")], [Ok(()), Ok(()), refused]);
    assert_eq!(come("2001:db8:0:1::1"), Ok(()));
    assert_eq!([come("192.0.2.1"), come("192.0.2.1"), come("::ffff:192.0.2.1")], [Ok(()), Ok(()), refused]);
    assert_eq!(come("192.0.2.2"), Ok(()));
}

#[test]
fn loopback_is_exempt_from_the_address_rate_if_configured() {
    let once = Rate { per_second: 1, burst: 1 };
    let limits = Limits { new_connections_per_ip: once, connections_per_ip: NonZeroUsize::new(3), ..Limits::default() };
    for (spares_loopback, address, passed, limit) in [
        (true, [127, 0, 0, 1], 3, Limit::ConnectionsPerIp),
        (true, [192, 0, 2, 1], 1, Limit::NewConnectionsPerIp),
        (false, [127, 0, 0, 1], 1, Limit::NewConnectionsPerIp),
    ] {
        let mut world = with_config(Config { spares_loopback, ..Config::from(limits.clone()) });
        world.address = Some(address.into());
        assert!((0..passed).all(|_| world.try_accept("/ws/a").is_ok()), "{address:?}");
        assert_eq!(world.try_accept("/ws/a"), Err(Refused::Limit(limit)), "{address:?}");
    }
}

/// Three may come at once, one from each address; the next is from the first address.
fn where_few_may_come() -> World {
    let limits = Limits {
        new_connections: Rate { per_second: 1, burst: 3 },
        new_connections_per_ip: Rate { per_second: 1, burst: 1 },
        ..Limits::default()
    };
    let mut world = with(limits, Rules::open());
    world.address = Some([10, 0, 0, 1].into());
    world
}

#[test]
fn refusals_of_one_address_do_not_use_the_common_rate() {
    let mut world = where_few_may_come();
    let passed = (0..100).filter(|_| world.try_accept("/ws/a").is_ok()).count();
    assert_eq!(passed, 1);
    for address in [2, 3] {
        world.address = Some([10, 0, 0, address].into());
        assert!(world.try_accept("/ws/a").is_ok(), "{address}");
    }
}

#[test]
fn new_connections_are_limited_by_their_rate() {
    let mut world = where_few_may_come();
    let conn = world.plain("/ws/a");
    assert_eq!(world.try_accept("/ws/a"), Err(Refused::Limit(Limit::NewConnectionsPerIp)));
    world.input(Input::Lost { conn, cause: Lost::Eof });
    assert_eq!(
        world.try_accept("/ws/a"),
        Err(Refused::Limit(Limit::NewConnectionsPerIp)),
        "it is remembered for a while"
    );
    assert_eq!(world.shard.poll_timeout().map(|at| at.since(world.now.mono)), Some(Duration::from_secs(1)));
    world.address = None;
    world.plain("/ws/a");
    world.plain("/ws/a");
    assert_eq!(world.try_accept("/ws/a"), Err(Refused::Limit(Limit::NewConnections)));
    world.pass(Duration::from_secs(1));
    world.address = Some([10, 0, 0, 1].into());
    assert!(world.try_accept("/ws/a").is_ok());
    assert_eq!((hits(&world, Limit::NewConnections), hits(&world, Limit::NewConnectionsPerIp)), (1, 2));
}

#[test]
fn every_limit_can_be_read() {
    let mut world = with(Limits { new_connections: Rate::OFF, ..Limits::default() }, Rules::open());
    let limits = world.api("limits", "")["result"]["limits"].clone();
    assert_eq!(limits["message_bytes"], json!({"value": "131072", "answer": "close 1009"}));
    assert_eq!(limits["ping_interval"]["value"], "25s");
    assert_eq!(limits["client_commands"]["value"], "100/s, burst 200");
    assert_eq!(limits["connections_per_ip"]["value"], "off");
    assert_eq!(limits["new_connections"]["value"], "off");
    assert_eq!(limits.as_object().unwrap().len(), Limit::ALL.len(), "a row for every limit");
}

#[test]
fn limits_that_contradict_each_other_are_refused() {
    let default = Limits::default;
    let cases = [
        (Limits { outbox_bytes: 1 << 19, ..default() }, "frame_bytes"),
        (Limits { publication_bytes: 1 << 18, ..default() }, "publication_bytes"),
        (Limits { message_bytes: 1 << 18, ..default() }, "message_bytes"),
        (Limits { reply_bytes: (1 << 18) + 1, ..default() }, "reply_bytes"),
        (Limits { rooms_per_connection: 129, ..default() }, "message_bytes"),
        (
            Limits { client_joins: Rate { per_second: 1, burst: 255 }, ..default() },
            "rooms_per_connection = 128 must be at most half",
        ),
        (
            Limits { client_commands: Rate { per_second: 1, burst: 128 }, ..default() },
            "rooms_per_connection = 128 must be at most one less than the burst of client_commands, which is 127: ",
        ),
        (
            Limits { client_frames: Rate { per_second: 1, burst: 128 }, ..default() },
            "rooms_per_connection = 128 must be at most one less than the burst of client_frames, which is 127: ",
        ),
        (
            Limits { room_name_bytes: 1000, ..default() },
            "frame_bytes = 524288 must be at least reply_bytes + rooms_per_connection * ",
        ),
        (
            Limits {
                message_bytes: 1 << 17,
                outbox_bytes: 1 << 24,
                frame_bytes: 1 << 23,
                room_name_bytes: 20_000,
                ..default()
            },
            "outbox_bytes",
        ),
        (Limits { filter_event_bytes: 3000, ..default() }, "frame_bytes = 524288 must be at least filter_events * "),
        (Limits { pong_timeout: Duration::from_secs(25), ..default() }, "pong_timeout"),
        (Limits { close_timeout: Duration::from_secs(61), ..default() }, "drain_timeout"),
        (Limits { header_bytes: 8191, ..default() }, "header_bytes"),
        (Limits { connections: 0, ..default() }, "connections"),
        (Limits { logs: 199_999, ..default() }, "logs = 199999 must be at least connections * 2, which is 200000: "),
    ];
    for (limits, name) in cases {
        let wrong = limits.validate().unwrap_err();
        assert!(wrong.starts_with(name), "{name}: {wrong}");
    }
    assert_eq!(default().validate(), Ok(()));
}

/// The least and the most that a limit could be set to.
fn extremes(limit: Limit) -> [Limits; 2] {
    [false, true].map(|most| {
        let mut limits = Limits::default();
        match limits.value_mut(limit) {
            ValueMut::Duration(value) => *value = if most { Duration::MAX } else { Duration::ZERO },
            ValueMut::OptionalCount(value) => *value = NonZeroUsize::new(if most { usize::MAX } else { 0 }),
            ValueMut::Bytes(value) | ValueMut::Count(value) => {
                *value = if most { usize::MAX } else { 0 };
            }
            ValueMut::Rate(value) => {
                *value = if most { Rate { per_second: u32::MAX, burst: u32::MAX } } else { Rate::OFF };
            }
        }
        limits
    })
}

/// Asserts that clients of both kinds connect, get a message, and stay as long as they answer pings.
fn serves(limits: Limits, what: &str) {
    let (ping, pong) = (limits.ping_interval, limits.pong_timeout);
    let mut world = with(limits, Rules::open());
    let conns = [world.json(), world.plain("/ws/a")];
    world.say(conns[0], r#"{"id":2,"subscribe":{"channel":"a"}}"#);
    world.flush(conns[0]);
    for round in 0..2 {
        let answer = world.api("publish", r#"{"channel":"a","data":1,"idempotency_key":""}"#);
        assert!(answer["error"].is_null(), "{what}: {answer}");
        for conn in conns {
            let read = world.read(conn).concat();
            assert!(read.contains('1'), "{what}, round {round}: {conn} reads {read:?}");
        }
        world.pass(ping);
        for conn in conns {
            world.flush(conn);
        }
        world.say(conns[0], "{}");
        world.input(Input::Pong { conn: conns[1] });
        world.pass(pong);
        assert!(world.ended.is_empty(), "{what}: {:?}", world.ended);
    }
}

#[test]
fn every_accepted_value_of_a_limit_makes_a_working_server() {
    for limit in Limit::ALL {
        for limits in extremes(*limit) {
            let what = format!("{limit} = {}", limits.value(*limit));
            match limits.validate() {
                Ok(()) => serves(limits, &what),
                Err(wrong) => assert!(wrong.contains(limit.name()), "{what}: {wrong}"),
            }
        }
    }
}

#[test]
fn a_too_long_room_name_is_counted_under_its_limit() {
    let mut world = with(Limits { room_name_bytes: 4, ..Limits::default() }, Rules::open());
    let answer = world.api("broadcast", r#"{"channels":["a","12345",""],"data":1}"#);
    assert_eq!(answer["result"]["responses"][1]["error"]["code"], 107);
    assert_eq!(hits(&world, Limit::RoomNameBytes), 1, "not for the one without a name");
}
