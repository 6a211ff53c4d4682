//! All limits of the server, defined once in the table in `table.rs`.
//!
//! A row of the table generates the field of [`Limits`], the variant of [`Limit`], the setting (flag, environment
//! variable, key of the file, help), the check at the start, the row of the README and of the API's `limits`, and the
//! values that a simulation draws.
//!
//! # Adding a limit
//!
//! 1. Add a row to `table.rs`: name, kind, default, the answer when it is reached, and its relations to other limits with
//!    the reasons. A row without a `simulated` clause keeps its default in simulations.
//! 2. Enforce it where `limits.<name>` is read. A refusal names the [`Limit`]: `Error::limit`, `CloseReason::naming`,
//!    `RouteError::Limit`, `hit`.
//! 3. Let the reference model of the simulator expect it (`sim/src/reference`).
//! 4. Reach it in a test: `shell/tests/codes/limits.rs` does not compile without a function that does, and checks that it
//!    is counted by its name.
//!
//! The README's table is generated: `shell/tests/http.rs` compares it, and prints the table to write.

pub(crate) mod gcra;
mod table;
mod value;

pub use gcra::Gcra;
pub use table::{Limit, Limits};
pub use value::{Rate, Value, ValueMut};

use crate::protocol::centrifuge::{CONNECT_BYTES, ROOM_BYTES};
use crate::stored::StaticText;
use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

/// One limit in text form, as the API's `limits` lists it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub struct LimitRow {
    /// The configuration key.
    #[cfg_attr(feature = "replay", serde(deserialize_with = "crate::replayed::text"))]
    pub key: StaticText,
    /// The value: `25s`, `65536`, `100/s, burst 200`, `off`.
    pub value: String,
    /// The answer when the limit is reached.
    #[cfg_attr(feature = "replay", serde(deserialize_with = "crate::replayed::text"))]
    pub answer: StaticText,
}

/// A relation that a limit must have to another limit or to a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Relation {
    /// The relation, such as `at most outbox_bytes / 2`.
    pub rule: &'static str,
    /// The reason for the relation.
    pub reason: &'static str,
}

/// The values that a simulation draws for a limit: seconds, events per second or a number, depending on the kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Simulated {
    /// The value in most simulated worlds; the server's default when absent.
    pub default: Option<u64>,
    /// The values of which one is drawn in the other worlds.
    pub drawn: &'static [u64],
    /// The percentage of worlds with a drawn value.
    pub percent: u64,
}

impl Limit {
    /// Returns the limit with this name. O(n) in the limits.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|limit| limit.name() == name)
    }
}

/// Writes the name.
impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Limits {
    /// Returns all limits in text form, with values and answers, in the order of the table.
    #[must_use]
    pub fn rows(&self) -> Vec<LimitRow> {
        let row = |limit: &Limit| LimitRow {
            key: limit.name(),
            value: self.value(*limit).to_string(),
            answer: limit.answer(),
        };
        Limit::ALL.iter().map(row).collect()
    }

    /// Returns the bytes that a reply may have: all replayed publications, and the data of the connection and of each
    /// room.
    pub(crate) const fn largest_reply(&self) -> usize {
        let rooms = self.rooms_per_connection.saturating_mul(self.largest_room());
        self.reply_bytes.saturating_add(rooms).saturating_add(CONNECT_BYTES)
    }

    /// Returns half of the burst of `client_joins`.
    pub(crate) const fn half_of_joins(&self) -> usize {
        burst(self.client_joins) / 2
    }

    /// Returns the commands that a client may send at once after its `connect`.
    pub(crate) const fn commands_after_connect(&self) -> usize {
        burst(self.client_commands).saturating_sub(1)
    }

    /// Returns the frames that a client may send at once after its `connect`.
    pub(crate) const fn frames_after_connect(&self) -> usize {
        burst(self.client_frames).saturating_sub(1)
    }

    /// Returns the bytes of an outbox whose last quarter holds the data of each room of a connection.
    pub(crate) const fn outbox_of_replies(&self) -> usize {
        self.rooms_per_connection.saturating_mul(self.largest_room()).saturating_mul(4)
    }

    /// Returns the bytes that the answer to a `plain` client's filter may have.
    pub(crate) const fn largest_filter_answer(&self) -> usize {
        let event = self.filter_event_bytes.saturating_mul(6).saturating_add(3);
        self.filter_events.saturating_mul(event).saturating_add(256)
    }

    /// Returns the bytes of the data of one room in a reply. Escaping each character of its name doubles the name at
    /// most.
    const fn largest_room(&self) -> usize {
        self.room_name_bytes.saturating_mul(2).saturating_add(ROOM_BYTES)
    }
}

/// The widest limits that there have been: where a limit is lowered, what is there stays.
#[derive(Clone, Debug, Default, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub(crate) struct WidestBounds(Option<Box<Limits>>);

impl WidestBounds {
    /// Takes in that these limits follow those.
    pub fn widen(&mut self, before: &Limits, after: &Limits) {
        let widest = self.0.get_or_insert_with(|| Box::new(before.clone()));
        for limit in Limit::ALL {
            match (widest.value_mut(*limit), after.value(*limit)) {
                (ValueMut::Count(widest), Value::Count(after)) | (ValueMut::Bytes(widest), Value::Bytes(after)) => {
                    *widest = after.max(*widest);
                }
                (ValueMut::OptionalCount(widest), Value::OptionalCount(after)) => {
                    *widest = widest.zip(after).map(|(widest, after)| widest.max(after));
                }
                // Neither bounds what is there.
                (ValueMut::Duration(_) | ValueMut::Rate(_), _) => {}
                _ => unreachable!("a limit is of one kind"),
            }
        }
    }

    /// Returns the bounds of what is there now, where these limits hold.
    pub fn of<'a>(&'a self, limits: &'a Limits) -> &'a Limits {
        self.0.as_deref().unwrap_or(limits)
    }
}

/// Returns the burst of a rate; `usize::MAX` when the rate is off.
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
    fn the_default_limits_satisfy_their_relations() {
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
    fn a_broken_relation_is_reported_with_both_values_and_the_reason() {
        let wrong = |limits: Limits| limits.validate().unwrap_err();
        let error = wrong(Limits { frame_bytes: 600_000, ..Limits::default() });
        let [relation, ..] = Limit::FrameBytes.relations() else { panic!("one relation") };
        assert_eq!(relation.rule, "at most outbox_bytes / 2");
        let expected = "frame_bytes = 600000 must be at most outbox_bytes / 2, which is 524288: ";
        assert_eq!(error, format!("{expected}{}", relation.reason));
        let error = wrong(Limits { pong_timeout: Duration::from_secs(30), ..Limits::default() });
        assert!(error.starts_with("pong_timeout = 30s must be less than ping_interval, which is 25s: "), "{error}");
        let error = wrong(Limits { connections: 0, ..Limits::default() });
        assert!(error.starts_with("connections = 0 must be at least 1: "), "{error}");
    }

    #[test]
    fn a_broken_relation_is_reported_in_the_names_of_settings() {
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
            let rule = format!("at least {sum}");
            assert!(limit.relations().iter().any(|relation| relation.rule == rule), "{rule}");
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
        let ValueMut::Duration(value) = limits.value_mut(Limit::PingInterval) else { panic!("it is a duration") };
        *value = Duration::from_secs(7);
        assert_eq!(limits.ping_interval, Duration::from_secs(7));
        assert_eq!(limits.value(Limit::PingInterval).to_string(), "7s");
    }
}
