//! Every refusal leaves a trace: an answer that says what to set, a count by reason, and a line in the log.

mod common;

use common::program::Program;
use common::{Answer, Client, KEY, SECRET, get, health, http, raw_http, token, unix, upgrade_request, wait_until};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::SocketAddr;

const PRODUCTION: &[&str] = &[
    "--api-key",
    KEY,
    "--token-secret",
    SECRET,
    "--allowed-origins",
    "https://app.example.com",
    "--log-format",
    "json",
];

fn refused(address: SocketAddr, reason: &str) -> u64 {
    health(address)["totals"]["refused"][reason].as_u64().unwrap()
}

/// Ends the program and returns the fields of the lines that tell of refusals for this reason.
fn lines(mut program: Program, reason: &str) -> Vec<Value> {
    program.signal("TERM");
    assert_eq!(program.end().code(), Some(0));
    let log = program.log();
    let lines = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let lines = lines.filter(|line| line["event"] == "refused" && line["reason"] == reason);
    lines.inspect(|line| assert_eq!(line["level"], "warn")).collect()
}

fn says(answer: &Answer, status: u16, word: &str) {
    assert_eq!(answer.status, status, "{answer:?}");
    assert!(answer.json()["error"]["message"].as_str().unwrap().contains(word), "{answer:?}");
}

#[test]
fn a_foreign_origin_is_logged_with_the_host() {
    let program = Program::start(PRODUCTION);
    let headers = "Origin: http://evil.example\r\n";
    says(&raw_http(program.address, &upgrade_request("/ws/room?token=a.b.c", headers)), 403, "allowed_origins");
    assert_eq!(refused(program.address, "origin"), 1);
    let lines = lines(program, "origin");
    assert_eq!(lines.len(), 1);
    assert_eq!((&lines[0]["origin"], &lines[0]["host"]), (&json!("http://evil.example"), &json!("localhost")));
    assert_eq!((&lines[0]["path"], &lines[0]["address"]), (&json!("/ws/room"), &json!("127.0.0.1")));
}

#[test]
fn a_page_opened_from_a_file_is_refused_with_advice() {
    let program = Program::start(&[]);
    let answer = raw_http(program.address, &upgrade_request("/ws/room", "Origin: null\r\n"));
    says(&answer, 403, "python3 -m http.server");
}

#[test]
fn refusals_that_repeat_are_one_line_together_however_long_they_are() {
    let program = Program::start(PRODUCTION);
    for _ in 0..50 {
        let headers = format!("Origin: http://{}.example\r\n", "e".repeat(5000));
        assert_eq!(raw_http(program.address, &upgrade_request("/ws/room", &headers)).status, 403);
    }
    assert_eq!(refused(program.address, "origin"), 50);
    let lines = lines(program, "origin");
    assert_eq!(lines.iter().map(|line| line["count"].as_u64().unwrap()).collect::<Vec<_>>(), [1, 49]);
    assert!(lines.iter().all(|line| line["origin"].as_str().unwrap().chars().count() <= 201));
}

#[test]
fn an_unknown_path_is_logged_without_its_query() {
    let program = Program::start(PRODUCTION);
    says(&get(program.address, "/socket.io?token=secret"), 404, "/ws/<room>");
    says(&get(program.address, "/health/alive"), 404, "/ws/<room>");
    assert_eq!(refused(program.address, "path"), 2);
    let lines = lines(program, "path");
    assert_eq!([&lines[0]["path"], &lines[1]["path"]], ["/socket.io", "/health/alive"]);
    assert!(!lines[0].to_string().contains("secret"), "{lines:?}");
}

#[test]
fn a_wrong_key_is_logged_by_its_header_and_never_itself() {
    let program = Program::start(PRODUCTION);
    let call = |headers: &str| http(program.address, "POST", "/api/info", headers, "{}");
    says(&call(""), 401, "api_key");
    says(&call("X-API-Key: wrong-key-of-16-bytes\r\n"), 401, "X-API-Key");
    says(&call("Authorization: apikey wrong-key-of-16-bytes\r\n"), 401, "Authorization");
    says(&call("Authorization: Bearer wrong-key-of-16-bytes\r\n"), 401, "Authorization");
    for header in ["X-API-Key: ", "Authorization: apikey ", "authorization: bearer "] {
        assert_eq!(call(&format!("{header}{KEY}\r\n")).status, 200);
    }
    assert_eq!(refused(program.address, "key"), 4);
    let lines = lines(program, "key");
    assert_eq!(lines.len(), 4);
    assert!(lines[1]["why"].as_str().unwrap().contains("X-API-Key is not"), "{lines:?}");
    assert!(lines[2]["why"].as_str().unwrap().contains("Authorization is not"), "{lines:?}");
    assert!(!format!("{lines:?}").contains("wrong-key"), "{lines:?}");
}

