//! Every cause of an end, with its test.

use super::*;

/// Every cause of an end, and a test in which a connection ends for it.
const CAUSES: &[(CloseCause, &str, &str)] = &[
    (CloseCause::Protocol, "shell/tests/codes/ends.rs", "unmasked_frame"),
    (CloseCause::Binary, "shell/tests/codes/ends.rs", "binary_message"),
    (CloseCause::Utf8, "shell/tests/codes/ends.rs", "invalid_utf8"),
    (CloseCause::TooLarge, "shell/tests/codes/ends.rs", "oversize_message"),
    (CloseCause::Shutdown, "core/tests/shard/rooms.rs", "a_shutdown_tells_everyone_in_paced_steps"),
    (CloseCause::Overloaded, "shell/tests/codes/ends.rs", "overloaded"),
    (CloseCause::Expired, "shell/tests/codes/ends.rs", "expired_connection"),
    (CloseCause::Slow, "shell/tests/rooms.rs", "one_that_stops_reading_costs_the_others_nothing"),
    (CloseCause::WriteTimeout, "shell/tests/codes/ends.rs", "no_write_progress"),
    (CloseCause::NoPong, "shell/tests/codes/ends.rs", "no_pong"),
    (CloseCause::Unfinished, "shell/tests/codes/ends.rs", "unfinished_message"),
    (CloseCause::Rate, "shell/tests/codes/ends.rs", "commands_without_end"),
    (CloseCause::Hoards, "shell/tests/codes/ends.rs", "unfinished_beyond_the_node"),
    (CloseCause::UserFull, "shell/tests/codes/ends.rs", "too_many_of_a_user"),
    (CloseCause::TokenRequired, "shell/tests/codes/ends.rs", "missing_token"),
    (CloseCause::InvalidToken, "shell/tests/codes/ends.rs", "invalid_token"),
    (CloseCause::BadRequest, "shell/tests/codes/ends.rs", "malformed_json"),
    (CloseCause::Stale, "shell/tests/codes/ends.rs", "stale"),
    (CloseCause::Backend, "shell/tests/codes/ends.rs", "disconnected"),
    (CloseCause::UserConnections, "shell/tests/codes/ends.rs", "replaced"),
    (CloseCause::Rooms, "shell/tests/codes/ends.rs", "too_many_channels"),
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
