//! Answers to probes, operators and browsers: health, metrics, the description of the API, and no icon.

use super::api_key::{self, AskedFor};
use super::openapi;
use super::response::{self, ResponseBody, SOON, not_found, retry_after};
use super::session::HttpSession;
use crate::config::ListenerKind;
use crate::observe::health::health;
use crate::observe::metrics::{MetricsForm, metrics};
use crate::runtime::shard::ShardRuntime;
use hyper::body::Incoming;
use hyper::header::ACCEPT;
use hyper::{Method, Request, Response, StatusCode};
use std::net::IpAddr;

/// The path of the figures.
const HEALTH: &str = "/health";
/// The same for Prometheus.
const METRICS: &str = "/metrics";
/// The paths for orchestrators.
const LIVE: &str = "/health/live";
const READY: &str = "/health/ready";
/// The path that browsers request by themselves when a person opens `/health`.
const FAVICON: &str = "/favicon.ico";

/// Whether a path is answered here, be it by 404.
pub(super) fn is_status(path: &str) -> bool {
    path == FAVICON || is_detailed(path) || path.starts_with("/health/")
}

/// Whether a path tells more than whether the server works.
pub(super) fn is_detailed(path: &str) -> bool {
    [HEALTH, METRICS, openapi::PATH].contains(&path)
}

/// Answers a request of a client at `address` for one of these paths. No body is made for a method that is not allowed, nor
/// for who may not know.
pub(super) fn answer(
    shard: &ShardRuntime,
    request: &Request<Incoming>,
    session: &HttpSession,
    address: IpAddr,
) -> Response<ResponseBody> {
    let path = request.uri().path();
    if !is_detailed(path) && ![FAVICON, LIVE, READY].contains(&path) {
        return not_found();
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return response::method_not_allowed("GET, HEAD");
    }
    if is_detailed(path) && !shard.settings.is_dev() && session.kind == ListenerKind::Public {
        match api_key::authenticate(shard, request.headers(), address, AskedFor::Details) {
            Ok(_) => session.has_key.set(true),
            Err(response) => return *response,
        }
    }
    match path {
        HEALTH => {
            let (now, stats) = shard.stats();
            response::json(StatusCode::OK, health(shard, now.mono, &stats))
        }
        METRICS => {
            let accept = request.headers().get(ACCEPT).and_then(|accept| accept.to_str().ok());
            let form = MetricsForm::preferred(accept);
            response::with_type(form.content_type(), StatusCode::OK, metrics(shard, &shard.stats().1, form))
        }
        openapi::PATH => response::json(StatusCode::OK, shard.document.bytes(&shard.settings)),
        FAVICON => response::no_content(),
        READY => ready(shard),
        _ => response::word(StatusCode::OK, "ok"),
    }
}

/// Says whether the server is ready, and if not, when to ask again.
fn ready(shard: &ShardRuntime) -> Response<ResponseBody> {
    let Some(word) = shard.unready() else { return response::word(StatusCode::OK, "ok") };
    let wait = if shard.is_restarting() { shard.restarts_in() } else { SOON };
    retry_after(response::word(StatusCode::SERVICE_UNAVAILABLE, word), wait)
}
