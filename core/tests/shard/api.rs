//! The HTTP API's bodies, and what the calls do.

use crate::world::{Rules, claims, with, world};
use parlor_core::api::{Command, Selection};
use parlor_core::close::CloseReason;
use parlor_core::{Claims, CloseCause, Input, Limits, Lost, UserId};
use serde_json::json;
use tungstenite::Message;

#[test]
fn a_broadcast_answers_for_each_room() {
    let mut world = with(Limits { logs: 2, connections: 1, ..Limits::default() }, Rules::open());
    let conn = world.json();
    world.say(conn, r#"{"id":2,"subscribe":{"channel":"a"}}{"id":3,"subscribe":{"channel":"b"}}"#);
    world.read(conn);
    let answer = world.api("broadcast", r#"{"channels":["a","b","c",""],"data":1}"#);
    let responses = &answer["result"]["responses"];
    for (at, log) in world.shard.snapshot().logs.iter().enumerate() {
        assert_eq!(responses[at], json!({"result": {"offset": 1, "epoch": log.epoch}}));
    }
    let nowhere = json!({"result": {"offset": 0, "epoch": ""}});
    assert_eq!(responses[2], nowhere, "there is no place for another log");
    assert_eq!(responses[3]["error"]["code"], 107);
    assert_eq!(world.api("broadcast", r#"{"channels":[],"data":1}"#), json!({"result": {"responses": []}}));
    assert_eq!(world.read_json(conn).len(), 2);
}

#[test]
fn one_connection_everyone_and_one_user_can_be_addressed() {
    let mut world = world();
    let (a, b) = (world.json(), world.plain("/ws/x"));
    let unready = world.open("/connection/websocket");
    let client = "01010101-0101-0101-0101-010101010101";
    assert_eq!(world.api("send", &format!(r#"{{"client":"{client}","data":{{"n": 1}}}}"#)), json!({"result": {}}));
    assert_eq!(world.api("publish_all", r#"{"data":2}"#), json!({"result": {}}));
    assert_eq!(world.read(a), [r#"{"push":{"message":{"data":{"n": 1}}}}"#, r#"{"push":{"message":{"data":2}}}"#]);
    assert_eq!(world.read(b), ["2"]);
    assert!(world.read(unready).is_empty());
    assert_eq!(
        world.api("send", r#"{"client":"03030303-0303-0303-0303-030303030303","data":1}"#)["error"]["code"],
        102
    );
    assert_eq!(
        world.api("send", r#"{"client":"09090909-0909-0909-0909-090909090909","data":1}"#)["error"]["code"],
        102
    );
}

#[test]
fn tags_travel_beside_the_payload() {
    let mut world = world();
    let conn = world.json();
    world.say(conn, r#"{"id":2,"subscribe":{"channel":"a"}}"#);
    world.read(conn);
    world.api("publish", r#"{"channel":"a","data":1,"tags":{"k":"v"}}"#);
    let answer = world.api("publish", r#"{"channel":"a","data":2,"skip_history":true}"#);
    assert_eq!(answer["result"]["offset"], 0, "it has no place in the log");
    let pushes = world.read_json(conn);
    assert_eq!(pushes[0]["push"]["pub"], json!({"data": 1, "offset": 1, "tags": {"k": "v"}}));
    assert_eq!(pushes[1]["push"]["pub"], json!({"data": 2}));
}

#[test]
fn disconnecting_a_user_keeps_the_whitelisted_connections() {
    let mut world = world();
    let conns: Vec<_> = (0..3)
        .map(|_| {
            let conn = world.open("/ws/a?token=t");
            world.prove(claims("ada"));
            world.read(conn);
            conn
        })
        .collect();
    let other = world.plain("/ws/a");
    let spared = "02020202-0202-0202-0202-020202020202";
    let body = format!(r#"{{"user":"ada","whitelist":["{spared}"],"disconnect":{{"code":4001,"reason":"gone"}}}}"#);
    assert_eq!(world.api("disconnect", &body), json!({"result": {}}));
    assert_eq!(world.read_close(conns[0]), Some((4001, "gone".into())));
    assert_eq!(world.read_close(conns[1]), None);
    assert_eq!(world.read_close(conns[2]), Some((4001, "gone".into())));
    world.api("disconnect", &format!(r#"{{"user":"eve","client":"{spared}"}}"#));
    assert_eq!(world.read_close(conns[1]), None, "it is not eve's");
    world.api("disconnect", &format!(r#"{{"user":"ada","client":"{spared}","disconnect":{{"code":4500}}}}"#));
    assert_eq!(world.read_close(conns[1]), Some((4500, "disconnected by the backend".into())));
    world.api("disconnect", r#"{"client":"04040404-0404-0404-0404-040404040404"}"#);
    assert_eq!(world.read_close(other), Some((3503, "disconnected by the backend".into())));
}

#[test]
fn publications_before_a_disconnect_are_delivered_for_every_code() {
    for code in [3000, 3005, 3008, 3100, 3499, 3500, 3503, 3999, 4000, 4500, 4999] {
        let mut world = world();
        let conn = world.plain("/ws/a");
        world.api("publish", r#"{"channel":"a","data":"last"}"#);
        let client = "01010101-0101-0101-0101-010101010101";
        world.api("disconnect", &format!(r#"{{"client":"{client}","disconnect":{{"code":{code},"reason":"so"}}}}"#));
        let got = world.messages(conn);
        assert_eq!(got.len(), 2, "{code}: {got:?}");
        assert_eq!(got[0].to_text().unwrap(), "\"last\"", "{code}");
        let Message::Close(Some(close)) = &got[1] else { panic!("{code}: {got:?}") };
        assert_eq!((u16::from(close.code), close.reason.as_str()), (code, "so"));
    }
}

#[test]
fn ends_are_counted_by_cause_however_many_codes_there_are() {
    let mut world = world();
    for code in 3000..3200 {
        let conn = world.plain("/ws/a");
        if code % 2 == 0 {
            world.input(Input::PeerClosed { conn, code: Some(code) });
        } else {
            let reason = CloseReason::new(code, "so").expect("a code");
            let client = Selection::One(world.shard.snapshot().conns[0].client);
            world
                .call(Command::Disconnect { user: UserId::anonymous(), client, whitelist: vec![], reason })
                .expect("done");
            world.input(Input::PeerClosed { conn, code: Some(code) });
        }
        world.flush(conn);
        world.input(Input::Lost { conn, cause: Lost::Eof });
    }
    let closed = world.shard.stats().totals.closed;
    assert_eq!(closed, [(CloseCause::Backend, 100), (CloseCause::PeerClose, 100)].into());
}

#[test]
fn members_rooms_and_connections_can_be_listed() {
    let mut world = world();
    let a = world.open("/ws/x?token=t");
    world.prove(Claims { channels: vec!["y1".into()], ..claims("ada") });
    world.read(a);
    world.json();
    assert_eq!(
        world.api("channels", "{}")["result"]["channels"],
        json!({"#ada": {"num_clients": 1}, "x": {"num_clients": 1}, "y1": {"num_clients": 1}})
    );
    assert_eq!(world.api("channels", r#"{"pattern":"y*"}"#)["result"]["channels"], json!({"y1": {"num_clients": 1}}));
    let ada = json!({"user": "ada", "transport": "websocket", "protocol": "plain", "channels": ["#ada", "y1", "x"]});
    let all = world.api("connections", r#"{"user":"","expression":""}"#);
    let client = "01010101-0101-0101-0101-010101010101";
    assert_eq!(all["result"]["connections"].as_object().unwrap().len(), 2);
    assert_eq!(all["result"]["connections"][client], ada);
    for body in [r#"{"user":"ada"}"#, r#"{"channel":"x"}"#] {
        assert_eq!(world.api("connections", body)["result"]["connections"], json!({client: ada}));
    }
    let info = world.api("info", "");
    let expected = json!({"uid": "parlor", "name": "parlor", "version": info["result"]["nodes"][0]["version"],
        "num_clients": 2, "num_users": 2, "num_channels": 3, "num_subs": 3});
    assert_eq!(info["result"]["nodes"], json!([expected]));
}

#[test]
fn an_invalid_call_is_answered_with_the_reason() {
    let limits = Limits { publication_bytes: 8, room_name_bytes: 4, ..Limits::default() };
    let mut world = with(limits, Rules::open());
    let cases = [
        ("publish", "", 107, "channel is missing"),
        ("publish", "nonsense", 107, "the body must be a JSON object"),
        ("publish", "[]", 107, "the body must be a JSON object"),
        ("publish", "{\"channel\":\"\u{1}\"}", 107, "the body must be a JSON object"),
        ("publish", r#"{"channel":"a"}"#, 107, "data is missing"),
        ("publish", r#"{"channel":7,"data":1}"#, 107, "channel: invalid type"),
        ("publish", r#"{"channel":"","data":1}"#, 107, "must not be empty"),
        ("publish", r#"{"channel":"12345","data":1}"#, 107, "at most 4 bytes"),
        ("publish", r#"{"channel":"a","data":123456789}"#, 106, "publication_bytes"),
        (
            "publish",
            r#"{"channel":"a","data":1,"tags":{"a":"b"}}"#,
            106,
            "have 10 bytes, at most 8 are allowed (publication_bytes)",
        ),
        ("publish", r#"{"channel":"a","data":1,"tags":{"a":1}}"#, 107, "tags: invalid type"),
        ("publish", r#"{"channel":"a","data":1,"b64data":"x"}"#, 107, "b64data is not supported"),
        ("broadcast", r#"{"channels":"a","data":1}"#, 107, "channels: invalid type"),
        ("send", r#"{"client":"x","data":1}"#, 102, "no connection has the id \"x\""),
        ("send", r#"{"client":"+1010101-0101-0101-0101-010101010101","data":1}"#, 102, "no connection"),
        ("send", r#"{"client":"","data":1}"#, 107, "client must not be empty"),
        ("send", r#"{"client":"x","data":1,"more":1}"#, 107, "more is not supported"),
        ("publish_user", r#"{"user":"","data":1}"#, 107, "anonymous"),
        ("publish_user", r#"{"user":"1234","data":1}"#, 107, "at most 4 bytes"),
        ("disconnect", r#"{"user":""}"#, 107, "anonymous"),
        ("disconnect", r#"{"user":"a","disconnect":{"code":1000}}"#, 107, "3000 to 4999"),
        ("disconnect", r#"{"user":"a","disconnect":{"code":5000}}"#, 107, "3000 to 4999"),
        ("disconnect", r#"{"user":"a","disconnect":{"code":4000,"reason":"42"}}"#, 107, "not JSON"),
        ("publish", r#"{"channel":"a","channel":"a","data":1}"#, 107, "\"channel\" appears twice"),
        ("publish", r#"{"channel":"a","data":1,"\u0064ata":2}"#, 107, "\"data\" appears twice"),
        ("publish", r#"{"channel":"a","data":1,"tags":{"a":"b","a":"c"}}"#, 107, "\"a\" appears twice"),
        ("publish", r#"{"channel":"a","channel":null,"data":1}"#, 107, "\"channel\" appears twice"),
        ("disconnect", r#"{"user":"a","disconnect":{"code":3000,"code":4000}}"#, 107, "duplicate field `code`"),
        ("history", r#"{"channel":"a","since":{"offset":1,"offset":2}}"#, 107, "duplicate field `offset`"),
        ("batch", r#"{"commands":[{"info":{},"info":{}}]}"#, 107, "\"info\" appears twice"),
        ("fly", "{}", 104, "the methods are publish, broadcast, "),
    ];
    for (method, body, code, words) in cases {
        let answer = world.api(method, body);
        assert_eq!(answer["error"]["code"], code, "{method} {body}: {answer}");
        assert!(answer["error"]["message"].as_str().unwrap().contains(words), "{method} {body}: {answer}");
    }
    let answer = world.api("publish", r#"{"channel":"a","data":1,"b64data":null,"skip_history":null}"#);
    assert_eq!(answer["result"]["offset"], 1, "null is nothing");
}

#[test]
fn a_payload_is_sent_on_one_line() {
    let mut world = world();
    let conn = world.plain("/ws/a");
    world.api("publish", "{\"channel\":\"a\",\"data\":{\r\n  \"text\": \"a\\nb\"\n}}");
    assert_eq!(world.read(conn), [r#"{  "text": "a\nb"}"#]);
}

#[test]
fn integers_may_have_a_fraction_of_zero_and_objects_are_no_arrays() {
    let mut world = world();
    world.api("publish", r#"{"channel":"a","data":1}"#);
    let answer = world.api("history", r#"{"channel":"a","limit":1.0,"since":{"offset":0.0}}"#);
    assert_eq!(answer["result"]["publications"][0]["data"], 1, "{answer}");
    for body in [
        r#"{"channel":"a","limit":1.5}"#,
        r#"{"channel":"a","limit":-9223372036854775809}"#,
        r#"{"channel":"a","since":[]}"#,
        r#"{"channel":"a","since":{"offset":-1}}"#,
    ] {
        assert_eq!(world.api("history", body)["error"]["code"], 107, "{body}");
    }
    for body in [r#"{"user":"ada","disconnect":[3000]}"#, r#"{"user":"ada","disconnect":{"code":3000.5}}"#, " "] {
        assert_eq!(world.api("disconnect", body)["error"]["code"], 107, "{body}");
    }
    assert_eq!(world.api("refresh", r#"{"user":"ada","expire_at":1.7e9}"#), json!({"result": {}}));
}

#[test]
fn an_idempotency_key_is_bounded_by_idempotency_key_bytes() {
    let mut world = with(Limits { idempotency_key_bytes: 4, ..Limits::default() }, Rules::open());
    let mut publish =
        |key: &str| world.api("publish", &json!({"channel": "a", "data": 1, "idempotency_key": key}).to_string());
    assert_eq!(publish("\u{e9}12")["result"]["offset"], 1);
    assert_eq!(publish("\u{e9}123")["error"]["code"], 107);
}

#[test]
fn an_impossible_client_or_session_id_selects_no_connection() {
    let mut world = world();
    let (conn, connected) = world.json_with(claims("ada"));
    let session = connected["connect"]["session"].as_str().expect("a session").to_owned();
    let other = "09090909-0909-0909-0909-090909090909";
    for which in [json!({"client": "x"}), json!({"session": "x"}), json!({"client": session, "session": other})] {
        for (method, more) in [("disconnect", json!({})), ("refresh", json!({"expired": true}))] {
            let mut body = json!({"user": "ada"});
            for part in [&which, &more] {
                body.as_object_mut().unwrap().extend(part.as_object().unwrap().clone());
            }
            assert_eq!(world.api(method, &body.to_string()), json!({"result": {}}), "{method} {body}");
        }
        assert_eq!(world.api("disconnect", &which.to_string()), json!({"result": {}}), "{which}");
    }
    let body = json!({"user": "ada", "whitelist": ["x", "", session]});
    assert_eq!(world.api("disconnect", &body.to_string()), json!({"result": {}}));
    let body = json!({"user": "ada", "session": session, "client": session, "channel": "x"});
    assert_eq!(world.api("subscribe", &body.to_string()), json!({"result": {}}));
    assert_eq!(world.read_json(conn)[0]["push"]["channel"], "x", "it is there, and it is the one that is meant");
    world.api("disconnect", &json!({"session": session}).to_string());
    assert_eq!(world.read_close(conn).map(|(code, _)| code), Some(3503));
}

#[test]
fn an_empty_filter_is_none() {
    let mut world = world();
    let conn = world.open("/ws/x?token=t");
    world.prove(claims("ada"));
    world.read(conn);
    for nothing in ["{}", r#"{"user":null,"channel":null,"pattern":null}"#, r#"{"user":"","channel":"","pattern":""}"#]
    {
        let mut fields: serde_json::Map<String, serde_json::Value> = serde_json::from_str(nothing).unwrap();
        let pattern = fields.remove("pattern").map_or(json!({}), |pattern| json!({ "pattern": pattern }));
        let connections = world.api("connections", &json!(fields).to_string());
        assert_eq!(connections["result"]["connections"].as_object().map(|all| all.len()), Some(1), "{nothing}");
        let channels = world.api("channels", &pattern.to_string());
        assert_eq!(channels["result"]["channels"].as_object().map(|all| all.len()), Some(2), "{pattern}");
    }
    for selection in [r#"{"user":"ada","client":""}"#, r#"{"user":"ada","client":null,"session":""}"#] {
        let body = selection.replace('}', r#","expire_at":null}"#);
        assert_eq!(world.api("refresh", &body), json!({"result": {}}), "{body}");
    }
}
