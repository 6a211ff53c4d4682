//! Requests that are under way when the program is told to stop are answered, and what asks nothing does not hold it up.

#![allow(clippy::disallowed_methods, reason = "tests have their own clock")]

mod common;

use common::program::Program;
use common::{Client, KEY, PATIENCE, get, wait_until};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

const FLAGS: &[&str] = &["--api-key", KEY, "--dev", "true"];
const LIVE: &str = "GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n";

fn publication() -> String {
    let body = r#"{"channel": "room", "data": "hello"}"#;
    let length = body.len();
    format!(
        "POST /api/publish HTTP/1.1\r\nHost: localhost\r\nX-API-Key: {KEY}\r\nContent-Length: {length}\r\n\r\n{body}"
    )
}

/// A socket that has sent this.
fn begin(program: &Program, bytes: &str) -> TcpStream {
    let mut socket = TcpStream::connect(program.address).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.write_all(bytes.as_bytes()).unwrap();
    socket
}

/// Sends this and reads on to the end of the stream.
fn finish(mut socket: TcpStream, bytes: &str) -> String {
    socket.write_all(bytes.as_bytes()).unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    answer
}

/// Reads one answer to `LIVE`.
fn read_live(socket: &mut TcpStream) {
    let mut answer = String::new();
    while !answer.ends_with("\r\n\r\nok") {
        let mut bytes = [0; 1024];
        let count = socket.read(&mut bytes).unwrap();
        assert!(count > 0, "{answer}");
        answer += std::str::from_utf8(&bytes[..count]).unwrap();
    }
}

/// Waits until the server has read what the sockets have sent, as far as that can be seen from outside.
fn settle(program: &Program, sockets: u64) {
    wait_until("a look at all sockets", || get(program.address, "/health").json()["http_connections"] == sockets + 1);
}

/// Unread bytes, so that a socket that is closed on them is reset.
const MORE: usize = 4 << 20;

/// Waits until the program has taken note of the signal.
fn wait_until_stopping(program: &Program) {
    wait_until("the stop", || get(program.address, "/health/ready").status == 503);
}

#[test]
fn requests_under_way_are_answered() {
    let mut program = Program::start(FLAGS);
    let request = publication();
    let (head, body) = request.split_at(request.len() - 10);
    let (half_head, rest) = request.split_at(30);
    let half_body = begin(&program, head);
    let half_head_first = begin(&program, half_head);
    let mut half_head_later = begin(&program, LIVE);
    read_live(&mut half_head_later);
    half_head_later.write_all(half_head.as_bytes()).unwrap();
    settle(&program, 3);
    program.signal("TERM");
    wait_until_stopping(&program);
    // By now sockets that ask nothing are closed.
    thread::sleep(Duration::from_millis(300));
    let answer = finish(half_body, body);
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains(r#""offset":1"#), "{answer}");
    for socket in [half_head_first, half_head_later] {
        let answer = finish(socket, rest);
        assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("connection: close\r\n"), "{answer}");
    }
    assert_eq!(program.end().code(), Some(0));
}

#[test]
fn a_load_balancer_has_time_to_notice() {
    let open = ["--api-key", KEY, "--allow-anonymous", "true", "--drain-delay", "2s", "--close-timeout", "1s"];
    let mut program = Program::start(&open);
    let mut member = Client::connect(program.address, "/ws/room?greeting=off&reconnect=on");
    let asked = Instant::now();
    program.signal("TERM");
    wait_until_stopping(&program);
    let mut late = Client::connect(program.address, "/ws/room?greeting=off");
    let answer = finish(begin(&program, &publication().replace("Host:", "Connection: close\r\nHost:")), "");
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(asked.elapsed() < Duration::from_secs(2), "the machine is too slow for this test");
    for client in [&mut member, &mut late] {
        assert_eq!(client.text(), "\"hello\"");
    }
    let told = member.text();
    assert!(told.starts_with(r#"{"type":"reconnect","after_ms":"#), "{told}");
    for client in [&mut member, &mut late] {
        assert_eq!(client.close().0, 3001);
    }
    assert!(asked.elapsed() >= Duration::from_secs(2), "{:?}", asked.elapsed());
    assert_eq!(program.end().code(), Some(0));
}

#[test]
fn new_requests_are_turned_away_and_their_socket_closed() {
    let mut program = Program::start(&[FLAGS, &["--close-timeout", "1m", "--drain-timeout", "3m"]].concat());
    let mut member = Client::connect(program.address, "/ws/room?greeting=off");
    let mut kept = begin(&program, LIVE);
    read_live(&mut kept);
    program.signal("TERM");
    assert_eq!(member.close().0, 3001);
    let answer = finish(kept, &publication());
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("connection: close\r\n"), "{answer}");
    assert!(answer.contains("retry-after: 1\r\n"), "{answer}");
    let answer = finish(begin(&program, &publication()), "");
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    member.send_close(3001);
    member.half_close();
    assert_eq!(program.end().code(), Some(0));
}

/// A request without the end of its body, and one without the end of its head.
fn unfinished_requests(program: &Program) -> [TcpStream; 2] {
    let request = publication();
    let sockets = [request.len() - 10, 30].map(|bytes| begin(program, &request[..bytes]));
    settle(program, 2);
    sockets
}

#[test]
fn an_endless_request_delays_the_end_by_at_most_request_timeout() {
    let mut program = Program::start(&[FLAGS, &["--request-timeout", "1s"]].concat());
    let unfinished = unfinished_requests(&program);
    let asked = Instant::now();
    program.signal("TERM");
    for socket in unfinished {
        let answer = finish(socket, "");
        assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    }
    assert_eq!(program.end().code(), Some(0));
    assert!(asked.elapsed() < Duration::from_secs(3), "{:?}", asked.elapsed());
}

#[test]
fn an_endless_request_delays_the_end_by_at_most_drain_timeout() {
    let drained = ["--drain-timeout", "1s", "--close-timeout", "500ms"];
    let mut program = Program::start(&[FLAGS, &["--request-timeout", "1m"], &drained].concat());
    let unfinished = unfinished_requests(&program);
    let asked = Instant::now();
    program.signal("TERM");
    for socket in unfinished {
        let answer = finish(socket, "");
        assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("drain_timeout"), "{answer}");
    }
    assert_eq!(program.end().code(), Some(0));
    assert!(asked.elapsed() < Duration::from_secs(4), "{:?}", asked.elapsed());
}

