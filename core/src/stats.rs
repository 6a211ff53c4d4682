//! What is counted. Gauges equal the size of what they count (G8), totals only grow.

use crate::close::CloseCause;
use crate::limits::Limit;
use alloc::collections::BTreeMap;

/// Sizes of what exists now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gauges {
    /// Connections in any phase: occupied slots.
    pub connections: usize,
    /// Of those, the ones that have said who they are and are open.
    pub ready: usize,
    /// Users with a connection, without the anonymous one.
    pub users: usize,
    /// Rooms with a member.
    pub rooms: usize,
    /// Memberships over all rooms.
    pub memberships: usize,
    /// Logs that have numbered anything and are remembered.
    pub logs: usize,
    /// Bytes that all logs retain.
    pub history_bytes: usize,
    /// Bytes that wait for sockets; a shared frame counts once for each.
    pub outbox_bytes: usize,
}

/// What has happened since the start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Connections accepted.
    pub accepted: u64,
    /// Upgrade requests refused.
    pub refused: u64,
    /// Connections that ended, by cause.
    pub closed: BTreeMap<CloseCause, u64>,
    /// Text messages from clients.
    pub messages_in: u64,
    /// Publications that got into a room, from clients and backends.
    pub published: u64,
    /// Frames put into outboxes.
    pub frames_queued: u64,
    /// Frames written to sockets whole.
    pub frames_written: u64,
    /// Frames dropped with their connection before they were written.
    pub frames_dropped: u64,
    /// Bytes written to sockets.
    pub bytes_written: u64,
    /// Refusals by the limit that was in the way.
    pub limits: BTreeMap<Limit, u64>,
    /// Errors that clients were answered.
    pub errors: u64,
    /// Messages of `plain` clients whose type is not known.
    pub unknown_types: u64,
    /// Inputs for connections that had already ended.
    pub stale_inputs: u64,
    /// Inputs that mean nothing in the phase that the connection is in.
    pub ignored_inputs: u64,
    /// Joins that the home confirmed when nobody waited for them any more.
    pub late_joins: u64,
    /// Times that the clock went back and was held.
    pub clock_backsteps: u64,
}

/// Gauges and totals of one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Sizes of what exists now.
    pub gauges: Gauges,
    /// What has happened since the start.
    pub totals: Totals,
}
