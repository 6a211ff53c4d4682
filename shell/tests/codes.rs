//! Every close code, unsubscribe code, error code and HTTP status that the server can produce: what triggers it, and the
//! proof; and every limit, with the test in which somebody reaches it.
//!
//! Each row is a test. Each has a member of another room beside it, which must not notice.

mod common;

use common::{
    BINARY, CLOSE, Client, PATIENCE, PING, TEXT, World, api, ask, closed, connect_from, frame, get, health, hits, http,
    publish, raw_http, read_head, token, unix, upgrade_request, wait_until,
};
use parlor::config::Settings;
use parlor_core::close::{ABNORMAL, NO_STATUS};
use parlor_core::code::{ErrorCode, UnsubscribeReason};
use parlor_core::limits::Rate;
use parlor_core::{CloseCause, UserLimit};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::net::TcpStream;
use std::path::Path;
use std::thread;
use std::time::Duration;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Code {
    /// In a Close frame.
    Close(u16),
    /// In an unsubscribe push.
    Unsubscribe(u16),
    /// In a reply to a `json` command.
    Command(u16),
    /// In the body of an API call's answer.
    Api(u16),
    /// An HTTP status.
    Http(u16),
}
use Code::{Api, Close, Command, Http, Unsubscribe};

macro_rules! rows {
    ($($code:expr, $trigger:literal => $test:ident;)*) => {
        const ROWS: &[(Code, &str)] = &[$(($code, $trigger)),*];

        mod row {
            $(
                #[test]
                fn $test() {
                    super::$test();
                }
            )*
        }
    };
}

rows! {
    Close(1002), "a frame without a mask" => unmasked_frame;
    Close(1002), "a reserved bit" => reserved_bit;
    Close(1002), "a Close with a code that must not be sent" => forbidden_close_code;
    Close(1003), "a binary message" => binary_message;
    Close(1007), "text that is not UTF-8" => invalid_utf8;
    Close(1009), "a message over message_bytes" => oversize_message;
    Close(1009), "a fragmented message over message_bytes" => oversize_in_fragments;
    Close(3001), "the server stops" => shutdown;
    Close(3004), "a room of the URL that logs leaves no place for" => overloaded;
    Close(3005), "a token runs out" => expired_connection;
    Close(3005), "a refresh with an expired token" => expired_refresh;
    Close(3008), "a client does not read while its room talks" => slow_client;
    Close(3009), "a client does not read for write_timeout" => no_write_progress;
    Close(3012), "no answer to a ping" => no_pong;
    Close(3013), "100 refusals for client_commands" => commands_without_end;
    Close(3014), "a user's connection more than connections_per_user where it is refused" => too_many_of_a_user;
    Close(3500), "a token with a wrong signature" => invalid_token;
    Close(3500), "no token where one is required" => missing_token;
    Close(3500), "a room's token in place of a connection's" => misplaced_token;
    Close(3500), "an algorithm that is not the configured one" => wrong_algorithm;
    Close(3501), "malformed JSON" => malformed_json;
    Close(3501), "a command before connect" => command_before_connect;
    Close(3502), "a client that does not say who it is" => stale;
    Close(3503), "the API disconnects a user" => disconnected;
    Close(3504), "a user's oldest connection where one is more than connections_per_user" => replaced;
    Close(3505), "a token with too many channels" => too_many_channels;

    Unsubscribe(2000), "the API takes a user out of a room" => taken_out;
    Unsubscribe(2501), "a room's token runs out" => expired_membership;

    Command(103), "a reserved room" => reserved_room;
    Command(103), "a publish where clients may not" => publish_not_allowed;
    Command(104), "an unknown command" => unknown_command;
    Command(105), "a second subscribe" => already_subscribed;
    Command(106), "a room more than rooms_per_connection" => too_many_rooms;
    Command(107), "a room's name that is too long" => long_room_name;
    Command(107), "a payload over publication_bytes" => large_publication;
    Command(108), "an rpc without a backend" => rpc;
    Command(108), "history where none is kept" => history_not_kept;
    Command(109), "an expired token" => expired_token;
    Command(109), "a subscribe with an expired token" => expired_room_token;
    Command(111), "a command more than client_commands" => too_many_commands;
    Command(111), "a publication more than client_publishes" => too_many_publications;
    Command(112), "all that was missed or nothing, when it is not there" => unrecoverable;

    Api(101), "a wrong key" => wrong_key;
    Api(102), "a connection that is not there" => unknown_client;
    Api(103), "a user put into a reserved room" => reserved_room_by_backend;
    Api(104), "an unknown method" => unknown_method;
    Api(106), "a payload over publication_bytes" => large_api_publication;
    Api(106), "a room more than rooms_per_connection" => too_many_rooms_by_backend;
    Api(107), "a body that is not JSON" => malformed_body;
    Api(107), "a key over idempotency_key_bytes" => long_idempotency_key;
    Api(108), "history where none is kept" => history_not_kept_for_backends;
    Api(112), "a position in another log" => position_of_another_log;

    Http(101), "a valid upgrade request" => upgraded;
    Http(200), "a look at the health" => healthy;
    Http(400), "an upgrade request without a key" => upgrade_without_key;
    Http(400), "a room's name in the URL that cannot be" => bad_room_in_url;
    Http(400), "more rooms or a longer name in the URL than there may be" => too_much_in_url;
    Http(400), "a position in the URL that is none" => bad_since_in_url;
    Http(400), "a switch in the URL that is neither on nor off" => bad_switch_in_url;
    Http(400), "more history in the URL than there may be" => bad_history_in_url;
    Http(400), "an error mode that does not exist" => bad_error_mode;
    Http(401), "an API call without a key" => no_key;
    Http(403), "an origin that is not allowed" => foreign_origin;
    Http(403), "a reserved room in the URL" => reserved_room_in_url;
    Http(404), "a path that leads nowhere" => unknown_path;
    Http(405), "a method that the path does not have" => wrong_http_method;
    Http(408), "half a request" => half_a_request;
    Http(408), "half a body" => half_a_body;
    Http(413), "a body over api_body_bytes" => large_body;
    Http(413), "a chunked body over api_body_bytes" => large_chunked_body;
    Http(426), "a plain GET on a WebSocket's path" => not_an_upgrade;
    Http(426), "an old WebSocket version" => old_version;
    Http(429), "a connection more than connections_per_ip" => too_many_from_an_address;
    Http(429), "a socket more than http_connections_per_ip" => too_many_sockets_from_an_address;
    Http(503), "connections faster than new_connections" => too_fast;
    Http(429), "connections faster than new_connections_per_ip" => too_fast_from_an_address;
    Http(431), "headers without end" => endless_headers;
    Http(503), "a connection more than connections" => too_many_connections;
    Http(503), "a socket more than http_connections" => too_many_sockets;
    Http(503), "an upgrade and a readiness check while the server stops" => refused_while_stopping;
}

