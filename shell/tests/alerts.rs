//! Alerts of the settings, raised and cleared by what happens.

#![allow(clippy::disallowed_methods, reason = "tests have their own clock")]

mod common;

use common::endpoint::{Endpoint, Reply};
use common::program::Program;
use common::settings::{File, load, wrong};
use common::{Client, api, get, wait_until};
use parlor::server::Server;
use serde_json::{Value, json};
use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, Instant};

#[test]
fn alerts_are_read_from_the_file() {
    let text = "[[alerts]]\nfigure = 'connections'\nabove = 9000\n\
        [[alerts]]\nname = 'lost'\nfigure = 'send_success_15m'\nbelow = 0.999\nclear = 1\nfor = '2m'\n";
    let file = File::new("alerts", text);
    let settings = load(&["--config", file.path()], &[]).unwrap();
    let [first, second] = [0, 1].map(|at| settings.alerts[at].rule.clone());
    assert_eq!((&*first.name, first.threshold.to_string(), first.clear), ("connections", "above 9000".into(), 9000.0));
    assert_eq!((&*second.name, second.figure.name(), second.clear), ("lost", "send_success_15m", 1.0));
    assert_eq!((first.hold, second.hold), (Duration::ZERO, Duration::from_secs(120)));
}

#[test]
fn a_wrong_alert_says_what_is_wrong_and_what_is_allowed() {
    let entry = |lines: &str| format!("[[alerts]]\n{lines}\n");
    let above = "figure = 'users'\nabove = 5";
    // With a newline, as an editor leaves it.
    let hook = File::new("alerts_hook", "https://hooks.example.com/services/s3cret\n");
    let from_file = load(
        &["--config", File::new("alerts_hooked", &entry(&format!("{above}\nurl_file = '{}'", hook.path()))).path()],
        &[],
    );
    assert_eq!(from_file.unwrap().alerts[0].url.as_ref().unwrap().expose().server(), "https://hooks.example.com");
    for (text, why) in [
        (entry(""), ": line 1: [[alerts]]: figure is missing"),
        (entry("figure = 'conections'\nabove = 1"), "no figure \"conections\"; expected one of connections, users,"),
        (entry("figure = 'users'"), "expected one of above and below; found 0"),
        (entry(&format!("{above}\nbelow = 3")), "expected one of above and below; found 2"),
        (entry("figure = 'users'\nabove = 'many'"), "above must be a number"),
        (entry("figure = 'users'\nabove = nan"), "above must be a number"),
        (entry(&format!("{above}\nclear = 6")), "clear is 6; expected at most above, which is 5"),
        (entry("figure = 'users'\nbelow = 5\nclear = 4"), "clear is 4; expected at least below, which is 5"),
        (entry(&format!("{above}\nfor = 'soon'")), "for is \"soon\"; expected a duration such as 30s or 5m"),
        (entry(&format!("{above}\nfor = '2d'")), "of at most a day"),
        (entry(&format!("{above}\nname = ''")), "name must have from 1 to 64 bytes"),
        (entry(&format!("{above}\nseverity = 'page'")), "severity must be critical, warning or info"),
        (entry(&format!("{above}\nurl = 'alerts.example.com/s3cret'")), "url: it is not a URL; expected one such as"),
        (entry(&format!("{above}\nurl = 'http://169.254.169.254/'")), "which is refused; expected one such as"),
        (entry(&format!("{above}\nurl_file = '/nowhere/url'")), "url_file: cannot read /nowhere/url"),
        (
            entry(&format!("{above}\nurl = 'http://a/'\nurl_file = '{}'", hook.path())),
            "url and url_file are both there",
        ),
        (entry(&format!("{above}\nwhen = '1m'")), "unknown key \"when\"; expected figure; above or below"),
        (entry(above).repeat(2), "line 4: [[alerts]]: another alert has the name \"users\""),
        (
            (0..65).map(|at| entry(&format!("{above}\nname = '{at}'"))).collect(),
            "there are 65 alerts; expected at most 64",
        ),
        ("alerts = 'a'".into(), "alerts are written as [[alerts]], once for each"),
    ] {
        let error = wrong("alerts_wrong", &text);
        assert!(error.contains(why) && !error.contains("s3cret"), "{error}");
    }
}

