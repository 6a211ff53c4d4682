//! Answers to commands of clients.

use super::*;

/// A command is answered with this error, and the connection goes on.
pub fn answers(mut world: World, command: Value, code: u16) {
    let mut client = world.client();
    let reply = client.ask(&command);
    assert_eq!(reply["error"]["code"], code, "{reply}");
    assert!(reply["error"]["message"].is_string(), "{reply}");
    let reply = client.ask(&json!({"id": 100, "ping": {}}));
    assert!(reply["error"].is_null(), "{reply}");
    world.is_unaffected();
}

pub fn reserved_room() {
    answers(World::new(), json!({"id": 2, "subscribe": {"channel": "#client"}}), 103);
}

pub fn publish_not_allowed() {
    let world = World::with(|settings| settings.allow_publish = Some(false));
    answers(world, json!({"id": 2, "publish": {"channel": "#client", "data": 1}}), 103);
}

pub fn unknown_command() {
    answers(World::new(), json!({"id": 2, "dance": {}}), 104);
}

pub fn already_subscribed() {
    let mut world = World::new();
    let mut client = world.client();
    let subscribe = |id: u32| json!({"id": id, "subscribe": {"channel": "room"}});
    assert!(client.ask(&subscribe(2))["subscribe"].is_object());
    assert_eq!(client.ask(&subscribe(3))["error"]["code"], 105);
    world.is_unaffected();
}

pub fn too_many_rooms() {
    // The personal room is the first.
    let world = World::with(|settings| settings.limits.rooms_per_connection = 2);
    let mut client = world.client();
    assert!(client.ask(&json!({"id": 2, "subscribe": {"channel": "a"}}))["subscribe"].is_object());
    let reply = client.ask(&json!({"id": 3, "subscribe": {"channel": "b"}}));
    assert_eq!(reply["error"]["code"], 106, "{reply}");
    assert!(reply["error"]["message"].as_str().unwrap().contains("rooms_per_connection"), "{reply}");
}

pub fn long_room_name() {
    answers(World::new(), json!({"id": 2, "subscribe": {"channel": "x".repeat(201)}}), 107);
}

pub fn large_publication() {
    let world = World::with(|settings| settings.limits.publication_bytes = 100);
    let mut client = world.client();
    assert!(client.ask(&json!({"id": 2, "subscribe": {"channel": "room"}}))["subscribe"].is_object());
    let reply = client.ask(&json!({"id": 3, "publish": {"channel": "room", "data": "x".repeat(99)}}));
    assert_eq!(reply["error"]["code"], 107, "{reply}");
}

pub fn rpc() {
    answers(World::new(), json!({"id": 2, "rpc": {"method": "sum", "data": [1, 2]}}), 108);
}

pub fn expired_token() {
    let mut world = World::new();
    let mut client = Client::connect(world.address, "/connection/websocket");
    let mut connect = |exp: i64| {
        let token = token(&json!({"sub": "client", "exp": unix(exp)}));
        client.ask(&json!({"id": 1, "connect": {"token": token}}))
    };
    assert_eq!(connect(-20)["error"]["code"], 109);
    assert_eq!(connect(60)["connect"]["expires"], true);
    world.is_unaffected();
}

pub fn expired_refresh() {
    let mut world = World::new();
    let mut client = world.client();
    client.send(&json!({"id": 2, "refresh": {"token": token(&json!({"sub": "client", "exp": unix(-20)}))}}));
    assert_eq!(client.close().0, 3005);
    world.is_unaffected();
}

pub fn expired_room_token() {
    answers(World::new(), json!({"id": 2, "subscribe": {"channel": "room", "token": room_token(-20)}}), 109);
}

pub fn history_not_kept() {
    let mut world = without_history();
    let mut client = world.client();
    subscribe(&mut client, "room");
    assert_eq!(client.ask(&json!({"id": 2, "history": {"channel": "room"}}))["error"]["code"], 108);
    world.is_unaffected();
}

pub fn without_history() -> World {
    World::with(|settings| settings.limits.history_messages = 0)
}

pub fn too_many_commands() {
    let mut world = World::with(|settings| ends::few_commands(settings, 3));
    let mut client = world.client();
    let mut ping = |id: u32| client.ask(&json!({"id": id, "ping": {}}));
    assert!(ping(2)["ping"].is_object() && ping(3)["ping"].is_object());
    let error = &ping(4)["error"];
    assert_eq!((&error["code"], &error["temporary"]), (&json!(111), &json!(true)), "{error}");
    assert!(error["message"].as_str().unwrap().contains("client_commands"), "{error}");
    assert_eq!(hits(world.address, "client_commands"), 1);
    thread::sleep(Duration::from_secs(1));
    assert!(ping(5)["ping"].is_object(), "its time has come");
    world.is_unaffected();
}

pub fn too_many_publications() {
    let mut world = World::with(|settings| settings.limits.client_publishes = ONE);
    let mut plain = Client::connect(world.address, "/ws/room?greeting=off");
    plain.send(&json!({"type": "publish", "data": 1}));
    assert_eq!(plain.receive(), 1);
    plain.send(&json!({"type": "publish", "data": 2, "id": "x"}));
    let error = plain.receive();
    assert_eq!((&error["type"], &error["code"], &error["id"]), (&json!("error"), &json!(111), &json!("x")), "{error}");
    let mut json = world.client();
    subscribe(&mut json, "room");
    let publish = |id: u32| json!({"id": id, "publish": {"channel": "room", "data": id}});
    json.send(&publish(2));
    assert_eq!([&json.receive()["push"]["pub"]["data"], &json.receive()["id"]], [2, 2]);
    assert_eq!(json.ask(&publish(3))["error"]["code"], 111, "each client has a rate of its own");
    assert_eq!(hits(world.address, "client_publishes"), 2);
    world.is_unaffected();
}

pub fn unrecoverable() {
    let subscribe = json!({"channel": "room", "recover": true, "epoch": "another", "offset": 1, "flag": 2});
    answers(World::new(), json!({"id": 2, "subscribe": subscribe}), 112);
}
