//! Calls about the server itself: each is handed to where signals are handled, and answered.

use super::server_methods::{ServerMethod, ServerMethodKind};
use crate::auth::ApiKey;
use crate::runtime::server_requests::ServerRequest;
use crate::runtime::shard::ShardRuntime;
use parlor_core::api;
use parlor_core::error::{Error, ErrorCode};
use serde_json::{Value, json};
use std::net::IpAddr;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::timeout;

/// The time for a reload, at most.
const RELOAD_PATIENCE: Duration = Duration::from_secs(30);

/// Makes a call with a key, from an address, and logs it. Returns what `result` holds.
///
/// # Errors
/// 103 where the key does not allow it; 107 where the body is more than `{}`; 108 where what is read again is wrong; 100 where the
/// server cannot do it now.
pub(super) async fn call(
    shard: &ShardRuntime,
    key: &ApiKey,
    address: IpAddr,
    method: &'static ServerMethod,
    body: &[u8],
) -> Result<Value, Error> {
    // The core has a method without parameters, too.
    api::json::parse("info", body, &shard.in_force().config)?;
    let result = match (key.rights().permit(method.name), method.kind) {
        (Err(denied), _) => Err(denied),
        (Ok(()), ServerMethodKind::Drain) => drain(shard),
        (Ok(()), ServerMethodKind::Reload) => reload(shard).await,
    };
    shard.calls.note(key.name(), address, method.name, result.as_ref().err());
    result
}

/// Has the server stop. One that stops already answers the same.
fn drain(shard: &ShardRuntime) -> Result<Value, Error> {
    if !shard.is_leaving() {
        ask(shard, ServerRequest::Drain)?;
        // Who asks whether it is ready behind this answer is told that it is not.
        shard.leave();
    }
    let seconds = shard.settings().longest_stop().as_secs_f64();
    Ok(json!({"connections": shard.open_connections(), "seconds": seconds}))
}

async fn reload(shard: &ShardRuntime) -> Result<Value, Error> {
    let (done, is_done) = oneshot::channel();
    ask(shard, ServerRequest::Reload(done))?;
    match timeout(RELOAD_PATIENCE, is_done).await {
        Ok(Ok(Ok(reload))) => {
            // Who calls behind this answer is served by the new settings.
            shard.follow_settings();
            Ok(json!({"changed": reload.changed, "needs_restart": reload.needs_restart}))
        }
        Ok(Ok(Err(wrong))) => Err(Error::new(ErrorCode::NotAvailable, wrong)),
        Ok(Err(_)) | Err(_) => Err(Error::new(ErrorCode::Internal, "it is not known what came of the reload")),
    }
}

/// Hands a request to the process.
fn ask(shard: &ShardRuntime, request: ServerRequest) -> Result<(), Error> {
    let busy = |_| Error::new(ErrorCode::Internal, "too many such calls wait; try again");
    shard.requests.try_send(request).map_err(busy)
}
