//! `explain`: an operator asks why, and is told of a connection, of a publication and whom it reached, and of a room.

#![allow(clippy::disallowed_methods, reason = "tests have their own clock")]

mod common;

use common::program::Program;
use common::settings::File;
use common::{Answer, Client, KEY, SECRET, api, http, start, token, wait_until};
use parlor::server::Server;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::process::{Command, Stdio};

const CI: &str = "key-of-ci-key-of-ci";
/// The id of no connection.
const NOBODY: &str = "0b6f1f0e-3d0f-4a3c-8f55-0a3e2f3d9b11";

fn production() -> Server {
    start(|settings| settings.dev = Some(false))
}

fn explain(address: SocketAddr, body: &Value) -> Value {
    let answer = api(address, "explain", body);
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["result"].clone()
}

fn error(answer: &Answer) -> (u16, Value, String) {
    let error = &answer.json()["error"];
    (answer.status, error["code"].clone(), error["message"].as_str().unwrap_or_default().into())
}

/// The public id of the only connection of a user.
fn client_of(address: SocketAddr, user: &str) -> String {
    let connections = api(address, "connections", &json!({"user": user})).json()["result"]["connections"].clone();
    connections.as_object().unwrap().keys().next().unwrap().clone()
}

/// The offset that a publication gets.
fn publish_to(address: SocketAddr, room: &str, data: &Value) -> (u64, String) {
    let result = api(address, "publish", &json!({"channel": room, "data": data})).json()["result"].clone();
    (result["offset"].as_u64().unwrap(), result["epoch"].as_str().unwrap().into())
}

