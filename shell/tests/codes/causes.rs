//! Every cause of an end, with what ends a connection for it.

use super::*;

/// Ends a connection for a cause. A new cause does not compile without a function that does.
fn ended_by(cause: CloseCause) -> fn() {
    match cause {
        CloseCause::Protocol => unmasked_frame,
        CloseCause::Binary => binary_message,
        CloseCause::Utf8 => invalid_utf8,
        CloseCause::TooLarge => oversize_message,
        CloseCause::Shutdown => shutdown,
        CloseCause::Overloaded => overloaded,
        CloseCause::Expired => expired_connection,
        CloseCause::Slow => slow_client,
        CloseCause::WriteTimeout => no_write_progress,
        CloseCause::NoPong => no_pong,
        CloseCause::Unfinished => unfinished_message,
        CloseCause::Rate => commands_without_end,
        CloseCause::Hoards => unfinished_beyond_the_node,
        CloseCause::UserFull => too_many_of_a_user,
        CloseCause::TokenRequired => missing_token,
        CloseCause::InvalidToken => invalid_token,
        CloseCause::Revoked => revoked_token,
        CloseCause::BadRequest => malformed_json,
        CloseCause::Stale => stale,
        CloseCause::Backend => disconnected,
        CloseCause::UserConnections => replaced,
        CloseCause::Rooms => too_many_channels,
        CloseCause::Gap | CloseCause::Unanswered => || unreachable!("a node with one shard misses nothing"),
        CloseCause::HandshakeTimeout => unanswered_upgrade,
        CloseCause::PeerClose => client_that_closes,
        CloseCause::PeerEof => client_that_ends_its_stream,
        CloseCause::PeerReset => client_that_resets,
    }
}

#[test]
fn every_cause_ends_a_connection_and_is_counted_by_its_name() {
    let causes = CloseCause::ALL.iter().filter(|cause| ![CloseCause::Gap, CloseCause::Unanswered].contains(cause));
    let tests = causes.map(|cause| (Some(Observed::Cause(cause.name().into())), ended_by(*cause)));
    each_is_observed(tests.collect());
}

fn client_that_closes() {
    let mut world = World::new();
    let mut client = world.client();
    client.send_close(1000);
    client.end();
    world.is_unaffected();
}

fn client_that_ends_its_stream() {
    let mut world = World::new();
    let mut client = world.client();
    client.half_close();
    client.end();
    world.is_unaffected();
}

fn client_that_resets() {
    let mut world = World::new();
    let client = Client::connect(world.address, "/ws/room");
    // To close a socket that has unread bytes, here the greeting, resets it.
    client.socket.peek(&mut [0]).unwrap();
    drop(client);
    world.is_unaffected();
}
