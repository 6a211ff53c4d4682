//! A view of the inputs and effects of a host's shard, for logs and for checkers.

use super::connections::Accepted;
use parlor_core::{ConnId, Effect, Input, Now, Pending, Refused, Shard, Upgrade};

/// Receives each input of a shard, and its effects.
pub trait Observer {
    /// Called before the shard is asked to accept a connection.
    fn requested(&mut self, _now: Now, _request: &Upgrade) {}

    /// Called with its answer.
    fn answered(&mut self, _result: &Result<ConnId, Refused>) {}

    /// Called when a connection was accepted.
    fn accepted(&mut self, _now: Now, _accepted: &Accepted, _shard: &Shard) {}

    /// Called before the input that reports that so many bytes of what was pending were written.
    fn wrote(&mut self, _conn: ConnId, _pending: &Pending<'_>, _bytes: usize) {}

    /// Called before an input is handled.
    fn before(&mut self, now: Now, input: &Input);

    /// Called before the shard is told that everything was offered to the sockets.
    fn offered(&mut self) {}

    /// Called before postponed work is resumed.
    fn resumed(&mut self, _now: Now) {}

    /// Called with each effect of the input or of the resumed work.
    fn effect(&mut self, _now: Now, _effect: &Effect) {}

    /// Called after the turn, which may have postponed the rest of its work.
    fn after(&mut self, _shard: &mut Shard) {}
}
