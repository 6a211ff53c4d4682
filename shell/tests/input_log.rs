//! The input log of a real server is written to a file of its own, tells no secret and no payload, and is run again to the same
//! state.

mod common;

use common::{Client, KEY, api, publish, start, token};
use parlor_core::Stats;
use parlor_core::input_log::replay::{InputReplay, ReplayEvent};
use serde_json::{Value, json};
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// A folder that lives as long as its test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("parlor-{}-{name}", std::process::id()));
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn text(&self) -> String {
        self.0.to_str().unwrap().into()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Has the input log written, and returns what the file holds.
fn written(address: SocketAddr) -> Vec<u8> {
    answered(address).0
}

/// Has the input log written. Returns what the file holds, and what is said of it.
fn answered(address: SocketAddr) -> (Vec<u8>, Value) {
    let answer = api(address, "input_log", &json!({}));
    assert_eq!(answer.status, 200, "{answer:?}");
    let result = answer.json()["result"].clone();
    let path = Path::new(result["file"].as_str().unwrap());
    assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600, "nobody else reads it");
    let bytes = fs::read(path).unwrap();
    assert_eq!(result["bytes"], bytes.len());
    (bytes, result)
}

/// Runs a log to its end. Returns the counts, and how often they were compared with those of the server.
fn run(log: &[u8]) -> (Stats, u64) {
    let mut replay = InputReplay::open(log).unwrap();
    assert_eq!(replay.step(), 0, "it begins with the shard");
    run_to_end(&mut replay);
    (replay.shard().stats(), replay.checks())
}

fn run_to_end(replay: &mut InputReplay<'_>) {
    while let Some(event) = replay.run().unwrap_or_else(|stop| panic!("step {}: {stop:?}", replay.step())) {
        assert!(!matches!(event, ReplayEvent::Broken));
    }
}

fn has(log: &[u8], text: &str) -> bool {
    log.windows(text.len()).any(|part| part == text.as_bytes())
}

#[test]
fn what_a_server_did_is_run_again_to_the_same_state() {
    let folder = Folder::new("run-again");
    let server = start(|settings| settings.input_log_dir = Some(folder.text()));
    let address = server.address();
    let signed = token(&json!({"sub": "ada", "info": {"name": "Ada L."}}));
    let mut ada = Client::json(address, &signed);
    ada.ask(&json!({"id": 2, "subscribe": {"channel": "lobby"}}));
    let mut plain = Client::connect(address, &format!("/ws/lobby?token={signed}"));
    assert_eq!(plain.receive()["authenticated"], true);
    for round in 0..2_000 {
        publish(address, "lobby", &json!({"type": "chat", "text": format!("secret words {round}")}));
    }
    ada.ask_behind(&json!({"id": 3, "publish": {"channel": "lobby", "data": {"text": "more of Ada's words"}}}));
    plain.send(&json!({"type": "auth", "token": signed}));
    plain.send_close(1000);
    plain.close();
    drop(ada);
    common::wait_until("the end of both", || common::health(address)["connections"] == 0);

    let log = written(address);
    let (stats, checks) = run(&log);
    assert!(checks >= 2, "the counts were compared {checks} times");
    assert_eq!((stats.totals.accepted, stats.totals.published, stats.gauges.connections), (2, 2_001, 0));
    for secret in [&*signed, &signed[..40], KEY, "secret words", "Ada's words", "Ada L."] {
        assert!(!has(&log, secret), "the log has {secret:?}");
    }
    assert!(has(&log, "lobby") && has(&log, "chat") && has(&log, "ada"), "rooms, types and users are kept");
}

#[test]
fn payloads_are_in_the_log_where_they_are_asked_for_and_tokens_are_not() {
    let folder = Folder::new("payloads");
    let server = start(|settings| {
        settings.input_log_dir = Some(folder.text());
        settings.input_log_payloads = true;
    });
    let signed = token(&json!({"sub": "ada"}));
    let mut ada = Client::json(server.address(), &signed);
    ada.ask(&json!({"id": 2, "subscribe": {"channel": "lobby"}}));
    ada.ask_behind(&json!({"id": 3, "publish": {"channel": "lobby", "data": "words to be kept"}}));
    let log = written(server.address());
    run(&log);
    assert!(has(&log, "words to be kept") && !has(&log, &signed[..40]));
}

