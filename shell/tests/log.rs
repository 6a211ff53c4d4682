//! A log that cannot be written costs its lines, and nothing else. The program is started as its users do.

#![allow(clippy::disallowed_methods, reason = "tests have their own clock")]

mod common;

use common::program::Program;
use common::{Client, KEY, SECRET, api, get, health, token, wait_until};
use serde_json::{Value, json};
use std::fs::OpenOptions;
use std::io::{Read, pipe};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const VERBOSE: &[&str] = &["--log-level", "trace", "--new-connections", "off", "--api-key", KEY, "--dev", "true"];

/// Connections that come and go, each of which is some lines of the log.
fn come_and_go(program: &Program, connections: usize) {
    for number in 0..connections {
        let mut client = Client::connect(program.address, &format!("/ws/room{number}?greeting=off"));
        client.send_close(1000);
        assert_eq!(client.close().0, 1000);
    }
}

/// A member is served and told the end, and the process ends in order, soon.
fn serves_and_drains(mut program: Program) {
    let mut member = Client::connect(program.address, "/ws/room?greeting=off");
    assert_eq!(api(program.address, "publish", &json!({"channel": "room", "data": "hello"})).status, 200);
    assert_eq!(member.receive(), "hello");
    let asked = Instant::now();
    program.signal("TERM");
    assert_eq!(member.close(), (3001, "shutdown".into()));
    member.send_close(3001);
    assert_eq!(program.end().code(), Some(0));
    assert!(asked.elapsed() < Duration::from_secs(10), "{:?}", asked.elapsed());
}

fn dropped(program: &Program) -> u64 {
    health(program.address)["log_lines_dropped"].as_u64().unwrap()
}

#[test]
fn a_full_disk_under_the_log_costs_lines_only() {
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let program = Program::start_with(VERBOSE, full);
    come_and_go(&program, 20);
    wait_until("a count of the lines", || dropped(&program) >= 20);
    serves_and_drains(program);
}

#[test]
fn a_log_whose_reader_is_gone_costs_lines_only() {
    let (reader, writer) = pipe().unwrap();
    let program = Program::start_with(VERBOSE, writer);
    drop(reader);
    come_and_go(&program, 20);
    wait_until("a count of the lines", || dropped(&program) >= 20);
    serves_and_drains(program);
}

#[test]
fn an_unread_log_stops_nothing() {
    let (_unread, writer) = pipe().unwrap();
    let program = Program::start_with(VERBOSE, writer);
    // Far more lines than the pipe and the queue hold.
    for _ in 0..8 {
        come_and_go(&program, 400);
    }
    let mut open: Vec<_> =
        (0..400).map(|number| Client::connect(program.address, &format!("/ws/open{number}?greeting=off"))).collect();
    assert!(dropped(&program) > 0);
    assert_eq!(health(program.address)["connections"], 400);
    open.truncate(0);
    serves_and_drains(program);
}

#[test]
fn a_log_that_is_read_again_says_how_many_lines_were_lost() {
    let (mut reader, writer) = pipe().unwrap();
    let mut program = Program::start_with(VERBOSE, writer);
    for _ in 0..8 {
        come_and_go(&program, 400);
    }
    let lost = dropped(&program);
    assert!(lost > 0);
    let reading = std::thread::spawn(move || {
        let mut log = String::new();
        reader.read_to_string(&mut log).unwrap();
        log
    });
    // It ends when it is written, and the pipe with the process.
    program.signal("TERM");
    assert_eq!(program.end().code(), Some(0));
    let log = reading.join().unwrap();
    let reported = log.lines().filter(|line| line.contains(" log lines were dropped"));
    let reported = reported.map(|line| line.split_once("lines=").unwrap().1.parse::<u64>().unwrap());
    assert!(reported.sum::<u64>() >= lost, "{lost} lines were dropped");
    assert!(log.lines().all(|line| line.starts_with("20")), "every line is whole");
}

#[test]
fn outputs_that_are_closed_or_full_stop_nothing() {
    for outputs in [">&- 2>&-", ">/dev/full 2>/dev/full", "1>&2"] {
        // The port has to be known without standard output.
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let command = format!("exec \"$0\" --listen {free} --log-level debug {outputs}");
        let (reader, closed) = pipe().unwrap();
        drop(reader);
        let mut program = Command::new("sh");
        let mut child = program.args(["-c", &command, env!("CARGO_BIN_EXE_parlor")]).stderr(closed).spawn().unwrap();
        wait_until("an open port", || TcpStream::connect(free).is_ok());
        assert_eq!(get(free, "/health/live").status, 200, "{outputs}");
        let kill = Command::new("kill").arg(child.id().to_string()).status().unwrap();
        assert!(kill.success());
        assert_eq!(child.wait().unwrap().code(), Some(0), "{outputs}");
    }
}

#[test]
fn a_start_that_fails_says_so_or_ends_anyway() {
    let full = || Stdio::from(OpenOptions::new().write(true).open("/dev/full").unwrap());
    let mut program = Command::new(env!("CARGO_BIN_EXE_parlor"));
    program.args(["--listen", "0.0.0.0:0"]).stdout(full()).stderr(full());
    assert_eq!(program.status().unwrap().code(), Some(1));
}

/// The log of a server while a backend closes a connection with a reason that imitates a line of the log.
fn disconnected(format: &str) -> String {
    let mut program = Program::start_with(&[VERBOSE, &["--log-format", format]].concat(), Stdio::piped());
    let mut client = Client::connect(program.address, "/ws/room");
    let id = client.receive()["client"].clone();
    let reason = "bye\n2026-01-01T00:00:00Z ERROR forged \u{1b}[2J\u{9b}\u{2028}\u{202e}";
    let command = json!({"client": id, "disconnect": {"code": 4000, "reason": reason}});
    let answer = api(program.address, "disconnect", &command);
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(client.close(), (4000, reason.into()));
    drop(client);
    program.signal("TERM");
    assert_eq!(program.end().code(), Some(0));
    program.log()
}

