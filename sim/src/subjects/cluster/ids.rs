//! The ids of connections on a node: each names a shard, which of its starts, and a connection of it.

use parlor_core::{ConnId, Effect, Input};

/// A shard that was started anew begins here with the generations of its slots.
const START: u32 = 1_000_000;

/// A connection of a shard, as that shard knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ShardedConn {
    pub(super) shard: usize,
    pub(super) conn: ConnId,
}

/// The id on a node of so many shards.
pub(super) fn global(conn: ConnId, shard: usize, shards: usize, starts: u32) -> ConnId {
    ConnId::from_parts(conn.slot() * shards + shard, conn.generation() + starts * START)
}

/// Returns the connection of a shard that an id on such a node names, and the start of the shard.
pub(super) fn place(conn: ConnId, shards: usize) -> (ShardedConn, u32) {
    let (slot, shard) = (conn.slot() / shards, conn.slot() % shards);
    let (generation, starts) = (conn.generation() % START, conn.generation() / START);
    (ShardedConn { shard, conn: ConnId::from_parts(slot, generation) }, starts)
}

/// The same input for a connection of another id.
pub(super) fn with_conn(mut input: Input, id: ConnId) -> Input {
    match &mut input {
        Input::Upgraded { conn }
        | Input::Message { conn, .. }
        | Input::Fragment { conn, .. }
        | Input::HalfFrame { conn, .. }
        | Input::Unread { conn, .. }
        | Input::Ping { conn, .. }
        | Input::Pong { conn }
        | Input::PeerClosed { conn, .. }
        | Input::Violation { conn, .. }
        | Input::Lost { conn, .. }
        | Input::Flushed { conn, .. }
        | Input::Committed { conn, .. }
        | Input::Authenticated { conn, .. } => *conn = id,
        Input::BodyBegun { .. }
        | Input::BodyEnded { .. }
        | Input::Call { .. }
        | Input::Tick
        | Input::Shutdown
        | Input::Link { .. }
        | Input::ShardLost { .. }
        | Input::Engine(_)
        | Input::Configured { .. }
        | Input::Canary { .. }
        | Input::CanaryHeard => {}
    }
    input
}

/// The same effect about a connection by its other id.
pub(super) fn of_effect(mut effect: Effect, id: impl Fn(ConnId) -> ConnId) -> Effect {
    match &mut effect {
        Effect::Wake(conn) | Effect::ResumeReading(conn) | Effect::Finish(conn) => *conn = id(*conn),
        Effect::Authenticate { conn, .. } | Effect::TokenRefused { conn, .. } | Effect::Closed { conn, .. } => {
            *conn = id(*conn);
        }
        Effect::Step(step) => step.conn = id(step.conn),
        Effect::Reply { .. } | Effect::Event(_) | Effect::Link { .. } | Effect::Engine(_) => {}
    }
    effect
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_leads_back_to_its_shard_and_start() {
        let conn = ConnId::from_parts(7, 3);
        for (shard, starts) in [(0, 0), (2, 0), (1, 5)] {
            let id = global(conn, shard, 3, starts);
            assert_eq!(place(id, 3), (ShardedConn { shard, conn }, starts));
        }
        assert_ne!(global(conn, 0, 3, 0), global(conn, 1, 3, 0));
        assert_ne!(global(conn, 0, 3, 0), global(conn, 0, 3, 1));
    }
}
