//! A view of the inputs and effects of a host's shard, for logs and for checkers.

use parlor_core::{Effect, Input, Now, Shard};

/// Receives each input of a shard, and its effects.
pub trait Observer {
    /// Called before an input is handled.
    fn before(&mut self, now: Now, input: &Input);

    /// Called before postponed work is resumed.
    fn resumed(&mut self, _now: Now) {}

    /// Called with each effect of the input or of the resumed work.
    fn effect(&mut self, _effect: &Effect) {}

    /// Called after the turn, which may have postponed the rest of its work.
    fn after(&mut self, _shard: &Shard) {}
}
