//! Limits that have no code of their own: of calls, of payloads, of history and of queues.

use super::*;
use parlor::config::Route;
use parlor_core::{Config, ConnId, Input, Instant, Limits, Now, Shard, Upgrade};

/// An answer of the API that is refused because of this limit.
fn refused_call(world: &World, method: &str, body: &Value, limit: &str) {
    let answer = api(world.address, method, body);
    assert_eq!(answer.json()["error"]["limit"], limit, "{answer:?}");
}

pub fn idle_socket() {
    let mut world = World::with(|settings| settings.limits.idle_timeout = Duration::from_millis(100));
    let mut socket = TcpStream::connect(world.address).unwrap();
    let look = b"GET /health/live HTTP/1.1\r\nHost: a\r\n\r\n";
    assert_eq!(ask(&mut socket, look).status, 200);
    socket.read_to_end(&mut Vec::new()).unwrap();
    world.is_unaffected();
}

pub fn lingering_socket() {
    let mut world = World::with(|settings| settings.limits.linger_timeout = Duration::from_millis(50));
    let mut socket = TcpStream::connect(world.address).unwrap();
    let look = b"GET /health/live HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    assert_eq!(ask(&mut socket, look).status, 200);
    wait_until("the end of the socket", || hits(world.address, "linger_timeout") == 1);
    world.is_unaffected();
}

pub fn wide_broadcast() {
    let mut world = World::with(|settings| settings.limits.broadcast_channels = 2);
    let body = |rooms: &[&str]| json!({"channels": rooms, "data": 1});
    assert_eq!(api(world.address, "broadcast", &body(&["a", "b"])).status, 200);
    refused_call(&world, "broadcast", &body(&["a", "b", "c"]), "broadcast_channels");
    world.is_unaffected();
}

pub fn long_batch() {
    let mut world = World::with(|settings| settings.limits.batch_commands = 2);
    let body = |calls: usize| json!({"commands": vec![json!({"info": {}}); calls]});
    assert_eq!(api(world.address, "batch", &body(2)).status, 200);
    refused_call(&world, "batch", &body(3), "batch_commands");
    world.is_unaffected();
}

pub fn large_api_reply() {
    let mut world = World::with(|settings| settings.limits.api_reply_bytes = 1000);
    assert_eq!(api(world.address, "info", &json!({})).status, 200);
    refused_call(&world, "limits", &json!({}), "api_reply_bytes");
    world.is_unaffected();
}

pub fn long_route_id() {
    let mut world = World::with(|settings| {
        settings.limits.route_id_bytes = 3;
        settings.routes =
            vec![Route { path: "/ws/game/{id}".into(), room: "game_{id}".into(), subscribed: None, place: None }];
    });
    assert_eq!(raw_http(world.address, &upgrade_request("/ws/game/123", "")).status, 101);
    let answer = raw_http(world.address, &upgrade_request("/ws/game/1234", ""));
    assert_eq!((answer.status, &answer.json()["error"]["limit"]), (400, &json!("route_id_bytes")), "{answer:?}");
    world.is_unaffected();
}

pub fn unanswered_close() {
    let mut world = World::with(|settings| settings.limits.close_timeout = Duration::from_millis(100));
    let mut client = world.client();
    client.send_raw(&frame(0x80 | BINARY, b"{}"));
    assert_eq!(client.close().0, 1003);
    wait_until("the end of the connection", || closed(world.address, CloseCause::Binary) == 1);
    world.is_unaffected();
}

pub fn clocks_that_differ() {
    let connect = |leeway: u64, claims: Value| {
        let world = World::with(|settings| settings.limits.token_leeway = Duration::from_secs(leeway));
        let mut client = Client::connect(world.address, "/connection/websocket");
        client.ask(&json!({"id": 1, "connect": {"token": token(&claims)}}))
    };
    for (claim, offset) in [("exp", -30), ("nbf", 30)] {
        let claims = json!({"sub": "client", claim: unix(offset)});
        assert_eq!(connect(10, claims.clone())["error"]["code"], 109, "{claims}");
        assert!(connect(60, claims.clone())["connect"].is_object(), "{claims}");
    }
}

