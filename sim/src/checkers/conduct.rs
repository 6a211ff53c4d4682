//! Events in the life of a connection that may end it.

use parlor_core::admission::route::Target;
use parlor_core::api::{Command, Selection};
use parlor_core::{CloseCause, Input, Lost, Now, Upgrade, WebSocketMessage};

/// Events in the life of a connection that may end it. Times are in nanoseconds.
#[derive(Clone, Debug, Default)]
pub(super) struct Conduct {
    /// Its public id, and the users that its tokens name.
    pub client_id: [u8; 16],
    pub users: Vec<String>,
    /// The codes that backends have closed it with.
    pub dismissed: Vec<u16>,
    pub came: u64,
    pub upgraded: Option<u64>,
    /// When its client was heard last, and the longest time between that and something else.
    pub heard: u64,
    pub silence: u64,
    /// Its socket has refused bytes since nothing waited for it, when it took something last while it did not, and for how
    /// long it has taken nothing since.
    pub refused: bool,
    pub progress: u64,
    pub blocked: u64,
    /// When it took something last, whatever it refused, and the longest time that it took nothing.
    pub taken: u64,
    pub idle: u64,
    /// Since when it has something to end, parts of a message or of a frame, and the longest time that it had.
    pub begun: Option<u64>,
    pub unfinished: u64,
    pub fragmented: bool,
    /// It has said something, shown a token, or one that was no good.
    pub has_sent: bool,
    pub tokens: usize,
    /// When the earliest of its tokens ends, and whether one was out of its time.
    pub ends: Option<u64>,
    /// The causes to close it that its messages and frames were.
    pub violations: Vec<CloseCause>,
    /// How many rooms its URL names.
    pub rooms: usize,
    /// Bytes that its socket was offered and has not taken.
    pub left: usize,
    /// It read that it is slow while it was.
    pub slow: bool,
    pub lost: bool,
    pub reset: bool,
    pub closed: bool,
}

impl Conduct {
    /// That of one which comes in now, through this request.
    pub(super) fn of(now: Now, upgrade: &Upgrade) -> Self {
        let rooms = match &upgrade.target {
            Target::Plain(plain) => plain.rooms.len(),
            Target::Json { .. } => 0,
        };
        Self {
            client_id: upgrade.client,
            came: now.mono.0,
            heard: now.mono.0,
            taken: now.mono.0,
            rooms,
            ..Self::default()
        }
    }

    /// Records a `disconnect`: of a user's connections, of one of them, or of one by its client id, but for the whitelist.
    pub(super) fn is_called(&mut self, command: &Command) {
        let Command::Disconnect { user, client, whitelist, reason } = command else { return };
        let is_client = match client {
            Selection::All => !user.is_empty(),
            Selection::One(id) => id.0 == self.client_id,
            Selection::NoMatch => false,
        };
        let is_user = user.is_empty() || self.users.iter().any(|known| **user == *known);
        if is_client && is_user && whitelist.iter().all(|id| id.0 != self.client_id) {
            self.dismissed.push(reason.code());
        }
    }

    /// Records the time: a connection is closed for what lasted too long, and ends later.
    pub(super) fn lasts(&mut self, now: Now) {
        let since = |then: u64| now.mono.0.saturating_sub(then);
        self.silence = self.silence.max(since(self.heard));
        self.idle = self.idle.max(since(self.taken));
        self.unfinished = self.unfinished.max(self.begun.map_or(0, since));
        self.blocked = self.blocked.max(if self.refused { since(self.progress) } else { 0 });
    }

    /// Records an input.
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
                (self.has_sent, self.heard) = (true, now.mono.0);
                let is_binary = matches!(input, Input::Message { message: WebSocketMessage::Binary(_), .. });
                self.violations.extend(is_binary.then_some(CloseCause::Binary));
            }
            Input::Flushed { bytes, .. } => {
                self.taken = if *bytes > 0 { now.mono.0 } else { self.taken };
                self.left = self.left.saturating_sub(*bytes);
                self.refused &= self.left > 0;
            }
            Input::PeerClosed { .. } => self.closed = true,
            Input::Violation { rule, .. } => self.violations.push(rule.cause()),
            Input::Lost { cause: Lost::Eof, .. } => self.lost = true,
            Input::Lost { .. } => self.reset = true,
            Input::Authenticated { verdict, .. } => {
                self.tokens += 1;
                let left = |exp: i64| (i128::from(exp) * 1000 - i128::from(now.unix_ms)).max(0) * 1_000_000;
                let claims = verdict.as_ref().ok().map(|verified| verified.claims());
                self.users.extend(claims.map(|claims| claims.sub.clone()));
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
