//! One input, in the words of the world: the reference model is told of it, and what is judged from states alone depends on it.

use super::client_message::ClientMessage;
use crate::reference::api_call::ApiCall;
use crate::reference::arrival::TokenOutcome;
use parlor_core::CloseCause;

/// One input, as it is told of.
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
    Call(&'a ApiCall<'a>),
    /// Time may have passed.
    Tick,
    /// The configuration becomes the world's own, or another that is replaced before anything else happens.
    Configured {
        /// Whether it is the world's own.
        is_own: bool,
    },
    /// The server is to stop.
    Shutdown,
    /// Something for a connection that has ended.
    Stale,
}