#[test]
fn every_code_has_a_row() {
    let rows: BTreeSet<Code> = ROWS.iter().map(|(code, _)| *code).collect();
    let mut missing = Vec::new();
    let codes = CloseCause::ALL.iter().map(|cause| cause.reason().code);
    for code in codes.filter(|code| ![NO_STATUS, ABNORMAL].contains(code)) {
        missing.extend(Some(Close(code)).filter(|code| !rows.contains(code)));
    }
    for reason in UnsubscribeReason::ALL {
        missing.extend(Some(Unsubscribe(reason.code)).filter(|code| !rows.contains(code)));
    }
    for code in (0..1000).filter_map(error_code) {
        let (in_commands, in_api) = produced(code);
        missing.extend(Some(Command(code.number())).filter(|code| in_commands != rows.contains(code)));
        missing.extend(Some(Api(code.number())).filter(|code| in_api != rows.contains(code)));
    }
    assert!(missing.is_empty(), "without a row, or with one too many: {missing:?}");
}

/// Whether a client can get this code in a reply, and a backend in an answer. A new code does not compile without a word here.
fn produced(code: ErrorCode) -> (bool, bool) {
    match code {
        // Nothing outside can make the server fail inside.
        ErrorCode::Internal => (false, false),
        ErrorCode::Unauthorized => (false, true),
        // Rooms come to be when they are named, connections do not.
        ErrorCode::UnknownRoom => (false, true),
        ErrorCode::PermissionDenied => (true, true),
        ErrorCode::MethodNotFound => (true, true),
        ErrorCode::AlreadySubscribed => (true, false),
        ErrorCode::LimitExceeded => (true, true),
        ErrorCode::BadRequest => (true, true),
        ErrorCode::NotAvailable => (true, true),
        ErrorCode::TokenExpired => (true, false),
        // Backends are not limited in how fast they call.
        ErrorCode::TooManyRequests => (true, false),
        ErrorCode::Unrecoverable => (true, true),
    }
}

fn error_code(number: u16) -> Option<ErrorCode> {
    use ErrorCode::*;
    let all = [
        Internal,
        Unauthorized,
        UnknownRoom,
        PermissionDenied,
        MethodNotFound,
        AlreadySubscribed,
        LimitExceeded,
        BadRequest,
        NotAvailable,
        TokenExpired,
        TooManyRequests,
        Unrecoverable,
    ];
    all.into_iter().find(|code| code.number() == number)
}

/// Every cause of an end, and a test in which a connection ends for it.
const CAUSES: &[(CloseCause, &str, &str)] = &[
    (CloseCause::Protocol, "shell/tests/codes.rs", "unmasked_frame"),
    (CloseCause::Binary, "shell/tests/codes.rs", "binary_message"),
    (CloseCause::Utf8, "shell/tests/codes.rs", "invalid_utf8"),
    (CloseCause::TooLarge, "shell/tests/codes.rs", "oversize_message"),
    (CloseCause::Shutdown, "core/tests/shard/rooms.rs", "a_shutdown_tells_everyone_in_paced_steps"),
    (CloseCause::Overloaded, "shell/tests/codes.rs", "overloaded"),
    (CloseCause::Expired, "shell/tests/codes.rs", "expired_connection"),
    (CloseCause::Slow, "shell/tests/rooms.rs", "one_that_stops_reading_costs_the_others_nothing"),
    (CloseCause::WriteTimeout, "shell/tests/codes.rs", "no_write_progress"),
    (CloseCause::NoPong, "shell/tests/codes.rs", "no_pong"),
    (CloseCause::Rate, "shell/tests/codes.rs", "commands_without_end"),
    (CloseCause::UserFull, "shell/tests/codes.rs", "too_many_of_a_user"),
    (CloseCause::TokenRequired, "shell/tests/codes.rs", "missing_token"),
    (CloseCause::InvalidToken, "shell/tests/codes.rs", "invalid_token"),
    (CloseCause::BadRequest, "shell/tests/codes.rs", "malformed_json"),
    (CloseCause::Stale, "shell/tests/codes.rs", "stale"),
    (CloseCause::Backend, "shell/tests/codes.rs", "disconnected"),
    (CloseCause::UserConnections, "shell/tests/codes.rs", "replaced"),
    (CloseCause::Rooms, "shell/tests/codes.rs", "too_many_channels"),
    (CloseCause::HandshakeTimeout, "shell/tests/host.rs", "a_101_that_does_not_leave_ends_the_connection"),
    (CloseCause::PeerClose, "shell/tests/rooms.rs", "a_close_without_a_code_is_answered_in_kind"),
    (CloseCause::PeerEof, "shell/tests/host.rs", "the_end_of_the_stream_ends_the_connection"),
    (CloseCause::PeerReset, "shell/tests/ends.rs", "a_reset_is_not_a_stalled_write"),
];

#[test]
fn every_cause_of_an_end_has_a_test() {
    let listed: Vec<CloseCause> = CAUSES.iter().map(|(cause, ..)| *cause).collect();
    assert_eq!(listed, CloseCause::ALL);
    for (cause, file, test) in CAUSES {
        has_test(cause.name(), file, test);
    }
}

