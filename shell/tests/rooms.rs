//! Rooms over real sockets: which member gets what, and that one member's trouble does not delay the others.

#![allow(clippy::disallowed_methods, reason = "tests have their own clock")]

mod common;

use common::{
    Client, PATIENCE, PING, PONG, TEXT, World, api, closed, frame, health, publish, start, token, wait_until,
};
use parlor::config::Settings;
use parlor::server::Server;
use parlor_core::CloseCause;
use parlor_core::limits::Rate;
use serde_json::{Value, json};
use std::ffi::OsString;
use std::io::Write;
use std::net::Shutdown;
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

/// The settings of the service that is replaced, on a free port.
fn ansflow(settings: &mut Settings) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/ansflow.toml");
    let flags = [OsString::from("parlor"), "--config".into(), file.into()];
    let example = Settings::load(flags, []).unwrap();
    assert_eq!(example.listen.to_string(), "127.0.0.1:8001");
    assert!(example.is_dev());
    settings.routes = example.routes;
}

#[test]
fn the_front_end_of_the_service_that_is_replaced_works_as_it_is() {
    let server = start(ansflow);
    let address = server.address();
    let mut page = Client::connect(address, "/ws/pipeline/7");
    let greeting = page.receive();
    assert_eq!(greeting["type"], "connection");
    assert_eq!(greeting["message"], "Connected to pipeline_7");
    assert_eq!(greeting["authenticated"], false);
    assert!(greeting["timestamp"].as_str().unwrap().ends_with('Z'), "{greeting}");

    page.send(&json!({"type": "ping"}));
    assert_eq!(page.receive()["type"], "pong");
    page.send(&json!({"type": "subscribe", "events": ["step_finished"]}));
    let confirmed = page.receive();
    assert_eq!(
        (&confirmed["type"], &confirmed["events"]),
        (&json!("subscription_confirmed"), &json!(["step_finished"]))
    );

    publish(address, "pipeline_7", &json!({"type": "step_started", "step": 1}));
    let finished = json!({"type": "step_finished", "step": 1});
    publish(address, "pipeline_7", &finished);
    assert_eq!(page.receive(), finished);

    page.send_text("not JSON");
    assert_eq!(page.receive()["message"], "Invalid JSON format");
}

#[test]
fn every_route_of_the_service_that_is_replaced_leads_to_its_room() {
    let server = start(ansflow);
    for (path, room, subscribed) in [
        ("/ws/monitor", "global_monitor", "subscribed"),
        ("/ws/system", "system", "subscribed"),
        ("/ws/pipeline/a-1", "pipeline_a-1", "subscription_confirmed"),
        ("/ws/execution/2/", "execution_2", "subscribed"),
        ("/ws/project/3", "project_3", "subscribed"),
        ("/ws/logs/realtime", "logs_realtime", "subscribed"),
    ] {
        let mut client = Client::connect(server.address(), path);
        assert_eq!(client.receive()["message"], format!("Connected to {room}"));
        client.send(&json!({"type": "subscribe", "events": []}));
        assert_eq!(client.receive()["type"], subscribed, "{path}");
        publish(server.address(), room, &json!({"to": room}));
        assert_eq!(client.receive(), json!({"to": room}));
    }
}

#[test]
fn clients_can_be_addressed_by_room_user_connection_and_all_together() {
    let world = World::new();
    let address = world.address;
    let mut plain = Client::connect(address, &format!("/ws/room?token={}", token(&json!({"sub": "ann"}))));
    let id = plain.receive()["client"].clone();
    let mut json = Client::json(address, &token(&json!({"sub": "bob"})));
    assert!(json.ask(&json!({"id": 2, "subscribe": {"channel": "room"}}))["subscribe"].is_object());

    publish(address, "room", &json!({"to": "room"}));
    assert_eq!(plain.receive(), json!({"to": "room"}));
    assert_eq!(json.receive()["push"]["pub"]["data"], json!({"to": "room"}));

    for (method, call) in [
        ("send", json!({"client": id, "data": {"to": "one"}})),
        ("publish_user", json!({"user": "ann", "data": {"to": "one"}})),
    ] {
        assert_eq!(api(address, method, &call).status, 200, "{method}");
        assert_eq!(plain.receive(), json!({"to": "one"}), "{method}");
    }
    assert_eq!(api(address, "publish_all", &json!({"data": {"to": "all"}})).status, 200);
    assert_eq!(plain.receive(), json!({"to": "all"}));
    assert_eq!(json.receive()["push"]["message"]["data"], json!({"to": "all"}));

    let channels = api(address, "channels", &json!({})).json();
    assert_eq!(channels["result"]["channels"]["room"]["num_clients"], 2, "{channels}");
    let connections = api(address, "connections", &json!({"user": "ann"})).json();
    assert_eq!(connections["result"]["connections"].as_object().unwrap().len(), 1, "{connections}");
}