#[test]
fn an_invalid_token_is_logged_once_and_never_itself() {
    let program = Program::start(PRODUCTION);
    let forged = format!("{}x", token(&json!({"sub": "ann"})));
    let mut json = Client::connect(program.address, "/connection/websocket");
    json.send(&json!({"id": 1, "connect": {"token": forged}}));
    assert_eq!(json.close().0, 3500);
    json.send_close(3500);
    json.end();
    wait_until("a count", || refused(program.address, "token") == 1);
    let mut without = Client::connect(program.address, "/connection/websocket");
    without.send(&json!({"id": 1, "connect": {}}));
    assert_eq!(without.close().0, 3500);
    without.send_close(3500);
    without.end();
    wait_until("another", || refused(program.address, "token") == 2);
    let mut plain = Client::connect(program.address, "/ws/room?greeting=off");
    plain.send(&json!({"type": "auth", "token": ""}));
    assert_eq!(plain.close().0, 3500);
    plain.send_close(3500);
    plain.end();
    wait_until("a third", || refused(program.address, "token") == 3);
    let mut good = Client::json(program.address, &token(&json!({"sub": "ann"})));
    good.send_close(1000);
    good.end();
    let lines = lines(program, "token");
    assert_eq!(lines.iter().map(|line| line["count"].as_u64().unwrap()).sum::<u64>(), 3);
    assert!(!format!("{lines:?}").contains(&forged), "{lines:?}");
    assert!(lines.iter().all(|line| line["address"] == "127.0.0.1"), "{lines:?}");
}

#[test]
fn why_a_token_failed_is_a_line_at_debug() {
    let mut program = Program::start(&[PRODUCTION, &["--log-level", "debug"]].concat());
    for claims in [json!({"sub": "ann", "exp": unix(-3600)}), json!({"sub": 7})] {
        let token = token(&claims);
        let mut client = Client::connect(program.address, "/connection/websocket");
        client.send(&json!({"id": 1, "connect": {"token": token}}));
        client.frame().unwrap();
    }
    program.signal("TERM");
    assert_eq!(program.end().code(), Some(0));
    let log = program.log();
    let lines = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let lines: Vec<Value> = lines.filter(|line| line["event"] == "token refused").collect();
    assert!(lines.iter().all(|line| line["level"] == "debug"), "{lines:?}");
    let whys: Vec<&Value> = lines.iter().map(|line| &line["why"]).collect();
    assert_eq!(whys, ["its exp has passed", "its claim sub is of the wrong type"]);
}

#[test]
fn a_full_server_is_logged_beside_many_other_refusals() {
    let program = Program::start(&[PRODUCTION, &["--connections", "1", "--allow-anonymous", "true"]].concat());
    let _first = Client::connect(program.address, "/ws/room");
    let flood = format!("GET /ws/room HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n", "x".repeat(20_000));
    assert_eq!(raw_http(program.address, flood.as_bytes()).status, 431);
    assert_eq!(raw_http(program.address, &upgrade_request("/ws/room", "")).status, 503);
    assert_eq!(raw_http(program.address, flood.as_bytes()).status, 431);
    assert_eq!(refused(program.address, "limit"), 3);
    drop(_first);
    let reasons: Vec<_> =
        lines(program, "limit").iter().map(|line| (line["why"].clone(), line["count"].clone())).collect();
    let [header, connections] = ["header_bytes", "connections"].map(|limit| (json!(limit), json!(1)));
    assert_eq!(reasons, [header.clone(), connections, header]);
}

#[test]
fn a_too_large_body_is_logged() {
    let program = Program::start(&[PRODUCTION, &["--api-body-bytes", "10"]].concat());
    let answer = http(program.address, "POST", "/api/info", &format!("X-API-Key: {KEY}\r\n"), &" ".repeat(11));
    assert_eq!(answer.status, 413);
    assert_eq!(refused(program.address, "limit"), 1);
    let lines = lines(program, "limit");
    assert_eq!((&lines[0]["why"], &lines[0]["path"]), (&json!("api_body_bytes"), &json!("/api/info")));
}

#[test]
fn requests_that_are_no_upgrade_say_what_proxies_do() {
    let program = Program::start(PRODUCTION);
    says(&get(program.address, "/ws/room"), 426, "proxy that drops");
    says(&raw_http(program.address, b"GET /ws/room HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n"), 400, "");
    assert_eq!(http(program.address, "POST", "/ws/room", "", "").status, 405);
    assert_eq!(http(program.address, "GET", "/api/info", "", "").status, 405);
    assert_eq!((refused(program.address, "upgrade"), refused(program.address, "method")), (2, 2));
    assert_eq!(lines(program, "upgrade").len(), 2);
}