/// What is claimed of a test is true of the file.
fn has_test(what: &str, file: &str, test: &str) {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let text = fs::read_to_string(top.join(file)).unwrap();
    assert!(text.contains(&format!("fn {test}()")), "{what}: no {test} in {file}");
}

/// Every limit, and a test in which somebody reaches it.
const LIMITS: &[(&str, &str, &str)] = &[
    ("http_connections", "shell/tests/codes.rs", "too_many_sockets"),
    ("http_connections_per_ip", "shell/tests/codes.rs", "too_many_sockets_from_an_address"),
    ("request_timeout", "shell/tests/codes.rs", "half_a_request"),
    ("idle_timeout", "shell/tests/http.rs", "a_socket_that_is_silent_between_two_requests_is_closed"),
    ("linger_timeout", "shell/tests/http.rs", "a_socket_that_stays_after_its_last_answer_is_dropped"),
    ("header_bytes", "shell/tests/codes.rs", "endless_headers"),
    ("api_body_bytes", "shell/tests/codes.rs", "large_body"),
    ("broadcast_channels", "core/tests/shard/calls.rs", "a_call_of_too_many_parts_is_refused_whole"),
    ("batch_commands", "core/tests/shard/calls.rs", "a_call_of_too_many_parts_is_refused_whole"),
    ("api_reply_bytes", "core/tests/shard/calls.rs", "what_is_read_fits_the_answer_or_is_refused"),
    ("url_history", "shell/tests/codes.rs", "too_much_in_url"),
    ("route_id_bytes", "core/tests/shard/routes.rs", "what_stands_for_an_id_is_bounded"),
    ("handshake_timeout", "shell/tests/host.rs", "a_101_that_does_not_leave_ends_the_connection"),
    ("authenticate_timeout", "shell/tests/codes.rs", "stale"),
    ("ping_interval", "shell/tests/codes.rs", "no_pong"),
    ("pong_timeout", "shell/tests/codes.rs", "no_pong"),
    ("write_timeout", "shell/tests/codes.rs", "no_write_progress"),
    ("close_timeout", "shell/tests/codes.rs", "no_write_progress"),
    ("expiry_grace", "shell/tests/codes.rs", "expired_connection"),
    ("token_leeway", "core/tests/shard/tokens.rs", "a_token_of_a_clock_that_differs_is_good_within_the_leeway"),
    ("drain_timeout", "shell/tests/program.rs", "clients_that_do_not_answer_hold_it_up_for_drain_timeout_at_most"),
    ("message_bytes", "shell/tests/codes.rs", "oversize_message"),
    ("publication_bytes", "shell/tests/codes.rs", "large_publication"),
    ("json_depth", "core/tests/shard/payloads.rs", "what_some_clients_cannot_read_is_published_by_nobody"),
    ("json_number_digits", "core/tests/shard/payloads.rs", "what_some_clients_cannot_read_is_published_by_nobody"),
    ("info_bytes", "core/tests/shard/tokens.rs", "a_token_says_only_so_much_of_its_user"),
    ("frame_bytes", "core/src/outbox.rs", "it_holds_what_its_limits_say_and_no_more"),
    ("outbox_bytes", "shell/tests/codes.rs", "slow_client"),
    ("outbox_frames", "core/src/outbox.rs", "it_holds_what_its_limits_say_and_no_more"),
    ("rooms_per_connection", "shell/tests/codes.rs", "too_many_rooms"),
    ("room_name_bytes", "shell/tests/codes.rs", "long_room_name"),
    ("filter_events", "core/tests/shard/plain.rs", "a_filter_is_bounded"),
    ("filter_event_bytes", "core/tests/shard/plain.rs", "a_filter_is_bounded"),
    ("history_messages", "core/tests/shard/recovery.rs", "recovery_succeeds_exactly_when_all_of_it_is_there"),
    ("history_age", "core/tests/shard/rooms.rs", "ageing_out_keeps_the_position_while_somebody_is_there"),
    ("history_bytes", "core/tests/shard/rooms.rs", "history_is_bounded_over_all_rooms"),
    ("log_memory", "core/tests/shard/recovery.rs", "a_log_is_remembered_from_the_last_thing_that_happened_to_it"),
    ("logs", "shell/tests/codes.rs", "overloaded"),
    ("reply_messages", "core/tests/shard/recovery.rs", "history_is_read_as_it_is_asked_for"),
    ("reply_bytes", "core/tests/shard/recovery.rs", "a_history_reply_is_cut_at_the_last_message_that_fits"),
    ("idempotency_window", "core/tests/shard/recovery.rs", "the_same_idempotency_key_is_published_once"),
    ("idempotency_keys", "core/tests/shard/recovery.rs", "the_same_idempotency_key_is_published_once"),
    ("idempotency_key_bytes", "shell/tests/codes.rs", "long_idempotency_key"),
    ("connections", "shell/tests/codes.rs", "too_many_connections"),
    ("connections_per_user", "shell/tests/codes.rs", "too_many_of_a_user"),
    ("connections_per_ip", "shell/tests/codes.rs", "too_many_from_an_address"),
    ("new_connections", "shell/tests/codes.rs", "too_fast"),
    ("new_connections_per_ip", "shell/tests/codes.rs", "too_fast_from_an_address"),
    ("client_commands", "shell/tests/codes.rs", "too_many_commands"),
    ("client_publishes", "shell/tests/codes.rs", "too_many_publications"),
    ("client_joins", "core/tests/shard/limits.rs", "a_client_that_joins_too_fast_is_told_so_and_stays"),
    ("client_refusals", "core/tests/shard/limits.rs", "a_client_that_does_not_slow_down_is_closed"),
];

#[test]
fn every_limit_is_reached_in_a_test() {
    let rows = Settings::default().limits.rows();
    let limits: Vec<&str> = rows.iter().map(|row| row.key).collect();
    let listed: Vec<&str> = LIMITS.iter().map(|(limit, ..)| *limit).collect();
    assert_eq!(listed, limits);
    for (limit, file, test) in LIMITS {
        has_test(limit, file, test);
    }
}

