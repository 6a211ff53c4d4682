//! The settings `listen` and `internal_listen`: the addresses and the ports to listen on.

use super::value::{Form, SettingValue};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

/// A kind of listening socket: the setting that its address is in, and so what it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListenerKind {
    /// Clients, and everything that `internal_listen` does not keep to itself (`listen`).
    Public,
    /// Operators and backends (`internal_listen`).
    Internal,
}

impl ListenerKind {
    /// The name of the setting.
    #[must_use]
    pub fn setting(self) -> &'static str {
        match self {
            Self::Public => "listen",
            Self::Internal => "internal_listen",
        }
    }
}

/// The addresses that the server listens on, at least one and at most [`LISTEN_ADDRESSES`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    addresses: Vec<ListenAddress>,
}

/// The addresses that each of the two settings may name, at most.
pub const LISTEN_ADDRESSES: usize = 16;

/// The addresses of one entry. Port 0 takes a free one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListenAddress {
    /// One address.
    Address(SocketAddr),
    /// The loopback addresses of IPv4 and, where the system has it, IPv6.
    Localhost(u16),
    /// Every address of this machine.
    Everywhere(u16),
}

impl Listen {
    /// The addresses, in the order in which they were written.
    #[must_use]
    pub fn addresses(&self) -> &[ListenAddress] {
        &self.addresses
    }

    /// Whether only this machine can reach the server.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        self.addresses.iter().all(|address| address.is_loopback())
    }

    /// The first port, as it was set.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.addresses[0].port()
    }

    /// The addresses that others can reach, as they were written.
    #[must_use]
    pub fn public(&self) -> String {
        self.those(|address| !address.is_loopback())
    }

    /// The addresses that may be reached from other networks than this machine's own, as they were written.
    pub(super) fn exposed(&self) -> String {
        self.those(|address| address.ips().into_iter().any(|ip| !is_of_a_private_network(ip)))
    }

    /// The addresses that cannot be bound beside `others`, as they were written.
    pub(super) fn taken_by(&self, others: &Self) -> String {
        self.those(|address| others.addresses.iter().any(|other| address.overlaps(*other)))
    }

    fn those(&self, are_meant: impl Fn(ListenAddress) -> bool) -> String {
        let meant = self.addresses.iter().filter(|address| are_meant(**address));
        meant.map(ListenAddress::to_string).collect::<Vec<_>>().join(", ")
    }
}

impl ListenAddress {
    fn is_loopback(self) -> bool {
        match self {
            Self::Address(address) => address.ip().to_canonical().is_loopback(),
            Self::Localhost(_) => true,
            Self::Everywhere(_) => false,
        }
    }

    fn port(self) -> u16 {
        match self {
            Self::Address(address) => address.port(),
            Self::Localhost(port) | Self::Everywhere(port) => port,
        }
    }

    fn ips(self) -> Vec<IpAddr> {
        match self {
            Self::Address(address) => vec![address.ip().to_canonical()],
            Self::Localhost(_) => vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()],
            Self::Everywhere(_) => vec![Ipv6Addr::UNSPECIFIED.into()],
        }
    }

    /// Whether the system gives only one of two sockets its address.
    fn overlaps(self, other: Self) -> bool {
        // Port 0 is another one for each.
        let is_same_port = self.port() == other.port() && self.port() != 0;
        is_same_port
            && self.ips().iter().any(|one| other.ips().iter().any(|two| covers(*one, *two) || covers(*two, *one)))
    }
}

/// Whether a socket at `whole` gets what is sent to `ip`. One for every address of IPv6 is for those of IPv4, too.
fn covers(whole: IpAddr, ip: IpAddr) -> bool {
    whole == ip
        || whole == IpAddr::V6(Ipv6Addr::UNSPECIFIED)
        || (whole == IpAddr::V4(Ipv4Addr::UNSPECIFIED) && ip.is_ipv4())
}

/// Whether an address is one of this machine or of a private network (RFC 1918, RFC 4193, RFC 6598), or link-local.
fn is_of_a_private_network(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            let is_shared = ip.octets()[0] == 100 && ip.octets()[1] & 0xc0 == 64;
            ip.is_loopback() || ip.is_private() || ip.is_link_local() || is_shared
        }
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
    }
}

impl Listen {
    /// The addresses of sockets that are there already. None where there are none.
    ///
    /// # Errors
    /// A sentence where there are more than [`LISTEN_ADDRESSES`].
    pub(super) fn of_sockets(addresses: &[SocketAddr]) -> Result<Option<Self>, String> {
        if addresses.len() > LISTEN_ADDRESSES {
            let number = addresses.len();
            return Err(format!(
                "{number} sockets were handed over; there may be at most {LISTEN_ADDRESSES} of a kind"
            ));
        }
        let addresses: Vec<ListenAddress> = addresses.iter().copied().map(ListenAddress::Address).collect();
        Ok((!addresses.is_empty()).then_some(Self { addresses }))
    }
}

impl From<SocketAddr> for Listen {
    fn from(address: SocketAddr) -> Self {
        Self { addresses: vec![ListenAddress::Address(address)] }
    }
}

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::parse_or_explain(text)
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts: Vec<String> = self.addresses.iter().map(ListenAddress::to_string).collect();
        f.write_str(&texts.join(", "))
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Localhost(port) => write!(f, "localhost:{port}"),
            Self::Everywhere(port) => write!(f, ":{port}"),
        }
    }
}

