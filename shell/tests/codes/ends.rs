//! Causes for which connections are closed.

use super::*;
use std::num::NonZeroUsize;

/// A `json` client is closed for this cause when it sends these bytes, and no other client is.
pub fn closes(mut world: World, bytes: &[u8], cause: CloseCause) {
    let mut client = world.client();
    client.send_raw(bytes);
    assert_eq!(client.close().0, cause.reason().code());
    drop(client);
    wait_until("the end of the connection", || closed(world.address, cause) == 1);
    world.is_unaffected();
}

pub fn unmasked_frame() {
    closes(World::new(), &[0x81, 0x02, b'{', b'}'], CloseCause::Protocol);
}

pub fn reserved_bit() {
    closes(World::new(), &frame(0xc1, b"{}"), CloseCause::Protocol);
}

pub fn forbidden_close_code() {
    closes(World::new(), &frame(0x80 | CLOSE, 1005_u16.to_be_bytes()), CloseCause::Protocol);
}

pub fn binary_message() {
    closes(World::new(), &frame(0x80 | BINARY, b"{}"), CloseCause::Binary);
}

pub fn invalid_utf8() {
    closes(World::new(), &frame(0x80 | TEXT, b"\"\xff\""), CloseCause::Utf8);
}

pub fn oversize_message() {
    let world =
        World::with(|settings| (settings.limits.message_bytes, settings.limits.rooms_per_connection) = (4096, 4));
    closes(world, &frame(0x80 | TEXT, [b' '; 4097]), CloseCause::TooLarge);
}

pub fn oversize_in_fragments() {
    let world =
        World::with(|settings| (settings.limits.message_bytes, settings.limits.rooms_per_connection) = (4096, 4));
    closes(world, &[frame(TEXT, [b' '; 3000]), frame(0x80, [b' '; 3000])].concat(), CloseCause::TooLarge);
}

pub fn shutdown() {
    let world = World::new();
    let mut client = world.client();
    let mut other = world.client();
    world.server.stop();
    assert_eq!(client.close(), (3001, "shutdown".into()));
    client.send_close(3001);
    client.end();
    drop(client);
    // As long as another does not answer its Close, the server can be asked.
    wait_until("the count of it", || closed(world.address, CloseCause::Shutdown) >= 1);
    other.send_close(3001);
    other.end();
}

pub fn overloaded() {
    let mut world = World::with(|settings| (settings.limits.logs, settings.limits.connections) = (4, 2));
    // The bystander's room and its personal room are two of them.
    let mut client = Client::connect(world.address, "/ws?greeting=off&room=third&room=fourth&room=fifth");
    assert_eq!(client.close().0, 3004);
    world.is_unaffected();
}

/// What a token gave ends when the token does.
pub fn at_its_expiry(settings: &mut Settings) {
    (settings.limits.expiry_grace, settings.limits.token_leeway) = (Duration::ZERO, Duration::ZERO);
}

pub fn expired_connection() {
    let mut world = World::with(at_its_expiry);
    let mut client = Client::json(world.address, &token(&json!({"sub": "client", "exp": unix(1)})));
    assert_eq!(client.close().0, 3005);
    world.is_unaffected();
}

/// Publishes to the room `talk`, one of whose members does not read, until something has come of it.
pub fn talk_until(world: &World, mut enough: impl FnMut(&Value) -> bool) {
    let line = json!("x".repeat(60_000));
    // More than the system buffers on the way to one client.
    for _ in 0..1000 {
        publish(world.address, "talk", &line);
        if enough(&health(world.address)) {
            return;
        }
    }
    panic!("the system takes whatever it is given");
}

pub fn slow_client() {
    let mut world = World::with(|settings| {
        (settings.limits.close_timeout, settings.limits.drain_timeout) = (PATIENCE, 2 * PATIENCE);
    });
    let mut slow = Client::connect(world.address, "/ws/talk?greeting=off");
    wait_until("the slow one's arrival", || health(world.address)["rooms"] == 3);
    talk_until(&world, |health| health["rooms"] == 2);
    assert_eq!(slow.close(), (3008, "slow".into()));
    world.is_unaffected();
}

pub fn no_write_progress() {
    let mut world = World::with(|settings| {
        settings.limits.write_timeout = Duration::from_millis(100);
        settings.limits.close_timeout = Duration::from_millis(100);
    });
    let _stuck = Client::connect(world.address, "/ws/talk?greeting=off");
    talk_until(&world, |health| health["outbox_bytes"] != 0);
    wait_until("the end of the connection", || closed(world.address, CloseCause::WriteTimeout) == 1);
    world.is_unaffected();
}