/// A room whose members read, and say so.
struct Readers {
    server: Server,
    read: Receiver<usize>,
}

const READERS: usize = 20;
const LINES: usize = 100;

impl Readers {
    fn new() -> Self {
        // One that does not read stays for as long as this takes.
        let server = start(|settings| {
            (settings.limits.outbox_bytes, settings.limits.write_timeout) = (64 << 20, 2 * PATIENCE);
            settings.limits.close_timeout = Duration::from_millis(200);
        });
        let (reads, read) = channel();
        for _ in 0..READERS {
            let (mut member, reads) = (Client::connect(server.address(), "/ws/talk?greeting=off"), reads.clone());
            thread::spawn(move || {
                for _ in 0..LINES {
                    let line = member.receive()["line"].as_u64().unwrap();
                    reads.send(usize::try_from(line).unwrap()).unwrap();
                }
            });
        }
        wait_until("everyone's arrival", || health(server.address())["memberships"] == READERS);
        Self { server, read }
    }

    /// Publishes all lines, each when everyone has read the one before, and returns the median of the times that this takes.
    fn read_all(&self) -> Duration {
        let times = (0..LINES).map(|line| {
            let start = Instant::now();
            publish(self.server.address(), "talk", &json!({"line": line, "rest": "x".repeat(60_000)}));
            (0..READERS).for_each(|_| assert_eq!(self.read.recv_timeout(PATIENCE), Ok(line)));
            start.elapsed()
        });
        median(times.collect())
    }
}

