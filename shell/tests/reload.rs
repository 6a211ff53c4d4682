//! Settings that change while the server runs: they hold for what comes next, and what is there stays.

mod common;

use common::endpoint::{Endpoint, Reply};
use common::program::Program;
use common::settings::File;
use common::{Answer, Client, KEY, get, http, token, unix, wait_until};
use serde_json::{Value, json};
use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::process::Command;

/// A key of the file that may do what it wants.
const OTHER_KEY: &str = "other-key-other-key";
/// The secret of tokens before, and after.
const SECRETS: [&str; 2] = [common::SECRET, "another-secret-another-secret-32b"];

/// A server that was started with a file of settings, in production mode.
struct Reloaded {
    program: Program,
    file: File,
}

impl Reloaded {
    fn start(name: &str, text: &str) -> Self {
        let file = File::new(name, &Self::whole(text));
        let program = Program::start(&["--config", file.path(), "--log-format", "json"]);
        Self { program, file }
    }

    fn whole(text: &str) -> String {
        format!("api_key = \"{KEY}\"\nallow_anonymous = true\ndrain_delay = \"0s\"\n{text}")
    }

    fn address(&self) -> SocketAddr {
        self.program.address
    }

    fn write(&self, text: &str) {
        fs::write(self.file.path(), Self::whole(text)).unwrap();
    }

    /// Has the server read this file. Returns what it says of that.
    fn reload(&self, text: &str) -> Answer {
        self.write(text);
        call(self.address(), KEY, "reload", &json!({}))
    }

    /// The same, which is to change these settings and no others.
    fn changes(&self, text: &str, names: &[&str]) {
        let answer = self.reload(text);
        assert_eq!(answer.json(), json!({"result": {"changed": names, "needs_restart": []}}));
    }
}

fn call(address: SocketAddr, key: &str, method: &str, body: &Value) -> Answer {
    http(address, "POST", &format!("/api/{method}"), &format!("X-API-Key: {key}\r\n"), &body.to_string())
}

fn publish(address: SocketAddr, key: &str, room: &str) -> u16 {
    call(address, key, "publish", &json!({"channel": room, "data": 1})).status
}

#[test]
fn keys_of_backends_come_and_go_while_members_stay() {
    let entry = |key: &str| format!("[[api_keys]]\nname = \"ci\"\nkey = \"{key}\"\nmethods = [\"publish\"]\n");
    let server = Reloaded::start("reload-keys.toml", &entry("first-key-first-key"));
    let mut member = Client::connect(server.address(), "/ws/room?greeting=off");
    assert_eq!(publish(server.address(), "first-key-first-key", "room"), 200);
    member.text();
    server.changes(&entry("second-key-second-key"), &["api_keys"]);
    assert_eq!(publish(server.address(), "first-key-first-key", "room"), 401, "a key that was removed ends at once");
    assert_eq!(publish(server.address(), "second-key-second-key", "room"), 200);
    assert_eq!(member.receive(), json!(1), "the member has stayed");
    server.changes(&format!("# a line more\n\n{}", entry("second-key-second-key")), &[]);
    server.changes("", &["api_keys"]);
    assert_eq!(publish(server.address(), "second-key-second-key", "room"), 401);
}

#[test]
fn a_call_whose_key_is_removed_while_its_body_comes_is_refused() {
    let server = Reloaded::start("reload-late.toml", "[[api_keys]]\nname = \"a\"\nkey = \"leaked-leaked-leaked\"\n");
    let body = json!({"channel": "room", "data": 1}).to_string();
    let (begun, rest) = body.split_at(body.len() - 1);
    let head = format!(
        "POST /api/publish HTTP/1.1\r\nHost: a\r\nX-API-Key: leaked-leaked-leaked\r\nContent-Length: {}\r\n\r\n{begun}",
        body.len()
    );
    let mut socket = common::connect(server.address());
    socket.write_all(head.as_bytes()).unwrap();
    wait_until("the body is waited for", || {
        let headers = format!("X-API-Key: {KEY}\r\n");
        http(server.address(), "GET", "/health", &headers, "").json()["http_connections"].as_u64() > Some(1)
    });
    server.changes("", &["api_keys"]);
    socket.write_all(rest.as_bytes()).unwrap();
    assert!(common::read_head(&mut socket).starts_with("HTTP/1.1 401 "));
}

