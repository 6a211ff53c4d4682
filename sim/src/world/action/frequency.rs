//! How often each kind of action comes in random runs: the last part of its row.

use crate::rng::Rng;

/// How often a kind of action is drawn. In each run a weight is drawn for it, from a stream of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frequency {
    /// In how many of 100 runs clients and backends do it at all.
    percent: u64,
    /// Its least and its largest weight in those.
    weight: (u64, u64),
    /// The same where everyone comes in first and time hardly passes.
    calm: (u64, u64),
    /// The faults that it belongs to, with its largest weight among them.
    fault: Option<(Family, u64)>,
    /// Only worlds with slow links have it.
    of_slow_links: bool,
}

/// Faults that a run has all of or none of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Sockets are lost.
    Lost,
    /// Sockets take little.
    Slow,
    /// Clients die without a word.
    Vanished,
    /// Clients close, break rules, or say what nobody asked for.
    Unruly,
    /// Backends close connections.
    Dismissed,
    /// The calendar is set.
    Calendar,
    /// The server is asked to stop.
    Shutdown,
    /// Shards of a node are lost.
    ShardLost,
}

/// Searches and healing alone do it.
pub const NEVER: Frequency = Frequency { percent: 0, weight: (0, 0), calm: (0, 0), fault: None, of_slow_links: false };
/// 60 of 100 runs have it.
pub const OFTEN: Frequency = Frequency::of(60, 1, 30);
/// The same, with a larger weight in a calm run: it needs clients that stay.
pub const OFTEN_OF_THOSE_WHO_STAY: Frequency = Frequency { calm: (31, 60), ..OFTEN };
/// Time: in a calm run it hardly passes.
pub const TIME: Frequency = Frequency { calm: (15, 15), ..always(15) };

/// Every run has it, with this least weight, since nothing happens in one without it.
pub const fn always(least: u64) -> Frequency {
    Frequency::of(100, least, least + 39)
}

/// So many of 100 runs have it, with this largest weight.
pub const fn seldom(percent: u64, most: u64) -> Frequency {
    Frequency::of(percent, 1, most)
}

/// It is a fault of this family, and nothing else.
pub const fn fault(family: Family) -> Frequency {
    NEVER.or_fault(family)
}

impl Frequency {
    const fn of(percent: u64, least: u64, most: u64) -> Self {
        Self { percent, weight: (least, most), calm: (least, most), fault: None, of_slow_links: false }
    }

    /// The same with weights that are larger by this factor.
    pub const fn times(self, factor: u64) -> Self {
        let Self { weight, calm, .. } = self;
        Self { weight: (weight.0 * factor, weight.1 * factor), calm: (calm.0 * factor, calm.1 * factor), ..self }
    }

    /// The same in worlds with slow links, and never in others.
    pub const fn of_slow_links(self) -> Self {
        Self { of_slow_links: true, ..self }
    }

    /// The same, and a fault of this family besides.
    pub const fn or_fault(self, family: Family) -> Self {
        let most = if matches!(family, Family::Shutdown) { 1 } else { 30 };
        Self { fault: Some((family, most)), ..self }
    }

    /// Whether random runs draw it.
    #[must_use]
    pub fn is_drawn(self) -> bool {
        self.percent > 0 || self.fault.is_some()
    }

    /// Whether it can happen in a world of so many shards, with slow links or prompt ones.
    #[must_use]
    pub fn can_happen(self, shards: u64, are_links_slow: bool) -> bool {
        let is_of_shards = matches!(self.fault, Some((Family::ShardLost, _)));
        (!is_of_shards || shards > 1) && (!self.of_slow_links || shards > 1 && are_links_slow)
    }

    /// The weight of this word among what clients and backends do in the run of this seed.
    #[must_use]
    pub fn weight(self, seed: u64, word: &str, is_calm: bool) -> u64 {
        let mut rng = Rng::stream(seed, &format!("weight of {word}"));
        let (least, most) = if is_calm { self.calm } else { self.weight };
        if rng.chance(self.percent) { rng.between(least, most) } else { 0 }
    }

    /// The weight of this word among the faults in the run of this seed.
    #[must_use]
    pub fn fault_weight(self, seed: u64, word: &str) -> u64 {
        let Some((family, most)) = self.fault else { return 0 };
        if family.is_on(seed) { Rng::stream(seed, &format!("fault {word}")).between(1, most) } else { 0 }
    }
}

impl Family {
    fn is_on(self, seed: u64) -> bool {
        let percent = if self == Self::Shutdown { 30 } else { 50 };
        Rng::stream(seed, &format!("faults {self:?}")).chance(percent)
    }
}
