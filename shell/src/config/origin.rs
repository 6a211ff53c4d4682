//! Origins of web pages (RFC 6454), as browsers send them and as settings name them.

use super::value::{Form, SettingValue};
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

/// The origin of a web page: scheme, host and port, in the form that browsers send. The default port of a scheme equals
/// none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    scheme: String,
    host: OriginHost,
    /// None where it is the scheme's default.
    port: Option<u16>,
}

/// The host of an origin or of a `Host` header.
#[derive(Clone, Debug, PartialEq, Eq)]
enum OriginHost {
    /// A name, in lower case.
    Name(String),
    Address(IpAddr),
}

/// The top-level name that always resolves to this machine (RFC 6761 section 6.3).
const LOCALHOST: &str = "localhost";

impl Origin {
    /// Parses the value of an `Origin` header. None where it is no origin, such as `null`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (scheme, authority) = text.split_once("://")?;
        let is_scheme = scheme.starts_with(|first: char| first.is_ascii_alphabetic())
            && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
        let scheme = scheme.to_ascii_lowercase();
        let (host, port) = parse_authority(authority).filter(|_| is_scheme)?;
        Some(Self { port: port.filter(|port| default_port(&scheme) != Some(*port)), scheme, host })
    }

    /// Whether the page comes from this machine.
    pub(crate) fn is_loopback(&self) -> bool {
        match &self.host {
            OriginHost::Address(address) => address.to_canonical().is_loopback(),
            OriginHost::Name(name) => {
                let name = name.strip_suffix('.').unwrap_or(name);
                name.strip_suffix(LOCALHOST).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
            }
        }
    }

    /// Whether `host` is the host and port of this origin.
    pub(crate) fn is_at(&self, host: &str) -> bool {
        parse_authority(host).is_some_and(|(host, port)| {
            host == self.host && port.filter(|port| default_port(&self.scheme) != Some(*port)) == self.port
        })
    }

    /// Whether the origin has this scheme.
    pub(crate) fn is_over(&self, scheme: &str) -> bool {
        self.scheme == scheme
    }

    /// Whether the scheme is http or https, and not that of an application or a browser extension.
    pub(crate) fn is_http(&self) -> bool {
        default_port(&self.scheme).is_some()
    }

    /// Parses one origin of a setting.
    ///
    /// # Errors
    /// The reason for which no browser sends such an origin, with the right form where there is one.
    fn configured(text: &str) -> Result<Self, String> {
        // Everything before the last @ may be a password.
        let shown = text.rsplit_once('@').map_or(text.to_owned(), |(_, place)| format!("…@{place}"));
        if text.contains('*') {
            return Err(format!("{shown:?} never matches: write each origin in full, or * alone for any page"));
        }
        if text.eq_ignore_ascii_case("null") {
            return Err("null stands for every page without an origin; write * alone to let all pages connect".into());
        }
        match Self::parse(text).filter(|origin| !matches!(&*origin.scheme, "ws" | "wss")) {
            Some(origin) => Ok(origin),
            None if !text.is_ascii() => {
                Err(format!("{shown:?} never matches: browsers send such a name in its ASCII form, xn--…"))
            }
            None => Err(match Self::suggestion(text) {
                Some(origin) => format!("{shown:?} never matches: write {origin}"),
                None => format!("{shown:?} is not an origin such as https://app.example.com"),
            }),
        }
    }

    /// The origin that a text was probably meant to be.
    fn suggestion(text: &str) -> Option<Self> {
        let lower = text.to_ascii_lowercase();
        let after = |scheme: &str| lower.strip_prefix(scheme)?.strip_prefix(':');
        let (scheme, rest) = [("https", "https"), ("http", "http"), ("wss", "https"), ("ws", "http")]
            .into_iter()
            .find_map(|(written, scheme)| Some((Some(scheme), after(written)?)))
            .or_else(|| lower.split_once("://").map(|(scheme, rest)| (Some(scheme), rest)))
            .unwrap_or((None, &lower));
        let authority = rest.trim_start_matches(['/', '\\']).split(['/', '\\', '?', '#']).next()?;
        let authority = authority.rsplit('@').next()?.trim_end_matches(':');
        let with = |scheme: &str| Self::parse(&format!("{scheme}://{authority}"));
        match scheme {
            Some(scheme) => with(scheme),
            None => with("http").filter(Self::is_loopback).or_else(|| with("https")),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://", self.scheme)?;
        match &self.host {
            OriginHost::Name(name) => f.write_str(name)?,
            OriginHost::Address(IpAddr::V4(address)) => write!(f, "{address}")?,
            OriginHost::Address(IpAddr::V6(address)) => write!(f, "[{address}]")?,
        }
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    }
}

