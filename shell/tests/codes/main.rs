//! Every close code, unsubscribe code, error code and HTTP status that the server can produce, and what triggers it; every
//! limit and every cause of an end, and what reaches it.
//!
//! Each row is a test, in which a client has to be told the row's code. Each has a member of another room beside it, which
//! must not notice. A new limit, cause or error code does not compile without what triggers it.

#[path = "../common/mod.rs"]
mod common;

mod bounds;
mod calls;
mod causes;
mod commands;
mod ends;
mod handshakes;
mod limits;
mod memberships;
mod requests;

use bounds::*;
use calls::*;
use commands::*;
use ends::*;
use handshakes::*;
use memberships::*;
use requests::*;

use common::observed::Observed::{self, Api, Close, Command, Http, Unsubscribe};
use common::observed::{note, was_observed};
use common::{
    BINARY, CLOSE, Client, PATIENCE, PING, PONG, TEXT, World, api, ask, closed, connect_from, frame, get, half_a_call,
    health, hits, http, publish, raw_http, token, unix, upgrade_request, wait_until,
};
use parlor::config::Settings;
use parlor_core::close::{ABNORMAL, NO_STATUS};
use parlor_core::error::{ErrorCode, UnsubscribeReason};
use parlor_core::limits::Rate;
use parlor_core::{CloseCause, Limit, UserLimit};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

macro_rules! rows {
    ($($code:ident($number:literal), $trigger:literal => $test:ident;)*) => {
        const ROWS: &[(Observed, &str)] = &[$(($code($number), $trigger)),*];

        mod row {
            $(
                #[test]
                fn $test() {
                    super::$test();
                    let code = super::$code($number);
                    assert!(super::was_observed(&code), "{code:?} did not come");
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
    Close(3012), "no answer to a ping" => no_pong;
    Close(3012), "a message that does not end" => unfinished_message;
    Close(3013), "more is unfinished than inbound_bytes_total" => unfinished_beyond_the_node;
    Close(3013), "frames faster than client_frames" => frames_without_end;
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
    Unsubscribe(2502), "a room's token is revoked" => revoked_membership;

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
    Api(103), "a room that the key is not for" => room_of_another_key;
    Api(111), "wrong keys faster than wrong_keys_per_ip" => too_many_wrong_keys;
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
    Http(403), "a method that the key is not for" => method_of_another_key;
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
    Http(429), "calls with a wrong key faster than wrong_keys_per_ip" => wrong_keys_from_an_address;
    Http(431), "headers without end" => endless_headers;
    Http(503), "a connection more than connections" => too_many_connections;
    Http(503), "a socket more than http_connections" => too_many_sockets;
    Http(503), "an upgrade and a readiness check while the server stops" => refused_while_stopping;
}

#[test]
fn every_code_has_a_row() {
    let rows: BTreeSet<&Observed> = ROWS.iter().map(|(code, _)| code).collect();
    let mut missing = Vec::new();
    // Who does not read cannot be told that it is too late: this code is only counted.
    // A node with one shard misses nothing.
    let is_told =
        |cause: &&CloseCause| ![CloseCause::WriteTimeout, CloseCause::Gap, CloseCause::Unanswered].contains(cause);
    let causes = CloseCause::ALL.iter().filter(is_told);
    let codes = causes.map(|cause| cause.reason().code());
    for code in codes.filter(|code| ![NO_STATUS, ABNORMAL].contains(code)) {
        missing.extend(Some(Close(code)).filter(|code| !rows.contains(code)));
    }
    for reason in UnsubscribeReason::ALL.iter().filter(|reason| **reason != UnsubscribeReason::GAP) {
        missing.extend(Some(Unsubscribe(reason.code)).filter(|code| !rows.contains(code)));
    }
    for code in ErrorCode::ALL {
        let (in_commands, in_api) = produced(*code);
        missing.extend(Some(Command(code.number())).filter(|code| in_commands != rows.contains(code)));
        missing.extend(Some(Api(code.number())).filter(|code| in_api != rows.contains(code)));
    }
    assert!(missing.is_empty(), "without a row, or with one too many: {missing:?}");
}

/// Whether a client can be told this code in a reply, and a backend in an answer.
fn produced(code: ErrorCode) -> (bool, bool) {
    match code {
        // A node with one shard answers everything, or ends as a whole.
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
        // Backends are not limited in how fast they call with a right key.
        ErrorCode::TooManyRequests => (true, true),
        ErrorCode::Unrecoverable => (true, true),
    }
}

/// Runs tests side by side, in each of which this has to be told, if anything.
fn each_is_observed(tests: Vec<(Option<Observed>, fn())>) {
    let tests = Mutex::new(tests.into_iter());
    let next = || tests.lock().unwrap().next();
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                while let Some((observed, test)) = next() {
                    println!("{observed:?}");
                    common::observed::forget();
                    test();
                    assert!(observed.iter().all(was_observed), "{observed:?} did not come");
                }
            });
        }
    });
}