#[test]
fn an_alert_is_raised_and_cleared_in_the_log() {
    let text = "[[alerts]]\nname = 'crowded'\nfigure = 'connections'\nabove = 1\nclear = 0\n";
    let file = File::new("alerts_log", text);
    let log = std::env::temp_dir().join(format!("parlor-alerts-{}.log", std::process::id()));
    let mut program = Program::start_with(&["--config", file.path()], fs::File::create(&log).unwrap());
    let lines = |words: &str| {
        let text = fs::read_to_string(&log).unwrap();
        text.lines().filter(|line| line.contains(words)).map(String::from).collect::<Vec<_>>()
    };
    let [one, two] = [(); 2].map(|()| Client::connect(program.address, "/ws/a?greeting=off"));
    wait_until("the alert", || !lines("alert raised").is_empty());
    let raised = &lines("alert raised")[0];
    for part in ["WARN", "crowded", "connections", "value=2", "above 1"] {
        assert!(raised.contains(part), "{part} in {raised}");
    }
    drop((one, two));
    wait_until("its end", || !lines("alert cleared").is_empty());
    assert!(lines("alert cleared")[0].contains("WARN"), "{:?}", lines("alert cleared"));
    assert_eq!((lines("alert raised").len(), lines("alert cleared").len()), (1, 1));
    program.signal("TERM");
    assert!(program.end().success());
    fs::remove_file(&log).unwrap();
}

/// An alert for more than one connection, which goes to this URL.
fn crowded(name: &str, url: &str) -> String {
    format!(
        "[[alerts]]\nname = '{name}'\nfigure = 'connections'\nabove = 1\nclear = 0\nseverity = 'critical'\nurl = '{url}'\n"
    )
}

/// A server with such an alert.
fn serve(name: &str, url: &str) -> Server {
    serve_with(name, &crowded("crowded", url))
}

/// A server with the alerts of a file.
fn serve_with(name: &str, text: &str) -> Server {
    let file = File::new(name, text);
    let alerts = load(&["--config", file.path()], &[]).unwrap().alerts;
    common::start(|settings| (settings.alerts, settings.node_name) = (alerts, "node-1".into()))
}

fn hook(address: SocketAddr) -> String {
    format!("http://{address}/hook/s3cret?more=s3cret")
}

/// The states that an endpoint was told, one after the other.
fn told(endpoint: &Endpoint) -> Vec<Value> {
    endpoint.asked().iter().map(|asked| serde_json::from_str(&asked.body).unwrap()).collect()
}

/// A count of notifications.
fn count(address: SocketAddr, series: &str) -> u64 {
    let page = get(address, "/metrics").body;
    let line = page.lines().find_map(|line| line.strip_prefix(&format!("parlor_alert_notification{series} ")));
    line.unwrap_or_else(|| panic!("{series} is missing")).parse().unwrap()
}

fn two_clients(address: SocketAddr) -> [Client; 2] {
    [(); 2].map(|()| Client::connect(address, "/ws/a?greeting=off"))
}

#[test]
fn an_alert_is_raised_and_cleared_at_its_url() {
    let endpoint = Endpoint::new(Reply::Body(String::from("ok")));
    let server = serve("alerts_url", &hook(endpoint.address));
    let address = server.address();
    for series in
        ["s_total{result=\"sent\"}", "s_total{result=\"superseded\"}", "s_total{result=\"lost\"}", "_failures_total"]
    {
        assert_eq!(count(address, series), 0, "{series}");
    }
    let clients = two_clients(address);
    wait_until("the alert", || endpoint.requests() == 1);
    drop(clients);
    wait_until("its end", || endpoint.requests() == 2);
    let asked = &endpoint.asked()[0];
    let head = asked.head.to_ascii_lowercase();
    assert!(head.starts_with("post /hook/s3cret?more=s3cret http/1.1\r\n"), "{head}");
    for header in [format!("host: {}", endpoint.address), "content-type: application/json".into()] {
        assert!(head.contains(&format!("\r\n{header}\r\n")), "{header} in {head}");
    }
    let [raised, cleared] = <[Value; 2]>::try_from(told(&endpoint)).unwrap();
    let labels = json!({"alertname": "crowded", "figure": "connections", "instance": "node-1", "severity": "critical"});
    let alert = &raised["alerts"][0];
    assert_eq!(
        (&raised["version"], &raised["status"], &raised["commonLabels"]),
        (&json!("4"), &json!("firing"), &labels)
    );
    assert_eq!(
        (&alert["status"], &alert["labels"], &alert["endsAt"]),
        (&json!("firing"), &labels, &json!("0001-01-01T00:00:00Z"))
    );
    assert_eq!(alert["annotations"]["summary"], "crowded: connections of node-1 is 2");
    let ended = &cleared["alerts"][0];
    assert_eq!((&cleared["status"], &ended["status"]), (&json!("resolved"), &json!("resolved")));
    for same in ["startsAt", "fingerprint", "labels"] {
        assert_eq!(alert[same], ended[same], "{same}");
    }
    let [start, end] =
        ["startsAt", "endsAt"].map(|time| humantime::parse_rfc3339(ended[time].as_str().unwrap()).unwrap());
    let took = end.duration_since(start).unwrap();
    assert!(took < common::PATIENCE && !took.is_zero(), "{ended}");
    wait_until("the count", || count(address, "s_total{result=\"sent\"}") == 2);
    assert_eq!(count(address, "_failures_total"), 0);
}