/// What became of a publication for the connections of each user.
fn outcomes(answer: &Value) -> Vec<(String, String)> {
    let deliveries = answer["deliveries"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let mut all: Vec<_> = deliveries.map(|delivery| (text(&delivery["user"]), text(&delivery["outcome"]))).collect();
    all.sort();
    all
}

#[test]
fn a_connection_is_explained_while_it_is_there_and_after_its_end() {
    let server = production();
    let address = server.address();
    let mut ann = Client::json(address, &token(&json!({"sub": "ann", "channels": ["news"]})));
    let client = client_of(address, "ann");
    let (offset, epoch) = publish_to(address, "news", &json!("one"));
    ann.receive();
    let asked = json!({"client": client});
    wait_until("the message to be written", || explain(address, &asked)["connection"]["queued"]["bytes"] == 0);
    let there = explain(address, &asked)["connection"].clone();
    assert_eq!(
        ["client", "user", "address", "protocol", "state", "end"].map(|field| there[field].clone()),
        [json!(client), json!("ann"), json!("127.0.0.1"), json!("json"), json!("ready"), Value::Null]
    );
    let news = there["rooms"].as_array().unwrap().iter().find(|room| room["channel"] == "news").unwrap();
    assert_eq!(news["reasons"], json!(["token"]));
    assert_eq!(
        ["epoch", "joined_at", "replayed_from", "sent_through"].map(|field| news["joined"][field].clone()),
        [json!(epoch), json!(0), Value::Null, json!(offset)]
    );
    let body = json!({"user": "ann", "disconnect": {"code": 4001, "reason": "go"}});
    assert_eq!(api(address, "disconnect", &body).status, 200);
    ann.close();
    drop(ann);
    wait_until("the end to be told", || explain(address, &asked)["connection"]["state"] == "ended");
    let ended = explain(address, &asked);
    let end = &ended["connection"]["end"];
    assert_eq!([&end["cause"], &end["code"], &end["reason"]], [&json!("backend"), &json!(4001), &json!("go")]);
    assert_eq!(ended["connection"]["rooms"], there["rooms"], "it was in them when it began to close");
    assert_eq!(ended["connection"]["address"], "127.0.0.1");
    let why = ended["why"].as_str().unwrap();
    assert!(why.contains("backend (4001 go)") && why.contains("everything it was sent was written"), "{why}");
}

#[test]
fn a_publication_is_explained_for_each_member() {
    let server = production();
    let address = server.address();
    let member = |user: &str| Client::json(address, &token(&json!({"sub": user, "channels": ["news"]})));
    let mut early = member("early");
    let (first, epoch) = publish_to(address, "news", &json!({"type": "job", "n": 1}));
    early.receive();
    let mut late = member("late");
    let mut filtering = Client::connect(address, &format!("/ws/news?token={}", token(&json!({"sub": "picky"}))));
    assert_eq!(filtering.receive()["type"], "connection");
    filtering.send(&json!({"type": "subscribe", "events": ["alert"]}));
    assert_eq!(filtering.receive()["type"], "subscribed");
    let (second, _) = publish_to(address, "news", &json!({"type": "job", "n": 2}));
    early.receive();
    late.receive();
    let of = |offset: u64| json!({"channel": "news", "epoch": epoch, "offset": offset});
    let told = |pairs: &[(&str, &str)]| {
        pairs.iter().map(|(user, outcome)| ((*user).to_owned(), (*outcome).to_owned())).collect::<Vec<_>>()
    };
    let expected = told(&[("early", "written"), ("late", "joined_later"), ("picky", "joined_later")]);
    wait_until("the first to be explained", || outcomes(&explain(address, &of(first))) == expected);
    let expected = told(&[("early", "written"), ("late", "written"), ("picky", "filtered")]);
    wait_until("the second to be explained", || outcomes(&explain(address, &of(second))) == expected);
    let publication = explain(address, &of(second))["publication"].clone();
    assert_eq!(
        ["offset", "event", "publisher", "newer"].map(|field| publication[field].clone()),
        [json!(second), json!("job"), Value::Null, json!(0)]
    );

    drop(late);
    wait_until("its end to be told", || {
        api(address, "info", &json!({})).json()["result"]["nodes"][0]["num_clients"] == 2
    });
    let after = explain(address, &of(second));
    assert!(outcomes(&after).contains(&("late".into(), "written".into())), "{after}");
    let ended = after["deliveries"].as_array().unwrap().iter().find(|delivery| delivery["user"] == "late").unwrap();
    assert!(ended["ended"].as_str().is_some_and(|cause| cause.starts_with("peer")), "{ended}");
}

#[test]
fn who_does_not_read_has_it_queued_and_pages_tell_of_each_once() {
    let server = start(|settings| {
        settings.dev = Some(false);
        settings.limits.outbox_bytes = 8 << 20;
    });
    let address = server.address();
    let member = |user: &str| Client::json(address, &token(&json!({"sub": user, "channels": ["news"]})));
    let mut slow = member("slow");
    let mut others: Vec<Client> = (0..4).map(|n| member(&format!("u{n}"))).collect();
    let big = json!("x".repeat(60_000));
    let mut last = 0;
    wait_until("its socket to be full", || {
        last = publish_to(address, "news", &big).0;
        others.iter_mut().for_each(|other| drop(other.receive()));
        let full = api(address, "outboxes", &json!({})).json()["result"]["connections"][0].clone();
        full["user"] == "slow" && full["bytes"].as_u64().unwrap() > 60_000
    });
    let mut all = Vec::new();
    let mut body = json!({"channel": "news", "offset": last, "limit": 2});
    loop {
        let page = explain(address, &body);
        assert!(page["deliveries"].as_array().unwrap().len() <= 2);
        all.extend(outcomes(&page));
        if page["cursor"].is_null() {
            break;
        }
        body["cursor"] = page["cursor"].clone();
    }
    all.sort();
    let users: Vec<&str> = all.iter().map(|(user, _)| user.as_str()).collect();
    assert_eq!(users, ["slow", "u0", "u1", "u2", "u3"]);
    assert_eq!(all[0].1, "queued");
    assert!(all[1..].iter().all(|(_, outcome)| outcome == "written"), "{all:?}");
    let client = client_of(address, "slow");
    let alone = explain(address, &json!({"channel": "news", "offset": last, "client": client}));
    assert_eq!(outcomes(&alone), [("slow".into(), "queued".into())]);
    let why = explain(address, &json!({"client": client}))["why"].clone();
    assert!(why.as_str().unwrap().contains("takes no more"), "{why}");
    slow.receive();
}

#[test]
fn ended_connections_are_listed_page_by_page() {
    let server = production();
    let address = server.address();
    let members: Vec<Client> =
        (0..4).map(|n| Client::json(address, &token(&json!({"sub": format!("u{n}"), "channels": ["news"]})))).collect();
    let (offset, _) = publish_to(address, "news", &json!("one"));
    drop(members);
    let count = || api(address, "info", &json!({})).json()["result"]["nodes"][0]["num_clients"].clone();
    wait_until("all to be gone", || count() == 0);
    let mut users = Vec::new();
    let mut body = json!({"channel": "news", "offset": offset, "limit": 1});
    for _ in 0..4 {
        let page = explain(address, &body);
        users.push(page["deliveries"][0]["user"].as_str().unwrap().to_owned());
        body["cursor"] = page["cursor"].clone();
    }
    users.sort();
    assert_eq!(users, ["u0", "u1", "u2", "u3"]);
    assert_eq!(body["cursor"], Value::Null, "that was the last page");
}

#[test]
fn what_is_not_known_is_said_in_words() {
    let server = production();
    let address = server.address();
    let why = |body: Value| explain(address, &body)["why"].as_str().unwrap().to_owned();
    assert!(why(json!({"client": NOBODY})).contains("nothing is known of it"));
    assert!(why(json!({"channel": "news", "offset": 1})).contains("has no log"));
    let (offset, _) = publish_to(address, "news", &json!(1));
    assert!(why(json!({"channel": "news", "offset": offset + 1})).contains("the newest of news has 1"));
    assert!(why(json!({"channel": "news", "offset": 1, "epoch": "0000000000000000"})).contains("not known any more"));
    assert_eq!(api(address, "history_remove", &json!({"channel": "news"})).status, 200);
    assert!(why(json!({"channel": "news", "offset": 1})).contains("retains nothing"));
    assert!(why(json!({"channel": "news", "offset": 1.0})).contains("retains nothing"), "that is an integer too");
    let room = explain(address, &json!({"channel": "news"}));
    assert_eq!((&room["room"]["members"], &room["room"]["log"]["offset"]), (&json!(0), &json!(1)));
    assert!(room["why"].as_str().unwrap().contains("the newest offset is 1"));
}

#[test]
fn a_question_that_makes_no_sense_is_answered_with_what_is_expected() {
    let server = production();
    let address = server.address();
    for (body, expected) in [
        (json!({}), "expected client, or channel, or channel and offset"),
        (json!({"client": "x"}), "expected a UUID"),
        (json!({"channel": "a", "cursor": "m1"}), "offset is missing"),
        (json!({"client": NOBODY, "offset": 1}), "channel is missing"),
        (json!({"channel": "a", "offset": 1, "limit": 0}), "expected from 1 to 1000"),
        (json!({"channel": "a", "offset": 1, "limit": 1001}), "expected from 1 to 1000"),
        (json!({"channel": "a", "offset": 1, "cursor": "x"}), "cursor"),
        (json!({"channel": "a", "offset": -1}), "the body"),
        (json!({"room": "a"}), "unknown field `room`"),
        (json!({"channel": ""}), "channel"),
        (json!([]), "the body"),
        (json!({"channel": null}), "the body"),
    ] {
        let (status, code, message) = error(&api(address, "explain", &body));
        assert_eq!((status, code), (400, json!(107)), "{body}: {message}");
        assert!(message.contains(expected), "{body}: {message}");
    }
}

#[test]
fn a_key_for_some_rooms_asks_about_these_alone() {
    let file = File::new("explain", &format!("[[api_keys]]\nname = 'ci'\nkey = '{CI}'\nrooms = ['ci:*']\n"));
    let program = Program::start(&["--config", file.path(), "--api-key", KEY, "--token-secret", SECRET]);
    let ask =
        |headers: &str, body: &Value| http(program.address, "POST", "/api/explain", headers, &body.to_string()).status;
    let with_key = |body: Value| ask(&format!("X-API-Key: {CI}\r\n"), &body);
    assert_eq!(with_key(json!({"channel": "ci:7"})), 200);
    assert_eq!(with_key(json!({"channel": "ci:7", "offset": 1})), 200);
    assert_eq!(with_key(json!({"channel": "chat"})), 403);
    assert_eq!(with_key(json!({"channel": "chat", "offset": 1})), 403);
    assert_eq!(with_key(json!({"client": NOBODY})), 403, "it may be in any room");
    assert_eq!(ask("", &json!({"channel": "ci:7"})), 401);
}

#[test]
fn the_program_explains_in_lines_and_in_json() {
    let server = production();
    let address = server.address();
    let parlor = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_parlor"));
        command.arg("explain").args(arguments).env_clear().stdin(Stdio::null());
        command.env("PARLOR_URL", format!("http://{address}")).env("PARLOR_API_KEY", KEY);
        let output = command.output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let mut ann = Client::json(address, &token(&json!({"sub": "ann", "channels": ["news"]})));
    let (offset, epoch) = publish_to(address, "news", &json!("one"));
    ann.receive();
    let client = client_of(address, "ann");
    let offset = offset.to_string();
    wait_until("the message to be written", || parlor(&["news", &offset]).1.contains("written"));
    let (code, lines, _) = parlor(&["news", &offset, "--epoch", &epoch, "--client", &client]);
    assert_eq!(code, Some(0));
    assert!(lines.lines().last().unwrap().starts_with(&client) && lines.contains("\"ann\""), "{lines}");
    let (code, lines, _) = parlor(&["--client", &client]);
    assert!(code == Some(0) && lines.starts_with("ready; it came ") && lines.contains("  user: ann\n"), "{lines}");
    let (code, lines, _) = parlor(&["news", "--json"]);
    let room: Value = serde_json::from_str(&lines).unwrap();
    assert_eq!((code, &room["room"]["members"]), (Some(0), &json!(1)));
    for (arguments, wrong) in [
        (vec![], "is missing"),
        (vec!["news", "--client", &client], "needs the offset"),
        (vec!["news", "--epoch", "e"], "OFFSET"),
        (vec!["news", "x"], "OFFSET"),
    ] {
        let (code, _, said) = parlor(&arguments);
        assert!(code == Some(2) && said.contains(wrong), "{arguments:?}: {said}");
    }
    let (code, _, said) = parlor(&["--client", "x"]);
    assert!(code == Some(1) && said.contains("expected a UUID"), "{said}");
}