#[test]
fn a_password_in_an_origin_or_a_host_is_not_logged() {
    let mut program = Program::start(PRODUCTION);
    let long = format!("https://{}PW", "u:".repeat(300));
    let places = [
        "https://u:PW@x.example",
        "u:PW@x.example",
        "https://u:PW/PW?PW@x.example",
        "https://x.example/?token=PW",
        &long,
    ];
    let whole = String::from_utf8(upgrade_request("/ws/room", "")).unwrap();
    for place in places {
        assert_eq!(
            raw_http(program.address, &upgrade_request("/ws/room", &format!("Origin: {place}\r\n"))).status,
            403
        );
        let host = whole.replace("Host: localhost", &format!("Host: {place}"));
        assert_eq!(raw_http(program.address, host.as_bytes()).status, 400);
    }
    assert_eq!((refused(program.address, "origin"), refused(program.address, "host")), (5, 5));
    program.signal("TERM");
    assert_eq!(program.end().code(), Some(0));
    let log = program.log();
    assert!(log.contains("x.example") && !log.contains("PW"), "{log}");
}

#[test]
fn headers_that_a_proxy_dropped_are_logged_with_advice() {
    let program = Program::start(PRODUCTION);
    let whole = String::from_utf8(upgrade_request("/ws/room", "")).unwrap();
    let ask = |request: &str| raw_http(program.address, request.as_bytes());
    let (old, connection, upgrade) = ("HTTP/1.0\r\n", "Connection: Upgrade\r\n", "Upgrade: websocket\r\n");
    let older = whole.replace("HTTP/1.1\r\n", old);
    says(&ask(&older), 400, "proxy_http_version 1.1");
    says(&ask(&whole.replace(connection, "Connection: close\r\n")), 400, "proxy_set_header Connection upgrade");
    says(&ask(&whole.replace(upgrade, "")), 426, "proxy_set_header Upgrade $http_upgrade");
    says(&ask(&older.replace(connection, "").replace(upgrade, "")), 426, "proxy_set_header Upgrade $http_upgrade");
}

#[test]
fn frames_behind_a_refused_upgrade_are_no_requests() {
    let program = Program::start(PRODUCTION);
    let frame = common::frame(0x81, b"{}");
    for (path, headers, status) in [
        ("/ws/room", "Origin: http://evil.example\r\n", "403"),
        ("/ws/%23ann", "", "403"),
        ("/nowhere", "", "404"),
        ("/ws/room?positions=perhaps", "", "400"),
        ("/connection/websocket?format=protobuf", "", "400"),
    ] {
        let mut socket = std::net::TcpStream::connect(program.address).unwrap();
        socket.set_read_timeout(Some(common::PATIENCE)).unwrap();
        socket.write_all(&[upgrade_request(path, headers), frame.clone()].concat()).unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).expect("it is not reset");
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{path}: {answer}");
        assert!(answer.contains("connection: close\r\n"), "{path}: {answer}");
        assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{path}: {answer}");
    }
    assert_eq!((refused(program.address, "origin"), refused(program.address, "request")), (1, 0));
    assert!(lines(program, "request").is_empty());
}

#[test]
fn a_reached_limit_is_logged_by_its_name() {
    let program = Program::start(&[PRODUCTION, &["--connections", "1"]].concat());
    let path = format!("/ws/room?token={}", token(&json!({"sub": "ann"})));
    let _first = Client::connect(program.address, &path);
    let answer = raw_http(program.address, &upgrade_request(&path, ""));
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")));
    assert_eq!(refused(program.address, "limit"), 1);
    drop(_first);
    assert_eq!(lines(program, "limit")[0]["why"], "connections");
}

/// Ends the program and returns its lines that tell of proxies.
fn warned_of_proxies(mut program: Program) -> usize {
    program.signal("TERM");
    assert_eq!(program.end().code(), Some(0));
    let log = program.log();
    assert!(!log.contains("\"address\":\"192.0.2.9\""), "{log}");
    log.lines()
        .filter(|line| {
            line.contains("forwarding headers") && line.contains("trusted_proxies") && line.contains("127.0.0.1")
        })
        .count()
}

