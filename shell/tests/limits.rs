//! Each limit at its least and at its most: the start refuses it by name, or the server works.

mod common;

use common::{Client, KEY, SECRET, publish, token};
use parlor::config::Settings;
use parlor::server::Server;
use parlor_core::Limit;
use parlor_core::limits::Value;
use serde_json::json;
use std::ffi::OsString;

/// The settings of the tests with this one on top.
fn with(limit: Limit, value: &str) -> Result<Settings, String> {
    let limit = format!("--{}={value}", limit.name().replace('_', "-"));
    let (key, secret) = (format!("--api-key={KEY}"), format!("--token-secret={SECRET}"));
    let flags = ["parlor", "--listen=127.0.0.1:0", "--dev=true", "--log-level=warn", &key, &secret, &limit];
    Settings::load(flags.map(OsString::from), [])
}

/// The least and the most that can be written for a limit.
fn extremes(limit: Limit) -> [String; 2] {
    match Settings::default().limits.value(limit) {
        Value::Duration(_) => ["0s".into(), "36500d".into()],
        Value::Bytes(_) | Value::Count(_) => ["0".into(), usize::MAX.to_string()],
        Value::OptionalCount(_) => ["off".into(), usize::MAX.to_string()],
        Value::Rate(_) => ["off".into(), format!("{0}/s, burst {0}", u32::MAX)],
    }
}

/// Asserts that clients of both kinds connect and get a message.
fn serves(settings: Settings, what: &str) {
    let server = Server::start(settings).unwrap();
    let address = server.address();
    let mut plain = Client::connect(address, "/ws/room?greeting=off");
    let mut json = Client::json(address, &token(&json!({"sub": "ann"})));
    let subscribe = json!({"id": 2, "subscribe": {"channel": "room"}});
    assert!(json.ask(&subscribe)["error"].is_null(), "{what}");
    publish(address, "room", &json!({"what": what}));
    assert_eq!(plain.receive()["what"], what);
    while json.receive()["push"]["pub"]["data"]["what"] != what {}
}

#[test]
fn every_accepted_value_of_a_limit_makes_a_working_server() {
    for limit in Limit::ALL {
        for value in extremes(*limit) {
            let what = format!("{limit} = {value}");
            println!("{what}");
            match with(*limit, &value) {
                Ok(settings) => serves(settings, &what),
                Err(wrong) => assert!(wrong.contains(limit.name()), "{what}: {wrong}"),
            }
        }
    }
}

#[test]
fn a_limit_that_is_refused_says_what_is_allowed_and_why() {
    for (limit, value, allowed) in [
        (Limit::RequestTimeout, "0s", "request_timeout = 0s must be at least 1 ms: no request comes in no time"),
        (Limit::ApiBodyBytes, "0", "api_body_bytes = 0 must be at least 2: the shortest call is {}"),
        (Limit::RoomNameBytes, "0", "room_name_bytes = 0 must be at least 1: no room has an empty name"),
        (Limit::LogMemory, "200years", "must be at most 36500 d"),
    ] {
        let wrong = with(limit, value).unwrap_err();
        assert!(wrong.contains(allowed), "{wrong}");
    }
}
