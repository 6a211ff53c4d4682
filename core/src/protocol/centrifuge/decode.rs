//! The decoder of the Centrifuge client protocol: text frames to commands.

use super::commands::{CommandName, Connect, History, InRoom, Publish, Refresh, Subscribe};
use crate::close::CloseCause;
use crate::connection::pending::JoinLeave;
use crate::error::{Error, ErrorCode};
use crate::limits::Limits;
use crate::protocol::command::{ClientCommand, Incoming, Rejected};
use crate::protocol::command_id::CommandId;
use crate::protocol::readable;
use crate::wire::raw;
use alloc::borrow::Cow;
use alloc::format;
use alloc::vec::Vec;
use core::fmt;
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

/// Decodes the first command of `text`; `None` at the end of the text.
///
/// # Errors
/// Returns the cause that ends the connection when the text is not one of the protocol: where it goes on is not known.
pub(crate) fn decode<'a>(text: &'a str, limits: &Limits) -> Result<Option<Incoming<'a>>, CloseCause> {
    let Some(next) = next_object(text) else { return Ok(None) };
    let (object, used) = next.map_err(|_| CloseCause::BadRequest)?;
    let (id, is_connect) = match object {
        CommandObject::Known { id, name, .. } => (id, name == CommandName::Connect),
        CommandObject::Unknown { id } => (id, false),
        CommandObject::Pong => (0, false),
    };
    let command = match object {
        CommandObject::Pong => Ok(ClientCommand::Pong),
        CommandObject::Known { id: 0, name: CommandName::Send, .. } => Ok(ClientCommand::Send),
        // What is to be answered needs an id.
        CommandObject::Known { id: 0, .. } | CommandObject::Unknown { id: 0 } => {
            Err(Rejected::Close(CloseCause::BadRequest))
        }
        CommandObject::Known { name, params, .. } => known_command(name, params, limits),
        CommandObject::Unknown { .. } => Err(Rejected::Error(ErrorCode::MethodNotFound.into())),
    };
    Ok(Some(Incoming { id: CommandId::Number(id), is_connect, command, used }))
}

fn known_command<'a>(name: CommandName, params: &'a RawValue, limits: &Limits) -> Result<ClientCommand<'a>, Rejected> {
    Ok(match name {
        CommandName::Connect => return connect(params, limits),
        CommandName::Subscribe => return subscribe(params, limits),
        CommandName::Unsubscribe => {
            let InRoom { channel } = read(params)?;
            ClientCommand::Unsubscribe { channel }
        }
        CommandName::Publish => {
            let publish: Publish<'_> = read(params)?;
            refuse_unsupported(publish.unsupported())?;
            let data = publish.payload().ok_or_else(|| Error::new(ErrorCode::BadRequest, "data is missing"))?;
            ClientCommand::Publish { channel: Some(publish.channel), data: data.into() }
        }
        CommandName::Refresh => {
            let Refresh { token, .. } = read(params)?;
            ClientCommand::Refresh { token }
        }
        CommandName::SubRefresh => {
            let refresh: Refresh<'_> = read(params)?;
            refuse_unsupported(refresh.unsupported())?;
            let Refresh { channel, token, .. } = refresh;
            ClientCommand::SubRefresh { channel, token }
        }
        CommandName::History => {
            let History { channel, query } = read(params)?;
            ClientCommand::History { channel, query }
        }
        CommandName::Presence => {
            let InRoom { channel } = read(params)?;
            ClientCommand::Presence { channel }
        }
        CommandName::PresenceStats => {
            let InRoom { channel } = read(params)?;
            ClientCommand::PresenceStats { channel }
        }
        CommandName::Ping => ClientCommand::Ping,
        CommandName::Send => ClientCommand::Send,
        CommandName::Rpc => ClientCommand::Rpc,
    })
}

