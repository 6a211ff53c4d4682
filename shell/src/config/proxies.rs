//! The setting `trusted_proxies`: addresses of proxies whose forwarding headers are believed.

use super::value::{Form, SettingValue};
use ipnet::{IpNet, Ipv4Net};
use std::net::IpAddr;
use std::str::FromStr;

/// The address ranges of trusted proxies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proxies {
    listed: Vec<IpNet>,
}

impl Proxies {
    /// Whether the setting names no range, which is the same as not set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.listed.is_empty()
    }

    /// Whether an address is in one of the ranges. An IPv4-mapped IPv6 address counts as the IPv4 address.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.listed.iter().any(|range| range.contains(&address))
    }
}

impl FromStr for Proxies {
    type Err = String;

    /// Parses ranges that are separated by commas.
    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        let listed = parts.map(|part| {
            range(part)
                .ok_or_else(|| format!("{part:?} is not an address range such as 10.0.0.0/8, 127.0.0.1 or fd00::/8"))
        });
        Ok(Self { listed: listed.collect::<Result<_, _>>()? })
    }
}

/// Parses one range or one address.
fn range(text: &str) -> Option<IpNet> {
    let range = text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from)).ok()?;
    Some(canonical(range).unwrap_or(range))
}

/// The range of IPv4 addresses that a range of IPv4-mapped IPv6 addresses stands for.
fn canonical(range: IpNet) -> Option<IpNet> {
    let IpNet::V6(six) = range else { return None };
    let prefix = six.prefix_len().checked_sub(96)?;
    Ipv4Net::new(six.addr().to_ipv4_mapped()?, prefix).ok().map(IpNet::V4)
}

impl SettingValue for Proxies {
    const ALLOWED: &'static str =
        "address ranges separated by commas such as 127.0.0.1, 10.0.0.0/8 or fd00::/8, or an array of them";
    const FORM: Form = Form::List;

    fn parse_value(text: &str) -> Option<Self> {
        text.parse().ok()
    }

    fn parse_or_explain(text: &str) -> Result<Self, String> {
        let proxies: Self = text.parse()?;
        if proxies.is_empty() { Err(format!("expected {}, and at least one", Self::ALLOWED)) } else { Ok(proxies) }
    }

    fn to_text(&self) -> Option<String> {
        let shown: Vec<String> = self.listed.iter().map(IpNet::to_string).collect();
        (!shown.is_empty()).then(|| shown.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_contains_what_is_in_it_however_it_is_written() {
        for (ranges, address, is_in) in [
            ("10.0.0.0/8", "10.255.0.1", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("10.1.2.3/8", "10.9.9.9", true),
            ("127.0.0.1", "127.0.0.1", true),
            ("127.0.0.1", "127.0.0.2", false),
            ("127.0.0.1", "::ffff:127.0.0.1", true),
            ("::ffff:10.0.0.0/104", "10.1.2.3", true),
            ("::ffff:10.0.0.0/104", "11.1.2.3", false),
            ("fd00::/8, 192.0.2.0/24", "fd12::1", true),
            ("fd00::/8, 192.0.2.0/24", "192.0.2.255", true),
            ("fd00::/8, 192.0.2.0/24", "fe80::1", false),
            ("0.0.0.0/0", "203.0.113.9", true),
            ("0.0.0.0/0", "2001:db8::1", false),
            ("::/0", "2001:db8::1", true),
        ] {
            let proxies: Proxies = ranges.parse().unwrap();
            assert_eq!(proxies.contains(address.parse().unwrap()), is_in, "{address} in {ranges}");
            assert_eq!(Proxies::parse_or_explain(&proxies.to_text().unwrap()).unwrap(), proxies, "{ranges}");
        }
    }

    #[test]
    fn what_is_no_range_is_refused_with_what_is_one() {
        for text in ["proxy.example.com", "10.0.0.0/33", "10.0.0/8", "10.0.0.1:80", "[::1]", "*", "fe80::1%eth0"] {
            let wrong = Proxies::parse_or_explain(text).unwrap_err();
            assert!(wrong.contains(text) && wrong.contains("10.0.0.0/8"), "{wrong}");
        }
        assert!(Proxies::parse_or_explain(" , ").unwrap_err().contains("at least one"));
    }
}
