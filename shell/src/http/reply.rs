//! Answers, all with a JSON body.

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};
use serde_json::json;

pub(super) type Body = Full<Bytes>;

/// A whole answer as bytes, for a socket that HTTP has nothing more to do with.
pub(super) fn last_words(status: StatusCode, message: &str, limit: &str) -> String {
    let body = json!({"error": {"message": message, "limit": limit}}).to_string();
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
    )
}

pub(super) fn json(status: StatusCode, body: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// No, and why.
pub(super) fn refusal(status: StatusCode, message: &str) -> Response<Body> {
    json(status, json!({"error": {"message": message}}).to_string())
}

/// No, because of a limit.
pub(super) fn over(status: StatusCode, message: &str, limit: &str) -> Response<Body> {
    json(status, json!({"error": {"message": message, "limit": limit}}).to_string())
}

/// Not with this method (RFC 9110 section 15.5.6).
pub(super) fn only(allowed: &'static str) -> Response<Body> {
    let mut response = refusal(StatusCode::METHOD_NOT_ALLOWED, &format!("use {allowed}"));
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    response
}
