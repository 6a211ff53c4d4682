//! The protocols of clients: what a client may say and be told, and for each protocol how that is written.

pub(crate) mod centrifuge;
pub(crate) mod command;
pub(crate) mod command_id;
pub(crate) mod history;
pub(crate) mod message;
pub(crate) mod message_type;
#[cfg(test)]
mod octets;
pub(crate) mod plain;
pub(crate) mod readable;
pub(crate) mod start;

pub(crate) use command::{ClientCommand, Incoming, Rejected, Rest};
pub(crate) use command_id::CommandId;
pub(crate) use message::{Connected, Mistake, PresenceEvent, ServerMessage};
pub use message_type::MessageType;
pub(crate) use start::{Start, UrlRooms};

use crate::admission::route::Target;
use crate::close::CloseCause;
use crate::connection::frame::Frame;
use crate::limits::Limits;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

/// The protocol of a connection with its options from the URL.
#[derive(Clone, Debug, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub(crate) enum Protocol {
    /// Centrifuge JSON; `frame_pings` selects WebSocket Pings instead of the protocol's own.
    Json { frame_pings: bool },
    /// The `plain` protocol.
    Plain(Box<plain::PlainOptions>),
    /// The protocol for tests.
    #[cfg(test)]
    Octets {},
}

impl Protocol {
    /// The number of protocols.
    pub const COUNT: usize = if cfg!(test) { 3 } else { 2 };
    /// The number of Centrifuge JSON.
    pub const JSON: usize = 0;
    /// The number of the `plain` protocol.
    pub const PLAIN: usize = 1;

    /// Returns the protocol that the target of an upgrade request selects, and the token in its URL.
    pub fn of(target: Target) -> (Self, Option<String>) {
        match target {
            Target::Json { frame_pings } => (Self::Json { frame_pings }, None),
            Target::Plain(url) => {
                let rooms = UrlRooms::new(url.rooms, url.since, url.history);
                let options = plain::PlainOptions {
                    rooms,
                    subscribed: url.subscribed,
                    greeting: url.greeting,
                    positions: url.positions,
                    reconnect: url.reconnect,
                };
                (Self::Plain(Box::new(options)), url.token)
            }
            #[cfg(test)]
            Target::Octets {} => (Self::Octets {}, None),
        }
    }

    /// Returns the protocol of the canary, which is told payloads alone.
    pub fn of_canary() -> Self {
        let rooms = UrlRooms::new(Vec::new(), Vec::new(), 0);
        let (subscribed, no) = (Arc::from("subscribed"), false);
        Self::Plain(Box::new(plain::PlainOptions { rooms, subscribed, greeting: no, positions: no, reconnect: no }))
    }

    /// Returns the name, as backends are told it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Json { .. } => "json",
            Self::Plain(_) => "plain",
            #[cfg(test)]
            Self::Octets {} => "octets",
        }
    }

    /// Returns a number below [`Protocol::COUNT`] that no other protocol has. Connections of the same number share what is
    /// encoded of a publication.
    pub fn number(&self) -> usize {
        match self {
            Self::Json { .. } => Self::JSON,
            Self::Plain(_) => Self::PLAIN,
            #[cfg(test)]
            Self::Octets {} => 2,
        }
    }

    /// Returns `true` when clients may send binary messages. One whose protocol reads text only is closed for the first.
    pub fn reads_binary(&self) -> bool {
        match self {
            Self::Json { .. } | Self::Plain(_) => false,
            #[cfg(test)]
            Self::Octets {} => true,
        }
    }

    /// Decodes the first command of a message's rest; `None` when there is none.
    ///
    /// # Errors
    /// Returns the cause that ends the connection when it is not known where the next command begins.
    pub fn decode<'a>(&self, rest: Rest<'a>, limits: &Limits) -> Result<Option<Incoming<'a>>, CloseCause> {
        match (self, rest) {
            (Self::Json { .. }, Rest::Text(text)) => centrifuge::decode(text, limits),
            (Self::Plain(_), Rest::Text(text)) => Ok(Some(plain::decode(text, limits))),
            #[cfg(test)]
            (Self::Octets {}, rest) => Ok(octets::decode(rest)),
            (Self::Json { .. } | Self::Plain(_), Rest::Binary(_)) => Err(CloseCause::Binary),
        }
    }

    /// Encodes a message at this time; `None` when the protocol does not have it.
    ///
    /// The frame of a publication, and of anything else that several connections are told at once, does not depend on the
    /// options of the connection.
    pub fn encode(&self, message: &ServerMessage<'_>, unix_ms: u64) -> Option<Frame> {
        match self {
            Self::Json { frame_pings } => centrifuge::encode(*frame_pings, message),
            Self::Plain(options) => plain::encode(options, message, unix_ms),
            #[cfg(test)]
            Self::Octets {} => octets::encode(message),
        }
    }

    /// Returns how a connection begins.
    pub fn start(&self) -> Start {
        match self {
            Self::Json { .. } => Start::OnConnect,
            Self::Plain(_) => Start::AtOnce,
            #[cfg(test)]
            Self::Octets {} => Start::AtOnce,
        }
    }

    /// Returns how many commands of one client may wait for homes: one where answers do not tell which command they are for.
    pub fn most_in_flight(&self, limits: &Limits) -> u32 {
        match self {
            Self::Json { .. } => u32::try_from(limits.commands_in_flight).unwrap_or(u32::MAX),
            _ => 1,
        }
    }

    /// Returns the rooms that the URL names; `None` for a protocol whose URL names none.
    pub fn url_rooms(&self) -> Option<&UrlRooms> {
        match self {
            Self::Plain(options) => Some(&options.rooms),
            _ => None,
        }
    }

    /// Returns the rooms that the URL names; `None` for a protocol whose URL names none.
    pub fn url_rooms_mut(&mut self) -> Option<&mut UrlRooms> {
        match self {
            Self::Plain(options) => Some(&mut options.rooms),
            _ => None,
        }
    }

    /// Returns `true` when the frame of a publication tells its room and its offset, so that no other one has the same frame.
    pub fn names_publications(&self) -> bool {
        matches!(self, Self::Json { .. })
    }

    /// Returns `true` when a message from a log is followed by its position.
    pub fn tells_positions(&self) -> bool {
        match self {
            Self::Plain(options) => options.positions,
            _ => false,
        }
    }
}