#[test]
fn a_client_behind_a_trusted_proxy_is_counted_and_logged_by_its_own_address() {
    let flags = ["--trusted-proxies", "127.0.0.1, 10.0.0.0/8", "--connections-per-ip", "1"];
    let program = Program::start(&[PRODUCTION, &flags].concat());
    let path = format!("/ws/room?token={}", token(&json!({"sub": "ann"})));
    let from = |headers: &str| raw_http(program.address, &upgrade_request(&path, headers));
    let stays = |headers: &str| Client::connect_with(program.address, &path, headers, b"");
    let _clients = [
        stays("X-Forwarded-For: 203.0.113.1\r\n"),
        stays("X-Forwarded-For: 203.0.113.1, 203.0.113.2\r\nX-Forwarded-For: 10.0.0.2\r\n"),
        stays("Forwarded: for=\"[2001:db8:0:1::7]:80\"\r\nX-Forwarded-For: 203.0.113.2\r\n"),
    ];
    for headers in ["X-Forwarded-For: 192.0.2.9, 203.0.113.2\r\n", "Forwarded: for=192.0.2.9, for=203.0.113.1\r\n"] {
        let answer = from(headers);
        assert_eq!(
            (answer.status, &answer.json()["error"]["limit"]),
            (429, &json!("connections_per_ip")),
            "{answer:?}"
        );
    }
    drop(_clients);
    let lines = lines(program, "limit");
    assert_eq!(lines[0]["address"], "203.0.113.2", "{lines:?}");
}

#[test]
fn an_ipv4_address_is_logged_the_same_through_an_ipv6_socket() {
    let program = Program::start_at(":0", PRODUCTION);
    let address = SocketAddr::from(([127, 0, 0, 1], program.address.port()));
    says(&get(address, "/nowhere"), 404, "/ws/<room>");
    let lines = lines(program, "path");
    assert_eq!(lines[0]["address"], "127.0.0.1", "{lines:?}");
}

#[test]
fn the_scheme_is_taken_from_a_trusted_proxy() {
    let flags =
        ["--api-key", KEY, "--token-secret", SECRET, "--trusted-proxies", "127.0.0.1", "--allow-anonymous", "true"];
    let program = Program::start(&flags);
    let page = |scheme: &str, says: &str| {
        let headers = format!("Origin: {scheme}://localhost\r\n{says}\r\n");
        raw_http(program.address, &upgrade_request("/ws/room", &headers))
    };
    for says in ["X-Forwarded-Proto: https", "Forwarded: for=203.0.113.7;proto=https"] {
        assert_eq!(page("https", says).status, 101);
        says_of_scheme(&page("http", says));
    }
    assert_eq!(page("http", "X-Forwarded-Proto: http").status, 101);
    says_of_scheme(&page("https", "X-Forwarded-Proto: http"));
}

fn says_of_scheme(answer: &Answer) {
    says(answer, 403, "X-Forwarded-Proto");
}

#[test]
fn untrusted_forwarded_headers_are_warned_of_once_a_minute() {
    for (flags, warnings) in [
        (&[][..], 1),
        (&["--trusted-proxies", "192.0.2.0/24"], 1),
        (&["--trusted-proxies", "127.0.0.0/8"], 0),
        (&["--dev", "true"], 0),
    ] {
        let program = Program::start(&[PRODUCTION, flags].concat());
        for header in ["X-Forwarded-For", "Forwarded", "X-Forwarded-Proto"] {
            let value = if warnings == 0 { "unknown" } else { "192.0.2.9" };
            assert_eq!(http(program.address, "GET", "/nowhere", &format!("{header}: {value}\r\n"), "").status, 404);
        }
        assert_eq!(warned_of_proxies(program), warnings, "{flags:?}");
    }
}

#[test]
fn a_line_about_a_refusal_is_one_line() {
    let mut program = Program::start(&["--api-key", KEY, "--token-secret", SECRET]);
    let headers = "Origin: http://\u{9b}2J\u{202e}evil\x1b[31m.example\r\n";
    let answer = raw_http(program.address, &upgrade_request("/ws/room", headers));
    assert_eq!(answer.status, if answer.body.is_empty() { 400 } else { 403 });
    let headers = "Origin: http://\u{9b}2J\u{202e}evil.example\r\n";
    assert_eq!(raw_http(program.address, &upgrade_request("/ws/room", headers)).status, 403);
    program.signal("TERM");
    assert_eq!(program.end().code(), Some(0));
    let log = program.log();
    assert!(log.contains("evil"), "{log}");
    assert!(!log.contains(['\u{9b}', '\u{202e}', '\u{1b}']), "{log:?}");
}

#[test]
fn input_that_is_not_http_is_logged() {
    let program = Program::start(PRODUCTION);
    // A browser that was sent to wss:// begins so.
    let mut socket = std::net::TcpStream::connect(program.address).unwrap();
    socket.write_all(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03").unwrap();
    wait_until("a count", || refused(program.address, "request") == 1);
    let lines = lines(program, "request");
    assert!(lines[0]["why"].as_str().unwrap().contains("TLS"), "{lines:?}");
}