fn connect<'a>(params: &'a RawValue, limits: &Limits) -> Result<ClientCommand<'a>, Rejected> {
    let Connect { token, data, subs } = read(params)?;
    readable(data, limits)?;
    if subs.is_empty() {
        return Ok(ClientCommand::Connect { token, replays: Vec::new() });
    }
    for wanted in subs.values() {
        refuse_unsupported(wanted.unsupported_at_connect())?;
        readable(wanted.data, limits)?;
    }
    // More than a connection may be in means nothing: it cannot be put into them.
    let subs = subs.into_iter().take(limits.rooms_per_connection);
    let replays = subs.map(|(room, wanted)| (room, wanted.replay().or_without())).collect();
    Ok(ClientCommand::Connect { token, replays })
}

fn subscribe<'a>(params: &'a RawValue, limits: &Limits) -> Result<ClientCommand<'a>, Rejected> {
    let wanted: Subscribe<'_> = read(params)?;
    refuse_unsupported(wanted.unsupported())?;
    readable(wanted.data, limits)?;
    let (replay, join_leave) = (wanted.replay(), if wanted.join_leave { JoinLeave::Told } else { JoinLeave::Untold });
    Ok(ClientCommand::Subscribe { channel: wanted.channel, token: wanted.token, replay, join_leave })
}

/// Checks that what comes along with a command is such as could be passed on.
fn readable(data: Option<&RawValue>, limits: &Limits) -> Result<(), Error> {
    let checked = data.map_or(Ok(()), |data| readable::check(data.get(), limits));
    checked.map_err(|wrong| wrong.error("data"))
}

/// Refuses a request for something that the server does not do, since a client would take the answer for what it has
/// asked for.
fn refuse_unsupported(field: Option<&'static str>) -> Result<(), Error> {
    field.map_or(Ok(()), |field| {
        Err(Error::new(ErrorCode::NotAvailable, format!("{field} is not available on this server")))
    })
}

fn read<'a, T: Deserialize<'a>>(params: &'a RawValue) -> Result<T, Error> {
    raw::object(params.get()).map_err(|wrong| Error::new(ErrorCode::BadRequest, wrong))
}

/// One object of a client's text frame.
#[derive(Debug)]
enum CommandObject<'a> {
    /// The answer to a ping: `{}`.
    Pong,
    /// A command; `id` is 0 when the object has none.
    Known { id: u64, name: CommandName, params: &'a RawValue },
    /// An object without a known command.
    Unknown { id: u64 },
}

/// Decodes the first object of `text`. Returns it with the number of bytes read; `None` at the end of the text.
///
/// Objects are separated by white space or by nothing; a line break inside an object separates nothing.
fn next_object(text: &str) -> Option<Result<(CommandObject<'_>, usize), serde_json::Error>> {
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<CommandObject<'_>>();
    let command = values.next()?;
    Some(command.map(|command| (command, values.byte_offset())))
}

impl<'de> Deserialize<'de> for CommandObject<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(CommandVisitor)
    }
}

struct CommandVisitor;

impl<'de> Visitor<'de> for CommandVisitor {
    type Value = CommandObject<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a command object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut id = 0;
        let mut known = None;
        let mut empty = true;
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            empty = false;
            if key == "id" {
                id = map.next_value::<Option<u64>>()?.unwrap_or_default();
            } else if let Some(named) = CommandName::parse(&key) {
                let params = map.next_value::<&RawValue>()?;
                // Typed clients send `null` for the commands that are not meant.
                if known.is_none_or(|(_, meant): (_, &RawValue)| meant.get() == "null") {
                    known = Some((named, params));
                }
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(match known {
            Some((name, params)) => CommandObject::Known { id, name, params },
            None if empty => CommandObject::Pong,
            None => CommandObject::Unknown { id },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn text_that_is_no_command_is_answered_with_what_is_expected() {
        for text in ["7", "[]", "\"connect\"", "null"] {
            let wrong = next_object(text).expect("there is something").expect_err(text);
            assert!(wrong.to_string().contains("expected a command object"), "{text}: {wrong}");
        }
    }
}
