//! The protocols of clients: what a client may say and be told, and for each protocol how that is written.

pub(crate) mod centrifuge;
pub(crate) mod history;
pub(crate) mod plain;
pub(crate) mod raw;
pub(crate) mod readable;
pub(crate) mod shapes;
pub(crate) mod start;

pub use plain::MessageType;
pub(crate) use start::{Start, UrlRooms};

use crate::admission::route::Target;
use alloc::boxed::Box;
use alloc::string::String;

/// The protocol of a connection with its options from the URL.
#[derive(Clone, Debug)]
pub(crate) enum Protocol {
    /// Centrifuge JSON; `frame_pings` selects WebSocket Pings instead of the protocol's own.
    Json { frame_pings: bool },
    /// The `plain` protocol.
    Plain(Box<plain::PlainOptions>),
}

impl Protocol {
    /// Returns the protocol that the target of an upgrade request selects, and the token in its URL.
    pub fn of(target: Target) -> (Self, Option<String>) {
        match target {
            Target::Json { frame_pings } => (Self::Json { frame_pings }, None),
            Target::Plain(url) => {
                let rooms = UrlRooms::new(url.rooms, url.since, url.history);
                let (subscribed, greeting, positions) = (url.subscribed, url.greeting, url.positions);
                let options = plain::PlainOptions { rooms, subscribed, greeting, positions };
                (Self::Plain(Box::new(options)), url.token)
            }
        }
    }

    /// Returns the name, as backends are told it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Json { .. } => "json",
            Self::Plain(_) => "plain",
        }
    }

    /// Returns how a connection begins.
    pub fn start(&self) -> Start {
        match self {
            Self::Json { .. } => Start::OnConnect,
            Self::Plain(_) => Start::AtOnce,
        }
    }

    /// Returns the rooms that the URL names; `None` for a protocol whose URL names none.
    pub fn url_rooms(&self) -> Option<&UrlRooms> {
        match self {
            Self::Json { .. } => None,
            Self::Plain(options) => Some(&options.rooms),
        }
    }

    /// Returns the rooms that the URL names; `None` for a protocol whose URL names none.
    pub fn url_rooms_mut(&mut self) -> Option<&mut UrlRooms> {
        match self {
            Self::Json { .. } => None,
            Self::Plain(options) => Some(&mut options.rooms),
        }
    }

    /// Returns `true` when a message from a log is followed by its position.
    pub fn tells_positions(&self) -> bool {
        match self {
            Self::Json { .. } => false,
            Self::Plain(options) => options.positions,
        }
    }
}
