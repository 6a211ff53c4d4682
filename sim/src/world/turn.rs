//! One input and everything that is checked of it.

use crate::checkers::observation::Observed;
use crate::checkers::want::RecoveryRequest;
use crate::goals::Goal;
use crate::guarantees::{Failure, Guarantee};
use crate::reference::model::ReferenceModel;
use crate::reference::outcome::Outcome;
use crate::reference::stimulus::Stimulus;
use crate::subjects::subject::{Subject, TurnReport, ask};
use crate::world::action::Client;
use crate::world::connection::{Connection, SimulatedClient};
use crate::world::setup::CheckedBy;
use crate::world::state::{START_UNIX_MS, World};
use crate::world::tokens::room_of_token;
use parlor_core::api::json;
use parlor_core::{ConnId, Effect, Input, Instant, Now, Shard};
use serde_json::{Value, json};
use std::panic::{AssertUnwindSafe, catch_unwind};

impl<S: Subject> World<S> {
    /// Clock and calendar for the next input.
    pub(super) fn now(&mut self) -> Now {
        if self.behind > 0 {
            self.goals.reach(Goal::ClockBack);
        }
        let behind = std::mem::take(&mut self.behind);
        self.last = self.moment(self.clock - behind);
        self.last
    }

    /// Clock and calendar at an instant, in nanoseconds.
    pub(super) fn moment(&self, mono: u64) -> Now {
        let passed = if self.setup.calendar_stopped == 1 { 0 } else { mono / 1_000_000 };
        let unix_ms = (START_UNIX_MS + passed).checked_add_signed(self.calendar).expect("some year of this century");
        Now { mono: Instant(mono), unix_ms }
    }

    /// A result that is not a checker's. Where those judge alone, it is passed over.
    pub(crate) fn heed(&self, result: Result<(), Failure>) -> Result<(), Failure> {
        if self.is_silent() { Ok(()) } else { result }
    }

    /// Asks the reference model, if there is one. Where checkers are asked alone it may be wrong, and may even panic.
    pub(super) fn refer(
        &mut self,
        compare: impl FnOnce(&mut ReferenceModel) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let is_silent = self.is_silent();
        let Some(reference) = &mut self.reference else { return Ok(()) };
        if !is_silent {
            return compare(reference);
        }
        drop(catch_unwind(AssertUnwindSafe(|| compare(reference))));
        Ok(())
    }

    /// Sets the time of the input that comes next.
    pub(super) fn time(&mut self, now: Now) {
        self.reference.iter_mut().for_each(|reference| reference.time(now.mono.0, now.unix_ms));
    }

    pub(super) fn is_silent(&self) -> bool {
        self.setup.checked_by != CheckedBy::All
    }

    /// Passes a failure on, unless its guarantee is to be overlooked.
    fn overlook(&self, result: Result<(), Failure>) -> Result<(), Failure> {
        result.or_else(|failure| if self.setup.overlooked.has(failure.guarantee) { Ok(()) } else { Err(failure) })
    }

    /// Something that checkers see, if there are any.
    pub(crate) fn check(&mut self, what: Observed<'_>) -> Result<(), Failure> {
        let now = self.last;
        self.checkers.as_mut().map_or(Ok(()), |checkers| checkers.saw(now, what))
    }

    /// One input, and everything that is judged of it.
    pub(super) fn turn(&mut self, input: Input, stimulus: &Stimulus<'_>) -> Result<(), Failure> {
        let now = self.now();
        let kept = self.checkers.as_ref().map(|_| input.clone());
        let wants = self.checkers.as_ref().map_or_else(Vec::new, |checkers| checkers.wants(&input));
        let before = self.histories(now, &wants);
        let turns = caught(|| self.subject.turns(now, input))?;
        // A driver does not ask a socket again that has refused, and writes many frames in more than one go.
        let is_written =
            matches!(stimulus, Stimulus::Flushed(client, bytes) if self.written_in_parts(*client, &turns) == *bytes);
        let is_missing = !is_written && turns.iter().all(|seen| seen.follow_up.is_some());
        for seen in turns {
            self.time(now);
            match &seen.follow_up {
                None => self.check_turn(now, &seen, stimulus, kept.as_ref()),
                Some(input) => self.check_follow_up(now, &seen, input),
            }?;
            if self.reference.is_none() {
                self.seen = seen.after;
            }
        }
        if is_missing && !(S::HAS_DRIVER && self.is_forgotten(stimulus)) {
            let nothing =
                Failure::new(Guarantee::L1, format_args!("{stimulus:?} to be handed in"), "nothing of the kind");
            self.heed(Err(nothing))?;
        }
        let after = self.histories(now, &wants);
        for (want, (before, after)) in wants.iter().zip(before.iter().zip(&after)) {
            self.check(Observed::Histories { want, before, after })?;
        }
        let audit = caught(|| self.subject.audit());
        self.heed(self.overlook(audit))?;
        self.heed(self.check_handles())
    }

