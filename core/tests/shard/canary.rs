//! The canary: what it publishes arrives, and nobody else sees anything of it.

use crate::cluster::{Cluster, SHARDS};
use crate::world::{World, parse, with_config, world};
use parlor_core::limits::Rate;
use parlor_core::{Config, Input, Limits, Lost};
use std::time::Duration;

/// The texts that the canary hears now.
fn hear(world: &mut World) -> Vec<String> {
    let canary = world.shard.canary().expect("a canary");
    let Some(pending) = world.shard.pending(canary) else { return vec![] };
    let bytes: Vec<u8> = pending.slices().flatten().copied().collect();
    world.input(Input::CanaryHeard);
    parse(bytes).into_iter().map(|message| message.into_text().expect("text").to_string()).collect()
}

#[test]
fn what_it_publishes_arrives_by_the_same_way_as_every_publication() {
    let mut world = world();
    assert_eq!(world.shard.canary(), None);
    for number in 0..3 {
        world.input(Input::Canary { number });
        assert_eq!(world.wakes.pop(), world.shard.canary());
        assert_eq!(hear(&mut world), [number.to_string()]);
    }
}

#[test]
fn nothing_is_published_while_what_came_before_waits() {
    let mut world = world();
    for number in 7..9 {
        world.input(Input::Canary { number });
    }
    assert_eq!(hear(&mut world), ["7"]);
    world.input(Input::Canary { number: 9 });
    assert_eq!(hear(&mut world), ["9"]);
}

#[test]
fn it_is_in_no_count_and_no_list() {
    let config = Config { tells_steps: true, ..Config::default() };
    let mut world = with_config(config);
    let conn = world.plain("/ws/a");
    let before = (world.shard.stats(), world.shard.snapshot(), world.shard.details());
    let calls = ["channels", "connections", "info"].map(|method| (method, world.api(method, "{}")));
    world.steps.clear();
    world.events.clear();
    let is_unseen = |world: &mut World| {
        let (stats, snapshot, details) = (world.shard.stats(), world.shard.snapshot(), world.shard.details());
        assert_eq!(stats, before.0);
        assert_eq!((snapshot, details), (before.1.clone(), before.2.clone()));
        assert!(world.steps.is_empty() && world.events.is_empty(), "{:?} {:?}", world.steps, world.events);
        assert!(world.shard.fullest_outboxes(9).is_empty() && world.shard.largest_outbox() == 0);
    };
    for number in 0..3 {
        world.input(Input::Canary { number });
        is_unseen(&mut world);
        for (method, answer) in &calls {
            assert_eq!(world.api(method, "{}"), *answer, "{method}");
        }
        hear(&mut world);
        is_unseen(&mut world);
    }
    world.api("publish_all", r#"{"data":1}"#);
    assert!(hear(&mut world).is_empty(), "it gets nothing but what it publishes");
    assert_eq!(world.read(conn), ["1"]);
}

#[test]
fn nobody_else_can_name_its_room() {
    let mut world = world();
    world.input(Input::Canary { number: 1 });
    hear(&mut world);
    for name in ["\u{7}0", "\\u00070"] {
        let answer = world.api("publish", &format!(r#"{{"channel":"{name}","data":1}}"#));
        assert!(answer["error"].is_object(), "{answer}");
    }
    assert!(hear(&mut world).is_empty());
}

#[test]
fn it_takes_nobodys_place() {
    let limits = Limits { connections: 1, logs: 2, new_connections: Rate::OFF, ..Limits::default() };
    let mut world = with_config(Config::from(limits.clone()));
    let conn = world.open("/ws?room=a&room=b&greeting=off");
    world.input(Input::Canary { number: 1 });
    assert_eq!(hear(&mut world), ["1"], "it has a place in a full house");
    world.input(Input::Lost { conn, cause: Lost::Read });
    let mut world = with_config(Config::from(limits));
    world.input(Input::Canary { number: 2 });
    hear(&mut world);
    let conn = world.open("/ws?room=a&room=b&greeting=off");
    assert!(world.try_accept("/ws/a").is_err(), "one is all that is allowed");
    world.input(Input::Lost { conn, cause: Lost::Read });
    let conn = world.plain("/ws/c");
    world.input(Input::Shutdown);
    world.pass(Duration::from_secs(1));
    assert_eq!(world.read_close(conn).expect("a close").0, 3001);
    world.input(Input::Canary { number: 3 });
    assert_eq!(hear(&mut world), ["3"], "it outlives them all");
}

#[test]
fn it_needs_no_other_shard() {
    let mut cluster = Cluster::new();
    let room = cluster.room(0);
    cluster.plain(1, &room);
    for number in 0..3 {
        for at in 0..SHARDS {
            let before = cluster.shards[at].shard.stats();
            cluster.shards[at].input(Input::Canary { number });
            assert!(cluster.shards[at].sent.is_empty(), "nothing waits for another shard");
            assert_eq!(hear(&mut cluster.shards[at]), [number.to_string()], "shard {at}");
            assert_eq!(cluster.shards[at].shard.stats(), before);
        }
        cluster.lose(number as usize % SHARDS);
        cluster.settle();
    }
}
