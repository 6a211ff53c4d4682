//! A view of what a host hands to its shard, for logs and checkers.

use parlor_core::{Effect, Input, Now, Shard};

/// Sees what a host hands to its shard, and what comes of it.
pub trait Observer {
    /// This input is handled next.
    fn before(&mut self, now: Now, input: &Input);

    /// What was put off is gone on with.
    fn resumed(&mut self, _now: Now) {}

    /// It has had this effect. There may be several.
    fn effect(&mut self, _effect: &Effect) {}

    /// It was handled to the end, or until it was put off.
    fn after(&mut self, _shard: &Shard) {}
}
