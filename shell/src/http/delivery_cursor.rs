//! The cursors of the lists of `explain`: places as text.

use parlor_core::explain::DeliveryPlace;

/// The digits of a slot, at most: more connections than a machine has memory for.
pub(crate) const SLOT_DIGITS: usize = 9;
/// The digits of the number of a connection that ended, at most: that of a server which runs for ever.
pub(crate) const NUMBER_DIGITS: usize = 18;

/// The text of a place.
pub(super) fn written(place: DeliveryPlace) -> String {
    match place {
        DeliveryPlace::Member(slot) => format!("m{slot}"),
        DeliveryPlace::Ended(number) => format!("e{number}"),
    }
}

/// The place that a text names; None where it is none that was written.
pub(super) fn parse(text: &str) -> Option<DeliveryPlace> {
    match text.split_at_checked(1) {
        Some(("m", slot)) => digits(slot, SLOT_DIGITS)?.parse().ok().map(DeliveryPlace::Member),
        Some(("e", number)) => digits(number, NUMBER_DIGITS)?.parse().ok().map(DeliveryPlace::Ended),
        _ => None,
    }
}

/// A text of so many digits at most, and at least one.
fn digits(text: &str, most: usize) -> Option<&str> {
    let is_number = (1..=most).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_as_it_was_written() {
        for place in [DeliveryPlace::Member(0), DeliveryPlace::Member(999_999_999), DeliveryPlace::Ended(7)] {
            assert_eq!(parse(&written(place)), Some(place));
        }
        for other in ["", "m", "e-1", "x1", "ü1", "m4294967296", "m+1", "e", "m1\n", "e1234567890123456789"] {
            assert_eq!(parse(other), None, "{other}");
        }
    }
}
