//! The outcome of one turn, as the reference model is shown it.

use parlor_core::{Effect, Instant, Snapshot};

/// The outcome of a turn.
pub struct Outcome<'a> {
    /// The effects.
    pub effects: &'a [Effect],
    /// The body of the answer to a call.
    pub answer: Option<&'a str>,
    /// The state afterwards.
    pub after: &'a Snapshot,
    /// The next deadline afterwards.
    pub timeout: Option<Instant>,
}
