//! Accounts of connections, publications and rooms: what an operator who asks why is told.

use crate::world::{Rules, World, with, world};
use parlor_core::explain::{
    ConnectionAccount, DeliveryOutcome, DeliveryPlace, ENDED_CONNECTIONS, ENDED_ROOMS, UnknownPublication,
};
use parlor_core::{ClientId, CloseCause, ConnId, Input, Limit, Limits, Lost, RoomName, Upgrade};
use serde_json::json;
use std::time::Duration;

fn publish(world: &mut World, room: &str, data: &str) {
    world.api("publish", &json!({"channel": room, "data": data}).to_string());
}

fn room(world: &World, name: &str) -> RoomName {
    world.shard.config().room(name).expect("it is a name")
}

fn client(world: &World, conn: ConnId) -> ClientId {
    world.shard.snapshot().conns.into_iter().find(|view| view.id == conn).expect("it is there").client
}

fn account(world: &World, client: ClientId) -> ConnectionAccount {
    world.shard.explain_connection(client).expect("it is known")
}

/// What became of a publication in the room `a`, by client.
fn outcomes(world: &World, offset: u64) -> Vec<(ClientId, DeliveryOutcome)> {
    let publication = world.shard.explain_publication(&room(world, "a"), "", offset).expect("it is retained");
    let page = world.shard.explain_deliveries(&publication, DeliveryPlace::Member(0), 1_000);
    assert_eq!(page.next, None);
    page.deliveries.into_iter().map(|delivery| (delivery.client, delivery.outcome)).collect()
}

#[test]
fn a_member_is_told_to_have_it_once_its_socket_has_taken_it() {
    let mut world = world();
    let conn = world.plain("/ws/a");
    let id = client(&world, conn);
    publish(&mut world, "a", "x");
    assert_eq!(outcomes(&world, 1), [(id, DeliveryOutcome::Sent { unwritten: 1 })]);
    world.read(conn);
    assert_eq!(outcomes(&world, 1), [(id, DeliveryOutcome::FullyWritten)]);
    publish(&mut world, "a", "y");
    assert_eq!(outcomes(&world, 1), [(id, DeliveryOutcome::FullyWritten)], "what waits is another one");
}

#[test]
fn who_comes_later_has_what_it_was_sent_as_missed() {
    let mut world = world();
    (0..3).for_each(|_| publish(&mut world, "a", "x"));
    let (none, last) = (world.plain("/ws/a"), world.open("/ws/a?history=1"));
    let (none, last) = (client(&world, none), client(&world, last));
    let later = DeliveryOutcome::JoinedLater { at: 3 };
    assert_eq!(outcomes(&world, 2), [(none, later), (last, later)]);
    assert_eq!(outcomes(&world, 3)[0], (none, later));
    assert_ne!(outcomes(&world, 3)[1].1, later, "it was sent the last one");
    let joined = account(&world, last).rooms[0].joined.unwrap();
    assert_eq!((joined.joined_at, joined.replayed_from, joined.sent_through), (3, Some(3), 3));
}

#[test]
fn what_a_slow_consumer_was_not_sent_is_behind_what_it_had_come_to() {
    let mut world = with(Limits { outbox_frames: 4, ..Limits::default() }, Rules::open());
    let conn = world.plain("/ws/a");
    let id = client(&world, conn);
    publish(&mut world, "a", "0");
    // Its socket takes a part of that, and refuses from then on.
    world.input(Input::Flushed { conn, bytes: 1 });
    for n in 1..6 {
        publish(&mut world, "a", &n.to_string());
    }
    let DeliveryOutcome::Sent { unwritten } = outcomes(&world, 4)[0].1 else { panic!("{:?}", outcomes(&world, 4)) };
    assert!(unwritten > 0);
    assert_eq!(outcomes(&world, 5), [(id, DeliveryOutcome::EndedBefore { at: Some(4) })]);
    let account = account(&world, id);
    assert_eq!((account.state, &account.limits[..]), ("closing", &[(Limit::OutboxFrames, 1)][..]));
    assert!(account.blocked && account.queued_frames == 4 && account.dropped_frames == 4, "{account:?}");
}

