//! Probes: when the server is ready, when it is degraded, and who is told why.

#![allow(clippy::disallowed_methods, reason = "tests have their own clock")]

mod common;

use common::program::Program;
use common::{Answer, Client, KEY, api, ask, get, half_a_call, health, http, start, wait_until};
use parlor::config::Settings;
use parlor::server::Server;
use serde_json::json;
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};

const READY: &str = "/health/ready";

/// A server in production mode.
fn serve(change: impl FnOnce(&mut Settings)) -> Server {
    start(|settings| {
        (settings.dev, settings.allow_anonymous) = (Some(false), Some(true));
        change(settings);
    })
}

fn ready(address: SocketAddr, query: &str) -> (u16, String) {
    let Answer { status, body, .. } = get(address, &format!("{READY}{query}"));
    (status, body)
}

fn with_key(address: SocketAddr, query: &str, key: &str) -> Answer {
    http(address, "GET", &format!("{READY}{query}"), &format!("X-API-Key: {key}\r\n"), "")
}

fn metric(address: SocketAddr, name: &str) -> String {
    let page = http(address, "GET", "/metrics", &format!("X-API-Key: {KEY}\r\n"), "").body;
    let line = page.lines().find_map(|line| line.strip_prefix(&format!("{name} ")));
    line.unwrap_or_else(|| panic!("{name} is missing")).into()
}

#[test]
fn a_full_server_is_degraded_and_takes_what_comes() {
    let server = serve(|settings| {
        settings.internal_listen = Some("127.0.0.1:0".parse().unwrap());
        settings.limits.connections = 2;
    });
    let (public, internal) = (server.address(), server.internal_addresses()[0]);
    let first = Client::connect(public, "/ws/a");
    assert_eq!((ready(public, ""), ready(internal, "")), ((200, "ok".into()), (200, "ok".into())));
    assert_eq!((metric(internal, "parlor_ready"), metric(internal, "parlor_degraded")), ("1".into(), "0".into()));
    let second = Client::connect(public, "/ws/a");
    assert_eq!(ready(public, ""), (200, "degraded".into()));
    let reasons = "degraded: connections (2 are open, of at most 2)";
    assert_eq!(ready(internal, ""), (200, reasons.into()));
    for (address, length) in [(public, "degraded".len()), (internal, reasons.len())] {
        let head = http(address, "HEAD", READY, "", "");
        assert_eq!((head.status, head.header("content-length")), (200, Some(&*length.to_string())));
    }
    assert_eq!((metric(internal, "parlor_ready"), metric(internal, "parlor_degraded")), ("1".into(), "1".into()));
    let said = health(internal);
    assert_eq!((&said["status"], &said["checks"]["shard"]), (&json!("degraded"), &json!("ok")));
    assert_eq!(said["checks"]["connections"], "2 are open, of at most 2");
    drop((first, second));
    wait_until("a place", || ready(public, "") == (200, "ok".into()));
    assert_eq!(health(internal)["status"], "ok");
}

#[test]
fn an_idle_server_stays_ready_since_what_its_canary_publishes_comes_back() {
    let server = serve(|settings| settings.internal_listen = Some("127.0.0.1:0".parse().unwrap()));
    let internal = server.internal_addresses()[0];
    std::thread::sleep(std::time::Duration::from_millis(3500));
    let (status, lines) = ready(internal, "?verbose");
    assert!(status == 200 && lines.contains("[+]canary ok"), "{lines}");
    let said = health(internal);
    assert_eq!((&said["connections"], &said["rooms"]), (&json!(0), &json!(0)), "nobody is there");
    assert_eq!(metric(internal, "parlor_memberships"), "0");
}

#[test]
fn a_strict_server_is_not_ready_where_it_is_full() {
    let server = serve(|settings| (settings.ready_strict, settings.limits.connections) = (true, 1));
    let address = server.address();
    assert_eq!(ready(address, ""), (200, "ok".into()));
    let client = Client::connect(address, "/ws/a");
    let answer = get(address, READY);
    assert_eq!((answer.status, &*answer.body, answer.header("retry-after")), (503, "degraded", Some("1")));
    assert_eq!((metric(address, "parlor_ready"), metric(address, "parlor_degraded")), ("0".into(), "1".into()));
    assert_eq!(ready(address, "?exclude=connections"), (200, "degraded".into()), "the word is that of all checks");
    assert_eq!(with_key(address, "?exclude=connections", KEY).body, "ok");
    drop(client);
    wait_until("a place", || ready(address, "").0 == 200);
}

#[test]
fn all_checks_are_listed_for_who_may_know() {
    let server = serve(|settings| settings.limits.connections = 1);
    let address = server.address();
    let _client = Client::connect(address, "/ws/a");
    let listed = with_key(address, "?verbose", KEY);
    let lines: Vec<&str> = listed.body.lines().collect();
    let full = "[-]connections 1 are open, of at most 1";
    let start = ["[+]shutdown ok", "[+]shard ok", "[+]token_keys ok", "[+]canary ok", full];
    assert_eq!((listed.status, &lines[..5], lines.last()), (200, &start[..], Some(&"degraded")));
    assert!(lines[5..lines.len() - 1].iter().all(|line| line.starts_with("[+]") && line.ends_with(" ok")), "{lines:?}");
    assert_eq!(listed.header("content-type"), Some("text/plain"));
    let excluded = with_key(address, "?verbose=1&exclude=connections", KEY).body;
    assert!(excluded.contains("\n[+]connections excluded: ok\n") && excluded.ends_with("\nok"), "{excluded}");
    // Who may not know more gets the word, and is answered all the same.
    for query in ["?verbose", "?verbose&exclude=nothing", "?exclude=connections", "?exclude=logs", "?x=1&exclude=%22"] {
        assert_eq!(ready(address, query), (200, "degraded".into()), "{query}");
    }
}

