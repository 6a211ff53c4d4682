//! Arrivals: the request that a connection comes with, and the result of checking its token.

use crate::world::history_request::RecoverFrom;
use crate::world::rules::Right;

/// How a connection came in.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// Whether it speaks json.
    pub json: bool,
    /// Whether pings are Ping frames.
    pub frame_pings: bool,
    /// Whether it is greeted.
    pub greeting: bool,
    /// The rooms of the URL.
    pub rooms: Vec<usize>,
    /// The token in the request.
    pub token: Option<String>,
    /// Position to recover from in each of its rooms.
    pub want: RecoverFrom,
    /// Positions to recover from in rooms that are named, also in those that its token puts it in.
    pub since: Vec<(usize, RecoverFrom)>,
    /// Whether it is told where it is.
    pub positions: bool,
    /// Which of the addresses it comes from.
    pub address: u8,
}

/// Rights in some rooms.
#[derive(Clone, Debug)]
pub struct TokenCapability {
    /// The beginning of the names of the rooms, or a whole name.
    pub name: String,
    /// Whether it is the beginning.
    pub is_prefix: bool,
    /// The rights.
    pub rights: Vec<Right>,
}

impl TokenCapability {
    /// The bytes of the name or pattern that a token has for it.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.name.len() + usize::from(self.is_prefix)
    }

    /// Whether it grants a right in a room. No pattern is for a personal room.
    #[must_use]
    pub fn grants(&self, right: Right, room: &str) -> bool {
        let is_for =
            if self.is_prefix { room.starts_with(&self.name) && !room.starts_with('#') } else { room == self.name };
        is_for && self.rights.contains(&right)
    }
}

/// Result of checking a token.
#[derive(Clone, Debug, Default)]
pub struct TokenOutcome {
    /// It says nothing: its signature is wrong.
    pub forged: bool,
    /// When it begins, in seconds since 1970.
    pub nbf: Option<u64>,
    /// The user; `None` for an anonymous token.
    pub user: Option<usize>,
    /// When it ends, in seconds since 1970.
    pub exp: Option<u64>,
    /// Information about its user, as JSON.
    pub info: Option<String>,
    /// The rooms it puts the connection in.
    pub channels: Vec<usize>,
    /// It names more rooms than a connection may be in.
    pub crowded: bool,
    /// It says more of its user than it may.
    pub wordy: bool,
    /// It names a room by a name that is too long.
    pub long: bool,
    /// The rights that it grants in rooms, where it is a connection's.
    pub caps: Vec<TokenCapability>,
    /// The rights that it grants in its room, where it is a room's.
    pub allow: Vec<Right>,
    /// The room it is for.
    pub channel: Option<usize>,
    /// Its information about the user is nested deeper than is allowed.
    pub unreadable: bool,
}
