//! The client's address and scheme as trusted proxies report them: `Forwarded` (RFC 7239), else `X-Forwarded-For` and
//! `X-Forwarded-Proto`.
//!
//! Each proxy appends to the right of what it got. Whatever is left of the first untrusted address may be written by the
//! client. So both headers are read from the right, up to that address.

use crate::config::Proxies;
use hyper::header::{FORWARDED, HeaderMap, HeaderName};
use parlor_core::Instant;
use std::cell::Cell;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;
use tracing::warn;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
/// The least time between two warnings.
const WARNING_INTERVAL: Duration = Duration::from_secs(60);

/// The origin of a request on the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Source {
    /// The address of the client, or of the last trusted proxy where that does not report it.
    pub(super) address: IpAddr,
    /// The scheme by which the client reached the first trusted proxy. None where no trusted proxy reports it.
    pub(super) scheme: Option<Scheme>,
}

/// The scheme of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scheme {
    Http,
    Https,
}

impl Scheme {
    /// The scheme as origins write it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        match () {
            () if ["http", "ws"].iter().any(|name| text.eq_ignore_ascii_case(name)) => Some(Self::Http),
            () if ["https", "wss"].iter().any(|name| text.eq_ignore_ascii_case(name)) => Some(Self::Https),
            () => None,
        }
    }
}

/// The report of one proxy about the sender before it.
#[derive(Debug, Default)]
struct Hop {
    address: Option<IpAddr>,
    scheme: Option<Scheme>,
}

/// The source of a request on a socket from the address `sender`.
pub(super) fn source(headers: &HeaderMap, sender: IpAddr, trusted: &Proxies) -> Source {
    if !trusted.contains(sender) {
        return Source { address: sender, scheme: None };
    }
    if headers.contains_key(FORWARDED) {
        let text = join_lines(headers, &FORWARDED);
        return follow_hops(sender, trusted, split_from_right(&text, ',').map(parse_element));
    }
    let (hops, schemes) = (join_lines(headers, &FORWARDED_FOR), join_lines(headers, &FORWARDED_PROTO));
    let schemes: Vec<&str> = items(&schemes).collect();
    let count = items(&hops).count();
    // A list as long as that of the addresses has one scheme for each hop. Of any other list, only the last item is known to
    // come from a proxy.
    let scheme = |at: usize| schemes.get(if schemes.len() == count { at } else { 0 });
    let hops = items(&hops).enumerate();
    let mut hops = hops
        .map(|(at, text)| Hop { address: parse_node(text), scheme: scheme(at).and_then(|text| Scheme::parse(text)) });
    match count {
        0 => Source { address: sender, scheme: scheme(0).and_then(|text| Scheme::parse(text)) },
        _ => follow_hops(sender, trusted, &mut hops),
    }
}

/// Follows the hops away from this server, up to the first address that is no trusted proxy, or that is not reported.
fn follow_hops(sender: IpAddr, trusted: &Proxies, hops: impl Iterator<Item = Hop>) -> Source {
    let mut source = Source { address: sender, scheme: None };
    for hop in hops {
        source.scheme = hop.scheme;
        let Some(address) = hop.address else { break };
        source.address = address;
        if !trusted.contains(address) {
            break;
        }
    }
    source
}

/// All lines of a header as one list (RFC 9110 section 5.3).
fn join_lines(headers: &HeaderMap, name: &HeaderName) -> String {
    let lines: Vec<_> =
        headers.get_all(name).into_iter().map(|line| String::from_utf8_lossy(line.as_bytes())).collect();
    lines.join(",")
}

/// The items of a list without quotes, the last one first.
fn items(text: &str) -> impl Iterator<Item = &str> {
    text.rsplit(',').map(str::trim).filter(|item| !item.is_empty())
}

/// The parts of a text between separators outside of quotes, the last one first. Quotes are matched from the right, so that
/// one which the client leaves open does not reach what a proxy has appended.
fn split_from_right(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    let next = move || {
        let text = rest?;
        let at = last_outside_quotes(text, separator);
        rest = at.map(|at| &text[..at]);
        Some(at.map_or(text, |at| &text[at + 1..]).trim())
    };
    std::iter::from_fn(next).filter(|part| !part.is_empty())
}

fn last_outside_quotes(text: &str, separator: char) -> Option<usize> {
    let is_escaped = |at: usize| text[..at].bytes().rev().take_while(|byte| *byte == b'\\').count() % 2 == 1;
    let mut quoted = false;
    for (at, character) in text.char_indices().rev() {
        match character {
            '"' if !(quoted && is_escaped(at)) => quoted = !quoted,
            _ if character == separator && !quoted => return Some(at),
            _ => {}
        }
    }
    None
}

/// One element of `Forwarded`: `for=192.0.2.60;proto=http;by=203.0.113.43`.
fn parse_element(text: &str) -> Hop {
    let mut hop = Hop::default();
    for pair in split_from_right(text, ';') {
        let Some((name, value)) = pair.split_once('=') else { continue };
        let value = unquoted(value.trim());
        match &*name.trim().to_ascii_lowercase() {
            "for" => hop.address = parse_node(value),
            "proto" => hop.scheme = Scheme::parse(value),
            _ => {}
        }
    }
    hop
}

