//! The page of `/metrics`: which series there are, and that their figures are those of what happened.

#![allow(clippy::disallowed_methods, reason = "tests have their own clock")]

mod common;

use common::{Client, api, get, http, start, wait_until};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

/// The value of each series, by its name with its labels.
fn series(address: SocketAddr) -> BTreeMap<String, f64> {
    let page = get(address, "/metrics");
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/plain; version=0.0.4; charset=utf-8")));
    let samples = page.body.lines().filter(|line| !line.starts_with('#'));
    samples
        .map(|line| {
            let (name, value) = line.rsplit_once(' ').expect("a sample");
            (name.to_owned(), value.parse().expect("a number"))
        })
        .collect()
}

/// The sum of all series of this name.
fn sum(series: &BTreeMap<String, f64>, name: &str) -> f64 {
    let of_name = |key: &str| key == name || key.strip_prefix(name).is_some_and(|rest| rest.starts_with('{'));
    series.iter().filter(|(key, _)| of_name(key)).map(|(_, value)| value).sum()
}

#[test]
fn every_series_is_there_from_the_start() {
    let server = start(|_| {});
    let address = server.address();
    let before = series(address);
    assert!(before.len() <= 1000, "{} series", before.len());
    let mut client = Client::connect(address, "/ws/a?greeting=off");
    api(address, "publish", &json!({"channel": "a", "data": 1}));
    client.receive();
    drop(client);
    get(address, "/no/such/path");
    post(address, "no_such_method", common::KEY, "{}");
    let after = series(address);
    assert_eq!(before.keys().collect::<Vec<_>>(), after.keys().collect::<Vec<_>>());
}

fn post(address: SocketAddr, method: &str, key: &str, body: &str) -> u16 {
    http(address, "POST", &format!("/api/{method}"), &format!("X-API-Key: {key}\r\n"), body).status
}

