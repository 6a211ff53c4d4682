//! What random runs reach too seldom to rely on: each by a trace that leads there.

use parlor_core::Shard;
use parlor_sim::coverage::Goal;
use parlor_sim::run::run_twice;
use parlor_sim::trace::Trace;

fn reaches(goal: Goal, text: &str) {
    let trace: Trace = text.parse().expect("a trace");
    let run = run_twice::<Shard>(&trace.setup, &trace.actions);
    if let Some((at, failure)) = run.failure {
        panic!("step {}: {failure}", at + 1);
    }
    assert!(run.goals.has(goal), "{goal}");
}

#[test]
fn rooms_that_fit_a_connect_reply_only_one_by_one() {
    reaches(
        Goal::ConnectTooLarge,
        "setup users=1 reply_bytes=40
        accept 0 json 1
        upgrade 0
        connect 0 token
        decide 0 placed 0
        api-publish 0 small
        api-publish-user 0 small
        lose 0 eof
        accept 0 json 1
        upgrade 0
        connect 0 return
        decide 0 placed 0
        flush",
    );
}

#[test]
fn a_membership_that_outlives_its_token() {
    reaches(
        Goal::RoomExpired,
        "setup users=1 expiry_grace=0 token_leeway=0
        accept 0 json 1
        upgrade 0
        connect 0 token
        decide 0 good 0
        join-by-token 0 0
        decide 0 expiring 0
        flush
        advance due
        flush",
    );
}

#[test]
fn a_member_whom_others_want_there_when_its_token_ends() {
    reaches(
        Goal::StayedForOthers,
        "setup users=1 expiry_grace=0 token_leeway=0
        accept 0 json 1
        upgrade 0
        connect 0 token
        decide 0 good 0
        join-by-token 0 0
        decide 0 expiring 0
        api-subscribe 0 0 top
        flush
        advance due
        flush",
    );
}

#[test]
fn a_client_that_does_not_slow_down() {
    reaches(
        Goal::TooManyRefusals,
        "setup rooms_per_connection=1 client_commands=2
        accept 0 json 1
        upgrade 0
        connect 0 nothing
        together 0 flood
        flush",
    );
}

#[test]
fn a_client_that_speaks_behind_a_refused_connect() {
    reaches(
        Goal::PassedOver,
        "setup users=1
        accept 0 json 1
        upgrade 0
        connect 0 token
        decide 0 expired 0
        join 0 0
        say 0 send
        flush
        connect 0 token
        join 0 0
        decide 0 good 0
        flush",
    );
}

#[test]
fn a_backend_that_is_quicker_than_a_room_token() {
    reaches(
        Goal::PutIn,
        "setup users=1
        accept 0 json 1
        upgrade 0
        connect 0 token
        decide 0 good 0
        join-by-token 0 0
        api-subscribe 0 0 top
        decide 0 good 0
        flush",
    );
}

/// One client is in as many rooms as there may be.
const ALL_ROOMS: &str = "setup conns=2 rooms=3 users=2 connections=2 logs=4
        accept 0 json 0
        upgrade 0
        connect 0 token
        decide 0 good 0
        join 0 0
        join 0 1
        join 0 2
        flush";

#[test]
fn a_user_for_whose_room_there_is_no_place() {
    let more = "
        accept 1 json 0
        upgrade 1
        connect 1 token
        decide 1 good 1
        flush";
    reaches(Goal::Overloaded, &[ALL_ROOMS, more].concat());
}

#[test]
fn a_message_for_a_room_whose_log_has_no_place() {
    let more = "
        api-broadcast small
        api-publish-user 0 small
        api-publish-user 1 small";
    reaches(Goal::LogsFull, &[ALL_ROOMS, more].concat());
}
