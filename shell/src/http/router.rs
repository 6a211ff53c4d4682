//! The answer to each request, by its path.

use super::forwarded::{self, Scheme, Source};
use super::response::{self, LoggedRefusal, ResponseBody, SOON, restarting};
use super::server_methods::{ServerMethod, ServerMethodKind};
use super::session::HttpSession;
use super::{api, console, head, status_paths, upgrade};
use crate::config::ListenerKind;
use crate::net::refusals::{RefusalDetails, truncated};
use crate::runtime::shard::ShardRuntime;
use hyper::body::{Body as _, Incoming};
use hyper::header::{HOST, HeaderValue, ORIGIN};
use hyper::{Request, Response, Uri};
use parlor_core::Limit;
use std::convert::Infallible;
use std::future::pending;
use std::net::IpAddr;
use std::rc::Rc;
use tokio::task::yield_now;

/// The prefix of the paths of API calls.
const API: &str = "/api/";

/// Answers one request, keeps the session's state, and logs a refusal.
pub(super) async fn answer(
    shard: Rc<ShardRuntime>,
    session: Rc<HttpSession>,
    request: Request<Incoming>,
) -> Result<Response<ResponseBody>, Infallible> {
    session.requests.set(session.requests.get() + 1);
    session.progress.set(true);
    session.unread.set(!request.body().is_end_stream());
    let (trusted, address) = (&shard.settings().trusted_proxies, session.address);
    if !shard.settings().is_dev() {
        shard.proxy_warning.warn(request.headers(), address, trusted, shard.clock.now().mono);
    }
    let mut source = forwarded::source(request.headers(), address, trusted);
    if session.is_tls {
        source.scheme.get_or_insert(Scheme::Https);
    }
    let summary = RequestSummary::new(&request);
    if session.requests.get() > 1 {
        // One request of a socket in each round: other tasks do not wait for all that came together.
        session.begin_next_request();
        yield_now().await;
    }
    session.is_answering.set(true);
    session.guard.mark_busy();
    let asks_for_websocket = head::asks_for_websocket(request.headers());
    let response = route(&shard, &session, source, request).await;
    if let Some(LoggedRefusal { reason, why }) = response.extensions().get().cloned() {
        shard.record_refusal(reason, summary.refused(why, source.address));
    }
    session.progress.set(true);
    session.has_answered.set(true);
    session.is_answering.set(false);
    session.has_read.set(false);
    // The next request goes to a shard that works, or to another server; after a failed upgrade come frames, not requests.
    let is_closing = shard.is_stopping() || shard.is_restarting() || asks_for_websocket || session.is_for_probes;
    Ok(if is_closing { response::closing(response) } else { response })
}

/// Answers a request by its path. Does not return where the request becomes a WebSocket.
async fn route(
    shard: &ShardRuntime,
    session: &HttpSession,
    source: Source,
    request: Request<Incoming>,
) -> Response<ResponseBody> {
    let path = request.uri().path();
    let is_hidden = is_hidden(shard, session, path);
    let is_status = !is_hidden && status_paths::is_status(path);
    // A server that stops, or is broken, is told to stop as any other.
    let method = path.strip_prefix(API).and_then(ServerMethod::named);
    let is_answered_always = is_status || method.is_some_and(|method| method.kind == ServerMethodKind::Drain);
    if shard.is_stopping() && !is_answered_always {
        return response::stopping();
    }
    if shard.is_restarting() && !is_answered_always {
        return restarting(shard);
    }
    if session.is_for_probes && !status_paths::is_probe(path) {
        return no_place(shard);
    }
    if let Err(response) = head::check_host(&request) {
        return *response;
    }
    if is_hidden {
        return response::internal_only();
    }
    if let Some(method) = path.strip_prefix(API) {
        let method = method.to_owned();
        return api::answer(shard, &method, request, session, source.address).await;
    }
    if is_status {
        // It is answered at once: its socket is none of those that keep others out, and does not count as one.
        session.mark_waiting();
        let response = status_paths::answer(shard, &request, session, source.address);
        session.guard.mark_busy();
        return response;
    }
    let is_console = shard.settings().console && console::is_console(path);
    let accepted = match path {
        console::WEBSOCKET if is_console => upgrade::accept_listener(shard, source, &request),
        _ if is_console => return console::answer(&shard.settings(), &request),
        _ => upgrade::accept(shard, source, &request),
    };
    match accepted {
        Ok((conn, handshake)) => {
            session.upgrade.replace(Some((conn, handshake)));
            // The driver writes the 101; this future is dropped with the HTTP connection.
            pending().await
        }
        Err(response) => *response,
    }
}

/// 503: there are `http_connections` sockets, and each has a request under way.
fn no_place(shard: &ShardRuntime) -> Response<ResponseBody> {
    let limit = Limit::HttpConnections;
    shard.count_limit(limit);
    let (status, words) = response::too_many_sockets(limit, shard.settings().limits.value(limit));
    response::retry_after(response::limit_error(status, &words, limit), SOON)
}

/// Whether a path is answered at `internal_listen` only, and the request came elsewhere.
fn is_hidden(shard: &ShardRuntime, session: &HttpSession, path: &str) -> bool {
    let has_internal = shard.settings().internal_listen.is_some();
    let is_internal = path.starts_with(API) || status_paths::is_detailed(path) || console::is_console(path);
    has_internal && is_internal && session.kind == ListenerKind::Public
}

/// The parts of a request that the log shows when it is refused. The query is not among them, since tokens are there.
struct RequestSummary {
    uri: Uri,
    origin: Option<HeaderValue>,
    host: Option<HeaderValue>,
}

impl RequestSummary {
    fn new(request: &Request<Incoming>) -> Self {
        let header = |name| request.headers().get(name).cloned();
        Self { uri: request.uri().clone(), origin: header(ORIGIN), host: header(HOST) }
    }

    fn refused(&self, why: String, address: IpAddr) -> RefusalDetails {
        let header = |value: &Option<HeaderValue>| value.as_ref().map(|value| truncated(host_part(value.as_bytes())));
        RefusalDetails {
            // The message may quote the request.
            why: truncated(why.as_bytes()),
            address: Some(address),
            origin: header(&self.origin),
            host: header(&self.host),
            path: Some(truncated(self.uri.path().as_bytes())),
        }
    }
}

/// The host and port of an `Origin` or `Host`, without user information before an `@` and without a query: neither belongs
/// there, and both may be secret.
fn host_part(value: &[u8]) -> &[u8] {
    let end = value.iter().position(|byte| matches!(byte, b'?' | b'#')).unwrap_or(value.len());
    // The last one: everything before it may be a password.
    let start = value.iter().rposition(|byte| *byte == b'@').map_or(0, |at| at + 1);
    value.get(start..end).unwrap_or_default()
}
