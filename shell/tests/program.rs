//! The program as a person or a script starts it.

#![allow(clippy::disallowed_methods, reason = "tests have their own clock")]

mod common;

use common::program::Program;
use common::{Client, KEY, PATIENCE, SECRET, api, get, raw_http, upgrade_request};
use parlor::config::Settings;
use parlor_core::Limit;
use parlor_core::limits::Value;
use serde_json::json;
use std::ffi::OsString;
use std::io::Read;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::time::Instant;

#[test]
fn first_start_needs_nothing_and_says_how_to_publish() {
    let program = Program::start(&[]);
    let mut member = Client::connect(program.address, "/ws/lobby?greeting=off");
    let curl = program.printed.iter().find(|line| line.trim_start().starts_with("curl ")).expect("a command to paste");
    let output = Command::new("sh").args(["-c", curl]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(String::from_utf8(output.stdout).unwrap().contains(r#""offset":1"#));
    assert_eq!(member.receive(), "hello");
}

#[test]
fn the_first_line_says_which_mode_it_is_and_why() {
    for (flags, line) in [
        (&[][..], "development mode, since it listens on loopback and sets none of api_key, api_keys, token_secret"),
        (&["--api-key", KEY, "--dev", "true"], "development mode, since dev = true"),
        (&["--api-key", KEY, "--token-secret", SECRET], "production mode, since api_key and token_secret are set"),
        (&["--dev", "false"], "production mode, since dev = false"),
    ] {
        let program = Program::start(flags);
        assert!(program.printed[0].starts_with(line), "{:?}", program.printed);
        let status =
            raw_http(program.address, &upgrade_request("/ws/room", "Origin: http://localhost:3000\r\n")).status;
        assert_eq!(status, if line.starts_with("development") { 101 } else { 403 }, "{line}");
    }
}

#[test]
fn a_page_served_over_http_cannot_connect_to_an_https_site() {
    let page = |program: &Program, scheme: &str, host: &str| {
        let origin = format!("Origin: {scheme}://{}\r\n", host.trim_end_matches(":443"));
        let request = String::from_utf8(upgrade_request("/ws/room", &origin)).unwrap();
        raw_http(program.address, request.replace("Host: localhost", &format!("Host: {host}")).as_bytes())
    };
    let (site, evil) = ("rooms.example.com", "evil.example");
    let public = Program::start(&["--public-hosts", "https://rooms.example.com", "--api-key", KEY]);
    assert_eq!(page(&public, "https", site).status, 101);
    assert_eq!(page(&public, "https", "rooms.example.com:443").status, 101);
    for (scheme, host) in [("http", site), ("http", "rooms.example.com:443"), ("http", evil), ("https", evil)] {
        let answer = page(&public, scheme, host);
        assert_eq!(answer.status, 403, "{scheme}://{host}");
        assert!(answer.body.contains("public_hosts"), "{}", answer.body);
    }
    let unset = Program::start(&["--api-key", KEY, "--token-secret", SECRET]);
    assert_eq!(page(&unset, "http", evil).status, 101, "as the warning says");
    assert_eq!(page(&unset, "http", "rooms.example.com:443").status, 403);
    unset.signal("TERM");
    assert!(unset.said().contains("DNS rebinding"));
}

#[test]
fn a_configured_key_is_not_printed() {
    let program = Program::start(&["--api-key", KEY, "--token-secret", SECRET, "--log-level", "trace"]);
    assert_eq!(program.printed.len(), 1);
    program.signal("TERM");
    let said = program.said();
    assert!(said.contains("stopping"), "{said}");
    assert!(![KEY, SECRET].iter().any(|secret| said.contains(secret)), "{said}");
}

#[test]
fn both_signals_end_the_server_in_order() {
    for signal in ["TERM", "INT"] {
        let mut program = Program::start(&["--drain-timeout", "10s"]);
        let mut clients: Vec<_> =
            (0..20).map(|number| Client::connect(program.address, &format!("/ws/room{number}"))).collect();
        let asked = Instant::now();
        program.signal(signal);
        for (number, client) in clients.iter_mut().enumerate() {
            assert_eq!(client.close(), (3001, "shutdown".into()));
            if number == 0 {
                assert_eq!(raw_http(program.address, &upgrade_request("/ws/late", "")).status, 503);
                assert_eq!(get(program.address, "/health/ready").status, 503);
            }
            client.send_close(3001);
            client.end();
        }
        assert_eq!(program.end().code(), Some(0), "after SIG{signal}");
        assert!(asked.elapsed().as_secs() < 9, "it does not wait when nobody is left");
    }
}

#[test]
fn silent_clients_delay_the_end_by_at_most_drain_timeout() {
    let mut program = Program::start(&["--drain-timeout", "500ms", "--close-timeout", "250ms"]);
    let mut client = Client::connect(program.address, "/ws/room");
    program.signal("TERM");
    assert_eq!(client.close().0, 3001);
    assert_eq!(program.end().code(), Some(0));
}

#[test]
fn a_second_signal_ends_the_server_at_once() {
    let mut program = Program::start(&["--drain-timeout", "2h", "--close-timeout", "1h"]);
    let mut client = Client::connect(program.address, "/ws/room");
    let asked = Instant::now();
    program.signal("TERM");
    assert_eq!(client.close().0, 3001);
    program.signal("TERM");
    assert_eq!(program.end().code(), Some(130));
    assert!(asked.elapsed() < PATIENCE);
}

#[test]
fn errors_at_the_start_go_to_standard_error() {
    for (flags, words) in [
        (&["--listen", "0.0.0.0:0"][..], "--api-key"),
        (&["--lisen", "127.0.0.1:0"], "--listen"),
        (&["--port", "8000"], "--listen"),
        (&["--secret", "s"], "--token-secret"),
        (&["--config", "/nonexistent/parlor.toml"], "/nonexistent/parlor.toml"),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_parlor")).args(flags).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && said.contains(words), "{said}");
    }
    let first = Program::start(&[]);
    let taken = first.address.to_string();
    let output = Command::new(env!("CARGO_BIN_EXE_parlor")).args(["--listen", &taken]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && said.contains(&taken), "{said}");
}

#[test]
fn every_way_to_name_an_address_leads_there() {
    let reaches = |program: &Program, ip: &str| {
        let address = SocketAddr::new(ip.parse().unwrap(), program.address.port());
        TcpStream::connect(address).is_ok() && get(address, "/health/live").status == 200
    };
    let has_v6 = TcpListener::bind("[::1]:0").is_ok();
    for listen in ["localhost:0", "0"] {
        let program = Program::start_at(listen, &[]);
        assert!(program.printed[0].starts_with("development mode"), "{:?}", program.printed);
        assert!(reaches(&program, "127.0.0.1"));
        assert_eq!(reaches(&program, "::1"), has_v6);
        assert!(!reaches(&program, "127.0.0.2"), "it is not everywhere");
    }
    let program = Program::start_at(":0", &["--api-key", KEY]);
    assert_eq!(program.printed[0], "production mode, since others can reach :0");
    assert!(["127.0.0.1", "127.0.0.2"].iter().all(|ip| reaches(&program, ip)));
    assert_eq!(reaches(&program, "::1"), has_v6);
}

#[test]
fn several_addresses_are_listened_on_at_once() {
    let program = Program::start_at("127.0.0.1:0,127.0.0.2:0", &[]);
    assert!(program.printed[0].starts_with("development mode"), "{:?}", program.printed);
    for address in &program.addresses {
        assert_eq!(get(*address, "/health").status, 200, "{address}");
        assert_eq!(Client::connect(*address, "/ws/room").receive()["type"], "connection", "{address}");
    }
    let ips: Vec<String> = program.addresses.iter().map(|address| address.ip().to_string()).collect();
    assert_eq!(ips, ["127.0.0.1", "127.0.0.2"]);
    let one_is_public = Program::start_at("127.0.0.1:0,:0", &["--api-key", KEY]);
    assert_eq!(one_is_public.printed[0], "production mode, since others can reach :0");
    let taken = program.addresses[1];
    let listen = format!("127.0.0.1:0,{taken}");
    let output = Command::new(env!("CARGO_BIN_EXE_parlor")).args(["--listen", &listen]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && said.contains(&format!("cannot listen on {taken} (listen)")), "{said}");
}

#[test]
fn an_address_that_is_taken_in_one_family_is_taken() {
    let Ok(other) = TcpListener::bind("[::1]:0") else { return };
    let listen = format!("localhost:{}", other.local_addr().unwrap().port());
    let output = Command::new(env!("CARGO_BIN_EXE_parlor")).args(["--listen", &listen]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && said.contains(&format!("cannot listen on {listen}")), "{said}");
}

#[test]
fn a_restart_does_not_wait_for_sockets_of_the_previous_run() {
    let mut program = Program::start(&[]);
    let mut client = Client::connect(program.address, "/ws/room?greeting=off");
    program.signal("TERM");
    // The server closes first, so that its side of the socket lingers in the system.
    assert_eq!(client.close().0, 3001);
    client.send_close(3001);
    client.end();
    drop(client);
    assert_eq!(program.end().code(), Some(0));
    let again = Program::start_at(&program.address.to_string(), &[]);
    assert_eq!(get(again.address, "/health/live").status, 200);
}

#[test]
fn few_descriptors_are_warned_of_in_production_only() {
    for (flags, warned) in [("", false), ("--dev false", true)] {
        let start = format!("ulimit -n 256; exec {} --listen 127.0.0.1:0 {flags}", env!("CARGO_BIN_EXE_parlor"));
        let program = Program::run(Command::new("sh").args(["-c", &start]), Stdio::piped());
        program.signal("TERM");
        let said = program.said();
        assert_eq!(said.contains("too few open files"), warned, "{said}");
    }
}

#[test]
fn help_says_what_development_mode_allows() {
    let output = Command::new(env!("CARGO_BIN_EXE_parlor")).arg("--help").output().unwrap();
    let help = String::from_utf8(output.stdout).unwrap();
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let (development, production) =
        help.split_once("Development mode\n").unwrap().1.split_once("Production mode").unwrap();
    let (development, production) = (words(development), words(production));
    for setting in ["api_key", "api_keys", "token_secret", "allowed_origins", "public_hosts", "trusted_proxies"] {
        assert!(development.contains(setting) && production.contains(setting), "{setting}");
    }
    for setting in ["allow_anonymous", "allow_subscribe", "allow_publish", "allow_history", "allow_presence"] {
        assert!(development.contains(setting) && production.contains(setting), "{setting}");
    }
    assert!(development.contains("These are the defaults. A setting that is named here changes"), "{development}");
    assert!(production.contains("By default, clients need") && production.contains("Settings change each of these:"));
    assert!(development.contains("localhost, *.localhost or a loopback address"), "{development}");
    assert!(words(&help).contains("localhost:8000 or 8000 for this machine only, :8000 for every address"));
}

#[test]
fn the_log_goes_to_standard_error() {
    let mut program = Program::start(&["--log-format", "json", "--log-level", "debug"]);
    drop(Client::connect(program.address, "/ws/room"));
    program.signal("TERM");
    assert_eq!(program.end().code(), Some(0));
    let mut log = String::new();
    program.child.stderr.take().unwrap().read_to_string(&mut log).unwrap();
    let lines: Vec<serde_json::Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(lines.iter().any(|line| line["event"] == json!("stopping")), "{log}");
}

#[test]
fn the_log_tells_of_the_start_and_of_the_end() {
    let mut program = Program::start(&["--log-format", "json"]);
    program.signal("TERM");
    assert_eq!(program.end().code(), Some(0));
    let log = program.log();
    let lines: Vec<serde_json::Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let (first, last) = (&lines[0], &lines[lines.len() - 1]);
    assert_eq!((&first["event"], &last["event"]), (&json!("listening"), &json!("stopped")), "{log}");
    assert!(first["addresses"].as_str().unwrap().contains(&program.address.to_string()), "{log}");
    assert!(first["mode"].as_str().unwrap().starts_with("development mode, since "), "{log}");
}

#[test]
fn a_hangup_does_not_end_a_starting_server() {
    let fifo = std::env::temp_dir().join(format!("parlor-{}-hangup.toml", std::process::id()));
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let mut command = Command::new(env!("CARGO_BIN_EXE_parlor"));
    command.args(["--listen", "127.0.0.1:0", "--config"]).arg(&fifo);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // Waits until the program reads its settings, which it does until this is dropped.
    let file = std::fs::OpenOptions::new().write(true).open(&fifo).unwrap();
    let kill = Command::new("kill").args(["-s", "HUP", &child.id().to_string()]).status().unwrap();
    assert!(kill.success());
    std::thread::sleep(std::time::Duration::from_millis(50));
    drop(file);
    std::fs::remove_file(&fifo).unwrap();
    let mut program = Program::of(child);
    assert_eq!(get(program.address, "/health/live").status, 200);
    program.signal("TERM");
    assert_eq!(program.end().code(), Some(0));
}

/// A machine that is suspended, or moved to another host, notices afterwards that every deadline is over.
#[test]
fn a_pause_of_the_server_ends_no_connection() {
    let flags = ["--dev", "true", "--ping-interval", "2s", "--pong-timeout", "1s"];
    let mut program = Program::start(&flags);
    let mut clients: Vec<Client> = (0..20).map(|_| Client::connect(program.address, "/ws/room?greeting=off")).collect();
    for client in &mut clients {
        assert_eq!(client.frame().unwrap(), (0x9, vec![]), "a ping");
    }
    program.signal("STOP");
    let answer = common::frame(0x8A, b"");
    clients.iter_mut().for_each(|client| client.send_raw(&answer));
    std::thread::sleep(std::time::Duration::from_millis(1500));
    program.signal("CONT");
    for client in &mut clients {
        assert_eq!(client.frame().unwrap(), (0x9, vec![]), "the next ping, and not the end");
        client.send_raw(&answer);
    }
    clients.clear();
    program.signal("TERM");
    assert_eq!(program.end().code(), Some(0));
}

/// Milliseconds of CPU that a program takes in three seconds: a busy machine gives even one without end little in a second.
#[cfg(target_os = "linux")]
fn cpu_ms_of_a_while(program: &Program) -> u64 {
    // In hundredths of a second, whatever the kernel counts in (proc(5): USER_HZ).
    let cpu = || {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", program.child.id())).unwrap();
        let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
        10 * [11, 12].map(|at| fields[at].parse::<u64>().unwrap()).iter().sum::<u64>()
    };
    let before = cpu();
    std::thread::sleep(std::time::Duration::from_secs(3));
    cpu() - before
}

#[test]
#[cfg(target_os = "linux")]
fn an_idle_server_takes_no_cpu_time() {
    let program = Program::start(&["--ping-interval", "2s", "--pong-timeout", "1s"]);
    let mut client = Client::connect(program.address, "/ws/room?greeting=off");
    assert_eq!(client.frame().unwrap(), (common::PING, vec![]), "a deadline has passed");
    client.send_raw(&common::frame(0x8a, b""));
    let cpu = cpu_ms_of_a_while(&program);
    assert!(cpu < 150, "{cpu} ms");
}

#[test]
#[cfg(target_os = "linux")]
fn a_client_that_does_not_read_takes_no_cpu_time() {
    let program =
        Program::start(&["--api-key", KEY, "--dev", "true", "--write-timeout", "1m", "--close-timeout", "10s"]);
    let client = Client::connect(program.address, "/ws/room?greeting=off");
    while common::health(program.address)["outbox_bytes"] == 0 {
        common::publish(program.address, "room", &json!("x".repeat(16_000)));
    }
    let cpu = cpu_ms_of_a_while(&program);
    client.half_close();
    let cpu_after_its_end = cpu_ms_of_a_while(&program);
    assert!(cpu < 150 && cpu_after_its_end < 150, "{cpu} ms, and {cpu_after_its_end} ms after the end of its side");
}

#[test]
fn the_largest_value_of_every_limit_overflows_no_calculation() {
    let limits = Settings::default().limits;
    for limit in Limit::ALL {
        let most = match limits.value(*limit) {
            Value::Duration(_) => format!("{}s", u64::MAX),
            Value::Bytes(_) | Value::Count(_) | Value::OptionalCount(_) => usize::MAX.to_string(),
            Value::Rate(_) => format!("{most}/s, burst {most}", most = u32::MAX),
        };
        let flag = format!("--{}={most}", limit.name().replace('_', "-"));
        // Relations are refused by name.
        if let Err(wrong) = Settings::load(["parlor", &flag].map(OsString::from), []) {
            assert!(wrong.contains(limit.name()), "{wrong}");
            continue;
        }
        let mut program = Program::start(&["--dev", "true", "--api-key", KEY, &flag]);
        let mut member = Client::connect(program.address, "/ws/room?greeting=off");
        let answer = api(program.address, "publish", &json!({"channel": "room", "data": 1}));
        assert_eq!(answer.status, 200, "{flag}: {answer:?}");
        assert_eq!(member.receive(), 1, "{flag}");
        drop(member);
        program.signal("TERM");
        assert_eq!(program.end().code(), Some(0), "{flag}");
        let log = program.log();
        assert!(!log.contains("panicked") && !log.contains("invariant"), "{flag}: {log}");
    }
}

#[test]
fn a_hangup_never_ends_the_server() {
    let mut program = Program::start(&[]);
    let mut member = Client::connect(program.address, "/ws/room?greeting=off");
    for _ in 0..3 {
        program.signal("HUP");
    }
    assert_eq!(get(program.address, "/health/live").status, 200);
    program.signal("TERM");
    assert_eq!(member.close().0, 3001);
    // Not even while it stops, where a second signal to stop would.
    program.signal("HUP");
    assert_eq!(get(program.address, "/health/live").status, 200);
    member.send_close(3001);
    assert_eq!(program.end().code(), Some(0));
    assert!(program.log().contains("SIGHUP: settings and certificate are read again"));
}
