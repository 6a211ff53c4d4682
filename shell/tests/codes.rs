//! Every close code, error code and HTTP status that the server can produce: what triggers it, and the proof.
//!
//! Each row is a test. Each has a member of another room beside it, which must not notice.

mod common;

use common::{
    BINARY, CLOSE, Client, PATIENCE, PING, TEXT, World, api, closed, frame, get, health, http, publish, raw_http,
    token, unix, upgrade_request, wait_until,
};
use parlor_core::code::{CloseReason, ErrorCode};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::net::TcpStream;
use std::time::Duration;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Code {
    /// In a Close frame.
    Close(u16),
    /// In a reply to a `json` command.
    Command(u16),
    /// In the body of an API call's answer.
    Api(u16),
    /// An HTTP status.
    Http(u16),
}
use Code::{Api, Close, Command, Http};

macro_rules! rows {
    ($($code:expr, $trigger:literal => $test:ident;)*) => {
        const ROWS: &[(Code, &str)] = &[$(($code, $trigger)),*];

        mod row {
            $(
                #[test]
                fn $test() {
                    super::$test();
                }
            )*
        }
    };
}

rows! {
    Close(1002), "a frame without a mask" => unmasked_frame;
    Close(1002), "a reserved bit" => reserved_bit;
    Close(1002), "a Close with a code that must not be sent" => forbidden_close_code;
    Close(1003), "a binary message" => binary_message;
    Close(1007), "text that is not UTF-8" => invalid_utf8;
    Close(1009), "a message over message_bytes" => oversize_message;
    Close(1009), "a fragmented message over message_bytes" => oversize_in_fragments;
    Close(3001), "the server stops" => shutdown;
    Close(3004), "a room of the URL that logs leaves no place for" => overloaded;
    Close(3005), "a token runs out" => expired_connection;
    Close(3008), "a client does not read while its room talks" => slow_client;
    Close(3009), "a client does not read for write_timeout" => no_write_progress;
    Close(3012), "no answer to a ping" => no_pong;
    Close(3500), "a token with a wrong signature" => invalid_token;
    Close(3500), "no token where one is required" => missing_token;
    Close(3500), "an algorithm that is not the configured one" => wrong_algorithm;
    Close(3501), "malformed JSON" => malformed_json;
    Close(3501), "a command before connect" => command_before_connect;
    Close(3502), "a client that does not say who it is" => stale;
    Close(3503), "the API disconnects a user" => disconnected;
    Close(3505), "a token with too many channels" => too_many_channels;

    Command(103), "a reserved room" => reserved_room;
    Command(103), "a publish where clients may not" => publish_not_allowed;
    Command(104), "an unknown command" => unknown_command;
    Command(105), "a second subscribe" => already_subscribed;
    Command(106), "a room more than rooms_per_connection" => too_many_rooms;
    Command(107), "a room's name that is too long" => long_room_name;
    Command(107), "a payload over publication_bytes" => large_publication;
    Command(108), "an rpc without a backend" => rpc;
    Command(109), "an expired token" => expired_token;

    Api(101), "a wrong key" => wrong_key;
    Api(104), "an unknown method" => unknown_method;
    Api(106), "a payload over publication_bytes" => large_api_publication;
    Api(107), "a body that is not JSON" => malformed_body;

    Http(101), "a valid upgrade request" => upgraded;
    Http(200), "a look at the health" => healthy;
    Http(400), "an upgrade request without a key" => upgrade_without_key;
    Http(400), "a room's name in the URL that cannot be" => bad_room_in_url;
    Http(401), "an API call without a key" => no_key;
    Http(403), "an origin that is not allowed" => foreign_origin;
    Http(404), "a path that leads nowhere" => unknown_path;
    Http(405), "a method that the path does not have" => wrong_http_method;
    Http(408), "half a request" => half_a_request;
    Http(408), "half a body" => half_a_body;
    Http(413), "a body over api_body_bytes" => large_body;
    Http(413), "a chunked body over api_body_bytes" => large_chunked_body;
    Http(426), "a plain GET on a WebSocket's path" => not_an_upgrade;
    Http(426), "an old WebSocket version" => old_version;
    Http(431), "headers without end" => endless_headers;
    Http(503), "a connection more than connections" => too_many_connections;
    Http(503), "a socket more than http_connections" => too_many_sockets;
    Http(503), "an upgrade and a readiness check while the server stops" => refused_while_stopping;
}