    /// The history after each of these positions. A copy of the machine is asked, since reading forgets what is too old.
    fn histories(&self, now: Now, wants: &[RecoveryRequest]) -> Vec<Value> {
        let mut twin = if wants.is_empty() { None } else { self.subject.twin() };
        wants.iter().map(|want| self.history(now, want, twin.as_mut())).collect()
    }

    pub(super) fn history(&self, now: Now, want: &RecoveryRequest, twin: Option<&mut Shard>) -> Value {
        // An empty epoch is any.
        let since = json!({ "epoch": want.epoch, "offset": want.offset });
        let body = json!({ "channel": want.room, "limit": -1, "since": since }).to_string();
        let command = json::parse("history", body.as_bytes(), &self.setup.config());
        let answer = command.ok().zip(twin).and_then(|(command, twin)| ask(twin, now, command));
        let nothing = json!({ "error": "it cannot be asked" });
        answer.and_then(|body| serde_json::from_str(&body).ok()).unwrap_or(nothing)
    }

    /// Whether a driver looks for nothing but the Close frame of the client that sends this.
    fn is_forgotten(&self, stimulus: &Stimulus<'_>) -> bool {
        match stimulus {
            Stimulus::Text(client, ..)
            | Stimulus::Fragment(client, _)
            | Stimulus::HalfFrame(client, _)
            | Stimulus::Ping(client, _)
            | Stimulus::Pong(client)
            | Stimulus::Violated(client, _) => self.is_closing(numbered(*client)),
            _ => false,
        }
    }

    /// How much was written to this client in these turns, beside what was expected.
    fn written_in_parts(&self, client: usize, turns: &[TurnReport]) -> usize {
        let id = self.clients[client].connection.as_ref().map(|connection| connection.id);
        let bytes = |seen: &TurnReport| match seen.follow_up {
            Some(Input::Flushed { conn, bytes }) if Some(conn) == id => bytes,
            _ => 0,
        };
        turns.iter().map(bytes).sum()
    }

    fn check_turn(
        &mut self,
        now: Now,
        seen: &TurnReport,
        stimulus: &Stimulus<'_>,
        input: Option<&Input>,
    ) -> Result<(), Failure> {
        if let Stimulus::Flushed(client, _) = stimulus
            && S::HAS_DRIVER
        {
            self.receive(numbered(*client), &seen.written)?;
        }
        let TurnReport { effects, after, stats, timeout, .. } = seen;
        self.note(|| format!("{effects:?}"));
        let bound = 64 + 32 * self.clients.len();
        if effects.len() > bound {
            let many = Failure::new(Guarantee::G10, format_args!("at most {bound} effects of a turn"), effects.len());
            self.heed(Err(many))?;
        }
        let answer = self.answer(effects)?;
        let outcome = Outcome { effects, answer: answer.as_deref(), after, stats, timeout: *timeout };
        self.refer(|reference| reference.turn(stimulus, &outcome))?;
        if let (Some(checkers), Some(input)) = (&mut self.checkers, input) {
            checkers.turned(now, input, effects, answer.as_deref(), (stats, *timeout))?;
        }
        self.answered = answer.unwrap_or_default();
        self.carry_out(effects)
    }

