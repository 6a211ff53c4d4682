//! The log of a host: its last inputs, kept for a broken invariant, all that goes into its shard, and the steps of its
//! connections.

use super::connection_log::ConnectionLog;
use super::last_inputs::LastInputs;
use crate::runtime::connections::Accepted;
use crate::runtime::observer::Observer;
use parlor_core::input_log::InputRecorder;
use parlor_core::{ConnId, Effect, Input, Now, Pending, Refused, Shard, Upgrade};

/// The log of one host.
#[derive(Debug)]
pub struct HostLog {
    /// The last inputs.
    pub inputs: LastInputs,
    /// Everything that goes into the shard; None where it is not recorded.
    pub recorder: Option<InputRecorder>,
    /// The open connections; None where their steps are not logged.
    connections: Option<ConnectionLog>,
}

impl HostLog {
    /// A log that has a line for each step of a connection, if the shard `tells_steps`.
    #[must_use]
    pub fn new(tells_steps: bool, recorder: Option<InputRecorder>) -> Self {
        Self { inputs: LastInputs::default(), recorder, connections: tells_steps.then(ConnectionLog::default) }
    }
}

impl Observer for HostLog {
    fn requested(&mut self, now: Now, request: &Upgrade) {
        if let Some(recorder) = &mut self.recorder {
            recorder.accept(now, request);
        }
    }

    fn answered(&mut self, result: &Result<ConnId, Refused>) {
        if let Some(recorder) = &mut self.recorder {
            recorder.accepted(result);
        }
    }

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
        if let Some(recorder) = &mut self.recorder {
            recorder.input(now, input);
        }
        if let Some(connections) = &mut self.connections {
            connections.before(now, input);
        }
    }

    fn resumed(&mut self, now: Now) {
        self.inputs.resumed(now);
        if let Some(recorder) = &mut self.recorder {
            recorder.resume(now);
        }
    }

    fn offered(&mut self) {
        if let Some(recorder) = &mut self.recorder {
            recorder.all_offered();
        }
    }

    fn effect(&mut self, now: Now, effect: &Effect) {
        if let Some(recorder) = &mut self.recorder {
            recorder.effect(effect);
        }
        if let Some(connections) = &mut self.connections {
            connections.effect(now, effect);
        }
    }

    fn after(&mut self, shard: &mut Shard) {
        if let Some(recorder) = &mut self.recorder {
            recorder.after(shard);
        }
    }
}
