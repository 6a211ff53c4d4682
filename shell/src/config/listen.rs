//! The setting `listen`: the addresses and the port to listen on.

use super::value::SettingValue;
use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

/// The addresses that the server listens on. Port 0 takes a free one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listen {
    /// One address.
    Address(SocketAddr),
    /// The loopback addresses of IPv4 and, where the system has it, IPv6.
    Localhost(u16),
    /// Every address of this machine.
    Everywhere(u16),
}

impl Listen {
    /// Whether only this machine can reach the address.
    #[must_use]
    pub fn is_loopback(self) -> bool {
        match self {
            Self::Address(address) => address.ip().to_canonical().is_loopback(),
            Self::Localhost(_) => true,
            Self::Everywhere(_) => false,
        }
    }

    /// The port, as it was set.
    #[must_use]
    pub fn port(self) -> u16 {
        match self {
            Self::Address(address) => address.port(),
            Self::Localhost(port) | Self::Everywhere(port) => port,
        }
    }
}

impl From<SocketAddr> for Listen {
    fn from(address: SocketAddr) -> Self {
        Self::Address(address)
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
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Localhost(port) => write!(f, "localhost:{port}"),
            Self::Everywhere(port) => write!(f, ":{port}"),
        }
    }
}

impl SettingValue for Listen {
    const ALLOWED: &'static str = "an IP address and a port such as 127.0.0.1:8000 or [::]:8000, localhost:8000, \
                                   8000 which is the same, or :8000 for every address";

    fn parse_value(text: &str) -> Option<Self> {
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
        ] {
            let wrong = Listen::from_str(text).unwrap_err();
            assert!(wrong.contains("127.0.0.1:8000") && wrong.contains(":8000 for every address"), "{wrong}");
        }
    }
}
