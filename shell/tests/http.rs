//! HTTP besides API calls: the document that describes it, counts, and the life of a socket.

#![allow(clippy::disallowed_methods, reason = "tests have their own clock")]

mod common;

use common::{
    Client, KEY, World, api, ask, connect_from, get, health, hits, http, raw_http, start, upgrade_request, wait_until,
};
use parlor_core::api::json::METHODS;
use parlor_core::limits::Rate;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::num::NonZeroUsize;
use std::path::Path;
use std::time::{Duration, Instant};

/// The fields of an object.
fn keys(value: &Value) -> BTreeSet<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn the_document_is_served_and_describes_health() {
    let world = World::new();
    let answer = get(world.address, "/openapi.json");
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")), "{}", answer.head);
    let document = answer.json();
    assert_eq!(http(world.address, "POST", "/openapi.json", "", "").header("allow"), Some("GET, HEAD"));
    let described = &document["components"]["schemas"]["health"]["properties"];
    assert_eq!(keys(described), keys(&health(world.address)));
}

#[test]
fn health_and_the_api_list_all_limits() {
    let server = start(|settings| settings.limits.connections_per_ip = NonZeroUsize::new(7));
    let alone = api(server.address(), "limits", &json!({})).json();
    let batched = api(server.address(), "batch", &json!({"commands": [{"info": {}}, {"limits": {}}]})).json();
    let limits = &alone["result"]["limits"];
    assert_eq!(limits["connections_per_ip"], json!({"value": "7", "answer": "429"}));
    assert_eq!(limits["http_connections"], json!({"value": "10000", "answer": "503"}));
    assert_eq!(&batched["replies"][1]["limits"]["limits"], limits);
    let in_health = health(server.address())["limits"].clone();
    for (limit, value) in in_health.as_object().unwrap() {
        assert_eq!(&limits[limit]["value"], value, "{limit}");
    }
    assert!(keys(&in_health).contains("new_connections_per_ip"), "{in_health}");
}

#[test]
fn a_limit_is_counted_at_every_place_that_checks_it() {
    let server = start(|settings| settings.limits.publication_bytes = 100);
    let publish = |message: Value| {
        let answer = api(server.address(), "publish", &message);
        assert_eq!((answer.status, &answer.json()["error"]["limit"]), (413, &json!("publication_bytes")), "{answer:?}");
    };
    // The one is too large when it is read, the other when it is put together.
    publish(json!({"channel": "room", "data": "x".repeat(99)}));
    publish(json!({"channel": "room", "data": "x".repeat(90), "tags": {"name": "value"}}));
    assert_eq!(hits(server.address(), "publication_bytes"), 2);
}

#[test]
fn a_client_that_ends_its_side_after_a_request_is_answered() {
    let server = start(|_| ());
    let call = |method: &str, body: Value| {
        let body = body.to_string();
        let length = body.len();
        let head = format!("POST /api/{method} HTTP/1.1\r\nHost: a\r\nX-API-Key: {KEY}\r\nContent-Length: {length}");
        format!("{head}\r\n\r\n{body}")
    };
    let publication = json!({"channel": "room", "data": "hello"});
    let short = call("publish", publication.clone());
    // It takes more than one turn, so that the end is seen before the answer is there.
    let long = call("batch", json!({"commands": vec![json!({"publish": publication}); 1000]}));
    for (request, calls) in [(&short, 1), (&short.repeat(2), 2), (&long, 1)].into_iter().cycle().take(30) {
        let answers = ended(server.address(), request);
        assert_eq!(answers.matches("HTTP/1.1 200 ").count(), calls, "{answers}");
    }
    assert_eq!(health(server.address())["totals"]["published"], 10 * (1 + 2 + 1000));
}

#[test]
fn a_client_that_ends_its_side_within_a_request_is_not_waited_for() {
    let server = start(|settings| settings.limits.request_timeout = Duration::from_secs(60));
    let head = format!("POST /api/publish HTTP/1.1\r\nHost: a\r\nX-API-Key: {KEY}\r\nContent-Length: 10\r\n\r\n");
    for request in [&head[..], &head[..30], ""] {
        let start = Instant::now();
        let answer = ended(server.address(), request);
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400 "), "{answer}");
        assert!(start.elapsed() < Duration::from_secs(10), "{request:?} took {:?}", start.elapsed());
    }
}

/// Everything that is answered to a client that sends this and ends its side.
fn ended(address: std::net::SocketAddr, request: &str) -> String {
    let mut socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(common::PATIENCE)).unwrap();
    socket.write_all(request.as_bytes()).unwrap();
    socket.shutdown(std::net::Shutdown::Write).unwrap();
    let mut answers = String::new();
    socket.read_to_string(&mut answers).unwrap();
    answers
}