#[test]
fn a_call_is_counted_by_its_method_and_by_whose_mistake_it_was() {
    let server = start(|_| {});
    let address = server.address();
    for (method, key, body, status) in [
        ("publish", common::KEY, r#"{"channel":"a","data":1}"#, 200),
        ("publish", "another-key-another", r#"{"channel":"a","data":1}"#, 401),
        ("publish", common::KEY, "{", 400),
        ("history", common::KEY, r#"{"channel":"a","since":{"offset":1,"epoch":"x"}}"#, 416),
        ("no_such_method", common::KEY, "{}", 404),
        ("no_such_method", "another-key-another", "{}", 401),
    ] {
        assert_eq!(post(address, method, key, body), status, "{method} {body}");
    }
    let after = series(address);
    let counts = |method: &str| {
        let count = |result| after[&format!("parlor_api_calls_total{{method=\"{method}\",result=\"{result}\"}}")];
        ["done", "denied", "client_error", "server_error", "unknown"].map(count)
    };
    assert_eq!(counts("publish"), [1.0, 1.0, 1.0, 0.0, 0.0]);
    assert_eq!(counts("history"), [0.0, 0.0, 1.0, 0.0, 0.0]);
    assert_eq!(counts("other"), [0.0, 1.0, 1.0, 0.0, 0.0]);
}

#[test]
fn what_happened_is_counted() {
    let server = start(|_| {});
    let address = server.address();
    let mut clients = [(); 3].map(|()| Client::connect(address, "/ws/a?greeting=off"));
    for n in 0..5 {
        assert_eq!(api(address, "publish", &json!({"channel": "a", "data": n})).status, 200);
        clients.iter_mut().for_each(|client| assert_eq!(client.receive(), n));
    }
    assert_eq!(api(address, "publish", &json!({"channel": "", "data": 1})).status, 400);
    let after = series(address);
    let figure = |name: &str| after[name];
    assert_eq!(figure("parlor_publications_total"), 5.0);
    assert_eq!(figure("parlor_connections_accepted_total"), 3.0);
    assert_eq!(figure("parlor_connections{protocol=\"plain\",state=\"ready\"}"), 3.0);
    assert_eq!((figure("parlor_rooms"), figure("parlor_memberships")), (1.0, 3.0));
    assert_eq!(figure("parlor_api_calls_total{method=\"publish\",result=\"done\"}"), 5.0);
    assert_eq!(figure("parlor_api_calls_total{method=\"publish\",result=\"client_error\"}"), 1.0);
    assert_eq!(figure("parlor_api_call_duration_seconds_count{class=\"write\"}"), 5.0);
    assert!(figure("parlor_limit{limit=\"connections\"}") > 0.0 && figure("process_open_fds") > 3.0);
    let [queued, written, waiting] =
        ["queued_total", "written_total", "waiting"].map(|name| sum(&after, &format!("parlor_frames_{name}")));
    assert!(queued >= 15.0, "five publications to three clients");
    let [flushes, waited] = ["count", "sum"].map(|name| figure(&format!("parlor_flush_delay_seconds_{name}")));
    assert!(flushes >= 5.0 && 0.0 < waited && waited < 5.0, "{waited} s over {flushes} flushes");
    for name in ["flush", "turn"] {
        let [times, worked] = ["count", "sum"].map(|part| figure(&format!("parlor_{name}_duration_seconds_{part}")));
        assert!(times >= 5.0 && 0.0 < worked && worked < 5.0, "{worked} s in {times} times of {name}");
    }
    assert_eq!(queued, written + sum(&after, "parlor_frames_dropped_total") + waiting);
}

#[test]
fn an_end_is_counted_by_its_cause_and_by_who_decided_it() {
    let server = start(|_| {});
    let address = server.address();
    let mut client = Client::connect(address, "/ws/a?greeting=off");
    let closed = |cause, by| format!("parlor_connections_closed_total{{cause=\"{cause}\",by=\"{by}\"}}");
    assert_eq!(series(address)[&closed("backend", "server")], 0.0);
    let found = api(address, "connections", &json!({})).json();
    let id =
        found["result"]["connections"].as_object().and_then(|all| all.keys().next().cloned()).expect("one is there");
    assert_eq!(api(address, "disconnect", &json!({"user": "", "client": id})).status, 200);
    assert_eq!(client.close().0, 3503);
    drop(client);
    wait_until("the end is counted", || series(address)[&closed("backend", "server")] == 1.0);
}

#[test]
fn openmetrics_is_written_for_those_who_ask_for_it() {
    let server = start(|_| {});
    let accept = "Accept: application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.3\r\n";
    let page = http(server.address(), "GET", "/metrics", accept, "");
    assert_eq!(page.header("content-type"), Some("application/openmetrics-text; version=1.0.0; charset=utf-8"));
    assert!(page.body.contains("# TYPE parlor_publications counter\nparlor_publications_total 0\n"), "{}", page.body);
    assert!(page.body.ends_with("# EOF\n"));
    // In the order of preference, and not of mention, over two lines.
    let accept = "Accept: application/openmetrics-text;q=0.2\r\nAccept: text/plain;q=0.3\r\n";
    let page = http(server.address(), "GET", "/metrics", accept, "");
    assert_eq!(page.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
}

/// The names of metrics in a text: words with one of these prefixes.
fn metrics_named(text: &str) -> BTreeSet<&str> {
    let words = text.split(|character: char| !character.is_ascii_alphanumeric() && character != '_');
    words.filter(|word| word.starts_with("parlor_") || word.starts_with("process_")).collect()
}

#[test]
fn alert_rules_and_dashboard_ask_for_series_that_exist() {
    let server = start(|_| {});
    let there = series(server.address());
    let there: BTreeSet<&str> = there.keys().filter_map(|key| key.split('{').next()).collect();
    for file in ["alerts.yml", "alerts_test.yml", "dashboard.json", "RUNBOOK.md"] {
        let text = std::fs::read_to_string(format!("{}/ops/{file}", env!("CARGO_MANIFEST_DIR"))).expect("a file");
        let named = metrics_named(&text);
        assert!(named.len() >= 3, "{file} names {named:?}");
        assert_eq!(named.difference(&there).collect::<Vec<_>>(), Vec::<&&str>::new(), "{file}");
    }
}
