//! Answers to backends.

use super::*;

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
