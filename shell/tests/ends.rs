//! The ends of connections, over real sockets: what a client still gets, how long it takes, and what is counted.
#![allow(clippy::disallowed_methods, reason = "tests have their own clock")]

mod common;

use common::{BINARY, CLOSE, Client, PING, TEXT, World, api, closed, frame, health, hits, publish, wait_until};
use parlor_core::CloseCause;
use serde_json::json;
use std::io::{Read, Write};
use std::time::{Duration, Instant};

/// Well below `close_timeout`, and long enough for a noisy machine.
const SOON: Duration = Duration::from_secs(3);

/// Everything up to the end of the stream, which must not be a reset.
fn rest(client: &mut Client) -> Vec<u8> {
    let mut bytes = Vec::new();
    client.socket.read_to_end(&mut bytes).expect("the stream ends, and is not reset");
    bytes
}

/// The first bytes of the frames in these bytes, each of which must be whole.
fn opcodes(mut bytes: &[u8]) -> Vec<u8> {
    let mut opcodes = Vec::new();
    while let [first, length, after @ ..] = bytes {
        let (length, after) = match length {
            126 => (usize::from(u16::from_be_bytes(after[..2].try_into().unwrap())), &after[2..]),
            127 => (usize::try_from(u64::from_be_bytes(after[..8].try_into().unwrap())).unwrap(), &after[8..]),
            short => (usize::from(*short), after),
        };
        assert!(after.len() >= length, "a frame of {length} bytes is cut after {}", after.len());
        opcodes.push(first & 0x0f);
        bytes = &after[length..];
    }
    assert!(bytes.is_empty(), "a header is cut");
    opcodes
}

fn is_empty(world: &World) {
    wait_until("the end of the connection", || health(world.address)["connections"] == 1);
}

#[test]
fn a_violation_is_followed_at_once_by_a_close_and_the_end_of_the_stream() {
    for (broken, cause) in [
        (vec![0x81, 2, b'{', b'}'], CloseCause::Protocol),
        (frame(0x80 | BINARY, b"x"), CloseCause::Binary),
        (frame(0x80 | TEXT, b"\xff"), CloseCause::Utf8),
        (frame(0x80 | TEXT, [b' '; 4097]), CloseCause::TooLarge),
        (frame(0x80 | CLOSE, 999_u16.to_be_bytes()), CloseCause::Protocol),
        (frame(0x80 | CLOSE, b"\x03"), CloseCause::Protocol),
    ] {
        let mut world =
            World::with(|settings| (settings.limits.message_bytes, settings.limits.rooms_per_connection) = (4096, 4));
        let mut client = Client::connect(world.address, "/ws/room?greeting=off");
        let start = Instant::now();
        client.send_raw(&broken);
        // What is on its way already, and must not make the server reset the stream.
        client.send_raw(&frame(0x80 | TEXT, [b'x'; 100_000]));
        let bytes = rest(&mut client);
        assert_eq!((opcodes(&bytes), &bytes[2..4]), (vec![CLOSE], &cause.reason().code().to_be_bytes()[..]));
        client.send_close(cause.reason().code());
        client.half_close();
        is_empty(&world);
        assert!(start.elapsed() < SOON, "{cause:?} took {:?}", start.elapsed());
        assert_eq!((closed(world.address, cause), hits(world.address, "close_timeout")), (1, 0));
        world.is_unaffected();
    }
}

#[test]
fn a_client_that_goes_on_after_a_violation_is_read_for_close_timeout() {
    let world = World::with(|settings| settings.limits.close_timeout = Duration::from_millis(500));
    let mut client = Client::connect(world.address, "/ws/room?greeting=off");
    client.send_raw(&frame(0x80 | BINARY, b"x"));
    assert_eq!(client.close().0, 1003);
    let start = Instant::now();
    // A write fails when the server has dropped the socket.
    while client.socket.write_all(&[0; 1000]).is_ok() {
        assert!(start.elapsed() < common::PATIENCE, "it is read for ever");
    }
    is_empty(&world);
    assert_eq!((closed(world.address, CloseCause::Binary), hits(world.address, "close_timeout")), (1, 1));
}

#[test]
fn a_close_of_the_server_is_followed_by_the_end_of_the_stream() {
    let mut world = World::new();
    let mut client = world.client();
    let start = Instant::now();
    api(world.address, "disconnect", &json!({"user": "client"}));
    let bytes = rest(&mut client);
    assert_eq!((opcodes(&bytes), &bytes[2..4]), (vec![CLOSE], &3503_u16.to_be_bytes()[..]));
    client.send_close(3503);
    drop(client);
    is_empty(&world);
    assert!(start.elapsed() < SOON, "it took {:?}", start.elapsed());
    assert_eq!((closed(world.address, CloseCause::Backend), hits(world.address, "close_timeout")), (1, 0));
    world.is_unaffected();
}

