//! TLS handshakes that come faster than they may.

use super::*;
use rcgen::generate_simple_self_signed;
use std::fs;

/// A server that speaks TLS with clients.
fn world_of_tls(change: impl FnOnce(&mut Settings)) -> World {
    let folder =
        std::env::temp_dir().join(format!("parlor-codes-{:?}-{}", std::thread::current().id(), std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let issued = generate_simple_self_signed(["localhost".into()]).unwrap();
    let [cert, key] = ["cert.pem", "key.pem"].map(|name| folder.join(name));
    fs::write(&cert, issued.cert.pem()).unwrap();
    fs::write(&key, issued.signing_key.serialize_pem()).unwrap();
    let world = World::with(|settings| {
        in_production(settings);
        settings.internal_listen = Some("127.0.0.1:0".parse().unwrap());
        settings.tls_cert = cert.to_str().map(String::from);
        settings.tls_key = key.to_str().map(String::from);
        change(settings);
    });
    fs::remove_dir_all(&folder).unwrap();
    world
}

/// Whether a handshake from this address of this machine begins: its first record is no TLS of any version, which is answered
/// by an alert.
fn begins(world: &World, from: [u8; 4]) -> bool {
    const ALERT: u8 = 21;
    let mut socket = connect_from(from, world.server.address());
    socket.write_all(&[22, 3, 1, 0, 4, 99, 0, 0, 0]).unwrap();
    let mut first = [0];
    matches!(socket.read(&mut first), Ok(1)) && first == [ALERT]
}

/// Begins handshakes until one is refused by the limit.
fn begin_too_many(world: &World, limit: &str) {
    let one = [127, 0, 0, 1];
    // Sockets that say nothing do not count, whether they stay or end.
    let silent: Vec<_> = (0..10).map(|_| connect_from(one, world.server.address())).collect();
    (0..10).for_each(|_| drop(connect_from(one, world.server.address())));
    wait_until("their end", || health(world.address)["http_connections"] == 11);
    assert!(begins(world, one) && begins(world, one));
    wait_until("too many", || !begins(world, one));
    assert!(hits(world.address, limit) >= 1);
    drop(silent);
}

pub fn too_many_handshakes() {
    let mut world = world_of_tls(|settings| settings.limits.new_handshakes = TWO);
    begin_too_many(&world, "new_handshakes");
    wait_until("another one's time", || begins(&world, [127, 0, 0, 2]));
    world.is_unaffected();
}

pub fn too_many_handshakes_from_an_address() {
    let mut world = world_of_tls(|settings| settings.limits.new_handshakes_per_ip = TWO);
    begin_too_many(&world, "new_handshakes_per_ip");
    assert!(begins(&world, [127, 0, 0, 2]), "another address is not concerned");
    wait_until("another one's time", || begins(&world, [127, 0, 0, 1]));
    world.is_unaffected();
}
