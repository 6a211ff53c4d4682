//! One connection as it must be: its phase, deadlines, what waits to be heard and what must come out of its socket.

use super::arrival::{Arrival, TokenCapability, TokenOutcome};
use super::bucket::ClientRates;
use super::expect::ExpectedFrame;
use super::membership::ExpectedMembership;
use crate::world::client_message::{ClientMessage, SubscribeOptions};
use crate::world::frames::ReceivedFrame;
use crate::world::history_request::RecoverFrom;
use parlor_core::{ClientId, CloseCause, ConnId, Limit};
use serde_json::Value;
use std::collections::VecDeque;
use std::sync::Arc;

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
    /// Purpose of the token whose check is awaited.
    pub ask: TokenPurpose,
    pub user: Option<usize>,
    /// Information about the user from its token.
    pub info: Option<String>,
    /// The turn in which it became the user's.
    pub(super) known: u64,
    /// The rooms that its token names.
    pub granted: Vec<usize>,
    /// The rooms of its URL that it may not join, each with what it wants of that once a later token lets it in.
    pub kept_out: Vec<(usize, RecoverFrom)>,
    /// The rights that its token grants.
    pub caps: Vec<TokenCapability>,
    pub filter: Vec<&'static str>,
    /// Texts that came while a token was being checked.
    pub waiting: VecDeque<WaitingText>,
    /// Whether its last `connect` was answered with an error: what it has sent behind that is passed over.
    pub turned_down: bool,
    /// Bytes of the parts of a message that have come, where more is to come.
    pub fragments: Option<usize>,
    /// Bytes of the frame that has begun and not ended.
    pub half_frame: usize,
    /// Bytes that the driver has not decoded.
    pub unread: usize,
    /// Positions to recover from in the rooms that a token puts it in.
    pub wants: Vec<(usize, RecoverFrom)>,
    /// The rooms that it waits to be put into.
    pub entering: VecDeque<ExpectedJoin>,
    /// In how many rooms that it was put into it got what it had missed.
    pub(super) recoveries: usize,
    pub(super) pace: ClientRates,
    pub timers: [Option<u64>; ExpectedTimer::ALL.len()],
    /// Frames that waited after the last turn.
    pub(super) waited: usize,
    /// Bytes that waited after the last turn, and the fewest and most that came to them in this one.
    pub(super) bytes: usize,
    pub(super) added: (usize, usize),
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

    /// Whether what its client says has to wait for what it has said, or for the rooms that it is put into.
    pub(super) fn is_busy(&self) -> bool {
        self.asked || !self.entering.is_empty()
    }

    /// Frames that must come out of its socket, in this order as far as there is one.
    pub(crate) fn coming(&self) -> impl Iterator<Item = &ExpectedFrame> {
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

    /// Which of the queue may come out of the socket first: those about different members that come from one turn have no
    /// order among themselves.
    pub(super) fn first(&self) -> impl Iterator<Item = usize> {
        let may_be_first = |at: &usize| (0..*at).all(|before| self.queue[*at].may_follow(&self.queue[before]));
        (0..self.queue.len()).filter(may_be_first)
    }

    /// Takes the frame out of what must come; another than this one where this one is not due.
    pub(super) fn take(&mut self, frame: &ReceivedFrame) -> Option<ExpectedFrame> {
        if let Some(pong) = self.pong.take_if(|_| !self.half) {
            return Some(pong);
        }
        let at = self.first().find(|at| self.queue[*at].is_met_by(frame)).unwrap_or(0);
        self.queue.remove(at)
    }

    /// Drops every frame of which the client has nothing yet. Returns whether there was one.
    pub(super) fn drop_unsent(&mut self) -> bool {
        let kept = usize::from(self.half);
        let is_cut = self.frames() > kept;
        // Any of those that may come first can be the one that is half-written.
        let first: Vec<ExpectedFrame> =
            self.first().take(kept * self.queue.len()).map(|at| self.queue[at].clone()).collect();
        if let (Some(front), false) = (self.queue.front_mut(), first.is_empty()) {
            *front = ExpectedFrame::one_of(first);
        }
        self.queue.truncate(kept);
        self.pong = None;
        is_cut
    }

    /// The earliest deadline; of two at one instant the one that is listed first.
    pub(super) fn next_timer(&self) -> Option<(u64, ExpectedTimer)> {
        ExpectedTimer::ALL.iter().filter_map(|timer| Some((self.timer(*timer)?, *timer))).min_by_key(|(at, _)| *at)
    }
}

