//! The steps in the life of a connection, which are told where the configuration asks for it.

use crate::world::{claims, with_config, world};
use parlor_core::error::UnsubscribeReason;
use parlor_core::{Config, Input, LeaveCause, StepChange};

fn told(user: &str) -> (String, Option<LeaveCause>) {
    (format!("is {user}"), None)
}

fn joined(room: &str) -> (String, Option<LeaveCause>) {
    (format!("joined {room}"), None)
}

fn left(room: &str, cause: LeaveCause) -> (String, Option<LeaveCause>) {
    (format!("left {room}"), Some(cause))
}

fn described(change: &StepChange) -> (String, Option<LeaveCause>) {
    match change {
        StepChange::Authenticated { user } => told(user),
        StepChange::Joined { room } => joined(room),
        StepChange::Left { room, cause } => left(room, *cause),
    }
}

#[test]
fn each_step_is_told_once_and_in_order() {
    let mut world = with_config(Config { tells_steps: true, ..Config::default() });
    let (conn, _) = world.json_with(claims("ann"));
    for command in [r#"{"id":2,"subscribe":{"channel":"a"}}"#, r#"{"id":3,"subscribe":{"channel":"b"}}"#] {
        world.say(conn, command);
    }
    world.say(conn, r#"{"id":4,"subscribe":{"channel":"c"}}"#);
    world.say(conn, r#"{"id":5,"unsubscribe":{"channel":"a"}}"#);
    world.api("unsubscribe", r#"{"user":"ann","channel":"b"}"#);
    world.input(Input::PeerClosed { conn, code: Some(1000) });
    let steps: Vec<(String, Option<LeaveCause>)> = world.steps.iter().map(described).collect();
    let server = LeaveCause::Server(UnsubscribeReason::SERVER);
    let before = [joined("#ann"), told("ann"), joined("a"), joined("b"), joined("c"), left("a", LeaveCause::Client)];
    assert_eq!(steps[..6], before);
    assert_eq!(steps[6], left("b", server));
    let mut end = steps[7..].to_vec();
    end.sort_by(|one, other| one.0.cmp(&other.0));
    assert_eq!(end, [left("#ann", LeaveCause::Closed), left("c", LeaveCause::Closed)]);
}

#[test]
fn no_step_is_told_where_nobody_has_asked() {
    let mut world = world();
    let conn = world.plain("/ws/a");
    world.input(Input::PeerClosed { conn, code: Some(1000) });
    assert!(world.steps.is_empty());
}
