//! Answers to backends.

use super::*;
use common::Answer;
use parlor::auth::KeyRights;
use parlor::config::{ApiKeyEntry, Place};

/// An API call fails with this status and this code; in body mode with the code alone.
pub fn api_fails(mut world: World, method: &str, headers: &str, body: &str, status: u16, code: u16) {
    let path = format!("/api/{method}");
    let call = |more: &str| http(world.address, "POST", &path, &format!("{headers}{more}"), body);
    let answer = call("");
    assert_eq!((answer.status, &answer.json()["error"]["code"]), (status, &json!(code)), "{answer:?}");
    let answer = call("X-Centrifugo-Error-Mode: body\r\n");
    let expected = if status == 401 { 401 } else { 200 };
    assert_eq!((answer.status, &answer.json()["error"]["code"]), (expected, &json!(code)), "{answer:?}");
    world.is_unaffected();
}

pub const WITH_KEY: &str = "Authorization: apikey test-key-test-key\r\n";

pub fn wrong_key() {
    api_fails(World::new(), "info", "X-API-Key: test-kez\r\n", "{}", 401, 101);
}

/// A server that counts wrong keys, and two of them at once.
fn world_of_two_wrong_keys() -> World {
    World::with(|settings| {
        in_production(settings);
        settings.limits.wrong_keys_per_ip = TWO;
    })
}

fn call_with(world: &World, headers: &str) -> Answer {
    http(world.address, "POST", "/api/info", headers, "{}")
}

pub fn too_many_wrong_keys() {
    let mut world = world_of_two_wrong_keys();
    for _ in 0..10 {
        assert_eq!(call_with(&world, "").status, 401, "a missing key is not a wrong one");
    }
    let wrong = "X-API-Key: wrong-key-wrong-key\r\n";
    assert_eq!([(); 2].map(|()| call_with(&world, wrong).status), [401, 401]);
    let mut answer = None;
    // One a second is answered like those before it.
    wait_until("too many", || {
        let last = call_with(&world, &format!("{wrong}X-Centrifugo-Error-Mode: body\r\n"));
        answer = (last.status != 401).then_some(last);
        answer.is_some()
    });
    let answer = answer.unwrap();
    let error = &answer.json()["error"];
    assert_eq!((answer.status, &error["code"], &error["limit"]), (429, &json!(111), &json!("wrong_keys_per_ip")));
    assert_eq!(answer.header("retry-after"), Some("1"), "{answer:?}");
    for header in ["X-API-Key: ", "Authorization: apikey ", "Authorization: Bearer "] {
        assert_eq!(call_with(&world, &format!("{header}test-key-test-key\r\n")).status, 200, "a right key is served");
    }
    wait_until("another one's time", || call_with(&world, wrong).status == 401);
    world.is_unaffected();
}

pub fn wrong_keys_from_an_address() {
    let mut world = world_of_two_wrong_keys();
    let call = b"POST /api/info HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer wrong\r\nContent-Length: 2\r\n\r\n{}";
    let from = |last| ask(&mut connect_from([127, 0, 0, last], world.address), call).status;
    assert_eq!([2, 2].map(from), [401, 401]);
    wait_until("too many", || from(2) == 429);
    assert_eq!(from(3), 401, "another address is not concerned");
    world.is_unaffected();
}

/// A server with a key for some methods and one for some rooms, beside the one that the tests have.
fn world_of_keys() -> World {
    let key = |name: &str, key: &str, methods: Option<&str>, rooms: Option<&str>| {
        let [methods, rooms] = [methods, rooms].map(|texts| texts.map(|text| vec![String::from(text)]));
        let rights = KeyRights::new(methods, rooms).unwrap();
        ApiKeyEntry { name: name.into(), key: key.into(), rights, place: Place::Flag("api_keys") }
    };
    let publisher = key("publisher", "publisher-test-key", Some("publish"), None);
    let room = key("ci", "room-test-key-test-key", None, Some("ci:*"));
    World::with(|settings| settings.api_keys = vec![publisher, room])
}

pub fn method_of_another_key() {
    let key = "X-API-Key: publisher-test-key\r\n";
    let answer = http(world_of_keys().address, "POST", "/api/limits", key, "{}");
    assert!(answer.body.contains("may not call limits"), "{answer:?}");
    api_fails(world_of_keys(), "limits", key, "{}", 403, 103);
}

pub fn room_of_another_key() {
    let key = "Authorization: Bearer room-test-key-test-key\r\n";
    api_fails(world_of_keys(), "publish", key, r#"{"channel":"chat","data":1}"#, 403, 103);
    api_fails(world_of_keys(), "info", key, "{}", 403, 103);
}

pub fn unknown_method() {
    api_fails(World::new(), "dance", WITH_KEY, "{}", 404, 104);
}

pub fn large_api_publication() {
    let world = World::with(|settings| settings.limits.publication_bytes = 100);
    let body = json!({"channel": "room", "data": "x".repeat(99)}).to_string();
    api_fails(world, "publish", WITH_KEY, &body, 413, 106);
}

pub fn unknown_client() {
    let body = json!({"client": "00000000-0000-0000-0000-000000000000", "data": 1}).to_string();
    api_fails(World::new(), "send", WITH_KEY, &body, 404, 102);
}

pub fn reserved_room_by_backend() {
    let body = json!({"user": "bystander", "channel": "#client"}).to_string();
    api_fails(World::new(), "subscribe", WITH_KEY, &body, 403, 103);
}

pub fn too_many_rooms_by_backend() {
    // The bystander's room and its personal room are the two.
    let world = World::with(|settings| settings.limits.rooms_per_connection = 2);
    let body = json!({"user": "bystander", "channel": "third"}).to_string();
    api_fails(world, "subscribe", WITH_KEY, &body, 413, 106);
}

pub fn long_idempotency_key() {
    let body = json!({"channel": "room", "data": 1, "idempotency_key": "x".repeat(201)}).to_string();
    api_fails(World::new(), "publish", WITH_KEY, &body, 400, 107);
}

pub fn too_many_revoked_tokens() {
    let world = World::with(|settings| settings.limits.revoked_tokens = 0);
    api_fails(world, "revoke_token", WITH_KEY, r#"{"uid":"t"}"#, 413, 106);
}

pub fn too_many_invalidated_users() {
    let world = World::with(|settings| settings.limits.invalidated_users = 0);
    api_fails(world, "invalidate_user_tokens", WITH_KEY, r#"{"user":"client"}"#, 413, 106);
}

pub fn history_not_kept_for_backends() {
    api_fails(without_history(), "history", WITH_KEY, r#"{"channel":"room"}"#, 400, 108);
}

pub fn position_of_another_log() {
    let body = json!({"channel": "room", "limit": 1, "since": {"epoch": "another", "offset": 1}}).to_string();
    api_fails(World::new(), "history", WITH_KEY, &body, 416, 112);
}

pub fn malformed_body() {
    api_fails(World::new(), "publish", WITH_KEY, "{\"channel\":", 400, 107);
}