#[test]
fn the_keys_of_tokens_change_for_who_comes_next() {
    let secret = |at: usize| format!("token_secret = \"{}\"\n", SECRETS[at]);
    let server = Reloaded::start("reload-secret.toml", &secret(0));
    let claims = json!({"sub": "ada", "exp": unix(600)});
    let mut before = Client::json(server.address(), &token(&claims));
    server.changes(&secret(1), &["token_secret"]);
    let pong = before.ask(&json!({"id": 2, "subscribe": {"channel": "room"}}));
    assert!(pong["error"].is_null(), "{pong}");
    let mut after = Client::connect(server.address(), "/connection/websocket");
    after.send(&json!({"id": 1, "connect": {"token": token(&claims)}}));
    assert_eq!(after.close().0, 3500, "the secret of before signs nothing any more");
}

#[test]
fn limits_and_origins_hold_for_what_comes_next() {
    let server = Reloaded::start("reload-limits.toml", "");
    let members = [(); 2].map(|()| Client::connect(server.address(), "/ws/room?greeting=off"));
    server.changes(
        "connections = 2\nlogs = 4\npublication_bytes = 10\nallowed_origins = [\"https://a.example\"]\n",
        &["allowed_origins", "publication_bytes", "logs", "connections"],
    );
    let upgrade = |headers: &str| {
        let request = common::upgrade_request("/ws/room", headers);
        common::raw_http(server.address(), &request)
    };
    assert_eq!(upgrade("Origin: https://b.example\r\n").status, 403);
    assert_eq!(upgrade("Origin: https://a.example\r\n").status, 503, "two are connected");
    let long = json!({"channel": "room", "data": "0123456789"});
    assert_eq!(call(server.address(), KEY, "publish", &long).status, 413);
    let limits = call(server.address(), KEY, "limits", &json!({})).json();
    assert_eq!(limits["result"]["limits"]["connections"]["value"], "2", "{limits}");
    drop(members);
    server.changes("", &["allowed_origins", "publication_bytes", "logs", "connections"]);
    assert_eq!(call(server.address(), KEY, "publish", &long).status, 200);
}

#[test]
fn a_namespace_is_added_and_another_one_changed() {
    let server = Reloaded::start("reload-namespaces.toml", "[namespaces.chat]\npublish = \"nobody\"\n");
    let mut member = Client::json(server.address(), "");
    assert!(member.ask(&json!({"id": 2, "subscribe": {"channel": "chat:1"}}))["error"].is_null());
    let command = json!({"id": 3, "publish": {"channel": "chat:1", "data": 1}});
    assert_eq!(member.ask(&command)["error"]["code"], 103);
    let more = "[namespaces.chat]\npublish = \"members\"\n[namespaces.build]\npublication_bytes = 1\n";
    server.changes(more, &["namespaces.build", "namespaces.chat"]);
    member.send(&command);
    assert_eq!(member.receive()["push"]["channel"], "chat:1", "a member of before has the rights of now");
    assert_eq!(member.receive(), json!({"id": 3, "publish": {}}));
    assert!(member.ask(&json!({"id": 4, "subscribe": {"channel": "build:1"}}))["error"].is_null());
    // Each room has the policy of its own namespace, whatever the order of all: build comes before chat in the file.
    let long = json!({"channel": "chat:1", "data": 12});
    assert_eq!(call(server.address(), KEY, "publish", &long).status, 200);
    assert_eq!(member.receive()["push"]["channel"], "chat:1");
    assert_eq!(self::publish(server.address(), KEY, "build:1"), 200);
    assert_eq!(member.receive()["push"]["channel"], "build:1");
    let answer = server.reload("[namespaces.build]\npublication_bytes = 1\n").json();
    assert_eq!(answer["result"]["needs_restart"], json!(["namespaces.chat"]), "{answer}");
    assert_eq!(self::publish(server.address(), KEY, "chat:1"), 200);
}