#[test]
fn a_close_of_the_client_is_answered_and_followed_by_the_end_of_the_stream() {
    let world = World::new();
    let mut client = Client::connect(world.address, "/ws/room?greeting=off");
    // More than one read takes, behind the Close: what is not read would reset the stream.
    client.send_raw(&[frame(0x80 | CLOSE, 1000_u16.to_be_bytes()), frame(0x80 | TEXT, [b'x'; 60_000])].concat());
    assert_eq!(rest(&mut client), [0x88, 2, 0x03, 0xe8]);
    drop(client);
    is_empty(&world);
    assert_eq!((closed(world.address, CloseCause::PeerClose), hits(world.address, "close_timeout")), (1, 0));
}

#[test]
fn a_client_that_only_ends_its_side_gets_the_rest() {
    let world = World::new();
    let mut client = Client::connect(world.address, "/ws/talk?greeting=off");
    let line = json!("x".repeat(60_000));
    for _ in 0..1000 {
        publish(world.address, "talk", &line);
        if health(world.address)["outbox_bytes"] != 0 {
            break;
        }
    }
    client.half_close();
    wait_until("the end of its membership", || health(world.address)["rooms"] == 2);
    let opcodes = opcodes(&rest(&mut client));
    assert!(opcodes.len() > 1 && opcodes.iter().all(|opcode| *opcode == TEXT), "{opcodes:?}");
    is_empty(&world);
    assert_eq!((closed(world.address, CloseCause::PeerEof), hits(world.address, "close_timeout")), (1, 0));
}

#[test]
fn a_client_that_ends_its_side_and_does_not_read_goes_after_close_timeout() {
    let world = World::with(|settings| settings.limits.close_timeout = Duration::from_millis(200));
    let client = Client::connect(world.address, "/ws/talk?greeting=off");
    let line = json!("x".repeat(60_000));
    while health(world.address)["outbox_bytes"] == 0 {
        publish(world.address, "talk", &line);
    }
    client.half_close();
    is_empty(&world);
    assert_eq!((closed(world.address, CloseCause::PeerEof), hits(world.address, "close_timeout")), (1, 1));
}

#[test]
fn a_reset_is_not_a_stalled_write() {
    let world = World::new();
    let client = Client::connect(world.address, "/ws/room?greeting=off");
    wait_until("its arrival", || health(world.address)["connections"] == 2);
    publish(world.address, "room", &json!("unread"));
    client.socket.peek(&mut [0]).unwrap();
    // To close a socket that has unread bytes resets it.
    drop(client);
    wait_until("its end", || closed(world.address, CloseCause::PeerReset) == 1);
    assert_eq!(closed(world.address, CloseCause::WriteTimeout), 0);
}

#[test]
fn a_client_whose_close_timeout_has_passed_is_reset() {
    let world = World::with(|settings| settings.limits.write_timeout = Duration::from_millis(100));
    let mut client = Client::connect(world.address, "/ws/talk?greeting=off");
    let line = json!("x".repeat(60_000));
    while health(world.address)["outbox_bytes"] == 0 {
        publish(world.address, "talk", &line);
    }
    wait_until("its end", || closed(world.address, CloseCause::WriteTimeout) == 1);
    let end = client.socket.read_to_end(&mut Vec::new()).expect_err("what the kernel still held is not sent");
    assert_eq!(end.kind(), std::io::ErrorKind::ConnectionReset);
}

#[test]
fn a_ping_behind_a_close_is_not_answered() {
    let world = World::new();
    let mut client = Client::connect(world.address, "/ws/room?greeting=off");
    client.send_raw(&[frame(0x80 | CLOSE, b""), frame(0x80 | PING, b"?")].concat());
    assert_eq!(rest(&mut client), [0x88, 0]);
}

/// The kernel holds little for a client that does not read: what waits for it waits where it is bounded.
#[test]
#[cfg(target_os = "linux")]
fn frames_that_a_client_does_not_read_wait_in_its_outbox() {
    let world = World::new();
    let client = Client::connect(world.address, "/ws/talk?greeting=off");
    socket2::SockRef::from(&client.socket).set_recv_buffer_size(32 << 10).unwrap();
    let line = json!("x".repeat(16_000));
    let mut sent = 0;
    while health(world.address)["outbox_bytes"] == 0 {
        publish(world.address, "talk", &line);
        sent += 16_000;
    }
    println!("the kernel took {sent} bytes");
    assert!(sent <= 512 << 10, "the kernel took {sent} bytes");
}
