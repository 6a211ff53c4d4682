//! The console: its page, who is served it, and the tickets by which it listens.

#![allow(clippy::disallowed_methods, reason = "tests have their own clock")]

mod common;

use common::program::Program;
use common::settings::File;
use common::{
    Answer, Client, KEY, api, get, health, http, publish, raw_http, start, token, upgrade_request, wait_until,
};
use parlor::server::Server;
use serde_json::{Value, json};
use std::net::SocketAddr;

const FILES: [&str; 4] = ["/", "/console/console.css", "/console/main.js", "/console/live.js"];
const PATHS: [&str; 5] = ["/", "/console/main.js", "/console/session", "/console/websocket", "/console/nothing"];

fn production() -> Server {
    start(|settings| settings.dev = Some(false))
}

fn ticket(address: SocketAddr, room: &str) -> String {
    let answer = api(address, "console_ticket", &json!({"channel": room}));
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["result"]["ticket"].as_str().unwrap().into()
}

fn offering(ticket: &str) -> String {
    format!("Sec-WebSocket-Protocol: parlor-console, ticket.{ticket}\r\nOrigin: https://elsewhere.example\r\n")
}

fn listen(address: SocketAddr, ticket: &str) -> Client {
    Client::connect_with(address, "/console/websocket", &offering(ticket), b"")
}

/// The answer to a ticket that is no good.
fn refused(address: SocketAddr, ticket: &str) -> Answer {
    raw_http(address, &upgrade_request("/console/websocket", &offering(ticket)))
}

fn error(answer: &Answer) -> (u16, Value) {
    (answer.status, answer.json()["error"]["code"].clone())
}

#[test]
fn the_page_is_served_with_a_policy_that_lets_it_load_nothing_else() {
    let server = production();
    for path in FILES {
        let answer = get(server.address(), path);
        assert_eq!(answer.status, 200, "{path}");
        let policy = answer.header("content-security-policy").unwrap();
        let rules: Vec<&str> = policy.split("; ").collect();
        assert_eq!(
            rules,
            [
                "default-src 'none'",
                "script-src 'self'",
                "style-src 'self'",
                "img-src 'self'",
                "connect-src 'self'",
                "frame-ancestors 'none'",
                "base-uri 'none'",
                "form-action 'none'"
            ]
        );
        let others = ["x-content-type-options", "referrer-policy", "cache-control"].map(|name| answer.header(name));
        assert_eq!(others, [Some("nosniff"), Some("no-referrer"), Some("no-cache")]);
        let head = http(server.address(), "HEAD", path, "", "");
        assert_eq!((head.status, head.header("content-length")), (200, answer.header("content-length")));
        assert_eq!(http(server.address(), "POST", path, "", "").status, 405);
    }
    let page = get(server.address(), "/");
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    assert_eq!(
        get(server.address(), "/console/main.js").header("content-type"),
        Some("text/javascript; charset=utf-8")
    );
    assert!(
        !page.body.contains("<style") && !page.body.contains("style=") && !page.body.contains(" on"),
        "none is inline"
    );
    assert_eq!(get(server.address(), "/console/nothing").status, 404);
}

#[test]
fn it_can_be_turned_off() {
    let server = start(|settings| settings.console = false);
    let unknown = get(server.address(), "/nowhere");
    for path in PATHS {
        let answer = get(server.address(), path);
        assert_eq!((answer.status, &answer.body), (404, &unknown.body), "{path}");
    }
    let answer = api(server.address(), "console_ticket", &json!({"channel": "a"}));
    assert_eq!(error(&answer), (400, json!(108)));
    assert_eq!(get(server.address(), "/health").status, 200);
}

