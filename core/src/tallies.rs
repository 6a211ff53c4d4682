//! Counts by a fixed set of names.

use core::ops::AddAssign;

macro_rules! tally {
    ($(#[$doc:meta])* $tally:ident { $($(#[$of:meta])* $field:ident = $name:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
        #[cfg_attr(feature = "replay", derive(serde::Deserialize))]
        pub struct $tally {
            $($(#[$of])* pub $field: u64,)*
        }

        impl $tally {
            /// Returns each count with its name in metrics, in the order of the fields.
            pub fn named(&self) -> impl Iterator<Item = (&'static str, u64)> + use<> {
                [$(($name, self.$field)),*].into_iter()
            }

            /// Returns the sum.
            #[must_use]
            pub fn sum(&self) -> u64 {
                self.named().map(|(_, count)| count).sum()
            }
        }

        impl AddAssign<&Self> for $tally {
            fn add_assign(&mut self, other: &Self) {
                $(self.$field += other.$field;)*
            }
        }
    };
}

tally! {
    /// Connections that clients have closed, by the code of their Close frame (RFC 6455 section 7.4).
    PeerCloses {
        /// 1000: the client has what it wanted.
        normal = "1000",
        /// 1001: the page or the program goes away.
        going_away = "1001",
        /// A Close frame without a code.
        none = "none",
        /// Any other code.
        other = "other",
    }
}

tally! {
    /// Joins that asked for what was missed since a position, by what became of that.
    Recoveries {
        /// All that was missed was sent.
        recovered = "recovered",
        /// The position is of another epoch: the log was forgotten meanwhile, or was never this one's.
        other_epoch = "other_epoch",
        /// The position is not, or no longer, in the log.
        not_retained = "not_retained",
        /// More was missed than `reply_messages` or `reply_bytes` allow.
        too_much = "too_much",
    }
}

tally! {
    /// Losses of what would have been kept for longer, by the limit that left no place for it.
    Evictions {
        /// Logs that were forgotten, or not begun.
        logs = "logs",
        /// Publications that were dropped for newer ones of any room.
        history_bytes = "history_bytes",
        /// Users who left at once instead of being absent.
        absences = "absences",
        /// Idempotency keys that were forgotten.
        idempotency_keys = "idempotency_keys",
    }
}

tally! {
    /// Tokens, by how they were judged.
    TokenVerdicts {
        /// It is valid.
        accepted = "accepted",
        /// Its `exp` has passed.
        expired = "expired",
        /// Its `nbf` is in the future.
        not_yet_valid = "not_yet_valid",
        /// A backend has revoked it.
        revoked = "revoked",
        /// Its signature is wrong.
        signature = "signature",
        /// No key is for it: none is set, none has its `kid`, or none is of its algorithm.
        key = "key",
        /// Its key could not be fetched: the same token may be valid later.
        key_not_fetched = "key_not_fetched",
        /// It is no token, or a claim is of the wrong type.
        malformed = "malformed",
        /// It is of another issuer, or for another audience.
        audience = "audience",
        /// A claim has a value that is not allowed, such as one above a limit.
        content = "content",
        /// It belongs to another user, or another room.
        foreign = "foreign",
        /// A token is required, and none was sent.
        missing = "missing",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_count_has_its_name_and_is_in_the_sum() {
        let mut closes = PeerCloses { normal: 1, going_away: 2, none: 3, other: 4 };
        closes += &closes.clone();
        assert!(closes.named().eq([("1000", 2), ("1001", 4), ("none", 6), ("other", 8)]));
        assert_eq!(closes.sum(), 20);
    }
}
