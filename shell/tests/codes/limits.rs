//! Every limit, with its test.

use super::*;

/// Every limit, and a test that reaches it.
const LIMITS: &[(&str, &str, &str)] = &[
    ("http_connections", "shell/tests/codes/requests.rs", "too_many_sockets"),
    ("http_connections_per_ip", "shell/tests/codes/requests.rs", "too_many_sockets_from_an_address"),
    ("request_timeout", "shell/tests/codes/requests.rs", "half_a_request"),
    ("idle_timeout", "shell/tests/http.rs", "a_socket_that_is_silent_between_two_requests_is_closed"),
    ("linger_timeout", "shell/tests/http.rs", "a_socket_that_stays_after_its_last_answer_is_dropped"),
    ("header_bytes", "shell/tests/codes/requests.rs", "endless_headers"),
    ("api_body_bytes", "shell/tests/codes/requests.rs", "large_body"),
    ("broadcast_channels", "core/tests/shard/calls.rs", "a_call_of_too_many_parts_is_refused_whole"),
    ("batch_commands", "core/tests/shard/calls.rs", "a_call_of_too_many_parts_is_refused_whole"),
    ("api_reply_bytes", "core/tests/shard/calls.rs", "what_is_read_fits_the_answer_or_is_refused"),
    ("url_parameters", "shell/tests/codes/requests.rs", "too_much_in_url"),
    ("url_history", "shell/tests/codes/requests.rs", "too_much_in_url"),
    ("route_id_bytes", "core/tests/shard/routes.rs", "what_stands_for_an_id_is_bounded"),
    ("handshake_timeout", "shell/tests/host.rs", "a_101_that_does_not_leave_ends_the_connection"),
    ("authenticate_timeout", "shell/tests/codes/ends.rs", "stale"),
    ("ping_interval", "shell/tests/codes/ends.rs", "no_pong"),
    ("pong_timeout", "shell/tests/codes/ends.rs", "no_pong"),
    ("message_timeout", "shell/tests/codes/ends.rs", "unfinished_message"),
    ("write_timeout", "shell/tests/codes/ends.rs", "no_write_progress"),
    ("close_timeout", "shell/tests/codes/ends.rs", "no_write_progress"),
    ("expiry_grace", "shell/tests/codes/ends.rs", "expired_connection"),
    ("token_leeway", "core/tests/shard/tokens.rs", "a_token_of_a_clock_that_differs_is_good_within_the_leeway"),
    ("drain_timeout", "shell/tests/program.rs", "clients_that_do_not_answer_hold_it_up_for_drain_timeout_at_most"),
    ("message_bytes", "shell/tests/codes/ends.rs", "oversize_message"),
    ("waiting_messages", "core/tests/shard/node_bounds.rs", "so_many_texts_wait_while_a_token_is_checked"),
    ("inbound_bytes_total", "shell/tests/codes/ends.rs", "unfinished_beyond_the_node"),
    ("publication_bytes", "shell/tests/codes/commands.rs", "large_publication"),
    ("json_depth", "core/tests/shard/payloads.rs", "what_some_clients_cannot_read_is_published_by_nobody"),
    ("json_number_digits", "core/tests/shard/payloads.rs", "what_some_clients_cannot_read_is_published_by_nobody"),
    ("info_bytes", "core/tests/shard/tokens.rs", "a_token_says_only_so_much_of_its_user"),
    ("frame_bytes", "core/src/connection/outbox.rs", "an_outbox_is_full_only_after_its_socket_refused_bytes"),
    ("outbox_bytes", "shell/tests/codes/ends.rs", "slow_client"),
    ("outbox_frames", "core/src/connection/outbox.rs", "an_outbox_is_full_only_after_its_socket_refused_bytes"),
    ("outbox_bytes_total", "core/tests/shard/node_bounds.rs", "what_sockets_refuse_is_bounded_for_the_node"),
    ("rooms_per_connection", "shell/tests/codes/commands.rs", "too_many_rooms"),
    ("room_name_bytes", "shell/tests/codes/commands.rs", "long_room_name"),
    ("filter_events", "core/tests/shard/plain.rs", "a_filter_is_bounded"),
    ("filter_event_bytes", "core/tests/shard/plain.rs", "a_filter_is_bounded"),
    ("history_messages", "core/tests/shard/recovery.rs", "recovery_succeeds_exactly_when_all_of_it_is_there"),
    ("history_age", "core/tests/shard/rooms.rs", "ageing_out_keeps_the_position_while_somebody_is_there"),
    (
        "history_bytes",
        "core/tests/shard/history_bounds.rs",
        "a_member_who_fills_the_history_loses_its_own_and_stops_nobody",
    ),
    (
        "history_bytes_per_room",
        "core/tests/shard/history_bounds.rs",
        "a_room_retains_so_many_bytes_and_gives_up_its_own_oldest",
    ),
    ("log_memory", "core/tests/shard/recovery.rs", "a_log_is_remembered_from_the_last_thing_that_happened_to_it"),
    ("logs", "shell/tests/codes/ends.rs", "overloaded"),
    ("reply_messages", "core/tests/shard/recovery.rs", "history_is_read_as_it_is_asked_for"),
    ("reply_bytes", "core/tests/shard/recovery.rs", "a_history_reply_is_cut_at_the_last_message_that_fits"),
    ("idempotency_window", "core/tests/shard/recovery.rs", "the_same_idempotency_key_is_published_once"),
    ("idempotency_keys", "core/tests/shard/recovery.rs", "the_same_idempotency_key_is_published_once"),
    ("idempotency_key_bytes", "shell/tests/codes/calls.rs", "long_idempotency_key"),
    ("connections", "shell/tests/codes/requests.rs", "too_many_connections"),
    ("connections_per_user", "shell/tests/codes/ends.rs", "too_many_of_a_user"),
    ("connections_per_ip", "shell/tests/codes/requests.rs", "too_many_from_an_address"),
    ("new_connections", "shell/tests/codes/requests.rs", "too_fast"),
    ("new_connections_per_ip", "shell/tests/codes/requests.rs", "too_fast_from_an_address"),
    ("client_frames", "shell/tests/codes/ends.rs", "frames_without_end"),
    ("client_commands", "shell/tests/codes/commands.rs", "too_many_commands"),
    ("client_publishes", "shell/tests/codes/commands.rs", "too_many_publications"),
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