#[test]
fn with_an_internal_listener_it_is_only_there() {
    let server = start(|settings| {
        settings.dev = Some(false);
        settings.internal_listen = Some("127.0.0.1:0".parse().unwrap());
    });
    let internal = server.internal_addresses()[0];
    let unknown = get(server.address(), "/nowhere");
    for path in PATHS {
        let answer = get(server.address(), path);
        assert_eq!((answer.status, &answer.body), (404, &unknown.body), "{path}");
    }
    let unused = ticket(internal, "a");
    assert_eq!(refused(server.address(), &unused).status, 404);
    assert_eq!(get(internal, "/").status, 200);
    let mut console = listen(internal, &unused);
    assert_eq!(console.receive()["type"], "connection");
}

#[test]
fn a_ticket_listens_to_its_room_whatever_its_policy_says_and_only_listens() {
    let server = start(|settings| {
        settings.dev = Some(false);
        settings.subscribe = Some(parlor_core::Who::Nobody);
        settings.publish = Some(parlor_core::Who::Anyone);
    });
    let address = server.address();
    let mut console = listen(address, &ticket(address, "a"));
    assert!(
        console.head.to_ascii_lowercase().contains("sec-websocket-protocol: parlor-console\r\n"),
        "{}",
        console.head
    );
    assert_eq!(console.receive()["authenticated"], true);
    assert_eq!(console.receive()["offset"], 0, "its place at the start");
    publish(address, "b", &json!("elsewhere"));
    publish(address, "a", &json!("hello"));
    assert_eq!(console.receive(), "hello");
    let position = console.receive();
    assert_eq!((&position["type"], &position["offset"]), (&json!("position"), &json!(1)));
    let members = api(address, "presence", &json!({"channel": "a"})).json();
    let member = members["result"]["presence"].as_object().unwrap().values().next().unwrap().clone();
    assert_eq!((&member["user"], &member["conn_info"]), (&json!(""), &json!({"console": true})));
    console.send_text(r#"{"type":"publish","data":"said"}"#);
    assert_eq!(console.close().0, 1002);
    let log = api(address, "history", &json!({"channel": "a"})).json();
    assert_eq!(log["result"]["offset"], 1, "what it says is not published");
}

#[test]
fn a_ticket_is_good_once_and_no_other_text_is() {
    let server = production();
    let address = server.address();
    let good = ticket(address, "a");
    for wrong in ["", "0", &good[1..], &good.to_uppercase(), &format!("{good}0"), &"0".repeat(good.len())] {
        let answer = refused(address, wrong);
        assert_eq!(answer.status, 401, "{wrong}");
        assert!(answer.body.contains("console_ticket") && !answer.body.contains(&good), "{answer:?}");
    }
    let without = raw_http(address, &upgrade_request("/console/websocket", ""));
    assert_eq!((without.status, get(address, "/console/websocket").status), (401, 426));
    let mut console = listen(address, &good);
    assert_eq!(console.receive()["type"], "connection");
    assert_eq!(refused(address, &good).status, 401, "it is used");
    let query = raw_http(address, &upgrade_request(&format!("/console/websocket?ticket={}", ticket(address, "a")), ""));
    assert_eq!(query.status, 401, "no secret is in a URL");
    assert_eq!(health(address)["totals"]["refused"]["token"], 9);
}

#[test]
fn tickets_need_a_key_that_may_listen_to_the_room() {
    let file = File::new(
        "console",
        &format!(
            "api_key = \"{KEY}\"\n[[api_keys]]\nname = \"ci\"\nkey = \"ci-ci-ci-ci-ci-ci\"\nrooms = [\"ci:*\"]\n\
             [[api_keys]]\nname = \"reader\"\nkey = \"reader-reader-reader\"\nmethods = [\"history\"]\n"
        ),
    );
    let program = Program::start(&["--config", file.path()]);
    let ask = |key: &str, method: &str, body: &Value| {
        let headers = format!("X-API-Key: {key}\r\n");
        http(program.address, "POST", &format!("/api/{method}"), &headers, &body.to_string())
    };
    let of = |room: &str| json!({"channel": room});
    for (key, room, expected) in [
        ("ci-ci-ci-ci-ci-ci", "ci:1", (200, Value::Null)),
        ("ci-ci-ci-ci-ci-ci", "chat", (403, json!(103))),
        ("reader-reader-reader", "ci:1", (403, json!(103))),
        ("wrong-wrong-wrong-wrong", "ci:1", (401, json!(101))),
        (KEY, "#ann", (403, json!(103))),
        (KEY, "", (400, json!(107))),
        (KEY, "a\u{7}", (400, json!(107))),
    ] {
        assert_eq!(error(&ask(key, "console_ticket", &of(room))), expected, "{key} {room}");
    }
    assert_eq!(error(&ask(KEY, "console_ticket", &json!({}))), (400, json!(107)));
    for method in ["closes", "outboxes"] {
        assert_eq!(error(&ask("ci-ci-ci-ci-ci-ci", method, &json!({}))), (403, json!(103)), "{method}");
        assert_eq!(error(&ask(KEY, method, &json!({"a": 1}))), (400, json!(107)), "{method}");
    }
}

#[test]
fn a_reload_ends_what_listens_by_a_key_that_was_taken_out() {
    let keys = |others: &str| format!("api_key = \"{KEY}\"\n{others}");
    let file = File::new("leaked", &keys("[[api_keys]]\nname = \"leaked\"\nkey = \"leaked-leaked-leaked\"\n"));
    let program = Program::start(&["--config", file.path()]);
    let ask = || {
        let headers = "X-API-Key: leaked-leaked-leaked\r\n";
        http(program.address, "POST", "/api/console_ticket", headers, r#"{"channel": "a"}"#)
    };
    let [used, unused] = [(); 2].map(|()| ask().json()["result"]["ticket"].as_str().unwrap().to_owned());
    let mut console = listen(program.address, &used);
    std::fs::write(file.path(), keys("")).unwrap();
    assert_eq!(api(program.address, "reload", &json!({})).status, 200);
    console.receive();
    console.receive();
    assert_eq!(console.close().0, 3503);
    assert_eq!(refused(program.address, &unused).status, 401);
    assert_eq!(error(&ask()), (401, json!(101)));
    assert_eq!(listen(program.address, &ticket(program.address, "a")).receive()["type"], "connection");
}

#[test]
fn few_tickets_wait_to_be_used() {
    let server = production();
    let tickets: Vec<String> = (0..8).map(|_| ticket(server.address(), "a")).collect();
    let ask = || api(server.address(), "console_ticket", &json!({"channel": "a"}));
    assert_eq!(error(&ask()), (413, json!(106)));
    assert_eq!(listen(server.address(), &tickets[7]).receive()["type"], "connection");
    assert_eq!(ask().status, 200, "one of them is used");
}

#[test]
fn the_last_closes_tell_who_it_was_and_why() {
    let server = production();
    let address = server.address();
    let mut ann = Client::json(address, &token(&json!({"sub": "ann"})));
    assert_eq!(
        api(address, "disconnect", &json!({"user": "ann", "disconnect": {"code": 4001, "reason": "go"}})).status,
        200
    );
    assert_eq!(ann.close().0, 4001);
    drop(ann);
    let closes = || api(address, "closes", &json!({})).json()["result"]["closes"].clone();
    wait_until("the end to be told", || closes().as_array().unwrap().len() == 1);
    let close = &closes()[0];
    assert_eq!(
        ["user", "address", "cause", "code", "reason", "console"].map(|field| close[field].clone()),
        [json!("ann"), json!("127.0.0.1"), json!("backend"), json!(4001), json!("go"), json!(false)]
    );
    assert!(close["seconds"].as_f64().unwrap() < 60.0 && close["time_ms"].as_u64().unwrap() > 1_700_000_000_000);
    drop(listen(address, &ticket(address, "a")));
    wait_until("the console's own", || closes()[0]["console"] == true);
}

#[test]
fn who_reads_nothing_is_among_the_outboxes() {
    let server = production();
    let address = server.address();
    let mut slow = Client::json(address, &token(&json!({"sub": "slow", "channels": ["a"]})));
    let outboxes = || api(address, "outboxes", &json!({})).json()["result"]["connections"].clone();
    assert_eq!(outboxes(), json!([]));
    let data = "x".repeat(60_000);
    wait_until("its socket to be full", || {
        publish(address, "a", &json!(data));
        outboxes()[0]["bytes"].as_u64().is_some_and(|bytes| bytes > 60_000)
    });
    let full = &outboxes()[0];
    assert_eq!((&full["user"], &full["protocol"], &full["blocked"]), (&json!("slow"), &json!("json"), &json!(true)));
    slow.receive();
}

#[test]
fn in_development_mode_the_servers_own_page_has_a_key_and_no_other_page_has() {
    let server = start(|settings| {
        settings.api_key = None;
        settings.token_secret = None;
        settings.generate_key();
    });
    let address = server.address();
    let port = address.port();
    let ask_in = |version: &str, headers: String, host: &str| {
        let head =
            format!("POST /console/session HTTP/{version}\r\nHost: {host}\r\nContent-Length: 0\r\n{headers}\r\n");
        let answer = raw_http(address, head.as_bytes());
        assert_eq!((answer.status, answer.header("cache-control")), (200, Some("no-store")));
        assert_eq!(answer.json()["mode"], "development");
        answer.json()["key"].clone()
    };
    let ask = |headers: String, host: &str| ask_in("1.1", headers, host);
    for host in [format!("127.0.0.1:{port}"), format!("localhost:{port}")] {
        let key = ask(format!("Origin: http://{host}\r\n"), &host);
        let answer = http(address, "POST", "/api/info", &format!("X-API-Key: {}\r\n", key.as_str().unwrap()), "{}");
        assert_eq!(answer.status, 200, "{host}");
        for headers in [
            String::new(),
            "Origin: https://evil.example\r\n".into(),
            format!("Origin: http://localhost:{}\r\n", port ^ 1),
            "Origin: null\r\n".into(),
            format!("Origin: http://{host}\r\nX-Forwarded-For: 192.0.2.1\r\n"),
            format!("Origin: http://{host}\r\nX-Real-IP: 127.0.0.1\r\n"),
            format!("Origin: http://{host}\r\nForwarded: for=127.0.0.1\r\n"),
            format!("Origin: http://{host}\r\nVia: 1.1 proxy\r\n"),
        ] {
            assert_eq!(ask(headers.clone(), &host), Value::Null, "{headers}");
        }
        // A browser speaks HTTP/1.1, and a proxy of old may not.
        assert_eq!(ask_in("1.0", format!("Origin: http://{host}\r\n"), &host), Value::Null, "{host}");
    }
    let rebound = format!("evil.example:{port}");
    assert_eq!(ask(format!("Origin: http://{rebound}\r\n"), &rebound), Value::Null);
}

#[test]
fn a_trusted_proxy_is_given_no_key_either() {
    let server = start(|settings| {
        settings.api_key = None;
        settings.trusted_proxies = "127.0.0.1".parse().unwrap();
        settings.generate_key();
    });
    let host = server.address();
    let ask = |headers: &str| http(host, "POST", "/console/session", headers, "").json()["key"].clone();
    let own = format!("Origin: http://{host}\r\n");
    assert!(ask(&own).is_string());
    for name in ["X-Forwarded-For", "X-Real-IP"] {
        assert_eq!(ask(&format!("{own}{name}: 127.0.0.1\r\n")), Value::Null, "{name}");
    }
}

#[test]
fn no_key_is_in_anything_that_is_served() {
    let keys = [KEY, "reader-reader-reader", "secret-secret-secret-secret-secret-secret"];
    let [_, reader, secret] = keys;
    let text = format!(
        "api_key = \"{KEY}\"\ntoken_secret = \"{secret}\"\n\
         [[api_keys]]\nname = \"reader\"\nkey = \"{reader}\"\nmethods = [\"history\"]\n"
    );
    let file = File::new("served", &text);
    let program = Program::start(&["--config", file.path()]);
    let address = program.address;
    let files = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/console")).unwrap();
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    let mut paths: Vec<String> =
        names.filter(|name| name != "index.html").map(|name| format!("/console/{name}")).collect();
    paths.extend(["/", "/health", "/metrics", "/openapi.json", "/health/ready?verbose", "/nowhere"].map(String::from));
    let mut answers = vec![];
    for sent in [KEY, reader, "wrong-wrong-wrong-wrong"] {
        let headers = format!("Origin: http://{address}\r\nX-API-Key: {sent}\r\n");
        answers.extend(paths.iter().map(|path| http(address, "GET", path, &headers, "")));
        answers.push(http(address, "POST", "/console/session", &headers, ""));
        let calls =
            ["info", "limits", "closes", "outboxes", "channels", "connections", "reload", "input_log", "nothing"];
        answers.extend(calls.map(|call| http(address, "POST", &format!("/api/{call}"), &headers, "{}")));
        answers.push(http(address, "POST", "/api/console_ticket", &headers, r#"{"channel": "a"}"#));
    }
    assert!(answers.iter().filter(|answer| answer.status == 200).count() > 50, "the files and most calls are served");
    for answer in answers {
        let said = format!("{}{}", answer.head, answer.body);
        assert!(!keys.iter().any(|key| said.contains(key)), "{said}");
    }
}

#[test]
fn a_key_may_be_called_console() {
    let file = File::new(
        "called_console",
        "[[api_keys]]\nname = \"console\"\nkey = \"ci-ci-ci-ci-ci-ci\"\nrooms = [\"ci:*\"]\n",
    );
    // In development mode the page itself has a key of that name, unless the settings have one.
    let program = Program::start(&["--config", file.path(), "--dev", "true"]);
    let address = program.address;
    let session = http(address, "POST", "/console/session", &format!("Origin: http://{address}\r\n"), "").json();
    assert_eq!(session, json!({"mode": "development"}));
    let ask = |room: &str| {
        let headers = "X-API-Key: ci-ci-ci-ci-ci-ci\r\n";
        http(address, "POST", "/api/console_ticket", headers, &json!({"channel": room}).to_string())
    };
    assert_eq!(error(&ask("chat")), (403, json!(103)), "it has its own rights");
    let used = ask("ci:1").json()["result"]["ticket"].as_str().unwrap().to_owned();
    assert_eq!(listen(address, &used).receive()["type"], "connection");
}

#[test]
fn a_key_that_is_set_is_not_given_to_the_page() {
    let set = start(parlor::config::Settings::generate_key);
    let production = start(|settings| {
        settings.dev = Some(false);
        settings.console_key = Some("a-key-of-the-console".into());
    });
    let ask = |address: SocketAddr| {
        http(address, "POST", "/console/session", &format!("Origin: http://{address}\r\n"), "").json()
    };
    assert_eq!(ask(set.address()), json!({"mode": "development"}), "who sets a key means it");
    assert_eq!(ask(production.address()), json!({"mode": "production"}));
}

#[test]
fn the_program_says_where_a_newcomer_looks() {
    let line = |program: &Program| program.printed.iter().find(|line| line.starts_with("Open http://")).cloned();
    let program = Program::start(&[]);
    let address = program.address;
    assert_eq!(
        line(&program).unwrap(),
        format!("Open http://{address}/ in a browser to send a first message and to see what happens.")
    );
    assert_eq!(line(&Program::start(&["--console", "false"])), None);
    assert_eq!(line(&Program::start(&["--api-key", KEY])), None);
}