#[test]
fn words_of_a_backend_do_not_forge_a_line() {
    let log = disconnected("text");
    assert!(log.contains("forged"), "{log}");
    assert!(log.lines().all(|line| line.split_whitespace().nth(2).is_some_and(|word| word.ends_with(':'))), "{log}");
    assert!(!log.trim_end().contains(|character: char| character.is_control() && character != '\n'), "{log:?}");
    assert!(!log.contains(['\u{2028}', '\u{202e}']), "{log:?}");
}

#[test]
fn words_of_a_backend_are_the_same_in_json_and_harmless_to_print() {
    let log = disconnected("json");
    assert!(!log.contains(['\u{1b}', '\u{9b}', '\u{2028}', '\u{202e}']), "{log:?}");
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let said = lines.iter().filter_map(|line| line["reason"].as_str()).find(|said| said.contains("forged"));
    assert_eq!(said, Some("bye\n2026-01-01T00:00:00Z ERROR forged \u{1b}[2J\u{9b}\u{2028}\u{202e}"), "{log}");
}

/// The lines of a program that has ended, as JSON.
fn ended(mut program: Program) -> Vec<Value> {
    program.signal("TERM");
    assert_eq!(program.end().code(), Some(0));
    program.log().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn the_life_of_a_connection_is_a_line_for_each_step() {
    let flags = ["--log-level", "off, connections=debug", "--log-format", "json", "--token-secret", SECRET];
    let program = Program::start(&flags);
    let token = token(&json!({"sub": "ann"}));
    let mut client = Client::connect(program.address, &format!("/ws/lobby?token={token}"));
    let id = client.receive()["client"].clone();
    client.send_text(r#"{"type": "hello", "text": "a payload"}"#);
    client.send_close(1000);
    assert_eq!(client.close().0, 1000);
    drop(client);
    let lines = ended(program);
    let steps: Vec<&str> = lines.iter().map(|line| line["event"].as_str().unwrap()).collect();
    assert_eq!(steps, ["opened", "authenticated", "joined", "left", "closed"], "{lines:?}");
    for line in &lines {
        assert_eq!((&line["client"], &line["level"], &line["area"]), (&id, &json!("debug"), &json!("connections")));
        assert!(line["time"].as_str().is_some_and(|time| time.ends_with('Z')), "{line}");
        assert!(!line.to_string().contains("payload") && !line.to_string().contains(&token), "{line}");
    }
    assert_eq!((&lines[0]["address"], &lines[0]["protocol"]), (&json!("127.0.0.1"), &json!("plain")));
    assert!(lines[1..].iter().all(|line| line["user"] == "ann"), "{lines:?}");
    assert_eq!((&lines[3]["room"], &lines[3]["cause"]), (&json!("lobby"), &json!("closed")));
    let closed = &lines[4];
    assert_eq!(
        (&closed["cause"], &closed["code"], &closed["messages_in"]),
        (&json!("peer_close"), &json!(1000), &json!(1))
    );
    assert!(closed["frames_out"].as_u64() > Some(1) && closed["bytes_out"].as_u64() > Some(50), "{closed}");
    assert!(closed["duration_seconds"].as_f64().is_some_and(|seconds| seconds > 0.0 && seconds < 60.0), "{closed}");
}

#[test]
fn lines_that_say_the_same_are_summed_up() {
    let flags = ["--log-level", "off, api=info", "--log-format", "json", "--api-key", KEY, "--dev", "true"];
    let program = Program::start(&flags);
    for number in 0..50 {
        assert_eq!(api(program.address, "publish", &json!({"channel": "lobby", "data": number})).status, 200);
    }
    let lines = ended(program);
    let calls: u64 = lines.iter().map(|line| line["repeated"].as_u64().unwrap_or(1)).sum();
    assert_eq!(calls, 50, "{lines:?}");
    assert!(lines.len() < 10, "{lines:?}");
}

#[test]
fn a_call_to_stop_is_a_line_by_the_level_of_calls() {
    let flags = ["--log-level", "off, api=info", "--log-format", "json", "--api-key", KEY, "--dev", "true"];
    let mut program = Program::start(&flags);
    assert_eq!(api(program.address, "drain", &json!({})).status, 200);
    assert_eq!(program.end().code(), Some(0));
    let log = program.log();
    assert!(log.contains(r#""method":"drain""#), "{log}");
}

#[test]
fn frames_that_leave_in_several_writes_are_all_counted() {
    const FRAMES: u64 = 100;
    let flags = ["--log-level", "off, connections=debug", "--log-format", "json", "--api-key", KEY, "--dev", "true"];
    let program = Program::start(&flags);
    let mut client = Client::connect(program.address, "/ws/lobby?greeting=off");
    let publish = json!({"publish": {"channel": "lobby", "data": "x".repeat(9000)}});
    let commands: Vec<_> = (0..FRAMES).map(|_| publish.clone()).collect();
    assert_eq!(api(program.address, "batch", &json!({"commands": commands})).status, 200);
    (0..FRAMES).for_each(|_| assert_eq!(client.receive().as_str().map(str::len), Some(9000)));
    client.send_close(1000);
    assert_eq!(client.close().0, 1000);
    drop(client);
    let lines = ended(program);
    let closed = lines.iter().find(|line| line["event"] == "closed").unwrap();
    assert_eq!(closed["frames_out"], FRAMES + 1, "the publications and the Close: {closed}");
}