#[test]
fn a_client_that_stops_reading_does_not_delay_others() {
    let without = Readers::new().read_all();
    let readers = Readers::new();
    let address = readers.server.address();
    let _stuck = Client::connect(address, "/ws/talk");
    wait_until("its arrival", || health(address)["memberships"] == READERS + 1);
    let with = readers.read_all();
    assert!(
        health(address)["outbox_bytes"].as_u64().unwrap() > (LINES as u64 / 2) * 60_000,
        "most of it waits for one"
    );
    println!("{with:?} beside it, {without:?} without it");
    assert!(with < 3 * without + Duration::from_millis(10), "{with:?} beside it, {without:?} without it");
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

#[test]
fn clients_that_send_without_pause_hardly_delay_others() {
    let unlimited = |settings: &mut Settings| {
        settings.limits.client_commands = Rate::OFF;
        settings.limits.client_frames = Rate::OFF;
    };
    // The machine is as busy for the one server as for the other.
    let (mut beside, mut apart) = (World::with(unlimited), World::with(unlimited));
    let talk = |number: usize| {
        let mut loud = Client::connect(beside.address, &format!("/ws/loud{number}?greeting=off"));
        let socket = loud.socket.try_clone().unwrap();
        let talking = thread::spawn(move || {
            let lines = frame(0x80 | TEXT, br#"{"type":"nonsense"}"#).repeat(1000);
            // It ends when the test hangs up.
            while loud.socket.write_all(&lines).is_ok() {}
        });
        (socket, talking)
    };
    let loud: Vec<_> = (0..8).map(talk).collect();
    wait_until("some noise", || health(beside.address)["totals"]["unknown_types"].as_u64().unwrap() > 10_000);
    let time = |world: &mut World| {
        let start = Instant::now();
        world.is_unaffected();
        start.elapsed()
    };
    let (with, without): (Vec<_>, Vec<_>) = (0..20).map(|_| (time(&mut beside), time(&mut apart))).unzip();
    let (with, without) = (median(with), median(without));
    println!("{with:?} beside them, {without:?} apart from them");
    assert!(with < 5 * without + Duration::from_millis(600), "{with:?} beside them, {without:?} apart from them");
    for (socket, talking) in loud {
        assert!(!talking.is_finished(), "it talks all the time");
        socket.shutdown(Shutdown::Both).unwrap();
        talking.join().unwrap();
    }
}

#[test]
fn clients_that_vanish_leave_nothing_behind() {
    let mut world = World::new();
    for round in 0..5 {
        let clients: Vec<_> =
            (0..100).map(|number| Client::connect(world.address, &format!("/ws/r{number}"))).collect();
        wait_until("everyone's arrival", || health(world.address)["rooms"] == 102);
        for (number, mut client) in clients.into_iter().enumerate() {
            match (number + round) % 3 {
                // Half a frame, a Close, and nothing at all.
                0 => client.send_raw(&frame(0x80 | TEXT, b"{}")[..4]),
                1 => client.send_close(1001),
                _ => {}
            }
        }
        wait_until("the end of them all", || health(world.address)["connections"] == 1);
        assert_eq!(health(world.address)["rooms"], 2);
        world.is_unaffected();
    }
}

#[test]
fn the_protocol_s_own_frames_are_answered() {
    let world = World::new();
    let mut client = Client::connect(world.address, "/ws/room?greeting=off");
    client.send_raw(&frame(0x80 | PING, b"are you there"));
    assert_eq!(client.frame().unwrap(), (PONG, b"are you there".to_vec()));
    // A message in three parts, with a Ping between them, byte by byte.
    let parts = [frame(TEXT, br#"{"type":"#), frame(0x80 | PING, b""), frame(0, b""), frame(0x80, br#""ping"}"#)];
    for byte in parts.concat() {
        client.send_raw(&[byte]);
    }
    assert_eq!(client.frame().unwrap(), (PONG, Vec::new()));
    assert_eq!(client.receive()["type"], "pong");
    client.send_close(4321);
    assert_eq!(client.close(), (4321, String::new()));
    client.end();
    wait_until("the end of the connection", || closed(world.address, CloseCause::PeerClose) == 1);
}

#[test]
fn a_close_without_a_code_is_answered_in_kind() {
    let world = World::new();
    let mut client = Client::connect(world.address, "/ws/room?greeting=off");
    client.send_raw(&frame(0x80 | common::CLOSE, b""));
    assert_eq!(client.frame().unwrap(), (common::CLOSE, Vec::new()));
    client.end();
    wait_until("the end of the connection", || closed(world.address, CloseCause::PeerClose) == 1);
}

/// A frame of a `plain` client, and the error frame that answers it while the connection goes on.
#[test]
fn invalid_messages_of_a_plain_client_are_answered_and_do_not_close() {
    let mut world = World::with(|settings| settings.allow_publish = Some(false));
    let mut client = Client::connect(world.address, "/ws/room?greeting=off");
    for nonsense in ["{\"type\":", "[1, 2]", "42", ""] {
        client.send_text(nonsense);
        let error = client.receive();
        assert_eq!((&error["type"], &error["message"]), (&json!("error"), &json!("Invalid JSON format")), "{nonsense}");
    }
    client.send(&json!({"type": "publish", "data": 1, "id": 7}));
    let error = client.receive();
    assert_eq!((&error["type"], &error["code"], &error["id"]), (&json!("error"), &json!(103), &json!(7)), "{error}");
    client.send(&json!({"type": "dance"}));
    client.send(&json!({"type": "ping"}));
    assert_eq!(client.receive()["type"], "pong", "an unknown type is not answered");
    assert_eq!(health(world.address)["totals"]["unknown_types"], 1);
    world.is_unaffected();
}

#[test]
fn many_commands_in_one_message_are_answered_in_order() {
    let world = World::new();
    let mut client = Client::connect(world.address, "/connection/websocket");
    let commands = [
        json!({"id": 1, "connect": {"token": token(&json!({"sub": "client"}))}}),
        json!({"id": 2, "subscribe": {"channel": "a"}}),
        json!({"id": 3, "subscribe": {"channel": "b"}}),
        json!({"id": 4, "publish": {"channel": "a", "data": {"line": 1}}}),
    ];
    client.send_text(&commands.map(|command| command.to_string()).join("\n"));
    let heard: Vec<Value> = (0..5).map(|_| client.receive()).collect();
    assert_eq!([&heard[0]["id"], &heard[1]["id"], &heard[2]["id"]], [1, 2, 3], "{heard:?}");
    assert_eq!(heard[3]["push"]["pub"]["data"], json!({"line": 1}), "{heard:?}");
    assert_eq!(heard[4]["id"], 4, "{heard:?}");
}
