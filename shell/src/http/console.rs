//! The console: a page that shows what happens on the server, by the API and by the rights of a key that is typed in.
//!
//! Its files are in the binary and have no secret, so anybody may read them. A browser cannot send a key with a WebSocket, so
//! the page listens to a room with a ticket, which it offers as a subprotocol.

use super::head;
use super::origin;
use super::response::{self, ResponseBody, not_found};
use crate::config::Settings;
use hyper::body::{Bytes, Incoming};
use hyper::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, FORWARDED, HeaderMap, HeaderName, HeaderValue, REFERRER_POLICY,
    SEC_WEBSOCKET_PROTOCOL, VIA, X_CONTENT_TYPE_OPTIONS,
};
use hyper::{Method, Request, Response, StatusCode, Version};
use serde_json::json;

/// The path of the page.
const PAGE: &str = "/";
/// The prefix of the paths of what belongs to it.
const PREFIX: &str = "/console/";
/// The path by which the page learns the mode of the server.
const SESSION: &str = "/console/session";
/// The path of the WebSockets by which it listens.
pub(super) const WEBSOCKET: &str = "/console/websocket";
/// The subprotocol of these, without the ticket.
pub(super) const PROTOCOL: &str = "parlor-console";
/// Prefix of a ticket that is offered as a subprotocol.
const TICKET_PROTOCOL: &[u8] = b"ticket.";

/// The only sources of what the page loads, runs and asks; nobody may show it within a page of theirs.
const CONTENT_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
    frame-ancestors 'none'; base-uri 'none'; form-action 'none'";
/// Headers of proxies, which tell that a request does not come from the machine that its address says.
const FROM_PROXIES: [HeaderName; 4] =
    [FORWARDED, VIA, HeaderName::from_static("x-forwarded-for"), HeaderName::from_static("x-real-ip")];

/// A file of the page.
struct PageFile {
    path: &'static str,
    media_type: &'static str,
    content: &'static str,
}

/// A script of the page, which is a module of JavaScript.
macro_rules! script {
    ($name:literal) => {
        PageFile {
            path: concat!("/console/", $name, ".js"),
            media_type: "text/javascript; charset=utf-8",
            content: include_str!(concat!("../../console/", $name, ".js")),
        }
    };
}

/// The files of the page.
static FILES: [PageFile; 16] = [
    PageFile { path: PAGE, media_type: "text/html; charset=utf-8", content: include_str!("../../console/index.html") },
    PageFile {
        path: "/console/console.css",
        media_type: "text/css; charset=utf-8",
        content: include_str!("../../console/console.css"),
    },
    script!("api"),
    script!("connections"),
    script!("dom"),
    script!("explain"),
    script!("first"),
    script!("graph"),
    script!("limits"),
    script!("live"),
    script!("main"),
    script!("messages"),
    script!("overview"),
    script!("pages"),
    script!("room"),
    script!("rooms"),
];

/// Whether a path belongs to the console.
pub(super) fn is_console(path: &str) -> bool {
    path == PAGE || path.starts_with(PREFIX)
}

/// Answers a request for one of these paths, but for a WebSocket.
pub(super) fn answer(settings: &Settings, request: &Request<Incoming>) -> Response<ResponseBody> {
    let path = request.uri().path();
    if path == SESSION {
        return match *request.method() {
            Method::POST => session(settings, request),
            _ => response::method_not_allowed("POST"),
        };
    }
    let Some(PageFile { media_type, content, .. }) = FILES.iter().find(|file| file.path == path) else {
        return not_found();
    };
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return response::method_not_allowed("GET, HEAD");
    }
    // Another version of the server has other files.
    guarded(response::with_type(media_type, StatusCode::OK, Bytes::from_static(content.as_bytes())), "no-cache")
}

/// Tells the page the mode of the server, and in development mode without a key of the settings one that may do everything, so
/// that none has to be typed in. No page of another server is told, since a browser sends no other page's request with this
/// origin, and names that were made to lead here (DNS rebinding) are none of these. Whoever else runs programs on this machine
/// can pretend to be a browser: who is not alone there sets a key.
fn session(settings: &Settings, request: &Request<Incoming>) -> Response<ResponseBody> {
    let mode = if settings.is_dev() { "development" } else { "production" };
    let mut session = json!({"mode": mode});
    let key = settings.console_key.as_ref().filter(|_| settings.is_dev() && is_own_page(request));
    if let Some(key) = key {
        session["key"] = key.expose().as_str().into();
    }
    guarded(response::json(StatusCode::OK, session.to_string()), "no-store")
}

/// Whether a request is, as far as a browser tells, that of a page of this server on this machine.
fn is_own_page<T>(request: &Request<T>) -> bool {
    let headers = request.headers();
    // A proxy may pass on what others have sent, with a `Host` of its own.
    let is_direct =
        request.version() == Version::HTTP_11 && !FROM_PROXIES.iter().any(|name| headers.contains_key(name));
    is_direct && origin::is_own_loopback(headers)
}

/// The response with what keeps a browser from doing more with it than the page needs.
fn guarded(mut response: Response<ResponseBody>, cache: &'static str) -> Response<ResponseBody> {
    for (name, value) in [
        (CONTENT_SECURITY_POLICY, CONTENT_POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (CACHE_CONTROL, cache),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// The ticket among the offered subprotocols.
pub(super) fn ticket(headers: &HeaderMap) -> Option<&[u8]> {
    head::items(headers, &SEC_WEBSOCKET_PROTOCOL).find_map(|offer| offer.strip_prefix(TICKET_PROTOCOL))
}
