//! Rooms over real sockets: which member gets what, and that one member's trouble does not delay the others.

mod common;

use common::{Client, PING, PONG, TEXT, World, api, closed, frame, health, publish, start, token, wait_until};
use parlor::config::Settings;
use parlor_core::CloseCause;
use parlor_core::limits::Rate;
use serde_json::{Value, json};
use std::ffi::OsString;
use std::io::Write;
use std::net::Shutdown;
use std::path::Path;
use std::thread;

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
fn one_call_for_each_way_to_address_clients() {
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

#[test]
fn one_that_stops_reading_costs_the_others_nothing() {
    const OTHERS: usize = 20;
    const LINES: usize = 300;
    let server = start(|settings| settings.limits.close_timeout = std::time::Duration::from_millis(200));
    let address = server.address();
    let _stuck = Client::connect(address, "/ws/talk");
    let others: Vec<_> = (0..OTHERS)
        .map(|_| {
            let mut member = Client::connect(address, "/ws/talk?greeting=off");
            thread::spawn(move || {
                for line in 0..LINES {
                    assert_eq!(member.receive()["line"], line);
                }
            })
        })
        .collect();
    wait_until("everyone's arrival", || health(address)["memberships"] == OTHERS + 1);
    for line in 0..LINES {
        publish(address, "talk", &json!({"line": line, "rest": "x".repeat(60_000)}));
    }
    for other in others {
        other.join().unwrap();
    }
    wait_until("the end of the slow one", || closed(address, CloseCause::Slow) == 1);
    wait_until("an empty server", || health(address)["connections"] == 0 && health(address)["rooms"] == 0);
}

#[test]
fn one_that_never_stops_talking_costs_the_others_little() {
    let mut world = World::with(|settings| {
        settings.limits.client_commands = Rate::OFF;
        settings.limits.client_frames = Rate::OFF;
    });
    let mut loud = Client::connect(world.address, "/ws/loud?greeting=off");
    let socket = loud.socket.try_clone().unwrap();
    let talk = thread::spawn(move || {
        let lines = frame(0x80 | TEXT, br#"{"type":"nonsense"}"#).repeat(1000);
        // It ends when the test hangs up.
        while loud.socket.write_all(&lines).is_ok() {}
    });
    wait_until("some noise", || health(world.address)["totals"]["unknown_types"].as_u64().unwrap() > 10_000);
    for _ in 0..50 {
        world.is_unaffected();
    }
    assert!(!talk.is_finished(), "it talks all the time");
    socket.shutdown(Shutdown::Both).unwrap();
    talk.join().unwrap();
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
fn nonsense_of_a_plain_client_is_answered_and_forgiven() {
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