#[test]
fn clients_and_requests_share_drain_timeout() {
    let drained = ["--drain-timeout", "1s", "--close-timeout", "500ms"];
    let mut program = Program::start(&[FLAGS, &["--request-timeout", "1m"], &drained].concat());
    // Nobody answers the server's Close, and a client sends its body for ever.
    let _silent = Client::connect(program.address, "/ws/room?greeting=off");
    let mut drips = begin(&program, &publication().replace("Content-Length: ", "Content-Length: 1000"));
    settle(&program, 1);
    let asked = Instant::now();
    program.signal("TERM");
    while drips.write_all(b" ").is_ok() {
        assert!(asked.elapsed() < PATIENCE, "it is read for ever");
        thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(program.end().code(), Some(0));
    assert!(asked.elapsed() < Duration::from_secs(4), "{:?}", asked.elapsed());
}

#[test]
fn requests_under_way_are_answered_after_a_time_without_any() {
    let mut program = Program::start(FLAGS);
    assert_eq!(get(program.address, "/health/live").status, 200);
    let request = publication();
    let (head, body) = request.split_at(request.len() - 10);
    // Sockets that are gone before the other one comes.
    wait_until("their end", || get(program.address, "/health").json()["http_connections"] == 1);
    thread::sleep(Duration::from_millis(100));
    let half_body = begin(&program, head);
    settle(&program, 1);
    program.signal("TERM");
    thread::sleep(Duration::from_millis(300));
    let answer = finish(half_body, body);
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert_eq!(program.end().code(), Some(0));
}

#[test]
fn the_end_waits_for_a_client_that_closes_slowly() {
    let mut program = Program::start(FLAGS);
    let mut client = Client::connect(program.address, "/ws/room?greeting=off");
    program.signal("TERM");
    assert_eq!(client.close().0, 3001);
    thread::sleep(Duration::from_millis(500));
    assert!(program.child.try_wait().unwrap().is_none(), "it is still there");
    client.send_close(3001);
    client.half_close();
    assert_eq!(client.socket.read_to_end(&mut Vec::new()).expect("it is not reset"), 0);
    assert_eq!(program.end().code(), Some(0));
}

#[test]
fn sockets_without_requests_do_not_delay_the_end() {
    let mut program = Program::start(&[FLAGS, &["--request-timeout", "1m"]].concat());
    let _silent = begin(&program, "");
    let mut kept = begin(&program, LIVE);
    read_live(&mut kept);
    settle(&program, 2);
    let asked = Instant::now();
    program.signal("TERM");
    assert_eq!(program.end().code(), Some(0));
    assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
}

#[test]
fn an_unread_body_does_not_prevent_its_answer() {
    let mut program = Program::start(&[FLAGS, &["--close-timeout", "1m", "--drain-timeout", "3m"]].concat());
    let mut member = Client::connect(program.address, "/ws/room?greeting=off");
    program.signal("TERM");
    assert_eq!(member.close().0, 3001);
    let head = format!("POST /api/publish HTTP/1.1\r\nHost: a\r\nX-API-Key: {KEY}\r\nContent-Length: {MORE}\r\n\r\n");
    let mut socket = begin(&program, &head);
    member.send_close(3001);
    member.half_close();
    // The server ends meanwhile.
    let mut sent = 0;
    while sent < MORE && socket.write_all(&[b' '; 4096]).is_ok() {
        sent += 4096;
    }
    let mut answer = [0; 12];
    socket.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 503");
    assert_eq!(program.end().code(), Some(0));
}
