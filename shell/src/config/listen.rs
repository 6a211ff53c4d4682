//! The setting `listen`: the addresses and the ports to listen on.

use super::value::{Form, SettingValue};
use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

/// The addresses that the server listens on, at least one and at most [`LISTEN_ADDRESSES`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    addresses: Vec<ListenAddress>,
}

/// The addresses that `listen` may name, at most.
pub const LISTEN_ADDRESSES: usize = 16;

/// The addresses of one entry of `listen`. Port 0 takes a free one.
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
        let others = self.addresses.iter().filter(|address| !address.is_loopback());
        others.map(ListenAddress::to_string).collect::<Vec<_>>().join(", ")
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
