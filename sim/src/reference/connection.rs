//! One connection as it must be: its phase, deadlines, what waits to be heard and what must come out of its socket.

use super::arrival::Arrival;
use super::expect::ExpectedFrame;
use crate::world::client_message::ClientMessage;
use parlor_core::{ClientId, CloseCause, ConnId};
use std::collections::VecDeque;

/// One connection as the rules say it must be.
#[derive(Clone, Debug)]
pub(crate) struct ExpectedConnection {
    pub id: ConnId,
    pub client_id: ClientId,
    pub entry: Arrival,
    pub phase: ExpectedPhase,
    /// Frames that must come out of its socket, in this order.
    pub queue: VecDeque<ExpectedFrame>,
    /// The Pong that goes out at the next end of a frame.
    pub pong: Option<ExpectedFrame>,
    /// Whether the client has a part of the first of the queue.
    pub half: bool,
    /// It was greeted or answered: it is in its rooms.
    pub ready: bool,
    /// A token is being looked at.
    pub asked: bool,
    pub user: Option<usize>,
    /// Information about the user from its token.
    pub info: Option<String>,
    /// Texts that came while a token was being checked.
    pub waiting: VecDeque<WaitingText>,
    /// Whether its last `connect` was answered with an error: what it has sent behind that is passed over.
    pub turned_down: bool,
    /// Whether parts of a message have come, where more is to come.
    pub has_fragments: bool,
    pub timers: [Option<u64>; ExpectedTimer::ALL.len()],
    /// Frames that waited after the last turn.
    pub(super) waited: usize,
    /// Whether its socket was offered everything and left something, and has not taken all of it since.
    pub refused: bool,
}

impl ExpectedConnection {
    pub(crate) fn timer(&self, timer: ExpectedTimer) -> Option<u64> {
        self.timers[timer as usize]
    }

    pub(super) fn arm(&mut self, timer: ExpectedTimer, at: u64) {
        self.timers[timer as usize] = Some(at);
    }

    pub(super) fn disarm(&mut self, timer: ExpectedTimer) {
        self.timers[timer as usize] = None;
    }

    pub(super) fn is_open(&self) -> bool {
        self.phase == ExpectedPhase::Open
    }

    /// Frames that must come out of its socket, in this order.
    pub(super) fn coming(&self) -> impl Iterator<Item = &ExpectedFrame> {
        let begun = usize::from(self.half);
        self.queue.iter().take(begun).chain(&self.pong).chain(self.queue.iter().skip(begun))
    }

    /// How many frames must come out of its socket.
    pub(super) fn frames(&self) -> usize {
        self.queue.len() + usize::from(self.pong.is_some())
    }

    /// Whether nothing waits for its socket.
    pub(super) fn is_idle(&self) -> bool {
        self.frames() == 0
    }

    /// Takes the frame out that must come next.
    pub(super) fn take(&mut self) -> Option<ExpectedFrame> {
        self.pong.take_if(|_| !self.half).or_else(|| self.queue.pop_front())
    }

    /// Drops every frame of which the client has nothing yet. Returns whether there was one.
    pub(super) fn drop_unsent(&mut self) -> bool {
        let kept = usize::from(self.half);
        let is_cut = self.frames() > kept;
        self.queue.truncate(kept);
        self.pong = None;
        is_cut
    }

    /// The earliest deadline; of two at one instant the one that is listed first.
    pub(super) fn next_timer(&self) -> Option<(u64, ExpectedTimer)> {
        ExpectedTimer::ALL.iter().filter_map(|timer| Some((self.timer(*timer)?, *timer))).min_by_key(|(at, _)| *at)
    }

    /// Begins its end: it has no user any more, and waits for nothing but the close.
    pub(super) fn is_closing(&mut self, phase: ExpectedPhase, deadline: u64) {
        self.timers = [None; ExpectedTimer::ALL.len()];
        self.arm(ExpectedTimer::Close, deadline);
        self.phase = phase;
        self.waiting.clear();
        self.has_fragments = false;
        (self.ready, self.asked, self.user, self.info) = (false, false, None, None);
    }
}

/// Where in its life a connection is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum ExpectedPhase {
    Handshaking,
    Open,
    Closing { cause: CloseCause, code: u16, client: ClientSide },
}

/// How far a client is with its side of a connection that ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum ClientSide {
    Open,
    /// Its Close frame came.
    Closed,
    /// Its stream has ended.
    Ended,
}

/// The deadlines of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum ExpectedTimer {
    Handshake,
    Authenticate,
    Ping,
    Pong,
    Message,
    Write,
    Close,
}

impl ExpectedTimer {
    pub(super) const ALL: [Self; 7] =
        [Self::Handshake, Self::Authenticate, Self::Ping, Self::Pong, Self::Message, Self::Write, Self::Close];
}

/// A text that waits, or what is left of it.
#[derive(Clone, Debug)]
pub(crate) struct WaitingText {
    pub messages: VecDeque<ClientMessage>,
    /// The bytes of the whole text.
    pub bytes: usize,
}

/// How a connection must have ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct ExpectedEnd {
    pub(super) cause: CloseCause,
    pub(super) code: u16,
    pub(super) clean: bool,
}

impl ExpectedEnd {
    /// An end without a Close frame.
    pub(super) fn aborted(cause: CloseCause) -> Self {
        Self { cause, code: 1006, clean: false }
    }
}
