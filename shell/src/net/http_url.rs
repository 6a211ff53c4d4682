//! The URL of a server that this one asks.

use hyper::Uri;
use hyper::http::uri::{PathAndQuery, Scheme};
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// An absolute URL with the scheme http or https, without user information.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpUrl {
    uri: Uri,
    written: String,
}

impl HttpUrl {
    /// Whether TLS is spoken with the server.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.uri.scheme() == Some(&Scheme::HTTPS)
    }

    /// The name or the address of the server; an IPv6 address is without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        let host = self.uri.host().unwrap_or_default();
        host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
    }

    /// The port: that of the scheme where none is written.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.uri.port_u16().unwrap_or(if self.is_https() { 443 } else { 80 })
    }

    /// The host and the port as they were written, for `Host`.
    #[must_use]
    pub fn authority(&self) -> &str {
        self.uri.authority().map_or("", |authority| authority.as_str())
    }

    /// The path and the query, as a request has them: it begins with a slash, which a URL without a path lacks (RFC 9112
    /// section 3.2.1).
    #[must_use]
    pub fn path_and_query(&self) -> String {
        let written = self.uri.path_and_query().map_or("/", PathAndQuery::as_str);
        if written.starts_with('/') { written.into() } else { format!("/{written}") }
    }

    /// The scheme, the host and the port alone, for where the path may be a secret.
    #[must_use]
    pub fn server(&self) -> String {
        format!("{}://{}", self.scheme(), self.authority())
    }

    /// Whether there is a query, which may hold a secret.
    #[must_use]
    pub fn has_query(&self) -> bool {
        self.uri.query().is_some()
    }

    /// The port as it was written, if the URL has none that can be connected to.
    fn wrong_port(&self) -> Option<&str> {
        let behind = &self.authority()[self.uri.host().unwrap_or_default().len()..];
        let is_port = |port: &str| !port.starts_with('+') && port.parse().is_ok_and(|port: u16| port > 0);
        let is_right = behind.is_empty() || behind.strip_prefix(':').is_some_and(is_port);
        (!is_right).then(|| behind.strip_prefix(':').unwrap_or(behind))
    }

    fn scheme(&self) -> &'static str {
        if self.is_https() { "https" } else { "http" }
    }

    /// The URL as it was written.
    #[must_use]
    pub fn written(&self) -> &str {
        &self.written
    }

    /// Whether the server is this machine by what is written.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        let is_address = |host: &str| host.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback());
        self.host().eq_ignore_ascii_case("localhost") || is_address(self.host())
    }
}

/// Whether an address is link-local (RFC 3927, RFC 4291 section 2.5.6), where clouds serve secrets to whatever runs on a
/// machine. An IPv4-mapped address counts as the IPv4 address.
pub(crate) fn is_link_local(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    }
}

impl FromStr for HttpUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let uri: Uri = text.parse().map_err(|_| "it is not a URL")?;
        if ![Some(&Scheme::HTTPS), Some(&Scheme::HTTP)].contains(&uri.scheme()) {
            return Err("it does not begin with https:// or http://".into());
        }
        if text.contains('#') {
            return Err("it has a fragment (#), which no server sees".into());
        }
        let url = Self { uri, written: text.into() };
        if url.authority().contains('@') {
            return Err("it has a user or a password, which are not sent".into());
        }
        if url.host().is_empty() {
            return Err("it has no host".into());
        }
        if let Some(port) = url.wrong_port() {
            return Err(format!("its port is {port:?}; expected a number from 1 to 65535, or no colon"));
        }
        if url.host().parse().is_ok_and(is_link_local) {
            return Err(format!("{} is a link-local address, which is refused", url.host()));
        }
        Ok(url)
    }
}

impl fmt::Display for HttpUrl {
    /// Without the query, which may hold a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.scheme(), self.authority(), self.uri.path())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_says_whom_to_ask_for_what() {
        let parts = |text: &str| {
            let url: HttpUrl = text.parse().unwrap();
            (String::from(url.host()), url.port(), url.path_and_query(), url.is_loopback())
        };
        assert_eq!(parts("https://a.example/jwks?x=1"), ("a.example".into(), 443, "/jwks?x=1".into(), false));
        assert_eq!(parts("http://[::1]:8080"), ("::1".into(), 8080, "/".into(), true));
        assert_eq!(parts("http://a.example:65535?x=1"), ("a.example".into(), 65535, "/?x=1".into(), false));
        assert_eq!(parts("http://LOCALHOST/"), ("LOCALHOST".into(), 80, "/".into(), true));
        assert_eq!("https://a.example/jwks?secret".parse::<HttpUrl>().unwrap().to_string(), "https://a.example/jwks");
        assert_eq!("https://a.example:8443/a/secret?b".parse::<HttpUrl>().unwrap().server(), "https://a.example:8443");
    }

    #[test]
    fn only_urls_that_can_be_asked_are_accepted() {
        for (text, wrong) in [
            ("", "not a URL"),
            ("a.example/jwks", "not a URL"),
            ("/jwks", "https://"),
            ("ftp://a.example/jwks", "https://"),
            ("https://user:password@a.example/", "password"),
            ("https://a.example/#keys", "fragment"),
            ("https://:8000/", "no host"),
            ("https://a.example:/", "its port is \"\""),
            ("https://a.example:99999/jwks", "its port is \"99999\"; expected a number from 1 to 65535"),
            ("https://a.example:0", "its port is \"0\""),
            ("https://a.example:+80/", "its port is \"+80\""),
            ("http://[::1]:65536/", "its port is \"65536\""),
            ("http://[::1]:", "its port is \"\""),
            ("http://169.254.169.254/latest", "link-local"),
            ("http://[fe80::1]/", "link-local"),
            ("http://[::ffff:169.254.1.1]:80/", "link-local"),
        ] {
            let said = text.parse::<HttpUrl>().unwrap_err();
            assert!(said.contains(wrong), "{text}: {said}");
        }
    }
}