pub fn no_pong() {
    let mut world = World::with(|settings| {
        settings.limits.ping_interval = Duration::from_millis(500);
        settings.limits.pong_timeout = Duration::from_millis(100);
    });
    let mut client = Client::connect(world.address, "/ws/quiet?greeting=off");
    assert_eq!(client.frame().unwrap(), (PING, Vec::new()));
    assert_eq!(client.close().0, 3012);
    world.is_unaffected();
}

pub const ONE: Rate = Rate { per_second: 1, burst: 1 };

/// Nothing of what a client can send without asking for anything costs it nothing.
pub fn frames_without_end() {
    let fragments = |count: usize| [frame(TEXT, b""), frame(0, b"").repeat(count - 1)].concat();
    for (what, burst) in [
        ("Pings", frame(0x80 | PING, b"").repeat(5000)),
        ("Pongs", frame(0x80 | PONG, b"").repeat(5000)),
        ("empty fragments", fragments(5000)),
        (
            "fragments between Pings",
            [frame(TEXT, b""), [frame(0, b""), frame(0x80 | PING, b"")].concat().repeat(2500)].concat(),
        ),
        ("texts of white space", frame(0x80 | TEXT, b" ").repeat(5000)),
        ("empty texts", frame(0x80 | TEXT, b"").repeat(5000)),
    ] {
        let mut world = World::new();
        let mut json = Client::connect(world.address, "/connection/websocket");
        json.send_raw(&burst);
        assert_eq!(json.close(), (3013, "too many requests (client_frames)".into()), "{what}");
        assert_eq!(hits(world.address, "client_frames"), 1, "{what}");
        // Whatever is text counts as a command there, too.
        let mut plain = Client::connect(world.address, "/ws/room?greeting=off");
        plain.send_raw(&burst);
        assert_eq!(plain.close().0, 3013, "{what}");
        world.is_unaffected();
    }
}

