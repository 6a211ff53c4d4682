//! The commands of the program that speak with a server, as a person or a script runs them.

#![allow(clippy::disallowed_methods, reason = "tests have their own clock")]

mod common;

use common::program::Program;
use common::{Client, KEY, PATIENCE, SECRET, api, get, health, http, publish, start, token, unix, wait_until};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

/// The program with nothing of the environment of the tests.
fn parlor(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_parlor"));
    command.args(arguments).env_clear().stdin(Stdio::null());
    command
}

/// A command for the server at this address, with its key.
fn at(address: SocketAddr, arguments: &[&str]) -> Command {
    let mut command = parlor(arguments);
    command.env("PARLOR_URL", format!("http://{address}")).env("PARLOR_API_KEY", KEY);
    command
}

fn said(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

/// Exit code, standard output and standard error.
fn run(mut command: Command) -> (Option<i32>, String, String) {
    said(&command.output().unwrap())
}

/// An address where nobody listens.
fn nowhere() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// A file that goes with its test.
struct TempFile(PathBuf);

impl TempFile {
    fn new(name: &str, text: &str) -> Self {
        let path = std::env::temp_dir().join(format!("parlor-cli-{}-{name}", std::process::id()));
        fs::write(&path, text).unwrap();
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

#[test]
fn health_has_two_exit_codes_and_prints_a_word() {
    let mut program = Program::start(&["--api-key", KEY, "--drain-delay", "10s"]);
    for flags in [&["health"][..], &["health", "--ready"], &["health", "--live"]] {
        assert_eq!(run(at(program.address, flags)), (Some(0), "ok\n".into(), String::new()), "{flags:?}");
    }
    program.signal("TERM");
    wait_until("the stop", || get(program.address, "/health/ready").status == 503);
    let (code, out, err) = run(at(program.address, &["health"]));
    assert_eq!((code, &*out), (Some(1), "stopping\n"), "{err}");
    assert_eq!(run(at(program.address, &["health", "--live"])).0, Some(0));
    for flags in [&["health", "--redy"][..], &["health", "--live", "--ready"], &["health", "--url", "x"]] {
        assert_eq!(run(at(program.address, flags)).0, Some(1), "a supervisor knows no 2: {flags:?}");
    }
    let _ = program.child.kill();
    program.end();
    let (code, _, err) = run(at(program.address, &["health"]));
    assert!(code == Some(1) && err.contains(&program.address.to_string()) && err.contains("PARLOR_URL"), "{err}");
}

#[test]
fn what_is_published_arrives_as_it_was_written() {
    let server = start(|_| {});
    let mut member = Client::connect(server.address(), "/ws/lobby?greeting=off");
    let user = token(&json!({"sub": "ann", "exp": unix(60)}));
    let mut ann = Client::connect(server.address(), &format!("/ws/other?greeting=off&token={user}"));
    wait_until("both", || health(server.address())["connections"] == 2);
    for (arguments, input, text) in [
        (
            &["lobby", r#"{"b": 1.50, "a": 12345678901234567890123}"#][..],
            "",
            r#"{"b": 1.50, "a": 12345678901234567890123}"#,
        ),
        (&["lobby", "hello there"], "", r#""hello there""#),
        (&["lobby", "--text", "7"], "", r#""7""#),
        (&["lobby", "-1"], "", "-1"),
        (&["lobby", "-"], "from a pipe\n", r#""from a pipe""#),
        (&["lobby"], "[1,\n2]\n", "[1,2]"),
        (&["--user", "ann", "for you"], "", r#""for you""#),
        (&["--user", "ann"], "7\n", "7"),
    ] {
        let mut command = at(server.address(), &[&["publish"], arguments].concat());
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let (code, out, err) = said(&child.wait_with_output().unwrap());
        assert_eq!((code, &*err), (Some(0), ""), "{arguments:?}");
        let arrived = if arguments[0] == "--user" { ann.text() } else { member.text() };
        assert_eq!(arrived, text, "{arguments:?}");
        assert!(out.starts_with("offset=") && out.contains(" epoch="), "{out}");
    }
}

#[test]
fn a_repeated_publication_with_a_key_is_published_once() {
    let server = start(|_| {});
    let publish = || run(at(server.address(), &["publish", "lobby", "1", "--idempotency-key", "k"]));
    let first = publish();
    assert!(first.1.starts_with("offset=1 "), "{first:?}");
    assert_eq!(publish(), first);
    let skipped = run(at(server.address(), &["publish", "lobby", "2", "--skip-history"]));
    assert!(skipped.1.starts_with("offset=0 "), "{skipped:?}");
}

#[test]
fn each_error_is_one_line_that_says_what_is_wrong_and_what_is_allowed() {
    let server = start(|_| {});
    let file = TempFile::new("wrong-key", "not-the-key\n");
    let nowhere = nowhere();
    let publish = &["publish", "lobby", "1"][..];
    let no_key = |mut command: Command| {
        command.env_remove("PARLOR_API_KEY");
        command
    };
    let with_file = [publish, &["--api-key-file", file.path()]].concat();
    let missing = [publish, &["--api-key-file", "/nonexistent/key"]].concat();
    for (command, code, words) in [
        (at(nowhere, publish), 1, &["PARLOR_URL", "cannot be reached", "refused"][..]),
        (parlor(&["health", "--url", &format!("http://{nowhere}")]), 1, &["--url", "cannot be reached"]),
        (no_key(at(server.address(), publish)), 1, &["401", "PARLOR_API_KEY", "--api-key-file"]),
        (at(server.address(), &with_file), 1, &["401", "does not know", file.path()]),
        (at(server.address(), &missing), 1, &["/nonexistent/key"]),
        (at(server.address(), &["publish", "#ann\u{7}", "1"]), 1, &["400"]),
        (at(server.address(), &["publish"]), 2, &["room", "--help"]),
        (at(server.address(), &["publish", "lobby", "{"]), 2, &["--text"]),
        (at(server.address(), &["publish", "--user", "ann", "1", "2"]), 2, &["--user"]),
        (at(server.address(), &["publish", "lobby", "1", "--url", "ftp://a"]), 2, &["--url", "http://"]),
        (parlor(&["--listen", "0", "publish", "lobby"]), 1, &["publish", "first"]),
        (parlor(&["publsh"]), 2, &["--help"]),
    ] {
        let (exit, out, err) = run(command);
        assert_eq!((exit, &*out), (Some(code), ""), "{err}");
        assert!(words.iter().all(|word| err.contains(word)), "{words:?} in {err}");
        assert!(!err.contains(KEY) && !err.contains("not-the-key"), "{err}");
    }
    let (code, _, err) = run(at(server.address(), &["publish", "lobby", "1", "--api-key", KEY]));
    assert!(code == Some(2) && !err.contains(KEY), "a key is no argument: {err}");
}

/// A command that goes on, and what it prints.
struct Listening {
    child: Child,
    lines: Receiver<String>,
}

impl Listening {
    fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let printed = BufReader::new(child.stdout.take().unwrap()).lines();
        let (line, lines) = channel();
        thread::spawn(move || printed.map_while(Result::ok).try_for_each(|text| line.send(text)));
        Self { child, lines }
    }

    fn line(&mut self) -> String {
        self.lines.recv_timeout(PATIENCE).expect("it prints a line")
    }

    /// Its exit code after Ctrl-C, and what it said of its connections.
    fn interrupt(mut self) -> (Option<i32>, String) {
        let interrupted = Command::new("kill").args(["-s", "INT", &self.child.id().to_string()]).status().unwrap();
        assert!(interrupted.success());
        self.ended()
    }

    /// Its exit code, and what it said, once it ends by itself.
    fn ended(&mut self) -> (Option<i32>, String) {
        let mut said = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        (self.child.wait().unwrap().code(), said)
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn members(address: SocketAddr, room: &str) -> Value {
    api(address, "presence_stats", &json!({"channel": room})).json()["result"]["num_clients"].clone()
}

#[test]
fn listen_prints_a_message_a_line_until_it_is_interrupted() {
    let server = start(|_| {});
    publish(server.address(), "a room/7", &json!("before"));
    let mut listening = Listening::start(at(server.address(), &["listen", "a room/7", "--history", "1"]));
    assert_eq!(listening.line(), "\"before\"");
    let messages = [json!({"text": "hello"}), json!({"type": "error", "message": "disk full"}), json!({"type": "gap"})];
    for message in messages {
        publish(server.address(), "a room/7", &message);
        assert_eq!(listening.line(), message.to_string());
    }
    let skipped = json!({"channel": "a room/7", "data": "not in the log", "skip_history": true});
    assert_eq!(api(server.address(), "publish", &skipped).status, 200);
    assert_eq!(listening.line(), "\"not in the log\"");
    let to_all = json!({"data": {"type": "error", "code": 7, "message": "disk full"}});
    assert_eq!(api(server.address(), "publish_all", &to_all).status, 200);
    publish(server.address(), "a room/7", &json!("after"));
    assert_eq!(listening.line(), "\"after\"");
    assert_eq!(listening.interrupt(), (Some(0), "parlor listen: the server says: disk full\n".into()));
    wait_until("the end", || health(server.address())["totals"]["closed"]["peer_close"] == 1);
}

#[test]
fn listen_goes_on_where_a_lost_connection_ended() {
    let server = start(|_| {});
    let mut listening = Listening::start(at(server.address(), &["listen", "lobby"]));
    wait_until("the member", || members(server.address(), "lobby") == 1);
    let disconnect = || {
        let client = api(server.address(), "connections", &json!({"channel": "lobby"})).json();
        let clients = client["result"]["connections"].as_object().unwrap();
        let client = clients.keys().next().unwrap();
        let end = json!({"client": client, "disconnect": {"code": 3001, "reason": "move"}});
        assert_eq!(api(server.address(), "disconnect", &end).status, 200);
    };
    // Before there is any message, the listener was told where the log is.
    for number in 0..3 {
        disconnect();
        publish(server.address(), "lobby", &json!(number));
        assert_eq!(listening.line(), number.to_string());
        wait_until("the member", || members(server.address(), "lobby") == 1);
    }
    let (code, err) = listening.interrupt();
    assert!(code == Some(0) && err.contains("3001") && err.contains("next attempt"), "{err}");
}

#[test]
fn listen_ends_where_it_may_not_listen() {
    let server = start(|settings| settings.dev = Some(false));
    let address = server.address();
    let (code, _, err) = run(at(address, &["listen", "lobby"]));
    assert!(code == Some(1) && err.contains("PARLOR_TOKEN"), "{err}");
    let file = TempFile::new("token", &format!("{}\n", token(&json!({"sub": "ann", "exp": unix(60)}))));
    let (code, _, err) = run(at(address, &["listen", "#bob", "--token-file", file.path()]));
    assert!(code == Some(1) && err.contains("reserved"), "{err}");
    let mut listening = Listening::start(at(address, &["listen", "lobby", "--token-file", file.path()]));
    wait_until("the member", || members(address, "lobby") == 1);
    let to_user = api(address, "publish_user", &json!({"user": "ann", "data": "to the user"}));
    assert_eq!(to_user.status, 200, "it is of another room");
    publish(address, "lobby", &json!(1));
    assert_eq!(listening.line(), "1");
    let refused = json!({"user": "ann", "disconnect": {"code": 3503, "reason": "go away"}});
    assert_eq!(api(address, "disconnect", &refused).status, 200);
    let (code, err) = listening.ended();
    assert!(code == Some(1) && err.contains("go away") && err.contains("3503"), "{err}");
    let (code, _, err) = run(at(nowhere(), &["listen", "lobby"]));
    assert!(code == Some(1) && err.contains("cannot be reached"), "the first connection has to succeed: {err}");
}

#[test]
fn drain_stops_a_server_and_follows_it_to_its_end() {
    let mut program = Program::start(&["--api-key", KEY, "--token-secret", SECRET, "--dev", "true"]);
    let mut clients: Vec<_> = (0..3).map(|_| Client::connect(program.address, "/ws/lobby?greeting=off")).collect();
    wait_until("the clients", || health(program.address)["connections"] == 3);
    let mut draining = Listening::start(at(program.address, &["drain"]));
    for client in &mut clients {
        assert_eq!(client.close(), (3001, "shutdown".into()));
    }
    // A second one finds the server stopping, and says the same.
    let again = http(program.address, "POST", "/api/drain", &format!("X-API-Key: {KEY}\r\n"), "{}");
    assert_eq!((again.status, &again.json()["result"]["connections"]), (200, &json!(3)), "{again:?}");
    assert_eq!(get(program.address, "/health/ready").status, 503);
    for client in clients {
        drop(client);
    }
    assert_eq!(program.end().code(), Some(0));
    let (code, err) = draining.ended();
    let out: Vec<String> = draining.lines.iter().collect();
    assert_eq!((code, &*err), (Some(0), ""), "{out:?}");
    assert!(out[0].contains("3 connections") && out.last().unwrap().contains("has ended"), "{out:?}");
    let log = program.log();
    assert!(log.contains("API call") && log.contains("method=\"drain\""), "{log}");
}

#[test]
fn a_server_that_is_drained_twice_is_not_ended_at_once() {
    let mut program = Program::start(&["--api-key", KEY, "--dev", "true", "--close-timeout", "300ms"]);
    let mut client = Client::connect(program.address, "/ws/lobby?greeting=off");
    let began = Instant::now();
    for _ in 0..3 {
        assert_eq!(http(program.address, "POST", "/api/drain", &format!("X-API-Key: {KEY}\r\n"), "").status, 200);
    }
    // A container engine sends it next.
    program.signal("TERM");
    assert_eq!(client.close().0, 3001);
    client.end();
    assert_eq!(program.end().code(), Some(0), "130 is that of a second signal");
    assert!(began.elapsed() < PATIENCE);
}

#[test]
fn only_a_key_for_it_stops_or_reloads_a_server() {
    let file = TempFile::new(
        "keys.toml",
        "[[api_keys]]\nname = \"operator\"\nkey = \"operator-operator\"\nmethods = [\"drain\", \"reload\", \"input_log\"]\n\
         [[api_keys]]\nname = \"publisher\"\nkey = \"publisher-publisher\"\nmethods = [\"publish\"]\n",
    );
    let mut program = Program::start(&["--config", file.path(), "--dev", "true", "--log-format", "json"]);
    let with = |key: &str, arguments: &[&str]| {
        let mut command = at(program.address, arguments);
        command.env("PARLOR_API_KEY", key);
        run(command)
    };
    for method in ["drain", "reload", "input_log"] {
        let (code, _, err) = with("publisher-publisher", &[&method.replace('_', "-")]);
        assert!(code == Some(1) && err.contains("403") && err.contains(method), "{err}");
        let batch = json!({"commands": [{method: {}}]}).to_string();
        let key = "X-API-Key: operator-operator\r\n";
        let refused = http(program.address, "POST", "/api/batch", key, &batch);
        assert!(refused.status == 400 && refused.body.contains(method), "{refused:?}");
        let more = http(program.address, "POST", &format!("/api/{method}"), key, r#"{"now": true}"#);
        assert_eq!(more.status, 400, "{more:?}");
    }
    assert_eq!(get(program.address, "/health/ready").status, 200);
    let nothing = "changed: nothing\n";
    assert_eq!(with("operator-operator", &["reload"]), (Some(0), nothing.into(), String::new()));
    let (code, _, err) = with("operator-operator", &["input-log"]);
    assert!(code == Some(1) && err.contains("set input_log_dir"), "{err}");
    assert_eq!(with("operator-operator", &["drain"]).0, Some(0));
    assert_eq!(program.end().code(), Some(0));
    let log = program.log();
    let calls: Vec<Value> = log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let calls: Vec<String> = calls
        .iter()
        .filter(|line| line.to_string().contains("API call"))
        .map(|line| line.to_string())
        .filter(|line| line.contains("operator") && line.contains("done"))
        .collect();
    assert_eq!(calls.len(), 2, "{log}");
}

#[test]
fn reload_says_what_was_read_and_why_it_could_not_be() {
    let certificate = || {
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".into()]).unwrap();
        (cert.pem(), signing_key.serialize_pem())
    };
    let (cert, key) = certificate();
    let (cert, key) = (TempFile::new("cert.pem", &cert), TempFile::new("key.pem", &key));
    let ca = TempFile::new("ca.pem", &fs::read_to_string(cert.path()).unwrap());
    let flags = ["--api-key", KEY, "--dev", "true", "--tls-cert", cert.path(), "--tls-key", key.path()];
    let program = Program::start(&flags);
    let over_tls = |arguments: &[&str], ca: &str| {
        let mut command = at(program.address, arguments);
        command.env("PARLOR_URL", format!("https://localhost:{}/", program.address.port())).env("SSL_CERT_FILE", ca);
        command
    };
    assert_eq!(run(over_tls(&["health"], ca.path())), (Some(0), "ok\n".into(), String::new()));
    let (code, _, err) = run(over_tls(&["health"], key.path()));
    assert!(code == Some(1) && err.contains("certificate"), "{err}");
    assert_eq!(run(over_tls(&["publish", "lobby", "1"], ca.path())).0, Some(0));
    let mut listening = Listening::start(over_tls(&["listen", "lobby", "--history", "1"], ca.path()));
    assert_eq!(listening.line(), "1");
    assert_eq!(listening.interrupt().0, Some(0));

    let unchanged = "changed: nothing\n";
    assert_eq!(run(over_tls(&["reload"], ca.path())), (Some(0), unchanged.into(), String::new()));
    fs::write(cert.path(), "no certificate").unwrap();
    let (code, _, err) = run(over_tls(&["reload"], ca.path()));
    assert!(code == Some(1) && err.contains("tls_cert") && err.contains("no certificate"), "{err}");
    let (new_cert, new_key) = certificate();
    fs::write(cert.path(), &new_cert).unwrap();
    fs::write(key.path(), new_key).unwrap();
    let (code, out, err) = run(over_tls(&["reload"], ca.path()));
    assert_eq!((code, &*out), (Some(0), "changed: tls_cert\n"), "{err}");
    fs::write(&ca.0, new_cert).unwrap();
    assert_eq!(run(over_tls(&["health"], ca.path())).0, Some(0));
}

#[test]
fn shells_complete_commands_and_flags_where_they_are_known() {
    let script = |shell| run(parlor(&["completions", shell])).1;
    let bash = TempFile::new("completions.bash", &script("bash"));
    let complete = |words: &str| {
        let count = words.split(' ').count() - 1;
        let text = format!(
            "source {}; COMP_WORDS=({words}''); COMP_CWORD={count}; _parlor parlor '' ''; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
            bash.path()
        );
        let output = Command::new("bash").args(["-c", &text]).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let has = |words: &str, flag: &str| complete(words).lines().any(|line| line == flag);
    for (words, flag, expected) in [
        ("parlor pub", "publish", true),
        ("parlor --lis", "--listen", true),
        ("parlor config check --lis", "--listen", true),
        ("parlor publish --idem", "--idempotency-key", true),
        ("parlor publish --lis", "--listen", false),
        ("parlor publish --api-key", "--api-key", false),
        ("parlor completions ", "zsh", true),
    ] {
        assert_eq!(has(words, flag), expected, "{words}: {}", complete(words));
    }
    let mut child = parlor(&["completions", "bash"]).stdout(Stdio::piped()).spawn().unwrap();
    // Longer than a server would wait for whoever reads what it prints, and the script is more than a pipe holds.
    thread::sleep(Duration::from_millis(1500));
    let mut read = String::new();
    child.stdout.take().unwrap().read_to_string(&mut read).unwrap();
    assert!(child.wait().unwrap().success() && read == script("bash"), "{} bytes of it", read.len());
    assert!(script("zsh").starts_with("#compdef parlor") && script("fish").contains("complete -c parlor"));
    assert_eq!(run(parlor(&["completions", "csh"])).0, Some(2));
}

#[test]
fn a_token_of_the_command_line_is_one_that_the_server_takes() {
    let server = start(|settings| {
        settings.token_secret = Some(SECRET.into());
        settings.token_audience = Some("rooms".into());
    });
    let file = TempFile::new("token.toml", &format!("token_secret = \"{SECRET}\"\ntoken_audience = \"rooms\"\n"));
    let print = |arguments: &[&str]| run(parlor(&[&["token", "--config", file.path()], arguments].concat()));
    let (code, token, err) = print(&["ann", "--channels", "a", "--channels", "b", "--claims", "{\"info\": 7}"]);
    assert_eq!((code, &*err), (Some(0), ""));
    let mut client = Client::json(server.address(), token.trim());
    let members = api(server.address(), "connections", &json!({"user": "ann"})).json();
    let connections = members["result"]["connections"].as_object().unwrap();
    assert!(connections.values().any(|own| own["channels"] == json!(["#ann", "a", "b"])), "{members}");
    let (_, of_room, _) = print(&["ann", "--channel", "secret", "--expires", "5m"]);
    let subscribe = json!({"channel": "secret", "token": of_room.trim()});
    let reply = client.ask(&json!({"id": 2, "subscribe": subscribe}));
    let ttl = reply["subscribe"]["ttl"].as_u64().unwrap_or_default();
    assert!((290..=330).contains(&ttl), "{reply}");
    for (arguments, code, word) in [
        (vec!["ann", "--expires", "soon"], 2, "--expires"),
        (vec!["ann", "--expires", "0s"], 2, "--expires"),
        (vec!["ann", "--claims", "[]"], 2, "--claims"),
        (vec!["ann", "--channel", "a", "--channels", "b"], 2, "cannot be used"),
    ] {
        let (found, _, err) = print(&arguments);
        assert!(found == Some(code) && err.contains(word), "{arguments:?}: {err}");
    }
    let (code, _, err) = run(parlor(&["token", "ann"]));
    assert!(code == Some(1) && err.contains("PARLOR_TOKEN_SECRET"), "{err}");
    let mut by_variable = parlor(&["token", "ann"]);
    by_variable.env("PARLOR_TOKEN_SECRET", SECRET);
    assert_eq!(run(by_variable).0, Some(0));
}

#[test]
fn help_teaches_each_command_by_an_example() {
    let (_, all, _) = run(parlor(&["--help"]));
    for command in ["publish", "listen", "health", "drain", "reload", "token", "input-log", "completions"] {
        assert!(all.lines().any(|line| line.trim_start().starts_with(command)), "{command}");
        let (code, help, _) = run(parlor(&[command, "--help"]));
        assert!(code == Some(0) && help.contains("Example"), "{help}");
        assert!(help.contains(&format!("parlor {command}")) || command == "health", "{help}");
    }
}

#[test]
fn config_explain_tells_of_a_setting_what_an_operator_asks() {
    let explain = |name: &str| run(parlor(&["config", "explain", name, "--drain-delay", "7s", "--api-key", KEY])).1;
    for name in ["drain_delay", "drain-delay", "PARLOR_DRAIN_DELAY"] {
        let said = explain(name);
        assert!(said.starts_with("drain_delay: Time from the signal to stop"), "{said}");
        for line in ["value:   7s # --drain-delay", "default: 5s", "allowed: a duration", "PARLOR_DRAIN_DELAY"] {
            assert!(said.contains(line), "{line} in {said}");
        }
    }
    let said = explain("api_key");
    assert!(said.contains("set, and not shown # --api-key") && !said.contains(KEY), "{said}");
    let said = explain("close_timeout");
    assert!(said.contains("value:   5s # default") && said.contains("reached: the socket is dropped"), "{said}");
    let said = explain("publish");
    assert!(said.contains("value:   token # default of production mode"), "{said}");
    assert!(explain("ping_intervall").contains("the nearest one is ping_interval"));
    assert!(explain("chat:7").starts_with("\"chat:7\": the top level holds here"));
    let room = run(parlor(&["config", "explain", "publish", "--room"])).1;
    assert!(room.starts_with("\"publish\": the top level holds here"), "{room}");
}

#[test]
fn variables_of_commands_do_not_disturb_a_server() {
    let mut command = parlor(&["--listen", "127.0.0.1:0"]);
    for name in ["PARLOR_URL", "PARLOR_TOKEN", "PARLOR_TOKEN_FILE"] {
        command.env(name, "something");
    }
    let program = Program::run(&mut command, Stdio::piped());
    assert_eq!(get(program.address, "/health/live").status, 200);
    program.signal("TERM");
    let said = program.said();
    assert!(said.contains("PARLOR_TOKEN is for parlor listen") && said.contains("PARLOR_TOKEN_SECRET"), "{said}");
}