#[test]
fn every_code_has_a_row() {
    let rows: BTreeSet<Code> = ROWS.iter().map(|(code, _)| *code).collect();
    let mut missing = Vec::new();
    for reason in CloseReason::ALL {
        missing.extend(Some(Close(reason.code)).filter(|code| !rows.contains(code)));
    }
    let last = ErrorCode::TokenExpired.number();
    for code in (ErrorCode::Internal.number()..=last).filter_map(error_code) {
        let (in_commands, in_api) = produced(code);
        missing.extend(Some(Command(code.number())).filter(|code| in_commands != rows.contains(code)));
        missing.extend(Some(Api(code.number())).filter(|code| in_api != rows.contains(code)));
    }
    assert!(missing.is_empty(), "without a row, or with one too many: {missing:?}");
}

/// Whether a client can get this code in a reply, and a backend in an answer. A new code does not compile without a word here.
fn produced(code: ErrorCode) -> (bool, bool) {
    match code {
        // Nothing outside can make the server fail inside.
        ErrorCode::Internal => (false, false),
        ErrorCode::Unauthorized => (false, true),
        // Rooms come to be when they are named.
        ErrorCode::UnknownRoom => (false, false),
        ErrorCode::PermissionDenied => (true, false),
        ErrorCode::MethodNotFound => (true, true),
        ErrorCode::AlreadySubscribed => (true, false),
        ErrorCode::LimitExceeded => (true, true),
        ErrorCode::BadRequest => (true, true),
        ErrorCode::NotAvailable => (true, false),
        ErrorCode::TokenExpired => (true, false),
    }
}

fn error_code(number: u16) -> Option<ErrorCode> {
    use ErrorCode::*;
    let all = [
        Internal,
        Unauthorized,
        UnknownRoom,
        PermissionDenied,
        MethodNotFound,
        AlreadySubscribed,
        LimitExceeded,
        BadRequest,
        NotAvailable,
        TokenExpired,
    ];
    all.into_iter().find(|code| code.number() == number)
}

/// A `json` client is closed with this code when it sends these bytes, and nobody else is.
fn closes(mut world: World, bytes: &[u8], code: u16) {
    let mut client = world.client();
    client.send_raw(bytes);
    assert_eq!(client.close().0, code);
    drop(client);
    wait_until("the end of the connection", || closed(world.address, code) == 1);
    world.is_unaffected();
}

fn unmasked_frame() {
    closes(World::new(), &[0x81, 0x02, b'{', b'}'], 1002);
}

fn reserved_bit() {
    closes(World::new(), &frame(0xc1, b"{}"), 1002);
}

fn forbidden_close_code() {
    closes(World::new(), &frame(0x80 | CLOSE, &1005_u16.to_be_bytes()), 1002);
}

fn binary_message() {
    closes(World::new(), &frame(0x80 | BINARY, b"{}"), 1003);
}

fn invalid_utf8() {
    closes(World::new(), &frame(0x80 | TEXT, b"\"\xff\""), 1007);
}

fn oversize_message() {
    let world = World::with(|settings| settings.limits.message_bytes = 500);
    closes(world, &frame(0x80 | TEXT, &[b' '; 501]), 1009);
}

fn oversize_in_fragments() {
    let world = World::with(|settings| settings.limits.message_bytes = 500);
    closes(world, &[frame(TEXT, &[b' '; 300]), frame(0x80, &[b' '; 300])].concat(), 1009);
}

fn shutdown() {
    let world = World::new();
    let mut client = world.client();
    world.server.stop();
    assert_eq!(client.close(), (3001, "shutdown".into()));
    client.send_close(3001);
    client.end();
}

fn overloaded() {
    let mut world = World::with(|settings| settings.limits.logs = 2);
    // The bystander's room and its personal room are the two.
    let mut client = Client::connect(world.address, "/ws/third");
    assert_eq!(client.close().0, 3004);
    world.is_unaffected();
}

fn expired_connection() {
    let mut world = World::with(|settings| settings.limits.expiry_grace = Duration::ZERO);
    let mut client = Client::json(world.address, &token(&json!({"sub": "client", "exp": unix(1)})));
    assert_eq!(client.close().0, 3005);
    world.is_unaffected();
}

/// Publishes to the room `talk`, in which somebody does not read, until something has come of it.
fn talk_until(world: &World, mut enough: impl FnMut(&Value) -> bool) {
    let line = json!("x".repeat(60_000));
    // More than the system buffers on the way to one client.
    for _ in 0..1000 {
        publish(world.address, "talk", &line);
        if enough(&health(world.address)) {
            return;
        }
    }
    panic!("the system takes whatever it is given");
}