pub fn request_that_outlasts_the_drain() {
    let world = World::with(|settings| {
        settings.limits.close_timeout = Duration::from_millis(50);
        settings.limits.drain_timeout = Duration::from_millis(100);
    });
    let mut call = TcpStream::connect(world.address).unwrap();
    call.set_read_timeout(Some(PATIENCE)).unwrap();
    let head = format!("POST /api/info HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n{WITH_KEY}\r\n");
    call.write_all(head.as_bytes()).unwrap();
    wait_until("the request's arrival", || health(world.address)["http_connections"] == 2);
    world.server.stop();
    // Nobody can ask for the count any more: the answer names the limit.
    let answer = ask(&mut call, b"");
    assert_eq!((answer.status, &answer.json()["error"]["limit"]), (503, &json!("drain_timeout")), "{answer:?}");
}

/// A payload that is refused to a client, in both protocols, and to a backend.
fn unreadable_payload(data: &str, limit: &str) {
    let mut world = World::new();
    let mut client = world.client();
    subscribe(&mut client, "room");
    client.send_text(&format!(r#"{{"id":2,"publish":{{"channel":"room","data":{data}}}}}"#));
    assert_eq!(client.receive()["error"]["code"], 107);
    let mut plain = Client::connect(world.address, "/ws/room?greeting=off");
    plain.send_text(&format!(r#"{{"type":"publish","data":{data},"id":1}}"#));
    assert_eq!(plain.receive()["code"], 107);
    let body = format!(r#"{{"channel":"room","data":{data}}}"#);
    let answer = http(world.address, "POST", "/api/publish", WITH_KEY, &body);
    assert_eq!((answer.status, &answer.json()["error"]["limit"]), (400, &json!(limit)), "{answer:?}");
    assert_eq!(hits(world.address, limit), 3);
    world.is_unaffected();
}

pub fn deep_payload() {
    unreadable_payload(&format!("{}{}", "[".repeat(65), "]".repeat(65)), "json_depth");
}

pub fn long_number() {
    unreadable_payload(&"9".repeat(401), "json_number_digits");
}

pub fn large_info() {
    let world = World::with(|settings| settings.limits.info_bytes = 10);
    let claims = json!({"sub": "client", "info": "x".repeat(9)});
    connect_closes(world, json!({"token": token(&claims)}), 3500);
}

pub fn many_capabilities() {
    let world = World::with(|settings| settings.limits.caps_bytes = 10);
    let caps = json!([{"channels": ["news:*", "chat:*"], "match": "wildcard", "allow": ["sub"]}]);
    connect_closes(world, json!({"token": token(&json!({"sub": "client", "caps": caps}))}), 3500);
}

pub fn long_token_id() {
    let world = World::with(|settings| settings.limits.token_id_bytes = 10);
    connect_closes(world, json!({"token": token(&json!({"sub": "client", "jti": "x".repeat(11)}))}), 3500);
}

/// A shard without a server, for what no client over sockets can reach.
struct Bare {
    shard: Shard,
    conn: ConnId,
}

impl Bare {
    /// A shard with one connection, whose upgrade request is not answered yet.
    fn new(limits: Limits) -> Self {
        let mut shard = Shard::new(Config::from(limits), [7; 32]);
        let config = shard.config();
        let target = config.resolve("/ws/room?greeting=off").unwrap();
        let upgrade = Upgrade { client: [1; 16], target, token: None, address: None };
        let conn = shard.accept(Now::default(), upgrade).unwrap();
        Self { shard, conn }
    }

    fn input(&mut self, input: Input) {
        self.shard.handle(Now::default(), input).for_each(drop);
    }

    fn note(&self) {
        let totals = self.shard.stats().totals;
        totals.limits.keys().for_each(|limit| note(Observed::Limit(limit.name().into())));
        totals.closed.keys().for_each(|cause| note(Observed::Cause(cause.name().into())));
    }
}

/// A 101 that the socket does not take: it holds more than the system buffers.
pub fn unanswered_upgrade() {
    let mut bare = Bare::new(Limits::default());
    let due = bare.shard.poll_timeout().unwrap();
    assert_eq!(due.since(Instant(0)), Limits::default().handshake_timeout);
    bare.shard.handle(Now { mono: due, unix_ms: 0 }, Input::Tick).for_each(drop);
    bare.note();
}

/// A server checks a token at once, so that nothing waits for it.
pub fn messages_before_a_verdict() {
    let mut bare = Bare::new(Limits { waiting_messages: 3, ..Limits::default() });
    let conn = bare.conn;
    bare.input(Input::Upgraded { conn });
    bare.input(Input::Message { conn, message: r#"{"type":"auth","token":"t"}"#.into() });
    (0..4).for_each(|_| bare.input(Input::Message { conn, message: "{}".into() }));
    bare.note();
}

/// The server has one shard, whose homes answer in the turn of the question.
pub fn answered_at_once() {
    let mut world = World::with(|settings| settings.limits.ticket_timeout = Duration::from_millis(1));
    let mut client = Client::json(world.address, "");
    let subscribe = json!({"id": 2, "subscribe": {"channel": "a"}});
    assert!(client.ask(&subscribe)["subscribe"].is_object());
    let history = json!({"id": 3, "history": {"channel": "a"}});
    assert!(client.ask(&history)["history"].is_object());
    world.is_unaffected();
    assert_eq!(hits(world.address, "ticket_timeout"), 0);
}

/// No frame that the server makes is so large: settings with which one could be are refused.
pub fn large_frame() {
    let wrong = Limits { frame_bytes: 1000, ..Limits::default() }.validate().unwrap_err();
    assert!(wrong.contains("must be at most frame_bytes / 4"), "{wrong}");
}

pub fn full_outbox() {
    let mut world = World::with(|settings| {
        settings.limits.outbox_frames = 16;
        (settings.limits.close_timeout, settings.limits.drain_timeout) = (PATIENCE, 2 * PATIENCE);
    });
    let mut slow = Client::connect(world.address, "/ws/talk?greeting=off");
    talk_until(&world, |health| health["rooms"] == 2);
    assert_eq!(slow.close().0, 3008);
    world.is_unaffected();
}

pub fn full_outboxes() {
    let mut world = World::with(|settings| settings.limits.outbox_bytes_total = settings.limits.outbox_bytes);
    // What several wait for counts once.
    let _slow = ["a", "b"].map(|room| Client::connect(world.address, &format!("/ws/{room}?greeting=off")));
    let line = json!("x".repeat(60_000));
    wait_until("a full node", || {
        ["a", "b"].iter().for_each(|room| publish(world.address, room, &line));
        hits(world.address, "outbox_bytes_total") > 0
    });
    world.is_unaffected();
}

pub fn large_filter() {
    let mut world =
        World::with(|settings| (settings.limits.filter_events, settings.limits.filter_event_bytes) = (2, 3));
    let mut client = Client::connect(world.address, "/ws/room?greeting=off");
    let mut filter = |events: &[&str]| {
        client.send(&json!({"type": "subscribe", "events": events}));
        client.receive()["type"] == "subscribed"
    };
    assert!(filter(&["a", "abc"]));
    assert!(!filter(&["a", "b", "c"]) && !filter(&["abcd"]));
    assert_eq!((hits(world.address, "filter_events"), hits(world.address, "filter_event_bytes")), (1, 1));
    world.is_unaffected();
}

/// The payloads that a room's log retains.
fn retained(world: &World, room: &str) -> Vec<Value> {
    let answer = api(world.address, "history", &json!({"channel": room, "limit": -1})).json();
    let publications = answer["result"]["publications"].as_array().unwrap();
    publications.iter().map(|publication| publication["data"].clone()).collect()
}

pub fn history_of_messages() {
    let mut world = World::with(|settings| settings.limits.history_messages = 2);
    (1..=3).for_each(|number| publish(world.address, "room", &json!(number)));
    assert_eq!(retained(&world, "room"), [2, 3]);
    world.is_unaffected();
}

pub fn old_history() {
    let mut world = World::with(|settings| settings.limits.history_age = Duration::from_millis(300));
    publish(world.address, "room", &json!(1));
    assert_eq!(retained(&world, "room"), [1]);
    thread::sleep(Duration::from_millis(400));
    assert_eq!(retained(&world, "room"), [0; 0]);
    world.is_unaffected();
}

pub fn history_of_all_rooms() {
    let mut world = World::with(|settings| settings.limits.history_bytes = 250);
    let line = json!("x".repeat(98));
    (0..2).for_each(|_| publish(world.address, "full", &line));
    publish(world.address, "small", &json!(1));
    publish(world.address, "small", &line);
    assert_eq!(retained(&world, "full"), std::slice::from_ref(&line), "the fullest room gives up its oldest");
    assert_eq!(retained(&world, "small"), [json!(1), line]);
    world.is_unaffected();
}

pub fn history_of_a_room() {
    let mut world = World::with(|settings| settings.limits.history_bytes_per_room = 250);
    let line = |number: u32| json!(format!("{number}{}", "x".repeat(97)));
    (1..=3).for_each(|number| publish(world.address, "room", &line(number)));
    assert_eq!(retained(&world, "room"), [line(2), line(3)]);
    world.is_unaffected();
}

pub fn forgotten_log() {
    let recovers_after = |pause: u64| {
        let world = World::with(|settings| {
            settings.limits.log_memory = Duration::from_millis(500);
            settings.limits.history_age = Duration::from_millis(100);
        });
        publish(world.address, "room", &json!(1));
        let published = api(world.address, "history", &json!({"channel": "room"})).json();
        let epoch = published["result"]["epoch"].as_str().unwrap().to_owned();
        thread::sleep(Duration::from_millis(pause));
        let mut client = world.client();
        let subscribe = json!({"channel": "room", "recover": true, "epoch": epoch, "offset": 1});
        client.ask(&json!({"id": 2, "subscribe": subscribe}))["subscribe"]["recovered"] == true
    };
    assert!(recovers_after(200), "the log retains nothing, and is remembered");
    assert!(!recovers_after(1000));
}

pub fn too_many_absences() {
    let mut world = World::with(|settings| {
        settings.presence_grace = Duration::from_secs(15);
        settings.limits.absences = 1;
    });
    let before = health(world.address)["connections"].clone();
    let mut client = world.client();
    subscribe(&mut client, "room");
    drop(client);
    wait_until("its end", || health(world.address)["connections"] == before);
    assert_eq!(health(world.address)["absences"], 1, "of this room and the user's own, one");
    world.is_unaffected();
}

pub fn long_reply() {
    let mut world = World::with(|settings| settings.limits.reply_messages = 2);
    (1..=3).for_each(|number| publish(world.address, "room", &json!(number)));
    assert_eq!(retained(&world, "room"), [1, 2]);
    world.is_unaffected();
}

pub fn large_reply() {
    let mut world = World::with(|settings| settings.limits.reply_bytes = 10);
    let mut client = world.client();
    subscribe(&mut client, "room");
    let error = client.ask(&json!({"id": 2, "presence": {"channel": "room"}}))["error"].clone();
    assert_eq!(error["code"], 106, "{error}");
    world.is_unaffected();
}

/// The offset of a publication under a key: that of the first one where it is a repetition.
fn offset(world: &World, key: &str) -> Value {
    let body = json!({"channel": "room", "data": 1, "idempotency_key": key});
    api(world.address, "publish", &body).json()["result"]["offset"].clone()
}

pub fn late_repetition() {
    let mut world = World::with(|settings| settings.limits.idempotency_window = Duration::from_millis(300));
    assert_eq!([offset(&world, "key"), offset(&world, "key")], [1, 1]);
    thread::sleep(Duration::from_millis(400));
    assert_eq!(offset(&world, "key"), 2);
    world.is_unaffected();
}

pub fn displaced_key() {
    let mut world = World::with(|settings| settings.limits.idempotency_keys = 2);
    assert_eq!(["a", "b", "a", "c", "a"].map(|key| offset(&world, key)), [1, 2, 1, 3, 4]);
    world.is_unaffected();
}

pub fn too_many_joins() {
    let mut world = World::with(|settings| {
        settings.limits.client_joins = Rate { per_second: 1, burst: 4 };
        settings.limits.rooms_per_connection = 2;
    });
    let mut client = Client::json(world.address, "");
    let mut join = |id: u32| {
        let reply = client.ask(&json!({"id": id, "subscribe": {"channel": "room"}}));
        client.ask(&json!({"id": 9, "unsubscribe": {"channel": "room"}}));
        reply["error"]["code"].clone()
    };
    assert_eq!([2, 3, 4, 5, 6].map(&mut join)[3..], [Value::Null, json!(111)]);
    world.is_unaffected();
}