fn unquoted(text: &str) -> &str {
    text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text)
}

/// The address of a node, with or without a port: `192.0.2.1:80`, `[2001:db8::1]:80`, `2001:db8::1`. None for `unknown`,
/// for a name that hides an address (`_proxy`), and for anything else.
fn parse_node(text: &str) -> Option<IpAddr> {
    let text = unquoted(text);
    let (address, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (address, port) = rest.split_once(']')?;
            (IpAddr::V6(address.parse().ok()?), port)
        }
        None => match text.parse::<Ipv6Addr>() {
            Ok(address) => (IpAddr::V6(address), ""),
            Err(_) => {
                let (address, port) = text.split_at(text.find(':').unwrap_or(text.len()));
                (IpAddr::V4(address.parse().ok()?), port)
            }
        },
    };
    // A port may be an identifier that hides it (`_port`).
    (port.is_empty() || (port.starts_with(':') && port.len() > 1)).then(|| address.to_canonical())
}

/// The time of the last warning about a proxy that is not trusted.
#[derive(Debug, Default)]
pub(crate) struct ProxyWarning(Cell<Option<Instant>>);

impl ProxyWarning {
    /// Warns of forwarding headers from an address that is not trusted, at most once a minute.
    pub(super) fn warn(&self, headers: &HeaderMap, sender: IpAddr, trusted: &Proxies, now: Instant) {
        let Some(header) =
            [FORWARDED, FORWARDED_FOR, FORWARDED_PROTO].into_iter().find(|name| headers.contains_key(name))
        else {
            return;
        };
        if trusted.contains(sender) || self.0.get().is_some_and(|last| now.since(last) < WARNING_INTERVAL) {
            return;
        }
        self.0.set(Some(now));
        warn!(
            %header, address = %sender,
            "forwarding headers of a request are ignored, since the address that sent it is not in trusted_proxies; if it \
             is a proxy, add it there"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::HeaderValue;

    const PROXY: &str = "10.0.0.1";

    fn ask(sender: &str, lines: &[(&str, &str)]) -> (String, Option<&'static str>) {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            let name: HeaderName = name.parse().unwrap();
            headers.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        let trusted = "10.0.0.0/8, fd00::/8".parse().unwrap();
        let source = source(&headers, sender.parse().unwrap(), &trusted);
        (source.address.to_string(), source.scheme.map(Scheme::name))
    }

    #[test]
    fn headers_of_an_untrusted_address_are_ignored() {
        for name in ["forwarded", "x-forwarded-for"] {
            let lines = [(name, "for=203.0.113.7, 203.0.113.7"), ("x-forwarded-proto", "https")];
            assert_eq!(ask("192.0.2.1", &lines), ("192.0.2.1".into(), None));
        }
        assert_eq!(ask(PROXY, &[]), (PROXY.into(), None));
    }

    #[test]
    fn x_forwarded_for_is_read_from_the_right() {
        for (lines, address) in [
            (&["203.0.113.7"][..], "203.0.113.7"),
            (&["198.51.100.1, 203.0.113.7"], "203.0.113.7"),
            (&["198.51.100.1", "203.0.113.7"], "203.0.113.7"),
            (&["203.0.113.7, 10.0.0.3", "10.0.0.2"], "203.0.113.7"),
            (&["198.51.100.1, 203.0.113.7, 10.0.0.3"], "203.0.113.7"),
            (&["10.0.0.9, 10.0.0.3"], "10.0.0.9"),
            (&["203.0.113.7:4711"], "203.0.113.7"),
            (&["2001:db8::7"], "2001:db8::7"),
            (&["[2001:db8::7]"], "2001:db8::7"),
            (&["[2001:db8::7]:4711"], "2001:db8::7"),
            (&["\"[2001:db8::7]:4711\""], "2001:db8::7"),
            (&["::ffff:203.0.113.7"], "203.0.113.7"),
            (&["203.0.113.7, fd00::2"], "203.0.113.7"),
            (&["203.0.113.7, unknown"], PROXY),
            (&["203.0.113.7, _hidden, 10.0.0.3"], "10.0.0.3"),
            (&["203.0.113.7, 10.0.0.300"], PROXY),
            (&["203.0.113.7:"], PROXY),
            (&["[2001:db8::7"], PROXY),
            (&["[203.0.113.7]"], PROXY),
            (&["fe80::1%eth0"], PROXY),
            (&["203.0.113.7, , "], "203.0.113.7"),
            (&["", ","], PROXY),
            (&["\u{fffd}\u{e9}, 203.0.113.7"], "203.0.113.7"),
        ] {
            let lines: Vec<_> = lines.iter().map(|line| ("x-forwarded-for", *line)).collect();
            assert_eq!(ask(PROXY, &lines).0, address, "{lines:?}");
        }
    }

    #[test]
    fn forwarded_is_read_from_the_right() {
        for (lines, address, scheme) in [
            (&["for=203.0.113.7"][..], "203.0.113.7", None),
            (&["For=203.0.113.7;Proto=HTTPS;by=10.0.0.1"], "203.0.113.7", Some("https")),
            (&["proto=wss ; for=\"203.0.113.7:80\""], "203.0.113.7", Some("https")),
            (&["for=\"[2001:db8::7]:4711\";proto=http"], "2001:db8::7", Some("http")),
            (&["for=\"[2001:db8::7]:_port\""], "2001:db8::7", None),
            (&["for=198.51.100.1;proto=http, for=203.0.113.7;proto=https"], "203.0.113.7", Some("https")),
            (&["for=203.0.113.7;proto=https", "for=10.0.0.2;proto=http"], "203.0.113.7", Some("https")),
            (&["for=203.0.113.7, for=unknown;proto=https"], PROXY, Some("https")),
            (&["for=203.0.113.7, for=_hidden, for=10.0.0.3"], "10.0.0.3", None),
            (&["for=203.0.113.7, by=10.0.0.4"], PROXY, None),
            (&["for=203.0.113.7, host=\"a, b;for=192.0.2.9\";for=10.0.0.3"], "203.0.113.7", None),
            (&["for=\"_a\\\"b, for=198.51.100.1\", for=10.0.0.3"], "10.0.0.3", None),
            (&["for=2001:db8::7"], "2001:db8::7", None),
            (&["for=10.0.0.9;proto=gopher"], "10.0.0.9", None),
            // What a client leaves open does not reach what the proxy wrote.
            (&["for=\", for=203.0.113.7"], "203.0.113.7", None),
            (&["for=\"198.51.100.1, for=\"[2001:db8::7]\""], "2001:db8::7", None),
            (&["for=\"\\, for=203.0.113.7"], "203.0.113.7", None),
            (&["\u{e9}\", for=203.0.113.7"], "203.0.113.7", None),
        ] {
            let lines: Vec<_> = lines.iter().map(|line| ("forwarded", *line)).collect();
            assert_eq!(ask(PROXY, &lines), (address.into(), scheme), "{lines:?}");
        }
    }

    #[test]
    fn forwarded_goes_before_the_older_headers() {
        let older = [("x-forwarded-for", "198.51.100.1"), ("x-forwarded-proto", "http")];
        assert_eq!(ask(PROXY, &[&older[..], &[("forwarded", "for=203.0.113.7")]].concat()).0, "203.0.113.7");
        assert_eq!(ask(PROXY, &[&older[..], &[("forwarded", "for=203.0.113.7")]].concat()).1, None);
        assert_eq!(ask(PROXY, &[&older[..], &[("forwarded", "")]].concat()), (PROXY.into(), None));
        assert_eq!(ask(PROXY, &older), ("198.51.100.1".into(), Some("http")));
    }

    #[test]
    fn the_scheme_is_that_of_the_hop_or_of_the_last_proxy() {
        for (hops, schemes, scheme) in [
            ("203.0.113.7", "https", Some("https")),
            ("203.0.113.7", "WSS", Some("https")),
            ("203.0.113.7", "gopher", None),
            ("203.0.113.7, 10.0.0.2", "https", Some("https")),
            ("203.0.113.7, 10.0.0.2", "https, http", Some("https")),
            ("198.51.100.1, 203.0.113.7", "http, https", Some("https")),
            ("203.0.113.7", "http, https", Some("https")),
            ("", "https", Some("https")),
        ] {
            let lines = [("x-forwarded-for", hops), ("x-forwarded-proto", schemes)];
            assert_eq!(ask(PROXY, &lines).1, scheme, "{lines:?}");
        }
        assert_eq!(ask(PROXY, &[("x-forwarded-proto", "https")]), (PROXY.into(), Some("https")));
    }

    #[test]
    fn ignored_headers_are_warned_of_once_a_minute_except_from_trusted_proxies() {
        let headers = HeaderMap::from_iter([(FORWARDED_PROTO, HeaderValue::from_static("https"))]);
        let (warned, trusted) = (ProxyWarning::default(), "10.0.0.0/8".parse().unwrap());
        let at = |seconds| Instant(0).after(Duration::from_secs(seconds));
        let ask = |headers: &HeaderMap, sender: &str, seconds| {
            warned.warn(headers, sender.parse().unwrap(), &trusted, at(seconds));
            warned.0.get()
        };
        assert_eq!(ask(&headers, PROXY, 1), None);
        assert_eq!(ask(&HeaderMap::new(), "192.0.2.1", 1), None);
        assert_eq!(ask(&headers, "192.0.2.1", 1), Some(at(1)));
        assert_eq!(ask(&headers, "192.0.2.1", 60), Some(at(1)));
        assert_eq!(ask(&headers, "192.0.2.1", 61), Some(at(61)));
    }
}