/// Parses a host with or without a port (RFC 3986 section 3.2). An empty port is none.
fn parse_authority(text: &str) -> Option<(OriginHost, Option<u16>)> {
    let end = if text.starts_with('[') { text.find(']')? + 1 } else { text.find(':').unwrap_or(text.len()) };
    let (host, port) = text.split_at(end);
    let port = match port.strip_prefix(':') {
        Some("") => None,
        Some(port) => Some(port.parse().ok().filter(|_| port.bytes().all(|byte| byte.is_ascii_digit()))?),
        None if port.is_empty() => None,
        None => return None,
    };
    Some((OriginHost::parse(host)?, port))
}

/// Whether a text is a valid host with or without a port (RFC 3986 section 3.2.2), even one that no page comes from.
pub(crate) fn is_authority(text: &str) -> bool {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((address, port)) if is_literal(address) => (address, port),
            _ => return false,
        },
        None => text.split_at(text.find(':').unwrap_or(text.len())),
    };
    let is_name = text.starts_with('[') || is_registered_name(host);
    let is_port =
        port.is_empty() || port.strip_prefix(':').is_some_and(|port| port.bytes().all(|b| b.is_ascii_digit()));
    !host.is_empty() && is_name && is_port
}

/// Whether a text may stand between brackets: an IPv6 address, or one of a future version.
fn is_literal(text: &str) -> bool {
    let is_future = || {
        let (version, address) = text.strip_prefix(['v', 'V'])?.split_once('.')?;
        let is_hexadecimal = !version.is_empty() && version.bytes().all(|byte| byte.is_ascii_hexdigit());
        Some(is_hexadecimal && !address.is_empty() && address.bytes().all(|byte| is_plain(byte) || byte == b':'))
    };
    text.parse::<Ipv6Addr>().is_ok() || is_future().unwrap_or(false)
}

fn is_registered_name(text: &str) -> bool {
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let is_hexadecimal = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_hexdigit());
        let is_good =
            if byte == b'%' { is_hexadecimal(bytes.next()) && is_hexadecimal(bytes.next()) } else { is_plain(byte) };
        if !is_good {
            return false;
        }
    }
    true
}

/// Whether a byte may be in a name without percent-encoding.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=".contains(&byte)
}

impl OriginHost {
    fn parse(text: &str) -> Option<Self> {
        if let Some(address) = text.strip_prefix('[') {
            return Some(Self::Address(IpAddr::V6(address.strip_suffix(']')?.parse().ok()?)));
        }
        let is_name = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
        let last = text.strip_suffix('.').unwrap_or(text).rsplit('.').next()?;
        if last.is_empty() || !is_name {
            return None;
        }
        // Browsers read a name whose last label is a number as an IPv4 address, and send that.
        if last.bytes().all(|byte| byte.is_ascii_digit()) {
            return Some(Self::Address(IpAddr::V4(text.parse().ok()?)));
        }
        Some(Self::Name(text.to_ascii_lowercase()))
    }
}

/// The origins that a setting names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origins {
    /// Whether every page may connect, whatever its origin.
    pub(crate) any: bool,
    listed: Vec<Origin>,
}

impl Origins {
    /// Whether the setting names no origin, which is the same as not set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        !self.any && self.listed.is_empty()
    }

    /// The named origins.
    pub fn iter(&self) -> impl Iterator<Item = &Origin> {
        self.listed.iter()
    }
}

impl FromStr for Origins {
    type Err = String;

    /// Parses origins that are separated by commas; `*` is any.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut origins = Self::default();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            match part {
                "*" => origins.any = true,
                _ => origins.listed.push(Origin::configured(part)?),
            }
        }
        Ok(origins)
    }
}

impl SettingValue for Origins {
    const ALLOWED: &'static str = "origins separated by commas such as https://app.example.com, or an array of them";
    const FORM: Form = Form::List;

    fn parse_value(text: &str) -> Option<Self> {
        text.parse().ok()
    }

    fn parse_or_explain(text: &str) -> Result<Self, String> {
        let origins: Self = text.parse()?;
        // An empty list reads like "no page", and would mean "not set".
        if origins.is_empty() { Err(format!("expected {}, and at least one", Self::ALLOWED)) } else { Ok(origins) }
    }

