//! The deadlines of a connection.

use crate::time::{Deadline, Instant};
use crate::timers::Armed;

/// The purpose of a deadline of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Timer {
    /// When the phase ends: the handshake, the time to authenticate or the closing handshake.
    Phase,
    /// When the next ping is due.
    Ping,
    /// When the pong for the last ping is overdue.
    Pong,
    /// When a message or a frame that has begun must be complete.
    Message,
    /// When a socket that takes no bytes is given up.
    Write,
    /// When the connection's token expires unless it is renewed.
    Expiry,
    /// When the first of the room tokens expires unless it is renewed.
    RoomExpiry,
}

impl Timer {
    /// All timers, in the order in which timers with the same deadline fire.
    pub const ALL: [Self; 7] =
        [Self::Phase, Self::Ping, Self::Pong, Self::Message, Self::Write, Self::Expiry, Self::RoomExpiry];

    /// Returns the name in snapshots and logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Phase => "phase",
            Self::Ping => "ping",
            Self::Pong => "pong",
            Self::Message => "message",
            Self::Write => "write",
            Self::Expiry => "expiry",
            Self::RoomExpiry => "room_expiry",
        }
    }
}

/// The deadline of each timer of a connection.
#[derive(Clone, Copy, Debug, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub(crate) struct Deadlines {
    at: [Deadline; Timer::ALL.len()],
    /// The entry in the hub's queue of timers for this connection: the earliest deadline.
    pub armed: Armed,
}

impl Deadlines {
    /// The deadlines with no timer armed.
    pub const NONE: Self = Self { at: [Deadline::NONE; Timer::ALL.len()], armed: Armed::NO };

    /// Returns the deadline of a timer; none when it is not armed.
    pub fn get(&self, timer: Timer) -> Deadline {
        self.at[timer as usize]
    }

    /// Arms a timer, or disarms it with [`Deadline::NONE`].
    pub fn set(&mut self, timer: Timer, at: Deadline) {
        self.at[timer as usize] = at;
    }

    /// Disarms all timers.
    pub fn clear(&mut self) {
        self.at = Self::NONE.at;
    }

    /// Returns the earliest deadline.
    pub fn earliest(&self) -> Deadline {
        self.at.into_iter().min().unwrap_or(Deadline::NONE)
    }

    /// Returns the timer with the earliest deadline at or before `now`.
    pub fn due(&self, now: Instant) -> Option<Timer> {
        Timer::ALL.into_iter().filter(|timer| self.get(*timer).is_due(now)).min_by_key(|timer| self.get(*timer))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeSet;
    use alloc::vec::Vec;

    #[test]
    fn the_earliest_timer_fires_first_and_equal_ones_in_order() {
        let mut deadlines = Deadlines::NONE;
        for timer in Timer::ALL.into_iter().rev() {
            deadlines.set(timer, Instant(if timer == Timer::Write { 4 } else { 5 }).into());
        }
        assert_eq!(deadlines.due(Instant(3)), None);
        assert_eq!(deadlines.earliest().time(), Some(Instant(4)));
        let fired: Vec<Timer> = core::iter::from_fn(|| {
            let timer = deadlines.due(Instant(5))?;
            deadlines.set(timer, Deadline::NONE);
            Some(timer)
        })
        .collect();
        assert_eq!(fired[0], Timer::Write);
        let others = Timer::ALL.into_iter().filter(|timer| *timer != Timer::Write);
        assert!(fired[1..].iter().copied().eq(others), "{fired:?}");
    }

    #[test]
    fn timers_have_names_of_their_own() {
        let names: BTreeSet<&str> = Timer::ALL.into_iter().map(Timer::name).collect();
        assert_eq!(names.len(), Timer::ALL.len());
    }
}