#[test]
fn an_unknown_check_is_named_and_leaves_out_nothing() {
    let server = start(|settings| settings.limits.connections = 1);
    let address = server.address();
    let _client = Client::connect(address, "/ws/a");
    let (status, body) = ready(address, "?exclude=conections&exclude=shard");
    assert_eq!(status, 200);
    let expected = "degraded: connections (1 are open, of at most 1)\n\
        warning: no check is called \"conections\", so that none is left out; there are shutdown, shard, token_keys, canary, connections,";
    assert!(body.starts_with(expected), "{body}");
    assert_eq!(ready(address, "?exclude=open_files&exclude=connections&whatever"), (200, "ok".into()));
}

#[test]
fn a_wrong_key_at_a_probe_counts_and_learns_nothing() {
    let server = serve(|_| ());
    let address = server.address();
    let refused = || health(address)["totals"]["refused"]["key"].clone();
    assert_eq!(
        (ready(address, "?verbose"), refused()),
        ((200, "ok".into()), json!(0)),
        "who sends none guesses nothing"
    );
    let answer = with_key(address, "?verbose", "another-key-of-16");
    assert_eq!((answer.status, &*answer.body, refused()), (200, "ok", json!(1)));
    let apart = serve(|settings| settings.internal_listen = Some("127.0.0.1:0".parse().unwrap()));
    assert_eq!(with_key(apart.address(), "?verbose", KEY).body, "ok", "details are at internal_listen");
    assert!(ready(apart.internal_addresses()[0], "?verbose").1.starts_with("[+]shutdown ok\n"));
}

#[test]
fn probes_are_answered_where_there_is_no_place_for_a_request() {
    let server = serve(|settings| {
        (settings.limits.http_connections, settings.limits.probe_connections) = (2, 2);
        settings.limits.request_timeout = common::PATIENCE;
    });
    let address = server.address();
    let calls = [half_a_call(address), half_a_call(address)];
    for _ in 0..5 {
        assert_eq!(ready(address, ""), (200, "degraded".into()));
        assert_eq!(http(address, "HEAD", "/health/live", "", "").status, 200);
    }
    for path in ["/health", "/api/info", "/ws/a"] {
        let answer = http(address, "GET", path, &format!("X-API-Key: {KEY}\r\n"), "");
        assert_eq!((answer.status, &answer.json()["error"]["limit"]), (503, &json!("http_connections")), "{path}");
        assert_eq!((answer.header("retry-after"), answer.header("connection")), (Some("1"), Some("close")), "{path}");
    }
    // Sockets without a request do not keep probes out.
    let _silent: Vec<TcpStream> = (0..20).map(|_| common::connect(address)).collect();
    for _ in 0..5 {
        assert_eq!(ready(address, "").0, 200);
    }
    for mut call in calls {
        assert_eq!(ask(&mut call, b"{}").status, 200);
    }
    wait_until("a place", || api(address, "info", &json!({})).status == 200);
    assert!(common::hits(address, "probe_connections") > 0);
}

#[test]
fn a_server_is_full_once_it_would_refuse_a_socket() {
    let server = serve(|settings| {
        (settings.ready_strict, settings.limits.http_connections) = (true, 2);
        settings.limits.request_timeout = common::PATIENCE;
    });
    let address = server.address();
    // Each that comes displaces one of these.
    let _silent = [(); 2].map(|()| common::connect(address));
    assert_eq!((ready(address, ""), metric(address, "parlor_degraded")), ((200, "ok".into()), "0".into()));
    let mut call = half_a_call(address);
    // The only other place is that of the socket that asks.
    assert_eq!((ready(address, ""), metric(address, "parlor_degraded")), ((200, "ok".into()), "0".into()));
    let _second = half_a_call(address);
    assert_eq!(ready(address, ""), (503, "degraded".into()));
    assert_eq!(ask(&mut call, b"{}").status, 200);
    wait_until("a place", || ready(address, "") == (200, "ok".into()));
}

#[test]
fn a_server_that_runs_out_of_descriptors_says_so_while_it_can() {
    if std::fs::metadata("/proc/self/fd").is_ok_and(|folder| folder.len() == 0) {
        // The kernel does not keep their number, and to count them takes too long.
        return;
    }
    let mut command = Command::new("sh");
    command.args(["-c", r#"ulimit -n 64; exec "$0" --listen 127.0.0.1:0"#, env!("CARGO_BIN_EXE_parlor")]);
    let program = Program::run(&mut command, Stdio::piped());
    assert_eq!(ready(program.address, ""), (200, "ok".into()));
    let clients: Vec<Client> = (0..32).map(|_| Client::connect(program.address, "/ws/a")).collect();
    let (status, body) = ready(program.address, "");
    assert!(status == 200 && body.starts_with("degraded: open_files (") && body.contains(", of at most 64"), "{body}");
    drop(clients);
    wait_until("free descriptors", || ready(program.address, "") == (200, "ok".into()));
}
