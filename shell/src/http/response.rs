//! HTTP responses, each with a JSON body or none.

use crate::config::ApiErrorMode;
use crate::net::refusals::RefusalReason;
use crate::runtime::shard::ShardRuntime;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::{Response, StatusCode};
use parlor_core::api::Reply;
use parlor_core::error::Error;
use parlor_core::limits::Value;
use parlor_core::{Limit, api};
use serde_json::json;
use std::time::Duration;

/// The body of every response.
pub(super) type ResponseBody = Full<Bytes>;

/// `Retry-After` of a response whose cause does not say how long it lasts.
pub(super) const SOON: Duration = Duration::from_secs(1);

/// A whole error response as text, for a socket that the HTTP library does not serve any more.
pub(super) fn error_response(status: StatusCode, message: &str, limit: Option<Limit>) -> String {
    let mut error = json!({"message": message});
    if let Some(limit) = limit {
        error["limit"] = limit.name().into();
    }
    let body = json!({"error": error}).to_string();
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

/// A response with a JSON body.
pub(super) fn json(status: StatusCode, body: impl Into<Bytes>) -> Response<ResponseBody> {
    with_type("application/json", status, body)
}

/// A response to a probe, whose body is text.
pub(super) fn plain_text(status: StatusCode, text: impl Into<Bytes>) -> Response<ResponseBody> {
    with_type("text/plain", status, text)
}

/// A response with a body of this type.
pub(super) fn with_type(
    content_type: &'static str,
    status: StatusCode,
    body: impl Into<Bytes>,
) -> Response<ResponseBody> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// The response with the result of an API call, in this error mode.
pub(super) fn call_response(result: &Result<Reply, Error>, mode: ApiErrorMode) -> Response<ResponseBody> {
    let status = match result {
        Err(error) if mode == ApiErrorMode::Transport => StatusCode::from_u16(error.code.http_status()),
        _ => Ok(StatusCode::OK),
    };
    json(status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), api::json::encode(result))
}

/// The response with the result of a call about the server itself, in this error mode.
pub(super) fn server_call_response(
    result: Result<serde_json::Value, Error>,
    mode: ApiErrorMode,
) -> Response<ResponseBody> {
    match result {
        Ok(value) => json(StatusCode::OK, json!({"result": value}).to_string()),
        Err(error) => call_response(&Err(error), mode),
    }
}

/// 204, which may be cached for a day.
pub(super) fn no_content() -> Response<ResponseBody> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("max-age=86400"));
    response
}

/// An error response, which the log does not show.
pub(super) fn error(status: StatusCode, message: &str) -> Response<ResponseBody> {
    json(status, json!({"error": {"message": message}}).to_string())
}

/// The reason for which a request was refused. The router takes it from the response's extensions and logs it.
#[derive(Clone, Debug)]
pub(super) struct LoggedRefusal {
    pub(super) reason: RefusalReason,
    pub(super) why: String,
}

/// The response, with a refusal to be counted and logged.
pub(super) fn with_refusal(
    mut response: Response<ResponseBody>,
    reason: RefusalReason,
    why: impl Into<String>,
) -> Response<ResponseBody> {
    response.extensions_mut().insert(LoggedRefusal { reason, why: why.into() });
    response
}

/// An error response that is counted and logged as a refusal.
pub(super) fn logged_error(reason: RefusalReason, status: StatusCode, message: &str) -> Response<ResponseBody> {
    with_refusal(error(status, message), reason, message)
}

/// The words for a path that leads nowhere.
const NOTHING_HERE: &str = "there is nothing here: WebSockets are at /ws/<room> and /connection/websocket, calls at \
    /api/<method>, and [[routes]] in the configuration file adds paths";

/// 404: nothing is at the path.
pub(super) fn not_found() -> Response<ResponseBody> {
    logged_error(RefusalReason::Path, StatusCode::NOT_FOUND, NOTHING_HERE)
}

/// The same 404 for a path that is answered elsewhere, which only the log says.
pub(super) fn internal_only() -> Response<ResponseBody> {
    let why = "this path is answered at internal_listen only";
    with_refusal(error(StatusCode::NOT_FOUND, NOTHING_HERE), RefusalReason::Path, why)
}

/// 503: an invariant broke, and the next shard begins after a pause.
pub(super) fn restarting(shard: &ShardRuntime) -> Response<ResponseBody> {
    retry_after(error(StatusCode::SERVICE_UNAVAILABLE, "restarting"), shard.restarts_in())
}

/// 503: the server is stopping.
pub(super) fn stopping() -> Response<ResponseBody> {
    retry_after(error(StatusCode::SERVICE_UNAVAILABLE, "the server is stopping"), SOON)
}

/// The response with `Retry-After` (RFC 9110 section 10.2.3), in whole seconds, at least one.
pub(super) fn retry_after(mut response: Response<ResponseBody>, after: Duration) -> Response<ResponseBody> {
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds(after)));
    response
}

/// The response with `Connection: close`.
pub(super) fn closing(mut response: Response<ResponseBody>) -> Response<ResponseBody> {
    // Appended: the header may be there with "upgrade".
    response.headers_mut().append(CONNECTION, HeaderValue::from_static("close"));
    response
}

/// Whole seconds, rounded up, at least one.
fn seconds(duration: Duration) -> u64 {
    duration.as_millis().div_ceil(1000).max(1).try_into().unwrap_or(u64::MAX)
}

/// An error response that names a limit, counted and logged as a refusal.
pub(super) fn limit_error(status: StatusCode, message: &str, limit: Limit) -> Response<ResponseBody> {
    let response = json(status, json!({"error": {"message": message, "limit": limit.name()}}).to_string());
    with_refusal(response, RefusalReason::Limit, limit.name())
}

/// The status and the words for a socket beyond a limit of HTTP sockets, of which there may be so many.
pub(super) fn too_many_sockets(limit: Limit, most: Value) -> (StatusCode, String) {
    let (status, which) = match limit {
        Limit::HttpConnectionsPerIp => (StatusCode::TOO_MANY_REQUESTS, "from this address "),
        Limit::ProbeConnections => (StatusCode::SERVICE_UNAVAILABLE, "for probes "),
        _ => (StatusCode::SERVICE_UNAVAILABLE, ""),
    };
    (status, format!("there are {most} HTTP connections {which}already, which is the limit"))
}

/// 405: the path has other methods (RFC 9110 section 15.5.6).
pub(super) fn method_not_allowed(allowed: &'static str) -> Response<ResponseBody> {
    let mut response = logged_error(RefusalReason::Method, StatusCode::METHOD_NOT_ALLOWED, &format!("use {allowed}"));
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    response
}
