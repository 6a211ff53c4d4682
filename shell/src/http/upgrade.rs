//! The upgrade: from a request for a WebSocket (RFC 6455 section 4.2) to a connection or to an error response.

use super::api_key::after_scheme;
use super::console;
use super::forwarded::Source;
use super::head::{self, JSON_PROTOCOL};
use super::origin;
use super::response::{self, ResponseBody, limit_error, logged_error, not_found, restarting, retry_after};
use crate::auth::{self, listener_claims};
use crate::config::Settings;
use crate::net::driver::Handshake;
use crate::net::refusals::RefusalReason;
use crate::runtime::connections::Accepted;
use crate::runtime::shard::ShardRuntime;
use hyper::body::Incoming;
use hyper::header::{
    AUTHORIZATION, CONNECTION, HeaderMap, HeaderValue, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use hyper::{Method, Request, Response, StatusCode, Version};
use parlor_core::admission::route::{Plain, RouteError, Target};
use parlor_core::{Limit, Refused, Upgrade};
use tungstenite::handshake::server::{create_response_with_body, write_response};

/// The only version of the WebSocket protocol.
const VERSION: &str = "13";
/// Prefix of a token that is sent as a subprotocol, the only header that a page can choose.
const TOKEN_PROTOCOL: &str = "bearer.";

/// Accepts a connection, if the request is valid and no limit is reached.
///
/// # Errors
/// The error response.
pub(super) fn accept(
    shard: &ShardRuntime,
    source: Source,
    request: &Request<Incoming>,
) -> Result<(Accepted, Handshake), Box<Response<ResponseBody>>> {
    let settings = &*shard.settings();
    let target = resolve(shard, request)?;
    let mut response = handshake(request)?;
    head::check_protocol(request)?;
    let headers = request.headers();
    origin::check(headers, settings, source.scheme)
        .map_err(|refused| logged_error(RefusalReason::Origin, StatusCode::FORBIDDEN, refused.message()))?;
    let (protocol, protocol_token) = subprotocol(headers);
    if let Some(protocol) = protocol.and_then(|protocol| HeaderValue::from_str(protocol).ok()) {
        response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, protocol);
    }
    let token = bearer(headers).or(protocol_token).map(String::from);
    let upgrade = Upgrade { client: auth::random(), target, token, address: Some(source.address) };
    let accepted = shard.enter(|host, now| host.accept(now, upgrade));
    admitted(shard, &response, accepted)
}

/// Accepts a connection of the console, which listens to the room of its ticket. Its page need not be one that may connect: to
/// have a ticket, it had an API key.
///
/// # Errors
/// The error response.
pub(super) fn accept_listener(
    shard: &ShardRuntime,
    source: Source,
    request: &Request<Incoming>,
) -> Result<(Accepted, Handshake), Box<Response<ResponseBody>>> {
    if request.method() != Method::GET {
        return Err(response::method_not_allowed("GET").into());
    }
    let mut response = handshake(request)?;
    response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(console::PROTOCOL));
    let now = shard.clock.now().mono;
    let sent = console::ticket(request.headers());
    let Some(room) = sent.and_then(|sent| shard.console_tickets.borrow_mut().redeem(now, sent)) else {
        let message = "the subprotocols have no ticket.<ticket> of this server that is new and was not used before; \
            POST /api/console_ticket gives one";
        return Err(logged_error(RefusalReason::Token, StatusCode::UNAUTHORIZED, message).into());
    };
    let claims = listener_claims(&room);
    let target = Target::Plain(Plain::member(room));
    let upgrade = Upgrade { client: auth::random(), target, token: None, address: Some(source.address) };
    let accepted = shard.enter(|host, now| host.accept_listener(now, upgrade, claims));
    admitted(shard, &response, accepted)
}

/// The connection that the core has accepted, with the 101 to be written; or the error response.
fn admitted(
    shard: &ShardRuntime,
    response: &Response<()>,
    accepted: Option<Result<Accepted, Refused>>,
) -> Result<(Accepted, Handshake), Box<Response<ResponseBody>>> {
    let mut bytes = Vec::new();
    write_response(&mut bytes, response).expect("its headers are text, and memory takes all of it");
    match accepted {
        Some(Ok(accepted)) => Ok((accepted, Handshake { response: bytes, early: Vec::new() })),
        Some(Err(refused)) => Err(limit_response(refused, &shard.settings()).into()),
        None => Err(restarting(shard).into()),
    }
}

/// The room and protocol that the path names.
///
/// # Errors
/// The error response.
fn resolve(shard: &ShardRuntime, request: &Request<Incoming>) -> Result<Target, Box<Response<ResponseBody>>> {
    let is_get = request.method() == Method::GET;
    // The query is long and matters for GET only. A request with another method gets an error about the method.
    let target =
        request.uri().path_and_query().filter(|_| is_get).map_or(request.uri().path(), |target| target.as_str());
    let resolved = shard.enter(|host, _| {
        let config = host.shard().config();
        config.resolve(target)
    });
    match resolved {
        Some(Err(RouteError::NotFound)) => Err(not_found().into()),
        Some(_) if !is_get => Err(response::method_not_allowed("GET").into()),
        Some(Ok(target)) => Ok(target),
        Some(Err(RouteError::Bad(why))) => Err(logged_error(RefusalReason::Path, StatusCode::BAD_REQUEST, &why).into()),
        Some(Err(RouteError::Limit(limit, why))) => {
            shard.count_limit(limit);
            Err(limit_error(StatusCode::BAD_REQUEST, &why, limit).into())
        }
        Some(Err(RouteError::Forbidden(why))) => {
            Err(logged_error(RefusalReason::Path, StatusCode::FORBIDDEN, &why).into())
        }
        None => Err(restarting(shard).into()),
    }
}