fn slow_client() {
    let mut world = World::with(|settings| settings.limits.close_timeout = PATIENCE);
    let mut slow = Client::connect(world.address, "/ws/talk?greeting=off");
    wait_until("the slow one's arrival", || health(world.address)["rooms"] == 3);
    talk_until(&world, |health| health["rooms"] == 2);
    assert_eq!(slow.close(), (3008, "slow".into()));
    world.is_unaffected();
}

fn no_write_progress() {
    let mut world = World::with(|settings| {
        settings.limits.write_timeout = Duration::from_millis(100);
        settings.limits.close_timeout = Duration::from_millis(100);
    });
    let _stuck = Client::connect(world.address, "/ws/talk?greeting=off");
    talk_until(&world, |health| health["outbox_bytes"] != 0);
    wait_until("the end of the connection", || closed(world.address, 3009) == 1);
    world.is_unaffected();
}

fn no_pong() {
    let mut world = World::with(|settings| {
        settings.limits.ping_interval = Duration::from_millis(500);
        settings.limits.pong_timeout = Duration::from_millis(100);
    });
    let mut client = Client::connect(world.address, "/ws/quiet?greeting=off");
    assert_eq!(client.frame().unwrap(), (PING, Vec::new()));
    assert_eq!(client.close().0, 3012);
    world.is_unaffected();
}

fn connect_closes(mut world: World, connect: Value, code: u16) {
    let mut client = Client::connect(world.address, "/connection/websocket");
    client.send(&json!({"id": 1, "connect": connect}));
    assert_eq!(client.close().0, code);
    world.is_unaffected();
}

fn invalid_token() {
    let forged = token(&json!({"sub": "client"})) + "x";
    connect_closes(World::new(), json!({"token": forged}), 3500);
}

fn missing_token() {
    connect_closes(World::with(|settings| settings.allow_anonymous = Some(false)), json!({}), 3500);
}

fn wrong_algorithm() {
    // {"alg":"none","typ":"JWT"} . {"sub":"client"} and no signature.
    let unsigned = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.eyJzdWIiOiJjbGllbnQifQ.";
    connect_closes(World::new(), json!({"token": unsigned}), 3500);
}

fn malformed_json() {
    closes(World::new(), &frame(0x80 | TEXT, b"{\"id\":2,"), 3501);
}

fn command_before_connect() {
    let mut world = World::new();
    let mut client = Client::connect(world.address, "/connection/websocket");
    client.send(&json!({"id": 1, "subscribe": {"channel": "room"}}));
    assert_eq!(client.close().0, 3501);
    world.is_unaffected();
}

fn stale() {
    let mut world = World::with(|settings| settings.limits.authenticate_timeout = Duration::from_millis(200));
    let mut client = Client::connect(world.address, "/connection/websocket");
    assert_eq!(client.close().0, 3502);
    world.is_unaffected();
}

fn disconnected() {
    let mut world = World::new();
    let mut client = world.client();
    let answer = api(world.address, "disconnect", &json!({"user": "client"}));
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(client.close().0, 3503);
    world.is_unaffected();
}

fn too_many_channels() {
    let world = World::with(|settings| settings.limits.rooms_per_connection = 2);
    let greedy = token(&json!({"sub": "client", "channels": ["a", "b", "c"]}));
    connect_closes(world, json!({"token": greedy}), 3505);
}

/// A command is answered with this error, and the connection goes on.
fn answers(mut world: World, command: Value, code: u16) {
    let mut client = world.client();
    let reply = client.ask(&command);
    assert_eq!(reply["error"]["code"], code, "{reply}");
    assert!(reply["error"]["message"].is_string(), "{reply}");
    let reply = client.ask(&json!({"id": 100, "ping": {}}));
    assert!(reply["error"].is_null(), "{reply}");
    world.is_unaffected();
}

fn reserved_room() {
    answers(World::new(), json!({"id": 2, "subscribe": {"channel": "#client"}}), 103);
}

fn publish_not_allowed() {
    let world = World::with(|settings| settings.allow_publish = Some(false));
    answers(world, json!({"id": 2, "publish": {"channel": "#client", "data": 1}}), 103);
}

fn unknown_command() {
    answers(World::new(), json!({"id": 2, "dance": {}}), 104);
}

