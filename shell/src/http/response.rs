//! Answers, all with a JSON body.

use crate::net::refusals::RefusalReason;
use crate::runtime::shard::ShardRuntime;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::{Response, StatusCode};
use parlor_core::Limit;
use serde_json::json;
use std::time::Duration;

pub(super) type Body = Full<Bytes>;

/// After how long whatever is short now may be there again, where nothing else says so.
pub(super) const SOON: Duration = Duration::from_secs(1);

/// A whole answer as bytes, for a socket that HTTP has nothing more to do with.
pub(super) fn error_response(status: StatusCode, message: &str, limit: Limit) -> String {
    let body = json!({"error": {"message": message, "limit": limit.name()}}).to_string();
    let length = body.len();
    let retry = if [StatusCode::SERVICE_UNAVAILABLE, StatusCode::TOO_MANY_REQUESTS].contains(&status) {
        format!("retry-after: {}\r\n", seconds(SOON))
    } else {
        String::new()
    };
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\nconnection: close\r\n{retry}content-length: {length}\r\n\r\n{body}"
    )
}

pub(super) fn json(status: StatusCode, body: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// Yes, but there is nothing to see, which need not be asked again for a day.
pub(super) fn no_content() -> Response<Body> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("max-age=86400"));
    response
}

/// No, and why.
pub(super) fn error(status: StatusCode, message: &str) -> Response<Body> {
    json(status, json!({"error": {"message": message}}).to_string())
}

/// Why a request was refused: goes with its response as far as the log.
#[derive(Clone, Debug)]
pub(super) struct LoggedRefusal {
    pub(super) reason: RefusalReason,
    pub(super) why: String,
}

/// The same, and leaves a trace.
pub(super) fn with_refusal(
    mut response: Response<Body>,
    reason: RefusalReason,
    why: impl Into<String>,
) -> Response<Body> {
    response.extensions_mut().insert(LoggedRefusal { reason, why: why.into() });
    response
}

/// No, why, and a trace of it.
pub(super) fn logged_error(reason: RefusalReason, status: StatusCode, message: &str) -> Response<Body> {
    with_refusal(error(status, message), reason, message)
}

/// There is nothing at the path.
pub(super) fn not_found() -> Response<Body> {
    let message = "there is nothing here: WebSockets are at /ws/<room> and /connection/websocket, calls at \
        /api/<method>, and [[routes]] in the configuration file adds paths";
    logged_error(RefusalReason::Path, StatusCode::NOT_FOUND, message)
}

/// Not now: an invariant broke, and the shard rests before it starts again.
pub(super) fn restarting(shard: &ShardRuntime) -> Response<Body> {
    retry_after(error(StatusCode::SERVICE_UNAVAILABLE, "restarting"), shard.restarts_in())
}

/// Not any more: another instance takes over.
pub(super) fn stopping() -> Response<Body> {
    retry_after(error(StatusCode::SERVICE_UNAVAILABLE, "the server is stopping"), SOON)
}

/// The same, with when to try again (RFC 9110 section 10.2.3): in whole seconds, at least one.
pub(super) fn retry_after(mut response: Response<Body>, after: Duration) -> Response<Body> {
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds(after)));
    response
}

/// The same, as the last one on its socket.
pub(super) fn closing(mut response: Response<Body>) -> Response<Body> {
    // It may say "upgrade" already.
    response.headers_mut().append(CONNECTION, HeaderValue::from_static("close"));
    response
}

fn seconds(duration: Duration) -> u64 {
    duration.as_millis().div_ceil(1000).max(1).try_into().unwrap_or(u64::MAX)
}

/// No, because of a limit.
pub(super) fn limit_error(status: StatusCode, message: &str, limit: Limit) -> Response<Body> {
    let response = json(status, json!({"error": {"message": message, "limit": limit.name()}}).to_string());
    with_refusal(response, RefusalReason::Limit, limit.name())
}

/// Not with this method (RFC 9110 section 15.5.6).
pub(super) fn method_not_allowed(allowed: &'static str) -> Response<Body> {
    let mut response = logged_error(RefusalReason::Method, StatusCode::METHOD_NOT_ALLOWED, &format!("use {allowed}"));
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    response
}
