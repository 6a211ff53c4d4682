//! The check of a web page's origin (RFC 6455 section 10.2). Only browsers send one.

use super::forwarded::Scheme;
use crate::config::{Origin, Settings};
use hyper::header::{HOST, HeaderMap, ORIGIN};

/// The reason for which a page may not connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OriginRefusal {
    /// There is more than one `Origin` header.
    Repeated,
    /// The `Origin` header is neither an origin nor `null`.
    Malformed,
    /// The origin is `null`, which says nothing about the page.
    Opaque,
    /// The server is in development mode, and the page does not come from this machine.
    NotLoopback,
    /// `allowed_origins` does not name the page's origin.
    NotAllowed,
    /// `public_hosts` does not name the page's origin.
    NotPublic,
    /// The request's `Host` is not the host and port of the page's origin.
    OtherHost,
    /// The request came over http and the page over https, or the other way round, as a trusted proxy says.
    OtherScheme,
}

impl OriginRefusal {
    /// The error message, which names the setting that would allow such pages.
    pub(super) fn message(self) -> &'static str {
        match self {
            Self::Repeated => "the request has several Origin headers; at most one is allowed",
            Self::Malformed => "the Origin header is not an origin such as https://app.example.com",
            Self::Opaque => {
                "pages without an origin may connect only where allowed_origins is *; a page opened from a file has none: \
                 serve it over http, as python3 -m http.server does"
            }
            Self::NotLoopback => {
                "in development mode only pages from localhost may connect, and those that allowed_origins names"
            }
            Self::NotAllowed => "pages of this origin may not connect; allowed_origins names those that may",
            Self::NotPublic => {
                "pages of this origin may not connect; public_hosts names those that may, with scheme: \
                 https://rooms.example.com"
            }
            Self::OtherHost => {
                "the request's Host is not that of the page's origin; set allowed_origins, or let the proxy pass Host on"
            }
            Self::OtherScheme => {
                "the request did not come over the scheme of the page's origin, as the proxy says; let it set \
                 X-Forwarded-Proto (in Forwarded: proto) to what its clients use, or set allowed_origins"
            }
        }
    }
}

/// Checks that the page that connects may do so; a client without an origin may. `scheme` is that of the request, where a
/// trusted proxy says it.
///
/// # Errors
/// The reason for which the page may not connect.
pub(super) fn check(headers: &HeaderMap, settings: &Settings, scheme: Option<Scheme>) -> Result<(), OriginRefusal> {
    let mut sent = headers.get_all(ORIGIN).into_iter();
    let Some(text) = sent.next() else { return Ok(()) };
    if sent.next().is_some() {
        return Err(OriginRefusal::Repeated);
    }
    let allowed = &settings.allowed_origins;
    if allowed.any {
        return Ok(());
    }
    if text == "null" {
        return Err(OriginRefusal::Opaque);
    }
    let origin = text.to_str().ok().and_then(Origin::parse).ok_or(OriginRefusal::Malformed)?;
    if allowed.iter().any(|allowed| *allowed == origin) {
        return Ok(());
    }
    if settings.is_dev() {
        // The request's own host does not count here: any name can be made to resolve to this machine.
        return if origin.is_loopback() { Ok(()) } else { Err(OriginRefusal::NotLoopback) };
    }
    if !allowed.is_empty() {
        return Err(OriginRefusal::NotAllowed);
    }
    if !settings.public_hosts.is_empty() && !settings.public_hosts.iter().any(|public| *public == origin) {
        return Err(OriginRefusal::NotPublic);
    }
    if !is_own_host(headers, &origin) {
        return Err(OriginRefusal::OtherHost);
    }
    if scheme.is_none_or(|scheme| origin.is_over(scheme.name())) { Ok(()) } else { Err(OriginRefusal::OtherScheme) }
}

/// Whether a request is that of a page that came from the same host and port, under a name that leads to this machine alone.
pub(super) fn is_own_loopback(headers: &HeaderMap) -> bool {
    let mut sent = headers.get_all(ORIGIN).into_iter();
    let (Some(text), None) = (sent.next(), sent.next()) else { return false };
    let origin = text.to_str().ok().and_then(Origin::parse);
    origin.is_some_and(|origin| origin.is_loopback() && is_own_host(headers, &origin))
}

/// Whether the page connects to the host and port that it came from.
fn is_own_host(headers: &HeaderMap, origin: &Origin) -> bool {
    let mut hosts = headers.get_all(HOST).into_iter();
    let (host, other) = (hosts.next(), hosts.next());
    origin.is_http()
        && other.is_none()
        && host.and_then(|host| host.to_str().ok()).is_some_and(|host| origin.is_at(host))
}

#[cfg(test)]
mod tests {
    use super::OriginRefusal::*;
    use super::*;
    use hyper::header::{HeaderName, HeaderValue};