fn already_subscribed() {
    let mut world = World::new();
    let mut client = world.client();
    let subscribe = |id: u32| json!({"id": id, "subscribe": {"channel": "room"}});
    assert!(client.ask(&subscribe(2))["subscribe"].is_object());
    assert_eq!(client.ask(&subscribe(3))["error"]["code"], 105);
    world.is_unaffected();
}

fn too_many_rooms() {
    // The personal room is the first.
    let world = World::with(|settings| settings.limits.rooms_per_connection = 2);
    let mut client = world.client();
    assert!(client.ask(&json!({"id": 2, "subscribe": {"channel": "a"}}))["subscribe"].is_object());
    let reply = client.ask(&json!({"id": 3, "subscribe": {"channel": "b"}}));
    assert_eq!(reply["error"]["code"], 106, "{reply}");
    assert!(reply["error"]["message"].as_str().unwrap().contains("rooms_per_connection"), "{reply}");
}

fn long_room_name() {
    answers(World::new(), json!({"id": 2, "subscribe": {"channel": "x".repeat(201)}}), 107);
}

fn large_publication() {
    let world = World::with(|settings| settings.limits.publication_bytes = 100);
    let mut client = world.client();
    assert!(client.ask(&json!({"id": 2, "subscribe": {"channel": "room"}}))["subscribe"].is_object());
    let reply = client.ask(&json!({"id": 3, "publish": {"channel": "room", "data": "x".repeat(99)}}));
    assert_eq!(reply["error"]["code"], 107, "{reply}");
}

fn rpc() {
    answers(World::new(), json!({"id": 2, "rpc": {"method": "sum", "data": [1, 2]}}), 108);
}

fn expired_token() {
    let mut world = World::new();
    let mut client = Client::connect(world.address, "/connection/websocket");
    let mut connect = |exp: i64| {
        let token = token(&json!({"sub": "client", "exp": unix(exp)}));
        client.ask(&json!({"id": 1, "connect": {"token": token}}))
    };
    assert_eq!(connect(-1)["error"]["code"], 109);
    assert_eq!(connect(60)["connect"]["expires"], true);
    world.is_unaffected();
}

/// An API call fails with this status and this code; in body mode with the code alone.
fn api_fails(mut world: World, method: &str, headers: &str, body: &str, status: u16, code: u16) {
    let path = format!("/api/{method}");
    let call = |more: &str| http(world.address, "POST", &path, &format!("{headers}{more}"), body);
    let answer = call("");
    assert_eq!((answer.status, &answer.json()["error"]["code"]), (status, &json!(code)), "{answer:?}");
    let answer = call("X-Centrifugo-Error-Mode: body\r\n");
    let expected = if status == 401 { 401 } else { 200 };
    assert_eq!((answer.status, &answer.json()["error"]["code"]), (expected, &json!(code)), "{answer:?}");
    world.is_unaffected();
}

const WITH_KEY: &str = "Authorization: apikey test-key\r\n";

fn wrong_key() {
    api_fails(World::new(), "info", "X-API-Key: test-kez\r\n", "{}", 401, 101);
}

fn unknown_method() {
    api_fails(World::new(), "dance", WITH_KEY, "{}", 404, 104);
}

fn large_api_publication() {
    let world = World::with(|settings| settings.limits.publication_bytes = 100);
    let body = json!({"channel": "room", "data": "x".repeat(99)}).to_string();
    api_fails(world, "publish", WITH_KEY, &body, 413, 106);
}

fn malformed_body() {
    api_fails(World::new(), "publish", WITH_KEY, "{\"channel\":", 400, 107);
}

fn upgraded() {
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
    }
    world.is_unaffected();
}

fn healthy() {
    let mut world = World::new();
    world.is_unaffected();
    let health = health(world.address);
    for (key, value) in [("status", json!("ok")), ("connections", json!(1)), ("users", json!(1)), ("rooms", json!(2))] {
        assert_eq!(health[key], value, "{key} in {health}");
    }
    assert_eq!(health["totals"]["published"], 1, "{health}");
    assert_eq!(health["rates"]["send_success"], 1.0, "{health}");
    for path in ["/health/live", "/health/ready"] {
        assert_eq!(get(world.address, path).status, 200, "{path}");
    }
    assert_eq!(http(world.address, "HEAD", "/health", "", "").status, 200);
}