/// The 101 for the request, without a subprotocol.
///
/// # Errors
/// The error response, which names what is missing and the proxy settings that usually cause it.
fn handshake(request: &Request<Incoming>) -> Result<Response<()>, Box<Response<ResponseBody>>> {
    let headers = request.headers();
    if !headers.contains_key(UPGRADE) {
        let message = "this is the address of a WebSocket, and the request does not ask for one; a proxy that drops the \
            headers Upgrade and Connection looks like this: in nginx, set proxy_http_version 1.1, \
            proxy_set_header Upgrade $http_upgrade and proxy_set_header Connection upgrade";
        let mut response = logged_error(RefusalReason::Upgrade, StatusCode::UPGRADE_REQUIRED, message);
        response.headers_mut().insert(UPGRADE, HeaderValue::from_static("websocket"));
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("upgrade"));
        return Err(response.into());
    }
    if headers.get(SEC_WEBSOCKET_VERSION).is_some_and(|version| version != VERSION) {
        let message = "this WebSocket version is not supported; use version 13";
        let mut response = logged_error(RefusalReason::Upgrade, StatusCode::UPGRADE_REQUIRED, message);
        response.headers_mut().insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static(VERSION));
        return Err(response.into());
    }
    if let Some(message) = proxy_damage(request) {
        return Err(logged_error(RefusalReason::Upgrade, StatusCode::BAD_REQUEST, message).into());
    }
    create_response_with_body(&head::with_plain_upgrade(request), || ())
        .map_err(|error| logged_error(RefusalReason::Upgrade, StatusCode::BAD_REQUEST, &error.to_string()).into())
}

/// The error message for a request with `Upgrade` that a proxy has damaged.
fn proxy_damage<T>(request: &Request<T>) -> Option<&'static str> {
    if request.version() < Version::HTTP_11 {
        return Some(
            "a WebSocket needs HTTP/1.1, and the request came as HTTP/1.0; a proxy that speaks the older version looks \
             like this: in nginx, set proxy_http_version 1.1",
        );
    }
    let asks = head::items(request.headers(), &CONNECTION).any(|item| item.eq_ignore_ascii_case(b"upgrade"));
    (!asks).then_some(
        "the request has Upgrade and no Connection: upgrade; a proxy that does not pass Connection on looks like this: \
         in nginx, set proxy_set_header Connection upgrade",
    )
}

/// The error response for a connection that the core refuses.
fn limit_response(refused: Refused, settings: &Settings) -> Response<ResponseBody> {
    let limit = match refused {
        Refused::Limit(limit) => limit,
        Refused::ShuttingDown => return response::stopping(),
    };
    let most = settings.limits.value(limit);
    // 503 where the whole server is full, 429 where the address is: some clients do not retry after a 429.
    let (status, message) = match limit {
        Limit::Connections => {
            (StatusCode::SERVICE_UNAVAILABLE, format!("there are {most} connections already, which is the limit"))
        }
        Limit::ConnectionsPerIp => (
            StatusCode::TOO_MANY_REQUESTS,
            format!("there are {most} connections from this address already, which is the limit"),
        ),
        Limit::NewConnectionsPerIp => (
            StatusCode::TOO_MANY_REQUESTS,
            "new connections from this address come faster than the limit allows".into(),
        ),
        _ => (StatusCode::SERVICE_UNAVAILABLE, "new connections come faster than the limit allows".into()),
    };
    retry_after(limit_error(status, &message, limit), response::SOON)
}

/// The subprotocol to answer with, and the token, among the offered ones. An empty header offers nothing.
fn subprotocol(headers: &HeaderMap) -> (Option<&str>, Option<&str>) {
    let (mut known, mut token) = (None, None);
    for offer in head::items(headers, &SEC_WEBSOCKET_PROTOCOL) {
        let sent = offer.strip_prefix(TOKEN_PROTOCOL.as_bytes());
        token = token.or(sent);
        known = known.or((sent.is_some() || offer == JSON_PROTOCOL.as_bytes()).then_some(offer));
    }
    let text = |bytes| std::str::from_utf8(bytes).ok();
    (known.and_then(text), token.and_then(text))
}

/// The bearer token of the request.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let token = after_scheme(headers.get(AUTHORIZATION)?.as_bytes(), b"bearer ")?;
    std::str::from_utf8(token).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn subprotocols_are_chosen_from_the_known_ones() {
        for (offered, answered, token) in [
            ("", None, None),
            ("centrifuge-json", Some("centrifuge-json"), None),
            ("soap, centrifuge-json", Some("centrifuge-json"), None),
            ("soap", None, None),
            ("bearer.a.b.c", Some("bearer.a.b.c"), Some("a.b.c")),
            ("centrifuge-json,bearer.a", Some("centrifuge-json"), Some("a")),
        ] {
            assert_eq!(subprotocol(&headers(&[("sec-websocket-protocol", offered)])), (answered, token), "{offered:?}");
        }
        assert_eq!(subprotocol(&headers(&[])), (None, None));
    }

    #[test]
    fn bearer_tokens_are_read_whatever_the_case_of_the_scheme() {
        assert_eq!(bearer(&headers(&[("authorization", "bEARER  a.b ")])), Some("a.b"));
        assert_eq!(bearer(&headers(&[("authorization", "Basic a.b")])), None);
        assert_eq!(bearer(&headers(&[])), None);
    }
}
