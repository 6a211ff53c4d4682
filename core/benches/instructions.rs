//! How many instructions core takes for what happens most. `core/benches/counts.py` compares them with `baseline.toml`.
//!
//! Nothing here depends on the machine: the keys of the maps, the time and the allocator are given, and what is counted
//! begins when all that a benchmark starts from is there.

#![allow(missing_docs, reason = "what the macros make has none")]

mod scene;

use dlmalloc::GlobalDlmalloc;
use gungraun::prelude::*;
use scene::{Protocol, Scene, Step, busy, crowd};
use serde_json::json;

#[global_allocator]
static ALLOCATOR: GlobalDlmalloc = GlobalDlmalloc;

/// Publications of one recovery, rooms of one connection, publications of one history reply.
const MANY: usize = 100;

fn publish_step(protocol: Protocol, members: usize) -> Step {
    crowd(protocol, members).publish().expecting(members, "@@@@")
}

// A backend publishes 128 bytes to a room of so many members.
#[library_benchmark(setup = publish_step, teardown = Scene::check)]
#[bench::json_1(Protocol::Json, 1)]
#[bench::json_100(Protocol::Json, 100)]
#[bench::json_10000(Protocol::Json, 10_000)]
#[bench::plain_1(Protocol::Plain, 1)]
#[bench::plain_100(Protocol::Plain, 100)]
#[bench::plain_10000(Protocol::Plain, 10_000)]
fn publish(step: Step) -> Scene {
    step.take()
}

fn flush_scene(publications: usize) -> Scene {
    let mut scene = crowd(Protocol::Json, 1000);
    for _ in 0..publications {
        let publication = scene.publication();
        scene.turn(publication);
    }
    scene
}

// The sockets of 1,000 members take the one publication, or the sixteen, that wait for each.
#[library_benchmark(setup = flush_scene, teardown = Scene::check_nothing_waits)]
#[bench::frames_1(1)]
#[bench::frames_16(16)]
fn flush(mut scene: Scene) -> Scene {
    scene.flush();
    scene
}

fn connect_step(protocol: Protocol) -> Step {
    let url = protocol.url("lobby", "");
    let step = Scene::empty().arrival(&url);
    match protocol {
        Protocol::Json => step.then_says(r#"{"id":1,"connect":{}}"#).expecting(1, "\"client\":"),
        Protocol::Plain => step.expecting(1, "\"type\":\"connection\""),
    }
}

// The first connection: from its request until it is told that it is in, with the room of its URL for plain.
#[library_benchmark(setup = connect_step, teardown = Scene::check)]
#[bench::json(Protocol::Json)]
#[bench::plain(Protocol::Plain)]
fn connect(step: Step) -> Scene {
    step.take()
}

fn join_step(protocol: Protocol) -> Step {
    let mut scene = crowd(protocol, MANY);
    match protocol {
        Protocol::Json => {
            let conn = scene.open(&protocol.url("", ""));
            scene.say(conn, r#"{"id":1,"connect":{}}"#);
            scene.flush();
            let step = scene.saying(conn, r#"{"id":2,"subscribe":{"channel":"room"}}"#);
            step.expecting(1, "\"epoch\"")
        }
        Protocol::Plain => scene.arrival(&protocol.url("room", "greeting=off&positions=on")).expecting(1, "\"epoch\""),
    }
}

// One more member in a room of 100: by a command for json, by its URL for plain.
#[library_benchmark(setup = join_step, teardown = Scene::check)]
#[bench::json(Protocol::Json)]
#[bench::plain(Protocol::Plain)]
fn join(step: Step) -> Scene {
    step.take()
}

fn leave_step(protocol: Protocol) -> Step {
    let scene = crowd(protocol, MANY);
    let conn = scene.members[MANY / 2];
    match protocol {
        Protocol::Json => {
            scene.saying(conn, r#"{"id":3,"unsubscribe":{"channel":"room"}}"#).expecting(1, "\"unsubscribe\":{}")
        }
        Protocol::Plain => scene.losing(conn),
    }
}

// A member leaves a room of 100: by a command for json, with its socket for plain.
#[library_benchmark(setup = leave_step, teardown = Scene::check)]
#[bench::json(Protocol::Json)]
#[bench::plain(Protocol::Plain)]
fn leave(step: Step) -> Scene {
    step.take()
}

fn decode_step(protocol: Protocol) -> Step {
    let scene = Scene::closed_to_publishers(protocol);
    let conn = scene.members[0];
    let data: Vec<_> = (0..200).map(|n| json!({"n": n, "text": "\u{e9}\n"})).collect();
    let command = match protocol {
        Protocol::Json => json!({"id": 7, "publish": {"channel": "room", "data": data}}),
        Protocol::Plain => json!({"type": "publish", "room": "room", "id": "7", "data": data}),
    };
    scene.saying(conn, &command.to_string()).expecting(1, "permission denied")
}

// A command of 5 KB that is read to its end, and refused.
#[library_benchmark(setup = decode_step, teardown = Scene::check)]
#[bench::json(Protocol::Json)]
#[bench::plain(Protocol::Plain)]
fn decode(step: Step) -> Scene {
    step.take()
}

fn encode_step(protocol: Protocol) -> Step {
    match protocol {
        Protocol::Json => {
            let scene = busy(protocol, MANY);
            let conn = scene.members[0];
            scene.saying(conn, r#"{"id":7,"history":{"channel":"room","limit":100}}"#).expecting(1, "\"offset\":100")
        }
        Protocol::Plain => {
            let mut scene = Scene::empty();
            let rooms: Vec<String> = (0..MANY).map(|n| format!("room=r{n}")).collect();
            let conn = scene.open(&format!("/ws?greeting=off&{}", rooms.join("&")));
            scene.flush();
            scene.saying(conn, r#"{"type":"position"}"#).expecting(1, "\"room\":\"r99\"")
        }
    }
}

// An answer of 100 parts: publications for json, the positions of rooms for plain.
#[library_benchmark(setup = encode_step, teardown = Scene::check)]
#[bench::json(Protocol::Json)]
#[bench::plain(Protocol::Plain)]
fn encode(step: Step) -> Scene {
    step.take()
}

fn recover_step(protocol: Protocol) -> Step {
    let mut scene = busy(protocol, MANY);
    let epoch = scene.epoch("room");
    match protocol {
        Protocol::Json => {
            let conn = scene.open(&protocol.url("", ""));
            scene.say(conn, r#"{"id":1,"connect":{}}"#);
            scene.flush();
            let params = json!({"channel": "room", "recover": true, "epoch": epoch, "offset": 0});
            scene.saying(conn, &json!({"id": 2, "subscribe": params}).to_string()).expecting(1, "\"recovered\":true")
        }
        Protocol::Plain => {
            let query = format!("greeting=off&positions=on&since={epoch}:0");
            scene.arrival(&protocol.url("room", &query)).expecting(1, "\"offset\":100")
        }
    }
}

// A client that comes back to a room gets the 100 publications that it missed.
#[library_benchmark(setup = recover_step, teardown = Scene::check)]
#[bench::json(Protocol::Json)]
#[bench::plain(Protocol::Plain)]
fn recover(step: Step) -> Scene {
    step.take()
}

library_benchmark_group!(name = core, benchmarks = [publish, flush, connect, join, leave, decode, encode, recover]);
main!(library_benchmark_groups = core);