    fn to_text(&self) -> Option<String> {
        let any = self.any.then(|| "*".into());
        let shown: Vec<String> = any.into_iter().chain(self.iter().map(Origin::to_string)).collect();
        (!shown.is_empty()).then(|| shown.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_told_from_what_is_none() {
        for host in [
            "a",
            "A.b-c_d.example",
            "a:8000",
            "a:",
            "a.",
            "127.0.0.1:80",
            "[::1]",
            "[2001:db8::1]:8443",
            "[v1.a:b]:1",
            "a%2Fb",
            "a,b",
        ] {
            assert!(is_authority(host), "{host:?}");
        }
        for text in [
            "",
            ":",
            ":80",
            "a b/c",
            "a b",
            "a\tb",
            "a/b",
            "a?b",
            "a#b",
            "u@a",
            "u:p@a",
            "a:b",
            "a:-1",
            "a:80:80",
            "::1",
            "[::1",
            "[]",
            "[a]",
            "[::1]a",
            "[::1%25eth0]",
            "[v.a]",
            "a%",
            "a%2",
            "a%zz",
            "http://a",
            "b\u{fc}cher.example",
            "a\\b",
            "\"a\"",
            "<a>",
        ] {
            assert!(!is_authority(text), "{text:?}");
        }
    }

    #[test]
    fn origins_that_browsers_may_send_are_taken_in_their_form() {
        for (text, form) in [
            ("https://app.example.com", "https://app.example.com"),
            ("HTTPS://App.Example.COM", "https://app.example.com"),
            ("https://app.example.com:443", "https://app.example.com"),
            ("http://app.example.com:0080", "http://app.example.com"),
            ("https://app.example.com:", "https://app.example.com"),
            ("http://app.example.com:443", "http://app.example.com:443"),
            ("https://app.example.com:80", "https://app.example.com:80"),
            ("http://192.0.2.1:3000", "http://192.0.2.1:3000"),
            ("https://[2001:DB8:0::1]:8443", "https://[2001:db8::1]:8443"),
            ("https://example.com.", "https://example.com."),
            ("capacitor://localhost", "capacitor://localhost"),
            ("chrome-extension://abcdefghijklmnop", "chrome-extension://abcdefghijklmnop"),
        ] {
            let origins: Origins = text.parse().unwrap();
            assert_eq!(origins.to_text().as_deref(), Some(form));
        }
        let several: Origins = " https://a.example , *,http://b.example,".parse().unwrap();
        assert_eq!(several.to_text().as_deref(), Some("*,https://a.example,http://b.example"));
        assert!(Origins::from_str(" , ").unwrap().is_empty());
    }

    #[test]
    fn origins_that_no_browser_sends_are_refused_with_the_right_form() {
        for (text, form) in [
            ("https://app.example.com/", "https://app.example.com"),
            ("https://app.example.com/chat?x#y", "https://app.example.com"),
            ("app.example.com", "https://app.example.com"),
            ("App.example.com:8443/", "https://app.example.com:8443"),
            ("//app.example.com", "https://app.example.com"),
            ("localhost:3000", "http://localhost:3000"),
            ("https:/app.example.com", "https://app.example.com"),
            ("http:\\\\app.example.com", "http://app.example.com"),
            ("wss://app.example.com/ws", "https://app.example.com"),
            ("wss://app.example.com", "https://app.example.com"),
            ("ws://app.example.com:80", "http://app.example.com"),
            ("https://ann:secret@app.example.com", "https://app.example.com"),
            ("app://ui/index.html", "app://ui"),
        ] {
            let wrong = Origins::from_str(text).map(|origins| origins.to_text());
            assert!(wrong.as_ref().unwrap_err().ends_with(&format!("never matches: write {form}")), "{wrong:?}");
            assert!(!wrong.unwrap_err().contains("secret"), "{text}");
        }
        for text in [
            "https://*.example.com",
            "*.example.com",
            "null",
            "https://b\u{fc}cher.example",
            "https://a b.example",
            "https://a.example https://b.example",
            "https://",
            "https://127.1",
            "https://[::1",
            "https://[::1]x",
            "https://a.example:65536",
            "https://a.example:+1",
            "https://a..",
            "1http://a.example",
            "'https://a.example'",
            "https://ann:secret@*.example.com",
            "https://ann:secret@b\u{fc}cher.example",
            "https://ann:secret@",
        ] {
            let wrong = Origins::from_str(text).unwrap_err();
            assert!(!wrong.contains("write http") && !wrong.contains("secret"), "{wrong}");
        }
    }
}
