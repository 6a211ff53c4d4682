//! Arrivals: the request that a connection comes with, and the result of checking its token.

use crate::world::history_request::RecoverFrom;

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

impl Arrival {
    /// Whether the model foresees how such a connection begins.
    pub(super) fn is_foreseen(&self) -> bool {
        let wants_nothing = self.want == RecoverFrom::Nothing && self.since.is_empty() && !self.positions;
        wants_nothing && !(self.json && self.token.is_some())
    }
}

/// Result of checking a token, as far as it is foreseen.
#[derive(Clone, Debug, Default)]
pub struct TokenOutcome {
    /// It says something of which the model knows nothing.
    pub unforeseen: bool,
    /// It says nothing: its signature is wrong.
    pub forged: bool,
    /// It has ended, by more than clocks may differ.
    pub expired: bool,
    /// The user; `None` for an anonymous token.
    pub user: Option<usize>,
    /// Information about its user, as JSON.
    pub info: Option<String>,
    /// The rooms it puts the connection in.
    pub channels: Vec<usize>,
}