#[test]
fn the_end_of_a_connection_is_told_after_it() {
    let mut world = world();
    let conn = world.plain("/ws?room=a&room=b");
    let id = client(&world, conn);
    publish(&mut world, "a", "x");
    world.read(conn);
    let before = account(&world, id);
    world.pass(Duration::from_secs(3));
    world.input(Input::Lost { conn, cause: Lost::Read });
    let after = account(&world, id);
    let end = after.end.clone().unwrap();
    assert_eq!((after.state, end.cause, end.code, end.clean), ("ended", CloseCause::PeerReset, 1006, false));
    assert_eq!(end.at_ms - after.since_ms, 3_000);
    assert_eq!(after.rooms, before.rooms);
    assert_eq!(outcomes(&world, 1), [(id, DeliveryOutcome::FullyWritten)]);
    publish(&mut world, "a", "y");
    assert_eq!(outcomes(&world, 2), [(id, DeliveryOutcome::EndedBefore { at: Some(1) })]);
}

#[test]
fn pings_and_their_answers_are_counted() {
    let mut world = world();
    let conn = world.plain("/ws/a");
    let id = client(&world, conn);
    world.pass(world.shard.config().limits.ping_interval);
    let pings = account(&world, id).pings;
    assert_eq!((pings.sent, pings.answered), (1, 0));
    assert!(account(&world, id).deadlines.iter().any(|(timer, _)| *timer == "pong"));
    world.pass(Duration::from_millis(250));
    world.input(Input::Pong { conn });
    let pings = account(&world, id).pings;
    assert_eq!((pings.sent, pings.answered, pings.last_round_trip), (1, 1, Duration::from_millis(250)));
}

#[test]
fn so_many_ended_connections_are_remembered_and_so_many_rooms_of_each() {
    let mut world = world();
    let rooms: Vec<String> = (0..=ENDED_ROOMS).map(|n| format!("room=r{n}")).collect();
    let conn = world.plain(&format!("/ws?{}", rooms.join("&")));
    let first = client(&world, conn);
    world.input(Input::Lost { conn, cause: Lost::Read });
    let remembered = account(&world, first);
    assert_eq!((remembered.rooms.len(), remembered.more_rooms), (ENDED_ROOMS, 1));
    assert_eq!(&*remembered.rooms[0].room, "r1", "it joined the first one first");
    for n in 1..=ENDED_CONNECTIONS {
        assert!(world.shard.explain_connection(first).is_some(), "after {n}");
        let target = world.shard.config().resolve("/ws/a").expect("a route");
        let client = (n as u128 + 1_000_000).to_be_bytes();
        let request = Upgrade { client, target, token: None, address: None };
        let conn = world.shard.accept(world.now, request).expect("accepted");
        world.input(Input::Upgraded { conn });
        world.input(Input::Lost { conn, cause: Lost::Read });
    }
    assert!(world.shard.explain_connection(first).is_none());
}

#[test]
fn pages_tell_of_members_and_then_of_those_that_ended_each_once() {
    let mut world = world();
    let conns: Vec<ConnId> = (0..7).map(|_| world.plain("/ws/a")).collect();
    publish(&mut world, "a", "x");
    for conn in &conns[..3] {
        world.input(Input::Lost { conn: *conn, cause: Lost::Read });
    }
    let publication = world.shard.explain_publication(&room(&world, "a"), "", 1).unwrap();
    for most in 1..9 {
        let (mut seen, mut from) = (Vec::new(), Some(DeliveryPlace::Member(0)));
        while let Some(place) = from {
            let page = world.shard.explain_deliveries(&publication, place, most);
            assert!(page.deliveries.len() <= most);
            seen.extend(page.deliveries.iter().map(|delivery| (delivery.ended.is_some(), delivery.client)));
            from = page.next;
        }
        let ended = seen.iter().filter(|(ended, _)| *ended).count();
        assert_eq!((seen.len(), ended), (7, 3), "with {most} on a page");
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), 7, "with {most} on a page");
    }
}

#[test]
fn what_is_not_retained_is_not_known() {
    let mut world = with(Limits { history_messages: 2, ..Limits::default() }, Rules::open());
    let ask = |world: &World, epoch: &str, offset| {
        world.shard.explain_publication(&room(world, "a"), epoch, offset).map(|known| known.offset())
    };
    assert_eq!(ask(&world, "", 1), Err(UnknownPublication::NoLog));
    (0..3).for_each(|_| publish(&mut world, "a", "x"));
    let log = world.shard.explain_room(&room(&world, "a")).log.unwrap();
    assert_eq!((log.top, log.oldest, log.retained), (3, Some(2), 2));
    assert_eq!(ask(&world, &log.epoch, 2), Ok(2));
    assert_eq!(ask(&world, "", 1), Err(UnknownPublication::NotRetained(Some(2))));
    assert_eq!(ask(&world, "", 4), Err(UnknownPublication::NotYet(3)));
    assert_eq!(ask(&world, "other", 2), Err(UnknownPublication::OtherEpoch(log.epoch)));
}
