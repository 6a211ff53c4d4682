//! The canary: whatever the state, what it publishes comes back, and nobody else sees anything of it.

use crate::guarantees::{Failure, Guarantee};
use crate::subjects::subject::Subject;
use crate::world::state::World;
use crate::world::turn::caught;
use parlor_core::Now;

/// It publishes after every so many inputs.
const EVERY: u64 = 6;

impl<S: Subject> World<S> {
    /// Has the canary publish, in its turn.
    pub(super) fn release_canary(&mut self, now: Now) -> Result<(), Failure> {
        self.settled += 1;
        // A clock that goes back is counted, and so would be this one.
        if self.transcript.is_none() || !self.settled.is_multiple_of(EVERY) || now.mono.0 < self.clock {
            return Ok(());
        }
        let before = (self.subject.stats(), self.subject.poll_timeout());
        let number = self.settled / EVERY;
        let Some(has_returned) = caught(|| self.subject.release_canary(now, number))? else { return Ok(()) };
        if !has_returned {
            return Err(Failure::new(
                Guarantee::L1,
                "what the canary publishes to come back, alone",
                "nothing, or more",
            ));
        }
        let after = (self.subject.stats(), self.subject.poll_timeout());
        if after != before {
            return Err(Failure::new(
                Guarantee::G8,
                format_args!("{before:?}"),
                format_args!("{after:?} by the canary"),
            ));
        }
        let snapshot = self.subject.snapshot();
        if snapshot != self.seen {
            let seen = &self.seen;
            return Err(Failure::new(
                Guarantee::G8,
                format_args!("{seen:?}"),
                format_args!("{snapshot:?} by the canary"),
            ));
        }
        Ok(())
    }
}
