//! Parsers of requests that are too long for their rows in the table of methods.

use super::body::{Body, bad, no_connection};
use crate::api::{Command, Expiry, Page, Position, Selection};
use crate::close::{CloseCause, CloseReason};
use crate::config::Config;
use crate::error::{Error, ErrorCode};
use crate::ids::ClientId;
use crate::limits::Limit;
use crate::names::UserId;
use crate::protocol::history::{HistoryFields, Since};
use crate::wire::raw::{integer, or_default};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use serde::Deserialize;
use serde_json::Value;

pub(super) fn broadcast(mut body: Body<'_>, config: &Config) -> Result<Command, Error> {
    let channels = body.list("channels", Limit::BroadcastChannels, config.limits.broadcast_channels)?;
    let command = Command::Broadcast { channels, message: body.message(config)? };
    body.finish(command)
}

pub(super) fn send(mut body: Body<'_>, config: &Config) -> Result<Command, Error> {
    let id: String = body.required("client")?;
    let data = body.data(config)?;
    if id.is_empty() {
        return Err(bad("client must not be empty"));
    }
    body.finish(())?;
    ClientId::parse(&id).map(|client| Command::Send { client, data }).ok_or_else(|| no_connection(&id))
}

pub(super) fn disconnect(mut body: Body<'_>, config: &Config) -> Result<Command, Error> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct With {
        #[serde(deserialize_with = "integer")]
        code: u16,
        #[serde(default, deserialize_with = "or_default")]
        reason: String,
    }
    let user = body.maybe_user(config)?.unwrap_or_else(UserId::anonymous);
    let client = body.selection()?;
    if user.is_anonymous() && client == Selection::All {
        return Err(bad("user is missing; the anonymous user can only be addressed by client"));
    }
    let whitelist: Vec<Option<String>> = body.optional("whitelist")?.unwrap_or_default();
    let whitelist = whitelist.iter().flatten().filter_map(|client| ClientId::parse(client)).collect();
    let reason = match body.object::<With>("disconnect")? {
        None => CloseCause::Backend.reason(),
        // SDKs interpret a reason that is JSON as their own and ignore the code: they would never reconnect.
        Some(With { reason, .. }) if serde_json::from_str::<Value>(&reason).is_ok() => {
            return Err(bad("disconnect.reason must be plain text, not JSON"));
        }
        Some(With { code, reason }) => CloseReason::new(code, &reason)
            .ok_or_else(|| bad(format!("disconnect.code is {code}; it must be from 3000 to 4999")))?,
    };
    body.finish(Command::Disconnect { user, client, whitelist, reason })
}

pub(super) fn channels(mut body: Body<'_>, config: &Config) -> Result<Command, Error> {
    let pattern: Option<String> = body.optional("pattern")?;
    let pattern = pattern.filter(|pattern| !pattern.is_empty());
    let most = config.limits.room_name_bytes;
    if pattern.as_ref().is_some_and(|pattern| pattern.len() > most) {
        let words = format!("pattern has more than {most} bytes");
        return Err(Error::limit(ErrorCode::BadRequest, Limit::RoomNameBytes, &words));
    }
    let (limit, cursor) = body.paging()?;
    body.finish(Command::Channels { pattern, page: Page { limit, after: cursor } })
}

pub(super) fn connections(mut body: Body<'_>, config: &Config) -> Result<Command, Error> {
    // `cent` always sends this field, empty when it is not used.
    body.ignore_empty("expression");
    let (user, channel) = (body.maybe_user(config)?, body.maybe_room(config)?);
    let (limit, cursor) = body.paging()?;
    let after = cursor.map(|cursor| ClientId::parse(&cursor).ok_or_else(bad_cursor)).transpose()?;
    body.finish(Command::Connections { user, channel, page: Page { limit, after } })
}

fn bad_cursor() -> Error {
    bad("cursor must be one that this method has returned")
}

pub(super) fn subscribe(mut body: Body<'_>, config: &Config) -> Result<Command, Error> {
    let (user, client) = body.user_and_selection(config)?;
    let channel = body.client_room(config)?;
    let since: Option<Since> = body.object("recover_since")?;
    let since = since.map(Position::from);
    body.finish(Command::Subscribe { user, client, channel, since })
}

pub(super) fn refresh(mut body: Body<'_>, config: &Config) -> Result<Command, Error> {
    let (user, client) = body.user_and_selection(config)?;
    let expired: bool = body.optional("expired")?.unwrap_or_default();
    let expiry = match body.integer("expire_at")? {
        _ if expired => Expiry::Now,
        Some(at) => Expiry::At(at),
        None => Expiry::Never,
    };
    body.finish(Command::Refresh { user, client, expiry })
}

pub(super) fn revoke_token(mut body: Body<'_>, config: &Config) -> Result<Command, Error> {
    let uid: String = body.required("uid")?;
    if uid.is_empty() {
        return Err(bad("uid must not be empty; it is the claim jti of a token"));
    }
    let most = config.limits.token_id_bytes;
    if uid.len() > most {
        let words = format!("uid has more than {most} bytes");
        return Err(Error::limit(ErrorCode::BadRequest, Limit::TokenIdBytes, &words));
    }
    let expire_at = body.integer("expire_at")?;
    body.finish(Command::RevokeToken { uid, expire_at })
}

pub(super) fn invalidate_user_tokens(mut body: Body<'_>, config: &Config) -> Result<Command, Error> {
    let user = body.user(config)?;
    let (issued_before, expire_at) = (body.integer("issued_before")?, body.integer("expire_at")?);
    body.finish(Command::InvalidateUserTokens { user, issued_before, expire_at })
}

/// Reads a request for a list that is in the order of its keys.
pub(super) fn keyed_page(mut body: Body<'_>, command: fn(Page<String>) -> Command) -> Result<Command, Error> {
    let (limit, after) = body.paging()?;
    body.finish(command(Page { limit, after }))
}

pub(super) fn history(mut body: Body<'_>, config: &Config) -> Result<Command, Error> {
    let channel = body.room(config)?;
    let limit = body.integer("limit")?;
    let fields = HistoryFields { limit, since: body.object("since")?, reverse: body.optional("reverse")? };
    body.finish(Command::History { channel, query: fields.query()? })
}
