//! Token buckets, and the rates that a client or an address is held to.

pub(super) const SECOND: u64 = 1_000_000_000;

/// Holds so many nanoseconds' worth of events; full at the start.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Bucket(pub(super) Option<(u64, u64)>);

impl Bucket {
    /// Takes one event's worth, if it is there.
    pub fn take(&mut self, clock: u64, (per_second, burst): (u32, u32)) -> bool {
        if per_second == 0 {
            return true;
        }
        let (each, full) = Self::size((per_second, burst));
        let held = self.0.map_or(full, |(held, at)| full.min(held + (clock - at)));
        let enough = held >= each;
        self.0 = Some((if enough { held - each } else { held }, clock));
        enough
    }

    /// When it is full again.
    pub fn fills_at(&self, rate: (u32, u32)) -> u64 {
        let (_, full) = Self::size(rate);
        self.0.map_or(0, |(held, at)| at + (full - held))
    }

    /// The nanoseconds that one event takes, and those that a full bucket holds.
    pub(super) fn size((per_second, burst): (u32, u32)) -> (u64, u64) {
        let each = SECOND / u64::from(per_second);
        (each, each * u64::from(burst.max(1)))
    }
}

/// The buckets of one client, and its account of refusals.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ClientRates {
    pub(super) frames: Bucket,
    pub(super) commands: Bucket,
    pub(super) publishes: Bucket,
    pub(super) joins: Bucket,
    /// Since when refusals are counted, and how many there were.
    pub(super) refusals: Option<(u64, usize)>,
}

/// Who comes from one address.
#[derive(Clone, Debug, Default)]
pub(super) struct AddressRate {
    pub(super) arrivals: Bucket,
    /// When nothing is left of it, once it has no connection.
    pub(super) forgotten_at: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_fills_at_its_rate() {
        let mut bucket = Bucket::default();
        let rate = (2, 2);
        assert!(bucket.take(0, rate) && bucket.take(0, rate) && !bucket.take(0, rate));
        assert!(!bucket.take(SECOND / 2 - 1, rate) && bucket.take(SECOND / 2, rate));
        assert!(bucket.take(9 * SECOND, rate) && bucket.take(9 * SECOND, rate) && !bucket.take(9 * SECOND, rate));
    }
}