    fn headers(pairs: &[(HeaderName, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(name, HeaderValue::from_static(value));
        }
        headers
    }

    fn settings(dev: bool, allowed_origins: &str, public_hosts: &str) -> Settings {
        let (allowed_origins, public_hosts) = (allowed_origins.parse().unwrap(), public_hosts.parse().unwrap());
        Settings { dev: Some(dev), allowed_origins, public_hosts, ..Settings::default() }
    }

    /// Checks the outcome of each origin at each host.
    fn table(settings: &Settings, rows: &[(&'static str, &'static str, Result<(), OriginRefusal>)]) {
        for (host, origin, outcome) in rows {
            let request = headers(&[(HOST, host), (ORIGIN, origin)]);
            assert_eq!(check(&request, settings, None), *outcome, "{origin:?} at {host:?}");
        }
        assert_eq!(check(&headers(&[(HOST, "any.example")]), settings, None), Ok(()), "not a browser");
        let twice = headers(&[(HOST, "localhost"), (ORIGIN, "http://localhost"), (ORIGIN, "http://localhost")]);
        assert_eq!(check(&twice, settings, None), Err(Repeated));
    }

    #[test]
    fn in_development_a_page_comes_from_this_machine() {
        let rows = [
            ("evil.example", "http://localhost:3000", Ok(())),
            ("localhost:8000", "http://LOCALHOST", Ok(())),
            ("localhost:8000", "http://localhost.:3000", Ok(())),
            ("localhost:8000", "http://app.localhost:3000", Ok(())),
            ("localhost:8000", "http://a.b.localhost", Ok(())),
            ("localhost:8000", "http://127.0.0.1", Ok(())),
            ("localhost:8000", "http://127.8.9.1:5173", Ok(())),
            ("localhost:8000", "https://[::1]:5173", Ok(())),
            ("localhost:8000", "https://[::ffff:7f00:1]", Ok(())),
            ("localhost:8000", "https://app.example.com", Ok(())),
            ("localhost:8000", "http://app.example.com", Err(NotLoopback)),
            ("evil.example", "http://evil.example", Err(NotLoopback)),
            ("localhost:8000", "http://localhost.evil.example", Err(NotLoopback)),
            ("localhost:8000", "http://evillocalhost", Err(NotLoopback)),
            ("localhost:8000", "http://127.0.0.1.evil.example", Err(NotLoopback)),
            ("localhost:8000", "http://localhost@evil.example", Err(Malformed)),
            ("localhost:8000", "http://localhost:3000/", Err(Malformed)),
            ("localhost:8000", "localhost", Err(Malformed)),
            ("localhost:8000", "null", Err(Opaque)),
            ("localhost:8000", "", Err(Malformed)),
        ];
        table(&settings(true, "https://app.example.com", ""), &rows);
    }

    #[test]
    fn with_allowed_origins_every_other_origin_is_refused() {
        let rows = [
            ("chat.example.com", "https://app.example.com", Ok(())),
            ("any.example", "https://APP.example.com:443", Ok(())),
            ("chat.example.com", "http://[2001:db8::1]:8080", Ok(())),
            ("chat.example.com", "http://app.example.com", Err(NotAllowed)),
            ("chat.example.com", "http://app.example.com:443", Err(NotAllowed)),
            ("chat.example.com", "https://app.example.com:8443", Err(NotAllowed)),
            ("chat.example.com", "https://app.example.com.", Err(NotAllowed)),
            ("chat.example.com", "https://chat.example.com", Err(NotAllowed)),
            ("chat.example.com", "https://evil.app.example.com", Err(NotAllowed)),
            ("chat.example.com", "http://localhost:3000", Err(NotAllowed)),
            ("chat.example.com", "https://app.example.com, https://evil.example", Err(Malformed)),
            ("chat.example.com", "null", Err(Opaque)),
        ];
        let named = "https://app.example.com,http://[2001:db8:0:0::1]:8080";
        table(&settings(false, named, ""), &rows);
        // Public hosts are for servers without a list.
        table(&settings(false, named, "https://chat.example.com"), &rows);
        table(
            &settings(false, "*", ""),
            &[("a", "https://b", Ok(())), ("a", "null", Ok(())), ("a", "file://", Ok(()))],
        );
    }

    #[test]
    fn a_page_of_a_public_host_connects_to_that_host() {
        let rows = [
            ("rooms.example.com", "https://rooms.example.com", Ok(())),
            ("Rooms.example.com:443", "https://rooms.example.com", Ok(())),
            ("rooms.example.com", "https://rooms.example.com:443", Ok(())),
            ("intranet:8080", "http://intranet:8080", Ok(())),
            ("rooms.example.com", "http://rooms.example.com", Err(NotPublic)),
            ("rooms.example.com", "http://rooms.example.com:443", Err(NotPublic)),
            ("evil.example", "http://evil.example", Err(NotPublic)),
            ("evil.example", "https://rooms.example.com", Err(OtherHost)),
            ("intranet:8080", "https://rooms.example.com", Err(OtherHost)),
            ("rooms.example.com:80", "https://rooms.example.com", Err(OtherHost)),
            ("rooms.example.com.evil.example", "https://rooms.example.com", Err(OtherHost)),
            ("intranet", "http://intranet:8080", Err(OtherHost)),
            ("rooms.example.com", "null", Err(Opaque)),
        ];
        table(&settings(false, "", "https://rooms.example.com,http://intranet:8080"), &rows);
    }

    #[test]
    fn without_settings_a_page_connects_to_the_host_and_port_that_it_came_from() {
        let rows = [
            ("chat.example.com", "https://chat.example.com", Ok(())),
            ("chat.example.com", "http://chat.example.com", Ok(())),
            ("chat.example.com:443", "https://chat.example.com", Ok(())),
            ("chat.example.com:", "https://chat.example.com:443", Ok(())),
            ("chat.example.com:80", "http://chat.example.com", Ok(())),
            ("Chat.Example.com:8443", "https://chat.example.com:8443", Ok(())),
            ("[2001:DB8::0:1]:8443", "https://[2001:db8::1]:8443", Ok(())),
            ("chat.example.com:443", "http://chat.example.com", Err(OtherHost)),
            ("chat.example.com:80", "https://chat.example.com", Err(OtherHost)),
            ("chat.example.com", "https://chat.example.com:8443", Err(OtherHost)),
            ("chat.example.com:8443", "https://chat.example.com", Err(OtherHost)),
            ("chat.example.com", "https://evil.example", Err(OtherHost)),
            ("chat.example.com", "http://localhost:3000", Err(OtherHost)),
            ("chat.example.com", "app://chat.example.com", Err(OtherHost)),
            ("", "https://chat.example.com", Err(OtherHost)),
            ("null", "null", Err(Opaque)),
        ];
        table(&settings(false, "", ""), &rows);
        let production = settings(false, "", "");
        let (origin, host) = ((ORIGIN, "https://a.example"), (HOST, "a.example"));
        assert_eq!(check(&headers(std::slice::from_ref(&origin)), &production, None), Err(OtherHost));
        assert_eq!(check(&headers(&[origin, host.clone(), host]), &production, None), Err(OtherHost));
    }

    #[test]
    fn a_page_is_this_servers_own_where_its_name_leads_to_this_machine_alone() {
        for (host, origin, is_own) in [
            ("localhost:8000", "http://localhost:8000", true),
            ("127.0.0.1:8000", "http://127.0.0.1:8000", true),
            ("[::1]:8000", "http://[::1]:8000", true),
            ("127.0.0.1:8000", "http://localhost:8000", false),
            ("localhost:8000", "http://localhost:3000", false),
            ("localhost:8000", "http://evil.example", false),
            ("evil.example:8000", "http://evil.example:8000", false),
            ("localhost:8000", "null", false),
        ] {
            assert_eq!(is_own_loopback(&headers(&[(HOST, host), (ORIGIN, origin)])), is_own, "{origin} at {host}");
        }
        let (host, own) = ((HOST, "localhost"), (ORIGIN, "http://localhost"));
        assert!(!is_own_loopback(&headers(std::slice::from_ref(&host))), "a browser says where a page is from");
        assert!(!is_own_loopback(&headers(&[host, own.clone(), own])));
    }

    #[test]
    fn a_page_of_another_scheme_is_refused_if_the_scheme_is_known() {
        let rows = [
            ("chat.example.com", "https://chat.example.com", Some(Scheme::Https), Ok(())),
            ("chat.example.com", "http://chat.example.com", Some(Scheme::Http), Ok(())),
            ("chat.example.com", "http://chat.example.com", Some(Scheme::Https), Err(OtherScheme)),
            ("chat.example.com:8000", "http://chat.example.com:8000", Some(Scheme::Https), Err(OtherScheme)),
            ("chat.example.com", "https://chat.example.com", Some(Scheme::Http), Err(OtherScheme)),
            ("chat.example.com", "https://chat.example.com", None, Ok(())),
            ("chat.example.com", "https://evil.example", Some(Scheme::Https), Err(OtherHost)),
        ];
        for (host, origin, scheme, outcome) in rows {
            let request = headers(&[(HOST, host), (ORIGIN, origin)]);
            assert_eq!(check(&request, &settings(false, "", ""), scheme), outcome, "{origin:?} at {host:?}");
        }
        let request = headers(&[(HOST, "chat.example.com"), (ORIGIN, "https://app.example.com")]);
        let listed = settings(false, "https://app.example.com", "");
        assert_eq!(check(&request, &listed, Some(Scheme::Http)), Ok(()), "an allowed origin names its scheme");
    }
}
