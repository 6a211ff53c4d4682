//! The log of a host: its last inputs, kept for a broken invariant, and the steps of its connections.

use super::connection_log::ConnectionLog;
use super::input_log::InputLog;
use crate::runtime::connections::Accepted;
use crate::runtime::observer::Observer;
use parlor_core::{ConnId, Effect, Input, Now, Pending, Shard};

/// The log of one host.
#[derive(Debug)]
pub struct HostLog {
    /// The last inputs.
    pub inputs: InputLog,
    /// The open connections; None where their steps are not logged.
    connections: Option<ConnectionLog>,
}

impl HostLog {
    /// A log that has a line for each step of a connection, if the shard `tells_steps`.
    #[must_use]
    pub fn new(tells_steps: bool) -> Self {
        Self { inputs: InputLog::default(), connections: tells_steps.then(ConnectionLog::default) }
    }
}

impl Observer for HostLog {
    fn accepted(&mut self, now: Now, accepted: &Accepted, shard: &Shard) {
        if let Some(connections) = &mut self.connections {
            connections.accepted(now, accepted, shard);
        }
    }

    fn wrote(&mut self, conn: ConnId, pending: &Pending<'_>, bytes: usize) {
        if let Some(connections) = &mut self.connections {
            connections.wrote(conn, pending, bytes);
        }
    }

    fn before(&mut self, now: Now, input: &Input) {
        self.inputs.before(now, input);
        if let Some(connections) = &mut self.connections {
            connections.before(now, input);
        }
    }

    fn resumed(&mut self, now: Now) {
        self.inputs.resumed(now);
    }

    fn effect(&mut self, now: Now, effect: &Effect) {
        if let Some(connections) = &mut self.connections {
            connections.effect(now, effect);
        }
    }
}
