//! API keys with names and rights, as a backend's developer and an operator meet them: in answers, in the log, behind a proxy.

mod common;

use common::program::Program;
use common::settings::File;
use common::{Answer, Client, KEY, SECRET, api, health, http, token, wait_until};
use serde_json::{Value, json};
use std::process::Command;

const CI: &str = "key-of-ci-key-of-ci";
const CHAT: &str = "key-of-chat-key-of-chat";

/// A file with a key for some methods in some rooms, and one for the rooms of a chat.
fn keys(name: &str) -> File {
    let text = format!(
        "[[api_keys]]\nname = 'ci'\nkey = '{CI}'\nmethods = ['publish', 'broadcast', 'history']\nrooms = ['ci:*', '#ann']\n\
         [[api_keys]]\nname = 'chat'\nkey = '{CHAT}'\nrooms = ['*']\n"
    );
    File::new(name, &text)
}

fn start(file: &File, more: &[&str]) -> Program {
    let flags = ["--config", file.path(), "--api-key", KEY, "--token-secret", SECRET, "--log-format", "json"];
    Program::start(&[&flags, more].concat())
}

fn call(program: &Program, key: &str, method: &str, body: &Value) -> Answer {
    let headers = format!("Authorization: Bearer {key}\r\n");
    http(program.address, "POST", &format!("/api/{method}"), &headers, &body.to_string())
}

/// Ends the program. Returns the fields of the lines about calls.
fn calls_in_log(program: &mut Program) -> Vec<Value> {
    program.signal("TERM");
    assert_eq!(program.end().code(), Some(0));
    let log = program.log();
    assert!(![CI, CHAT, KEY].iter().any(|key| log.contains(key)), "{log}");
    let lines = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let lines = lines.filter(|line| line["event"] == "API call");
    lines.inspect(|line| assert_eq!(line["level"], "info")).collect()
}

#[test]
fn a_key_with_rights_does_what_they_allow_and_is_told_what_they_do_not() {
    let file = keys("rights");
    let program = start(&file, &[]);
    let publish = |room: &str| json!({"channel": room, "data": 1});
    for (key, method, body, refused) in [
        (CI, "publish", publish("ci:1"), None),
        (CI, "publish", publish("#ann"), None),
        (CI, "history", json!({"channel": "ci:1"}), None),
        (CI, "broadcast", json!({"channels": ["ci:1", "ci:2"], "data": 1}), None),
        (CI, "publish", publish("chat:1"), Some("\"chat:1\"")),
        (CI, "broadcast", json!({"channels": ["ci:1", "chat:2"], "data": 1}), Some("\"chat:2\"")),
        (CI, "presence", json!({"channel": "ci:1"}), Some("may not call presence")),
        (CI, "disconnect", json!({"user": "ann"}), Some("may not call disconnect")),
        (CHAT, "presence", json!({"channel": "chat:1"}), None),
        (CHAT, "publish_user", json!({"user": "ann", "data": 1}), Some("\"#ann\"")),
        (CHAT, "info", json!({}), Some("may not call info")),
        (KEY, "info", json!({}), None),
        (KEY, "publish_user", json!({"user": "ann", "data": 1}), None),
    ] {
        let answer = call(&program, key, method, &body);
        let error = answer.json()["error"].clone();
        assert_eq!(answer.status, if refused.is_some() { 403 } else { 200 }, "{answer:?}");
        assert_eq!(error["code"], refused.map_or(Value::Null, |_| json!(103)), "{answer:?}");
        let said = error["message"].as_str().unwrap_or_default();
        assert!(said.contains(refused.unwrap_or_default()) && !said.contains("ci:*"), "{answer:?}");
    }
    let log = api(program.address, "history", &json!({"channel": "ci:1"})).json();
    assert_eq!(log["result"]["offset"], 2, "a broadcast that is refused publishes nothing: {log}");
}

#[test]
fn each_call_of_a_batch_has_the_rights_of_the_key() {
    let file = keys("batch");
    let program = start(&file, &[]);
    let mut member = Client::json(program.address, &token(&json!({"sub": "bob", "channels": ["ci:1", "chat:1"]})));
    let publish = |room: &str| json!({"publish": {"channel": room, "data": room}});
    let commands = [publish("chat:1"), publish("ci:1"), json!({"disconnect": {"user": "bob"}}), json!({"publish": {}})];
    let answer = call(&program, CI, "batch", &json!({"commands": commands}));
    assert_eq!(answer.status, 200, "{answer:?}");
    let codes: Vec<Value> =
        answer.json()["replies"].as_array().unwrap().iter().map(|reply| reply["error"]["code"].clone()).collect();
    assert_eq!(codes, [json!(103), Value::Null, json!(103), json!(107)]);
    assert_eq!(member.receive()["push"]["pub"]["data"], "ci:1", "it is the first that comes");
}

