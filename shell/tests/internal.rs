//! Listeners for operators and backends, and who is told how the server is.

#![allow(clippy::disallowed_methods, reason = "tests have their own clock")]

mod common;

use common::program::Program;
use common::{Answer, Client, KEY, api, get, hits, http, start};
use parlor::server::Server;
use serde_json::json;
use std::net::SocketAddr;

const PROBES: [&str; 2] = ["/health/live", "/health/ready"];
const DETAILS: [&str; 3] = ["/health", "/metrics", "/openapi.json"];

/// A server with a listener of each kind, in production mode, and its internal address.
fn both() -> (Server, SocketAddr) {
    let server = start(|settings| {
        settings.dev = Some(false);
        settings.allow_anonymous = Some(true);
        settings.internal_listen = Some("127.0.0.1:0".parse().unwrap());
    });
    let internal = server.internal_addresses()[0];
    (server, internal)
}

fn with_key(address: SocketAddr, path: &str, header: &str) -> Answer {
    http(address, "GET", path, &format!("{header}\r\n"), "")
}

#[test]
fn clients_find_nothing_of_what_is_internal() {
    let (server, _) = both();
    let unknown = get(server.address(), "/nowhere");
    assert_eq!(unknown.status, 404);
    let publish = json!({"channel": "a", "data": 1});
    let mut answers = vec![api(server.address(), "publish", &publish), get(server.address(), "/api/info")];
    for path in DETAILS {
        answers.push(get(server.address(), path));
        answers.push(with_key(server.address(), path, &format!("X-API-Key: {KEY}")));
        answers.push(http(server.address(), "DELETE", path, "", ""));
    }
    for answer in answers {
        let head =
            |answer: &Answer| answer.head.lines().filter(|line| !line.starts_with("date:")).map(String::from).collect();
        let heads: [Vec<String>; 2] = [head(&answer), head(&unknown)];
        assert_eq!((&heads[0], &answer.body), (&heads[1], &unknown.body));
    }
}

#[test]
fn every_listener_answers_probes_and_clients() {
    let (server, internal) = both();
    for address in [server.address(), internal] {
        for path in PROBES {
            let answer = get(address, path);
            assert_eq!((answer.status, &*answer.body, answer.header("content-type")), (200, "ok", Some("text/plain")));
            let head = http(address, "HEAD", path, "", "");
            assert_eq!((head.status, head.header("content-length")), (200, Some("2")));
            assert_eq!(http(address, "POST", path, "", "").status, 405);
        }
        let mut client = Client::connect(address, "/ws/a?greeting=off");
        assert_eq!(api(internal, "publish", &json!({"channel": "a", "data": "hello"})).status, 200);
        assert_eq!(client.receive(), "hello");
    }
}

#[test]
fn an_internal_listener_tells_details_without_a_key_and_takes_calls_with_one() {
    let (_server, internal) = both();
    for path in DETAILS {
        assert_eq!(get(internal, path).status, 200);
        assert_eq!(http(internal, "HEAD", path, "", "").status, 200);
        assert_eq!(with_key(internal, path, "X-API-Key: wrong").status, 200, "none is needed");
    }
    let refused = http(internal, "POST", "/api/info", "", "{}");
    assert_eq!((refused.status, refused.json()["error"]["code"].clone()), (401, json!(101)));
    assert_eq!(api(internal, "info", &json!({})).status, 200);
}

#[test]
fn details_need_a_key_where_there_is_no_internal_listener() {
    let server = start(|settings| settings.dev = Some(false));
    let address = server.address();
    for path in DETAILS {
        let refused = get(address, path);
        assert_eq!((refused.status, refused.json()["error"]["code"].clone()), (401, json!(101)));
        assert!(refused.body.contains("X-API-Key") && refused.body.contains("internal_listen"), "{refused:?}");
        assert_eq!(refused.header("www-authenticate"), Some("apikey, Bearer"));
        let head = http(address, "HEAD", path, "", "");
        assert_eq!(head.status, 401);
        for header in ["X-API-Key: wrong", "Authorization: Bearer wrong"] {
            let wrong = with_key(address, path, header);
            assert!(wrong.status == 401 && wrong.body.contains("is not one of this server"), "{wrong:?}");
        }
        for header in ["X-API-Key: ", "Authorization: apikey ", "Authorization: Bearer "] {
            assert_eq!(with_key(address, path, &format!("{header}{KEY}")).status, 200, "{header}");
        }
    }
    for path in PROBES {
        assert_eq!(get(address, path).status, 200);
    }
    let open = start(|settings| settings.dev = Some(true));
    assert!(DETAILS.iter().all(|path| get(open.address(), path).status == 200), "it is in development mode");
}

#[test]
fn wrong_keys_count_where_details_are_asked_for() {
    let server = start(|settings| {
        settings.dev = Some(false);
        settings.limits.wrong_keys_per_ip = parlor_core::limits::Rate { per_second: 1, burst: 3 };
    });
    let ask = |header: &str| with_key(server.address(), "/health", header);
    // Who sends none guesses nothing.
    (0..10).for_each(|_| assert_eq!(get(server.address(), "/health").status, 401));
    assert_eq!([(); 3].map(|()| ask("X-API-Key: wrong").status), [401; 3]);
    let limited = ask("X-API-Key: wrong");
    assert_eq!((limited.status, limited.json()["error"]["limit"].clone()), (429, json!("wrong_keys_per_ip")));
    assert_eq!(ask(&format!("X-API-Key: {KEY}")).status, 200, "a right one is always served");
    assert_eq!(api(server.address(), "info", &json!({})).status, 200);
    assert!(hits(server.address(), "wrong_keys_per_ip") >= 1);
}

#[test]
fn who_has_no_key_to_send_is_told_what_to_set() {
    let server = start(|settings| {
        settings.dev = Some(false);
        settings.api_key = None;
    });
    let refused = get(server.address(), "/health");
    assert!(refused.status == 401 && refused.body.contains("until api_key or api_keys is set"), "{refused:?}");
}

#[test]
fn the_program_says_where_operators_are_answered() {
    let taken = Program::start_at("127.0.0.1:0", &["--internal-listen", "127.0.0.1:0,127.0.0.2:0", "--api-key", KEY]);
    assert_eq!(taken.printed[0], "production mode, since api_key and internal_listen are set");
    let line = taken.printed.last().unwrap();
    let internal = line.strip_prefix("backends and operators are answered on http://127.0.0.1:").expect(line);
    let (first, second) = internal.split_once(" and http://127.0.0.2:").expect(line);
    for (ip, port) in [("127.0.0.1", first), ("127.0.0.2", second)] {
        assert_eq!(get(format!("{ip}:{port}").parse().unwrap(), "/health").status, 200);
    }
    // The key that development mode makes up is for calls, which only the internal address takes.
    let program = Program::start_at("127.0.0.1:0", &["--internal-listen", "127.0.0.1:0", "--dev", "true"]);
    let printed = program.printed.join("\n");
    let internal = printed.rsplit_once("answered on ").unwrap().1;
    assert!(printed.contains(&format!("{internal}/api/publish")), "{printed}");
    assert!(program.printed[0].starts_with("development mode, since dev = true"), "{printed}");
}