#[test]
fn the_policy_of_names_without_a_prefix_is_taken_away() {
    let chat = "[namespaces.chat]\n";
    let server =
        Reloaded::start("reload-unprefixed.toml", &format!("{chat}[namespaces.\"\"]\npublication_bytes = 1\n"));
    let long = json!({"channel": "room", "data": 12});
    assert_eq!(call(server.address(), KEY, "publish", &long).status, 413);
    server.changes(chat, &["namespaces.\"\""]);
    assert_eq!(call(server.address(), KEY, "publish", &long).status, 200);
}

#[test]
fn what_goes_with_the_file_but_not_with_what_needs_a_restart_is_said() {
    let before = "[namespaces.a]\n[namespaces.b]\npublication_bytes = 1000\n";
    let server = Reloaded::start("reload-mixture.toml", before);
    let answer = server.reload("publication_bytes = 100\n[namespaces.a]\n");
    let words = answer.json()["error"]["message"].as_str().unwrap().to_string();
    assert!(words.contains("has to be restarted") && words.contains("namespaces.b"), "{words}");
}

#[test]
fn nothing_changes_where_anything_is_wrong() {
    let mut server = Reloaded::start("reload-wrong.toml", "");
    let figure = |name: &str| {
        let page = http(server.program.address, "GET", "/metrics", &format!("X-API-Key: {KEY}\r\n"), "").body;
        page.lines().find_map(|line| line.strip_prefix(name)).and_then(|rest| rest.trim().parse::<f64>().ok())
    };
    for (text, word) in [
        ("connections = 1\nconections = 2\n", "conections"),
        ("connections = 1\npong_timeout = \"25s\"\n", "pong_timeout"),
        ("connections = 1\n[[api_keys]]\nname = \"a\"\n", "api_keys"),
        ("connections = 1\ntls_cert = \"/nowhere.pem\"\n", "tls_key"),
        ("connections = 1\n[", "line"),
    ] {
        let answer = server.reload(text);
        assert_eq!(answer.status, 400, "{answer:?}");
        assert!(answer.json()["error"]["code"] == 108 && answer.body.contains(word), "{answer:?}");
        let limits = call(server.address(), KEY, "limits", &json!({})).json();
        assert_eq!(limits["result"]["limits"]["connections"]["value"], "100000", "{text}");
    }
    for (text, word) in [(String::new(), "is empty"), ("#".repeat(2 << 20), "bytes")] {
        fs::write(server.file.path(), text).unwrap();
        let answer = call(server.address(), KEY, "reload", &json!({}));
        assert!(answer.status == 400 && answer.body.contains(word), "{answer:?}");
    }
    assert_eq!(figure("parlor_last_reload_successful"), Some(0.0));
    assert_eq!(figure("parlor_reloads_total{result=\"failed\"}"), Some(1.0), "one that stays wrong counts once");
    server.changes("connections = 1\n", &["connections"]);
    assert_eq!(figure("parlor_last_reload_successful"), Some(1.0));
    server.program.signal("TERM");
    server.program.end();
    let log = server.program.log();
    assert!(log.contains("nothing is reloaded") && log.contains("connections"), "{log}");
}

