//! How much clients may ask for: buckets that fill at a rate, and an account of refusals.

use super::Oracle;
use crate::coverage::Goal;
use parlor_core::Limits;

const SECOND: u64 = 1_000_000_000;
/// So many refusals within this time end a connection (SEMANTICS 8).
const REFUSALS: (u32, u64) = (100, 10 * SECOND);

/// Holds so many nanoseconds' worth of events; full at the start.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Bucket(Option<(u64, u64)>);

impl Bucket {
    /// Takes one event's worth, if it is there.
    pub fn take(&mut self, clock: u64, (per_second, burst): (u32, u32)) -> bool {
        if per_second == 0 {
            return true;
        }
        let each = SECOND / u64::from(per_second);
        let full = each * u64::from(burst.max(1));
        let held = self.0.map_or(full, |(held, at)| full.min(held + (clock - at)));
        let enough = held >= each;
        self.0 = Some((if enough { held - each } else { held }, clock));
        enough
    }
}

/// What one client has asked for lately.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Pace {
    commands: Bucket,
    publishes: Bucket,
    /// Since when refusals are counted, and how many there were.
    refusals: Option<(u64, u32)>,
}

impl Oracle {
    /// Whether a client may ask for one thing more now.
    pub(super) fn may_ask(&mut self, peer: usize) -> bool {
        let (clock, limits) = (self.clock, self.limits());
        let rate = (limits.client_commands.per_second, limits.client_commands.burst);
        let may = self.conn(peer).is_none_or(|conn| conn.pace.commands.take(clock, rate));
        may || self.refused_for_rate(peer, "client_commands")
    }

    /// Whether a client may publish once more now.
    pub(super) fn may_publish(&mut self, peer: usize) -> bool {
        let (clock, limits) = (self.clock, self.limits());
        let rate = (limits.client_publishes.per_second, limits.client_publishes.burst);
        let may = self.conn(peer).is_none_or(|conn| conn.pace.publishes.take(clock, rate));
        may || self.refused_for_rate(peer, "client_publishes")
    }

    /// Counts a refusal, and closes the connection for the last of too many. Returns false.
    fn refused_for_rate(&mut self, peer: usize, limit: &'static str) -> bool {
        self.goals.reach(if limit == "client_commands" { Goal::CommandRate } else { Goal::PublishRate });
        self.hit(limit);
        let clock = self.clock;
        let conn = self.conn(peer).expect("it has asked");
        let (since, count) = conn.pace.refusals.filter(|(since, _)| clock - since < REFUSALS.1).unwrap_or((clock, 0));
        conn.pace.refusals = Some((since, count + 1));
        if count + 1 >= REFUSALS.0 {
            self.close(peer, 3013);
        }
        false
    }

    fn limits(&self) -> Limits {
        self.config.limits.clone()
    }

    /// Takes note that a limit was in the way.
    pub(super) fn hit(&mut self, limit: &'static str) {
        *self.counted.limits.entry(limit).or_default() += 1;
    }
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
