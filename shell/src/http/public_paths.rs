//! Answers to probes and browsers: health, the description of the API, and no icon.

use super::openapi;
use super::response::{self, ResponseBody, not_found, restarting};
use crate::observe::health::health;
use crate::runtime::shard::ShardRuntime;
use hyper::body::{Bytes, Incoming};
use hyper::{Method, Request, Response, StatusCode};

/// The path that browsers request by themselves when a person opens `/health`.
const FAVICON: &str = "/favicon.ico";

/// The paths that need no API key.
const PUBLIC_PATHS: [&str; 5] = ["/health", openapi::PATH, FAVICON, "/health/live", "/health/ready"];

/// Whether a path is answered here, be it by 404.
pub(super) fn is_public(path: &str) -> bool {
    [FAVICON, openapi::PATH, "/health"].contains(&path) || path.starts_with("/health/")
}

/// Answers a request for a public path. No body is made for a method that is not allowed.
pub(super) fn answer(shard: &ShardRuntime, request: &Request<Incoming>) -> Response<ResponseBody> {
    let path = request.uri().path();
    if !PUBLIC_PATHS.contains(&path) {
        return not_found();
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return response::method_not_allowed("GET, HEAD");
    }
    let bytes: Bytes = match path {
        "/health" => {
            let (now, stats) =
                shard.enter(|host, now| (now, host.shard().stats())).unwrap_or_else(|| shard.empty_stats());
            health(shard, now.mono, &stats).into()
        }
        openapi::PATH => shard.document.bytes(&shard.settings),
        FAVICON => return response::no_content(),
        "/health/ready" if shard.is_stopping() => return response::stopping(),
        "/health/ready" if shard.is_restarting() => return restarting(shard),
        _ => Bytes::from_static(br#"{"status":"ok"}"#),
    };
    response::json(StatusCode::OK, bytes)
}
