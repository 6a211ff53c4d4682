//! Where connections come from, as far as limits count them.

use crate::limits::gcra::Gcra;
use crate::time::Instant;
use core::net::{IpAddr, Ipv6Addr};

/// An address that limits count: one of IPv4, or all of an IPv6 /64, which is what one customer has at least.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address(IpAddr);

/// The bits of an IPv6 address that name its network.
const NETWORK: u128 = !0 << 64;

impl Address {
    /// Whether it is one of this machine.
    #[must_use]
    pub const fn is_loopback(self) -> bool {
        match self.0 {
            IpAddr::V4(address) => address.is_loopback(),
            // The last bits are left out; nobody is at the other addresses of the network.
            IpAddr::V6(address) => address.to_bits() == 0,
        }
    }
}

/// An IPv4 address is the same one when it is written as IPv6.
impl From<IpAddr> for Address {
    fn from(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & NETWORK)),
            four => four,
        })
    }
}

/// The use of one address, while a limit by address is on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AddressUse {
    pub connections: usize,
    pub rate: Gcra,
    /// The time at which it is forgotten, if it has no connection then.
    pub armed: Instant,
}

impl AddressUse {
    pub const NEW: Self = Self { connections: 0, rate: Gcra::NEW, armed: Instant::NEVER };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Address {
        Address::from(text.parse::<IpAddr>().unwrap())
    }

    #[test]
    fn an_ipv6_network_is_one_address_and_an_ipv4_address_is_one() {
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
    fn loopback_is_loopback_in_both_families() {
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