#[test]
fn an_endpoint_that_comes_back_is_told_the_newest_state() {
    // Nobody listens there yet.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let server = serve("alerts_down", &hook(port));
    let address = server.address();
    let clients = two_clients(address);
    wait_until("a failure", || count(address, "_failures_total") > 1);
    drop(clients);
    wait_until("its end", || count(address, "s_total{result=\"superseded\"}") == 1);
    let endpoint = Endpoint::at(TcpListener::bind(port).unwrap(), Reply::Body(String::from("ok")), None);
    wait_until("the news", || endpoint.requests() == 1);
    assert_eq!(told(&endpoint)[0]["status"], "resolved", "that it was raised is past");
    wait_until("the count", || count(address, "s_total{result=\"sent\"}") == 1);
    let _clients = two_clients(address);
    wait_until("the next one", || endpoint.requests() == 2);
    assert_eq!(told(&endpoint)[1]["status"], "firing");
    assert_eq!(count(address, "s_total{result=\"lost\"}"), 0);
}

#[test]
fn a_slow_endpoint_delays_nobody_else_and_is_asked_again() {
    let endpoint = Endpoint::new(Reply::Silence);
    let server = serve("alerts_slow", &hook(endpoint.address));
    let address = server.address();
    let [mut client, _other] = two_clients(address);
    wait_until("the alert", || endpoint.requests() == 1);
    let began = Instant::now();
    assert_eq!(api(address, "publish", &json!({"channel": "a", "data": 1})).status, 200);
    assert_eq!(client.receive(), 1);
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    wait_until("the end of its patience", || count(address, "_failures_total") == 1);
    endpoint.replies(Reply::Status(503, String::new()));
    wait_until("another failure", || count(address, "_failures_total") > 1);
    endpoint.replies(Reply::Body(String::from("ok")));
    wait_until("the news", || count(address, "s_total{result=\"sent\"}") == 1);
    assert!(told(&endpoint).iter().all(|told| told["status"] == "firing"), "it is the same each time");
}

#[test]
fn an_endpoint_that_refuses_is_not_asked_again() {
    let endpoint = Endpoint::new(Reply::Status(404, String::new()));
    let server = serve("alerts_refused", &hook(endpoint.address));
    let address = server.address();
    let _clients = two_clients(address);
    wait_until("the loss", || count(address, "s_total{result=\"lost\"}") == 1);
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!((endpoint.requests(), count(address, "_failures_total")), (1, 1));
}

#[test]
fn a_notification_that_is_not_taken_holds_up_no_other() {
    let endpoint = Endpoint::new(Reply::FailureOf("crowded".into()));
    let url = hook(endpoint.address);
    let server = serve_with("alerts_held_up", &[crowded("crowded", &url), crowded("busy", &url)].concat());
    let address = server.address();
    let _clients = two_clients(address);
    wait_until("the other one", || count(address, "s_total{result=\"sent\"}") == 1);
    endpoint.replies(Reply::Body(String::from("ok")));
    wait_until("the one that was not taken", || count(address, "s_total{result=\"sent\"}") == 2);
    assert!(endpoint.asked().last().unwrap().body.contains("crowded"), "it was tried again");
}

#[test]
fn the_secret_of_a_url_is_nowhere_but_in_the_request() {
    let endpoint = Endpoint::new(Reply::Status(500, String::new()));
    let url = File::new("alerts_url_file", &format!("{}\n", hook(endpoint.address)));
    let entry = format!(
        "[[alerts]]\nname = 'crowded'\nfigure = 'connections'\nabove = 1\nclear = 0\nurl_file = '{}'\n",
        url.path()
    );
    let file = File::new("alerts_secret", &entry);
    let settings = load(&["--config", file.path()], &[]).unwrap();
    assert!(!format!("{settings:?}").contains("s3cret"));
    let mut program = Program::start(&["--config", file.path(), "--log-level", "trace"]);
    let _clients = two_clients(program.address);
    wait_until("two attempts", || endpoint.requests() > 1);
    assert_eq!(endpoint.paths()[0], "/hook/s3cret?more=s3cret");
    let pages = ["/health", "/metrics", "/openapi.json"].map(|path| get(program.address, path).body);
    program.signal("TERM");
    program.end();
    let said = program.said();
    assert_eq!(said.matches("could not be sent; trying again for an hour").count(), 1, "{said}");
    let mut lines = said.lines().filter(|line| line.contains("could not be sent"));
    assert!(lines.all(|line| line.contains(" alerts: ")), "they are of the area of alerts: {said}");
    assert!(said.contains(&format!("http://{}", endpoint.address)) && said.contains("answered 500"), "{said}");
    let shown = std::process::Command::new(env!("CARGO_BIN_EXE_parlor"))
        .args(["config", "show", "--config", file.path()])
        .output();
    let shown = String::from_utf8(shown.unwrap().stdout).unwrap();
    assert!(shown.contains(&format!("# url leads to http://{}, and is not shown\n", endpoint.address)), "{shown}");
    for text in pages.into_iter().chain([said, shown]) {
        assert!(!text.contains("s3cret"), "{text}");
    }
}
