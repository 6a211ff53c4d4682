//! `POST /api/<method>`: from a request to a command, and from its result to a response.

use super::api_key::{self, AskedFor, authenticate};
use super::response::{
    self, ResponseBody, SOON, call_response, limit_error, restarting, retry_after, server_call_response, with_refusal,
};
use super::server_calls;
use super::server_methods::ServerMethod;
use super::session::HttpSession;
use crate::auth::ApiKey;
use crate::config::ApiErrorMode;
use crate::net::refusals::RefusalReason;
use crate::observe::metrics::api_calls::CallResult;
use crate::runtime::shard::ShardRuntime;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::{Body as HttpBody, Incoming};
use hyper::header::{HeaderMap, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use parlor_core::api::{Command, Reply};
use parlor_core::error::{Error, ErrorCode};
use parlor_core::{Limit, api};
use std::net::IpAddr;
use std::sync::Arc;
use tokio::time::timeout;

/// The header that chooses the error mode of one request. Clients of Centrifugo's API send it.
const ERROR_MODE: &str = "x-centrifugo-error-mode";

/// Bodies up to this size are parsed at once, without a wait for the share of a round.
const SHORT_BODY_BYTES: usize = 16 << 10;
/// Cost of parsing a byte, relative to reading it.
const PARSING_COST: usize = 8;

/// Answers an API call of a client at `address`. Notes in the session whether the key was valid and the body was read to its
/// end.
pub(super) async fn answer(
    shard: &ShardRuntime,
    method: &str,
    request: Request<Incoming>,
    session: &HttpSession,
    address: IpAddr,
) -> Response<ResponseBody> {
    if request.method() != Method::POST {
        return response::method_not_allowed("POST");
    }
    let (result, response) = answer_post(shard, method, request, session, address).await;
    shard.call_figures.count(method, result);
    response
}

/// Answers a POST, and says what is counted of it.
async fn answer_post(
    shard: &ShardRuntime,
    method: &str,
    request: Request<Incoming>,
    session: &HttpSession,
    address: IpAddr,
) -> (CallResult, Response<ResponseBody>) {
    let key = match authenticate(shard, request.headers(), address, AskedFor::Call) {
        Ok(key) => key,
        Err(response) => return (CallResult::Denied, *response),
    };
    session.has_key.set(true);
    let mode = match error_mode(request.headers(), shard.settings().api_error_mode) {
        Ok(mode) => mode,
        Err(error) => return (CallResult::ClientError, call_response(&Err(error), ApiErrorMode::Transport)),
    };
    let Some(reservation) = BodyReservation::take(shard, request.body()) else {
        return (CallResult::ServerError, bodies_exhausted(shard));
    };
    let answered = match read_body(shard, request, mode).await {
        Ok(body) => {
            session.unread.set(false);
            if body.len() > SHORT_BODY_BYTES {
                shard.rounds.take(body.len().saturating_mul(PARSING_COST)).await;
            }
            // A reload may have removed the key, or changed its rights, while the body was on its way.
            match shard.in_force().api_keys.current(&key).cloned() {
                Some(key) => answer_call(shard, &Backend { key, address }, method, &body, mode).await,
                None => (CallResult::Denied, api_key::removed()),
            }
        }
        Err(response) => (CallResult::ClientError, *response),
    };
    drop(reservation);
    answered
}

/// Makes a call whose body is there.
async fn answer_call(
    shard: &ShardRuntime,
    backend: &Backend,
    method: &str,
    body: &[u8],
    mode: ApiErrorMode,
) -> (CallResult, Response<ResponseBody>) {
    if let Some(own) = ServerMethod::named(method) {
        let result = server_calls::call(shard, &backend.key, backend.address, own, body).await;
        return (CallResult::of(Some(&result)), server_call_response(result, mode));
    }
    let result = call(shard, backend, method, body).await;
    let response = result.as_ref().map_or_else(|| restarting(shard), |result| call_response(result, mode));
    (CallResult::of(result.as_ref()), response)
}

/// The backend that makes a call.
struct Backend {
    key: Arc<ApiKey>,
    address: IpAddr,
}

/// The bytes of a body among `inbound_bytes_total`, until its call is answered or dropped.
struct BodyReservation<'a> {
    shard: &'a ShardRuntime,
    bytes: usize,
}

impl<'a> BodyReservation<'a> {
    /// Reserves the length of a body, or `api_body_bytes` where it does not say its length. None where the limit is reached.
    fn take(shard: &'a ShardRuntime, body: &Incoming) -> Option<Self> {
        let most = shard.settings().limits.api_body_bytes;
        let length = body.size_hint().exact().map_or(most, |length| usize::try_from(length).unwrap_or(most));
        let bytes = length.min(most);
        // Without a shard there is nothing to reserve; the call is answered 503.
        let is_reserved = shard.enter(|host, now| host.reserve_body(now, bytes)).unwrap_or(true);
        // Built lazily: a guard that is dropped releases what it has reserved.
        is_reserved.then(|| Self { shard, bytes })
    }
}

