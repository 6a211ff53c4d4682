//! Every bound of the server, once: the table in `table.rs`.
//!
//! A row of the table makes the field of [`Limits`], the variant of [`Limit`], the setting (flag, environment variable,
//! key of the file, help), the check at the start, the line of the README and of the API's `limits`, and what a
//! simulation draws for it.
//!
//! # Adding a limit
//!
//! 1. A row in `table.rs`: name, kind, default, what is answered when it is reached, and what it has to be to others, with
//!    the reason. A row without a `simulated` clause keeps its default in simulations.
//! 2. Its enforcement, where it reads `limits.<name>`. Whatever it refuses names [`Limit`]: `Error::limit`,
//!    `CloseReason::naming`, `RouteError::Limit`, `hit`.
//! 3. What the reference model of the simulator foresees (`sim/src/reference`).
//! 4. A test that reaches it, listed in `shell/tests/codes/`. The README's table is checked by `shell/tests/http.rs`,
//!    which prints what to write.

pub(crate) mod gcra;
mod table;
mod value;

pub use table::{Limit, Limits};
pub use value::{Place, Rate, Value};

use crate::protocol::centrifuge::{CONNECT_BYTES, ROOM_BYTES};
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

/// One limit, for people to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitRow {
    /// The configuration key.
    pub key: &'static str,
    /// The value: `25s`, `65536`, `100/s, burst 200`, `off`.
    pub value: String,
    /// What is answered when it is reached.
    pub answer: &'static str,
}

/// What a limit has to be to another, or to a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Relation {
    /// Such as `at most outbox_bytes / 2`.
    pub demand: &'static str,
    /// Why.
    pub reason: &'static str,
}

/// What a simulation draws for a limit: seconds, times a second, or a number, whatever its kind is counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Simulated {
    /// What it is in a simulated world; the default of the server where nothing is said.
    pub default: Option<u64>,
    /// What it is in some of them.
    pub drawn: &'static [u64],
    /// In how many of a hundred.
    pub percent: u64,
}

impl Limit {
    /// The limit of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|limit| limit.name() == name)
    }
}

/// Its name.
impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Limits {
    /// Every limit with its value and what comes of reaching it.
    #[must_use]
    pub fn rows(&self) -> Vec<LimitRow> {
        let row = |limit: &Limit| LimitRow {
            key: limit.name(),
            value: self.value(*limit).to_string(),
            answer: limit.answer(),
        };
        Limit::ALL.iter().map(row).collect()
    }

    /// The most bytes of a reply: all that was missed, and beside it what is said of the connection and of each room.
    pub(crate) const fn largest_reply(&self) -> usize {
        let rooms = self.rooms_per_connection.saturating_mul(self.largest_room());
        self.reply_bytes.saturating_add(rooms).saturating_add(CONNECT_BYTES)
    }

    /// The most bytes that the log of one room retains.
    pub(crate) fn largest_log(&self) -> usize {
        self.history_bytes_per_room.min(self.history_bytes)
    }

    /// Half of the rooms that a client may ask for at once.
    pub(crate) const fn half_of_joins(&self) -> usize {
        burst(self.client_joins) / 2
    }

    /// The rooms that a client may ask for in the same moment as it connects.
    pub(crate) const fn commands_after_connect(&self) -> usize {
        burst(self.client_commands).saturating_sub(1)
    }

    /// The rooms that a client may ask for in the same moment as it connects, in a frame each.
    pub(crate) const fn frames_after_connect(&self) -> usize {
        burst(self.client_frames).saturating_sub(1)
    }

    /// The bytes of an outbox whose last quarter holds what is said of each room of a connection.
    pub(crate) const fn outbox_of_replies(&self) -> usize {
        self.rooms_per_connection.saturating_mul(self.largest_room()).saturating_mul(4)
    }

    /// The most bytes of the answer to a plain client's filter.
    pub(crate) const fn largest_filter_answer(&self) -> usize {
        let event = self.filter_event_bytes.saturating_mul(6).saturating_add(3);
        self.filter_events.saturating_mul(event).saturating_add(256)
    }

    /// What is said of one room. At most every character of its name is escaped, which doubles it.
    const fn largest_room(&self) -> usize {
        self.room_name_bytes.saturating_mul(2).saturating_add(ROOM_BYTES)
    }
}

