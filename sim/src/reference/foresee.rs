//! One turn: works out what must come of an input, and compares it with what has.

use super::connection::ExpectedConnection;
use super::model::ReferenceModel;
use super::outcome::Outcome;
use super::turn::ExpectedTurn;
use crate::guarantees::Failure;
use crate::world::stimulus::Stimulus;
use std::sync::Arc;

impl ReferenceModel {
    /// Works out what must come of one input, and compares it with what has, unless it gives up.
    ///
    /// # Errors
    /// The first difference.
    pub fn turn(&mut self, stimulus: &Stimulus<'_>, outcome: &Outcome<'_>) -> Result<(), Failure> {
        let epoch = |name: &Arc<str>| {
            let log = outcome.after.logs.iter().find(|log| *log.name == **name)?;
            Some(Arc::from(log.epoch.as_str()))
        };
        // A subject chooses the epochs of logs. Nothing else of a turn is known when it is foreseen.
        self.chosen = self.names.iter().map(epoch).collect();
        self.foresee(stimulus);
        // It knows deadlines by the world's own configuration alone.
        let is_foreign = matches!(stimulus, Stimulus::Configured { is_own: false });
        if self.has_given_up || is_foreign { Ok(()) } else { self.compare(outcome) }
    }

    /// Works out what must come of one input.
    fn foresee(&mut self, stimulus: &Stimulus<'_>) {
        self.turn = ExpectedTurn {
            were_empty: self.conns.iter().map(|conn| conn.as_ref().is_none_or(ExpectedConnection::is_idle)).collect(),
            were_cut: vec![false; self.conns.len()],
            ..ExpectedTurn::default()
        };
        match stimulus {
            Stimulus::Upgraded(client) => self.upgraded(*client),
            Stimulus::Text(client, text, messages) => self.text(*client, text, messages),
            Stimulus::Ping(client, payload) => self.ping(*client, payload),
            Stimulus::Fragment(client, _) => self.fragment(*client),
            Stimulus::HalfFrame(client, _) => self.half_frame(*client),
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
            Stimulus::Stale | Stimulus::Unread(..) | Stimulus::Configured { .. } => {}
        }
        self.settle();
    }
}
