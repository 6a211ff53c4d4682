//! `POST /api/<method>`: from a request to a command, and from its result to a response.

use super::reply::{self, Body, json, over};
use crate::auth;
use crate::config::{ApiErrorMode, Settings};
use crate::shard::Shard;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::{Body as _, Bytes, Incoming};
use hyper::header::{AUTHORIZATION, HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use hyper::{Method, Request, Response, StatusCode};
use parlor_core::api::Reply;
use parlor_core::code::{Error, ErrorCode};
use parlor_core::wire;
use tokio::time::timeout;

/// Chooses between the two error modes for one request; Centrifugo's clients know it.
const ERROR_MODE: &str = "x-centrifugo-error-mode";

pub(super) async fn answer(shard: &Shard, method: &str, request: Request<Incoming>) -> Response<Body> {
    if request.method() != Method::POST {
        return reply::only("POST");
    }
    let settings = &*shard.settings;
    let mode = error_mode(request.headers(), settings.api_error_mode);
    if !is_authorized(request.headers(), settings) {
        let mut response = outcome(&Err(ErrorCode::Unauthorized.into()), ApiErrorMode::Transport);
        response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("apikey"));
        return response;
    }
    let body = match read_body(request, settings, mode).await {
        Ok(body) => body,
        Err(response) => return *response,
    };
    outcome(&call(shard, method, &body).await, mode)
}

fn is_authorized(headers: &HeaderMap, settings: &Settings) -> bool {
    let Some(key) = &settings.api_key else { return false };
    let authorization = headers.get(AUTHORIZATION).and_then(|value| after_scheme(value.as_bytes(), b"apikey "));
    let sent = headers.get("x-api-key").map(HeaderValue::as_bytes).or(authorization);
    sent.is_some_and(|sent| auth::is_key(sent, key))
}

/// What follows the name of an authentication scheme, which has no case (RFC 9110 section 11.1).
pub(super) fn after_scheme<'a>(value: &'a [u8], scheme: &[u8]) -> Option<&'a [u8]> {
    let (start, rest) = value.split_at_checked(scheme.len())?;
    start.eq_ignore_ascii_case(scheme).then(|| rest.trim_ascii())
}

fn error_mode(headers: &HeaderMap, configured: ApiErrorMode) -> ApiErrorMode {
    match headers.get(ERROR_MODE).map(HeaderValue::as_bytes) {
        Some(b"body") => ApiErrorMode::Body,
        Some(b"transport") => ApiErrorMode::Transport,
        _ => configured,
    }
}

async fn read_body(
    request: Request<Incoming>,
    settings: &Settings,
    mode: ApiErrorMode,
) -> Result<Bytes, Box<Response<Body>>> {
    let limit = settings.api_body_bytes;
    let refuse = |code, message: String| Err(Box::new(outcome(&Err(Error::new(code, message)), mode)));
    let too_large = || refuse(ErrorCode::LimitExceeded, format!("a body has at most {limit} bytes (api_body_bytes)"));
    let body = request.into_body();
    if body.size_hint().lower() > limit as u64 {
        return too_large();
    }
    match timeout(settings.request_timeout, Limited::new(body, limit).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => too_large(),
        Ok(Err(error)) => refuse(ErrorCode::BadRequest, error.to_string()),
        Err(_) => Err(over(StatusCode::REQUEST_TIMEOUT, "the body did not come in time", "request_timeout").into()),
    }
}

async fn call(shard: &Shard, method: &str, body: &[u8]) -> Result<Reply, Error> {
    let command = wire::api::parse(method, body, &shard.settings.limits)?;
    let answer = shard.enter(|host, now| host.call(now, command)).ok_or(ErrorCode::Internal)?;
    answer.await.unwrap_or_else(|_| Err(ErrorCode::Internal.into()))
}

fn outcome(result: &Result<Reply, Error>, mode: ApiErrorMode) -> Response<Body> {
    let status = match result {
        Err(error) if mode == ApiErrorMode::Transport => StatusCode::from_u16(error.code.http_status()),
        _ => Ok(StatusCode::OK),
    };
    json(status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), wire::api::encode(result))
}