impl Drop for BodyReservation<'_> {
    fn drop(&mut self) {
        self.shard.enter(|host, now| host.release_body(now, self.bytes));
    }
}

/// 503: `inbound_bytes_total` is reached, and the body was not read.
fn bodies_exhausted(shard: &ShardRuntime) -> Response<ResponseBody> {
    shard.count_limit(Limit::InboundBytesTotal);
    let message = "too many request bodies are in progress; this one was not read";
    retry_after(limit_error(StatusCode::SERVICE_UNAVAILABLE, message, Limit::InboundBytesTotal), SOON)
}

/// The error mode of the request; `configured` where it names none.
fn error_mode(headers: &HeaderMap, configured: ApiErrorMode) -> Result<ApiErrorMode, Error> {
    match headers.get(ERROR_MODE).map(HeaderValue::as_bytes) {
        None => Ok(configured),
        Some(b"body") => Ok(ApiErrorMode::Body),
        Some(b"transport") => Ok(ApiErrorMode::Transport),
        Some(_) => Err(Error::new(ErrorCode::BadRequest, "X-Centrifugo-Error-Mode must be transport or body")),
    }
}

/// Reads the whole body, within `api_body_bytes` and `request_timeout`.
///
/// # Errors
/// The error response.
async fn read_body(
    shard: &ShardRuntime,
    request: Request<Incoming>,
    mode: ApiErrorMode,
) -> Result<Vec<u8>, Box<Response<ResponseBody>>> {
    let (limit, patience) = (shard.settings().limits.api_body_bytes, shard.settings().limits.request_timeout);
    let fail = |error| Box::new(call_response(&Err(error), mode));
    let too_large = || {
        shard.count_limit(Limit::ApiBodyBytes);
        let message = format!("the body has more than {limit} bytes");
        let response = fail(Error::limit(ErrorCode::LimitExceeded, Limit::ApiBodyBytes, &message));
        Box::new(with_refusal(*response, RefusalReason::Limit, Limit::ApiBodyBytes.name()))
    };
    let body = request.into_body();
    if body.size_hint().lower() > limit as u64 {
        return Err(too_large());
    }
    match timeout(patience, collect(Limited::new(body, limit))).await {
        Ok(Ok(body)) => Ok(body),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(_)) => Err(fail(Error::new(ErrorCode::BadRequest, "the body is incomplete or malformed"))),
        Err(_) => {
            shard.count_limit(Limit::RequestTimeout);
            Err(limit_error(StatusCode::REQUEST_TIMEOUT, "the body did not come in time", Limit::RequestTimeout).into())
        }
    }
}

/// Collects the bytes of a body. They are copied, because a frame of one byte keeps the whole buffer that it was read into.
async fn collect(mut body: Limited<Incoming>) -> Result<Vec<u8>, <Limited<Incoming> as HttpBody>::Error> {
    let length = body.size_hint().exact().and_then(|length| usize::try_from(length).ok());
    let mut bytes = Vec::with_capacity(length.unwrap_or(0));
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame?.into_data() {
            bytes.extend_from_slice(&data);
        }
    }
    Ok(bytes)
}

/// Parses a call and makes it. None when an invariant broke, before the call or during it.
async fn call(shard: &ShardRuntime, backend: &Backend, method: &str, body: &[u8]) -> Option<Result<Reply, Error>> {
    match api::json::parse(method, body, &shard.in_force().config) {
        Ok(command) => make(shard, backend, method, command).await,
        Err(error) => {
            // The core counts only what reaches it.
            error.limit.into_iter().for_each(|limit| shard.count_limit(limit));
            Some(Err(error))
        }
    }
}

/// Leaves of a call what the key allows, makes it, and logs it. None as for [`call`].
async fn make(shard: &ShardRuntime, backend: &Backend, method: &str, command: Command) -> Option<Result<Reply, Error>> {
    let (begun, only_reads) = (shard.clock.now().mono, command.only_reads());
    let record = shard.calls.begin(backend.key.name(), backend.address, method, &command);
    let result = match backend.key.rights().restrict(method, command) {
        Ok(command) => shard.enter(|host, now| host.call(now, command))?.await.ok()?,
        Err(denied) => Err(denied),
    };
    if let Some(record) = record {
        record.finish(&result);
    }
    shard.call_figures.took(only_reads, shard.clock.now().mono.since(begun));
    Some(result)
}
