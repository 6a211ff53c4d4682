//! Every order of a few scripts on two shards, with the messages between them at any time. The counts are pinned, as those of one
//! shard are; what the checkers remember tells states apart too, so that a new one may change them.

use parlor_core::{Node, RoomName};
use parlor_sim::search::interleave::{Interleaved, Scripts, interleave};
use parlor_sim::search::report;
use parlor_sim::subjects::cluster::Cluster;
use parlor_sim::world::action::{
    Action, Bundle, Client, Credential, Endpoint, Payload, Room, Rooms, ShardNumber, User, Verdict,
};
use parlor_sim::world::setup::Setup;
use std::num::NonZeroU16;

fn pin(states: usize, transitions: usize, depth: usize, ends: usize) -> Interleaved {
    Interleaved { states, transitions, depth, ends }
}

fn two_shards(rooms: u64, users: u64) -> Setup {
    Setup { conns: 2, rooms, users, shards: 2, slow_links: 1, foreseen: 0, ids_repeat: 1, ..Setup::default() }
}

fn anonymous(client: Client, rooms: &[Room]) -> Vec<Action> {
    let entrance = [
        Action::Accept(client, Endpoint::Json, Rooms(0)),
        Action::Upgrade(client),
        Action::Connect(client, Credential::Nothing),
    ];
    entrance.into_iter().chain(rooms.iter().map(|room| Action::Join(client, *room))).collect()
}

fn search(setup: Setup, scripts: Vec<Vec<Action>>) -> Interleaved {
    let scripts = Scripts { setup, scripts, cap: 1_000_000 };
    interleave::<Cluster>(&scripts).unwrap_or_else(|broken| {
        panic!("{}", report::failure::<Cluster>(&broken.failure, &broken.trace, "parlor-sim replay FILE"))
    })
}

/// A client of the user, with these rooms.
fn of_user(client: Client, rooms: &[Room]) -> Vec<Action> {
    let entrance = [
        Action::Accept(client, Endpoint::Json, Rooms(0)),
        Action::Upgrade(client),
        Action::Connect(client, Credential::Token),
        Action::Decide(client, Verdict::Good, User(0)),
    ];
    entrance.into_iter().chain(rooms.iter().map(|room| Action::Join(client, *room))).collect()
}

fn plain(client: Client) -> Vec<Action> {
    vec![Action::Accept(client, Endpoint::PlainQuiet, Rooms(1)), Action::Upgrade(client)]
}

fn publish() -> Vec<Action> {
    vec![Action::ApiPublish(Room(0), Payload::Small)]
}

fn one_loss(second: Vec<Action>, lost: u8) -> Interleaved {
    let first = anonymous(Client(0), &[Room(0)]);
    search(two_shards(1, 0), vec![first, second, publish(), vec![Action::LoseShard(ShardNumber(lost))]])
}

/// The smallest scope in which a gap is to be told: the seeded defects that silence it are looked for here.
#[test]
fn one_client_one_publish_one_loss() {
    let scripts = vec![anonymous(Client(0), &[Room(0)]), publish(), vec![Action::LoseShard(ShardNumber(1))]];
    assert_eq!(search(two_shards(1, 0), scripts), pin(622, 811, 14, 69));
}

#[test]
fn one_room_two_json_clients_one_publish_one_loss() {
    let second = anonymous(Client(1), &[Room(0)]);
    assert_eq!(one_loss(second.clone(), 0), pin(6585, 11465, 18, 694));
    assert_eq!(one_loss(second, 1), pin(13842, 23914, 19, 840));
}

#[test]
fn one_room_clients_of_both_protocols_one_publish_one_loss() {
    assert_eq!(one_loss(plain(Client(1)), 0), pin(4425, 7357, 16, 504));
    assert_eq!(one_loss(plain(Client(1)), 1), pin(10316, 16822, 19, 661));
}

#[test]
fn one_of_two_clients_leaves_while_a_backend_publishes() {
    let mut first = anonymous(Client(0), &[Room(0)]);
    first.push(Action::Leave(Client(0), Room(0)));
    let found = search(two_shards(1, 0), vec![first, anonymous(Client(1), &[Room(0)]), publish()]);
    assert_eq!(found, pin(2337, 4642, 18, 103));
}

#[test]
fn a_user_with_two_connections_is_disconnected_during_a_join() {
    let (first, second) = (of_user(Client(0), &[Room(0)]), of_user(Client(1), &[]));
    let found = search(two_shards(1, 1), vec![first, second, vec![Action::ApiDisconnectUser(User(0))]]);
    assert_eq!(found, pin(8937, 16206, 24, 387));
}

#[test]
fn a_batch_across_two_homes() {
    let setup = Setup { seed: 2, ..two_shards(1, 1) };
    let node = Node::new(NonZeroU16::new(2).expect("two"), *setup.subject_seed().first_chunk().expect("16 bytes"));
    let home = |room| node.home_of(&RoomName::parse(room, 99, &setup.config().namespaces).expect("a name"));
    assert_ne!(home("r0"), home("#u0"));
    let batch = vec![Action::ApiBatch(Bundle::Everywhere, User(0), Room(0))];
    let found = search(setup, vec![of_user(Client(0), &[Room(0)]), anonymous(Client(1), &[Room(0)]), batch]);
    assert_eq!(found, pin(5119, 9912, 23, 124));
}

#[test]
fn too_many_states_are_no_result() {
    let scripts = Scripts { setup: two_shards(1, 0), scripts: vec![anonymous(Client(0), &[Room(0)])], cap: 3 };
    assert!(interleave::<Cluster>(&scripts).is_err_and(|broken| broken.unfinished));
}