fn refuses(mut world: World, request: &[u8], status: u16) -> String {
    let answer = raw_http(world.address, request);
    assert_eq!(answer.status, status, "{answer:?}");
    world.is_unaffected();
    answer.head.to_lowercase()
}

fn upgrade_without_key() {
    let request = String::from_utf8(upgrade_request("/ws/room", "")).unwrap();
    refuses(World::new(), request.replace("Sec-WebSocket-Key", "X-Key").as_bytes(), 400);
    refuses(World::new(), request.replace("Connection: Upgrade", "Connection: close").as_bytes(), 400);
}

fn bad_room_in_url() {
    let long = "x".repeat(201);
    refuses(World::new(), &upgrade_request(&format!("/ws/{long}"), ""), 400);
}

fn no_key() {
    let mut world = World::new();
    let answer = http(world.address, "POST", "/api/info", "", "{}");
    assert_eq!((answer.status, answer.header("www-authenticate")), (401, Some("apikey")), "{answer:?}");
    world.is_unaffected();
}

fn foreign_origin() {
    refuses(World::new(), &upgrade_request("/ws/room", "Origin: https://evil.example.com\r\n"), 403);
}

fn unknown_path() {
    refuses(World::new(), &upgrade_request("/nowhere", ""), 404);
    refuses(World::new(), &upgrade_request("/ws/no/such/route", ""), 404);
}

fn wrong_http_method() {
    let mut world = World::new();
    for (method, path, allowed) in
        [("PUT", "/health", "GET, HEAD"), ("GET", "/api/publish", "POST"), ("POST", "/ws/room", "GET")]
    {
        let answer = http(world.address, method, path, "", "");
        assert_eq!((answer.status, answer.header("allow")), (405, Some(allowed)), "{answer:?}");
    }
    world.is_unaffected();
}

fn impatient() -> World {
    World::with(|settings| settings.request_timeout = Duration::from_millis(200))
}

fn half_a_request() {
    refuses(impatient(), b"GET /ws/room HTTP/1.1\r\nHost: localhost\r\nConnection: Upg", 408);
    refuses(impatient(), b"", 408);
}

fn half_a_body() {
    let request = format!("POST /api/info HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n{WITH_KEY}\r\n{{");
    refuses(impatient(), request.as_bytes(), 408);
}

fn small_body() -> World {
    World::with(|settings| settings.api_body_bytes = 100)
}

fn large_body() {
    api_fails(small_body(), "info", WITH_KEY, &" ".repeat(101), 413, 106);
}

fn large_chunked_body() {
    let chunk = format!("40\r\n{}\r\n", " ".repeat(0x40));
    let head = format!("POST /api/info HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n{WITH_KEY}\r\n");
    refuses(small_body(), [head, chunk.repeat(100)].concat().as_bytes(), 413);
}

fn not_an_upgrade() {
    let head = refuses(World::new(), b"GET /ws/room HTTP/1.1\r\nHost: localhost\r\n\r\n", 426);
    assert!(head.contains("upgrade: websocket"), "{head}");
}

fn old_version() {
    let request = String::from_utf8(upgrade_request("/ws/room", "")).unwrap();
    let head = refuses(World::new(), request.replace("Version: 13", "Version: 8").as_bytes(), 426);
    assert!(head.contains("sec-websocket-version: 13"), "{head}");
}

fn endless_headers() {
    let mut request = b"GET /ws/room HTTP/1.1\r\nHost: localhost\r\n".to_vec();
    while request.len() < 200_000 {
        request.extend(b"X-Header: and so on, and so on, and so on\r\n");
    }
    refuses(World::new(), &request, 431);
}

fn too_many_connections() {
    let mut world = World::with(|settings| settings.limits.connections = 2);
    let _second = Client::connect(world.address, "/ws/room");
    let answer = raw_http(world.address, &upgrade_request("/ws/room", ""));
    assert_eq!((answer.status, &answer.json()["error"]["limit"]), (503, &json!("connections")), "{answer:?}");
    world.is_unaffected();
}

fn too_many_sockets() {
    let mut world = World::with(|settings| settings.http_connections = 1);
    let silent = TcpStream::connect(world.address).unwrap();
    let answer = raw_http(world.address, b"");
    assert_eq!((answer.status, &answer.json()["error"]["limit"]), (503, &json!("http_connections")), "{answer:?}");
    drop(silent);
    wait_until("a free place", || get(world.address, "/health/live").status == 200);
    world.is_unaffected();
}

fn refused_while_stopping() {
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
    world.server.wait().unwrap();
}