    /// Checks an input that a driver hands in by itself: the result of a write, a token's claims, or a part of a message.
    fn check_follow_up(&mut self, now: Now, seen: &TurnReport, input: &Input) -> Result<(), Failure> {
        let unasked = || Failure::new(Guarantee::P1, "no input that nothing led to", format_args!("{input:?}"));
        let (Input::Flushed { conn, .. }
        | Input::Authenticated { conn, .. }
        | Input::Fragment { conn, .. }
        | Input::HalfFrame { conn, .. }
        | Input::Unread { conn, .. }
        | Input::Pong { conn }) = input
        else {
            return Err(unasked());
        };
        let is_its =
            |client: &SimulatedClient| client.connection.as_ref().is_some_and(|connection| connection.id == *conn);
        let client = self.clients.iter().position(is_its).ok_or_else(unasked)?;
        match input {
            Input::Flushed { bytes, .. } => self.check_turn(now, seen, &Stimulus::Flushed(client, *bytes), Some(input)),
            Input::Fragment { bytes, .. } => {
                self.check_turn(now, seen, &Stimulus::Fragment(client, *bytes), Some(input))
            }
            Input::HalfFrame { bytes, .. } => {
                self.check_turn(now, seen, &Stimulus::HalfFrame(client, *bytes), Some(input))
            }
            Input::Unread { bytes, .. } => self.check_turn(now, seen, &Stimulus::Unread(client, *bytes), Some(input)),
            Input::Pong { .. } => self.check_turn(now, seen, &Stimulus::Pong(client), Some(input)),
            Input::Authenticated { verdict, .. } => {
                let outcome = self.outcome_of(client, verdict)?;
                self.check_turn(now, seen, &Stimulus::Decided(client, outcome), Some(input))
            }
            _ => Err(unasked()),
        }
    }

    /// The body of the answer to a call.
    fn answer(&self, effects: &[Effect]) -> Result<Option<String>, Failure> {
        let mut answer = None;
        for effect in effects {
            if let Effect::Reply { call, result } = effect {
                if answer.is_some() || call.0 != self.calls {
                    self.heed(Err(Failure::new(
                        Guarantee::P1,
                        format_args!("one answer to call {}", self.calls),
                        format_args!("{effect:?}"),
                    )))?;
                }
                answer = Some(self.subject.answer(result));
            }
        }
        Ok(answer)
    }

    fn carry_out(&mut self, effects: &[Effect]) -> Result<(), Failure> {
        for effect in effects {
            match effect {
                Effect::Authenticate { conn, token } => {
                    let connections = self.clients.iter_mut().flat_map(|client| &mut client.connection);
                    connections.filter(|connection| connection.id == *conn).for_each(|connection| {
                        (connection.asked, connection.asked_for) = (true, room_of_token(token));
                    });
                    if S::HAS_DRIVER {
                        self.checked.clone_from(token);
                    }
                }
                Effect::Closed { conn, .. } => self.hang_up(*conn)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn hang_up(&mut self, conn: ConnId) -> Result<(), Failure> {
        let ended = self
            .clients
            .iter_mut()
            .find(|client| client.connection.as_ref().is_some_and(|connection| connection.id == conn));
        let twice = || Failure::new(Guarantee::G7, "an end of whoever is there", conn);
        let Some(client) = ended else { return self.heed(Err(twice())) };
        let connection = client.connection.take().expect("it was found by its connection");
        client.former = Some((connection.id, connection.client_id));
        connection.check_stream()
    }

    /// G1: nothing waits for a connection that has ended.
    fn check_handles(&self) -> Result<(), Failure> {
        for (id, _) in self.clients.iter().filter_map(|client| client.former) {
            if let Some(bytes) = caught(|| self.subject.pending(id))? {
                return Err(Failure::new(
                    Guarantee::G1,
                    format_args!("nothing to write for {id}, which has ended"),
                    format_args!("{bytes:02x?}"),
                ));
            }
        }
        Ok(())
    }

    pub(super) fn note(&mut self, line: impl FnOnce() -> String) {
        if let Some(transcript) = &mut self.transcript {
            transcript.note(line().as_bytes());
        }
    }

    pub(super) fn note_bytes(&mut self, bytes: &[u8]) {
        if let Some(transcript) = &mut self.transcript {
            transcript.note(bytes);
        }
    }

    /// CheckedBy the streams of everybody who is still there.
    ///
    /// # Errors
    /// One of them is not what its client took it for.
    pub fn check_streams(&self) -> Result<(), Failure> {
        self.clients.iter().flat_map(|client| &client.connection).try_for_each(Connection::check_stream)
    }
}

fn numbered(client: usize) -> Client {
    Client(u8::try_from(client).expect("a few clients"))
}

/// Runs the subject. A panic becomes a failure.
pub(super) fn caught<T>(work: impl FnOnce() -> T) -> Result<T, Failure> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| {
        let literal = panic.downcast_ref::<&str>().map(ToString::to_string);
        let words = literal.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
        let guarantee = Guarantee::named_in(&words).unwrap_or(Guarantee::G10);
        let expected = if guarantee == Guarantee::G10 { "no panic" } else { "its own checks to hold" };
        Failure::new(guarantee, expected, words)
    })
}
