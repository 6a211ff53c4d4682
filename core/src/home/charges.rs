//! Accounting of `history_bytes`: a payload that several logs retain counts once.

use crate::map::{Keys, Map};
use crate::publication::Draft;

/// The bytes that all logs of a home retain together.
#[derive(Clone, Debug, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub(crate) struct Charges {
    bytes: usize,
    /// The number of logs that retain each broadcast payload, by its memory address, which is unique while a log
    /// retains it. Payloads of publications to a single room are not listed.
    #[serde(with = "crate::map::of_addresses")]
    shared: Map<usize, usize>,
}

impl Charges {
    /// Creates an empty account whose hash function has these keys.
    pub fn new(keys: Keys) -> Self {
        Self { bytes: 0, shared: Map::with_hasher(keys) }
    }

    /// Returns the bytes that are retained, each payload counted once.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Counts a draft that a log retains from now on.
    pub fn charge(&mut self, draft: &Draft) {
        if draft.shared {
            let times = self.shared.entry(draft.data.address()).or_default();
            *times += 1;
            if *times > 1 {
                return;
            }
        }
        self.bytes += draft.bytes();
    }

    /// Discounts a draft that a log no longer retains.
    ///
    /// # Panics
    /// Panics when the draft was not charged as often as it is discharged.
    pub fn discharge(&mut self, draft: &Draft) {
        if draft.shared {
            let times = self.shared.get_mut(&draft.data.address()).expect("a retained payload was charged");
            *times -= 1;
            if *times > 0 {
                return;
            }
            self.shared.swap_remove(&draft.data.address());
        }
        self.bytes -= draft.bytes();
    }

    /// Counts anew which logs retain each broadcast payload, where these are the drafts of all logs. The bytes are left as they
    /// are. O(n) in the drafts.
    #[cfg(feature = "replay")]
    pub fn recount<'a>(&mut self, retained: impl Iterator<Item = &'a Draft>) {
        self.shared.clear();
        let shared = retained.filter(|draft| draft.shared);
        shared.for_each(|draft| *self.shared.entry(draft.data.address()).or_default() += 1);
    }

    /// Asserts that the counts are those of `retained`, the drafts of all logs. O(n) in them.
    pub fn audit<'a>(&self, retained: impl Iterator<Item = &'a Draft>) {
        let mut again = Self { bytes: 0, shared: Map::with_hasher(*self.shared.hasher()) };
        retained.for_each(|draft| again.charge(draft));
        assert_eq!(self.shared.len(), again.shared.len(), "G3: every counted payload is retained");
        let is_right = |(place, times): (&usize, &usize)| again.shared.get(place) == Some(times);
        assert!(self.shared.iter().all(is_right), "G8: logs that retain a shared payload are counted");
        assert_eq!(self.bytes, again.bytes, "G8: history counts its bytes, each payload once");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{audit_finds, draft};
    use alloc::vec::Vec;

    fn shared(data: &str) -> Draft {
        Draft { shared: true, ..draft(data) }
    }

    #[test]
    fn a_payload_is_charged_with_its_first_log_and_discharged_with_its_last() {
        let mut charges = Charges::new(Keys(1, 2));
        let (alone, both, other) = (draft("1"), shared("22"), shared("333"));
        let mut bytes = Vec::new();
        for draft in [&alone, &both, &both.clone(), &other] {
            charges.charge(draft);
            bytes.push(charges.bytes());
        }
        for draft in [&both, &alone, &both, &other] {
            charges.discharge(draft);
            bytes.push(charges.bytes());
        }
        assert_eq!(bytes, [1, 3, 3, 6, 6, 5, 3, 0]);
        assert!(charges.shared.is_empty());
    }

    #[test]
    fn the_audit_reports_each_broken_invariant() {
        let make = || {
            let both = shared("22");
            let retained = [draft("1"), both.clone(), both];
            let mut charges = Charges::new(Keys(1, 2));
            retained.iter().for_each(|draft| charges.charge(draft));
            (charges, retained)
        };
        audit_finds(
            make,
            |(charges, retained)| charges.audit(retained.iter()),
            &[
                ("G3: every counted payload is retained", |(charges, _)| {
                    charges.shared.insert(9, 1);
                }),
                ("G8: logs that retain a shared payload are counted", |(charges, _)| charges.shared[0] += 1),
                ("G8: history counts its bytes, each payload once", |(charges, _)| charges.bytes += 2),
            ],
        );
    }
}