pub fn unfinished_message() {
    let mut world = World::with(|settings| settings.limits.message_timeout = Duration::from_millis(300));
    let (fragment, whole) = (frame(TEXT, [b' '; 64_000]), frame(0x80 | TEXT, [b' '; 64_000]));
    for (what, begun) in [
        ("a fragment without end", &fragment[..]),
        ("half a frame", &whole[..30_000]),
        ("half a header", &whole[..3]),
        ("half a frame behind a whole one", &[&frame(0x80 | PONG, b"")[..], &whole[..7]].concat()),
    ] {
        let mut client = Client::connect(world.address, "/connection/websocket");
        client.send_raw(begun);
        assert_eq!(client.close(), (3012, "unfinished message (message_timeout)".into()), "{what}");
    }
    assert_eq!(hits(world.address, "message_timeout"), 4);
    let mut client = world.client();
    for half in frame(0x80 | TEXT, br#"{"id":2,"ping":{}}"#).chunks(12) {
        client.send_raw(half);
        thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(client.receive()["id"], 2, "what ends in time is heard");
    thread::sleep(Duration::from_millis(400));
    assert!(client.ask(&json!({"id": 3, "ping": {}}))["ping"].is_object(), "and its time is over with it");
    world.is_unaffected();
}

pub fn unfinished_beyond_the_node() {
    let mut world = World::with(|settings| {
        settings.limits.inbound_bytes_total = 150_000;
        settings.limits.api_body_bytes = 100_000;
    });
    let half = |length: usize| frame(TEXT, vec![b' '; length]);
    let mut clients: Vec<Client> = [60_000, 70_000, 50_000]
        .map(|length| {
            let mut client = Client::connect(world.address, "/connection/websocket");
            client.send_raw(&half(length));
            // Each is read before the next one.
            thread::sleep(Duration::from_millis(50));
            client
        })
        .into();
    assert_eq!(clients[1].close(), (3013, "too much unfinished input (inbound_bytes_total)".into()), "it has most");
    assert_eq!(hits(world.address, "inbound_bytes_total"), 1);
    let mut body = TcpStream::connect(world.address).unwrap();
    let head = "POST /api/info HTTP/1.1\r\nHost: localhost\r\nX-API-Key: test-key-test-key\r\n";
    body.write_all(format!("{head}Content-Length: 99000\r\n\r\n").as_bytes()).unwrap();
    assert_eq!(clients[0].close().0, 3013, "a body is unfinished, too");
    let mut answer = [0; 12];
    let mut another = TcpStream::connect(world.address).unwrap();
    another.write_all(format!("{head}Content-Length: 99000\r\n\r\n").as_bytes()).unwrap();
    another.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 503", "a body does not take the place of another");
    drop(body);
    world.is_unaffected();
}

/// A reconnecting SDK stays far below the rate of frames.
#[test]
fn usual_numbers_of_frames_stay_below_client_frames() {
    let mut world = World::new();
    let mut client = world.client();
    let [whole, part, rest] = [frame(0x80 | PONG, b""), frame(TEXT, b"{"), frame(0x80, b"}")];
    client.send_raw(&[whole.repeat(1000), [part, rest].concat().repeat(100)].concat());
    assert!(client.ask(&json!({"id": 2, "ping": {}}))["ping"].is_object());
    assert_eq!(hits(world.address, "client_frames"), 0);
    world.is_unaffected();
}

/// One command a second after so many at once, and as many rooms as may be asked for with these.
pub fn few_commands(settings: &mut Settings, burst: u32) {
    settings.limits.client_commands = Rate { per_second: 1, burst };
    settings.limits.rooms_per_connection = burst as usize - 1;
}

pub fn commands_without_end() {
    let world = World::with(|settings| few_commands(settings, 3));
    // What is refused without an id is refused without a word.
    closes(world, &frame(0x80 | TEXT, "{}".repeat(103).as_bytes()), CloseCause::Rate);
}

pub fn replaced() {
    let mut world = World::with(|settings| settings.limits.connections_per_user = NonZeroUsize::new(1));
    let mut first = world.client();
    let mut second = world.client();
    assert_eq!(first.close(), (3504, "connection limit (connections_per_user)".into()));
    assert_eq!(second.ask(&json!({"id": 2, "ping": {}})), json!({"id": 2, "ping": {}}));
    assert_eq!(hits(world.address, "connections_per_user"), 1);
    world.is_unaffected();
}

pub fn too_many_of_a_user() {
    let mut world = World::with(|settings| {
        settings.limits.connections_per_user = NonZeroUsize::new(1);
        settings.user_limit = UserLimit::Refuse;
    });
    let _first = world.client();
    let mut second = Client::connect(world.address, "/connection/websocket");
    second.send(&json!({"id": 1, "connect": {"token": token(&json!({"sub": "client"}))}}));
    assert_eq!(second.close(), (3014, "connection limit (connections_per_user)".into()));
    assert_eq!(hits(world.address, "connections_per_user"), 1);
    world.is_unaffected();
}

pub fn connect_closes(mut world: World, connect: Value, code: u16) {
    let mut client = Client::connect(world.address, "/connection/websocket");
    client.send(&json!({"id": 1, "connect": connect}));
    assert_eq!(client.close().0, code);
    world.is_unaffected();
}

pub fn invalid_token() {
    let forged = token(&json!({"sub": "client"})) + "x";
    connect_closes(World::new(), json!({"token": forged}), 3500);
}

pub fn revoked_token() {
    let mut world = World::new();
    let connect = json!({"id": 1, "connect": {"token": token(&json!({"sub": "client", "jti": "t"}))}});
    let mut client = Client::connect(world.address, "/connection/websocket");
    assert!(client.ask(&connect)["connect"].is_object());
    let answer = api(world.address, "revoke_token", &json!({"uid": "t"}));
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(client.close(), (3500, "token revoked".into()));
    let mut again = Client::connect(world.address, "/connection/websocket");
    again.send(&connect);
    assert_eq!(again.close(), (3500, "invalid token: the token was revoked".into()));
    world.is_unaffected();
}

pub fn missing_token() {
    connect_closes(World::with(|settings| settings.allow_anonymous = Some(false)), json!({}), 3500);
}

pub fn misplaced_token() {
    connect_closes(World::new(), json!({"token": token(&json!({"sub": "client", "channel": "room"}))}), 3500);
}

pub fn wrong_algorithm() {
    // {"alg":"none","typ":"JWT"} . {"sub":"client"} and no signature.
    let unsigned = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.eyJzdWIiOiJjbGllbnQifQ.";
    connect_closes(World::new(), json!({"token": unsigned}), 3500);
}

pub fn malformed_json() {
    closes(World::new(), &frame(0x80 | TEXT, b"{\"id\":2,"), CloseCause::BadRequest);
}

pub fn command_before_connect() {
    let mut world = World::new();
    let mut client = Client::connect(world.address, "/connection/websocket");
    client.send(&json!({"id": 1, "subscribe": {"channel": "room"}}));
    assert_eq!(client.close().0, 3501);
    world.is_unaffected();
}

pub fn stale() {
    let mut world = World::with(|settings| settings.limits.authenticate_timeout = Duration::from_millis(200));
    let mut client = Client::connect(world.address, "/connection/websocket");
    assert_eq!(client.close().0, 3502);
    world.is_unaffected();
}

pub fn disconnected() {
    let mut world = World::new();
    let mut client = world.client();
    let answer = api(world.address, "disconnect", &json!({"user": "client"}));
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(client.close().0, 3503);
    world.is_unaffected();
}

pub fn too_many_channels() {
    let world = World::with(|settings| settings.limits.rooms_per_connection = 2);
    let greedy = token(&json!({"sub": "client", "channels": ["a", "b", "c"]}));
    connect_closes(world, json!({"token": greedy}), 3505);
}
