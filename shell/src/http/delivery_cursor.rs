//! The cursors of the lists of `explain`: places as text.

use parlor_core::explain::DeliveryPlace;

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
        Some(("m", slot)) => slot.parse().ok().map(DeliveryPlace::Member),
        Some(("e", number)) => number.parse().ok().map(DeliveryPlace::Ended),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_as_it_was_written() {
        for place in [DeliveryPlace::Member(0), DeliveryPlace::Member(u32::MAX), DeliveryPlace::Ended(7)] {
            assert_eq!(parse(&written(place)), Some(place));
        }
        for other in ["", "m", "e-1", "x1", "ü1", "m4294967296"] {
            assert_eq!(parse(other), None, "{other}");
        }
    }
}