/// How many may come at once; `usize::MAX` where the rate is off.
const fn burst(rate: Rate) -> usize {
    match rate {
        Rate { per_second: 0, .. } => usize::MAX,
        Rate { burst, .. } => burst as usize,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeSet;
    use alloc::format;
    use core::time::Duration;

    #[test]
    fn the_defaults_fit_together() {
        assert_eq!(Limits::default().validate(), Ok(()));
    }

    #[test]
    fn a_limit_is_found_by_its_name() {
        let names: BTreeSet<&str> = Limit::ALL.iter().map(|limit| limit.name()).collect();
        assert_eq!(names.len(), Limit::ALL.len(), "each once");
        for limit in Limit::ALL {
            assert_eq!(Limit::named(limit.name()), Some(*limit));
            let variant = format!("{limit:?}").to_lowercase();
            assert_eq!(limit.name().replace('_', ""), variant, "the variant is called as the field");
        }
        assert_eq!(Limit::named("luck"), None);
    }

    #[test]
    fn what_does_not_fit_is_named_with_both_values_and_the_reason() {
        let wrong = |limits: Limits| limits.validate().unwrap_err();
        let error = wrong(Limits { frame_bytes: 600_000, ..Limits::default() });
        let [relation, ..] = Limit::FrameBytes.relations() else { panic!("one relation") };
        assert_eq!(relation.demand, "at most outbox_bytes / 2");
        let expected = "frame_bytes = 600000 must be at most outbox_bytes / 2, which is 524288: ";
        assert_eq!(error, format!("{expected}{}", relation.reason));
        let error = wrong(Limits { pong_timeout: Duration::from_secs(30), ..Limits::default() });
        assert!(error.starts_with("pong_timeout = 30s must be less than ping_interval, which is 25s: "), "{error}");
        let error = wrong(Limits { connections: 0, ..Limits::default() });
        assert!(error.starts_with("connections = 0 must be at least 1: "), "{error}");
    }

    #[test]
    fn what_does_not_fit_is_told_in_the_terms_of_settings() {
        let wrong = |limits: Limits| limits.validate().unwrap_err();
        let error = wrong(Limits { drain_timeout: Duration::ZERO, ..Limits::default() });
        assert!(error.starts_with("drain_timeout = 0s must be at least close_timeout * 2, which is 10s: "), "{error}");
        let error = wrong(Limits { pong_timeout: Duration::from_millis(90_500), ..Limits::default() });
        assert!(
            error.starts_with("pong_timeout = 90s 500ms must be less than ping_interval, which is 25s: "),
            "{error}"
        );
        let room = format!("(room_name_bytes * 2 + {ROOM_BYTES})");
        for (limit, sum) in [
            (Limit::FrameBytes, format!("reply_bytes + rooms_per_connection * {room} + {CONNECT_BYTES}")),
            (Limit::FrameBytes, "filter_events * (filter_event_bytes * 6 + 3) + 256".into()),
            (Limit::OutboxBytes, format!("rooms_per_connection * {room} * 4")),
        ] {
            let demand = format!("at least {sum}");
            assert!(limit.relations().iter().any(|relation| relation.demand == demand), "{demand}");
        }
        let error =
            wrong(Limits { frame_bytes: 300_000, publication_bytes: 1000, message_bytes: 1, ..Limits::default() });
        assert!(!error.contains("largest") && !error.contains("computed"), "{error}");
    }

    #[test]
    fn a_relation_to_the_largest_number_does_not_overflow() {
        let most = Limits { rooms_per_connection: usize::MAX, close_timeout: Duration::MAX, ..Limits::default() };
        assert!(most.validate().is_err());
    }

    #[test]
    fn a_value_is_read_and_written_by_the_name_of_its_limit() {
        let mut limits = Limits::default();
        let Place::Duration(place) = limits.place(Limit::PingInterval) else { panic!("it is a duration") };
        *place = Duration::from_secs(7);
        assert_eq!(limits.ping_interval, Duration::from_secs(7));
        assert_eq!(limits.value(Limit::PingInterval).to_string(), "7s");
    }
}
