//! What has happened to a connection that may end it.

use parlor_core::{Input, Lost, Now, Violation};

/// What has happened to a connection that may end it. Times are in nanoseconds.
#[derive(Clone, Debug, Default)]
pub(super) struct Conduct {
    pub came: u64,
    pub upgraded: Option<u64>,
    /// When its client was heard last, and the longest time between that and something else.
    pub heard: u64,
    pub silence: u64,
    /// Its socket has refused bytes since nothing waited for it, and when it took something last.
    pub refused: bool,
    pub progress: u64,
    pub blocked: u64,
    /// Since when it has something to end: parts of a message, or of a frame.
    pub begun: Option<u64>,
    pub fragmented: bool,
    /// It has said something, shown a token, or one that was no good.
    pub said: bool,
    pub tokens: usize,
    /// When the earliest of its tokens ends, and whether one was out of its time.
    pub ends: Option<u64>,
    pub violation: Option<Violation>,
    /// What its socket was offered and has not taken.
    pub left: usize,
    /// It read that it is slow while it was.
    pub slow: bool,
    pub lost: bool,
    pub reset: bool,
    pub closed: bool,
}

impl Conduct {
    /// Takes note of an input.
    pub(super) fn notes(&mut self, now: Now, input: &Input) {
        match input {
            Input::Fragment { .. } => (self.fragmented, self.begun) = (true, self.begun.or(Some(now.mono.0))),
            Input::HalfFrame { .. } => self.begun = self.begun.or(Some(now.mono.0)),
            Input::Message { .. } => (self.fragmented, self.begun) = (false, None),
            Input::Ping { .. } | Input::Pong { .. } => self.begun = self.begun.filter(|_| self.fragmented),
            _ => {}
        }
        match input {
            Input::Upgraded { .. } => (self.upgraded, self.heard) = (Some(now.mono.0), now.mono.0),
            Input::Message { .. } | Input::Ping { .. } | Input::Pong { .. } | Input::Fragment { .. } => {
                (self.said, self.heard) = (true, now.mono.0);
            }
            Input::Flushed { bytes, .. } => {
                self.left = self.left.saturating_sub(*bytes);
                self.refused &= self.left > 0;
            }
            Input::PeerClosed { .. } => self.closed = true,
            Input::Violation { rule, .. } => self.violation = self.violation.or(Some(*rule)),
            Input::Lost { cause: Lost::Eof, .. } => self.lost = true,
            Input::Lost { .. } => self.reset = true,
            Input::Authenticated { verdict, .. } => {
                self.tokens += 1;
                let left = |exp: i64| (i128::from(exp) * 1000 - i128::from(now.unix_ms)).max(0) * 1_000_000;
                let claims = verdict.as_ref().ok().map(|verified| verified.claims());
                let early = claims.and_then(|claims| claims.nbf).filter(|nbf| left(*nbf) > 0).map(|_| now.mono.0);
                let end = claims.and_then(|claims| claims.exp).map(left).and_then(|left| u64::try_from(left).ok());
                let end = end.map(|left| now.mono.0.saturating_add(left));
                self.ends = [self.ends, early, end].into_iter().flatten().min();
            }
            _ => {}
        }
    }

    /// Its socket is offered so much. What it refused is forgiven with the last byte of what waits.
    pub(super) fn is_offered(&mut self, now: Now, waiting: usize, taken: usize) {
        self.progress = if taken > 0 || !self.refused { now.mono.0 } else { self.progress };
        self.refused |= taken < waiting;
        self.left = waiting;
    }
}
