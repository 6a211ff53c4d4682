//! What random runs reach too seldom to rely on: each by a trace that leads there.

use parlor_core::Shard;
use parlor_sim::goals::Goal;
use parlor_sim::search::run::run_twice;
use parlor_sim::world::trace::Trace;

fn reaches(goal: Goal, text: &str) {
    let trace: Trace = text.parse().expect("a trace");
    let run = run_twice::<Shard>(&trace.setup, &trace.actions);
    if let Some((at, failure)) = run.failure {
        panic!("step {}: {failure}", at + 1);
    }
    assert!(run.goals.has(goal), "{goal}");
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
fn a_client_that_joins_a_room_after_it_has_read() {
    // The client's own request goes before the backend's, which waits.
    let behind = "setup users=1
        accept 0 json 1
        upgrade 0
        connect 0 token
        decide 0 good 0
        write 0 refuse
        join-by-token 0 0
        api-subscribe 0 0 top";
    reaches(Goal::JoinedByToken, &format!("{behind}\ndecide 0 good 0\nflush"));
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
        flush
        lose 0 eof",
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
        flush
        lose 1 eof";
    for goal in [Goal::Overloaded, Goal::LogsFull] {
        reaches(goal, &[ALL_ROOMS, more].concat());
    }
}

/// Two connections of one user, and a third client of another.
const TWO_OF_ONE: &str = "setup conns=3 rooms=3 users=2
        accept 0 json 0
        upgrade 0
        connect 0 token
        decide 0 good 0
        accept 1 json 0
        upgrade 1
        connect 1 token
        decide 1 good 0
        accept 2 json 0
        upgrade 2
        connect 2 token
        decide 2 good 1
        flush";

#[test]
fn one_connection_of_a_user_is_selected_by_its_id() {
    for (goal, more) in [
        (Goal::ChosenCode, "api-disconnect-some 0 session-alone 3000\nflush\nlose 0 eof\nlose 1 eof"),
        (Goal::MeantNobody, "api-refresh-some 2 client-and-other-session expired"),
        (Goal::MeantNobody, "api-disconnect-some 2 client-of-another 3008"),
    ] {
        reaches(goal, &format!("{TWO_OF_ONE}\n{more}\nflush"));
    }
}

#[test]
fn lists_come_in_successive_parts() {
    for (goal, more) in [
        (Goal::ListedInParts, "api-list connections-first 0 0"),
        (Goal::ListedOn, "api-list connections-first 0 0\nlose 0 reset\napi-list connections-next 0 0"),
        (Goal::ListedOn, "api-list rooms-first 0 0\njoin 0 0\napi-list rooms-rest 0 0"),
        (Goal::ListedSome, "join 0 1\napi-list connections-of-user-in-room 0 1"),
        (Goal::ListedByPattern, "api-list rooms-like-own 0 0"),
    ] {
        reaches(goal, &format!("{TWO_OF_ONE}\n{more}\nflush"));
    }
}

#[test]
fn recoveries_of_several_rooms_are_sent_together() {
    let json = "setup conns=1 rooms=3 users=2
        api-broadcast small
        accept 0 json 0
        upgrade 0
        connect 0 return-or-not
        decide 0 placed 1
        flush";
    reaches(Goal::RecoveredInThree, json);
}

#[test]
fn a_call_of_more_than_a_hundred_parts() {
    for (goal, many) in [
        (Goal::BroadcastMuch, "broadcast"),
        (Goal::BatchedMuch, "publications"),
        (Goal::BatchedMuch, "messages"),
        (Goal::BatchedMuch, "mixed"),
    ] {
        reaches(goal, &format!("{TWO_OF_ONE}\njoin 0 0\njoin 2 0\nflush\napi-much {many} 0 0\nflush"));
    }
}

#[test]
fn a_text_that_is_larger_than_a_message_may_be() {
    reaches(
        Goal::TextTooLarge,
        "setup rooms_per_connection=1 message_bytes=1024
        accept 0 json 1
        upgrade 0
        connect 0 nothing
        together 0 flood
        flush
        lose 0 eof",
    );
}

#[test]
fn a_token_with_an_info_that_others_cannot_read() {
    reaches(
        Goal::TooDeep,
        "setup users=1
        accept 0 json 1
        upgrade 0
        connect 0 token
        decide 0 unreadable-info 0",
    );
}
