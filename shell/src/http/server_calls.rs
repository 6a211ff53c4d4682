//! Calls about the server itself: each is handed to where signals are handled, and answered.

use super::explain;
use super::question::Question;
use super::server_methods::{ServerMethod, ServerMethodKind};
use crate::auth::{ApiKey, CONSOLE_TICKETS, CONSOLE_TICKETS_PER_KEY, TICKET_TIME};
use crate::observe::input_log::WrittenLog;
use crate::runtime::server_requests::ServerRequest;
use crate::runtime::shard::ShardRuntime;
use parlor_core::RoomName;
use parlor_core::api::{self, Command};
use parlor_core::error::{Error, ErrorCode};
use parlor_core::snapshot::OutboxView;
use serde_json::{Value, json};
use std::net::IpAddr;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::timeout;

/// The time for a reload, at most.
const RELOAD_PATIENCE: Duration = Duration::from_secs(30);

/// The connections that `outboxes` lists, at most.
const OUTBOXES: usize = 20;

/// Makes a call with a key, from an address, and logs it. Returns what `result` holds.
///
/// # Errors
/// 103 where the key does not allow it; 107 where the body is not as it has to be; 108 where what is read again is wrong, or there
/// is no console; 106 where no ticket is left; 100 where the server cannot do it now.
pub(super) async fn call(
    shard: &ShardRuntime,
    key: &ApiKey,
    address: IpAddr,
    method: &'static ServerMethod,
    body: &[u8],
) -> Result<Value, Error> {
    let room = room_of(shard, method, body)?;
    let permitted = match &room {
        Some(room) => key.rights().permit_in(method.name, room),
        None => key.rights().permit(method.name),
    };
    let result = match (permitted, method.kind) {
        (Err(denied), _) => Err(denied),
        (Ok(()), ServerMethodKind::Drain) => drain(shard),
        (Ok(()), ServerMethodKind::Reload) => reload(shard).await,
        (Ok(()), ServerMethodKind::Closes) => closes(shard),
        (Ok(()), ServerMethodKind::Outboxes) => outboxes(shard),
        (Ok(()), ServerMethodKind::ConsoleTicket) => console_ticket(shard, key, room.clone()),
        (Ok(()), ServerMethodKind::InputLog) => input_log(shard).await,
        (Ok(()), ServerMethodKind::Explain) => explained(shard, body),
    };
    if method.kind.is_logged() {
        shard.calls.note(key.name(), address, method.name, room, result.as_ref().err());
    }
    result
}

/// The room that a call is about; None where its method is about no room.
fn room_of(shard: &ShardRuntime, method: &ServerMethod, body: &[u8]) -> Result<Option<RoomName>, Error> {
    let config = &shard.in_force().config;
    if method.kind == ServerMethodKind::Explain {
        return Ok(Question::parse(body, config)?.room().cloned());
    }
    match api::json::parse(method.kind.like(), body, config)? {
        Command::Presence { channel } => Ok(Some(channel)),
        _ => Ok(None),
    }
}

/// What is known of a connection, a publication or a room.
fn explained(shard: &ShardRuntime, body: &[u8]) -> Result<Value, Error> {
    let question = Question::parse(body, &shard.in_force().config)?;
    explain::answer(&question, shard).ok_or_else(restarting)
}

/// The last connections that ended.
fn closes(shard: &ShardRuntime) -> Result<Value, Error> {
    let closes = shard.enter(|host, _| host.closes().view()).ok_or_else(restarting)?;
    Ok(json!({"closes": closes}))
}

/// The connections that most bytes wait for.
fn outboxes(shard: &ShardRuntime) -> Result<Value, Error> {
    let fullest = shard.enter(|host, _| host.shard().fullest_outboxes(OUTBOXES)).ok_or_else(restarting)?;
    let view = |OutboxView { client, user, protocol, bytes, frames, refused }: &OutboxView| {
        json!({
            "client": client.to_string(), "user": user.as_str(), "protocol": protocol, "bytes": bytes, "frames": frames,
            "blocked": refused,
        })
    };
    Ok(json!({"connections": fullest.iter().map(view).collect::<Vec<_>>()}))
}

/// A ticket for a room that a connection can be subscribed to.
fn console_ticket(shard: &ShardRuntime, key: &ApiKey, room: Option<RoomName>) -> Result<Value, Error> {
    if !shard.settings().console {
        return Err(Error::new(ErrorCode::NotAvailable, "there is no console on this server: console = false"));
    }
    let room = room.filter(|room| !room.is_reserved());
    let Some(room) = room else {
        let words = "only the connections of its user are in a personal room; history reads its log";
        return Err(Error::new(ErrorCode::PermissionDenied, words));
    };
    let now = shard.clock.now().mono;
    let ticket = shard.console_tickets.borrow_mut().issue(now, key.name(), room).ok_or_else(|| {
        let most = format!("at most {CONSOLE_TICKETS_PER_KEY} of a key, and {CONSOLE_TICKETS} of all");
        Error::new(ErrorCode::LimitExceeded, format!("too many tickets wait to be used, {most}; try again"))
    })?;
    Ok(json!({"ticket": ticket.expose(), "seconds": TICKET_TIME.as_secs()}))
}

/// The error of a call whose shard is about to begin anew.
fn restarting() -> Error {
    Error::new(ErrorCode::Internal, "the server is restarting; try again")
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

/// Has the input log written. The shard waits only while it is copied.
async fn input_log(shard: &ShardRuntime) -> Result<Value, Error> {
    let busy = || Error::new(ErrorCode::Internal, "the shard restarts, or an input log is written already; try again");
    let folder = shard.input_logs.folder().map_err(|wrong| Error::new(ErrorCode::NotAvailable, wrong))?;
    let log = shard.input_log().ok_or_else(busy)?;
    let is_done = shard.input_logs.write(folder, log, shard.clock.now()).ok_or_else(busy)?;
    match is_done.await {
        Ok(Ok(WrittenLog { file, bytes, steps, first_step, run_steps })) => {
            let from_start = first_step == 0;
            Ok(json!({
                "file": file, "bytes": bytes, "steps": steps, "from_start": from_start, "run_steps": run_steps,
            }))
        }
        Ok(Err(wrong)) => Err(Error::new(ErrorCode::NotAvailable, wrong)),
        Err(_) => Err(Error::new(ErrorCode::Internal, "it is not known whether the input log was written")),
    }
}

/// Hands a request to the process.
fn ask(shard: &ShardRuntime, request: ServerRequest) -> Result<(), Error> {
    let busy = |_| Error::new(ErrorCode::Internal, "too many such calls wait; try again");
    shard.requests.try_send(request).map_err(busy)
}