/// A `json` client is closed for this cause when it sends these bytes, and nobody else is.
fn closes(mut world: World, bytes: &[u8], cause: CloseCause) {
    let mut client = world.client();
    client.send_raw(bytes);
    assert_eq!(client.close().0, cause.reason().code);
    drop(client);
    wait_until("the end of the connection", || closed(world.address, cause) == 1);
    world.is_unaffected();
}

fn unmasked_frame() {
    closes(World::new(), &[0x81, 0x02, b'{', b'}'], CloseCause::Protocol);
}

fn reserved_bit() {
    closes(World::new(), &frame(0xc1, b"{}"), CloseCause::Protocol);
}

fn forbidden_close_code() {
    closes(World::new(), &frame(0x80 | CLOSE, &1005_u16.to_be_bytes()), CloseCause::Protocol);
}

fn binary_message() {
    closes(World::new(), &frame(0x80 | BINARY, b"{}"), CloseCause::Binary);
}

fn invalid_utf8() {
    closes(World::new(), &frame(0x80 | TEXT, b"\"\xff\""), CloseCause::Utf8);
}

fn oversize_message() {
    let world =
        World::with(|settings| (settings.limits.message_bytes, settings.limits.rooms_per_connection) = (4096, 4));
    closes(world, &frame(0x80 | TEXT, &[b' '; 4097]), CloseCause::TooLarge);
}

fn oversize_in_fragments() {
    let world =
        World::with(|settings| (settings.limits.message_bytes, settings.limits.rooms_per_connection) = (4096, 4));
    closes(world, &[frame(TEXT, &[b' '; 3000]), frame(0x80, &[b' '; 3000])].concat(), CloseCause::TooLarge);
}

fn shutdown() {
    let world = World::new();
    let mut client = world.client();
    world.server.stop();
    assert_eq!(client.close(), (3001, "shutdown".into()));
    client.send_close(3001);
    client.end();
}

fn overloaded() {
    let mut world = World::with(|settings| settings.limits.logs = 2);
    // The bystander's room and its personal room are the two.
    let mut client = Client::connect(world.address, "/ws/third");
    assert_eq!(client.close().0, 3004);
    world.is_unaffected();
}

fn expired_connection() {
    let mut world = World::with(|settings| settings.limits.expiry_grace = Duration::ZERO);
    let mut client = Client::json(world.address, &token(&json!({"sub": "client", "exp": unix(1)})));
    assert_eq!(client.close().0, 3005);
    world.is_unaffected();
}

