//! The API key of a request: where it stands, whose it is, and the answer to a request without a right one.

use super::response::{ResponseBody, SOON, call_response, retry_after, with_refusal};
use crate::auth::ApiKey;
use crate::config::ApiErrorMode;
use crate::net::refusals::RefusalReason;
use crate::runtime::shard::ShardRuntime;
use hyper::Response;
use hyper::header::{AUTHORIZATION, HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use parlor_core::error::{Error, ErrorCode};
use parlor_core::{Address, Limit};
use std::net::IpAddr;
use std::sync::Arc;

/// The header of the API key.
const KEY_HEADER: &str = "x-api-key";
/// The schemes of `Authorization` that the key may follow.
const SCHEMES: [&[u8]; 2] = [b"apikey ", b"bearer "];

/// The thing that a key is needed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AskedFor {
    /// An API call.
    Call,
    /// The content of `/health`, `/metrics` or `/openapi.json`.
    Details,
}

/// The key that a request has.
///
/// # Errors
/// The error response: 401, or 429 where the client's address has sent too many wrong keys. A right key is never limited.
pub(super) fn authenticate(
    shard: &ShardRuntime,
    headers: &HeaderMap,
    address: IpAddr,
    asked: AskedFor,
) -> Result<Arc<ApiKey>, Box<Response<ResponseBody>>> {
    let sent = sent_key(headers);
    let in_force = shard.in_force();
    if let Some(key) = sent.and_then(|sent| in_force.api_keys.find(sent)) {
        return Ok(key.clone());
    }
    if sent.is_some() && !is_within_limit(shard, address) {
        return Err(too_many(shard).into());
    }
    let why = match (sent, asked) {
        (_, AskedFor::Call) if in_force.api_keys.is_empty() => {
            "unauthorized: no API call can be made until api_key or api_keys is set"
        }
        (_, AskedFor::Details) if in_force.api_keys.is_empty() => {
            "unauthorized: this needs an API key, and none can be right until api_key or api_keys is set; no key is needed \
             at internal_listen and in development mode"
        }
        (None, AskedFor::Call) => {
            "unauthorized: send an API key (api_key, api_keys) in the header X-API-Key, or in Authorization after apikey \
             or Bearer"
        }
        (None, AskedFor::Details) => {
            "unauthorized: send an API key (api_key, api_keys) in the header X-API-Key, or in Authorization after apikey \
             or Bearer; no key is needed at internal_listen and in development mode"
        }
        (Some(_), _) if headers.contains_key(KEY_HEADER) => {
            "unauthorized: the key in X-API-Key is not one of this server"
        }
        (Some(_), _) => "unauthorized: the key in Authorization is not one of this server",
    };
    Err(unauthorized(why).into())
}

/// Whether a request has a key, right or wrong.
pub(super) fn is_sent(headers: &HeaderMap) -> bool {
    sent_key(headers).is_some()
}

/// 401, which does not tell how near a wrong key is.
/// 401: the key was one of this server when its request began.
pub(super) fn removed() -> Response<ResponseBody> {
    unauthorized("unauthorized: the key was removed while the call was on its way")
}

fn unauthorized(why: &'static str) -> Response<ResponseBody> {
    let error = Error::new(ErrorCode::Unauthorized, why);
    let mut response = call_response(&Err(error), ApiErrorMode::Transport);
    response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("apikey, Bearer"));
    with_refusal(response, RefusalReason::Key, why)
}

/// 429: `wrong_keys_per_ip` is exceeded.
fn too_many(shard: &ShardRuntime) -> Response<ResponseBody> {
    let limit = Limit::WrongKeysPerIp;
    shard.count_limit(limit);
    let words = "too many requests with a wrong API key have come from this address";
    let error = Error::limit(ErrorCode::TooManyRequests, limit, words);
    let response = call_response(&Err(error), ApiErrorMode::Transport);
    retry_after(with_refusal(response, RefusalReason::Limit, limit.name()), SOON)
}

/// Counts a wrong key. False where the address has sent too many.
fn is_within_limit(shard: &ShardRuntime, address: IpAddr) -> bool {
    let (rate, now) = (shard.settings().limits.wrong_keys_per_ip, shard.clock.now().mono);
    !shard.settings().counts_wrong_keys_of(address)
        || shard.wrong_keys.borrow_mut().take(now, Address::from(address), rate)
}

/// The key that the request has, in either header.
fn sent_key(headers: &HeaderMap) -> Option<&[u8]> {
    let authorization = || {
        let value = headers.get(AUTHORIZATION)?.as_bytes();
        SCHEMES.iter().find_map(|scheme| after_scheme(value, scheme))
    };
    headers.get(KEY_HEADER).map(HeaderValue::as_bytes).or_else(authorization)
}

/// The credentials after the name of an authentication scheme, which has no case (RFC 9110 section 11.1).
pub(super) fn after_scheme<'a>(value: &'a [u8], scheme: &[u8]) -> Option<&'a [u8]> {
    let (start, rest) = value.split_at_checked(scheme.len())?;
    start.eq_ignore_ascii_case(scheme).then(|| rest.trim_ascii())
}
