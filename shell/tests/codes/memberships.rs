//! Codes with which the server unsubscribes a client.

use super::*;

/// The next push is an unsubscribe, and the connection goes on.
pub fn is_unsubscribed(client: &mut Client, code: u16) {
    let push = client.receive();
    assert_eq!(
        (&push["push"]["channel"], &push["push"]["unsubscribe"]["code"]),
        (&json!("room"), &json!(code)),
        "{push}"
    );
    assert!(client.ask(&json!({"id": 100, "ping": {}}))["ping"].is_object());
}

pub fn subscribe(client: &mut Client, room: &str) {
    let reply = client.ask(&json!({"id": 50, "subscribe": {"channel": room}}));
    assert!(reply["subscribe"].is_object(), "{reply}");
}

pub fn taken_out() {
    let mut world = World::new();
    let mut client = world.client();
    subscribe(&mut client, "room");
    assert_eq!(api(world.address, "unsubscribe", &json!({"user": "client", "channel": "room"})).status, 200);
    is_unsubscribed(&mut client, 2000);
    world.is_unaffected();
}

pub fn room_token(exp: i64) -> String {
    token(&json!({"sub": "client", "channel": "room", "exp": unix(exp)}))
}

pub fn revoked_membership() {
    let mut world = World::new();
    let mut client = world.client();
    let of_room = token(&json!({"sub": "client", "channel": "room", "jti": "t"}));
    let reply = client.ask(&json!({"id": 2, "subscribe": {"channel": "room", "token": of_room}}));
    assert!(reply["subscribe"].is_object(), "{reply}");
    assert_eq!(api(world.address, "revoke_token", &json!({"uid": "t"})).status, 200);
    is_unsubscribed(&mut client, 2502);
    world.is_unaffected();
}

pub fn expired_membership() {
    let mut world = World::with(at_its_expiry);
    let mut client = world.client();
    let reply = client.ask(&json!({"id": 2, "subscribe": {"channel": "room", "token": room_token(1)}}));
    assert_eq!(reply["subscribe"]["expires"], true, "{reply}");
    is_unsubscribed(&mut client, 2501);
    world.is_unaffected();
}