#[test]
fn a_broadcast_to_as_many_rooms_as_are_allowed_is_answered_for_each() {
    let server = start(|_| ());
    let rooms = vec!["a"; 10_000];
    let answer = api(server.address(), "broadcast", &json!({"channels": rooms, "data": 1})).json();
    assert_eq!(answer["result"]["responses"].as_array().unwrap().len(), rooms.len());
}

#[test]
fn a_configured_error_mode_gives_way_to_that_of_the_request() {
    let server = start(|settings| settings.api_error_mode = parlor::config::ApiErrorMode::Body);
    let dance = |more: &str| {
        let headers = format!("X-API-Key: {KEY}\r\n{more}");
        let answer = http(server.address(), "POST", "/api/dance", &headers, "{}");
        assert_eq!(answer.json()["error"]["code"], 104, "{answer:?}");
        answer.status
    };
    assert_eq!(dance(""), 200);
    assert_eq!(dance("X-Centrifugo-Error-Mode: transport\r\n"), 404);
    assert_eq!(http(server.address(), "POST", "/api/dance", "", "{}").status, 401);
}

#[test]
fn a_request_for_a_favicon_is_not_an_error() {
    let server = start(|_| ());
    let answer = get(server.address(), "/favicon.ico");
    assert_eq!((answer.status, answer.body.as_str()), (204, ""), "{answer:?}");
    assert_eq!(http(server.address(), "POST", "/favicon.ico", "", "").status, 405);
}