#[test]
fn a_reload_waits_for_no_file_with_a_secret() {
    let key = File::new("reload-key", OTHER_KEY);
    let entry = format!("[[api_keys]]\nname = \"ci\"\nkey_file = \"{}\"\n", key.path());
    let server = Reloaded::start("reload-pipe.toml", &entry);
    assert_eq!(publish(server.address(), OTHER_KEY, "room"), 200);
    fs::remove_file(key.path()).unwrap();
    // It has no writer, and a read of it would wait for one.
    assert!(Command::new("mkfifo").arg(key.path()).status().unwrap().success());
    let answer = server.reload(&entry);
    assert_eq!(answer.status, 400, "{answer:?}");
    assert!(answer.body.contains("key_file") && answer.body.contains("no regular file"), "{answer:?}");
    fs::remove_file(key.path()).unwrap();
    fs::write(key.path(), "x".repeat((64 << 10) + 1)).unwrap();
    let answer = server.reload(&entry);
    assert!(answer.status == 400 && answer.body.contains("expected at most 65536"), "{answer:?}");
    assert_eq!(publish(server.address(), OTHER_KEY, "room"), 200, "nothing has changed");
}

#[test]
fn what_needs_a_restart_is_named_and_the_rest_is_in_use() {
    let server = Reloaded::start("reload-restart.toml", "");
    let answer = server
        .reload("ping_interval = \"60s\"\npong_timeout = \"30s\"\nnode_name = \"b\"\nlog_level = \"warn\"\nconnections = 7\n[namespaces.a]\n");
    let expected = json!(["node_name", "log_level", "ping_interval", "pong_timeout", "namespaces"]);
    assert_eq!(answer.json(), json!({"result": {"changed": ["connections"], "needs_restart": expected}}));
    let limits = call(server.address(), KEY, "limits", &json!({})).json();
    assert_eq!(limits["result"]["limits"]["ping_interval"]["value"], "25s");
    assert_eq!(publish(server.address(), KEY, "no-prefix"), 200);
}

#[test]
fn a_server_does_not_change_its_mode() {
    let file = File::new("reload-mode.toml", "");
    let program = Program::start(&["--config", file.path()]);
    fs::write(file.path(), format!("api_key = \"{OTHER_KEY}\"\n")).unwrap();
    program.signal("HUP");
    wait_until("the reload has failed", || {
        get(program.address, "/metrics").body.contains("parlor_last_reload_successful 0")
    });
    assert_eq!(publish(program.address, OTHER_KEY, "room"), 401);
    fs::write(file.path(), "connections = 3\n").unwrap();
    program.signal("HUP");
    wait_until("a signal is enough", || get(program.address, "/health").body.contains("\"connections\":\"3\""));
}

#[test]
fn alerts_go_on_and_one_that_is_taken_away_is_cleared() {
    let receiver = Endpoint::new(Reply::Body("ok".into()));
    let alert = |name: &str| {
        format!(
            "[[alerts]]\nname = \"{name}\"\nfigure = \"connections\"\nabove = 0\nfor = \"0s\"\nclear = 0\nurl = \"{}\"\n",
            receiver.url()
        )
    };
    let server = Reloaded::start("reload-alerts.toml", &alert("kept"));
    let _member = Client::connect(server.address(), "/ws/room");
    let told = |part: &str| receiver.asked().iter().filter(|asked| asked.body.contains(part)).count();
    wait_until("it is raised", || told("kept") == 1);
    server.changes(&format!("{}{}", alert("added"), alert("kept")), &["alerts"]);
    wait_until("the other one is raised", || told("\"added\"") > 0);
    server.changes(&alert("added"), &["alerts"]);
    wait_until("one that is taken away is cleared", || told("resolved") == 1);
    assert_eq!(told("kept"), 2, "raised and cleared, each once");
    let other = Endpoint::new(Reply::Body("ok".into()));
    server.changes(&alert("added").replace(&receiver.url(), &other.url()), &["alerts"]);
    wait_until("who was told learns of the end", || told("resolved") == 2);
    wait_until("who is told from now on learns of it", || {
        other.asked().iter().any(|asked| asked.body.contains("firing"))
    });
    server.changes("", &["alerts"]);
    wait_until("the last one is cleared, too", || other.asked().iter().any(|asked| asked.body.contains("resolved")));
}
