//! The text of a limit, as the README and the API write it.

use parlor_core::limits::{Rate, Value as Bound};

/// Returns a limit's text: `25s`, `65536`, `5/s, burst 5` or `off`.
#[must_use]
pub fn limit_text(value: Bound) -> String {
    match value {
        Bound::Duration(time) => format!("{}s", time.as_secs()),
        Bound::OptionalCount(None) | Bound::Rate(Rate { per_second: 0, .. }) => "off".into(),
        Bound::Bytes(number) | Bound::Count(number) => number.to_string(),
        Bound::OptionalCount(Some(number)) => number.to_string(),
        Bound::Rate(Rate { per_second, burst }) => format!("{per_second}/s, burst {burst}"),
    }
}
