//! The answer to each request, by its path.

use super::health::{self, FAVICON};
use super::response::{self, Body, LoggedRefusal, restarting};
use super::session::HttpSession;
use super::{api, forwarded, head, openapi, upgrade};
use crate::net::refusals::{RefusalDetails, truncated};
use crate::runtime::shard::ShardRuntime;
use hyper::body::{Body as _, Incoming};
use hyper::header::{HOST, HeaderValue, ORIGIN};
use hyper::{Request, Response, Uri};
use std::convert::Infallible;
use std::future::pending;
use std::net::IpAddr;
use std::rc::Rc;
use tokio::task::yield_now;

pub(super) async fn answer(
    shard: Rc<ShardRuntime>,
    session: Rc<HttpSession>,
    request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    session.requests.set(session.requests.get() + 1);
    session.progress.set(true);
    session.unread.set(!request.body().is_end_stream());
    let (trusted, address) = (&shard.settings.trusted_proxies, session.address);
    if !shard.settings.is_dev() {
        shard.warned.warn_of(request.headers(), address, trusted, shard.clock.now().mono);
    }
    let source = forwarded::source(request.headers(), address, trusted);
    let asked = Asked::new(&request);
    if session.requests.get() > 1 {
        // Requests that came together are answered in as many turns: others are not to wait for all of them.
        session.takes_turns();
        yield_now().await;
    }
    session.asked.set(true);
    session.guard.mark_busy();
    let asks_for_websocket = head::asks_for_websocket(request.headers());
    let path = request.uri().path();
    let is_public = [FAVICON, openapi::PATH, "/health"].contains(&path) || path.starts_with("/health/");
    let response = if shard.is_stopping() && !is_public {
        response::stopping()
    } else if shard.is_restarting() && !is_public {
        restarting(&shard)
    } else if let Err(response) = head::check_host(&request) {
        *response
    } else if let Some(method) = path.strip_prefix("/api/") {
        let method = method.to_owned();
        api::answer(&shard, &method, request, &session).await
    } else if is_public {
        health::answer(&shard, &request)
    } else {
        match upgrade::accept(&shard, source, &request) {
            Ok((conn, handshake)) => {
                session.upgrade.replace(Some((conn, handshake)));
                // The 101 is the connection's to write; this answer is never asked for.
                pending().await
            }
            Err(response) => *response,
        }
    };
    if let Some(LoggedRefusal { reason, why }) = response.extensions().get().cloned() {
        shard.record_refusal(reason, asked.refused(why, source.address));
    }
    session.progress.set(true);
    session.answered.set(true);
    session.asked.set(false);
    session.has_read.set(false);
    // A socket that stays open would lead the next request here, too; and frames are no requests.
    let is_closing = shard.is_stopping() || shard.is_restarting() || asks_for_websocket;
    Ok(if is_closing { response::closing(response) } else { response })
}

/// What of a request the log tells when it is refused. The query is none of it: tokens are there.
struct Asked {
    uri: Uri,
    origin: Option<HeaderValue>,
    host: Option<HeaderValue>,
}

impl Asked {
    fn new(request: &Request<Incoming>) -> Self {
        let header = |name| request.headers().get(name).cloned();
        Self { uri: request.uri().clone(), origin: header(ORIGIN), host: header(HOST) }
    }

    fn refused(&self, why: String, address: IpAddr) -> RefusalDetails {
        let header = |value: &Option<HeaderValue>| value.as_ref().map(|value| truncated(place(value.as_bytes())));
        RefusalDetails {
            // It may quote the request.
            why: truncated(why.as_bytes()),
            address: Some(address),
            origin: header(&self.origin),
            host: header(&self.host),
            path: Some(truncated(self.uri.path().as_bytes())),
        }
    }
}

/// What an `Origin` or `Host` says of a place: not who asks for it, before an `@`, nor with what query. Neither belongs
/// there, and both may be secret.
fn place(value: &[u8]) -> &[u8] {
    let end = value.iter().position(|byte| matches!(byte, b'?' | b'#')).unwrap_or(value.len());
    // The last one: all that is before it may be a password.
    let start = value.iter().rposition(|byte| *byte == b'@').map_or(0, |at| at + 1);
    value.get(start..end).unwrap_or_default()
}
