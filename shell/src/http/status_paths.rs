//! Answers to probes, operators and browsers: health, metrics, the description of the API, and no icon.

use super::accept;
use super::api_key::{self, AskedFor};
use super::openapi;
use super::ready_path;
use super::response::{self, LoggedRefusal, ResponseBody, not_found};
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

/// Whether a path is for orchestrators, which are answered on every listener and beyond `http_connections`.
pub(super) fn is_probe(path: &str) -> bool {
    [LIVE, READY].contains(&path)
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
    if !is_detailed(path) && !is_probe(path) && path != FAVICON {
        return not_found();
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return response::method_not_allowed("GET, HEAD");
    }
    if is_detailed(path)
        && let Err(response) = authorize(shard, request, session, address)
    {
        return *response;
    }
    match path {
        HEALTH => {
            let (now, stats) = shard.stats();
            response::json(StatusCode::OK, health(shard, now.mono, &stats))
        }
        METRICS => {
            let wanted = request.headers().get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
            let form = MetricsForm::ALL[accept::preferred(wanted, MetricsForm::ALL.map(MetricsForm::media_type))];
            response::with_type(form.content_type(), StatusCode::OK, metrics(shard, &shard.stats().1, form))
        }
        openapi::PATH => response::json(StatusCode::OK, shard.in_force().document.bytes(&shard.settings())),
        FAVICON => response::no_content(),
        READY => ready(shard, request, session, address),
        _ => response::plain_text(StatusCode::OK, "ok"),
    }
}

/// Whether a request may be told details, which need an API key but in development mode and at `internal_listen`.
///
/// # Errors
/// The response to who has none, or a wrong one.
fn authorize(
    shard: &ShardRuntime,
    request: &Request<Incoming>,
    session: &HttpSession,
    address: IpAddr,
) -> Result<(), Box<Response<ResponseBody>>> {
    if !shard.settings().is_dev() && session.kind == ListenerKind::Public {
        api_key::authenticate(shard, request.headers(), address, AskedFor::Details)?;
        session.has_key.set(true);
    }
    Ok(())
}

/// Says whether the server is ready. Who may not know more is answered all the same, since a probe has no key; a key that is
/// wrong counts as such, or it could be guessed here.
fn ready(
    shard: &ShardRuntime,
    request: &Request<Incoming>,
    session: &HttpSession,
    address: IpAddr,
) -> Response<ResponseBody> {
    let query = request.uri().query().unwrap_or_default();
    let is_elsewhere = shard.settings().internal_listen.is_some() && session.kind == ListenerKind::Public;
    if is_elsewhere {
        return ready_path::answer(shard, query, false);
    }
    let refusal = authorize(shard, request, session, address).err();
    let mut response = ready_path::answer(shard, query, refusal.is_none());
    let is_wrong = api_key::is_sent(request.headers());
    if let Some(refusal) = refusal.filter(|_| is_wrong).and_then(|refused| refused.extensions().get().cloned()) {
        response.extensions_mut().insert::<LoggedRefusal>(refusal);
    }
    response
}