impl ExpectedConnection {
    /// Bytes of what its client has said that is not carried out.
    pub(super) fn unfinished(&self) -> usize {
        let waiting: usize = self.waiting.iter().map(WaitingText::bytes).sum();
        self.fragments.unwrap_or(0) + self.half_frame + self.unread + waiting
    }

    /// Begins its end: it has no user any more, and waits for nothing but the close.
    pub(super) fn is_closing(&mut self, phase: ExpectedPhase, deadline: u64) {
        self.timers = [None; ExpectedTimer::ALL.len()];
        self.arm(ExpectedTimer::Close, deadline);
        self.phase = phase;
        self.waiting.clear();
        (self.fragments, self.half_frame, self.unread) = (None, 0, 0);
        self.wants.clear();
        self.ask = TokenPurpose::Identity;
        self.granted.clear();
        self.kept_out.clear();
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
    Expiry,
    RoomExpiry,
    Close,
}

impl ExpectedTimer {
    pub(super) const ALL: [Self; 9] = [
        Self::Handshake,
        Self::Authenticate,
        Self::Ping,
        Self::Pong,
        Self::Message,
        Self::Write,
        Self::Expiry,
        Self::RoomExpiry,
        Self::Close,
    ];

    /// The limit that is reached when it fires.
    pub(super) fn limit(self) -> Option<Limit> {
        match self {
            Self::Handshake => Some(Limit::HandshakeTimeout),
            Self::Authenticate => Some(Limit::AuthenticateTimeout),
            Self::Pong => Some(Limit::PongTimeout),
            Self::Message => Some(Limit::MessageTimeout),
            Self::Write => Some(Limit::WriteTimeout),
            Self::Expiry | Self::RoomExpiry => Some(Limit::ExpiryGrace),
            Self::Close => Some(Limit::CloseTimeout),
            Self::Ping => None,
        }
    }
}

/// A text that waits, or what is left of it.
#[derive(Clone, Debug)]
pub(crate) struct WaitingText {
    pub messages: VecDeque<ClientMessage>,
    pub(super) text: Arc<str>,
    /// How many of its commands were heard.
    pub(super) heard: usize,
}

impl WaitingText {
    pub(super) fn new(text: &str, messages: &[ClientMessage]) -> Self {
        Self { messages: messages.iter().cloned().collect(), text: text.into(), heard: 0 }
    }

    /// The bytes behind the last command that was heard.
    pub(super) fn bytes(&self) -> usize {
        let mut commands = serde_json::Deserializer::from_str(&self.text).into_iter::<Value>();
        commands.by_ref().take(self.heard).for_each(drop);
        self.text.len() - commands.byte_offset()
    }
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

/// A room that a connection waits to be put into.
#[derive(Clone, Debug)]
pub(crate) struct ExpectedJoin {
    pub room: usize,
    pub want: RecoverFrom,
    pub membership: ExpectedMembership,
    /// The token that gives the connection a user with this room, and the answer to it.
    pub renewal: Option<Box<(TokenOutcome, ExpectedFrame)>>,
}

/// The command or request that a token came with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum TokenPurpose {
    /// To come in, or a later `auth` in plain.
    #[default]
    Identity,
    /// To stay longer.
    Refresh(u64),
    /// To join a room.
    Subscribe(u64, usize, SubscribeOptions),
    /// To stay longer in a room.
    SubRefresh(u64, usize),
}
