//! The rate at which something comes from each address: wrong API keys, or TLS handshakes.

use parlor_core::limits::{Gcra, Rate};
use parlor_core::{Address, Instant};
use std::collections::{BTreeMap, BTreeSet};

/// The addresses that are remembered, at most. Where there are more, the one that would be forgotten first is.
const ADDRESSES: usize = 10_000;

/// The addresses from which events have come lately.
#[derive(Debug, Default)]
pub(crate) struct AddressRates {
    rates: BTreeMap<Address, Gcra>,
    /// The same addresses, by the time at which their events no longer matter.
    idle: BTreeSet<(Instant, Address)>,
}

impl AddressRates {
    /// Counts an event. False, and counts nothing, where the address exceeds the rate. O(log addresses).
    pub(crate) fn take(&mut self, now: Instant, address: Address, rate: Rate) -> bool {
        if rate == Rate::OFF {
            return true;
        }
        self.forget_idle(now);
        let mut known = self.rates.get(&address).copied().unwrap_or(Gcra::NEW);
        let before = known;
        if !known.take(now, rate) {
            return false;
        }
        self.idle.remove(&(before.idle_at(), address));
        self.rates.insert(address, known);
        self.idle.insert((known.idle_at(), address));
        if self.rates.len() > ADDRESSES {
            self.forget_first();
        }
        true
    }

    /// Forgets the addresses whose events no longer matter.
    fn forget_idle(&mut self, now: Instant) {
        while self.idle.first().is_some_and(|(idle_at, _)| *idle_at <= now) {
            self.forget_first();
        }
    }

    fn forget_first(&mut self) {
        if let Some((_, address)) = self.idle.pop_first() {
            self.rates.remove(&address);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
    use std::time::Duration;

    const RATE: Rate = Rate { per_second: 1, burst: 3 };

    fn at(millis: u64) -> Instant {
        Instant(0).after(Duration::from_millis(millis))
    }

    fn four(number: u32) -> Address {
        IpAddr::V4(Ipv4Addr::from_bits(number)).into()
    }

    fn six(network: u16, host: u16) -> Address {
        IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, network, 0, 0, 0, host)).into()
    }

    #[test]
    fn an_address_has_a_burst_and_then_its_rate() {
        let mut rates = AddressRates::default();
        let taken: Vec<bool> = (0..5).map(|_| rates.take(at(0), four(1), RATE)).collect();
        assert_eq!(taken, [true, true, true, false, false]);
        assert!(rates.take(at(0), four(2), RATE), "another address is not concerned");
        assert!(!rates.take(at(999), four(1), RATE));
        assert!(rates.take(at(1000), four(1), RATE) && !rates.take(at(1000), four(1), RATE));
        assert!((0..1000).all(|_| rates.take(at(1000), four(1), Rate::OFF)));
    }

    #[test]
    fn an_ipv6_64_is_one_address() {
        let mut rates = AddressRates::default();
        assert!((0..3).all(|host| rates.take(at(0), six(1, host), RATE)));
        assert!(!rates.take(at(0), six(1, 7), RATE) && rates.take(at(0), six(2, 7), RATE));
    }

    #[test]
    fn an_address_is_forgotten_once_its_events_do_not_matter() {
        let mut rates = AddressRates::default();
        (0..100).for_each(|number| assert!(rates.take(at(0), four(number), RATE)));
        assert!(rates.take(at(500), four(7), RATE));
        assert_eq!((rates.rates.len(), rates.idle.len()), (100, 100));
        assert!(rates.take(at(1000), four(1000), RATE));
        assert_eq!((rates.rates.len(), rates.idle.len()), (2, 2), "the new one, and the one with two events");
    }

    #[test]
    fn memory_is_bounded_and_the_fastest_address_is_remembered() {
        let mut rates = AddressRates::default();
        assert!((0..3).all(|_| rates.take(at(0), four(0), RATE)));
        for number in 1..=3 * u32::try_from(ADDRESSES).unwrap() {
            assert!(rates.take(at(0), four(number), RATE));
        }
        assert_eq!((rates.rates.len(), rates.idle.len()), (ADDRESSES, ADDRESSES));
        assert!(!rates.take(at(0), four(0), RATE));
    }
}