impl ListenAddress {
    fn parse(text: &str) -> Option<Self> {
        if let Ok(address) = text.parse() {
            return Some(Self::Address(address));
        }
        let (host, port) = text.rsplit_once(':').map_or((None, text), |(host, port)| (Some(host), port));
        let port = port.parse().ok().filter(|_| port.bytes().all(|byte| byte.is_ascii_digit()))?;
        match host {
            // A port alone is one of this machine: an address that others can reach must be written.
            None => Some(Self::Localhost(port)),
            Some("" | "*") => Some(Self::Everywhere(port)),
            Some(host) if host.eq_ignore_ascii_case("localhost") => Some(Self::Localhost(port)),
            // Names are not resolved: their addresses may change.
            Some(_) => None,
        }
    }
}

impl SettingValue for Listen {
    const ALLOWED: &'static str = "an IP address and a port such as 127.0.0.1:8000 or [::]:8000, localhost:8000, \
                                   8000 which is the same, :8000 for every address, or up to 16 of these, \
                                   separated by commas or as an array";
    const FORM: Form = Form::WordList;

    fn parse_value(text: &str) -> Option<Self> {
        let addresses: Option<Vec<_>> = text.split(',').map(|part| ListenAddress::parse(part.trim())).collect();
        addresses.filter(|addresses| addresses.len() <= LISTEN_ADDRESSES).map(|addresses| Self { addresses })
    }

    fn to_text(&self) -> Option<String> {
        Some(self.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_private_networks_are_not_exposed() {
        for (text, exposed) in [
            ("localhost:9000, 127.0.0.2:9000, 10.1.2.3:9000, 172.31.0.1:9000, 192.168.0.1:9000, 169.254.1.1:9000", ""),
            ("100.64.0.1:9000, 100.127.255.255:9000, [fd00::1]:9000, [fe80::1]:9000, [::ffff:10.0.0.1]:9000", ""),
            ("10.1.2.3:9000, :9000, 0.0.0.0:9000, 172.32.0.1:9000", ":9000, 0.0.0.0:9000, 172.32.0.1:9000"),
            ("100.128.0.1:9000, [2001:db8::1]:9000, [::]:9000", "100.128.0.1:9000, [2001:db8::1]:9000, [::]:9000"),
        ] {
            assert_eq!(text.parse::<Listen>().unwrap().exposed(), exposed);
        }
    }

    #[test]
    fn an_address_can_be_listened_on_once() {
        for (one, other, taken) in [
            ("8000", "localhost:9000", ""),
            ("0", "localhost:0", ""),
            ("8000", "127.0.0.1:8000", "localhost:8000"),
            ("[::1]:8000", "8000", "[::1]:8000"),
            ("127.0.0.2:8000", "8000", ""),
            ("9000, 10.0.0.1:8000", ":8000", "10.0.0.1:8000"),
            (":8000", "10.0.0.1:8000", ":8000"),
            ("0.0.0.0:8000", "127.0.0.1:8000", "0.0.0.0:8000"),
            ("0.0.0.0:8000", "[::1]:8000", ""),
        ] {
            let [one, other]: [Listen; 2] = [one, other].map(|text| text.parse().unwrap());
            assert_eq!(one.taken_by(&other), taken, "{one} and {other}");
        }
    }

    #[test]
    fn every_usual_form_is_understood() {
        for (text, shown, is_loopback) in [
            ("127.0.0.1:8000", "127.0.0.1:8000", true),
            ("127.8.0.1:0", "127.8.0.1:0", true),
            ("[::1]:8000", "[::1]:8000", true),
            ("[::ffff:127.0.0.1]:8000", "[::ffff:127.0.0.1]:8000", true),
            ("localhost:8000", "localhost:8000", true),
            ("LocalHost:0", "localhost:0", true),
            ("8000", "localhost:8000", true),
            (":8000", ":8000", false),
            ("*:8000", ":8000", false),
            ("0.0.0.0:8000", "0.0.0.0:8000", false),
            ("[::]:8000", "[::]:8000", false),
            ("192.0.2.1:8000", "192.0.2.1:8000", false),
            ("8000,[::1]:8001", "localhost:8000, [::1]:8001", true),
            ("127.0.0.1:8000, 192.0.2.1:8001", "127.0.0.1:8000, 192.0.2.1:8001", false),
        ] {
            let listen: Listen = text.parse().unwrap();
            assert_eq!((listen.to_text().as_deref(), listen.is_loopback()), (Some(shown), is_loopback), "{text}");
            assert_eq!(listen.to_text().unwrap().parse(), Ok(listen));
        }
        for text in [
            "",
            ":",
            "localhost",
            "localhost:",
            "65536",
            ":65536",
            "+1",
            ":+1",
            "::1:8000",
            "[::1]",
            "127.0.0.1",
            "host:80",
            "8000,",
            "8000,host:80",
            &["8000"; 17].join(","),
        ] {
            let wrong = Listen::from_str(text).unwrap_err();
            assert!(wrong.contains("127.0.0.1:8000") && wrong.contains(":8000 for every address"), "{wrong}");
        }
    }
}