/// Publishes to the room `talk`, in which somebody does not read, until something has come of it.
fn talk_until(world: &World, mut enough: impl FnMut(&Value) -> bool) {
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

fn slow_client() {
    let mut world = World::with(|settings| {
        (settings.limits.close_timeout, settings.limits.drain_timeout) = (PATIENCE, 2 * PATIENCE);
    });
    let mut slow = Client::connect(world.address, "/ws/talk?greeting=off");
    wait_until("the slow one's arrival", || health(world.address)["rooms"] == 3);
    talk_until(&world, |health| health["rooms"] == 2);
    assert_eq!(slow.close(), (3008, "slow".into()));
    world.is_unaffected();
}

fn no_write_progress() {
    let mut world = World::with(|settings| {
        settings.limits.write_timeout = Duration::from_millis(100);
        settings.limits.close_timeout = Duration::from_millis(100);
    });
    let _stuck = Client::connect(world.address, "/ws/talk?greeting=off");
    talk_until(&world, |health| health["outbox_bytes"] != 0);
    wait_until("the end of the connection", || closed(world.address, CloseCause::WriteTimeout) == 1);
    world.is_unaffected();
}

fn no_pong() {
    let mut world = World::with(|settings| {
        settings.limits.ping_interval = Duration::from_millis(500);
        settings.limits.pong_timeout = Duration::from_millis(100);
    });
    let mut client = Client::connect(world.address, "/ws/quiet?greeting=off");
    assert_eq!(client.frame().unwrap(), (PING, Vec::new()));
    assert_eq!(client.close().0, 3012);
    world.is_unaffected();
}

const ONE: Rate = Rate { per_second: 1, burst: 1 };

fn commands_without_end() {
    let world = World::with(|settings| settings.limits.client_commands = ONE);
    // What is refused without an id is refused without a word.
    closes(world, &frame(0x80 | TEXT, "{}".repeat(101).as_bytes()), CloseCause::Rate);
}

fn replaced() {
    let mut world = World::with(|settings| settings.limits.connections_per_user = 1);
    let mut first = world.client();
    let mut second = world.client();
    assert_eq!(first.close(), (3504, "connection limit (connections_per_user)".into()));
    assert_eq!(second.ask(&json!({"id": 2, "ping": {}})), json!({"id": 2, "ping": {}}));
    assert_eq!(hits(world.address, "connections_per_user"), 1);
    world.is_unaffected();
}

fn too_many_of_a_user() {
    let mut world = World::with(|settings| {
        settings.limits.connections_per_user = 1;
        settings.user_limit = UserLimit::Refuse;
    });
    let _first = world.client();
    let mut second = Client::connect(world.address, "/connection/websocket");
    second.send(&json!({"id": 1, "connect": {"token": token(&json!({"sub": "client"}))}}));
    assert_eq!(second.close(), (3014, "connection limit (connections_per_user)".into()));
    assert_eq!(hits(world.address, "connections_per_user"), 1);
    world.is_unaffected();
}

fn connect_closes(mut world: World, connect: Value, code: u16) {
    let mut client = Client::connect(world.address, "/connection/websocket");
    client.send(&json!({"id": 1, "connect": connect}));
    assert_eq!(client.close().0, code);
    world.is_unaffected();
}

fn invalid_token() {
    let forged = token(&json!({"sub": "client"})) + "x";
    connect_closes(World::new(), json!({"token": forged}), 3500);
}

fn missing_token() {
    connect_closes(World::with(|settings| settings.allow_anonymous = Some(false)), json!({}), 3500);
}

fn misplaced_token() {
    connect_closes(World::new(), json!({"token": token(&json!({"sub": "client", "channel": "room"}))}), 3500);
}

fn wrong_algorithm() {
    // {"alg":"none","typ":"JWT"} . {"sub":"client"} and no signature.
    let unsigned = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.eyJzdWIiOiJjbGllbnQifQ.";
    connect_closes(World::new(), json!({"token": unsigned}), 3500);
}

fn malformed_json() {
    closes(World::new(), &frame(0x80 | TEXT, b"{\"id\":2,"), CloseCause::BadRequest);
}

fn command_before_connect() {
    let mut world = World::new();
    let mut client = Client::connect(world.address, "/connection/websocket");
    client.send(&json!({"id": 1, "subscribe": {"channel": "room"}}));
    assert_eq!(client.close().0, 3501);
    world.is_unaffected();
}

fn stale() {
    let mut world = World::with(|settings| settings.limits.authenticate_timeout = Duration::from_millis(200));
    let mut client = Client::connect(world.address, "/connection/websocket");
    assert_eq!(client.close().0, 3502);
    world.is_unaffected();
}

fn disconnected() {
    let mut world = World::new();
    let mut client = world.client();
    let answer = api(world.address, "disconnect", &json!({"user": "client"}));
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(client.close().0, 3503);
    world.is_unaffected();
}

fn too_many_channels() {
    let world = World::with(|settings| settings.limits.rooms_per_connection = 2);
    let greedy = token(&json!({"sub": "client", "channels": ["a", "b", "c"]}));
    connect_closes(world, json!({"token": greedy}), 3505);
}

/// The next push is an unsubscribe, and the connection goes on.
fn is_unsubscribed(client: &mut Client, code: u16) {
    let push = client.receive();
    assert_eq!(
        (&push["push"]["channel"], &push["push"]["unsubscribe"]["code"]),
        (&json!("room"), &json!(code)),
        "{push}"
    );
    assert!(client.ask(&json!({"id": 100, "ping": {}}))["ping"].is_object());
}

fn subscribe(client: &mut Client, room: &str) {
    let reply = client.ask(&json!({"id": 50, "subscribe": {"channel": room}}));
    assert!(reply["subscribe"].is_object(), "{reply}");
}

fn taken_out() {
    let mut world = World::new();
    let mut client = world.client();
    subscribe(&mut client, "room");
    assert_eq!(api(world.address, "unsubscribe", &json!({"user": "client", "channel": "room"})).status, 200);
    is_unsubscribed(&mut client, 2000);
    world.is_unaffected();
}

fn room_token(exp: i64) -> String {
    token(&json!({"sub": "client", "channel": "room", "exp": unix(exp)}))
}

fn expired_membership() {
    let mut world = World::with(|settings| settings.limits.expiry_grace = Duration::ZERO);
    let mut client = world.client();
    let reply = client.ask(&json!({"id": 2, "subscribe": {"channel": "room", "token": room_token(1)}}));
    assert_eq!(reply["subscribe"]["expires"], true, "{reply}");
    is_unsubscribed(&mut client, 2501);
    world.is_unaffected();
}

/// A command is answered with this error, and the connection goes on.
fn answers(mut world: World, command: Value, code: u16) {
    let mut client = world.client();
    let reply = client.ask(&command);
    assert_eq!(reply["error"]["code"], code, "{reply}");
    assert!(reply["error"]["message"].is_string(), "{reply}");
    let reply = client.ask(&json!({"id": 100, "ping": {}}));
    assert!(reply["error"].is_null(), "{reply}");
    world.is_unaffected();
}

fn reserved_room() {
    answers(World::new(), json!({"id": 2, "subscribe": {"channel": "#client"}}), 103);
}

fn publish_not_allowed() {
    let world = World::with(|settings| settings.allow_publish = Some(false));
    answers(world, json!({"id": 2, "publish": {"channel": "#client", "data": 1}}), 103);
}

fn unknown_command() {
    answers(World::new(), json!({"id": 2, "dance": {}}), 104);
}

fn already_subscribed() {
    let mut world = World::new();
    let mut client = world.client();
    let subscribe = |id: u32| json!({"id": id, "subscribe": {"channel": "room"}});
    assert!(client.ask(&subscribe(2))["subscribe"].is_object());
    assert_eq!(client.ask(&subscribe(3))["error"]["code"], 105);
    world.is_unaffected();
}

fn too_many_rooms() {
    // The personal room is the first.
    let world = World::with(|settings| settings.limits.rooms_per_connection = 2);
    let mut client = world.client();
    assert!(client.ask(&json!({"id": 2, "subscribe": {"channel": "a"}}))["subscribe"].is_object());
    let reply = client.ask(&json!({"id": 3, "subscribe": {"channel": "b"}}));
    assert_eq!(reply["error"]["code"], 106, "{reply}");
    assert!(reply["error"]["message"].as_str().unwrap().contains("rooms_per_connection"), "{reply}");
}

fn long_room_name() {
    answers(World::new(), json!({"id": 2, "subscribe": {"channel": "x".repeat(201)}}), 107);
}

fn large_publication() {
    let world = World::with(|settings| settings.limits.publication_bytes = 100);
    let mut client = world.client();
    assert!(client.ask(&json!({"id": 2, "subscribe": {"channel": "room"}}))["subscribe"].is_object());
    let reply = client.ask(&json!({"id": 3, "publish": {"channel": "room", "data": "x".repeat(99)}}));
    assert_eq!(reply["error"]["code"], 107, "{reply}");
}

fn rpc() {
    answers(World::new(), json!({"id": 2, "rpc": {"method": "sum", "data": [1, 2]}}), 108);
}

fn expired_token() {
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

fn expired_refresh() {
    let mut world = World::new();
    let mut client = world.client();
    client.send(&json!({"id": 2, "refresh": {"token": token(&json!({"sub": "client", "exp": unix(-20)}))}}));
    assert_eq!(client.close().0, 3005);
    world.is_unaffected();
}

fn expired_room_token() {
    answers(World::new(), json!({"id": 2, "subscribe": {"channel": "room", "token": room_token(-20)}}), 109);
}

fn history_not_kept() {
    let mut world = without_history();
    let mut client = world.client();
    subscribe(&mut client, "room");
    assert_eq!(client.ask(&json!({"id": 2, "history": {"channel": "room"}}))["error"]["code"], 108);
    world.is_unaffected();
}

fn without_history() -> World {
    World::with(|settings| settings.limits.history_messages = 0)
}

fn too_many_commands() {
    let mut world = World::with(|settings| settings.limits.client_commands = Rate { per_second: 1, burst: 2 });
    let mut client = world.client();
    let mut ping = |id: u32| client.ask(&json!({"id": id, "ping": {}}));
    assert!(ping(2)["ping"].is_object());
    let error = &ping(3)["error"];
    assert_eq!((&error["code"], &error["temporary"]), (&json!(111), &json!(true)), "{error}");
    assert!(error["message"].as_str().unwrap().contains("client_commands"), "{error}");
    assert_eq!(hits(world.address, "client_commands"), 1);
    thread::sleep(Duration::from_secs(1));
    assert!(ping(4)["ping"].is_object(), "its time has come");
    world.is_unaffected();
}

fn too_many_publications() {
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

fn unrecoverable() {
    let subscribe = json!({"channel": "room", "recover": true, "epoch": "another", "offset": 1, "flag": 2});
    answers(World::new(), json!({"id": 2, "subscribe": subscribe}), 112);
}

/// An API call fails with this status and this code; in body mode with the code alone.
fn api_fails(mut world: World, method: &str, headers: &str, body: &str, status: u16, code: u16) {
    let path = format!("/api/{method}");
    let call = |more: &str| http(world.address, "POST", &path, &format!("{headers}{more}"), body);
    let answer = call("");
    assert_eq!((answer.status, &answer.json()["error"]["code"]), (status, &json!(code)), "{answer:?}");
    let answer = call("X-Centrifugo-Error-Mode: body\r\n");
    let expected = if status == 401 { 401 } else { 200 };
    assert_eq!((answer.status, &answer.json()["error"]["code"]), (expected, &json!(code)), "{answer:?}");
    world.is_unaffected();
}

const WITH_KEY: &str = "Authorization: apikey test-key-test-key\r\n";

fn wrong_key() {
    api_fails(World::new(), "info", "X-API-Key: test-kez\r\n", "{}", 401, 101);
}

fn unknown_method() {
    api_fails(World::new(), "dance", WITH_KEY, "{}", 404, 104);
}

fn large_api_publication() {
    let world = World::with(|settings| settings.limits.publication_bytes = 100);
    let body = json!({"channel": "room", "data": "x".repeat(99)}).to_string();
    api_fails(world, "publish", WITH_KEY, &body, 413, 106);
}

fn unknown_client() {
    let body = json!({"client": "00000000-0000-0000-0000-000000000000", "data": 1}).to_string();
    api_fails(World::new(), "send", WITH_KEY, &body, 404, 102);
}

fn reserved_room_by_backend() {
    let body = json!({"user": "bystander", "channel": "#client"}).to_string();
    api_fails(World::new(), "subscribe", WITH_KEY, &body, 403, 103);
}

fn too_many_rooms_by_backend() {
    // The bystander's room and its personal room are the two.
    let world = World::with(|settings| settings.limits.rooms_per_connection = 2);
    let body = json!({"user": "bystander", "channel": "third"}).to_string();
    api_fails(world, "subscribe", WITH_KEY, &body, 413, 106);
}

fn long_idempotency_key() {
    let body = json!({"channel": "room", "data": 1, "idempotency_key": "x".repeat(201)}).to_string();
    api_fails(World::new(), "publish", WITH_KEY, &body, 400, 107);
}

fn history_not_kept_for_backends() {
    api_fails(without_history(), "history", WITH_KEY, r#"{"channel":"room"}"#, 400, 108);
}

fn position_of_another_log() {
    let body = json!({"channel": "room", "limit": 1, "since": {"epoch": "another", "offset": 1}}).to_string();
    api_fails(World::new(), "history", WITH_KEY, &body, 416, 112);
}

fn malformed_body() {
    api_fails(World::new(), "publish", WITH_KEY, "{\"channel\":", 400, 107);
}

fn upgraded() {
    let mut world = World::new();
    // One client sends an empty header, and says its first word before it has read the answer.
    let early = frame(0x80 | TEXT, br#"{"id":1,"connect":{}}"#);
    let empty = "Sec-WebSocket-Protocol: \r\n";
    let mut client = Client::connect_with(world.address, "/connection/websocket", empty, &early);
    assert!(client.head.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "the key's digest, as in RFC 6455: {}", client.head);
    assert!(!client.head.to_lowercase().contains("sec-websocket-protocol"), "{}", client.head);
    assert_eq!(client.receive()["id"], 1);

    let json = "Sec-WebSocket-Protocol: centrifuge-json\r\n";
    let client = Client::connect_with(world.address, "/connection/websocket", json, b"");
    assert!(client.head.to_lowercase().contains("sec-websocket-protocol: centrifuge-json"), "{}", client.head);

    let token = token(&json!({"sub": "client"}));
    for header in [format!("Authorization: Bearer {token}\r\n"), format!("Sec-WebSocket-Protocol: bearer.{token}\r\n")]
    {
        let mut client = Client::connect_with(world.address, "/ws/room", &header, b"");
        assert_eq!(client.receive()["authenticated"], true, "with {header}");
        let offered = header.starts_with("Sec");
        assert_eq!(client.head.contains(&format!("bearer.{token}")), offered, "{}", client.head);
        let mut client = Client::connect_with(world.address, "/connection/websocket", &header, b"");
        let reply = client.ask(&json!({"id": 1, "connect": {}}));
        assert!(reply["connect"]["subs"].get("#client").is_some(), "json is known by it too, with {header}: {reply}");
    }
    world.is_unaffected();
}

fn healthy() {
    let mut world = World::new();
    world.is_unaffected();
    let health = health(world.address);
    for (key, value) in [("status", json!("ok")), ("connections", json!(1)), ("users", json!(1)), ("rooms", json!(2))] {
        assert_eq!(health[key], value, "{key} in {health}");
    }
    assert_eq!(health["totals"]["published"], 1, "{health}");
    assert_eq!(health["rates"]["send_success"], 1.0, "{health}");
    for path in ["/health/live", "/health/ready"] {
        assert_eq!(get(world.address, path).status, 200, "{path}");
    }
    assert_eq!(http(world.address, "HEAD", "/health", "", "").status, 200);
}

fn refuses(mut world: World, request: &[u8], status: u16) -> String {
    let answer = raw_http(world.address, request);
    assert_eq!(answer.status, status, "{answer:?}");
    world.is_unaffected();
    answer.head.to_lowercase()
}

fn upgrade_without_key() {
    let request = String::from_utf8(upgrade_request("/ws/room", "")).unwrap();
    refuses(World::new(), request.replace("Sec-WebSocket-Key", "X-Key").as_bytes(), 400);
    refuses(World::new(), request.replace("Connection: Upgrade", "Connection: close").as_bytes(), 400);
}

fn bad_room_in_url() {
    refuses(World::new(), &upgrade_request("/ws/room%0A", ""), 400);
    refuses(World::new(), &upgrade_request("/ws?room=", ""), 400);
}

fn too_much_in_url() {
    let mut world = World::with(|settings| settings.limits.rooms_per_connection = 2);
    for (path, limit) in [
        ("/ws?room=a&room=b&room=c", "rooms_per_connection"),
        (&long_path(), "room_name_bytes"),
        ("/ws/room?history=101", "url_history"),
    ] {
        let answer = raw_http(world.address, &upgrade_request(path, ""));
        assert_eq!((answer.status, &answer.json()["error"]["limit"]), (400, &json!(limit)), "{answer:?}");
        assert_eq!(hits(world.address, limit), 1);
    }
    world.is_unaffected();
}

fn long_path() -> String {
    format!("/ws/{}", "x".repeat(201))
}

fn bad_switch_in_url() {
    for query in ["positions=1", "greeting=no"] {
        refuses(World::new(), &upgrade_request(&format!("/ws/room?{query}"), ""), 400);
    }
}

fn bad_since_in_url() {
    for query in ["since=1", "since=epoch:", "since=epoch:-1", "since=epoch:x"] {
        refuses(World::new(), &upgrade_request(&format!("/ws/room?{query}"), ""), 400);
    }
    refuses(World::new(), &upgrade_request("/ws?room=a&room=b&since=epoch:1", ""), 400);
    refuses(World::new(), &upgrade_request("/ws/room?since=epoch:1&history=1", ""), 400);
}

fn bad_history_in_url() {
    for query in ["history=101", "history=-1", "history=all"] {
        refuses(World::new(), &upgrade_request(&format!("/ws/room?{query}"), ""), 400);
    }
}

fn bad_error_mode() {
    let mut world = World::new();
    let answer = http(world.address, "POST", "/api/info", &format!("{WITH_KEY}X-Centrifugo-Error-Mode: both\r\n"), "");
    let error = &answer.json()["error"];
    assert_eq!((answer.status, &error["code"]), (400, &json!(107)), "{answer:?}");
    assert!(error["message"].as_str().unwrap().contains("transport or body"), "{answer:?}");
    world.is_unaffected();
}

fn no_key() {
    let mut world = World::new();
    let answer = http(world.address, "POST", "/api/info", "", "{}");
    assert_eq!((answer.status, answer.header("www-authenticate")), (401, Some("apikey")), "{answer:?}");
    world.is_unaffected();
}

fn foreign_origin() {
    refuses(World::new(), &upgrade_request("/ws/room", "Origin: https://evil.example.com\r\n"), 403);
}

fn reserved_room_in_url() {
    refuses(World::new(), &upgrade_request("/ws/%23client", ""), 403);
}

fn unknown_path() {
    refuses(World::new(), &upgrade_request("/nowhere", ""), 404);
    refuses(World::new(), &upgrade_request("/ws/no/such/route", ""), 404);
}

fn wrong_http_method() {
    let mut world = World::new();
    for (method, path, allowed) in
        [("PUT", "/health", "GET, HEAD"), ("GET", "/api/publish", "POST"), ("POST", "/ws/room", "GET")]
    {
        let answer = http(world.address, method, path, "", "");
        assert_eq!((answer.status, answer.header("allow")), (405, Some(allowed)), "{answer:?}");
    }
    world.is_unaffected();
}

fn impatient() -> World {
    World::with(|settings| settings.limits.request_timeout = Duration::from_millis(200))
}

fn half_a_request() {
    refuses(impatient(), b"GET /ws/room HTTP/1.1\r\nHost: localhost\r\nConnection: Upg", 408);
    refuses(impatient(), b"", 408);
}

fn half_a_body() {
    let request = format!("POST /api/info HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n{WITH_KEY}\r\n{{");
    refuses(impatient(), request.as_bytes(), 408);
}

fn small_body() -> World {
    World::with(|settings| settings.limits.api_body_bytes = 100)
}

fn large_body() {
    let mut world = small_body();
    let answer = http(world.address, "POST", "/api/info", WITH_KEY, &" ".repeat(101));
    let error = &answer.json()["error"];
    assert_eq!(
        (answer.status, &error["code"], &error["limit"]),
        (413, &json!(106), &json!("api_body_bytes")),
        "{answer:?}"
    );
    let in_body = format!("{WITH_KEY}X-Centrifugo-Error-Mode: body\r\n");
    let answer = http(world.address, "POST", "/api/info", &in_body, &" ".repeat(101));
    assert_eq!((answer.status, &answer.json()["error"]["code"]), (200, &json!(106)), "{answer:?}");
    assert_eq!(hits(world.address, "api_body_bytes"), 2);
    world.is_unaffected();
}

fn large_chunked_body() {
    let chunk = format!("40\r\n{}\r\n", " ".repeat(0x40));
    let head = format!("POST /api/info HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n{WITH_KEY}\r\n");
    refuses(small_body(), [head, chunk.repeat(100)].concat().as_bytes(), 413);
}

fn not_an_upgrade() {
    let head = refuses(World::new(), b"GET /ws/room HTTP/1.1\r\nHost: localhost\r\n\r\n", 426);
    assert!(head.contains("upgrade: websocket"), "{head}");
}

fn old_version() {
    let request = String::from_utf8(upgrade_request("/ws/room", "")).unwrap();
    let head = refuses(World::new(), request.replace("Version: 13", "Version: 8").as_bytes(), 426);
    assert!(head.contains("sec-websocket-version: 13"), "{head}");
}

fn endless_headers() {
    let mut request = b"GET /ws/room HTTP/1.1\r\nHost: localhost\r\n".to_vec();
    while request.len() < 200_000 {
        request.extend(b"X-Header: and so on, and so on, and so on\r\n");
    }
    let mut world = World::new();
    assert_eq!(raw_http(world.address, &request).status, 431);
    wait_until("the count of it", || hits(world.address, "header_bytes") == 1);
    world.is_unaffected();
}

/// The bystander and another client are there, and no third one may be.
fn refuses_a_third(change: impl FnOnce(&mut Settings), status: u16, limit: &str) -> World {
    let mut world = World::with(change);
    let second = Client::connect(world.address, "/ws/room");
    let answer = raw_http(world.address, &upgrade_request("/ws/room", ""));
    assert_eq!((answer.status, &answer.json()["error"]["limit"]), (status, &json!(limit)), "{answer:?}");
    assert_eq!(answer.header("retry-after"), Some("1"), "{answer:?}");
    assert_eq!(hits(world.address, limit), 1);
    assert_ne!(health(world.address)["limits"][limit], "off");
    world.is_unaffected();
    drop(second);
    world
}

fn can_connect(world: &World) -> bool {
    raw_http(world.address, &upgrade_request("/ws/room", "")).status == 101
}

fn too_many_connections() {
    let world = refuses_a_third(|settings| settings.limits.connections = 2, 503, "connections");
    wait_until("a free place", || can_connect(&world));
}

fn too_many_from_an_address() {
    let world = refuses_a_third(|settings| settings.limits.connections_per_ip = 2, 429, "connections_per_ip");
    wait_until("a free place", || can_connect(&world));
}

const TWO: Rate = Rate { per_second: 1, burst: 2 };

fn too_fast() {
    let world = refuses_a_third(|settings| settings.limits.new_connections = TWO, 503, "new_connections");
    wait_until("another one's time", || can_connect(&world));
}

/// Where addresses of this machine are counted like others.
fn in_production(settings: &mut Settings) {
    (settings.dev, settings.allow_anonymous) = (Some(false), Some(true));
}

fn too_fast_from_an_address() {
    let change = |settings: &mut Settings| {
        in_production(settings);
        settings.limits.new_connections_per_ip = TWO;
    };
    let world = refuses_a_third(change, 429, "new_connections_per_ip");
    wait_until("another one's time", || can_connect(&world));
}

fn too_many_sockets() {
    let mut world = World::with(|settings| settings.limits.http_connections = 1);
    // Once it is asked for the body, its request is being answered.
    let mut call = TcpStream::connect(world.address).unwrap();
    call.set_read_timeout(Some(PATIENCE)).unwrap();
    let head =
        format!("POST /api/info HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n{WITH_KEY}\r\n");
    call.write_all(head.as_bytes()).unwrap();
    assert!(read_head(&mut call).starts_with("HTTP/1.1 100 "));
    let answer = raw_http(world.address, b"");
    assert_eq!((answer.status, &answer.json()["error"]["limit"]), (503, &json!("http_connections")), "{answer:?}");
    assert_eq!(answer.header("retry-after"), Some("1"), "{answer:?}");
    assert_eq!(ask(&mut call, b"{}").status, 200);
    wait_until("a look at the counts", || get(world.address, "/health").status == 200);
    assert!(hits(world.address, "http_connections") >= 1);
    world.is_unaffected();
}

fn too_many_sockets_from_an_address() {
    let mut world = World::with(|settings| {
        in_production(settings);
        settings.limits.http_connections_per_ip = 2;
    });
    let silent = [(); 2].map(|()| TcpStream::connect(world.address).unwrap());
    let answer = raw_http(world.address, b"");
    let limit = "http_connections_per_ip";
    assert_eq!((answer.status, &answer.json()["error"]["limit"]), (429, &json!(limit)), "{answer:?}");
    assert_eq!(answer.header("retry-after"), Some("1"), "{answer:?}");
    let look = b"GET /health/live HTTP/1.1\r\nHost: a\r\n\r\n";
    assert_eq!(ask(&mut connect_from([127, 0, 0, 2], world.address), look).status, 200, "it is another client");
    drop(silent);
    wait_until("a free place", || get(world.address, "/health/live").status == 200);
    wait_until("the end of all others", || health(world.address)["http_connections"] == 1);
    assert_eq!(hits(world.address, limit), 1);
    world.is_unaffected();
}

fn refused_while_stopping() {
    let world = World::new();
    let mut client = world.client();
    world.server.stop();
    // This one takes its time to say goodbye, and keeps the server up.
    assert_eq!(client.close().0, 3001);
    assert_eq!(raw_http(world.address, &upgrade_request("/ws/room", "")).status, 503);
    assert_eq!(get(world.address, "/health/ready").status, 503);
    assert_eq!(get(world.address, "/health/live").status, 200);
    assert_eq!(health(world.address)["status"], "stopping");
    client.send_close(3001);
    client.end();
    world.server.wait().unwrap();
}
