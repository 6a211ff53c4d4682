//! The reference model's view of one input, and of the request that a connection comes with.

use super::api_call::ApiCall;
use crate::world::client_message::ClientMessage;
use crate::world::history_request::RecoverFrom;
use parlor_core::CloseCause;

/// One input, as the reference model is told of it.
#[derive(Clone, Debug)]
pub enum Stimulus<'a> {
    /// The 101 is out.
    Upgraded(usize),
    /// A text that means this.
    Text(usize, &'a str, &'a [ClientMessage]),
    /// A frame with a part of a message.
    Fragment(usize, usize),
    /// A part of a frame that will have so many bytes.
    HalfFrame(usize, usize),
    /// So many bytes that came are not decoded.
    Unread(usize, usize),
    /// A Ping frame with this payload.
    Ping(usize, &'a [u8]),
    /// A Pong frame.
    Pong(usize),
    /// A Close frame with this code.
    PeerClosed(usize, Option<u16>),
    /// A broken rule, as the cause of an end.
    Violated(usize, CloseCause),
    /// A lost socket, as the cause of an end.
    Lost(usize, CloseCause),
    /// The socket took this many bytes.
    Flushed(usize, usize),
    /// The token has been looked at.
    Decided(usize, TokenOutcome),
    /// A backend's call.
    Call(ApiCall<'a>),
    /// Time may have passed.
    Tick,
    /// The server is to stop.
    Shutdown,
    /// Something for a connection that has ended.
    Stale,
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
    /// The room it is for.
    pub channel: Option<usize>,
    /// Its information about the user is nested deeper than is allowed.
    pub unreadable: bool,
}

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