#[test]
fn a_log_that_has_dropped_its_beginning_is_run_from_a_state() {
    let folder = Folder::new("dropped");
    let server = start(|settings| {
        settings.input_log_dir = Some(folder.text());
        settings.input_log_bytes = 16 << 10;
    });
    let signed = token(&json!({"sub": "ada", "info": {"name": "Ada L."}}));
    let mut ada = Client::json(server.address(), &signed);
    ada.ask(&json!({"id": 2, "subscribe": {"channel": "lobby"}}));
    // Until its first message it is unauthenticated, and has the token that it came with.
    let _waits = Client::connect(server.address(), &format!("/connection/websocket?token={signed}"));
    for round in 0..500 {
        publish(server.address(), "lobby", &json!({"type": "chat", "text": format!("secret words {round}")}));
    }
    let (log, said) = answered(server.address());
    assert_eq!(said["from_start"], false);
    let mut replay = InputReplay::open(&log).unwrap();
    let (first, begun) = (replay.first_step(), replay.step());
    assert!(first > 0 && begun > first && replay.is_runnable(), "the first steps were dropped");
    replay.audit();
    run_to_end(&mut replay);
    assert_eq!(
        (said["steps"].as_u64(), said["run_steps"].as_u64()),
        (Some(replay.step() - first), Some(replay.step() - begun))
    );
    let stats = replay.shard().stats();
    assert_eq!((stats.totals.published, stats.gauges.connections, replay.checks() > 0), (500, 2, true));
    for secret in [&*signed, &signed[..40], KEY, "secret words", "Ada L."] {
        assert!(!has(&log, secret), "the log has {secret:?}");
    }
    assert!(has(&log, "lobby") && has(&log, "chat") && has(&log, "ada"), "rooms, types and users are kept");
}

#[test]
fn a_log_that_has_dropped_its_beginning_and_whose_state_is_too_large_is_inputs_only() {
    let folder = Folder::new("inputs-only");
    let server = start(|settings| {
        settings.input_log_dir = Some(folder.text());
        settings.input_log_bytes = 16 << 10;
    });
    let _member = Client::connect(server.address(), "/ws/lobby");
    // A state has at most 64 KiB with so small a log, and a room retains 100 of these.
    for _ in 0..500 {
        publish(server.address(), "lobby", &json!("x".repeat(1000)));
    }
    let (log, said) = answered(server.address());
    assert_eq!((said["from_start"].as_bool(), said["run_steps"].as_u64()), (Some(false), Some(0)));
    assert!(log.len() < 20 << 10, "{} bytes", log.len());
    let mut replay = InputReplay::open(&log).unwrap();
    let first = replay.step();
    assert!(first > 0 && !replay.is_runnable(), "the first steps were dropped");
    while replay.list().unwrap().is_some() {}
    assert_eq!(said["steps"], replay.step() - first);
}

#[test]
fn a_call_is_refused_where_there_is_no_folder_and_says_what_to_set() {
    let folder = Folder::new("refused");
    let missing = folder.text() + "/missing";
    for (dir, bytes, words) in [
        (None, 1 << 20, "set input_log_dir"),
        (Some(missing), 1 << 20, "missing (input_log_dir) is no folder"),
        (Some(folder.text()), 0, "input_log_bytes is 0"),
    ] {
        let server = start(|settings| {
            settings.input_log_dir = dir;
            settings.input_log_bytes = bytes;
        });
        let answer = api(server.address(), "input_log", &json!({}));
        assert_eq!(answer.status, 400, "{answer:?}");
        assert!(answer.body.contains(words), "{answer:?}");
    }
}

#[test]
fn a_folder_takes_a_bounded_number_of_logs() {
    let folder = Folder::new("bounded");
    let server = start(|settings| settings.input_log_dir = Some(folder.text()));
    for _ in 0..31 {
        written(server.address());
    }
    fs::write(folder.0.join("another.inputs"), "").unwrap();
    let answer = api(server.address(), "input_log", &json!({}));
    assert!(answer.status == 400 && answer.body.contains("has 32 input logs already"), "{answer:?}");
    assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 32, "no file is written over");
}
