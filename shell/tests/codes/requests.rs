//! Answers to HTTP requests and upgrades.

use super::*;
use std::num::NonZeroUsize;

pub fn upgraded() {
    let mut world = World::new();
    // One client sends an empty header, and says its first word before it has read the answer.
    let early = frame(0x80 | TEXT, br#"{"id":1,"connect":{}}"#);
    let empty = "Sec-WebSocket-Protocol: \r\n";
    let mut client = Client::connect_with(world.address, "/connection/websocket", empty, &early);
    assert!(client.head.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "the key's digest, as in RFC 6455: {}", client.head);
    assert!(!client.head.to_lowercase().contains("sec-websocket-protocol"), "{}", client.head);
    assert_eq!(client.receive()["id"], 1);

    let json = "Sec-WebSocket-Protocol: centrifuge-json\r\n";
    let client = Client::connect_with(world.address, "/connection/websocket", json, b"");
    assert!(client.head.to_lowercase().contains("sec-websocket-protocol: centrifuge-json"), "{}", client.head);

    let token = token(&json!({"sub": "client"}));
    for header in [format!("Authorization: Bearer {token}\r\n"), format!("Sec-WebSocket-Protocol: bearer.{token}\r\n")]
    {
        let mut client = Client::connect_with(world.address, "/ws/room", &header, b"");
        assert_eq!(client.receive()["authenticated"], true, "with {header}");
        let offered = header.starts_with("Sec");
        assert_eq!(client.head.contains(&format!("bearer.{token}")), offered, "{}", client.head);
        let mut client = Client::connect_with(world.address, "/connection/websocket", &header, b"");
        let reply = client.ask(&json!({"id": 1, "connect": {}}));
        assert!(reply["connect"]["subs"].get("#client").is_some(), "json is known by it too, with {header}: {reply}");
    }
    world.is_unaffected();
}

pub fn healthy() {
    let mut world = World::new();
    world.is_unaffected();
    let health = health(world.address);
    for (key, value) in [("status", json!("ok")), ("connections", json!(1)), ("users", json!(1)), ("rooms", json!(2))] {
        assert_eq!(health[key], value, "{key} in {health}");
    }
    assert_eq!(health["totals"]["published"], 1, "{health}");
    assert_eq!(health["rates"]["1m"]["send_success"], 1.0, "{health}");
    for path in ["/health/live", "/health/ready"] {
        assert_eq!(get(world.address, path).status, 200, "{path}");
    }
    assert_eq!(http(world.address, "HEAD", "/health", "", "").status, 200);
}

pub fn refuses(mut world: World, request: &[u8], status: u16) -> String {
    let answer = raw_http(world.address, request);
    assert_eq!(answer.status, status, "{answer:?}");
    world.is_unaffected();
    answer.head.to_lowercase()
}

pub fn upgrade_without_key() {
    let request = String::from_utf8(upgrade_request("/ws/room", "")).unwrap();
    refuses(World::new(), request.replace("Sec-WebSocket-Key", "X-Key").as_bytes(), 400);
    refuses(World::new(), request.replace("Connection: Upgrade", "Connection: close").as_bytes(), 400);
}

pub fn bad_room_in_url() {
    refuses(World::new(), &upgrade_request("/ws/room%0A", ""), 400);
    refuses(World::new(), &upgrade_request("/ws?room=", ""), 400);
}

pub fn too_much_in_url() {
    let mut world = World::with(|settings| settings.limits.rooms_per_connection = 2);
    let parameters = format!("/ws/room?{}", "a&".repeat(500));
    for (path, limit) in [
        ("/ws?room=a&room=b&room=c", "rooms_per_connection"),
        (&parameters, "url_parameters"),
        (&long_path(), "room_name_bytes"),
        ("/ws/room?history=101", "url_history"),
    ] {
        let answer = raw_http(world.address, &upgrade_request(path, ""));
        assert_eq!((answer.status, &answer.json()["error"]["limit"]), (400, &json!(limit)), "{answer:?}");
        assert_eq!(hits(world.address, limit), 1);
    }
    world.is_unaffected();
}

pub fn long_path() -> String {
    format!("/ws/{}", "x".repeat(201))
}

pub fn bad_switch_in_url() {
    for query in ["positions=1", "greeting=no"] {
        refuses(World::new(), &upgrade_request(&format!("/ws/room?{query}"), ""), 400);
    }
}

pub fn bad_since_in_url() {
    for query in ["since=1", "since=epoch:", "since=epoch:-1", "since=epoch:x"] {
        refuses(World::new(), &upgrade_request(&format!("/ws/room?{query}"), ""), 400);
    }
    refuses(World::new(), &upgrade_request("/ws?room=a&room=b&since=epoch:1", ""), 400);
    refuses(World::new(), &upgrade_request("/ws/room?since=epoch:1&history=1", ""), 400);
}

pub fn bad_history_in_url() {
    for query in ["history=101", "history=-1", "history=all"] {
        refuses(World::new(), &upgrade_request(&format!("/ws/room?{query}"), ""), 400);
    }
}

pub fn bad_error_mode() {
    let mut world = World::new();
    let answer = http(world.address, "POST", "/api/info", &format!("{WITH_KEY}X-Centrifugo-Error-Mode: both\r\n"), "");
    let error = &answer.json()["error"];
    assert_eq!((answer.status, &error["code"]), (400, &json!(107)), "{answer:?}");
    assert!(error["message"].as_str().unwrap().contains("transport or body"), "{answer:?}");
    world.is_unaffected();
}

pub fn no_key() {
    let mut world = World::new();
    let answer = http(world.address, "POST", "/api/info", "", "{}");
    assert_eq!((answer.status, answer.header("www-authenticate")), (401, Some("apikey, Bearer")), "{answer:?}");
    world.is_unaffected();
}

pub fn foreign_origin() {
    refuses(World::new(), &upgrade_request("/ws/room", "Origin: https://evil.example.com\r\n"), 403);
}

pub fn reserved_room_in_url() {
    refuses(World::new(), &upgrade_request("/ws/%23client", ""), 403);
}

pub fn unknown_path() {
    refuses(World::new(), &upgrade_request("/nowhere", ""), 404);
    refuses(World::new(), &upgrade_request("/ws/no/such/route", ""), 404);
}

pub fn wrong_http_method() {
    let mut world = World::new();
    for (method, path, allowed) in
        [("PUT", "/health", "GET, HEAD"), ("GET", "/api/publish", "POST"), ("POST", "/ws/room", "GET")]
    {
        let answer = http(world.address, method, path, "", "");
        assert_eq!((answer.status, answer.header("allow")), (405, Some(allowed)), "{answer:?}");
    }
    world.is_unaffected();
}

pub fn impatient() -> World {
    World::with(|settings| settings.limits.request_timeout = Duration::from_millis(200))
}

pub fn half_a_request() {
    refuses(impatient(), b"GET /ws/room HTTP/1.1\r\nHost: localhost\r\nConnection: Upg", 408);
    refuses(impatient(), b"", 408);
}

pub fn half_a_body() {
    let request = format!("POST /api/info HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n{WITH_KEY}\r\n{{");
    refuses(impatient(), request.as_bytes(), 408);
}

pub fn small_body() -> World {
    World::with(|settings| settings.limits.api_body_bytes = 100)
}

pub fn large_body() {
    let mut world = small_body();
    let answer = http(world.address, "POST", "/api/info", WITH_KEY, &" ".repeat(101));
    let error = &answer.json()["error"];
    assert_eq!(
        (answer.status, &error["code"], &error["limit"]),
        (413, &json!(106), &json!("api_body_bytes")),
        "{answer:?}"
    );
    let in_body = format!("{WITH_KEY}X-Centrifugo-Error-Mode: body\r\n");
    let answer = http(world.address, "POST", "/api/info", &in_body, &" ".repeat(101));
    assert_eq!((answer.status, &answer.json()["error"]["code"]), (200, &json!(106)), "{answer:?}");
    assert_eq!(hits(world.address, "api_body_bytes"), 2);
    world.is_unaffected();
}

pub fn large_chunked_body() {
    let chunk = format!("40\r\n{}\r\n", " ".repeat(0x40));
    let head = format!("POST /api/info HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n{WITH_KEY}\r\n");
    refuses(small_body(), [head, chunk.repeat(100)].concat().as_bytes(), 413);
}

pub fn not_an_upgrade() {
    let head = refuses(World::new(), b"GET /ws/room HTTP/1.1\r\nHost: localhost\r\n\r\n", 426);
    assert!(head.contains("upgrade: websocket"), "{head}");
}

pub fn old_version() {
    let request = String::from_utf8(upgrade_request("/ws/room", "")).unwrap();
    let head = refuses(World::new(), request.replace("Version: 13", "Version: 8").as_bytes(), 426);
    assert!(head.contains("sec-websocket-version: 13"), "{head}");
}

pub fn endless_headers() {
    let mut request = b"GET /ws/room HTTP/1.1\r\nHost: localhost\r\n".to_vec();
    while request.len() < 200_000 {
        request.extend(b"X-Header: and so on, and so on, and so on\r\n");
    }
    let mut world = World::new();
    assert_eq!(raw_http(world.address, &request).status, 431);
    wait_until("the count of it", || hits(world.address, "header_bytes") == 1);
    world.is_unaffected();
}

/// The bystander and another client are there, and no third one may be.
pub fn refuses_a_third(change: impl FnOnce(&mut Settings), status: u16, limit: &str) -> World {
    let mut world = World::with(change);
    let second = Client::connect(world.address, "/ws/room");
    let answer = raw_http(world.address, &upgrade_request("/ws/room", ""));
    assert_eq!((answer.status, &answer.json()["error"]["limit"]), (status, &json!(limit)), "{answer:?}");
    assert_eq!(answer.header("retry-after"), Some("1"), "{answer:?}");
    assert_eq!(hits(world.address, limit), 1);
    assert_ne!(health(world.address)["limits"][limit], "off");
    world.is_unaffected();
    drop(second);
    world
}

pub fn can_connect(world: &World) -> bool {
    raw_http(world.address, &upgrade_request("/ws/room", "")).status == 101
}

pub fn too_many_connections() {
    let world = refuses_a_third(|settings| settings.limits.connections = 2, 503, "connections");
    wait_until("a free place", || can_connect(&world));
}

pub fn too_many_from_an_address() {
    let world = refuses_a_third(
        |settings| settings.limits.connections_per_ip = NonZeroUsize::new(2),
        429,
        "connections_per_ip",
    );
    wait_until("a free place", || can_connect(&world));
}

pub const TWO: Rate = Rate { per_second: 1, burst: 2 };

pub fn too_fast() {
    let world = refuses_a_third(|settings| settings.limits.new_connections = TWO, 503, "new_connections");
    wait_until("another one's time", || can_connect(&world));
}

/// Where addresses of this machine are counted like others.
pub fn in_production(settings: &mut Settings) {
    (settings.dev, settings.allow_anonymous) = (Some(false), Some(true));
}

pub fn too_fast_from_an_address() {
    let change = |settings: &mut Settings| {
        in_production(settings);
        settings.limits.new_connections_per_ip = TWO;
    };
    let world = refuses_a_third(change, 429, "new_connections_per_ip");
    wait_until("another one's time", || can_connect(&world));
}

pub fn too_many_sockets() {
    let mut world = World::with(|settings| settings.limits.http_connections = 1);
    let mut call = half_a_call(world.address);
    let answer = raw_http(world.address, b"GET /ws/a HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!((answer.status, &answer.json()["error"]["limit"]), (503, &json!("http_connections")), "{answer:?}");
    assert_eq!(answer.header("retry-after"), Some("1"), "{answer:?}");
    assert_eq!(ask(&mut call, b"{}").status, 200);
    wait_until("a look at the counts", || get(world.address, "/health").status == 200);
    assert!(hits(world.address, "http_connections") >= 1);
    world.is_unaffected();
}

pub fn too_many_probes() {
    let mut world = World::with(|settings| {
        (settings.limits.http_connections, settings.limits.probe_connections) = (1, 1);
    });
    let mut call = half_a_call(world.address);
    let mut silent = TcpStream::connect(world.address).unwrap();
    assert_eq!(get(world.address, "/health/ready").status, 200);
    let mut answer = String::new();
    silent.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains(r#""limit":"probe_connections""#), "{answer}");
    assert_eq!(ask(&mut call, b"{}").status, 200);
    wait_until("a place", || get(world.address, "/health").status == 200);
    assert_eq!(hits(world.address, "probe_connections"), 1);
    world.is_unaffected();
}

pub fn too_many_sockets_from_an_address() {
    let mut world = World::with(|settings| {
        in_production(settings);
        settings.limits.http_connections_per_ip = NonZeroUsize::new(2);
    });
    let silent = [(); 2].map(|()| TcpStream::connect(world.address).unwrap());
    let answer = raw_http(world.address, b"");
    let limit = "http_connections_per_ip";
    assert_eq!((answer.status, &answer.json()["error"]["limit"]), (429, &json!(limit)), "{answer:?}");
    assert_eq!(answer.header("retry-after"), Some("1"), "{answer:?}");
    let look = b"GET /health/live HTTP/1.1\r\nHost: a\r\n\r\n";
    assert_eq!(ask(&mut connect_from([127, 0, 0, 2], world.address), look).status, 200, "it is another client");
    drop(silent);
    wait_until("a free place", || get(world.address, "/health/live").status == 200);
    wait_until("the end of all others", || health(world.address)["http_connections"] == 1);
    assert_eq!(hits(world.address, limit), 1);
    world.is_unaffected();
}

pub fn refused_while_stopping() {
    let world = World::new();
    let mut client = world.client();
    world.server.stop();
    // This one takes its time to say goodbye, and keeps the server up.
    assert_eq!(client.close().0, 3001);
    assert_eq!(raw_http(world.address, &upgrade_request("/ws/room", "")).status, 503);
    assert_eq!(get(world.address, "/health/ready").status, 503);
    assert_eq!(get(world.address, "/health/live").status, 200);
    assert_eq!(health(world.address)["status"], "stopping");
    client.send_close(3001);
    client.end();
    drop(client);
    world.server.wait().unwrap();
}
