//! The addresses of clients, in the granularity in which limits count them.

use crate::limits::gcra::Gcra;
use crate::timers::Armed;
use core::net::{IpAddr, Ipv6Addr};

/// An address that limits count: an IPv4 address, or an IPv6 /64, which is the least that one customer is assigned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub struct Address(IpAddr);

/// The mask of the network bits of an IPv6 address.
const NETWORK: u128 = !0 << 64;

impl Address {
    /// Returns `true` for a loopback address.
    #[must_use]
    pub const fn is_loopback(self) -> bool {
        match self.0 {
            IpAddr::V4(address) => address.is_loopback(),
            // The host bits are cleared, so `::1` is `::` here; no other address of that network is in use.
            IpAddr::V6(address) => address.to_bits() == 0,
        }
    }
}

/// An IPv4-mapped IPv6 address equals the IPv4 address.
impl From<IpAddr> for Address {
    fn from(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & NETWORK)),
            four => four,
        })
    }
}

/// The connections of one address, kept while a limit by address is on.
#[derive(Clone, Copy, Debug, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub(crate) struct AddressUse {
    /// The number of its connections.
    pub connections: usize,
    /// The rate of its new connections, `new_connections_per_ip`.
    pub rate: Gcra,
    /// The entry in the hub's queue of timers: the time at which the record is discarded, unless the address has a
    /// connection then.
    pub armed: Armed,
}

impl AddressUse {
    /// The state before the first connection.
    pub const NEW: Self = Self { connections: 0, rate: Gcra::NEW, armed: Armed::NO };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Address {
        Address::from(text.parse::<IpAddr>().unwrap())
    }

    #[test]
    fn an_ipv6_64_counts_as_one_address_and_so_does_an_ipv4_address() {
        for (one, other, same) in [
            ("192.0.2.1", "192.0.2.1", true),
            ("192.0.2.1", "192.0.2.2", false),
            ("192.0.2.1", "::ffff:192.0.2.1", true),
            ("::ffff:192.0.2.1", "::ffff:192.0.2.2", false),
            ("2001:db8:0:1::1", "2001:db8:0:1:ffff:ffff:ffff:ffff", true),
            ("2001:db8:0:1::1", "2001:db8:0:2::1", false),
        ] {
            assert_eq!(address(one) == address(other), same, "{one} and {other}");
        }
    }

    #[test]
    fn loopback_addresses_of_both_families_are_recognised() {
        for (text, is_loopback) in [
            ("127.0.0.1", true),
            ("127.9.9.9", true),
            ("::1", true),
            ("::ffff:127.0.0.1", true),
            ("::ffff:192.0.2.1", false),
            ("192.0.2.1", false),
            ("2001:db8::1", false),
        ] {
            assert_eq!(address(text).is_loopback(), is_loopback, "{text}");
        }
    }
}
