//! How connections end, over real sockets: what a client still gets, how long it takes, and what is counted.

mod common;

use common::{Client, World, closed, publish, wait_until};
use parlor_core::CloseCause;
use serde_json::json;

#[test]
fn a_reset_is_not_a_stalled_write() {
    let world = World::new();
    let client = Client::connect(world.address, "/ws/room?greeting=off");
    wait_until("its arrival", || common::health(world.address)["rooms"] == 3);
    publish(world.address, "room", &json!("unread"));
    client.socket.peek(&mut [0]).unwrap();
    // To close a socket that has unread bytes resets it.
    drop(client);
    wait_until("its end", || closed(world.address, CloseCause::PeerReset) == 1);
    assert_eq!(closed(world.address, CloseCause::WriteTimeout), 0);
}
