//! One turn: works out what must come of an input, and compares it with what has.
//!
//! Where the rules leave the subject free and nothing of what it puts out tells which way it has gone, the model tries every
//! alternative: what came of a turn is right where one of them leads to it.

use super::alternatives::Alternatives;
use super::connection::ExpectedConnection;
use super::model::ReferenceModel;
use super::outcome::Outcome;
use super::stimulus::Stimulus;
use super::turn::ExpectedTurn;
use crate::guarantees::Failure;

/// So many ways are gone at most: each of the frames of a turn can be the one that does not fit.
const MOST_WAYS: usize = 1000;

/// Whether a question can come up: words that the model does not know are sent to a client that says something or has its token
/// looked at, and how long a token is good may take one digit or two.
fn may_be_open(stimulus: &Stimulus<'_>, is_waiting: impl Fn(usize) -> bool) -> bool {
    match stimulus {
        Stimulus::Text(..) | Stimulus::Decided(..) | Stimulus::Upgraded(_) | Stimulus::Call(_) => true,
        Stimulus::Flushed(client, _) => is_waiting(*client),
        _ => false,
    }
}

impl ReferenceModel {
    /// Works out what must come of one input, and compares it with what has.
    ///
    /// # Errors
    /// The first difference, on the way that is gone first.
    pub fn turn(&mut self, stimulus: &Stimulus<'_>, outcome: &Outcome<'_>) -> Result<(), Failure> {
        let has_more =
            |conn: &super::connection::ExpectedConnection| !conn.waiting.is_empty() || !conn.entering.is_empty();
        let is_waiting = |client: usize| self.conns[client].as_ref().is_some_and(has_more);
        let before = may_be_open(stimulus, is_waiting).then(|| self.clone());
        let result = self.go(stimulus, outcome);
        let mut way = std::mem::take(&mut self.alternatives);
        let Some(before) = before.filter(|_| result.is_err()) else { return result };
        for _ in 0..MOST_WAYS {
            let Some(next) = way.next() else { break };
            let mut other = Self { alternatives: next, ..before.clone() };
            if other.go(stimulus, outcome).is_ok() {
                *self = Self { alternatives: Alternatives::default(), ..other };
                return Ok(());
            }
            way = other.alternatives;
        }
        result
    }

    fn go(&mut self, stimulus: &Stimulus<'_>, outcome: &Outcome<'_>) -> Result<(), Failure> {
        self.choices = self.choices_in(outcome);
        self.foresee(stimulus);
        self.compare(outcome)
    }

    /// Works out what must come of one input.
    fn foresee(&mut self, stimulus: &Stimulus<'_>) {
        self.turns += 1;
        self.turn = ExpectedTurn {
            were_empty: self.conns.iter().map(|conn| conn.as_ref().is_none_or(ExpectedConnection::is_idle)).collect(),
            were_cut: vec![false; self.conns.len()],
            ..ExpectedTurn::default()
        };
        match stimulus {
            Stimulus::Upgraded(client) => self.upgraded(*client),
            Stimulus::Text(client, text, messages) => self.text(*client, text, messages),
            Stimulus::Ping(client, payload) => self.ping(*client, payload),
            Stimulus::Fragment(client, bytes) => self.fragment(*client, *bytes),
            Stimulus::HalfFrame(client, bytes) => self.half_frame(*client, *bytes),
            Stimulus::Unread(client, bytes) => self.unread(*client, *bytes),
            Stimulus::Pong(client) => {
                self.heard(*client);
            }
            Stimulus::PeerClosed(client, code) => self.client_closed(*client, *code),
            Stimulus::Violated(client, cause) => self.violated(*client, *cause),
            Stimulus::Lost(client, cause) => self.lost(*client, *cause),
            Stimulus::Flushed(client, bytes) => self.flushed(*client, *bytes),
            Stimulus::Decided(client, token) => self.decided(*client, token),
            Stimulus::Call(call) => self.turn.answer = Some(call.carry_out(self)),
            Stimulus::Tick => self.tick(),
            Stimulus::Shutdown => self.shutdown(),
            Stimulus::Stale => self.counted.stale += 1,
        }
        self.settle();
        for client in std::mem::take(&mut self.turn.to_hear) {
            self.hear_waiting(client);
        }
        self.make_room();
    }

    /// Whether something is more than this, which is open where it is somewhere between two sizes.
    pub(super) fn exceeds(&mut self, (least, most): (usize, usize), limit: usize) -> bool {
        least > limit || (most > limit && self.alternatives.ask())
    }
}
