//! The deadlines of a connection.

use crate::time::Instant;

/// What a connection's deadlines are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Timer {
    /// The end of the phase: of the handshake, of the time to authenticate, of the closing.
    Phase,
    /// The next ping is due.
    Ping,
    /// The last ping is not answered.
    Pong,
    /// A message, or a frame, has begun and not ended.
    Message,
    /// The socket takes nothing.
    Write,
    /// The token has expired and was not renewed.
    Expiry,
    /// The token of a room has expired and was not renewed.
    RoomExpiry,
}

impl Timer {
    /// All of them, in the order in which two at one instant fire.
    pub const ALL: [Self; 7] =
        [Self::Phase, Self::Ping, Self::Pong, Self::Message, Self::Write, Self::Expiry, Self::RoomExpiry];

    /// The name in snapshots and logs.
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

/// When each of a connection's timers fires.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadlines {
    at: [Instant; Timer::ALL.len()],
    /// What the hub's queue holds for this connection: the earliest.
    pub armed: Instant,
}

impl Deadlines {
    /// None armed.
    pub const NONE: Self = Self { at: [Instant::NEVER; Timer::ALL.len()], armed: Instant::NEVER };

    pub fn get(&self, timer: Timer) -> Instant {
        self.at[timer as usize]
    }

    pub fn set(&mut self, timer: Timer, at: Instant) {
        self.at[timer as usize] = at;
    }

    pub fn clear(&mut self) {
        self.at = Self::NONE.at;
    }

    pub fn earliest(&self) -> Instant {
        self.at.iter().copied().min().unwrap_or(Instant::NEVER)
    }

    /// A timer whose time has come.
    pub fn due(&self, now: Instant) -> Option<Timer> {
        Timer::ALL.into_iter().filter(|timer| self.get(*timer) <= now).min_by_key(|timer| self.get(*timer))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timers_are_told_apart_by_name() {
        let names = Timer::ALL.map(Timer::name);
        assert_eq!(names, ["phase", "ping", "pong", "message", "write", "expiry", "room_expiry"], "as they fire");
    }
}