#[test]
fn a_socket_that_is_silent_between_two_requests_is_closed() {
    let server = start(|settings| settings.limits.idle_timeout = Duration::from_millis(200));
    let mut socket = TcpStream::connect(server.address()).unwrap();
    socket.set_read_timeout(Some(common::PATIENCE)).unwrap();
    socket.write_all(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert_eq!(hits(server.address(), "idle_timeout"), 1);
}

#[test]
fn a_socket_that_stays_after_its_last_answer_is_dropped() {
    let server = start(|settings| settings.limits.linger_timeout = Duration::from_millis(50));
    let mut socket = TcpStream::connect(server.address()).unwrap();
    socket.write_all(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    wait_until("the end of the socket", || hits(server.address(), "linger_timeout") == 1);
}

#[test]
fn a_client_that_is_refused_while_it_sends_gets_its_answer() {
    let server = start(|settings| {
        settings.limits.api_body_bytes = 2000;
        settings.limits.linger_timeout = common::PATIENCE;
    });
    // More than the system takes for a socket that is not read from.
    let body = " ".repeat(32 << 20);
    for (key, status) in [(KEY, "413"), ("another-key-of-16", "401")] {
        let length = body.len();
        let head =
            format!("POST /api/info HTTP/1.1\r\nHost: a\r\nX-API-Key: {key}\r\nContent-Length: {length}\r\n\r\n");
        let mut socket = silent(server.address());
        socket.write_all((head + &body).as_bytes()).expect("a body that is not wanted is read");
        socket.shutdown(std::net::Shutdown::Write).unwrap();
        let answer = rest(socket);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
    }
}

const LOOK: &[u8] = b"GET /health/live HTTP/1.1\r\nHost: a\r\n\r\n";

/// A socket that was answered, and stays open.
fn idle(address: SocketAddr, request: &[u8]) -> TcpStream {
    let mut socket = silent(address);
    assert_eq!(ask(&mut socket, request).status, 200);
    socket
}

fn silent(address: SocketAddr) -> TcpStream {
    let socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(common::PATIENCE)).unwrap();
    socket
}

/// Everything that still comes, to the end.
fn rest(mut socket: TcpStream) -> String {
    let mut rest = String::new();
    socket.read_to_string(&mut rest).unwrap();
    rest
}

#[test]
fn sockets_without_requests_are_displaced_first() {
    let server = start(|settings| settings.limits.http_connections = 3);
    let address = server.address();
    let call = format!("POST /api/info HTTP/1.1\r\nHost: a\r\nX-API-Key: {KEY}\r\nContent-Length: 2\r\n\r\n{{}}");
    let mut backend = idle(address, call.as_bytes());
    let first = idle(address, LOOK);
    let mute = silent(address);
    // What has just come is given a while to say what it wants.
    std::thread::sleep(std::time::Duration::from_millis(1100));
    let second = idle(address, LOOK);
    let answer = rest(mute);
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("http_connections"), "{answer}");
    let mut third = idle(address, LOOK);
    assert_eq!(rest(first), "", "it was answered, and has asked for nothing");
    let _fourth = idle(address, LOOK);
    assert_eq!(rest(second), "");
    assert_eq!((ask(&mut third, LOOK).status, ask(&mut backend, call.as_bytes()).status), (200, 200));
    // A socket is gone from the count before its client knows: only these are there.
    assert_eq!(ask(&mut third, b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n").json()["http_connections"], 3);
    assert_eq!(hits_by(&mut third), 3);
}

/// Hits of the limit of sockets, as a socket that is open sees them: another one would take a place.
fn hits_by(socket: &mut TcpStream) -> u64 {
    let health = ask(socket, b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n").json();
    health["totals"]["limits"]["http_connections"].as_u64().unwrap()
}

#[test]
fn a_socket_with_a_wrong_key_is_displaced() {
    let server = start(|settings| settings.limits.http_connections = 2);
    let address = server.address();
    let call = |key| format!("POST /api/info HTTP/1.1\r\nHost: a\r\nX-API-Key: {key}\r\nContent-Length: 2\r\n\r\n{{}}");
    let mut backend = idle(address, call(KEY).as_bytes());
    let mut pretender = silent(address);
    assert_eq!(ask(&mut pretender, call("another-key-of-16").as_bytes()).status, 401);
    let _newcomer = idle(address, LOOK);
    assert_eq!(rest(pretender), "");
    assert_eq!(ask(&mut backend, call(KEY).as_bytes()).status, 200);
}

#[test]
fn a_socket_that_goes_on_asking_stays_beyond_request_timeout() {
    let server = start(|settings| settings.limits.request_timeout = Duration::from_millis(500));
    let mut socket = silent(server.address());
    for _ in 0..4 {
        assert_eq!(ask(&mut socket, LOOK).status, 200);
        std::thread::sleep(Duration::from_millis(250));
    }
}

#[test]
fn sockets_with_one_request_do_not_exclude_others() {
    let server = start(|settings| settings.limits.http_connections = 20);
    let address = server.address();
    for request in [LOOK, b"", b"GET /health/live HTTP/1.1\r\nHo"] {
        let _hoard: Vec<TcpStream> = (0..60)
            .map(|_| {
                let mut socket = silent(address);
                socket.write_all(request).unwrap();
                socket
            })
            .collect();
        for _ in 0..5 {
            assert_eq!(get(address, "/health/live").status, 200);
            assert_eq!(api(address, "info", &json!({})).status, 200);
            assert_eq!(Client::connect(address, "/ws/room").receive()["type"], "connection");
        }
    }
    wait_until("places", || health(address)["http_connections"].as_u64().unwrap() <= 20);
}

#[test]
fn in_development_mode_this_machine_is_not_limited_by_address() {
    let server = start(|settings| {
        settings.limits.http_connections_per_ip = NonZeroUsize::new(1);
        settings.limits.new_connections_per_ip = Rate { per_second: 1, burst: 1 };
    });
    let _sockets = [(); 3].map(|()| idle(server.address(), LOOK));
    let _clients = [(); 3].map(|()| Client::connect(server.address(), "/ws/room"));
}

#[test]
fn sockets_of_a_trusted_proxy_are_not_counted_and_its_clients_are() {
    let server = start(|settings| {
        (settings.dev, settings.allow_anonymous) = (Some(false), Some(true));
        settings.trusted_proxies = "127.0.0.1".parse().unwrap();
        settings.limits.http_connections_per_ip = NonZeroUsize::new(1);
        settings.limits.new_connections_per_ip = Rate { per_second: 1, burst: 1 };
    });
    let _sockets = [(); 3].map(|()| idle(server.address(), LOOK));
    let from = |client: &str| {
        raw_http(server.address(), &upgrade_request("/ws/room", &format!("X-Forwarded-For: {client}\r\n"))).status
    };
    assert_eq!(["203.0.113.1", "203.0.113.2", "203.0.113.1"].map(from), [101, 101, 429]);
    assert_eq!(["2001:db8::1", "2001:db8:0:1::1", "[2001:db8::2]:80"].map(from), [101, 101, 429]);
}

#[test]
fn refused_upgrades_do_not_use_the_rate_of_new_connections() {
    let server = start(|settings| {
        settings.limits.connections_per_ip = NonZeroUsize::new(1);
        settings.limits.new_connections = Rate { per_second: 1, burst: 2 };
    });
    let address = server.address();
    let _first = Client::connect(address, "/ws/room");
    let (post, old) = (("GET /", "POST /"), ("Version: 13", "Version: 8"));
    for (path, headers, (from, to), status) in [
        ("/ws/room", "", post, 405),
        ("/ws/room", "", old, 426),
        ("/nowhere", "", ("", ""), 404),
        ("/ws/%23ann", "", ("", ""), 403),
        ("/ws/room", "Sec-WebSocket-Protocol: centrifuge-protobuf\r\n", ("", ""), 400),
        ("/ws/room", "Origin: http://evil.example\r\n", ("", ""), 403),
        ("/ws/room", "", ("", ""), 429),
    ] {
        let request = String::from_utf8(upgrade_request(path, headers)).unwrap().replace(from, to);
        for _ in 0..5 {
            assert_eq!(raw_http(address, request.as_bytes()).status, status, "{request}");
        }
    }
    let answer = ask(&mut connect_from([127, 0, 0, 2], address), &upgrade_request("/ws/room", ""));
    assert_eq!(answer.status, 101, "{answer:?}");
}

#[test]
fn the_table_of_limits_in_the_readme_is_that_of_the_server() {
    let mut table = String::from("\n| setting | default | what happens there |\n|---|---|---|\n");
    for row in parlor_core::Limits::default().rows() {
        table += &format!("| `{}` | {} | {} |\n", row.key, row.value, row.answer);
    }
    table += "\n";
    assert_generated("limits", &table);
}

#[test]
fn the_table_of_methods_in_the_readme_is_that_of_the_server() {
    let limits = parlor_core::Limits::default();
    let mut table = String::from("\n| method | body | result |\n|---|---|---|\n");
    for method in METHODS {
        let request = method.request(&limits);
        let required: Vec<&str> =
            request["required"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
        let is_in_table = |name: &str, schema: &Value| {
            let description = schema["description"].as_str().unwrap_or_default();
            !required.contains(&name) && !description.starts_with("Not supported")
        };
        let all = request["properties"].as_object().unwrap().iter();
        let optional = all.filter(|(name, schema)| is_in_table(name, schema)).map(|(name, _)| format!("`{name}`?"));
        let body: Vec<String> = required.iter().map(|name| format!("`{name}`")).chain(optional).collect();
        table += &format!("| `{}` | {} | {} |\n", method.name, body.join(", "), method.result);
    }
    table += "\n";
    assert_generated("methods", &table);
}

/// Compares a table with the one that the README has between two comments of this name.
fn assert_generated(name: &str, table: &str) {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    let readme = std::fs::read_to_string(readme).unwrap();
    let begin = format!("<!-- {name}: generated, checked by shell/tests/http.rs -->\n");
    let end = format!("<!-- {name} end -->");
    let written = readme.split_once(&begin).and_then(|(_, rest)| rest.split_once(&end)).map(|(table, _)| table);
    assert_eq!(written, Some(table), "write this between the two comments:\n{table}");
}

/// So many publications to a room, pipelined on one socket: `from` and a number each.
fn pipelined(address: SocketAddr, from: &str, count: usize) -> Vec<u8> {
    let request = |number: usize| {
        let body = json!({"channel": "turns", "data": [from, number]}).to_string();
        let length = body.len();
        format!(
            "POST /api/publish HTTP/1.1\r\nHost: {address}\r\nX-API-Key: {KEY}\r\nContent-Length: {length}\r\n\r\n{body}"
        )
    };
    (0..count).map(request).collect::<String>().into_bytes()
}

/// Of two sockets that have everything to ask at once, how often it is the other's turn: how many publications came while
/// both had some to come, and how many of them behind one of the other's.
fn turns(count: usize) -> (usize, usize) {
    let server = start(|_| {});
    let address = server.address();
    let mut member = Client::connect(address, "/ws/turns?greeting=off");
    let sockets = ["a", "b"].map(|from| {
        let mut socket = connect_from([127, 0, 0, 1], address);
        // It is known, and asks no first question any more.
        ask(&mut socket, &pipelined(address, from, 1));
        (socket, pipelined(address, from, count))
    });
    let writing = sockets.map(|(mut socket, requests)| {
        std::thread::spawn(move || {
            socket.write_all(&requests).unwrap();
            socket
        })
    });
    let said: Vec<String> = (0..2 * count + 2).map(|_| member.receive()[0].as_str().unwrap().to_owned()).collect();
    writing.into_iter().for_each(|writing| drop(writing.join().unwrap()));
    let both = both_are_there(&said[2..]);
    (both.len(), both.windows(2).filter(|two| two[0] != two[1]).count())
}

/// From the first word of the one that came later to the last of the one that ended sooner.
fn both_are_there(said: &[String]) -> &[String] {
    let first = |from: &str| said.iter().position(|word| word == from).unwrap();
    let last = |from: &str| said.iter().rposition(|word| word == from).unwrap();
    said.get(first("a").max(first("b"))..=last("a").min(last("b"))).unwrap_or_default()
}

#[test]
fn pipelined_requests_of_one_socket_take_turns_with_those_of_others() {
    // One may be through before the other has begun: that says nothing.
    let (both, turns) = (0..20).map(|_| turns(300)).find(|(both, _)| *both > 100).expect("both at once");
    println!("{turns} turns in {both}");
    assert!(turns * 2 > both, "of {both} publications only {turns} came behind one of the other's");
}
