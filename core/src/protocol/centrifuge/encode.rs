//! The encoder of the protocol: messages of the server to text frames.

use super::commands::{self, CommandName};
use super::pushes;
use crate::connection::frame::Frame;
use crate::protocol::command_id::CommandId;
use crate::protocol::message::{Connected, ServerMessage};

/// Encodes a message; `None` when the protocol does not have it. An answer needs the id of its command. `frame_pings`
/// selects WebSocket Pings.
pub(crate) fn encode(frame_pings: bool, message: &ServerMessage<'_>) -> Option<Frame> {
    let text = match *message {
        ServerMessage::Connected(connected @ Connected { id, ping_interval, .. }) => {
            let seconds = u64::try_from(ping_interval.as_millis().div_ceil(1000)).unwrap_or(u64::MAX);
            commands::connected(number(id)?, connected, (!frame_pings).then_some(seconds))
        }
        ServerMessage::Refreshed { id, client, ttl, .. } => commands::refreshed(number(id)?, client, ttl),
        ServerMessage::Subscribed { id, subscribed } => commands::subscribed(number(id)?, subscribed),
        ServerMessage::RoomRefreshed { id, ttl } => commands::room_refreshed(number(id)?, ttl),
        ServerMessage::Unsubscribed { id } => commands::done(number(id)?, CommandName::Unsubscribe),
        ServerMessage::Published { id, .. } => commands::done(number(id)?, CommandName::Publish),
        ServerMessage::History { id, page, .. } => commands::history(number(id)?, page),
        ServerMessage::Presence { id, members, most } => commands::presence(number(id)?, members, most)?,
        ServerMessage::PresenceStats { id, clients, users } => commands::presence_stats(number(id)?, clients, users),
        ServerMessage::Pong { id } => commands::done(number(id)?, CommandName::Ping),
        ServerMessage::Error { id, error } => commands::failed(number(id)?, error),
        ServerMessage::Publication { room, publication } => pushes::publication(room, publication),
        ServerMessage::Message { data } => pushes::message(data),
        ServerMessage::Subscribe { room, subscribed } => pushes::subscribe_push(room, subscribed),
        ServerMessage::Unsubscribe { room, reason } => pushes::unsubscribe_push(room, reason),
        ServerMessage::PresenceEvent { room, member, event } => pushes::presence_push(room, member, event),
        ServerMessage::Refresh { ttl } => pushes::refresh_push(ttl),
        ServerMessage::Ping if frame_pings => return Some(Frame::ping()),
        ServerMessage::Ping => return Some(Frame::text(pushes::PING)),
        // A client learns the positions from the publications themselves, and each mistake ends its connection.
        ServerMessage::Greeting { .. }
        | ServerMessage::Filtered { .. }
        | ServerMessage::Mistake { .. }
        | ServerMessage::Position { .. }
        | ServerMessage::Reconnect { .. } => return None,
    };
    Some(Frame::text(&text))
}

fn number(id: &CommandId) -> Option<u64> {
    match id {
        CommandId::Number(0) | CommandId::Json(_) => None,
        CommandId::Number(number) => Some(*number),
    }
}