#[test]
fn calls_that_change_something_are_a_line_with_the_name_of_their_key() {
    let file = keys("lines");
    let mut program = start(&file, &[]);
    for (key, method, body) in [
        (CI, "publish", json!({"channel": "ci:1", "data": "payload"})),
        (CI, "publish", json!({"channel": "chat \" key=x", "data": 1})),
        (CI, "history", json!({"channel": "ci:1"})),
        (CI, "broadcast", json!({"channels": ["ci:1", "ci:\n"], "data": 1})),
        (KEY, "subscribe", json!({"user": "ann", "channel": "ci:1"})),
        (KEY, "disconnect", json!({"user": "ann", "client": "00000000-0000-0000-0000-000000000000"})),
        (KEY, "publish_user", json!({"user": "ann", "data": 1})),
        (KEY, "send", json!({"client": "00000000-0000-0000-0000-000000000000", "data": 1})),
        (KEY, "presence", json!({"channel": "ci:1"})),
        (KEY, "info", json!({})),
        (
            CI,
            "batch",
            json!({"commands": [{"publish": {"channel": "ci:2", "data": 1}}, {"history": {"channel": "ci:2"}},
            {"publish": {"channel": "other", "data": 1}}]}),
        ),
    ] {
        call(&program, key, method, &body);
    }
    let lines = calls_in_log(&mut program);
    assert!(!format!("{lines:?}").contains("payload"), "{lines:?}");
    let line = |line: &Value| {
        let fields = ["key", "method", "room", "user", "result"].map(|field| line[field].as_str().unwrap_or("-"));
        assert_eq!(line["address"], "127.0.0.1", "{line}");
        format!("{} {}", fields.join(" "), line["code"])
    };
    assert_eq!(
        lines.iter().map(line).collect::<Vec<_>>(),
        [
            "ci publish ci:1 - done null",
            "ci publish chat \" key=x - refused 103",
            "ci broadcast - - done null",
            "api_key subscribe ci:1 ann done null",
            "api_key disconnect - ann done null",
            "api_key publish_user - ann done null",
            "api_key send - - refused 102",
            "ci publish ci:2 - done null",
            "ci publish other - refused 103",
        ]
    );
    assert_eq!((&lines[2]["rooms"], &lines[2]["refused"]), (&json!(2), &json!(1)));
    assert_eq!(lines[6]["client"], "00000000-0000-0000-0000-000000000000");
}

#[test]
fn calls_have_no_line_where_the_log_is_for_warnings() {
    let file = keys("quiet");
    let mut program = start(&file, &["--log-level", "warn"]);
    assert_eq!(call(&program, CI, "publish", &json!({"channel": "ci:1", "data": 1})).status, 200);
    assert_eq!(calls_in_log(&mut program), [] as [Value; 0]);
}

#[test]
fn behind_a_proxy_wrong_keys_count_for_the_client_and_a_right_one_is_served() {
    let file = keys("proxy");
    let program = start(&file, &["--trusted-proxies", "127.0.0.1", "--wrong-keys-per-ip", "1/s, burst 2"]);
    let from = |client: &str, key: &str| {
        let headers = format!("X-Forwarded-For: {client}\r\nX-API-Key: {key}\r\n");
        http(program.address, "POST", "/api/limits", &headers, "{}").status
    };
    assert_eq!(["2001:db8::1", "2001:db8::2"].map(|host| from(host, "wrong")), [401, 401]);
    wait_until("a /64 to be one address", || from("2001:db8::3", "wrong") == 429);
    assert_eq!(from("2001:db8:0:1::1", "wrong"), 401);
    assert_eq!((from("2001:db8::1", KEY), from("2001:db8::1", CI)), (200, 403), "both are known");
    assert!(health(program.address)["totals"]["limits"]["wrong_keys_per_ip"].as_u64().unwrap() >= 1);
}

#[test]
fn no_output_shows_a_key() {
    let file = keys("shown");
    for command in [&["config", "show"][..], &["config", "check"], &["config", "explain", "ci:1"], &["--help"]] {
        let output = Command::new(env!("CARGO_BIN_EXE_parlor"))
            .args(command)
            .args(["--config", file.path(), "--api-key", KEY, "--token-secret", SECRET])
            .output()
            .unwrap();
        let said = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success() && ![CI, CHAT, KEY, SECRET].iter().any(|key| said.contains(key)), "{said}");
        if command == ["config", "show"] {
            let line = "# [[api_keys]] \"ci\", publish, broadcast, history; rooms ci:*, #ann # ";
            assert!(said.contains(line), "{said}");
        }
    }
    let program = start(&file, &[]);
    for path in ["/health", "/openapi.json"] {
        let Answer { status, body, .. } = http(program.address, "GET", path, &format!("X-API-Key: {KEY}\r\n"), "");
        assert_eq!(status, 200);
        assert!(![CI, CHAT, KEY, SECRET].iter().any(|key| body.contains(key)), "{path}");
    }
}
